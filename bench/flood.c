// SPDX-License-Identifier: BSD-2-Clause
/*
 * A flood that ends by itself: so many packets a second, for so many seconds, out of one interface of this network
 * namespace. What it did comes out as a line of JSON. The program that makes the packets runs as a BPF test run with live
 * frames: into a virtual cable they get only if its other end has GRO on, or an XDP program. A slow flood goes through a
 * socket and sleeps.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "flood.h"
#include "flood.skel.h"

#define BATCH 64
#define CALL 2000000 /* packets a system call; the fast ones */
#define SECONDS_MOST 60 /* a flood that is forgotten must end */
#define SLOW_MOST 100000 /* packets a second; more of them the kernel sends by itself, from pages */
#define TICK_NS 2000000ull
#define SLACK_NS 100000000ull

static const char *const kinds[FLOOD_KINDS] = { "syn", "ack", "rst", "udp", "piece", "ping" };

static unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
}

static unsigned int frame_len(const struct flood *f)
{
	return (f->bss->orders.family == 4 ? FLOOD_FRAME4 : FLOOD_FRAME6) + FLOOD_TAIL;
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- fast: the kernel sends what the program makes, page after page ------------------------------------------------- */

static int live_frames(struct flood *f, unsigned long n)
{
	char frame[FLOOD_FRAME6 + FLOOD_TAIL] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = frame_len(f), .repeat = (int)n,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);

	return bpf_prog_test_run_opts(bpf_program__fd(f->progs.flood_send), &o);
}

/* A call takes some 30 ms to begin and to end, so the program itself keeps to the rate: it makes nothing before its time. */
static int flood_fast(struct flood *f, unsigned long rate, unsigned long long end)
{
	int rc = 0;

	f->bss->orders.every_ns = rate ? (unsigned int)(1000000000ul / rate) : 0;
	f->bss->orders.due_ns = now_ns();
	f->bss->orders.until_ns = end;
	while (!rc && now_ns() < end)
		rc = live_frames(f, CALL);
	return rc;
}

/* ---- slow: packet by packet through a socket, asleep in between ------------------------------------------------------ */

static int one_frame(struct flood *f, int sock, const struct sockaddr_ll *to)
{
	char in[FLOOD_FRAME6 + FLOOD_TAIL] = { 0 }, out[sizeof(in)];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in, .data_size_in = frame_len(f), .data_out = out,
		    .data_size_out = sizeof(out), .repeat = 1);
	int rc = bpf_prog_test_run_opts(bpf_program__fd(f->progs.flood_send), &o);

	if (rc)
		return rc;
	/* a queue that is full loses packets, as a cable would */
	if (sendto(sock, out, o.data_size_out, 0, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != ENOBUFS)
		return -errno;
	return 0;
}

static void sleep_until(unsigned long long ns)
{
	const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int flood_slow(struct flood *f, unsigned long rate, unsigned long long end)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)f->bss->orders.out, .sll_halen = 6 };
	const int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	const unsigned long n = rate * TICK_NS / 1000000000ull + 1;
	unsigned long long due = now_ns();
	int rc = 0;

	if (sock < 0)
		return -errno;
	while (!rc && now_ns() < end) {
		for (unsigned long i = 0; i < n && !rc; i++)
			rc = one_frame(f, sock, &to);
		due += n * 1000000000ull / rate;
		sleep_until(due);
		if (now_ns() > due + SLACK_NS)
			due = now_ns() - SLACK_NS; /* it is too late for what should have been sent before */
	}
	close(sock);
	return rc;
}

static int flood(struct flood *f, unsigned long rate, double seconds)
{
	const unsigned long long start = now_ns(), end = start + (unsigned long long)(seconds * 1e9);
	const int rc = rate && rate <= SLOW_MOST ? flood_slow(f, rate, end) : flood_fast(f, rate, end);
	const double took = (double)(now_ns() - start) / 1e9;

	if (!rc)
		printf("{\"sent\": %u, \"seconds\": %.3f, \"rate\": %.0f, \"cpu\": %.3f}\n", f->bss->orders.next, took,
		       f->bss->orders.next / took, cpu_s());
	return rc;
}

static int read_address(struct flood_orders *o, const char *source, const char *target)
{
	const int family = strchr(target, ':') ? AF_INET6 : AF_INET;

	o->family = family == AF_INET ? 4 : 6;
	return inet_pton(family, source, o->source) == 1 && inet_pton(family, target, o->target) == 1 ? 0 : -EINVAL;
}

static int read_mac(unsigned char *mac, const char *text)
{
	const int n = sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]);

	return n == 6 ? 0 : -EINVAL;
}

static int read_orders(struct flood_orders *o, char **argv)
{
	int rc = read_address(o, argv[5], argv[7]);

	for (o->kind = 0; o->kind < FLOOD_KINDS && strcmp(kinds[o->kind], argv[4]) != 0; o->kind++)
		;
	o->out = if_nametoindex(argv[1]);
	o->sources = (unsigned int)strtoul(argv[6], NULL, 10);
	o->port = (unsigned int)strtoul(argv[8], NULL, 10);
	rc = rc ? rc : read_mac(o->from_mac, argv[2]);
	rc = rc ? rc : read_mac(o->to_mac, argv[3]);
	if (rc || o->kind == FLOOD_KINDS || !o->sources || (o->sources & (o->sources - 1)) || o->port > 65535)
		return -EINVAL;
	if (o->family == 6 && o->kind == FLOOD_PIECE)
		return -EINVAL;
	return o->out ? 0 : -ENODEV;
}

int main(int argc, char **argv)
{
	struct flood_orders orders = { 0 };
	struct flood *f;
	double seconds;
	int rc;

	if (argc != 11) {
		fprintf(stderr, "usage: flood DEV FROM-MAC TO-MAC syn|ack|rst|udp|piece|ping SOURCE HOW-MANY TARGET PORT "
			"RATE SECONDS\n");
		return 2;
	}
	rc = read_orders(&orders, argv);
	seconds = atof(argv[10]);
	if (rc || seconds <= 0 || seconds > SECONDS_MOST) {
		fprintf(stderr, "flood: %s\n", strerror(rc ? -rc : EINVAL));
		return 2;
	}
	f = flood__open_and_load();
	if (!f)
		return 1;
	f->bss->orders = orders;
	rc = flood(f, strtoul(argv[9], NULL, 10), seconds);
	if (rc)
		fprintf(stderr, "flood: %s\n", strerror(rc < 0 ? -rc : errno));
	flood__destroy(f);
	return rc ? 1 : 0;
}
