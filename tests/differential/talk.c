/* SPDX-License-Identifier: BSD-2-Clause */
/* Conversations between hosts that keep to the rules: who speaks next, and what he says. */
#include <string.h>

#include "sequence.h"

static const sp_u8 tcp_syn = 2, tcp_fin = 1, tcp_ack = 16, tcp_psh = 8;

/* Start numbers that wrap soon are as likely as others. */
static sp_u32 start_number(struct dice *d)
{
	static const sp_u32 near[] = { 0xffffffffu, 0xfffffff0u, 0xffffff00u, 0x7ffffff0u, 0, 1 };

	return one_in(d, 4) ? near[roll(d, 6)] : roll(d, 0xffffffffu);
}

static void begin_tcp(struct maker *m, struct talk *t)
{
	static const sp_u16 windows[] = { 64240, 65535, 29200, 8192, 1460, 512, 1, 0 };

	for (int i = 0; i < 2; i++) {
		struct peer *e = &t->peer[i];

		memset(e, 0, sizeof(*e));
		e->next = start_number(&m->d);
		e->win = windows[roll(&m->d, one_in(&m->d, 3) ? 8 : 3)];
		e->scale = one_in(&m->d, 3) ? 0xff : (sp_u8)(one_in(&m->d, 6) ? 14 : roll(&m->d, 9)); /* 0xff: not offered */
	}
}

void talk_begin(struct maker *m, struct talk *t)
{
	if (t->proto == 6)
		begin_tcp(m, t);
}

int talk_who_speaks(struct maker *m, const struct talk *t)
{
	if (t->proto != 6)
		return (int)roll(&m->d, 2) && t->last[0].family;
	if (!t->peer[0].syn)
		return one_in(&m->d, 60); /* now and then the other end is first */
	if (!t->peer[1].syn)
		return !one_in(&m->d, 5);
	return (int)roll(&m->d, 2);
}

static void put_option(struct pkt *p, const sp_u8 *bytes, int len)
{
	if (p->opts + len > 40)
		return;
	memcpy(p->opt + p->opts, bytes, (size_t)len);
	p->opts += len;
}

static void syn_options(struct maker *m, const struct peer *e, struct pkt *p)
{
	const sp_u8 mss[4] = { 2, 4, 5, 0xb4 }, scale[3] = { 3, 3, e->scale }, sack[2] = { 4, 2 };

	if (!one_in(&m->d, 6))
		put_option(p, mss, 4);
	if (one_in(&m->d, 2))
		put_option(p, sack, 2);
	if (e->scale != 0xff)
		put_option(p, scale, 3);
}

static void natural_tcp(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	struct peer *e = &t->peer[end], *o = &t->peer[!end];

	p->body = PKT_BODY_TCP;
	p->seq = e->next;
	p->ack = e->got;
	p->win = e->win;
	if (!e->syn) {
		p->flags = o->syn ? tcp_syn | tcp_ack : tcp_syn;
		syn_options(m, e, p);
		p->data = one_in(&m->d, 25) ? 1 + (long)roll(&m->d, 40) : 0; /* RFC 7413: data in a SYN */
	} else if (!o->syn) {
		p->seq = e->next - 1; /* once more */
		p->flags = tcp_syn;
		syn_options(m, e, p);
	} else {
		p->flags = tcp_ack;
		if (!e->fin && one_in(&m->d, 9))
			p->flags |= tcp_fin;
		if (!e->fin && !one_in(&m->d, 3)) {
			p->data = 1 + (long)roll(&m->d, one_in(&m->d, 4) ? 1400 : 100);
			p->flags |= one_in(&m->d, 2) ? tcp_psh : 0;
		}
	}
	if (!(p->flags & tcp_ack))
		p->ack = 0;
}

static void natural_icmp(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	const int v6 = p->family == 6;

	p->body = PKT_BODY_ICMP;
	p->icmp_type = v6 ? (end ? 129 : 128) : (end ? 0 : 8);
	if (!v6 && one_in(&m->d, 20))
		p->icmp_type = end ? 14 : 13;
	p->icmp_rest = (sp_u32)t->port[0] << 16 | roll(&m->d, 3);
	p->data = p->icmp_type >= 13 && !v6 ? 12 : (long)roll(&m->d, 60);
}

void talk_natural(struct maker *m, struct talk *t, int end, struct pkt *p)
{
	pkt_init(p);
	p->family = t->family;
	p->proto = t->proto;
	memcpy(p->src, t->addr[end], 16);
	memcpy(p->dst, t->addr[!end], 16);
	p->sport = t->port[end];
	p->dport = t->port[!end];
	if (t->proto == 6) {
		natural_tcp(m, t, end, p);
	} else if (t->proto == 1 || t->proto == 58) {
		p->sport = p->dport = 0;
		natural_icmp(m, t, end, p);
	} else {
		p->body = t->proto == 17 || t->proto == 136 ? PKT_BODY_UDP : t->proto == 132 ? PKT_BODY_SCTP : PKT_BODY_RAW;
		if (t->proto == 132) {
			p->vtag = !end && !t->last[0].family ? 0 : 7;
			p->sctp_chunk = !p->vtag ? 1 : t->last[end].family ? 0 : end ? 2 : 10;
			p->seq = 7;
		} else {
			p->data = t->proto == 47 || t->proto == 50 ? 12 + (long)roll(&m->d, 90) : (long)roll(&m->d, 90);
		}
	}
}

void talk_sent(struct talk *t, int end, const struct pkt *p)
{
	struct peer *e = &t->peer[end], *o = &t->peer[!end];

	t->last[end] = *p;
	t->last[end].quote = NULL;
	if (t->proto != 6 || (sp_s32)(p->seq + (sp_u32)p->data - e->next) < 0)
		return;
	e->syn |= !!(p->flags & tcp_syn);
	e->fin |= !!(p->flags & tcp_fin);
	e->next = p->seq + (sp_u32)p->data + !!(p->flags & tcp_syn) + !!(p->flags & tcp_fin);
	o->got = e->next;
}
