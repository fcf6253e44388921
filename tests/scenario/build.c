/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the bytes of a described packet: upper layer, extension headers, fragment, IP header, frame. */
#include <stdlib.h>
#include <string.h>

#include "packet.h"

struct buf {
	sp_u8 *b;
	size_t len, max;
	int full;
};

static void put(struct buf *o, const void *data, size_t len)
{
	if (o->len + len > o->max) {
		o->full = 1;
		return;
	}
	if (data)
		memcpy(o->b + o->len, data, len);
	else
		memset(o->b + o->len, 0, len);
	o->len += len;
}

static void put8(struct buf *o, unsigned v)
{
	sp_u8 b = (sp_u8)v;

	put(o, &b, 1);
}

static void put16(struct buf *o, unsigned v)
{
	put8(o, v >> 8);
	put8(o, v);
}

static void put32(struct buf *o, sp_u32 v)
{
	put16(o, v >> 16);
	put16(o, v);
}

static void set16(sp_u8 *b, unsigned v)
{
	b[0] = (sp_u8)(v >> 8);
	b[1] = (sp_u8)v;
}

static sp_u32 sum_bytes(sp_u32 sum, const sp_u8 *b, size_t len)
{
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (sp_u32)b[i] << 8 | b[i + 1];
	if (i < len)
		sum += (sp_u32)b[i] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static unsigned fold(sp_u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static sp_u32 pseudo_sum(const struct pkt *p, size_t len)
{
	size_t alen = p->family == 4 ? 4 : 16;
	sp_u32 sum = sum_bytes(sum_bytes(0, p->src, alen), p->dst, alen);

	return sum + p->proto + (sp_u32)(len >> 16) + (sp_u32)(len & 0xffff);
}

/* SCTP's CRC32c (RFC 9260 appendix A), bit by bit: speed does not matter here. */
static sp_u32 crc32c(const sp_u8 *b, size_t len)
{
	sp_u32 crc = 0xffffffffu;

	for (size_t i = 0; i < len; i++) {
		crc ^= b[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* Payload that differs from byte to byte, so that a wrong offset shows in a checksum. */
static void put_payload(struct buf *o, const struct pkt *p)
{
	put(o, p->raw, (size_t)p->raw_len);
	for (long i = 0; i < p->data; i++)
		put8(o, (unsigned)(i * 7 + 1));
}

static void put_tcp(struct buf *o, const struct pkt *p)
{
	size_t opts = (size_t)(p->opts + 3) / 4 * 4;
	unsigned doff = p->doff == PKT_UNSET ? (unsigned)(5 + opts / 4) : (unsigned)p->doff;

	put16(o, p->sport);
	put16(o, p->dport);
	put32(o, p->seq);
	put32(o, p->ack);
	put16(o, doff << 12 | p->flags);
	put16(o, p->win);
	put16(o, 0);
	put16(o, p->urg);
	put(o, p->opt, (size_t)p->opts);
	for (size_t i = (size_t)p->opts; i < opts; i++)
		put8(o, 1); /* no-operation */
}

static void put_quote(struct buf *o, const struct pkt *p)
{
	sp_u8 *q = malloc(PKT_MAX);
	size_t len = q ? pkt_build(p->quote, 1, q, PKT_MAX) : 0;
	size_t keep = len;

	if (p->quote_len != PKT_UNSET)
		keep = (size_t)p->quote_len;
	else if (p->quote->family == 4 && len >= 20)
		keep = (size_t)(q[0] & 15) * 4 + 8; /* RFC 792: the header and 64 bits */
	else if (len > 1280 - 48)
		keep = 1280 - 48; /* RFC 4443 2.4 (c): as much as fits the minimum MTU */
	put(o, q, keep < len ? keep : len);
	free(q);
}

static void put_icmp(struct buf *o, const struct pkt *p)
{
	put8(o, p->icmp_type);
	put8(o, p->icmp_code);
	put16(o, 0);
	put32(o, p->icmp_rest);
	if (p->quote)
		put_quote(o, p);
}

static void put_sctp(struct buf *o, const struct pkt *p)
{
	size_t start = o->len;
	sp_u32 crc;

	put16(o, p->sport);
	put16(o, p->dport);
	put32(o, p->vtag);
	put32(o, 0);
	put8(o, p->sctp_chunk);
	put8(o, 0);
	put16(o, p->sctp_chunk == 1 || p->sctp_chunk == 2 ? 20 : 4);
	if (p->sctp_chunk == 1 || p->sctp_chunk == 2) {
		put32(o, p->seq); /* initiate tag */
		put32(o, 65536);
		put16(o, 1);
		put16(o, 1);
		put32(o, 1);
	}
	put_payload(o, p);
	if (o->full)
		return;
	crc = crc32c(o->b + start, o->len - start) ^ (p->bad_sum ? 1 : 0);
	memcpy(o->b + start + 8, &(sp_u32){ crc }, 4); /* little-endian on the wire, as the CRC is reflected */
}

static void put_udp(struct buf *o, const struct pkt *p)
{
	size_t len = 8 + (size_t)p->raw_len + (size_t)p->data;

	put16(o, p->sport);
	put16(o, p->dport);
	put16(o, p->udp_len == PKT_UNSET ? (unsigned)len : (unsigned)p->udp_len);
	put16(o, 0);
}

/* DCCP (RFC 4340 5.1): the ports, then whatever is given; the data offset and full coverage where there is room. */
static void put_dccp(struct buf *o, const struct pkt *p)
{
	size_t start = o->len;

	put16(o, p->sport);
	put16(o, p->dport);
	put_payload(o, p);
	if (o->full || o->len < start + 12)
		return;
	o->b[start + 4] = 3;
	o->b[start + 5] = 0;
	set16(o->b + start + 6, 0);
}

/* Fills in the Internet checksum of TCP, UDP, UDP-Lite, DCCP or ICMP; field: where it stands. */
static void finish_sum(struct buf *o, const struct pkt *p, size_t start, size_t field)
{
	size_t len = o->len - start, cover = len;
	int with_pseudo = p->body != PKT_BODY_ICMP || p->family == 6;
	unsigned sum;

	if (o->full || p->no_sum)
		return;
	if (p->proto == 136) { /* UDP-Lite: the length field is the coverage, 0 means all (RFC 3828 3.1) */
		size_t said = (size_t)o->b[start + 4] << 8 | o->b[start + 5];

		cover = said >= 8 && said <= len ? said : len;
	}
	sum = fold(sum_bytes(with_pseudo ? pseudo_sum(p, len) : 0, o->b + start, cover));
	if (p->partial_sum)
		sum = fold(pseudo_sum(p, len)) ^ 0xffff;
	if (p->bad_sum) /* wrong by the same whatever the ends are: translation must not make it right */
		sum = fold((~sum & 0xffff) + 0x1234);
	if (sum == 0 && p->body == PKT_BODY_UDP && !p->partial_sum) /* 0 would say that there is none (RFC 768) */
		sum = 0xffff;
	set16(o->b + start + field, sum);
}

static void put_upper(struct buf *o, const struct pkt *p)
{
	size_t start = o->len;

	switch (p->body) {
	case PKT_BODY_TCP:
		put_tcp(o, p);
		put_payload(o, p);
		finish_sum(o, p, start, 16);
		break;
	case PKT_BODY_UDP:
		put_udp(o, p);
		put_payload(o, p);
		finish_sum(o, p, start, 6);
		break;
	case PKT_BODY_ICMP:
		put_icmp(o, p);
		put_payload(o, p);
		finish_sum(o, p, start, 2);
		break;
	case PKT_BODY_SCTP:
		put_sctp(o, p);
		break;
	case PKT_BODY_DCCP:
		put_dccp(o, p);
		if (o->len >= start + 12)
			finish_sum(o, p, start, 6);
		break;
	case PKT_BODY_RAW:
		put_payload(o, p);
		break;
	}
}

/* First header after extension header i: the type of the next one, or the upper layer. */
static sp_u8 next_type(const struct pkt *p, int i)
{
	return i + 1 < p->exts ? p->ext[i + 1].type : p->proto;
}

static void put_ext(struct buf *o, const struct pkt *p, int i)
{
	const struct pkt_ext *x = &p->ext[i];

	put8(o, next_type(p, i));
	if (x->is_frag) { /* RFC 8200 4.5: reserved, offset | reserved | more, identification */
		put8(o, 0);
		put16(o, (unsigned)p->frag_off | (unsigned)p->more);
		put32(o, p->ip_id == PKT_UNSET ? 0 : (sp_u32)p->ip_id);
		return;
	}
	put(o, x->body, x->len);
}

/* Everything after the IPv4 or fixed IPv6 header, cut into the wanted fragment. */
static void put_ip_payload(struct buf *o, const struct pkt *p)
{
	sp_u8 *whole = calloc(1, PKT_MAX);
	struct buf u = { whole, 0, whole ? PKT_MAX : 0, 0 };
	int i = 0, split = 0;
	size_t want, have;

	for (int k = 0; k < p->exts; k++)
		if (p->ext[k].is_frag)
			split = k + 1; /* headers up to the fragment header stand in every piece */
	for (; i < split; i++)
		put_ext(o, p, i);
	for (; i < p->exts; i++)
		put_ext(&u, p, i);
	put_upper(&u, p);
	if (u.full)
		o->full = 1;
	if (!p->is_frag) {
		put(o, whole, u.len);
	} else {
		have = (size_t)p->frag_off < u.len ? u.len - (size_t)p->frag_off : 0;
		want = p->frag_len == PKT_UNSET ? have : (size_t)p->frag_len;
		put(o, whole + p->frag_off, have < want ? have : want);
		put(o, NULL, have < want ? want - have : 0); /* beyond the datagram: zeros */
	}
	free(whole);
}

static void put_ipv4(struct buf *o, const struct pkt *p)
{
	size_t start = o->len, hlen = 20 + (size_t)(p->ip_opts + 3) / 4 * 4;
	unsigned frag = 0;

	if (p->is_frag)
		frag = (unsigned)(p->frag_off / 8) | (p->more ? 0x2000 : 0);
	put8(o, (p->ip_version == PKT_UNSET ? 4u : (unsigned)p->ip_version) << 4 |
			(p->ip_hlen == PKT_UNSET ? (unsigned)(hlen / 4) : (unsigned)p->ip_hlen));
	put8(o, p->tos == PKT_UNSET ? 0 : (unsigned)p->tos);
	put16(o, 0);
	put16(o, p->ip_id == PKT_UNSET ? 0x1111 : (unsigned)p->ip_id);
	put16(o, frag | (p->df ? 0x4000u : 0) | (p->evil ? 0x8000u : 0));
	put8(o, p->ttl == PKT_UNSET ? 64 : (unsigned)p->ttl);
	put8(o, p->exts ? p->ext[0].type : p->proto);
	put16(o, 0);
	put(o, p->src, 4);
	put(o, p->dst, 4);
	put(o, p->ip_opt, (size_t)p->ip_opts);
	put(o, NULL, hlen - 20 - (size_t)p->ip_opts);
	put_ip_payload(o, p);
	if (o->full)
		return;
	set16(o->b + start + 2, p->ip_len == PKT_UNSET ? (unsigned)(o->len - start) : (unsigned)p->ip_len);
	set16(o->b + start + 10, fold(sum_bytes(0, o->b + start, hlen)) ^ (p->bad_ip_sum ? 0x5555u : 0));
}

static void put_ipv6(struct buf *o, const struct pkt *p)
{
	size_t start = o->len;

	put32(o, (p->ip_version == PKT_UNSET ? 6u : (unsigned)p->ip_version) << 28 |
			 (p->tos == PKT_UNSET ? 0 : (sp_u32)p->tos) << 20);
	put16(o, 0);
	put8(o, p->exts ? p->ext[0].type : p->proto);
	put8(o, p->ttl == PKT_UNSET ? 64 : (unsigned)p->ttl);
	put(o, p->src, 16);
	put(o, p->dst, 16);
	put_ip_payload(o, p);
	if (!o->full)
		set16(o->b + start + 4,
		      p->ip_len == PKT_UNSET ? (unsigned)(o->len - start - 40) : (unsigned)p->ip_len);
}

static void put_ethernet(struct buf *o, const struct pkt *p)
{
	static const sp_u8 macs[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };
	int version = p->family;

	if (!version) /* raw bytes of an IP packet: by its first four bits */
		version = p->raw_len && p->raw[0] >> 4 == 6 ? 6 : 4;
	put(o, macs, sizeof(macs));
	for (int i = 0; i < p->vlans; i++) {
		put16(o, i + 1 < p->vlans ? 0x88a8 : 0x8100);
		put16(o, p->vlan[i]);
	}
	if (p->ethertype != PKT_UNSET)
		put16(o, (unsigned)p->ethertype);
	else
		put16(o, version == 6 ? 0x86dd : 0x0800);
}

void pkt_init(struct pkt *p)
{
	memset(p, 0, sizeof(*p));
	p->ethertype = p->cut = PKT_UNSET;
	p->ttl = p->tos = p->ip_id = p->ip_version = p->ip_hlen = p->ip_len = PKT_UNSET;
	p->frag_len = p->doff = p->udp_len = p->quote_len = PKT_UNSET;
	p->win = 64240;
}

void pkt_free(struct pkt *p)
{
	if (p->quote)
		pkt_free(p->quote);
	free(p->quote);
	p->quote = NULL;
}

size_t pkt_build(const struct pkt *p, int bare_ip, sp_u8 *out, size_t max)
{
	struct buf o = { out, 0, max, 0 };
	size_t ip_start;

	if (!bare_ip && !p->is_frame)
		put_ethernet(&o, p);
	ip_start = o.len;
	if (p->family == 4)
		put_ipv4(&o, p);
	else if (p->family == 6)
		put_ipv6(&o, p);
	else
		put_payload(&o, p);
	if (p->cut != PKT_UNSET && o.len > ip_start + (size_t)p->cut)
		o.len = ip_start + (size_t)p->cut;
	put(&o, NULL, (size_t)p->pad);
	return o.full ? 0 : o.len;
}
