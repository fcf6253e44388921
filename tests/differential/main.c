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

#include "against.h"
#include "print.h"
#include "shrink.h"
#include "wrong.h"

#define CAN_NOT_RUN 77
#define ENGINES_MAX 6
#define CASES_MAX 5 /* that are made small; after so many, enough is known */

struct suite {
	struct tengine *first, *other[ENGINES_MAX];
	int engines, verbose;
	struct against *against; /* NULL: engines are compared, not Linux */
	const char *out;
	sp_u64 sequences, packets, seen[SP_REASON_COUNT];
	unsigned batches, cases;
};

static const char usage[] =
	"usage: differential [--engine NAME]... [--sequences N] [--seed S] [--out DIR] [--verbose]\n"
	"  --engine NAME   tc, xdp, lane, batch, or wrong (has a fault): beside native; default the first four\n"
	"  --sequences N   so many (default 1000), in batches of 100\n"
	"  --seed S        of the first batch (default 1); the next ones follow\n"
	"  --linux RULES   compared with native: nftables and conntrack; differences must be explained by that table\n"
	"  --survey        with --linux: counts what is not explained, by kind\n"
	"  --verbose       counts by reason; with --linux by rule\n"
	"  --out DIR       where cases that were found are written, as scenarios (default .)\n"
	"exit: 0 no difference, 1 differences, 2 usage; the last line counts batches\n";

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

static int shows_against(void *arg, const struct batch *b)
{
	struct suite *su = arg;
	char what[1000];

	return against_batch(su->against, su->first, b, 0, what, sizeof(what)) >= 0;
}

static void one_batch_against(struct suite *su, sp_u64 seed, int sequences)
{
	struct batch b;
	struct seen *seen;
	struct difference_at d;
	char what[1000], note[1200], path[300];
	int at;

	batch_make(&b, seed, SEQ_LINUX, sequences);
	su->batches++;
	su->sequences += (sp_u64)b.sequences;
	su->packets += (sp_u64)b.n;
	at = against_batch(su->against, su->first, &b, 1, what, sizeof(what));
	if (at >= 0) {
		su->cases++;
		printf("differential: seed %llu, step %d of %d: %s\n", seed, at, b.n, what);
		shrink(&b, at, shows_against, su);
		at = against_batch(su->against, su->first, &b, 0, what, sizeof(what));
		seen = calloc((size_t)b.n, sizeof(*seen));
		if (!seen)
			abort();
		play(su->first, NULL, &b, seen, &d);
		snprintf(note, sizeof(note), "Nobody has explained it, seed %llu: %s", seed, what);
		snprintf(path, sizeof(path), "%s/differential-linux-%llu.scn", su->out, seed);
		printf("differential: %d steps are left: %s\n", b.n, path);
		if (case_write(&b, seen, note, path))
			printf("differential: %s: can not be written\n", path);
		free(seen);
	}
	batch_free(&b);
}

static void one_batch(struct suite *su, sp_u64 seed, int sequences)
{
	struct tengine *other = su->other[seed % (sp_u64)su->engines];
	struct difference_at d;
	struct batch b;
	struct sp_counter c[SP_REASON_COUNT];

	batch_make(&b, seed, SEQ_ENGINES, sequences);
	su->batches++;
	su->sequences += (sp_u64)b.sequences;
	su->packets += (sp_u64)b.n;
	if (play(su->first, other, &b, NULL, &d))
		found(su, other, &b, &d);
	else if (!su->first->ops->counters(su->first, c))
		for (int i = 0; i < SP_REASON_COUNT; i++)
			su->seen[i] += c[i].packets;
	batch_free(&b);
}

/* Linux beside the native engine. */
static int open_linux(struct suite *su, const char *rules, int survey)
{
	char why[300];
	int rc;

	su->first = tengine_native.open(PLAY_CAPACITY, why, sizeof(why));
	rc = su->first ? against_new(&su->against, rules, why, sizeof(why)) : -ENOMEM;
	if (rc)
		printf("differential: %s\n", why);
	else if (survey)
		against_survey(su->against);
	return !rc ? 0 : rc == -EINVAL ? 2 : CAN_NOT_RUN;
}

static int open_engines(struct suite *su, const char *const *names, int n)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char why[300];

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (unshare(CLONE_NEWNET)) { /* test runs look at the loopback device: let it be our own */
		printf("differential: no network namespace of its own: needs root\n");
		return CAN_NOT_RUN;
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
			return CAN_NOT_RUN;
		}
		su->engines++;
	}
	return su->first ? 0 : CAN_NOT_RUN;
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
	printf("differential: %llu sequences, %llu packets, ", su->sequences, su->packets);
	if (!su->against)
		printf("%u of %u reasons, ", reasons, SP_REASON_COUNT - 1u);
	for (int i = 0; i < su->engines; i++)
		if (su->other[i]->ops == &tengine_lane)
			printf("%llu took the lane, ", su->other[i]->lane_count);
	printf("%u differences%s, %.0f s of processor time\n", su->cases, su->against ? " that nobody has explained" : "",
	       processor_s());
	if (su->against)
		against_report(su->against, su->verbose, stdout);
	printf("%u passed, %u failed, 0 skipped\n", su->batches - su->cases, su->cases);
}

/* In CI everything can run. */
static int skip(void)
{
	const char *ci = getenv("CI");
	const int required = ci && !strcmp(ci, "true");

	printf("0 passed, %d failed, %d skipped\n", required, !required);
	return required;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' }, { "sequences", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },   { "out", required_argument, NULL, 'o' },
		{ "verbose", no_argument, NULL, 'v' },	    { "linux", required_argument, NULL, 'l' },
		{ "survey", no_argument, NULL, 'S' },	    { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const char *const usual[] = { "tc", "xdp", "lane", "batch" };
	const char *names[ENGINES_MAX];
	struct suite su = { .out = "." };
	sp_u64 wanted = 1000, seed = 1;
	const char *rules = NULL;
	int c, n = 0, rc, survey = 0;

	while ((c = getopt_long(argc, argv, "e:n:s:o:l:Svh", options, NULL)) != -1) {
		if (c == 'e' && n < ENGINES_MAX)
			names[n++] = optarg;
		else if (c == 'n')
			wanted = strtoull(optarg, NULL, 10);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'o')
			su.out = optarg;
		else if (c == 'l')
			rules = optarg;
		else if (c == 'S')
			survey = 1;
		else if (c == 'v')
			su.verbose = 1;
		else
			return fputs(usage, c == 'h' ? stdout : stderr), c == 'h' ? 0 : 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rc = rules ? open_linux(&su, rules, survey) : open_engines(&su, n ? names : usual, n ? n : 4);
	for (; !rc && su.sequences < wanted && su.cases < CASES_MAX; seed++) {
		const int size = wanted - su.sequences < SEQ_PER_BATCH ? (int)(wanted - su.sequences) : SEQ_PER_BATCH;

		if (rules)
			one_batch_against(&su, seed, size);
		else
			one_batch(&su, seed, size);
	}
	if (!rc)
		report(&su);
	for (int i = 0; i < su.engines; i++)
		su.other[i]->ops->close(su.other[i]);
	against_free(su.against);
	tengine_native.close(su.first);
	return rc == CAN_NOT_RUN ? skip() : rc ? rc : su.cases ? 1 : 0;
}
