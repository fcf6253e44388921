/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of an engine: emptied between inputs, recounted after each step. */
#include <string.h>
#include <sys/mman.h>

#include "table.h"

#include "../../port/port_host.h"
#include "take.h"

static const sp_u64 secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

#define PORTS_BYTES ((size_t)TABLE_SLOTS * SP_NAT_PORTS * sizeof(struct sp_port))
#define METERS_BYTES (SP_METER_ROWS * SP_METER_ROW * sizeof(sp_u64))
#define SKETCH_BYTES (SP_SKETCH_ROWS * SP_SKETCH_ROW * sizeof(sp_u64))

struct sp_engine *table_new(void)
{
	struct sp_engine *e = sp_engine_new(TABLE_CAPACITY, 0, secret);

	if (!e || sp_engine_nat(e, TABLE_SLOTS))
		abort();
	/* a page is cleared as soon as it is touched: small ones, please. Where there are no huge ones that is refused. */
	madvise(e->t.ports, PORTS_BYTES, MADV_NOHUGEPAGE);
	return e;
}

static void forget(void *at, size_t len)
{
	if (madvise(at, len, MADV_DONTNEED))
		abort();
}

void table_fresh(struct sp_engine *e, sp_u32 flags, int translates)
{
	struct sp_nat_addrs *nat = e->t.nat;

	sp_config_init(e->t.config, TABLE_CAPACITY, flags, secret);
	memset(e->t.state, 0, sizeof(*e->t.state));
	memset(nat, 0, sizeof(*nat));
	nat->slots = translates ? TABLE_SLOTS : 0;
	memset(e->t.sets, 0, e->t.config->sets * sizeof(struct sp_set));
	memset(e->t.flows, 0, TABLE_CAPACITY * sizeof(struct sp_flow));
	forget(e->t.frags, SP_FRAG_COUNT * sizeof(struct sp_frag));
	forget(e->t.sketch, SKETCH_BYTES);
	forget(e->t.meters, METERS_BYTES);
	forget(e->t.ports, PORTS_BYTES);
	memset(e->counters, 0, sizeof(e->counters));
	memset(e->images, 0, sizeof(e->images));
	memset(&e->side, 0, sizeof(e->side));
}

static int is_conversation(const struct sp_flow *f)
{
	return f->phase != SP_PHASE_FREE && f->phase != SP_PHASE_ALIAS;
}

static const struct sp_alias *alias_at(const struct sp_engine *e, sp_u32 at)
{
	if (!at || at > TABLE_CAPACITY || e->t.flows[at - 1].phase != SP_PHASE_ALIAS)
		return NULL;
	return (const struct sp_alias *)&e->t.flows[at - 1];
}

/* An alias is named by its conversation, and its port counts as many users as there are. */
static void check_alias(const struct sp_engine *e, sp_u32 at)
{
	const struct sp_alias *a = alias_at(e, at), *first;
	const struct sp_flow *f;
	sp_u32 uses = 0;

	HOLDS(a->flow && a->flow <= TABLE_CAPACITY, "alias %u of conversation %u", at, a->flow);
	f = &e->t.flows[a->flow - 1];
	first = alias_at(e, f->alias);
	HOLDS(is_conversation(f) && (f->flags & SP_FLOW_TRANSLATED) && first, "alias %u of %u, phase %u", at, a->flow,
	      f->phase);
	HOLDS(f->alias == at || first->other == at, "conversation %u does not name alias %u", a->flow, at);
	if (!a->port)
		return;
	HOLDS(a->port <= TABLE_SLOTS * SP_NAT_PORTS, "port %u", a->port);
	for (sp_u32 i = 1; i <= TABLE_CAPACITY; i++)
		uses += alias_at(e, i) && alias_at(e, i)->port == a->port;
	HOLDS((e->t.ports[a->port - 1].owner & 0xffff) == uses, "port %u has %u users and counts %llx", a->port, uses,
	      e->t.ports[a->port - 1].owner);
	if (((a->port - 1) & 0xffff) != ((e->t.ports[a->port - 1].owner >> 16) & 0xffff))
		HOLDS(e->t.ports[((a->port - 1) & ~0xffffu) | ((e->t.ports[a->port - 1].owner >> 16) & 0xffff)].displaced,
		      "port %u is away from home", a->port);
}

/* Cells of the sketch and of the limits: exactly those that are there. */
static void check_cells(const struct sp_engine *e)
{
	sp_u64 cells[2 * TABLE_CAPACITY];
	int n[2] = { 0, 0 };

	for (sp_u32 i = 0; i < TABLE_CAPACITY; i++) {
		struct sp_flow *f = &e->t.flows[i];
		const sp_u32 end = (f->flags & SP_FLOW_FROM_1) != 0;

		if (!is_conversation(f))
			continue;
		if (sp_class_of(f->phase) == SP_CLASS_UNANSWERED)
			cells[n[0]++] = sp_source_cells(e->t.config, &f->key.addr[end], f->key.family);
		if ((f->flags & SP_FLOW_LIMITED) && sp_limit_counts(f->phase))
			cells[TABLE_CAPACITY + n[1]++] = sp_limit_cells(e->t.config, &f->key, end);
	}
	for (int kind = 0; kind < 2; kind++)
		for (int i = 0; i < n[kind]; i++) {
			const sp_u64 cell = cells[kind * TABLE_CAPACITY + i];
			const sp_u64 *base = kind ? e->t.meters : e->t.sketch;
			sp_u32 same[2] = { 0, 0 };

			for (int j = 0; j < n[kind]; j++) {
				same[0] += (sp_u32)cells[kind * TABLE_CAPACITY + j] == (sp_u32)cell;
				same[1] += cells[kind * TABLE_CAPACITY + j] >> 32 == cell >> 32;
			}
			HOLDS((sp_u32)base[(sp_u32)cell] == same[0] && (sp_u32)base[cell >> 32] == same[1],
			      "cells of kind %d: %u and %u, but they say %u and %u", kind, same[0], same[1],
			      (sp_u32)base[(sp_u32)cell], (sp_u32)base[cell >> 32]);
		}
}

static sp_u16 tag_of(const struct sp_engine *e, sp_u32 i)
{
	return sp_tag_get(&e->t.sets[sp_entry_set(e->t.config, i)], sp_entry_way(e->t.config, i));
}

static void check_place(const struct sp_engine *e, sp_u32 i)
{
	const sp_u32 set = sp_entry_set(e->t.config, i);
	const struct sp_flow *f = &e->t.flows[i];
	struct sp_place where;

	sp_place(&where, sp_key_hash(&f->key, e->t.config->secret), e->t.config->sets);
	HOLDS(where.set[0] == set || where.set[1] == set, "entry %u is not in its sets", i);
	HOLDS(tag_of(e, i) == where.tag, "entry %u has another tag", i);
	for (sp_u32 j = 0; j < i; j++)
		HOLDS(e->t.flows[j].phase == SP_PHASE_FREE || !sp_key_equal(&e->t.flows[j].key, &f->key),
		      "entries %u and %u have one key", i, j);
}

void table_check(const struct sp_engine *e)
{
	const struct sp_state *s = e->t.state;
	sp_u32 count[4] = { 0, 0, 0, 0 };

	for (sp_u32 i = 0; i < TABLE_CAPACITY; i++) {
		const struct sp_flow *f = &e->t.flows[i];

		HOLDS(!(f->lock & 1), "entry %u is locked", i);
		HOLDS(f->phase < SP_PHASE_COUNT, "entry %u has phase %u", i, f->phase);
		if (f->phase == SP_PHASE_FREE) {
			HOLDS(tag_of(e, i) == SP_TAG_EMPTY, "entry %u is free, tagged", i);
			continue;
		}
		count[sp_class_of(f->phase)]++;
		check_place(e, i);
		if (f->phase == SP_PHASE_ALIAS)
			check_alias(e, i + 1);
		else
			HOLDS(!(f->flags & SP_FLOW_TRANSLATED) || alias_at(e, f->alias), "entry %u names no alias", i);
	}
	for (int i = 0; i < 4; i++)
		HOLDS(count[i] == s->count[i], "class %d: %u are there, %u are counted", i, count[i], s->count[i]);
	for (sp_u32 i = 0; i < e->t.config->sets; i++)
		HOLDS(!(e->t.sets[i].lock & 1), "set %u is locked", i);
	HOLDS(s->count[0] <= e->t.config->unanswered_max, "%u unanswered, budget %u", s->count[0],
	      e->t.config->unanswered_max);
	check_cells(e);
}

/* How often a lock was taken is no part of what is there. */
void table_same(const struct sp_engine *a, const struct sp_engine *b, sp_u32 late_s)
{
	for (sp_u32 i = 0; i < TABLE_CAPACITY; i++) {
		struct sp_flow x = a->t.flows[i], y = b->t.flows[i];

		x.lock = y.lock = 0;
		if (x.phase == SP_PHASE_ALIAS && y.phase == SP_PHASE_ALIAS) {
			struct sp_alias *of = (struct sp_alias *)&x, *late = (struct sp_alias *)&y;

			if (of->used - late->used <= late_s)
				late->used = of->used;
		}
		HOLDS((x.phase == SP_PHASE_FREE && y.phase == SP_PHASE_FREE) || !memcmp(&x, &y, sizeof(x)),
		      "entry %u: phases %u and %u, packets %u/%u and %u/%u", i, x.phase, y.phase, x.packets[0], x.packets[1],
		      y.packets[0], y.packets[1]);
	}
	for (int i = 0; i < 4; i++)
		HOLDS(a->t.state->count[i] == b->t.state->count[i], "class %d: %u and %u", i, a->t.state->count[i],
		      b->t.state->count[i]);
	HOLDS(!memcmp(a->counters, b->counters, sizeof(a->counters)), "other counters");
}

static void check_zero(const char *what, const void *at, size_t len)
{
	const sp_u64 *w = at;

	for (size_t i = 0; i < len / 8; i++)
		HOLDS(!w[i], "%s: word %zu is %llx", what, i, w[i]);
}

void table_check_empty(const struct sp_engine *e)
{
	table_check(e);
	for (int i = 0; i < 4; i++)
		HOLDS(!e->t.state->count[i], "class %d: %u are left", i, e->t.state->count[i]);
	HOLDS(!e->t.state->sources, "%u sources", e->t.state->sources);
	check_zero("sketch", e->t.sketch, SKETCH_BYTES);
	check_zero("limits", e->t.meters + SP_METER_LIMITS * SP_METER_ROW, METERS_BYTES / 2);
	for (sp_u32 i = 0; i < TABLE_SLOTS * SP_NAT_PORTS; i++)
		HOLDS(!e->t.ports[i].owner && !e->t.ports[i].displaced, "port %u of table %u is held", i & 0xffff, i >> 16);
}
