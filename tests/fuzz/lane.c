/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second engine of the pipeline's fuzzer: each packet as the kernel's programs take it, by the fast path (core/fast.h)
 * first, and what forwards by the express lane, both hooks at once. What that does not take has changed nothing, and goes
 * through the pipeline. Every step must be as without.
 */
#include <string.h>

#include "world.h"

/* What is remembered of a conversation's translation, as beside the next hops in the kernel. */
static sp_u64 notes[TABLE_CAPACITY];

struct sp_pkt;
static void placed(sp_u32 i, const struct sp_pkt *p);
#define sp_flow_placed(i, p) placed(i, p)
#include "../../port/port_host.h"

#include "../../core/fast.h"
#include "../../host/door.h"

/* A way that is being filled is FREE: who still takes it for another conversation's touches nothing (core/table.h). */
static void placed(sp_u32 i, const struct sp_pkt *p)
{
	notes[i] = 0;
	HOLDS(!p || sp_flow_at(i)->phase == SP_PHASE_FREE, "entry %u is in phase %u", i, sp_flow_at(i)->phase);
}

void lane_begin(void)
{
	memset(notes, 0, sizeof(notes));
}

/* Where does it leave, by the lane? SP_ZONE_NONE: it has no need to, or may not. */
static sp_u8 way_out(const struct world *w, const struct sp_flow *f, const struct sp_pkt *p)
{
	sp_u8 zone, dst[16] = { 0 };

	/* not all of them: it may know no next hop at this moment */
	if (!w->gateway || !(w->n_left & 3) || sp_others_translate(p->now_ns) || p->hook != SP_HOOK_INGRESS ||
	    f->zone_to == SP_ZONE_SELF || f->zone_from == SP_ZONE_SELF)
		return SP_ZONE_NONE;
	memcpy(dst, p->dst.b, p->family == SP_IPV4 ? 4 : 16);
	zone = world_zone(dst, p->family == SP_IPV4 ? 4 : 6);
	return zone == SP_ZONE_SELF || p->hop_limit < 2 ? SP_ZONE_NONE : zone;
}

/*
 * As sp_fast_in() at XDP, on a gateway, and sp_fast_tc() at TC. The reason for which it passes, or SP_R_NONE; *zone: it has
 * left, to there.
 */
static int fast(struct world *w, struct frame *f, struct sp_pkt *p, sp_u8 *zone)
{
	struct sp_config *c = w->lane->t.config;
	struct sp_state *s = w->lane->t.state;
	sp_u8 *end = f->b + f->len;
	int reason = SP_R_NONE;
	struct sp_flow *flow;
	sp_u64 *note;

	p->now_ns = w->now_ns;
	p->segs = 1;
	p->generation = sp_generation(c, p->now_ns);
	if (!sp_fast_read(f->b, end, f->len, p))
		return SP_R_NONE;
	flow = sp_fast_find(c, s, p, p->now_ns >> 10 & 1, p->now_ns >> 11 & 1);
	if (!flow || (p->nat && !w->gateway))
		return SP_R_NONE;
	*zone = way_out(w, flow, p);
	if ((*zone || p->nat) && sp_fast_doubts(f->b, end, p))
		return SP_R_NONE;
	if (!sp_lock_try_once(&flow->lock))
		return SP_R_NONE;
	note = &notes[p->flow - 1];
	if (sp_fast_fits(c, s, flow, p, *zone ? *note : 0) && (!*zone || sp_fast_source(flow, p, *zone, *note)))
		reason = sp_fast_record(flow, p);
	if (reason && p->nat == SP_NAT_SRC && (sp_u8)*note != sp_source_told(p->now_ns))
		*note = sp_source_tell(p);
	sp_flow_unlock(flow);
	if (reason)
		sp_fast_write(f->b, end, p, *zone != SP_ZONE_NONE);
	return reason;
}

/* One router further. */
static void hop(struct frame *f)
{
	struct sp_ip4 ip;

	if (f->b[14] >> 4 == 6) {
		f->b[14 + 7]--;
		return;
	}
	memcpy(&ip, f->b + 14, sizeof(ip));
	ip.ttl--;
	ip.check.raw = 0;
	ip.check.raw = (sp_u16)~sp_ip4_sum(&ip);
	memcpy(f->b + 14, &ip, sizeof(ip));
}

static void count(struct world *w, int reason, const struct sp_pkt *p)
{
	w->lane->counters[reason].packets++;
	w->lane->counters[reason].bytes += p->len;
}

/* Does the fast path take it, doing the same? 1: all the way; -1: but for the second hook. */
static int took(struct world *w, const struct passage *p, sp_u8 zone, sp_u8 hook)
{
	static struct frame f, alone;
	struct sp_pkt k = { .zone = zone, .hook = hook };
	sp_u8 left = SP_ZONE_NONE;
	int reason;

	f = p->in;
	reason = fast(w, &f, &k, &left);
	if (!reason) {
		HOLDS(!memcmp(f.b, p->in.b, f.len), "the fast path left it, and changed it");
		return 0;
	}
	count(w, reason, &k);
	HOLDS(p->r[0].reason == reason, "%s, by the fast path %s", sp_reason_name(p->r[0].reason),
	      sp_reason_name((sp_u32)reason));
	alone = p->out;
	if (left) {
		/* the lane counts under a reason of its own */
		w->lane->counters[SP_R_FORWARDED] = w->e->counters[SP_R_FORWARDED];
		HOLDS(p->forwarded && p->to == left && p->r[1].reason == SP_R_FORWARDED, "%s, %s to %u; on the lane to %u",
		      sp_reason_name(p->r[0].reason), sp_reason_name(p->r[1].reason), p->to, left);
		hop(&alone);
	} else if (p->from != SP_ZONE_SELF) {
		alone = p->middle;
	}
	HOLDS(!memcmp(f.b, alone.b, f.len), "%s: the fast path makes other bytes of it", sp_reason_name((sp_u32)reason));
	return left || !p->forwarded ? 1 : -1;
}

static void meet(struct world *w, const struct frame *in, const struct frame *then, sp_u8 zone, sp_u8 hook, sp_u8 from,
		 const struct sp_engine_result *r)
{
	static struct frame out;
	struct sp_engine_packet p = { .data = in->b, .len = in->len, .now_ns = w->now_ns, .zone = zone, .hook = hook,
				      .out = out.b, .forwarded = from != SP_ZONE_NONE, .zone_from = from };
	struct sp_engine_result s;
	struct sp_door d;
	int reason;

	/* as sp_engine_packet(), with the notes */
	sp_door_open(&d, w->lane, &p);
	reason = sp_passes_unread(&p) ? SP_R_FORWARDED : sp_process(&d.dev, &d.p);
	sp_door_close(&d, w->lane, &p, reason, w->lane->counters, &s);
	HOLDS(s.verdict == r->verdict && s.reason == r->reason && s.event == r->event, "%s, after the fast path %s",
	      sp_reason_name(r->reason), sp_reason_name(s.reason));
	HOLDS(r->verdict == SP_DROP || (s.rewritten == r->rewritten && (!s.rewritten || !memcmp(out.b, then->b, in->len))),
	      "%s: other bytes after the fast path", sp_reason_name(r->reason));
}

void lane_pass(struct world *w, const struct passage *p)
{
	const int own = p->from == SP_ZONE_SELF;
	const sp_u8 hook = own ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	int done;

	sp_host = w->lane;
	done = took(w, p, p->from, hook);
	if (!done)
		meet(w, &p->in, own ? &p->out : &p->middle, own ? p->to : p->from, hook, SP_ZONE_NONE, &p->r[0]);
	if (done != 1 && p->forwarded)
		meet(w, &p->middle, &p->out, p->to, SP_HOOK_EGRESS, p->from, &p->r[1]);
}
