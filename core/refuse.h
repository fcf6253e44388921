/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Refusing with an error: who is told that his packet was stopped, and in which words. Decision record: 0013-reject.md.
 *
 * Pure: decides on what the parser made of the packet and why it was stopped, and fills in headers of answers. Which zones
 * are told is the configuration's to say (`refuse ZONE with reject|drop`); without one, all but the outside are.
 */
#ifndef SP_CORE_REFUSE_H
#define SP_CORE_REFUSE_H

#include "addr.h"
#include "image.h"
#include "order.h"
#include "proof.h"

enum sp_refuse {
	SP_REFUSE_SILENT = 0,
	SP_REFUSE_RST = 1, /* TCP: the connection is refused */
	SP_REFUSE_ICMP = 2, /* administratively prohibited */
	SP_REFUSE_ASK = 3, /* TCP: not refused yet, if its sender is there (proof.h) */
};

/* One budget for all answers, in case of a flood: as the kernel's own icmp_msgs_per_sec and icmp_msgs_burst. */
#define SP_REFUSE_EVERY_NS (SP_NS_PER_S / 1000)
#define SP_REFUSE_BURST 50u

#define SP_REFUSE_MAX4 576u /* RFC 1812 4.3.2.3: as much of the packet as fits into so many bytes */
#define SP_REFUSE_MAX6 1280u /* RFC 4443 2.4 (c): the minimum MTU */

/* What the line that decided wants besides yes or no: enum sp_order_flag. */
SP_INLINE sp_u32 sp_refuse_flags(const struct sp_pkt *p)
{
	struct sp_image_order *o = sp_order_at(p->generation, p->line);

	return o ? SP_READ(o->flags) : 0;
}

/* Did a line with the option `log` let this conversation begin, or stop this packet? */
SP_INLINE int sp_is_logged(const struct sp_pkt *p, sp_u32 reason)
{
	if (p->line < SP_LINE_FIRST || (p->event != SP_EVENT_NEW && reason != SP_R_BLOCKED && reason != SP_R_RATE &&
					reason != SP_R_LIMIT && reason != SP_R_REVOKED))
		return 0;
	return (sp_refuse_flags(p) & SP_ORDER_LOG) != 0;
}

/* The answer to a packet of this protocol that is stopped for this reason, if its sender may know. */
SP_INLINE int sp_refuse_words(const struct sp_pkt *p, sp_u32 reason, int trial)
{
	switch (reason) {
	case SP_R_UNINVITED:
	case SP_R_BLOCKED:
	case SP_R_RATE:
	case SP_R_LIMIT:
		break;
	case SP_R_REVOKED:
		/*
		 * A trial that nobody confirms gives all conversations back: they must not have been reset meanwhile. Nor
		 * those of this machine itself, so that `undo` gives back the very session it is typed in.
		 */
		if (trial || p->zone == SP_ZONE_SELF)
			return SP_REFUSE_SILENT;
		break;
	case SP_R_TCP_NO_FLOW:
		/*
		 * Ends a connection of which nothing is left but this end. Only of those who could have continued it as the
		 * first to speak: other zones' connections may be older than the firewall, and be picked up in a moment.
		 */
		if (p->zone != SP_ZONE_SELF && p->zone != SP_ZONE_INSIDE)
			return SP_REFUSE_SILENT;
		break;
	case SP_R_NAT_ADDRESS: /* RFC 5508 REQ-8: what there is no room for, TCP as well: it may fit later */
	case SP_R_NAT_PORTS:
	case SP_R_NAT_CLASH:
	case SP_R_TABLE_FULL:
	case SP_R_UNANSWERED_FULL:
	case SP_R_SOURCE_SHARE:
		return SP_REFUSE_ICMP;
	case SP_R_ASKED:
		return p->zone == SP_ZONE_OUTSIDE && p->kind == SP_KIND_TCP ? SP_REFUSE_ASK : SP_REFUSE_SILENT;
	default: /* what is malformed or untrue, or belongs to a conversation, whose ends know better */
		return SP_REFUSE_SILENT;
	}
	return p->kind == SP_KIND_TCP ? SP_REFUSE_RST : SP_REFUSE_ICMP;
}

/* RFC 1122 3.2.2, RFC 4443 2.4 (e): to whom and about what no error may ever be sent. */
SP_INLINE int sp_refuse_never(const struct sp_pkt *p)
{
	switch (p->kind) {
	case SP_KIND_TCP:
		/* RFC 9293 3.10.7.1; the length of a segment that came in pieces is not known */
		if ((p->tcp_flags & SP_TCP_RST) || p->is_frag)
			return 1;
		break;
	case SP_KIND_UDP:
	case SP_KIND_ASSOC:
	case SP_KIND_QUERY:
	case SP_KIND_OTHER:
		break;
	default:
		return 1; /* errors, replies, pieces that are not the first, what stays on the link */
	}
	if (p->frag_off || sp_is_zero(&p->src))
		return 1;
	if (p->family == SP_IPV4)
		return p->src.b[0] >= 224 || p->dst.b[0] >= 224;
	return p->src.b[0] == 0xff || p->dst.b[0] == 0xff;
}

/* How is the sender told that p was stopped for this reason? enum sp_refuse; the budget is the caller's. */
SP_INLINE int sp_refuse_how(const struct sp_pkt *p, sp_u32 reason, int trial)
{
	const int words = sp_refuse_words(p, reason, trial);
	struct sp_image_more *more;
	sp_u32 told, flags;

	if (words == SP_REFUSE_SILENT || sp_refuse_never(p))
		return SP_REFUSE_SILENT;
	if (words == SP_REFUSE_ASK)
		return words; /* it stands in for the answer of whom he wants, which he may have */
	more = (struct sp_image_more *)sp_image_at(p->generation % SP_IMAGE_SLOTS, 1);
	told = more ? more->reject : SP_IMAGE_REJECT_DEFAULT;
	flags = reason == SP_R_BLOCKED ? sp_refuse_flags(p) : 0;
	if (flags & SP_ORDER_DROP)
		return SP_REFUSE_SILENT;
	if (flags & SP_ORDER_REJECT)
		return words;
	return (told >> (p->zone & 15)) & 1 ? words : SP_REFUSE_SILENT;
}

/* ---- the answers' headers; checksums are the caller's ---------------------------------------------------------------- */

/* RFC 9293 3.10.7.1: the reset that answers segment `in`, which has so many bytes of payload. */
SP_INLINE void sp_refuse_rst(struct sp_tcp *out, const struct sp_tcp *in, sp_u32 payload)
{
	const sp_u32 next = sp_ntoh32(in->seq) + payload + !!(in->flags & SP_TCP_SYN) + !!(in->flags & SP_TCP_FIN);
	const struct sp_tcp rst = { .sport = in->dport, .dport = in->sport, .off = 5 << 4, .flags = SP_TCP_RST };

	*out = rst;
	if (in->flags & SP_TCP_ACK) {
		out->seq = in->ack;
	} else {
		out->ack = sp_hton32(next);
		out->flags = SP_TCP_RST | SP_TCP_ACK;
	}
}

/* The question to who sent SYN `in`: an acknowledgement of what he has not sent (proof.h). */
SP_INLINE void sp_refuse_ask(struct sp_tcp *out, const struct sp_tcp *in, sp_u32 number)
{
	const struct sp_tcp ask = { .sport = in->dport, .dport = in->sport, .ack = sp_hton32(number), .off = 5 << 4,
				    .flags = SP_TCP_ACK };

	*out = ask;
}

#define SP_REFUSE_HOPS 64
#define SP_REFUSE_CONTROL 0xc0 /* RFC 1812 5.3.2: precedence of errors, internetwork control */

/* An IPv4 header with its checksum. payload: bytes behind it. */
SP_INLINE void sp_refuse_ip4(struct sp_ip4 *h, sp_be32 src, sp_be32 dst, sp_u8 proto, sp_u32 payload)
{
	const struct sp_ip4 ip = { .version_ihl = 0x45, .tos = proto == SP_PROTO_ICMP ? SP_REFUSE_CONTROL : 0,
				   .total = sp_hton16((sp_u16)(sizeof(ip) + payload)), .frag = sp_hton16(0x4000),
				   .ttl = SP_REFUSE_HOPS, .proto = proto, .src = src, .dst = dst };
	const sp_u32 *w = (const sp_u32 *)h;

	*h = ip;
	h->check.raw = (sp_u16)~sp_fold((sp_u64)w[0] + w[1] + w[2] + w[3] + w[4]);
}

SP_INLINE void sp_refuse_ip6(struct sp_ip6 *h, const struct sp_addr *src, const struct sp_addr *dst, sp_u8 next,
			     sp_u32 payload)
{
	h->version_class_label = sp_hton32(6u << 28);
	h->payload = sp_hton16((sp_u16)payload);
	h->next = next;
	h->hop_limit = SP_REFUSE_HOPS;
	h->src = *src;
	h->dst = *dst;
}

/* The unfolded sum of a pseudo-header. */
SP_INLINE sp_u64 sp_refuse_pseudo4(const struct sp_ip4 *h, sp_u32 payload)
{
	return (sp_u64)h->src.raw + h->dst.raw + sp_hton32(payload).raw + sp_hton32(h->proto).raw;
}

SP_INLINE sp_u64 sp_refuse_pseudo6(const struct sp_ip6 *h, sp_u32 payload)
{
	return (sp_u64)h->src.w32[0] + h->src.w32[1] + h->src.w32[2] + h->src.w32[3] + h->dst.w32[0] + h->dst.w32[1] +
	       h->dst.w32[2] + h->dst.w32[3] + sp_hton32(payload).raw + sp_hton32(h->next).raw;
}

#endif
