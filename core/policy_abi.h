/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Layout of a compiled policy: one flat array of 64-byte lines, read by the engine, written by policy/compile.c.
 * Decision record: docs/decisions/0011-policy-image.md. All integers in host byte order; offsets and counts in lines unless
 * their name says otherwise.
 */
#ifndef SP_CORE_POLICY_ABI_H
#define SP_CORE_POLICY_ABI_H

#include "types.h"

#define SP_IMAGE_ABI 1u
#define SP_IMAGE_MAGIC 0x796c6c6173ULL /* "sally" */
#define SP_IMAGE_SLOTS 8 /* generations that are kept: the one in force and those that `undo` can go back to */
#define SP_IMAGE_LINES_MAX (1u << 22) /* 256 MB */

#define SP_IMAGE_NAME 32 /* bytes of a name, with the 0 */
#define SP_ZONES_MAX 16 /* numbers that fit a rule's key */

struct sp_image_line {
	sp_u64 w[8];
};

/* Line 0. */
struct sp_image_head {
	sp_u64 magic;
	sp_u32 abi;
	sp_u32 lines; /* of the whole image */
	sp_u32 index4; /* 65,537 numbers of 32 bits: where the intervals that begin in each /16 begin */
	sp_u32 v4; /* intervals: start << 32 | class, eight a line, sorted; the first starts at 0 */
	sp_u32 v4_count; /* intervals */
	sp_u32 v6; /* intervals: first half, second half, class, 0: two a line, sorted; the first starts at :: */
	sp_u32 v6_count;
	sp_u32 services; /* classes of 16 bits, by sp_image_service() */
	sp_u32 rules; /* buckets of four: key, value */
	sp_u32 rules_mask; /* buckets - 1 */
	/* what follows is for people; the engine does not look at it */
	sp_u32 zones; /* names of the zones by number, two a line */
	sp_u32 names; /* names of the lines, two a line; the first is that of line SP_LINE_FIRST */
	sp_u32 n_names;
	sp_u32 text; /* the configuration in canonical form, ends with a 0 */
};
_Static_assert(sizeof(struct sp_image_head) == 64, "one line");

#define SP_IMAGE_INDEX4_LINES ((65537 + 15) / 16)
#define SP_IMAGE_SERVICES (5 * 65536u + 256) /* the ports of five protocols, and every protocol */
#define SP_IMAGE_SERVICE_LINES ((SP_IMAGE_SERVICES + 31) / 32)
#define SP_IMAGE_TURNS 24 /* of halving; IPv4 needs 17, since a /16 holds at most 65,536 intervals */

/* Place of a service in the table of their classes. port: of the destination, host byte order. */
SP_INLINE sp_u32 sp_image_service(sp_u8 proto, sp_u16 port)
{
	switch (proto) {
	case 6: /* TCP */
		return port;
	case 17: /* UDP */
		return 1 * 65536u + port;
	case 132: /* SCTP */
		return 2 * 65536u + port;
	case 33: /* DCCP */
		return 3 * 65536u + port;
	case 136: /* UDP-Lite */
		return 4 * 65536u + port;
	default:
		return 5 * 65536u + proto;
	}
}

/* A rule's key: zones exact, classes exact or "any". 0 is no key (zone from is never 0). */
#define SP_CLASS_ANY 0xfffffu /* 20 bits */
#define SP_SERVICE_ANY 0xffffu /* 16 bits */
#define SP_RULE_KEY(zone_from, zone_to, src, dst, service)                                                          \
	((sp_u64)(zone_from) << 60 | (sp_u64)(zone_to) << 56 | (sp_u64)(src) << 36 | (sp_u64)(dst) << 16 | (service))
#define SP_RULE_BUCKET(key, mask) ((sp_u32)((((key) ^ (key) >> 32) * 0x9e3779b97f4a7c15ULL) >> 32) & (mask))
#define SP_RULES_A_BUCKET 4
/* A key stands in its bucket, or in one of the next if those before are full; a gap ends the search. */
#define SP_RULE_HOPS 8

/* A rule's value: the strongest line for that key. */
#define SP_RULE_BLOCK 0x80000000u
#define SP_RULE_ALLOW 0x40000000u
#define SP_RULE_LINE 0xffffu /* number of the line in the configuration's table of names */

#endif
