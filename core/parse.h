/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes to struct sp_pkt: link header, IP, extension headers, transport header, and the packet that an ICMP error
 * quotes.
 *
 * Packet memory is only touched through sp_load(), which copies a few bytes or says that they are not there. Each
 * length from the wire is checked against the minimum of its header and against the end of the IP packet; each loop
 * has a named bound. Returns SP_R_NONE when the packet is well-formed, else the reason of the verdict.
 */
#ifndef SP_CORE_PARSE_H
#define SP_CORE_PARSE_H

#include "packet.h"

#define SP_OPTIONS_MAX 40 /* bytes, IPv4 and TCP: headers of at most 60 */
#define SP_HEADERS_MAX 2048 /* bytes: no header starts further in than this */

/* Which combinations of FIN SYN RST ACK make sense (index: bit 0 FIN, 1 SYN, 2 RST, 3 ACK). RFC 9293 3.5, 3.10.7. */
#define SP_TCP_FLAGS_GOOD                                                             \
	((1u << 0x2) /* SYN */ | (1u << 0xa) /* SYN ACK */ | (1u << 0x4) /* RST */ | \
	 (1u << 0xc) /* RST ACK */ | (1u << 0x8) /* ACK */ | (1u << 0x9) /* FIN ACK */)

SP_INLINE int sp_tcp_flags_good(sp_u8 flags)
{
	const sp_u32 index = (flags & 7u) | ((flags & SP_TCP_ACK) >> 1);

	return (SP_TCP_FLAGS_GOOD >> index) & 1;
}

/* One walk along IPv6 extension headers. */
struct sp_walk {
	sp_u32 off; /* in: first header; out: the upper layer (or where a piece's bytes begin) */
	sp_u32 end; /* in: end of the IP packet */
	sp_u8 next; /* in, out: protocol at off */
	sp_u8 is_frag; /* out: a fragment header says that more exists */
	sp_u8 frag_more;
	sp_u8 pad_;
	sp_u32 frag_off; /* out: bytes */
	sp_u32 frag_id;
	sp_u32 frag_at; /* out: where the bytes of the piece begin */
};

/* IPv6 header chain (RFC 8200 4, RFC 7112). AH, ESP, mobility and the like end it: they are judged by address. */
SP_GLOBAL int sp_walk6(sp_dev *dev, struct sp_walk *w)
{
	sp_u32 seen_route = 0, seen_frag = 0, seen_dest = 0;

	if (!w)
		return SP_R_TRUNCATED;
	for (int i = 0; i < SP_EXT_MAX; i++) {
		const sp_u32 off = SP_READ(w->off); /* read back: each turn looks alike to the verifier */
		const sp_u8 next = SP_READ(w->next);
		sp_u8 ext[8];

		if (next != 0 && next != 43 && next != 44 && next != 60)
			return SP_R_NONE;
		if (off > SP_HEADERS_MAX)
			return SP_R_EXT_HEADERS;
		if (off + 8 > w->end || sp_load(dev, off, ext, 8))
			return w->is_frag ? SP_R_FRAG_TINY : SP_R_TRUNCATED;
		if (next == 44) {
			const sp_u32 field = (sp_u32)ext[2] << 8 | ext[3];

			if (seen_frag)
				return SP_R_FRAG_NESTED;
			seen_frag = 1;
			w->frag_off = field & 0xfff8;
			w->frag_at = off + 8;
			w->frag_more = field & 1;
			w->frag_id = (sp_u32)ext[4] << 24 | (sp_u32)ext[5] << 16 | (sp_u32)ext[6] << 8 | ext[7];
			/* RFC 6946: offset 0 and no more pieces is a whole packet */
			w->is_frag = (field & 0xfff9) != 0;
			SP_WRITE(w->off, off + 8);
			SP_WRITE(w->next, ext[0]);
			if (w->frag_off)
				return SP_R_NONE;
			continue;
		}
		if (next == 0 && i != 0)
			return SP_R_EXT_HEADERS; /* RFC 8200 4.1: hop-by-hop options come first, once */
		if (next == 43) {
			if (ext[2] <= 1)
				return SP_R_ROUTING_HEADER; /* RFC 5095, RFC 5871: types 0 and 1 */
			if (seen_route)
				return SP_R_EXT_HEADERS;
			seen_route = 1;
		}
		if (next == 60) {
			if (seen_dest >= 2)
				return SP_R_EXT_HEADERS;
			seen_dest++;
		}
		SP_WRITE(w->off, off + ((sp_u32)ext[1] + 1) * 8);
		SP_WRITE(w->next, ext[0]);
		if (SP_READ(w->off) > w->end)
			return w->is_frag ? SP_R_FRAG_TINY : SP_R_TRUNCATED;
	}
	{
		const sp_u8 next = SP_READ(w->next);

		if (next == 0 || next == 43 || next == 44 || next == 60)
			return SP_R_EXT_HEADERS;
	}
	return SP_R_NONE;
}

/*
 * Options of IPv4 and TCP, read by a byte automaton: a moving cursor would cost the verifier too much. The state
 * stands in memory that the verifier does not follow, so that each turn of the loop looks alike to it.
 */
struct sp_options {
	sp_u8 b[SP_OPTIONS_MAX];
	sp_u32 len; /* bytes in b */
	sp_u8 kind; /* of the option under way */
	sp_u8 skip; /* bytes of it that are left */
	sp_u8 state; /* SP_OPT_* */
	sp_u8 wscale; /* TCP, out */
};

enum { SP_OPT_KIND = 0, SP_OPT_LENGTH = 1, SP_OPT_DATA = 2 };

/* One byte. Returns 0, 1 at the end of the options, -1 when a length is impossible. */
SP_INLINE int sp_options_step(struct sp_options *o, sp_u32 i, sp_u32 is_tcp)
{
	const sp_u32 state = SP_READ(o->state), kind = SP_READ(o->kind), skip = SP_READ(o->skip), b = o->b[i];

	if (state == SP_OPT_KIND) {
		if (b == 0)
			return 1;
		SP_WRITE(o->kind, b);
		SP_WRITE(o->state, b == 1 ? SP_OPT_KIND : SP_OPT_LENGTH);
	} else if (state == SP_OPT_LENGTH) {
		if (b < 2 || i - 1 + b > o->len || (is_tcp && kind == 3 && b != 3))
			return -1;
		SP_WRITE(o->skip, b - 2);
		SP_WRITE(o->state, b == 2 ? SP_OPT_KIND : SP_OPT_DATA);
	} else {
		if (is_tcp && kind == 3)
			SP_WRITE(o->wscale, b > 14 ? 14u : b); /* RFC 7323 2.3 */
		SP_WRITE(o->skip, skip - 1);
		SP_WRITE(o->state, skip <= 1 ? SP_OPT_KIND : SP_OPT_DATA);
	}
	return 0;
}

/* IPv4: lengths must be sane (RFC 791 3.1), source routes are refused (RFC 7126 4.3, 4.4). */
SP_GLOBAL int sp_options_ip4(struct sp_options *o)
{
	if (!o)
		return SP_R_IP_OPTIONS;
	for (sp_u32 i = 0; i < SP_OPTIONS_MAX; i++) {
		int end;

		if (i >= o->len)
			break;
		end = sp_options_step(o, i, 0);
		if (end)
			return end < 0 ? SP_R_IP_OPTIONS : SP_R_NONE;
		if (SP_READ(o->state) == SP_OPT_LENGTH && (SP_READ(o->kind) == 131 || SP_READ(o->kind) == 137))
			return SP_R_SOURCE_ROUTE;
	}
	return SP_READ(o->state) == SP_OPT_KIND ? SP_R_NONE : SP_R_IP_OPTIONS;
}

/* TCP: window scale of a SYN (RFC 7323 2.2); what follows a malformed option is ignored, as by the end hosts. */
SP_GLOBAL int sp_options_tcp(struct sp_options *o)
{
	if (!o)
		return SP_WSCALE_NONE;
	o->wscale = SP_WSCALE_NONE;
	for (sp_u32 i = 0; i < SP_OPTIONS_MAX; i++)
		if (i >= o->len || sp_options_step(o, i, 1))
			break;
	return (int)SP_READ(o->wscale);
}

SP_INLINE int sp_has_ports(sp_u8 proto)
{
	return proto == SP_PROTO_TCP || proto == SP_PROTO_UDP || proto == SP_PROTO_UDPLITE ||
	       proto == SP_PROTO_SCTP || proto == SP_PROTO_DCCP;
}

/* What an ICMP type is; request: for queries, the type of the request. */
SP_INLINE sp_u8 sp_icmp_kind(sp_u8 family, sp_u8 type, sp_u8 *request)
{
	*request = 0;
	if (family == SP_IPV4) {
		switch (type) {
		case 8: case 13: case 15: case 17: /* RFC 792, RFC 950 */
			*request = type;
			return SP_KIND_QUERY;
		case 0:
			*request = 8;
			return SP_KIND_REPLY;
		case 14: case 16: case 18:
			*request = type - 1;
			return SP_KIND_REPLY;
		case 3: case 11: case 12:
			return SP_KIND_ERROR;
		}
		return SP_KIND_NONE;
	}
	switch (type) {
	case 128:
		*request = 128;
		return SP_KIND_QUERY;
	case 129:
		*request = 128;
		return SP_KIND_REPLY;
	case 1: case 2: case 3: case 4:
		return SP_KIND_ERROR;
	case 133: case 134: case 135: case 136: case 137:
		return SP_KIND_NEIGHBOUR;
	case 130: case 131: case 132: case 143:
		return SP_KIND_MEMBERSHIP;
	case 144: case 145: case 146: case 147: /* RFC 4890 4.3.2: mobile IPv6, by address */
		return SP_KIND_OTHER;
	}
	return SP_KIND_NONE;
}

/* The packet inside an ICMP error (RFC 792, RFC 4443 3, RFC 5508 REQ-3): its key becomes the packet's key. */
SP_GLOBAL int sp_parse_quote(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_addr src = {}, dst = {};
	struct sp_ports ports = {};
	sp_u32 off, end;
	sp_u8 proto;

	if (!p)
		return SP_R_TRUNCATED;
	off = p->l4_off + 8;
	end = p->l4_off + p->l4_len;
	if (off > SP_HEADERS_MAX || p->is_frag)
		return SP_R_ICMP_QUOTE;
	if (p->family == SP_IPV4) {
		struct sp_ip4 ip;
		sp_u32 ihl;

		if (off + 20 > end || sp_load(dev, off, &ip, 20))
			return SP_R_ICMP_QUOTE;
		ihl = (ip.version_ihl & 15) * 4u;
		if (ip.version_ihl >> 4 != 4 || ihl < 20 || off + ihl + 8 > end)
			return SP_R_ICMP_QUOTE;
		if (sp_ntoh16(ip.frag) & 0x1fff)
			return SP_R_ICMP_QUOTE;
		/* RFC 5508 REQ-3 b; routers that report TTL 0 or 1 may not have mended it: those are let be */
		if (p->hook == SP_HOOK_INGRESS && ip.ttl > 1 && sp_sum(dev, off, ihl, 0) != 0xffff)
			return SP_R_ICMP_QUOTE;
		src.w32[0] = ip.src.raw;
		dst.w32[0] = ip.dst.raw;
		proto = ip.proto;
		off += ihl;
	} else {
		struct sp_walk w = {};
		struct sp_ip6 ip;

		if (off + 40 > end || sp_load(dev, off, &ip, 40))
			return SP_R_ICMP_QUOTE;
		if (sp_ntoh32(ip.version_class_label) >> 28 != 6)
			return SP_R_ICMP_QUOTE;
		src = ip.src;
		dst = ip.dst;
		w.off = off + 40;
		w.end = end;
		w.next = ip.next;
		if (sp_walk6(dev, &w) || w.frag_off)
			return SP_R_ICMP_QUOTE;
		off = w.off;
		proto = w.next;
		if (off + 8 > end || off > SP_HEADERS_MAX)
			return SP_R_ICMP_QUOTE;
	}
	if (sp_load(dev, off, &ports, 8))
		return SP_R_ICMP_QUOTE;
	if (!sp_addr_equal(&src, &p->dst))
		return SP_R_ICMP_TARGET;
	p->key.proto = proto;
	p->key.query = 0;
	if (proto == (p->family == SP_IPV4 ? SP_PROTO_ICMP : SP_PROTO_ICMP6)) {
		struct sp_icmp icmp;
		sp_u8 request, kind;

		if (sp_load(dev, off, &icmp, 8))
			return SP_R_ICMP_QUOTE;
		kind = sp_icmp_kind(p->family, icmp.type, &request);
		if (kind == SP_KIND_QUERY || kind == SP_KIND_REPLY) {
			ports.sport = ports.dport = icmp.id;
			p->key.query = request;
		} else if (kind == SP_KIND_OTHER) {
			ports.sport.raw = ports.dport.raw = 0;
		} else {
			return SP_R_ICMP_QUOTE; /* RFC 1122 3.2.2: no error about an error */
		}
	} else if (!sp_has_ports(proto)) {
		ports.sport.raw = ports.dport.raw = 0;
	}
	p->sport = ports.sport;
	p->dport = ports.dport;
	p->seq = (sp_u32)sp_ntoh16(ports.len) << 16 | sp_ntoh16(ports.check); /* TCP: bytes 4-7 */
	p->dir = sp_key_set(&p->key, &src, &dst, ports.sport, ports.dport);
	return SP_R_NONE;
}

SP_INLINE int sp_parse_tcp(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_tcp tcp;
	sp_u32 head;

	if (p->l4_len < 20 || sp_load(dev, p->l4_off, &tcp, 20))
		return p->is_frag ? SP_R_FRAG_TINY : SP_R_TRUNCATED; /* RFC 1858 3 */
	head = (tcp.off >> 4) * 4u;
	if (head < 20)
		return SP_R_TCP_HEADER;
	if (head > p->l4_len)
		return p->is_frag ? SP_R_FRAG_TINY : SP_R_TCP_HEADER;
	if (!sp_tcp_flags_good(tcp.flags))
		return SP_R_TCP_FLAGS;
	p->kind = SP_KIND_TCP;
	p->tcp_flags = tcp.flags & 0x3f;
	p->sport = tcp.sport;
	p->dport = tcp.dport;
	if (!tcp.sport.raw || !tcp.dport.raw)
		return SP_R_PORT_ZERO;
	p->seq = sp_ntoh32(tcp.seq);
	p->ack = sp_ntoh32(tcp.ack);
	p->win = sp_ntoh16(tcp.win);
	p->payload = p->l4_len - head;
	p->wscale = SP_WSCALE_NONE;
	if ((tcp.flags & SP_TCP_SYN) && head > 20) {
		struct sp_options o = { .len = head - 20 };

		if (sp_load_some(dev, p->l4_off + 20, o.b, o.len))
			return p->is_frag ? SP_R_FRAG_TINY : SP_R_TRUNCATED;
		p->wscale = (sp_u8)sp_options_tcp(&o);
	}
	return SP_R_NONE;
}

SP_INLINE int sp_parse_ports(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_ports h;

	if (p->l4_len < 8 || sp_load(dev, p->l4_off, &h, 8))
		return p->is_frag ? SP_R_FRAG_TINY : SP_R_TRUNCATED;
	p->sport = h.sport;
	p->dport = h.dport;
	p->kind = SP_KIND_ASSOC;
	if (p->proto == SP_PROTO_UDP || p->proto == SP_PROTO_UDPLITE)
		p->kind = SP_KIND_UDP;
	if (p->proto == SP_PROTO_UDP) {
		const sp_u32 len = sp_ntoh16(h.len);

		if (p->segs > 1) /* a super-packet: its length is that of the whole, or of one segment */
			;
		else if (len < 8 || (!p->is_frag && len > p->l4_len))
			return SP_R_UDP_LENGTH;
	} else if (p->proto != SP_PROTO_UDPLITE) {
		/* RFC 9260 3.1, RFC 4340 5.1: common headers of 12 bytes; no port may be 0 */
		if (p->l4_len < 12)
			return p->is_frag ? SP_R_FRAG_TINY : SP_R_TRUNCATED;
		if (!h.sport.raw)
			return SP_R_PORT_ZERO;
	}
	if (!h.dport.raw)
		return SP_R_PORT_ZERO; /* RFC 768: a UDP source port may be 0, meaning that no answer is wanted */
	return SP_R_NONE;
}

SP_INLINE int sp_parse_icmp(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_icmp h;
	sp_u8 request;

	if (p->l4_len < 8 || sp_load(dev, p->l4_off, &h, 8))
		return p->is_frag ? SP_R_FRAG_TINY : SP_R_TRUNCATED;
	p->icmp_type = h.type;
	p->icmp_code = h.code;
	p->kind = sp_icmp_kind(p->family, h.type, &request);
	if (p->kind == SP_KIND_QUERY || p->kind == SP_KIND_REPLY) {
		p->sport = p->dport = h.id;
		p->key.query = request;
	}
	return SP_R_NONE;
}

SP_INLINE int sp_parse_l4(sp_dev *dev, struct sp_pkt *p)
{
	p->key.proto = p->proto;
	if (p->is_frag && p->frag_off) {
		p->kind = SP_KIND_PIECE;
		return SP_R_NONE;
	}
	if (p->proto == SP_PROTO_TCP)
		return sp_parse_tcp(dev, p);
	if (sp_has_ports(p->proto))
		return sp_parse_ports(dev, p);
	if (p->proto == (p->family == SP_IPV4 ? SP_PROTO_ICMP : SP_PROTO_ICMP6))
		return sp_parse_icmp(dev, p);
	p->kind = p->family == SP_IPV4 && p->proto == SP_PROTO_IGMP ? SP_KIND_MEMBERSHIP : SP_KIND_OTHER;
	return SP_R_NONE;
}

/* RFC 791, RFC 8200 4.5: sizes of pieces. */
SP_INLINE int sp_check_piece(const struct sp_pkt *p)
{
	if (p->frag_more && (p->frag_len & 7))
		return SP_R_FRAG_LENGTH;
	if (!p->frag_len || p->frag_off + p->frag_len > 65535)
		return SP_R_FRAG_LENGTH;
	/* RFC 1858 3, RFC 3128: a piece at 8 could rewrite the flags of the TCP header in the first */
	if (p->proto == SP_PROTO_TCP && p->frag_off == 8)
		return SP_R_FRAG_TINY;
	return SP_R_NONE;
}

/* One's complement sum of a header without options (RFC 1071). */
SP_INLINE sp_u32 sp_ip4_sum(const struct sp_ip4 *ip)
{
	const sp_u32 *w = (const sp_u32 *)ip;

	return sp_fold((sp_u64)w[0] + w[1] + w[2] + w[3] + w[4]);
}

SP_INLINE int sp_parse_ip4(sp_dev *dev, struct sp_pkt *p)
{
	const sp_u32 off = p->l3_off, room = p->frame_len - p->l3_off;
	struct sp_ip4 ip;
	sp_u32 ihl, frag;

	if (room < 20 || sp_load(dev, off, &ip, 20))
		return SP_R_TRUNCATED;
	if (ip.version_ihl >> 4 != 4)
		return SP_R_IP_VERSION;
	ihl = (ip.version_ihl & 15) * 4u;
	if (ihl < 20)
		return SP_R_IP_HEADER_LENGTH;
	p->len = sp_ntoh16(ip.total);
	if (p->segs > 1 && !p->len)
		p->len = room; /* a super-packet above 64 KiB */
	if (p->len < ihl || p->len > room)
		return SP_R_IP_LENGTH;
	p->family = p->key.family = SP_IPV4;
	p->proto = ip.proto;
	p->hop_limit = ip.ttl;
	p->src.w32[0] = ip.src.raw;
	p->dst.w32[0] = ip.dst.raw;
	p->l4_off = off + ihl;
	p->l4_len = p->len - ihl;
	if (p->hook == SP_HOOK_INGRESS &&
	    (ihl == 20 ? sp_ip4_sum(&ip) : sp_sum(dev, off, ihl, 0)) != 0xffff)
		return SP_R_IP_CHECKSUM;
	if (ihl > 20) {
		struct sp_options o = { .len = ihl - 20 };
		int bad;

		if (sp_load_some(dev, off + 20, o.b, o.len))
			return SP_R_TRUNCATED;
		bad = sp_options_ip4(&o);
		if (bad)
			return bad;
	}
	frag = sp_ntoh16(ip.frag);
	if (frag & 0x3fff) {
		p->is_frag = 1;
		p->frag_more = (frag >> 13) & 1;
		p->frag_off = (frag & 0x1fff) * 8;
		p->frag_id = ip.id.raw;
		p->frag_len = p->l4_len;
		return sp_check_piece(p);
	}
	return SP_R_NONE;
}

SP_INLINE int sp_parse_ip6(sp_dev *dev, struct sp_pkt *p)
{
	const sp_u32 off = p->l3_off, room = p->frame_len - p->l3_off;
	struct sp_ip6 ip;

	if (room < 40 || sp_load(dev, off, &ip, 40))
		return SP_R_TRUNCATED;
	if (sp_ntoh32(ip.version_class_label) >> 28 != 6)
		return SP_R_IP_VERSION;
	p->len = sp_ntoh16(ip.payload) + 40u;
	if (p->len == 40 && p->segs > 1)
		p->len = room;
	if (p->len > room || (p->len == 40 && ip.next == 0))
		return SP_R_IP_LENGTH; /* RFC 2675 jumbograms are not taken from the wire */
	p->family = p->key.family = SP_IPV6;
	p->proto = ip.next;
	p->hop_limit = ip.hop_limit;
	p->src = ip.src;
	p->dst = ip.dst;
	p->l4_off = off + 40;
	if (ip.next == 0 || ip.next == 43 || ip.next == 44 || ip.next == 60) {
		struct sp_walk w = {};
		int bad;

		w.off = off + 40;
		w.end = off + p->len;
		w.next = ip.next;
		bad = sp_walk6(dev, &w);
		if (bad)
			return bad;
		p->proto = w.next;
		p->l4_off = w.off;
		p->is_frag = w.is_frag;
		p->frag_more = w.frag_more;
		p->frag_off = w.frag_off;
		p->frag_id = w.frag_id;
		p->frag_len = off + p->len - w.frag_at; /* only looked at in a piece */
		if (w.off > off + p->len)
			return SP_R_TRUNCATED;
	}
	p->l4_len = off + p->len - p->l4_off;
	return p->is_frag ? sp_check_piece(p) : SP_R_NONE;
}

/* The whole packet. p's door fields are filled in, the rest is 0. */
SP_GLOBAL int sp_parse(sp_dev *dev, struct sp_pkt *p)
{
	sp_u32 off = 0;
	sp_u16 type = 0;
	int bad;

	if (!p)
		return SP_R_TRUNCATED;
	if (p->bare_ip) {
		sp_u8 version;

		if (sp_load(dev, 0, &version, 1))
			return SP_R_TRUNCATED;
		type = version >> 4 == 4 ? 0x0800 : version >> 4 == 6 ? 0x86dd : 0;
		if (!type)
			return SP_R_IP_VERSION;
	} else {
		struct sp_eth eth;

		if (sp_load(dev, 0, &eth, 14))
			return SP_R_TRUNCATED;
		type = sp_ntoh16(eth.type);
		off = 14;
		for (int i = 0; i < SP_VLAN_MAX; i++) {
			struct sp_vlan vlan;

			if (type != 0x8100 && type != 0x88a8)
				break;
			if (sp_load(dev, off, &vlan, 4))
				return SP_R_TRUNCATED;
			type = sp_ntoh16(vlan.type);
			off += 4;
		}
		if (type == 0x8100 || type == 0x88a8)
			return SP_R_VLAN_DEPTH;
	}
	if (type != 0x0800 && type != 0x86dd)
		return SP_R_NOT_IP;
	p->l3_off = off;
	if (p->frame_len < off)
		return SP_R_TRUNCATED;
	bad = type == 0x0800 ? sp_parse_ip4(dev, p) : sp_parse_ip6(dev, p);
	if (bad)
		return bad;
	bad = sp_parse_l4(dev, p);
	if (bad)
		return bad;
	if (p->kind == SP_KIND_ERROR)
		return SP_R_NONE; /* sp_parse_quote() has the key */
	p->dir = sp_key_set(&p->key, &p->src, &p->dst, p->sport, p->dport);
	return SP_R_NONE;
}

#endif
