/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole firewall on one screen: what happens to one packet, in order. Every engine runs this very code.
 *
 * The including port has defined (a missing one is a compile error):
 *   SP_GLOBAL                        a function that the verifier checks on its own; elsewhere static inline
 *   SP_READ(x), SP_WRITE(x, v)       one load, one store, not torn, not repeated
 *   SP_ACQUIRE(x), SP_RELEASE(x, v)  the same; no later access comes before that load, no earlier one after that store
 *   SP_OPAQUE(x)                     hides from the compiler what it knows of x
 *   sp_cmpxchg32/64(p, old, new), sp_fetch_add(p, n), sp_unlock(p, v), sp_relax(n)
 *   SP_CALLBACK, sp_repeat(n, f, arg)   calls f(0..n-1, arg) until it returns 1
 *   SP_IN_ORDER                      may be: memory is read, and written, in the order in which the program says so
 *   sp_dev, sp_load(dev, off, to, n), sp_load_some(...), sp_sum(dev, off, len, seed)     packet memory
 *   sp_config_get(), sp_state_get(), sp_set_at(i), sp_flow_at(i), sp_frag_at(i), sp_sketch_at(i), sp_meter_at(i)
 *   sp_flow_placed(i, p)             entry i, which is locked, becomes p's conversation; p is SP_NULL: it has other aliases
 *   sp_image_at(slot, line)          a line of the compiled policy; SP_NULL: there is none
 *   sp_nat_get(), sp_port_at(i)      this machine's addresses at the outside (SP_NULL: nothing is translated), its ports
 *   sp_listens(dev, p, port)         does this machine itself use that port (host order), against p's destination?
 *   sp_is_mine(dev, p)               is p->new4 (still) an address of this machine?
 *   sp_put(dev, off, from, n)        stores n (constant) bytes; sp_fix(): see rewrite.h
 *   sp_route_zone(dev, p)            zone of p's destination
 *   sp_source_fits(dev, p)           does the route back to the source leave where the packet came in?
 *   sp_seconds(ns), SP_STEP(what, a, b)   the latter tells explain what is going on; empty in the kernel
 */
#ifndef SP_CORE_PIPELINE_H
#define SP_CORE_PIPELINE_H

#include "frag.h"
#include "nat.h"
#include "parse.h"
#include "policy.h"
#include "rewrite.h"
#include "track.h"

/* A port that looks ahead may know p->hash already, and where the conversation probably is. */
#ifndef SP_HASHED
#define SP_HASHED(dev) 0
#endif
#ifndef SP_FIND
#define SP_FIND(dev, p) sp_flow_find(p)
#endif

#define SP_CHECKSUM_MAX 9216 /* bytes: longer segments are believed */

/*
 * Is the transport checksum right? A packet that the end host will ignore must not begin, answer or close a conversation.
 * An unfinished one of a virtual link (CHECKSUM_PARTIAL: the field holds the folded pseudo-header sum) counts as right; so
 * does a UDP checksum of 0 over IPv4 (RFC 768). Not looked at: pieces, super-packets (the kernel has), SCTP, others.
 */
SP_GLOBAL int sp_checksum_good(sp_dev *dev, struct sp_pkt *p)
{
	sp_u32 field_off, pseudo, sum;
	sp_be16 field;
	sp_u64 acc;

	if (!p)
		return 0;
	if (p->is_frag || p->segs > 1 || p->l4_len > SP_CHECKSUM_MAX || p->l4_off > SP_HEADERS_MAX)
		return 1;
	if (p->proto == SP_PROTO_TCP)
		field_off = 16;
	else if (p->proto == SP_PROTO_UDP)
		field_off = 6;
	else if (p->proto == SP_PROTO_ICMP6 && p->family == SP_IPV6)
		field_off = 2;
	else if (p->proto == SP_PROTO_ICMP && p->family == SP_IPV4)
		return sp_sum(dev, p->l4_off, p->l4_len, 0) == 0xffff;
	else
		return 1;
	acc = (sp_u64)p->src.w32[0] + p->src.w32[1] + p->src.w32[2] + p->src.w32[3] + p->dst.w32[0] + p->dst.w32[1] +
	      p->dst.w32[2] + p->dst.w32[3] + sp_hton32(p->l4_len).raw + sp_hton32(p->proto).raw;
	pseudo = sp_fold(acc);
	if (sp_load(dev, p->l4_off + field_off, &field, 2))
		return 0;
	if (p->proto == SP_PROTO_UDP && !field.raw)
		return p->family == SP_IPV4;
	if (field.raw == pseudo)
		return 1;
	sum = sp_sum(dev, p->l4_off, p->l4_len, pseudo);
	return sum == 0xffff;
}

#ifdef SP_GUESS_UNFINISHED
/*
 * Is the transport checksum that of the pseudo-header only, which a virtual link left for hardware to finish? It looks
 * like it, and is not right in full. One packet in 65,536 of either sort is both, and nothing in it can tell: it is taken
 * for what the last one was that could. Pieces and super-packets that were longer than one packet have none.
 */
SP_GLOBAL int sp_unfinished(sp_dev *dev, struct sp_pkt *p)
{
	sp_be16 field;
	sp_u32 pseudo;
	sp_u64 acc;

	if (!p || p->is_frag || p->l4_off > SP_HEADERS_MAX || (p->proto != SP_PROTO_TCP && p->proto != SP_PROTO_UDP))
		return 0;
	acc = (sp_u64)p->src.w32[0] + p->src.w32[1] + p->src.w32[2] + p->src.w32[3] +
	      (p->nat == SP_NAT_DST ? p->old4 : p->dst.w32[0]) + p->dst.w32[1] + p->dst.w32[2] + p->dst.w32[3] +
	      sp_hton32(p->l4_len).raw + sp_hton32(p->proto).raw;
	pseudo = sp_fold(acc);
	if (sp_load(dev, p->l4_off + (p->proto == SP_PROTO_TCP ? 16 : 6), &field, 2))
		return 0;
	if (field.raw != pseudo) {
		sp_note_virtual(p, 0);
		return 0;
	}
	if (p->segs > 1 || p->l4_len > SP_CHECKSUM_MAX)
		return 1;
	if (sp_sum(dev, p->l4_off, p->l4_len, pseudo) == 0xffff)
		return p->virtual;
	sp_note_virtual(p, 1);
	return 1;
}
#endif

/* Does the packet change what is remembered, rather than only go on? Those must have a right checksum. */
SP_INLINE int sp_wants_checksum(struct sp_pkt *p)
{
	struct sp_flow *f;
	sp_u32 phase;

	if (p->hook != SP_HOOK_INGRESS)
		return 0;
	if (p->kind == SP_KIND_ERROR || !p->flow || (p->tcp_flags & (SP_TCP_SYN | SP_TCP_FIN | SP_TCP_RST)))
		return 1;
	f = sp_flow_at(p->flow - 1);
	if (!f)
		return 1;
	phase = SP_READ(f->phase);
	if (phase == SP_PHASE_ALIAS) {
		f = sp_flow_at(SP_READ(((struct sp_alias *)f)->flow) - 1);
		phase = f ? SP_READ(f->phase) : SP_PHASE_FREE;
	}
	return sp_class_of(phase) == SP_CLASS_UNANSWERED;
}

/* An ICMP error: p->key is that of the packet it quotes. */
SP_INLINE int sp_judge_error(struct sp_pkt *p)
{
	int reason;

	if (p->flow) {
		reason = sp_related(p);
		/* what this machine quotes, its receiver may know by another address */
		if (reason == SP_R_RELATED_ERROR && p->hook == SP_HOOK_EGRESS && !p->via && sp_nat_get())
			sp_nat_known(p);
		return reason;
	}
	return p->zone == SP_ZONE_SELF ? SP_R_OWN_ERROR : SP_R_ICMP_NO_FLOW;
}

/* A packet of no conversation: may it begin one? */
SP_GLOBAL int sp_judge_new(sp_dev *dev, struct sp_pkt *p)
{
	sp_u32 slot = 0;
	int reason, inserted;

	if (!p)
		return SP_R_BUSY;
	if (sp_shed(p))
		return SP_R_UNANSWERED_FULL;
	if (p->hook == SP_HOOK_INGRESS) {
		slot = (sp_u32)sp_nat_destination(p);
		SP_STEP("destination", slot, p->new4);
	}
	reason = sp_may_start(dev, p);
	SP_STEP("may_start", (sp_u64)reason, p->zone);
	if (reason == SP_R_TCP_NO_FLOW && p->zone == SP_ZONE_OUTSIDE && (p->tcp_flags & SP_TCP_RST) && sp_prove(p))
		return SP_R_PROVEN;
	if (reason == SP_R_TCP_NO_FLOW && p->hook == SP_HOOK_INGRESS && p->zone != SP_ZONE_OUTSIDE &&
	    (p->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK)) == (SP_TCP_SYN | SP_TCP_ACK))
		sp_note_others(p->now_ns); /* it answers what went by as something else */
	if (sp_reason_drops((sp_u32)reason))
		return reason;
	inserted = sp_flow_insert(p);
	SP_STEP("insert", (sp_u64)inserted, p->flow);
	if (inserted == SP_R_NONE) {
		p->event = SP_EVENT_NEW;
		if (slot)
			inserted = sp_nat_begin(p, slot);
		return inserted ? inserted : reason;
	}
	if (inserted == SP_R_CONTINUES && slot)
		return SP_R_NAT_CLASH;
	if (inserted == SP_R_SOURCE_SHARE || inserted == SP_R_UNANSWERED_FULL)
		return sp_ask(p, (sp_u32)inserted);
	if (inserted != SP_R_CONTINUES)
		return inserted;
	inserted = sp_track(p, 0); /* another CPU inserted it at the same instant */
	return inserted < 0 ? SP_R_BUSY : inserted;
}

/* A packet whose conversation is (or seems) known. */
SP_INLINE int sp_judge_known(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_flow *f = sp_flow_at(p->flow - 1);
	int reason = SP_R_NONE;

	if (f && SP_READ(f->generation) != p->generation) {
		if (SP_READ(f->zone_to) == SP_ZONE_NONE)
			p->zone_to = (sp_u8)sp_route_zone(dev, p);
		reason = sp_redecide(p);
		SP_STEP("redecide", (sp_u64)reason, p->flow);
		if (reason)
			return reason;
	}
	reason = sp_track(p, 0);
	SP_STEP("track", (sp_u64)(sp_s64)reason, p->flow);
	if (reason == SP_TRACK_REOPEN) {
		reason = sp_may_start(dev, p);
		if (sp_reason_drops((sp_u32)reason))
			return reason == SP_R_UNINVITED ? SP_R_TCP_CLOSED : reason;
		reason = sp_track(p, 1);
	}
	if (reason != SP_TRACK_MISS)
		return reason < 0 ? SP_R_BUSY : reason;
	sp_nat_forget(p);
	return sp_judge_new(dev, p);
}

/* Everything after the parser. */
SP_INLINE int sp_judge(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	int reason;

	if (!c || !s)
		return SP_R_BUSY;
	p->generation = sp_generation(c, p->now_ns);
	if (p->hook == SP_HOOK_INGRESS) {
		reason = sp_check_addr(p);
		SP_STEP("addresses", (sp_u64)reason, p->zone);
		if (reason)
			return reason;
	}
	if (p->kind == SP_KIND_PIECE) {
		reason = sp_frag_piece(p);
		SP_STEP("fragment", (sp_u64)reason, p->frag_off);
		return reason;
	}
	reason = sp_implied(s, p);
	SP_STEP("implied", (sp_u64)reason, p->kind);
	if (reason)
		return reason;
	if (p->kind == SP_KIND_NONE) /* an ICMP type that does not belong on the way */
		return p->zone == SP_ZONE_SELF ? SP_R_OWN_ERROR : SP_R_ICMP_TYPE;
	if (!SP_HASHED(dev))
		p->hash = sp_key_hash(&p->key, c->secret);
	p->searched = sp_searched(sp_first_set(p->hash, c->sets));
	p->flow = SP_FIND(dev, p);
	if (p->flow)
		p->searched = 0;
	SP_STEP("find", p->flow, p->hash);
	if (sp_wants_checksum(p) && !sp_checksum_good(dev, p))
		return SP_R_L4_CHECKSUM;
	if (p->flow && sp_nat_resolve(p)) {
		SP_STEP("alias", p->flow, p->via);
		/* our own packet has the very ends of a conversation that is translated to us, or resets it by mistake */
		if (p->hook == SP_HOOK_EGRESS && (p->kind != SP_KIND_ERROR || p->foreign))
			return SP_R_NAT_CLASH;
	}
	if (p->kind == SP_KIND_ERROR)
		return sp_judge_error(p);
	reason = p->flow ? sp_judge_known(dev, p) : sp_judge_new(dev, p);
	if (p->is_frag && !sp_reason_drops((sp_u32)reason)) {
		const int piece = sp_frag_piece(p);

		SP_STEP("fragment", (sp_u64)piece, 0);
		if (piece != SP_R_FRAGMENT)
			return piece;
	}
	return reason;
}

/*
 * A packet from the outside to a private address, on a machine where somebody else translates, too: what came in as this
 * machine's own conversation may go on as one with somebody inside. The latter's conversation sees it here.
 */
SP_GLOBAL int sp_judge_turned(struct sp_pkt *p)
{
	struct sp_flow *f;
	int reason;

	if (!p)
		return SP_R_BUSY;
	if (!sp_is_private4(p->dst.w32[0]) || p->kind == SP_KIND_ERROR)
		return SP_R_FORWARDED;
	f = p->flow ? sp_flow_at(p->flow - 1) : SP_NULL;
	if (f && (SP_READ(f->phase) == SP_PHASE_ALIAS || (SP_READ(f->flags) & SP_FLOW_TRANSLATED)))
		return SP_R_FORWARDED; /* that is our own doing: it was tracked where it came in */
	p->zone_to = p->zone_out;
	if (f) {
		reason = sp_track(p, 1);
		if (reason != SP_TRACK_MISS)
			return reason < 0 ? SP_R_BUSY : sp_reason_drops((sp_u32)reason) ? reason : SP_R_FORWARDED;
		p->flow = 0;
	}
	/* it was let in as this machine's, by a line or as an answer; from here on it is remembered as what it has become */
	p->line = SP_LINE_ADOPTED;
	reason = sp_flow_insert(p);
	return reason == SP_R_NONE || reason == SP_R_CONTINUES ? SP_R_FORWARDED : reason;
}

/*
 * A forwarded packet at egress: it was judged where it came in. Does its sender need another address? SP_R_NONE: it is to be
 * judged like this machine's own.
 */
SP_INLINE int sp_judge_forwarded(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_image_more *more;
	struct sp_alias *a;
	int reason, must;

	if (!c)
		return SP_R_BUSY;
	p->generation = sp_generation(c, p->now_ns);
	more = sp_image_more(p->generation);
	must = p->zone_out == SP_ZONE_OUTSIDE && sp_is_private4(p->src.w32[0]) &&
	       !(more && (more->flags & SP_IMAGE_NAT_OFF));
	if (p->kind == SP_KIND_PIECE) {
		reason = sp_frag_piece(p);
		return reason == SP_R_FRAGMENT || (reason == SP_R_FRAG_HEADLESS && !must) ? SP_R_FORWARDED : reason;
	}
	if (!SP_HASHED(dev))
		p->hash = sp_key_hash(&p->key, c->secret);
	p->flow = p->kind == SP_KIND_NONE ? 0 : SP_FIND(dev, p);
	SP_STEP("find", p->flow, p->hash);
	a = p->flow ? sp_alias_at(p->flow - 1) : SP_NULL;
	if (a) {
		/* translated already, in the very way that we would: whoever does that turns the answers back, too */
		if (!(SP_READ(a->flags) & SP_ALIAS_FOREIGN))
			sp_nat_leave(p);
		return SP_R_FORWARDED;
	}
	if (p->zone_out == SP_ZONE_OUTSIDE && sp_nat_slot_of(p->src.w32[0])) {
		/* somebody else on this machine has translated it: it counts as its own */
		sp_note_others(p->now_ns);
		p->zone = SP_ZONE_SELF;
		p->forwarded = 0;
		return SP_R_NONE;
	}
	if (p->zone == SP_ZONE_OUTSIDE && p->zone_out != SP_ZONE_OUTSIDE)
		return p->kind == SP_KIND_NONE ? SP_R_FORWARDED : sp_judge_turned(p);
	if (!p->flow)
		return must ? SP_R_NAT_NONE : SP_R_FORWARDED;
	reason = sp_nat_source(dev, p);
	/* an error about what nobody outside knows by another address: only its own end may be known by the private one */
	if (must && reason == SP_R_FORWARDED && p->kind == SP_KIND_ERROR && !p->nat &&
	    p->key.addr[sp_bit(!sp_receiver(p))].w32[0] != p->src.w32[0])
		reason = SP_R_NAT_NONE;
	SP_STEP("source", (sp_u64)reason, p->new4);
	if (reason == SP_R_FORWARDED && p->is_frag && p->nat) {
		reason = sp_frag_piece(p);
		reason = reason == SP_R_FRAGMENT ? SP_R_FORWARDED : reason;
	}
	return reason;
}

/* First half: what does the packet say? p's door fields are set, all else is 0. Looks at nothing but the packet. */
SP_INLINE int sp_read_packet(sp_dev *dev, struct sp_pkt *p)
{
	int reason = sp_parse(dev, p);

	if (reason == SP_R_NONE && p->kind == SP_KIND_ERROR)
		reason = sp_parse_quote(dev, p); /* called from here: the stack of all callers together is 512 bytes */
	return reason;
}

/* Second half: `reason` is what the first one said. */
SP_INLINE int sp_decide(sp_dev *dev, struct sp_pkt *p, struct sp_state *s, int reason)
{
	SP_STEP("parse", (sp_u64)reason, p->kind);
	if (s)
		sp_sweep_timed(s, p->now_ns);
	if (reason == SP_R_NONE)
		reason = p->forwarded ? sp_judge_forwarded(dev, p) : SP_R_NONE;
	if (reason == SP_R_NONE)
		reason = sp_judge(dev, p);
	if (p->nat && !p->foreign && !sp_reason_drops((sp_u32)reason)) {
#ifdef SP_GUESS_UNFINISHED
		p->unfinished = (sp_u8)sp_unfinished(dev, p);
#endif
		if (sp_rewrite(dev, p))
			reason = SP_R_TRUNCATED;
	}
	if (sp_reason_drops((sp_u32)reason))
		p->event = SP_EVENT_DROP;
	if (p->event == SP_EVENT_NEW)
		sp_sweep_new(p->hash, p->now_ns);
	return reason;
}

/* One packet. p's door fields are set, all else is 0. Returns the reason, which implies the verdict. */
SP_INLINE int sp_process(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_state *s = sp_state_get();

	return sp_decide(dev, p, s, sp_read_packet(dev, p));
}

#endif
