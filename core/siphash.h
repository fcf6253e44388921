/* SPDX-License-Identifier: BSD-2-Clause */
/* Keyed hash of flow keys: SipHash-1-3 (Aumasson and Bernstein, 2012; the variant that Linux and Rust use for tables). */
#ifndef SP_CORE_SIPHASH_H
#define SP_CORE_SIPHASH_H

#include "abi.h"

#define SP_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SP_SIP_ROUND(v0, v1, v2, v3)    \
	do {                            \
		v0 += v1;               \
		v1 = SP_ROTL(v1, 13);   \
		v1 ^= v0;               \
		v0 = SP_ROTL(v0, 32);   \
		v2 += v3;               \
		v3 = SP_ROTL(v3, 16);   \
		v3 ^= v2;               \
		v0 += v3;               \
		v3 = SP_ROTL(v3, 21);   \
		v3 ^= v0;               \
		v2 += v1;               \
		v1 = SP_ROTL(v1, 17);   \
		v1 ^= v2;               \
		v2 = SP_ROTL(v2, 32);   \
	} while (0)

struct sp_sip {
	sp_u64 v0, v1, v2, v3;
};

SP_INLINE void sp_sip_init(struct sp_sip *s, const sp_u64 key[2])
{
	s->v0 = key[0] ^ 0x736f6d6570736575ULL;
	s->v1 = key[1] ^ 0x646f72616e646f6dULL;
	s->v2 = key[0] ^ 0x6c7967656e657261ULL;
	s->v3 = key[1] ^ 0x7465646279746573ULL;
}

SP_INLINE void sp_sip_word(struct sp_sip *s, sp_u64 m)
{
	s->v3 ^= m;
	SP_SIP_ROUND(s->v0, s->v1, s->v2, s->v3);
	s->v0 ^= m;
}

/* The last block: the length in bytes in its top byte, below it what is left of the words, less than eight bytes. */
SP_INLINE sp_u64 sp_sip_last(struct sp_sip *s, sp_u64 last)
{
	sp_sip_word(s, last);
	s->v2 ^= 0xff;
	SP_SIP_ROUND(s->v0, s->v1, s->v2, s->v3);
	SP_SIP_ROUND(s->v0, s->v1, s->v2, s->v3);
	SP_SIP_ROUND(s->v0, s->v1, s->v2, s->v3);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/*
 * After whole words: the last block holds nothing but the length. bytes: theirs; or more, a length that no other hash under
 * this secret has, as if what is missing were zeros.
 */
SP_INLINE sp_u64 sp_sip_end(struct sp_sip *s, sp_u32 bytes)
{
	return sp_sip_last(s, (sp_u64)(bytes & 0xff) << 56);
}

/*
 * A key is hashed as 15 bytes (IPv4) or 39: its addresses, ports, query and protocol; the length says which family. So
 * an IPv4 key is two blocks, and these are they. The second is also the last one of an IPv6 key.
 */
SP_INLINE sp_u64 sp_key_tail(const struct sp_key *k)
{
	return (k->family == SP_IPV4 ? 15ULL : 39ULL) << 56 | (sp_u64)k->port[0].raw << 40 | (sp_u64)k->port[1].raw << 24 |
	       (sp_u64)k->query << 8 | k->proto;
}

SP_INLINE sp_u64 sp_key_head4(const struct sp_key *k)
{
	return (sp_u64)k->addr[0].w32[0] << 32 | k->addr[1].w32[0];
}

SP_INLINE sp_u64 sp_key_hash(const struct sp_key *k, const sp_u64 secret[2])
{
	const sp_u64 tail = sp_key_tail(k);
	struct sp_sip s;

	sp_sip_init(&s, secret);
	if (k->family == SP_IPV4) {
		sp_sip_word(&s, sp_key_head4(k));
		return sp_sip_last(&s, tail);
	}
	sp_sip_word(&s, k->addr[0].w[0]);
	sp_sip_word(&s, k->addr[0].w[1]);
	sp_sip_word(&s, k->addr[1].w[0]);
	sp_sip_word(&s, k->addr[1].w[1]);
	return sp_sip_last(&s, tail);
}

#endif
