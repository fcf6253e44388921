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

/* May this packet, which belongs to no conversation, start one? Returns the reason of the verdict. */
SP_INLINE int sp_may_start(sp_dev *dev, struct sp_pkt *p)
{
	const int trusted = p->zone == SP_ZONE_SELF || p->zone == SP_ZONE_INSIDE;
	int reason = p->zone == SP_ZONE_SELF ? SP_R_NEW_SELF : SP_R_NEW_INSIDE;

	if (p->kind == SP_KIND_REPLY)
		return SP_R_ICMP_UNASKED;
	if (p->kind == SP_KIND_TCP && (p->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK | SP_TCP_RST)) != SP_TCP_SYN) {
		/* mid-stream: only when the trusted side speaks first, and not to end or answer what is unknown */
		if (!trusted || (p->tcp_flags & (SP_TCP_SYN | SP_TCP_RST)))
			return SP_R_TCP_NO_FLOW;
		reason = SP_R_PICKED_UP;
	}
	if (!trusted)
		return SP_R_UNINVITED;
	/* RFC 6092 REC-5, RFC 2827: the inside speaks with its own addresses */
	if (p->zone == SP_ZONE_INSIDE && !sp_source_fits(dev, p))
		return SP_R_SPOOFED;
	return reason;
}

#endif
