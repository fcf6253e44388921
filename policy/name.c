/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of lines, as flows, logs and counters show them. A line without `as` is named after what it says; where two
 * would have the same name, numbers follow in the order of the canonical text. So moving a line renames nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct taken {
	const char *name;
	sp_u32 next; /* number to try for the next one of this name */
	const struct sp_sentence *line;
};

struct names {
	struct taken *v;
	sp_u32 mask;
};

struct todo {
	const char *text;
	struct sp_sentence *line;
	sp_u32 number;
};

static struct taken *slot_of(struct names *names, const char *name)
{
	sp_u32 h = 2166136261u;
	const char *s;

	for (s = name; *s; s++)
		h = (h ^ (sp_u8)*s) * 16777619u;
	for (h &= names->mask; names->v[h].name && strcmp(names->v[h].name, name); h = (h + 1) & names->mask)
		;
	return &names->v[h];
}

static int is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
}

/* "open ssh, https from office" -> open-ssh-https-from-office, cut between two words */
static void slug(char *out, const struct sp_sentence *line, const char *text)
{
	const char *path = line->path ? strrchr(line->path, '/') : NULL;
	size_t n = 0, word = 0;

	if (line->kind <= SP_KIND_SERVICE) { /* what it defines is enough */
		const char *equals = strchr(text, '=');

		for (; equals && text < equals; text++)
			if (n < SP_POLICY_NAME_MAX)
				out[n++] = is_letter(*text) ? *text : '-';
		while (n && out[n - 1] == '-')
			n--;
		out[n] = 0;
		return;
	}
	for (; *text; text++) {
		if (*text == '"' && path)
			text = strchr(text, '/') ? strrchr(text, '/') + 1 : text + 1; /* the file, not its folders */
		if (!*text)
			break;
		if (is_letter(*text)) {
			if (n == SP_POLICY_NAME_MAX) {
				n = word ? word : n;
				break;
			}
			out[n++] = *text;
		} else if (n && out[n - 1] != '-') {
			word = n;
			if (n == SP_POLICY_NAME_MAX)
				break;
			out[n++] = '-';
		}
	}
	while (n && out[n - 1] == '-')
		n--;
	out[n] = 0;
}

static int by_text(const void *a, const void *b)
{
	const struct todo *x = a, *y = b;
	int d = strcmp(x->text, y->text);

	return d ? d : x->number < y->number ? -1 : 1;
}

static int take_given(struct sp_policy *p, struct names *names, struct sp_sentence *line)
{
	struct taken *t = slot_of(names, line->name);

	if (t->name)
		return sp_diag_add(p, SP_SEVERITY_ERROR, &line->subject_at, "another name", NULL,
				   "a line is called '%s' already, in %s:%u", line->name, t->line->at.file,
				   t->line->at.line);
	*t = (struct taken){ line->name, 2, line };
	return 0;
}

static int take_derived(struct sp_policy *p, struct names *names, const struct todo *todo)
{
	char base[SP_POLICY_NAME_MAX + 1], name[SP_POLICY_NAME_MAX + 16];
	struct taken *first, *t;
	size_t len;

	slug(base, todo->line, todo->text);
	first = t = slot_of(names, base);
	strcpy(name, base);
	while (t->name) {
		char number[12];
		sp_u32 v = first->next++, i = sizeof(number) - 1;

		number[i] = 0;
		do
			number[--i] = (char)('0' + v % 10);
		while (v /= 10);
		number[--i] = '-';
		len = strlen(base);
		if (len + sizeof(number) - 1 - i > SP_POLICY_NAME_MAX)
			len = SP_POLICY_NAME_MAX - (sizeof(number) - 1 - i);
		memcpy(name + len, number + i, sizeof(number) - i);
		t = slot_of(names, name);
	}
	todo->line->name = sp_mem_text(p, name, strlen(name));
	*t = (struct taken){ todo->line->name, 2, todo->line };
	return todo->line->name ? 0 : -ENOMEM;
}

int sp_name_lines(struct sp_policy *p)
{
	struct todo *todo = sp_mem_get(p, (p->n_lines + 1) * sizeof(*todo));
	struct names names = { .mask = 15 };
	sp_u32 i, n = 0;
	int rc = 0;

	while (names.mask < 2 * p->n_lines)
		names.mask = 2 * names.mask + 1;
	names.v = sp_mem_get(p, (names.mask + 1) * sizeof(*names.v));
	if (!todo || !names.v)
		return -ENOMEM;
	for (i = 0; i < p->n_lines && !rc; i++) {
		struct sp_sentence *line = p->lines[i];

		if (line->is_named) {
			rc = take_given(p, &names, line);
			continue;
		}
		todo[n] = (struct todo){ sp_print_line(p, line, 1), line, i };
		if (!todo[n++].text)
			return -ENOMEM;
	}
	qsort(todo, n, sizeof(*todo), by_text);
	for (i = 0; i < n && !rc; i++)
		rc = take_derived(p, &names, &todo[i]);
	return rc;
}
