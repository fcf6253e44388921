/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches: random packets through one engine one by one and through another one in batches leave the same behind. */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "host/batch.h"
#include "host/craft.h"

#define MOST 100 /* packets of a batch */
#define ROOM 256 /* bytes of a packet */
#define ROUNDS 3000

static const sp_u64 secret[2] = { 11, 12 };
static const sp_u8 ours[4] = { 203, 0, 113, 7 }; /* the address that is translated to */

struct batch {
	sp_u8 bytes[MOST][ROOM], out[2][MOST][ROOM];
	sp_u8 left[2][MOST][ROOM]; /* through both hooks: after the second one */
	struct sp_engine_packet in[MOST];
	struct sp_engine_way way[MOST];
	struct sp_engine_result result[2][MOST], last[2][MOST];
	sp_u64 events[2]; /* a digest */
	sp_u64 random, now_ns;
	sp_u32 n;
};

static sp_u32 draw(struct batch *b, sp_u32 below)
{
	return (sp_u32)(unit_random(&b->random) % below);
}

/* Few enough ends that packets meet each other's conversations, within a batch, too. */
static void draw_end(struct batch *b, int inside, struct sp_addr *a)
{
	memset(a, 0, sizeof(*a));
	a->b[0] = inside ? 10 : 198;
	a->b[1] = inside ? 0 : 51;
	a->b[2] = inside ? 0 : 100;
	a->b[3] = (sp_u8)(1 + draw(b, 4));
}

static void draw_bytes(struct batch *b, sp_u32 i, int from_inside, sp_u32 payload)
{
	static const sp_u8 protos[] = { SP_PROTO_TCP, SP_PROTO_TCP, SP_PROTO_TCP, SP_PROTO_UDP, SP_PROTO_UDP,
					SP_PROTO_ICMP, 47 };
	static const sp_u8 flags[] = { SP_TCP_SYN, SP_TCP_SYN | SP_TCP_ACK, SP_TCP_ACK, SP_TCP_ACK, SP_TCP_ACK | SP_TCP_FIN,
				       SP_TCP_RST };
	sp_u8 ip[SP_CRAFT_MAX];
	struct sp_craft c = { .family = SP_IPV4 };
	int len;

	c.proto = protos[draw(b, sizeof(protos))];
	c.tcp_flags = flags[draw(b, sizeof(flags))];
	draw_end(b, from_inside, &c.src);
	draw_end(b, !from_inside, &c.dst);
	if (!from_inside && draw(b, 3))
		memcpy(c.dst.b, ours, 4);
	if (draw(b, 8) == 0) {
		c.family = SP_IPV6;
		c.src.b[0] = c.dst.b[0] = 0x20;
		c.src.b[8] = c.dst.b[8] = 1;
	}
	c.sport = (sp_u16)(from_inside ? 40000 + draw(b, 4) : 80 + draw(b, 2));
	c.dport = (sp_u16)(from_inside ? 80 + draw(b, 2) : 40000 + draw(b, 4));
	c.icmp_type = c.family == SP_IPV6 ? (from_inside ? 128 : 129) : from_inside ? 8 : 0;
	c.seq = 1000 + draw(b, 3);
	c.ack = 1000 + draw(b, 3);
	c.payload = payload;
	len = sp_craft(&c, ip);
	assert_true(len > 0 && len + 14 < ROOM);
	memset(b->bytes[i], 0, sizeof(b->bytes[i]));
	b->bytes[i][12] = c.family == SP_IPV4 ? 0x08 : 0x86;
	b->bytes[i][13] = c.family == SP_IPV4 ? 0x00 : 0xdd;
	memcpy(b->bytes[i] + 14, ip, (size_t)len);
	b->in[i].len = (sp_u32)len + 14;
}

static void repair(struct batch *b, sp_u32 i)
{
	struct sp_glance g;

	sp_glance(&g, b->bytes[i], b->in[i].len, 0);
	sp_sums_repair(&g, b->bytes[i], b->in[i].len, 1);
}

/* The first piece of a datagram of two, or the other one. */
static void make_piece(struct batch *b, sp_u32 i)
{
	sp_u8 *ip = b->bytes[i] + 14;
	sp_u32 units;

	if (ip[0] != 0x45)
		return;
	units = (ip[3] - 20u) / 8;
	ip[3] = (sp_u8)(20 + units * 8);
	ip[5] = 9;
	ip[6] = 0x20;
	if (draw(b, 2)) {
		ip[6] = 0;
		ip[7] = (sp_u8)units;
	}
	b->in[i].len = 14 + ip[3];
	repair(b, i);
}

/* Packet i: a fresh one, the one before once more, pieces, errors about others, and nonsense. */
static void draw_packet(struct batch *b, sp_u32 i)
{
	const int from_inside = (int)draw(b, 2);
	struct sp_engine_packet *in = &b->in[i];
	sp_u32 what = draw(b, 16);

	memset(in, 0, sizeof(*in));
	if (what == 0 && i) {
		memcpy(b->bytes[i], b->bytes[i - 1], ROOM);
		*in = b->in[i - 1];
		in->data = b->bytes[i];
		return;
	}
	draw_bytes(b, i, from_inside, what == 1 ? 56 : draw(b, 60));
	if (what == 1)
		make_piece(b, i);
	else if (what == 2)
		b->bytes[i][draw(b, in->len)] ^= (sp_u8)(1 << draw(b, 8));
	else if (what == 3)
		in->len = draw(b, in->len + 1);
	b->now_ns += draw(b, 4) ? draw(b, 1000) : draw(b, 100) * SP_NS_PER_S / 100;
	in->data = b->bytes[i];
	in->now_ns = b->now_ns;
	in->ifindex = 1;
	in->zone = from_inside ? SP_ZONE_INSIDE : SP_ZONE_OUTSIDE;
	what = draw(b, 4);
	in->hook = what < 2 ? SP_HOOK_INGRESS : SP_HOOK_EGRESS;
	if (in->hook == SP_HOOK_EGRESS) {
		in->forwarded = what == 2 || draw(b, 4);
		in->zone_from = in->zone;
		in->zone = from_inside ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE;
	}
}

/* An ICMP error about the packet before. */
static void draw_error(struct batch *b, sp_u32 i)
{
	const sp_u8 *about = b->bytes[i - 1] + 14;
	sp_u8 *ip = b->bytes[i] + 14;

	draw_packet(b, i);
	if (b->in[i - 1].len < 14 + 28 || about[0] != 0x45)
		return;
	memset(b->bytes[i], 0, ROOM);
	b->bytes[i][12] = 8;
	ip[0] = 0x45;
	ip[3] = 20 + 8 + 28;
	ip[8] = 64;
	ip[9] = SP_PROTO_ICMP;
	memcpy(ip + 12, about + 16, 4);
	memcpy(ip + 16, about + 12, 4);
	ip[20] = 3;
	ip[21] = 1;
	memcpy(ip + 28, about, 28);
	b->in[i].len = 14 + 56;
	repair(b, i);
}

static void digest(void *arg, const struct sp_event *e)
{
	const sp_u8 *bytes = (const sp_u8 *)e;
	sp_u64 *sum = arg;

	for (size_t i = 0; i < sizeof(*e); i++)
		*sum = (*sum ^ bytes[i]) * 0x100000001b3ULL;
}

static struct sp_engine *engine(struct batch *b, int which, sp_u32 translates)
{
	struct sp_engine *e = sp_engine_new(120, SP_CONFIG_GATEWAY, secret);

	assert_non_null(e);
	e->event = digest;
	e->event_arg = &b->events[which];
	if (translates) {
		assert_int_equal(sp_engine_nat(e, 1), 0);
		e->t.nat->used = 1;
		memcpy(&e->t.nat->slot[0].addr, ours, 4);
		e->t.nat->slot[0].flags = SP_SLOT_MAPS;
	}
	return e;
}

static void same(const struct batch *b, const struct sp_engine *x, const struct sp_engine *y, sp_u64 (*reasons)[2])
{
	for (sp_u32 i = 0; i < b->n; i++) {
		const struct sp_engine_result *r = &b->result[0][i];

		assert_memory_equal(r, &b->result[1][i], sizeof(*r));
		if (r->rewritten)
			assert_memory_equal(b->out[0][i], b->out[1][i], b->in[i].len);
		reasons[r->reason][r->rewritten]++;
	}
	assert_memory_equal(x->counters, y->counters, sizeof(x->counters));
	assert_memory_equal(x->t.sets, y->t.sets, x->t.config->sets * sizeof(struct sp_set));
	assert_memory_equal(x->t.flows, y->t.flows, x->t.config->capacity * sizeof(struct sp_flow));
	assert_memory_equal(x->t.state, y->t.state, sizeof(*x->t.state));
	assert_true(b->events[0] == b->events[1]);
}

/* What is too large to be compared each time. */
static void same_rest(const struct sp_engine *x, const struct sp_engine *y)
{
	assert_memory_equal(x->t.frags, y->t.frags, SP_FRAG_COUNT * sizeof(struct sp_frag));
	assert_memory_equal(x->t.sketch, y->t.sketch, SP_SKETCH_ROWS * SP_SKETCH_ROW * sizeof(sp_u64));
	assert_memory_equal(x->t.meters, y->t.meters, SP_METER_ROWS * SP_METER_ROW * sizeof(sp_u64));
	if (x->t.nat)
		assert_memory_equal(x->t.ports, y->t.ports, SP_NAT_PORTS * sizeof(struct sp_port));
}

/* The random packets must have got to all parts of the core, or the comparison says little. */
static void reached(sp_u64 (*reasons)[2], sp_u32 translates)
{
	static const sp_u8 must[] = { SP_R_FORWARDED, SP_R_CONTINUES, SP_R_ANSWER, SP_R_UNINVITED, SP_R_RELATED_ERROR,
				      SP_R_FRAGMENT, SP_R_TRUNCATED, SP_R_L4_CHECKSUM };

	for (size_t i = 0; i < sizeof(must); i++)
		if (!(reasons[must[i]][0] + reasons[must[i]][1]))
			fail_msg("no packet was %s", sp_reason_name(must[i]));
	if (translates && (!reasons[SP_R_FORWARDED][1] || !reasons[SP_R_ANSWER][1]))
		fail_msg("nothing was translated");
}

/* ---- through both hooks ---------------------------------------------------------------------------------------- */

/* All come in; most leave at the other side. */
static void draw_way(struct batch *b, sp_u32 i)
{
	static const sp_u8 zones[] = { SP_ZONE_NONE, SP_ZONE_INSIDE, SP_ZONE_OUTSIDE };
	struct sp_engine_packet *in = &b->in[i];
	const sp_u32 other = b->bytes[i][26] == 10 ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE; /* of who is inside */

	in->hook = SP_HOOK_INGRESS;
	in->forwarded = in->zone_from = 0;
	in->zone = other == SP_ZONE_OUTSIDE ? SP_ZONE_INSIDE : SP_ZONE_OUTSIDE;
	b->way[i] = (struct sp_engine_way){ .ifindex = 1 + i % 3, .zone = (sp_u8)(draw(b, 8) ? other : zones[draw(b, 3)]) };
}

/* What sp_engine_forward() promises, in calls for one packet. */
static void through_one(struct sp_engine *e, struct batch *b, sp_u32 i)
{
	const struct sp_engine_packet *in = &b->in[i];
	struct sp_engine_packet out = *in;

	sp_engine_packet(e, in, NULL, &b->result[0][i]);
	b->last[0][i] = b->result[0][i];
	if (b->result[0][i].verdict != SP_PASS || !b->way[i].zone)
		return;
	out.data = b->result[0][i].rewritten ? in->out : in->data;
	out.hook = SP_HOOK_EGRESS;
	out.forwarded = 1;
	out.zone_from = in->zone;
	out.zone = b->way[i].zone;
	out.ifindex = b->way[i].ifindex;
	out.out = b->left[0][i];
	memset(&b->last[0][i], 0, sizeof(b->last[0][i]));
	sp_engine_packet(e, &out, NULL, &b->last[0][i]);
}

static void route(void *arg, const struct sp_engine_packet *p, const void *data, struct sp_engine_way *way)
{
	struct batch *b = arg;
	const size_t i = (size_t)(p - b->in);

	assert_true(data == b->in[i].data || (data == p->out && p->out == b->out[1][i]));
	*way = b->way[i];
	way->out = b->left[1][i];
}

static void through(sp_forward_fn *run, sp_u32 most, sp_u64 seed)
{
	struct batch *b = calloc(1, sizeof(*b));
	sp_u64 reasons[SP_REASON_COUNT][2] = {};
	struct sp_engine *x, *y;

	assert_non_null(b);
	b->random = seed;
	b->now_ns = 86400 * SP_NS_PER_S;
	x = engine(b, 0, 1);
	y = engine(b, 1, 1);
	for (int round = 0; round < ROUNDS; round++) {
		struct sp_engine_way asked[MOST] = {};
		struct sp_engine_through t = { b->in, b->way, b->result[1], b->last[1], NULL, b };

		b->n = 1 + draw(b, most);
		memset(b->result, 0, sizeof(b->result));
		memset(b->last, 0, sizeof(b->last));
		for (sp_u32 i = 0; i < b->n; i++) {
			if (i && !draw(b, 10))
				draw_error(b, i);
			else
				draw_packet(b, i);
			draw_way(b, i);
			b->in[i].out = b->out[0][i];
			through_one(x, b, i);
			b->in[i].out = b->out[1][i];
			b->way[i].out = b->left[1][i];
		}
		if (round & 1) {
			t.route = route;
			t.way = asked;
		}
		run(y, &t, b->n, y->counters);
		same(b, x, y, reasons);
		for (sp_u32 i = 0; i < b->n; i++) {
			const struct sp_engine_result *r = &b->last[0][i];

			assert_memory_equal(r, &b->last[1][i], sizeof(*r));
			if (r->reason == SP_R_FORWARDED && r->rewritten)
				assert_memory_equal(b->left[0][i], b->left[1][i], b->in[i].len);
			reasons[r->reason][r->rewritten]++;
		}
	}
	same_rest(x, y);
	reached(reasons, 1);
	sp_engine_free(x);
	sp_engine_free(y);
	free(b);
}

static void through_plain(void **state)
{
	through(sp_forward_plain, 40, 21);
	through(sp_forward_alone, 40, 22);
	through(sp_engine_forward, MOST, 23);
}

static void through_wide(void **state)
{
	if (!sp_batch_has_wide())
		skip();
	through(sp_forward_wide, 40, 24);
	through(sp_forward_wide_alone, 40, 25);
}

/* ---- batches ------------------------------------------------------------------------------------------------------ */

static void as_one_by_one(sp_batch_fn *run, sp_u32 translates, sp_u32 most, sp_u64 seed)
{
	struct batch *b = calloc(1, sizeof(*b));
	sp_u64 reasons[SP_REASON_COUNT][2] = {};
	struct sp_engine *x, *y;

	assert_non_null(b);
	b->random = seed;
	b->now_ns = 86400 * SP_NS_PER_S;
	x = engine(b, 0, translates);
	y = engine(b, 1, translates);
	for (int round = 0; round < ROUNDS; round++) {
		b->n = 1 + draw(b, most);
		for (sp_u32 i = 0; i < b->n; i++) {
			if (i && !draw(b, 10))
				draw_error(b, i);
			else
				draw_packet(b, i);
			memset(&b->result[0][i], 0, sizeof(b->result[0][i]));
			memset(&b->result[1][i], 0, sizeof(b->result[1][i]));
			b->in[i].out = b->out[0][i];
			sp_engine_packet(x, &b->in[i], NULL, &b->result[0][i]);
			b->in[i].out = b->out[1][i];
		}
		run(y, b->in, b->result[1], b->n, y->counters);
		same(b, x, y, reasons);
	}
	same_rest(x, y);
	reached(reasons, translates);
	sp_engine_free(x);
	sp_engine_free(y);
	free(b);
}

/* Without and with translation, and longer than a batch. */
static void all_as_one_by_one(sp_batch_fn *run, sp_u64 seed)
{
	as_one_by_one(run, 0, 40, seed);
	as_one_by_one(run, 1, 40, seed + 1);
	as_one_by_one(run, 1, MOST, seed + 2);
}

static void plain(void **state)
{
	all_as_one_by_one(sp_batch_plain, 1);
}

static void alone(void **state)
{
	all_as_one_by_one(sp_batch_alone, 4);
}

static void wide(void **state)
{
	if (!sp_batch_has_wide())
		skip();
	all_as_one_by_one(sp_batch_wide, 7);
}

static void wide_alone(void **state)
{
	if (!sp_batch_has_wide())
		skip();
	all_as_one_by_one(sp_batch_wide_alone, 10);
}

static void chosen(void **state)
{
	as_one_by_one(sp_engine_packets, 1, 40, 13);
}

/* Counters of one's own; no packets at all. */
static void counters(void **state)
{
	struct sp_counter mine[SP_REASON_COUNT] = {};
	struct batch *b = calloc(1, sizeof(*b));
	struct sp_engine *e;

	assert_non_null(b);
	e = engine(b, 0, 0);
	sp_engine_packets(e, b->in, b->result[0], 0, mine);
	b->in[0] = (struct sp_engine_packet){ .data = b->bytes[0], .len = 3, .now_ns = 1, .zone = SP_ZONE_OUTSIDE };
	b->in[1] = b->in[0];
	sp_engine_packets(e, b->in, b->result[0], 2, mine);
	assert_true(mine[SP_R_TRUNCATED].packets == 2 && mine[SP_R_TRUNCATED].bytes == 6);
	assert_true(e->counters[SP_R_TRUNCATED].packets == 0);
	sp_engine_free(e);
	free(b);
}

struct unit_result unit_batch(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(alone),
		cmocka_unit_test(wide),
		cmocka_unit_test(wide_alone),
		cmocka_unit_test(chosen),
		cmocka_unit_test(through_plain),
		cmocka_unit_test(through_wide),
		cmocka_unit_test(counters),
	};

	return UNIT_RUN("batch", tests);
}
