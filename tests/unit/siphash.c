/* SPDX-License-Identifier: BSD-2-Clause */
/* The hash against vectors from elsewhere, and against a byte-wise SipHash written from the paper. */
#include <string.h>

#include "unit.h"

#include "core/siphash.h"

/* ---- SipHash-c-d, from "SipHash: a fast short-input PRF", section 2 ---------------------------------------------- */

static sp_u64 rotl(sp_u64 x, int by)
{
	return x << by | x >> (64 - by);
}

static void rounds(sp_u64 v[4], int n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] = rotl(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] = rotl(v[2], 32);
	}
}

static sp_u64 little(const sp_u8 *b, size_t n)
{
	sp_u64 m = 0;

	for (size_t i = 0; i < n; i++)
		m |= (sp_u64)b[i] << (8 * i);
	return m;
}

static sp_u64 paper(int c, int d, const sp_u64 key[2], const sp_u8 *b, size_t len)
{
	sp_u64 v[4] = { key[0] ^ little((const sp_u8 *)"uespemos", 8), key[1] ^ little((const sp_u8 *)"modnarod", 8),
			key[0] ^ little((const sp_u8 *)"arenegyl", 8), key[1] ^ little((const sp_u8 *)"setybdet", 8) };

	for (size_t i = 0; i <= len / 8; i++) {
		sp_u64 m = i < len / 8 ? little(b + 8 * i, 8) : little(b + 8 * i, len % 8) | (sp_u64)len << 56;

		v[3] ^= m;
		rounds(v, c);
		v[0] ^= m;
	}
	v[2] ^= 0xff;
	rounds(v, d);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static sp_u64 core_hash(const sp_u64 key[2], const sp_u8 *b, size_t words)
{
	struct sp_sip s;

	sp_sip_init(&s, key);
	for (size_t i = 0; i < words; i++)
		sp_sip_word(&s, little(b + 8 * i, 8));
	return sp_sip_end(&s, (sp_u32)words * 8);
}

/* Appendix A of the paper: SipHash-2-4 of 00..0e under the key 00..0f. */
static void the_paper_agrees_with_itself(void **state)
{
	const sp_u64 key[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };
	sp_u8 b[15];

	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (sp_u8)i;
	assert_true(paper(2, 4, key, b, sizeof(b)) == 0xa129ca6149be45e5ULL);
}

/* CPython 3.11 hashes bytes by SipHash-1-3; with PYTHONHASHSEED=0 the key is 0. hash(bytes(range(8))) and so on. */
static void vectors_of_cpython(void **state)
{
	static const sp_u64 key[2], want[5] = { 0xead411e67ebe2eeaULL, 0x8972188433a5c5b7ULL, 0x31185a47af932f3aULL,
						0x31ef8061c910629bULL, 0x95bc321ab41d8206ULL };
	sp_u8 b[40];

	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (sp_u8)i;
	for (unsigned n = 1; n <= 5; n++)
		assert_true(core_hash(key, b, n) == want[n - 1]);
}

static void core_agrees_with_the_paper(void **state)
{
	sp_u64 seed = 7;

	for (int i = 0; i < 5000; i++) {
		const sp_u64 key[2] = { unit_random(&seed), unit_random(&seed) };
		sp_u8 b[40];

		for (unsigned k = 0; k < sizeof(b); k++)
			b[k] = (sp_u8)unit_random(&seed);
		for (size_t words = 0; words <= 5; words++)
			assert_true(core_hash(key, b, words) == paper(1, 3, key, b, words * 8));
	}
}

/* As 15 bytes, or 39; an address of an IPv6 key lies in memory as it is hashed, those of an IPv4 key as two numbers. */
static void keys_agree_with_the_paper(void **state)
{
	sp_u64 seed = 8;

	for (int i = 0; i < 5000; i++) {
		const sp_u64 secret[2] = { unit_random(&seed), unit_random(&seed) };
		const int four = i & 1;
		sp_u8 b[39], *tail = b + (four ? 8 : 32);
		struct sp_key k = {};

		k.family = four ? SP_IPV4 : SP_IPV6;
		for (int end = 0; end < 2; end++) {
			for (int w = 0; w < (four ? 1 : 4); w++)
				k.addr[end].w32[w] = (sp_u32)unit_random(&seed);
			if (four)
				memcpy(b + 4 * !end, &k.addr[end], 4);
			else
				memcpy(b + 16 * end, &k.addr[end], 16);
			k.port[end].raw = (sp_u16)unit_random(&seed);
		}
		k.query = (sp_u16)unit_random(&seed);
		k.proto = (sp_u8)unit_random(&seed);
		tail[0] = k.proto;
		memcpy(tail + 1, &k.query, 2);
		memcpy(tail + 3, &k.port[1], 2);
		memcpy(tail + 5, &k.port[0], 2);
		assert_true(sp_key_hash(&k, secret) == paper(1, 3, secret, b, four ? 15 : 39));
	}
}

static void every_part_of_a_key_moves_the_hash(void **state)
{
	const sp_u64 secret[2] = { 1, 2 };
	sp_u8 a[16] = { 0x2a, 1 }, b[16] = { 0x2a, 2 };
	struct sp_key k, other;

	for (int family = SP_IPV4; family <= SP_IPV6; family += SP_IPV6 - SP_IPV4) {
		sp_key_make(&k, family, 6, a, b, 1000, 80);
		for (size_t bit = 0; bit < sizeof(k) * 8; bit++) {
			size_t byte = bit / 8;

			if (family == SP_IPV4 && byte < 32 && byte % 16 >= 4)
				continue; /* always 0 */
			other = k;
			((sp_u8 *)&other)[byte] ^= (sp_u8)(1u << (bit % 8));
			if (other.family != family)
				continue;
			assert_true(sp_key_hash(&k, secret) != sp_key_hash(&other, secret));
		}
	}
}

/* Hash flooding is hopeless because nobody knows the secret: another secret, another order. */
static void the_secret_matters(void **state)
{
	const sp_u64 one[2] = { 1, 2 }, two[2] = { 1, 3 };
	sp_u8 a[4] = { 10, 0, 0, 1 }, b[4] = { 10, 0, 0, 2 };
	struct sp_key k;
	int same = 0;

	for (int port = 1; port < 2000; port++) {
		sp_key_make(&k, SP_IPV4, 6, a, b, (sp_u16)port, 80);
		same += sp_key_hash(&k, one) % 64 == sp_key_hash(&k, two) % 64;
	}
	assert_in_range(same, 10, 60); /* 31 by chance */
}

struct unit_result unit_siphash(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_paper_agrees_with_itself),
		cmocka_unit_test(vectors_of_cpython),
		cmocka_unit_test(core_agrees_with_the_paper),
		cmocka_unit_test(keys_agree_with_the_paper),
		cmocka_unit_test(every_part_of_a_key_moves_the_hash),
		cmocka_unit_test(the_secret_matters),
	};

	return UNIT_RUN("siphash", tests);
}
