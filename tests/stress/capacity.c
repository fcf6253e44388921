/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much the table holds, what it costs, and what floods can do to it: on the native engine, whose arrays are the
 * kernel's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

#define INSIDE 0x0a000000u
#define OUTSIDE 0xc6336400u /* 198.51.100.0 */
#define INDEX_MAX 3.0 /* bytes of the index for each conversation */
#define MISSES_MAX 1000 /* one insertion in so many may find no way at 90 % */

static const sp_u64 secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

static void judge(struct bench *b, int thread, const struct sp_engine_packet *p, struct sp_engine_result *out)
{
	sp_engine_packet(b->e, p, b->counters[thread], out);
}

static int begin(struct bench *b, sp_u32 capacity)
{
	memset(b, 0, sizeof(*b));
	b->name = "capacity";
	b->e = sp_engine_new(capacity, SP_CONFIG_GATEWAY, secret);
	b->judge = judge;
	b->john_inside = 1;
	b->now_ns = STRESS_BASE_NS;
	return b->e != NULL;
}

static sp_u64 counted(struct bench *b, unsigned reason)
{
	return b->counters[0][reason].packets;
}

static sp_u32 used(struct bench *b)
{
	const struct sp_state *s = b->e->t.state;

	return s->count[0] + s->count[1] + s->count[2];
}

/* ---- what it costs ------------------------------------------------------------------------------------------------ */

static void memory(struct bench *b)
{
	const struct sp_config *c = b->e->t.config;
	const double flows = (double)sizeof(struct sp_flow), sets = (double)sizeof(struct sp_set) * c->sets / c->capacity;

	result(sizeof(struct sp_flow) <= 128 && sets <= INDEX_MAX,
	       "memory: %.0f bytes a conversation and %.2f of index; whatever the size: %zu KiB for the sources, %zu KiB "
	       "for fragments",
	       flows, sets, SP_SKETCH_ROWS * SP_SKETCH_ROW * sizeof(sp_u64) / 1024,
	       SP_FRAG_COUNT * sizeof(struct sp_frag) / 1024);
}

/* ---- how much it holds -------------------------------------------------------------------------------------------- */

/* The n-th conversation: UDP, asked and answered. */
static int talk(struct worker *w, sp_u32 n, int answer)
{
	struct sp_craft c = { .proto = 17, .payload = 10 };
	sp_u8 reason;

	craft_ends(&c, !answer, INSIDE + 1 + n / 50000, OUTSIDE + 1 + n % 200, (sp_u16)(1024 + n % 50000), 53);
	return send_packet(w, !answer, &c, &reason);
}

static int remembered(struct bench *b, sp_u32 n)
{
	int end;
	const struct sp_flow *f = find_flow(b->e, 17, INSIDE + 1 + n / 50000, OUTSIDE + 1 + n % 200,
					    (sp_u16)(1024 + n % 50000), 53, &end);

	return f && f->phase == SP_PHASE_UDP_ANSWERED;
}

static void fill(struct bench *b, sp_u32 size)
{
	sp_u32 n, wanted, refused = 0, lost = 0, full = 0, answers = 0;
	struct worker w = { .b = b };
	sp_u8 *in;

	if (!begin(b, size))
		return result(0, "capacity %u: no memory", size);
	wanted = (sp_u32)((sp_u64)b->e->t.config->capacity * 9 / 10);
	in = calloc(b->e->t.config->capacity, 1);
	for (n = 0; in && n < wanted; n++) {
		in[n] = (sp_u8)talk(&w, n, 0);
		refused += !in[n];
		answers += in[n] && talk(&w, n, 1);
	}
	for (n = 0; in && n < wanted; n++)
		lost += in[n] && !remembered(b, n);
	/* on from there, for the figure: how full it was when the first one found no way */
	for (n = wanted; !refused && n < b->e->t.config->capacity && talk(&w, n, 0); n++)
		talk(&w, n, 1);
	full = refused ? 0 : n;
	result(in && (sp_u64)refused * MISSES_MAX < wanted && !lost && answers == wanted - refused && !check_rest(b),
	       "capacity %u: filled to 90 %%: %u of %u found no way, %u of the others lost; the first refusal at %.1f %%",
	       b->e->t.config->capacity, refused, wanted, lost, 100.0 * full / b->e->t.config->capacity);
	if (size >= 1000000)
		memory(b);
	free(in);
	sp_engine_free(b->e);
}

/* ---- floods ------------------------------------------------------------------------------------------------------- */

/* Every packet that a stranger can think of: nothing is remembered. */
static void flood_from_outside(struct bench *b)
{
	struct worker w = { .b = b, .random = 99 };
	sp_u32 passed = 0;
	sp_u8 reason;

	if (!begin(b, 10000))
		return result(0, "flood from outside: no memory");
	for (int n = 0; n < 200000; n++) {
		static const sp_u8 protos[] = { 6, 17, 1, 132, 47, 50 };
		struct sp_craft c = { .proto = protos[random_next(&w) % 6], .payload = 10 };

		c.tcp_flags = (sp_u8)random_next(&w);
		c.icmp_type = random_next(&w) & 1 ? 8 : 0;
		craft_ends(&c, 0, INSIDE + random_next(&w) % 250 + 1, OUTSIDE + random_next(&w) % 250 + 1,
			   (sp_u16)(random_next(&w) % 65000 + 1), (sp_u16)(random_next(&w) % 65000 + 1));
		passed += (sp_u32)send_packet(&w, 0, &c, &reason);
		advance(b, 1000);
	}
	result(!passed && !used(b) && !check_rest(b),
	       "flood from outside: 200000 packets, %u passed, %u conversations remembered", passed, used(b));
	sp_engine_free(b->e);
}

static int ask(struct worker *w, sp_u32 host, sp_u16 port, int answer, sp_u8 *reason)
{
	struct sp_craft c = { .proto = 17, .payload = 10 };

	craft_ends(&c, !answer, INSIDE + host, OUTSIDE + 1, port, 53);
	return send_packet(w, !answer, &c, reason);
}

/* One inside host goes mad: the answered conversations stay, and his neighbour works on. */
static void mad_host(struct bench *b)
{
	struct worker w = { .b = b };
	sp_u32 neighbour = 0, kept = 0, settled = 0;
	sp_u8 reason;

	if (!begin(b, 10000))
		return result(0, "a mad host: no memory");
	for (sp_u16 port = 1; port <= 2000; port++)
		settled += ask(&w, 1, port, 0, &reason) && ask(&w, 1, port, 1, &reason);
	for (sp_u32 n = 0; n < 120000; n++) {
		ask(&w, 66, (sp_u16)(n % 60000 + 1), 0, &reason);
		advance(b, 50000); /* 20,000 a second, for six seconds */
		if (n % 120 == 0)
			neighbour += ask(&w, 2, (sp_u16)(n / 120 + 1), 0, &reason) &&
				     ask(&w, 2, (sp_u16)(n / 120 + 1), 1, &reason);
	}
	for (sp_u16 port = 1; port <= 2000; port++)
		kept += ask(&w, 1, port, 1, &reason) && reason == SP_R_ANSWER;
	result(settled == 2000 && kept == 2000 && neighbour == 1000 && counted(b, SP_R_SOURCE_SHARE) > 50000 &&
		       !check_rest(b),
	       "a mad host inside: %u of 2000 answered conversations of another one live on, %u of its neighbour's 1000 new "
	       "ones were answered; source_share %llu",
	       kept, neighbour, counted(b, SP_R_SOURCE_SHARE));
	sp_engine_free(b->e);
}

/* Many sources that each keep to their share fill the budget of the unanswered, no more. */
static void many_hosts(struct bench *b)
{
	struct worker w = { .b = b };
	sp_u32 budget;
	sp_u8 reason = 0;

	if (!begin(b, 10000))
		return result(0, "many hosts: no memory");
	budget = b->e->t.config->unanswered_max;
	for (sp_u32 host = 1; host <= 2000; host++)
		for (sp_u16 port = 1; port <= 4; port++)
			ask(&w, host, port, 0, &reason);
	result(counted(b, SP_R_UNANSWERED_FULL) && b->e->t.state->count[SP_CLASS_UNANSWERED] == budget && !check_rest(b),
	       "many hosts that nobody answers: %u wait, the budget is %u; unanswered_full %llu, source_share %llu",
	       b->e->t.state->count[SP_CLASS_UNANSWERED], budget, counted(b, SP_R_UNANSWERED_FULL),
	       counted(b, SP_R_SOURCE_SHARE));
	sp_engine_free(b->e);
}

/* A table full of answered ones refuses what is new, says so, and forgets nobody. */
static void full_of_answered(struct bench *b)
{
	struct worker w = { .b = b };
	sp_u32 capacity, in = 0, kept = 0, admitted = 0, port;
	static sp_u8 alive[65536];
	sp_u8 reason = 0;

	if (!begin(b, 10000))
		return result(0, "a full table: no memory");
	capacity = b->e->t.config->capacity;
	memset(alive, 0, sizeof(alive));
	for (port = 1; port < 65000 && in < capacity; port++) {
		alive[port] = ask(&w, 1, (sp_u16)port, 0, &reason) && ask(&w, 1, (sp_u16)port, 1, &reason);
		in += alive[port];
	}
	for (sp_u32 n = 1; n <= 5000; n++) {
		admitted += (sp_u32)ask(&w, 2 + n % 100, (sp_u16)n, 0, &reason);
		advance(b, 1000000);
	}
	for (port = 1; port < 65000; port++)
		kept += alive[port] && ask(&w, 1, (sp_u16)port, 1, &reason) && reason == SP_R_ANSWER;
	result(in == capacity && kept == in && !admitted && counted(b, SP_R_TABLE_FULL) >= 5000 && !check_rest(b),
	       "a table full of answered ones: %u of %u, %u of them live on, %u of 5000 new ones admitted; "
	       "table_full %llu",
	       in, capacity, kept, admitted, counted(b, SP_R_TABLE_FULL));
	sp_engine_free(b->e);
}

int main(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b)
		return 1;
	fill(b, 1000);
	fill(b, 100000);
	fill(b, 1000000);
	flood_from_outside(b);
	mad_host(b);
	many_hosts(b);
	full_of_answered(b);
	free(b);
	return result_end();
}
