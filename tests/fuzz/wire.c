/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds packets for the fuzzers, and looks at checksums with arithmetic of its own. */
#include <string.h>

#include "wire.h"

#define ETHER 14

static void put16(sp_u8 *b, sp_u32 v)
{
	b[0] = (sp_u8)(v >> 8);
	b[1] = (sp_u8)v;
}

static void put32(sp_u8 *b, sp_u32 v)
{
	put16(b, v >> 16);
	put16(b + 2, v);
}

static sp_u32 add(sp_u32 sum, const sp_u8 *b, sp_u32 len)
{
	for (sp_u32 i = 0; i < len; i++)
		sum += i % 2 ? b[i] : (sp_u32)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static sp_u32 pseudo(const sp_u8 *addrs, sp_u32 addrs_len, sp_u8 proto, sp_u32 len)
{
	return add(proto + len, addrs, addrs_len);
}

static sp_u32 put_tcp(const struct wire *w, sp_u8 *b)
{
	const int scales = (w->flags & 2) && w->wscale < 16;

	put16(b, w->sport);
	put16(b + 2, w->dport);
	put32(b + 4, w->seq);
	put32(b + 8, w->flags & 16 ? w->ack : 0);
	b[12] = scales ? 6 << 4 : 5 << 4;
	b[13] = w->flags;
	put16(b + 14, w->win);
	if (scales)
		memcpy(b + 20, (const sp_u8[]){ 1, 3, 3, w->wscale }, 4);
	return scales ? 24 : 20;
}

/* The transport header; *sum: where its checksum stands, 0: it has none. Returns its length. */
static sp_u32 put_header(const struct wire *w, sp_u8 *b, sp_u32 *sum)
{
	*sum = 0;
	switch (w->proto) {
	case 6:
		*sum = 16;
		return put_tcp(w, b);
	case 17:
	case 136:
		*sum = 6;
		put16(b, w->sport);
		put16(b + 2, w->dport);
		put16(b + 4, 8u + w->data);
		return 8;
	case 132:
	case 33:
		put16(b, w->sport);
		put16(b + 2, w->dport);
		b[4] = 3;
		return 12;
	case 1:
	case 58:
		*sum = 2;
		b[0] = w->icmp_type;
		b[1] = w->icmp_code;
		put16(b + 4, w->sport);
		return 8;
	}
	return 0;
}

static sp_u32 put_l4(const struct wire *w, const sp_u8 *addrs, sp_u32 addrs_len, sp_u8 *b)
{
	sp_u32 sum_at, len = put_header(w, b, &sum_at), i, sum;

	for (i = 0; i < w->data; i++)
		b[len + i] = w->body ? w->body[i] : (sp_u8)(i * 7 + 1);
	len += w->data;
	if (sum_at && !w->is_frag) {
		sum = w->proto == 1 ? 0 : pseudo(addrs, addrs_len, w->proto, len);
		sum = add(sum, b, len) ^ 0xffff;
		if (!sum && w->proto == 17)
			sum = 0xffff;
		put16(b + sum_at, w->no_sum ? 0 : w->bad_sum ? sum ^ 0x1234 : sum);
	}
	if (w->is_frag) {
		if (w->frag_len > len)
			memset(b + len, 0x55, w->frag_len - len);
		len = w->frag_len;
	}
	return len;
}

static sp_u32 build4(const struct wire *w, sp_u8 *b)
{
	sp_u32 len;

	b[0] = 0x45;
	put16(b + 4, w->ip_id);
	put16(b + 6, w->is_frag ? (w->frag_off / 8) | (w->more ? 0x2000u : 0) : 0);
	b[8] = w->ttl;
	b[9] = w->proto;
	memcpy(b + 12, w->src, 4);
	memcpy(b + 16, w->dst, 4);
	len = 20 + put_l4(w, b + 12, 8, b + 20);
	put16(b + 2, len);
	put16(b + 10, add(0, b, 20) ^ 0xffff);
	return len;
}

static sp_u32 build6(const struct wire *w, sp_u8 *b)
{
	const sp_u32 ext = w->is_frag ? 8 : 0;
	sp_u32 len;

	b[0] = 0x60;
	b[6] = w->is_frag ? 44 : w->proto;
	b[7] = w->ttl;
	memcpy(b + 8, w->src, 16);
	memcpy(b + 24, w->dst, 16);
	if (w->is_frag) {
		b[40] = w->proto;
		put16(b + 42, (w->frag_off & 0xfff8) | (w->more ? 1 : 0));
		put32(b + 44, w->ip_id);
	}
	len = ext + put_l4(w, b + 8, 32, b + 40 + ext);
	put16(b + 4, len);
	return 40 + len;
}

sp_u32 wire_build(const struct wire *w, sp_u8 *out)
{
	memset(out, 0, WIRE_MAX);
	memcpy(out, (const sp_u8[]){ 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 }, 12);
	put16(out + 12, w->family == 4 ? 0x0800 : 0x86dd);
	return ETHER + (w->family == 4 ? build4(w, out + ETHER) : build6(w, out + ETHER));
}

static int l4_right(const sp_u8 *addrs, sp_u32 addrs_len, sp_u8 proto, const sp_u8 *l4, sp_u32 len)
{
	sp_u32 sum;

	if (len < 8 || (proto != 1 && proto != 6 && proto != 17 && proto != 58))
		return 1;
	if (proto == 17 && !l4[6] && !l4[7])
		return 1;
	sum = add(proto == 1 ? 0 : pseudo(addrs, addrs_len, proto, len), l4, len);
	return sum == 0xffff || sum == 0; /* an echo reply that is all zeros: RFC 1624 3 has nothing to go by */
}

int wire_sums_right(const sp_u8 *f, sp_u32 len)
{
	sp_u32 head, total;

	if (len < ETHER + 20 || f[12] != (f[14] >> 4 == 4 ? 0x08 : 0x86))
		return 1;
	f += ETHER;
	len -= ETHER;
	if (f[0] >> 4 == 6) {
		total = 40 + ((sp_u32)f[4] << 8 | f[5]);
		return len < 40 || total > len || l4_right(f + 8, 32, f[6], f + 40, total - 40);
	}
	head = (f[0] & 15u) * 4;
	total = (sp_u32)f[2] << 8 | f[3];
	if (f[0] >> 4 != 4 || head < 20 || total > len || total < head)
		return 1;
	if (add(0, f, head) != 0xffff)
		return 0;
	return (f[6] & 0x3f) || f[7] || l4_right(f + 12, 8, f[9], f + head, total - head);
}
