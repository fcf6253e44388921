/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table.
 *
 * OVERVIEW. Two flat arrays: sets of 28 sixteen-bit tags, a cache line each, and conversations of 128 bytes. Way w
 * of set b has its entry (sp_entry_at()): there is no pointer and no free list. A key has two sets; it goes into the
 * first while that has room to spare, else into the emptier one; there into the way that its hash names, its home, if that
 * is empty. So the fast path (fast.h) asks for the memory there before it knows the tag, and mostly waits for nothing else.
 *
 * HALVES. Ways 0 to 13 of all sets are the first half of the entries, in a row, the others the second. Conversations are at
 * home in the first, aliases in the second, and who finds his home taken begins to look there. So what most
 * packets need lies close together, and the processor has fewer pages to look up; the rest is used when it is needed.
 *
 * LIFE of a way:   EMPTY -> CLAIMED -> tag -> (CLAIMED -> tag)* -> EMPTY
 *   claim     tag word, cmpxchg EMPTY -> CLAIMED; whoever succeeds owns the way
 *   fill      the owner writes it, its phase last. Where memory is not in order, or the way was recycled, it holds the lock
 *   publish   CLAIMED -> tag
 *   recycle   lock the conversation, see again that it may go, tag -> CLAIMED, then fill and publish
 *   release   lock the conversation, phase FREE, tag -> EMPTY, unlock
 *
 * WHO MAY CALL. Any CPU, any hook, at the same time; user space before the programs are attached. Later, user space
 * only reads and sets SP_FLOW_KILLED: a process that can be stopped or killed must never hold a lock.
 *
 * WHY IT IS SAFE
 *   No duplicates: an insertion holds the lock of the key's first set from its second search until it has published,
 *     and every insertion of that key takes the same lock. Where memory is read in order it need not search again if
 *     nobody has held the lock since before the first search. Nobody waits for a set's lock with another one in hand (who
 *     inserts a pair only tries the second): there is no order to break. Ways in the second set are claimed by cmpxchg.
 *   No stale hit: a search reads without locks and may find a conversation that is recycled at that moment. Whoever
 *     uses it takes its lock and compares the key again; if it is another one now, the packet has found nothing.
 *   Nothing half written: a way that is being filled is in phase FREE (and locked, if it has been recycled). Who knew it as
 *     another conversation's may lock it all the same; he looks at the phase first (sp_flow_is()), and touches nothing that
 *     is FREE. So its owner needs no lock of its own, and does not wait for memory that nobody has read.
 *   No lost update: trackers read, decide and write under the conversation's lock.
 *   No entry that cannot expire: a way with a tag is either live, stale (recycled in line or swept), or in phase
 *     FREE because a release lost its bounded fight for the tag word; the sweeper empties those too. A CLAIMED way
 *     has an owner that runs with preemption off and publishes or gives back after a bounded number of steps.
 *   Locks are try-locks with a bound (SP_LOCK_TRIES times SP_LOCK_TURNS). Holders run for some 100 ns with preemption
 *     off; it takes longer only when a hypervisor has stopped the other CPU, and then waiting is what the kernel's own
 *     spinlocks do, too. When the bound is reached the packet is dropped, reason BUSY: nothing is passed unjudged, and
 *     nothing is half written.
 *   Torn reads: user space, the sweeper's first look and the search read fields while others write. They act on it
 *     only after locking and looking again, except listings, which may show one wrong line.
 *
 * COUNTS. state.count[class] and the sketch change with the conversation's phase, under its lock, by atomic adds;
 * their sum over all CPUs is exact when nobody is in between.
 *
 * EXPIRY needs nobody: a stale conversation is not found, is recycled by whoever wants its way, and is swept: on
 * average four ways for each new conversation, 512 ways each 17 ms, empty sets aside: all of a full table for 4
 * million in some two minutes, if packets come; after a silence a packet makes up for at most four times 17 ms.
 *
 * LIMITS. 28 ways and two choices: at 90 % of the capacity an insertion finds no way less than once in 10,000 times
 * (a unit test measures it). Capacity at most 2^32 / 128 conversations.
 *
 * ALIASES. A translated conversation is also found by the key that one side knows: an alias (struct sp_alias) in a way of
 * its own. It is made after its conversation, in the same manner; then the conversation, under its lock, takes it on. Or
 * both are made at once, already linked ("pair" in insert.h). From then on it changes only under that lock: it goes with its
 * conversation. Its own lock is taken (after the other, never before) to fill and to release it. One that no conversation
 * names is dangling: its maker has SP_GRACE_NS to have it taken on, later the sweeper releases it. An alias is never stale
 * and never recycled by itself.
 *
 * References: Y. Azar et al., "Balanced Allocations" (1994); B. Fan et al., "MemC3" (2013) for tags.
 */
#ifndef SP_CORE_TABLE_H
#define SP_CORE_TABLE_H

#include "order.h"

#define SP_LOCK_TRIES 32 /* a turn */
#define SP_LOCK_TURNS 32768 /* some 10 ms */
#define SP_TAG_TRIES 64
#define SP_ROOMY 10 /* free ways in the first set that make the second not worth a look */
#define SP_SHARE_MIN 32 /* unanswered conversations that every source may have */
#define SP_GRACE_NS (2 * SP_NS_PER_S) /* an unanswered conversation is not recycled before it had so long to be answered */
#define SP_SWEEP_EACH 8 /* for one in so many conversations that begin, as many words */
#define SP_SWEEP_WORDS 128 /* four ways each, per tick; an empty set counts as one */
#define SP_SWEEP_MOST (4 * SP_SWEEP_WORDS) /* at once, after a silence */
#define SP_TICK_SHIFT 24

/* Writes the first state of a new conversation, or of one that begins anew under its lock (track.h). */
SP_INLINE void sp_begin(struct sp_flow *f, struct sp_pkt *p);

/* The phase of a conversation that p begins. */
SP_INLINE sp_u32 sp_first_phase(const struct sp_pkt *p);

struct sp_place {
	sp_u32 set[2];
	sp_u16 tag;
	sp_u16 home; /* the way of either set that it gets if that is empty; an alias: SP_WAYS_HALF more */
};

SP_INLINE sp_u32 sp_first_set(sp_u64 hash, sp_u32 sets)
{
	return (sp_u32)(((hash & 0xffffffff) * sets) >> 32);
}

SP_INLINE void sp_place(struct sp_place *w, sp_u64 hash, sp_u32 sets)
{
	const sp_u64 mixed = hash * 0x9e3779b97f4a7c15ULL;

	w->set[0] = sp_first_set(hash, sets);
	w->set[1] = (sp_u32)(((mixed >> 32) * sets) >> 32);
	if (w->set[1] == w->set[0])
		w->set[1] = w->set[0] + 1 < sets ? w->set[0] + 1 : 0;
	w->home = (sp_u16)((((hash >> 32) & 0xffff) * SP_WAYS_HALF) >> 16);
	w->tag = (sp_u16)(hash >> 48);
	if (w->tag <= SP_TAG_CLAIMED)
		w->tag += 2;
}

/* ---- timeouts and classes ------------------------------------------------------------------------------------ */

SP_INLINE sp_u32 sp_flows_used(struct sp_state *s)
{
	return SP_READ(s->count[0]) + SP_READ(s->count[1]) + SP_READ(s->count[2]) + SP_READ(s->count[SP_CLASS_ALIAS]);
}

/* Which column of timeouts is in force: 0 normal, 1 pressure. */
SP_INLINE sp_u32 sp_column(struct sp_config *c, struct sp_state *s)
{
	return sp_flows_used(s) > SP_READ(c->pressure_on);
}

/* Has a conversation been idle for longer than its phase allows? */
SP_INLINE int sp_is_overdue(struct sp_config *c, struct sp_state *s, sp_u32 phase, sp_s64 idle_ns)
{
	return idle_ns > (sp_s64)c->timeout_ns[sp_column(c, s)][phase & (SP_PHASE_SLOTS - 1)];
}

/* Reads without a lock, or with it. A flow that was refreshed after `now` (another CPU's clock) is not stale. */
SP_INLINE int sp_is_stale(struct sp_config *c, struct sp_state *s, struct sp_flow *f, sp_u64 now_ns)
{
	const sp_u32 phase = SP_READ(f->phase) & (SP_PHASE_SLOTS - 1);
	const sp_s64 idle_ns = (sp_s64)(now_ns - SP_READ(f->seen_ns));
	const sp_u32 flags = SP_READ(f->flags);

	if (phase == SP_PHASE_ALIAS)
		return 0;
	if (flags & SP_FLOW_KILLED)
		return 1;
	/* nobody's idle time is less than a second: one that is in use is not asked for */
	if ((flags & SP_FLOW_IDLE) && sp_class_of(phase) == SP_CLASS_ANSWERED && idle_ns > (sp_s64)SP_NS_PER_S) {
		const sp_u32 own_s = sp_order_idle_s(SP_READ(f->generation), SP_READ(f->line));

		if (own_s)
			return idle_ns > (sp_s64)(own_s * SP_NS_PER_S);
	}
	return sp_is_overdue(c, s, phase, idle_ns);
}

/* ---- fair share ----------------------------------------------------------------------------------------------- */

/* Cell of a source in the sketch's first row (low half) and second row (high half). IPv6 sources count by /64. */
SP_INLINE sp_u64 sp_source_cells(struct sp_config *c, const struct sp_addr *a, sp_u8 family)
{
	struct sp_sip s;
	sp_u64 h;

	sp_sip_init(&s, c->secret);
	if (family == SP_IPV4) {
		h = sp_sip_last(&s, 4ULL << 56 | SP_READ(a->w32[0]));
	} else {
		sp_sip_word(&s, SP_READ(a->w[0]));
		h = sp_sip_end(&s, 9); /* of no other hash's length */
	}
	return (h & (SP_SKETCH_ROW - 1)) | (((h >> 32) & (SP_SKETCH_ROW - 1)) + SP_SKETCH_ROW) << 32;
}

SP_INLINE sp_u32 sp_source_count(sp_u64 cells)
{
	return sp_smaller(sp_sketch_at((sp_u32)cells), sp_sketch_at((sp_u32)(cells >> 32)));
}

SP_INLINE void sp_source_add(struct sp_state *s, sp_u64 cells, sp_u32 delta)
{
	sp_u32 *a = sp_sketch_at((sp_u32)cells), *b = sp_sketch_at((sp_u32)(cells >> 32));

	if (!a || !b)
		return;
	/* the first row also counts how many sources there are */
	if (delta == 1) {
		if (sp_fetch_add(a, 1) == 0)
			sp_fetch_add(&s->sources, 1);
	} else {
		if (sp_fetch_add(a, delta) == 1)
			sp_fetch_add(&s->sources, (sp_u32)-1);
	}
	sp_fetch_add(b, delta);
}

/* The share of one source: the budget over those who want some. */
SP_INLINE sp_u32 sp_share(struct sp_config *c, struct sp_state *s)
{
	/* 64 bits: whatever is counted there, it is no division by zero */
	const sp_u32 share = (sp_u32)(c->unanswered_max / ((sp_u64)SP_READ(s->sources) + 1));

	return share < SP_SHARE_MIN ? SP_SHARE_MIN : share;
}

/* ---- phase changes, under the conversation's lock ------------------------------------------------------------ */

/*
 * Counts that a conversation that `source` began has gone from one phase to another. FREE counts nowhere. Its limit is the
 * caller's.
 */
SP_INLINE void sp_recount(struct sp_config *c, struct sp_state *s, const struct sp_addr *source, sp_u8 family, sp_u32 old,
			  sp_u32 phase)
{
	const sp_u32 from = sp_class_of(old), to = sp_class_of(phase);
	const sp_u32 had = old != SP_PHASE_FREE, has = phase != SP_PHASE_FREE;
	const sp_u32 waited = had && from == SP_CLASS_UNANSWERED, waits = has && to == SP_CLASS_UNANSWERED;

	if (had && has && from == to)
		return;
	if (had)
		sp_fetch_add(&s->count[from & 3], (sp_u32)-1);
	if (has)
		sp_fetch_add(&s->count[to & 3], 1);
	if (waited != waits)
		sp_source_add(s, sp_source_cells(c, source, family), waits ? 1 : (sp_u32)-1);
}

/* The same of f, whose lock is held, with its limit. */
SP_INLINE void sp_flow_recount(struct sp_config *c, struct sp_state *s, struct sp_flow *f, sp_u32 old, sp_u32 phase)
{
	if ((f->flags & SP_FLOW_LIMITED) && sp_limit_counts(old) != sp_limit_counts(phase))
		sp_limit_add(f, sp_limit_counts(phase) ? 1 : (sp_u32)-1);
	sp_recount(c, s, &f->key.addr[(f->flags & SP_FLOW_FROM_1) != 0], f->key.family, old, phase);
}

/* Moves a conversation to a phase and keeps the counts. */
SP_INLINE void sp_flow_phase(struct sp_config *c, struct sp_state *s, struct sp_flow *f, sp_u32 phase)
{
	const sp_u32 old = f->phase;

	if (old == phase)
		return;
	SP_WRITE(f->phase, (sp_u8)phase);
	sp_flow_recount(c, s, f, old, phase);
}

/* ---- locks ------------------------------------------------------------------------------------------------------ */

enum sp_lock_kind { SP_LOCK_SET, SP_LOCK_FLOW, SP_LOCK_FRAG };

SP_INLINE int sp_lock_try(sp_u32 *lock)
{
	for (int n = 0; n < SP_LOCK_TRIES; n++) {
		const sp_u32 v = SP_READ(*lock);

		if (!(v & 1) && sp_cmpxchg32(lock, v, v + 1) == v)
			return 1;
	}
	return 0;
}

/* One turn of waiting: a few tries. Returns 1 when taken. */
SP_INLINE int sp_lock_tries(sp_u32 kind, sp_u32 i)
{
	if (kind == SP_LOCK_FLOW) {
		struct sp_flow *f = sp_flow_at(i);

		if (f)
			return sp_lock_try(&f->lock);
	} else if (kind == SP_LOCK_SET) {
		struct sp_set *set = sp_set_at(i);

		if (set)
			return sp_lock_try(&set->lock);
	} else {
		struct sp_frag *frag = sp_frag_at(i);

		if (frag)
			return sp_lock_try(&frag->lock);
	}
	return 0;
}

SP_GLOBAL int sp_lock_turn(sp_u32 kind, sp_u32 i)
{
	return sp_lock_tries(kind, i);
}

struct sp_wait {
	sp_u32 kind, i;
	int taken;
};

static SP_CALLBACK long sp_lock_wait(sp_u32 turn, void *arg)
{
	struct sp_wait *w = arg;

	w->taken = sp_lock_tries(w->kind, w->i); /* not by a call: Linux 6.1 counts its stack, too */
	if (!w->taken)
		sp_relax(turn);
	return w->taken != 0; /* 1 ends the loop */
}

/* Takes the lock of set, conversation or datagram i: odd while held. */
SP_GLOBAL int sp_lock(sp_u32 kind, sp_u32 i)
{
	struct sp_wait w = { kind, i, 0 };

	w.taken = sp_lock_turn(kind, i);
	if (!w.taken)
		sp_repeat(SP_LOCK_TURNS, sp_lock_wait, &w);
	return w.taken;
}

/* Without waiting: 0 when it is held. */
SP_INLINE int sp_lock_try_once(sp_u32 *lock)
{
	const sp_u32 v = SP_READ(*lock);

	return !(v & 1) && sp_cmpxchg32(lock, v, v + 1) == v;
}

/*
 * p->searched, to be asked before set b is searched: from then on nothing is inserted whose first set it is but by whoever
 * makes that wrong. Only where the processor does not look at the tags before it looks at the lock.
 */
SP_INLINE sp_u32 sp_searched(sp_u32 b)
{
#ifdef SP_IN_ORDER
	struct sp_set *set = sp_set_at(b);

	return set ? SP_READ(set->lock) | 1 : 0;
#else
	(void)b;
	return 0;
#endif
}

SP_INLINE int sp_flow_lock(struct sp_flow *f, sp_u32 i)
{
	return sp_lock_try_once(&f->lock) || sp_lock(SP_LOCK_FLOW, i);
}

SP_INLINE void sp_flow_unlock(struct sp_flow *f)
{
	sp_unlock(&f->lock, SP_READ(f->lock) + 1);
}

/* A way that was empty is its owner's: where memory is in order he needs no lock to fill it. 0: he may not write to it. */
SP_INLINE int sp_fill_begin(struct sp_flow *f, sp_u32 i)
{
#ifdef SP_IN_ORDER
	(void)f;
	(void)i;
	return 1;
#else
	return sp_flow_lock(f, i);
#endif
}

/* held: it was recycled, and has been locked since. */
SP_INLINE void sp_fill_end(struct sp_flow *f, int held)
{
#ifdef SP_IN_ORDER
	if (!held)
		return;
#endif
	(void)held;
	sp_flow_unlock(f);
}

/*
 * Is f, whose lock is held, the conversation or alias with that key (still)? Its phase before all else: when that is seen,
 * so is what was written before it.
 */
SP_INLINE int sp_flow_is(const struct sp_flow *f, const struct sp_key *key)
{
	return SP_ACQUIRE(f->phase) != SP_PHASE_FREE && sp_key_equal(&f->key, key);
}

/* ---- tags ------------------------------------------------------------------------------------------------------- */

SP_INLINE sp_u16 sp_tag_get(struct sp_set *set, sp_u32 way)
{
	sp_u32 word = way >> 2;

	SP_OPAQUE(word);
	if (word >= SP_TAG_WORDS)
		return SP_TAG_CLAIMED;
	return (sp_u16)(SP_READ(set->tags[word]) >> (16 * (way & 3)));
}

/* The tag of that way of set b. */
SP_INLINE sp_u16 sp_tag_at(sp_u32 b, sp_u32 way)
{
	struct sp_set *set = sp_set_at(b);

	return set ? sp_tag_get(set, way) : SP_TAG_EMPTY;
}

/* Changes the tag of a way if it is `from`. One try: others may change its neighbours meanwhile. */
SP_INLINE int sp_tag_try(struct sp_set *set, sp_u32 way, sp_u32 from, sp_u32 to)
{
	const sp_u32 shift = 16 * (way & 3);
	sp_u32 word = way >> 2;
	sp_u64 old;

	SP_OPAQUE(word);
	if (word >= SP_TAG_WORDS)
		return 0;
	old = SP_READ(set->tags[word]);
	return ((old >> shift) & 0xffff) == from &&
	       sp_cmpxchg64(&set->tags[word], old, (old & ~(0xffffULL << shift)) | (sp_u64)(to & 0xffff) << shift) == old;
}

/* The same, as often as it takes. */
SP_GLOBAL int sp_tag_swap(sp_u32 b, sp_u32 way, sp_u32 from, sp_u32 to)
{
	struct sp_set *set = sp_set_at(b);
	const sp_u32 shift = 16 * (way & 3);
	sp_u32 word = way >> 2;

	SP_OPAQUE(word);
	if (!set || word >= SP_TAG_WORDS)
		return 0;
	for (int n = 0; n < SP_TAG_TRIES; n++) {
		const sp_u64 old = SP_READ(set->tags[word]);
		const sp_u64 new_ = (old & ~(0xffffULL << shift)) | (sp_u64)(to & 0xffff) << shift;

		if (((old >> shift) & 0xffff) != from)
			return 0;
		if (sp_cmpxchg64(&set->tags[word], old, new_) == old)
			return 1;
		sp_relax(n);
	}
	return 0;
}

/* The owner of a CLAIMED way gives it its tag: it is full, and can be found from now on. */
SP_INLINE int sp_tag_publish(sp_u32 b, sp_u32 way, sp_u16 tag)
{
#ifdef SP_IN_ORDER
	struct sp_set *set = sp_set_at(b);

	/* who changes its neighbours compares and exchanges all four: that fails, or comes later */
	if (!set || way >= SP_WAYS)
		return 0;
	SP_RELEASE(((sp_u16 *)set->tags)[way], tag);
	return 1;
#else
	return sp_tag_swap(b, way, SP_TAG_CLAIMED, tag);
#endif
}

/* ---- search ---------------------------------------------------------------------------------------------------- */

#define SP_LANES 0x0001000100010001ULL

/* The key of a conversation that others may be writing. */
SP_INLINE int sp_key_same(struct sp_key *shared, const struct sp_key *key)
{
	sp_u64 *x = (sp_u64 *)shared;
	const sp_u64 *y = (const sp_u64 *)key;

	return ((SP_READ(x[0]) ^ y[0]) | (SP_READ(x[1]) ^ y[1]) | (SP_READ(x[2]) ^ y[2]) | (SP_READ(x[3]) ^ y[3]) |
		(SP_READ(x[4]) ^ y[4])) == 0;
}

/* The top bit of each lane that is 0, without a branch; lanes above one may be wrong. */
SP_INLINE sp_u64 sp_lanes_zero(sp_u64 w)
{
	return (w - SP_LANES) & ~w & (SP_LANES << 15);
}

/* Has nobody in that set this tag? */
SP_INLINE int sp_set_lacks(sp_u32 b, sp_u32 tag)
{
	struct sp_set *set = sp_set_at(b);
	sp_u64 found = 0;

	if (!set)
		return 1;
	for (sp_u32 i = 0; i < SP_TAG_WORDS; i++)
		found |= sp_lanes_zero(SP_READ(set->tags[i]) ^ ((tag & 0xffff) * SP_LANES));
	return !found;
}

/* Finds the key in one set: index + 1, or 0. Without locks: see "no stale hit". */
SP_INLINE sp_u32 sp_set_search(sp_u32 b, sp_u32 tag, const struct sp_key *key)
{
	struct sp_set *set = sp_set_at(b);
	struct sp_config *c = sp_config_get();

	if (!set || !c)
		return 0;
	for (sp_u32 i = 0; i < SP_TAG_WORDS; i++) {
		const sp_u64 match = sp_lanes_zero(SP_READ(set->tags[i]) ^ ((tag & 0xffff) * SP_LANES));

		if (!match)
			continue;
		for (sp_u32 lane = 0; lane < 4; lane++) {
			const sp_u32 at = sp_entry_at(c, b, i * 4 + lane);
			struct sp_flow *f;

			if (!((match >> (16 * lane + 15)) & 1))
				continue;
			sp_flow_soon(at, key->proto); /* whoever finds it needs all of it: one wait, not one for each line */
			f = sp_flow_at(at);
			if (f && sp_key_same(&f->key, key) && SP_READ(f->phase) != SP_PHASE_FREE)
				return at + 1;
		}
	}
	return 0;
}

SP_GLOBAL sp_u32 sp_set_find(sp_u32 b, sp_u32 tag, const struct sp_key *key)
{
	return key ? sp_set_search(b, tag, key) : 0;
}

/* The same, if anybody there has that tag: a call costs more than to look. */
SP_INLINE sp_u32 sp_set_seek(sp_u32 b, sp_u32 tag, const struct sp_key *key)
{
	return sp_set_lacks(b, tag) ? 0 : sp_set_find(b, tag, key);
}

/* Finds the key in either set: index + 1, or 0. */
SP_INLINE sp_u32 sp_place_find(const struct sp_place *where, const struct sp_key *key)
{
	const sp_u32 at = sp_set_seek(where->set[0], where->tag, key);

	return at ? at : sp_set_seek(where->set[1], where->tag, key);
}

/* Finds that key, whose hash this is: index + 1, or 0. */
SP_GLOBAL sp_u32 sp_key_find(const struct sp_key *key, sp_u64 hash)
{
	struct sp_config *c = sp_config_get();
	struct sp_place where;

	if (!key || !c)
		return 0;
	sp_place(&where, hash, c->sets);
	return sp_place_find(&where, key);
}

SP_INLINE sp_u32 sp_flow_find(struct sp_pkt *p)
{
	return p ? sp_key_find(&p->key, p->hash) : 0;
}

#endif
