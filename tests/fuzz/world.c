/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine of the pipeline's fuzzer: both meetings of a packet, what user space does meanwhile, and what holds always. */
#include <string.h>

#include "../../policy/compile.h"
#include "world.h"

#define TOLD_S (1u << (SP_TOLD_SHIFT - 30)) /* the lane tells of a port that it is used once in so long */
#define START_NS (100000 * SP_NS_PER_S)

static const sp_u8 me4[4] = { 192, 0, 2, 10 }, me_pool4[4] = { 192, 0, 2, 12 }, me_inside4[4] = { 10, 0, 0, 1 };

static struct sp_engine *engine; /* whose addresses change */

static sp_u32 raw4(const sp_u8 a[4])
{
	sp_u32 raw;

	memcpy(&raw, a, 4);
	return raw;
}

void world_address(sp_u8 zone, sp_u8 host, sp_u8 family, sp_u8 out[16])
{
	static const sp_u8 nets4[][3] = { [SP_ZONE_SELF] = { 192, 0, 2 }, [SP_ZONE_OUTSIDE] = { 198, 51, 100 },
					  [SP_ZONE_INSIDE] = { 10, 0, 0 }, [ZONE_DMZ] = { 10, 0, 2 } };
	static const sp_u8 first4[] = { [SP_ZONE_OUTSIDE] = 7, [SP_ZONE_INSIDE] = 2, [ZONE_DMZ] = 10 };

	memset(out, 0, 16);
	host %= HOSTS;
	if (family == 6) {
		out[0] = 0x2a;
		out[3] = zone;
		out[15] = (sp_u8)(zone == SP_ZONE_SELF ? 0x10 + host % 2 : 2 + host);
	} else if (zone == SP_ZONE_SELF) {
		memcpy(out, host == 0 ? me4 : host == 1 ? me_pool4 : me_inside4, 4);
	} else {
		memcpy(out, nets4[zone], 3);
		out[3] = (sp_u8)(first4[zone] + host);
	}
}

sp_u8 world_zone(const sp_u8 a[16], sp_u8 family)
{
	static const sp_u8 zeros[11];

	if (family == 6) {
		if (a[0] != 0x2a || a[1] || a[2])
			return SP_ZONE_OUTSIDE;
		if (a[3] == SP_ZONE_SELF)
			return !memcmp(a + 4, zeros, 11) && (a[15] & 0xfe) == 0x10 ? SP_ZONE_SELF : SP_ZONE_OUTSIDE;
		if (a[3] == ZONE_DMZ) /* a /64 */
			return memcmp(a + 4, "\0\0\0\0", 4) ? SP_ZONE_OUTSIDE : ZONE_DMZ;
		return a[3] == SP_ZONE_INSIDE ? SP_ZONE_INSIDE : SP_ZONE_OUTSIDE;
	}
	for (sp_u32 i = 0; engine && i < engine->t.nat->slots; i++)
		if (engine->t.nat->slot[i].addr == raw4(a))
			return SP_ZONE_SELF;
	if (!memcmp(a, me_inside4, 4) || !memcmp(a, me4, 4))
		return SP_ZONE_SELF;
	if (a[0] == 10 && a[1] == 0 && a[2] == 0)
		return SP_ZONE_INSIDE;
	return a[0] == 10 && a[1] == 0 && a[2] == 2 ? ZONE_DMZ : SP_ZONE_OUTSIDE;
}

void world_sides(struct sp_engine *e)
{
	static const sp_u8 inside4[4] = { 10, 0, 0, 0 }, dmz4[4] = { 10, 0, 2, 0 }, mask4[4] = { 255, 255, 255, 0 };
	struct sp_test *s = &e->side;
	struct sp_nat_addrs *nat = e->t.nat;
	sp_u8 a[16];

	s->me_inside4 = raw4(me_inside4);
	s->me_outside4 = raw4(me4);
	s->inside4_net = raw4(inside4);
	s->dmz4_net = raw4(dmz4);
	s->inside4_mask = s->dmz4_mask = raw4(mask4);
	s->inside6_bits = 32;
	world_address(SP_ZONE_INSIDE, 0, 6, s->inside6.b);
	for (sp_u8 i = 0; i < 2; i++) {
		world_address(SP_ZONE_SELF, i, 6, a);
		memcpy(s->me6[i].b, a, 16);
	}
	world_address(ZONE_DMZ, 0, 6, s->dmz6.b);
	s->listens[0] = 40001;
	engine = e;
	if (!nat->slots)
		return;
	nat->used = 2;
	nat->slot[0] = (struct sp_nat_slot){ .addr = raw4(me4), .flags = SP_SLOT_MAPS };
	nat->slot[1] = (struct sp_nat_slot){ .addr = raw4(me_pool4), .flags = SP_SLOT_MAPS | SP_SLOT_POOL };
}

static void put_policy(struct world *w, sp_u32 generation, sp_u32 number)
{
	const struct sp_image *image = w->has_rules ? policy_image(number) : NULL;

	w->policy[generation % SP_IMAGE_SLOTS] = w->has_rules ? number : 0;
	w->e->images[generation % SP_IMAGE_SLOTS] = image ? image->v : NULL;
	w->lane->images[generation % SP_IMAGE_SLOTS] = w->e->images[generation % SP_IMAGE_SLOTS];
	w->crowd->images[generation % SP_IMAGE_SLOTS] = w->e->images[generation % SP_IMAGE_SLOTS];
	w->bare_sources |= w->has_rules && policy_bares(number);
}

sp_u32 world_policy(const struct world *w)
{
	const struct sp_config *c = w->e->t.config;
	const sp_u32 now = c->trial_until_ns && w->now_ns >= c->trial_until_ns ? c->trial_back : c->generation;

	return w->policy[now % SP_IMAGE_SLOTS];
}

void world_begin(struct world *w, sp_u8 how)
{
	static struct sp_engine *e, *lane, *crowd;

	if (!e) {
		e = table_new();
		lane = table_new();
		crowd = table_new();
	}
	memset(w, 0, sizeof(*w));
	w->e = e;
	w->lane = lane;
	w->crowd = crowd;
	w->now_ns = START_NS;
	w->gateway = how & 1;
	w->translates = w->gateway && (how & 2);
	w->has_rules = how & 4;
	table_fresh(e, w->gateway ? SP_CONFIG_GATEWAY : 0, w->translates);
	table_fresh(lane, w->gateway ? SP_CONFIG_GATEWAY : 0, w->translates);
	table_fresh(crowd, w->gateway ? SP_CONFIG_GATEWAY : 0, w->translates);
	lane_begin();
	crowd_begin(how & 8 ? 32 : 6);
	world_sides(crowd);
	world_sides(lane);
	world_sides(e);
	put_policy(w, 1, (how >> 4) % POLICIES);
}

void world_change(struct world *w, sp_u8 how)
{
	struct sp_config *c = w->e->t.config;
	const sp_u32 number = (how >> 3) % POLICIES, at = (how >> 3) % TABLE_CAPACITY;

	crowd_go(w);
	switch (how & 7) {
	case 0: /* the outside address: .10, .11 and back */
		if (w->translates)
			w->e->t.nat->slot[0].addr ^= raw4((const sp_u8[]){ 0, 0, 0, 1 });
		*w->lane->t.nat = *w->e->t.nat;
		*w->crowd->t.nat = *w->e->t.nat;
		honest_changed(w, 1, 0);
		return;
	case 1: /* somebody kills a conversation */
		if (w->e->t.flows[at].phase != SP_PHASE_ALIAS)
			w->e->t.flows[at].flags |= SP_FLOW_KILLED;
		w->lane->t.flows[at].flags = w->e->t.flows[at].flags;
		w->crowd->t.flows[at].flags = w->e->t.flows[at].flags;
		honest_changed(w, 0, 1);
		return;
	default:
		if (!w->has_rules)
			return;
		c->trial_back = c->trial_until_ns && w->now_ns >= c->trial_until_ns ? c->trial_back : c->generation;
		c->generation++;
		c->trial_until_ns = (how & 7) == 2 ? w->now_ns + 30 * SP_NS_PER_S : 0;
		put_policy(w, c->generation, number);
		*w->lane->t.config = *c;
		*w->crowd->t.config = *c;
		honest_changed(w, policy_bares(number) || w->translates, policy_blocks(number));
	}
}

static void meet(struct world *w, const struct frame *in, struct frame *out, sp_u8 zone, sp_u8 hook, sp_u8 from,
		 struct sp_engine_result *r)
{
	struct sp_engine_packet p = { .data = in->b, .len = in->len, .now_ns = w->now_ns, .zone = zone, .hook = hook,
				      .out = out->b, .forwarded = from != SP_ZONE_NONE, .zone_from = from };

	sp_engine_packet(w->e, &p, NULL, r);
	out->len = in->len;
	if (!r->rewritten)
		memcpy(out->b, in->b, in->len);
	HOLDS(r->verdict == (sp_u8)sp_reason_verdict(r->reason), "%s", sp_reason_name(r->reason));
	HOLDS(r->verdict == SP_PASS || r->event == SP_EVENT_DROP, "%s: event %u", sp_reason_name(r->reason), r->event);
	HOLDS(r->reason != SP_R_BUSY, "busy, and there is only one processor");
}

static sp_u8 where_to(const struct frame *f)
{
	struct look l;

	return look_at(&l, f->b, f->len) ? world_zone(l.e.dst, l.e.family) : SP_ZONE_SELF;
}

/* What leaves to the outside. */
static void check_left(const struct world *w, const struct passage *p)
{
	struct look l;

	if (!look_at(&l, p->out.b, p->out.len))
		return;
	HOLDS(!wire_sums_right(p->in.b, p->in.len) || wire_sums_right(p->out.b, p->out.len), "a checksum is wrong now");
	if (w->translates && !w->bare_sources && p->from != SP_ZONE_SELF && l.e.family == 4)
		HOLDS(!ends_private(l.e.src), "%s, %s: it leaves with the private source %u.%u.%u.%u",
		      sp_reason_name(p->r[0].reason), sp_reason_name(p->r[1].reason), l.e.src[0], l.e.src[1], l.e.src[2],
		      l.e.src[3]);
}

/* For people: what happens in an input. */
static void say(const struct world *w, const struct passage *p)
{
	const struct frame *f[2] = { &p->in, &p->out };
	struct look l;

	for (sp_u32 i = 0; i < p->in.len; i++)
		fprintf(stderr, "%02x", p->in.b[i]);
	fprintf(stderr, "\n");
	fprintf(stderr, "%llu ms, zone %u to %u:", (w->now_ns - START_NS) / 1000000, p->from, p->to);
	for (int i = 0; i < 2 && look_at(&l, f[i]->b, f[i]->len); i++)
		fprintf(stderr, " %s%u %u.%u.%u.%u..%u:%u > %u.%u.%u.%u..%u:%u%s%s", i ? "=> " : "proto ", l.e.proto,
			l.e.src[0], l.e.src[1], l.e.src[2], l.e.src[3], l.e.src[15], l.e.sport, l.e.dst[0],
			l.e.dst[1], l.e.dst[2], l.e.dst[3], l.e.dst[15], l.e.dport, l.is_frag ? " piece" : "",
			l.is_error ? " error" : "");
	fprintf(stderr, " %s", sp_reason_name(p->r[0].reason));
	fprintf(stderr, p->forwarded ? ", %s\n" : "\n", sp_reason_name(p->r[1].reason));
}

void world_pass(struct world *w, struct passage *p)
{
	const sp_u32 entries = model_entries(w);
	sp_u8 to;

	memset(p->r, 0, sizeof(p->r));
	p->forwarded = 0;
	if (p->from == SP_ZONE_SELF) {
		to = where_to(&p->in);
		p->to = to == SP_ZONE_SELF ? SP_ZONE_OUTSIDE : to;
		meet(w, &p->in, &p->out, p->to, SP_HOOK_EGRESS, SP_ZONE_NONE, &p->r[0]);
		p->middle = p->out;
		p->passed = p->r[0].verdict == SP_PASS;
	} else {
		meet(w, &p->in, &p->middle, p->from, SP_HOOK_INGRESS, SP_ZONE_NONE, &p->r[0]);
		p->passed = p->r[0].verdict == SP_PASS;
		p->out = p->middle;
		p->to = where_to(&p->middle);
		if (getenv("FUZZ_SAY"))
			say(w, p);
		if (p->from == SP_ZONE_OUTSIDE)
			model_came_in(w, p, entries);
		p->forwarded = p->passed && w->gateway && p->to != SP_ZONE_SELF;
		if (p->passed && !w->gateway && p->to != SP_ZONE_SELF)
			p->to = SP_ZONE_SELF; /* its stack throws it away */
		if (p->forwarded) {
			meet(w, &p->middle, &p->out, p->to, SP_HOOK_EGRESS, p->from, &p->r[1]);
			p->passed = p->r[1].verdict == SP_PASS;
		}
	}
	if (getenv("FUZZ_SAY"))
		say(w, p);
	lane_pass(w, p);
	crowd_wait(w, p);
	if (!p->passed && p->forwarded && p->from != SP_ZONE_OUTSIDE)
		model_began(w, p);
	if (!p->passed)
		return;
	if (p->to == SP_ZONE_OUTSIDE)
		check_left(w, p);
	if (p->from != SP_ZONE_OUTSIDE || p->to == SP_ZONE_OUTSIDE)
		model_left(w, p);
	w->left[w->n_left++ % LEFT] = p->out;
}

void world_check(struct world *w)
{
	crowd_go(w);
	table_check(w->e);
	table_same(w->e, w->lane, TOLD_S);
	table_same(w->e, w->crowd, 0);
}

void world_expire(struct world *w)
{
	static const sp_u8 arp[42] = { [12] = 8, [13] = 6 };
	struct sp_engine_packet p = { .data = arp, .len = sizeof(arp), .zone = SP_ZONE_OUTSIDE };
	struct sp_engine_result r;

	w->now_ns += 3 * 86400 * SP_NS_PER_S;
	for (int i = 0; i < 8; i++) {
		w->now_ns += 40000000;
		p.now_ns = w->now_ns;
		sp_engine_packet(w->e, &p, NULL, &r);
	}
	table_check_empty(w->e);
}
