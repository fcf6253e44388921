/* SPDX-License-Identifier: BSD-2-Clause */
/* Canonical keys and byte order: both directions of a conversation are one key, and no two conversations share one. */
#include <string.h>

#include "unit.h"

static const sp_u8 low4[4] = { 10, 0, 0, 2 }, high4[4] = { 198, 51, 100, 7 };

static void byte_order(void **state)
{
	const sp_u8 wire2[2] = { 0x12, 0x34 }, wire4[4] = { 0x12, 0x34, 0x56, 0x78 };
	sp_be16 a;
	sp_be32 b;

	memcpy(&a, wire2, 2);
	memcpy(&b, wire4, 4);
	assert_int_equal(sp_ntoh16(a), 0x1234);
	assert_int_equal(sp_ntoh32(b), 0x12345678);
	a = sp_hton16(0x1234);
	b = sp_hton32(0x12345678);
	assert_memory_equal(&a, wire2, 2);
	assert_memory_equal(&b, wire4, 4);
}

static void both_directions_are_one_key(void **state)
{
	sp_u64 seed = 1;

	for (int i = 0; i < 20000; i++) {
		const int family = i & 1 ? SP_IPV6 : SP_IPV4;
		sp_u8 src[16], dst[16];
		struct sp_key there, back;
		int from, to;

		for (int k = 0; k < 16; k++) {
			src[k] = (sp_u8)unit_random(&seed);
			dst[k] = i % 3 ? (sp_u8)unit_random(&seed) : src[k]; /* equal addresses, too */
		}
		from = sp_key_make(&there, family, 6, src, dst, (sp_u16)i, (sp_u16)(i + 1));
		to = sp_key_make(&back, family, 6, dst, src, (sp_u16)(i + 1), (sp_u16)i);
		assert_memory_equal(&there, &back, sizeof(there));
		assert_int_not_equal(from, to);
		assert_memory_equal(&there.addr[from], src, family == SP_IPV4 ? 4 : 16);
		assert_int_equal(sp_ntoh16(there.port[from]), i);
		assert_int_equal(sp_ntoh16(there.port[to]), i + 1);
	}
}

static void differs(const struct sp_key *a, const struct sp_key *b)
{
	assert_memory_not_equal(a, b, sizeof(*a));
}

static void every_part_counts(void **state)
{
	struct sp_key a, b;

	sp_key_make(&a, SP_IPV4, 6, low4, high4, 1000, 80);
	sp_key_make(&b, SP_IPV4, 17, low4, high4, 1000, 80);
	differs(&a, &b);
	sp_key_make(&b, SP_IPV4, 6, low4, high4, 1001, 80);
	differs(&a, &b);
	sp_key_make(&b, SP_IPV4, 6, low4, high4, 80, 1000); /* the ports belong to the other end */
	differs(&a, &b);
	sp_key_make(&b, SP_IPV4, 6, low4, low4, 1000, 80);
	differs(&a, &b);
}

/* An IPv6 address whose first bytes are those of an IPv4 one and whose others are 0 is another key. */
static void families_never_collide(void **state)
{
	sp_u8 low6[16] = { 10, 0, 0, 2 }, high6[16] = { 198, 51, 100, 7 };
	struct sp_key a, b;

	sp_key_make(&a, SP_IPV4, 6, low4, high4, 1000, 80);
	sp_key_make(&b, SP_IPV6, 6, low6, high6, 1000, 80);
	differs(&a, &b);
}

static void unused_bytes_are_zero(void **state)
{
	struct sp_key key;
	const sp_u8 zero[12] = { 0 };

	memset(&key, 0xff, sizeof(key));
	sp_key_make(&key, SP_IPV4, 6, low4, high4, 1000, 80);
	assert_memory_equal(key.addr[0].b + 4, zero, 12);
	assert_memory_equal(key.addr[1].b + 4, zero, 12);
	assert_int_equal(key.query, 0);
}

static void queries_carry_their_request(void **state)
{
	struct sp_key v4, v6;
	sp_u8 a[16] = { 0x2a }, b[16] = { 0x2b };

	sp_key_make(&v4, SP_IPV4, 1, low4, high4, 7, 7);
	sp_key_make(&v6, SP_IPV6, 58, a, b, 7, 7);
	assert_int_equal(v4.query, 8);
	assert_int_equal(v6.query, 128);
}

struct unit_result unit_key(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(byte_order),
		cmocka_unit_test(both_directions_are_one_key),
		cmocka_unit_test(every_part_counts),
		cmocka_unit_test(families_never_collide),
		cmocka_unit_test(unused_bytes_are_zero),
		cmocka_unit_test(queries_carry_their_request),
	};

	return UNIT_RUN("key", tests);
}
