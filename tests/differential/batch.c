/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches: sequences are made one by one, and shuffled into each other as traffic is. */
#include <stdlib.h>
#include <string.h>

#include "sequence.h"

#define TOGETHER 4 /* sequences that go on at the same time */

static const char *const policies[] = {
	"open tcp/8080, udp/8080, icmp",
	"nat open",
	"forward tcp/443, udp/443 to 10.0.0.240\nopen icmp",
	"forward tcp/443, udp/443 to 10.0.0.240\nblock 198.51.100.16/28",
	"nat open\nforward tcp/443 to 10.0.0.240\nopen tcp/8080 rate 5/m",
};

struct seq_step *seq_add(struct maker *m, const struct talk *t, int end, const struct pkt *p)
{
	struct batch *b = m->b;
	struct seq_step *s;

	if (b->n % SEQ_STEPS_MAX == 0) {
		s = realloc(b->step, sizeof(*s) * (size_t)(b->n + SEQ_STEPS_MAX));
		if (!s)
			abort();
		b->step = s;
	}
	s = &b->step[b->n++];
	memset(s, 0, sizeof(*s));
	s->pkt = *p;
	s->sequence = (sp_u16)m->number;
	s->talk = t->number;
	s->from = end == t->outside_end ? SP_ZONE_OUTSIDE : t->self ? SP_ZONE_SELF : SP_ZONE_INSIDE;
	/* strangers may know the real address all the same, and write to it */
	s->to_mapped = m->translates && !t->self && end == t->outside_end && t->family == 4 && !one_in(&m->d, 40);
	return s;
}

static void address(struct talk *t, int end, int outside, sp_u8 host)
{
	static const sp_u8 v4[2][4] = { { 10, 0, 0, 0 }, { 198, 51, 100, 0 } };

	memset(t->addr[end], 0, 16);
	if (t->family == 4) {
		memcpy(t->addr[end], v4[outside], 4);
		t->addr[end][3] = host;
		return;
	}
	t->addr[end][0] = 0x2a;
	t->addr[end][3] = outside ? 2 : 1;
	t->addr[end][15] = host;
}

/* This machine itself is one end: an address of its own. */
static void address_self(struct talk *t, int end)
{
	static const sp_u8 me4[4] = { 192, 0, 2, 10 }, me6[16] = { 0x2a, 0, 0, 5, [15] = 0x10 };

	memset(t->addr[end], 0, 16);
	memcpy(t->addr[end], t->family == 6 ? me6 : me4, t->family == 6 ? 16 : 4);
}

/* From the outside to what a policy opens or leads inside, or not. */
static void begun_outside(struct maker *m, struct talk *t, sp_u8 host)
{
	t->outside_end = 0;
	t->port[0] = (sp_u16)(20000 + host * 100 + (int)roll(&m->d, 4));
	t->port[1] = one_in(&m->d, 2) ? 443 : 8080;
	address(t, 0, 1, host);
	address(t, 1, 0, 240);
	t->self = t->port[1] == 8080;
	if (t->self)
		address_self(t, 1);
}

static void new_talk(struct maker *m)
{
	static const sp_u8 protos[] = { 6, 6, 6, 6, 6, 6, 6, 6, 17, 17, 17, 1, 1, 132, 47, 50, 136 };
	struct talk *t = &m->talk[m->talks], *first = m->talks ? &m->talk[0] : NULL;
	const sp_u8 host = (sp_u8)(16 + 2 * m->number);

	memset(t, 0, sizeof(*t));
	t->number = (sp_u16)m->b->talks++;
	t->family = first ? first->family : one_in(&m->d, 3) ? 6 : 4;
	t->proto = first && one_in(&m->d, 2) ? first->proto : protos[roll(&m->d, sizeof(protos))];
	if (t->family == 6 && t->proto == 1)
		t->proto = 58;
	t->outside_end = 1;
	t->port[0] = (sp_u16)(20000 + m->number * 100 + (int)roll(&m->d, 20));
	if (one_in(&m->d, 20))
		t->port[0] = (sp_u16)roll(&m->d, 1024);
	t->port[1] = (sp_u16)(one_in(&m->d, 3) ? 80 : 53);
	if (first && one_in(&m->d, 2)) /* two inside that would like the same port */
		t->port[0] = first->port[0];
	address(t, 0, 0, (sp_u8)(host + (first ? 1 : 0)));
	address(t, 1, 1, first && one_in(&m->d, 2) ? (sp_u8)(host + 1) : host);
	if (m->kind == SEQ_ENGINES && first && first->outside_end && one_in(&m->d, 3)) {
		/* the same two, about the same, once more: what was decided of the one may do for the other */
		memcpy(t->addr, first->addr, sizeof(t->addr));
		t->self = first->self;
		t->proto = first->proto;
		t->port[0] = (sp_u16)(first->port[0] + 1);
		t->port[1] = first->port[1];
	} else if (m->kind == SEQ_ENGINES && one_in(&m->d, 10)) {
		t->self = 1;
		address_self(t, 0);
	} else if ((m->has_policy && one_in(&m->d, 2)) || one_in(&m->d, 15)) {
		if (m->kind == SEQ_ENGINES)
			begun_outside(m, t, host);
	}
	talk_begin(m, t);
	m->talks++;
}

/* Times that make a difference: about the timeouts of core/abi.h. */
static sp_u32 some_time(struct maker *m)
{
	static const sp_u32 seconds[] = { 1,   2,   29,  30,  31,  59,  60,  61,   119,
					  120, 121, 239, 240, 241, 300, 301, 3600, 7441, 86401 };

	if (m->kind == SEQ_LINUX || !one_in(&m->d, 25))
		return one_in(&m->d, 4) ? roll(&m->d, 40) : 0;
	return seconds[roll(&m->d, sizeof(seconds) / sizeof(seconds[0]))] * 1000 + roll(&m->d, 3) - 1;
}

static void one_step(struct maker *m)
{
	struct talk *t = &m->talk[roll(&m->d, (sp_u32)m->talks)];
	int end = talk_who_speaks(m, t), before = m->b->n;
	struct pkt p;

	if (one_in(&m->d, 14)) {
		end = (int)roll(&m->d, 2);
		odd_error(m, t, end, &p);
		seq_add(m, t, !end, &p);
	} else {
		talk_natural(m, t, end, &p);
		if (t->proto == 6 && one_in(&m->d, 3))
			odd_tcp(m, t, end, &p);
		else if (one_in(&m->d, 12))
			odd_packet(m, t, &p);
		if (p.body != PKT_BODY_SCTP && one_in(&m->d, 14)) {
			odd_pieces(m, t, end, &p);
		} else {
			seq_add(m, t, end, &p);
			if (one_in(&m->d, 30)) /* comes twice */
				seq_add(m, t, end, &p);
		}
		if (!p.bad_sum && !(p.flags & 4))
			talk_sent(t, end, &p);
	}
	if (m->b->n > before)
		m->b->step[before].wait_ms = some_time(m);
	if (t->proto == 6 && t->peer[0].fin && t->peer[1].fin && one_in(&m->d, 3))
		talk_begin(m, t); /* the same ends once more */
}

static void one_sequence(struct maker *m)
{
	const int end = m->b->n + 6 + (int)roll(&m->d, 18);

	m->talks = 0;
	new_talk(m);
	if (one_in(&m->d, 3))
		new_talk(m);
	while (m->b->n < end)
		one_step(m);
}

/* Takes the steps of sequences of which a few go on at once. */
static void shuffle(struct maker *m, const struct seq_step *from, int n, struct seq_step *to)
{
	int at[SEQ_PER_BATCH + 1], end[SEQ_PER_BATCH + 1], count = 0, done = 0, left = n;

	for (int i = 0; i < n; i++)
		if (!i || from[i].sequence != from[i - 1].sequence) {
			if (count)
				end[count - 1] = i;
			at[count++] = i;
		}
	end[count - 1] = n;
	while (left) {
		const int among = count - done < TOGETHER ? count - done : TOGETHER;
		const int k = done + (int)roll(&m->d, (sp_u32)among);

		if (at[k] < end[k]) {
			to[n - left--] = from[at[k]++];
			continue;
		}
		while (done < count && at[done] == end[done])
			done++;
	}
}

void batch_make(struct batch *b, sp_u64 seed, enum seq_kind kind, int sequences)
{
	/* identifications differ from batch to batch: Linux may still hold pieces of the one before */
	struct dice first = { seed ^ 0x5a11e9043ULL };
	struct maker m = { .kind = kind, .b = b, .ip_id = (sp_u16)(kind == SEQ_LINUX ? seed * 499 : 0) };
	struct seq_step *to;

	/* not the seed itself: the dice of neighbours would roll the same, one later */
	m.d.state = (sp_u64)roll(&first, 0xffffffffu) << 32 | roll(&first, 0xffffffffu);
	memset(b, 0, sizeof(*b));
	b->seed = seed;
	b->sequences = sequences;
	m.translates = b->translates = seed % 2 == 0;
	if (kind == SEQ_ENGINES && one_in(&m.d, 3)) {
		b->policy = policies[roll(&m.d, sizeof(policies) / sizeof(policies[0]))];
		m.has_policy = 1;
	}
	if (kind == SEQ_ENGINES && one_in(&m.d, 4))
		b->unanswered_max = 4 + roll(&m.d, 30);
	for (m.number = 0; m.number < sequences; m.number++)
		one_sequence(&m);
	to = malloc(sizeof(*to) * (size_t)b->n);
	if (!to)
		abort();
	shuffle(&m, b->step, b->n, to);
	free(b->step);
	b->step = to;
}

void batch_free(struct batch *b)
{
	for (int i = 0; i < b->n; i++)
		pkt_free(&b->step[i].pkt);
	free(b->step);
	memset(b, 0, sizeof(*b));
}
