/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Layout of a compiled policy: one flat array of 64-byte lines, read by the engine, written by policy/compile.c.
 * Decision record: docs/decisions/0011-policy-image.md. All integers in host byte order; offsets and counts in lines unless
 * their name says otherwise.
 */
#ifndef SP_CORE_POLICY_ABI_H
#define SP_CORE_POLICY_ABI_H

#include "types.h"

#define SP_IMAGE_ABI 2u
#define SP_IMAGE_MAGIC 0x796c6c6173ULL /* "sally" */
#define SP_IMAGE_SLOTS 8 /* generations that are kept: the one in force and those that `undo` can go back to */
#define SP_IMAGE_LINES_MAX (1u << 22) /* 256 MB */

#define SP_IMAGE_NAME 32 /* bytes of a name, with the 0 */
#define SP_ZONES_MAX 16 /* numbers that fit a rule's key */
#define SP_ZONE_FORWARD 15 /* no zone: "to" in the keys of `forward` lines, which answer to this machine's addresses */

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

enum sp_image_flag {
	SP_IMAGE_NAT_OFF = 1, /* nothing is translated at the outside */
	SP_IMAGE_NAT_OPEN = 2, /* endpoint-independent filtering (RFC 4787 5) */
	SP_IMAGE_FORWARD_MOST = 4, /* forwards cover most ports: source translation may use forwarded ones */
	SP_IMAGE_EXPRESS = 8, /* the express lane is wanted; the engine does not look at it, but at its interfaces */
};

/* Line 1. */
struct sp_image_more {
	sp_u32 flags; /* enum sp_image_flag */
	sp_u32 orders; /* struct sp_image_order by number of the configuration's line, a line each; as many as names */
	sp_u32 forwards; /* a bit for each service (sp_image_service()), IPv4: some line forwards it; 0: none does */
	sp_u32 pool; /* IPv4 addresses to translate to, raw network order, sixteen a line */
	sp_u32 pool_count; /* 0: the address of the outside interface; at most SP_NAT_SLOTS */
	sp_u32 suffixes; /* last halves of IPv6 addresses, host order: 64 bits, eight a line, sorted */
	sp_u32 suffix_count;
	sp_u32 suffix_classes; /* 32 bits, sixteen a line: [suffix * v6_classes + class by interval] = class */
	sp_u32 v6_classes; /* columns of that table: highest class by interval + 1 */
	sp_u16 reject; /* a bit for each zone: what is refused to it is answered with an error; others meet silence */
	sp_u16 probes; /* a bit for each of the eight sorts of keys that some rule has: see SP_RULE_SORT */
	sp_u32 zero_[6];
};
_Static_assert(sizeof(struct sp_image_more) == 64, "one line");

#define SP_IMAGE_FORWARDS_LINES ((SP_IMAGE_SERVICES + 511) / 512)
#define SP_IMAGE_SUFFIXES_MAX 4096
#define SP_IMAGE_REJECT_DEFAULT ((1u << 1) | (1u << 3) | 0x7ff0u) /* self, inside, zones of one's own; not the outside */

enum sp_order_flag {
	SP_ORDER_LOG = 1, /* tell of each conversation that it decides */
	SP_ORDER_REJECT = 2, /* block: answer with an error, whatever the zone has */
	SP_ORDER_DROP = 4, /* block: be silent, whatever the zone has */
};

/* What a line of the configuration wants beyond yes or no. 0: not given. */
struct sp_image_order {
	sp_u32 flags; /* enum sp_order_flag */
	sp_u32 to4; /* forward: IPv4 address to translate to, raw network order */
	sp_u16 to_port; /* forward: host order; 0: as it came */
	sp_u16 pad_;
	sp_u32 idle_s; /* an answered conversation is forgotten after so many idle seconds */
	sp_u32 rate, rate_per_s; /* new conversations of one source: rate in so many seconds */
	sp_u32 limit; /* conversations of one source with one service at a time */
	sp_u32 zero_[9];
};
_Static_assert(sizeof(struct sp_image_order) == 64, "one line");

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
/* What of a key is "any": source 1, destination 2, service 4. */
#define SP_RULE_IS_ANY(key, at, any) (((key) >> (at) & (any)) == (any))
#define SP_RULE_SORT(key)                                                                                           \
	((SP_RULE_IS_ANY(key, 36, SP_CLASS_ANY) ? 1u : 0) | (SP_RULE_IS_ANY(key, 16, SP_CLASS_ANY) ? 2u : 0) |      \
	 (SP_RULE_IS_ANY(key, 0, SP_SERVICE_ANY) ? 4u : 0))
#define SP_RULE_BUCKET(key, mask) ((sp_u32)((((key) ^ (key) >> 32) * 0x9e3779b97f4a7c15ULL) >> 32) & (mask))
#define SP_RULES_A_BUCKET 4
/* A key stands in its bucket, or in one of the next if those before are full; a gap ends the search. */
#define SP_RULE_HOPS 8

/* A rule's value: the strongest line for that key. */
#define SP_RULE_BLOCK 0x80000000u
#define SP_RULE_ALLOW 0x40000000u
#define SP_RULE_LINE 0xffffu /* number of the line in the configuration's table of names */

#endif
