/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The native engine from several threads, built with ThreadSanitizer: it must find nothing, every packet that belongs must
 * pass, and the table must be in order afterwards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

static const sp_u64 secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

static void judge(struct bench *b, int thread, const struct sp_engine_packet *p, struct sp_engine_result *out)
{
	sp_engine_packet(b->e, p, b->counters[thread], out);
}

static void show_reasons(struct bench *b)
{
	printf("      ");
	for (int i = 0; i < SP_REASON_COUNT; i++) {
		sp_u64 n = 0;

		for (int t = 0; t < STRESS_THREADS; t++)
			n += b->counters[t][i].packets;
		if (n)
			printf(" %s %llu", sp_reason_name((unsigned)i), n);
	}
	printf("\n");
}

struct part {
	const char *name;
	void (*run)(struct bench *b, int ms);
	sp_u32 capacity;
	int threads, john_inside;
};

static void run(const struct part *part, int ms)
{
	struct bench *b = calloc(1, sizeof(*b));
	int rest, empty;

	if (!b)
		return result(0, "%s: no memory", part->name);
	b->name = part->name;
	b->e = sp_engine_new(part->capacity, part->john_inside ? SP_CONFIG_GATEWAY : 0, secret);
	b->judge = judge;
	b->threads = part->threads;
	b->john_inside = part->john_inside;
	b->now_ns = STRESS_BASE_NS;
	for (int i = 0; i < STRESS_THREADS; i++)
		b->cpu[i] = -1;
	part->run(b, part->run == collide ? 2 * ms : ms); /* it looks for the narrowest of windows */
	show_reasons(b);
	rest = check_rest(b);
	empty = check_empty(b);
	result(!b->failures && !rest && !empty && b->packets > 200 && b->retries * 100 <= b->packets,
	       "%s, %d threads: %llu packets, %llu lives, %llu judged again because busy; %llu failures, "
	       "%d violations at rest, %d after 25 hours",
	       part->name, part->threads, b->packets, b->lives, b->retries, b->failures, rest, empty);
	sp_engine_free(b->e);
	free(b);
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "native: the same connections, John is this machine", tcp_same, 1120, 2, 0 },
		{ "native: the same connections, John is inside", tcp_same, 1120, 3, 1 },
		{ "native: each thread its own connections", tcp_disjoint, 1120, 4, 1 },
		{ "native: one beginning from all threads at once", collide, 1120, 2, 1 },
		{ "native: nearly full", churn_near_full, 1120, 2, 1 },
		{ "native: nearly full, a table of two sets", churn_near_full, 56, 3, 0 },
		{ "native: translation", nat_churn, 1120, 3, 1 },
		{ "native: translation, nearly full", nat_churn, 280, 3, 1 },
	};
	const int ms = argc > 1 ? atoi(argv[1]) : 2000;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		run(&parts[i], ms);
	return result_end();
}
