/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tolerant look at a packet, for people: who sent what to whom, as far as the bytes go. It never decides anything (the
 * core does, and is strict); it only serves descriptions, the sides of a capture and the repair of checksums.
 */
#ifndef SP_HOST_GLANCE_H
#define SP_HOST_GLANCE_H

#include "../core/packet.h"

struct sp_glance {
	sp_u8 family; /* enum sp_family; NONE: not IP, or too short to tell; then the addresses are not set */
	sp_u8 proto; /* upper layer, after the extension headers that could be read */
	sp_u8 has_l4; /* the fields of the upper layer below could be read */
	sp_u8 vlans;
	sp_u16 ethertype; /* 0: bare IP */
	sp_u8 is_fragment;
	sp_u8 frag_more;
	sp_u8 tcp_flags; /* SP_TCP_* */
	sp_u8 icmp_type, icmp_code;
	sp_u8 pad_;
	sp_u16 sport, dport; /* ICMP queries: the identifier in sport */
	sp_u16 win;
	sp_u32 frag_off, frag_id; /* bytes */
	sp_u32 seq, ack;
	sp_u32 l3_off, l4_off; /* from the first byte given; l4_off 0: not reached */
	sp_u32 ip_len; /* header and payload, as the header says */
	sp_u32 payload; /* bytes behind the TCP or UDP header, as the headers say */
	struct sp_addr src, dst;
};

void sp_glance(struct sp_glance *g, const void *data, sp_u32 len, int bare_ip);

/*
 * "tcp 10.0.0.2:40000 -> 198.51.100.7:80 [S] seq 1000 win 64240, 0 bytes" into out (always ended, cut if too long).
 * SP_GLANCE_TEXT is room for everything.
 */
#define SP_GLANCE_TEXT 256
void sp_glance_text(const struct sp_glance *g, char *out, sp_u32 size);

/* "[2a00::1]:443", "10.0.0.1:80"; without ports for protocols that have none. out: SP_GLANCE_END bytes. */
#define SP_GLANCE_END 64
void sp_glance_endpoint(const struct sp_addr *a, int family, int proto, sp_u16 port, char *out);

/* "tcp", "icmp"; buf (8 bytes) is used for protocols that have no name here */
const char *sp_glance_proto(int proto, char *buf);
int sp_glance_has_ports(int proto);

#endif
