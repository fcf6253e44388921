// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* XDP ingress, in place of TC ingress where the driver has it: attach, call the core, translate the verdict. */
#define SP_XDP
#include "../port/port_bpf.h"

#include "../core/express.h"
#include "../port/fast_bpf.h"
#include "../port/lane_bpf.h"
#include "../port/precedent_bpf.h"
#include "../port/shed_bpf.h"

/* ---- the fast path ---------------------------------------------------------------------------------------------------- */

#define SP_FAST_NOT (-1) /* nothing was changed: the whole pipeline has to look */
#define SP_FAST_NEW (-2) /* the same, of a packet that was read and belongs to no conversation */
#define SP_FAST_LANE (-4) /* it was let in; the kernel has to be asked where it goes */

/*
 * Is the frame for the very interface where it came in? The stack drops those for others (which an interface sees
 * that listens to all), gives those for all to whoever wants them, and those for another address of the same card
 * to another interface.
 */
SP_INLINE int sp_is_to(const struct sp_glance *g, const sp_u8 *data, const sp_u8 *end)
{
	sp_u16 to[3];

	if (data + SP_MAC > end)
		return 0;
	sp_from_frame(to, data, SP_MAC);
	return !((to[0] ^ g->mac[0]) | (to[1] ^ g->mac[1]) | (to[2] ^ g->mac[2])) || sp_test_mode;
}

/* Where does p leave, if it may take the lane? Its conversation f is locked. */
SP_INLINE int sp_fast_hop(struct xdp_md *ctx, struct sp_flow *f, struct sp_pkt *p, struct sp_hop_seen *hop,
			  sp_u64 source, const sp_u8 *ip)
{
	const sp_u64 note = sp_note_get(f, p->flow - 1, sp_bit(p->dir) * 2);

	return p->hop_limit > 1 && note && !sp_others_translate(p->now_ns) &&
	       sp_hop_read(note, sp_routes_now(ctx, p->family), sp_service(ip, p->family), p, hop) &&
	       sp_fast_source(f, p, hop->zone, source);
}

/* p was let in, and goes on there. What XDP has to do with it. */
SP_INLINE int sp_fast_send(struct xdp_md *ctx, const struct sp_pkt *p, sp_u32 ifindex, const sp_u8 *macs)
{
	sp_u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	sp_fast_write(data, end, p, 1);
	sp_count(SP_R_EXPRESS, p);
	if (data + 2 * SP_MAC > end)
		return XDP_DROP;
	sp_to_frame(data, macs, 2 * SP_MAC);
	return (int)bpf_redirect(ifindex, 0);
}

/* May p, which belongs to no conversation, begin one as others did? */
SP_INLINE int sp_fast_begins(const struct sp_pkt *p)
{
	return p->kind == SP_KIND_UDP || sp_is_first_syn(p);
}

/* The common packet, from the driver to the driver. SP_FAST_NOT, or what XDP has to do with it. */
SP_GLOBAL int sp_fast_in(struct xdp_md *ctx)
{
	sp_u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct sp_glance *g = sp_look(ctx->ingress_ifindex);
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_hop_seen hop;
	int reason = SP_R_NONE, lane, fresh = 0;
	struct sp_flow *f;
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	sp_u64 source;

	if (!g || g->bare_ip || !c || !s || !p)
		return SP_FAST_NOT;
	p->now_ns = g->now_ns;
	p->zone = g->zone;
	p->hook = SP_HOOK_INGRESS;
	p->segs = 1;
	p->generation = g->generation;
	if (data + SP_FAST_L3 + 20 > end || !sp_fast_parse(data, end, (sp_u32)(end - data), p))
		return SP_FAST_NOT;
	/* with many that wait the pipeline says who may begin: while a flood lasts, nobody else looks at a SYN */
	if (sp_is_first_syn(p) && !sp_waiting_few(c, s, p))
		return SP_FAST_NOT;
	p->other_set = 0;
	if (g->begins && sp_fast_begins(p) && sp_routes_tell()) {
		fresh = 1;
		if (g->begins & SP_BEGINS_TWICE)
			sp_precedent_soon(p, ctx->ingress_ifindex);
	}
	g->begins = 0;
	f = sp_fast_find(c, s, p, fresh, sp_fast_by_alias(g, p));
	if (!f)
		return p->flow ? SP_FAST_NOT : SP_FAST_NEW;
	if (sp_fast_changes(f, p)) {
		sp_fast_bare(p, ctx->ingress_ifindex);
		return (g->express || p->nat) && (g->virtual || sp_fast_doubts(data, end, p)) ? SP_FAST_NOT : SP_FAST_TRACK;
	}
	/* what is for this machine itself needs no way out */
	lane = g->express && sp_is_to(g, data, end) && sp_routes_tell() && SP_READ(f->zone_to) != SP_ZONE_SELF &&
	       SP_READ(f->zone_from) != SP_ZONE_SELF;
	/* memory that is needed under the lock, which nothing overtakes: asked for here, at once */
	sp_flow_soon(p->flow - 1, p->proto);
	if ((lane || p->nat) && (g->virtual || sp_fast_doubts(data, end, p)))
		return SP_FAST_NOT;
	if (!sp_lock_try_once(&f->lock))
		return SP_FAST_NOT;
	source = lane ? sp_note_get(f, p->flow - 1, SP_NOTE_SOURCE) : 0;
	if (sp_fast_fits(c, s, f, p, source) && (!lane || sp_fast_hop(ctx, f, p, &hop, source, data + SP_FAST_L3)))
		reason = sp_fast_record(f, p);
	if (reason && lane && p->nat == SP_NAT_SRC && (sp_u8)source != sp_source_told(p->now_ns))
		sp_note_set(f, p->flow - 1, SP_NOTE_SOURCE, sp_source_tell(p));
	sp_flow_unlock(f);
	if (reason == SP_R_NONE)
		return SP_FAST_NOT;
	sp_count((sp_u32)reason, p);
	if (lane)
		return sp_fast_send(ctx, p, hop.ifindex, hop.macs);
	sp_fast_write(data, end, p, 0);
	return XDP_PASS;
}

/*
 * p, which was let in, as one of conversation f: does it leave as its conversation remembers? Then p->nat says how, too.
 */
SP_INLINE int sp_fast_remembered(struct xdp_md *ctx, struct sp_flow *f, struct sp_pkt *p, struct sp_hop_seen *hop)
{
	const sp_u8 *ip = (void *)(long)ctx->data + SP_FAST_L3;
	sp_u64 source = 0;
	int known;

	if ((p->tcp_flags & SP_TCP_SYN) || ip + 20 > (const sp_u8 *)(long)ctx->data_end ||
	    !sp_lock_try_once(&f->lock))
		return 0;
	/* before it is answered, its sender may yet need another address */
	known = sp_flow_is(f, &p->key) && (f->flags & SP_FLOW_ANSWERED);
	if (known) {
		source = sp_note_get(f, p->flow - 1, SP_NOTE_SOURCE);
		known = sp_fast_hop(ctx, f, p, hop, source, ip);
	}
	if (known && p->nat == SP_NAT_SRC && (sp_u8)source != sp_source_told(p->now_ns))
		sp_note_set(f, p->flow - 1, SP_NOTE_SOURCE, sp_source_tell(p));
	sp_flow_unlock(f);
	return known;
}

/*
 * A packet that sp_fast_in() has read and found, and that sp_fast_track() has let in for this reason. SP_FAST_LANE, or what
 * XDP has to do with it.
 */
SP_GLOBAL int sp_fast_follow(struct xdp_md *ctx, sp_u32 reason)
{
	sp_u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct sp_glance *g = sp_look(ctx->ingress_ifindex);
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_hop_seen hop;
	struct sp_flow *f = p ? sp_flow_at(p->flow - 1) : NULL;
	sp_u8 nat;
	int lane;

	if (!g || !f)
		return XDP_DROP;
	sp_count(reason, p);
	lane = g->express && sp_is_to(g, data, end) && sp_routes_tell() && SP_READ(f->zone_to) != SP_ZONE_SELF &&
	       SP_READ(f->zone_from) != SP_ZONE_SELF;
	nat = p->nat;
	if (lane && sp_fast_remembered(ctx, f, p, &hop))
		return sp_fast_send(ctx, p, hop.ifindex, hop.macs);
	p->nat = nat;
	if (nat)
		sp_fast_write(data, end, p, 0);
	return lane && !sp_others_translate(p->now_ns) ? SP_FAST_LANE : XDP_PASS;
}

/* ---- the lane for what the pipeline has let in ------------------------------------------------------------------------ */

/* Would the reverse path filter let p through? To be asked when its way is learnt; the stack looks at every packet. */
SP_INLINE int sp_express_reverse(struct xdp_md *ctx, struct sp_pkt *p)
{
	const int filter = p->family == SP_IPV4 ? sp_reverse_filter(ctx) : 0;
	int out;

	if (!filter)
		return 1;
	out = sp_route(ctx, p, SP_ROUTE_SRC);
	return filter == 1 ? out == (int)ctx->ingress_ifindex : out > 0;
}

/* As sp_checksum_good(), without a call for a short one over IPv4 that is right. p was read where it lies. */
SP_INLINE int sp_fast_sum_good(struct xdp_md *ctx, struct sp_pkt *p)
{
	sp_u64 acc = (sp_u64)p->src.w32[0] + p->dst.w32[0] + sp_hton32(p->l4_len).raw + sp_hton32(p->proto).raw;
	const long sum = p->family == SP_IPV4 && p->l4_len < SP_SUM_CHUNK ? sp_sum_near(ctx, p->l4_off, p->l4_len) : -1;

	return (sum >= 0 && sp_fold(acc + (sp_u64)sum) == 0xffff) || sp_checksum_good(ctx, p);
}

/*
 * A packet that sp_fast_in() has read and that belongs to no conversation: may it begin one, since another one began in
 * the same way a moment ago? Then p is as the pipeline would give it to the table. In three parts, of which this is the
 * first: each reads anew what it needs, since the stack of all that call each other is 512 bytes. None is a call: to
 * return from one costs 7 ns and more where the kernel is guarded against Inception, and keeps memory from being asked for.
 */
SP_INLINE int sp_fast_may_begin(struct xdp_md *ctx)
{
	sp_u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct sp_glance *g = sp_look(ctx->ingress_ifindex);
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_config *c = sp_config_get();
	struct sp_precedent *q;
	struct sp_hop_seen hop;
	int wscale;

	if (!g || !p || !c || !g->express || !sp_is_to(g, data, end) || !sp_routes_tell() || !sp_fast_begins(p))
		return 0;
	if (p->hop_limit <= 1 || g->virtual || data + SP_FAST_L3 + 20 > end || sp_fast_doubts(data, end, p) ||
	    sp_others_translate(p->now_ns) || sp_others_look(ctx, p->family))
		return 0;
	q = sp_precedent_of(p, ctx->ingress_ifindex);
	if (!q || !sp_hop_read(q->note, sp_routes_now(ctx, p->family), sp_service(data + SP_FAST_L3, p->family), p, &hop) ||
	    hop.zone != q->zone_to)
		return 0;
	/* first: what the packet before has left in p is no part of this one, is_frag least of all */
	sp_fast_fresh(p, ctx->ingress_ifindex, q->line, q->zone_to, q->note);
	wscale = p->kind == SP_KIND_TCP ? sp_fast_wscale(ctx, p) : SP_WSCALE_NONE;
	if (wscale < 0 || !sp_fast_sum_good(ctx, p))
		return 0;
	p->wscale = (sp_u8)wscale;
	if (q->to4) {
		p->new4 = q->to4;
		p->new_port = q->to_port;
		sp_nat_redirect(c, p);
	}
	p->out = hop.ifindex;
	p->zone_out = hop.zone;
	__builtin_memcpy(p->macs, hop.macs, sizeof(hop.macs));
	return 1;
}

/* The second: it gets its place in the table. 0: it can not get what it needs, the pipeline says why. */
SP_INLINE int sp_fast_insert(struct xdp_md *ctx)
{
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_precedent *q = p ? sp_precedent_at(p) : NULL;

	if (!q)
		return 0;
	if (q->slot && sp_nat_at_once(ctx, p, q->slot))
		return 1;
	return sp_flow_insert(p) == SP_R_NONE && (p->nat != SP_NAT_DST || !sp_nat_begin(p, q->slot));
}

/* The third: it leaves. What XDP has to do with it. */
SP_INLINE int sp_fast_begun(struct xdp_md *ctx)
{
	struct sp_glance *g = sp_look(ctx->ingress_ifindex);
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_precedent *q = p ? sp_precedent_at(p) : NULL;
	sp_u8 macs[2 * SP_MAC];
	int known = 1;

	if (!g || !q)
		return XDP_DROP;
	sp_count(q->reason, p);
	if (sp_is_watched(p->now_ns)) /* its line has no log */
		sp_tell(p, q->reason);
	sp_sweep_new(p->hash, p->now_ns);
	sp_express_leaves(p, p->out, p->zone_out);
	/* who comes from the outside keeps his address; if there is no alias yet, there is none (sp_express_known()) */
	if (!p->nat && p->zone_out == SP_ZONE_OUTSIDE && p->family == SP_IPV4 && sp_is_private4(p->src.w32[0]) &&
	    !g->nat_off && sp_nat_get()) {
		if (!q->slot)
			q->slot = (sp_u16)sp_nat_choose(p);
		known = sp_nat_first(ctx, p, q->slot) == SP_R_FORWARDED;
	}
	g->begins = SP_BEGINS | (q->slot ? SP_BEGINS_TWICE : 0);
	__builtin_memcpy(macs, p->macs, sizeof(macs));
	return known ? sp_fast_send(ctx, p, p->out, macs) : XDP_PASS;
}

/*
 * The express lane: what the kernel's route and neighbour say. 1: p, which was let in for that reason, may leave as they do,
 * and its fields say where. 0: the stack has to look at it.
 */
SP_GLOBAL int sp_express_way(struct xdp_md *ctx, struct sp_pkt *p, sp_u32 reason)
{
	const sp_u32 routes = p && sp_routes_tell() ? sp_routes_now(ctx, p->family) : 0; /* before they are asked */
	struct sp_glance *in = sp_look(ctx->ingress_ifindex), *out;
	struct bpf_fib_lookup fib = {};
	sp_u8 head[4];
	int begins;

	if (!p || !in || !sp_is_simple(p) || !sp_is_to(in, (void *)(long)ctx->data, (void *)(long)ctx->data_end) ||
	    sp_load(ctx, SP_FAST_L3, head, 4))
		return 0;
	fib.ifindex = ctx->ingress_ifindex;
	fib.l4_protocol = p->proto;
	fib.sport = p->sport.raw;
	fib.dport = p->dport.raw;
	fib.tot_len = (sp_u16)p->len; /* too big for the way out: the stack says so to the sender */
	if (p->family == SP_IPV4) {
		fib.family = SP_AF_INET;
		fib.tos = head[1];
		fib.ipv4_src = p->src.w32[0];
		fib.ipv4_dst = p->dst.w32[0];
	} else {
		fib.family = SP_AF_INET6;
		__builtin_memcpy(&fib.flowinfo, head, 4);
		fib.flowinfo &= sp_hton32(0x0fffffff).raw; /* class and label: either may decide between several ways */
		__builtin_memcpy(fib.ipv6_src, &p->src, 16);
		__builtin_memcpy(fib.ipv6_dst, &p->dst, 16);
	}
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return 0; /* for this machine, no neighbour yet, no route, too big, ... */
	out = sp_look(fib.ifindex);
	if (!out || !out->express || fib.ifindex == ctx->ingress_ifindex || !sp_express_reverse(ctx, p))
		return 0;
	begins = p->event == SP_EVENT_NEW;
	if ((begins || (p->tcp_flags & SP_TCP_SYN)) && sp_others_look(ctx, p->family))
		return 0;
	if (begins && p->zone_to != out->zone)
		return 0; /* it was permitted to go elsewhere: the route has just changed */
	begins = begins && reason != SP_R_REOPENED && sp_precedent_may(p, out->zone);
	sp_express_leaves(p, fib.ifindex, out->zone);
	__builtin_memcpy(p->macs, fib.dmac, SP_MAC);
	__builtin_memcpy(p->macs + SP_MAC, fib.smac, SP_MAC);
	if (sp_hop_learn(p, &fib, routes, sp_service(head, p->family)))
		return 0;
	if (begins && p->note && sp_routes_tell() && !sp_routes_by_rules(ctx, p->family))
		sp_precedent_set(p, ctx->ingress_ifindex, reason);
	return 1;
}

/* From here on it is changed; it can not be given to the stack any more. */
SP_GLOBAL int sp_express_send(struct xdp_md *ctx, struct sp_pkt *p)
{
	if (!p || (p->nat && sp_rewrite(ctx, p)) || sp_express_hop(ctx, p) || sp_put(ctx, 0, p->macs, 2 * SP_MAC))
		return XDP_DROP;
	sp_count(SP_R_EXPRESS, p);
	return (int)bpf_redirect(p->ifindex, 0);
}

/* p was let in for that reason: by the lane, if there is one for it. */
SP_INLINE int sp_express(struct xdp_md *ctx, struct sp_pkt *p, sp_u32 reason)
{
	if (!p || !sp_express_way(ctx, p, reason) || !sp_express_source(ctx, p))
		return XDP_PASS;
	return sp_express_send(ctx, p);
}

SEC("xdp.frags")
int sp_xdp_in(struct xdp_md *ctx)
{
	int done = sp_fast_in(ctx);
	struct sp_pkt *p;
	sp_u32 reason;

	if (done == SP_FAST_NEW)
		done = sp_fast_may_begin(ctx) && sp_fast_insert(ctx) ? sp_fast_begun(ctx) : SP_FAST_NOT;
	if (done == SP_FAST_TRACK) {
		reason = (sp_u32)sp_fast_track(ctx);
		done = reason ? sp_fast_follow(ctx, reason) : SP_FAST_NOT;
	}
	if (done == SP_FAST_LANE)
		return sp_express(ctx, SP_LOOKUP(sp_packet, 0), SP_R_NONE);
	if (done != SP_FAST_NOT)
		return done;
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
	if (!p->express || sp_others_translate(p->now_ns))
		return XDP_PASS;
	/* a checksum that hardware was to finish (a virtual link) stays unfinished when it is redirected */
	if (p->nat ? p->unfinished : sp_unfinished(ctx, p))
		return XDP_PASS;
	return sp_express(ctx, p, reason);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
