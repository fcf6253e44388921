/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that come in and leave again, one after the other through both hooks. Include port_host.h first. */
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
	sp_door_open(d, e, &out);
	sp_door_close(d, e, &out, sp_process(&d->dev, &d->p), counters, &t->left[i]);
}

#endif
