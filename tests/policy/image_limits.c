/* SPDX-License-Identifier: BSD-2-Clause */
/* How large a configuration may be, what it costs to compile one, and that the price of a question does not grow with
 * it. */
#include "image_test.h"

#include "../../host/craft.h"
#include "../../host/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define PACKETS 20000
#define BATCH 100
#define ROUNDS 9
#define TRIES 5 /* so often as many rounds more, while the machine is too busy for a good one of each batch */
#define LINES_STEPS 5 /* so many at most does a large configuration add */
#define NETWORKS_STEPS 2

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double megabytes(const struct model *m)
{
	return m->image.n / 16384.0;
}

static sp_u32 peak_mb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (sp_u32)(u.ru_maxrss / 1024);
}

/* ---- what a first packet costs -------------------------------------------------------------------------------------
 */

struct bench {
	struct sp_engine *e;
	sp_u8 (*data)[64];
	sp_u32 len;
};

static void bench_init(struct bench *b)
{
	static const sp_u64 secret[2] = { 3, 4 };
	struct sp_craft c = { .family = SP_IPV4, .proto = SP_PROTO_TCP, .tcp_flags = SP_TCP_SYN };
	sp_u8 data[SP_CRAFT_MAX];

	b->e = sp_engine_new(4 * PACKETS, 0, secret);
	b->data = malloc(PACKETS * sizeof(*b->data));
	if (!b->e || !b->data)
		abort();
	b->e->side.zone_to = SP_ZONE_SELF;
	for (sp_u32 i = 0; i < PACKETS; i++) {
		struct talk t;

		large_talk(&t);
		memcpy(c.src.b, t.src, 16);
		memcpy(c.dst.b, t.dst, 16);
		c.sport = t.sport;
		c.dport = t.dport;
		b->len = (sp_u32)sp_craft(&c, data);
		memcpy(b->data[i], data, b->len);
	}
}

/* All packets, each of which begins a conversation; best_s: of each batch of them, what its quickest round took. */
static void bench_round(struct bench *b, struct sp_image_line *image, double *best_s)
{
	struct sp_engine_packet p = { .len = b->len, .bare_ip = 1, .zone = SP_ZONE_INSIDE, .now_ns = SP_NS_PER_S };
	struct sp_engine_result r;

	memset(b->e->t.sets, 0, b->e->t.config->sets * sizeof(*b->e->t.sets));
	memset(b->e->t.flows, 0, b->e->t.config->capacity * sizeof(*b->e->t.flows));
	memset(b->e->t.sketch, 0, SP_SKETCH_ROWS * SP_SKETCH_ROW * sizeof(*b->e->t.sketch));
	memset(b->e->t.state, 0, sizeof(*b->e->t.state));
	b->e->images[1] = image;
	for (sp_u32 batch = 0; batch < PACKETS / BATCH; batch++) {
		const double begin = cpu_s();
		double took;

		for (sp_u32 i = batch * BATCH; i < (batch + 1) * BATCH; i++) {
			p.data = b->data[i];
			sp_engine_packet(b->e, &p, NULL, &r);
		}
		took = cpu_s() - begin;
		best_s[batch] = took < best_s[batch] ? took : best_s[batch];
	}
}

static double sum_ns(const double *best_s)
{
	double ns = 0;

	for (int k = 0; k < PACKETS / BATCH; k++)
		ns += best_s[k] * 1e9 / PACKETS;
	return ns;
}

/*
 * What memory costs just now: as many steps through as much of it as an image takes, each of which waits for the last. Who
 * shares caches with this machine slows them down as they do questions about that image.
 */
struct walk {
	volatile sp_u64 (*line)[8];
	sp_u32 mask, at;
};

static void walk_init(struct walk *w, const struct model *m)
{
	for (w->mask = 1; 2 * w->mask <= m->image.n; w->mask *= 2)
		;
	w->line = calloc(w->mask, sizeof(*w->line));
	if (!w->line)
		abort();
	w->mask--;
	w->at = 0;
	for (sp_u32 i = 0; i <= w->mask; i++)
		w->line[i][0] = (i * 1664525u + 1013904223u) & w->mask; /* comes to each of them, in no order to foresee */
}

static void walk_round(struct walk *w, double *best_s)
{
	for (sp_u32 batch = 0; batch < PACKETS / BATCH; batch++) {
		const double begin = cpu_s();
		double took;

		for (sp_u32 i = 0; i < BATCH; i++)
			w->at = (sp_u32)w->line[w->at][0];
		took = cpu_s() - begin;
		best_s[batch] = took < best_s[batch] ? took : best_s[batch];
	}
}

/* What b adds to a, in steps. In turns, so that noise meets all; what a busy machine adds comes and goes. */
static void compare(struct bench *b, const struct model *m_a, const struct model *m_b, double most, const char *name,
		    const char *words)
{
	double best_s[3][PACKETS / BATCH], ns[3], steps = 0;
	struct walk w;

	walk_init(&w, m_b);
	for (int i = 0; i < 3 * PACKETS / BATCH; i++)
		best_s[i % 3][i / 3] = 1e9;
	for (int try = 0; try < TRIES; try++) {
		for (int i = 0; i < ROUNDS; i++) {
			bench_round(b, m_a->image.v, best_s[0]);
			bench_round(b, m_b->image.v, best_s[1]);
			walk_round(&w, best_s[2]);
		}
		for (int i = 0; i < 3; i++)
			ns[i] = sum_ns(best_s[i]);
		steps = (ns[1] - ns[0]) / ns[2];
		if (steps <= most)
			break;
	}
	check(name, steps <= most,
	      "a new conversation: %.0f ns %s %.0f ns: %.2f times; %.1f steps through as much memory more, at most %.0f",
	      ns[0], words, ns[1], ns[1] / ns[0], steps, most);
	free((void *)w.line);
}

static void test_lines(struct bench *b)
{
	char *few_text = many_lines(10, ""), *many_text = many_lines(LINES, "");
	struct model few, many;
	double begin, took;

	model_init(&few, few_text, "");
	begin = cpu_s();
	model_init(&many, many_text, "");
	took = cpu_s() - begin;
	check("limits/ten_thousand_lines", took < 5, "%.2f s, image of %.1f MB (10 lines: %.1f MB)", took,
	      megabytes(&many), megabytes(&few));
	compare(b, &few, &many, LINES_STEPS, "cost/ten_thousand_lines", "with 10 lines, with 10,000");
	model_fini(&few);
	model_fini(&many);
	free(few_text);
	free(many_text);
}

static void test_networks(struct bench *b)
{
	static const char none[] = "wan eth0\nlan eth1\nopen ssh\n";
	static const char with_set[] = "wan eth0\nlan eth1\nopen ssh\nset bad = file \"bad.txt\"\nblock bad\n";
	char *networks = many_networks(NETWORKS);
	struct model without, with;
	double begin, took;

	model_init(&without, none, "");
	begin = cpu_s();
	model_init(&with, with_set, networks);
	took = cpu_s() - begin;
	check("limits/a_million_networks", took < 3, "%.2f s, image of %.1f MB, %u MB at the peak", took,
	      megabytes(&with), peak_mb());
	compare(b, &without, &with, NETWORKS_STEPS, "cost/a_million_networks", "with no set, with a million networks");
	model_fini(&without);
	model_fini(&with);
	free(networks);
}

/* ---- what is too much is refused, with words, soon -----------------------------------------------------------------
 */

static void test_too_much(const char *name, sp_u32 n, const char *first, const char *second, const char *words)
{
	char *text = malloc(100 * (size_t)n), *at = text, why[300] = "";
	struct model m;
	double begin = cpu_s(), took;
	int err;

	if (!text)
		abort();
	for (sp_u32 i = 0; i < n; i++) {
		at += sprintf(at, first, 1 + i);
		at += sprintf(at, second, i >> 8, i & 0xff);
	}
	err = model_try(&m, text, "", why, sizeof(why));
	took = cpu_s() - begin;
	check(name, err == -E2BIG && strstr(why, words) && took < 20 && peak_mb() < 1000,
	      "%d: %s; %.1f s, %u MB", err, why, took, peak_mb());
	model_fini(&m);
	free(text);
}

void test_limits(void)
{
	struct bench b;

	bench_init(&b);
	test_networks(&b);
	test_lines(&b);
	/* each address that is blocked is a class, and each of those is in every set that an open line names */
	test_too_much("limits/too_many_combinations_are_refused", 3000, "open tcp/%u from 64.0.0.0/2\n",
		      "block 64.1.%u.%u\n", ": too many combinations of networks and services");
	test_too_much("limits/too_many_classes_are_refused", 20000, "open tcp/%u from 64.0.0.0/2\n",
		      "block 64.1.%u.%u\n", "overlap in too many ways");
	sp_engine_free(b.e);
	free(b.data);
}
