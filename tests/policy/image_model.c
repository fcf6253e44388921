/* SPDX-License-Identifier: BSD-2-Clause */
/* From text to both forms, and an evaluator that walks the tree as sally.conf(5) says, with nothing compiled. */
#include "image_test.h"

#include "../../policy/compile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SELF = 1, OUTSIDE = 2 };

/* ---- text to model ------------------------------------------------------------------------------------------------
 */

static int give_file(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	const char *text = !strcmp(path, "services") ? "" : ctx; /* names of services: the built-in ones */

	if (strcmp(path, "services") && strcmp(path, "bad.txt"))
		return -ENOENT;
	*len = strlen(text);
	if (*len > max)
		return -EFBIG;
	*data = strdup(text);
	return *data ? 0 : -ENOMEM;
}

static int give_list(void *ctx, const char *pattern, char ***paths, size_t *n)
{
	return -ENOENT;
}

static void die(const char *what, const char *why, const char *text)
{
	if (strlen(text) < 20000)
		fprintf(stderr, "%s\n", text);
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

int model_try(struct model *m, const char *text, const char *bad, char *why, size_t size)
{
	const struct sp_policy_io io = { .ctx = (void *)bad, .read = give_file, .list = give_list };
	const struct sp_policy_options options = { .io = &io, .services = "services" };
	int err;

	memset(m, 0, sizeof(*m));
	if (sp_policy_load_text("random", text, strlen(text), &options, &m->policy))
		die("sp_policy_load_text", "no memory", text);
	for (sp_u32 i = 0; m->policy->errors && i < m->policy->n_diags; i++)
		if (m->policy->diags[i].severity == SP_SEVERITY_ERROR)
			die("the configuration has errors", m->policy->diags[i].message, text);
	err = sp_policy_compile(m->policy, &m->image, why, size);
	if (err)
		return err;
	if (sp_image_check(m->image.v, m->image.n, why, size))
		die("sp_image_check refuses what sp_policy_compile made", why, text);
	return 0;
}

int text_is_good(const char *text)
{
	const struct sp_policy_io io = { .ctx = (void *)bad_networks, .read = give_file, .list = give_list };
	const struct sp_policy_options options = { .io = &io, .services = "services" };
	struct sp_policy *p = NULL;
	int good;

	if (sp_policy_load_text("random", text, strlen(text), &options, &p))
		die("sp_policy_load_text", "no memory", text);
	good = !p->errors;
	sp_policy_free(p);
	return good;
}

void model_init(struct model *m, const char *text, const char *bad)
{
	char why[300] = "";

	if (model_try(m, text, bad, why, sizeof(why)))
		die("sp_policy_compile", why, text);
	m->text = strdup(text);
}

void model_fini(struct model *m)
{
	sp_policy_free(m->policy);
	sp_image_free(&m->image);
	free(m->text);
	memset(m, 0, sizeof(*m));
}

/* ---- the evaluator ------------------------------------------------------------------------------------------------
 */

static int net_has(const struct sp_net *net, sp_u8 family, const sp_u8 *a)
{
	if (net->family != family)
		return 0;
	if (net->suffix)
		return !memcmp(net->addr + 8, a + 8, 8);
	for (int bit = 0; bit < net->bits; bit++)
		if ((net->addr[bit / 8] ^ a[bit / 8]) >> (7 - bit % 8) & 1)
			return 0;
	return 1;
}

static int nets_have(const struct sp_nets *nets, sp_u8 family, const sp_u8 *a)
{
	for (sp_u32 i = 0; i < nets->n; i++)
		if (net_has(&nets->v[i], family, a))
			return 1;
	return 0;
}

static int addresses_have(const struct sp_terms *terms, sp_u8 family, const sp_u8 *a)
{
	for (sp_u32 i = 0; i < terms->n; i++) {
		const struct sp_term *t = &terms->v[i];

		if (t->kind == SP_TERM_NET && net_has(&t->net, family, a))
			return 1;
		if ((t->kind == SP_TERM_HOST || t->kind == SP_TERM_SET) &&
		    (nets_have(&t->def->nets, family, a) || addresses_have(&t->def->from, family, a)))
			return 1;
	}
	return 0;
}

/* How a list of people means somebody; the first one counts for more. "Any" makes the rest of a list meaningless. */
enum hit { BY_ADDRESS, BY_ZONE, NOT };

static enum hit meant(const struct model *m, const struct sp_terms *terms, const struct sp_nets *nets, sp_u8 zone,
		      sp_u8 family, const sp_u8 *a)
{
	enum hit hit = NOT;

	for (sp_u32 i = 0; i < terms->n; i++) {
		const struct sp_term *t = &terms->v[i];

		if (t->kind == SP_TERM_ANY)
			return BY_ZONE;
		if (t->kind == SP_TERM_ZONE && zone && !strcmp(t->text, sp_image_zone_name(m->image.v, zone)))
			hit = BY_ZONE;
	}
	return addresses_have(terms, family, a) || (nets && nets_have(nets, family, a)) ? BY_ADDRESS : hit;
}

static int has_ports(sp_u8 proto)
{
	return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
}

/* BY_ADDRESS: it is named. port: in place of those of the list, or 0. */
static enum hit served(const struct sp_services *list, const struct talk *t, sp_u16 port)
{
	enum hit hit = list->n ? NOT : BY_ZONE;

	for (sp_u32 i = 0; i < list->n; i++) {
		for (sp_u32 k = 0; k < list->v[i].ports.n; k++) {
			const struct sp_ports *p = &list->v[i].ports.v[k];
			const sp_u16 low = port ? port : p->low, high = port ? port : p->high;

			if (p->proto == SP_PROTO_ANY)
				return BY_ZONE;
			if (p->proto == 1 && (t->proto == 1 || t->proto == 58))
				hit = BY_ADDRESS;
			if (p->proto == t->proto && (!has_ports(t->proto) || (t->dport >= low && t->dport <= high)))
				hit = BY_ADDRESS;
		}
	}
	return hit;
}

/* Who the line means, less to more loosely: services count most, then where to, then where from. */
static int loose(enum hit from, enum hit to, enum hit service)
{
	return from == NOT || to == NOT || service == NOT ? -1 : (int)from | (int)to << 1 | (int)service << 2;
}

static int closer(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

static int target_is(const struct sp_sentence *line, sp_u8 family, const sp_u8 *a)
{
	const struct sp_term *t = &line->target;

	return t->kind == SP_TERM_NET ? net_has(&t->net, family, a) : addresses_have(&t->def->from, family, a);
}

/* Does the line forward t? IPv4 asks for an address of this machine (zone FORWARD), IPv6 for the host. */
static int forwards(const struct model *m, const struct sp_sentence *line, const struct talk *t)
{
	const enum hit from = line->from.n ? meant(m, &line->from, NULL, t->from, t->family, t->src) : BY_ZONE;
	const struct sp_term *target = &line->target;
	int has_v4 = target->kind == SP_TERM_NET && target->net.family == SP_NET_V4;

	if (t->from == SELF)
		return -1;
	for (sp_u32 i = 0; target->kind == SP_TERM_HOST && i < target->def->from.n; i++)
		has_v4 |= target->def->from.v[i].net.family == SP_NET_V4;
	if (t->to == SP_ZONE_FORWARD)
		return has_v4 && served(&line->services, t, 0) != NOT ? loose(from, BY_ZONE, BY_ADDRESS) : -1;
	if (t->family != 6 || t->to == 0 || t->to == SELF || t->to == OUTSIDE || !target_is(line, 6, t->dst) ||
	    served(&line->services, t, line->target_port) == NOT)
		return -1;
	return loose(from, BY_ADDRESS, BY_ADDRESS);
}

/* -1: it says nothing of t; else how loosely it speaks of it. */
static int speaks(const struct model *m, const struct sp_sentence *line, const struct talk *t)
{
	const enum hit from = meant(m, &line->from, &line->nets, t->from, t->family, t->src);
	const enum hit from_to = meant(m, &line->from, &line->nets, t->to, t->family, t->dst);
	const enum hit to = meant(m, &line->to, NULL, t->to, t->family, t->dst), service = served(&line->services, t, 0);

	if (line->kind == SP_KIND_FORWARD)
		return forwards(m, line, t);
	if (t->to == SP_ZONE_FORWARD)
		return -1;
	if (line->kind == SP_KIND_OPEN && t->to == SELF)
		return loose(line->from.n ? from : t->from == OUTSIDE ? BY_ZONE : NOT, BY_ZONE, service);
	if (line->kind == SP_KIND_BLOCK && !line->to.n) /* neither from them nor to them */
		return closer(loose(from, BY_ZONE, BY_ZONE), loose(BY_ZONE, from_to, BY_ZONE));
	return line->kind == SP_KIND_ALLOW || line->kind == SP_KIND_BLOCK ? loose(from, to, service) : -1;
}

enum says model_says(const struct model *m, const struct talk *t, const struct sp_sentence **which)
{
	const struct sp_sentence *best = NULL;
	int best_loose = 0;

	for (sp_u32 i = 0; i < m->policy->n_lines; i++) {
		const struct sp_sentence *line = m->policy->lines[i];
		const int how = speaks(m, line, t), block = line->kind == SP_KIND_BLOCK;
		int order;

		if (how < 0)
			continue;
		/* block first; then who says it most closely; a forward with `from`; then the name */
		order = !best ? -1 : (best->kind == SP_KIND_BLOCK) - block;
		order = order ? order : how - best_loose;
		order = order ? order : (line->kind == SP_KIND_FORWARD && !line->from.n) -
					(best->kind == SP_KIND_FORWARD && !best->from.n);
		if (order > 0 || (!order && strcmp(line->name, best->name) > 0))
			continue;
		best = line;
		best_loose = how;
	}
	if (which)
		*which = best;
	return !best ? SAYS_NOTHING : best->kind == SP_KIND_BLOCK ? SAYS_BLOCK : SAYS_ALLOW;
}

const char *model_name(const struct sp_sentence *line)
{
	return line ? line->name : "";
}
