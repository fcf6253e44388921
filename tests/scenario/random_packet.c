/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random packets: conversations begin, are answered, close, expire and run into limits; a share of the packets comes from
 * the wrong side, is in pieces, has odd headers, broken bytes, or quotes another packet.
 */
#include <stdlib.h>
#include <string.h>

#include "random.h"

/* splitmix64 */
sp_u32 roll(struct dice *d, sp_u32 sides)
{
	sp_u64 z = (d->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (sp_u32)((z ^ (z >> 31)) >> 32) % sides;
}

int one_in(struct dice *d, sp_u32 n)
{
	return roll(d, n) == 0;
}

void random_address(struct dice *d, int family, enum party party, sp_u8 out[16])
{
	static const sp_u8 v4[PARTY_COUNT][4] = {
		{ 198, 51, 100, 7 }, { 10, 0, 0, 2 }, { 10, 0, 2, 10 }, { 192, 0, 2, 10 }
	};
	static const sp_u8 nets6[PARTY_COUNT] = { 2, 1, 6, 5 };
	const sp_u8 last = (sp_u8)(party == PARTY_ME ? roll(d, 6) == 0 : roll(d, 4));

	memset(out, 0, 16);
	if (family == 4) {
		memcpy(out, v4[party], 4);
		out[3] = (sp_u8)(out[3] + last);
		return;
	}
	out[0] = 0x2a;
	out[3] = nets6[party];
	out[15] = (sp_u8)((party == PARTY_ME ? 0x10 : 2) + last);
}

static void tcp_part(struct dice *d, struct pkt *p, int back)
{
	static const sp_u8 flags[] = { 0x02, 0x02, 0x12, 0x12, 0x10, 0x10, 0x10, 0x18, 0x18, 0x11, 0x04, 0x14, 0x29, 0x00 };
	static const sp_u32 near[] = { 0, 1, 1, 1, 2, 101, 1000, 60000, 70000, 0x80000000u };

	p->body = PKT_BODY_TCP;
	p->flags = flags[roll(d, sizeof(flags))];
	p->seq = (back ? 9000 : 1000) + near[roll(d, 10)];
	p->ack = (back ? 1000 : 9000) + near[roll(d, 10)];
	p->win = one_in(d, 8) ? (sp_u16)roll(d, 3) : (sp_u16)(500 + roll(d, 60000));
	if (p->flags & 2 && !one_in(d, 4)) {
		const sp_u8 opt[4] = { (sp_u8)(one_in(d, 9) ? roll(d, 9) : 1), 3, 3, (sp_u8)roll(d, 16) };

		memcpy(p->opt, opt, 4);
		p->opts = 4;
	}
	if (one_in(d, 40))
		p->doff = roll(d, 16);
}

static void icmp_part(struct dice *d, struct pkt *p)
{
	static const sp_u8 v4[] = { 8, 8, 0, 0, 13, 14, 3, 11, 12, 5, 4, 30 };
	static const sp_u8 v6[] = { 128, 128, 129, 129, 1, 2, 3, 4, 133, 135, 137, 144, 143, 200 };

	p->body = PKT_BODY_ICMP;
	p->proto = p->family == 6 ? 58 : 1;
	p->icmp_type = p->family == 6 ? v6[roll(d, sizeof(v6))] : v4[roll(d, sizeof(v4))];
	p->icmp_code = (sp_u8)roll(d, 5);
	p->icmp_rest = roll(d, 3) << 16;
	if (one_in(d, 4))
		p->ttl = 255;
}

static void odd_parts(struct dice *d, struct pkt *p)
{
	if (one_in(d, 12)) {
		p->is_frag = 1;
		p->more = !one_in(d, 3);
		p->frag_off = 8 * roll(d, 6);
		p->frag_len = 8 * (1 + roll(d, 6)) + (one_in(d, 8) ? 3 : 0);
		p->ip_id = roll(d, 4);
		if (p->family == 6) {
			p->ext[p->exts].type = 44;
			p->ext[p->exts++].is_frag = 1;
		}
	}
	while (p->family == 6 && one_in(d, 6) && p->exts < 8) {
		static const sp_u8 types[] = { 0, 60, 43, 44, 51 };

		p->ext[p->exts].type = types[roll(d, sizeof(types))];
		p->ext[p->exts].body[1] = (sp_u8)roll(d, 4);
		p->ext[p->exts++].len = 7;
	}
	if (p->family == 4 && one_in(d, 15)) {
		p->ip_opts = 4 * (1 + (int)roll(d, 9));
		for (int i = 0; i < p->ip_opts; i++)
			p->ip_opt[i] = (sp_u8)(one_in(d, 3) ? roll(d, 256) : 1);
	}
	p->bad_sum = one_in(d, 25);
	p->partial_sum = one_in(d, 25);
	p->vlans = one_in(d, 20) ? (int)roll(d, 4) : 0;
	p->pad = one_in(d, 20) ? roll(d, 20) : 0;
	if (one_in(d, 60))
		p->cut = roll(d, 90);
}

static void describe(struct dice *d, struct pkt *p, int family, enum party from, enum party to, int depth);

/* The packet that an error quotes is one that its receiver sent; now and then it is the very one. */
static void quote_part(struct dice *d, struct pkt *p, enum party from, enum party to)
{
	p->quote = calloc(1, sizeof(*p->quote));
	if (!p->quote)
		abort();
	describe(d, p->quote, p->family, to, from, 1);
	if (!one_in(d, 8))
		memcpy(p->quote->src, p->dst, 16);
	if (one_in(d, 3))
		p->quote_len = 28 + (long)roll(d, 60);
}

static void describe(struct dice *d, struct pkt *p, int family, enum party from, enum party to, int depth)
{
	static const sp_u8 protos[] = { 6, 6, 6, 6, 6, 6, 17, 17, 17, 17, 1, 1, 132, 136, 47, 50 };
	const int asks = from == PARTY_INSIDE || (from == PARTY_DMZ && to != PARTY_INSIDE);

	pkt_init(p);
	p->family = (sp_u8)family;
	p->proto = protos[roll(d, sizeof(protos))];
	random_address(d, family, from, p->src);
	random_address(d, family, to, p->dst);
	p->sport = (sp_u16)(asks ? 40000 + roll(d, 4) : 53 + roll(d, 2));
	p->dport = (sp_u16)(asks ? 53 + roll(d, 2) : 40000 + roll(d, 4));
	p->data = one_in(d, 3) ? roll(d, 300) : 0;
	if (p->proto == 6)
		tcp_part(d, p, !asks);
	else if (p->proto == 17 || p->proto == 136)
		p->body = PKT_BODY_UDP;
	else if (p->proto == 1)
		icmp_part(d, p);
	else
		p->body = p->proto == 132 ? PKT_BODY_SCTP : PKT_BODY_RAW;
	p->no_sum = p->proto == 17 && one_in(d, 12);
	if (depth == 0)
		odd_parts(d, p);
	if (depth == 0 && p->body == PKT_BODY_ICMP && (p->family == 6 ? p->icmp_type < 5 : p->icmp_type % 8 > 2))
		quote_part(d, p, from, to);
}

void random_packet(struct dice *d, struct pkt *p, int family, enum party from, enum party to)
{
	describe(d, p, family, from, to, 0);
}
