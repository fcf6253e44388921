/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * In front of XDP while a flood of SYNs lasts: what sp_shed() would drop, before anything is made of it.
 *
 * It sheds only when there is no room for another stranger and more come than can be asked (core/proof.h); at other times it
 * is two loads and a comparison. It takes plain SYNs from outside only, so that whoever is in a conversation never meets it.
 */
#ifndef SP_PORT_SHED_BPF_H
#define SP_PORT_SHED_BPF_H

#include "../core/proof.h"

#define SP_SHED_L3 14
#define SP_SHED_FLAGS 13 /* of the TCP header */

/* Is it a plain SYN, without options of IP? Then p gets family and source. */
SP_INLINE int sp_shed_is_syn(struct xdp_md *ctx, struct sp_pkt *p)
{
	const sp_u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const sp_u8 *ip = data + SP_SHED_L3, *tcp;

	if (ip + sizeof(struct sp_ip4) + SP_SHED_FLAGS + 1 > end)
		return 0;
	if (data[12] == 8 && data[13] == 0) {
		if (ip[0] != 0x45 || ip[9] != SP_PROTO_TCP || (ip[6] & 0x3f) || ip[7])
			return 0;
		p->family = SP_IPV4;
		__builtin_memcpy(&p->src.w32[0], ip + 12, 4);
		tcp = ip + sizeof(struct sp_ip4);
	} else {
		if (data[12] != 0x86 || data[13] != 0xdd || ip + sizeof(struct sp_ip6) + SP_SHED_FLAGS + 1 > end ||
		    ip[6] != SP_PROTO_TCP)
			return 0;
		p->family = SP_IPV6;
		__builtin_memcpy(&p->src, ip + 8, 16);
		tcp = ip + sizeof(struct sp_ip6);
	}
	return (tcp[SP_SHED_FLAGS] & (SP_TCP_SYN | SP_TCP_ACK | SP_TCP_RST)) == SP_TCP_SYN;
}

/* 1: it was counted, and is to be dropped. */
SP_GLOBAL int sp_shed_xdp(struct xdp_md *ctx)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	sp_u32 key = ctx->ingress_ifindex;
	struct sp_iface *i;

	/* a stranger's mark, before anything else is asked */
	if (!c || !s || !p || SP_READ(s->count[SP_CLASS_UNANSWERED]) < SP_READ(c->unanswered_max) / 4 * 3 || sp_test_mode)
		return 0;
	p->src = (struct sp_addr){};
	if (!sp_shed_is_syn(ctx, p))
		return 0;
	i = bpf_map_lookup_elem(&sp_ifaces, &key);
	p->now_ns = bpf_ktime_get_boot_ns();
	p->zone = sp_iface_zone(i, p->now_ns);
	p->kind = SP_KIND_TCP;
	p->tcp_flags = SP_TCP_SYN;
	if (!i || i->bare_ip || !sp_shed(p))
		return 0;
	p->segs = 1;
	p->len = (sp_u32)bpf_xdp_get_buff_len(ctx) - SP_SHED_L3;
	sp_count(SP_R_UNANSWERED_FULL, p);
	return 1;
}

#endif
