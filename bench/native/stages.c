/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's own stages with the clock read between them, as on a processor with AVX2 and one thread. */
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC target("avx2,bmi,bmi2")
#endif
#define SP_ALONE
#include "stages.h"

#include <stdlib.h>
#include <time.h>

#include "port/port_host.h"

#include "host/stages.h"

const char *const stage_names[STAGE_COUNT] = {
	[STAGE_PARSE] = "read",    [STAGE_HASH] = "hash, ask for tags",	 [STAGE_MATCH] = "match tags",
	[STAGE_SECOND] = "second", [STAGE_FOLLOW] = "first line, alias", [STAGE_DECIDE] = "decide and record",
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What reading the clock adds to a measurement. */
static double clock_cost(void)
{
	const double a = now();

	for (int i = 0; i < 1000; i++)
		now();
	return (now() - a) / 1001;
}

#define LAPS (TRAFFIC_BLOCK / SP_BATCH)

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What a stage took for the whole block, by its middle lap: one that was interrupted tells nothing. */
static double middle(double *laps)
{
	qsort(laps, LAPS, sizeof(*laps), by_size);
	return laps[LAPS / 2] * LAPS;
}

static void lap(double *last, double cost, double *out)
{
	const double t = now();

	*out = t - *last - cost;
	*last = now();
}

void stages_run(struct traffic *t, const struct sp_engine_packet *in, double spent[STAGE_COUNT])
{
	static struct sp_engine_result out[SP_BATCH];
	static double laps[STAGE_COUNT][LAPS];
	static struct sp_batch b;
	static double cost;
	double last;

	if (cost == 0)
		cost = clock_cost();
	sp_host = t->e;
	for (sp_u32 k = 0; k < LAPS; k++, in += SP_BATCH) {
		/* fetches the packets, too: the second reading finds them near; so the first goes untimed */
		sp_stage_read(t->e, &b, in, SP_BATCH);
		last = now();
		sp_stage_read(t->e, &b, in, SP_BATCH);
		lap(&last, cost, &laps[STAGE_PARSE][k]);
		sp_stage_hash(t->e, &b);
		lap(&last, cost, &laps[STAGE_HASH][k]);
		sp_stage_match(t->e, &b, SP_BATCH);
		lap(&last, cost, &laps[STAGE_MATCH][k]);
		sp_stage_second(t->e, &b);
		lap(&last, cost, &laps[STAGE_SECOND][k]);
		sp_stage_follow(t->e, &b, SP_BATCH);
		lap(&last, cost, &laps[STAGE_FOLLOW][k]);
		sp_stage_decide(t->e, &b, in, out, SP_BATCH, t->e->counters);
		lap(&last, cost, &laps[STAGE_DECIDE][k]);
	}
	for (int s = 0; s < STAGE_COUNT; s++)
		spent[s] += middle(laps[s]);
}

/* Of this thread: for what is long enough that reading this slow clock does not count. */
static double thread_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double stages_hash(int waits, sp_u32 n)
{
	static const sp_u64 secret[2] = { 3, 4 };
	struct sp_key key = { .family = SP_IPV4, .proto = SP_PROTO_TCP };
	volatile sp_u64 sink;
	sp_u64 sum = 0;
	double start = thread_now();

	for (sp_u32 i = 0; i < n; i++) {
		key.addr[0].w32[0] = waits ? (sp_u32)sum : i;
		sum = waits ? sp_key_hash(&key, secret) : sum ^ sp_key_hash(&key, secret);
	}
	sink = sum;
	(void)sink;
	return (thread_now() - start) / n;
}
