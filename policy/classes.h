/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses and services as classes: two are alike exactly if every set of the policy treats them alike. */
#ifndef SP_POLICY_CLASSES_H
#define SP_POLICY_CLASSES_H

#include "policy.h"

/* A growing array of numbers. */
struct sp_nums {
	sp_u32 *v;
	sp_u32 n, cap;
};
int sp_nums_add(struct sp_nums *a, sp_u32 value) SP_MUST;

/* first..last, inclusive, belongs to set `set`. Addresses as two numbers of 64 bits; IPv4 in the second. */
struct sp_span_in {
	sp_u64 first[2], last[2];
	sp_u32 set;
};

struct sp_spans {
	struct sp_span_in *v;
	sp_u32 n, cap;
	sp_u64 end; /* the second number behind the last place there is; 0: all 128 bits are in use */
};
int sp_spans_add(struct sp_spans *s, const sp_u64 first[2], const sp_u64 last[2], sp_u32 set) SP_MUST;

/* From here on up to the next interval everything is of this class. */
struct sp_interval {
	sp_u64 start[2];
	sp_u32 class_;
};

struct sp_classes {
	sp_u32 n; /* classes; 0 is in no set */
	sp_u32 n_sets;
	sp_u32 n_members; /* of all sets together */
	struct sp_nums *of_set; /* [set]: the classes that make it up */
	sp_u64 *marks; /* [class]: which sets it is in, hashed */
	sp_u32 *slots, slots_mask; /* hash table of classes by mark */
};
int sp_classes_init(struct sp_classes *c, sp_u32 n_sets) SP_MUST;
void sp_classes_fini(struct sp_classes *c);

/* The class of what is in exactly these sets, each of them named once; a new one if need be. -ENOMEM, -E2BIG. */
int sp_classes_of(struct sp_classes *c, const struct sp_nums *sets) SP_MUST;

#define SP_CLASSES_MEMBERS_MAX (1u << 25) /* 128 MB */

/*
 * Cuts the line of addresses into intervals and gives each its class; may be called twice (IPv4, IPv6).
 * -E2BIG: so many classes in so many sets that nothing could be made of them.
 */
int sp_classes_cut(struct sp_classes *c, struct sp_spans *s, struct sp_interval **out, sp_u32 *n) SP_MUST;

#endif
