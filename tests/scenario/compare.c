/* SPDX-License-Identifier: BSD-2-Clause */
/* Two engines that were shown the same packets must hold the same conversations and have counted the same. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "script.h"

static int compare_counters(struct tengine *a, struct tengine *b, char *text, size_t len)
{
	struct sp_counter ca[SP_REASON_COUNT], cb[SP_REASON_COUNT];

	if (a->ops->counters(a, ca) || b->ops->counters(b, cb)) {
		snprintf(text, len, "counters can not be read");
		return -1;
	}
	for (unsigned i = 0; i < SP_REASON_COUNT; i++) {
		if (ca[i].packets == cb[i].packets && ca[i].bytes == cb[i].bytes)
			continue;
		/* what only goes through is not read, and counts with its frame; on the lane as an IP packet */
		if (i == SP_R_FORWARDED && ca[i].packets == cb[i].packets && b->ops == &tengine_lane)
			continue;
		/* a scenario may say nothing of where a packet leaves, or say that alone */
		if (i == SP_R_FORWARDED && a->ops == &tengine_lane)
			continue;
		snprintf(text, len, "counter %s: %s has %llu packets and %llu bytes, %s has %llu and %llu",
			 sp_reason_name(i), a->ops->name, ca[i].packets, ca[i].bytes, b->ops->name, cb[i].packets,
			 cb[i].bytes);
		return -1;
	}
	return 0;
}

static int compare_state(struct tengine *a, struct tengine *b, char *text, size_t len)
{
	const struct sp_state *sa = a->core->t.state, *sb = b->core->t.state;

	for (int i = 0; i <= SP_CLASS_ALIAS; i++)
		if (sa->count[i] != sb->count[i]) {
			snprintf(text, len, "%s conversations: %s counts %u, %s counts %u",
				 i == SP_CLASS_ALIAS ? "second keys of" : sp_class_name((unsigned)i),
				 a->ops->name, sa->count[i], b->ops->name, sb->count[i]);
			return -1;
		}
	if (sa->others_s != sb->others_s) {
		snprintf(text, len, "only one of %s and %s knows that others translate", a->ops->name, b->ops->name);
		return -1;
	}
	if (sa->sources != sb->sources) {
		snprintf(text, len, "sources: %s counts %u, %s counts %u", a->ops->name, sa->sources, b->ops->name,
			 sb->sources);
		return -1;
	}
	return 0;
}

/*
 * The lock word is left out: how often it was taken is no part of what a conversation says. So is when an alias last told
 * its port that it is in use: the lane does so more rarely (SP_TOLD_SHIFT).
 */
static int same_flow(const struct sp_flow *a, const struct sp_flow *b)
{
	struct sp_flow x = *a, y = *b;
	struct sp_alias *ax = (struct sp_alias *)&x, *ay = (struct sp_alias *)&y;

	x.lock = y.lock = 0;
	if (x.phase != SP_PHASE_ALIAS && x.key.proto != IPPROTO_TCP)
		memcpy(x.note, y.note, sizeof(x.note)); /* the native engine remembers nothing */
	if (x.phase == SP_PHASE_ALIAS && y.phase == SP_PHASE_ALIAS)
		ax->used = ay->used;
	return !memcmp(&x, &y, sizeof(x));
}

static void describe(const struct sp_flow *f, char *text, size_t len)
{
	snprintf(text, len,
		 "%s flags %x ends %02x scale %02x zones %u>%u line %u end %u,%u max_end %u,%u max_win %u,%u ack %u,%u "
		 "packets %u,%u bytes %llu,%llu",
		 sp_phase_name(f->phase), f->flags, f->ends, f->wscale, f->zone_from, f->zone_to, f->line,
		 f->peer[0].end, f->peer[1].end, f->peer[0].max_end, f->peer[1].max_end, f->peer[0].max_win,
		 f->peer[1].max_win, f->peer[0].ack, f->peer[1].ack, f->packets[0], f->packets[1], f->bytes[0],
		 f->bytes[1]);
}

static int compare_flows(struct tengine *a, struct tengine *b, char *text, size_t len)
{
	const struct sp_tables *ta = &a->core->t, *tb = &b->core->t;
	sp_u32 n = ta->config->sets * SP_WAYS;
	char da[240], db[240];

	if (ta->config->sets != tb->config->sets) {
		snprintf(text, len, "the tables are not of one size");
		return -1;
	}
	for (sp_u32 i = 0; i < n; i++) {
		if (ta->flows[i].phase == SP_PHASE_FREE && tb->flows[i].phase == SP_PHASE_FREE)
			continue;
		if (same_flow(&ta->flows[i], &tb->flows[i]))
			continue;
		describe(&ta->flows[i], da, sizeof(da));
		describe(&tb->flows[i], db, sizeof(db));
		snprintf(text, len, "conversation %u: %s has [%s], %s has [%s]", i, a->ops->name, da, b->ops->name, db);
		return -1;
	}
	return 0;
}

/* Of the ports, those that a second key uses: the others are looked at by tables_check(). */
static int compare_ports(struct tengine *a, struct tengine *b, char *text, size_t len)
{
	const struct sp_tables *ta = &a->core->t, *tb = &b->core->t;

	for (sp_u32 i = 0; ta->nat->slots && i < ta->config->sets * SP_WAYS; i++) {
		const struct sp_alias *alias = (const struct sp_alias *)&ta->flows[i];
		const struct sp_port *pa, *pb;

		if (alias->phase != SP_PHASE_ALIAS || !alias->port)
			continue;
		pa = &ta->ports[alias->port - 1];
		pb = &tb->ports[alias->port - 1];
		if (pa->owner == pb->owner && pa->displaced == pb->displaced)
			continue;
		snprintf(text, len, "port %u: %s has owner %llx, %u displaced, %s has %llx, %u", (alias->port - 1) & 0xffff,
			 a->ops->name, pa->owner, pa->displaced, b->ops->name, pb->owner, pb->displaced);
		return -1;
	}
	return 0;
}

/* What sources have done under lines with a rate or a limit; without a configuration there are none. */
static int compare_meters(struct tengine *a, struct tengine *b, char *text, size_t len)
{
	const sp_u64 *ma = a->core->t.meters, *mb = b->core->t.meters;
	int any = 0;

	for (sp_u32 slot = 0; slot < SP_IMAGE_SLOTS; slot++)
		any |= a->core->images[slot] != NULL;
	for (sp_u32 i = 0; any && i < SP_METER_ROWS * SP_METER_ROW; i++) {
		if (ma[i] == mb[i])
			continue;
		snprintf(text, len, "meter %u of row %u: %s has %llu, %s has %llu", i % SP_METER_ROW, i / SP_METER_ROW,
			 a->ops->name, ma[i], b->ops->name, mb[i]);
		return -1;
	}
	return 0;
}

int tables_compare(struct tengine *a, struct tengine *b, char *text, size_t len)
{
	if (compare_counters(a, b, text, len) || compare_state(a, b, text, len))
		return -1;
	if (compare_meters(a, b, text, len))
		return -1;
	return compare_flows(a, b, text, len) || compare_ports(a, b, text, len) ? -1 : 0;
}
