/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SipHash of eight keys at once (core/siphash.h): one depends on itself from round to round, so that a processor alone with
 * it mostly waits. Two vectors of four, each step for both. Include port_host.h first; needs AVX2.
 */
#ifndef SP_HOST_HASH_H
#define SP_HOST_HASH_H

#ifdef __AVX2__
#include <immintrin.h>

#define SP_HASH_LANES 8

struct sp_sip8 {
	__m256i v0[2], v1[2], v2[2], v3[2];
};

#define SP_ROTL8(x, b) _mm256_or_si256(_mm256_slli_epi64(x, b), _mm256_srli_epi64(x, 64 - (b)))

static inline void sp_sip8_round(struct sp_sip8 *s)
{
	for (int i = 0; i < 2; i++) {
		s->v0[i] = _mm256_add_epi64(s->v0[i], s->v1[i]);
		s->v2[i] = _mm256_add_epi64(s->v2[i], s->v3[i]);
		s->v1[i] = _mm256_xor_si256(SP_ROTL8(s->v1[i], 13), s->v0[i]);
		s->v3[i] = _mm256_xor_si256(SP_ROTL8(s->v3[i], 16), s->v2[i]);
		s->v0[i] = _mm256_shuffle_epi32(s->v0[i], 0xb1); /* by 32 */
		s->v2[i] = _mm256_add_epi64(s->v2[i], s->v1[i]);
		s->v0[i] = _mm256_add_epi64(s->v0[i], s->v3[i]);
		s->v1[i] = _mm256_xor_si256(SP_ROTL8(s->v1[i], 17), s->v2[i]);
		s->v3[i] = _mm256_xor_si256(SP_ROTL8(s->v3[i], 21), s->v0[i]);
		s->v2[i] = _mm256_shuffle_epi32(s->v2[i], 0xb1);
	}
}

static inline void sp_sip8_word(struct sp_sip8 *s, const __m256i m[2])
{
	for (int i = 0; i < 2; i++)
		s->v3[i] = _mm256_xor_si256(s->v3[i], m[i]);
	sp_sip8_round(s);
	for (int i = 0; i < 2; i++)
		s->v0[i] = _mm256_xor_si256(s->v0[i], m[i]);
}

/* sp_key_hash() of eight IPv4 keys, given as the two blocks that it hashes. */
static inline void sp_hash8(const sp_u64 first[SP_HASH_LANES], const sp_u64 second[SP_HASH_LANES], const sp_u64 secret[2],
			    sp_u64 hash[SP_HASH_LANES])
{
	struct sp_sip one;
	struct sp_sip8 s;
	__m256i m[2];

	sp_sip_init(&one, secret);
	for (int i = 0; i < 2; i++) {
		s.v0[i] = _mm256_set1_epi64x((long long)one.v0);
		s.v1[i] = _mm256_set1_epi64x((long long)one.v1);
		s.v2[i] = _mm256_set1_epi64x((long long)one.v2);
		s.v3[i] = _mm256_set1_epi64x((long long)one.v3);
	}
	for (int i = 0; i < 2; i++)
		m[i] = _mm256_loadu_si256((const __m256i *)&first[4 * i]);
	sp_sip8_word(&s, m);
	for (int i = 0; i < 2; i++)
		m[i] = _mm256_loadu_si256((const __m256i *)&second[4 * i]);
	sp_sip8_word(&s, m);
	for (int i = 0; i < 2; i++)
		s.v2[i] = _mm256_xor_si256(s.v2[i], _mm256_set1_epi64x(0xff));
	for (int round = 0; round < 3; round++)
		sp_sip8_round(&s);
	for (int i = 0; i < 2; i++) {
		const __m256i low = _mm256_xor_si256(s.v0[i], s.v1[i]), high = _mm256_xor_si256(s.v2[i], s.v3[i]);

		_mm256_storeu_si256((__m256i *)&hash[4 * i], _mm256_xor_si256(low, high));
	}
}
#endif

#endif
