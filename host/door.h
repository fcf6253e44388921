/* SPDX-License-Identifier: BSD-2-Clause */
/* How a packet enters the native engine and leaves it, alone or in a batch. Include port_host.h first. */
#ifndef SP_HOST_DOOR_H
#define SP_HOST_DOOR_H

#include "engine.h"

/* A packet on its way through. */
struct sp_door {
	struct sp_host_dev dev;
	struct sp_pkt p;
	/* batches */
	enum { SP_DOOR_UNREAD, SP_DOOR_PLAIN, SP_DOOR_READ } read;
	int reason; /* of sp_read_packet() */
};

static inline void sp_door_tell(struct sp_engine *e, const struct sp_pkt *p, int reason)
{
	struct sp_event ev = {};

	ev.time_ns = p->now_ns;
	ev.src = p->src;
	ev.dst = p->dst;
	ev.sport = p->sport;
	ev.dport = p->dport;
	ev.ifindex = p->ifindex;
	ev.len = p->len;
	ev.flow = p->flow;
	ev.kind = p->event;
	ev.reason = (sp_u8)reason;
	ev.family = p->family;
	ev.proto = p->proto;
	ev.zone = p->zone;
	ev.hook = p->hook;
	ev.tcp_flags = p->tcp_flags;
	ev.icmp_type = p->icmp_type;
	ev.icmp_code = p->icmp_code;
	ev.line = p->line;
	ev.generation = p->generation;
	e->event(e->event_arg, &ev);
}

/* As the kernel says of a packet that it forwards. */
static inline int sp_door_is_ip6(const struct sp_engine_packet *in)
{
	const sp_u8 *b = in->data;

	return in->bare_ip ? in->len && b[0] >> 4 == 6 : in->len >= 14 && b[12] == 0x86 && b[13] == 0xdd;
}

static inline void sp_door_open(struct sp_door *d, struct sp_engine *e, const struct sp_engine_packet *in)
{
	struct sp_pkt *p = &d->p;

	memset(d, 0, sizeof(*d));
	d->dev.data = in->data;
	d->dev.out = in->out;
	d->dev.len = in->len;
	p->now_ns = in->now_ns;
	p->ifindex = in->ifindex;
	p->frame_len = in->len;
	p->segs = in->gso_segs ? in->gso_segs : 1;
	p->hook = in->hook;
	p->zone = in->hook == SP_HOOK_EGRESS ? SP_ZONE_SELF : in->zone;
	p->bare_ip = in->bare_ip;
	p->config_flags = (sp_u8)e->t.config->flags;
	if (in->hook == SP_HOOK_EGRESS && in->forwarded) {
		p->forwarded = 1;
		p->zone_out = in->zone;
		p->zone = in->zone_from ? in->zone_from : SP_ZONE_INSIDE;
	}
}

/* Forwarded, on a machine that does not translate it: it was judged where it came in. */
static inline int sp_passes_unread(const struct sp_engine_packet *in)
{
	return in->hook == SP_HOOK_EGRESS && in->forwarded &&
	       (sp_door_is_ip6(in) || !sp_nat_get() ||
		(in->zone_from == SP_ZONE_OUTSIDE && in->zone != SP_ZONE_OUTSIDE && !sp_others_translate(in->now_ns)));
}

static inline void sp_door_close(struct sp_door *d, struct sp_engine *e, const struct sp_engine_packet *in, int reason,
				 struct sp_counter *counters, struct sp_engine_result *out)
{
	struct sp_pkt *p = &d->p;

	counters[reason].packets += p->segs;
	counters[reason].bytes += p->len ? p->len : in->len;
	if (e->event && p->event)
		sp_door_tell(e, p, reason);
	out->verdict = sp_reason_drops((sp_u32)reason) ? SP_DROP : SP_PASS;
	out->reason = (sp_u8)reason;
	out->event = p->event;
	out->dir = p->dir;
	out->flow = p->flow;
	out->rewritten = in->out && d->dev.data == in->out;
}

#endif
