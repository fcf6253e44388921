/* SPDX-License-Identifier: BSD-2-Clause */
/* The flow table from inside: what is put in is found, once; it works at 90 %; everything expires; the counts are right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "port/port_host.h"

#define START_NS (1000 * SP_NS_PER_S)

static const sp_u64 secret[2] = { 0x1122334455667788ULL, 0x99aabbccddeeff00ULL };

static struct sp_engine *new_engine(sp_u32 capacity)
{
	struct sp_engine *e = sp_engine_new(capacity, SP_CONFIG_GATEWAY, secret);

	assert_non_null(e);
	sp_host = e;
	return e;
}

/* Conversation number i, of either family: every number another key. */
static int numbered_key(struct sp_key *key, sp_u32 i)
{
	sp_u8 a[16] = { 0x2a, 0, 0, 1 }, b[16] = { 0x2b, 7 };

	memcpy(a + (i & 1 ? 12 : 0), &i, 4);
	return sp_key_make(key, i & 1 ? SP_IPV6 : SP_IPV4, i & 2 ? 6 : 17, a, b, (sp_u16)(i % 60000 + 1), 53);
}

static sp_u32 adopt(struct sp_engine *e, sp_u32 i, sp_u64 now_ns)
{
	struct sp_key key;
	int from = numbered_key(&key, i);

	return sp_engine_adopt(e, &key, from, SP_ZONE_INSIDE, SP_ZONE_OUTSIDE, now_ns);
}

static sp_u32 find(struct sp_engine *e, sp_u32 i)
{
	struct sp_key key;

	numbered_key(&key, i);
	return sp_engine_find(e, &key);
}

static sp_u16 tag_of(struct sp_engine *e, sp_u32 i)
{
	return sp_tag_get(&e->t.sets[sp_entry_set(e->t.config, i)], sp_entry_way(e->t.config, i));
}

/* What must hold whenever nobody is in between. */
static void check_whole(struct sp_engine *e)
{
	sp_u32 count[4] = { 0 };
	sp_u64 waiting = 0;

	for (sp_u32 i = 0; i < e->t.config->capacity; i++) {
		const struct sp_flow *f = &e->t.flows[i];
		const sp_u16 tag = tag_of(e, i);

		assert_int_equal(f->lock & 1, 0);
		assert_int_not_equal(tag, SP_TAG_CLAIMED);
		assert_int_equal(tag == SP_TAG_EMPTY, f->phase == SP_PHASE_FREE);
		if (f->phase == SP_PHASE_FREE)
			continue;
		count[sp_phase_class(f->phase)]++;
		assert_int_equal(sp_engine_find(e, &f->key), i + 1); /* it is found, and is the only one */
	}
	for (int i = 0; i < SP_CLASS_COUNT; i++)
		assert_int_equal(e->t.state->count[i], count[i]);
	for (sp_u32 i = 0; i < SP_SKETCH_ROW; i++)
		waiting += (sp_u32)e->t.sketch[i];
	assert_int_equal(waiting, count[SP_CLASS_UNANSWERED]);
	for (sp_u32 b = 0; b < e->t.config->sets; b++)
		assert_int_equal(e->t.sets[b].lock & 1, 0);
}

static void what_is_put_in_is_found(void **state)
{
	struct sp_engine *e = new_engine(20000);
	sp_u32 *at = calloc(10000, sizeof(*at));

	assert_non_null(at);
	for (sp_u32 i = 0; i < 10000; i++) {
		assert_int_equal(find(e, i), 0);
		at[i] = adopt(e, i, START_NS);
		assert_int_not_equal(at[i], 0);
	}
	for (sp_u32 i = 0; i < 10000; i++) {
		assert_int_equal(find(e, i), at[i]);
		assert_int_equal(find(e, i + 10000), 0);
		assert_int_equal(adopt(e, i, START_NS), at[i]); /* again: the same one */
	}
	assert_int_equal(e->t.state->count[SP_CLASS_ANSWERED], 10000);
	check_whole(e);
	free(at);
	sp_engine_free(e);
}

/* Of the conversations of a table's first quarter, three of four are in the way that their hash names; of the next, one. */
static void most_are_at_home(void **state)
{
	struct sp_engine *e = new_engine(200000);
	const sp_u32 quarter = e->t.config->capacity / 4;
	sp_u32 home[2] = { 0, 0 };

	for (sp_u32 i = 0; i < 2 * quarter; i++) {
		const sp_u32 at = adopt(e, i, START_NS);
		struct sp_place where;

		assert_int_not_equal(at, 0);
		sp_place(&where, sp_key_hash(&e->t.flows[at - 1].key, secret), e->t.config->sets);
		assert_true(where.home < SP_WAYS_HALF);
		home[i / quarter] += at - 1 == sp_entry_at(e->t.config, where.set[0], where.home);
	}
	printf("table: at home are %.1f %% of the first quarter, %.1f %% of the second\n", 100.0 * home[0] / quarter,
	       100.0 * home[1] / quarter);
	assert_true(home[0] > quarter * 0.73);
	assert_true(home[1] > quarter * 0.26);
	sp_engine_free(e);
}

/* A translated conversation number i: both of its entries at once, or one after the other. */
static void insert_pair(struct sp_engine *e, struct sp_pkt *p, sp_u32 i, int at_once)
{
	struct sp_key other;

	*p = (struct sp_pkt){ .now_ns = START_NS, .kind = SP_KIND_UDP, .proto = SP_PROTO_UDP, .family = SP_IPV4 };
	p->segs = 1;
	p->len = 28;
	numbered_key(&p->key, 4 * i);
	numbered_key(&other, 4 * (i + 1000000));
	p->hash = sp_key_hash(&p->key, secret);
	sp_other_set(e->t.config, p, &other);
	if (at_once && sp_pair_insert(p)) /* not where both keys have one set */
		return;
	assert_int_equal(sp_flow_insert(p), SP_R_NONE);
	p->slot = 1;
	assert_int_equal(sp_flow_insert(p), SP_R_NONE);
}

/* Conversations are in the first half of the entries, aliases in the second, while there is room. */
static void halves_are_apart(void **state)
{
	struct sp_engine *e = new_engine(20000);
	const sp_u32 half = e->t.config->capacity / 2;
	sp_u32 astray = 0;
	struct sp_pkt p;

	e->t.config->unanswered_max = 0x7fffffff;
	for (sp_u32 i = 0; i < half / 2; i++) {
		insert_pair(e, &p, i, (int)(i & 1));
		assert_true(sp_entry_set(e->t.config, p.flow - 1) < e->t.config->sets);
		assert_int_equal(p.flow - 1, sp_entry_at(e->t.config, sp_entry_set(e->t.config, p.flow - 1),
							 sp_entry_way(e->t.config, p.flow - 1)));
		assert_int_equal(p.via - 1, sp_entry_at(e->t.config, sp_entry_set(e->t.config, p.via - 1),
							sp_entry_way(e->t.config, p.via - 1)));
		astray += (p.flow > half) + (p.via <= half);
	}
	printf("table: of %u, half full, %u are in the other half\n", half, astray);
	assert_true(astray < half / 50);
	sp_engine_free(e);
}

/* At 90 % of the capacity an insertion finds no way less than once in 10,000 times. */
static void ninety_per_cent(void **state)
{
	static const sp_u32 capacities[] = { 1000, 20000, 200000 };

	for (size_t n = 0; n < sizeof(capacities) / sizeof(capacities[0]); n++) {
		struct sp_engine *e = new_engine(capacities[n]);
		const sp_u32 all = e->t.config->capacity, most = (sp_u32)(all * 9ull / 10);
		sp_u32 refused = 0, i = 0;

		for (; i < most; i++)
			refused += !adopt(e, i, START_NS);
		assert_true((sp_u64)refused * 10000 <= most);
		while (adopt(e, i, START_NS))
			i++;
		printf("table: of %u conversations %u refused below 90 %%, then the first at %.1f %%\n", all, refused,
		       100.0 * i / all);
		assert_true(i > most);
		sp_engine_free(e);
	}
}

static void a_full_table_evicts_nothing(void **state)
{
	struct sp_engine *e = new_engine(2000);
	sp_u32 in = 0, i;

	for (i = 0; in < e->t.config->capacity && i < 40000; i++)
		in += adopt(e, i, START_NS) != 0;
	in = e->t.state->count[SP_CLASS_ANSWERED];
	for (; i < 80000; i++)
		adopt(e, i, START_NS + 200 * SP_NS_PER_S);
	assert_true(e->t.state->count[SP_CLASS_ANSWERED] >= in);
	for (i = 0; i < 1000; i++)
		assert_int_not_equal(find(e, i), 0);
	check_whole(e);
	sp_engine_free(e);
}

/* Nothing but packets of others comes: the sweep at the door empties the table. */
static void everything_expires(void **state)
{
	struct sp_engine *e = new_engine(20000);
	const sp_u64 later_ns = START_NS + 25 * 3600 * SP_NS_PER_S;
	const sp_u8 arp[14] = { [12] = 0x08, [13] = 0x06 };
	struct sp_engine_packet p = { .data = arp, .len = sizeof(arp), .zone = SP_ZONE_OUTSIDE };
	struct sp_engine_result r;
	sp_u32 turns = 0;

	for (sp_u32 i = 0; i < 18000; i++)
		adopt(e, i, START_NS);
	while (e->t.state->count[SP_CLASS_ANSWERED] && turns < 1000) {
		p.now_ns = later_ns + (sp_u64)turns * 20000000;
		sp_engine_packet(e, &p, NULL, &r);
		turns++;
	}
	printf("table: 18,000 stale conversations were gone after %u packets of others\n", turns);
	assert_int_equal(e->t.state->count[SP_CLASS_ANSWERED], 0);
	assert_int_equal(e->t.state->sources, 0);
	check_whole(e);
	sp_engine_free(e);
}

/* Bit 4 of its flags says something else of an alias. */
static void only_conversations_are_ended(void **state)
{
	struct sp_engine *e = new_engine(1000);
	struct sp_flow *f;

	adopt(e, 1, START_NS);
	f = &e->t.flows[find(e, 1) - 1];
	assert_true(sp_engine_end(f) && (f->flags & SP_FLOW_KILLED));
	f->flags = 0;
	f->phase = SP_PHASE_ALIAS;
	assert_false(sp_engine_end(f) || f->flags);
	f->phase = SP_PHASE_FREE;
	assert_false(sp_engine_end(f) || f->flags);
	sp_engine_free(e);
}

static void killed_ones_are_swept(void **state)
{
	struct sp_engine *e = new_engine(1000);

	for (sp_u32 i = 0; i < 500; i++)
		adopt(e, i, START_NS);
	for (sp_u32 i = 0; i < 500; i += 2)
		e->t.flows[find(e, i) - 1].flags |= SP_FLOW_KILLED;
	for (int n = 0; n < 100; n++)
		sp_sweep(START_NS, SP_SWEEP_WORDS);
	for (sp_u32 i = 0; i < 500; i++)
		assert_int_equal(find(e, i) != 0, i & 1);
	assert_int_equal(e->t.state->count[SP_CLASS_ANSWERED], 250);
	check_whole(e);
	sp_engine_free(e);
}

/* A UDP datagram of 28 bytes, checksum 0: of one of 2,048 conversations, either way. */
static void build_udp(sp_u8 *b, sp_u64 r, int back)
{
	sp_u8 in[4] = { 10, 0, 0, (sp_u8)(r & 63) }, out[4] = { 198, 51, 100, (sp_u8)(r >> 16 & 3) };
	sp_u32 sum;

	memset(b, 0, 28);
	b[0] = 0x45;
	b[3] = 28;
	b[8] = 64;
	b[9] = 17;
	memcpy(b + (back ? 16 : 12), in, 4);
	memcpy(b + (back ? 12 : 16), out, 4);
	b[back ? 22 : 20] = 4;
	b[back ? 23 : 21] = (sp_u8)(r >> 32 & 7);
	b[back ? 21 : 23] = 53;
	b[25] = 8;
	sum = sp_ip4_sum((struct sp_ip4 *)b);
	sum = ~sum & 0xffff;
	memcpy(b + 10, &(sp_u16){ (sp_u16)sum }, 2);
}

/* Random conversations, answers, kills and hours, on a table that is too small: the counts stay right, nothing is twice. */
static void churn(void **state)
{
	struct sp_engine *e = new_engine(600);
	sp_u64 seed = 42, now_ns = START_NS;
	_Alignas(8) sp_u8 b[28];
	struct sp_engine_packet p = { .data = b, .len = 28, .bare_ip = 1 };
	struct sp_engine_result r;
	sp_u64 refused = 0;

	for (int i = 0; i < 300000; i++) {
		const sp_u64 dice = unit_random(&seed);
		const int back = dice >> 60 < 5;

		build_udp(b, dice, back);
		now_ns += (dice >> 40 & 0xff) * 20000;
		if (!(dice >> 48 & 0xfff))
			now_ns += 400 * SP_NS_PER_S;
		p.now_ns = now_ns;
		p.zone = back ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE;
		sp_engine_packet(e, &p, NULL, &r);
		refused += r.reason == SP_R_TABLE_FULL || r.reason == SP_R_UNANSWERED_FULL || r.reason == SP_R_SOURCE_SHARE;
		if (r.flow && !(dice >> 36 & 0xff))
			e->t.flows[r.flow - 1].flags |= SP_FLOW_KILLED;
		if (i % 20000 == 0)
			check_whole(e);
	}
	check_whole(e);
	assert_true(e->counters[SP_R_NEW_INSIDE].packets > 1000 && e->counters[SP_R_ANSWER].packets > 1000);
	assert_true(refused > 1000);
	assert_int_equal(e->counters[SP_R_BUSY].packets, 0);
	printf("table: churn of 300,000 packets, %llu new, %llu answers, %llu refused\n",
	       e->counters[SP_R_NEW_INSIDE].packets, e->counters[SP_R_ANSWER].packets, refused);
	sp_engine_free(e);
}

/* Begins n conversations, the first of them number `from`, at one instant: only they make time for the sweeper. */
static void begin_many(struct sp_engine *e, sp_u32 from, sp_u32 n, sp_u64 now_ns)
{
	_Alignas(8) sp_u8 b[28];
	struct sp_engine_packet p = { .data = b, .len = 28, .bare_ip = 1, .zone = SP_ZONE_INSIDE, .now_ns = now_ns };
	struct sp_engine_result r;

	e->t.state->tick = (sp_u32)(now_ns >> SP_TICK_SHIFT);
	e->t.config->unanswered_max = 0x7fffffff;
	for (sp_u32 i = from; i < from + n; i++) {
		build_udp(b, i, 0);
		b[20] = (sp_u8)(i >> 14);
		b[21] = (sp_u8)(i >> 6);
		sp_engine_packet(e, &p, NULL, &r);
		assert_int_equal(r.reason, SP_R_NEW_INSIDE);
	}
}

/*
 * Who begins pays for the sweep, from a quarter of the table on: not before, and then so that once around is done when the
 * stale ones would be missed.
 */
static void a_quarter_is_swept_by_who_begins(void **state)
{
	struct sp_engine *e = new_engine(20000);
	const sp_u32 quarter = e->t.config->capacity / 4, stale = quarter / 2;
	const sp_u64 later_ns = START_NS + 25 * 3600 * SP_NS_PER_S;
	sp_u32 left;

	for (sp_u32 i = 0; i < stale; i++)
		adopt(e, i, START_NS);
	begin_many(e, 0, quarter - stale, later_ns);
	assert_int_equal(e->t.state->hand, 0);
	assert_int_equal(e->t.state->count[SP_CLASS_ANSWERED], stale);
	begin_many(e, quarter - stale, 100, later_ns);
	assert_int_not_equal(e->t.state->hand, 0);
	for (sp_u32 i = stale; i < 2 * quarter; i++)
		adopt(e, i, START_NS);
	begin_many(e, quarter - stale + 100, quarter, later_ns);
	left = e->t.state->count[SP_CLASS_ANSWERED];
	printf("table: of %u stale conversations %u were left when as many as half of them had begun\n", 2 * quarter, left);
	assert_true(left < quarter / 4);
	check_whole(e);
	sp_engine_free(e);
}

/* A lock that is never released (it can not be, but if): the packet is dropped as busy, nothing hangs. */
static void locks_are_bounded(void **state)
{
	struct sp_engine *e = new_engine(1000);
	struct sp_key key;
	sp_u32 at = adopt(e, 8, START_NS);
	_Alignas(8) sp_u8 b[28];
	struct sp_engine_packet p = { .data = b, .len = 28, .bare_ip = 1, .zone = SP_ZONE_INSIDE, .now_ns = START_NS };
	struct sp_engine_result r;

	assert_int_not_equal(at, 0);
	build_udp(b, 0, 0);
	sp_engine_packet(e, &p, NULL, &r);
	assert_int_equal(r.reason, SP_R_NEW_INSIDE);
	e->t.flows[r.flow - 1].lock |= 1;
	sp_engine_packet(e, &p, NULL, &r);
	assert_int_equal(r.reason, SP_R_BUSY);
	for (sp_u32 s = 0; s < e->t.config->sets; s++)
		e->t.sets[s].lock |= 1;
	numbered_key(&key, 9);
	assert_int_equal(sp_engine_adopt(e, &key, 0, SP_ZONE_INSIDE, SP_ZONE_OUTSIDE, START_NS), 0);
	sp_engine_free(e);
}

/* The live table is mapped by those who only look: whatever stands in it, they survive. */
static void any_number_of_sources_has_a_share(void **state)
{
	struct sp_engine *e = new_engine(1000);

	e->t.state->sources = 0;
	assert_int_equal(sp_share(e->t.config, e->t.state), e->t.config->unanswered_max);
	e->t.state->sources = ~0u;
	assert_int_equal(sp_share(e->t.config, e->t.state), SP_SHARE_MIN);
	sp_engine_free(e);
}

/* The eighth-of-a-word arithmetic that counts empty ways, against counting them one by one. */
static void empty_ways_are_counted_right(void **state)
{
	struct sp_engine *e = new_engine(56);
	sp_u64 seed = 3;

	for (int n = 0; n < 20000; n++) {
		int room = 0;

		for (int w = 0; w < SP_TAG_WORDS; w++) {
			sp_u64 word = 0;

			for (int lane = 0; lane < 4; lane++) {
				static const sp_u16 odd[] = { 0, 1, 2, 0x7fff, 0x8000, 0x8001, 0xffff, 0x0100 };
				sp_u64 dice = unit_random(&seed);

				word |= (sp_u64)odd[dice & 7] << (16 * lane);
			}
			e->t.sets[0].tags[w] = word;
		}
		for (sp_u32 way = 0; way < SP_WAYS; way++)
			room += sp_tag_get(&e->t.sets[0], way) == SP_TAG_EMPTY;
		assert_int_equal(sp_set_room(0), room);
	}
	sp_engine_free(e);
}

struct unit_result unit_table(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_in_is_found),
		cmocka_unit_test(most_are_at_home),
		cmocka_unit_test(halves_are_apart),
		cmocka_unit_test(ninety_per_cent),
		cmocka_unit_test(a_full_table_evicts_nothing),
		cmocka_unit_test(everything_expires),
		cmocka_unit_test(only_conversations_are_ended),
		cmocka_unit_test(killed_ones_are_swept),
		cmocka_unit_test(a_quarter_is_swept_by_who_begins),
		cmocka_unit_test(churn),
		cmocka_unit_test(locks_are_bounded),
		cmocka_unit_test(empty_ways_are_counted_right),
		cmocka_unit_test(any_number_of_sources_has_a_share),
	};

	return UNIT_RUN("table", tests);
}
