/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of lines while it is compiled: keys of classes (SP_RULE_KEY) with the strongest line for each. */
#ifndef SP_POLICY_RULES_H
#define SP_POLICY_RULES_H

#include "../core/policy_abi.h"

struct sp_rules {
	sp_u64 *v; /* key, value; open addressing; malloc()ed, the owner frees it */
	sp_u32 mask, n, puts;
};

/* Block beats allow; of two alike the earlier line stays. -ENOMEM, -E2BIG. */
int sp_rules_put(struct sp_rules *r, sp_u64 key, sp_u32 value) SP_MUST;
/* The value under a key, or 0. */
sp_u32 sp_rules_get(const struct sp_rules *r, sp_u64 key);
/* How many buckets the image needs, a power of two; 0: no memory. */
sp_u32 sp_rules_buckets(const struct sp_rules *r);
/* Fills mask + 1 buckets that are all 0. -ENOMEM. */
int sp_rules_pack(const struct sp_rules *r, struct sp_image_line *buckets, sp_u32 mask) SP_MUST;

#endif
