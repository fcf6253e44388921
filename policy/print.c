/* SPDX-License-Identifier: BSD-2-Clause */
/* From the checked tree to its canonical text: one way to write everything, sorted by kind, parses to itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static void put_term(FILE *f, const struct sp_term *term)
{
	char text[SP_NET_TEXT];

	if (term->kind == SP_TERM_ANY) {
		fputs("any", f);
	} else if (term->kind == SP_TERM_NET || term->kind == SP_TERM_RANGE) {
		sp_net_print(text, &term->net);
		fputs(text, f);
		if (term->kind == SP_TERM_RANGE) {
			sp_net_print(text, &term->last);
			fprintf(f, "-%s", text);
		}
	} else {
		fputs(term->text, f);
	}
}

static void put_terms(FILE *f, const char *before, const struct sp_terms *list)
{
	sp_u32 i;

	for (i = 0; i < list->n; i++) {
		fputs(i ? ", " : before, f);
		put_term(f, &list->v[i]);
	}
}

static void put_services(FILE *f, const char *before, const struct sp_services *list)
{
	sp_u32 i;

	for (i = 0; i < list->n; i++)
		fprintf(f, "%s%s", i ? ", " : before, list->v[i].text);
}

static void put_target(FILE *f, const struct sp_sentence *line)
{
	int bracket = line->target_port && line->target.kind == SP_TERM_NET && line->target.net.family == SP_NET_V6;

	fputs(bracket ? " to [" : " to ", f);
	put_term(f, &line->target);
	if (bracket)
		putc(']', f);
	if (line->target_port)
		fprintf(f, ":%u", line->target_port);
}

static void put_sentence(FILE *f, const struct sp_sentence *line)
{
	fputs(sp_kind_name(line->kind), f);
	switch (line->kind) {
	case SP_KIND_ZONE:
	case SP_KIND_HOST:
	case SP_KIND_SET:
	case SP_KIND_SERVICE:
		fprintf(f, " %s", line->subject);
		if (line->path)
			fprintf(f, " = file \"%s\"", line->path);
		put_terms(f, " = ", &line->from);
		put_services(f, " = ", &line->services);
		return;
	case SP_KIND_REFUSE:
		fprintf(f, " %s with %s", line->subject, line->refusal == SP_REFUSE_REJECT ? "reject" : "drop");
		return;
	case SP_KIND_NAT:
		fputs(line->nat == SP_NAT_OFF ? " off" : line->nat == SP_NAT_OPEN ? " open" : " pool", f);
		put_terms(f, " ", &line->from);
		return;
	case SP_KIND_EXPRESS:
		fputs(line->is_on ? " on" : " off", f);
		return;
	case SP_KIND_BLOCK:
	case SP_KIND_ALLOW:
		if (line->path)
			fprintf(f, " file \"%s\"", line->path);
		put_terms(f, " ", &line->from);
		put_terms(f, " -> ", &line->to);
		put_services(f, " : ", &line->services);
		return;
	case SP_KIND_OPEN:
	case SP_KIND_FORWARD:
		put_services(f, " ", &line->services);
		put_terms(f, " from ", &line->from);
		if (line->kind == SP_KIND_FORWARD)
			put_target(f, line);
		return;
	case SP_KIND_COUNT:
		return;
	}
}

/* The largest unit that it is a whole number of. */
static void put_time(FILE *f, sp_u32 s)
{
	if (s % 86400 == 0)
		fprintf(f, " idle %ud", s / 86400);
	else if (s % 3600 == 0)
		fprintf(f, " idle %uh", s / 3600);
	else if (s % 60 == 0)
		fprintf(f, " idle %um", s / 60);
	else
		fprintf(f, " idle %us", s);
}

static void put_options(FILE *f, const struct sp_sentence *line)
{
	if (line->log)
		fputs(" log", f);
	if (line->idle_s)
		put_time(f, line->idle_s);
	if (line->rate)
		fprintf(f, " rate %u/%c", line->rate, line->rate_per_s == 1 ? 's' : line->rate_per_s == 60 ? 'm' : 'h');
	if (line->limit)
		fprintf(f, " limit %u", line->limit);
	if (line->kind == SP_KIND_BLOCK && line->refusal)
		fputs(line->refusal == SP_REFUSE_REJECT ? " reject" : " drop", f);
	if (line->is_named)
		fprintf(f, " as %s", line->name);
}

const char *sp_print_line(struct sp_policy *p, const struct sp_sentence *line, int bare)
{
	char *text = NULL, *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_sentence(f, line);
	if (!bare)
		put_options(f, line);
	if (!fclose(f) && text)
		out = sp_mem_text(p, text, len);
	free(text);
	return out;
}

const char *sp_policy_sentence(struct sp_policy *p, const struct sp_sentence *line)
{
	return sp_print_line(p, line, 1);
}

int sp_policy_print(const struct sp_policy *p, char **text, size_t *len)
{
	char *got = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&got, &n);
	sp_u32 i;
	int kind;

	if (!f)
		return -ENOMEM;
	for (kind = 0; kind < SP_KIND_COUNT; kind++) {
		for (i = 0; i < p->n_lines; i++) {
			if ((int)p->lines[i]->kind != kind)
				continue;
			put_sentence(f, p->lines[i]);
			put_options(f, p->lines[i]);
			putc('\n', f);
		}
	}
	if (fclose(f) || !got) {
		free(got);
		return -ENOMEM;
	}
	*text = got;
	*len = n;
	return 0;
}
