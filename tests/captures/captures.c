/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The captures test: real captures through each engine, the first sender taken as inside, then as outside.
 *
 * The native verdicts are compared with those of Linux (nftables and conntrack, recorded in the index of the captures);
 * each difference must stand in the table of differences with the section that makes ours right, and no other. The kernel
 * engines must agree with the native one in the verdict and the reason of every packet, and in the classes of the
 * conversations at the end.
 *
 *	captures --captures DIR --differences FILE [--engine native|tc|xdp]... [--update]
 *
 * --update writes the table anew, keeping the explanations; a row that nobody has explained (why is "?") fails the test.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "captures.h"
#include "host/capture.h"
#include "tests/scenario/engine_api.h"
#include "tests/scenario/packet.h"

#define CAPACITY 4096
#define NO_ANSWER 0xff /* this engine can not be shown this packet */

struct run {
	int packets;
	int shown; /* to this engine */
	struct {
		sp_u8 verdict, reason; /* NO_ANSWER */
	} packet[PACKETS_MAX];
	sp_u32 classes[SP_CLASS_COUNT];
};

static int passed, failed, skipped;
static const char *dir;

/*
 * Judges up to PACKETS_MAX packets of a capture; those that another run could not be shown are left out (like: that run,
 * or NULL). 0, or -1 after a line on stderr.
 */
static int run_capture(struct tengine *t, const struct cap *cap, int swapped, const struct run *like, struct run *out)
{
	static struct sp_capture c;
	static struct pairs sides;
	static sp_u8 onward[PKT_MAX];
	sp_u64 first_ns = 0;
	char path[512];
	int got = 0;

	memset(out, 0, sizeof(*out));
	memset(&sides, 0, sizeof(sides));
	snprintf(path, sizeof(path), "%s/%s", dir, cap->file);
	if (t->ops->reset(t, CAPACITY, SP_CONFIG_GATEWAY) || sp_capture_open(&c, path)) {
		fprintf(stderr, "%s: %s\n", cap->file, c.error[0] ? c.error : "the engine could not be reset");
		return -1;
	}
	c.sums = cap->raw ? SP_CAPTURE_SUMS_KEEP : SP_CAPTURE_SUMS_REPAIR;
	while (out->packets < PACKETS_MAX) {
		struct sp_engine_packet in = { .ifindex = 1 };
		struct sp_engine_result r = { 0 };
		struct sp_captured p;
		int err;

		got = sp_capture_next(&c, &p);
		if (got != 1)
			break;
		if (p.number == 1)
			first_ns = p.time_ns;
		in.data = p.data;
		in.len = p.len;
		in.bare_ip = p.bare_ip;
		in.now_ns = p.time_ns - first_ns + 86400 * SP_NS_PER_S;
		in.zone = SP_ZONE_OUTSIDE;
		if (p.g.family && pairs_near(&sides, &p.g.src, &p.g.dst, p.g.family) != swapped)
			in.zone = SP_ZONE_INSIDE;
		if (like && like->packet[out->packets].verdict == NO_ANSWER)
			err = -ENOTSUP;
		else
			err = t->ops->judge(t, &in, onward, &r);
		if (err && err != -ENOTSUP) {
			fprintf(stderr, "%s: packet %llu: engine %s failed: %s\n", cap->file, p.number, t->ops->name,
				strerror(-err));
			got = -1;
			break;
		}
		out->packet[out->packets].verdict = err ? NO_ANSWER : r.verdict;
		out->packet[out->packets++].reason = err ? NO_ANSWER : r.reason;
		out->shown += !err;
	}
	sp_capture_close(&c);
	for (int i = 0; i < SP_CLASS_COUNT; i++)
		out->classes[i] = t->core->t.state->count[i];
	if (got < 0 && c.error[0])
		fprintf(stderr, "%s\n", c.error);
	return got < 0 ? -1 : 0;
}

/* Collects where Linux says something else. Returns -1 if the index knows another number of packets. */
static int compare_linux(const struct cap *cap, int swapped, const struct run *run, struct diffs *out)
{
	for (int i = 0; i < run->packets; i++) {
		char linux_says = cap->linux_says[swapped][i];
		char we_say = run->packet[i].verdict == SP_PASS ? 'P' : 'D';
		struct diff d = { .swapped = swapped, .linux_says = linux_says, .we_say = we_say }, *known;

		if (!linux_says) {
			fprintf(stderr, "%s: the index ends before packet %d\n", cap->file, i + 1);
			return -1;
		}
		if (linux_says == '-' || linux_says == we_say || (linux_says == 'R' && we_say == 'D'))
			continue;
		snprintf(d.file, sizeof(d.file), "%s", cap->file);
		snprintf(d.reason, sizeof(d.reason), "%s", sp_reason_name(run->packet[i].reason));
		known = diffs_find(out, &d);
		if (!known) {
			if (diffs_add(out, &d))
				return -1;
			known = &out->list[out->count - 1];
		}
		numbers_add(known->packets, i + 1);
	}
	return 0;
}

/* The native engine's verdicts against the table of differences; counts what does not fit. */
static int check_table(const struct diffs *have, const struct diffs *table, const char *file, int swapped)
{
	const char *side = swapped ? "outside" : "inside";
	int wrong = 0;

	for (int i = 0; i < have->count; i++) {
		const struct diff *x = &have->list[i], *known = diffs_find(table, x);

		if (strcmp(x->file, file) || x->swapped != swapped)
			continue;
		if (known && strcmp(known->packets, x->packets) == 0 && known->why[0] != '?')
			continue;
		wrong++;
		fprintf(stderr, "%s, first sender %s, packets %s: Linux says %c, we say %c (%s): %s\n", file, side,
			x->packets, x->linux_says, x->we_say, x->reason,
			!known			? "not in the table of differences" :
			known->why[0] == '?' ? "not explained" :
						 "the table has other packets");
	}
	for (int i = 0; i < table->count; i++) {
		const struct diff *x = &table->list[i];

		if (strcmp(x->file, file) == 0 && x->swapped == swapped && !diffs_find(have, x)) {
			wrong++;
			fprintf(stderr, "%s, first sender %s: the table lists %c against %c (%s), which is gone\n", file,
				side, x->linux_says, x->we_say, x->reason);
		}
	}
	return wrong;
}

static int compare_native(const char *engine, const struct cap *cap, int swapped, const struct run *native,
			  const struct run *run)
{
	int wrong = 0;

	for (int i = 0; i < run->packets; i++) {
		if (run->packet[i].verdict == NO_ANSWER ||
		    (run->packet[i].verdict == native->packet[i].verdict &&
		     run->packet[i].reason == native->packet[i].reason))
			continue;
		wrong++;
		fprintf(stderr, "%s, first sender %s, packet %d: native %s, %s %s\n", cap->file,
			swapped ? "outside" : "inside", i + 1, sp_reason_name(native->packet[i].reason), engine,
			sp_reason_name(run->packet[i].reason));
	}
	if (memcmp(run->classes, native->classes, sizeof(run->classes))) {
		wrong++;
		fprintf(stderr, "%s, first sender %s: conversations by class: native %u %u %u, %s %u %u %u\n", cap->file,
			swapped ? "outside" : "inside", native->classes[0], native->classes[1], native->classes[2],
			engine, run->classes[0], run->classes[1], run->classes[2]);
	}
	return wrong;
}

static void count(int wrong)
{
	if (wrong)
		failed++;
	else
		passed++;
}

/* native[2 * capture + swapped] is filled in. */
static int native_all(struct tengine *t, const struct cap *caps, int n, struct run *native, struct diffs *have)
{
	for (int i = 0; i < 2 * n; i++) {
		const struct cap *cap = &caps[i / 2];
		struct diffs before = *have;

		if (run_capture(t, cap, i % 2, NULL, &native[i]) || compare_linux(cap, i % 2, &native[i], have)) {
			have->count = before.count;
			failed++;
			native[i].packets = 0;
		}
	}
	return failed;
}

/* A kernel engine's run of one capture against the native one. Returns how many packets it was shown. */
static int kernel_one(struct tengine *t, struct tengine *native, const struct cap *cap, int swapped,
		      const struct run *known)
{
	static struct run run, again;

	if (run_capture(t, cap, swapped, NULL, &run)) {
		failed++;
		return 0;
	}
	/* what one engine was not shown, the other must not have seen either */
	if (run.shown < run.packets) {
		if (run_capture(native, cap, swapped, &run, &again)) {
			failed++;
			return 0;
		}
		known = &again;
	}
	count(compare_native(t->ops->name, cap, swapped, known, &run));
	return run.shown;
}

static void kernel_all(const struct tengine_ops *ops, struct tengine *native, const struct cap *caps, int n,
		       const struct run *known)
{
	char err[256] = "";
	struct tengine *t = ops->open(CAPACITY, err, sizeof(err));
	const char *ci = getenv("CI");
	int packets = 0, shown = 0;

	if (!t) {
		int strict = ci && strcmp(ci, "true") == 0;

		printf("%s: %s: %s\n", strict ? "FAILED" : "skipped", ops->name, err);
		*(strict ? &failed : &skipped) += 2 * n;
		return;
	}
	for (int i = 0; i < 2 * n; i++) {
		packets += known[i].packets;
		shown += kernel_one(t, native, &caps[i / 2], i % 2, &known[i]);
	}
	printf("%s: %d of %d packets shown to it (not: larger than a test run takes), each compared with native\n",
	       ops->name, shown, packets);
	t->ops->close(t);
}

/* Rows about captures that do not exist any more. */
static int check_files(const struct diffs *table, const struct cap *caps, int n)
{
	int wrong = 0;

	for (int i = 0; i < table->count; i++) {
		int known = 0;

		for (int k = 0; k < n; k++)
			known |= strcmp(table->list[i].file, caps[k].file) == 0;
		if (known)
			continue;
		wrong++;
		fprintf(stderr, "%s: in the table of differences, but no such capture\n", table->list[i].file);
	}
	return wrong;
}

static int update(const char *path, struct diffs *have, const struct diffs *table)
{
	int unexplained = 0;

	for (int i = 0; i < have->count; i++) {
		const struct diff *known = diffs_find(table, &have->list[i]);

		snprintf(have->list[i].why, NOTE_MAX_, "%s", known ? known->why : "?");
		unexplained += have->list[i].why[0] == '?';
	}
	if (diffs_write(path, have))
		return 1;
	printf("%s: %d rows, %d not explained\n", path, have->count, unexplained);
	return unexplained ? 1 : 0;
}

struct options {
	const char *differences;
	const char *engine[8];
	int engines, update;
};

static int read_options(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--update") == 0)
			o->update = 1;
		else if (strcmp(argv[i], "--captures") == 0 && i + 1 < argc)
			dir = argv[++i];
		else if (strcmp(argv[i], "--differences") == 0 && i + 1 < argc)
			o->differences = argv[++i];
		else if (strcmp(argv[i], "--engine") == 0 && i + 1 < argc && o->engines < 8)
			o->engine[o->engines++] = argv[++i];
		else {
			fprintf(stderr, "captures: unknown argument '%s'\n", argv[i]);
			return -1;
		}
	}
	for (int i = 0; i < o->engines; i++) {
		if (!tengine_by_name(o->engine[i])) {
			fprintf(stderr, "captures: there is no engine '%s'\n", o->engine[i]);
			return -1;
		}
	}
	return dir && o->differences ? 0 : -1;
}

static int test(const struct options *o, const struct cap *caps, int n)
{
	struct diffs have = { 0 }, table = { 0 };
	struct run *native = calloc((size_t)n * 2, sizeof(*native));
	char err[256] = "";
	struct tengine *t = tengine_native.open(CAPACITY, err, sizeof(err));

	if (!native || !t || diffs_read(o->differences, &table)) {
		fprintf(stderr, "captures: can not start: %s\n", err);
		return 2;
	}
	native_all(t, caps, n, native, &have);
	if (o->update)
		return update(o->differences, &have, &table);
	for (int i = 0; i < 2 * n; i++)
		if (native[i].packets)
			count(check_table(&have, &table, caps[i / 2].file, i % 2));
	count(check_files(&table, caps, n));
	printf("native: %d rows of differences from Linux\n", have.count);
	for (int i = 0; i < o->engines; i++)
		if (strcmp(o->engine[i], "native"))
			kernel_all(tengine_by_name(o->engine[i]), t, caps, n, native);
	t->ops->close(t);
	free(native);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct cap *caps = NULL;
	char path[512];
	int n = 0, code;
	FILE *f;

	if (read_options(&o, argc, argv))
		return 2;
	snprintf(path, sizeof(path), "%s/INDEX.tsv", dir);
	f = fopen(path, "r");
	if (!f) {
		printf("skipped: captures: %s is not there\n0 passed, 0 failed, 1 skipped\n", path);
		return 0;
	}
	fclose(f);
	if (index_read(path, &caps, &n))
		return 2;
	code = test(&o, caps, n);
	free(caps);
	if (!o.update)
		printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return code ? code : failed != 0;
}
