/* SPDX-License-Identifier: BSD-2-Clause */
/* Warnings for lines that change nothing: said twice, included in another, blocked, allowed anyway, never named. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct said {
	const char *text; /* canonical, without options */
	struct sp_sentence *line;
	sp_u32 number;
};

static int by_text(const void *a, const void *b)
{
	const struct said *x = a, *y = b;
	int d = strcmp(x->text, y->text);

	return d ? d : x->number < y->number ? -1 : 1;
}

static int is_same_options(const struct sp_sentence *a, const struct sp_sentence *b)
{
	return a->log == b->log && a->refusal == b->refusal && a->idle_s == b->idle_s && a->rate == b->rate &&
	       a->rate_per_s == b->rate_per_s && a->limit == b->limit;
}

/* mark: this line has its warning already */
static int said_twice(struct sp_policy *p)
{
	struct said *all = sp_mem_get(p, (p->n_lines + 1) * sizeof(*all));
	sp_u32 i;
	int rc = 0;

	if (!all)
		return -ENOMEM;
	for (i = 0; i < p->n_lines; i++) {
		p->lines[i]->mark = 0;
		all[i] = (struct said){ sp_print_line(p, p->lines[i], 1), p->lines[i], i };
		if (!all[i].text)
			return -ENOMEM;
	}
	qsort(all, p->n_lines, sizeof(*all), by_text);
	for (i = 1; i < p->n_lines && !rc; i++) {
		struct sp_sentence *line = all[i].line, *first = all[i - 1].line;

		if (strcmp(all[i].text, all[i - 1].text))
			continue;
		line->mark = 1;
		if (is_same_options(line, first))
			rc = sp_diag_add(p, SP_SEVERITY_WARNING, &line->at, NULL, NULL,
					 "this is said already, in %s:%u", first->at.file, first->at.line);
		else
			rc = sp_diag_add(p, SP_SEVERITY_ERROR, &line->at, "one of the two lines", NULL,
					 "this is said already, in %s:%u, with other options", first->at.file,
					 first->at.line);
	}
	return rc;
}

static int never_named(struct sp_policy *p)
{
	sp_u32 i;

	for (i = 0; i < p->n_lines; i++) {
		const struct sp_sentence *line = p->lines[i];

		if (line->kind != SP_KIND_HOST && line->kind != SP_KIND_SET && line->kind != SP_KIND_SERVICE)
			continue;
		if (!line->is_used && sp_diag_add(p, SP_SEVERITY_WARNING, &line->subject_at, NULL, NULL,
						  "no line uses %s '%s'", sp_kind_name(line->kind), line->subject))
			return -ENOMEM;
	}
	return 0;
}

/* Why `line` can never matter because of `other`; NULL: it may. */
static const char *why_not(const struct sp_sentence *line, const struct sp_sentence *other, int is_later)
{
	int both_allow = line->kind != SP_KIND_FORWARD && other->kind != SP_KIND_FORWARD;

	if (line->kind == SP_KIND_BLOCK)
		return other->kind == SP_KIND_BLOCK && !sp_cover_has_options(line) && sp_cover_block(other, line) &&
				       (is_later || !sp_cover_block(line, other))
			       ? "blocks"
			       : NULL;
	if (other->kind == SP_KIND_BLOCK)
		return sp_cover_block(other, line) ? "blocks" : NULL;
	if (!both_allow || sp_cover_has_options(line) || sp_cover_has_options(other))
		return NULL;
	if (!sp_cover_services(other, line) || !sp_cover_from(other, line) || !sp_cover_to(other, line))
		return NULL;
	if (!is_later && sp_cover_services(line, other) && sp_cover_from(line, other) && sp_cover_to(line, other))
		return NULL; /* they say the same: warn at the later one */
	return "allows";
}

static int is_rule(const struct sp_sentence *line)
{
	return line->kind == SP_KIND_BLOCK || sp_cover_is_permission(line);
}

/* `block self` */
static int is_self(const struct sp_sentence *block)
{
	sp_u32 i;

	for (i = 0; i < block->from.n && !block->to.n; i++)
		if (block->from.v[i].kind == SP_TERM_ZONE && !strcmp(block->from.v[i].text, "self"))
			return 1;
	return 0;
}

static int check_one(struct sp_policy *p, struct sp_sentence **rules, sp_u32 n, sp_u32 i)
{
	static const struct sp_term any = { .kind = SP_TERM_ANY, .text = "any" };
	static const struct sp_sentence all = { .kind = SP_KIND_ALLOW,
						.from = { (struct sp_term *)&any, 1, 1 },
						.to = { (struct sp_term *)&any, 1, 1 } };
	struct sp_sentence *line = rules[i];
	sp_u32 j;

	if (line->kind == SP_KIND_BLOCK && sp_cover_block(line, &all))
		return sp_diag_add(p, SP_SEVERITY_WARNING, &line->at, NULL, NULL,
				   "this blocks everything, for this machine, too");
	if (line->kind == SP_KIND_BLOCK && is_self(line))
		return sp_diag_add(p, SP_SEVERITY_WARNING, &line->at, NULL, NULL,
				   "this cuts this machine off: nobody may reach it, and it may start nothing");

	if (sp_cover_built_in(line) && !sp_cover_has_options(line))
		return sp_diag_add(p, SP_SEVERITY_WARNING, &line->at, NULL, NULL, "this is allowed anyway: %s",
				   line->from.v[0].kind == SP_TERM_ZONE && !strcmp(line->from.v[0].text, "self")
					   ? "self may start anything"
					   : "inside may start to outside and self");
	for (j = 0; j < n && n <= SP_POLICY_COMPARE_MAX; j++) {
		const char *why = j == i || rules[j]->mark ? NULL : why_not(line, rules[j], j < i);

		if (why)
			return sp_diag_add(p, SP_SEVERITY_WARNING, &line->at, NULL, NULL,
					   "this line can never matter: '%s' %s all of it, in %s:%u", rules[j]->name,
					   why, rules[j]->at.file, rules[j]->at.line);
	}
	return 0;
}

int sp_check_matter(struct sp_policy *p)
{
	struct sp_sentence **rules = sp_mem_get(p, (p->n_lines + 1) * sizeof(*rules));
	int rc = said_twice(p);
	sp_u32 i, n = 0;

	if (!rules || rc)
		return -ENOMEM;
	for (i = 0; i < p->n_lines; i++)
		if (is_rule(p->lines[i]))
			rules[n++] = p->lines[i];
	for (i = 0; i < n && !rc; i++)
		if (!rules[i]->mark)
			rc = check_one(p, rules, n, i);
	return rc ? rc : never_named(p);
}
