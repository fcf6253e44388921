/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live firewall under real packets of two processors. Run by tests/stress/live in two network namespaces:
 *
 *	stress-live echo		on the server: answers every datagram to ports 7 and 9
 *	stress-live SERVER		on the guarded computer: two threads on two processors
 *
 * The threads share the sockets of the kept conversations, so both processors are in the same entries, beside the answers
 * that come in; and they open many short ones, which the server's kernel answers with ICMP errors, until the small table
 * is full. Then: has every entry counted every packet that was sent, is the table in order, and does it become empty?
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../ctl/ctl.h"
#include "stress.h"

#define KEPT 48
#define ECHO_PORT 7
#define OTHER_PORT 9 /* answers the short ones */
#define SOURCES 16 /* addresses of the guarded computer, 5.5.0.16 and up */
#define CLOSED_PORT 4000 /* and so many above as it takes */
#define CLOSED_PORTS 20000u
#define RUN_MS 4000
#define EMPTY_MS 20000

static int echo(void)
{
	static const sp_u16 ports[2] = { ECHO_PORT, OTHER_PORT };
	struct pollfd fds[2];
	char data[64];

	for (int i = 0; i < 2; i++) {
		struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(ports[i]) };

		fds[i] = (struct pollfd){ .fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), .events = POLLIN };
		if (fds[i].fd < 0 || bind(fds[i].fd, (struct sockaddr *)&any, sizeof(any))) {
			perror("stress-live: echo");
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	while (poll(fds, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			struct sockaddr_in peer;
			socklen_t len = sizeof(peer);
			const ssize_t n = recvfrom(fds[i].fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &len);

			/* an answer that finds no room is lost, as on any network */
			if (n > 0 && sendto(fds[i].fd, data, (size_t)n, 0, (struct sockaddr *)&peer, len) < 0 &&
			    errno != ENOBUFS && errno != EAGAIN)
				perror("stress-live: answer");
		}
	return 1;
}

struct live_work {
	struct sockaddr_in server;
	int kept[KEPT], churn[SOURCES];
	sp_u64 sent[KEPT]; /* atomic */
	sp_u64 received;
};

static int open_sockets(struct live_work *work)
{
	work->server.sin_port = htons(ECHO_PORT);
	for (int i = 0; i < KEPT; i++) {
		work->kept[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (work->kept[i] < 0 || connect(work->kept[i], (struct sockaddr *)&work->server, sizeof(work->server)))
			return -1;
	}
	for (int i = 0; i < SOURCES; i++) {
		struct sockaddr_in me = { .sin_family = AF_INET };

		me.sin_addr.s_addr = htonl((ntohl(work->server.sin_addr.s_addr) & 0xffffff00) + 16 + (sp_u32)i);
		work->churn[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (work->churn[i] < 0 || bind(work->churn[i], (struct sockaddr *)&me, sizeof(me)))
			return -1;
	}
	return 0;
}

/* A question on a kept socket; both threads use all of them. Waits for nothing: answers are read as they come. */
static void ask(struct worker *w, struct live_work *work, int i)
{
	char data[64] = "are you there?";

	if (send(work->kept[i], data, 20, 0) == 20)
		__atomic_fetch_add(&work->sent[i], 1, __ATOMIC_RELAXED);
	while (recv(work->kept[i], data, sizeof(data), 0) > 0)
		__atomic_fetch_add(&work->received, 1, __ATOMIC_RELAXED);
}

/* A short one: from one of the lasting sockets to a port that nobody listens at, or from a new socket, answered. */
static void short_one(struct worker *w, struct live_work *work)
{
	const sp_u32 dice = random_next(w) >> 4;
	struct sockaddr_in to = work->server;
	int fd = work->churn[dice % SOURCES];

	to.sin_port = htons((sp_u16)(CLOSED_PORT + (dice >> 6) % CLOSED_PORTS));
	if (dice % 7 == 0) {
		to.sin_port = htons(OTHER_PORT);
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	}
	/* refused by the firewall or by the server: both are meant to happen */
	if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != ECONNREFUSED && errno != EPERM &&
	    errno != ENOBUFS && errno != EAGAIN)
		complain("sendto: %s", strerror(errno));
	if (dice % 7 == 0)
		close(fd);
}

/* Ends a conversation that is not one of the kept, as the tool does. */
static void end_one(struct worker *w)
{
	const struct sp_tables *t = &w->b->e->t;
	struct sp_flow *f = &t->flows[(random_next(w) >> 3) % t->config->capacity];

	if (sp_ntoh16(f->key.port[0]) != ECHO_PORT && sp_ntoh16(f->key.port[1]) != ECHO_PORT)
		sp_engine_end(f);
}

static void live_worker(struct worker *w)
{
	struct live_work *work = w->work;

	while (now_ms() < w->b->deadline_ms) {
		ask(w, work, (int)((random_next(w) >> 4) % KEPT));
		short_one(w, work);
		if (random_next(w) % 64 == 0)
			end_one(w);
		__atomic_fetch_add(&w->b->packets, 2, __ATOMIC_RELAXED);
	}
}

/* Packets that entry i has not counted. */
static sp_u64 uncounted(struct bench *b, struct live_work *work, int i)
{
	struct sockaddr_in me;
	socklen_t len = sizeof(me);
	struct sp_flow *f;
	int end;

	if (getsockname(work->kept[i], (struct sockaddr *)&me, &len))
		return work->sent[i];
	f = find_flow(b->e, 17, ntohl(me.sin_addr.s_addr), ntohl(work->server.sin_addr.s_addr), ntohs(me.sin_port),
		      ECHO_PORT, &end);
	if (!f || f->phase != SP_PHASE_UDP_ANSWERED)
		return work->sent[i];
	return work->sent[i] > f->packets[end] ? work->sent[i] - f->packets[end] : f->packets[end] - work->sent[i];
}

/* All kept ones are answered before the rush begins: later on their first question might be refused, and rightly. */
static int settle_in(struct bench *b, struct live_work *work)
{
	const sp_u64 deadline = now_ms() + 5000;
	struct worker w = { .b = b };

	for (int i = 0; i < KEPT; i++) {
		ask(&w, work, i);
		while (uncounted(b, work, i)) {
			if (now_ms() > deadline)
				return -1;
			usleep(1000);
		}
	}
	return 0;
}

static sp_u32 used(const struct sp_tables *t)
{
	sp_u32 n = 0;

	for (int i = 0; i < SP_CLASS_COUNT; i++)
		n += __atomic_load_n(&t->state->count[i], __ATOMIC_RELAXED);
	return n;
}

/* Ends all conversations as the tool does. Ordinary packets then make time for the sweeper. Returns how many are left. */
static sp_u32 empty(struct live_work *work, struct sp_tables *t)
{
	const sp_u64 deadline = now_ms() + EMPTY_MS;

	for (sp_u32 i = 0; i < t->config->capacity; i++)
		sp_engine_end(&t->flows[i]);
	while (used(t) > 1 && now_ms() < deadline) {
		if (send(work->kept[0], "x", 1, 0) < 0 && errno != ECONNREFUSED)
			break;
		usleep(5000);
	}
	return used(t);
}

/* Nothing is on its way any more when the counters of the entries stand still. */
static void settle(struct sp_tables *t)
{
	const sp_u64 deadline = now_ms() + 3000;
	sp_u64 before = 1, now = 0;

	while (before != now && now_ms() < deadline) {
		before = now;
		usleep(100000);
		now = 0;
		for (sp_u32 i = 0; i < t->config->capacity; i++)
			now += t->flows[i].packets[0] + t->flows[i].packets[1] + t->flows[i].lock;
	}
}

static void judge_live(struct bench *b, struct live_work *work, const struct sp_live *live, struct sp_err *err)
{
	struct sp_counter counters[SP_REASON_COUNT] = { 0 };
	sp_u64 lost = 0, sent = 0, busy;
	sp_u32 most = used(&b->e->t), left;
	int rest;

	settle(&b->e->t);
	if (sp_live_counters(live, counters, err))
		return result(0, "live: %s", err->text);
	busy = counters[SP_R_BUSY].packets;
	printf("      ");
	for (unsigned i = 0; i < SP_REASON_COUNT; i++)
		if (counters[i].packets)
			printf(" %s %llu", sp_reason_name(i), counters[i].packets);
	printf("\n");
	for (int i = 0; i < KEPT; i++) {
		sent += work->sent[i];
		lost += uncounted(b, work, i);
	}
	rest = check_rest(b);
	left = empty(work, &b->e->t);
	rest += check_rest(b);
	/* what was dropped as busy was sent and not counted; the server loses questions that come too fast */
	result(!rest && lost <= busy && busy * 1000 <= b->packets && work->received * 20 > sent && left <= 1 &&
		       most > b->e->t.config->capacity * 2 / 5,
	       "live: %llu packets of 2 processors, %llu in %d kept conversations, of which %llu were not counted; "
	       "%llu answers; %u of %u entries in use, %llu busy, %d violations at rest, %u left when all had ended",
	       b->packets, sent, KEPT, lost, work->received, most, b->e->t.config->capacity, busy, rest, left);
}

int main(int argc, char **argv)
{
	struct live_work *work = calloc(1, sizeof(*work));
	struct bench *b = calloc(1, sizeof(*b));
	struct sp_engine engine = { 0 };
	struct sp_err err = { 0 };
	struct sp_live live;
	cpu_set_t set;
	int n = 0;

	if (argc == 2 && !strcmp(argv[1], "echo"))
		return echo();
	if (argc != 2 || !work || !b || inet_pton(AF_INET, argv[1], &work->server.sin_addr) != 1) {
		fprintf(stderr, "usage: stress-live echo | SERVER\n");
		return 2;
	}
	work->server.sin_family = AF_INET;
	if (sp_live_open(&live, &err)) {
		fprintf(stderr, "stress-live: %s\n", err.text);
		return 1;
	}
	engine.t = live.t;
	*b = (struct bench){ .name = "live", .e = &engine, .threads = 2, .cpu = { -1, -1, -1, -1 } };
	CPU_ZERO(&set);
	if (!sched_getaffinity(0, sizeof(set), &set))
		for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
			if (CPU_ISSET((size_t)i, &set))
				b->cpu[n++] = i;
	if (open_sockets(work)) {
		perror("stress-live: sockets");
		return 1;
	}
	if (settle_in(b, work)) {
		fprintf(stderr, "stress-live: the server does not answer\n");
		return 1;
	}
	run_threads(b, work, live_worker, RUN_MS);
	judge_live(b, work, &live, &err);
	sp_live_close(&live);
	return result_end();
}
