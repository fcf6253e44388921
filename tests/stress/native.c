/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The native engine from several threads, with ThreadSanitizer, which must find nothing, and without: every packet that
 * belongs must pass, and the table must be in order afterwards.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

static const sp_u64 secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

static void judge(struct bench *b, int thread, const struct sp_engine_packet *p, struct sp_engine_result *out)
{
	sp_engine_packet(b->e, p, b->counters[thread], out);
}

/*
 * The same at the end of a batch: between the look ahead, which finds its conversation, and the decision lie packets of
 * strangers, who are refused, and whatever the other threads do meanwhile.
 */
#define BEFORE 7

static void judge_batch(struct bench *b, int thread, const struct sp_engine_packet *p, struct sp_engine_result *out)
{
	static __thread sp_u32 strange;
	struct sp_engine_packet in[BEFORE + 1];
	struct sp_engine_result r[BEFORE + 1];
	sp_u8 frame[BEFORE][14 + SP_CRAFT_MAX];

	for (int i = 0; i < BEFORE; i++) {
		struct sp_craft c = { .proto = 17, .payload = 1 };
		int len;

		craft_ends(&c, 0, 0xc0000200u, 0xc6336402u, (sp_u16)strange++, 1);
		len = sp_craft(&c, frame[i] + 14);
		memcpy(frame[i], p->data, 14);
		in[i] = (struct sp_engine_packet){ .data = frame[i], .len = 14 + (sp_u32)(len > 0 ? len : 0),
						   .now_ns = p->now_ns, .zone = SP_ZONE_OUTSIDE };
	}
	in[BEFORE] = *p;
	sp_engine_packets(b->e, in, r, BEFORE + 1, b->counters[thread]);
	for (int i = 0; i < BEFORE; i++) {
		if (r[i].verdict != SP_PASS)
			continue;
		complain("%s: a stranger was let in", b->name);
		__atomic_fetch_add(&b->failures, 1, __ATOMIC_RELAXED);
	}
	*out = r[BEFORE];
}

/* As the program at XDP does it, by a precedent of everything. */
static void judge_pair(struct bench *b, int thread, const struct sp_engine_packet *p, struct sp_engine_result *out)
{
	if (!pair_begin(b, thread, p, out))
		judge(b, thread, p, out);
}

static int by_pair(struct bench *b, sp_u8 zone)
{
	return __atomic_load_n(&b->gone[0], __ATOMIC_RELAXED) || __atomic_load_n(&b->gone[1], __ATOMIC_RELAXED);
}

static int translate(struct bench *b, sp_u32 me, const char *policy)
{
	struct sp_image image;
	int rc = stress_image(policy, &image);

	if (!rc)
		b->e->images[b->e->t.config->generation % SP_IMAGE_SLOTS] = image.v;
	b->e->side.inside4_net = htonl(0x0a000000);
	b->e->side.inside4_mask = htonl(0xff000000);
	if (!rc)
		rc = sp_engine_nat(b->e, 1);
	if (!rc) {
		b->e->t.nat->slot[0] = (struct sp_nat_slot){ htonl(me), 0, SP_SLOT_MAPS };
		b->e->t.nat->used = 1;
	}
	return rc;
}

static void show_reasons(struct bench *b)
{
	printf("      ");
	for (int i = 0; i < SP_REASON_COUNT; i++) {
		sp_u64 n = 0;

		for (int t = 0; t < STRESS_THREADS; t++)
			n += b->counters[t][i].packets;
		if (n)
			printf(" %s %llu", sp_reason_name((unsigned)i), n);
	}
	printf("\n");
}

struct part {
	const char *name;
	void (*run)(struct bench *b, int ms);
	sp_u32 capacity;
	int threads, john_inside;
	judge_fn *judge; /* NULL: packet by packet */
};

static void run(const struct part *part, int ms)
{
	struct bench *b = calloc(1, sizeof(*b));
	int rest, empty;

	if (!b)
		return result(0, "%s: no memory", part->name);
	b->name = part->name;
	b->e = sp_engine_new(part->capacity, part->john_inside ? SP_CONFIG_GATEWAY : 0, secret);
	b->judge = part->judge ? part->judge : judge;
	b->threads = part->threads;
	b->translate = translate;
	b->by_precedent = part->judge == judge_pair ? by_pair : NULL;
	b->john_inside = part->john_inside;
	b->now_ns = STRESS_BASE_NS;
	for (int i = 0; i < STRESS_THREADS; i++)
		b->cpu[i] = -1;
	if (part->run == begin_at_once)
		find_cpus(b->cpu);
	part->run(b, part->run == collide ? 2 * ms : ms); /* it looks for the narrowest of windows */
	show_reasons(b);
	rest = check_rest(b);
	empty = check_empty(b);
	result(!b->failures && !rest && !empty && b->packets > 200 && b->retries * 100 <= b->packets,
	       "%s, %d threads: %llu packets, %llu lives, %llu judged again because busy; %llu failures, "
	       "%d violations at rest, %d after 25 hours",
	       part->name, part->threads, b->packets, b->lives, b->retries, b->failures, rest, empty);
	for (int i = 0; i < SP_IMAGE_SLOTS; i++)
		free(b->e->images[i]);
	sp_engine_free(b->e);
	free(b);
}

/* usage: stress-... [MILLISECONDS [WORDS]]: only parts in whose name those words are */
int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "native: the same connections, John is this machine", tcp_same, 1120, 2, 0, NULL },
		{ "native: the same connections, John is inside", tcp_same, 1120, 3, 1, NULL },
		{ "native: each thread its own connections", tcp_disjoint, 1120, 4, 1, NULL },
		{ "native: one beginning from all threads at once", collide, 1120, 2, 1, NULL },
		{ "native: nearly full", churn_near_full, 1120, 2, 1, NULL },
		{ "native: nearly full, a table of two sets", churn_near_full, 56, 3, 0, NULL },
		{ "native: translation", nat_churn, 1120, 3, 1, NULL },
		{ "native: translation, nearly full", nat_churn, 280, 3, 1, NULL },
		{ "native: translated beginnings from both at once", begin_at_once, 560, 3, 1, NULL },
		{ "native: the same, a table of four sets", begin_at_once, 112, 3, 1, NULL },
		{ "pairs: translated beginnings from both at once", begin_at_once, 560, 3, 1, judge_pair },
		{ "pairs: the same, a table of four sets", begin_at_once, 112, 3, 1, judge_pair },
		{ "batches: the same connections, John is inside", tcp_same, 1120, 3, 1, judge_batch },
		{ "batches: one beginning from all threads at once", collide, 1120, 2, 1, judge_batch },
		{ "batches: nearly full", churn_near_full, 1120, 2, 1, judge_batch },
		{ "batches: translation, nearly full", nat_churn, 280, 3, 1, judge_batch },
	};
	const int ms = argc > 1 ? atoi(argv[1]) : 2000;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc < 3 || strstr(parts[i].name, argv[2]))
			run(&parts[i], ms);
	return result_end();
}
