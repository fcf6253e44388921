// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* XDP ingress, in place of TC ingress where the driver has it: attach, call the core, translate the verdict. */
#define SP_XDP
#include "../port/port_bpf.h"

#include "../core/express.h"
#include "../port/shed_bpf.h"

#define SP_MAC 6

/* The express lane: what the kernel's route and neighbour say, this does. XDP_PASS: the stack has to look at it. */
SP_GLOBAL int sp_express(struct xdp_md *ctx, struct sp_pkt *p)
{
	struct bpf_fib_lookup fib = {};
	struct sp_iface *out;
	sp_u32 key;

	if (!p)
		return XDP_PASS;
	fib.ifindex = ctx->ingress_ifindex;
	fib.l4_protocol = p->proto;
	fib.sport = p->sport.raw;
	fib.dport = p->dport.raw;
	fib.tot_len = (sp_u16)p->len; /* too big for the way out: the stack says so to the sender */
	if (p->family == SP_IPV4) {
		fib.family = SP_AF_INET;
		fib.ipv4_src = p->src.w32[0];
		fib.ipv4_dst = p->dst.w32[0];
	} else {
		fib.family = SP_AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &p->src, 16);
		__builtin_memcpy(fib.ipv6_dst, &p->dst, 16);
	}
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return XDP_PASS; /* for this machine, no neighbour yet, no route, too big, ... */
	key = fib.ifindex;
	out = bpf_map_lookup_elem(&sp_ifaces, &key);
	if (!out || !sp_iface_express(out, p->now_ns) || key == ctx->ingress_ifindex)
		return XDP_PASS;
	p->zone_out = sp_iface_zone(out, p->now_ns);
	p->hook = SP_HOOK_EGRESS;
	p->forwarded = 1;
	if (!p->zone_out || !sp_express_source(ctx, p))
		return XDP_PASS;
	/* from here on it is changed; it can not be given to the stack any more */
	if ((p->nat && sp_rewrite(ctx, p)) || sp_express_hop(ctx, p) || sp_put(ctx, 0, fib.dmac, SP_MAC) ||
	    sp_put(ctx, SP_MAC, fib.smac, SP_MAC))
		return XDP_DROP;
	sp_count(SP_R_EXPRESS, p);
	return (int)bpf_redirect(key, 0);
}

SEC("xdp.frags")
int sp_xdp_in(struct xdp_md *ctx)
{
	struct sp_pkt *p;
	sp_u32 reason;

	if (sp_shed_xdp(ctx))
		return XDP_DROP;
	p = sp_door(ctx->ingress_ifindex, SP_HOOK_INGRESS);
	if (!p)
		return XDP_PASS;
	p->frame_len = (sp_u32)bpf_xdp_get_buff_len(ctx);
	p->segs = 1;
	reason = sp_serve(ctx, p);
	if (sp_reason_drops(reason))
		return sp_refuse_xdp(ctx, p, reason);
	if (!p->express || !sp_is_simple(p) || sp_others_translate(p->now_ns))
		return XDP_PASS;
	/* a checksum that hardware was to finish (a virtual link) stays unfinished when it is redirected */
	if (p->nat ? p->unfinished : sp_unfinished(ctx, p))
		return XDP_PASS;
	return sp_express(ctx, p);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
