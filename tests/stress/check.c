/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold of a flow table when nobody is at work in it, and when everything in it has expired. */
#include <stdlib.h>
#include <string.h>

#include "stress.h"

#include "../../port/port_host.h"

static int violations;

#define HOLDS(cond, ...)                       \
	do {                                   \
		if (!(cond)) {                 \
			violations++;          \
			complain(__VA_ARGS__); \
		}                              \
	} while (0)

struct sums {
	sp_u32 count[SP_CLASS_ALIAS + 1];
	sp_u32 *sketch; /* both rows, computed afresh */
	sp_u32 *users; /* of each port */
	sp_u32 dangling; /* aliases that no conversation names: they are swept later */
};

/* Has it a conversation that names it, and the port that it says? One that dangles for a moment has at least that. */
static void check_alias(struct bench *b, sp_u32 i, struct sp_alias *a, struct sums *sums)
{
	struct sp_flow *f = sp_flow_at(a->flow - 1);
	struct sp_port *port = a->port ? sp_port_at(a->port - 1) : NULL;
	const int held = f && f->phase != SP_PHASE_FREE && sp_alias_of(f, sp_alias_side(a)) == i + 1;

	sums->dangling += !held;
	if (!port)
		return;
	sums->users[a->port - 1]++;
	HOLDS(port->owner & 0xffff, "alias %u uses a port that nobody has", i);
	if (held && sp_alias_side(a) == SP_ALIAS_RESPONDER) {
		const sp_u32 end = (f->flags & SP_FLOW_FROM_1) != 0;

		HOLDS(port->owner >> 32 == f->key.addr[end].w32[0] &&
		      (sp_u16)(port->owner >> 16) == sp_ntoh16(f->key.port[end]),
		      "alias %u uses the port of somebody else", i);
	}
}

/* Conversation i is translated: are the aliases that it names its own? */
static void check_names(sp_u32 i, struct sp_flow *f)
{
	struct sp_alias *a = sp_alias_at(f->alias - 1), *other = a && a->other ? sp_alias_at(a->other - 1) : NULL;

	HOLDS(a && a->flow == i + 1 && sp_tagged(f->alias - 1), "conversation %u names an alias that is not its own", i);
	if (a && a->other)
		HOLDS(other && other->flow == i + 1 && sp_tagged(a->other - 1) && sp_alias_side(other) != sp_alias_side(a),
		      "conversation %u names a second alias that is not its own", i);
}

/* Ports: as many users as aliases say; displaced ones are counted at their first place. */
static void check_ports(struct bench *b, const struct sums *sums)
{
	const sp_u32 n = b->e->t.nat ? b->e->t.nat->slots * SP_NAT_PORTS : 0;
	sp_u32 wrong_users = 0, wrong_displaced = 0;
	sp_u32 *displaced = calloc(n + 1, sizeof(*displaced));

	for (sp_u32 i = 0; displaced && i < n; i++) {
		const sp_u64 owner = b->e->t.ports[i].owner;
		const sp_u32 first = (i & ~0xffffu) | ((sp_u32)(owner >> 16) & 0xffff);

		wrong_users += (owner & 0xffff) != sums->users[i];
		if (owner && first != i)
			displaced[first]++;
	}
	for (sp_u32 i = 0; displaced && i < n; i++)
		wrong_displaced += displaced[i] != b->e->t.ports[i].displaced;
	HOLDS(!wrong_users, "%u ports have more or fewer users than aliases", wrong_users);
	HOLDS(!wrong_displaced, "%u ports count displaced ones wrong", wrong_displaced);
	free(displaced);
}

/* One way that has a tag: is it where its key belongs, and what does it count for? */
static void check_flow(struct bench *b, sp_u32 set, sp_u32 way, sp_u16 tag, struct sums *sums)
{
	struct sp_config *c = b->e->t.config;
	const sp_u32 i = sp_entry_at(c, set, way);
	struct sp_flow *f = &b->e->t.flows[i];
	const sp_u32 class_ = sp_class_of(f->phase), end = (f->flags & SP_FLOW_FROM_1) != 0;
	struct sp_place place;
	struct sp_pkt p = {};

	HOLDS(tag != SP_TAG_CLAIMED, "way %u is claimed and nobody is there", i);
	HOLDS(f->phase < SP_PHASE_COUNT, "conversation %u is in phase %u", i, f->phase);
	if (tag == SP_TAG_CLAIMED || f->phase == SP_PHASE_FREE)
		return;
	p.key = f->key;
	p.hash = sp_key_hash(&f->key, c->secret);
	sp_place(&place, p.hash, c->sets);
	HOLDS(place.set[0] == set || place.set[1] == set, "conversation %u is not in a set of its key", i);
	HOLDS(place.tag == tag, "conversation %u has tag %#x, its key %#x", i, tag, place.tag);
	HOLDS(sp_flow_find(&p) == i + 1, "conversation %u is there twice: also as %u", i, sp_flow_find(&p) - 1);
	sums->count[class_]++;
	if (f->phase == SP_PHASE_ALIAS)
		check_alias(b, i, (struct sp_alias *)f, sums);
	else if (f->flags & SP_FLOW_TRANSLATED)
		check_names(i, f);
	if (class_ == SP_CLASS_UNANSWERED) {
		const sp_u64 cells = sp_source_cells(c, &f->key.addr[end], f->key.family);

		sums->sketch[(sp_u32)cells]++;
		sums->sketch[cells >> 32]++;
	}
}

static void check_sums(struct bench *b, const struct sums *sums)
{
	struct sp_state *s = b->e->t.state;
	sp_u32 sources = 0;

	for (int i = 0; i <= SP_CLASS_ALIAS; i++)
		HOLDS(s->count[i] == sums->count[i], "%u conversations are counted as %s, %u are", s->count[i],
		      sp_class_name((unsigned)i), sums->count[i]);
	for (sp_u32 i = 0; i < SP_SKETCH_ROWS * SP_SKETCH_ROW; i++) {
		const sp_u32 cell = (sp_u32)b->e->t.sketch[i];

		HOLDS(cell == sums->sketch[i], "cell %u of the sketch says %u, %u wait", i, cell, sums->sketch[i]);
		sources += i < SP_SKETCH_ROW && cell;
	}
	HOLDS(s->sources == sources, "%u sources are counted, there are %u", s->sources, sources);
}

/* At most so many aliases dangle. */
static int check_all(struct bench *b, sp_u32 dangling)
{
	struct sp_tables *t = &b->e->t;
	struct sums sums = { .sketch = calloc(SP_SKETCH_ROWS * SP_SKETCH_ROW, sizeof(sp_u32)) };

	violations = 0;
	sp_host = b->e;
	sums.users = calloc(b->e->t.nat ? b->e->t.nat->slots * SP_NAT_PORTS : 1, sizeof(sp_u32));
	if (!sums.sketch || !sums.users)
		return 1;
	for (sp_u32 set = 0; set < t->config->sets; set++) {
		HOLDS(!(t->sets[set].lock & 1), "the lock of set %u is held", set);
		for (sp_u32 way = 0; way < SP_WAYS; way++) {
			const sp_u16 tag = sp_tag_get(&t->sets[set], way);
			const sp_u32 i = sp_entry_at(t->config, set, way);
			struct sp_flow *f = &t->flows[i];

			HOLDS(!(f->lock & 1), "the lock of conversation %u is held", i);
			if (tag != SP_TAG_EMPTY)
				check_flow(b, set, way, tag, &sums);
			else
				HOLDS(f->phase == SP_PHASE_FREE, "conversation %u has no tag: it can not expire", i);
		}
	}
	for (sp_u32 i = 0; i < SP_FRAG_COUNT; i++)
		HOLDS(!(t->frags[i].lock & 1), "the lock of fragment %u is held", i);
	check_sums(b, &sums);
	check_ports(b, &sums);
	HOLDS(sums.dangling <= dangling, "%u aliases dangle", sums.dangling);
	free(sums.sketch);
	free(sums.users);
	return violations;
}

int check_rest(struct bench *b)
{
	return check_all(b, 8);
}

/* Strangers knock, until all of the table has been swept; nothing but their packets makes time for that. */
static void knock(struct bench *b)
{
	const sp_u32 ticks = b->e->t.config->sets * SP_TAG_WORDS / SP_SWEEP_WORDS + 2;
	struct worker w = { .b = b };

	for (sp_u32 i = 0; i < ticks; i++) {
		struct sp_craft c = { .proto = 17, .payload = 20 };
		sp_u8 reason;

		craft_ends(&c, 0, 0x0a000001, 0xcb007101, 1000, 2000);
		advance(b, 1ULL << SP_TICK_SHIFT);
		HOLDS(!send_packet(&w, 0, &c, &reason), "a stranger was let in");
	}
}

int check_swept(struct bench *b)
{
	int strangers;

	violations = 0;
	advance(b, SP_GRACE_NS);
	knock(b);
	strangers = violations;
	return strangers + check_all(b, 0);
}

int check_empty(struct bench *b)
{
	struct sp_tables *t = &b->e->t;
	sp_u32 left = 0;

	violations = 0;
	advance(b, 25 * 3600 * SP_NS_PER_S);
	knock(b);
	for (sp_u32 i = 0; i < t->config->sets; i++)
		for (sp_u32 way = 0; way < SP_WAYS; way++)
			left += sp_tag_get(&t->sets[i], way) != SP_TAG_EMPTY;
	HOLDS(!left, "%u ways are not empty after 25 hours", left);
	for (int i = 0; i < SP_CLASS_COUNT; i++)
		HOLDS(!t->state->count[i], "%u conversations are counted as %s after 25 hours", t->state->count[i],
		      sp_class_name((unsigned)i));
	HOLDS(!t->state->sources, "%u sources are counted after 25 hours", t->state->sources);
	left = (sp_u32)violations;
	return (int)left + check_rest(b);
}
