/* SPDX-License-Identifier: BSD-2-Clause */
/* How conversations and their aliases get into the table, and who has to go for them. The rules are in table.h. */
#ifndef SP_CORE_INSERT_H
#define SP_CORE_INSERT_H

#include "expire.h"
#include "proof.h"

/* Claims an empty way of set b, rather one of home's half: way + 1, or 0. */
SP_GLOBAL int sp_set_claim(sp_u32 b, sp_u32 home)
{
	struct sp_set *set = sp_set_at(b);

	if (!set || home >= SP_WAYS)
		return 0;
	for (sp_u32 n = 0; n < SP_WAYS; n++) {
		const sp_u32 way = home < SP_WAYS_HALF ? n : SP_WAYS - 1 - n;

		if (sp_tag_get(set, way) == SP_TAG_EMPTY && sp_tag_swap(b, way, SP_TAG_EMPTY, SP_TAG_CLAIMED))
			return (int)way + 1;
	}
	return 0;
}

/* The same; its home, if that is empty: mostly it is, and then this is no call. */
SP_INLINE int sp_home_claim(sp_u32 b, sp_u32 home)
{
	struct sp_set *set = sp_set_at(b);

	if (set && sp_tag_try(set, home, SP_TAG_EMPTY, SP_TAG_CLAIMED))
		return (int)home + 1;
	return sp_set_claim(b, home);
}

/* How many ways of set b are empty. */
SP_INLINE int sp_set_room(sp_u32 b)
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
	if (phase == SP_PHASE_FREE || phase == SP_PHASE_ALIAS || (waiting && class_ != SP_CLASS_UNANSWERED))
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
		const sp_u32 merit = (sp_u32)sp_flow_merit(sp_entry_at(c, b, way), now_ns, share, waiting);
		const sp_u32 score = merit << 8 | way;
		sp_u32 less = (sp_u32)((sp_s32)(best - score) >> 31);

		SP_OPAQUE(less); /* a branch here would double the verifier's states 28 times */
		best ^= (best ^ score) & less;
	}
	best_way = best & 0xff;
	if (!(best >> 8) || best_way >= SP_WAYS)
		return 0;
	i = sp_entry_at(c, b, best_way);
	f = sp_flow_at(i);
	if (!f || !sp_flow_lock(f, i))
		return 0;
	tag = sp_tag_get(set, best_way);
	if (tag <= SP_TAG_CLAIMED || !sp_flow_merit(i, now_ns, share, waiting) ||
	    !sp_tag_swap(b, best_way, tag, SP_TAG_CLAIMED)) {
		sp_flow_unlock(f);
		return 0;
	}
	sp_alias_drop(f, i);
	sp_flow_phase(c, s, f, SP_PHASE_FREE);
	return (int)best_way + 1;
}

/*
 * Writes a fresh conversation for p, and its first packet. phase and the tracker's fields come from the caller. alias: it
 * has that one already (index + 1), and is never seen without: it would be swept.
 */
SP_INLINE void sp_flow_fill(struct sp_flow *f, const struct sp_pkt *p, sp_u32 alias)
{
	sp_u64 *to = (sp_u64 *)&f->key;
	const sp_u64 *from = (const sp_u64 *)&p->key;

	for (int i = 0; i < 5; i++)
		SP_WRITE(to[i], from[i]);
	SP_WRITE(f->flags, (sp_u8)((p->dir ? SP_FLOW_FROM_1 : 0) | (alias ? SP_FLOW_TRANSLATED : 0) | p->order_flags));
	f->ends = 0;
	f->wscale = SP_WSCALE_NONE << 4 | SP_WSCALE_NONE;
	SP_WRITE(f->seen_ns, p->now_ns);
	SP_WRITE(f->generation, p->generation);
	SP_WRITE(f->line, p->line);
	SP_WRITE(f->zone_from, p->zone);
	SP_WRITE(f->zone_to, p->zone_to);
	f->peer[0] = f->peer[1] = (struct sp_peer){};
	/* its first packet's are written, not added: nothing here is read, so that nobody waits for its memory */
	f->bytes[0] = p->dir ? 0 : p->len;
	f->bytes[1] = p->dir ? p->len : 0;
	f->packets[0] = p->dir ? 0 : p->segs;
	f->packets[1] = p->dir ? p->segs : 0;
	f->packets_high[0] = f->packets_high[1] = 0;
	SP_WRITE(f->born_s, alias ? alias : sp_seconds(p->now_ns));
}

/* The owner of a claimed way gives it back. */
SP_INLINE void sp_way_return(sp_u32 b, int way)
{
	sp_tag_swap(b, (sp_u32)way - 1, SP_TAG_CLAIMED, SP_TAG_EMPTY);
}

/* Claims an empty way of either set, in *b: way + 1, or 0. */
SP_INLINE int sp_way_claim(const struct sp_place *where, sp_u32 *b)
{
	const int room = sp_set_room(where->set[0]);
	int way;

	*b = where->set[0];
	if (room < SP_ROOMY && sp_set_room(where->set[1]) > room)
		*b = where->set[1];
	way = sp_home_claim(*b, where->home);
	if (!way) {
		*b = where->set[0] ^ where->set[1] ^ *b;
		way = sp_home_claim(*b, where->home);
	}
	return way;
}

/*
 * Finds a way for a new conversation (or alias) and claims it; b: the set. Returns way + 1, or 0 and the reason in *why.
 * *held: its lock is already held.
 */
SP_INLINE int sp_find_way(struct sp_config *c, struct sp_state *s, struct sp_pkt *p, const struct sp_place *where,
			  sp_u32 *b, int *held, int *why)
{
	/* an alias is no conversation that waits: its own has been admitted */
	const int admitted = p->slot || sp_waiting_few(c, s, p) ? SP_ADMIT_ROOM : sp_admit(p);
	const int waiting_full = admitted == SP_ADMIT_INSTEAD;
	int way = 0;

	*held = 0;
	*b = where->set[0];
	if (admitted > 0) {
		*why = admitted;
		return 0;
	}
	if (!waiting_full) {
		way = sp_way_claim(where, b);
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

/* Writes a fresh alias for p, with its other key. */
SP_INLINE void sp_alias_fill(struct sp_flow *f, struct sp_pkt *p)
{
	struct sp_alias *a = (struct sp_alias *)f;
	sp_u64 *to = (sp_u64 *)&f->key;
	const sp_u64 *from = (const sp_u64 *)&p->other;

	for (int i = 0; i < 5; i++)
		SP_WRITE(to[i], from[i]);
	SP_WRITE(a->flags, (p->side == SP_ALIAS_RESPONDER ? SP_ALIAS_OF_RESPONDER : 0) | (p->flip ? SP_ALIAS_FLIP : 0));
	a->zero_[0] = a->zero_[1] = 0;
	SP_WRITE(a->made_ns, p->now_ns);
	SP_WRITE(a->flow, p->flow);
	SP_WRITE(a->other, 0);
	a->born_s = sp_seconds(p->now_ns);
	a->port = p->port_at;
	a->slot = p->slot;
	SP_RELEASE(a->phase, SP_PHASE_ALIAS);
}

/*
 * Inserts p->key as a new conversation, or finds that another CPU was quicker. Sets p->flow. With p->slot: p->other as an
 * alias of conversation p->flow, and sets p->via.
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
	const struct sp_key *key;
	sp_u32 b = 0, at;
	sp_u64 hash;

	if (!p || !c || !s)
		return SP_R_TABLE_FULL;
	key = p->slot ? &p->other : &p->key;
	hash = p->slot ? p->other_hash : p->hash;
	sp_place(&where, hash, c->sets);
	if (p->slot) {
		where.home += SP_WAYS_HALF;
		sp_flow_soon(sp_entry_at(c, where.set[0], where.home), p->proto); /* not yet looked for */
	}
	set = sp_set_at(where.set[0]);
	if (!set || (!sp_lock_try_once(&set->lock) && !sp_lock(SP_LOCK_SET, where.set[0])))
		return SP_R_BUSY;
	at = !p->slot && SP_READ(set->lock) == p->searched ? 0 : sp_key_find(key, hash);
	if (at) {
		/* if its predecessor has expired, it leaves, so that the key is never there twice */
		sp_vacate(at - 1, p->now_ns);
		at = sp_key_find(key, hash);
		if (at) {
			if (p->slot)
				p->via = at;
			else
				p->flow = at;
			why = SP_R_CONTINUES;
			goto out;
		}
	}
	way = sp_find_way(c, s, p, &where, &b, &held, &why);
	if (!way)
		goto out;
	at = sp_entry_at(c, b, (sp_u32)way - 1);
	f = sp_flow_at(at);
	if (!f || (!held && !sp_fill_begin(f, at))) {
		sp_way_return(b, way);
		why = SP_R_BUSY;
		goto out;
	}
	/* before it is written: an addition that all processors see waits until what was written has its memory */
	sp_recount(c, s, &p->key.addr[p->dir & 1], p->key.family, SP_PHASE_FREE,
		   p->slot ? SP_PHASE_ALIAS : sp_first_phase(p));
	if (p->slot) {
		sp_alias_fill(f, p);
		p->via = at + 1;
	} else {
		sp_flow_fill(f, p, 0);
		sp_flow_placed(at, p);
		sp_begin(f, p);
		p->flow = at + 1;
	}
	sp_fill_end(f, held);
	why = sp_tag_publish(b, (sp_u32)way - 1, where.tag) ? SP_R_NONE : SP_R_BUSY;
out:
	sp_place(&where, hash, c->sets); /* anew: kept all along, it takes clang-16 beyond the stack of Linux 6.1 */
	set = sp_set_at(where.set[0]);
	if (set)
		sp_unlock(&set->lock, SP_READ(set->lock) + 1);
	return why;
}

/*
 * Fills both ways of a pair, which nobody else knows yet: conversation `flow` of p, and its alias (index + 1 each). 0:
 * somebody still holds the lock of what was there before.
 */
SP_INLINE int sp_pair_fill(struct sp_pkt *p, sp_u32 flow, sp_u32 alias)
{
	struct sp_flow *f = sp_flow_at(flow - 1), *a = sp_flow_at(alias - 1);
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();

	if (!p || !c || !s || !f || !a || !sp_fill_begin(f, flow - 1))
		return 0;
	if (!sp_fill_begin(a, alias - 1)) {
		sp_fill_end(f, 0);
		return 0;
	}
	sp_recount(c, s, &p->key.addr[p->dir & 1], p->key.family, SP_PHASE_FREE, sp_first_phase(p));
	sp_fetch_add(&s->count[SP_CLASS_ALIAS], 1);
	p->flow = flow;
	p->via = alias;
	sp_flow_fill(f, p, alias);
	sp_flow_placed(flow - 1, p);
	sp_begin(f, p);
	sp_alias_fill(a, p);
	sp_fill_end(a, 0);
	sp_fill_end(f, 0);
	return 1;
}

/* The first set of either key is locked. 0: one of the two is there, or has no room. */
SP_INLINE int sp_pair_place(struct sp_config *c, struct sp_pkt *p, const struct sp_place *flow, const struct sp_place *alias)
{
	sp_u32 a = 0, b = 0;
	int x, y;

	x = sp_way_claim(flow, &a);
	if (!x)
		return 0;
	y = sp_way_claim(alias, &b);
	if (y && sp_pair_fill(p, sp_entry_at(c, a, (sp_u32)x - 1) + 1, sp_entry_at(c, b, (sp_u32)y - 1) + 1)) {
		/* the alias first: who finds the conversation may end both at once, and an alias without a tag has no way */
		sp_tag_publish(b, (sp_u32)y - 1, alias->tag);
		sp_tag_publish(a, (sp_u32)x - 1, flow->tag);
		return 1;
	}
	if (y)
		sp_way_return(b, y);
	sp_way_return(a, x);
	return 0;
}

/*
 * Inserts p->key as a new conversation, and p->other as its alias, at once, if everything is plain: neither is there, both
 * have room, few wait for an answer, and nobody else is at their sets. What locks memory comes first, and what is written
 * is not read: so nobody waits for the memory of the two. Sets p->flow and p->via. 0: nothing has changed.
 */
SP_GLOBAL int sp_pair_insert(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_place flow, alias;
	struct sp_set *first, *second;
	int done = 0;

	if (!p || !c || !s || !sp_waiting_few(c, s, p))
		return 0;
	sp_place(&flow, p->hash, c->sets);
	sp_place(&alias, p->other_hash, c->sets);
	alias.home += SP_WAYS_HALF;
	first = sp_set_at(flow.set[0]);
	second = sp_set_at(alias.set[0]);
	if (!first || !second || !sp_lock_try_once(&first->lock))
		return 0;
	/* no waiting with a lock in hand: who has the second one may want the first */
	if (sp_lock_try_once(&second->lock)) {
		if ((SP_READ(first->lock) == p->searched || !sp_flow_find(p)) && !sp_place_find(&alias, &p->other))
			done = sp_pair_place(c, p, &flow, &alias);
		sp_unlock(&second->lock, SP_READ(second->lock) + 1);
	}
	sp_unlock(&first->lock, SP_READ(first->lock) + 1);
	return done;
}

#endif
