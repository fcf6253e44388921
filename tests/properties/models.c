/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small models, to the end: every segment in every state of a connection; every sequence of so many packets of a
 * small alphabet; every way that two ends can speak by the book in so many steps. What must hold is said here anew,
 * and in tests/fuzz.
 */
#include <string.h>

#include "../fuzz/world.h"
#include "source.h"

static struct world w;
static unsigned long done;

/* ---- the one connection that all is about: John inside, a server outside ------------------------------------ */

struct numbers {
	sp_u32 in, out; /* what each end sends next */
};

static void segment(struct passage *p, int out, sp_u8 flags, sp_u32 seq, sp_u32 ack, sp_u16 data, const sp_u8 known[4])
{
	struct wire x = { .family = 4, .proto = 6, .ttl = 64, .sport = out ? 80 : 40000, .dport = out ? 40000 : 80,
			  .flags = flags, .seq = seq, .ack = ack, .win = 1000, .wscale = 99, .data = data };

	world_address(SP_ZONE_INSIDE, 0, 4, out ? x.dst : x.src);
	world_address(SP_ZONE_OUTSIDE, 0, 4, out ? x.src : x.dst);
	if (out && known)
		memcpy(x.dst, known, 4);
	p->from = out ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE;
	p->in.len = wire_build(&x, p->in.b);
}

static int send_it(int out, sp_u8 flags, sp_u32 seq, sp_u32 ack, sp_u16 data)
{
	static struct passage p;

	segment(&p, out, flags, seq, ack, data, NULL);
	world_pass(&w, &p);
	return p.passed;
}

static const struct sp_flow *conversation(void)
{
	for (sp_u32 i = 0; i < TABLE_CAPACITY; i++)
		if (w.e->t.flows[i].phase != SP_PHASE_FREE && w.e->t.flows[i].phase != SP_PHASE_ALIAS)
			return &w.e->t.flows[i];
	return NULL;
}

static int same_state(const struct sp_flow *a, const struct sp_flow *b)
{
	return a->phase == b->phase && a->ends == b->ends && a->wscale == b->wscale && a->seen_ns == b->seen_ns &&
	       !memcmp(a->peer, b->peer, sizeof(a->peer));
}

/* ---- every segment in every state --------------------------------------------------------------------------- */

#define STATES 10

/* Brings the connection to a state by the book. */
static struct numbers reach(int state)
{
	static const sp_u8 script[STATES][8] = {
		/* in: 1 SYN, 2 ACK, 3 data, 4 FIN, 5 RST; out: the same + 10, 11: SYN ACK */
		{ 0 }, { 1 }, { 1, 11 }, { 1, 11, 2 }, { 1, 11, 2, 3, 13 }, { 1, 11, 2, 4 }, { 1, 11, 2, 14, 2 },
		{ 1, 11, 2, 4, 14 }, { 1, 11, 2, 4, 14, 2 }, { 1, 11, 2, 15 },
	};
	static const sp_u8 flags[] = { 0, 2, 16, 24, 17, 20 };
	struct numbers n = { 1000, 900000 };

	world_begin(&w, 1);
	for (const sp_u8 *s = script[state]; *s; s++) {
		const int out = *s > 10;
		const sp_u8 f = *s == 11 ? 18 : flags[*s % 10];
		sp_u32 *own = out ? &n.out : &n.in;
		const sp_u16 data = *s % 10 == 3 ? 100 : 0;

		HOLDS(send_it(out, f, *own, out ? n.in : n.out, data), "state %d can not be reached", state);
		*own += data + (f & 1) + !!(f & 2);
	}
	return n;
}

static void one_segment(int state, int out, sp_u8 flags, sp_s32 seq_off, sp_s32 ack_off)
{
	const struct numbers n = reach(state);
	const sp_u32 seq = (out ? n.out : n.in) + (sp_u32)seq_off, ack = (out ? n.in : n.out) + (sp_u32)ack_off;
	struct sp_flow before = { .phase = SP_PHASE_FREE };
	const struct sp_flow *f = conversation();
	static struct passage p;
	int known = f != NULL;

	if (f)
		before = *f;
	segment(&p, out, flags, seq, ack, 0, NULL);
	world_pass(&w, &p);
	world_check(&w);
	f = conversation();
	done++;
	if (!known) {
		HOLDS(!out || (!p.passed && !f), "state %d flags %x: the outside begins", state, flags);
		return;
	}
	HOLDS(f, "state %d flags %x: it is gone", state, flags);
	if (!p.passed || p.r[0].reason == SP_R_CHALLENGE) {
		HOLDS(same_state(f, &before), "state %d flags %x seq %d ack %d, %s: what was %s has changed it", state,
		      flags, seq_off, ack_off, sp_reason_name(p.r[0].reason), p.passed ? "only let be" : "stopped");
		return;
	}
	/* when both have spoken: within a window of what is expected, and nothing acknowledged that never was */
	if (state >= 3 && p.r[0].reason != SP_R_REOPENED) {
		HOLDS(seq_off <= 1000 && seq_off >= -1001, "state %d flags %x seq %d", state, flags, seq_off);
		HOLDS(!(flags & 16) || (flags & 4) || ack_off <= 0, "state %d flags %x ack %d", state, flags, ack_off);
	}
	/* RFC 5961 3.2: only with the exact number, give or take one */
	if ((flags & 4) && f->phase != before.phase && state >= 3)
		HOLDS(seq_off >= -1 && seq_off <= 1, "state %d: a reset %d off is believed", state, seq_off);
	HOLDS(!(flags & 2) || state < 3 || p.r[0].reason == SP_R_REOPENED, "state %d: a SYN has changed it", state);
	HOLDS(p.r[0].reason != SP_R_REOPENED || !out, "state %d: the outside begins again", state);
}

static void every_segment(void)
{
	static const sp_s32 offs[] = { -80000, -1002, -1001, -1000, -2, -1, 0, 1, 2, 999, 1000, 1001, 80000, 0x7fffffff },
			    acks[] = { -200000, -60000, -1, 0, 1, 70000 };

	for (int state = 0; state < STATES; state++)
		for (int out = 0; out < 2; out++)
			for (int flags = 0; flags < 32; flags++)
				for (size_t i = 0; i < sizeof(offs) / sizeof(offs[0]); i++)
					for (size_t k = 0; k < sizeof(acks) / sizeof(acks[0]); k++)
						one_segment(state, out, (sp_u8)flags, offs[i], acks[k]);
	printf("ok   every_segment_in_every_state: %lu segments in %d states\n", done, STATES);
}

/* ---- every sequence ----------------------------------------------------------------------------------------- */

#define LENGTH 4
#define LETTERS 14

struct reference {
	int spoken; /* John has spoken to the server */
	sp_u64 last_ns;
	struct numbers n;
};

static void letter(struct reference *ref, int l)
{
	/* 0-5 John: SYN ACK-only data FIN RST late-ACK; 6-11 outside: SYN-ACK data FIN RST-far SYN, somebody else's data */
	static const sp_u8 flags[12] = { 2, 16, 24, 17, 20, 16, 18, 24, 17, 4, 2, 24 };
	static const sp_u8 me[4] = { 192, 0, 2, 10 };
	static struct passage p;
	const int out = l >= 6;
	const sp_u32 entries = model_entries(&w);
	sp_u32 seq, end;

	if (l >= 12) {
		w.now_ns += l == 12 ? 25 * SP_NS_PER_S : 2 * 86400 * SP_NS_PER_S;
		return;
	}
	seq = out ? ref->n.out : ref->n.in;
	if (l == 9)
		seq += 500000;
	segment(&p, out, flags[l], seq, (out ? ref->n.in : ref->n.out) - (l == 5 ? 50000 : 0), l % 6 == 2 ? 100 : 0, me);
	if (l == 11)
		p.in.b[14 + 15] ^= 3; /* another server; the checksums do not matter: nobody knows it */
	world_pass(&w, &p);
	done++;
	if (out) {
		HOLDS(!p.passed || (ref->spoken && w.now_ns - ref->last_ns <= 86400 * SP_NS_PER_S), "letter %d came in", l);
		HOLDS(!p.passed || l != 11, "somebody else came in");
		HOLDS(model_entries(&w) <= entries, "letter %d: the outside has begun something", l);
	}
	if (!p.passed)
		return;
	ref->spoken |= !out;
	ref->last_ns = w.now_ns;
	end = seq + (l % 6 == 2 ? 100u : 0) + (flags[l] & 1) + !!(flags[l] & 2);
	if (l != 9 && l != 5)
		*(out ? &ref->n.out : &ref->n.in) = end;
}

/* All of that length, from the beginning each; the table is looked at after each, and empty in the end. */
static void every_sequence(void)
{
	unsigned long n = 1;

	done = 0;
	for (int i = 0; i < LENGTH; i++)
		n *= LETTERS;
	for (unsigned long i = 0; i < n; i++) {
		struct reference ref = { .n = { 1000, 900000 } };
		unsigned long rest = i;

		world_begin(&w, 3);
		letter(&ref, 0); /* nothing happens before John speaks, but strangers: those are in the states above */
		for (int k = 0; k < LENGTH; k++, rest /= LETTERS)
			letter(&ref, (int)(rest % LETTERS));
		world_check(&w);
		if (i % 512 == 0)
			world_expire(&w);
	}
	printf("ok   every_sequence: %lu of %d letters, %lu packets\n", n, LETTERS, done);
}

/* ---- by the book -------------------------------------------------------------------------------------------- */

#define STEPS 4
#define MOVES 20 /* two ends, lost or not, five things to say */

/* how: see world_begin(); pair: see honest_step(). */
static void every_conversation(sp_u8 how, sp_u8 pair)
{
	static const sp_u8 handshake[3][2] = { { 4, 0 }, { 0, 5 }, { 4, 5 } };
	unsigned long n = 1;

	for (int i = 0; i < STEPS; i++)
		n *= MOVES;
	for (unsigned long i = 0; i < n; i++) {
		sp_u8 bytes[2 + 6 + 2 * STEPS] = { 0xf0, pair };
		struct take in = { bytes, sizeof(bytes) };
		unsigned long rest = i;

		memcpy(bytes + 2, handshake, sizeof(handshake));
		for (int k = 0; k < STEPS; k++, rest /= MOVES) {
			const unsigned move = (unsigned)(rest % MOVES);

			bytes[8 + 2 * k] = (sp_u8)((move & 1) << 2 | (move & 2) << 2); /* which end, lost */
			bytes[9 + 2 * k] = (sp_u8)(move / 4 | 0x28); /* what; with a window */
		}
		world_begin(&w, how);
		honest_begin(&w);
		while (in.left)
			honest_step(&w, &in);
		world_check(&w);
	}
	printf("ok   every_conversation by the book: %lu of %d moves, %s\n", n, STEPS,
	       how & 2 && !(pair & 1) ? "translated" : "not translated");
}

/* ---- a full table ---------------------------------------------------------------------------------------------- */

/* A conversation by the book, while so many others begin, most of them answered, that the table is full over and over. */
static void everything_full(void)
{
	static const sp_u8 opening[] = { 0xf0, 0, 4, 0, 0, 5, 4, 5 };
	struct take in = { opening, sizeof(opening) };
	unsigned refused = 0;

	world_begin(&w, 1);
	honest_begin(&w);
	while (in.left)
		honest_step(&w, &in);
	for (int i = 0; i < 1000; i++) {
		static struct passage p;
		struct wire x = { .family = 4, .proto = 17, .ttl = 64, .sport = (sp_u16)(1000 + i % 150), .dport = 53 };
		const sp_u8 said[] = { (sp_u8)(i & 1 ? 4 : 0), 0x20 };

		world_address(SP_ZONE_INSIDE, (sp_u8)(i % 2), 4, x.src);
		world_address(SP_ZONE_OUTSIDE, (sp_u8)(i % 2), 4, x.dst);
		p.from = SP_ZONE_INSIDE;
		p.in.len = wire_build(&x, p.in.b);
		world_pass(&w, &p);
		refused += !p.passed;
		if (p.passed && i % 4) {
			struct wire y = x;

			memcpy(y.src, x.dst, 16);
			memcpy(y.dst, x.src, 16);
			y.sport = x.dport;
			y.dport = x.sport;
			p.from = SP_ZONE_OUTSIDE;
			p.in.len = wire_build(&y, p.in.b);
			world_pass(&w, &p);
			HOLDS(p.passed, "an answer at once");
		}
		world_check(&w);
		in = (struct take){ said, sizeof(said) };
		honest_step(&w, &in);
		w.now_ns += 3 * SP_NS_PER_S;
	}
	HOLDS(refused, "it was never full");
	printf("ok   everything_full: %u of 1000 refused, and one goes on\n", refused);
}

int main(void)
{
	setlinebuf(stdout);
	every_segment();
	every_sequence();
	every_conversation(3, 0); /* IPv4 TCP through the translation */
	every_conversation(3, 1); /* IPv6 TCP */
	everything_full();
	every_source();
	printf("6 passed, 0 failed, 0 skipped\n");
	return 0;
}
