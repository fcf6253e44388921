/* SPDX-License-Identifier: BSD-2-Clause */
/* How conversations and their aliases leave the table: expiry, sweeping. The rules are in table.h. */
#ifndef SP_CORE_EXPIRE_H
#define SP_CORE_EXPIRE_H

#include "table.h"

/* Has conversation i a tag, so that it can be found? */
SP_INLINE int sp_tagged(sp_u32 i)
{
	struct sp_config *c = sp_config_get();
	struct sp_set *set = c ? sp_set_at(sp_entry_set(c, i)) : SP_NULL;

	return set && sp_tag_get(set, sp_entry_way(c, i)) > SP_TAG_CLAIMED;
}

/* Alias i as it lies in the table; SP_NULL: that is none. */
SP_INLINE struct sp_alias *sp_alias_at(sp_u32 i)
{
	struct sp_flow *f = sp_flow_at(i);

	return f && SP_ACQUIRE(f->phase) == SP_PHASE_ALIAS ? (struct sp_alias *)f : SP_NULL;
}

/* 0 or 1 in a way that Linux 6.1's verifier sees, too: after an exclusive or it knows nothing. */
SP_INLINE sp_u32 sp_bit(sp_u32 v)
{
	SP_OPAQUE(v);
	return v & 1;
}

SP_INLINE sp_u32 sp_alias_side(const struct sp_alias *a)
{
	return SP_READ(a->flags) & SP_ALIAS_OF_RESPONDER ? SP_ALIAS_RESPONDER : SP_ALIAS_INITIATOR;
}

SP_INLINE sp_u32 sp_alias_flip(const struct sp_alias *a)
{
	return (SP_READ(a->flags) & SP_ALIAS_FLIP) != 0;
}

/* Which alias of conversation f is that of `side`? Index + 1, or 0. Its lock is held, or the answer is only a hint. */
SP_INLINE sp_u32 sp_alias_of(const struct sp_flow *f, sp_u32 side)
{
	struct sp_alias *a;
	sp_u32 at;

	if (!(SP_READ(f->flags) & SP_FLOW_TRANSLATED))
		return 0;
	at = SP_READ(f->alias);
	a = sp_alias_at(at - 1);
	if (!a)
		return 0;
	if (sp_alias_side(a) == side)
		return at;
	return SP_READ(a->other);
}

/* Does no conversation name alias i, which is a, any more? */
SP_INLINE int sp_alias_dangles(struct sp_alias *a, sp_u32 i, sp_u64 now_ns)
{
	struct sp_flow *f = sp_flow_at(SP_READ(a->flow) - 1);

	if ((sp_s64)(now_ns - SP_READ(a->made_ns)) < (sp_s64)SP_GRACE_NS)
		return 0;
	if (!f || SP_READ(f->phase) == SP_PHASE_FREE || SP_READ(f->phase) == SP_PHASE_ALIAS)
		return 1;
	return sp_alias_of(f, sp_alias_side(a)) != i + 1;
}

/* One conversation less uses outside port `at` (index + 1). */
SP_GLOBAL int sp_port_release(sp_u32 at)
{
	struct sp_port *port = at ? sp_port_at(at - 1) : SP_NULL, *home;

	if (!port)
		return 0;
	for (int n = 0; n < SP_TAG_TRIES; n++) {
		const sp_u64 old = SP_READ(port->owner);
		const sp_u64 new_ = (old & 0xffff) > 1 ? old - 1 : 0;
		const sp_u32 first = ((at - 1) & ~0xffffu) | ((sp_u32)(old >> 16) & 0xffff);

		if (!old || sp_cmpxchg64(&port->owner, old, new_) == old) {
			if (old && !new_ && first != at - 1) {
				home = sp_port_at(first);
				if (home)
					sp_fetch_add(&home->displaced, (sp_u32)-1);
			}
			return 1;
		}
		sp_relax(n);
	}
	return 0;
}

/* Takes alias i, whose lock is held, out of the table. */
SP_INLINE void sp_alias_clear(struct sp_config *c, struct sp_state *s, sp_u32 i, struct sp_alias *a)
{
	struct sp_set *set = sp_set_at(sp_entry_set(c, i));

	sp_port_release(a->port);
	sp_flow_phase(c, s, (struct sp_flow *)a, SP_PHASE_FREE);
	if (set)
		sp_tag_swap(sp_entry_set(c, i), sp_entry_way(c, i), sp_tag_get(set, sp_entry_way(c, i)), SP_TAG_EMPTY);
}

/* Releases alias `at` (index + 1) of conversation `flow` (index + 1). Returns its other alias, or 0. */
SP_GLOBAL sp_u32 sp_alias_free(sp_u32 at, sp_u32 flow)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_flow *f = sp_flow_at(at - 1);
	struct sp_alias *a;
	sp_u32 other = 0;

	if (!c || !s || !f || !at || !sp_flow_lock(f, at - 1))
		return 0; /* busy: it dangles until it is swept */
	a = sp_alias_at(at - 1);
	if (a && a->flow == flow) {
		other = a->other;
		sp_alias_clear(c, s, at - 1, a);
	}
	sp_flow_unlock(f);
	return other;
}

/* Conversation i, whose lock is held, goes: so do its aliases. */
SP_INLINE void sp_alias_drop(struct sp_flow *f, sp_u32 i)
{
	sp_u32 other;

	if (!(f->flags & SP_FLOW_TRANSLATED))
		return;
	other = sp_alias_free(f->alias, i + 1);
	if (other)
		sp_alias_free(other, i + 1);
	SP_WRITE(f->flags, f->flags & (sp_u8)~SP_FLOW_TRANSLATED);
}

/* Takes alias i out if no conversation names it any more. */
SP_GLOBAL int sp_alias_expire(sp_u32 i, sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_flow *f = sp_flow_at(i);
	struct sp_alias *a = sp_alias_at(i);

	if (!c || !s || !f || !a || !sp_alias_dangles(a, i, now_ns) || !sp_flow_lock(f, i))
		return 0;
	a = sp_alias_at(i);
	if (a && sp_tagged(i) && sp_alias_dangles(a, i, now_ns))
		sp_alias_clear(c, s, i, a);
	sp_flow_unlock(f);
	return 1;
}

/* Takes conversation i out if it is stale, or FREE with a tag left over. */
SP_GLOBAL int sp_flow_expire(sp_u32 i, sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	const sp_u32 b = c ? sp_entry_set(c, i) : 0, way = c ? sp_entry_way(c, i) : 0;
	struct sp_set *set = sp_set_at(b);
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
	if (tag > SP_TAG_CLAIMED && (SP_READ(f->phase) == SP_PHASE_FREE || sp_is_stale(c, s, f, now_ns))) {
		sp_alias_drop(f, i);
		sp_flow_phase(c, s, f, SP_PHASE_FREE);
		sp_tag_swap(b, way, tag, SP_TAG_EMPTY);
	}
	sp_flow_unlock(f);
	return 1;
}

/* The same of entry i, which may be an alias. No call out of the other's: Linux 6.1 counts the stack of both. */
SP_INLINE void sp_expire(sp_u32 i, sp_u64 now_ns)
{
	if (sp_alias_at(i))
		sp_alias_expire(i, now_ns);
	else
		sp_flow_expire(i, now_ns);
}

/* Makes entry i give up its key if what it stands for is over: itself, or the conversation whose alias it is. */
SP_INLINE void sp_vacate(sp_u32 i, sp_u64 now_ns)
{
	struct sp_alias *a = sp_alias_at(i);

	if (a)
		sp_flow_expire(SP_READ(a->flow) - 1, now_ns);
	sp_expire(i, now_ns);
}

/* Is nothing in the set? Its line is read for the first of its words anyway. */
SP_INLINE int sp_set_is_empty(struct sp_set *set)
{
	sp_u64 any = 0;

	for (sp_u32 i = 0; i < SP_TAG_WORDS; i++)
		any |= SP_READ(set->tags[i]);
	return !any;
}

/* Sweeps one group of four ways: the n-th, counted round and round. Returns how many were looked at: of an empty set all. */
SP_GLOBAL int sp_sweep_word(sp_u32 n, sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();
	const sp_u32 words = c ? c->sets * SP_TAG_WORDS : 0;
	sp_u32 b, word;
	struct sp_set *set;

	if (!words)
		return 1;
	n %= words;
	b = n / SP_TAG_WORDS;
	word = n % SP_TAG_WORDS;
	SP_OPAQUE(word);
	set = sp_set_at(b);
	if (!set || word >= SP_TAG_WORDS)
		return 1;
	if (!word && sp_set_is_empty(set))
		return SP_TAG_WORDS;
	if (!SP_READ(set->tags[word]))
		return 1;
	for (sp_u32 lane = 0; lane < 4; lane++)
		sp_expire(sp_entry_at(c, b, word * 4 + lane), now_ns);
	return 1;
}

/* Sweeps the next `words` groups; empty sets count as one. */
SP_GLOBAL int sp_sweep(sp_u64 now_ns, sp_u32 words)
{
	struct sp_state *s = sp_state_get();
	sp_u32 hand, far = 0;

	if (!s)
		return 0;
	hand = sp_fetch_add(&s->hand, words);
	for (sp_u32 n = 0; n < SP_SWEEP_MOST && n < words; n++)
		far += (sp_u32)sp_sweep_word(hand + far, now_ns);
	if (far > words)
		sp_fetch_add(&s->hand, far - words);
	return 0;
}

/*
 * A conversation has begun, of which that is the hash: four ways for each, thirty-two at once for one in eight of
 * them. The hash is keyed: nobody can choose conversations that are never the eighth. Not while three quarters of the
 * table are free: before anything asks how many there are, the whole table has been swept at this rate.
 */
SP_INLINE void sp_sweep_new(sp_u64 hash, sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();

	if (!(hash >> 40 & (SP_SWEEP_EACH - 1)) && c && s && sp_flows_used(s) > c->capacity / 4)
		sp_sweep(now_ns, SP_SWEEP_EACH);
}

/* At the door: one CPU sweeps in each tick; after a silence what was not swept meanwhile, up to a bound. */
SP_INLINE void sp_sweep_timed(struct sp_state *s, sp_u64 now_ns)
{
	const sp_u32 tick = (sp_u32)(now_ns >> SP_TICK_SHIFT), last = SP_READ(s->tick);
	const sp_u32 ticks = tick - last < SP_SWEEP_MOST / SP_SWEEP_WORDS ? tick - last : SP_SWEEP_MOST / SP_SWEEP_WORDS;

	if ((sp_s32)(tick - last) > 0 && sp_cmpxchg32(&s->tick, last, tick) == last)
		sp_sweep(now_ns, ticks * SP_SWEEP_WORDS);
}

#endif
