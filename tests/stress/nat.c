/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translation from all threads at once, in a table that is nearly full: many inside hosts that want the same few source
 * ports, answers, hairpin, deaths by time and by the tool's hand. Whoever gets a packet must be the one it is for: the
 * source that leaves is an address of ours, and an answer to it reaches a host and port that spoke, or nobody.
 */
#include <arpa/inet.h>

#include "stress.h"

#define JOHN 0x0a000000u
#define SERVER 0xc6336402u /* 198.51.100.2 */
#define ME 0xcb007101u /* 203.0.113.1 */
#define SOURCES 48u
#define PORTS 16u
#define SERVERS 4u

struct nat_work {
	sp_u64 out, answered, hairpins, ended; /* atomic */
};

/* One of the many inside speaks to a server; then the answer, and a neighbour's packet, go to its outside port. */
static void speak(struct worker *w, struct nat_work *work)
{
	const sp_u32 john = JOHN + 1 + (random_next(w) >> 5) % SOURCES, mary = JOHN + 1 + (random_next(w) >> 5) % SOURCES;
	const sp_u32 server = SERVER + (random_next(w) >> 5) % SERVERS;
	const sp_u16 port = (sp_u16)(2000 + (random_next(w) >> 5) % PORTS);
	struct sp_craft c = { .proto = 17, .payload = 20 };
	struct flight f;
	sp_u16 known;

	craft_ends(&c, 1, john, server, port, 53);
	flight_begin(&f, &c);
	if (!flight_pass(w, &f, SP_ZONE_INSIDE, SP_HOOK_INGRESS, 0) ||
	    !flight_pass(w, &f, SP_ZONE_OUTSIDE, SP_HOOK_EGRESS, SP_ZONE_INSIDE))
		return;
	known = flight_port(&f, 0);
	if (flight_addr(&f, 0) != ME || flight_addr(&f, 1) != server || flight_port(&f, 1) != 53 || (known ^ port) & 1 ||
	    known < 1024)
		flight_wrong(w, "it left as", &f);
	__atomic_fetch_add(&work->out, 1, __ATOMIC_RELAXED);
	craft_ends(&c, 0, ME, server, known, 53);
	flight_begin(&f, &c);
	if (flight_pass(w, &f, SP_ZONE_OUTSIDE, SP_HOOK_INGRESS, 0)) {
		/* it may have gone meanwhile, and somebody else has the port: but that one spoke to this server, too */
		if (flight_port(&f, 1) < 2000 || flight_port(&f, 1) >= 2000 + PORTS || flight_addr(&f, 1) - JOHN > SOURCES)
			flight_wrong(w, "an answer came as", &f);
		if (flight_addr(&f, 1) == john && flight_port(&f, 1) == port)
			__atomic_fetch_add(&work->answered, 1, __ATOMIC_RELAXED);
	}
	if (random_next(w) % 4)
		return;
	craft_ends(&c, 1, mary, ME, (sp_u16)(3000 + port), known);
	flight_begin(&f, &c);
	if (!flight_pass(w, &f, SP_ZONE_INSIDE, SP_HOOK_INGRESS, 0) || flight_addr(&f, 1) == ME)
		return; /* nobody has the port any more */
	if (flight_pass(w, &f, SP_ZONE_INSIDE, SP_HOOK_EGRESS, SP_ZONE_INSIDE)) {
		/* ended between its two hooks it is like any other between two inside; that must be rare */
		if (flight_addr(&f, 0) == mary) {
			__atomic_fetch_add(&work->ended, 1, __ATOMIC_RELAXED);
			return;
		}
		if (flight_addr(&f, 0) != ME || flight_addr(&f, 1) - JOHN > SOURCES)
			flight_wrong(w, "hairpin came as", &f);
		__atomic_fetch_add(&work->hairpins, 1, __ATOMIC_RELAXED);
	}
}

/* As the tool does it, unseen by ThreadSanitizer. */
static __attribute__((no_sanitize("thread"))) void end_one(struct worker *w)
{
	struct sp_tables *t = &w->b->e->t;
	struct sp_flow *f = &t->flows[(random_next(w) >> 3) % t->config->capacity];

	sp_engine_end(f);
}

static void nat_worker(struct worker *w)
{
	while (now_ms() < w->b->deadline_ms && __atomic_load_n(&w->b->failures, __ATOMIC_RELAXED) < 5) {
		const sp_u32 dice = (random_next(w) >> 7) % 64;

		if (dice < 60)
			speak(w, w->work);
		else if (dice < 62)
			end_one(w);
		else
			advance(w->b, dice == 62 ? 20000000 : 400000000);
	}
}

void nat_churn(struct bench *b, int ms)
{
	struct nat_work work = { 0 };

	b->e->side.inside4_net = htonl(JOHN);
	b->e->side.inside4_mask = htonl(0xff000000u);
	if (sp_engine_nat(b->e, 1)) {
		b->failures++;
		return;
	}
	b->e->t.nat->slot[0] = (struct sp_nat_slot){ htonl(ME), 0, SP_SLOT_MAPS };
	b->e->t.nat->used = 1;
	run_threads(b, &work, nat_worker, ms);
	b->lives = work.answered;
	if (!work.out || !work.answered || !work.hairpins || work.ended > 2 + work.hairpins / 100) {
		complain("%s: %llu left, %llu were answered, %llu took the hairpin, %llu ended on it", b->name, work.out,
			 work.answered, work.hairpins, work.ended);
		b->failures++;
	}
}
