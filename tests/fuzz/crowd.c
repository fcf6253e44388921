/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A third engine of the pipeline's fuzzer: packets wait until there is a crowd of them, and go through both hooks at once
 * (sp_engine_forward()), by the fast path where that takes them. Each must fare as it did alone.
 */
#include <string.h>

#include "world.h"

#define CROWD 32 /* at most; as many as the engine takes together */

struct waiting {
	struct frame in, middle, out; /* as it came, and what one packet at a time made of it */
	sp_u64 now_ns;
	sp_u8 zone, hook;
	int forwarded;
	struct sp_engine_result came, left;
};

static struct waiting crowd[CROWD];
static sp_u32 waiting, enough;

void crowd_begin(sp_u32 size)
{
	waiting = 0;
	enough = size < CROWD ? size : CROWD;
}

void crowd_wait(struct world *w, const struct passage *p)
{
	struct waiting *x = &crowd[waiting++];

	x->in = p->in;
	x->middle = p->from == SP_ZONE_SELF ? p->out : p->middle;
	x->out = p->out;
	x->now_ns = w->now_ns;
	x->hook = p->from == SP_ZONE_SELF ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	x->zone = p->from == SP_ZONE_SELF ? p->to : p->from;
	x->forwarded = p->forwarded;
	x->came = p->r[0];
	x->left = p->forwarded ? p->r[1] : p->r[0];
	if (waiting == enough)
		crowd_go(w);
}

/* Where to? What the machine itself sends has been at its only hook. */
static void route(void *arg, const struct sp_engine_packet *in, const void *data, struct sp_engine_way *way)
{
	const struct world *w = arg;
	struct look l;

	way->zone = SP_ZONE_NONE;
	if (in->hook != SP_HOOK_INGRESS || !w->gateway || !look_at(&l, data, in->len))
		return;
	way->zone = world_zone(l.e.dst, l.e.family);
	if (way->zone == SP_ZONE_SELF)
		way->zone = SP_ZONE_NONE;
}

/* alone: one packet at a time; those bytes are what it became then. */
static void compare(const struct sp_engine_result *alone, const struct sp_engine_result *r, const sp_u8 *bytes,
		    const struct frame *then)
{
	HOLDS(r->verdict == alone->verdict && r->reason == alone->reason && r->event == alone->event, "%s, in a crowd %s",
	      sp_reason_name(alone->reason), sp_reason_name(r->reason));
	HOLDS(alone->verdict == SP_DROP ||
		      (r->rewritten == alone->rewritten && (!r->rewritten || !memcmp(bytes, then->b, then->len))),
	      "%s: a crowd makes other bytes of it", sp_reason_name(alone->reason));
}

void crowd_go(struct world *w)
{
	static sp_u8 bytes[2][CROWD][WIRE_MAX];
	struct sp_engine_packet in[CROWD];
	struct sp_engine_result came[CROWD], left[CROWD];
	struct sp_engine_way way[CROWD];
	const struct sp_engine_through t = { .in = in, .way = way, .came = came, .left = left, .route = route, .arg = w };

	for (sp_u32 i = 0; i < waiting; i++) {
		const struct waiting *x = &crowd[i];

		in[i] = (struct sp_engine_packet){ .data = x->in.b, .len = x->in.len, .now_ns = x->now_ns, .zone = x->zone,
						   .hook = x->hook, .out = bytes[0][i] };
		way[i] = (struct sp_engine_way){ .out = bytes[1][i] };
	}
	sp_engine_forward(w->crowd, &t, waiting, w->crowd->counters);
	for (sp_u32 i = 0; i < waiting; i++) {
		const struct waiting *x = &crowd[i];

		compare(&x->came, &came[i], bytes[0][i], &x->middle);
		compare(&x->left, &left[i], bytes[x->forwarded][i], &x->out);
	}
	waiting = 0;
}
