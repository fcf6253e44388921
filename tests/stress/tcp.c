/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP connections that several threads play at once, so that every single packet must pass.
 *
 * Each direction hands out {ticket, sequence number} by one atomic exchange; the packet goes through the engine beside
 * those of other threads; then it is written down in the order of the tickets what a real end would now know. A
 * sender only uses room that an acknowledgement gave it which the engine has already seen, and only acknowledges what the
 * engine has seen. The windows are a few segments wide: an update of the engine that gets lost makes a later packet
 * fail, and the packets that each end sent are counted to the last one.
 *
 * All of it is relaxed atomics, on purpose: a mutex here would order the threads for ThreadSanitizer, and it would see
 * nothing of the engine's own races.
 *
 * Life of a connection: SYN -> SYN ACK -> DATA -> both FINs acknowledged -> OVER (one thread waits for the others,
 * checks, and begins the next life with a SYN in TIME-WAIT). Every thread that looks sends the packet of the stage it
 * sees, so SYNs arrive several times, at the same time, before and after the answer.
 */
#include <sched.h>
#include <stdlib.h>

#include "stress.h"

#define TALKS 3
#define SEGMENT 100u
#define WINDOW (6 * SEGMENT)
#define DEPTH 8u /* tickets of one direction that may be under way */
#define LIFE_TICKETS 40u /* then a direction sends its FIN */
#define FIN_CLAIMED 0x80000000u
#define SERVER 0xc6336401u /* 198.51.100.1 */
#define JOHN 0x0a000010u
#define SYN 0x02
#define ACK 0x10
#define FIN 0x01

enum stage { STAGE_SYN, STAGE_SYNACK, STAGE_DATA, STAGE_OVER };

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define STORE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

struct way {
	sp_u64 claim; /* FIN_CLAIMED | next ticket, next sequence number */
	sp_u32 finished; /* tickets written down */
	sp_u32 done; /* everything before has passed the engine */
	sp_u32 edge; /* how far it may send */
	sp_u32 fin_acked;
	sp_u64 passed, bytes; /* what the engine must have counted */
};

/* One connection; direction 0 is John's. */
struct talk {
	struct way way[2];
	sp_u32 isn[2];
	sp_u32 stage, busy, early, life;
	sp_u16 port;
} __attribute__((aligned(64)));

struct tcp_work {
	struct talk talk[TALKS * STRESS_THREADS];
	int each; /* talks of each thread; 0: all share the first TALKS */
};

static void renew(struct talk *t)
{
	const sp_u32 life = LOAD(t->life) + 1;
	sp_u32 isn[2];

	STORE(t->life, life);
	isn[0] = life * 0x9e3779b9u;
	isn[1] = 0u - life % 10 * 300; /* most lives wrap around 2^32 */
	for (int d = 0; d < 2; d++) {
		struct way *w = &t->way[d];

		STORE(t->isn[d], isn[d]);
		STORE(w->claim, (sp_u64)(isn[d] + 1));
		STORE(w->finished, 0);
		STORE(w->done, isn[d] + 1);
		STORE(w->edge, isn[d] + 1 + WINDOW);
		STORE(w->fin_acked, 0);
		STORE(w->passed, 0);
		STORE(w->bytes, 0);
	}
}

static int play(struct worker *w, struct talk *t, int d, sp_u8 flags, sp_u32 seq, sp_u32 ack, sp_u32 payload,
		const char *what)
{
	struct sp_craft c = { .proto = 6, .tcp_flags = flags, .win = WINDOW, .seq = seq, .ack = ack,
			      .payload = payload };

	craft_ends(&c, d == 0, JOHN, SERVER, t->port, 443);
	advance(w->b, 1000);
	if (!must_pass(w, d == 0, &c, what))
		return 0;
	__atomic_fetch_add(&t->way[d].passed, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&t->way[d].bytes, 40 + payload, __ATOMIC_RELAXED);
	return 1;
}

/*
 * `busy` and `stage`: either a thread sees OVER and leaves, or finish() sees it and waits. Both sides change one and
 * then look at the other by locked instructions, which no processor reorders; stronger orders would hide races from
 * ThreadSanitizer. `early`: threads that may be sending a packet of the handshake. Nobody sends a FIN before they are
 * done: a SYN that is late by a whole life rightly begins another one, and a SYN ACK is rightly dropped then.
 */
static sp_u32 look(sp_u32 *p)
{
	return __atomic_fetch_add(p, 0, __ATOMIC_RELAXED);
}

struct ticket {
	sp_u32 number, seq, payload, fin;
};

static int take_ticket(struct way *w, struct ticket *t, int may_fin)
{
	sp_u64 old = LOAD(w->claim), new_;

	do {
		const sp_u32 flag = (sp_u32)(old >> 32) & FIN_CLAIMED;
		const sp_s32 room = (sp_s32)(LOAD(w->edge) - (sp_u32)old);

		t->number = (sp_u32)(old >> 32) & ~FIN_CLAIMED;
		t->seq = (sp_u32)old;
		t->payload = t->fin = 0;
		if (t->number - LOAD(w->finished) >= DEPTH)
			return 0;
		if (!flag && t->number >= LIFE_TICKETS)
			t->fin = may_fin && room > 0; /* it takes a number, too */
		else if (!flag && room >= (sp_s32)SEGMENT)
			t->payload = SEGMENT;
		new_ = (sp_u64)(flag | (t->fin ? FIN_CLAIMED : 0) | (t->number + 1)) << 32 |
		       (sp_u32)(t->seq + t->payload + t->fin);
	} while (!__atomic_compare_exchange_n(&w->claim, &old, new_, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 1;
}

/* One segment of direction d, whatever the window allows. */
static void data(struct worker *w, struct talk *t, int d)
{
	struct way *s = &t->way[d], *o = &t->way[!d];
	struct ticket k;
	sp_u32 ack;
	sp_u64 claim;

	if (!take_ticket(s, &k, !look(&t->early)))
		return;
	claim = LOAD(o->claim);
	ack = LOAD(o->done);
	play(w, t, d, (sp_u8)(ACK | (k.fin ? FIN : 0)), k.seq, ack, k.payload, k.fin ? "a FIN" : "a segment");
	while (LOAD(s->finished) != k.number)
		sched_yield();
	STORE(s->done, k.seq + k.payload + k.fin);
	if ((sp_s32)(ack + WINDOW - LOAD(o->edge)) > 0)
		STORE(o->edge, ack + WINDOW);
	if (((claim >> 32) & FIN_CLAIMED) && (sp_u32)claim == ack)
		STORE(o->fin_acked, 1);
	STORE(s->finished, k.number + 1);
}

/* The life is over and nobody else is at it: does the engine remember what happened? */
static void look_back(struct worker *w, struct talk *t)
{
	struct bench *b = w->b;
	int john, bad = 0;
	struct sp_flow *f = find_flow(b->e, 6, JOHN, SERVER, t->port, 443, &john);

	if (!f) {
		complain("%s: a connection is gone at the end of its life", b->name);
		__atomic_fetch_add(&b->failures, 1, __ATOMIC_RELAXED);
		return;
	}
	/* the lock of the entry orders what the other threads wrote before these reads, */
	__atomic_fetch_add(&f->lock, 0, __ATOMIC_ACQ_REL);
	for (int d = 0; d < 2; d++) {
		const int end = d ? !john : john;
		const sp_u64 packets = f->packets[end], bytes = f->bytes[end];

		if (packets != LOAD(t->way[d].passed) || bytes != LOAD(t->way[d].bytes)) {
			complain("%s: %llu packets and %llu bytes counted, %llu and %llu sent", b->name, packets, bytes,
				 LOAD(t->way[d].passed), LOAD(t->way[d].bytes));
			bad = 1;
		}
	}
	if (f->phase != SP_PHASE_TCP_TIME_WAIT) {
		complain("%s: %s at the end of its life", b->name, sp_phase_name(f->phase));
		bad = 1;
	}
	__atomic_fetch_add(&f->lock, 0, __ATOMIC_ACQ_REL); /* and these reads before what they write */
	__atomic_fetch_add(&b->failures, (sp_u64)bad, __ATOMIC_RELAXED);
	__atomic_fetch_add(&b->lives, 1, __ATOMIC_RELAXED);
}

static void next_stage(struct talk *t, sp_u32 from, sp_u32 to)
{
	__atomic_compare_exchange_n(&t->stage, &from, to, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void finish(struct worker *w, struct talk *t)
{
	sp_u32 from = STAGE_DATA;

	if (!__atomic_compare_exchange_n(&t->stage, &from, STAGE_OVER, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	while (look(&t->busy) != 1)
		sched_yield();
	look_back(w, t);
	renew(t);
	STORE(t->stage, STAGE_SYN);
}

static void turn(struct worker *w, struct talk *t)
{
	sp_u32 stage;

	__atomic_fetch_add(&t->busy, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&t->early, 1, __ATOMIC_RELAXED);
	stage = look(&t->stage);
	if (stage == STAGE_SYN && play(w, t, 0, SYN, LOAD(t->isn[0]), 0, 0, "a SYN"))
		next_stage(t, STAGE_SYN, STAGE_SYNACK);
	if (stage == STAGE_SYNACK && play(w, t, 1, SYN | ACK, LOAD(t->isn[1]), LOAD(t->isn[0]) + 1, 0, "a SYN ACK"))
		next_stage(t, STAGE_SYNACK, STAGE_DATA);
	__atomic_fetch_sub(&t->early, 1, __ATOMIC_RELAXED);
	if (stage == STAGE_DATA) {
		data(w, t, (int)(random_next(w) >> 16) & 1);
		if (LOAD(t->way[0].fin_acked) && LOAD(t->way[1].fin_acked))
			finish(w, t);
	}
	__atomic_fetch_sub(&t->busy, 1, __ATOMIC_RELAXED);
}

static void tcp_worker(struct worker *w)
{
	struct tcp_work *work = w->work;
	struct talk *first = work->each ? &work->talk[w->thread * work->each] : work->talk;
	const sp_u32 talks = work->each ? (sp_u32)work->each : TALKS;

	while (now_ms() < w->b->deadline_ms && LOAD(w->b->failures) < 5) {
		struct talk *t = &first[(random_next(w) >> 8) % talks];

		/* staying with one for a while brings the threads together there */
		for (int n = 0; n < 32; n++)
			turn(w, t);
	}
}

static void tcp_run(struct bench *b, int each, int ms)
{
	struct tcp_work *work = aligned_alloc(64, sizeof(*work));

	if (!work) {
		b->failures++;
		return;
	}
	work->each = each;
	for (sp_u32 i = 0; i < TALKS * STRESS_THREADS; i++) {
		work->talk[i] = (struct talk){ .life = i * 1000, .port = (sp_u16)(10000 + i) };
		renew(&work->talk[i]);
	}
	run_threads(b, work, tcp_worker, ms);
	free(work);
}

void tcp_same(struct bench *b, int ms)
{
	tcp_run(b, 0, ms);
}

void tcp_disjoint(struct bench *b, int ms)
{
	tcp_run(b, TALKS, ms);
}
