/* SPDX-License-Identifier: BSD-2-Clause */
/* A capture through the firewall, packet by packet, with the conversations counted as they come. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

/* The engine's clock at the first packet. Not 0: "never" must lie far in the past. */
#define REPLAY_START_NS (86400 * SP_NS_PER_S)

int sp_replay_init(struct sp_replay *r, sp_u32 capacity, sp_u32 flags)
{
	static const sp_u64 secret[2] = { 0x73616c6c79706f72, 0x742e7265706c6179 };

	memset(r, 0, sizeof(*r));
	r->engine = sp_engine_new(capacity, flags, secret);
	if (!r->engine)
		return -ENOMEM;
	r->number = calloc(r->engine->t.config->capacity, sizeof(*r->number));
	if (!r->number) {
		sp_replay_fini(r);
		return -ENOMEM;
	}
	return 0;
}

void sp_replay_fini(struct sp_replay *r)
{
	free(r->number);
	free(r->flows);
	if (r->engine)
		sp_engine_free(r->engine);
	memset(r, 0, sizeof(*r));
}

static int flow_begin(struct sp_replay *r, sp_u32 entry, const struct sp_captured *p, sp_u8 zone)
{
	struct sp_replay_flow *f;

	if (r->count == r->room) {
		sp_u32 room = r->room ? r->room * 2 : 64;

		f = realloc(r->flows, room * sizeof(*f));
		if (!f)
			return -ENOMEM;
		r->flows = f;
		r->room = room;
	}
	f = &r->flows[r->count++];
	*f = (struct sp_replay_flow){ .first_ns = p->time_ns, .src = p->g.src, .dst = p->g.dst, .sport = p->g.sport,
				      .dport = p->g.dport, .family = p->g.family, .proto = p->g.proto,
				      .zone_from = zone };
	r->number[entry] = r->count;
	return 0;
}

static int flow_count(struct sp_replay *r, const struct sp_captured *p, struct sp_replay_line *out)
{
	sp_u32 entry = out->result.flow - 1;
	const struct sp_flow *e = &r->engine->t.flows[entry];
	struct sp_replay_flow *f;
	int answer;

	if (out->result.event == SP_EVENT_NEW || !r->number[entry])
		if (flow_begin(r, entry, p, out->zone))
			return -ENOMEM;
	out->conversation = r->number[entry];
	out->phase = e->phase;
	f = &r->flows[out->conversation - 1];
	f->phase = e->phase;
	f->last_ns = p->time_ns;
	if (out->result.verdict != SP_PASS) {
		f->stopped++;
		return 0;
	}
	answer = out->result.dir != (e->flags & SP_FLOW_FROM_1 ? 1 : 0);
	f->packets[answer]++;
	f->bytes[answer] += p->g.ip_len;
	return 0;
}

int sp_replay_packet(struct sp_replay *r, const struct sp_captured *p, struct sp_replay_line *out)
{
	struct sp_engine_packet in = { .data = p->data, .len = p->len, .ifindex = 1, .bare_ip = p->bare_ip };

	memset(out, 0, sizeof(*out));
	if (r->packets++ == 0)
		r->first_ns = p->time_ns;
	in.now_ns = p->time_ns - r->first_ns + REPLAY_START_NS;
	sp_sides_judge(&r->sides, &p->g, &in.zone, &in.hook);
	out->hook = in.hook;
	out->zone = in.hook == SP_HOOK_EGRESS ? SP_ZONE_SELF : in.zone;
	sp_engine_packet(r->engine, &in, NULL, &out->result);
	r->passed += out->result.verdict == SP_PASS;
	return out->result.flow ? flow_count(r, p, out) : 0;
}
