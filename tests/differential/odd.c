/* SPDX-License-Identifier: BSD-2-Clause */
/* What does not quite fit: from broken hosts, from those on the path, and from those who guess. */
#include <stdlib.h>
#include <string.h>

#include "sequence.h"

/* How far off somebody's guess of a sequence number is. */
static sp_u32 miss(struct dice *d, const struct peer *receiver)
{
	const sp_u32 win = (sp_u32)receiver->win << (receiver->scale < 15 ? receiver->scale : 0);
	const sp_u32 by[] = { 0, 1, (sp_u32)-1, 2, (sp_u32)-2, 100, (sp_u32)-100, win - 1, win, win + 1, 0u - win,
			      win + 1460, 66000, (sp_u32)-66000, (sp_u32)-66001, 0x7fffffffu, 0x80000000u, 1460, win / 2 };

	return by[roll(d, sizeof(by) / sizeof(by[0]))];
}

static void odd_reset(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	p->flags = one_in(&m->d, 2) ? 4 : 20;
	p->data = one_in(&m->d, 8) ? 5 : 0;
	p->opts = 0;
	p->seq = t->peer[end].next;
	if (one_in(&m->d, 2))
		p->seq += miss(&m->d, &t->peer[!end]);
	if (one_in(&m->d, 8))
		p->seq = 0;
	if (one_in(&m->d, 5))
		p->ack += miss(&m->d, &t->peer[end]);
}

static void odd_syn(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	static const sp_u8 scale[3] = { 3, 3, 2 };

	p->flags = one_in(&m->d, 3) ? 18 : 2;
	p->data = 0;
	p->opts = 0;
	if (one_in(&m->d, 2)) {
		memcpy(p->opt, scale, 3);
		p->opts = 3;
	}
	if (one_in(&m->d, 2))
		p->seq += one_in(&m->d, 2) ? miss(&m->d, &t->peer[!end]) : roll(&m->d, 0xffffffffu);
	if (p->flags == 2)
		p->ack = 0;
	else if (one_in(&m->d, 3))
		p->ack += miss(&m->d, &t->peer[end]);
}

static void odd_options(struct maker *m, struct pkt *p)
{
	static const sp_u8 kinds[] = { 0, 1, 2, 3, 4, 5, 8, 19, 30, 34, 254 };

	p->opts = 4 * (1 + (int)roll(&m->d, 6));
	for (int i = 0; i < p->opts; i++)
		p->opt[i] = (sp_u8)(one_in(&m->d, 2) ? kinds[roll(&m->d, sizeof(kinds))] : roll(&m->d, 12));
}

/* RFC 2018: blocks that make sense, and some that do not. */
static void odd_sack(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	const sp_u32 from = p->ack + (one_in(&m->d, 4) ? miss(&m->d, &t->peer[end]) : 100), to = from + 100;
	const sp_u8 sack[12] = { 1, 1, 5, 10, (sp_u8)(from >> 24), (sp_u8)(from >> 16), (sp_u8)(from >> 8), (sp_u8)from,
				 (sp_u8)(to >> 24), (sp_u8)(to >> 16), (sp_u8)(to >> 8), (sp_u8)to };

	memcpy(p->opt, sack, sizeof(sack));
	p->opts = sizeof(sack);
}

void odd_tcp(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	static const sp_u8 flags[] = { 0, 1, 2, 3, 4, 6, 8, 16, 17, 18, 20, 24, 25, 41, 48, 63, 80, 144, 194, 210, 255 };
	struct dice *d = &m->d;

	switch (roll(d, 16)) {
	case 0: case 1: case 2: odd_reset(m, t, end, p); break;
	case 3: case 4: odd_syn(m, t, end, p); break;
	case 5: p->seq += miss(d, &t->peer[!end]); break;
	case 6: p->ack += miss(d, &t->peer[end]); break;
	case 7: /* RFC 9293 3.8.4: a probe that asks whether somebody is there */
		p->seq--;
		p->data = (long)roll(d, 2);
		p->flags = 16;
		break;
	case 8: /* what was sent, and more: pieces of a stream that overlap */
		p->seq -= roll(d, 200);
		p->data += (long)roll(d, 300);
		break;
	case 9: p->flags = one_in(d, 3) ? (sp_u8)roll(d, 256) : flags[roll(d, sizeof(flags))]; break;
	case 10: p->win = (sp_u16)(one_in(d, 2) ? 0 : roll(d, 0x10000)); break;
	case 11: odd_options(m, p); break;
	case 12: odd_sack(m, t, end, p); break;
	case 13: /* what it sent last, once more */
		if (t->last[end].family && t->last[end].body == PKT_BODY_TCP)
			*p = t->last[end];
		break;
	case 14: /* RFC 9293 3.8.5, RFC 3168 6.1.1 */
		if (one_in(d, 2))
			p->urg = (sp_u16)roll(d, 0x10000);
		p->flags |= one_in(d, 2) ? 32 : p->flags & 2 ? 192 : 64;
		break;
	case 15: /* RFC 793 3.4: both ends begin */
		if (!t->peer[end].syn)
			p->flags = 2;
		else
			p->doff = one_in(d, 4) ? (long)roll(d, 16) : p->doff;
		break;
	}
}

static void odd_header(struct maker *m, struct pkt *p)
{
	struct dice *d = &m->d;

	switch (roll(d, 8)) {
	case 0: p->bad_ip_sum = p->family == 4; break;
	case 1: p->ip_len = (long)roll(d, 100); break;
	case 2: p->ip_version = (long)roll(d, 16); break;
	case 3: p->ip_hlen = p->family == 4 ? (long)roll(d, 16) : PKT_UNSET; break;
	case 4: p->cut = (long)roll(d, 90); break;
	case 5: p->evil = p->family == 4; break;
	case 6: p->df = 1; p->tos = (long)roll(d, 256); break;
	default:
		if (p->family == 4) {
			p->ip_opts = 4 * (1 + (int)roll(d, 9));
			for (int i = 0; i < p->ip_opts; i++)
				p->ip_opt[i] = (sp_u8)(one_in(d, 3) ? roll(d, 256) : 1);
			if (one_in(d, 3)) /* RFC 791 3.1: loose or strict source route, record route, router alert */
				memcpy(p->ip_opt, (const sp_u8[][4]){ { 131, 7, 4, 1 }, { 137, 7, 4, 1 }, { 7, 7, 4, 1 },
								      { 148, 4, 0, 0 } }[roll(d, 4)], 4);
		}
	}
}

static void add_ext(struct pkt *p, sp_u8 type, sp_u8 len, const sp_u8 *body)
{
	if (p->exts == 8)
		return;
	p->ext[p->exts].type = type;
	memcpy(p->ext[p->exts].body, body, len);
	p->ext[p->exts++].len = len;
}

static void odd_ext(struct maker *m, struct pkt *p)
{
	static const sp_u8 padding[7] = { 0, 1, 4 }, auth[23] = { 4 };
	sp_u8 routing[23] = { 0 };

	for (sp_u32 n = 1 + roll(&m->d, 3); n; n--)
		switch (roll(&m->d, 5)) {
		case 0: add_ext(p, 0, 7, padding); break;
		case 1: case 2: add_ext(p, 60, 7, padding); break;
		case 3:
			routing[1] = (sp_u8)(roll(&m->d, 6));
			routing[2] = (sp_u8)(one_in(&m->d, 2) ? 0 : roll(&m->d, 3));
			routing[0] = routing[1] == 0 || routing[1] == 2 ? 2 : 0; /* these two hold an address */
			memcpy(routing + 7, p->dst, 16);
			add_ext(p, 43, routing[0] ? 23 : 7, routing);
			break;
		case 4: add_ext(p, 51, 23, auth); break;
		}
}

/* Ends that can not be, or not there; RFC 1812 5.3.7, RFC 6890. */
static void odd_ends(struct maker *m, struct pkt *p)
{
	static const sp_u8 v4[][4] = { { 0, 0, 0, 0 },	 { 255, 255, 255, 255 }, { 127, 0, 0, 1 },
				       { 224, 0, 0, 1 }, { 240, 0, 0, 1 },	 { 169, 254, 1, 1 },
				       { 10, 0, 0, 255 }, { 10, 0, 0, 1 },	 { 198, 51, 100, 9 } };
	static const sp_u8 v6[][16] = { { 0 },
					{ [15] = 1 },
					{ 0xff, 2, [15] = 1 },
					{ 0xfe, 0x80, [15] = 9 },
					{ 0xfc, [15] = 9 },
					{ 0x20, 1, 0x0d, 0xb8, [15] = 9 },
					{ [10] = 0xff, 0xff, 10, 0, 0, 9 } };
	sp_u8 *end = one_in(&m->d, 2) ? p->src : p->dst;

	if (one_in(&m->d, 6))
		memcpy(p->src, p->dst, 16);
	else if (one_in(&m->d, 4))
		*(one_in(&m->d, 2) ? &p->sport : &p->dport) = 0;
	else if (p->family == 4)
		memcpy(end, v4[roll(&m->d, sizeof(v4) / sizeof(v4[0]))], 4);
	else
		memcpy(end, v6[roll(&m->d, sizeof(v6) / sizeof(v6[0]))], 16);
}

void odd_packet(struct maker *m, struct talk *t, struct pkt *p)
{
	struct dice *d = &m->d;

	switch (roll(d, 9)) {
	case 8: odd_ends(m, p); break;
	case 0: p->bad_sum = 1; break;
	case 1: p->ttl = (long)roll(d, 3) * 127 + 1; break;
	case 2: odd_header(m, p); break;
	case 3: p->pad = (long)roll(d, 20); break;
	case 4: case 5:
		if (p->family == 6)
			odd_ext(m, p);
		else if (m->kind == SEQ_ENGINES)
			p->vlans = 1 + (int)roll(d, 3);
		break;
	case 6:
		if (p->proto == 17)
			p->udp_len = (long)roll(d, 100);
		p->no_sum = p->proto == 17 && one_in(d, 2);
		break;
	case 7: p->data = 0; break;
	}
}

static const sp_u8 errors4[][2] = { { 3, 0 }, { 3, 1 },  { 3, 3 },  { 3, 4 },  { 3, 13 },
				    { 4, 0 }, { 11, 0 }, { 11, 1 }, { 12, 0 }, { 5, 1 } };
static const sp_u8 errors6[][2] = { { 1, 0 }, { 1, 1 }, { 1, 4 }, { 2, 0 }, { 3, 0 },
				    { 3, 1 }, { 4, 0 }, { 4, 1 }, { 100, 0 } };

static void odd_quote(struct maker *m, struct talk *t, int end, struct pkt *q)
{
	switch (roll(&m->d, 8)) {
	case 0: q->seq += miss(&m->d, &t->peer[!end]); break;
	case 1: q->dport++; break;
	case 2: q->sport++; break;
	case 3: q->dst[q->family == 4 ? 3 : 15] ^= 1; break;
	case 4: q->src[q->family == 4 ? 3 : 15] ^= 1; break;
	case 5: q->proto = q->proto == 17 ? 136 : q->proto; break;
	case 6: q->ttl = 1; break;
	case 7: q->bad_sum = 1; break;
	}
}

void odd_error(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	struct dice *d = &m->d;
	const sp_u8 *e;

	pkt_init(p);
	p->family = t->family;
	p->proto = t->family == 6 ? 58 : 1;
	p->body = PKT_BODY_ICMP;
	memcpy(p->src, t->addr[!end], 16);
	memcpy(p->dst, t->addr[end], 16);
	if (t->outside_end == !end && one_in(d, 2)) { /* a router on the way */
		static const sp_u8 router4[4] = { 203, 0, 113, 33 }, router6[16] = { 0x2a, 0, 0, 4, [15] = 0x33 };

		memcpy(p->src, t->family == 6 ? router6 : router4, t->family == 6 ? 16 : 4);
	}
	e = t->family == 6 ? errors6[roll(d, 9)] : errors4[roll(d, 10)];
	p->icmp_type = e[0];
	p->icmp_code = e[1];
	if ((t->family == 6 && e[0] == 2) || (t->family == 4 && e[0] == 3 && e[1] == 4))
		p->icmp_rest = one_in(d, 6) ? roll(d, 2000) : 1400;
	p->quote = malloc(sizeof(*p->quote));
	if (!p->quote)
		abort();
	if (t->last[end].family)
		*p->quote = t->last[end];
	else
		talk_natural(m, t, end, p->quote);
	p->quote->quote = NULL;
	p->quote->bad_ip_sum = 0; /* what is wrong stays wrong, but nobody can say in which way */
	if (one_in(d, 3))
		odd_quote(m, t, end, p->quote);
	if (one_in(d, 3))
		p->quote_len = (t->family == 6 ? 40 : 20) + (one_in(d, 4) ? (long)roll(d, 30) : 8);
	if (p->quote_len == 20 + 17) /* half a checksum of TCP: nobody can say what it must become */
		p->quote_len++;
}

void odd_pieces(struct maker *m, struct talk *t, int end, const struct pkt *whole)
{
	const long first = 8 * (1 + (long)roll(&m->d, 6)), second = 8 * (1 + (long)roll(&m->d, 4));
	const long cuts[4] = { 0, first, first + second, PKT_UNSET };
	const int n = 2 + (int)roll(&m->d, 2), oddly = one_in(&m->d, 3), id = m->ip_id++;
	struct pkt p;

	for (int i = 0; i < n; i++) {
		int k = oddly && one_in(&m->d, 3) ? n - 1 - i : i;

		p = *whole;
		p.is_frag = 1;
		p.ip_id = id;
		if (p.family == 6) {
			memset(&p.ext[p.exts], 0, sizeof(p.ext[0]));
			p.ext[p.exts].type = 44;
			p.ext[p.exts++].is_frag = 1;
		}
		p.frag_off = cuts[k];
		p.more = k < n - 1;
		p.frag_len = p.more ? cuts[k + 1] - cuts[k] : PKT_UNSET;
		if (oddly && one_in(&m->d, 4) && p.frag_off)
			p.frag_off -= 8; /* pieces that overlap */
		if (oddly && one_in(&m->d, 8))
			p.more = !p.more;
		if (oddly && one_in(&m->d, 8) && p.frag_len != PKT_UNSET)
			p.frag_len -= 3;
		if (oddly && one_in(&m->d, 6))
			continue; /* lost */
		seq_add(m, t, end, &p);
	}
}
