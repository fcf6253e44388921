/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's own stages with the clock read between them. */
#include "stages.h"

#include <time.h>

#include "port/port_host.h"

#include "host/stages.h"

const char *const stage_names[STAGE_COUNT] = {
	[STAGE_PARSE] = "parse",   [STAGE_HASH] = "hash, ask for tags",	 [STAGE_MATCH] = "match tags",
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

/* sp_stage_read() without the hash. */
static __attribute__((noinline)) void parse_only(struct sp_engine *e, struct sp_batch *b, const struct sp_engine_packet *in)
{
	for (sp_u32 i = 0; i < SP_BATCH; i++) {
		struct sp_door *d = &b->door[i];

		sp_door_open(d, e, &in[i]);
		d->reason = sp_read_packet(&d->dev, &d->p);
	}
}

static double lap(double *last, double cost)
{
	const double t = now(), spent = t - *last - cost;

	*last = t;
	return spent;
}

void stages_run(struct traffic *t, const struct sp_engine_packet *in, double spent[STAGE_COUNT])
{
	static struct sp_engine_result out[SP_BATCH];
	static struct sp_batch b;
	static double cost;
	double last, parse, read;

	if (cost == 0)
		cost = clock_cost();
	sp_host = t->e;
	for (sp_u32 k = 0; k + SP_BATCH <= TRAFFIC_BLOCK; k += SP_BATCH, in += SP_BATCH) {
		/* fetches the packets, too: the second reading finds them near; so the first goes untimed */
		parse_only(t->e, &b, in);
		last = now();
		parse_only(t->e, &b, in);
		parse = lap(&last, cost);
		sp_stage_read(t->e, &b, in, SP_BATCH);
		read = lap(&last, cost);
		spent[STAGE_PARSE] += parse;
		spent[STAGE_HASH] += read - parse;
		sp_stage_match(t->e, &b, SP_BATCH);
		spent[STAGE_MATCH] += lap(&last, cost);
		sp_stage_second(t->e, &b, SP_BATCH);
		spent[STAGE_SECOND] += lap(&last, cost);
		sp_stage_follow(t->e, &b, SP_BATCH);
		spent[STAGE_FOLLOW] += lap(&last, cost);
		sp_stage_decide(t->e, &b, in, out, SP_BATCH, t->e->counters);
		spent[STAGE_DECIDE] += lap(&last, cost);
	}
}

double stages_hash(int waits, sp_u32 n)
{
	static const sp_u64 secret[2] = { 3, 4 };
	struct sp_key key = { .family = SP_IPV4, .proto = SP_PROTO_TCP };
	volatile sp_u64 sink;
	sp_u64 sum = 0;
	double start = now();

	for (sp_u32 i = 0; i < n; i++) {
		key.addr[0].w32[0] = waits ? (sp_u32)sum : i;
		sum = waits ? sp_key_hash(&key, secret) : sum ^ sp_key_hash(&key, secret);
	}
	sink = sum;
	(void)sink;
	return (now() - start) / n;
}
