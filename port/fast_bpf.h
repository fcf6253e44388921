/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the fast paths of TC and XDP share: packets that change more of a conversation than windows and counts. Decision
 * record: docs/decisions/0030-fast-path-at-tc.md.
 */
#ifndef SP_PORT_FAST_BPF_H
#define SP_PORT_FAST_BPF_H

#include "port_bpf.h"

#define SP_FAST_TRACK (-3) /* sp_fast_track() has to look */

/* Is p probably found by an alias? What comes to a translating machine from the outside. */
SP_INLINE int sp_fast_by_alias(const struct sp_glance *g, const struct sp_pkt *p)
{
	return p->zone == SP_ZONE_OUTSIDE && p->family == SP_IPV4 && !g->nat_off && sp_nat_get();
}

/* May p change more of conversation f? A hint: no lock is held. */
SP_INLINE int sp_fast_changes(struct sp_flow *f, const struct sp_pkt *p)
{
	if (p->kind != SP_KIND_TCP)
		return !(SP_READ(f->flags) & SP_FLOW_ANSWERED);
	return (p->tcp_flags & (SP_TCP_SYN | SP_TCP_FIN)) || SP_READ(f->ends) != (SP_END_OPEN | SP_END_OPEN << 4);
}

/* As p came in: are its addresses and its checksum right, as far as the pipeline asks? */
SP_GLOBAL int sp_fast_good(sp_dev *dev, struct sp_pkt *p, sp_u32 answered, sp_u32 sums)
{
	struct sp_config *c = sp_config_get();
	sp_u32 real;
	int good;

	if (!p || !c)
		return 0;
	real = p->dst.w32[0];
	if (p->nat)
		p->dst.w32[0] = p->old4;
	p->config_flags = (sp_u8)c->flags;
	p->is_frag = 0;
	good = (answered || !sp_check_addr(p)) && (!sums || sp_checksum_good(dev, p));
	p->dst.w32[0] = real;
	return good;
}

/* The window scale of a SYN or SYN ACK. Negative: it is not all there. */
SP_GLOBAL int sp_fast_wscale(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_options o = {};

	if (!p)
		return -1;
	o.len = p->l4_len - p->payload - 20;
	if (!o.len)
		return SP_WSCALE_NONE;
	return sp_load_some(dev, p->l4_off + 20, o.b, o.len) ? -1 : sp_options_tcp(&o);
}

/*
 * The packet that was read and found may change more than windows and counts: would the pipeline come to the tracker, and
 * that let it pass? Then it has, and this is the reason. SP_R_NONE: nothing has changed.
 */
SP_GLOBAL int sp_fast_track(sp_dev *dev)
{
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_flow *f = p ? sp_flow_at(p->flow - 1) : NULL;
	struct sp_config *c = sp_config_get();
	sp_u32 answered, sums;
	int reason;

	if (!p || !f || !c || SP_READ(f->generation) != p->generation)
		return SP_R_NONE;
	answered = SP_READ(f->flags) & SP_FLOW_ANSWERED;
	/* sp_wants_checksum() */
	sums = (p->tcp_flags & (SP_TCP_SYN | SP_TCP_FIN)) || sp_class_of(SP_READ(f->phase)) == SP_CLASS_UNANSWERED;
	if (p->hook == SP_HOOK_INGRESS && (!answered || sums) && !sp_fast_good(dev, p, answered, sums))
		return SP_R_NONE;
	if (p->tcp_flags & SP_TCP_SYN) {
		reason = sp_fast_wscale(dev, p);
		if (reason < 0)
			return SP_R_NONE;
		p->wscale = (sp_u8)reason;
	}
	p->event = SP_EVENT_NONE;
	p->line = SP_LINE_NONE;
	reason = sp_track(p, 0);
	if (reason < 0 || sp_reason_drops((sp_u32)reason))
		return SP_R_NONE;
	if (p->event && p->now_ns <= SP_READ(c->watch_until_ns)) {
		p->icmp_type = p->icmp_code = 0;
		if (!sp_test_mode)
			p->now_ns = bpf_ktime_get_boot_ns(); /* so that events stand in order */
		sp_tell(p, (sp_u32)reason);
	}
	return reason;
}

#endif
