/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stages of a batch: each goes over all packets before the next begins, and asks for the memory that the next one
 * reads, so that the waits overlap. Only sp_stage_decide() decides; what the others saw is a hint, which it verifies:
 * earlier packets of the same batch, and other threads, change the table meanwhile. Decision record:
 * docs/decisions/0019-batches.md. Include port_host.h first.
 */
#ifndef SP_HOST_STAGES_H
#define SP_HOST_STAGES_H

#include "door.h"
#include "hash.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SP_BATCH 32 /* packets at once: more lines than a processor fetches in parallel, little enough for its first cache */

struct sp_batch {
	struct sp_door door[SP_BATCH];
	struct sp_place place[SP_BATCH];
	/* IPv4 keys that are hashed together: whose, and the words that are hashed */
	sp_u8 who[SP_BATCH];
	sp_u64 first[SP_BATCH], second[SP_BATCH];
};

/* For writing: the line of a conversation is going to be changed. */
static inline void sp_soon(const void *line)
{
	__builtin_prefetch(line, 1);
}

static inline void sp_soon_flow(sp_u32 at)
{
	const struct sp_flow *f = sp_flow_at(at);

	if (f) {
		sp_soon(f);
		sp_soon(f->peer);
	}
}

/*
 * The same by a real load: the next stage comes too soon after, and requests that find all buffers taken, or that have to
 * walk the page tables, are dropped without a word.
 */
static inline void sp_touch_flow(sp_u32 at)
{
	const struct sp_flow *f = sp_flow_at(at);

	if (f) {
		(void)*(const volatile sp_u8 *)&f->phase;
		sp_soon(f->peer);
	}
}

/* The hash of packet i is known: ask for the tags. */
static inline void sp_hash_known(struct sp_engine *e, struct sp_batch *b, sp_u32 i, sp_u64 hash)
{
	b->door[i].p.hash = hash;
	b->door[i].dev.hashed = 1;
	sp_place(&b->place[i], hash, e->t.config->sets);
	__builtin_prefetch(&e->t.sets[b->place[i].set[0]]);
}

#ifdef __AVX2__
/* Packet i is to be hashed, with others if its key is a short one. n: how many wait. Returns how many then do. */
static inline sp_u32 sp_hash_want(struct sp_engine *e, struct sp_batch *b, sp_u32 i, sp_u32 n)
{
	const struct sp_key *k = &b->door[i].p.key;

	if (k->family != SP_IPV4) {
		sp_hash_known(e, b, i, sp_key_hash(k, e->t.config->secret));
		return n;
	}
	b->who[n] = (sp_u8)i;
	b->first[n] = sp_key_head4(k);
	b->second[n] = sp_key_tail(k);
	return n + 1;
}

/* Those that wait. Beyond the n-th there are leftovers, whose hashes nobody wants. */
static inline void sp_hash_all(struct sp_engine *e, struct sp_batch *b, sp_u32 n)
{
	for (sp_u32 k = 0; k < n; k += SP_HASH_LANES) {
		sp_u64 hash[SP_HASH_LANES];

		sp_hash8(&b->first[k], &b->second[k], e->t.config->secret, hash);
		for (sp_u32 i = 0; i < SP_HASH_LANES && k + i < n; i++)
			sp_hash_known(e, b, b->who[k + i], hash[i]);
	}
}
#else
static inline sp_u32 sp_hash_want(struct sp_engine *e, struct sp_batch *b, sp_u32 i, sp_u32 n)
{
	sp_hash_known(e, b, i, sp_key_hash(&b->door[i].p.key, e->t.config->secret));
	return n;
}

static inline void sp_hash_all(struct sp_engine *e, struct sp_batch *b, sp_u32 n)
{
}
#endif

/* Parse and hash; ask for the tags. */
static inline void sp_stage_read(struct sp_engine *e, struct sp_batch *b, const struct sp_engine_packet *in, sp_u32 n)
{
	sp_u32 wait = 0;

	for (sp_u32 i = 0; i < n; i++) {
		struct sp_door *d = &b->door[i];
		struct sp_pkt *p = &d->p;

		sp_door_open(d, e, &in[i]);
		/* what probably passes unread is left alone until its turn: reading would show in its counters */
		if (p->forwarded && sp_door_is_open(d, &in[i]))
			continue;
		d->reason = sp_read_packet(&d->dev, p);
		d->is_read = 1;
		if (d->reason != SP_R_NONE || p->kind == SP_KIND_PIECE || p->kind == SP_KIND_NONE)
			continue;
		wait = sp_hash_want(e, b, i, wait);
	}
	sp_hash_all(e, b, wait);
}

#ifdef __SSE2__
/*
 * The first way of set i whose tag is `tag`: conversation's index + 1, or 0. All 28 are compared at once: where it is, is
 * random, and a branch on it is guessed wrong.
 */
static inline sp_u32 sp_tag_find(sp_u32 i, sp_u32 tag)
{
	const struct sp_set *set = sp_set_at(i);
	const __m128i want = _mm_set1_epi16((short)tag);
	__m128i low, high;
	sp_u32 ways;

	if (!set)
		return 0;
	low = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)&set->tags[0]), want),
			      _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)&set->tags[2]), want));
	high = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)&set->tags[4]), want),
			       _mm_cmpeq_epi16(_mm_loadl_epi64((const __m128i *)&set->tags[6]), want));
	ways = ((sp_u32)_mm_movemask_epi8(low) | (sp_u32)_mm_movemask_epi8(high) << 16) & ((1u << SP_WAYS) - 1);
	return ways ? i * SP_WAYS + (sp_u32)__builtin_ctz(ways) + 1 : 0;
}
#else
/* The same, a word at a time. */
static inline sp_u32 sp_tag_find(sp_u32 i, sp_u32 tag)
{
	const struct sp_set *set = sp_set_at(i);

	for (sp_u32 w = 0; set && w < SP_TAG_WORDS; w++) {
		const sp_u64 diff = SP_READ(set->tags[w]) ^ (tag * SP_LANES);
		const sp_u64 match = (diff - SP_LANES) & ~diff & (SP_LANES << 15);

		if (match)
			return i * SP_WAYS + w * 4 + (sp_u32)__builtin_ctzll(match) / 16 + 1;
	}
	return 0;
}
#endif

/* Where will a new conversation probably go? The first empty way of the key's first set. */
static inline void sp_soon_new(struct sp_engine *e, const struct sp_place *where)
{
	const sp_u32 at = sp_tag_find(where->set[0], SP_TAG_EMPTY);

	if (at)
		sp_touch_flow(at - 1);
}

/* Compare tags; ask for the conversation. */
static inline void sp_stage_match(struct sp_engine *e, struct sp_batch *b, sp_u32 n)
{
	for (sp_u32 i = 0; i < n; i++) {
		struct sp_host_dev *dev = &b->door[i].dev;
		const struct sp_place *where = &b->place[i];

		if (!dev->hashed)
			continue;
		dev->hint = sp_tag_find(where->set[0], where->tag);
		if (dev->hint)
			sp_soon_flow(dev->hint - 1);
		else
			__builtin_prefetch(&e->t.sets[where->set[1]]);
	}
}

/* Those that were not in their first set: in the second; else they will be new. */
static inline void sp_stage_second(struct sp_engine *e, struct sp_batch *b, sp_u32 n)
{
	for (sp_u32 i = 0; i < n; i++) {
		struct sp_host_dev *dev = &b->door[i].dev;
		const struct sp_place *where = &b->place[i];

		if (!dev->hashed || dev->hint)
			continue;
		dev->hint = sp_tag_find(where->set[1], where->tag);
		if (dev->hint)
			sp_soon_flow(dev->hint - 1);
		else
			sp_soon_new(e, where);
	}
}

/* What belongs together: of an alias its conversation, of a translated conversation the alias. */
static inline void sp_stage_follow(struct sp_engine *e, struct sp_batch *b, sp_u32 n)
{
	for (sp_u32 i = 0; i < n; i++) {
		const sp_u32 hint = b->door[i].dev.hint;
		struct sp_flow *f = hint ? sp_flow_at(hint - 1) : NULL;

		if (!f)
			continue;
		if (SP_READ(f->phase) == SP_PHASE_ALIAS)
			sp_touch_flow(SP_READ(((struct sp_alias *)f)->flow) - 1);
		else if (SP_READ(f->flags) & SP_FLOW_TRANSLATED)
			sp_touch_flow(SP_READ(f->alias) - 1);
	}
}

static inline void sp_stage_decide(struct sp_engine *e, struct sp_batch *b, const struct sp_engine_packet *in,
				   struct sp_engine_result *out, sp_u32 n, struct sp_counter *counters)
{
	for (sp_u32 i = 0; i < n; i++) {
		struct sp_door *d = &b->door[i];
		int reason = SP_R_FORWARDED;

		if (!sp_door_is_open(d, &in[i]))
			reason = sp_decide(&d->dev, &d->p, e->t.state,
					   d->is_read ? d->reason : sp_read_packet(&d->dev, &d->p));
		else if (d->is_read)
			sp_door_open(d, e, &in[i]); /* opened by another thread whose clock differs: as if never read */
		sp_door_close(d, e, &in[i], reason, counters, &out[i]);
	}
}

#endif
