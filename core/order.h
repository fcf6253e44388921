/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a line of the configuration wants beyond yes or no (struct sp_image_order): a rate, a limit, an idle time. Decision
 * record: docs/decisions/0014-orders.md.
 *
 *   rate    asked once, of a packet that is about to begin a conversation. One arrival time a source and line says how far
 *           the source is ahead of its rate (GCRA, ITU-T I.371; "virtual scheduling").
 *   limit   conversations of one source with one service that are not closing. Counted as they change their phase, under
 *           their lock, like the classes; looked at when another one is about to begin.
 *   idle    looked at when a conversation is asked whether it is stale.
 *
 * Rates and limits stand in cells found by a keyed hash, two rows each, and the smaller one counts, so that sources that
 * share one cell do not suffer (count-min sketch, Cormode and Muthukrishnan 2005). Those that share both can be refused too
 * early, never let in too often.
 */
#ifndef SP_CORE_ORDER_H
#define SP_CORE_ORDER_H

#include "image.h"
#include "siphash.h"

#define SP_RATE_TRIES 16

/* Would sp_budget_take() give nothing? */
SP_INLINE int sp_budget_spent(sp_u64 *due_ns, sp_u64 now_ns, sp_u64 every_ns, sp_u32 burst)
{
	return (sp_s64)(SP_READ(*due_ns) - now_ns) > (sp_s64)((burst - 1) * every_ns);
}

/*
 * Takes one from a budget of one in every_ns, burst of them at once (GCRA, ITU-T I.371): *due_ns is when the next one would
 * be due. If another CPU takes one at the same instant, one of the two goes without.
 */
SP_INLINE int sp_budget_take(sp_u64 *due_ns, sp_u64 now_ns, sp_u64 every_ns, sp_u32 burst)
{
	const sp_u64 due = SP_READ(*due_ns), from = due > now_ns ? due : now_ns;

	if (from - now_ns > (burst - 1) * every_ns)
		return 0;
	return sp_cmpxchg64(due_ns, due, from + every_ns) == due;
}

/* The order of a line, or NULL: it has none, or is none of the configuration's. */
SP_INLINE struct sp_image_order *sp_order_at(sp_u32 generation, sp_u32 line)
{
	const sp_u32 slot = generation % SP_IMAGE_SLOTS;
	struct sp_image_more *more;
	sp_u32 orders;

	if (line < SP_LINE_FIRST)
		return 0;
	more = (struct sp_image_more *)sp_image_at(slot, 1);
	orders = more ? SP_READ(more->orders) : 0;
	return orders ? (struct sp_image_order *)sp_image_at(slot, orders + line - SP_LINE_FIRST) : 0;
}

/* Does a line want nothing but yes or no, and that what it lets in goes to that address (0: where it wants to)? */
SP_INLINE int sp_order_none(sp_u32 generation, sp_u32 line, sp_u32 to4)
{
	struct sp_image_order *o = sp_order_at(generation, line);

	if (!o)
		return !to4;
	return SP_READ(o->to4) == to4 && !(SP_READ(o->flags) | SP_READ(o->idle_s) | SP_READ(o->rate) | SP_READ(o->limit));
}

/* ---- cells -------------------------------------------------------------------------------------------------------- */

/* What a count-min sketch says: the smaller of two cells. */
SP_INLINE sp_u32 sp_smaller(const sp_u32 *a, const sp_u32 *b)
{
	sp_u32 x, y;

	if (!a || !b)
		return 0;
	x = SP_READ(*a);
	y = SP_READ(*b);
	return x < y ? x : y;
}

/* Two cells, one in each row: the first in the low half. rows: SP_METER_RATES or SP_METER_LIMITS. */
SP_INLINE sp_u64 sp_meter_cells(sp_u64 hash, sp_u32 rows)
{
	const sp_u64 first = (hash & (SP_METER_ROW - 1)) + rows * SP_METER_ROW;
	const sp_u64 second = ((hash >> 32) & (SP_METER_ROW - 1)) + (rows + 1) * SP_METER_ROW;

	return first | second << 32;
}

/* ---- idle ----------------------------------------------------------------------------------------------------------- */

/* Idle seconds that the line of a conversation names; 0: none, or its image is not kept any more. */
SP_GLOBAL sp_u32 sp_order_idle_s(sp_u32 generation, sp_u32 line)
{
	struct sp_config *c = sp_config_get();
	struct sp_image_order *o;

	if (!c)
		return 0;
	/* the oldest slot may just be getting the image of the next generation, unless trials keep going back to it */
	if (SP_READ(c->generation) - generation >= SP_IMAGE_SLOTS - 1 &&
	    !(SP_READ(c->trial_until_ns) && SP_READ(c->trial_back) == generation))
		return 0;
	o = sp_order_at(generation, line);
	return o ? SP_READ(o->idle_s) : 0;
}

/* ---- limit ---------------------------------------------------------------------------------------------------------- */

/* Does a conversation in this phase count? Not when it is closing: it wants nothing more. */
SP_INLINE int sp_limit_counts(sp_u32 phase)
{
	return phase != SP_PHASE_FREE && sp_class_of(phase) < SP_CLASS_CLOSING;
}

/*
 * Cells of the conversations that end `from` began with that service. It must follow from the conversation alone: when it
 * leaves, its policy may be long gone. IPv6 sources count by /64; an identifier of ICMP is no service.
 */
SP_INLINE sp_u64 sp_limit_cells(struct sp_config *c, struct sp_key *k, sp_u32 from)
{
	const sp_u64 service = k->query ? 0 : sp_ntoh16(k->port[!(from & 1)]);
	struct sp_sip s;

	sp_sip_init(&s, c->secret);
	sp_sip_word(&s, k->addr[from & 1].w[0]);
	sp_sip_word(&s, service << 16 | (sp_u64)k->proto << 8 | k->family);
	return sp_meter_cells(sp_sip_end(&s, 16), SP_METER_LIMITS);
}

SP_INLINE sp_u32 sp_limit_count(sp_u64 cells)
{
	return sp_smaller((sp_u32 *)sp_meter_at((sp_u32)cells), (sp_u32 *)sp_meter_at((sp_u32)(cells >> 32)));
}

/* One conversation more (1) or less (-1); its lock is held. */
SP_GLOBAL int sp_limit_add(struct sp_flow *f, sp_u32 delta)
{
	struct sp_config *c = sp_config_get();
	sp_u32 *a, *b;
	sp_u64 cells;

	if (!c || !f)
		return 0;
	cells = sp_limit_cells(c, &f->key, (f->flags & SP_FLOW_FROM_1) != 0);
	a = (sp_u32 *)sp_meter_at((sp_u32)cells);
	b = (sp_u32 *)sp_meter_at((sp_u32)(cells >> 32));
	if (!a || !b)
		return 0;
	sp_fetch_add(a, delta);
	sp_fetch_add(b, delta);
	return 1;
}

/* Conversation f, whose lock is held, counts from now on, or does not. */
SP_INLINE void sp_limit_set(struct sp_flow *f, sp_u32 limited)
{
	if (((f->flags & SP_FLOW_LIMITED) != 0) == (limited != 0))
		return;
	if (sp_limit_counts(f->phase))
		sp_limit_add(f, limited ? 1 : (sp_u32)-1);
	SP_WRITE(f->flags, (sp_u8)(f->flags ^ SP_FLOW_LIMITED));
}

/* Conversation f, whose lock is held, is another line's now. Nothing is refused here: what has begun goes on. */
SP_INLINE void sp_order_follow(struct sp_flow *f, sp_u32 generation, sp_u32 line)
{
	struct sp_image_order *o = sp_order_at(generation, line);
	const sp_u32 idle = o && SP_READ(o->idle_s);

	sp_limit_set(f, o ? SP_READ(o->limit) : 0);
	if (((f->flags & SP_FLOW_IDLE) != 0) != idle)
		SP_WRITE(f->flags, (sp_u8)(f->flags ^ SP_FLOW_IDLE));
}

/* ---- rate ----------------------------------------------------------------------------------------------------------- */

/*
 * Cells of p's source under its line. By the line's name, which lives on when a change of the configuration gives it another
 * number. Names stand in the image two a line, filled up with zeros.
 */
SP_INLINE sp_u64 sp_rate_cells(struct sp_config *c, struct sp_pkt *p)
{
	const sp_u32 slot = p->generation % SP_IMAGE_SLOTS, n = p->line - SP_LINE_FIRST;
	struct sp_image_head *head = (struct sp_image_head *)sp_image_at(slot, 0);
	struct sp_image_line *names = head ? sp_image_at(slot, head->names + n / 2) : 0;
	struct sp_sip s;

	sp_sip_init(&s, c->secret);
	sp_sip_word(&s, p->key.addr[p->dir & 1].w[0]);
	for (sp_u32 i = 0; i < SP_IMAGE_NAME / 8; i++)
		sp_sip_word(&s, names ? SP_READ(names->w[(n & 1) * (SP_IMAGE_NAME / 8) + i]) : 0);
	sp_sip_word(&s, p->family);
	return sp_meter_cells(sp_sip_end(&s, 16 + SP_IMAGE_NAME), SP_METER_RATES);
}

/*
 * Takes one from the rate, unless the source is more than ahead_ns before its time. The higher row is raised first: then the
 * lower one is the same for everybody, and whoever changes it has taken. BUSY: another processor was quicker.
 */
SP_GLOBAL int sp_rate_try(sp_u64 cells, sp_u64 interval_ns, sp_u64 ahead_ns, sp_u64 now_ns)
{
	sp_u64 *a = sp_meter_at((sp_u32)cells), *b = sp_meter_at((sp_u32)(cells >> 32));
	sp_u64 x, y, low, high, next;
	int a_low;

	if (!a || !b)
		return SP_R_RATE;
	x = SP_READ(*a);
	y = SP_READ(*b);
	a_low = (sp_s64)(x - y) <= 0;
	low = a_low ? x : y;
	high = a_low ? y : x;
	if ((sp_s64)(low - now_ns) > (sp_s64)ahead_ns)
		return SP_R_RATE;
	next = ((sp_s64)(low - now_ns) > 0 ? low : now_ns) + interval_ns;
	if ((sp_s64)(next - high) > 0 && sp_cmpxchg64(a_low ? b : a, high, next) != high)
		return SP_R_BUSY;
	return sp_cmpxchg64(a_low ? a : b, low, next) == low ? SP_R_NONE : SP_R_BUSY;
}

/* The same, until this processor was quick enough. */
SP_GLOBAL int sp_rate_take(sp_u64 cells, sp_u64 interval_ns, sp_u64 ahead_ns, sp_u64 now_ns)
{
	int reason = SP_R_BUSY;

	for (int n = 0; n < SP_RATE_TRIES && reason == SP_R_BUSY; n++)
		reason = sp_rate_try(cells, interval_ns, ahead_ns, now_ns);
	return reason;
}

/* ---- a conversation is about to begin --------------------------------------------------------------------------------- */

/*
 * May p begin a conversation, as far as the order of its line goes? SP_R_NONE, or the reason for a drop. p->flow: one that
 * would begin anew in its place; it does not count against itself.
 */
SP_GLOBAL int sp_order_admit(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_image_order *o = p ? sp_order_at(p->generation, p->line) : 0;
	sp_u32 limit, rate;

	if (!p || !c)
		return SP_R_BUSY;
	p->order_flags = 0;
	if (!o)
		return SP_R_NONE;
	limit = SP_READ(o->limit);
	rate = SP_READ(o->rate);
	if (limit) {
		struct sp_flow *f = p->flow ? sp_flow_at(p->flow - 1) : 0;

		if (f && (SP_READ(f->flags) & SP_FLOW_LIMITED) && sp_limit_counts(SP_READ(f->phase)))
			limit++;
		if (sp_limit_count(sp_limit_cells(c, &p->key, p->dir)) >= limit) {
			SP_STEP("limit", SP_R_LIMIT, SP_READ(o->limit));
			return SP_R_LIMIT;
		}
		SP_STEP("limit", SP_R_NONE, SP_READ(o->limit));
	}
	if (rate) {
		/* DIVISION: once for a conversation that begins under such a line, never for a packet that goes on */
		const sp_u64 interval_ns = SP_READ(o->rate_per_s) * SP_NS_PER_S / rate;
		const int reason = sp_rate_take(sp_rate_cells(c, p), interval_ns, (rate - 1) * interval_ns, p->now_ns);

		SP_STEP("rate", (sp_u64)reason, rate);
		if (reason)
			return reason;
	}
	p->order_flags = (limit ? SP_FLOW_LIMITED : 0) | (SP_READ(o->idle_s) ? SP_FLOW_IDLE : 0);
	return SP_R_NONE;
}

#endif
