/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table.
 *
 * OVERVIEW. Two flat arrays: sets of 28 sixteen-bit tags, a cache line each, and conversations of 128 bytes. Way w
 * of set b is conversation 28 b + w: there is no pointer and no free list. A key has two sets; it goes into the
 * first while that has room to spare, else into the emptier one. A hit touches the line of the tags and the
 * conversation.
 *
 * LIFE of a way:   EMPTY -> CLAIMED -> tag -> (CLAIMED -> tag)* -> EMPTY
 *   claim     tag word, cmpxchg EMPTY -> CLAIMED; whoever succeeds owns the way
 *   fill      the owner takes the lock of the conversation, writes it, releases it
 *   publish   tag word, cmpxchg CLAIMED -> tag
 *   recycle   lock the conversation, see again that it may go, tag -> CLAIMED, then fill and publish
 *   release   lock the conversation, phase FREE, tag -> EMPTY, unlock
 *
 * WHO MAY CALL. Any CPU, any hook, at the same time; user space before the programs are attached. Later, user space
 * only reads and sets SP_FLOW_KILLED: a process that can be stopped or killed must never hold a lock.
 *
 * WHY IT IS SAFE
 *   No duplicates: an insertion holds the lock of the key's first set from its second search until it has published,
 *     and every insertion of that key takes the same lock. It takes no other set's lock, so there is no order to break;
 *     ways in the second set are claimed by cmpxchg.
 *   No stale hit: a search reads without locks and may find a conversation that is recycled at that moment. Whoever
 *     uses it takes its lock and compares the key again; if it is another one now, the packet has found nothing.
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
 * EXPIRY needs nobody: a stale conversation is not found, is recycled by whoever wants its way, and is swept: four
 * ways for each new conversation, 256 ways each 17 ms in which packets come.
 *
 * LIMITS. 28 ways and two choices: at 90 % of the capacity an insertion finds no way less than once in 10,000 times
 * (a unit test measures it). Capacity at most 2^32 / 128 conversations.
 *
 * References: Y. Azar et al., "Balanced Allocations" (1994); B. Fan et al., "MemC3" (2013) for tags.
 */
#ifndef SP_CORE_TABLE_H
#define SP_CORE_TABLE_H

#include "packet.h"
#include "siphash.h"

#define SP_LOCK_TRIES 32 /* a turn */
#define SP_LOCK_TURNS 32768 /* some 10 ms */
#define SP_TAG_TRIES 64
#define SP_ROOMY 10 /* free ways in the first set that make the second not worth a look */
#define SP_SHARE_MIN 32 /* unanswered conversations that every source may have */
#define SP_GRACE_NS (2 * SP_NS_PER_S) /* an unanswered conversation is not recycled before it had so long to be answered */
#define SP_SWEEP_WORDS 64 /* four ways each, per tick */
#define SP_TICK_SHIFT 24

/* Writes the first state of a new conversation whose lock is held (track.h). */
SP_INLINE void sp_begin(struct sp_config *c, struct sp_state *s, struct sp_flow *f, struct sp_pkt *p);

struct sp_place {
	sp_u32 set[2];
	sp_u16 tag;
};

SP_INLINE void sp_place(struct sp_place *w, sp_u64 hash, sp_u32 sets)
{
	const sp_u64 mixed = hash * 0x9e3779b97f4a7c15ULL;

	w->set[0] = (sp_u32)(((hash & 0xffffffff) * sets) >> 32);
	w->set[1] = (sp_u32)(((mixed >> 32) * sets) >> 32);
	if (w->set[1] == w->set[0])
		w->set[1] = w->set[0] + 1 < sets ? w->set[0] + 1 : 0;
	w->tag = (sp_u16)(hash >> 48);
	if (w->tag <= SP_TAG_CLAIMED)
		w->tag += 2;
}

/* ---- timeouts and classes ------------------------------------------------------------------------------------ */

/* Class of each phase, two bits each, as one constant: a table that needs no memory. */
SP_INLINE sp_u32 sp_class_of(sp_u32 phase)
{
	sp_u64 packed = 0;

#define X(id, name, class_, host_s, gateway_s, pressure_s) packed |= (sp_u64)SP_CLASS_##class_ << (2 * SP_PHASE_##id);
	SP_PHASES(X)
#undef X
	return (packed >> (2 * (phase & (SP_PHASE_SLOTS - 1)))) & 3;
}

SP_INLINE sp_u32 sp_flows_used(struct sp_state *s)
{
	return SP_READ(s->count[0]) + SP_READ(s->count[1]) + SP_READ(s->count[2]);
}

/* Which column of timeouts is in force: 0 normal, 1 pressure. */
SP_INLINE sp_u32 sp_column(struct sp_config *c, struct sp_state *s)
{
	return sp_flows_used(s) > SP_READ(c->pressure_on);
}

/* Reads without a lock, or with it. A flow that was refreshed after `now` (another CPU's clock) is not stale. */
SP_INLINE int sp_is_stale(struct sp_config *c, struct sp_state *s, struct sp_flow *f, sp_u64 now_ns)
{
	const sp_u32 phase = SP_READ(f->phase) & (SP_PHASE_SLOTS - 1);
	const sp_s64 idle_ns = (sp_s64)(now_ns - SP_READ(f->seen_ns));

	if (SP_READ(f->flags) & SP_FLOW_KILLED)
		return 1;
	return idle_ns > (sp_s64)c->timeout_ns[sp_column(c, s)][phase];
}

/* ---- fair share ----------------------------------------------------------------------------------------------- */

/* Cell of a source in the sketch's first row (low half) and second row (high half). IPv6 sources count by /64. */
SP_INLINE sp_u64 sp_source_cells(struct sp_config *c, const struct sp_addr *a, sp_u8 family)
{
	struct sp_sip s;
	sp_u64 h;

	sp_sip_init(&s, c->secret);
	sp_sip_word(&s, SP_READ(a->w[0]));
	sp_sip_word(&s, family);
	h = sp_sip_end(&s, 16);
	return (h & (SP_SKETCH_ROW - 1)) | (((h >> 32) & (SP_SKETCH_ROW - 1)) + SP_SKETCH_ROW) << 32;
}

SP_INLINE sp_u32 sp_source_count(sp_u64 cells)
{
	sp_u32 *a = sp_sketch_at((sp_u32)cells), *b = sp_sketch_at((sp_u32)(cells >> 32));
	sp_u32 x, y;

	if (!a || !b)
		return 0;
	x = SP_READ(*a);
	y = SP_READ(*b);
	return x < y ? x : y;
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
	const sp_u32 share = c->unanswered_max / (SP_READ(s->sources) + 1);

	return share < SP_SHARE_MIN ? SP_SHARE_MIN : share;
}

/* ---- phase changes, under the conversation's lock ------------------------------------------------------------ */

/* Counts that a conversation has gone from one phase to another. FREE counts nowhere. */
SP_INLINE void sp_flow_recount(struct sp_config *c, struct sp_state *s, struct sp_flow *f, sp_u32 old, sp_u32 phase)
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
	if (waited != waits) {
		const sp_u32 end = (f->flags & SP_FLOW_FROM_1) != 0;

		sp_source_add(s, sp_source_cells(c, &f->key.addr[end], f->key.family), waits ? 1 : (sp_u32)-1);
	}
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

SP_INLINE int sp_flow_lock(struct sp_flow *f, sp_u32 i)
{
	const sp_u32 v = SP_READ(f->lock);

	if (!(v & 1) && sp_cmpxchg32(&f->lock, v, v + 1) == v)
		return 1;
	return sp_lock(SP_LOCK_FLOW, i);
}

SP_INLINE void sp_flow_unlock(struct sp_flow *f)
{
	sp_unlock(&f->lock, SP_READ(f->lock) + 1);
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

/* Changes the tag of a way if it is `from`. Others may change its neighbours meanwhile, hence the loop. */
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

/* Finds the key in one set: index + 1, or 0. Without locks: see "no stale hit". */
SP_GLOBAL sp_u32 sp_set_find(sp_u32 b, sp_u32 tag, struct sp_pkt *p)
{
	struct sp_set *set = sp_set_at(b);

	if (!set || !p)
		return 0;
	for (sp_u32 i = 0; i < SP_TAG_WORDS; i++) {
		const sp_u64 diff = SP_READ(set->tags[i]) ^ ((tag & 0xffff) * SP_LANES);
		/* the top bit of each lane that is 0; lanes above one may be wrong, the key decides */
		const sp_u64 match = (diff - SP_LANES) & ~diff & (SP_LANES << 15);

		if (!match)
			continue;
		for (sp_u32 lane = 0; lane < 4; lane++) {
			const sp_u32 at = b * SP_WAYS + i * 4 + lane;
			struct sp_flow *f;

			if (!((match >> (16 * lane + 15)) & 1))
				continue;
			f = sp_flow_at(at);
			if (f && sp_key_same(&f->key, &p->key) && SP_READ(f->phase) != SP_PHASE_FREE)
				return at + 1;
		}
	}
	return 0;
}

/* Finds p->key: index + 1, or 0. */
SP_GLOBAL sp_u32 sp_flow_find(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_place where;
	sp_u32 at;

	if (!p || !c)
		return 0;
	sp_place(&where, p->hash, c->sets);
	at = sp_set_find(where.set[0], where.tag, p);
	return at ? at : sp_set_find(where.set[1], where.tag, p);
}

/* ---- removal --------------------------------------------------------------------------------------------------- */

/* Takes conversation `way` of set b out if it is stale, or FREE with a tag left over. */
SP_GLOBAL int sp_flow_expire(sp_u32 b, sp_u32 way, sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_set *set = sp_set_at(b);
	const sp_u32 i = b * SP_WAYS + way;
	struct sp_flow *f = sp_flow_at(i);
	sp_u16 tag;

	if (!c || !s || !set || !f)
		return 0;
	tag = sp_tag_get(set, way);
	if (tag <= SP_TAG_CLAIMED || (SP_READ(f->phase) != SP_PHASE_FREE && !sp_is_stale(c, s, f, now_ns)))
		return 0;
	if (!sp_flow_lock(f, i))
		return 0;
	tag = sp_tag_get(set, way);
	if (tag > SP_TAG_CLAIMED && (f->phase == SP_PHASE_FREE || sp_is_stale(c, s, f, now_ns))) {
		sp_flow_phase(c, s, f, SP_PHASE_FREE);
		sp_tag_swap(b, way, tag, SP_TAG_EMPTY);
	}
	sp_flow_unlock(f);
	return 1;
}

/* Sweeps one group of four ways: the n-th, counted round and round. */
SP_GLOBAL int sp_sweep_word(sp_u32 n, sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();
	sp_u32 b, word;
	struct sp_set *set;

	if (!c || !c->sets)
		return 0;
	n %= c->sets * SP_TAG_WORDS;
	b = n / SP_TAG_WORDS;
	word = n % SP_TAG_WORDS;
	SP_OPAQUE(word);
	set = sp_set_at(b);
	if (!set || word >= SP_TAG_WORDS || !SP_READ(set->tags[word]))
		return 0;
	for (sp_u32 lane = 0; lane < 4; lane++)
		sp_flow_expire(b, word * 4 + lane, now_ns);
	return 0;
}

/* Sweeps the next `words` groups. */
SP_GLOBAL int sp_sweep(sp_u64 now_ns, sp_u32 words)
{
	struct sp_state *s = sp_state_get();
	sp_u32 hand;

	if (!s)
		return 0;
	hand = sp_fetch_add(&s->hand, words);
	for (sp_u32 n = 0; n < SP_SWEEP_WORDS && n < words; n++)
		sp_sweep_word(hand + n, now_ns);
	return 0;
}

/* At the door: one CPU sweeps in each tick. */
SP_INLINE void sp_sweep_timed(struct sp_state *s, sp_u64 now_ns)
{
	const sp_u32 tick = (sp_u32)(now_ns >> SP_TICK_SHIFT), last = SP_READ(s->tick);

	if ((sp_s32)(tick - last) > 0 && sp_cmpxchg32(&s->tick, last, tick) == last)
		sp_sweep(now_ns, SP_SWEEP_WORDS);
}

/* ---- insertion ------------------------------------------------------------------------------------------------- */

/* Claims an empty way of set b: way + 1, or 0. */
SP_GLOBAL int sp_set_claim(sp_u32 b)
{
	struct sp_set *set = sp_set_at(b);

	if (!set)
		return 0;
	for (sp_u32 way = 0; way < SP_WAYS; way++)
		if (sp_tag_get(set, way) == SP_TAG_EMPTY && sp_tag_swap(b, way, SP_TAG_EMPTY, SP_TAG_CLAIMED))
			return (int)way + 1;
	return 0;
}

/* How many ways of set b are empty. */
SP_GLOBAL int sp_set_room(sp_u32 b)
{
	struct sp_set *set = sp_set_at(b);
	sp_u32 room = 0;

	if (!set)
		return 0;
	for (sp_u32 i = 0; i < SP_TAG_WORDS; i++) {
		const sp_u64 w = SP_READ(set->tags[i]);

		/* a lane is 0 exactly if neither its low 15 bits carry into the top nor the top is set */
		const sp_u64 zero = ~(((w & ~(SP_LANES << 15)) + (SP_LANES << 15) - SP_LANES) | w) & (SP_LANES << 15);

		room += (sp_u32)(((zero >> 15) * SP_LANES) >> 48);
	}
	return (int)room;
}

/* Has conversation i a tag, so that it can be found? */
SP_INLINE int sp_tagged(sp_u32 i)
{
	struct sp_set *set = sp_set_at(i / SP_WAYS);

	return set && sp_tag_get(set, i % SP_WAYS) > SP_TAG_CLAIMED;
}

/*
 * How much a conversation deserves to go: 0 not at all. Stale first, then closed ones, then unanswered ones.
 * waiting: only one that waits for an answer helps.
 */
SP_GLOBAL int sp_flow_merit(sp_u32 i, sp_u64 now_ns, sp_u32 share, sp_u32 waiting)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_flow *f = sp_flow_at(i);
	sp_u32 phase, class_, end;
	sp_s64 idle_ns;

	if (!c || !s || !f || !sp_tagged(i))
		return 0;
	phase = SP_READ(f->phase);
	class_ = sp_class_of(phase);
	idle_ns = (sp_s64)(now_ns - SP_READ(f->seen_ns));
	if (phase == SP_PHASE_FREE || (waiting && class_ != SP_CLASS_UNANSWERED))
		return 0;
	if (sp_is_stale(c, s, f, now_ns))
		return 4;
	if (class_ == SP_CLASS_ANSWERED)
		return 0; /* an answered conversation is never evicted to admit a new one */
	if (idle_ns < (sp_s64)SP_GRACE_NS)
		return 0;
	if (class_ == SP_CLASS_CLOSING)
		return 3;
	end = (SP_READ(f->flags) & SP_FLOW_FROM_1) != 0;
	return sp_source_count(sp_source_cells(c, &f->key.addr[end], SP_READ(f->key.family))) > share ? 2 : 1;
}

/*
 * Takes over the conversation in set b that deserves it most: its way is CLAIMED then and its lock held.
 * Returns way + 1, or 0.
 */
SP_GLOBAL int sp_set_recycle(sp_u32 b, sp_u64 now_ns, sp_u32 waiting)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_set *set = sp_set_at(b);
	sp_u32 best = 0, best_way = 0, share, i;
	struct sp_flow *f;
	sp_u16 tag;

	if (!c || !s || !set)
		return 0;
	share = sp_share(c, s);
	for (sp_u32 way = 0; way < SP_WAYS; way++) {
		const sp_u32 merit = (sp_u32)sp_flow_merit(b * SP_WAYS + way, now_ns, share, waiting);
		const sp_u32 score = merit << 8 | way;
		sp_u32 less = (sp_u32)((sp_s32)(best - score) >> 31);

		SP_OPAQUE(less); /* a branch here would double the verifier's states 28 times */
		best ^= (best ^ score) & less;
	}
	best_way = best & 0xff;
	if (!(best >> 8) || best_way >= SP_WAYS)
		return 0;
	i = b * SP_WAYS + best_way;
	f = sp_flow_at(i);
	if (!f || !sp_flow_lock(f, i))
		return 0;
	tag = sp_tag_get(set, best_way);
	if (tag <= SP_TAG_CLAIMED || !sp_flow_merit(i, now_ns, share, waiting) ||
	    !sp_tag_swap(b, best_way, tag, SP_TAG_CLAIMED)) {
		sp_flow_unlock(f);
		return 0;
	}
	sp_flow_phase(c, s, f, SP_PHASE_FREE);
	return (int)best_way + 1;
}

/* Writes a fresh conversation for p; its lock is held. phase and the tracker's fields come from the caller. */
SP_INLINE void sp_flow_fill(struct sp_flow *f, const struct sp_pkt *p)
{
	sp_u64 *to = (sp_u64 *)&f->key;
	const sp_u64 *from = (const sp_u64 *)&p->key;

	for (int i = 0; i < 5; i++)
		SP_WRITE(to[i], from[i]);
	SP_WRITE(f->flags, (sp_u8)(p->dir ? SP_FLOW_FROM_1 : 0));
	f->ends = 0;
	f->wscale = SP_WSCALE_NONE << 4 | SP_WSCALE_NONE;
	SP_WRITE(f->seen_ns, p->now_ns);
	SP_WRITE(f->generation, p->generation);
	f->line = p->line;
	f->zone_from = p->zone;
	f->zone_to = p->zone_to;
	f->peer[0] = f->peer[1] = (struct sp_peer){};
	f->bytes[0] = f->bytes[1] = 0;
	f->packets[0] = f->packets[1] = 0;
	f->packets_high[0] = f->packets_high[1] = 0;
	f->born_s = sp_seconds(p->now_ns);
}

/*
 * Finds a way for a new conversation and claims it; b: the set. Returns way + 1, or 0 and the reason in *why.
 * *held: its lock is already held.
 */
SP_INLINE int sp_find_way(struct sp_config *c, struct sp_state *s, struct sp_pkt *p, const struct sp_place *where,
			  sp_u32 *b, int *held, int *why)
{
	const int waiting_full = SP_READ(s->count[SP_CLASS_UNANSWERED]) >= SP_READ(c->unanswered_max);
	const sp_u32 busiest = SP_READ(c->unanswered_max) / 2;
	int way = 0;

	*held = 0;
	*b = where->set[0];
	if (SP_READ(s->count[SP_CLASS_UNANSWERED]) > busiest &&
	    sp_source_count(sp_source_cells(c, &p->src, p->family)) >= sp_share(c, s)) {
		*why = SP_R_SOURCE_SHARE;
		return 0;
	}
	if (!waiting_full) {
		const int room = sp_set_room(where->set[0]);

		if (room < SP_ROOMY && sp_set_room(where->set[1]) > room)
			*b = where->set[1];
		way = sp_set_claim(*b);
		if (!way) {
			*b = where->set[0] ^ where->set[1] ^ *b;
			way = sp_set_claim(*b);
		}
		if (way)
			return way;
	}
	/* something has to go: in either set; above the budget it must be one that waits for an answer, or stale */
	*held = 1;
	*b = where->set[0];
	way = sp_set_recycle(*b, p->now_ns, waiting_full);
	if (!way) {
		*b = where->set[1];
		way = sp_set_recycle(*b, p->now_ns, waiting_full);
	}
	if (!way)
		*why = waiting_full ? SP_R_UNANSWERED_FULL : SP_R_TABLE_FULL;
	return way;
}

/*
 * Inserts p->key as a new conversation, or finds that another CPU was quicker. Sets p->flow.
 * Holds no lock when it returns:
 * SP_R_NONE: inserted; SP_R_CONTINUES: it was there already; else the reason for a drop.
 */
SP_GLOBAL int sp_flow_insert(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_place where;
	struct sp_flow *f;
	struct sp_set *set;
	int held = 0, way = 0, why = SP_R_TABLE_FULL;
	sp_u32 b = 0, at;

	if (!p || !c || !s)
		return SP_R_TABLE_FULL;
	sp_place(&where, p->hash, c->sets);
	if (!sp_lock(SP_LOCK_SET, where.set[0]))
		return SP_R_BUSY;
	at = sp_flow_find(p);
	if (at) {
		f = sp_flow_at(at - 1);
		if (f && !sp_is_stale(c, s, f, p->now_ns)) {
			p->flow = at;
			why = SP_R_CONTINUES;
			goto out;
		}
		/* its predecessor has expired: it leaves, so that the key is never there twice */
		if (f) {
			b = (at - 1) / SP_WAYS;
			sp_flow_expire(b, (at - 1) % SP_WAYS, p->now_ns);
			if (sp_flow_find(p)) {
				p->flow = at; /* another CPU's packet has kept it alive */
				why = SP_R_CONTINUES;
				goto out;
			}
		}
	}
	way = sp_find_way(c, s, p, &where, &b, &held, &why);
	if (!way)
		goto out;
	at = b * SP_WAYS + (sp_u32)way - 1;
	f = sp_flow_at(at);
	if (!f || (!held && !sp_flow_lock(f, at))) {
		sp_tag_swap(b, (sp_u32)way - 1, SP_TAG_CLAIMED, SP_TAG_EMPTY);
		why = SP_R_BUSY;
		goto out;
	}
	sp_flow_fill(f, p);
	sp_begin(c, s, f, p);
	sp_flow_unlock(f);
	p->flow = at + 1;
	why = sp_tag_swap(b, (sp_u32)way - 1, SP_TAG_CLAIMED, where.tag) ? SP_R_NONE : SP_R_BUSY;
out:
	sp_place(&where, p->hash, c->sets); /* anew: kept all along, it takes clang-16 beyond the stack of Linux 6.1 */
	set = sp_set_at(where.set[0]);
	if (set)
		sp_unlock(&set->lock, SP_READ(set->lock) + 1);
	return why;
}

#endif
