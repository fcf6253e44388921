/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally log`: what the lines with the option `log` decided, one line each. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "events.h"

#define SP_POLL_MS 100

static const char help[] =
	"Usage: sally log [--follow] [--json] [--count N]\n\n"
	"Tells what the lines of the configuration with the option 'log' have decided: each\n"
	"conversation that they let begin, each packet that they stopped. They are noted\n"
	"whether somebody reads or not; the oldest are kept when nobody does, and told once.\n"
	"If sallyd runs, it is the one who reads, and writes them to the system's log:\n"
	"'journalctl -t sallyd'.\n\n"
	"  --follow   goes on, until Ctrl-C; says 'following' on the error output when it\n"
	"             has begun\n"
	"  --json     one JSON object a line\n"
	"  --count N  ends after N entries\n\n"
	"Exit codes: 0 done; 1 somebody else reads it, or the output could not be written;\n"
	"2 wrong arguments; 3 not permitted; 4 not up, or taken down meanwhile.\n";

static const struct option options[] = {
	{ "follow", no_argument, NULL, 'f' },
	{ "json", no_argument, NULL, 'j' },
	{ "count", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

struct reader {
	struct sp_live live;
	struct sp_logs log;
	struct sp_events view;
	int json, follow;
	sp_u64 count, shown; /* count 0: no end */
	sp_u64 lost;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static int is_done(const struct reader *r)
{
	return stop || (r->count && r->shown >= r->count);
}

/* An error ends the reading; this entry is taken, those behind it are left to the next reader. */
static int on_event(void *arg, void *data, size_t size)
{
	struct reader *r = arg;

	if (size < sizeof(struct sp_event))
		return 0;
	sp_events_print(&r->view, data, r->json);
	r->shown++;
	if (fflush(stdout))
		return -EIO;
	return is_done(r) ? -ECANCELED : 0;
}

/* Since it came up; when following, since it was told last. */
static void tell_lost(struct reader *r)
{
	const sp_u64 lost = sp_logs_lost(&r->log);

	if (lost == r->lost)
		return;
	if (r->json)
		printf("{\"event\": \"lost\", \"count\": %llu}\n", lost - r->lost);
	else
		printf("%llu more were not noted: there were too many at a time, or nobody read them\n", lost - r->lost);
	fflush(stdout);
	r->lost = lost;
}

static int read_ring(struct reader *r, struct ring_buffer *ring)
{
	int rc;

	do {
		rc = r->follow ? ring_buffer__poll(ring, SP_POLL_MS) : ring_buffer__consume(ring);
		if (rc == -EIO)
			return SP_EXIT_FAILED; /* sp_finish() says why */
		if (rc < 0 && rc != -EINTR && rc != -ECANCELED)
			return sp_fail(SP_EXIT_FAILED, "can not read the log: %s", strerror(-rc));
		if (access(r->live.dir, F_OK))
			return sp_fail(SP_EXIT_STATE, "the firewall was taken down");
		if (r->follow)
			tell_lost(r);
		sp_events_clock(&r->view);
	} while (r->follow && !is_done(r));
	return SP_EXIT_OK;
}

static int read_log(struct reader *r)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct ring_buffer *ring;
	struct sp_err err;
	int rc;

	if (sp_logs_open(&r->log, &r->live, &err))
		return sp_fail_err(&err);
	if (sp_events_open(&r->view, &r->live, &err))
		return sp_fail_err(&err);
	ring = ring_buffer__new(r->log.fd_ring, on_event, r, NULL);
	if (!ring)
		return sp_fail(SP_EXIT_FAILED, "can not read the log: %s", strerror(errno));
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	r->lost = r->follow ? sp_logs_lost(&r->log) : 0;
	if (r->follow)
		fprintf(stderr, "following; Ctrl-C ends it\n");
	rc = read_ring(r, ring);
	if (!rc && !r->follow)
		tell_lost(r);
	ring_buffer__free(ring);
	sp_events_close(&r->view);
	sp_logs_close(&r->log);
	return rc;
}

static int read_options(int argc, char **argv, struct reader *r)
{
	int c, rc = 0;

	opterr = 0;
	while (!rc && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'j')
			r->json = 1;
		else if (c == 'f')
			r->follow = 1;
		else if (c == 'n' && sp_read_u64(optarg, 1, ~0ULL, &r->count))
			rc = sp_usage("--count wants a number", optarg);
		else if (c == ':' || c == '?')
			rc = sp_usage(c == ':' ? "this option wants a value" : "there is no such option",
				      argv[optind - 1]);
	}
	if (!rc && optind < argc)
		rc = sp_usage("unexpected argument", argv[optind]);
	return rc;
}

int sp_cmd_log(int argc, char **argv)
{
	static struct reader r;
	struct sp_err err;
	int rc;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	rc = read_options(argc, argv, &r);
	if (rc)
		return rc;
	if (sp_live_open(&r.live, &err))
		return sp_fail_err(&err);
	rc = read_log(&r);
	sp_live_close(&r.live);
	return rc;
}
