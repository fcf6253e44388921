/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native: what a packet costs the native engine, one at a time and in batches, beside what the memory allows in
 * the same run.
 * usage: native [--smoke] [--only WORD] [--json FILE]   WORD: limits, TCP, UDP, translated, new
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/packet.h"
#include "host/batch.h"

#include "memory.h"
#include "stages.h"
#include "traffic.h"

#define ROUNDS 7
#define ROWS 64
#define MILLION 1000000u

struct row {
	char name[56];
	sp_u32 flows, target_ns;
	double ns[ROUNDS];
	int n;
};

static struct row rows[ROWS];
static int row_count, rounds = ROUNDS;
static double round_ns = 80e6; /* of the engine, per round */
static struct traffic traffic;
static const char *only; /* NULL: everything */

/* Of this thread: what others do with the processor meanwhile does not count. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct row *row(const char *name, const char *how, sp_u32 flows, sp_u32 target_ns)
{
	struct row *r = &rows[row_count++];

	if (row_count > ROWS)
		abort();
	snprintf(r->name, sizeof(r->name), "%s%s%s", name, *how ? ", " : "", how);
	r->flows = flows;
	r->target_ns = target_ns;
	return r;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct row *r)
{
	qsort(r->ns, (size_t)r->n, sizeof(r->ns[0]), by_size);
	return r->ns[r->n / 2];
}

static struct sp_engine_result results[2][TRAFFIC_BLOCK];

static void all_passed(const struct sp_engine_result *r)
{
	for (sp_u32 k = 0; k < TRAFFIC_BLOCK; k++) {
		if (r[k].verdict == SP_PASS)
			continue;
		fprintf(stderr, "native: a packet that should pass was dropped: %s\n", sp_reason_name(r[k].reason));
		exit(1);
	}
}

/* Sends a block through one of the engine's doors; returns the ns of it. */
static double send_block(const struct sp_engine_packet *p, int batch)
{
	const double start = now();
	double spent;

	if (batch)
		sp_engine_packets(traffic.e, p, results[0], TRAFFIC_BLOCK, NULL);
	else
		for (sp_u32 k = 0; k < TRAFFIC_BLOCK; k++)
			sp_engine_packet(traffic.e, &p[k], NULL, &results[0][k]);
	spent = now() - start;
	all_passed(results[0]);
	return spent;
}

/* In and out at once. */
static double forward_block(void)
{
	const struct sp_engine_through t = { traffic.in, traffic.way, results[0], results[1], NULL, NULL };
	const double start = now();
	double spent;

	sp_engine_forward(traffic.e, &t, TRAFFIC_BLOCK, NULL);
	spent = now() - start;
	all_passed(results[1]);
	return spent;
}

enum how { ONE_BY_ONE, BATCHES, ALONE, HOW_COUNT }; /* ALONE: in batches, an engine with one thread */

/* One round: ns a packet. through: and out of the other interface. */
static double round_of(enum traffic_way way, enum how how, int through)
{
	double spent = 0;
	sp_u32 blocks = 0;

	traffic.e->one_thread = how == ALONE;
	while (spent < round_ns) {
		traffic_block(&traffic, way);
		if (through && how != ONE_BY_ONE)
			spent += forward_block();
		else
			spent += send_block(traffic.in, how != ONE_BY_ONE);
		if (through && how == ONE_BY_ONE)
			spent += send_block(traffic.out, 0);
		blocks++;
	}
	return spent / blocks / TRAFFIC_BLOCK;
}

static void begin(sp_u8 proto, sp_u32 flows, int translated, int begun)
{
	if (traffic_init(&traffic, proto, flows, translated, begun)) {
		fprintf(stderr, "native: cannot set up %u conversations\n", flows);
		exit(1);
	}
}

/* Single calls and batches, by turns. */
static void compare(const char *name, enum traffic_way way, int through, sp_u32 target_ns)
{
	struct row *r[HOW_COUNT] = { row(name, "one by one", traffic.flows, 0),
				     row(name, "batches", traffic.flows, target_ns),
				     row(name, "batches, one thread", traffic.flows, target_ns) };

	round_of(way, BATCHES, through);
	for (int i = 0; i < rounds; i++)
		for (enum how how = ONE_BY_ONE; how < HOW_COUNT; how++)
			r[how]->ns[r[how]->n++] = round_of(way, how, through);
}

static void stages(const char *name, enum traffic_way way)
{
	struct row *r[STAGE_COUNT];

	if (!sp_batch_has_wide())
		return;
	traffic.e->one_thread = 1;
	for (int s = 0; s < STAGE_COUNT; s++)
		r[s] = row(name, stage_names[s], traffic.flows, 0);
	for (int i = 0; i < rounds; i++) {
		double spent[STAGE_COUNT] = {};
		sp_u32 blocks = 0;

		for (double start = now(); now() - start < round_ns; blocks++) {
			traffic_block(&traffic, way);
			stages_run(&traffic, traffic.in, spent);
		}
		for (int s = 0; s < STAGE_COUNT; s++)
			r[s]->ns[r[s]->n++] = spent[s] / (blocks ? blocks : 1) / TRAFFIC_BLOCK;
	}
}

static void established(sp_u8 proto, sp_u32 flows)
{
	const char *name = proto == SP_PROTO_TCP ? "TCP" : "UDP";

	begin(proto, flows, 0, 1);
	compare(name, TRAFFIC_BOTH, 0, flows <= 1000 ? 40 : flows == MILLION ? 75 : 0);
	if (proto == SP_PROTO_TCP && flows != 131072)
		stages("TCP stages", TRAFFIC_BOTH);
	traffic_fini(&traffic);
}

static void translated(sp_u8 proto, sp_u32 flows)
{
	const sp_u32 target_ns = flows == MILLION ? 110 : 0;

	begin(proto, flows, 1, 1);
	compare("translated, answers", TRAFFIC_IN, 0, target_ns);
	compare("translated, outwards, both hooks at once", TRAFFIC_OUT, 1, target_ns);
	if (flows == MILLION)
		stages("translated answers, stages", TRAFFIC_IN);
	traffic_fini(&traffic);
}

/* A table is filled once in a round: one by one, then in batches. */
static void fresh(sp_u8 proto, sp_u32 flows)
{
	const char *name = proto == SP_PROTO_TCP ? "new TCP" : "new UDP";
	struct row *r[2] = { row(name, "one by one", flows, 0), row(name, "batches", flows, 300) };

	for (int i = 0; i < 2 * (rounds < 3 ? rounds : 3); i++) {
		double spent = 0;
		sp_u32 blocks = 0;

		begin(proto, flows, 0, 0);
		for (; traffic_new(&traffic); blocks++)
			spent += send_block(traffic.in, i & 1);
		r[i & 1]->ns[r[i & 1]->n++] = spent / blocks / TRAFFIC_BLOCK;
		traffic_fini(&traffic);
	}
}

static int wanted(const char *word)
{
	return !only || !strcmp(only, word);
}

static void limits(sp_u64 bytes, sp_u32 steps)
{
	struct row *hash = row("limit: hash", "in a row", 0, 0);
	struct row *waits = row("limit: hash", "each waits for the last", 0, 0);
	struct row *one = row("limit: memory", "one access waits for the last", 0, 0);
	struct row *many = row("limit: memory", "16 at once, each", 0, 0);
	struct memory *m = memory_new(bytes);

	if (!m) {
		fprintf(stderr, "native: no memory for the pointer chase\n");
		exit(1);
	}
	for (int i = 0; i < rounds; i++) {
		hash->ns[hash->n++] = stages_hash(0, steps);
		waits->ns[waits->n++] = stages_hash(1, steps);
		one->ns[one->n++] = memory_chase(m, 1, steps);
		many->ns[many->n++] = memory_chase(m, 16, steps / 4);
	}
	memory_free(m);
}

static void print_table(void)
{
	printf("%-58s %9s %8s %8s %8s %7s\n", "ns a packet", "flows", "median", "least", "most", "target");
	for (int i = 0; i < row_count; i++) {
		struct row *r = &rows[i];
		const double m = median(r);

		printf("%-58s %9u %8.1f %8.1f %8.1f ", r->name, r->flows, m, r->ns[0], r->ns[r->n - 1]);
		if (r->target_ns)
			printf("%7u\n", r->target_ns);
		else
			printf("%7s\n", "");
	}
}

static int write_json(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -1;
	fprintf(f, "[\n");
	for (int i = 0; i < row_count; i++) {
		struct row *r = &rows[i];
		const double m = median(r);

		fprintf(f, "  {\"name\": \"%s\", \"flows\": %u, \"median_ns\": %.2f, \"least_ns\": %.2f, \"most_ns\": %.2f, "
			   "\"target_ns\": %u}%s\n", r->name, r->flows, m, r->ns[0], r->ns[r->n - 1], r->target_ns,
			i + 1 < row_count ? "," : "");
	}
	fprintf(f, "]\n");
	return fclose(f);
}

int main(int argc, char **argv)
{
	static const sp_u32 all[] = { 1000, 131072, MILLION }, few[] = { 1000, 4096 };
	const sp_u32 *sizes = all, *end = all + 3;
	const char *json = NULL;
	int smoke = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--smoke")) {
			smoke = 1;
		} else if (!strcmp(argv[i], "--json") && i + 1 < argc) {
			json = argv[++i];
		} else if (!strcmp(argv[i], "--only") && i + 1 < argc) {
			only = argv[++i];
		} else {
			fprintf(stderr, "usage: native [--smoke] [--only limits|TCP|UDP|translated|new] [--json FILE]\n");
			return 2;
		}
	}
	if (smoke) {
		rounds = 1;
		round_ns = 2e6;
		sizes = few;
		end = few + 2;
	}
	if (wanted("limits"))
		limits(smoke ? 4u << 20 : 256u << 20, smoke ? 10000 : 1000000);
	for (const sp_u32 *n = sizes; n < end; n++) {
		if (wanted("TCP"))
			established(SP_PROTO_TCP, *n);
		if (wanted("UDP"))
			established(SP_PROTO_UDP, *n);
	}
	if (wanted("translated")) {
		translated(SP_PROTO_UDP, sizes[0]);
		translated(SP_PROTO_TCP, end[-1]);
	}
	if (wanted("new")) {
		fresh(SP_PROTO_UDP, end[-1]);
		fresh(SP_PROTO_TCP, end[-1]);
	}
	print_table();
	if (json && write_json(json)) {
		fprintf(stderr, "native: cannot write %s: give a path that can be written\n", json);
		return 1;
	}
	return 0;
}
