/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that come in and leave again, at once: what the first hook has read and found, the second one need not seek. It
 * takes the short way where the first one did; whatever is not so takes the pipeline, as in a call of its own. Include
 * port_host.h first.
 */
#ifndef SP_HOST_THROUGH_H
#define SP_HOST_THROUGH_H

#include "stages.h"

/* Packet p as it meets the second hook. */
static inline struct sp_engine_packet sp_leaving(const struct sp_engine_packet *in, const struct sp_engine_way *way,
						 const void *data)
{
	struct sp_engine_packet out = *in;

	out.data = data;
	out.ifindex = way->ifindex;
	out.zone_from = in->zone;
	out.zone = way->zone;
	out.hook = SP_HOOK_EGRESS;
	out.forwarded = 1;
	out.out = way->out;
	return out;
}

/* Does the conversation say how p, which was plain at the first hook, leaves? Then p says so, too. Changes nothing else. */
static inline int sp_plain_source(struct sp_pkt *p, sp_u8 zone_out)
{
	struct sp_flow *f = sp_flow_at(p->flow - 1);
	int known;

	if (p->zone == SP_ZONE_NONE || p->zone == SP_ZONE_OUTSIDE)
		return 0;
	/* sp_judge_forwarded(): somebody else translates */
	if (zone_out == SP_ZONE_OUTSIDE && sp_nat_slot_of(p->src.w32[0]))
		return 0;
	if (!f || !sp_lock_try_once(&f->lock))
		return 0;
	p->nat = SP_NAT_UNTOUCHED;
	known = sp_flow_is(f, &p->key) && sp_fast_source(f, p, zone_out, sp_source_read(f));
	if (known)
		sp_fast_used(f, p);
	sp_unlock(&f->lock, SP_READ(f->lock) + (known ? 1 : -1u));
	return known;
}

/* The second hook for d, which took the short way through the first one. 0: nothing has changed, the pipeline has to. */
static inline int sp_plain_leave(struct sp_door *d, const struct sp_engine_packet *out, struct sp_counter *counters,
				 struct sp_engine_result *left)
{
	struct sp_pkt *p = &d->p;

	if (!sp_plain_source(p, out->zone))
		return 0;
	if (p->nat && sp_fast_doubts((sp_u8 *)out->data, (sp_u8 *)out->data + out->len, p))
		return 0;
	if (p->nat && out->out)
		sp_plain_write(d, out);
	sp_plain_close(d, out, SP_R_FORWARDED, counters, left);
	return 1;
}

/* Forwarded, and nothing is translated: it passes unread. */
static inline void sp_pass_unread(const struct sp_engine_packet *out, struct sp_counter *counters,
				  struct sp_engine_result *left)
{
	counters[SP_R_FORWARDED].packets += out->gso_segs ? out->gso_segs : 1;
	counters[SP_R_FORWARDED].bytes += out->len;
	*left = (struct sp_engine_result){ .verdict = SP_PASS, .reason = SP_R_FORWARDED };
	left->rewritten = out->out && out->data == out->out;
}

static inline void sp_through(struct sp_door *d, struct sp_engine *e, const struct sp_engine_through *t, sp_u32 i,
			      struct sp_counter *counters)
{
	const struct sp_engine_packet *in = &t->in[i];
	struct sp_engine_result *came = &t->came[i];
	struct sp_engine_way *way = &t->way[i];
	struct sp_engine_packet out;
	const void *data;

	sp_decide_one(d, e, in, counters, came);
	data = came->rewritten ? in->out : in->data;
	if (came->verdict == SP_PASS && t->route)
		t->route(t->arg, in, data, way);
	if (came->verdict != SP_PASS || way->zone == SP_ZONE_NONE) {
		t->left[i] = *came;
		return;
	}
	out = sp_leaving(in, way, data);
	if (sp_passes_unread(&out)) {
		sp_pass_unread(&out, counters, &t->left[i]);
		return;
	}
	if (d->read == SP_DOOR_PLAIN && sp_plain_leave(d, &out, counters, &t->left[i]))
		return;
	sp_door_open(d, e, &out);
	sp_door_close(d, e, &out, sp_process(&d->dev, &d->p), counters, &t->left[i]);
}

#endif
