/* SPDX-License-Identifier: BSD-2-Clause */
/* From the sentences as they were written to the checked tree: every name resolved, every contradiction reported. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define TWICE_MAX 1000 /* words of a list up to which repetitions are looked for */

static const char of_people[] = "a zone, host or set of this configuration, an address, or a network";
static const char of_services[] =
	"a service of the system or of this configuration, tcp/8443, udp/5000-5010, icmp, 'any'";

int sp_check_is_zone(const char *name)
{
	return !strcmp(name, "outside") || !strcmp(name, "inside") || !strcmp(name, "self");
}

static int is_definition(const struct sp_sentence *line)
{
	return line->subject && line->kind <= SP_KIND_SERVICE;
}

static int error(struct sp_policy *p, const struct sp_span *at, const char *expected, const char *suggestion,
		 const char *message)
{
	return message ? sp_diag_add(p, SP_SEVERITY_ERROR, at, expected, suggestion, "%s", message) : -ENOMEM;
}

/* ---- definitions --------------------------------------------------------------------------------- */

static int compare_name(int is_service, const char *name, const struct sp_sentence *line)
{
	int other = line->kind == SP_KIND_SERVICE;

	return is_service != other ? is_service - other : strcmp(name, line->subject);
}

static int by_subject(const void *a, const void *b)
{
	const struct sp_sentence *x = *(const struct sp_sentence *const *)a, *y = *(const struct sp_sentence *const *)b;
	int d = compare_name(x->kind == SP_KIND_SERVICE, x->subject, y);

	return d ? d : x->mark - y->mark;
}

struct sp_sentence *sp_check_find(const struct sp_policy *p, enum sp_kind kind, const char *name)
{
	int is_service = kind == SP_KIND_SERVICE;
	sp_u32 low = 0, high = p->priv->n_subjects;
	struct sp_sentence **v = p->priv->by_subject;

	while (low < high) {
		sp_u32 mid = (low + high) / 2;

		if (compare_name(is_service, name, v[mid]) > 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->priv->n_subjects && !compare_name(is_service, name, v[low]) ? v[low] : NULL;
}

static int defined_twice(struct sp_policy *p, const struct sp_sentence *line)
{
	const struct sp_sentence *first = sp_check_find(p, line->kind, line->subject);

	if (line->kind != SP_KIND_ZONE && line->kind != SP_KIND_SERVICE && sp_check_is_zone(line->subject))
		return error(p, &line->subject_at, "another name", NULL,
			     sp_mem_printf(p, "'%s' is a zone, it can not name a %s", line->subject,
					   sp_kind_name(line->kind)));
	if (first == line || (first->kind == SP_KIND_ZONE && line->kind == SP_KIND_ZONE))
		return 0;
	return error(p, &line->subject_at, "another name", NULL,
		     sp_mem_printf(p, "'%s' is a %s already, in %s:%u", line->subject, sp_kind_name(first->kind),
				   first->at.file, first->at.line));
}

static int index_definitions(struct sp_policy *p)
{
	struct sp_policy_priv *v = p->priv;
	sp_u32 i;
	int rc = 0;

	v->by_subject = sp_mem_get(p, (p->n_lines + 1) * sizeof(*v->by_subject));
	if (!v->by_subject)
		return -ENOMEM;
	for (i = 0; i < p->n_lines; i++) {
		p->lines[i]->mark = (int)i;
		if (is_definition(p->lines[i]))
			v->by_subject[v->n_subjects++] = p->lines[i];
	}
	qsort(v->by_subject, v->n_subjects, sizeof(*v->by_subject), by_subject);
	for (i = 0; i < v->n_subjects && !rc; i++)
		rc = defined_twice(p, v->by_subject[i]);
	for (i = 0; i < p->n_lines; i++)
		p->lines[i]->mark = 0;
	return rc;
}

/* ---- interfaces ------------------------------------------------------------------------------------ */

struct use {
	const struct sp_term *term;
	const struct sp_sentence *line;
	sp_u32 number;
};

static int by_interface(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int d = strcmp(x->term->text, y->term->text);

	return d ? d : x->number < y->number ? -1 : 1;
}

static int check_interfaces(struct sp_policy *p)
{
	struct {
		struct use *v;
		sp_u32 n, cap;
	} uses = { 0 };
	sp_u32 i, j;
	int rc = 0;

	for (i = 0; i < p->n_lines; i++) {
		for (j = 0; p->lines[i]->kind == SP_KIND_ZONE && j < p->lines[i]->from.n; j++) {
			struct use *use = SP_ADD(p, &uses);

			if (!use)
				return -ENOMEM;
			*use = (struct use){ &p->lines[i]->from.v[j], p->lines[i], uses.n };
		}
	}
	if (uses.n)
		qsort(uses.v, uses.n, sizeof(*uses.v), by_interface);
	for (i = 1; i < uses.n && !rc; i++) {
		const struct use *a = &uses.v[i - 1], *b = &uses.v[i];

		if (!strcmp(a->term->text, b->term->text))
			rc = error(p, &b->term->at, "each interface in one zone, once", NULL,
				   sp_mem_printf(p, "'%s' is in zone %s already, in %s:%u", b->term->text,
						 a->line->subject, a->term->at.file, a->term->at.line));
	}
	return rc;
}

/* ---- people ----------------------------------------------------------------------------------------- */

static int unknown_person(struct sp_policy *p, const struct sp_term *term)
{
	struct sp_portlist ports = { NULL, 0, 0 };
	struct sp_guess g;
	sp_u32 i;
	int rc;

	sp_guess_init(&g, term->text);
	sp_guess_try(&g, "outside");
	sp_guess_try(&g, "inside");
	sp_guess_try(&g, "self");
	sp_guess_try(&g, "any");
	if (!strcmp(term->text, "all") || !strcmp(term->text, "everyone") || !strcmp(term->text, "anyone"))
		g.best = "any";
	for (i = 0; i < p->priv->n_subjects; i++)
		if (p->priv->by_subject[i]->kind != SP_KIND_SERVICE)
			sp_guess_try(&g, p->priv->by_subject[i]->subject);
	rc = g.best ? -ENOENT : sp_services_find(p, term->text, SP_PROTO_ANY, &ports);
	if (rc && rc != -ENOENT)
		return rc;
	if (!rc)
		return error(p, &term->at, of_people, NULL,
			     sp_mem_printf(p, "'%s' is a service, it goes behind ':' as in 'block any -> any : %s'",
					   term->text, term->text));
	if (!g.best && strchr(term->text, '.'))
		return error(p, &term->at, "an address, or a host that a line defines: 'host NAME = ADDRESS'", NULL,
			     sp_mem_printf(p, "there is no '%s'; names are not looked up in the network", term->text));
	return error(p, &term->at, of_people, g.best,
		     sp_mem_printf(p, "there is no zone, host or set '%s'", term->text));
}

static int resolve_term(struct sp_policy *p, struct sp_term *term)
{
	struct sp_sentence *def;

	if (term->kind != SP_TERM_NAME)
		return 0;
	if (sp_check_is_zone(term->text)) {
		term->kind = SP_TERM_ZONE;
		return 0;
	}
	def = sp_check_find(p, SP_KIND_ZONE, term->text);
	if (!def)
		return unknown_person(p, term);
	def->is_used = 1;
	term->def = def;
	term->kind = def->kind == SP_KIND_ZONE ? SP_TERM_ZONE : def->kind == SP_KIND_HOST ? SP_TERM_HOST : SP_TERM_SET;
	return 0;
}

static int is_same_term(const struct sp_term *a, const struct sp_term *b)
{
	if (a->kind != b->kind)
		return 0;
	if (a->kind == SP_TERM_NET)
		return !memcmp(&a->net, &b->net, sizeof(a->net));
	return a->kind == SP_TERM_ANY || (a->kind != SP_TERM_RANGE && !strcmp(a->text, b->text));
}

static int named_twice(struct sp_policy *p, const struct sp_terms *list)
{
	sp_u32 i, j;

	for (i = 0; i < list->n && list->n <= TWICE_MAX; i++) {
		const struct sp_term *term = &list->v[i];

		if (term->kind == SP_TERM_ANY && list->n > 1)
			return sp_diag_add(p, SP_SEVERITY_WARNING, &term->at, NULL, NULL,
					   "'any' makes the rest of the list meaningless");
		for (j = 0; j < i && !is_same_term(&list->v[j], term); j++)
			;
		if (j < i && sp_diag_add(p, SP_SEVERITY_WARNING, &term->at, NULL, NULL, "'%s' is in this list twice",
					 term->text))
			return -ENOMEM;
	}
	return 0;
}

static int resolve_people(struct sp_policy *p, struct sp_terms *list)
{
	sp_u32 i;
	int rc = 0;

	for (i = 0; i < list->n && !rc; i++)
		rc = resolve_term(p, &list->v[i]);
	return rc ? rc : named_twice(p, list);
}

static int check_members(struct sp_policy *p, const struct sp_sentence *set)
{
	sp_u32 i;
	int rc = 0;

	for (i = 0; i < set->from.n && !rc; i++) {
		const struct sp_term *term = &set->from.v[i];

		if (term->kind == SP_TERM_ANY || term->kind == SP_TERM_ZONE)
			rc = error(p, &term->at, "addresses, networks, hosts and other sets", NULL,
				   sp_mem_printf(p, "'%s' is %s, a set has addresses", term->text,
						 term->kind == SP_TERM_ANY ? "everybody" : "a zone"));
	}
	return rc;
}

static int too_deep(struct sp_policy *p, const struct sp_span *at, const char *what)
{
	return error(p, at, NULL, NULL,
		     sp_mem_printf(p, "%ss within %ss more than %d deep", what, what, SP_POLICY_NEST_MAX));
}

/* mark: -1 on the way; else the height, sets within sets below and including it. 0: not looked at yet */
static int find_set_circle(struct sp_policy *p, struct sp_sentence *set, int depth)
{
	int height = 1, rc = 0;
	sp_u32 i;

	set->mark = -1;
	for (i = 0; i < set->from.n && !rc; i++) {
		struct sp_term *term = &set->from.v[i];
		struct sp_sentence *def = term->kind == SP_TERM_SET ? (struct sp_sentence *)term->def : NULL;

		if (!def)
			continue;
		if (def->mark < 0)
			rc = error(p, &term->at, NULL, NULL, sp_mem_printf(p, "set '%s' contains itself", term->text));
		else if (!def->mark && depth == SP_POLICY_NEST_MAX)
			rc = too_deep(p, &term->at, "set");
		else if (!def->mark)
			rc = find_set_circle(p, def, depth + 1);
		height = def->mark >= height ? def->mark + 1 : height;
	}
	if (!rc && height == SP_POLICY_NEST_MAX + 1)
		rc = too_deep(p, &set->subject_at, "set");
	set->mark = height;
	return rc;
}

/* ---- services ----------------------------------------------------------------------------------------- */

static int unknown_service(struct sp_policy *p, const struct sp_service *s)
{
	const char *const *word;
	struct sp_guess g;
	sp_u32 i;

	sp_guess_init(&g, s->text);
	for (i = 0; i < p->priv->n_subjects; i++)
		if (p->priv->by_subject[i]->kind == SP_KIND_SERVICE)
			sp_guess_try(&g, p->priv->by_subject[i]->subject);
	for (word = sp_proto_words(); *word; word++)
		sp_guess_try(&g, *word);
	sp_services_guess(p, &g);
	if (!strncmp(s->text, "icmp", 4) || !strcmp(s->text, "ping6"))
		g.best = "icmp";
	if (!strcmp(s->text, "all"))
		g.best = "any";
	return error(p, &s->at, of_services, g.best, sp_mem_printf(p, "there is no service '%s'", s->text));
}

static int resolve_group(struct sp_policy *p, struct sp_sentence *group);

static int resolve_service(struct sp_policy *p, struct sp_service *s)
{
	struct sp_sentence *def;
	sp_u32 i;
	int rc;

	if (!s->is_name || s->ports.n)
		return 0;
	def = sp_check_find(p, SP_KIND_SERVICE, s->text);
	if (!def) {
		rc = sp_services_find(p, s->text, SP_PROTO_ANY, &s->ports);
		return rc == -ENOENT ? unknown_service(p, s) : rc;
	}
	def->is_used = 1;
	s->def = def;
	if (def->mark < 0)
		return error(p, &s->at, NULL, NULL, sp_mem_printf(p, "service '%s' contains itself", s->text));
	if (!def->mark && p->priv->nest == SP_POLICY_NEST_MAX)
		return too_deep(p, &s->at, "service");
	rc = resolve_group(p, def);
	for (i = 0; i < def->services.n && !rc; i++) {
		const struct sp_portlist *ports = &def->services.v[i].ports;
		sp_u32 j;

		for (j = 0; j < ports->n && !rc; j++)
			rc = sp_portlist_add(p, &s->ports, ports->v[j].proto, ports->v[j].low, ports->v[j].high);
	}
	sp_portlist_merge(&s->ports);
	return rc;
}

static int service_twice(struct sp_policy *p, const struct sp_services *list)
{
	sp_u32 i, j;

	for (i = 0; i < list->n && list->n <= TWICE_MAX; i++) {
		const struct sp_service *s = &list->v[i];

		if (list->n > 1 && s->ports.n && s->ports.v[0].proto == SP_PROTO_ANY && !s->is_name)
			return sp_diag_add(p, SP_SEVERITY_WARNING, &s->at, NULL, NULL,
					   "'any' makes the rest of the list meaningless");
		for (j = 0; j < i && strcmp(list->v[j].text, s->text); j++)
			;
		if (j < i &&
		    sp_diag_add(p, SP_SEVERITY_WARNING, &s->at, NULL, NULL, "'%s' is in this list twice", s->text))
			return -ENOMEM;
	}
	return 0;
}

static int resolve_services(struct sp_policy *p, struct sp_services *list)
{
	sp_u32 i;
	int rc = 0;

	for (i = 0; i < list->n && !rc; i++)
		rc = resolve_service(p, &list->v[i]);
	return rc ? rc : service_twice(p, list);
}

/* mark: as with sets */
static int resolve_group(struct sp_policy *p, struct sp_sentence *group)
{
	int height = 1, rc;
	sp_u32 i;

	if (group->mark)
		return 0;
	group->mark = -1;
	p->priv->nest++;
	rc = resolve_services(p, &group->services);
	p->priv->nest--;
	for (i = 0; i < group->services.n; i++) {
		const struct sp_sentence *def = group->services.v[i].def;

		height = def && def->mark >= height ? def->mark + 1 : height;
	}
	if (!rc && height == SP_POLICY_NEST_MAX + 1)
		rc = too_deep(p, &group->subject_at, "service");
	group->mark = height;
	return rc;
}

/* ---- nat, refuse --------------------------------------------------------------------------------------- */

static int unknown_zone(struct sp_policy *p, const struct sp_sentence *line)
{
	struct sp_guess g;
	sp_u32 i;

	sp_guess_init(&g, line->subject);
	sp_guess_try(&g, "outside");
	sp_guess_try(&g, "inside");
	for (i = 0; i < p->priv->n_subjects; i++)
		if (p->priv->by_subject[i]->kind == SP_KIND_ZONE)
			sp_guess_try(&g, p->priv->by_subject[i]->subject);
	return error(p, &line->subject_at, "outside, inside, or a zone of this configuration", g.best,
		     sp_mem_printf(p, "there is no zone '%s'", line->subject));
}

static int check_refuse(struct sp_policy *p, struct sp_sentence *line)
{
	const struct sp_sentence *def = sp_check_find(p, SP_KIND_ZONE, line->subject);
	int is_self = !strcmp(line->subject, "self");
	sp_u32 i;

	if (!def && !sp_check_is_zone(line->subject))
		return unknown_zone(p, line);
	if (is_self || (def && def->kind != SP_KIND_ZONE))
		return error(p, &line->subject_at, "outside, inside, or a zone of this configuration", NULL,
			     sp_mem_printf(p, "'%s' is %s, packets are refused by the zone they come from",
					   line->subject, is_self ? "this machine" : "not a zone"));
	for (i = 0; p->lines[i] != line; i++)
		if (p->lines[i]->kind == SP_KIND_REFUSE && !p->lines[i]->is_broken &&
		    !strcmp(p->lines[i]->subject, line->subject))
			return error(p, &line->at, "one such line a zone", NULL,
				     sp_mem_printf(p, "how zone %s is refused is said already, in %s:%u", line->subject,
						   p->lines[i]->at.file, p->lines[i]->at.line));
	return 0;
}

static int check_nat(struct sp_policy *p, const struct sp_sentence *line)
{
	sp_u32 i;
	int rc = 0;

	for (i = 0; p->lines[i] != line; i++) {
		const struct sp_sentence *other = p->lines[i];

		if (other->kind == SP_KIND_NAT && !other->is_broken && other->nat != line->nat &&
		    (other->nat == SP_NAT_OFF || line->nat == SP_NAT_OFF))
			return error(p, &line->at, "either 'nat off', or how to translate", NULL,
				     sp_mem_printf(p, "this contradicts %s:%u", other->at.file, other->at.line));
	}
	for (i = 0; line->nat == SP_NAT_POOL && i < line->from.n && !rc; i++) {
		const struct sp_term *t = &line->from.v[i];

		if (!sp_check_is_host(&t->net) || (t->kind == SP_TERM_RANGE && !sp_check_is_host(&t->last)))
			rc = error(p, &t->at, "addresses that a host can have", NULL,
				   sp_mem_printf(p, "nobody can be reached at '%s'", t->text));
	}
	return rc;
}

static int check_express(struct sp_policy *p, const struct sp_sentence *line)
{
	sp_u32 i;

	for (i = 0; p->lines[i] != line; i++) {
		const struct sp_sentence *other = p->lines[i];

		if (other->kind == SP_KIND_EXPRESS && !other->is_broken && other->is_on != line->is_on)
			return error(p, &line->at, "either 'express on' or 'express off'", NULL,
				     sp_mem_printf(p, "this contradicts %s:%u", other->at.file, other->at.line));
	}
	return 0;
}

/* A line with a wrong value: its names may be wrong, too, and all is said in one run. */
static int check_broken(struct sp_policy *p, struct sp_sentence *line)
{
	sp_u32 i;
	int rc = 0;

	if (!line->is_whole || line->kind == SP_KIND_ZONE)
		return 0;
	if (line->kind == SP_KIND_SERVICE)
		return resolve_group(p, line);
	for (i = 0; i < line->from.n && !rc; i++)
		rc = resolve_term(p, &line->from.v[i]);
	for (i = 0; i < line->to.n && !rc; i++)
		rc = resolve_term(p, &line->to.v[i]);
	if (!rc && line->kind == SP_KIND_FORWARD)
		rc = resolve_term(p, &line->target);
	for (i = 0; i < line->services.n && !rc; i++)
		rc = resolve_service(p, &line->services.v[i]);
	return rc;
}

static int check_line(struct sp_policy *p, struct sp_sentence *line)
{
	int rc;

	if (line->is_broken)
		return check_broken(p, line);
	if (line->kind == SP_KIND_REFUSE)
		return check_refuse(p, line);
	if (line->kind == SP_KIND_NAT)
		return check_nat(p, line);
	if (line->kind == SP_KIND_EXPRESS)
		return check_express(p, line);
	if (line->kind == SP_KIND_SERVICE)
		return resolve_group(p, line);
	if (line->kind == SP_KIND_ZONE)
		return 0;
	rc = resolve_people(p, &line->from);
	if (!rc)
		rc = resolve_people(p, &line->to);
	if (!rc && line->kind == SP_KIND_SET)
		rc = check_members(p, line);
	if (!rc && line->kind == SP_KIND_FORWARD)
		rc = resolve_term(p, &line->target);
	return rc ? rc : resolve_services(p, &line->services);
}

int sp_check(struct sp_policy *p)
{
	int rc = index_definitions(p);
	sp_u32 i;

	if (!rc)
		rc = check_interfaces(p);
	for (i = 0; i < p->n_lines && !rc; i++)
		rc = check_line(p, p->lines[i]);
	for (i = 0; i < p->n_lines && !rc; i++)
		if (p->lines[i]->kind == SP_KIND_SET && !p->lines[i]->mark)
			rc = find_set_circle(p, p->lines[i], 1);
	return rc ? rc : sp_check_forwards(p);
}
