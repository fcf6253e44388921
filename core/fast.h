/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fast path: whole TCP and UDP packets of answered conversations, which change nothing but windows and counts.
 *
 * It takes no decision of its own. Either every condition under which the pipeline (pipeline.h) lets a packet pass is seen
 * to hold, and then the same functions record it; or it says so before it has changed anything, and the pipeline begins
 * from the start. So an engine may leave it out, and nothing but time is different: the tests run both and compare.
 *
 * What it does not take: IP options and extension headers, VLAN tags, pieces, SYN, FIN, RST, what is malformed in any way,
 * conversations that are decided anew, wait, close, or have an idle time of their own, and, once in 17 ms, a packet that has
 * to do the sweeping.
 *
 * The caller has set now_ns, zone, hook, segs and generation of p.
 */
#ifndef SP_CORE_FAST_H
#define SP_CORE_FAST_H

#include "parse.h"
#include "policy.h"
#include "track.h"

#define SP_FAST_L3 14 /* where it expects the IP header: behind an Ethernet header without tags */
#define SP_FAST_SWEEPS 0xffffffffu /* p->flow: not looked for, the packet has to do the sweeping */

SP_INLINE int sp_fast_tcp(const sp_u8 *l4, const sp_u8 *end, struct sp_pkt *p)
{
	struct sp_tcp tcp;
	sp_u32 head;

	if (l4 + 20 > end || p->l4_len < 20)
		return 0;
	sp_from_frame(&tcp, l4, 20);
	head = (tcp.off >> 4) * 4u;
	if (head < 20 || head > p->l4_len || !tcp.sport.raw || !tcp.dport.raw)
		return 0;
	if ((tcp.flags & SP_TCP_RST) || !(tcp.flags & (SP_TCP_ACK | SP_TCP_SYN)) || !sp_tcp_flags_good(tcp.flags))
		return 0;
	p->kind = SP_KIND_TCP;
	p->tcp_flags = tcp.flags & 0x3f;
	p->sport = tcp.sport;
	p->dport = tcp.dport;
	p->seq = sp_ntoh32(tcp.seq);
	p->ack = sp_ntoh32(tcp.ack);
	p->win = sp_ntoh16(tcp.win);
	p->payload = p->l4_len - head;
	return 1;
}

SP_INLINE int sp_fast_udp(const sp_u8 *l4, const sp_u8 *end, struct sp_pkt *p)
{
	struct sp_ports udp;
	sp_u32 len, sport;

	if (l4 + 8 > end || p->l4_len < 8)
		return 0;
	sp_from_frame(&udp, l4, 8);
	len = sp_ntoh16(udp.len);
	sport = sp_ntoh16(udp.sport);
	if ((p->segs <= 1 && (len < 8 || len > p->l4_len)) || !udp.dport.raw)
		return 0;
	if (sport == 67 || sport == 68 || sport == 546 || sport == 547) /* DHCP: sp_implied() */
		return 0;
	p->kind = SP_KIND_UDP;
	p->tcp_flags = 0;
	p->sport = udp.sport;
	p->dport = udp.dport;
	return 1;
}

SP_INLINE int sp_fast_l4(const sp_u8 *l4, const sp_u8 *end, struct sp_pkt *p)
{
	p->key.proto = p->proto;
	p->key.query = 0;
	if (p->proto == SP_PROTO_TCP ? !sp_fast_tcp(l4, end, p) : p->proto != SP_PROTO_UDP || !sp_fast_udp(l4, end, p))
		return 0;
	p->dir = (sp_u8)sp_key_set(&p->key, &p->src, &p->dst, p->sport, p->dport);
	return 1;
}

SP_INLINE int sp_fast_ip4(const sp_u8 *ip4, const sp_u8 *end, sp_u32 room, struct sp_pkt *p)
{
	struct sp_ip4 ip;

	if (ip4 + 20 > end)
		return 0;
	sp_from_frame(&ip, ip4, 20);
	p->len = sp_ntoh16(ip.total);
	if (ip.version_ihl != 0x45 || p->len < 20 || p->len > room || (sp_ntoh16(ip.frag) & 0x3fff))
		return 0;
	if (p->hook == SP_HOOK_INGRESS && sp_ip4_sum(&ip) != 0xffff)
		return 0;
	p->family = p->key.family = SP_IPV4;
	p->proto = ip.proto;
	p->hop_limit = ip.ttl;
	p->src.w[0] = ip.src.raw;
	p->dst.w[0] = ip.dst.raw;
	p->src.w[1] = p->dst.w[1] = 0;
	p->l4_off = SP_FAST_L3 + 20;
	p->l4_len = p->len - 20;
	return sp_fast_l4(ip4 + 20, end, p);
}

SP_INLINE int sp_fast_ip6(const sp_u8 *ip6, const sp_u8 *end, sp_u32 room, struct sp_pkt *p)
{
	struct sp_ip6 ip;

	if (ip6 + 40 > end)
		return 0;
	sp_from_frame(&ip, ip6, 40);
	p->len = sp_ntoh16(ip.payload) + 40u;
	if (ip6[0] >> 4 != 6 || p->len > room)
		return 0;
	p->family = p->key.family = SP_IPV6;
	p->proto = ip.next;
	p->hop_limit = ip.hop_limit;
	p->src = ip.src;
	p->dst = ip.dst;
	p->l4_off = SP_FAST_L3 + 40;
	p->l4_len = p->len - 40;
	return sp_fast_l4(ip6 + 40, end, p);
}

/*
 * Reads the packet at data; frame_len: all of it, of which the bytes up to end lie there. 0: not one of the simple sort.
 * It may be a SYN, or have a FIN.
 */
SP_INLINE int sp_fast_parse(const sp_u8 *data, const sp_u8 *end, sp_u32 frame_len, struct sp_pkt *p)
{
	if (data + SP_FAST_L3 > end || frame_len < SP_FAST_L3)
		return 0;
	p->l3_off = SP_FAST_L3;
	if (data[12] == 0x08 && data[13] == 0x00)
		return sp_fast_ip4(data + SP_FAST_L3, end, frame_len - SP_FAST_L3, p);
	if (data[12] == 0x86 && data[13] == 0xdd)
		return sp_fast_ip6(data + SP_FAST_L3, end, frame_len - SP_FAST_L3, p);
	return 0;
}

/* Is it a SYN that acknowledges nothing? */
SP_INLINE int sp_is_first_syn(const struct sp_pkt *p)
{
	return (p->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK)) == SP_TCP_SYN;
}

/* As sp_fast_parse(), but neither SYN nor FIN. */
SP_INLINE int sp_fast_read(const sp_u8 *data, const sp_u8 *end, sp_u32 frame_len, struct sp_pkt *p)
{
	return sp_fast_parse(data, end, frame_len, p) && !(p->tcp_flags & (SP_TCP_SYN | SP_TCP_FIN));
}

/*
 * The conversation of p, of which no lock is held; SP_NULL: none that is plain; p->flow is 0 if there is none at
 * all. An alias turns p, as in the pipeline. Sets flow, via, nat and what goes with them. fresh: there is probably none;
 * then its home is not looked at, so that its memory need not be waited for: the tags say that it is not there.
 * alias: probably it is found by one. A wrong guess costs time.
 */
SP_INLINE struct sp_flow *sp_fast_find(struct sp_config *c, struct sp_state *s, struct sp_pkt *p, int fresh, int alias)
{
	struct sp_place where;
	struct sp_flow *f;
	sp_u32 at;

	p->flow = SP_FAST_SWEEPS;
	p->via = 0;
	p->nat = SP_NAT_UNTOUCHED;
	if (SP_READ(s->tick) != (sp_u32)(p->now_ns >> SP_TICK_SHIFT))
		return SP_NULL;
	p->hash = sp_key_hash(&p->key, c->secret);
	sp_place(&where, p->hash, c->sets);
	if (alias)
		where.home += SP_WAYS_HALF;
	at = sp_entry_at(c, where.set[0], where.home);
	/* mostly it is at home, or will be: all memory that it needs is asked for at once, and many waits become one */
	if (!fresh)
		sp_flow_soon(at, p->proto);
	if (p->other_set)
		sp_set_soon(p->other_set - 1);
	p->searched = sp_searched(where.set[0]);
	p->flow = 0;
	/* its tag first, which is nearer: who is not at home need not wait for who is */
	if (!fresh && sp_tag_at(where.set[0], where.home) == where.tag) {
		f = sp_flow_at(at);
		if (f && sp_key_same(&f->key, &p->key) && SP_READ(f->phase) != SP_PHASE_FREE)
			p->flow = at + 1;
	}
	if (!p->flow)
		p->flow = sp_place_find(&where, &p->key);
	if (!p->flow)
		return SP_NULL;
	f = sp_flow_at(p->flow - 1);
	if (!f || SP_READ(f->phase) != SP_PHASE_ALIAS)
		return f;
	/* sp_judge(): at egress it is a clash; else somebody else may still translate it */
	if (p->hook != SP_HOOK_INGRESS || (SP_READ(((struct sp_alias *)f)->flags) & SP_ALIAS_FOREIGN))
		return SP_NULL;
	return sp_nat_turn((struct sp_alias *)f, p);
}

/*
 * What is known of a conversation with one alias of ours, so that this need not be read: the address that it gives to the
 * sender << 32 | port << 16 | slot << 9 | its side << 8 | when its port was last told, in SP_TOLD_SHIFT of the boot clock.
 * 0: nothing. An engine may remember it beside a conversation, under its lock, and forgets it by sp_flow_placed().
 */

SP_INLINE sp_u32 sp_source_side(sp_u64 source)
{
	return (sp_u32)(source >> 8) & 1;
}

SP_INLINE sp_u8 sp_source_told(sp_u64 now_ns)
{
	return (sp_u8)(now_ns >> SP_TOLD_SHIFT);
}

/* The same from the alias itself. f is locked. */
SP_INLINE sp_u64 sp_source_read(struct sp_flow *f)
{
	struct sp_alias *a = f->flags & SP_FLOW_TRANSLATED ? sp_alias_at(f->alias - 1) : SP_NULL;
	sp_u32 side, end, from_1;

	if (!a || SP_READ(a->other) || (SP_READ(a->flags) & SP_ALIAS_FOREIGN))
		return 0;
	side = sp_alias_side(a);
	/* the sender is the initiator if the responder knows it by this one, and the other way round */
	from_1 = (f->flags & SP_FLOW_FROM_1) != 0;
	end = sp_bit((side == SP_ALIAS_RESPONDER ? from_1 : !from_1) ^ sp_alias_flip(a));
	return (sp_u64)a->key.addr[end].w32[0] << 32 | (sp_u64)a->key.port[end].raw << 16 | (a->slot & 0x7f) << 9 |
	       side << 8;
}

SP_GLOBAL sp_u64 sp_source_of(sp_u32 flow)
{
	struct sp_flow *f = sp_flow_at(flow - 1);

	return f ? sp_source_read(f) : 0;
}

/* Which alias of f is that of `side`? Index + 1, or 0. source: what is known, or 0. */
SP_INLINE sp_u32 sp_source_alias(const struct sp_flow *f, sp_u32 side, sp_u64 source)
{
	if (!source || !(f->flags & SP_FLOW_TRANSLATED))
		return sp_alias_of(f, side);
	return f->alias & -(sp_u32)(sp_source_side(source) == side);
}

/*
 * Would the pipeline come to the tracker with p, and that find nothing to learn but windows and counts? p has neither SYN
 * nor FIN. source: what is known of f's aliases, or 0. f is locked.
 */
SP_INLINE int sp_fast_fits(struct sp_config *c, struct sp_state *s, struct sp_flow *f, const struct sp_pkt *p, sp_u64 source)
{
	const sp_u32 phase = p->kind == SP_KIND_TCP ? SP_PHASE_TCP_ESTABLISHED : SP_PHASE_UDP_ANSWERED;
	const sp_u32 flags = SP_READ(f->flags);
	const int from_initiator = ((flags & SP_FLOW_FROM_1) != 0) == p->dir;

	/* in no order: who fills a way without its lock comes to a first phase, never to one of these (table.h) */
	if (SP_READ(f->phase) != phase || !sp_key_equal(&f->key, &p->key) || f->generation != p->generation)
		return 0;
	if ((flags & (SP_FLOW_ANSWERED | SP_FLOW_KILLED | SP_FLOW_IDLE)) != SP_FLOW_ANSWERED ||
	    sp_is_overdue(c, s, phase, (sp_s64)(p->now_ns - f->seen_ns)))
		return 0;
	/* by a shift: who of the two sends is random, a branch on it is guessed wrong */
	if ((((f->zone_from | (sp_u32)f->zone_to << 8) >> (from_initiator ? 0 : 8)) & 0xff) != p->zone || !f->zone_to)
		return 0;
	if (p->kind == SP_KIND_TCP && f->ends != (SP_END_OPEN | SP_END_OPEN << 4))
		return 0;
	return p->hook != SP_HOOK_INGRESS ||
	       sp_source_alias(f, from_initiator ? SP_ALIAS_INITIATOR : SP_ALIAS_RESPONDER, source) == p->via;
}

/* Judges it by its windows and records it, as sp_track() does. SP_R_NONE: it is not to pass, the pipeline says why. */
SP_INLINE int sp_fast_record(struct sp_flow *f, struct sp_pkt *p)
{
	const int from_initiator = ((f->flags & SP_FLOW_FROM_1) != 0) == p->dir;
	int reason = from_initiator ? SP_R_CONTINUES : SP_R_ANSWER;

	if (p->kind == SP_KIND_TCP && sp_tcp_segment(f, p) != reason)
		return SP_R_NONE;
	sp_account(f, p);
	if (!(f->flags & SP_FLOW_MAPPED) || !from_initiator)
		SP_WRITE(f->seen_ns, p->now_ns);
	return reason;
}

/*
 * p goes on to zone_out: whom does the receiver know its sender as? Sets p->nat and what goes with it. 0: ask the pipeline.
 * At most one end is translated here: not hairpins. source: what is known, or 0. f is locked and fits.
 */
SP_INLINE int sp_fast_source(struct sp_flow *f, struct sp_pkt *p, sp_u8 zone_out, sp_u64 source)
{
	const int from_initiator = ((f->flags & SP_FLOW_FROM_1) != 0) == p->dir;
	const sp_u32 side = from_initiator ? SP_ALIAS_RESPONDER : SP_ALIAS_INITIATOR;
	struct sp_nat_addrs *nat;
	sp_u32 i;

	if (p->family != SP_IPV4)
		return 1;
	if (!(f->flags & SP_FLOW_TRANSLATED))
		return zone_out != SP_ZONE_OUTSIDE || !sp_is_private4(p->src.w32[0]) || f->zone_to == zone_out ||
		       !sp_nat_get();
	nat = sp_nat_get();
	if (!nat)
		return 1;
	if (!source)
		source = sp_source_of(p->flow);
	if (!source)
		return 0;
	if (sp_source_side(source) != side) /* it came by that one; see sp_nat_wants() for one that is forwarded to us */
		return !from_initiator || (zone_out == SP_ZONE_OUTSIDE ? f->zone_to == SP_ZONE_OUTSIDE :
					   f->zone_from == SP_ZONE_OUTSIDE);
	p->nat = SP_NAT_SRC;
	p->old4 = p->src.w32[0];
	p->old_port = p->sport;
	p->new4 = (sp_u32)(source >> 32);
	p->new_port.raw = (sp_u16)(source >> 16);
	i = ((sp_u32)(source >> 9) & 0x7f) - 1;
	SP_OPAQUE(i);
	if (i >= SP_NAT_SLOTS)
		return 1;
	return SP_READ(nat->slot[i].addr) == p->new4 && (SP_READ(nat->asked[i]) == sp_nat_second(p->now_ns) ||
							 (SP_READ(nat->slot[i].flags) & SP_SLOT_POOL));
}

/* p is to go on with the source that it got: its port is in use. What is refused tells nothing of it. f is locked. */
SP_INLINE void sp_fast_used(struct sp_flow *f, const struct sp_pkt *p)
{
	struct sp_alias *a = p->nat == SP_NAT_SRC ? sp_alias_at(f->alias - 1) : SP_NULL;

	if (a)
		sp_nat_used(a, p->now_ns);
}

/* The same for an engine that remembers: what may be remembered now. */
SP_GLOBAL sp_u64 sp_source_tell(struct sp_pkt *p)
{
	struct sp_image_more *more = p ? sp_image_more(p->generation) : SP_NULL;
	struct sp_flow *f = p ? sp_flow_at(p->flow - 1) : SP_NULL;
	sp_u64 source;

	if (!f)
		return 0;
	sp_fast_used(f, p);
	source = sp_source_read(f);
	return !source || (more && (more->flags & SP_IMAGE_NAT_OPEN)) ? 0 : source | sp_source_told(p->now_ns);
}

/* What the parser leaves 0 and sp_fast_parse() does not touch: p may hold another packet's. */
SP_INLINE void sp_fast_bare(struct sp_pkt *p, sp_u32 ifindex)
{
	p->ifindex = ifindex;
	p->bare_ip = p->unfinished = p->virtual = p->keeps = p->foreign = p->ask = p->side = p->flip = p->forwarded = 0;
	p->icmp_type = p->icmp_code = p->is_frag = p->frag_more = 0;
	p->slot = p->port_at = 0;
}

/*
 * p, which was read but belongs to no conversation, is to begin one by `line`, from its zone to zone_to: everything that the
 * parser and the policy would have said of such a packet.
 */
SP_INLINE void sp_fast_fresh(struct sp_pkt *p, sp_u32 ifindex, sp_u16 line, sp_u8 zone_to, sp_u64 note)
{
	sp_fast_bare(p, ifindex);
	p->line = line;
	p->zone_to = zone_to;
	p->note = note;
	p->order_flags = 0;
	p->wscale = SP_WSCALE_NONE;
	p->event = SP_EVENT_NEW;
}

/* Two bytes at `off`; SP_NULL: they are not there. The verifier must see the bound on the very register that is used. */
SP_INLINE sp_u8 *sp_fast_at(sp_u8 *data, sp_u8 *end, sp_u32 off)
{
	SP_OPAQUE(off);
	if (off > SP_HEADERS_MAX || data + off + 2 > end)
		return SP_NULL;
	return data + off;
}

/*
 * Does the transport checksum look unfinished, as a virtual link leaves it? sp_unfinished() finds out. To be asked of the
 * packet as it came.
 */
SP_INLINE int sp_fast_doubts(sp_u8 *data, sp_u8 *end, const struct sp_pkt *p)
{
	sp_u8 *at = sp_fast_at(data, end, p->l4_off + (p->kind == SP_KIND_TCP ? 16 : 6));
	sp_u16 field;
	sp_u64 acc;

	if (!at)
		return 1;
	acc = (sp_u64)p->src.w32[0] + (p->nat == SP_NAT_DST ? p->old4 : p->dst.w32[0]) + sp_hton32(p->l4_len).raw +
	      sp_hton32(p->proto).raw;
	if (p->family == SP_IPV6)
		acc += (sp_u64)p->src.w32[1] + p->src.w32[2] + p->src.w32[3] + p->dst.w32[1] + p->dst.w32[2] + p->dst.w32[3];
	sp_from_frame(&field, at, 2);
	return field == sp_fold(acc);
}

/* Changes of the packet itself, in place: one end gets another address and port, `hops` less to live. */
SP_INLINE void sp_fast_write4(sp_u8 *ip, const struct sp_pkt *p, sp_u32 hops)
{
	const sp_u32 from = p->nat ? p->old4 : 0, to = p->nat ? p->new4 : 0;
	sp_u16 sum, life, lives;

	sp_from_frame(&life, ip + 8, 2);
	lives = life;
	*(sp_u8 *)&lives = (sp_u8)(*(sp_u8 *)&life - hops);
	sp_to_frame(ip + 8, &lives, 2);
	sp_from_frame(&sum, ip + 10, 2);
	sum = (sp_u16)~sp_fold((sp_u64)(sp_u16)~sum + (sp_u32)~from + to + (sp_u16)~life + lives);
	sp_to_frame(ip + 10, &sum, 2);
	if (p->nat)
		sp_to_frame(ip + (p->nat == SP_NAT_DST ? 16 : 12), &to, 4);
}

/* The same of the transport header, whose checksum is finished. */
SP_INLINE void sp_fast_write_l4(sp_u8 *data, sp_u8 *end, const struct sp_pkt *p)
{
	sp_u8 *port = sp_fast_at(data, end, p->l4_off + (p->nat == SP_NAT_DST ? 2 : 0));
	sp_u8 *check = sp_fast_at(data, end, p->l4_off + (p->kind == SP_KIND_TCP ? 16 : 6));
	sp_u16 sum;

	if (!p->nat || !port || !check)
		return;
	sp_to_frame(port, &p->new_port, 2);
	sp_from_frame(&sum, check, 2);
	if (p->kind == SP_KIND_UDP && !sum)
		return;
	sum = (sp_u16)~sp_fold((sp_u64)(sp_u16)~sum + (sp_u32)~p->old4 + p->new4 + (sp_u16)~p->old_port.raw +
			       p->new_port.raw);
	if (p->kind == SP_KIND_UDP && !sum)
		sum = 0xffff;
	sp_to_frame(check, &sum, 2);
}

/* The packet in memory becomes what p says, with `hops` less to live; that it is all there was seen when it was read. */
SP_INLINE void sp_fast_write(sp_u8 *data, sp_u8 *end, const struct sp_pkt *p, sp_u32 hops)
{
	if (p->family == SP_IPV4) {
		if (data + SP_FAST_L3 + 20 > end)
			return;
		sp_fast_write4(data + SP_FAST_L3, p, hops);
		sp_fast_write_l4(data, end, p);
	} else if (data + SP_FAST_L3 + 40 <= end) {
		data[SP_FAST_L3 + 7] = (sp_u8)(data[SP_FAST_L3 + 7] - hops);
	}
}

#endif
