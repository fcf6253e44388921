// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* TC ingress and egress: attach, call the core, translate the verdict. */
#define SP_TC
#include "../port/port_bpf.h"

#include <bpf/bpf_endian.h>
#include <linux/pkt_cls.h>

/* Zone of the guarded interface where a packet that leaves came in; SP_ZONE_NONE: this machine sends it. */
SP_INLINE sp_u8 sp_came_from(struct __sk_buff *skb)
{
	const sp_u32 from = skb->ingress_ifindex;

	if (sp_test_mode) {
		struct sp_test *t = SP_LOOKUP(sp_test, 0);

		return !t || !t->forwarded ? SP_ZONE_NONE : t->zone_from ? t->zone_from : SP_ZONE_INSIDE;
	}
	return from ? (sp_u8)sp_zone_of(from) : SP_ZONE_NONE;
}

/*
 * A forwarded packet of conversation f, which is not translated: does it keep its source (sp_judge_forwarded())? `from`:
 * zone where it came in.
 */
SP_INLINE int sp_fast_keeps(struct sp_flow *f, const struct sp_pkt *p, sp_u8 from)
{
	const sp_u32 flags = SP_READ(f->flags);
	const int from_initiator = ((flags & SP_FLOW_FROM_1) != 0) == p->dir;

	return (flags & (SP_FLOW_TRANSLATED | SP_FLOW_ANSWERED)) == SP_FLOW_ANSWERED && from != SP_ZONE_OUTSIDE &&
	       (!from_initiator || SP_READ(f->zone_to) == p->zone_out) && !sp_nat_slot_of(p->src.w32[0]);
}

/* The fast path (core/fast.h). The reason for which it passes; SP_R_NONE: the whole pipeline has to look. */
SP_GLOBAL int sp_fast_tc(struct __sk_buff *skb, sp_u32 hook, sp_u32 from)
{
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_glance *g = sp_look(skb->ifindex);
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	int reason = SP_R_NONE;
	struct sp_flow *f;

	if (!p || !g || !c || !s)
		return SP_R_NONE;
	/* it was judged where it came in; what came from the outside needs no other source */
	if (from && (skb->protocol == bpf_htons(0x86dd) || !sp_nat_get() ||
		     (from == SP_ZONE_OUTSIDE && g->zone != SP_ZONE_OUTSIDE && !sp_others_translate(g->now_ns)))) {
		sp_count_as(SP_R_FORWARDED, skb->gso_segs ? skb->gso_segs : 1, skb->len);
		return SP_R_FORWARDED;
	}
	if (g->bare_ip)
		return SP_R_NONE;
	p->now_ns = g->now_ns;
	p->hook = (sp_u8)hook;
	p->zone = hook == SP_HOOK_EGRESS ? SP_ZONE_SELF : g->zone;
	p->zone_out = g->zone;
	p->generation = g->generation;
	p->segs = skb->gso_segs ? skb->gso_segs : 1;
	if (!sp_fast_open(skb, p, skb->len))
		return SP_R_NONE;
	f = sp_fast_find(c, s, p);
	if (!f || p->nat)
		return SP_R_NONE;
	if (from) {
		reason = sp_fast_keeps(f, p, (sp_u8)from) ? SP_R_FORWARDED : SP_R_NONE;
	} else if (sp_lock_try_once(&f->lock)) {
		reason = sp_fast_fits(c, s, f, p) && sp_fast_came(f, p, 0) ? sp_fast_record(f, p) : SP_R_NONE;
		sp_flow_unlock(f);
	}
	if (reason)
		sp_count((sp_u32)reason, p);
	return reason;
}

SP_INLINE int sp_tc(struct __sk_buff *skb, sp_u8 hook)
{
	const sp_u8 from = hook == SP_HOOK_EGRESS ? sp_came_from(skb) : SP_ZONE_NONE;
	const int answer = sp_is_answer(skb); /* once: it takes the mark away */
	struct sp_pkt *p;
	sp_u32 reason;

	/* UNSPEC: let the filters that others installed have their say */
	if (!answer && sp_fast_tc(skb, hook, from))
		return TC_ACT_UNSPEC;
	p = sp_door(skb->ifindex, hook);
	if (!p)
		return TC_ACT_UNSPEC;
	p->frame_len = skb->len;
	p->segs = skb->gso_segs ? skb->gso_segs : 1;
	if (answer) {
		sp_count(SP_R_OWN_ERROR, p);
		return TC_ACT_UNSPEC;
	}
	if (from) {
		p->forwarded = 1;
		p->zone = from;
	}
	reason = sp_serve(skb, p);
	return sp_reason_drops(reason) ? sp_refuse_tc(skb, p, reason) : TC_ACT_UNSPEC;
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
