/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random packets on an engine and its native twin: there is no expectation but that both say and remember the same.
 *
 * A small cast that talks a lot, so that conversations begin, are answered, close, expire and run into the limits; a share
 * of the packets comes from the wrong side, is in pieces, has odd headers, broken bytes, or quotes another packet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define CAPACITY 200
#define COMPARE_EVERY 64

struct dice {
	sp_u64 state;
};

/* splitmix64 */
static sp_u32 roll(struct dice *d, sp_u32 sides)
{
	sp_u64 z = (d->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (sp_u32)((z ^ (z >> 31)) >> 32) % sides;
}

static int one_in(struct dice *d, sp_u32 n)
{
	return roll(d, n) == 0;
}

static void address(struct dice *d, int family, int inside, sp_u8 out[16])
{
	static const sp_u8 v4[2][4] = { { 198, 51, 100, 7 }, { 10, 0, 0, 2 } };

	memset(out, 0, 16);
	if (family == 4) {
		memcpy(out, v4[inside], 4);
		out[3] = (sp_u8)(out[3] + roll(d, 4));
		return;
	}
	out[0] = 0x2a;
	out[3] = inside ? 1 : 2;
	out[15] = (sp_u8)(2 + roll(d, 4));
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

/* Describes one packet; inside: which side its source is on. */
static void describe(struct dice *d, struct pkt *p, int family, int inside, int depth)
{
	static const sp_u8 protos[] = { 6, 6, 6, 6, 6, 6, 17, 17, 17, 1, 1, 132, 136, 47, 50 };

	pkt_init(p);
	p->family = (sp_u8)family;
	p->proto = protos[roll(d, sizeof(protos))];
	address(d, family, inside, p->src);
	address(d, family, !inside, p->dst);
	p->sport = (sp_u16)(inside ? 40000 + roll(d, 4) : 53 + roll(d, 2));
	p->dport = (sp_u16)(inside ? 53 + roll(d, 2) : 40000 + roll(d, 4));
	p->data = one_in(d, 3) ? roll(d, 300) : 0;
	if (p->proto == 6)
		tcp_part(d, p, !inside);
	else if (p->proto == 17 || p->proto == 136)
		p->body = PKT_BODY_UDP;
	else if (p->proto == 1)
		icmp_part(d, p);
	else
		p->body = p->proto == 132 ? PKT_BODY_SCTP : PKT_BODY_RAW;
	if (depth == 0)
		odd_parts(d, p);
	if (depth == 0 && p->body == PKT_BODY_ICMP && (p->family == 6 ? p->icmp_type < 5 : p->icmp_type % 8 > 2)) {
		p->quote = calloc(1, sizeof(*p->quote));
		if (!p->quote)
			abort();
		describe(d, p->quote, family, !inside, 1); /* the other side's packet; now and then it is the very one */
		if (!one_in(d, 8))
			memcpy(p->quote->src, p->dst, 16);
	}
}

static void say_packet(const struct sp_engine_packet *e, char *text, size_t len)
{
	const sp_u8 *b = e->data;
	size_t at = 0;

	for (sp_u32 i = 0; i < e->len && at + 3 < len; i++)
		at += (size_t)snprintf(text + at, len - at, "%02x", b[i]);
}

/* One packet on both. 0 same, 1 it could not be shown, -1 text says what differs. */
static int one_packet(struct dice *d, struct tengine *t, struct tengine *twin, sp_u64 now_ns, char *text, size_t len)
{
	static sp_u8 bytes[PKT_MAX], out[2][PKT_MAX];
	static const sp_u8 zones[2] = { SP_ZONE_OUTSIDE, SP_ZONE_INSIDE };
	int inside = (int)roll(d, 2), self = one_in(d, 6), rc;
	struct sp_engine_result a, b;
	struct sp_engine_packet e = { .data = bytes, .now_ns = now_ns, .ifindex = 1 };
	struct pkt p;
	char hex[400];

	describe(d, &p, one_in(d, 2) ? 6 : 4, inside, 0);
	e.len = (sp_u32)pkt_build(&p, 0, bytes, sizeof(bytes));
	pkt_free(&p);
	if (e.len && one_in(d, 20))
		bytes[12 + roll(d, e.len > 12 ? e.len - 12 : 1)] ^= (sp_u8)(1u << roll(d, 8));
	e.zone = zones[one_in(d, 20) ? !inside : inside];
	e.hook = self ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	e.forwarded = self && one_in(d, 4);
	rc = t->ops->judge(t, &e, out[0], &a);
	if (rc == -ENOTSUP)
		return 1;
	if (!rc)
		rc = twin->ops->judge(twin, &e, out[1], &b);
	say_packet(&e, hex, sizeof(hex));
	if (rc)
		snprintf(text, len, "the packet could not be judged: %s: zone %u hook %u %s", strerror(-rc), e.zone, e.hook,
			 hex);
	else if (a.verdict != b.verdict || a.reason != b.reason)
		snprintf(text, len, "%s says %s, %s says %s: zone %u hook %u %s", t->ops->name, sp_reason_name(a.reason),
			 twin->ops->name, sp_reason_name(b.reason), e.zone, e.hook, hex);
	else
		return 0;
	return -1;
}

int random_run(struct tengine *t, struct tengine *twin, sp_u64 seed, unsigned packets, char *text, size_t len)
{
	struct dice d = { seed };
	sp_u64 now_ns = SCRIPT_START_NS;
	sp_u32 flags = one_in(&d, 2) ? SP_CONFIG_GATEWAY : 0;
	char what[500];

	if (t->ops->reset(t, CAPACITY, flags) || twin->ops->reset(twin, CAPACITY, flags)) {
		snprintf(text, len, "the engines can not be set up");
		return -1;
	}
	memset(&t->core->side, 0, sizeof(t->core->side));
	memset(&twin->core->side, 0, sizeof(twin->core->side));
	for (unsigned i = 1; i <= packets; i++) {
		int rc = one_packet(&d, t, twin, now_ns, what, sizeof(what));

		if (rc >= 0 && (i % COMPARE_EVERY == 0 || i == packets))
			rc = tables_compare(t, twin, what, sizeof(what));
		if (rc < 0) {
			snprintf(text, len, "seed %llu, packet %u: %s", seed, i, what);
			return -1;
		}
		now_ns += roll(&d, 100) * 1000000ull;
		if (one_in(&d, 500))
			now_ns += roll(&d, 400) * SP_NS_PER_S;
	}
	return 0;
}
