/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `sally watch`: decisions as they are made, one sentence each.
 *
 * The engine produces events only while somebody watches: watch_until_ns is a lease that is renewed
 * each second, so a watcher that was killed costs nothing. A packet never waits for us: what does not
 * fit into the ring is counted and told.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli.h"
#include "events.h"

#define SP_LEASE_NS (3 * SP_NS_PER_S)
#define SP_RENEW_NS SP_NS_PER_S
#define SP_POLL_MS 100

static const char help[] =
	"Usage: sally watch [--json] [--count N] [--seconds S]\n\n"
	"Tells what is decided, as it happens: what begins, what is answered, what ends,\n"
	"what is stopped and why. Packets of a conversation that goes on are not told.\n"
	"Packets never wait: if there is more than can be told, it says how many were left\n"
	"out. Says 'watching' on the error output when it has begun. Ends with Ctrl-C.\n\n"
	"  --json       one JSON object a line\n"
	"  --count N    ends after N events\n"
	"  --seconds S  ends after S seconds\n\n"
	"Exit codes: 0 ended as asked; 1 another 'sally watch' is running here, or the\n"
	"output could not be written; 2 wrong arguments; 3 not permitted; 4 not up, or\n"
	"taken down meanwhile.\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "count", required_argument, NULL, 'n' },
	{ "seconds", required_argument, NULL, 's' },
	{ NULL, 0, NULL, 0 },
};

struct watch {
	struct sp_live live;
	struct sp_events view;
	int json;
	sp_u64 count, seconds; /* 0: no end */
	sp_u64 shown, start_ns, lost;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static int is_done(const struct watch *w)
{
	return stop || (w->count && w->shown >= w->count) ||
	       (w->seconds && sp_now_ns() - w->start_ns >= w->seconds * SP_NS_PER_S);
}

static int on_event(void *arg, void *data, size_t size)
{
	const struct sp_event *e = data;
	struct watch *w = arg;

	/* what an earlier watcher left in the ring is not news */
	if (size < sizeof(*e) || e->time_ns < w->start_ns || is_done(w))
		return 0;
	sp_events_print(&w->view, e, w->json);
	w->shown++;
	return fflush(stdout) ? -EIO : 0;
}

static void tell_lost(struct watch *w)
{
	sp_u64 lost = __atomic_load_n(&w->live.t.state->events_lost, __ATOMIC_RELAXED);

	if (lost == w->lost)
		return;
	if (w->json)
		printf("{\"event\": \"lost\", \"count\": %llu}\n", lost - w->lost);
	else
		printf("%llu more not shown\n", lost - w->lost);
	fflush(stdout);
	w->lost = lost;
}

static int is_down(const struct watch *w)
{
	return access(w->live.dir, F_OK) != 0;
}

static int run(struct watch *w, struct ring_buffer *ring)
{
	sp_u64 renew_ns = 0, now;
	int rc;

	while (!is_done(w)) {
		now = sp_now_ns();
		if (now >= renew_ns) {
			if (is_down(w))
				return sp_fail(SP_EXIT_STATE, "the firewall was taken down");
			__atomic_store_n(&w->live.t.config->watch_until_ns, now + SP_LEASE_NS, __ATOMIC_RELAXED);
			if (!renew_ns)
				fprintf(stderr, "watching; Ctrl-C ends it\n");
			renew_ns = now + SP_RENEW_NS;
			sp_events_clock(&w->view);
			tell_lost(w);
		}
		rc = ring_buffer__poll(ring, SP_POLL_MS);
		if (rc == -EIO)
			return SP_EXIT_FAILED; /* sp_finish() says why */
		if (rc < 0 && rc != -EINTR)
			return sp_fail(SP_EXIT_FAILED, "can not read the events: %s", strerror(-rc));
	}
	return SP_EXIT_OK;
}

/* The ring has one reader: a second one would take events away from the first. */
static int take_turn(const struct watch *w)
{
	int fd = open(w->live.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return sp_fail(SP_EXIT_STATE, "the firewall was taken down");
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return sp_fail(SP_EXIT_FAILED, "another 'sally watch' is running here; end it first");
	}
	return 0; /* held until this process ends */
}

static int watch(struct watch *w)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct ring_buffer *ring;
	struct sp_err err;
	int rc = take_turn(w);

	if (rc)
		return rc;
	if (sp_events_open(&w->view, &w->live, &err))
		return sp_fail_err(&err);
	ring = ring_buffer__new(w->live.fd_events, on_event, w, NULL);
	if (!ring)
		return sp_fail(SP_EXIT_FAILED, "can not read the events: %s", strerror(errno));
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	w->start_ns = sp_now_ns();
	w->lost = w->live.t.state->events_lost;
	rc = run(w, ring);
	__atomic_store_n(&w->live.t.config->watch_until_ns, 0, __ATOMIC_RELAXED);
	tell_lost(w);
	ring_buffer__free(ring);
	sp_events_close(&w->view);
	return rc;
}

static int read_options(int argc, char **argv, struct watch *w)
{
	int c, rc = 0;

	opterr = 0;
	while (!rc && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'j')
			w->json = 1;
		else if (c == 'n' && sp_read_u64(optarg, 1, ~0ULL, &w->count))
			rc = sp_usage("--count wants a number", optarg);
		else if (c == 's' && sp_read_u64(optarg, 1, 1u << 30, &w->seconds))
			rc = sp_usage("--seconds wants a number", optarg);
		else if (c == ':' || c == '?')
			rc = sp_usage(c == ':' ? "this option wants a value" : "there is no such option",
				      argv[optind - 1]);
	}
	if (!rc && optind < argc)
		rc = sp_usage("unexpected argument", argv[optind]);
	return rc;
}

int sp_cmd_watch(int argc, char **argv)
{
	static struct watch w;
	struct sp_err err;
	int rc;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	rc = read_options(argc, argv, &w);
	if (rc)
		return rc;
	if (sp_live_open(&w.live, &err))
		return sp_fail_err(&err);
	rc = watch(&w);
	sp_live_close(&w.live);
	return rc;
}
