/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame as the reference of the fuzzers sees it: read by code that shares nothing with the core. */
#ifndef TESTS_FUZZ_LOOK_H
#define TESTS_FUZZ_LOOK_H

#include "../../core/types.h"

struct ends {
	sp_u8 family, proto;
	sp_u8 src[16], dst[16];
	sp_u16 sport, dport; /* ICMP queries: the identifier in both; protocols without ports: 0 */
	sp_u8 query; /* type of the request; each sort has identifiers of its own */
};

struct look {
	struct ends e;
	sp_u8 hop_limit, is_frag, tcp_flags, icmp_type;
	sp_u8 is_error, is_query; /* ICMP */
	sp_u32 frag_off, frag_id;
	sp_u32 l4, end; /* from the start of the frame */
};

/* 1: an IP packet that was let through, so nothing is checked again; 0: something else. */
int look_at(struct look *l, const sp_u8 *frame, sp_u32 len);
/* The same without a link header: what an ICMP error quotes. */
int look_at_ip(struct look *l, const sp_u8 *ip, sp_u32 len);
/* The ends of what comes back. */
struct ends ends_back(const struct ends *e);
int ends_same(const struct ends *a, const struct ends *b);
int ends_private(const sp_u8 addr[16]);

#endif
