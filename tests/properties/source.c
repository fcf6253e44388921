/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whom does the receiver know the sender as? In each state of a translated conversation, what the fast path says of a packet
 * (sp_fast_source()) is what the pipeline says (sp_nat_known()) without having to ask anybody, or it leaves it to that.
 */
#include <string.h>

#include "../fuzz/take.h"
#include "../../host/engine.h"
#include "../../port/port_host.h"

#include "../../core/fast.h"
#include "source.h"

#define NOW_NS (5000 * SP_NS_PER_S)
#define FLOW 1u /* places in the table, + 1 */
#define FIRST 2u
#define SECOND 3u
#define DMZ SP_ZONE_COUNT /* the first zone of one's own */

enum shape { PLAIN, BY_SOURCE, BY_TARGET, HAIRPIN, HAIRPIN_BACK, BY_OTHERS, SHAPES };
static const sp_u8 zones[] = { SP_ZONE_OUTSIDE, SP_ZONE_INSIDE, DMZ };
#define ZONES (sizeof(zones))

struct state {
	enum shape shape;
	unsigned from_public, to_public; /* the ends have public addresses */
	unsigned high; /* ours is above theirs: keys turn over, or not */
	unsigned from, to, out; /* zones, and that where the packet leaves */
	unsigned answers; /* the packet is the responder's */
	unsigned stale; /* the kernel was last asked for our address a second ago */
	unsigned pool; /* and need not be, for it is of a pool */
	unsigned moved; /* it is another one by now */
};

static struct sp_engine *engine;

static sp_u32 number(const struct state *s)
{
	return sp_hton32(s->high ? 0xdfffff01 : 0x01020304).raw;
}

static void ends(const struct state *s, struct sp_pkt *p)
{
	const sp_be16 from_port = sp_hton16(4000), to_port = sp_hton16(53);
	const sp_u32 a = sp_hton32(s->from_public ? 0x06060102 : 0x0a000002).raw;
	const sp_u32 b = sp_hton32(s->to_public ? 0xc6336407 : 0xc0a80109).raw;

	p->src.w32[0] = s->answers ? b : a;
	p->dst.w32[0] = s->answers ? a : b;
	p->sport = s->answers ? to_port : from_port;
	p->dport = s->answers ? from_port : to_port;
	p->dir = (sp_u8)sp_key_set(&p->key, &p->src, &p->dst, p->sport, p->dport);
}

static struct sp_pkt packet(const struct state *s)
{
	struct sp_pkt p = { .now_ns = NOW_NS, .family = SP_IPV4, .proto = SP_PROTO_UDP, .kind = SP_KIND_UDP, .flow = FLOW,
			    .key = { .family = SP_IPV4, .proto = SP_PROTO_UDP }, .segs = 1, .hook = SP_HOOK_EGRESS,
			    .forwarded = 1, .zone = zones[s->answers ? s->to : s->from], .zone_out = zones[s->out] };

	ends(s, &p);
	return p;
}

/* The key under which that side knows it. */
static void alias(const struct state *s, sp_u32 at, sp_u32 side, sp_u32 other)
{
	struct sp_alias *a = (struct sp_alias *)&engine->t.flows[at - 1];
	struct state begins = *s;
	struct sp_pkt p;

	begins.answers = 0;
	p = packet(&begins);
	p.side = (sp_u8)side;
	p.new4 = p.old4 = number(s);
	p.new_port = p.old_port = sp_hton16(side == SP_ALIAS_RESPONDER ? 61000 : 443);
	sp_alias_key(&p);
	*a = (struct sp_alias){ .key = p.other, .phase = SP_PHASE_ALIAS, .flow = FLOW, .other = other, .slot = 1 };
	a->flags = (sp_u8)((side == SP_ALIAS_RESPONDER ? SP_ALIAS_OF_RESPONDER : 0) | (p.flip ? SP_ALIAS_FLIP : 0) |
			   (s->shape == BY_OTHERS ? SP_ALIAS_FOREIGN : 0));
}

static void build(const struct state *s)
{
	struct sp_nat_addrs *nat = engine->t.nat;
	struct sp_flow *f = &engine->t.flows[FLOW - 1];
	const int back = s->shape == HAIRPIN_BACK || s->shape == BY_TARGET;
	const int two = s->shape == HAIRPIN || s->shape == HAIRPIN_BACK;
	struct state begins = *s;
	struct sp_pkt p;

	begins.answers = 0;
	p = packet(&begins);
	nat->used = 1;
	nat->slot[0].addr = number(s) ^ s->moved;
	nat->slot[0].flags = SP_SLOT_MAPS | (s->pool ? SP_SLOT_POOL : 0);
	nat->asked[0] = sp_nat_second(NOW_NS) - s->stale;
	*f = (struct sp_flow){ .key = p.key, .phase = SP_PHASE_UDP_ANSWERED, .zone_from = zones[s->from],
			       .zone_to = zones[s->to], .alias = s->shape == PLAIN ? 0 : FIRST, .seen_ns = NOW_NS };
	f->flags = (sp_u8)(SP_FLOW_ANSWERED | (p.dir ? SP_FLOW_FROM_1 : 0) | (s->shape == PLAIN ? 0 : SP_FLOW_TRANSLATED));
	if (s->shape != PLAIN)
		alias(s, FIRST, back ? SP_ALIAS_INITIATOR : SP_ALIAS_RESPONDER, two ? SECOND : 0);
	if (two)
		alias(s, SECOND, back ? SP_ALIAS_RESPONDER : SP_ALIAS_INITIATOR, 0);
}

/* What the fast path is there for: it must not leave that to the pipeline. */
static int is_common(const struct state *s)
{
	const sp_u8 out = zones[s->out], to = zones[s->to];

	if (s->shape == PLAIN)
		return out != SP_ZONE_OUTSIDE || (s->answers ? s->to_public : s->from_public) || to == SP_ZONE_OUTSIDE;
	if (s->shape == BY_SOURCE)
		return s->answers || (!s->moved && (!s->stale || s->pool));
	return s->shape == BY_TARGET && zones[s->from] == SP_ZONE_OUTSIDE &&
	       (s->answers ? !s->moved && (!s->stale || s->pool) : out != SP_ZONE_OUTSIDE);
}

/* 1: the fast path takes it. */
static int one(const struct state *s, sp_u64 source)
{
	struct sp_pkt p = packet(s), q = p;
	int took, reason;

	build(s);
	took = sp_fast_source(&engine->t.flows[FLOW - 1], &p, q.zone_out, source);
	HOLDS(took || !is_common(s), "shape %d: it asks for nothing", s->shape);
	if (!took)
		return 0;
	HOLDS(s->shape < HAIRPIN, "shape %d: more is to be known than it looks at", s->shape);
	reason = sp_nat_known(&q);
	HOLDS(reason == SP_R_FORWARDED, "shape %d, answers %u, leaves by zone %u: the pipeline says %d", s->shape,
	      s->answers, q.zone_out, reason);
	HOLDS(!q.ask, "shape %d: the kernel is to be asked first", s->shape);
	HOLDS(p.nat == q.nat, "shape %d, answers %u: translated %u, by the pipeline %u", s->shape, s->answers, p.nat, q.nat);
	HOLDS(!p.nat || (p.old4 == q.old4 && p.old_port.raw == q.old_port.raw && p.new4 == q.new4 &&
			 p.new_port.raw == q.new_port.raw), "shape %d: somebody else", s->shape);
	return 1;
}

/* Digit of a number that counts all states. */
static unsigned digit(unsigned *n, unsigned base)
{
	const unsigned d = *n % base;

	*n /= base;
	return d;
}

unsigned every_source(void)
{
	static const sp_u64 secret[2] = { 1, 2 };
	const unsigned all = SHAPES * ZONES * ZONES * ZONES << 7;
	unsigned taken = 0;

	engine = sp_engine_new(100, SP_CONFIG_GATEWAY, secret);
	HOLDS(engine && !sp_engine_nat(engine, 1), "no memory");
	sp_host = engine;
	for (unsigned i = 0; i < all; i++) {
		unsigned n = i;
		struct state s = { .shape = (enum shape)digit(&n, SHAPES), .from = digit(&n, ZONES), .to = digit(&n, ZONES),
				   .out = digit(&n, ZONES), .from_public = digit(&n, 2), .to_public = digit(&n, 2),
				   .high = digit(&n, 2), .answers = digit(&n, 2), .stale = digit(&n, 2),
				   .pool = digit(&n, 2), .moved = digit(&n, 2) };
		const int took = one(&s, 0);

		build(&s); /* what is remembered says the same */
		HOLDS(took == one(&s, sp_source_read(&engine->t.flows[FLOW - 1])), "remembered, another answer");
		taken += (unsigned)took;
	}
	sp_engine_free(engine);
	printf("ok   every_source: %u states, %u of them on the fast path\n", all, taken);
	return all;
}
