/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes packets, and makes the checksums of packets right: for `explain`, for captures and for tests. */
#ifndef SP_HOST_CRAFT_H
#define SP_HOST_CRAFT_H

#include "glance.h"

enum sp_sums {
	SP_SUMS_NONE, /* nothing that could be checked: no checksum, a later fragment, cut short */
	SP_SUMS_RIGHT,
	SP_SUMS_PARTIAL, /* left for the network card to finish: captured on the sending machine */
	SP_SUMS_WRONG,
};

/* What the checksum of the upper layer is. g: sp_glance() of the same bytes. */
enum sp_sums sp_sums_look(const struct sp_glance *g, const void *data, sp_u32 len);

/* Makes the IPv4 header checksum (if ip) and that of the upper layer right, where there is one. */
void sp_sums_repair(const struct sp_glance *g, void *data, sp_u32 len, int ip);

struct sp_craft {
	sp_u8 family, proto;
	sp_u8 tcp_flags; /* SP_TCP_* */
	sp_u8 icmp_type, icmp_code;
	sp_u8 ttl; /* 0: 64 */
	sp_u16 sport, dport; /* ICMP echo: the identifier in sport */
	sp_u16 win; /* 0: 64240 */
	sp_u32 seq, ack;
	sp_u32 payload; /* bytes behind the header, 0s */
	struct sp_addr src, dst;
};

#define SP_CRAFT_MAX 2048

/* A bare IP packet with right checksums into out (SP_CRAFT_MAX bytes). Returns its length, or -EINVAL. */
int sp_craft(const struct sp_craft *c, sp_u8 *out);

#endif
