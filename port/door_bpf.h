/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The door: what a program knows of a packet before it looks into it, and what it does with the verdict: counts, tells.
 *
 * Part of port_bpf.h, which includes it.
 */
#ifndef SP_PORT_DOOR_BPF_H
#define SP_PORT_DOOR_BPF_H

#include "glance_bpf.h"

/* Takes one from the events of this tick; two sorts, so that a flood of drops does not hide what passes. */
SP_INLINE int sp_event_allowed(struct sp_state *s, sp_u64 now_ns, int drop)
{
	sp_u64 *slot = &s->event_tick[drop ? 0 : 1];
	const sp_u64 tick = (now_ns >> SP_TICK_SHIFT) << 32, old = SP_READ(*slot);
	const sp_u64 used = (old >> 32) == (tick >> 32) ? (old & 0xffffffff) : 0;

	if (used >= SP_EVENTS_PER_TICK)
		return 0;
	/* two CPUs may count as one: a few events more */
	SP_WRITE(*slot, tick | (used + 1));
	return 1;
}

SP_INLINE void sp_tell_in(void *ring, sp_u64 *lost, const struct sp_pkt *p, sp_u32 reason, sp_u8 logged)
{
	struct sp_event *e = bpf_ringbuf_reserve(ring, sizeof(*e), 0);

	if (!e) {
		__sync_fetch_and_add(lost, 1);
		return;
	}
	e->time_ns = p->now_ns;
	e->src = p->src;
	e->dst = p->dst;
	e->sport = p->sport;
	e->dport = p->dport;
	e->ifindex = p->ifindex;
	e->len = p->len;
	e->flow = p->flow;
	e->kind = p->event;
	e->reason = (sp_u8)reason;
	e->family = p->family;
	e->proto = p->proto;
	e->zone = p->zone;
	e->hook = p->hook;
	e->tcp_flags = p->tcp_flags;
	e->icmp_type = p->icmp_type;
	e->icmp_code = p->icmp_code;
	e->logged = logged;
	e->line = p->line;
	e->generation = p->generation;
	bpf_ringbuf_submit(e, 0);
}

/* Does anybody watch? Else only the log may want to be told. */
SP_INLINE int sp_is_watched(sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();

	return c && now_ns <= SP_READ(c->watch_until_ns);
}

/* Tells those who watch, and the log, if the line that decided wants it. */
SP_GLOBAL int sp_tell(struct sp_pkt *p, sp_u32 reason)
{
	struct sp_budgets *b = SP_LOOKUP(sp_budget, 0);
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	sp_u8 logged;

	if (!p || !b || !c || !s)
		return 0;
	logged = (sp_u8)sp_is_logged(p, reason);
	if (p->now_ns <= SP_READ(c->watch_until_ns)) {
		if (sp_event_allowed(s, p->now_ns, p->event == SP_EVENT_DROP))
			sp_tell_in(&sp_events, &s->events_lost, p, reason, logged);
		else
			__sync_fetch_and_add(&s->events_lost, 1);
	}
	if (logged) {
		if (sp_budget_take(&b->log_due_ns, p->now_ns, SP_LOG_EVERY_NS, SP_LOG_BURST))
			sp_tell_in(&sp_logs, &b->logs_lost, p, reason, logged);
		else
			__sync_fetch_and_add(&b->logs_lost, 1);
	}
	return 1;
}

SP_INLINE void sp_count_as(sp_u32 reason, sp_u32 packets, sp_u32 bytes)
{
	struct sp_counter *n = SP_LOOKUP(sp_counters, reason);

	if (n) {
		n->packets += packets;
		n->bytes += bytes;
	}
}

SP_INLINE void sp_count(sp_u32 reason, const struct sp_pkt *p)
{
	sp_count_as(reason, p->segs, p->len ? p->len : p->frame_len);
}

/* Fills in the door fields of this CPU's packet. NULL when the interface is not guarded. */
SP_INLINE struct sp_pkt *sp_door(sp_u32 ifindex, sp_u8 hook)
{
	struct sp_config *c = sp_config_get();
	struct sp_pkt *p = SP_LOOKUP(sp_packet, 0);
	struct sp_glance *g = sp_look(ifindex);

	if (!c || !p || !g)
		return NULL;
	__builtin_memset(p, 0, sizeof(*p));
	p->config_flags = (sp_u8)c->flags;
	p->ifindex = ifindex;
	p->hook = hook;
	p->now_ns = sp_test_mode ? g->now_ns : bpf_ktime_get_boot_ns();
	p->zone = g->zone;
	p->bare_ip = g->bare_ip;
	p->virtual = g->virtual;
	p->express = g->express;
	if (hook == SP_HOOK_EGRESS) {
		p->zone_out = p->zone;
		p->zone = SP_ZONE_SELF;
	}
	return p;
}

/* Judges, counts, tells. Returns the reason, which says whether the packet may pass. */
SP_INLINE sp_u32 sp_serve(sp_dev *dev, struct sp_pkt *p)
{
	const sp_u32 reason = (sp_u32)sp_process(dev, p);

	sp_count(reason, p);
	if (p->event)
		sp_tell(p, reason);
	return reason;
}

#endif
