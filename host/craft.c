/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes packets, and makes the checksums of packets right; plain and slow, nothing here is on the packet path. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "craft.h"

/* Where the checksum of the upper layer is, and over what it goes. */
struct cover {
	sp_u32 off, len; /* bytes that it covers, from l4_off */
	sp_u32 field; /* offset of the checksum in them */
	int pseudo; /* with the pseudo header (RFC 9293 3.1, RFC 8200 8.1) */
	int crc32c; /* SCTP (RFC 9260 6.8) */
	sp_u32 upper; /* length that the pseudo header names */
};

static sp_u16 be16(const sp_u8 *p)
{
	return (sp_u16)(p[0] << 8 | p[1]);
}

static void put16(sp_u8 *p, sp_u32 v)
{
	p[0] = (sp_u8)(v >> 8);
	p[1] = (sp_u8)v;
}

static void put32(sp_u8 *p, sp_u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static sp_u64 sum_add(sp_u64 sum, const sp_u8 *p, sp_u32 len)
{
	for (; len > 1; p += 2, len -= 2)
		sum += be16(p);
	return len ? sum + ((sp_u32)p[0] << 8) : sum;
}

static sp_u16 sum_fold(sp_u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (sp_u16)sum;
}

static sp_u32 crc32c(const sp_u8 *p, sp_u32 len)
{
	sp_u32 crc = 0xffffffff;

	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1));
	}
	return ~crc;
}

/* The length and place of the checksum; 0 if there is none that could be computed from these bytes. */
static int cover_find(const struct sp_glance *g, const sp_u8 *d, sp_u32 len, struct cover *c)
{
	sp_u32 head = g->l4_off - g->l3_off;

	if (!g->has_l4 || g->is_fragment || g->ip_len < head || len - g->l3_off < g->ip_len)
		return 0;
	*c = (struct cover){ .off = g->l4_off, .len = g->ip_len - head, .pseudo = 1, .upper = g->ip_len - head };
	switch (g->proto) {
	case IPPROTO_TCP:
		c->field = 16;
		break;
	case IPPROTO_UDP:
		c->field = 6;
		if (c->len < 8 || be16(d + c->off + 4) < 8 || be16(d + c->off + 4) > c->len)
			return 0;
		c->len = c->upper = be16(d + c->off + 4);
		break;
	case IPPROTO_UDPLITE: /* RFC 3828 3.1: the length field is the coverage, 0 means all */
		c->field = 6;
		if (c->len >= 8 && be16(d + c->off + 4) >= 8 && be16(d + c->off + 4) < c->len)
			c->len = be16(d + c->off + 4);
		break;
	case IPPROTO_ICMP:
		c->field = 2;
		c->pseudo = 0;
		break;
	case IPPROTO_ICMPV6:
		c->field = 2;
		break;
	case IPPROTO_SCTP:
		c->field = 8;
		c->pseudo = 0;
		c->crc32c = 1;
		break;
	default:
		return 0;
	}
	return c->len >= c->field + (c->crc32c ? 4 : 2);
}

static sp_u64 pseudo_sum(const struct sp_glance *g, const struct cover *c)
{
	sp_u32 n = g->family == SP_IPV4 ? 4 : 16;
	sp_u64 sum = 0;

	if (!c->pseudo)
		return 0;
	sum = sum_add(sum_add(sum, g->src.b, n), g->dst.b, n);
	return sum + g->proto + (c->upper >> 16) + (c->upper & 0xffff);
}

enum sp_sums sp_sums_look(const struct sp_glance *g, const void *data, sp_u32 len)
{
	const sp_u8 *d = data, *p;
	struct cover c;

	if (!cover_find(g, d, len, &c) || c.crc32c)
		return SP_SUMS_NONE;
	p = d + c.off;
	if (g->proto == IPPROTO_UDP && be16(p + c.field) == 0)
		return SP_SUMS_NONE;
	if (sum_fold(sum_add(pseudo_sum(g, &c), p, c.len)) == 0xffff)
		return SP_SUMS_RIGHT;
	if (c.pseudo && be16(p + c.field) == sum_fold(pseudo_sum(g, &c)))
		return SP_SUMS_PARTIAL;
	return SP_SUMS_WRONG;
}

void sp_sums_repair(const struct sp_glance *g, void *data, sp_u32 len, int ip)
{
	sp_u8 *d = data, *p;
	struct cover c;
	sp_u32 sum;

	if (ip && g->family == SP_IPV4 && g->l4_off) {
		put16(d + g->l3_off + 10, 0);
		put16(d + g->l3_off + 10, (sp_u16)~sum_fold(sum_add(0, d + g->l3_off, g->l4_off - g->l3_off)));
	}
	if (!cover_find(g, d, len, &c))
		return;
	p = d + c.off;
	if (g->proto == IPPROTO_UDP && g->family == SP_IPV4 && be16(p + c.field) == 0)
		return; /* RFC 768: no checksum is allowed */
	if (c.crc32c) {
		memset(p + c.field, 0, 4);
		sum = crc32c(p, c.len);
		for (int i = 0; i < 4; i++)
			p[c.field + i] = (sp_u8)(sum >> 8 * i);
		return;
	}
	put16(p + c.field, 0);
	sum = (sp_u16)~sum_fold(sum_add(pseudo_sum(g, &c), p, c.len));
	if (sum == 0 && g->proto == IPPROTO_UDP)
		sum = 0xffff;
	put16(p + c.field, sum);
}

/* ---- making one ------------------------------------------------------------------------------------------------ */

static sp_u32 craft_l4(const struct sp_craft *c, sp_u8 *p)
{
	switch (c->proto) {
	case IPPROTO_TCP:
		put16(p, c->sport);
		put16(p + 2, c->dport);
		put32(p + 4, c->seq);
		put32(p + 8, c->ack);
		p[12] = 5 << 4;
		p[13] = c->tcp_flags;
		put16(p + 14, c->win ? c->win : 64240);
		return 20 + c->payload;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		put16(p, c->sport);
		put16(p + 2, c->dport);
		put16(p + 4, 8 + c->payload);
		put16(p + 6, 0xffff); /* not "none": sp_sums_repair() computes it */
		return 8 + c->payload;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		p[0] = c->icmp_type;
		p[1] = c->icmp_code;
		put16(p + 4, c->sport);
		put16(p + 6, 1);
		return 8 + c->payload;
	case IPPROTO_SCTP: /* with the head of an INIT chunk (RFC 9260 3.3.2) */
		put16(p, c->sport);
		put16(p + 2, c->dport);
		p[12] = 1;
		put16(p + 14, 20);
		put32(p + 16, 1);
		put32(p + 20, 65536);
		put16(p + 24, 1);
		put16(p + 26, 1);
		put32(p + 28, 1);
		return 32;
	case IPPROTO_DCCP: /* a request (RFC 4340 5.1) */
		put16(p, c->sport);
		put16(p + 2, c->dport);
		p[4] = 5;
		p[8] = 1;
		return 20;
	}
	return 8 + c->payload; /* GRE version 0, ESP and others: zeros will do */
}

int sp_craft(const struct sp_craft *c, sp_u8 *out)
{
	sp_u32 head = c->family == SP_IPV4 ? 20 : 40, len;
	struct sp_glance g;

	if ((c->family != SP_IPV4 && c->family != SP_IPV6) || c->payload > SP_CRAFT_MAX - 128)
		return -EINVAL;
	memset(out, 0, SP_CRAFT_MAX);
	len = craft_l4(c, out + head);
	if (c->family == SP_IPV4) {
		out[0] = 0x45;
		put16(out + 2, head + len);
		out[6] = 0x40; /* do not fragment */
		out[8] = c->ttl ? c->ttl : 64;
		out[9] = c->proto;
		memcpy(out + 12, c->src.b, 4);
		memcpy(out + 16, c->dst.b, 4);
	} else {
		out[0] = 0x60;
		put16(out + 4, len);
		out[6] = c->proto;
		out[7] = c->ttl ? c->ttl : 64;
		memcpy(out + 8, c->src.b, 16);
		memcpy(out + 24, c->dst.b, 16);
	}
	sp_glance(&g, out, head + len, 1);
	sp_sums_repair(&g, out, head + len, 1);
	return (int)(head + len);
}
