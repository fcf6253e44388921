/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TCP tracker: RFC 9293 seen from the middle.
 *
 * Each end of a connection has a state (enum sp_tcp_end) and a window record (struct sp_peer). A segment is first judged,
 * then recorded: a packet that is dropped changes nothing. The caller holds the conversation's lock.
 *
 * The four window tests (van Rooij 2000, as in pf and conntrack), s the sender, d the other end:
 *   I    seq <= s.max_end                      not beyond what d can take (part of the segment may be, d trims it)
 *   II   seq + len >= s.end - d.max_win        not older than one window of d
 *   III  ack <= d.end                          acknowledges only what was sent
 *   IV   ack >= d.end - max(66000, 2 s.max_win)  and not what was settled long ago (RFC 5961 5.2)
 * They are not applied when a window scale was not seen (SP_FLOW_LOOSE: picked up or adopted; RFC 6092 REC-32).
 *
 * Resets (RFC 5961 3.2): only one with the exact expected sequence number, give or take one as in pf, closes. One inside the
 * window passes, since the receiver answers it with a challenge that may settle things, but changes nothing here.
 * SYN in a live connection (RFC 5961 4.2): passes for the same reason, changes nothing.
 * Timers are never refreshed in a dead state (TIME-WAIT, CLOSED).
 */
#ifndef SP_CORE_TCP_H
#define SP_CORE_TCP_H

#include "insert.h"

#define SP_MAX_ACK_WINDOW 66000u /* facts: conntrack's MAXACKWINDOW; pf's 0xffff + 1500 is as good */

SP_INLINE int sp_seq_lt(sp_u32 a, sp_u32 b)
{
	return (sp_s32)(a - b) < 0;
}

SP_INLINE int sp_seq_near(sp_u32 a, sp_u32 b)
{
	return a - b + 1 <= 2;
}

/*
 * Phase of the connection by the states of its ends: a table of 5 x 5, symmetric; five bits an entry, a word a row.
 *           CLOSED    SYN           OPEN          FIN          DONE
 */
SP_INLINE sp_u32 sp_tcp_phase(sp_u32 e0, sp_u32 e1)
{
#define ROW(a, b, c, d, e)                                                                                     \
	((sp_u32)SP_PHASE_TCP_##a | (sp_u32)SP_PHASE_TCP_##b << 5 | (sp_u32)SP_PHASE_TCP_##c << 10 |           \
	 (sp_u32)SP_PHASE_TCP_##d << 15 | (sp_u32)SP_PHASE_TCP_##e << 20)
	/* CLOSED: has sent nothing yet */
	const sp_u32 closed = ROW(SYN_SENT, SYN_SENT, SYN_SENT, SYN_SENT, CLOSED);
	/* SYN: sent one that is not acknowledged; both: simultaneous open, RFC 9293 3.5 figure 8 */
	const sp_u32 syn = ROW(SYN_SENT, SYN_SENT, SYN_RECEIVED, SYN_RECEIVED, SYN_RECEIVED);
	/* OPEN: its SYN is acknowledged */
	const sp_u32 open = ROW(SYN_SENT, SYN_RECEIVED, ESTABLISHED, HALF_CLOSED, HALF_CLOSED);
	/* FIN: sent one that is not acknowledged; against FIN: CLOSING, against DONE: LAST-ACK */
	const sp_u32 fin = ROW(SYN_SENT, SYN_RECEIVED, HALF_CLOSED, LAST_ACK, LAST_ACK);
	/* DONE: its FIN is acknowledged */
	const sp_u32 done = ROW(CLOSED, SYN_RECEIVED, HALF_CLOSED, LAST_ACK, TIME_WAIT);
#undef ROW
	const sp_u32 row = e0 == 0 ? closed : e0 == 1 ? syn : e0 == 2 ? open : e0 == 3 ? fin : done;

	return (row >> (5 * (e1 % SP_END_COUNT))) & 31;
}

SP_INLINE sp_u32 sp_end_get(const struct sp_flow *f, sp_u32 end)
{
	return (f->ends >> (4 * end)) & 15;
}

SP_INLINE void sp_end_set(struct sp_flow *f, sp_u32 end, sp_u32 state)
{
	f->ends = (sp_u8)((f->ends & ~(15u << (4 * end))) | state << (4 * end));
}

/* Window that the segment offers, in bytes. The window of a SYN is never scaled (RFC 7323 2.2). */
SP_INLINE sp_u32 sp_tcp_window(const struct sp_flow *f, const struct sp_pkt *p)
{
	const sp_u32 own = (f->wscale >> (4 * p->dir)) & 15, other = (f->wscale >> (4 * !p->dir)) & 15;
	const sp_u32 scale = own == SP_WSCALE_NONE || other == SP_WSCALE_NONE ? 0 : own;
	const sp_u32 win = (p->tcp_flags & SP_TCP_SYN) ? p->win : (sp_u32)p->win << scale;

	return win ? win : 1; /* room for a zero-window probe (RFC 9293 3.8.6.1) */
}

SP_INLINE sp_u32 sp_tcp_end_seq(const struct sp_pkt *p)
{
	return p->seq + p->payload + ((p->tcp_flags & SP_TCP_SYN) != 0) + ((p->tcp_flags & SP_TCP_FIN) != 0);
}

/* First segment of a conversation: a SYN of the initiator, or (trusted side only) any segment with ACK. */
SP_INLINE sp_u32 sp_tcp_first_phase(const struct sp_pkt *p)
{
	return (p->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK)) == SP_TCP_SYN ? SP_PHASE_TCP_SYN_SENT : SP_PHASE_TCP_PICKED_UP;
}

SP_INLINE void sp_tcp_begin(struct sp_flow *f, const struct sp_pkt *p)
{
	struct sp_peer *s = &f->peer[p->dir & 1], *d = &f->peer[!p->dir];

	s->end = sp_tcp_end_seq(p);
	s->max_win = p->win ? p->win : 1;
	s->max_end = s->end;
	f->ends = 0;
	if (sp_tcp_first_phase(p) == SP_PHASE_TCP_SYN_SENT) {
		d->ack = p->seq + 1;
		f->wscale = (sp_u8)((SP_WSCALE_NONE << (4 * !p->dir)) | (p->wscale << (4 * p->dir)));
		sp_end_set(f, p->dir & 1, SP_END_SYN);
		return;
	}
	SP_WRITE(f->flags, f->flags | SP_FLOW_LOOSE);
	s->ack = p->ack;
	d->end = p->ack;
	d->ack = p->seq;
	sp_end_set(f, p->dir & 1, (p->tcp_flags & SP_TCP_FIN) ? SP_END_FIN : SP_END_OPEN);
	sp_end_set(f, !p->dir, SP_END_OPEN);
}

SP_INLINE int sp_ok(const struct sp_flow *f, const struct sp_pkt *p)
{
	return ((f->flags & SP_FLOW_FROM_1) != 0) == p->dir ? SP_R_CONTINUES : SP_R_ANSWER;
}

/* III and IV: does the acknowledgement fit? */
SP_INLINE int sp_tcp_check_ack(const struct sp_peer *s, const struct sp_peer *d, sp_u32 ack)
{
	/* RFC 5961 5.2: one window below what is unacknowledged, which may itself be one window below what was sent */
	const sp_u32 back = s->max_win > SP_MAX_ACK_WINDOW / 2 ? 2 * s->max_win : SP_MAX_ACK_WINDOW;

	if (sp_seq_lt(d->end, ack))
		return SP_R_TCP_ACK_HIGH;
	if (sp_seq_lt(ack, d->end - back))
		return SP_R_TCP_ACK_LOW;
	return SP_R_NONE;
}

/* *next becomes CLOSED when the reset is believed. */
SP_INLINE int sp_tcp_reset(struct sp_flow *f, const struct sp_pkt *p, sp_u32 *next)
{
	struct sp_peer *s = &f->peer[p->dir & 1], *d = &f->peer[!p->dir];
	const sp_u32 es = sp_end_get(f, p->dir & 1), ed = sp_end_get(f, !p->dir);

	if (es == SP_END_CLOSED) {
		/* the answer to a SYN (RFC 9293 3.10.7.3): it must acknowledge that SYN */
		if (!(p->tcp_flags & SP_TCP_ACK) || sp_seq_lt(p->ack, s->ack) || sp_seq_lt(d->end, p->ack))
			return SP_R_TCP_RST_SEQ;
		*next = SP_PHASE_TCP_CLOSED;
		return sp_ok(f, p);
	}
	if ((f->flags & SP_FLOW_LOOSE) && !s->max_win)
		return SP_R_CHALLENGE; /* nothing is known of its sender: it may pass, it is not believed */
	if (ed != SP_END_CLOSED && (p->tcp_flags & SP_TCP_ACK) && !(f->flags & SP_FLOW_LOOSE) &&
	    sp_tcp_check_ack(s, d, p->ack))
		return SP_R_TCP_RST_SEQ;
	if (sp_seq_near(p->seq, s->end) || p->seq == d->ack) {
		*next = SP_PHASE_TCP_CLOSED;
		return sp_ok(f, p);
	}
	if (f->flags & SP_FLOW_LOOSE)
		return SP_R_CHALLENGE;
	/* the initiator resets a half-open connection with the number that the other end named (RFC 9293 3.5.1) */
	if (ed == SP_END_CLOSED && sp_ok(f, p) == SP_R_CONTINUES)
		return SP_R_CHALLENGE;
	if (!sp_seq_lt(s->max_end, p->seq) && !sp_seq_lt(p->seq, s->end - d->max_win))
		return SP_R_CHALLENGE;
	return SP_R_TCP_RST_SEQ;
}

/* A SYN or SYN ACK. *reopen: the connection is over and this may begin another one (RFC 9293 3.6.1, RFC 6191). */
SP_INLINE int sp_tcp_syn(struct sp_flow *f, const struct sp_pkt *p, int *reopen)
{
	struct sp_peer *s = &f->peer[p->dir & 1], *d = &f->peer[!p->dir];
	const sp_u32 es = sp_end_get(f, p->dir & 1), ed = sp_end_get(f, !p->dir);
	const int has_ack = (p->tcp_flags & SP_TCP_ACK) != 0;
	const sp_u32 win = sp_tcp_window(f, p);

	if (f->phase == SP_PHASE_TCP_TIME_WAIT || f->phase == SP_PHASE_TCP_CLOSED) {
		if (!has_ack)
			*reopen = 1;
		return SP_R_TCP_CLOSED;
	}
	/* in a simultaneous open this SYN ACK is what acknowledges the other SYN (RFC 9293 3.5 figure 8) */
	if (es >= SP_END_OPEN && !(es == SP_END_OPEN && ed == SP_END_SYN && has_ack && p->seq + 1 == d->ack))
		return SP_R_CHALLENGE;
	if (es == SP_END_SYN && p->seq + 1 != d->ack) {
		/* another SYN before any answer: the initiator tries afresh */
		if (ed == SP_END_CLOSED && !has_ack)
			*reopen = 1;
		return SP_R_TCP_HANDSHAKE;
	}
	if (has_ack && (sp_seq_lt(p->ack, s->ack) || sp_seq_lt(d->end, p->ack)))
		return SP_R_TCP_HANDSHAKE;
	if (ed == SP_END_CLOSED && has_ack)
		return SP_R_TCP_HANDSHAKE;
	/* it fits: record it */
	if (es == SP_END_CLOSED) {
		s->end = sp_tcp_end_seq(p);
		s->max_win = win;
		s->max_end = p->seq + 1 + d->max_win;
		d->ack = p->seq + 1;
		f->wscale = (sp_u8)((f->wscale & ~(15u << (4 * p->dir))) | (sp_u32)p->wscale << (4 * p->dir));
		sp_end_set(f, p->dir & 1, SP_END_SYN);
	} else if (sp_seq_lt(s->end, sp_tcp_end_seq(p))) {
		s->end = sp_tcp_end_seq(p);
	}
	if (has_ack) {
		s->ack = p->ack;
		if (sp_seq_lt(d->max_end, p->ack + win))
			d->max_end = p->ack + win;
		if (ed == SP_END_SYN)
			sp_end_set(f, !p->dir, SP_END_OPEN);
	}
	return sp_ok(f, p);
}

/* Everything that is neither SYN nor RST. */
SP_INLINE int sp_tcp_segment(struct sp_flow *f, const struct sp_pkt *p)
{
	struct sp_peer *s = &f->peer[p->dir & 1], *d = &f->peer[!p->dir];
	const sp_u32 es = sp_end_get(f, p->dir & 1), ed = sp_end_get(f, !p->dir);
	const sp_u32 end = sp_tcp_end_seq(p), win = sp_tcp_window(f, p);

	if (es == SP_END_CLOSED) {
		/* the other end remembers an older connection and says so (RFC 9293 3.5.1, RFC 5961 4.2) */
		return p->payload || (p->tcp_flags & SP_TCP_FIN) ? SP_R_TCP_HANDSHAKE : SP_R_CHALLENGE;
	}
	if (ed == SP_END_CLOSED)
		return SP_R_TCP_HANDSHAKE; /* nothing was answered yet that it could acknowledge */
	if (f->flags & SP_FLOW_LOOSE) {
		if (!s->max_win) {
			s->end = end;
			s->max_end = end;
			s->ack = p->ack;
		}
		if (!d->max_win && sp_seq_lt(d->end, p->ack))
			d->end = p->ack;
	} else {
		int bad;

		if (sp_seq_lt(s->max_end, p->seq))
			return SP_R_TCP_SEQ_HIGH;
		if (sp_seq_lt(end, s->end - d->max_win))
			return SP_R_TCP_SEQ_LOW;
		bad = sp_tcp_check_ack(s, d, p->ack);
		if (bad)
			return bad;
		if (ed == SP_END_SYN && sp_seq_lt(p->ack, s->ack))
			return SP_R_TCP_HANDSHAKE;
	}
	/* it fits: record it */
	if (ed == SP_END_SYN)
		sp_end_set(f, !p->dir, SP_END_OPEN);
	if (sp_seq_lt(s->end, end))
		s->end = end;
	if (sp_seq_lt(s->ack, p->ack))
		s->ack = p->ack;
	if (s->max_win < win)
		s->max_win = win;
	if (sp_seq_lt(d->max_end, p->ack + win))
		d->max_end = p->ack + win;
	if ((p->tcp_flags & SP_TCP_FIN) && es < SP_END_FIN)
		sp_end_set(f, p->dir & 1, SP_END_FIN);
	if (ed == SP_END_FIN && p->ack == d->end)
		sp_end_set(f, !p->dir, SP_END_DONE);
	return sp_ok(f, p);
}

/* Judges a segment of a known connection. *next: phase afterwards. *reopen: decide it as a new conversation. */
SP_INLINE int sp_tcp_track(struct sp_flow *f, const struct sp_pkt *p, sp_u32 *next, int *reopen)
{
	int reason;

	if (p->tcp_flags & SP_TCP_RST)
		return sp_tcp_reset(f, p, next);
	if (p->tcp_flags & SP_TCP_SYN)
		reason = sp_tcp_syn(f, p, reopen);
	else
		reason = sp_tcp_segment(f, p);
	if (reason != SP_R_CONTINUES && reason != SP_R_ANSWER)
		return reason;
	if (f->phase == SP_PHASE_TCP_CLOSED)
		return reason;
	if (f->phase == SP_PHASE_TCP_PICKED_UP && reason == SP_R_CONTINUES)
		return reason; /* still waiting for the other end */
	*next = sp_tcp_phase(sp_end_get(f, 0), sp_end_get(f, 1));
	return reason;
}

/* Was the quoted segment sent in this connection, and lately (RFC 5927 4.1, facts: ICMP errors)? */
SP_INLINE int sp_tcp_quoted(const struct sp_flow *f, const struct sp_pkt *p)
{
	const struct sp_peer *s = &f->peer[p->dir & 1], *d = &f->peer[!p->dir];
	const sp_u32 back = d->max_win > SP_MAX_ACK_WINDOW ? d->max_win : SP_MAX_ACK_WINDOW;

	if (f->flags & SP_FLOW_LOOSE)
		return 1;
	return !sp_seq_lt(s->end, p->seq) && !sp_seq_lt(p->seq, s->end - back);
}

#endif
