/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads headers for the reference of the fuzzers, by the RFCs and not by the core. */
#include <string.h>

#include "look.h"

static sp_u16 get16(const sp_u8 *b)
{
	return (sp_u16)(b[0] << 8 | b[1]);
}

static void look_icmp(struct look *l, const sp_u8 *b)
{
	static const sp_u8 errors4[] = { 3, 11, 12 }, queries4[] = { 0, 8, 13, 14, 15, 16, 17, 18 };

	l->icmp_type = b[0];
	if (l->e.proto == 58) {
		l->is_error = b[0] >= 1 && b[0] <= 4;
		l->is_query = b[0] == 128 || b[0] == 129;
	} else {
		l->is_error = memchr(errors4, b[0], sizeof(errors4)) != NULL;
		l->is_query = memchr(queries4, b[0], sizeof(queries4)) != NULL;
	}
	if (!l->is_query)
		return;
	l->e.sport = l->e.dport = get16(b + 4);
	if (l->e.proto == 58)
		l->e.query = 128;
	else
		l->e.query = b[0] == 0 ? 8 : b[0] == 8 || b[0] % 2 ? b[0] : b[0] - 1;
}

static void look_l4(struct look *l, const sp_u8 *frame)
{
	const sp_u8 *b = frame + l->l4, p = l->e.proto;

	if (l->frag_off || l->l4 + 8 > l->end)
		return;
	if (p == 6 || p == 17 || p == 132 || p == 33 || p == 136) {
		l->e.sport = get16(b);
		l->e.dport = get16(b + 2);
	}
	if (p == 6 && l->l4 + 14 <= l->end)
		l->tcp_flags = b[13];
	if (p == (l->e.family == 4 ? 1 : 58))
		look_icmp(l, b);
}

static int look4(struct look *l, const sp_u8 *frame, sp_u32 at, sp_u32 len)
{
	const sp_u8 *b = frame + at;

	if (len < at + 20)
		return 0;
	l->e.family = 4;
	l->e.proto = b[9];
	l->hop_limit = b[8];
	memcpy(l->e.src, b + 12, 4);
	memcpy(l->e.dst, b + 16, 4);
	l->is_frag = (get16(b + 6) & 0x3fff) != 0;
	l->frag_off = (get16(b + 6) & 0x1fffu) * 8;
	l->frag_id = get16(b + 4);
	l->l4 = at + (b[0] & 15u) * 4;
	l->end = at + get16(b + 2) > len ? len : at + get16(b + 2);
	look_l4(l, frame);
	return 1;
}

static int look6(struct look *l, const sp_u8 *frame, sp_u32 at, sp_u32 len)
{
	const sp_u8 *b = frame + at;

	if (len < at + 40)
		return 0;
	l->e.family = 6;
	l->e.proto = b[6];
	l->hop_limit = b[7];
	memcpy(l->e.src, b + 8, 16);
	memcpy(l->e.dst, b + 24, 16);
	l->l4 = at + 40;
	l->end = at + 40 + get16(b + 4) > len ? len : at + 40 + get16(b + 4);
	while (l->l4 + 8 <= l->end) {
		const sp_u8 *x = frame + l->l4, next = l->e.proto;

		if (next != 0 && next != 43 && next != 44 && next != 60)
			break;
		l->e.proto = x[0];
		if (next != 44) {
			l->l4 += (x[1] + 1u) * 8;
			continue;
		}
		l->l4 += 8;
		l->is_frag = (get16(x + 2) & 0xfff9) != 0;
		l->frag_off = get16(x + 2) & 0xfff8;
		l->frag_id = (sp_u32)get16(x + 4) << 16 | get16(x + 6);
		if (l->frag_off)
			break;
	}
	look_l4(l, frame);
	return 1;
}

int look_at_ip(struct look *l, const sp_u8 *ip, sp_u32 len)
{
	memset(l, 0, sizeof(*l));
	if (!len)
		return 0;
	return ip[0] >> 4 == 4 ? look4(l, ip, 0, len) : ip[0] >> 4 == 6 ? look6(l, ip, 0, len) : 0;
}

int look_at(struct look *l, const sp_u8 *f, sp_u32 len)
{
	sp_u32 at = 12;

	memset(l, 0, sizeof(*l));
	while (at + 2 <= len && (get16(f + at) == 0x8100 || get16(f + at) == 0x88a8))
		at += 4;
	if (at + 2 > len)
		return 0;
	if (get16(f + at) == 0x0800)
		return look4(l, f, at + 2, len);
	return get16(f + at) == 0x86dd ? look6(l, f, at + 2, len) : 0;
}

struct ends ends_back(const struct ends *e)
{
	struct ends back = *e;

	memcpy(back.src, e->dst, 16);
	memcpy(back.dst, e->src, 16);
	back.sport = e->dport;
	back.dport = e->sport;
	return back;
}

int ends_same(const struct ends *a, const struct ends *b)
{
	return a->family == b->family && a->proto == b->proto && a->query == b->query && a->sport == b->sport &&
	       a->dport == b->dport && !memcmp(a->src, b->src, 16) && !memcmp(a->dst, b->dst, 16);
}

int ends_private(const sp_u8 a[16])
{
	return a[0] == 10 || (a[0] == 172 && a[1] >> 4 == 1) || (a[0] == 192 && a[1] == 168) ||
	       (a[0] == 100 && a[1] >> 6 == 1);
}
