// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* TC ingress and egress: attach, call the core, translate the verdict. */
#define SP_TC
#include "../port/port_bpf.h"
#include "../port/fast_bpf.h"

#include <bpf/bpf_endian.h>
#include <linux/pkt_cls.h>

/* Zone of the guarded interface where a packet that leaves came in; SP_ZONE_NONE: this machine sends it. */
SP_INLINE sp_u8 sp_came_from(struct __sk_buff *skb)
{
	const sp_u32 from = skb->ingress_ifindex;
	struct sp_glance *g;

	if (sp_test_mode) {
		struct sp_test *t = SP_LOOKUP(sp_test, 0);

		return !t || !t->forwarded ? SP_ZONE_NONE : t->zone_from ? t->zone_from : SP_ZONE_INSIDE;
	}
	g = from ? sp_look(from) : NULL;
	return g ? g->zone : SP_ZONE_NONE;
}

SP_INLINE sp_u32 sp_segs(const struct __sk_buff *skb)
{
	return skb->gso_segs ? skb->gso_segs : 1;
}

/* ---- the fast path (core/fast.h) -------------------------------------------------------------------------------------- */

/* Nothing is translated: has somebody else given it our address (sp_judge_forwarded())? Its bytes; 0: perhaps. */
SP_INLINE sp_u32 sp_fast_foreign(struct __sk_buff *skb)
{
	const sp_u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct sp_ip4 ip;

	if (data + SP_FAST_L3 + sizeof(ip) > end)
		return 0;
	sp_from_frame(&ip, data + SP_FAST_L3, sizeof(ip));
	return (sp_ntoh16(ip.frag) & 0x3fff) || sp_nat_slot_of(ip.src.raw) ? 0 : sp_ntoh16(ip.total);
}

/*
 * A forwarded packet, which was judged where it came in, from zone `from`: may it leave as it is, whatever it is? What came
 * from the outside needs no other source. Returns the bytes that are counted, or 0.
 */
SP_INLINE sp_u32 sp_fast_leaves(struct __sk_buff *skb, const struct sp_glance *g, sp_u8 from)
{
	struct sp_state *s = sp_state_get();

	if (skb->protocol == bpf_htons(0x86dd) || !sp_nat_get())
		return skb->len;
	if (from == SP_ZONE_OUTSIDE)
		return g->zone != SP_ZONE_OUTSIDE && !sp_others_translate(g->now_ns) ? skb->len : 0;
	if (!g->nat_off || g->bare_ip || !s || SP_READ(s->count[SP_CLASS_ALIAS]) || skb->protocol != bpf_htons(0x0800))
		return 0;
	return sp_fast_foreign(skb);
}

/* One of conversation f that leaves for another zone: SP_R_FORWARDED, and p->nat says how it does; else SP_R_NONE. */
SP_INLINE int sp_fast_forward(struct sp_flow *f, struct sp_pkt *p, sp_u8 from)
{
	const sp_u32 flags = SP_READ(f->flags);
	const int from_initiator = ((flags & SP_FLOW_FROM_1) != 0) == p->dir;
	int known;

	/* sp_judge_forwarded() */
	if (from == SP_ZONE_OUTSIDE || !(flags & SP_FLOW_ANSWERED) || sp_nat_slot_of(p->src.w32[0]))
		return SP_R_NONE;
	if (!(flags & SP_FLOW_TRANSLATED))
		return !from_initiator || SP_READ(f->zone_to) == p->zone_out ? SP_R_FORWARDED : SP_R_NONE;
	if (!sp_lock_try_once(&f->lock))
		return SP_R_NONE;
	known = sp_key_equal(&f->key, &p->key) && f->phase != SP_PHASE_FREE && sp_fast_source(f, p, p->zone_out, 0);
	if (known && p->nat)
		sp_source_tell(p);
	sp_flow_unlock(f);
	return known ? SP_R_FORWARDED : SP_R_NONE;
}

/* The packet becomes what p->nat says, as by sp_rewrite(). Nonzero: it is not all there. */
SP_INLINE int sp_fast_rewrite(struct __sk_buff *skb, const struct sp_pkt *p)
{
	const sp_u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const sp_u32 l4 = SP_FAST_L3 + sizeof(struct sp_ip4), udp = p->kind == SP_KIND_UDP ? SP_FIX_UDP : 0;
	struct sp_ip4 ip;

	if (data + SP_FAST_L3 + sizeof(ip) > end)
		return -1;
	sp_from_frame(&ip, data + SP_FAST_L3, sizeof(ip));
	ip.check.raw = sp_sum_change(ip.check.raw, p->old4, p->new4, SP_FIX_4);
	if (p->nat == SP_NAT_DST)
		ip.dst.raw = p->new4;
	else
		ip.src.raw = p->new4;
	if (sp_put(skb, SP_FAST_L3 + 10, &ip.check, 10) ||
	    sp_fix(skb, p, l4 + sp_sum_off(p->proto), p->old4, p->new4, SP_FIX_4 | SP_FIX_PSEUDO | udp))
		return -1;
	if (p->old_port.raw == p->new_port.raw)
		return 0;
	return sp_fix(skb, p, l4 + sp_sum_off(p->proto), p->old_port.raw, p->new_port.raw, SP_FIX_2 | udp) ||
	       sp_put(skb, l4 + (p->nat == SP_NAT_DST ? 2 : 0), &p->new_port, 2);
}

/* It passes, for this reason, and as p->nat says. */
SP_INLINE int sp_fast_done(struct __sk_buff *skb, struct sp_pkt *p, int reason)
{
	if (p->nat && sp_fast_rewrite(skb, p))
		reason = SP_R_TRUNCATED;
	sp_count((sp_u32)reason, p);
	return reason;
}

/* One of conversation f that comes in, or that this machine sends. */
SP_INLINE int sp_fast_judge(struct sp_config *c, struct sp_state *s, struct sp_flow *f, struct sp_pkt *p)
{
	int reason = SP_R_NONE;

	if (sp_fast_changes(f, p))
		return SP_FAST_TRACK;
	if (sp_lock_try_once(&f->lock)) {
		reason = sp_fast_fits(c, s, f, p, 0) ? sp_fast_record(f, p) : SP_R_NONE;
		sp_flow_unlock(f);
	}
	return reason;
}

/*
 * The reason by which the packet passes, or (it is damaged by now) does not; SP_FAST_TRACK; SP_R_NONE: the whole pipeline
 * has to look.
 */
SP_GLOBAL int sp_fast_tc(struct __sk_buff *skb, sp_u32 hook, sp_u32 from)
{
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_glance *g = sp_look(skb->ifindex);
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_flow *f;
	int reason;

	if (!p || !g || !c || !s || g->bare_ip)
		return SP_R_NONE;
	p->now_ns = g->now_ns;
	p->hook = (sp_u8)hook;
	p->ifindex = skb->ifindex;
	p->zone = hook == SP_HOOK_EGRESS ? SP_ZONE_SELF : g->zone;
	p->zone_out = g->zone;
	p->generation = g->generation;
	p->segs = sp_segs(skb);
	if (!sp_fast_parse((void *)(long)skb->data, (void *)(long)skb->data_end, skb->len, p) || sp_is_first_syn(p))
		return SP_R_NONE;
	f = sp_fast_find(c, s, p, 0, sp_fast_by_alias(g, p));
	if (!f)
		return SP_R_NONE;
	reason = from ? sp_fast_forward(f, p, (sp_u8)from) : sp_fast_judge(c, s, f, p);
	return reason > 0 ? sp_fast_done(skb, p, reason) : reason;
}

/* What sp_fast_tc() could not say: its reason, or SP_R_NONE. */
SP_GLOBAL int sp_fast_follow(struct __sk_buff *skb)
{
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	const int reason = sp_fast_track(skb);

	return reason && p ? sp_fast_done(skb, p, reason) : SP_R_NONE;
}

SP_INLINE int sp_tc(struct __sk_buff *skb, sp_u8 hook)
{
	const sp_u8 from = hook == SP_HOOK_EGRESS ? sp_came_from(skb) : SP_ZONE_NONE;
	const int answer = sp_is_answer(skb); /* once: it takes the mark away */
	struct sp_glance *g = sp_look(skb->ifindex);
	struct sp_pkt *p;
	sp_u32 bytes;
	int reason;

	/* UNSPEC: let the filters that others installed have their say */
	if (!g)
		return TC_ACT_UNSPEC;
	bytes = from && !answer ? sp_fast_leaves(skb, g, from) : 0;
	if (bytes) {
		sp_count_as(SP_R_FORWARDED, sp_segs(skb), bytes);
		return TC_ACT_UNSPEC;
	}
	reason = answer ? SP_R_NONE : sp_fast_tc(skb, hook, from);
	if (reason == SP_FAST_TRACK)
		reason = sp_fast_follow(skb);
	if (reason > 0)
		return reason == SP_R_TRUNCATED ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	p = sp_door(skb->ifindex, hook);
	if (!p)
		return TC_ACT_UNSPEC;
	p->frame_len = skb->len;
	p->segs = sp_segs(skb);
	if (answer) {
		sp_count(SP_R_OWN_ERROR, p);
		return TC_ACT_UNSPEC;
	}
	if (from) {
		p->forwarded = 1;
		p->zone = from;
	}
	reason = (int)sp_serve(skb, p);
	return sp_reason_drops((sp_u32)reason) ? sp_refuse_tc(skb, p, (sp_u32)reason) : TC_ACT_UNSPEC;
}

SEC("tc")
int sp_tc_in(struct __sk_buff *skb)
{
	return sp_tc(skb, SP_HOOK_INGRESS);
}

SEC("tc")
int sp_tc_out(struct __sk_buff *skb)
{
	return sp_tc(skb, SP_HOOK_EGRESS);
}

/* At ingress of interfaces that are judged at XDP: answers what that refuses with an error. */
SEC("tc")
int sp_tc_reject(struct __sk_buff *skb)
{
	return sp_is_answer(skb) ? TC_ACT_UNSPEC : sp_refuse_noted(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
