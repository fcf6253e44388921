/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may still begin when many wait for an answer, and how strangers show that they are there: SYN cookies without SYN
 * ACKs. Decision record: docs/decisions/0025-floods.md.
 *
 * THE QUESTION. A stranger's SYN that some line permits, but for which there is no room, is answered with an acknowledgement
 * of a number that he never sent. If he is there, he resets that with the very number (RFC 9293 3.10.7.3, 3.5.1: half-open
 * discovery) and stays in SYN-SENT; so he has shown that he gets what is sent to his address. He sends his SYN again (Linux
 * at once, others when their timer says so), which may then begin. Nothing is remembered of whom was asked: the number is
 * a keyed hash of the segment's ends and of the time. Whoever has answered has a cell; an older one in it has to go.
 *
 * WHO MAY BEGIN, by how many conversations wait for an answer:
 *   up to half of the budget          everybody
 *   up to three quarters              strangers who do not have more than their share
 *   up to seven eighths               also those who have shown that they are there, up to twice their share
 *   up to all                         this machine, the inside, zones of one's own, up to their share
 * Beyond his mark somebody only takes the place of a conversation that has waited in vain for two seconds; a stranger
 * who has not shown that he is there does so SP_SPARE_EVERY_NS apart: after a flood that is enough for all.
 */
#ifndef SP_CORE_PROOF_H
#define SP_CORE_PROOF_H

#include "table.h"

#define SP_QUESTION_SHIFT 33 /* a number holds for this time (8.6 s) and the next */
#define SP_QUESTION_NS ((1ULL << (SP_QUESTION_SHIFT + 1)) + SP_NS_PER_S) /* nobody answers later than that */
#define SP_ASK_EVERY_NS (SP_NS_PER_S / 100000) /* a fifth of a processor's time, 70 Mbit/s of smallest frames */
#define SP_ASK_BURST 1000u
#define SP_ASK_SOURCE_EVERY_NS (SP_NS_PER_S / 32) /* to one source: nobody can be flooded with questions */
#define SP_ASK_SOURCE_BURST 32u
#define SP_PROOF_S 30 /* so long it holds that somebody is there */
#define SP_PROOF_SYNS 64u /* and for so many SYNs */
#define SP_SPARE_EVERY_NS (SP_NS_PER_S / 1000)
#define SP_SPARE_BURST 50u

enum sp_admit {
	SP_ADMIT_ROOM = 0, /* there is room */
	SP_ADMIT_INSTEAD = -1, /* in the place of another one that waits; positive: the reason why not */
};

/* What is asked of whose conversation has this hash. */
SP_INLINE sp_u32 sp_question(struct sp_config *c, sp_u64 hash, sp_u64 now_ns)
{
	struct sp_sip s;

	sp_sip_init(&s, c->secret);
	sp_sip_word(&s, hash);
	sp_sip_word(&s, now_ns >> SP_QUESTION_SHIFT);
	return (sp_u32)sp_sip_end(&s, 17); /* of no other hash's length */
}

/* Of a source; IPv6 sources are networks of 64 bits. */
SP_INLINE sp_u64 sp_proof_hash(struct sp_config *c, const struct sp_pkt *p)
{
	struct sp_sip s;

	sp_sip_init(&s, c->secret);
	sp_sip_word(&s, p->src.w[0]);
	sp_sip_word(&s, p->family);
	return sp_sip_end(&s, 18);
}

/* Cell of a source: tag << 40 | SYNs left << 32 | second until which it holds. */
SP_INLINE sp_u64 *sp_proof_at(sp_u64 hash)
{
	return sp_meter_at((sp_u32)(hash & (SP_METER_ROW - 1)) + SP_METER_PROOFS * SP_METER_ROW);
}

/* Has p's source shown that it is there? Takes `n` of its SYNs; two CPUs at the same instant may take one together. */
SP_GLOBAL int sp_proven(struct sp_pkt *p, sp_u32 n)
{
	struct sp_config *c = sp_config_get();
	sp_u64 hash, *cell, old;

	if (!p || !c)
		return 0;
	hash = sp_proof_hash(c, p);
	cell = sp_proof_at(hash);
	old = cell ? SP_READ(*cell) : 0;
	if (old >> 40 != hash >> 40 || !(old >> 32 & 0xff) || (sp_s32)((sp_u32)old - sp_seconds(p->now_ns)) <= 0)
		return 0;
	if (n)
		sp_cmpxchg64(cell, old, old - ((sp_u64)(n & 1) << 32));
	return 1;
}

/* A stranger's reset of no conversation: is it the answer to a question? Then it is remembered of its source. */
SP_GLOBAL int sp_prove(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	sp_u64 hash, *cell;

	if (!p || !c || !s || (sp_s64)(p->now_ns - SP_READ(s->ask_due_ns)) > (sp_s64)SP_QUESTION_NS)
		return 0; /* nobody was asked */
	if (p->seq != sp_question(c, p->hash, p->now_ns) &&
	    p->seq != sp_question(c, p->hash, p->now_ns - (1ULL << SP_QUESTION_SHIFT)))
		return 0;
	hash = sp_proof_hash(c, p);
	cell = sp_proof_at(hash);
	if (!cell)
		return 0;
	SP_WRITE(*cell, hash >> 40 << 40 | (sp_u64)SP_PROOF_SYNS << 32 | (sp_u32)(sp_seconds(p->now_ns) + SP_PROOF_S));
	return 1;
}

/* There is no room for p's conversation, for this reason: SP_R_ASKED if its sender is to be asked. */
SP_GLOBAL int sp_ask(struct sp_pkt *p, sp_u32 reason)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	sp_u64 *due;

	if (!p || !c || !s || p->zone != SP_ZONE_OUTSIDE || p->kind != SP_KIND_TCP || p->is_frag)
		return (int)reason;
	due = sp_meter_at((sp_u32)(sp_proof_hash(c, p) & (SP_METER_ROW - 1)) + SP_METER_ASKED * SP_METER_ROW);
	if (!due || !sp_budget_take(due, p->now_ns, SP_ASK_SOURCE_EVERY_NS, SP_ASK_SOURCE_BURST) ||
	    !sp_budget_take(&s->ask_due_ns, p->now_ns, SP_ASK_EVERY_NS, SP_ASK_BURST))
		return (int)reason;
	return SP_R_ASKED;
}

/* How many conversations may wait for an answer, before this one? */
SP_INLINE sp_u32 sp_mark(struct sp_config *c, const struct sp_pkt *p)
{
	const sp_u32 most = SP_READ(c->unanswered_max);

	return p->zone == SP_ZONE_OUTSIDE ? most - most / 4 : most;
}

/*
 * The first word on a packet of no conversation: is it one of more SYNs of strangers than can be asked? Then it is not worth
 * the look-ups that would say whether its port is open.
 */
SP_GLOBAL int sp_shed(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();

	if (!p || !c || !s || p->zone != SP_ZONE_OUTSIDE || p->kind != SP_KIND_TCP ||
	    (p->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK | SP_TCP_RST)) != SP_TCP_SYN)
		return 0;
	if (SP_READ(s->count[SP_CLASS_UNANSWERED]) < sp_mark(c, p))
		return 0;
	return sp_budget_spent(&s->ask_due_ns, p->now_ns, SP_ASK_EVERY_NS, SP_ASK_BURST) &&
	       sp_budget_spent(&s->spare_due_ns, p->now_ns, SP_SPARE_EVERY_NS, SP_SPARE_BURST) && !sp_proven(p, 0);
}

/* Do so few wait for an answer that everybody may begin? */
SP_INLINE int sp_waiting_few(struct sp_config *c, struct sp_state *s, const struct sp_pkt *p)
{
	const sp_u32 waiting = SP_READ(s->count[SP_CLASS_UNANSWERED]);

	return waiting <= SP_READ(c->unanswered_max) / 2 && waiting < sp_mark(c, p);
}

/* May p begin a conversation? enum sp_admit. What it may not only goes by how many wait for an answer. */
SP_GLOBAL int sp_admit(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	sp_u32 most, waiting, mark, had, share;
	int asks, proven = 0;

	if (!p || !c || !s)
		return SP_R_BUSY;
	most = SP_READ(c->unanswered_max);
	waiting = SP_READ(s->count[SP_CLASS_UNANSWERED]);
	mark = sp_mark(c, p);
	if (sp_waiting_few(c, s, p))
		return SP_ADMIT_ROOM;
	asks = p->zone == SP_ZONE_OUTSIDE && p->kind == SP_KIND_TCP;
	had = waiting > most / 2 ? sp_source_count(sp_source_cells(c, &p->src, p->family)) : 0;
	share = sp_share(c, s);
	if (asks && (had >= share || waiting >= mark) && sp_proven(p, 1)) {
		proven = 1;
		share *= 2;
		mark = most - most / 8;
	}
	if (had >= share)
		return SP_R_SOURCE_SHARE;
	if (waiting < mark)
		return SP_ADMIT_ROOM;
	if (asks && !proven && !sp_budget_take(&s->spare_due_ns, p->now_ns, SP_SPARE_EVERY_NS, SP_SPARE_BURST))
		return SP_R_UNANSWERED_FULL;
	return SP_ADMIT_INSTEAD;
}

#endif
