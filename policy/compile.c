/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler: sets and services to classes, lines to keys of classes, everything into one flat image.
 *
 *     lines --ways()--> (zone, set) on either side --classes.c--> classes --expand()--> keys --pack()--> image
 */
#include "compile.h"

#include "../core/abi.h"
#include "classes.h"
#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_SET 0xffffffffu

/* One side of a line: a zone (0: any) and a set of addresses (NO_SET: any). */
struct way {
	sp_u8 zone;
	sp_u32 set;
};

/* A line as the expander sees it. */
struct rule {
	struct way from, to;
	sp_u32 services; /* set of services, or NO_SET */
	sp_u32 value; /* SP_RULE_BLOCK or SP_RULE_ALLOW, and the line */
	const struct sp_sentence *line;
};

struct compiler {
	const struct sp_policy *policy;
	char (*names)[SP_IMAGE_NAME]; /* line number SP_LINE_FIRST + i is names[i] */
	sp_u32 n_names;
	char zones[SP_ZONES_MAX][SP_IMAGE_NAME]; /* by number; "" where there is none */
	const char (*before)[SP_IMAGE_NAME]; /* SP_ZONES_MAX: the numbers that zones have already; NULL: none */
	char *text;
	size_t text_len;
	struct sp_image *out;
	char *why;
	size_t why_size;
	struct sp_spans v4, v6, ports;
	sp_u32 n_sets, n_services;
	struct rule *rules;
	sp_u32 n_rules, cap_rules;
	struct sp_rules table;
};

static int refuse(struct compiler *c, const struct sp_sentence *line, int err, const char *what)
{
	snprintf(c->why, c->why_size, "%s:%u: %s: %s", line->at.file, line->at.line, line->name ? line->name : "line",
		 what);
	return err;
}

/* ---- zones ------------------------------------------------------------------------------------------------------ */

/* Conversations carry the numbers of their zones: a name keeps the one that it had. */
static void keep_number(struct compiler *c, const char *name)
{
	for (int i = 1; c->before && i < SP_ZONE_FORWARD; i++)
		if (!strcmp(c->before[i], name) && !c->zones[i][0])
			snprintf(c->zones[i], sizeof(c->zones[i]), "%s", name);
}

/* A number that nothing has, better one that nothing had before. Negative: there are too many zones. */
static int free_number(const struct compiler *c)
{
	int had = -E2BIG;

	for (int i = SP_ZONE_FORWARD - 1; i > 0; i--)
		if (!c->zones[i][0] && c->before && c->before[i][0])
			had = i;
	for (int i = 1; i < SP_ZONE_FORWARD; i++)
		if (!c->zones[i][0] && !(c->before && c->before[i][0]))
			return i;
	return had;
}

/* Number of a zone by name; new names get the next one. Negative: there are too many. */
static int zone_number(struct compiler *c, const char *name)
{
	int i;

	for (i = 1; i < SP_ZONE_FORWARD; i++)
		if (!strcmp(c->zones[i], name))
			return i;
	i = free_number(c);
	if (i > 0)
		snprintf(c->zones[i], sizeof(c->zones[i]), "%s", name);
	return i;
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

static int add_net(struct compiler *c, const struct sp_sentence *line, const struct sp_net *net, const struct sp_net *end,
		   sp_u32 set)
{
	sp_u64 first[2], last[2], unused[2];

	if (net->suffix)
		return refuse(c, line, -ENOTSUP, "hosts by IPv6 suffix can not be carried out yet");
	net_range(net, first, last);
	if (end)
		net_range(end, unused, last);
	return sp_spans_add(net->family == SP_NET_V4 ? &c->v4 : &c->v6, first, last, set);
}

/* Everything in a list of people but zones; names are followed. */
static int add_terms(struct compiler *c, const struct sp_sentence *line, const struct sp_terms *terms, sp_u32 set)
{
	int err = 0;

	for (sp_u32 i = 0; i < terms->n && !err; i++) {
		const struct sp_term *t = &terms->v[i];

		if (t->kind == SP_TERM_NET || t->kind == SP_TERM_RANGE) {
			err = add_net(c, line, &t->net, t->kind == SP_TERM_RANGE ? &t->last : NULL, set);
		} else if ((t->kind == SP_TERM_HOST || t->kind == SP_TERM_SET) && t->def) {
			err = add_terms(c, line, &t->def->from, set);
			for (sp_u32 k = 0; k < t->def->nets.n && !err; k++)
				err = add_net(c, line, &t->def->nets.v[k], NULL, set);
		}
	}
	return err;
}

/* The ways that a list of people stands for: one for each zone in it, one for all addresses in it. */
static int ways(struct compiler *c, const struct sp_sentence *line, const struct sp_terms *terms, const struct sp_nets *nets,
		struct way *out, sp_u32 *n)
{
	int has_addresses = nets && nets->n;

	*n = 0;
	for (sp_u32 i = 0; i < terms->n; i++) {
		const struct sp_term *t = &terms->v[i];

		if (t->kind == SP_TERM_ANY) {
			out[0] = (struct way){ 0, NO_SET };
			*n = 1;
			return 0;
		}
		if (t->kind == SP_TERM_ZONE) {
			const int zone = zone_number(c, t->text);

			if (zone < 0 || *n >= SP_ZONES_MAX)
				return refuse(c, line, -E2BIG, "more than 14 zones, with self, outside and inside");
			out[(*n)++] = (struct way){ (sp_u8)zone, NO_SET };
		} else {
			has_addresses = 1;
		}
	}
	if (!has_addresses)
		return 0;
	out[*n] = (struct way){ 0, c->n_sets };
	for (sp_u32 k = 0; nets && k < nets->n; k++) {
		const int err = add_net(c, line, &nets->v[k], NULL, c->n_sets);

		if (err)
			return err;
	}
	(*n)++;
	return add_terms(c, line, terms, c->n_sets++);
}

/* A set of services; NO_SET: any. Ports of one list that overlap are one cover: the sweep counts. */
static int services(struct compiler *c, const struct sp_services *list, sp_u32 *set)
{
	*set = NO_SET;
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
			const sp_u64 first[2] = { 0, sp_image_service(p->proto, p->low) };
			const sp_u64 last[2] = { 0, sp_image_service(p->proto, p->high) };
			const sp_u64 icmp6[2] = { 0, sp_image_service(58, 0) };

			if (sp_spans_add(&c->ports, first, last, *set))
				return -ENOMEM;
			/* icmp is that of IPv4 and of IPv6 */
			if (p->proto == 1 && sp_spans_add(&c->ports, icmp6, icmp6, *set))
				return -ENOMEM;
		}
	}
	return 0;
}

/* ---- lines to rules ----------------------------------------------------------------------------------------------- */

static int add_rule(struct compiler *c, const struct rule *rule)
{
	if (c->n_rules == c->cap_rules) {
		const sp_u32 cap = c->cap_rules ? c->cap_rules * 2 : 256;
		struct rule *v = realloc(c->rules, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->rules = v;
		c->cap_rules = cap;
	}
	c->rules[c->n_rules++] = *rule;
	return 0;
}

static int take_line(struct compiler *c, const struct sp_sentence *line, sp_u32 number)
{
	struct way from[SP_ZONES_MAX + 1], to[SP_ZONES_MAX + 1];
	sp_u32 n_from = 0, n_to = 0;
	struct rule rule = { .line = line };
	int err;

	rule.value = number | (line->kind == SP_KIND_BLOCK ? SP_RULE_BLOCK : SP_RULE_ALLOW);
	err = services(c, &line->services, &rule.services);
	if (!err)
		err = ways(c, line, &line->from, &line->nets, from, &n_from);
	if (!err)
		err = ways(c, line, &line->to, NULL, to, &n_to);
	if (err)
		return err;
	if (line->kind == SP_KIND_OPEN) {
		if (!n_from)
			from[n_from++] = (struct way){ SP_ZONE_OUTSIDE, NO_SET };
		to[0] = (struct way){ SP_ZONE_SELF, NO_SET };
		n_to = 1;
	} else if (line->kind == SP_KIND_BLOCK && !n_to) {
		/* `block WHO`: neither from there nor to there */
		for (sp_u32 i = 0; i < n_from && !err; i++) {
			rule.from = (struct way){ 0, NO_SET };
			rule.to = from[i];
			err = add_rule(c, &rule);
		}
		to[n_to++] = (struct way){ 0, NO_SET };
	}
	for (sp_u32 i = 0; i < n_from && !err; i++) {
		for (sp_u32 k = 0; k < n_to && !err; k++) {
			rule.from = from[i];
			rule.to = to[k];
			err = add_rule(c, &rule);
		}
	}
	return err;
}

static int take_lines(struct compiler *c)
{
	c->names = calloc(c->policy->n_lines ? c->policy->n_lines : 1, sizeof(*c->names));
	if (!c->names)
		return -ENOMEM;
	for (sp_u32 i = 0; i < c->policy->n_lines; i++)
		if (c->policy->lines[i]->kind == SP_KIND_ZONE)
			keep_number(c, c->policy->lines[i]->subject);
	for (sp_u32 i = 0; i < c->policy->n_lines; i++) {
		const struct sp_sentence *line = c->policy->lines[i];
		const sp_u32 number = SP_LINE_FIRST + c->n_names;
		int err;

		if (line->kind == SP_KIND_ZONE && zone_number(c, line->subject) < 0)
			return refuse(c, line, -E2BIG, "more than 14 zones, with self, outside and inside");
		if (line->kind == SP_KIND_NAT || line->kind == SP_KIND_FORWARD)
			return refuse(c, line, -ENOTSUP, "translation can not be carried out yet");
		if (line->kind == SP_KIND_REFUSE || line->refusal == SP_REFUSE_REJECT)
			return refuse(c, line, -ENOTSUP, "rejecting can not be carried out yet; everything is dropped");
		if (line->kind != SP_KIND_BLOCK && line->kind != SP_KIND_OPEN && line->kind != SP_KIND_ALLOW)
			continue;
		if (line->log || line->idle_s || line->rate || line->limit)
			return refuse(c, line, -ENOTSUP, "log, idle, rate and limit can not be carried out yet");
		if (number > SP_RULE_LINE)
			return refuse(c, line, -E2BIG, "more lines than an image can number");
		snprintf(c->names[c->n_names++], SP_IMAGE_NAME, "%s", line->name);
		err = take_line(c, line, number);
		if (err)
			return err;
	}
	return 0;
}

/* ---- rules to keys ------------------------------------------------------------------------------------------------ */

/* The classes of a set, or the one that means any. */
static const struct sp_nums *classes_of(const struct sp_classes *c, sp_u32 set, const struct sp_nums *any)
{
	return set == NO_SET ? any : &c->of_set[set];
}

static int expand(struct compiler *c, const struct sp_classes *people, const struct sp_classes *ports)
{
	sp_u32 any_class = SP_CLASS_ANY, any_service = SP_SERVICE_ANY;
	const struct sp_nums any = { &any_class, 1, 1 }, every = { &any_service, 1, 1 };
	int err = 0;

	for (sp_u32 i = 0; i < c->n_rules; i++) {
		const struct rule *r = &c->rules[i];
		const struct sp_nums *src = classes_of(people, r->from.set, &any);
		const struct sp_nums *dst = classes_of(people, r->to.set, &any);
		const struct sp_nums *svc = classes_of(ports, r->services, &every);

		for (sp_u32 zf = 1; zf < SP_ZONE_FORWARD; zf++) {
			if (!c->zones[zf][0] || (r->from.zone && r->from.zone != zf))
				continue;
			/* zone 0: where a destination lives that no guarded interface leads to */
			for (sp_u32 zt = 0; zt < SP_ZONE_FORWARD; zt++) {
				if ((zt && !c->zones[zt][0]) || (r->to.zone && r->to.zone != zt))
					continue;
				for (sp_u32 a = 0; a < src->n; a++)
					for (sp_u32 b = 0; b < dst->n; b++)
						for (sp_u32 s = 0; s < svc->n && !err; s++)
							err = sp_rules_put(&c->table,
									   SP_RULE_KEY((sp_u64)zf, (sp_u64)zt, src->v[a],
										       dst->v[b], svc->v[s]), r->value);
				if (err == -E2BIG)
					return refuse(c, r->line, err, "too many combinations of networks and services; "
						      "name fewer networks on a side");
				if (err)
					return err;
			}
		}
	}
	return 0;
}

/* ---- keys to the image -------------------------------------------------------------------------------------------- */

static void pack_v4(struct sp_image_line *v, const struct sp_image_head *h, const struct sp_interval *in, sp_u32 n)
{
	sp_u64 *words = v[h->v4].w;
	sp_u32 *index = (sp_u32 *)v[h->index4].w;
	sp_u32 i = 0;

	for (sp_u32 k = 0; k < n; k++)
		words[k] = in[k].start[1] << 32 | in[k].class_;
	for (sp_u32 top = 0; top <= 65536; top++) {
		while (i < n && in[i].start[1] >> 16 < top)
			i++;
		index[top] = i;
	}
}

static int pack(struct compiler *c, const struct sp_classes *ports, struct sp_interval *v4, sp_u32 n4,
		struct sp_interval *v6, sp_u32 n6, struct sp_interval *svc, sp_u32 n_svc)
{
	struct sp_image_head h = { .magic = SP_IMAGE_MAGIC, .abi = SP_IMAGE_ABI, .v4_count = n4, .v6_count = n6 };
	const sp_u32 buckets = sp_rules_buckets(&c->table);
	struct sp_image_line *v;
	sp_u16 *table;

	if (!buckets)
		return -ENOMEM;
	h.index4 = 1;
	h.v4 = h.index4 + SP_IMAGE_INDEX4_LINES;
	h.v6 = h.v4 + (n4 + 7) / 8;
	h.services = h.v6 + (n6 + 1) / 2;
	h.rules = h.services + SP_IMAGE_SERVICE_LINES;
	h.rules_mask = buckets - 1;
	h.zones = h.rules + buckets;
	h.names = h.zones + SP_ZONES_MAX / 2;
	h.n_names = c->n_names;
	h.text = h.names + (c->n_names + 1) / 2;
	h.lines = h.text + (sp_u32)((c->text_len + 1 + 63) / 64);
	if (h.lines > SP_IMAGE_LINES_MAX || ports->n >= SP_SERVICE_ANY) {
		snprintf(c->why, c->why_size, "the compiled policy would be larger than %u MB",
			 (unsigned)(SP_IMAGE_LINES_MAX >> 14));
		return -E2BIG;
	}
	v = calloc(h.lines, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memcpy(v, &h, sizeof(h));
	pack_v4(v, &h, v4, n4);
	for (sp_u32 k = 0; k < n6; k++) {
		sp_u64 *w = &v[h.v6].w[0] + 4 * (size_t)k;

		w[0] = v6[k].start[0];
		w[1] = v6[k].start[1];
		w[2] = v6[k].class_;
	}
	table = (sp_u16 *)v[h.services].w;
	for (sp_u32 k = 0; k < n_svc; k++)
		for (sp_u64 at = svc[k].start[1]; at < (k + 1 < n_svc ? svc[k + 1].start[1] : SP_IMAGE_SERVICES); at++)
			table[at] = (sp_u16)svc[k].class_;
	if (sp_rules_pack(&c->table, v + h.rules, h.rules_mask)) {
		free(v);
		return -ENOMEM;
	}
	memcpy(&v[h.zones], c->zones, sizeof(c->zones));
	memcpy(&v[h.names], c->names, c->n_names * sizeof(*c->names));
	memcpy(&v[h.text], c->text, c->text_len);
	c->out->v = v;
	c->out->n = h.lines;
	return 0;
}

static int build(struct compiler *c)
{
	struct sp_interval *v4 = NULL, *v6 = NULL, *svc = NULL;
	struct sp_classes people = {}, ports = {};
	sp_u32 n4 = 0, n6 = 0, n_svc = 0;
	int err = sp_policy_print(c->policy, &c->text, &c->text_len);

	if (!err)
		err = take_lines(c);
	if (err)
		return err;
	err = sp_classes_init(&people, c->n_sets);
	if (!err)
		err = sp_classes_init(&ports, c->n_services);
	if (!err)
		err = sp_classes_cut(&people, &c->v4, &v4, &n4);
	if (!err)
		err = sp_classes_cut(&people, &c->v6, &v6, &n6);
	if (!err)
		err = sp_classes_cut(&ports, &c->ports, &svc, &n_svc);
	if (!err && people.n >= SP_CLASS_ANY)
		err = -E2BIG;
	if (err == -E2BIG)
		snprintf(c->why, c->why_size, "the networks or ports of its lines overlap in too many ways; gather those "
			 "that are treated alike in one set, or in a file");
	if (!err)
		err = expand(c, &people, &ports);
	if (!err)
		err = pack(c, &ports, v4, n4, v6, n6, svc, n_svc);
	free(v4);
	free(v6);
	free(svc);
	sp_classes_fini(&people);
	sp_classes_fini(&ports);
	return err;
}

int sp_policy_compile(const struct sp_policy *p, struct sp_image *out, char *why, size_t size)
{
	return sp_policy_compile_after(p, NULL, out, why, size);
}

int sp_policy_compile_after(const struct sp_policy *p, const char (*before)[SP_IMAGE_NAME], struct sp_image *out, char *why,
			    size_t size)
{
	struct sp_image image = {};
	struct compiler c = { .policy = p, .before = before, .out = &image, .why = why, .why_size = size,
			      .zones = { "", "self", "outside", "inside" },
			      .v4.end = 1ULL << 32, .ports.end = SP_IMAGE_SERVICES };
	int err;

	snprintf(why, size, "out of memory");
	err = build(&c);
	free(c.v4.v);
	free(c.v6.v);
	free(c.ports.v);
	free(c.rules);
	free(c.table.v);
	free(c.names);
	free(c.text);
	if (err)
		return err;
	*out = image;
	return 0;
}
