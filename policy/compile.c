/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler: sets and services to classes, lines to keys of classes, everything into one flat image.
 *
 *     lines --ways--> (zones, set) on either side --classes.c, suffix.c--> classes --expand--> keys --pack.c--> image
 */
#include "compiler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sp_compile_refuse(struct sp_compiler *c, const struct sp_sentence *line, int err, const char *what)
{
	snprintf(c->why, c->why_size, "%s:%u: %s: %s", line->at.file, line->at.line, line->name ? line->name : "line",
		 what);
	return err;
}

/* ---- zones ------------------------------------------------------------------------------------------------------ */

static int find_zone(const char (*names)[SP_IMAGE_NAME], const char *name)
{
	for (int i = 1; names && i < SP_ZONE_FORWARD; i++)
		if (!strcmp(names[i], name))
			return i;
	return 0;
}

int sp_compile_zone(struct sp_compiler *c, const char *name)
{
	int at = find_zone(c->zones, name);

	if (at)
		return at;
	/* conversations and interfaces carry the numbers of their zones: its own, or else one that nothing had */
	at = find_zone(c->before, name);
	for (int i = 1; i < SP_ZONE_FORWARD && !at; i++)
		if (!c->zones[i][0] && !(c->before && c->before[i][0]))
			at = i;
	for (int i = 1; i < SP_ZONE_FORWARD && !at; i++)
		if (!c->zones[i][0])
			at = i;
	if (!at || c->zones[at][0])
		return -E2BIG;
	snprintf(c->zones[at], sizeof(c->zones[at]), "%s", name);
	return at;
}

static int too_many_zones(struct sp_compiler *c, const struct sp_sentence *line)
{
	return sp_compile_refuse(c, line, -E2BIG, "more than 14 zones, with self, outside and inside");
}

/* Every zone of the configuration, those that were there before first. */
static int take_zones(struct sp_compiler *c)
{
	for (int old = 1; old >= 0; old--) {
		for (sp_u32 i = 0; i < c->policy->n_lines; i++) {
			const struct sp_sentence *line = c->policy->lines[i];

			if (line->kind != SP_KIND_ZONE || (old && !find_zone(c->before, line->subject)))
				continue;
			if (sp_compile_zone(c, line->subject) < 0)
				return too_many_zones(c, line);
		}
	}
	return 0;
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

static sp_u64 big_endian(const sp_u8 *b)
{
	sp_u64 v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | b[i];
	return v;
}

static void net_range(const struct sp_net *net, sp_u64 first[2], sp_u64 last[2])
{
	if (net->family == SP_NET_V4) {
		const sp_u64 mask = 0xffffffffULL >> net->bits;

		first[0] = last[0] = 0;
		first[1] = (big_endian(net->addr) >> 32) & ~mask;
		last[1] = first[1] | mask;
		return;
	}
	for (int half = 0; half < 2; half++) {
		const int bits = net->bits - 64 * half;
		const sp_u64 mask = bits >= 64 ? 0 : bits <= 0 ? ~0ULL : ~0ULL >> bits;

		first[half] = big_endian(net->addr + 8 * half) & ~mask;
		last[half] = first[half] | mask;
	}
}

static int add_suffix(struct sp_compiler *c, const struct sp_net *net, sp_u32 set)
{
	if (c->n_suffixes == c->cap_suffixes) {
		const sp_u32 cap = c->cap_suffixes ? c->cap_suffixes * 2 : 16;
		struct sp_suffix *v = realloc(c->suffixes, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->suffixes = v;
		c->cap_suffixes = cap;
	}
	c->suffixes[c->n_suffixes++] = (struct sp_suffix){ big_endian(net->addr + 8), set };
	return 0;
}

int sp_compile_net(struct sp_compiler *c, const struct sp_net *net, const struct sp_net *end, sp_u32 set)
{
	sp_u64 first[2], last[2], unused[2];

	if (net->suffix)
		return add_suffix(c, net, set);
	net_range(net, first, last);
	if (end)
		net_range(end, unused, last);
	return sp_spans_add(net->family == SP_NET_V4 ? &c->v4 : &c->v6, first, last, set);
}

/* Everything in a list of people but zones; names are followed. */
static int add_terms(struct sp_compiler *c, const struct sp_terms *terms, sp_u32 set)
{
	int err = 0;

	for (sp_u32 i = 0; i < terms->n && !err; i++) {
		const struct sp_term *t = &terms->v[i];

		if (t->kind == SP_TERM_NET || t->kind == SP_TERM_RANGE) {
			err = sp_compile_net(c, &t->net, t->kind == SP_TERM_RANGE ? &t->last : NULL, set);
		} else if ((t->kind == SP_TERM_HOST || t->kind == SP_TERM_SET) && t->def) {
			err = add_terms(c, &t->def->from, set);
			for (sp_u32 k = 0; k < t->def->nets.n && !err; k++)
				err = sp_compile_net(c, &t->def->nets.v[k], NULL, set);
		}
	}
	return err;
}

int sp_compile_ways(struct sp_compiler *c, const struct sp_sentence *line, const struct sp_terms *terms,
		    const struct sp_nets *nets, struct sp_way *out, sp_u32 *n)
{
	int has_addresses = nets && nets->n;
	sp_u32 zones = 0;

	*n = 0;
	for (sp_u32 i = 0; i < terms->n; i++) {
		const struct sp_term *t = &terms->v[i];

		if (t->kind == SP_TERM_ANY) {
			out[0] = (struct sp_way){ SP_ZONES_TO, SP_NO_SET };
			*n = 1;
			return 0;
		}
		if (t->kind == SP_TERM_ZONE) {
			const int zone = sp_compile_zone(c, t->text);

			if (zone < 0)
				return too_many_zones(c, line);
			zones |= SP_ZONE_BIT(zone);
		} else {
			has_addresses = 1;
		}
	}
	if (zones)
		out[(*n)++] = (struct sp_way){ zones, SP_NO_SET };
	if (!has_addresses)
		return 0;
	out[*n] = (struct sp_way){ SP_ZONES_TO, c->n_sets };
	for (sp_u32 k = 0; nets && k < nets->n; k++) {
		const int err = sp_compile_net(c, &nets->v[k], NULL, c->n_sets);

		if (err)
			return err;
	}
	(*n)++;
	return add_terms(c, terms, c->n_sets++);
}

int sp_compile_ports(struct sp_compiler *c, sp_u8 proto, sp_u16 first, sp_u16 last, sp_u32 set)
{
	const sp_u64 from[2] = { 0, sp_image_service(proto, first) }, to[2] = { 0, sp_image_service(proto, last) };
	const sp_u64 icmp6[2] = { 0, sp_image_service(58, 0) };

	if (sp_spans_add(&c->ports, from, to, set))
		return -ENOMEM;
	/* icmp is that of IPv4 and of IPv6 */
	return proto == 1 ? sp_spans_add(&c->ports, icmp6, icmp6, set) : 0;
}

/* A set of services; SP_NO_SET: any. Ports of one list that overlap are one cover: the sweep counts. */
static int services(struct sp_compiler *c, const struct sp_services *list, sp_u32 *set)
{
	*set = SP_NO_SET;
	for (sp_u32 i = 0; i < list->n; i++)
		for (sp_u32 k = 0; k < list->v[i].ports.n; k++)
			if (list->v[i].ports.v[k].proto == SP_PROTO_ANY)
				return 0;
	if (!list->n)
		return 0;
	*set = c->n_services++;
	for (sp_u32 i = 0; i < list->n; i++) {
		for (sp_u32 k = 0; k < list->v[i].ports.n; k++) {
			const struct sp_ports *p = &list->v[i].ports.v[k];

			if (sp_compile_ports(c, p->proto, p->low, p->high, *set))
				return -ENOMEM;
		}
	}
	return 0;
}

/* ---- lines to rules ----------------------------------------------------------------------------------------------- */

int sp_compile_rule(struct sp_compiler *c, const struct sp_rule *rule)
{
	if (c->n_rules == c->cap_rules) {
		const sp_u32 cap = c->cap_rules ? c->cap_rules * 2 : 256;
		struct sp_rule *v = realloc(c->rules, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->rules = v;
		c->cap_rules = cap;
	}
	c->rules[c->n_rules++] = *rule;
	return 0;
}

static int take_line(struct sp_compiler *c, const struct sp_sentence *line, sp_u32 number)
{
	const struct sp_way any = { SP_ZONES_TO, SP_NO_SET };
	struct sp_way from[2], to[2];
	sp_u32 n_from = 0, n_to = 0;
	struct sp_rule rule = { .line = line };
	int err;

	rule.value = number | (line->kind == SP_KIND_BLOCK ? SP_RULE_BLOCK : SP_RULE_ALLOW);
	err = services(c, &line->services, &rule.services);
	if (!err)
		err = sp_compile_ways(c, line, &line->from, &line->nets, from, &n_from);
	if (!err)
		err = sp_compile_ways(c, line, &line->to, NULL, to, &n_to);
	if (err)
		return err;
	if (line->kind == SP_KIND_OPEN) {
		if (!n_from)
			from[n_from++] = (struct sp_way){ SP_ZONE_BIT(SP_ZONE_OUTSIDE), SP_NO_SET };
		to[0] = (struct sp_way){ SP_ZONE_BIT(SP_ZONE_SELF), SP_NO_SET };
		n_to = 1;
	} else if (line->kind == SP_KIND_BLOCK && !n_to) {
		/* `block WHO`: neither from there nor to there */
		for (sp_u32 i = 0; i < n_from && !err; i++) {
			rule.from = any;
			rule.to = from[i];
			err = sp_compile_rule(c, &rule);
		}
		to[n_to++] = any;
	}
	for (sp_u32 i = 0; i < n_from && !err; i++) {
		for (sp_u32 k = 0; k < n_to && !err; k++) {
			rule.from = from[i];
			rule.to = to[k];
			err = sp_compile_rule(c, &rule);
		}
	}
	return err;
}

static void take_options(const struct sp_sentence *line, struct sp_image_order *o)
{
	o->flags = (line->log ? SP_ORDER_LOG : 0) | (line->refusal == SP_REFUSE_REJECT ? SP_ORDER_REJECT : 0) |
		   (line->refusal == SP_REFUSE_DROP ? SP_ORDER_DROP : 0);
	o->idle_s = line->idle_s;
	o->rate = line->rate;
	o->rate_per_s = line->rate_per_s;
	o->limit = line->limit;
}

static int take_lines(struct sp_compiler *c)
{
	const sp_u32 n = c->policy->n_lines ? c->policy->n_lines : 1;
	int err = 0;

	c->names = calloc(n, sizeof(*c->names));
	c->orders = calloc(n, sizeof(*c->orders));
	if (!c->names || !c->orders)
		return -ENOMEM;
	for (sp_u32 i = 0; i < c->policy->n_lines && !err; i++) {
		const struct sp_sentence *line = c->policy->lines[i];
		const sp_u32 number = SP_LINE_FIRST + c->n_names;

		if (line->kind == SP_KIND_NAT)
			err = sp_compile_nat(c, line);
		if (line->kind == SP_KIND_EXPRESS && line->is_on)
			c->more.flags |= SP_IMAGE_EXPRESS;
		if (line->kind != SP_KIND_BLOCK && line->kind != SP_KIND_OPEN && line->kind != SP_KIND_ALLOW &&
		    line->kind != SP_KIND_FORWARD)
			continue;
		if (number > SP_RULE_LINE)
			return sp_compile_refuse(c, line, -E2BIG, "more lines than an image can number");
		snprintf(c->names[c->n_names], SP_IMAGE_NAME, "%s", line->name);
		take_options(line, &c->orders[c->n_names++]);
		err = line->kind == SP_KIND_FORWARD ? sp_compile_forward(c, line, number) : take_line(c, line, number);
	}
	return err;
}

/* ---- rules to keys ------------------------------------------------------------------------------------------------ */

/* Order in the file has no meaning: of lines that are alike for a key, the one whose name comes first has it. */
static int by_rank(const void *x, const void *y)
{
	const struct sp_rule *a = x, *b = y;

	return a->rank != b->rank ? a->rank - b->rank : strcmp(a->line->name, b->line->name);
}

/* The classes of a set, or the one that means any. */
static const struct sp_nums *classes_of(const struct sp_classes *c, sp_u32 set, const struct sp_nums *any)
{
	return set == SP_NO_SET ? any : &c->of_set[set];
}

/*
 * Forwards of one service to two places are found when the file is checked, unless their senders are sets too large to be
 * looked into: then they meet here.
 */
static int clashes(const struct sp_compiler *c, const struct sp_rule *r, sp_u64 key)
{
	const sp_u32 had = sp_rules_get(&c->table, key) & SP_RULE_LINE, new_ = r->value & SP_RULE_LINE;
	const struct sp_image_order *a = &c->orders[had - SP_LINE_FIRST], *b = &c->orders[new_ - SP_LINE_FIRST];

	return had && !r->rank && (a->to4 != b->to4 || a->to_port != b->to_port);
}

static int put_key(struct sp_compiler *c, const struct sp_rule *r, sp_u64 key)
{
	if ((key >> 56 & 15) == SP_ZONE_FORWARD && clashes(c, r, key))
		return -EEXIST;
	return sp_rules_put(&c->table, key, r->value);
}

/* One rule, from one zone to another. */
static int put_keys(struct sp_compiler *c, const struct sp_rule *r, sp_u32 zone_from, sp_u32 zone_to)
{
	sp_u32 any_class = SP_CLASS_ANY, any_service = SP_SERVICE_ANY;
	const struct sp_nums any = { &any_class, 1, 1 }, every = { &any_service, 1, 1 };
	const struct sp_nums *src = classes_of(&c->people, r->from.set, &any);
	const struct sp_nums *dst = classes_of(&c->people, r->to.set, &any);
	const struct sp_nums *svc = classes_of(&c->services, r->services, &every);
	int err = 0;

	for (sp_u32 a = 0; a < src->n; a++)
		for (sp_u32 b = 0; b < dst->n; b++)
			for (sp_u32 k = 0; k < svc->n && !err; k++)
				err = put_key(c, r, SP_RULE_KEY((sp_u64)zone_from, (sp_u64)zone_to, src->v[a], dst->v[b],
								svc->v[k]));
	return err;
}

static int expand(struct sp_compiler *c)
{
	sp_u32 known = SP_ZONE_BIT(SP_ZONE_NONE) | SP_ZONE_BIT(SP_ZONE_FORWARD);
	int err = 0;

	for (sp_u32 i = 1; i < SP_ZONE_FORWARD; i++)
		if (c->zones[i][0])
			known |= SP_ZONE_BIT(i);
	if (c->n_rules)
		qsort(c->rules, c->n_rules, sizeof(*c->rules), by_rank);
	for (sp_u32 i = 0; i < c->n_rules && !err; i++) {
		const struct sp_rule *r = &c->rules[i];
		const sp_u32 from = r->from.zones & known & SP_ZONES_FROM, to = r->to.zones & known;

		for (sp_u32 zf = 0; zf < SP_ZONES_MAX && !err; zf++)
			for (sp_u32 zt = 0; zt < SP_ZONES_MAX && !err; zt++)
				if ((from & SP_ZONE_BIT(zf)) && (to & SP_ZONE_BIT(zt)))
					err = put_keys(c, r, zf, zt);
		if (err == -E2BIG)
			sp_compile_refuse(c, r->line, err, "too many combinations of networks and services; name fewer "
					  "networks on a side");
		if (err == -EEXIST)
			sp_compile_refuse(c, r->line, err, "some of its senders go elsewhere already, by another line with "
					  "'from'");
	}
	return err;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

/* IPv6 first: the classes of its intervals are the columns of the table of suffixes, and should be few. */
static int cut(struct sp_compiler *c)
{
	int err = sp_classes_init(&c->people, c->n_sets);

	if (!err)
		err = sp_classes_init(&c->services, c->n_services);
	if (!err)
		err = sp_classes_cut(&c->people, &c->v6, &c->v6_cut, &c->n_v6);
	if (!err)
		err = sp_compile_pairs(c);
	if (!err)
		err = sp_classes_cut(&c->people, &c->v4, &c->v4_cut, &c->n_v4);
	if (!err)
		err = sp_classes_cut(&c->services, &c->ports, &c->ports_cut, &c->n_ports);
	if (!err && (c->people.n >= SP_CLASS_ANY || c->services.n >= SP_SERVICE_ANY))
		err = -E2BIG;
	if (err == -E2BIG && !c->why[0])
		snprintf(c->why, c->why_size, "the networks or ports of its lines overlap in too many ways; gather those "
			 "that are treated alike in one set, or in a file");
	return err;
}

static int build(struct sp_compiler *c, struct sp_image *out)
{
	int err = sp_policy_print(c->policy, &c->text, &c->text_len);

	if (!err)
		err = take_zones(c);
	if (!err)
		err = take_lines(c);
	if (!err)
		err = sp_compile_refusals(c);
	if (!err)
		err = cut(c);
	if (!err)
		err = expand(c);
	return err ? err : sp_compile_pack(c, out);
}

int sp_policy_compile_after(const struct sp_policy *p, const char (*before)[SP_IMAGE_NAME], struct sp_image *out,
			    char *why, size_t size)
{
	struct sp_image image = {};
	struct sp_compiler c = { .policy = p, .before = before, .why = why, .why_size = size,
				 .zones = { "", "self", "outside", "inside" }, .v4.end = 1ULL << 32,
				 .ports.end = SP_IMAGE_SERVICES };
	int err;

	why[0] = 0;
	err = build(&c, &image);
	free(c.v4.v);
	free(c.v6.v);
	free(c.ports.v);
	free(c.suffixes);
	free(c.rules);
	free(c.table.v);
	free(c.names);
	free(c.orders);
	free(c.forwards);
	free(c.text);
	free(c.v4_cut);
	free(c.v6_cut);
	free(c.ports_cut);
	free(c.pairs.lows);
	free(c.pairs.classes);
	sp_classes_fini(&c.people);
	sp_classes_fini(&c.services);
	if (err == -ENOMEM)
		snprintf(why, size, "out of memory");
	if (err)
		return err;
	*out = image;
	return 0;
}

int sp_policy_compile(const struct sp_policy *p, struct sp_image *out, char *why, size_t size)
{
	return sp_policy_compile_after(p, NULL, out, why, size);
}
