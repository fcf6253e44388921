/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiler, lines about translation and refusal: forward, nat, refuse. */
#include "compiler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- forward ------------------------------------------------------------------------------------------------------ */

/* The address of that family that a forward goes to; NULL: it has none. */
static const struct sp_net *target_of(const struct sp_sentence *line, sp_u8 family)
{
	const struct sp_term *t = &line->target;

	if (t->kind == SP_TERM_NET)
		return t->net.family == family ? &t->net : NULL;
	for (sp_u32 i = 0; i < t->def->from.n; i++)
		if (t->def->from.v[i].net.family == family)
			return &t->def->from.v[i].net;
	return NULL;
}

/* Services first..last are forwarded. */
static int mark_forwards(struct sp_compiler *c, sp_u32 first, sp_u32 last)
{
	if (!c->forwards)
		c->forwards = calloc(SP_IMAGE_FORWARDS_LINES, sizeof(struct sp_image_line));
	if (!c->forwards)
		return -ENOMEM;
	for (sp_u32 at = first; at <= last; at++)
		c->forwards[at / 64] |= 1ULL << (at % 64);
	return 0;
}

/*
 * The services of a forward, as they come (port 0) or with the port that they get, as a set. "Any" is every single one
 * here: lines that say from whom are exceptions to those that do not, and must not lose to one that says what.
 */
static int forward_services(struct sp_compiler *c, const struct sp_sentence *line, sp_u16 port, sp_u32 *set)
{
	const sp_u64 first[2] = { 0, 0 }, last[2] = { 0, SP_IMAGE_SERVICES - 1 };
	int err = 0;

	*set = c->n_services++;
	for (sp_u32 i = 0; i < line->services.n; i++) {
		const struct sp_portlist *list = &line->services.v[i].ports;

		for (sp_u32 k = 0; k < list->n && !err; k++) {
			const struct sp_ports *p = &list->v[k];

			err = p->proto == SP_PROTO_ANY ? sp_spans_add(&c->ports, first, last, *set) :
			      sp_compile_ports(c, p->proto, port ? port : p->low, port ? port : p->high, *set);
		}
	}
	return err;
}

static int mark_services(struct sp_compiler *c, const struct sp_sentence *line)
{
	int err = 0;

	for (sp_u32 i = 0; i < line->services.n; i++) {
		const struct sp_portlist *list = &line->services.v[i].ports;

		for (sp_u32 k = 0; k < list->n && !err; k++) {
			const struct sp_ports *p = &list->v[k];

			err = p->proto == SP_PROTO_ANY ? mark_forwards(c, 0, SP_IMAGE_SERVICES - 1) :
			      mark_forwards(c, sp_image_service(p->proto, p->low), sp_image_service(p->proto, p->high));
		}
	}
	return err;
}

/* IPv4: an address of this machine is asked for, which stands in the keys as a zone of its own. */
static int forward_v4(struct sp_compiler *c, struct sp_rule *rule, const struct sp_net *target, sp_u32 number)
{
	struct sp_image_order *o = &c->orders[number - SP_LINE_FIRST];

	memcpy(&o->to4, target->addr, 4);
	o->to_port = rule->line->target_port;
	rule->to = (struct sp_way){ SP_ZONE_BIT(SP_ZONE_FORWARD), SP_NO_SET };
	return mark_services(c, rule->line);
}

/* IPv6: the host itself is asked for, in whichever zone it lives but this machine and the outside. */
static int forward_v6(struct sp_compiler *c, struct sp_rule *rule, const struct sp_net *target)
{
	const sp_u32 not_there = SP_ZONE_BIT(SP_ZONE_NONE) | SP_ZONE_BIT(SP_ZONE_SELF) | SP_ZONE_BIT(SP_ZONE_OUTSIDE);

	rule->to = (struct sp_way){ SP_ZONES_TO & ~not_there, c->n_sets };
	return sp_compile_net(c, target, NULL, c->n_sets++);
}

int sp_compile_forward(struct sp_compiler *c, const struct sp_sentence *line, sp_u32 number)
{
	const struct sp_net *v4 = target_of(line, SP_NET_V4), *v6 = target_of(line, SP_NET_V6);
	struct sp_rule rule = { .line = line, .value = SP_RULE_ALLOW | number, .rank = !line->from.n };
	struct sp_way from[2];
	sp_u32 n_from = 0;
	int err = sp_compile_ways(c, line, &line->from, NULL, from, &n_from);

	if (!n_from)
		from[n_from++] = (struct sp_way){ SP_ZONES_FROM, SP_NO_SET };
	for (int six = 0; six < 2 && !err; six++) {
		if (six ? !v6 : !v4)
			continue;
		err = forward_services(c, line, six ? line->target_port : 0, &rule.services);
		if (!err)
			err = six ? forward_v6(c, &rule, v6) : forward_v4(c, &rule, v4, number);
		for (sp_u32 i = 0; i < n_from && !err; i++) {
			rule.from = from[i];
			rule.from.zones &= ~SP_ZONE_BIT(SP_ZONE_SELF); /* it does not come in, and may start anything */
			err = sp_compile_rule(c, &rule);
		}
	}
	return err;
}

/* Forwards of more than half of the ports of this protocol leave too few that no line names. */
static int covers_most(const struct sp_compiler *c, sp_u8 proto)
{
	const sp_u64 *w = c->forwards + sp_image_service(proto, 0) / 64;
	int n = 0;

	for (int i = 0; i < 65536 / 64; i++)
		n += __builtin_popcountll(w[i]);
	return n > 32768;
}

/* ---- nat ------------------------------------------------------------------------------------------------------------ */

static sp_u32 number_of(const struct sp_net *net)
{
	return (sp_u32)net->addr[0] << 24 | net->addr[1] << 16 | net->addr[2] << 8 | net->addr[3];
}

static int add_pool(struct sp_compiler *c, const struct sp_sentence *line, sp_u32 address)
{
	const sp_u32 raw = sp_hton32(address).raw;

	for (sp_u32 i = 0; i < c->more.pool_count; i++)
		if (c->pool[i] == raw)
			return 0;
	if (c->more.pool_count == SP_NAT_SLOTS)
		return sp_compile_refuse(c, line, -E2BIG, "more than 64 addresses to translate to, all pools together; "
					 "name fewer, each has 65,535 ports of every protocol");
	c->pool[c->more.pool_count++] = raw;
	return 0;
}

int sp_compile_nat(struct sp_compiler *c, const struct sp_sentence *line)
{
	int err = 0;

	if (line->nat == SP_NAT_OFF)
		c->more.flags |= SP_IMAGE_NAT_OFF;
	if (line->nat == SP_NAT_OPEN)
		c->more.flags |= SP_IMAGE_NAT_OPEN;
	for (sp_u32 i = 0; line->nat == SP_NAT_POOL && i < line->from.n; i++) {
		const struct sp_term *t = &line->from.v[i];
		const sp_u64 first = number_of(&t->net);
		sp_u64 last = t->kind == SP_TERM_RANGE ? number_of(&t->last) : first | 0xffffffffULL >> t->net.bits;

		for (sp_u64 at = first; at <= last && !err; at++)
			err = add_pool(c, line, (sp_u32)at);
	}
	return err;
}

/* ---- refuse --------------------------------------------------------------------------------------------------------- */

int sp_compile_refusals(struct sp_compiler *c)
{
	for (sp_u32 i = 1; i < SP_ZONE_FORWARD; i++)
		if (c->zones[i][0])
			c->more.reject |= (sp_u16)(SP_IMAGE_REJECT_DEFAULT & SP_ZONE_BIT(i));
	for (sp_u32 i = 0; i < c->policy->n_lines; i++) {
		const struct sp_sentence *line = c->policy->lines[i];
		int zone;

		if (line->kind != SP_KIND_REFUSE)
			continue;
		zone = sp_compile_zone(c, line->subject);
		if (zone < 0)
			return zone;
		if (line->refusal == SP_REFUSE_REJECT)
			c->more.reject |= (sp_u16)SP_ZONE_BIT(zone);
		else
			c->more.reject &= (sp_u16)~SP_ZONE_BIT(zone);
	}
	if (c->forwards && (covers_most(c, 6) || covers_most(c, 17)))
		c->more.flags |= SP_IMAGE_FORWARD_MOST;
	return 0;
}
