/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may start a conversation, and what needs none: the built-in policy (design section 2).
 *
 *   this machine may start anything                 the inside may start to the outside and to this machine
 *   the outside may start nothing                   neighbour discovery, group membership and this machine's DHCP need no
 *                                                   conversation
 */
#ifndef SP_CORE_POLICY_H
#define SP_CORE_POLICY_H

#include "packet.h"
#include "addr.h"
#include "image.h"
#include "nat.h"

#define SP_DHCP_WAIT_NS (120 * SP_NS_PER_S) /* so long an answer to this machine's DHCP request is let in */

/* Addresses that can not be on a wire (RFC 6890, RFC 1122 3.2.1.3), IPv4. */
SP_INLINE int sp_check_addr4(const struct sp_pkt *p)
{
	const sp_u8 s = p->src.b[0], d = p->dst.b[0];

	/* 0.0.0.0 is the source of a machine that has no address yet (DHCP, IGMP) */
	if (s == 127 || s >= 224 || (s == 0 && !sp_is_zero(&p->src)))
		return SP_R_BAD_SOURCE;
	if (s == 0 && !(p->kind == SP_KIND_UDP && sp_ntoh16(p->sport) == 68 && sp_ntoh16(p->dport) == 67) &&
	    p->kind != SP_KIND_MEMBERSHIP)
		return SP_R_BAD_SOURCE;
	if (d == 127 || d == 0 || (d >= 240 && p->dst.w32[0] != 0xffffffff))
		return SP_R_BAD_DESTINATION;
	return SP_R_NONE;
}

/* IPv6 prefixes that mean something only on one machine or in a book: ::/96, ::ffff:0:0/96, fec0::/10. */
SP_INLINE int sp_is_odd6(const struct sp_addr *a)
{
	if (a->w[0] == 0 && a->w32[2] == 0 && !sp_is_zero(a))
		return 1; /* ::1 and ::a.b.c.d */
	if (a->w[0] == 0 && a->b[8] == 0 && a->b[9] == 0 && a->b[10] == 0xff && a->b[11] == 0xff)
		return 1;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0;
}

/* Prefixes that do not cross the border of a site: 2001:db8::/32, 2001:10::/28 (RFC 6092 REC-3), fc00::/7 (REC-7). */
SP_INLINE int sp_is_site6(const struct sp_addr *a)
{
	if ((a->b[0] & 0xfe) == 0xfc)
		return 1;
	if (a->b[0] != 0x20 || a->b[1] != 0x01)
		return 0;
	return (a->b[2] == 0x0d && a->b[3] == 0xb8) || (a->b[2] == 0x00 && (a->b[3] & 0xf0) == 0x10);
}

SP_INLINE int sp_check_addr6(const struct sp_pkt *p)
{
	const int gateway = (p->config_flags & SP_CONFIG_GATEWAY) != 0;
	const sp_u8 scope = p->dst.b[1] & 0x0f;

	if (p->src.b[0] == 0xff || sp_is_odd6(&p->src))
		return SP_R_BAD_SOURCE;
	if (sp_is_zero(&p->src) && p->kind != SP_KIND_NEIGHBOUR && p->kind != SP_KIND_MEMBERSHIP)
		return SP_R_BAD_SOURCE;
	if (sp_is_odd6(&p->dst) || sp_is_zero(&p->dst))
		return SP_R_BAD_DESTINATION;
	if (p->dst.b[0] == 0xff) {
		/* RFC 4291 2.7: 0 reserved, 1 this machine; RFC 6092 REC-2: 5 and 8 stay within the site */
		if (scope <= 1 || (gateway && (scope == 5 || scope == 8)))
			return SP_R_BAD_DESTINATION;
	}
	if (gateway && p->zone == SP_ZONE_OUTSIDE) {
		if (sp_is_site6(&p->src))
			return SP_R_BAD_SOURCE;
		if (sp_is_site6(&p->dst))
			return SP_R_BAD_DESTINATION;
	}
	return SP_R_NONE;
}

/* At ingress: can these addresses be? */
SP_INLINE int sp_check_addr(const struct sp_pkt *p)
{
	if (sp_addr_equal(&p->src, &p->dst))
		return SP_R_LAND;
	return p->family == SP_IPV4 ? sp_check_addr4(p) : sp_check_addr6(p);
}

SP_INLINE int sp_recently(sp_u64 now_ns, sp_u64 then_ns)
{
	return then_ns && (sp_s64)(now_ns - then_ns) <= (sp_s64)SP_DHCP_WAIT_NS;
}

/* What passes without a conversation, always. Returns SP_R_NONE when the packet is not of that sort. */
SP_INLINE int sp_implied(struct sp_state *s, const struct sp_pkt *p)
{
	if (p->kind == SP_KIND_NEIGHBOUR) {
		/* RFC 4861 6.1, 7.1, 8.1; router advertisements and redirects come from a link-local address */
		if (p->hop_limit != 255)
			return SP_R_HOP_LIMIT;
		if ((p->icmp_type == 134 || p->icmp_type == 137) && !sp_is_link_local6(&p->src))
			return SP_R_BAD_SOURCE;
		return p->is_frag ? SP_R_ICMP_TYPE : SP_R_NEIGHBOUR; /* RFC 6980: never in pieces */
	}
	if (p->kind == SP_KIND_MEMBERSHIP) {
		/* RFC 2236 2, RFC 2710 3, RFC 3810 5: TTL 1 */
		if (p->hop_limit != 1)
			return SP_R_HOP_LIMIT;
		return SP_R_MULTICAST_REPORT;
	}
	if (p->kind == SP_KIND_UDP && p->proto == SP_PROTO_UDP) {
		const sp_u16 sport = sp_ntoh16(p->sport), dport = sp_ntoh16(p->dport);
		const int out = p->zone == SP_ZONE_SELF;

		if (p->family == SP_IPV4 && out && sport == 68 && dport == 67) {
			SP_WRITE(s->dhcp4_ns, p->now_ns);
			return SP_R_DHCP;
		}
		if (p->family == SP_IPV6 && out && sport == 546 && dport == 547) {
			SP_WRITE(s->dhcp6_ns, p->now_ns);
			return SP_R_DHCP;
		}
		if (p->family == SP_IPV4 && !out && sport == 67 && dport == 68 &&
		    sp_recently(p->now_ns, SP_READ(s->dhcp4_ns)))
			return SP_R_DHCP;
		/* RFC 8415 7.2: servers and relays answer from a link-local address on the link */
		if (p->family == SP_IPV6 && !out && sport == 547 && dport == 546 && sp_is_link_local6(&p->src) &&
		    sp_recently(p->now_ns, SP_READ(s->dhcp6_ns)))
			return SP_R_DHCP;
	}
	return SP_R_NONE;
}

/* The generation in force at `now`: a trial that nobody confirmed ends here, whatever became of user space. */
SP_INLINE sp_u32 sp_generation(struct sp_config *c, sp_u64 now_ns)
{
	const sp_u64 until_ns = SP_READ(c->trial_until_ns);

	return until_ns && now_ns >= until_ns ? SP_READ(c->trial_back) : SP_READ(c->generation);
}

/* Built in: who may start without a line that says so. */
SP_INLINE sp_u16 sp_built_in(sp_u8 zone_from, sp_u8 zone_to)
{
	if (zone_from == SP_ZONE_SELF)
		return SP_LINE_SELF;
	if (zone_from == SP_ZONE_INSIDE && zone_to <= SP_ZONE_INSIDE)
		return SP_LINE_INSIDE;
	return SP_LINE_NONE;
}

/* Asks the policy. Returns SP_R_BLOCKED, SP_R_UNINVITED, or SP_R_NONE and the line that permits it. */
SP_INLINE int sp_policy(struct sp_pkt *p, sp_u32 reply, sp_u8 zone_from, sp_u8 zone_to, sp_u16 *line)
{
	const sp_u32 says = sp_image_ask(p, reply, (sp_u32)zone_from << 4 | zone_to);

	*line = (sp_u16)(says & SP_RULE_LINE);
	if (says & SP_RULE_BLOCK)
		return SP_R_BLOCKED;
	if (says & SP_RULE_ALLOW)
		return SP_R_NONE;
	*line = sp_built_in(zone_from, zone_to);
	return *line ? SP_R_NONE : SP_R_UNINVITED;
}

/* May this packet, which belongs to no conversation, start one? Returns the reason of the verdict. */
SP_INLINE int sp_may_start(sp_dev *dev, struct sp_pkt *p)
{
	const sp_u32 slot = p->generation % SP_IMAGE_SLOTS;
	/* its destination was translated by a line that permits it, too */
	const sp_u16 forward = p->nat == SP_NAT_DST ? p->line : SP_LINE_NONE;
	int reason;

	if (p->kind == SP_KIND_REPLY)
		return SP_R_ICMP_UNASKED;
	p->line = sp_built_in(p->zone, SP_ZONE_NONE);
	reason = p->line ? SP_R_NONE : SP_R_UNINVITED;
	/* remembered even where nothing asks for it: nobody from another zone may answer in the name of the other end */
	p->zone_to = (sp_u8)sp_route_zone(dev, p);
	if (sp_image_at(slot, 0) || p->nat == SP_NAT_DST) {
		reason = sp_policy(p, 0, p->zone, p->zone_to, &p->line);
		SP_STEP("policy", (sp_u64)reason, p->line);
		if (reason == SP_R_BLOCKED)
			return reason;
	}
	if (forward) {
		p->line = forward;
		reason = SP_R_NONE;
	}
	if (p->kind == SP_KIND_TCP && (p->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK | SP_TCP_RST)) != SP_TCP_SYN) {
		/* mid-stream: only when the trusted side speaks first, and not to end or answer what is unknown */
		if (reason || (p->tcp_flags & (SP_TCP_SYN | SP_TCP_RST)) ||
		    (p->zone != SP_ZONE_SELF && p->zone != SP_ZONE_INSIDE))
			return SP_R_TCP_NO_FLOW;
		reason = SP_R_PICKED_UP;
	}
	if (reason == SP_R_UNINVITED)
		return reason;
	/* RFC 6092 REC-5, REC-6, RFC 2827: the inside speaks with its own addresses, the outside with none of ours */
	if (p->zone != SP_ZONE_SELF && !sp_source_fits(dev, p))
		return SP_R_SPOOFED;
	if (p->line >= SP_LINE_FIRST) {
		const int refused = sp_order_admit(p);

		if (refused)
			return refused;
	}
	if (reason == SP_R_PICKED_UP)
		return reason;
	if (p->line >= SP_LINE_FIRST)
		return SP_R_NEW_PERMITTED;
	if (p->line == SP_LINE_MAPPED)
		return SP_R_NEW_MAPPED;
	return p->line == SP_LINE_SELF ? SP_R_NEW_SELF : SP_R_NEW_INSIDE;
}

/*
 * Does the policy still forward to where alias `at` (index + 1) of p's conversation leads? Returns the line that does.
 * reply: p comes from the end that is forwarded to. line: SP_LINE_MAPPED, or the initiator's zone << 16.
 */
SP_GLOBAL int sp_still_forwarded(struct sp_pkt *p, sp_u32 at, sp_u32 reply, sp_u32 line)
{
	struct sp_image_more *more = p ? sp_image_more(p->generation) : SP_NULL;
	struct sp_alias *a = sp_alias_at(at - 1);
	struct sp_image_order *order;
	sp_u32 end, says;
	sp_be16 known, real;

	if (!p || !a || !more)
		return SP_LINE_NONE;
	if (line == SP_LINE_MAPPED)
		return more->flags & SP_IMAGE_NAT_OPEN ? SP_LINE_MAPPED : SP_LINE_NONE;
	if (!more->forwards)
		return SP_LINE_NONE;
	end = reply ? p->dir : !p->dir; /* of the one that is forwarded to */
	real = p->key.port[end & 1];
	known = a->key.port[sp_bit(end ^ sp_alias_flip(a))];
	if (reply)
		p->sport = known;
	else
		p->dport = known;
	says = sp_image_ask(p, reply, (line >> 16) << 4 | SP_ZONE_FORWARD);
	if (reply)
		p->sport = real;
	else
		p->dport = real;
	line = says & SP_RULE_LINE;
	if (!(says & SP_RULE_ALLOW) || line < SP_LINE_FIRST)
		return SP_LINE_NONE;
	order = (struct sp_image_order *)sp_image_at(p->generation % SP_IMAGE_SLOTS, more->orders + line - SP_LINE_FIRST);
	if (!order || order->to4 != p->key.addr[end & 1].w32[0] ||
	    (order->to_port ? sp_hton16(order->to_port).raw : known.raw) != real.raw)
		return SP_LINE_NONE;
	return (int)line;
}

/* May conversation f, which was decided under another generation, go on under this one? *line: which one permits it. */
SP_INLINE int sp_still_permitted(const struct sp_flow *f, struct sp_pkt *p, sp_u16 *line)
{
	const sp_u32 reply = ((f->flags & SP_FLOW_FROM_1) != 0) != p->dir;
	/* begun when no policy asked where it goes: p tells, from either end */
	const sp_u8 zone_to = f->zone_to ? f->zone_to : reply ? p->zone : p->zone_to;
	const sp_u32 alias = sp_alias_of(f, SP_ALIAS_INITIATOR);
	int reason = sp_policy(p, reply, f->zone_from, zone_to, line);

	if (reason != SP_R_BLOCKED && alias && f->line >= SP_LINE_MAPPED) {
		*line = (sp_u16)sp_still_forwarded(p, alias, reply, f->line == SP_LINE_MAPPED ? SP_LINE_MAPPED :
						   (sp_u32)f->zone_from << 16);
		return *line ? SP_R_NONE : SP_R_UNINVITED;
	}
	/* what had no line before has none to lose (taken over when the firewall came up), but can be blocked */
	if (reason == SP_R_UNINVITED && f->line < SP_LINE_FIRST) {
		*line = f->line;
		reason = SP_R_NONE;
	}
	return reason;
}

/*
 * Conversation p->flow was decided under another generation: decides it again. Returns SP_R_NONE, or SP_R_REVOKED: it is
 * stopped. Both ends may get here at once; they find the same.
 */
SP_GLOBAL int sp_redecide(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	int reason = SP_R_NONE;
	struct sp_flow *f;
	sp_u16 line = 0;

	if (!p || !c || !s)
		return SP_R_BUSY;
	f = sp_flow_at(p->flow - 1);
	if (!f || !sp_flow_lock(f, p->flow - 1))
		return SP_R_BUSY;
	/* if it is another one by now, or over, the tracker will see */
	if (sp_flow_is(f, &p->key) && !sp_is_stale(c, s, f, p->now_ns)) {
		if (sp_still_permitted(f, p, &line)) {
			/*
			 * It stays, under its old generation, so that each of its packets comes here until it times out.
			 * Were it forgotten, the end that we trust could carry it on as if it had begun it. A policy that
			 * goes back (a trial, undo) finds all its conversations.
			 */
			reason = SP_R_REVOKED;
			sp_limit_set(f, 0); /* who is stopped does not stand in the way of others */
			p->line = line; /* the one that blocks it */
		} else {
			SP_WRITE(f->generation, p->generation);
			SP_WRITE(f->line, line);
			sp_order_follow(f, p->generation, line);
			if (sp_is_stale(c, s, f, p->now_ns))
				SP_WRITE(f->seen_ns, p->now_ns); /* a shorter idle time runs from now on */
		}
	}
	sp_flow_unlock(f);
	return reason;
}

#endif
