/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets for the fuzzers: built from a few fields, right unless asked to be wrong, and looked at again. */
#ifndef TESTS_FUZZ_WIRE_H
#define TESTS_FUZZ_WIRE_H

#include "../../core/types.h"

#define WIRE_MAX 2048

struct wire {
	sp_u8 family; /* 4 or 6 */
	sp_u8 proto;
	sp_u8 ttl;
	sp_u8 src[16], dst[16];
	sp_u16 sport, dport; /* ICMP queries: the identifier in sport */
	sp_u16 ip_id;
	/* TCP */
	sp_u8 flags;
	sp_u8 wscale; /* of a SYN; above 15: no such option */
	sp_u16 win;
	sp_u32 seq, ack;
	/* ICMP */
	sp_u8 icmp_type, icmp_code;
	/* behind the transport header: these bytes, or `data` made up ones */
	const sp_u8 *body;
	sp_u16 data;
	/* pieces: bytes of the datagram, cut or filled up */
	sp_u8 is_frag, more;
	sp_u16 frag_len;
	sp_u32 frag_off;
	sp_u8 bad_sum, no_sum; /* no_sum: UDP without a checksum (RFC 768) */
};

/* An Ethernet frame in out (WIRE_MAX bytes); its length. */
sp_u32 wire_build(const struct wire *w, sp_u8 *out);
/* Are the checksums of a frame right? Of what has none that could be told (pieces, other protocols): yes. */
int wire_sums_right(const sp_u8 *frame, sp_u32 len);

#endif
