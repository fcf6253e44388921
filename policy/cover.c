/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packets a line is about, as far as needed to say that one line includes another. All answers are on the safe
 * side: "covers" means surely, for every packet; sets that are too large to be looked into cover only themselves.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const struct sp_term outside_term = { .kind = SP_TERM_ZONE, .text = "outside" };
static const struct sp_term self_term = { .kind = SP_TERM_ZONE, .text = "self" };

struct people {
	const struct sp_term *v;
	sp_u32 n;
	int only_outside; /* addresses among them count only at the outside */
};

struct nets {
	const struct sp_net *v;
	sp_u32 n;
};

/* ---- what hosts and sets mean ---------------------------------------------------------------------- */

static int add_net(struct sp_policy *p, struct sp_nets *out, const struct sp_net *net)
{
	struct sp_net *slot;

	if (out->n == SP_POLICY_FLAT_MAX)
		return -E2BIG;
	slot = SP_ADD(p, out);
	if (!slot)
		return -ENOMEM;
	*slot = *net;
	return 0;
}

/* depth: a set that contains itself has been reported, but is still in the tree */
static int flatten(struct sp_policy *p, const struct sp_sentence *def, struct sp_nets *out, int depth)
{
	sp_u32 i;
	int rc = depth > SP_POLICY_NEST_MAX || def->is_broken ? -E2BIG : 0;

	for (i = 0; i < def->nets.n && !rc; i++)
		rc = add_net(p, out, &def->nets.v[i]);
	for (i = 0; i < def->from.n && !rc; i++) {
		const struct sp_term *term = &def->from.v[i];

		if (term->kind == SP_TERM_NET)
			rc = add_net(p, out, &term->net);
		else
			rc = term->def ? flatten(p, term->def, out, depth + 1) : -E2BIG;
	}
	return rc;
}

int sp_cover_flatten(struct sp_policy *p)
{
	sp_u32 i;

	for (i = 0; i < p->n_lines; i++) {
		struct sp_sentence *line = p->lines[i];
		int rc;

		if (line->kind != SP_KIND_HOST && line->kind != SP_KIND_SET &&
		    !(line->kind == SP_KIND_BLOCK && line->path))
			continue;
		rc = flatten(p, line, &line->flat, 0);
		if (rc == -ENOMEM)
			return rc;
		line->is_flat = !rc;
	}
	return 0;
}

/* Those of a term; n is 0 if it is not about addresses, or about too many. */
static struct nets nets_of(const struct sp_term *term)
{
	if (term->kind == SP_TERM_NET)
		return (struct nets){ &term->net, 1 };
	if ((term->kind == SP_TERM_HOST || term->kind == SP_TERM_SET) && term->def->is_flat)
		return (struct nets){ term->def->flat.v, term->def->flat.n };
	return (struct nets){ NULL, 0 };
}

static int nets_cover(struct nets a, struct nets b)
{
	sp_u32 i, j;

	for (i = 0; i < b.n; i++) {
		for (j = 0; j < a.n && !sp_net_covers(&a.v[j], &b.v[i]); j++)
			;
		if (j == a.n)
			return 0;
	}
	return b.n > 0;
}

/* ---- people -------------------------------------------------------------------------------------------- */

static int term_covers(const struct sp_term *a, const struct sp_term *b)
{
	if (a->kind == SP_TERM_ANY)
		return 1;
	if (a->kind == SP_TERM_ZONE)
		return b->kind == SP_TERM_ZONE && !strcmp(a->text, b->text);
	if (a->def && a->def == b->def)
		return 1;
	return nets_cover(nets_of(a), nets_of(b));
}

static int is_addresses(const struct sp_term *term)
{
	return term->kind == SP_TERM_NET || term->kind == SP_TERM_HOST || term->kind == SP_TERM_SET;
}

static int people_cover(struct people a, struct people b)
{
	sp_u32 i, j;

	for (i = 0; i < b.n; i++) {
		for (j = 0; j < a.n; j++) {
			if (b.only_outside && is_addresses(&b.v[i]) && term_covers(&a.v[j], &outside_term))
				break;
			if (a.only_outside && is_addresses(&a.v[j]) && !b.only_outside)
				continue;
			if (term_covers(&a.v[j], &b.v[i]))
				break;
		}
		if (j == a.n)
			return 0;
	}
	return 1;
}

static struct people from_of(const struct sp_sentence *line)
{
	int is_door = line->kind == SP_KIND_OPEN || line->kind == SP_KIND_FORWARD;

	if (is_door && !line->from.n)
		return (struct people){ &outside_term, 1, 0 };
	return (struct people){ line->from.v, line->from.n, is_door };
}

static struct people to_of(const struct sp_sentence *line)
{
	if (line->kind == SP_KIND_OPEN)
		return (struct people){ &self_term, 1, 0 };
	if (line->kind == SP_KIND_FORWARD)
		return (struct people){ &line->target, 1, 0 };
	return (struct people){ line->to.v, line->to.n, 0 };
}

int sp_cover_from(const struct sp_sentence *a, const struct sp_sentence *b)
{
	return people_cover(from_of(a), from_of(b));
}

int sp_cover_to(const struct sp_sentence *a, const struct sp_sentence *b)
{
	return people_cover(to_of(a), to_of(b));
}

/* Some sender surely is meant by both. */
int sp_cover_from_overlap(const struct sp_sentence *a, const struct sp_sentence *b)
{
	struct people x = from_of(a), y = from_of(b);
	sp_u32 i, j, k, l;

	for (i = 0; i < x.n; i++) {
		for (j = 0; j < y.n; j++) {
			struct nets m = nets_of(&x.v[i]), n = nets_of(&y.v[j]);

			if (term_covers(&x.v[i], &y.v[j]) || term_covers(&y.v[j], &x.v[i]))
				return 1;
			if (a->from.n == 0 || b->from.n == 0)
				continue; /* who says from whom is the exception to who does not */
			for (k = 0; k < m.n; k++)
				for (l = 0; l < n.n; l++)
					if (sp_net_overlap(&m.v[k], &n.v[l]))
						return 1;
		}
	}
	return 0;
}

/* ---- services, and all of it ------------------------------------------------------------------------------ */

int sp_cover_services(const struct sp_sentence *a, const struct sp_sentence *b)
{
	static const struct sp_ports every[] = { { .proto = SP_PROTO_ANY, .high = 65535 } };
	static const struct sp_service any_service = { .ports = { (struct sp_ports *)every, 1, 1 } };
	const struct sp_service *as = a->services.n ? a->services.v : &any_service;
	const struct sp_service *bs = b->services.n ? b->services.v : &any_service;
	sp_u32 an = a->services.n ? a->services.n : 1, bn = b->services.n ? b->services.n : 1, i, j;

	for (i = 0; i < bn; i++) {
		for (j = 0; j < an && !sp_portlist_covers(&as[j].ports, &bs[i].ports); j++)
			;
		if (j == an)
			return 0;
	}
	return 1;
}

int sp_cover_is_permission(const struct sp_sentence *line)
{
	return line->kind == SP_KIND_OPEN || line->kind == SP_KIND_ALLOW || line->kind == SP_KIND_FORWARD;
}

int sp_cover_has_options(const struct sp_sentence *line)
{
	return line->log || line->idle_s || line->rate || line->limit || line->refusal;
}

/* `block WHO` and `block file` are about both directions. */
int sp_cover_block(const struct sp_sentence *block, const struct sp_sentence *line)
{
	struct sp_term file = { .kind = SP_TERM_SET, .text = "", .def = block };
	struct people who = { block->from.v, block->from.n, 0 };

	if (block->to.n && line->kind == SP_KIND_BLOCK && !line->to.n)
		return 0;
	if (block->services.n && line->target_port)
		return 0; /* the port changes on the way */
	if (block->to.n)
		return sp_cover_services(block, line) && sp_cover_from(block, line) && sp_cover_to(block, line);
	if (block->path)
		who = (struct people){ &file, 1, 0 };
	if (line->kind == SP_KIND_BLOCK && !line->to.n)
		return line->from.n && people_cover(who, from_of(line));
	return people_cover(who, from_of(line)) || people_cover(who, to_of(line));
}

/* Self may start anything; the inside may start to the outside and to self (design: who may start). */
int sp_cover_built_in(const struct sp_sentence *line)
{
	static const struct sp_term inside_term = { .kind = SP_TERM_ZONE, .text = "inside" };
	static const struct sp_term reach[] = { { .kind = SP_TERM_ZONE, .text = "outside" },
						{ .kind = SP_TERM_ZONE, .text = "self" } };
	const struct people self = { &self_term, 1, 0 }, inside = { &inside_term, 1, 0 }, there = { reach, 2, 0 };

	if (line->kind != SP_KIND_OPEN && line->kind != SP_KIND_ALLOW)
		return 0;
	return people_cover(self, from_of(line)) ||
	       (people_cover(inside, from_of(line)) && people_cover(there, to_of(line)));
}
