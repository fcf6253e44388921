/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPv6 hosts by suffix: a second look-up, by the last half of an address. An address has the class of its interval; if
 * its last half is one that the policy names, a table turns that class into the one of the sets of both.
 */
#include "compiler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_MAX (1u << 24) /* of the table: 64 MB */

struct work {
	struct sp_compiler *c;
	struct sp_nums *of_class; /* [column]: sets that a class is in */
	struct sp_nums *of_suffix; /* [suffix]: sets that name it */
	sp_u8 *possible; /* [column * suffixes + suffix]: some address has both */
	sp_u8 *is_full; /* [column]: all of them are */
	sp_u32 *stamps; /* [set]: column + 1 that was last found in it */
};

static int by_low(const void *x, const void *y)
{
	const struct sp_suffix *a = x, *b = y;

	return a->low != b->low ? (a->low < b->low ? -1 : 1) : a->set != b->set ? (a->set < b->set ? -1 : 1) : 0;
}

static int refuse(struct sp_compiler *c, const char *what)
{
	snprintf(c->why, c->why_size, "%s", what);
	return -E2BIG;
}

/* Fills in lows and columns; sorts the suffixes and drops those that are said twice. */
static int take_lows(struct sp_compiler *c)
{
	struct sp_pairs *p = &c->pairs;
	sp_u32 n = 0;

	qsort(c->suffixes, c->n_suffixes, sizeof(*c->suffixes), by_low);
	for (sp_u32 i = 0; i < c->n_suffixes; i++)
		if (!n || by_low(&c->suffixes[n - 1], &c->suffixes[i]))
			c->suffixes[n++] = c->suffixes[i];
	c->n_suffixes = n;
	p->lows = malloc(n * sizeof(*p->lows));
	if (!p->lows)
		return -ENOMEM;
	for (sp_u32 i = 0; i < n; i++)
		if (!p->n || p->lows[p->n - 1] != c->suffixes[i].low)
			p->lows[p->n++] = c->suffixes[i].low;
	p->columns = c->people.n;
	if (p->n > SP_IMAGE_SUFFIXES_MAX)
		return refuse(c, "more than 4096 IPv6 hosts by suffix; give some of them their whole address");
	if ((sp_u64)p->n * p->columns > CELLS_MAX)
		return refuse(c, "too many IPv6 hosts by suffix for so many different IPv6 networks; gather networks "
			      "that are treated alike in one set");
	return 0;
}

/* First suffix that is not below low. */
static sp_u32 lower_bound(const struct sp_pairs *p, sp_u64 low)
{
	sp_u32 from = 0, to = p->n;

	while (from < to) {
		const sp_u32 mid = (from + to) / 2;

		if (p->lows[mid] < low)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* An interval shorter than a /63 may lack some suffixes; without this, each single address would make a class of each. */
static void find_possible(const struct work *w)
{
	const struct sp_compiler *c = w->c;
	const struct sp_pairs *p = &c->pairs;

	for (sp_u32 k = 0; k < c->n_v6; k++) {
		const sp_u64 *start = c->v6_cut[k].start;
		const sp_u64 *next = k + 1 < c->n_v6 ? c->v6_cut[k + 1].start : NULL;
		const sp_u64 last[2] = { next ? next[0] - !next[1] : ~0ULL, next ? next[1] - 1 : ~0ULL };
		const sp_u32 column = c->v6_cut[k].class_, from = lower_bound(p, start[1]);
		sp_u8 *row = w->possible + (size_t)column * p->n;

		if (w->is_full[column])
			continue;
		if (last[0] - start[0] >= 2 || (last[0] == start[0] && !start[1] && last[1] == ~0ULL)) {
			memset(row, 1, p->n);
			w->is_full[column] = 1;
		} else {
			for (sp_u32 i = from; i < p->n && (last[0] != start[0] || p->lows[i] <= last[1]); i++)
				row[i] = 1;
			for (sp_u32 i = 0; last[0] != start[0] && i < p->n && p->lows[i] <= last[1]; i++)
				row[i] = 1;
		}
	}
}

static int invert(const struct work *w)
{
	const struct sp_compiler *c = w->c;
	sp_u32 at = 0;

	for (sp_u32 set = 0; set < c->people.n_sets; set++)
		for (sp_u32 i = 0; i < c->people.of_set[set].n; i++)
			if (sp_nums_add(&w->of_class[c->people.of_set[set].v[i]], set))
				return -ENOMEM;
	for (sp_u32 i = 0; i < c->n_suffixes; i++) {
		at += c->pairs.lows[at] != c->suffixes[i].low;
		if (sp_nums_add(&w->of_suffix[at], c->suffixes[i].set))
			return -ENOMEM;
	}
	return 0;
}

/* Class of the addresses of a column that end with suffix i. */
static int join(const struct work *w, struct sp_nums *both, sp_u32 column, sp_u32 i)
{
	const struct sp_nums *mine = &w->of_class[column], *more = &w->of_suffix[i];

	both->n = 0;
	for (sp_u32 k = 0; k < mine->n; k++)
		if (sp_nums_add(both, mine->v[k]))
			return -ENOMEM;
	for (sp_u32 k = 0; k < more->n; k++)
		if (w->stamps[more->v[k]] != column + 1 && sp_nums_add(both, more->v[k]))
			return -ENOMEM;
	return sp_classes_of(&w->c->people, both);
}

static int fill(const struct work *w)
{
	struct sp_pairs *p = &w->c->pairs;
	struct sp_nums both = {};
	int class_ = 0;

	find_possible(w);
	for (sp_u32 column = 0; column < p->columns && class_ >= 0; column++) {
		for (sp_u32 k = 0; k < w->of_class[column].n; k++)
			w->stamps[w->of_class[column].v[k]] = column + 1;
		for (sp_u32 i = 0; i < p->n && class_ >= 0; i++) {
			class_ = (int)column;
			if (w->possible[(size_t)column * p->n + i])
				class_ = join(w, &both, column, i);
			p->classes[(size_t)i * p->columns + column] = (sp_u32)class_;
		}
	}
	free(both.v);
	return class_ < 0 ? class_ : 0;
}

int sp_compile_pairs(struct sp_compiler *c)
{
	struct work w = { .c = c };
	struct sp_pairs *p = &c->pairs;
	int err = c->n_suffixes ? take_lows(c) : 0;

	if (err || !c->n_suffixes)
		return err;
	p->classes = calloc((size_t)p->n * p->columns, sizeof(*p->classes));
	w.of_class = calloc(p->columns, sizeof(*w.of_class));
	w.of_suffix = calloc(p->n, sizeof(*w.of_suffix));
	w.possible = calloc((size_t)p->n * p->columns, 1);
	w.is_full = calloc(p->columns, 1);
	w.stamps = calloc(c->people.n_sets, sizeof(*w.stamps));
	err = p->classes && w.of_class && w.of_suffix && w.possible && w.is_full && w.stamps ? invert(&w) : -ENOMEM;
	if (!err)
		err = fill(&w);
	for (sp_u32 i = 0; w.of_class && i < p->columns; i++)
		free(w.of_class[i].v);
	for (sp_u32 i = 0; w.of_suffix && i < p->n; i++)
		free(w.of_suffix[i].v);
	free(w.of_class);
	free(w.of_suffix);
	free(w.possible);
	free(w.is_full);
	free(w.stamps);
	return err;
}
