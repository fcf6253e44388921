/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random packets on an engine and its native twin: there is no expectation but that both say, remember and send the same.
 *
 * Every other run is a gateway that translates, under policies that change: each packet that is let in and is not for the
 * machine itself meets it again where it leaves, and what left is what others answer to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "script.h"

#define CAPACITY 200
#define COMPARE_EVERY 64
#define WIRES 32

static const char *const policies[] = {
	"open tcp/40000-40001, icmp",
	"nat open\nallow dmz -> outside : any",
	"nat pool 192.0.2.12, 192.0.2.13\nnat open\nforward icmp, udp/54 to john",
	"forward tcp/53, udp/53 to john\nforward udp/40001 from web to mary:54\nopen icmp\nblock web2",
	"forward sctp/40000, gre, udp/40000-40003 to www\nforward tcp/40002 to mary:53\nallow inside -> dmz : any",
	"nat off\nallow dmz -> any : any\nforward tcp/40000-40003 to www",
	"allow outside -> dmz : any\nblock john -> web : udp\nallow dmz -> outside : udp",
};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

/* How a packet looked that has left, so that somebody can answer it. */
struct wire {
	sp_u8 proto, src[4], dst[4], tcp_flags;
	sp_u16 sport, dport; /* queries: the identifier */
	sp_u32 next, ack; /* TCP: the number after it, what it acknowledges */
};

struct game {
	struct dice d;
	struct tengine *t, *twin;
	sp_u64 now_ns;
	int translates, has_rules;
	int off; /* a policy was in force under which somebody outside may know a private address; that goes on */
	struct sp_image image[POLICIES];
	struct wire wire[WIRES];
	unsigned wires;
};

static void say_packet(const struct sp_engine_packet *e, char *text, size_t len)
{
	const sp_u8 *b = e->data;
	size_t at = 0;

	for (sp_u32 i = 0; i < e->len && at + 3 < len; i++)
		at += (size_t)snprintf(text + at, len - at, "%02x", b[i]);
}

/* One meeting on both. 0 same, 1 it could not be shown, -1 text says what differs. */
static int meet(struct game *g, const struct sp_engine_packet *e, sp_u8 *out, struct sp_engine_result *a, char *text,
		size_t len)
{
	static sp_u8 other[PKT_MAX];
	struct sp_engine_result b;
	char hex[400];
	int rc = g->t->ops->judge(g->t, e, out, a);

	if (rc == -ENOTSUP)
		return 1;
	if (!rc)
		rc = g->twin->ops->judge(g->twin, e, other, &b);
	say_packet(e, hex, sizeof(hex));
	if (rc)
		snprintf(text, len, "the packet could not be judged: %s: zone %u hook %u %s", strerror(-rc), e->zone,
			 e->hook, hex);
	else if (a->verdict != b.verdict || a->reason != b.reason)
		snprintf(text, len, "%s says %s, %s says %s: zone %u hook %u %s", g->t->ops->name, sp_reason_name(a->reason),
			 g->twin->ops->name, sp_reason_name(b.reason), e->zone, e->hook, hex);
	else if (a->verdict == SP_PASS && memcmp(out, other, e->len) != 0)
		snprintf(text, len, "%s and %s make other bytes of it (%s): zone %u hook %u %s", g->t->ops->name,
			 g->twin->ops->name, sp_reason_name(a->reason), e->zone, e->hook, hex);
	else
		return 0;
	return -1;
}

/* Zone of an IPv4 address; SP_ZONE_NONE: the machine itself. */
static sp_u8 zone_of(const sp_u8 addr[4])
{
	static const sp_u8 me[3] = { 192, 0, 2 }, inside[3] = { 10, 0, 0 }, dmz[3] = { 10, 0, 2 };

	if (!memcmp(addr, me, 3) || (!memcmp(addr, inside, 3) && addr[3] == 1))
		return SP_ZONE_NONE;
	if (!memcmp(addr, inside, 3))
		return SP_ZONE_INSIDE;
	return memcmp(addr, dmz, 3) ? SP_ZONE_OUTSIDE : SCRIPT_ZONE_DMZ;
}

static sp_u32 get32(const sp_u8 *b)
{
	return (sp_u32)b[0] << 24 | (sp_u32)b[1] << 16 | (sp_u32)b[2] << 8 | b[3];
}

static void note_wire(struct game *g, const sp_u8 *b, sp_u32 len)
{
	struct wire *w = &g->wire[g->wires++ % WIRES];
	const sp_u32 l4 = 14 + (b[14] & 15u) * 4;

	if (l4 + 8 > len)
		return;
	w->proto = b[23];
	memcpy(w->src, b + 26, 4);
	memcpy(w->dst, b + 30, 4);
	w->sport = (sp_u16)(w->proto == 1 ? b[l4 + 4] << 8 | b[l4 + 5] : b[l4] << 8 | b[l4 + 1]);
	w->dport = (sp_u16)(b[l4 + 2] << 8 | b[l4 + 3]);
	if (w->proto != 6 || l4 + 20 > len)
		return;
	w->tcp_flags = b[l4 + 13];
	w->next = get32(b + l4 + 4) + (sp_u32)(b[16] << 8 | b[17]) - (l4 - 14) - (b[l4 + 12] >> 4) * 4u +
		  !!(w->tcp_flags & 2) + (w->tcp_flags & 1);
	w->ack = w->tcp_flags & 16 ? get32(b + l4 + 8) : 9000;
}

/* The next segment of whoever got that one. */
static void answer_tcp(struct game *g, struct pkt *p, const struct wire *w)
{
	static const sp_u8 flags[] = { 16, 16, 24, 24, 24, 17, 4, 20 };

	p->seq = w->ack;
	p->ack = w->next;
	p->flags = (w->tcp_flags & 18) == 2 ? 18 : flags[roll(&g->d, sizeof(flags))];
	p->doff = PKT_UNSET;
}

/* Mostly nothing is odd about an answer. */
static void tidy(struct game *g, struct pkt *p)
{
	if (one_in(&g->d, 8))
		return;
	p->is_frag = p->exts = p->vlans = p->ip_opts = p->bad_sum = 0;
	p->cut = PKT_UNSET;
}

/* One that has left, of that protocol; NULL: none comes to mind. */
static const struct wire *recall(struct game *g, sp_u8 proto)
{
	for (int i = 0; i < 16; i++) {
		const struct wire *w = &g->wire[roll(&g->d, WIRES)];

		if (w->proto == proto)
			return w;
	}
	return NULL;
}

/* Makes of a packet an answer to one that has left, or an error about it. */
static void answer(struct game *g, struct pkt *p)
{
	struct pkt *q = p->quote ? p->quote : p;
	const struct wire *w = p->family == 4 ? recall(g, q->proto) : NULL;

	if (!w || (p->quote && q->body == PKT_BODY_ICMP))
		return;
	tidy(g, p);
	if (p->quote) {
		memcpy(p->dst, w->src, 4);
		memcpy(q->src, w->src, 4);
		memcpy(q->dst, w->dst, 4);
		q->sport = w->sport;
		q->dport = w->dport;
		q->seq = w->next;
		return;
	}
	memcpy(p->src, w->dst, 4);
	memcpy(p->dst, w->src, 4);
	p->sport = w->dport;
	p->dport = w->sport;
	if (p->body == PKT_BODY_TCP)
		answer_tcp(g, p, w);
	if (p->body == PKT_BODY_ICMP) {
		p->icmp_type = one_in(&g->d, 2) ? 0 : 8;
		p->icmp_rest = (sp_u32)w->sport << 16;
	}
}

static sp_u32 add16(sp_u32 sum, const sp_u8 *b, sp_u32 len)
{
	for (sp_u32 i = 0; i < len; i++)
		sum += i % 2 ? b[i] : (sp_u32)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Are the checksums of a whole IPv4 frame right? It counts as right when there is none that could be told. */
static int sums_right(const sp_u8 *b, sp_u32 len)
{
	const sp_u32 l4 = 14 + (b[14] & 15u) * 4, end = 14 + (sp_u32)(b[16] << 8 | b[17]);
	sp_u32 sum;

	if (len < 34 || end > len || l4 + 8 > end)
		return 1;
	if (add16(0, b + 14, l4 - 14) != 0xffff)
		return 0;
	if ((b[20] & 0x3f) || b[21] || (b[23] != 1 && b[23] != 6 && b[23] != 17))
		return 1;
	if (b[23] == 17 && !b[l4 + 6] && !b[l4 + 7])
		return 1;
	sum = b[23] == 1 ? 0 : add16(b[23] + end - l4, b + 26, 8);
	sum = add16(sum, b + l4, end - l4);
	return sum == 0xffff || sum == 0; /* an echo reply that is all zeros: RFC 1624 3 has nothing to go by */
}

/* Is the source of an IPv4 frame private? The cast has no other than these. */
static int leaks(const sp_u8 *b)
{
	return b[26] == 10;
}

/* What must hold of a packet that leaves, whatever it was. */
static int look_at(struct game *g, const struct sp_engine_packet *e, const sp_u8 *out, int was_right, char *text, size_t len)
{
	char hex[400];

	if (e->len < 34 || out[12] != 8 || out[13] != 0)
		return 0;
	say_packet(&(struct sp_engine_packet){ .data = out, .len = e->len }, hex, sizeof(hex));
	if (was_right && !sums_right(out, e->len))
		snprintf(text, len, "its checksums were right and are not: zone %u %s", e->zone, hex);
	else if (!g->off && e->zone == SP_ZONE_OUTSIDE && leaks(out))
		snprintf(text, len, "it leaves with a private source: %s", hex);
	else
		return 0;
	return -1;
}

/* Both meetings of a packet that may be translated; and what left is remembered. */
static int meet_twice(struct game *g, struct sp_engine_packet *e, char *text, size_t len)
{
	static sp_u8 between[PKT_MAX], out[PKT_MAX];
	const int was_right = e->len < 34 || sums_right(e->data, e->len);
	struct sp_engine_result got;
	int rc = meet(g, e, between, &got, text, len);

	if (rc || !g->translates || got.verdict != SP_PASS || e->hook == SP_HOOK_EGRESS)
		return rc;
	e->zone_from = e->zone;
	e->zone = e->len < 34 || between[12] != 8 || between[13] != 0 ? SP_ZONE_NONE : zone_of(between + 30);
	if (!e->zone)
		return 0;
	e->data = between;
	e->hook = SP_HOOK_EGRESS;
	e->forwarded = 1;
	rc = meet(g, e, out, &got, text, len);
	if (rc || got.verdict != SP_PASS)
		return rc;
	note_wire(g, out, e->len);
	return look_at(g, e, out, was_right, text, len);
}

static int one_packet(struct game *g, char *text, size_t len)
{
	static sp_u8 bytes[PKT_MAX];
	static const sp_u8 zones[] = { SP_ZONE_OUTSIDE, SP_ZONE_INSIDE, SCRIPT_ZONE_DMZ };
	struct dice *d = &g->d;
	const int inside = (int)roll(d, 2), self = one_in(d, 6);
	enum party from = inside ? PARTY_INSIDE : PARTY_OUTSIDE, to = inside ? PARTY_OUTSIDE : PARTY_INSIDE;
	struct sp_engine_packet e = { .data = bytes, .now_ns = g->now_ns };
	struct pkt p;

	if (g->translates && one_in(d, 5))
		from = PARTY_DMZ;
	if (g->translates && one_in(d, 5))
		to = PARTY_DMZ;
	if (g->translates && ((from == PARTY_OUTSIDE && !one_in(d, 6)) || one_in(d, 5)))
		to = PARTY_ME;
	if (g->translates && self)
		from = PARTY_ME;
	random_packet(d, &p, !one_in(d, g->translates ? 8 : 2) ? 4 : 6, from, to);
	if (g->translates)
		p.partial_sum = 0; /* TC asks the kernel which ones are unfinished; in a test run none is */
	if (g->translates && !self && one_in(d, 2))
		answer(g, &p);
	e.len = (sp_u32)pkt_build(&p, 0, bytes, sizeof(bytes));
	pkt_free(&p);
	e.zone = zones[from == PARTY_ME || one_in(d, 20) ? roll(d, 3) : from];
	if (g->translates && p.family == 4 && zone_of(p.src) && !one_in(d, 20))
		e.zone = zone_of(p.src);
	if (e.len && one_in(d, 20))
		bytes[12 + roll(d, e.len > 12 ? e.len - 12 : 1)] ^= (sp_u8)(1u << roll(d, 8));
	e.hook = self ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	e.forwarded = self && one_in(d, 4);
	e.zone_from = e.forwarded ? zones[roll(d, 3)] : SP_ZONE_NONE;
	return meet_twice(g, &e, text, len);
}

/* What user space does: other policies, other addresses. */
static int change(struct game *g)
{
	struct sp_config *c = g->t->core->t.config;
	const sp_u32 which = roll(&g->d, POLICIES);
	const struct sp_image *image = &g->image[which];
	struct sp_nat_slot *slot = &g->t->core->t.nat->slot[0];

	if (g->translates && one_in(&g->d, 4)) {
		slot->addr ^= htonl(1); /* 192.0.2.10, 192.0.2.11 and back */
		g->twin->core->t.nat->slot[0] = *slot;
		return 0;
	}
	if (g->t->ops->image(g->t, c->generation + 1, image) || g->twin->ops->image(g->twin, c->generation + 1, image))
		return -1;
	g->off |= strstr(policies[which], "nat off") || strstr(policies[which], "allow outside");
	c->generation++;
	g->twin->core->t.config->generation = c->generation;
	return 0;
}

static void set_up(struct game *g, struct tengine *t)
{
	struct sp_nat_addrs *nat = t->core->t.nat;

	memset(&t->core->side, 0, sizeof(t->core->side));
	if (g->has_rules)
		script_side(&t->core->side);
	if (!g->translates)
		return;
	t->core->side.listens[0] = 40001;
	nat->slots = nat->used = 2;
	nat->slot[0].addr = htonl(0xc000020a);
	nat->slot[0].flags = SP_SLOT_MAPS;
	nat->slot[1].addr = htonl(0xc000020c); /* one of a pool of two */
	nat->slot[1].flags = SP_SLOT_MAPS | SP_SLOT_POOL;
}

static int play(struct game *g, unsigned packets, unsigned *at, char *text, size_t len)
{
	for (unsigned i = *at = 1; i <= packets; i++) {
		int rc = one_packet(g, text, len);

		*at = i;
		if (rc >= 0 && (i % COMPARE_EVERY == 0 || i == packets))
			rc = tables_compare(g->t, g->twin, text, len);
		if (rc >= 0 && (i % 1024 == 0 || i == packets))
			rc = tables_check(g->t, text, len) || tables_check(g->twin, text, len) ? -1 : 0;
		if (rc < 0)
			return rc;
		g->now_ns += roll(&g->d, 100) * 1000000ull;
		if (one_in(&g->d, 500))
			g->now_ns += roll(&g->d, 400) * SP_NS_PER_S;
		if (g->has_rules && one_in(&g->d, 200) && change(g)) {
			snprintf(text, len, "the policy can not be changed");
			return -1;
		}
	}
	return 0;
}

int random_run(struct tengine *t, struct tengine *twin, sp_u64 seed, unsigned packets, char *text, size_t len)
{
	struct game g = { .d = { seed }, .t = t, .twin = twin, .now_ns = SCRIPT_START_NS,
			  .translates = seed % 2 == 0, .has_rules = seed % 4 != 3 };
	sp_u32 flags = one_in(&g.d, 2) || g.translates ? SP_CONFIG_GATEWAY : 0;
	char what[800] = "the engines can not be set up";
	unsigned at = 0;
	int rc = t->ops->reset(t, CAPACITY, flags) || twin->ops->reset(twin, CAPACITY, flags) ? -1 : 0;

	for (size_t i = 0; i < POLICIES && !rc; i++)
		rc = script_compile(policies[i], &g.image[i], what, sizeof(what));
	if (!rc) {
		set_up(&g, t);
		set_up(&g, twin);
		rc = play(&g, packets, &at, what, sizeof(what));
	}
	for (size_t i = 0; i < POLICIES; i++)
		sp_image_free(&g.image[i]);
	if (rc)
		snprintf(text, len, "seed %llu, packet %u: %s", seed, at, what);
	return rc ? -1 : 0;
}
