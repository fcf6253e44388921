/* SPDX-License-Identifier: BSD-2-Clause */
/* scenario: runs scenario files on the native engine and in the kernel, and says what differs from what they expect. */
#define _GNU_SOURCE
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "script.h"

#define ENGINES 4
#define RANDOM_RUNS 10

struct suite {
	struct tengine *engine[ENGINES], *twin;
	const char *missing[ENGINES]; /* why an engine that was asked for can not run */
	unsigned wanted; /* bits in the order native, tc, xdp */
	int verbose;
	unsigned passed, failed, skipped;
	sp_u64 seen[SP_REASON_COUNT];
};

static const struct tengine_ops *const engines[ENGINES] = { &tengine_native, &tengine_tc, &tengine_xdp, &tengine_lane };

static const char usage[] =
	"usage: scenario [--engine native|tc|xdp|all|lane] [--every-reason] [--random N [--seed S]] [--verbose] FILE...\n"
	"  --every-reason  fail unless each reason of core/reasons.h was seen (but those of later issues)\n"
	"  --random N      N random packets, ten times, on the kernel's engines against the native one\n"
	"exit: 0 all passed, 1 something failed, 2 usage\n";

/* Reasons that no scenario can produce: two processors are needed (tests/unit/table.c makes it). */
static int needs_more_than_a_scenario(unsigned reason)
{
	return reason == SP_R_NONE || reason == SP_R_BUSY || reason == SP_R_EXPRESS;
}

/* One file with the names of one family. 0 passed, 1 failed. */
static int run_family(struct suite *su, int e, const char *path, int family, unsigned *families, unsigned *on)
{
	struct outcome o = { .verbose = su->verbose };
	struct script s;
	char err[500];

	if (script_read(&s, path, family, err, sizeof(err))) {
		printf("%s\n", err);
		*families = *on = ~0u;
		return 1;
	}
	*families = s.families;
	/* the lane is a part of xdp */
	*on = s.engines | (s.engines & 4u) << 1;
	if (!s.n || !(*on & 1u << e)) {
		script_free(&s);
		return 0;
	}
	script_run(&s, su->engine[e], e ? su->twin : NULL, &o);
	for (unsigned i = 0; i < SP_REASON_COUNT; i++)
		su->seen[i] += o.seen[i];
	if (o.failed)
		printf("%s:%d: %s%s: %s\n", path, o.line, engines[e]->name,
		       s.families == 3 ? family == 6 ? " (IPv6)" : " (IPv4)" : "", o.text);
	script_free(&s);
	return o.failed;
}

static void run_file(struct suite *su, int e, const char *path)
{
	unsigned families = 0, on = 0;
	int failed;

	if (su->missing[e]) {
		su->skipped++;
		return;
	}
	failed = run_family(su, e, path, 4, &families, &on);
	if (!failed && families & 2)
		failed = run_family(su, e, path, 6, &families, &on);
	if (!(on & 1u << e))
		return; /* the file says why this engine has nothing to say */
	if (failed)
		su->failed++;
	else
		su->passed++;
}

/* In CI everything can run: an engine that is missing there is a failure, not a skip. */
static void engine_missing(struct suite *su, int e, const char *why)
{
	const char *ci = getenv("CI");

	printf("scenario: engine %s can not run here: %s\n", engines[e]->name, why);
	su->missing[e] = why;
	if (ci && !strcmp(ci, "true"))
		su->failed++;
}

static void open_engines(struct suite *su)
{
	static char why[ENGINES][300];
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int alone = 0;

	if (su->wanted & ~1u) {
		setrlimit(RLIMIT_MEMLOCK, &unlimited); /* best effort: kernels since 5.11 do not ask for it */
		alone = !unshare(CLONE_NEWNET); /* test runs look at the loopback device: let it be our own */
		su->twin = tengine_native.open(SCRIPT_CAPACITY_MAX, why[0], sizeof(why[0]));
	}
	for (int e = 0; e < ENGINES; e++) {
		if (!(su->wanted & 1u << e))
			continue;
		if (e && !alone)
			snprintf(why[e], sizeof(why[e]), "no network namespace of its own: needs root");
		else
			su->engine[e] = engines[e]->open(SCRIPT_CAPACITY_MAX, why[e], sizeof(why[e]));
		if (!su->engine[e])
			engine_missing(su, e, why[e]);
	}
}

static void check_every_reason(struct suite *su)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < SP_REASON_COUNT; i++) {
		if (su->seen[i] || needs_more_than_a_scenario(i))
			continue;
		printf("scenario: no scenario produces the reason %s\n", sp_reason_name(i));
		missing++;
	}
	if (missing)
		su->failed++;
	else
		su->passed++;
}

static void say_reasons(struct suite *su, int e)
{
	struct sp_counter c[SP_REASON_COUNT];

	if (!su->verbose || engines[e]->counters(su->engine[e], c))
		return;
	for (unsigned i = 0; i < SP_REASON_COUNT; i++)
		if (c[i].packets)
			printf("%s %llu\n", sp_reason_name(i), c[i].packets);
}

/* The kernel's engines against the native one, each with its own seeds. */
static void run_random(struct suite *su, unsigned packets, sp_u64 seed)
{
	char text[1000];

	for (int e = 1; e < ENGINES; e++) {
		if (!(su->wanted & 1u << e))
			continue;
		if (su->missing[e]) {
			su->skipped += RANDOM_RUNS;
			continue;
		}
		for (sp_u64 i = 0; i < RANDOM_RUNS; i++) {
			if (!random_run(su->engine[e], su->twin, seed + i, packets, text, sizeof(text))) {
				su->passed++;
				say_reasons(su, e);
				continue;
			}
			printf("scenario: random packets, %s: %s\n", engines[e]->name, text);
			su->failed++;
		}
	}
}

static unsigned engines_by_name(const char *name)
{
	for (unsigned e = 0; e < ENGINES; e++)
		if (!strcmp(engines[e]->name, name))
			return 1u << e;
	return !strcmp(name, "all") ? 7u : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' },
		{ "every-reason", no_argument, NULL, 'r' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "random", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct suite su = { 0 };
	int c, every_reason = 0;
	unsigned packets = 0;
	sp_u64 seed = 1;

	while ((c = getopt_long(argc, argv, "e:rvhn:s:", options, NULL)) != -1) {
		if (c == 'e')
			su.wanted |= engines_by_name(optarg);
		su.verbose |= c == 'v';
		every_reason |= c == 'r';
		if (c == 'n')
			packets = (unsigned)strtoul(optarg, NULL, 10);
		if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		if (c == 'h' || c == '?' || (c == 'e' && !engines_by_name(optarg))) {
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (optind == argc && !packets) {
		fputs(usage, stderr);
		return 2;
	}
	if (!su.wanted)
		su.wanted = 7;
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_engines(&su);
	for (int i = optind; i < argc; i++)
		for (int e = 0; e < ENGINES; e++)
			if (su.wanted & 1u << e)
				run_file(&su, e, argv[i]);
	if (packets)
		run_random(&su, packets, seed);
	if (every_reason)
		check_every_reason(&su);
	for (int e = 0; e < ENGINES; e++)
		engines[e]->close(su.engine[e]);
	tengine_native.close(su.twin);
	printf("%u passed, %u failed, %u skipped\n", su.passed, su.failed, su.skipped);
	return su.failed ? 1 : 0;
}
