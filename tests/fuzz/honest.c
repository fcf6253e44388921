/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conversations by the book (RFC 9293, RFC 768), among all that the pipeline's fuzzer does. Whatever strangers send
 * meanwhile, as long as a conversation is live and nobody but its ends has said something that passed as theirs, each
 * of its packets passes, and reaches the other end. Packets may be lost behind the firewall, and are sent again.
 */
#include <string.h>

#include "world.h"

#define PAIRS 4
#define RCV_WINDOW 3000u

struct end {
	sp_u32 first, nxt, una, rcv; /* first: ISN */
	sp_u32 edge; /* the highest that the other end has said it takes */
	sp_u32 offered; /* the highest that this one has said */
	sp_u8 scale, has_syn, knows, fin; /* knows: has got the other's SYN; fin: has sent one */
};

struct pair {
	int open, sure, spoke, answered, tight, alive, bare;
	sp_u8 proto, family, host, from_self;
	struct ends real, wire; /* as the initiator sends it; as the other end sees it */
	sp_u64 last_ns, over_ns; /* last packet; both ends have finished */
	struct end end[2];
};

static struct pair pairs[PAIRS];
static sp_u16 next_port;
static sp_u32 policy; /* in force at the last step: a trial goes back by itself */

void honest_begin(struct world *w)
{
	memset(pairs, 0, sizeof(pairs));
	next_port = 50000;
	policy = 0;
}

void honest_changed(struct world *w, int addresses, int all)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair *h = &pairs[i];

		/* whoever was answered keeps his address, unless that has changed */
		if (all || (addresses && (!h->answered || !h->bare || !h->from_self)))
			h->sure = 0;
	}
}

void honest_saw(struct world *w, const struct passage *p)
{
	const struct frame *f[3] = { &p->in, &p->middle, &p->out };
	struct look l;

	/* an error changes nothing, nor does what the ends settle by themselves */
	if (p->r[0].verdict != SP_PASS || p->r[0].reason == SP_R_RELATED_ERROR || p->r[0].reason == SP_R_CHALLENGE)
		return;
	for (int k = 0; k < 3; k++) {
		if (!look_at(&l, f[k]->b, f[k]->len))
			return;
		for (int i = 0; i < PAIRS; i++) {
			const struct ends back = ends_back(&l.e);
			struct pair *h = &pairs[i];

			/* of others only the first answer counts: it tells where the other end lives */
			if ((h->proto == 6 || !h->answered) && (ends_same(&h->real, &l.e) || ends_same(&h->real, &back) ||
								  ends_same(&h->wire, &l.e) || ends_same(&h->wire, &back)))
				h->sure = 0;
		}
	}
}

/* How long may it be silent and still be there, whatever others do? By the shortest timeouts there are. */
static int must_live(const struct world *w, const struct pair *h)
{
	const sp_u64 idle = w->now_ns - h->last_ns;

	if (h->over_ns)
		return w->now_ns - h->over_ns < 2 * SP_NS_PER_S;
	if (!h->answered)
		return idle < (h->tight ? 2u : 20u) * SP_NS_PER_S;
	if (h->proto == 17)
		return idle < 300 * SP_NS_PER_S;
	return idle < (h->end[0].fin || h->end[1].fin ? 900u : 86400u) * SP_NS_PER_S;
}

/* Has the table been so full that somebody may have had to go? */
static void note_room(const struct world *w)
{
	const struct sp_state *s = w->e->t.state;
	const struct sp_config *c = w->e->t.config;

	for (int i = 0; i < PAIRS; i++)
		pairs[i].tight |= s->count[0] + 1 >= c->unanswered_max || model_entries(w) + s->count[3] + 2 >= c->capacity;
}

static void frame_of(const struct pair *h, int side, struct wire *p)
{
	const struct ends e = side ? ends_back(&h->wire) : h->real;

	p->family = e.family;
	p->proto = e.proto;
	p->ttl = 64;
	p->win = 1000;
	p->wscale = 99;
	memcpy(p->src, e.src, 16);
	memcpy(p->dst, e.dst, 16);
	p->sport = e.sport;
	p->dport = e.dport;
}

/* Sends it and looks where it arrives. must: it has to pass. */
static int send_it(struct world *w, struct pair *h, int side, struct wire *p, int must)
{
	static struct passage way;
	struct look l;

	way.in.len = wire_build(p, way.in.b);
	way.from = side ? SP_ZONE_OUTSIDE : h->from_self ? SP_ZONE_SELF : SP_ZONE_INSIDE;
	world_pass(w, &way);
	note_room(w);
	HOLDS(!must || way.passed,
	      "%s, %s: by the book, and stopped: proto %u side %d flags %x seq %u ack %u data %u; idle %llu ms, answered %d",
	      sp_reason_name(way.r[0].reason), sp_reason_name(way.r[1].reason), h->proto, side, p->flags, p->seq, p->ack,
	      p->data, (w->now_ns - h->last_ns) / 1000000, h->answered);
	if (!way.passed)
		return 0;
	/* a SYN once more after its answer was lost: the ends settle that, and nothing is refreshed */
	if (way.r[0].reason != SP_R_CHALLENGE)
		h->last_ns = w->now_ns;
	if (!look_at(&l, way.out.b, way.out.len))
		abort();
	if (!side && !h->alive) {
		h->wire = l.e;
		h->bare = ends_same(&h->wire, &h->real);
		h->alive = 1;
	}
	if (side) {
		const struct ends back = ends_back(&h->real);

		HOLDS(!must || ends_same(&l.e, &back), "its answer goes to somebody else");
		h->spoke = 1;
		h->answered |= h->proto != 6;
	} else if (h->sure) {
		HOLDS(ends_same(&l.e, &h->wire), "it is known by another address or port now");
	}
	/* until its third segment a connection is only half open */
	h->answered |= !side && h->spoke && (p->flags & 16);
	return 1;
}

static void open_pair(struct world *w, struct pair *h, sp_u8 how)
{
	struct wire p = { 0 };

	memset(h, 0, sizeof(*h));
	h->family = how & 1 ? 6 : 4;
	h->proto = how & 2 ? 17 : 6;
	h->from_self = !w->gateway || (how & 4);
	h->host = how >> 3 & 3;
	h->real.family = h->family;
	h->real.proto = h->proto;
	world_address(h->from_self ? SP_ZONE_SELF : SP_ZONE_INSIDE, h->from_self ? 0 : h->host, h->family, h->real.src);
	world_address(SP_ZONE_OUTSIDE, how >> 5 & 3, h->family, h->real.dst);
	h->real.sport = next_port++;
	h->real.dport = 80;
	h->wire = h->real;
	frame_of(h, 0, &p);
	for (int i = 0; i < 2; i++) {
		h->end[i].first = i ? 0xfffffff0u : 0x7ffffff0u + how;
		h->end[i].una = h->end[i].nxt = h->end[i].first;
		h->end[i].scale = how & 0x80 ? 99 : (sp_u8)(i ? 2 : 7);
	}
	if (h->proto == 6) {
		p.flags = 2;
		p.seq = h->end[0].first;
		p.wscale = h->end[0].scale;
		h->end[0].nxt++;
		h->end[0].offered = p.win;
	}
	h->open = send_it(w, h, 0, &p, 0);
	h->sure = h->open;
	h->end[0].has_syn = 1;
}

static sp_u32 shift_of(const struct pair *h, int side)
{
	return h->end[0].scale < 16 && h->end[1].scale < 16 ? h->end[side].scale : 0;
}

/* The window that this end offers now: never less than it has already (RFC 9293 3.8.6: not to be shrunk). */
static sp_u16 window_of(struct pair *h, int side, sp_u8 how)
{
	struct end *e = &h->end[side];
	const sp_u32 shift = shift_of(h, side), rest = e->offered - e->rcv;
	sp_u32 win = (how & 0x20 ? RCV_WINDOW << (how >> 6) : 0) >> shift;

	if ((sp_s32)rest > 0 && win < (rest + (1u << shift) - 1) >> shift)
		win = (rest + (1u << shift) - 1) >> shift;
	if (win > 0xffff)
		win = 0xffff;
	if ((sp_s32)(e->rcv + (win << shift) - e->offered) > 0)
		e->offered = e->rcv + (win << shift);
	return (sp_u16)win;
}

/* The other end gets it. */
static void arrive(struct pair *h, int side, const struct wire *p)
{
	struct end *to = &h->end[!side];
	const sp_u32 len = p->data + (p->flags & 1) + !!(p->flags & 2);

	if ((p->flags & 2) && !to->knows) {
		to->knows = 1;
		to->rcv = p->seq + 1;
	} else if (to->knows && (sp_s32)(p->seq - to->rcv) <= 0 && (sp_s32)(p->seq + len - to->rcv) > 0) {
		to->rcv = p->seq + len;
	}
	if ((p->flags & 16) && (sp_s32)(p->ack - to->una) > 0)
		to->una = p->ack;
}

static void note_offer(struct pair *h, int side, const struct wire *p)
{
	const sp_u32 edge = p->ack + ((sp_u32)p->win << (p->flags & 2 ? 0 : shift_of(h, side)));

	if ((sp_s32)(edge - h->end[!side].edge) > 0 || !h->end[!side].edge)
		h->end[!side].edge = edge;
}

/* What this end says next: one of what it may. 0: nothing. */
static int next_segment(struct pair *h, int side, sp_u8 how, struct wire *p)
{
	struct end *e = &h->end[side];
	const int established = e->has_syn && e->knows && e->una != e->first;

	p->ack = e->rcv;
	p->flags = 16;
	p->seq = e->nxt;
	if (!e->has_syn || (e->una == e->first && e->knows && side)) {
		/* SYN ACK, also once more */
		if (!side || !e->knows)
			return 0;
		p->flags = 18;
		p->seq = e->first;
		p->wscale = e->scale;
		e->nxt = e->first + 1;
		e->has_syn = 1;
		e->offered = e->rcv + p->win;
		return 1;
	}
	if (!e->knows) { /* the initiator's SYN once more */
		p->flags = 2;
		p->seq = e->first;
		p->wscale = e->scale;
		return !side;
	}
	if (!established)
		return 0;
	p->win = window_of(h, side, how);
	switch (how & 7) {
	case 0:
	case 1: /* data that the other end takes */
		p->data = (sp_u16)(how & 8 ? 1000 : 1);
		if (e->fin || (sp_s32)(e->edge - (e->nxt + p->data)) < 0)
			p->data = 0;
		e->nxt += p->data;
		break;
	case 2: /* what was not acknowledged, once more */
		p->seq = e->una;
		if (e->fin || e->nxt == e->una)
			p->seq = e->nxt;
		else
			p->data = (sp_u16)(e->nxt - e->una > 1000 ? 1000 : e->nxt - e->una);
		break;
	case 3: /* are you still there? (RFC 9293 3.8.4) */
		if (e->una == e->nxt && !e->fin)
			p->seq = e->nxt - 1;
		break;
	case 4: /* the end takes its place in the window, too */
		if (e->fin || (sp_s32)(e->edge - (e->nxt + 1)) < 0)
			break;
		p->flags |= 1;
		e->nxt++;
		e->fin = 1;
		break;
	default:
		break;
	}
	return 1;
}

static void tcp_step(struct world *w, struct pair *h, int side, sp_u8 how, int lost)
{
	const int must = h->sure && must_live(w, h);
	struct wire p = { 0 };

	frame_of(h, side, &p);
	if (!next_segment(h, side, how, &p))
		return;
	if (!send_it(w, h, side, &p, must)) {
		h->open = 0;
		return;
	}
	if (h->end[0].fin && h->end[1].fin && !h->over_ns)
		h->over_ns = w->now_ns;
	if (lost)
		return;
	if (p.flags & 16)
		note_offer(h, side, &p);
	arrive(h, side, &p);
}

void honest_step(struct world *w, struct take *in)
{
	const sp_u8 who = take8(in), how = take8(in);
	struct pair *h = &pairs[who & (PAIRS - 1)];
	const int side = who >> 2 & 1;
	struct wire p = { 0 };

	if (policy != world_policy(w)) {
		policy = world_policy(w);
		honest_changed(w, 1, policy_blocks(policy));
	}
	if (!h->open || (who & 0xf0) == 0xf0 || (h->over_ns && !must_live(w, h))) {
		open_pair(w, h, how);
		return;
	}
	if (!must_live(w, h))
		h->sure = 0;
	if (h->proto == 6) {
		tcp_step(w, h, side, how, who >> 3 & 1);
		return;
	}
	frame_of(h, side, &p);
	p.data = how;
	p.no_sum = h->family == 4 && (who & 8);
	if (!send_it(w, h, side, &p, h->sure && must_live(w, h)))
		h->open = 0;
}
