/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trackers: how a conversation begins, goes on and is answered, for every protocol. TCP is in tcp.h; all others have a
 * pseudo-state: nobody has answered yet, or somebody has.
 */
#ifndef SP_CORE_TRACK_H
#define SP_CORE_TRACK_H

#include "nat.h"
#include "tcp.h"

/* Phase of a conversation without a state machine. */
SP_INLINE sp_u32 sp_pseudo_phase(sp_u8 kind, int answered)
{
	switch (kind) {
	case SP_KIND_UDP:
		return answered ? SP_PHASE_UDP_ANSWERED : SP_PHASE_UDP_UNANSWERED;
	case SP_KIND_QUERY:
	case SP_KIND_REPLY:
		return answered ? SP_PHASE_ICMP_ANSWERED : SP_PHASE_ICMP_UNANSWERED;
	case SP_KIND_ASSOC:
		return answered ? SP_PHASE_ASSOC_ANSWERED : SP_PHASE_ASSOC_UNANSWERED;
	}
	return answered ? SP_PHASE_OTHER_ANSWERED : SP_PHASE_OTHER_UNANSWERED;
}

/* Counts the packet for its sender; the lock is held. */
SP_INLINE void sp_account(struct sp_flow *f, const struct sp_pkt *p)
{
	const sp_u32 end = p->dir & 1, before = f->packets[end];

	f->packets[end] = before + p->segs;
	if (f->packets[end] < before)
		f->packets_high[end]++;
	f->bytes[end] += p->len;
}

SP_INLINE sp_u32 sp_first_phase(const struct sp_pkt *p)
{
	return p->kind == SP_KIND_TCP ? sp_tcp_first_phase(p) : sp_pseudo_phase(p->kind, 0);
}

/* From FREE, whatever stands there: see sp_restart(). The phase comes last: who sees it may read the rest. */
SP_INLINE void sp_begin(struct sp_flow *f, struct sp_pkt *p)
{
	const sp_u32 phase = sp_first_phase(p);

	if (p->kind == SP_KIND_TCP)
		sp_tcp_begin(f, p);
	if ((p->order_flags & SP_FLOW_LIMITED) && sp_limit_counts(phase))
		sp_limit_add(f, 1);
	SP_RELEASE(f->phase, (sp_u8)phase);
}

/*
 * Begins a conversation that is over anew, in its place. Its phase is never FREE meanwhile: a search by another CPU would
 * pass it by, and an insertion would put the same key into the table again.
 */
SP_INLINE void sp_restart(struct sp_config *c, struct sp_state *s, struct sp_flow *f, struct sp_pkt *p)
{
	const sp_u32 alias = f->flags & SP_FLOW_TRANSLATED ? f->alias : 0;
	struct sp_alias *a = sp_alias_at(alias - 1);

	/* counts belong to the new initiator: leave the old one's first */
	sp_flow_recount(c, s, f, f->phase, SP_PHASE_FREE);
	sp_flow_fill(f, p, alias);
	if (a)
		a->born_s = sp_seconds(p->now_ns);
	sp_recount(c, s, &p->key.addr[p->dir & 1], p->key.family, SP_PHASE_FREE, sp_first_phase(p));
	sp_begin(f, p);
	p->event = SP_EVENT_NEW;
}

/* Does the packet come from where its end of the conversation lives? The other end's zone is learnt from its first one. */
SP_INLINE int sp_right_side(const struct sp_flow *f, sp_u8 zone, int from_initiator)
{
	const sp_u8 want = from_initiator ? f->zone_from : f->zone_to;

	return want == SP_ZONE_NONE || want == zone;
}

/* A packet of a conversation without a state machine. */
SP_INLINE int sp_pseudo_track(const struct sp_flow *f, const struct sp_pkt *p, int from_initiator, sp_u32 *next)
{
	if (p->kind == SP_KIND_REPLY && from_initiator)
		return SP_R_ICMP_UNASKED;
	if (p->kind == SP_KIND_QUERY && !from_initiator)
		return p->zone == SP_ZONE_OUTSIDE ? SP_R_UNINVITED : SP_R_ANSWER; /* both ask with one identifier */
	if (!from_initiator)
		*next = sp_pseudo_phase(p->kind, 1);
	return from_initiator ? SP_R_CONTINUES : SP_R_ANSWER;
}

#define SP_TRACK_MISS (-1) /* it is gone, or another one by now */
#define SP_TRACK_REOPEN (-2) /* over; the packet may begin a new one, if policy lets it */

/*
 * Judges p against conversation p->flow and records it. Returns a reason, SP_TRACK_MISS or SP_TRACK_REOPEN.
 * restart: policy has agreed to a new beginning in the same place, if it is still over: another CPU may have begun it.
 */
SP_GLOBAL int sp_track(struct sp_pkt *p, sp_u32 restart)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	sp_u32 next, at;
	int reason, reopen = 0, from_initiator;
	struct sp_flow *f;

	if (!p || !c || !s)
		return SP_R_BUSY;
	at = p->flow - 1;
	f = sp_flow_at(at);
	if (!f)
		return SP_TRACK_MISS;
	if (!sp_flow_lock(f, at))
		return SP_R_BUSY;
	if (!sp_flow_is(f, &p->key) || f->phase == SP_PHASE_ALIAS || sp_is_stale(c, s, f, p->now_ns)) {
		reason = SP_TRACK_MISS;
		goto out;
	}
	from_initiator = ((f->flags & SP_FLOW_FROM_1) != 0) == p->dir;
	if (!sp_right_side(f, p->zone, from_initiator) || !sp_nat_right_key(f, p, !from_initiator)) {
		reason = SP_R_WRONG_SIDE;
		goto out;
	}
	next = f->phase;
	if (p->kind == SP_KIND_TCP)
		reason = sp_tcp_track(f, p, &next, &reopen);
	else
		reason = sp_pseudo_track(f, p, from_initiator, &next);
	if (reopen && !from_initiator && (f->flags & SP_FLOW_TRANSLATED)) {
		reason = SP_R_TCP_CLOSED; /* what the other end begins is another conversation, with other aliases */
		goto out;
	}
	if (reopen) {
		reason = SP_TRACK_REOPEN;
		if (!restart)
			p->line = f->line; /* then the line that permits the new beginning stands there */
		/* waits for an answer once more: within the budget of those that do */
		if (restart && sp_class_of(f->phase) != SP_CLASS_UNANSWERED &&
		    SP_READ(s->count[SP_CLASS_UNANSWERED]) >= SP_READ(c->unanswered_max)) {
			reason = SP_R_UNANSWERED_FULL;
		} else if (restart) {
			sp_restart(c, s, f, p);
			reason = SP_R_REOPENED;
		}
		goto out;
	}
	if (reason == SP_R_CHALLENGE)
		sp_account(f, p);
	if (reason != SP_R_CONTINUES && reason != SP_R_ANSWER)
		goto out;
	sp_account(f, p);
	if (!from_initiator) {
		if (!(f->flags & SP_FLOW_ANSWERED)) {
			p->event = SP_EVENT_ANSWERED;
			SP_WRITE(f->flags, f->flags | SP_FLOW_ANSWERED);
		}
		if (f->zone_to == SP_ZONE_NONE)
			SP_WRITE(f->zone_to, p->zone);
	}
	if (f->zone_from == SP_ZONE_NONE && from_initiator)
		SP_WRITE(f->zone_from, p->zone);
	if (next == SP_PHASE_TCP_TIME_WAIT || next == SP_PHASE_TCP_CLOSED) {
		if (f->phase != next) {
			p->event = SP_EVENT_CLOSED;
			SP_WRITE(f->seen_ns, p->now_ns);
		}
	} else if (!from_initiator || !(f->flags & SP_FLOW_MAPPED)) {
		SP_WRITE(f->seen_ns, p->now_ns);
	}
	sp_flow_phase(c, s, f, next);
out:
	sp_flow_unlock(f);
	return reason;
}

/* An ICMP error about conversation p->flow; p->dir is the end that sent the quoted packet. Changes nothing. */
SP_GLOBAL int sp_related(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	int reason = SP_R_RELATED_ERROR, quoted_initiator;
	struct sp_flow *f;
	sp_u8 lives, other;

	if (!p || !c || !s)
		return SP_R_BUSY;
	f = sp_flow_at(p->flow - 1);
	if (!f || !sp_flow_lock(f, p->flow - 1))
		return SP_R_BUSY;
	if (!sp_flow_is(f, &p->key) || sp_is_stale(c, s, f, p->now_ns)) {
		reason = SP_R_ICMP_NO_FLOW;
		goto out;
	}
	/*
	 * It comes from the side to which the quoted packet was on its way, or from this machine: no router anywhere else
	 * has seen that. If that side is not known yet, at least not from the sender's own.
	 */
	quoted_initiator = ((f->flags & SP_FLOW_FROM_1) != 0) == p->dir;
	lives = quoted_initiator ? f->zone_from : f->zone_to;
	other = quoted_initiator ? f->zone_to : f->zone_from;
	if (!sp_nat_right_key(f, p, quoted_initiator))
		reason = SP_R_WRONG_SIDE;
	else if (lives == p->zone ? lives != other : other && other != p->zone && p->zone != SP_ZONE_SELF)
		reason = SP_R_WRONG_SIDE;
	else if (f->key.proto == SP_PROTO_TCP && !sp_tcp_quoted(f, p))
		reason = SP_R_ICMP_WINDOW;
out:
	sp_flow_unlock(f);
	return reason;
}

#endif
