/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stages of a batch: each goes over all packets before the next begins, and asks for the memory that the next one
 * reads, so that the waits overlap. Only sp_stage_decide() decides; what the others saw is a hint, which it verifies:
 * earlier packets of the same batch, and other threads, change the table meanwhile. Decision record:
 * docs/decisions/0019-batches.md. Include port_host.h first.
 */
#ifndef SP_HOST_STAGES_H
#define SP_HOST_STAGES_H

#include "hash.h"
#include "plain.h"

/* to ThreadSanitizer a load of sixteen bytes is none of two words that others change at once */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#include <emmintrin.h>
#define SP_TAGS_AT_ONCE
#endif

#define SP_BATCH 32 /* packets at once: more lines than a processor fetches in parallel, little enough for its first cache */

struct sp_batch {
	struct sp_door door[SP_BATCH];
	struct sp_place place[SP_BATCH];
	sp_u8 who[SP_BATCH]; /* numbers of those that a stage works on */
	sp_u32 waiting, missing; /* so many are to be hashed; are not in their first set */
	/* IPv4 keys that are hashed together: the words that are hashed */
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
		(void)SP_READ(f->phase);
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
/* Packet i is to be hashed, with others if its key is a short one. */
static inline void sp_hash_want(struct sp_engine *e, struct sp_batch *b, sp_u32 i)
{
	const struct sp_key *k = &b->door[i].p.key;

	if (k->family != SP_IPV4) {
		sp_hash_known(e, b, i, sp_key_hash(k, e->t.config->secret));
		return;
	}
	b->who[b->waiting] = (sp_u8)i;
	b->first[b->waiting] = sp_key_head4(k);
	b->second[b->waiting++] = sp_key_tail(k);
}

/* Hashes those that wait. Beyond the last of them there are leftovers, whose hashes nobody wants. */
static inline void sp_stage_hash(struct sp_engine *e, struct sp_batch *b)
{
	for (sp_u32 k = 0; k < b->waiting; k += SP_HASH_LANES) {
		sp_u64 hash[SP_HASH_LANES];

		sp_hash8(&b->first[k], &b->second[k], e->t.config->secret, hash);
		for (sp_u32 i = 0; i < SP_HASH_LANES && k + i < b->waiting; i++)
			sp_hash_known(e, b, b->who[k + i], hash[i]);
	}
}
#else
static inline void sp_hash_want(struct sp_engine *e, struct sp_batch *b, sp_u32 i)
{
	b->who[b->waiting++] = (sp_u8)i;
}

static inline void sp_stage_hash(struct sp_engine *e, struct sp_batch *b)
{
	for (sp_u32 k = 0; k < b->waiting; k++) {
		const struct sp_pkt *p = &b->door[b->who[k]].p;

		sp_hash_known(e, b, b->who[k], sp_key_hash(&p->key, e->t.config->secret));
	}
}
#endif

/* Opens the door to packet i and reads it, if it is to be read now. Is there a key to look for? */
static inline int sp_read_one(struct sp_door *d, struct sp_engine *e, const struct sp_engine_packet *in)
{
	d->dev.hashed = d->dev.hint = 0;
	if (sp_plain_read(d, e, in)) {
		d->read = SP_DOOR_PLAIN;
		return 1;
	}
	sp_door_open(d, e, in);
	/* what probably passes unread is left alone until its turn: reading would show in its counters */
	if (sp_passes_unread(in))
		return 0;
	d->read = SP_DOOR_READ;
	d->reason = sp_read_packet(&d->dev, &d->p);
	return d->reason == SP_R_NONE && d->p.kind != SP_KIND_PIECE && d->p.kind != SP_KIND_NONE;
}

/* Reads what there is to read. */
static inline void sp_stage_read(struct sp_engine *e, struct sp_batch *b, const struct sp_engine_packet *in, sp_u32 n)
{
	b->waiting = 0;
	for (sp_u32 i = 0; i < n; i++)
		if (sp_read_one(&b->door[i], e, &in[i]))
			sp_hash_want(e, b, i);
}

#ifdef SP_TAGS_AT_ONCE
/*
 * The first way of set i whose tag is `tag`: conversation's index + 1, or 0. All 28 are compared at once: where it is, is
 * random, and a branch on it is guessed wrong.
 */
static inline sp_u32 sp_tag_find(sp_u32 i, sp_u32 tag)
{
	const struct sp_set *set = sp_set_at(i);
	const __m128i want = _mm_set1_epi16((short)tag);
	__m128i low, high;
	sp_u32 ways, way;

	if (!set)
		return 0;
	low = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)&set->tags[0]), want),
			      _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)&set->tags[2]), want));
	high = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)&set->tags[4]), want),
			       _mm_cmpeq_epi16(_mm_loadl_epi64((const __m128i *)&set->tags[6]), want));
	ways = ((sp_u32)_mm_movemask_epi8(low) | (sp_u32)_mm_movemask_epi8(high) << 16) & ((1u << SP_WAYS) - 1);
	way = (sp_u32)__builtin_ctz(ways | 1u << (SP_WAYS - 1));
	return (sp_entry_at(sp_config_get(), i, way) + 1) & -(sp_u32)(ways != 0);
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
			return sp_entry_at(sp_config_get(), i, w * 4 + (sp_u32)__builtin_ctzll(match) / 16) + 1;
	}
	return 0;
}
#endif

/* Where will a new conversation probably go? Home, or to the first empty way of the key's first set. */
static inline void sp_soon_new(struct sp_engine *e, const struct sp_place *where)
{
	struct sp_set *set = sp_set_at(where->set[0]);
	const int home = set && sp_tag_get(set, where->home) == SP_TAG_EMPTY;
	const sp_u32 at = home ? sp_entry_at(e->t.config, where->set[0], where->home) + 1u :
				 sp_tag_find(where->set[0], SP_TAG_EMPTY);

	if (at)
		sp_touch_flow(at - 1);
}

/*
 * Compare tags; ask for the conversation, or else for the tags of the second set. Who finds what is random: no branch
 * depends on it.
 */
static inline void sp_stage_match(struct sp_engine *e, struct sp_batch *b, sp_u32 n)
{
	b->missing = 0;
	for (sp_u32 i = 0; i < n; i++) {
		struct sp_host_dev *dev = &b->door[i].dev;
		const struct sp_place *where = &b->place[i];
		const void *next = &e->t.sets[where->set[1]];
		const struct sp_flow *f;

		if (!dev->hashed)
			continue;
		dev->hint = sp_tag_find(where->set[0], where->tag);
		f = &e->t.flows[dev->hint - (dev->hint != 0)];
		sp_soon(dev->hint ? (const void *)f : next);
		sp_soon(dev->hint ? (const void *)f->peer : next);
		b->who[b->missing] = (sp_u8)i;
		b->missing += !dev->hint;
	}
}

/* Those that were not in their first set: in the second; else they will be new. */
static inline void sp_stage_second(struct sp_engine *e, struct sp_batch *b)
{
	for (sp_u32 k = 0; k < b->missing; k++) {
		struct sp_host_dev *dev = &b->door[b->who[k]].dev;
		const struct sp_place *where = &b->place[b->who[k]];

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
			sp_soon_flow(SP_READ(((struct sp_alias *)f)->flow) - 1);
		else if (SP_READ(f->flags) & SP_FLOW_TRANSLATED)
			sp_soon_flow(SP_READ(f->alias) - 1);
	}
}

/* A plain packet that was not so plain: as if it had been read by the parser in the first place. */
static inline void sp_read_again(struct sp_door *d, struct sp_engine *e, const struct sp_engine_packet *in)
{
	const sp_u32 hint = d->dev.hint;
	const sp_u64 hash = d->p.hash;

	sp_door_open(d, e, in);
	d->reason = sp_read_packet(&d->dev, &d->p);
	d->read = SP_DOOR_READ;
	d->p.hash = hash;
	d->dev.hashed = 1;
	d->dev.hint = hint;
}

static inline void sp_decide_one(struct sp_door *d, struct sp_engine *e, const struct sp_engine_packet *in,
				 struct sp_counter *counters, struct sp_engine_result *out)
{
	int reason = SP_R_FORWARDED;

	if (d->read == SP_DOOR_PLAIN) {
		reason = sp_plain_decide(d, e, in);
		if (reason) {
			sp_plain_close(d, in, reason, counters, out);
			return;
		}
		sp_read_again(d, e, in);
		reason = SP_R_FORWARDED;
	}
	if (!sp_passes_unread(in))
		reason = sp_decide(&d->dev, &d->p, e->t.state,
				   d->read == SP_DOOR_READ ? d->reason : sp_read_packet(&d->dev, &d->p));
	else if (d->read == SP_DOOR_READ)
		sp_door_open(d, e, in); /* opened by another thread whose clock differs: as if never read */
	sp_door_close(d, e, in, reason, counters, out);
}

static inline void sp_stage_decide(struct sp_engine *e, struct sp_batch *b, const struct sp_engine_packet *in,
				   struct sp_engine_result *out, sp_u32 n, struct sp_counter *counters)
{
	for (sp_u32 i = 0; i < n; i++)
		sp_decide_one(&b->door[i], e, &in[i], counters, &out[i]);
}

#endif
