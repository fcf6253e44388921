/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes the packets of the native bench and the conversations that they belong to. */
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

#include "core/packet.h"

#define START_NS (86400 * SP_NS_PER_S)
#define STEP_NS 50 /* between packets: the sweeper works as it would at 20 million a second */
#define OURS4 0xcb007100u /* 203.0.113.0: the first of the addresses to translate to */

sp_u64 traffic_random(sp_u64 *state)
{
	sp_u64 z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

struct ends {
	sp_u32 src4, dst4; /* host order */
	sp_u16 sport, dport;
};

/* Conversation i: hosts in 10/8, each with some, to servers anywhere. */
static struct ends ends_of(const struct traffic *t, sp_u32 i)
{
	sp_u64 seed = i / 16, r = traffic_random(&seed);
	struct ends x = { .dport = 443 };

	x.src4 = 10u << 24 | ((i / 16) & 0xffffff);
	seed = ~(sp_u64)i;
	x.dst4 = 0xc6120000u | ((sp_u32)traffic_random(&seed) & 0x1ffff);
	x.sport = (sp_u16)(1024 + (r + i % 16) % 60000);
	return x;
}

static void put16(sp_u8 *at, sp_u32 v)
{
	at[0] = (sp_u8)(v >> 8);
	at[1] = (sp_u8)v;
}

static void put32(sp_u8 *at, sp_u32 v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static sp_u64 add(const sp_u8 *b, sp_u32 n)
{
	sp_u64 sum = 0;

	for (sp_u32 i = 0; i < n; i += 2)
		sum += (sp_u64)b[i] << 8 | b[i + 1];
	return sum;
}

static sp_u16 close_sum(sp_u64 sum)
{
	return (sp_u16)~sp_fold(sum);
}

static void make_tcp(sp_u8 *l4, int answers, sp_u32 flags)
{
	put32(l4 + 4, (answers ? 5000 : 1000) + !(flags & SP_TCP_SYN));
	put32(l4 + 8, flags & SP_TCP_ACK ? (answers ? 1001 : 5001) : 0);
	l4[12] = flags & SP_TCP_SYN ? 6 << 4 : 5 << 4;
	l4[13] = (sp_u8)flags;
	put16(l4 + 14, 64240);
	if (flags & SP_TCP_SYN)
		memcpy(l4 + 20, "\x03\x03\x07\x01", 4); /* window scale 7: windows are enforced */
}

/* 60 bytes of Ethernet: x, or its answer. flags: TCP. */
static void make(const struct traffic *t, sp_u8 *f, struct ends x, int answers, sp_u32 flags)
{
	sp_u8 *ip = f + 14, *l4 = f + 34;

	memset(f, 0, TRAFFIC_FRAME);
	f[12] = 8;
	ip[0] = 0x45;
	put16(ip + 2, 46);
	ip[8] = 64;
	ip[9] = t->proto;
	put32(ip + (answers ? 16 : 12), x.src4);
	put32(ip + (answers ? 12 : 16), x.dst4);
	put16(ip + 10, close_sum(add(ip, 20)));
	put16(l4 + (answers ? 2 : 0), x.sport);
	put16(l4 + (answers ? 0 : 2), x.dport);
	if (t->proto == SP_PROTO_TCP) {
		make_tcp(l4, answers, flags);
		put16(l4 + 16, close_sum(add(l4, 26) + add(ip + 12, 8) + 26 + t->proto));
	} else {
		put16(l4 + 4, 26);
		put16(l4 + 6, close_sum(add(l4, 26) + add(ip + 12, 8) + 26 + t->proto));
	}
}

/* Packet k of the block: of conversation i, where it comes in and where it leaves. */
static void place(struct traffic *t, sp_u32 k, sp_u32 i, int answers, sp_u32 flags)
{
	struct sp_engine_packet *in = &t->in[k], *out = &t->out[k];
	struct ends x = ends_of(t, i);

	if (answers && t->translated) {
		x.src4 = OURS4 + i % TRAFFIC_SLOTS;
		x.sport = t->port[i];
	}
	make(t, t->bytes[k], x, answers, flags);
	t->now_ns += STEP_NS;
	*in = (struct sp_engine_packet){ .data = t->bytes[k], .len = 60, .now_ns = t->now_ns, .ifindex = 100,
					 .zone = answers ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE, .hook = SP_HOOK_INGRESS,
					 .out = t->translated ? t->between[k] : NULL };
	*out = *in;
	out->ifindex = 1 + i % TRAFFIC_SLOTS;
	out->hook = SP_HOOK_EGRESS;
	out->forwarded = 1;
	out->zone_from = in->zone;
	out->zone = answers ? SP_ZONE_INSIDE : SP_ZONE_OUTSIDE;
	out->data = answers && t->translated ? t->between[k] : t->bytes[k];
	out->out = t->translated ? t->after[k] : NULL;
	t->way[k] = (struct sp_engine_way){ .ifindex = out->ifindex, .zone = out->zone, .out = out->out };
}

/* One packet to begin with: where it comes in, and, translated, where it leaves. */
static int step(struct traffic *t, sp_u32 i, int answers, sp_u32 flags)
{
	struct sp_engine_result r;

	place(t, 0, i, answers, flags);
	sp_engine_packet(t->e, &t->in[0], NULL, &r);
	if (r.verdict != SP_PASS || (answers && r.rewritten != t->translated))
		return -1;
	if (!t->translated || answers)
		return 0;
	sp_engine_packet(t->e, &t->out[0], NULL, &r);
	if (r.verdict != SP_PASS || !r.rewritten)
		return -1;
	t->port[i] = (sp_u16)(t->after[0][34] << 8 | t->after[0][35]);
	return 0;
}

static int begin(struct traffic *t)
{
	for (sp_u32 i = 0; i < t->flows; i++) {
		if (step(t, i, 0, SP_TCP_SYN) || step(t, i, 1, SP_TCP_SYN | SP_TCP_ACK))
			return -1;
		if (t->proto == SP_PROTO_TCP && step(t, i, 0, SP_TCP_ACK))
			return -1;
	}
	return 0;
}

int traffic_init(struct traffic *t, sp_u8 proto, sp_u32 flows, int translated, int begun)
{
	static const sp_u64 secret[2] = { 0x0123456789abcdef, 0xfedcba9876543210 };
	const sp_u64 entries = (sp_u64)flows * (translated ? 2 : 1);
	const struct sp_config *c;

	memset(t, 0, sizeof(*t));
	t->proto = proto;
	t->flows = flows;
	t->translated = translated != 0;
	t->random = 1;
	t->now_ns = START_NS;
	t->port = calloc(flows, sizeof(*t->port));
	t->e = sp_engine_new((sp_u32)(entries * 10 / 6), SP_CONFIG_GATEWAY, secret);
	if (!t->port || !t->e)
		return -1;
	c = t->e->t.config;
	memset(t->e->t.sets, 0, c->sets * sizeof(struct sp_set)); /* no page is touched first while the clock runs */
	memset(t->e->t.flows, 0, (size_t)c->capacity * sizeof(struct sp_flow));
	if (!begun)
		t->e->t.config->unanswered_max = c->capacity * 2; /* too few sources here for fair shares */
	if (translated) {
		if (sp_engine_nat(t->e, TRAFFIC_SLOTS))
			return -1;
		t->e->t.nat->used = TRAFFIC_SLOTS;
		for (sp_u32 i = 0; i < TRAFFIC_SLOTS; i++) {
			t->e->t.nat->slot[i].addr = sp_hton32(OURS4 + i).raw;
			t->e->t.nat->slot[i].flags = SP_SLOT_MAPS;
			t->e->t.nat->slot[i].ifindex = 1 + i;
		}
	}
	return begun ? begin(t) : 0;
}

void traffic_fini(struct traffic *t)
{
	sp_engine_free(t->e);
	free(t->port);
}

void traffic_block(struct traffic *t, enum traffic_way way)
{
	for (sp_u32 k = 0; k < TRAFFIC_BLOCK; k++) {
		const sp_u64 r = traffic_random(&t->random);
		const int answers = way == TRAFFIC_BOTH ? (int)(r & 1) : way == TRAFFIC_IN;

		place(t, k, (sp_u32)(((r >> 32) * t->flows) >> 32), answers, SP_TCP_ACK);
	}
}

int traffic_new(struct traffic *t)
{
	if (t->next + TRAFFIC_BLOCK > t->flows)
		return 0;
	for (sp_u32 k = 0; k < TRAFFIC_BLOCK; k++)
		place(t, k, t->next++, 0, SP_TCP_SYN);
	return 1;
}
