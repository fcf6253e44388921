/* SPDX-License-Identifier: BSD-2-Clause */
/* Diagnostics: what is wrong, where, what could stand there, and what was probably meant. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

#define SOURCE_MAX 400 /* bytes of a line that are kept to be shown */

const struct sp_source *sp_source_find(const struct sp_policy *p, const char *name)
{
	sp_u32 i;

	for (i = 0; i < p->n_files; i++)
		if (p->priv->sources[i]->data && !strcmp(p->priv->sources[i]->name, name))
			return p->priv->sources[i];
	return NULL;
}

/* The text of a line of a file that is still in memory, or NULL. */
static const char *line_of(struct sp_policy *p, const struct sp_span *at)
{
	const struct sp_source *source = at->file ? sp_source_find(p, at->file) : NULL;
	const char *s, *end, *eol;
	sp_u32 line = at->line;
	size_t len;

	if (!source || !line)
		return NULL;
	s = source->data;
	end = s + source->len;
	while (--line && s < end) {
		eol = memchr(s, '\n', (size_t)(end - s));
		s = eol ? eol + 1 : end;
	}
	eol = memchr(s, '\n', (size_t)(end - s));
	len = (size_t)((eol ? eol : end) - s);
	if (len && s[len - 1] == '\r')
		len--;
	return sp_mem_text(p, s, len < SOURCE_MAX ? len : SOURCE_MAX);
}

int sp_diag_add(struct sp_policy *p, enum sp_severity severity, const struct sp_span *at, const char *expected,
		const char *suggestion, const char *fmt, ...)
{
	struct sp_diag *d;
	va_list ap;

	if (severity == SP_SEVERITY_ERROR)
		p->errors++;
	else
		p->warnings++;
	if (p->n_diags == SP_POLICY_DIAGS_MAX)
		return 0;
	if (sp_mem_room(p, (void **)&p->diags, p->n_diags, &p->cap_diags, sizeof(*d)))
		return -ENOMEM;
	d = &p->diags[p->n_diags];
	d->at = *at;
	d->severity = severity;
	d->expected = expected;
	d->suggestion = suggestion;
	d->source = line_of(p, at);
	va_start(ap, fmt);
	d->message = sp_mem_vprintf(p, fmt, ap);
	va_end(ap);
	if (!d->message)
		return -ENOMEM;
	p->n_diags++;
	return 0;
}

static sp_u32 file_number(const struct sp_policy *p, const char *name)
{
	sp_u32 i = 0;

	while (i < p->n_files && strcmp(p->priv->sources[i]->name, name))
		i++;
	return i;
}

/* Insertion, so that it is stable; there are few, and they come nearly in order. */
void sp_diag_sort(struct sp_policy *p)
{
	sp_u32 i, j;

	for (i = 1; i < p->n_diags; i++) {
		struct sp_diag d = p->diags[i];
		sp_u32 file = file_number(p, d.at.file);

		for (j = i; j; j--) {
			const struct sp_span *b = &p->diags[j - 1].at;
			sp_u32 before = file_number(p, b->file);

			if (before < file || (before == file && (b->line < d.at.line ||
								 (b->line == d.at.line && b->column <= d.at.column))))
				break;
			p->diags[j] = p->diags[j - 1];
		}
		p->diags[j] = d;
	}
}

/* ---- did you mean ----------------------------------------------------------------------------- */

#define WORD_MAX 32

/* How many letters are wrong, missing, too many or swapped (Damerau, Levenshtein; the restricted form). */
static int distance(const char *a, const char *b)
{
	int d[3][WORD_MAX + 1], *now = d[0], *last = d[1], *before = d[2], *spare;
	int n = (int)strlen(a), m = (int)strlen(b), i, j;

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= m; j++)
		last[j] = j;
	for (i = 1; i <= n; i++) {
		now[0] = i;
		for (j = 1; j <= m; j++) {
			int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
			int best = last[j - 1] + (x != y);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    tolower((unsigned char)a[i - 2]) == y && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[m];
}

void sp_guess_init(struct sp_guess *g, const char *word)
{
	size_t len = strlen(word);

	g->word = word;
	g->best = NULL;
	g->distance = len < 3 ? 1 : len < 5 ? 2 : 3; /* nearer than this */
}

void sp_guess_try(struct sp_guess *g, const char *candidate)
{
	size_t a = strlen(g->word), b = strlen(candidate);
	int d;

	if (a > b + 2 || b > a + 2)
		return;
	d = distance(g->word, candidate);
	if (d < g->distance &&
	    (!d || tolower((unsigned char)*candidate) == tolower((unsigned char)*g->word) || a > 3)) {
		g->distance = d;
		g->best = candidate;
	}
}
