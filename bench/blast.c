// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sends packets through a gateway and says how long they took. Orders come in on standard input, a line each; an answer is a
 * line of JSON. Namespaces and cables are there already (bench.py makes them).
 *
 *   gateway drop|redirect|fib|none     a program without state on the gateway's inside
 *   warm FLOWS                         every flow once, answered by the sink
 *   run FLOWS random|new PACKETS FIRST how long PACKETS take to the sink (or, with `gateway drop`, to the gateway)
 *   come ADDRESS PACKETS               the same of PACKETS from the outside, each a new flow, to 10.1.1.1: they call ADDRESS
 *   stream FLOWS                       packets until another line comes; how many were lost, the longest time without one
 *   engine FLOWS PACKETS               what the gateway's XDP program takes alone (after `warm`); an empty one in its place
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "bench.skel.h"

#define BATCH 64
#define CALL 100000 /* packets a system call */
#define STREAM_CALL 400000 /* the same, where a signal ends it: between two calls the kernel waits some 20 ms */

enum place { GEN, GW, SINK, PLACES };

struct blast {
	struct bench *kernel;
	int ns[PLACES];
	unsigned int lan, wan; /* of the gateway */
	int drops; /* the gateway has a program of ours that drops */
	char softirqd[64];
};

static int enter(struct blast *b, enum place place)
{
	return setns(b->ns[place], CLONE_NEWNET) ? -errno : 0;
}

static unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
}

/* What the thread that takes over this processor's packets when they get too many has run. */
static unsigned long long softirqd_ns(struct blast *b)
{
	unsigned long long ran = 0;
	FILE *f = fopen(b->softirqd, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu", &ran) != 1)
		ran = 0;
	fclose(f);
	return ran;
}

/* Where the kernel says that: of the ksoftirqd of the processor to which we are bound. */
static int find_softirqd(struct blast *b)
{
	char want[32], comm[32], path[64];
	struct dirent *e;
	DIR *proc = opendir("/proc");

	if (!proc)
		return -errno;
	snprintf(want, sizeof(want), "ksoftirqd/%d\n", sched_getcpu());
	while ((e = readdir(proc)) && !b->softirqd[0]) {
		const int pid = atoi(e->d_name);
		FILE *f = NULL;

		if (pid) {
			snprintf(path, sizeof(path), "/proc/%d/comm", pid);
			f = fopen(path, "re");
		}
		if (f && fgets(comm, sizeof(comm), f) && !strcmp(comm, want))
			snprintf(b->softirqd, sizeof(b->softirqd), "/proc/%d/schedstat", pid);
		if (f)
			fclose(f);
	}
	closedir(proc);
	return b->softirqd[0] ? 0 : -ESRCH;
}

/*
 * Processor time that packets have taken: ours, in which the kernel serves the interrupts that we cause, and that thread's.
 * What others on the machine take is not in it, as it is in the time on the wall.
 */
static unsigned long long cpu_ns(struct blast *b)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec + softirqd_ns(b);
}

/* ---- setting up --------------------------------------------------------------------------------------------------- */

static int attach(struct blast *b, enum place place, const char *dev, struct bpf_program *program)
{
	int rc = enter(b, place);

	if (rc)
		return rc;
	return bpf_xdp_attach((int)if_nametoindex(dev), bpf_program__fd(program), XDP_FLAGS_DRV_MODE, NULL);
}

static int set_up(struct blast *b, char **names)
{
	char path[256];
	int rc;

	for (int i = 0; i < PLACES; i++) {
		snprintf(path, sizeof(path), "/run/netns/%s", names[i]);
		b->ns[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (b->ns[i] < 0)
			return -errno;
	}
	b->kernel = bench__open_and_load();
	if (!b->kernel)
		return -errno;
	rc = attach(b, GEN, "g0", b->kernel->progs.bench_home);
	if (!rc)
		b->kernel->bss->orders.out = if_nametoindex("g0");
	if (!rc)
		rc = attach(b, SINK, "s0", b->kernel->progs.bench_sink);
	if (!rc)
		rc = enter(b, GW);
	if (rc)
		return rc;
	b->lan = if_nametoindex("lan0");
	b->wan = if_nametoindex("wan0");
	b->kernel->bss->orders.gw_out = b->wan;
	return b->lan && b->wan ? 0 : -ENODEV;
}

static int set_gateway(struct blast *b, const char *what)
{
	struct bpf_program *program = NULL;

	b->drops = !strcmp(what, "drop");
	if (b->drops)
		program = b->kernel->progs.bench_gw_drop;
	else if (!strcmp(what, "redirect"))
		program = b->kernel->progs.bench_gw_redirect;
	else if (!strcmp(what, "fib"))
		program = b->kernel->progs.bench_gw_fib;
	else if (strcmp(what, "none") != 0)
		return -EINVAL;
	return program ? attach(b, GW, "lan0", program) : 0;
}

/* ---- sending ------------------------------------------------------------------------------------------------------ */

static int send_live(struct blast *b, enum place from, unsigned long packets, unsigned long most)
{
	char frame[BENCH_FRAME] = {};
	int rc = enter(b, from);

	while (!rc && packets) {
		const unsigned long n = packets < most ? packets : most;
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame), .repeat = (int)n,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);

		rc = bpf_prog_test_run_opts(bpf_program__fd(b->kernel->progs.bench_send), &o);
		packets -= n;
	}
	return rc;
}

/* Until nothing arrives any more: what is left in the cables is not of the next measurement. */
static void settle(struct blast *b)
{
	volatile struct bench_counts *c = &b->kernel->bss->counts;
	unsigned long long before;

	for (int i = 0; i < 100; i++) {
		before = c->arrived + c->home + c->dropped;
		usleep(2000);
		if (before == c->arrived + c->home + c->dropped)
			return;
	}
}

static int warm(struct blast *b, unsigned int flows)
{
	struct bench_orders *orders = &b->kernel->bss->orders;
	volatile struct bench_counts *c = &b->kernel->bss->counts;
	const struct bench_counts before = b->kernel->bss->counts;
	int rc;

	orders->flows = flows;
	orders->order = BENCH_IN_TURN;
	orders->next = 0;
	orders->echo = 1;
	rc = send_live(b, GEN, flows, CALL);
	settle(b);
	orders->echo = 0;
	if (rc)
		return rc;
	printf("{\"arrived\": %llu, \"answered\": %llu, \"bad\": %llu, \"ttl\": %u, \"source\": \"%u.%u.%u.%u\"}\n",
	       c->arrived - before.arrived, c->home - before.home, c->bad - before.bad, c->ttl, c->source & 255,
	       c->source >> 8 & 255, c->source >> 16 & 255, c->source >> 24);
	return 0;
}

/* Sends that many from there, and says what that took until they were counted. */
static int time_live(struct blast *b, enum place from, unsigned long packets, volatile unsigned long long *count)
{
	volatile struct bench_counts *c = &b->kernel->bss->counts;
	unsigned long long start, cpu, got, bad, took;
	int rc;

	settle(b);
	got = *count;
	bad = c->bad;
	cpu = cpu_ns(b);
	start = now_ns();
	rc = send_live(b, from, packets, CALL);
	took = now_ns() - start;
	cpu = cpu_ns(b) - cpu;
	if (!rc)
		printf("{\"sent\": %lu, \"arrived\": %llu, \"bad\": %llu, \"ns\": %llu, \"wall_ns\": %llu}\n", packets,
		       *count - got, c->bad - bad, cpu, took);
	return rc;
}

static int run(struct blast *b, unsigned int flows, const char *order, unsigned long packets, unsigned int first)
{
	struct bench_orders *orders = &b->kernel->bss->orders;
	struct bench_counts *counts = &b->kernel->bss->counts;

	orders->flows = flows;
	orders->order = strcmp(order, "new") ? BENCH_RANDOM : BENCH_NEW;
	orders->next = first;
	return time_live(b, GEN, packets, b->drops ? &counts->dropped : &counts->arrived);
}

static int come(struct blast *b, const char *address, unsigned long packets)
{
	struct bench_orders *orders = &b->kernel->bss->orders;
	struct in_addr called;
	int rc = enter(b, SINK);

	if (rc || inet_pton(AF_INET, address, &called) != 1)
		return rc ? rc : -EINVAL;
	orders->called = ntohl(called.s_addr);
	orders->order = BENCH_COME;
	orders->next = 0;
	orders->out = if_nametoindex("s0");
	rc = time_live(b, SINK, packets, &b->kernel->bss->counts.home);
	if (!rc)
		rc = enter(b, GEN);
	orders->out = if_nametoindex("g0");
	return rc;
}

/* The next order ends the system call that sends; it was sent whole batches until then. */
static void on_order(int signal)
{
	(void)signal;
}

static int stream(struct blast *b, unsigned int flows)
{
	struct bench_orders *orders = &b->kernel->bss->orders;
	volatile struct bench_counts *c = &b->kernel->bss->counts;
	struct pollfd more = { .fd = STDIN_FILENO, .events = POLLIN };
	struct sigaction act = { .sa_handler = on_order };
	unsigned long long start, cpu, got, took;
	int rc = 0;

	if (sigaction(SIGIO, &act, NULL) || fcntl(STDIN_FILENO, F_SETOWN, getpid()) ||
	    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_ASYNC))
		return -errno;

	orders->flows = flows;
	orders->order = BENCH_RANDOM;
	orders->next = 0;
	settle(b);
	c->last_ns = c->gap_ns = c->way_ns = 0;
	orders->watch = 1;
	got = c->arrived;
	cpu = cpu_ns(b);
	start = now_ns();
	while (!rc && !poll(&more, 1, 0)) {
		rc = send_live(b, GEN, STREAM_CALL, STREAM_CALL);
		rc = rc == -EINTR ? 0 : rc;
	}
	took = now_ns() - start;
	cpu = cpu_ns(b) - cpu;
	orders->watch = 0;
	settle(b);
	got = c->arrived - got;
	if (!rc)
		printf("{\"sent\": %u, \"arrived\": %llu, \"ns\": %llu, \"wall_ns\": %llu, "
		       "\"gap_ns\": %llu, \"way_ns\": %llu}\n",
		       orders->next, got, cpu, took, c->gap_ns, c->way_ns);
	return rc;
}

/* ---- a program alone ---------------------------------------------------------------------------------------------- */

/* ns a packet of the program `fd` behind the generator, packets coming in at `ifindex`. */
static int measure(struct blast *b, int fd, unsigned int ifindex, unsigned long packets, unsigned int *ns, unsigned int *got)
{
	char frame[BENCH_FRAME] = {};
	struct xdp_md ctx = { .data_end = BENCH_FRAME, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame), .repeat = (int)packets,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	const unsigned int key = 0;
	int rc = bpf_map_update_elem(bpf_map__fd(b->kernel->maps.measured), &key, &fd, BPF_ANY);

	if (!rc)
		rc = enter(b, GW);
	if (!rc)
		rc = bpf_prog_test_run_opts(bpf_program__fd(b->kernel->progs.bench_measure), &o);
	*ns = o.duration;
	*got = o.retval;
	return rc;
}

static int engine(struct blast *b, unsigned int flows, unsigned long packets)
{
	struct bench_orders *orders = &b->kernel->bss->orders;
	const int empty = bpf_program__fd(b->kernel->progs.bench_empty);
	unsigned int id, out, ns, nothing;
	int rc = enter(b, GW), fd;

	if (!rc)
		rc = bpf_xdp_query_id((int)b->lan, 0, &id);
	if (rc)
		return rc;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return -errno;
	orders->flows = flows;
	orders->order = BENCH_RANDOM;
	orders->next = 0;
	if (!rc)
		rc = measure(b, fd, b->lan, packets, &ns, &out);
	orders->next = 0;
	if (!rc)
		rc = measure(b, empty, b->lan, packets, &nothing, &id);
	close(fd);
	if (!rc)
		printf("{\"ns\": %u, \"empty_ns\": %u, \"verdict\": %u}\n", ns, nothing, out);
	return rc;
}

/* How fast is this core just now? ns of a piece of work that fits its registers and keeps its units busy. */
static void pace(void)
{
	unsigned long long start, took, least = -1ULL;

	for (int n = 0; n < 3; n++) {
		volatile unsigned long long end;
		unsigned long long a = 1, b = 2, c = 3, d = 4;

		start = now_ns();
		for (int i = 0; i < 200000; i++) {
			a ^= a << 13 ^ i;
			b ^= b >> 7 ^ i;
			c += c << 5 ^ i;
			d += d >> 3 ^ i;
		}
		end = a ^ b ^ c ^ d;
		(void)end;
		took = now_ns() - start;
		least = took < least ? took : least;
	}
	printf("{\"ns\": %llu}\n", least);
}

/* ---- orders ------------------------------------------------------------------------------------------------------- */

static int obey(struct blast *b, const char *line)
{
	unsigned int flows, first;
	unsigned long packets;
	char word[16];
	int rc;

	if (sscanf(line, "gateway %15s", word) == 1) {
		rc = set_gateway(b, word);
		if (!rc)
			puts("{}");
		return rc;
	}
	if (sscanf(line, "warm %u", &flows) == 1 && flows)
		return warm(b, flows);
	if (sscanf(line, "run %u %15s %lu %u", &flows, word, &packets, &first) == 4 && flows)
		return run(b, flows, word, packets, first);
	if (sscanf(line, "come %15s %lu", word, &packets) == 2)
		return come(b, word, packets);
	if (sscanf(line, "stream %u", &flows) == 1 && flows)
		return stream(b, flows);
	if (sscanf(line, "engine %u %lu", &flows, &packets) == 2 && flows)
		return engine(b, flows, packets);
	if (!strcmp(line, "pace\n")) {
		pace();
		return 0;
	}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	struct blast b = {};
	char line[256];
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: blast GENERATOR GATEWAY SINK (namespaces)\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* short, and before others: what they take would be counted as ours */
	if (setpriority(PRIO_PROCESS, 0, -20))
		perror("blast: priority");
	rc = find_softirqd(&b);
	if (!rc)
		rc = set_up(&b, argv + 1);
	if (rc)
		fprintf(stderr, "blast: %s\n", strerror(-rc));
	while (!rc && fgets(line, sizeof(line), stdin)) {
		rc = strcmp(line, "stop\n") ? obey(&b, line) : 0;
		if (rc)
			fprintf(stderr, "blast: %s: %.*s\n", strerror(rc < 0 ? -rc : errno), (int)strcspn(line, "\n"), line);
	}
	bench__destroy(b.kernel);
	return rc ? 1 : 0;
}
