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
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define SP_LEASE_NS (3 * SP_NS_PER_S)
#define SP_RENEW_NS SP_NS_PER_S
#define SP_POLL_MS 100
#define SP_WATCH_RST 4 /* the flag's bit in a TCP header */

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
	struct sp_links links;
	int json;
	sp_u64 count, seconds; /* 0: no end */
	sp_u64 shown, start_ns, lost;
	sp_u64 wall_offset_ns; /* wall clock minus boot clock */
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static void read_wall_clock(struct watch *w)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	w->wall_offset_ns = (sp_u64)ts.tv_sec * SP_NS_PER_S + (sp_u64)ts.tv_nsec - sp_now_ns();
}

static void local_time(const struct watch *w, sp_u64 ns, const char *format, char out[40])
{
	sp_u64 wall = ns + w->wall_offset_ns;
	time_t s = (time_t)(wall / SP_NS_PER_S);
	struct tm tm;
	size_t n;

	localtime_r(&s, &tm);
	n = strftime(out, 32, format, &tm);
	snprintf(out + n, 40 - n, ".%03u", (unsigned)(wall / 1000000 % 1000));
}

/* Which way it went, seen from those who are guarded. */
static const char *what_happened(const struct sp_event *e)
{
	int from_outside = e->zone == SP_ZONE_OUTSIDE;

	switch (e->kind) {
	case SP_EVENT_DROP:
		return "stopped";
	case SP_EVENT_CLOSED:
		return "closed";
	default:
		return from_outside ? "let in" : "let out";
	}
}

static const char *kind_name(unsigned kind)
{
	static const char *const names[] = { [SP_EVENT_NONE] = "none",	       [SP_EVENT_DROP] = "drop",
					     [SP_EVENT_NEW] = "new",	       [SP_EVENT_ANSWERED] = "answered",
					     [SP_EVENT_CLOSED] = "closed" };

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

/* What a person wants to read: for the end of a conversation how it ended, else why the packet was decided so. */
static const char *sentence(const struct sp_event *e)
{
	if (e->kind != SP_EVENT_CLOSED)
		return sp_reason_text(e->reason);
	return e->tcp_flags & SP_WATCH_RST ? "its sender has reset the conversation" :
					     "both ends have closed the conversation";
}

static const char *icmp_name(const struct sp_event *e)
{
	static const struct {
		sp_u8 proto, type;
		const char *name;
	} names[] = {
		{ 1, 0, " (echo reply)" },	   { 1, 3, " (unreachable)" },	  { 1, 5, " (redirect)" },
		{ 1, 8, " (echo request)" },	   { 1, 11, " (time exceeded)" }, { 58, 1, " (unreachable)" },
		{ 58, 2, " (packet too big)" },	   { 58, 3, " (time exceeded)" }, { 58, 128, " (echo request)" },
		{ 58, 129, " (echo reply)" },	   { 58, 133, " (router solicitation)" },
		{ 58, 134, " (router advertisement)" }, { 58, 135, " (neighbour solicitation)" },
		{ 58, 136, " (neighbour advertisement)" }, { 58, 137, " (redirect)" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].proto == e->proto && names[i].type == e->icmp_type)
			return names[i].name;
	return "";
}

static void print_text(const struct watch *w, const struct sp_event *e)
{
	char when[40], src[SP_ENDPOINT_TEXT], dst[SP_ENDPOINT_TEXT], proto[8];

	local_time(w, e->time_ns, "%H:%M:%S", when);
	printf("%s %-8s ", when, what_happened(e));
	if (e->family == SP_FAMILY_NONE) {
		printf("a frame of %u bytes", e->len);
	} else {
		sp_text_endpoint(src, &e->src, e->family, e->proto, sp_ntoh16(e->sport));
		sp_text_endpoint(dst, &e->dst, e->family, e->proto, sp_ntoh16(e->dport));
		printf("%-6s %s -> %s%s", sp_text_proto(e->proto, proto), src, dst, icmp_name(e));
	}
	printf("  %s: %s\n", e->kind == SP_EVENT_CLOSED ? "closed" : sp_reason_name(e->reason), sentence(e));
}

static void json_end(struct sp_json *j, const struct sp_event *e, const struct sp_addr *a, sp_be16 port, const char *name,
		     const char *port_name)
{
	char text[SP_ADDR_TEXT];

	sp_text_addr(text, a, e->family);
	sp_json_str(j, name, text);
	if (sp_proto_has_ports(e->proto))
		sp_json_u64(j, port_name, sp_ntoh16(port));
}

static void print_json(struct watch *w, const struct sp_event *e)
{
	const struct sp_link *l = sp_links_by_index(&w->links, (int)e->ifindex);
	char when[40], proto[8];
	struct sp_json j;

	local_time(w, e->time_ns, "%Y-%m-%dT%H:%M:%S", when);
	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '{');
	sp_json_str(&j, "time", when);
	sp_json_str(&j, "event", kind_name(e->kind));
	sp_json_str(&j, "verdict", sp_reason_verdict(e->reason) == SP_PASS ? "pass" : "drop");
	sp_json_str(&j, "reason", sp_reason_name(e->reason));
	sp_json_str(&j, "text", sentence(e));
	if (e->family != SP_FAMILY_NONE) {
		sp_json_u64(&j, "family", e->family);
		sp_json_str(&j, "proto", sp_text_proto(e->proto, proto));
		json_end(&j, e, &e->src, e->sport, "src", "sport");
		json_end(&j, e, &e->dst, e->dport, "dst", "dport");
	}
	if (e->proto == 1 || e->proto == 58) {
		sp_json_u64(&j, "icmp_type", e->icmp_type);
		sp_json_u64(&j, "icmp_code", e->icmp_code);
		sp_json_u64(&j, "id", sp_ntoh16(e->sport));
	}
	if (e->proto == 6)
		sp_json_u64(&j, "tcp_flags", e->tcp_flags);
	sp_json_str(&j, "zone", sp_zone_name(e->zone));
	sp_json_str(&j, "hook", e->hook == SP_HOOK_EGRESS ? "egress" : "ingress");
	sp_json_str(&j, "interface", l ? l->name : "");
	sp_json_u64(&j, "bytes", e->len);
	sp_json_u64(&j, "flow", e->flow);
	sp_json_close(&j);
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
	if (w->json)
		print_json(w, e);
	else
		print_text(w, e);
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
			read_wall_clock(w);
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
	if (sp_live_links(&w->live, &w->links, &err))
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
	sp_links_free(&w->links);
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
