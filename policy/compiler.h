/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the compiler share: lines on their way to the image. */
#ifndef SP_POLICY_COMPILER_H
#define SP_POLICY_COMPILER_H

#include "../core/abi.h"
#include "classes.h"
#include "compile.h"
#include "rules.h"

#define SP_NO_SET 0xffffffffu
#define SP_ZONE_BIT(zone) (1u << (zone))
/* Zones as bits. Zone 0 is where a destination lives that no guarded interface leads to. */
#define SP_ZONES_FROM 0x7ffeu
#define SP_ZONES_TO 0x7fffu

/* One side of a line: zones, and a set of addresses (SP_NO_SET: any). */
struct sp_way {
	sp_u32 zones;
	sp_u32 set;
};

/* A line as the expander sees it. */
struct sp_rule {
	struct sp_way from, to;
	sp_u32 services; /* set of services, or SP_NO_SET */
	sp_u32 value; /* SP_RULE_BLOCK or SP_RULE_ALLOW, and the line */
	int rank; /* those of lower rank go into the table first */
	const struct sp_sentence *line;
};

/* An IPv6 host by the last half of its address. */
struct sp_suffix {
	sp_u64 low;
	sp_u32 set;
};

/* The table of classes of these hosts: by suffix, and by the class that the whole address has. */
struct sp_pairs {
	sp_u64 *lows; /* n, sorted; malloc()ed */
	sp_u32 n, columns;
	sp_u32 *classes; /* n * columns; malloc()ed */
};

struct sp_compiler {
	const struct sp_policy *policy;
	char (*names)[SP_IMAGE_NAME]; /* line number SP_LINE_FIRST + i is names[i] */
	struct sp_image_order *orders; /* as many */
	sp_u32 n_names;
	char zones[SP_ZONES_MAX][SP_IMAGE_NAME]; /* by number; "" where there is none */
	const char (*before)[SP_IMAGE_NAME]; /* SP_ZONES_MAX: the numbers that zones have already; NULL: none */
	struct sp_image_more more; /* flags, reject, counts */
	sp_u32 pool[SP_NAT_SLOTS];
	sp_u64 *forwards; /* SP_IMAGE_FORWARDS_LINES lines of bits, malloc()ed; NULL: nothing is forwarded */
	char *text;
	size_t text_len;
	char *why;
	size_t why_size;
	struct sp_spans v4, v6, ports;
	struct sp_suffix *suffixes;
	sp_u32 n_suffixes, cap_suffixes;
	sp_u32 n_sets, n_services;
	struct sp_rule *rules;
	sp_u32 n_rules, cap_rules;
	struct sp_rules table;
	/* what the cutting makes of sets and services */
	struct sp_classes people, services;
	struct sp_interval *v4_cut, *v6_cut, *ports_cut;
	sp_u32 n_v4, n_v6, n_ports;
	struct sp_pairs pairs;
};

/* ---- compile.c ------------------------------------------------------------------------------------------------- */

/* Says "file:line: name: what" in c->why; returns err. */
int sp_compile_refuse(struct sp_compiler *c, const struct sp_sentence *line, int err, const char *what);
/* Number of a zone by name; new names get a free number. Negative: there are too many. */
int sp_compile_zone(struct sp_compiler *c, const char *name);
int sp_compile_net(struct sp_compiler *c, const struct sp_net *net, const struct sp_net *end, sp_u32 set) SP_MUST;
/* The ways that a list of people stands for: one for all zones in it, one for all addresses in it. out: two. */
int sp_compile_ways(struct sp_compiler *c, const struct sp_sentence *line, const struct sp_terms *terms,
		    const struct sp_nets *nets, struct sp_way *out, sp_u32 *n) SP_MUST;
/* All of first..last of a protocol belongs to set `set` of services. */
int sp_compile_ports(struct sp_compiler *c, sp_u8 proto, sp_u16 first, sp_u16 last, sp_u32 set) SP_MUST;
int sp_compile_rule(struct sp_compiler *c, const struct sp_rule *rule) SP_MUST;

/* ---- translate.c: lines about translation and refusal ----------------------------------------------------------- */

int sp_compile_forward(struct sp_compiler *c, const struct sp_sentence *line, sp_u32 number) SP_MUST;
int sp_compile_nat(struct sp_compiler *c, const struct sp_sentence *line) SP_MUST;
int sp_compile_refusals(struct sp_compiler *c) SP_MUST;

/* ---- suffix.c ---------------------------------------------------------------------------------------------------- */

/* Fills in c->pairs. The IPv6 addresses are cut; classes are added. -ENOMEM, -E2BIG with the reason in c->why. */
int sp_compile_pairs(struct sp_compiler *c) SP_MUST;

/* ---- pack.c ------------------------------------------------------------------------------------------------------ */

int sp_compile_pack(struct sp_compiler *c, struct sp_image *out) SP_MUST;

#endif
