/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * differential: made-up sequences of packets on the native engine and on others, which must agree in every verdict, reason,
 * byte and entry of the table. What they do not agree on is made small and written as a scenario.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "print.h"
#include "shrink.h"
#include "wrong.h"

#define ENGINES_MAX 6
#define CASES_MAX 5 /* that are made small; after so many, enough is known */

struct suite {
	struct tengine *first, *other[ENGINES_MAX];
	int engines, verbose;
	const char *out;
	sp_u64 sequences, packets, seen[SP_REASON_COUNT];
	unsigned cases;
};

static const char usage[] =
	"usage: differential [--engine NAME]... [--sequences N] [--seed S] [--out DIR] [--verbose]\n"
	"  --engine NAME   compared with native: tc, xdp, wrong (has a fault); default tc and xdp, in turn\n"
	"  --sequences N   so many (default 1000), in batches of 100\n"
	"  --seed S        of the first batch (default 1); the next ones follow\n"
	"  --out DIR       where cases that were found are written, as scenarios (default .)\n"
	"exit: 0 no difference, 1 differences, 2 usage, 77 an engine can not run here\n";

/* What the shrinker asks: is it still the same kind of difference? */
struct question {
	struct suite *su;
	struct tengine *other;
	struct difference_at was;
};

static int shows(void *arg, const struct batch *b)
{
	struct question *q = arg;
	struct difference_at d;

	if (!play(q->su->first, q->other, b, NULL, &d) || d.kind != q->was.kind)
		return 0;
	return d.kind != DIFFERENT_REASON || (d.reason[0] == q->was.reason[0] && d.reason[1] == q->was.reason[1]);
}

static void found(struct suite *su, struct tengine *other, struct batch *b, const struct difference_at *d)
{
	struct question q = { .su = su, .other = other, .was = *d };
	struct seen *seen;
	struct difference_at now;
	char path[300], note[1200];

	printf("differential: seed %llu, step %d of %d: %s\n", b->seed, d->step, b->n, d->text);
	su->cases++;
	if (!shows(&q, b)) {
		printf("differential: it does not show again when it is played once more\n");
		return;
	}
	shrink(b, d->step, shows, &q);
	seen = calloc((size_t)b->n, sizeof(*seen));
	if (!seen)
		abort();
	play(su->first, other, b, seen, &now);
	snprintf(note, sizeof(note), "Found by the differential test, seed %llu: %s", b->seed, now.text);
	snprintf(path, sizeof(path), "%s/differential-%s-%llu.scn", su->out, other->ops->name, b->seed);
	if (case_write(b, seen, note, path))
		printf("differential: %s: can not be written\n", path);
	else
		printf("differential: %d steps are left: %s\n", b->n, path);
	free(seen);
}

static void one_batch(struct suite *su, sp_u64 seed, int sequences)
{
	struct tengine *other = su->other[seed % (sp_u64)su->engines];
	struct difference_at d;
	struct batch b;
	struct sp_counter c[SP_REASON_COUNT];

	batch_make(&b, seed, SEQ_ENGINES, sequences);
	su->sequences += (sp_u64)b.sequences;
	su->packets += (sp_u64)b.n;
	if (play(su->first, other, &b, NULL, &d))
		found(su, other, &b, &d);
	else if (!su->first->ops->counters(su->first, c))
		for (int i = 0; i < SP_REASON_COUNT; i++)
			su->seen[i] += c[i].packets;
	batch_free(&b);
}

static int open_engines(struct suite *su, const char *const *names, int n)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char why[300];

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (unshare(CLONE_NEWNET)) { /* test runs look at the loopback device: let it be our own */
		printf("differential: no network namespace of its own: needs root\n");
		return 77;
	}
	su->first = tengine_native.open(PLAY_CAPACITY, why, sizeof(why));
	for (int i = 0; su->first && i < n; i++) {
		const struct tengine_ops *ops = !strcmp(names[i], "wrong") ? &tengine_wrong : tengine_by_name(names[i]);

		if (!ops) {
			fputs(usage, stderr);
			return 2;
		}
		su->other[i] = ops->open(PLAY_CAPACITY, why, sizeof(why));
		if (!su->other[i]) {
			printf("differential: engine %s can not run here: %s\n", names[i], why);
			return 77;
		}
		su->engines++;
	}
	return su->first ? 0 : 77;
}

static double processor_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const struct suite *su)
{
	unsigned reasons = 0;

	for (unsigned i = 0; i < SP_REASON_COUNT; i++) {
		reasons += su->seen[i] > 0;
		if (su->verbose)
			printf("%12llu %s\n", su->seen[i], sp_reason_name(i));
	}
	printf("differential: %llu sequences, %llu packets, %u of %u reasons, %u differences, %.0f s of processor time\n",
	       su->sequences, su->packets, reasons, SP_REASON_COUNT - 1u, su->cases, processor_s());
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' }, { "sequences", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },   { "out", required_argument, NULL, 'o' },
		{ "verbose", no_argument, NULL, 'v' },	    { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const char *const usual[] = { "tc", "xdp" };
	const char *names[ENGINES_MAX];
	struct suite su = { .out = "." };
	sp_u64 wanted = 1000, seed = 1;
	int c, n = 0, rc;

	while ((c = getopt_long(argc, argv, "e:n:s:o:vh", options, NULL)) != -1) {
		if (c == 'e' && n < ENGINES_MAX)
			names[n++] = optarg;
		else if (c == 'n')
			wanted = strtoull(optarg, NULL, 10);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'o')
			su.out = optarg;
		else if (c == 'v')
			su.verbose = 1;
		else
			return fputs(usage, c == 'h' ? stdout : stderr), c == 'h' ? 0 : 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rc = open_engines(&su, n ? names : usual, n ? n : 2);
	for (; !rc && su.sequences < wanted && su.cases < CASES_MAX; seed++)
		one_batch(&su, seed, wanted - su.sequences < SEQ_PER_BATCH ? (int)(wanted - su.sequences) : SEQ_PER_BATCH);
	if (!rc)
		report(&su);
	for (int i = 0; i < su.engines; i++)
		su.other[i]->ops->close(su.other[i]);
	tengine_native.close(su.first);
	return rc ? rc : su.cases ? 1 : 0;
}
