/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads, packets, clocks and results of the stress tests. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

#define RETRIES 2000
#define SHOWN 10
#define SPINS 200000 /* longer than it takes to wake up: else, once one has slept, both do each time */

static int passed, failed, skipped, complaints;
static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;

sp_u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (sp_u64)t.tv_sec * 1000 + (sp_u64)t.tv_nsec / 1000000;
}

/* xorshift: each thread has its own, so that threads do not wait for one another. */
sp_u32 random_next(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 17;
	w->random ^= w->random << 5;
	return w->random;
}

void advance(struct bench *b, sp_u64 ns)
{
	const sp_u64 now = __atomic_add_fetch(&b->now_ns, ns, __ATOMIC_RELAXED);

	if (b->clock)
		b->clock(b, now);
}

/* ---- packets ---------------------------------------------------------------------------------------------------- */

void craft_ends(struct sp_craft *c, int from_john, sp_u32 john, sp_u32 server, sp_u16 john_port, sp_u16 server_port)
{
	c->family = SP_IPV4;
	c->src.w32[0] = htonl(from_john ? john : server);
	c->dst.w32[0] = htonl(from_john ? server : john);
	c->sport = from_john ? john_port : server_port;
	c->dport = from_john ? server_port : john_port;
}

int send_ip(struct worker *w, int from_john, const sp_u8 *ip, sp_u32 len, sp_u8 *reason)
{
	static const sp_u8 ethernet[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };
	struct bench *b = w->b;
	sp_u8 frame[14 + SP_CRAFT_MAX];
	struct sp_engine_packet p = { .data = frame, .now_ns = __atomic_load_n(&b->now_ns, __ATOMIC_RELAXED) };
	struct sp_engine_result r = { 0 };

	memcpy(frame, ethernet, sizeof(ethernet));
	memcpy(frame + 14, ip, len);
	p.len = 14 + len;
	if (from_john) {
		p.zone = b->john_inside ? SP_ZONE_INSIDE : SP_ZONE_SELF;
		p.hook = b->john_inside ? SP_HOOK_INGRESS : SP_HOOK_EGRESS;
	} else {
		p.zone = SP_ZONE_OUTSIDE;
	}
	b->judge(b, w->thread, &p, &r);
	__atomic_fetch_add(&b->packets, 1, __ATOMIC_RELAXED);
	*reason = r.reason;
	return r.verdict == SP_PASS;
}

int send_packet(struct worker *w, int from_john, struct sp_craft *c, sp_u8 *reason)
{
	sp_u8 ip[SP_CRAFT_MAX];

	return send_ip(w, from_john, ip, (sp_u32)sp_craft(c, ip), reason);
}

int must_pass(struct worker *w, int from_john, struct sp_craft *c, const char *what)
{
	struct bench *b = w->b;
	sp_u8 reason = SP_R_NONE;

	for (int n = 0; n < RETRIES; n++) {
		if (send_packet(w, from_john, c, &reason))
			return 1;
		/* the kernel does not say why; its counters do, at the end */
		if (reason != SP_R_BUSY && (reason != SP_R_NONE || n > 20))
			break;
		__atomic_fetch_add(&b->retries, 1, __ATOMIC_RELAXED);
		sched_yield();
	}
	__atomic_fetch_add(&b->failures, 1, __ATOMIC_RELAXED);
	complain("%s: %s from %s was dropped: %s (seq %u ack %u flags %#x)", b->name, what,
		 from_john ? "john" : "the server", sp_reason_name(reason), c->seq, c->ack, c->tcp_flags);
	return 0;
}

struct sp_flow *find_flow(struct sp_engine *e, sp_u8 proto, sp_u32 john, sp_u32 server, sp_u16 jport, sp_u16 sport,
			  int *john_end)
{
	struct in_addr a = { htonl(john) }, s = { htonl(server) };
	struct sp_key key;
	sp_u32 at;

	*john_end = sp_key_make(&key, SP_IPV4, proto, &a, &s, jport, sport);
	at = sp_engine_find(e, &key);
	return at ? &e->t.flows[at - 1] : NULL;
}

int find_cpus(int cpu[2])
{
	cpu_set_t set;
	int n = 0;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET((size_t)i, &set))
			cpu[n++] = i;
	if (n == 1)
		cpu[1] = cpu[0];
	return n;
}

/* ---- threads ------------------------------------------------------------------------------------------------------ */

struct start {
	struct worker w;
	void (*fn)(struct worker *w);
};

static void *thread_main(void *arg)
{
	struct start *s = arg;
	const int cpu = s->w.b->cpu[s->w.thread];

	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
			complain("thread %d can not be put on processor %d", s->w.thread, cpu);
	}
	s->fn(&s->w);
	return NULL;
}

void run_threads(struct bench *b, void *work, void (*fn)(struct worker *w), int ms)
{
	struct start start[STRESS_THREADS] = { 0 };
	pthread_t id[STRESS_THREADS];
	int n = 0;

	b->deadline_ms = now_ms() + (sp_u64)ms;
	for (; n < b->threads; n++) {
		start[n].fn = fn;
		start[n].w = (struct worker){ .b = b, .work = work, .thread = n, .random = 2463534242u + 77u * (sp_u32)n };
		if (pthread_create(&id[n], NULL, thread_main, &start[n])) {
			complain("no thread");
			b->failures++;
			break;
		}
	}
	while (n--)
		pthread_join(id[n], NULL);
}

int meet(struct worker *w, struct meeting *m, int (*last)(struct worker *w))
{
	const sp_u32 round = __atomic_load_n(&m->round, __ATOMIC_RELAXED);

	if (__atomic_add_fetch(&m->arrived, 1, __ATOMIC_RELAXED) == m->senders) {
		if (last && !last(w))
			__atomic_store_n(&m->stop, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&m->arrived, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&m->round, round + 1, __ATOMIC_RELAXED);
	}
	for (int n = 0; __atomic_load_n(&m->round, __ATOMIC_RELAXED) == round; n++)
		if (n > SPINS)
			usleep(20); /* Linux 6.18 makes who yields again and again pay for all that it gave away */
	return !__atomic_load_n(&m->stop, __ATOMIC_RELAXED);
}

/* ---- results ------------------------------------------------------------------------------------------------------ */

void complain(const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&print_lock);
	if (complaints++ < SHOWN) {
		va_start(ap, fmt);
		fputs("  ", stdout);
		vprintf(fmt, ap);
		putchar('\n');
		va_end(ap);
	}
	pthread_mutex_unlock(&print_lock);
}

void result(int good, const char *fmt, ...)
{
	va_list ap;

	if (complaints > SHOWN)
		printf("  and %d more\n", complaints - SHOWN);
	complaints = 0;
	va_start(ap, fmt);
	printf("%s ", good ? "ok    " : "FAILED");
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	va_end(ap);
	passed += good;
	failed += !good;
}

void result_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("skipped ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	skipped++;
}

int result_end(void)
{
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed != 0;
}
