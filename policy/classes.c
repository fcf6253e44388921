/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classes by a sweep: walk along the ends of all networks in order, keep how often each set covers the current place, and
 * hash which sets those are (Zobrist 1970: one random number a set, exclusive or). A place with a new hash is a new class.
 */
#include "classes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sp_nums_add(struct sp_nums *a, sp_u32 value)
{
	if (a->n == a->cap) {
		const sp_u32 cap = a->cap ? a->cap * 2 : 4;
		sp_u32 *v = realloc(a->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		a->v = v;
		a->cap = cap;
	}
	a->v[a->n++] = value;
	return 0;
}

int sp_spans_add(struct sp_spans *s, const sp_u64 first[2], const sp_u64 last[2], sp_u32 set)
{
	if (s->n == s->cap) {
		const sp_u32 cap = s->cap ? s->cap * 2 : 64;
		struct sp_span_in *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct sp_span_in){ { first[0], first[1] }, { last[0], last[1] }, set };
	return 0;
}

/* A number for each set that looks random: SplitMix64 (Steele et al. 2014). */
static sp_u64 mark_of(sp_u32 set)
{
	sp_u64 z = (set + 1ULL) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

int sp_classes_init(struct sp_classes *c, sp_u32 n_sets)
{
	memset(c, 0, sizeof(*c));
	c->n_sets = n_sets;
	c->slots_mask = 1023;
	c->slots = calloc(c->slots_mask + 1, sizeof(*c->slots));
	c->of_set = calloc(n_sets ? n_sets : 1, sizeof(*c->of_set));
	c->marks = calloc(1, sizeof(*c->marks));
	c->n = 1; /* class 0, mark 0 */
	if (c->slots && c->of_set && c->marks)
		return 0;
	sp_classes_fini(c);
	return -ENOMEM;
}

void sp_classes_fini(struct sp_classes *c)
{
	for (sp_u32 i = 0; c->of_set && i < c->n_sets; i++)
		free(c->of_set[i].v);
	free(c->of_set);
	free(c->marks);
	free(c->slots);
	memset(c, 0, sizeof(*c));
}

static int rehash(struct sp_classes *c)
{
	const sp_u32 mask = c->slots_mask * 2 + 1;
	sp_u32 *slots = calloc(mask + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (sp_u32 k = 1; k < c->n; k++) {
		sp_u32 at = (sp_u32)c->marks[k] & mask;

		while (slots[at])
			at = (at + 1) & mask;
		slots[at] = k;
	}
	free(c->slots);
	c->slots = slots;
	c->slots_mask = mask;
	return 0;
}

/* The class with this mark; a new one is noted in each set that covers the place. -ENOMEM, -E2BIG. */
static int class_of(struct sp_classes *c, sp_u64 mark, const struct sp_nums *covering)
{
	sp_u32 at = (sp_u32)mark & c->slots_mask;
	sp_u64 *marks;

	if (!mark)
		return 0;
	while (c->slots[at]) {
		if (c->marks[c->slots[at]] == mark)
			return (int)c->slots[at];
		at = (at + 1) & c->slots_mask;
	}
	if (covering->n > SP_CLASSES_MEMBERS_MAX - c->n_members)
		return -E2BIG;
	c->n_members += covering->n;
	marks = realloc(c->marks, (c->n + 1) * sizeof(*marks));
	if (!marks)
		return -ENOMEM;
	c->marks = marks;
	marks[c->n] = mark;
	c->slots[at] = c->n;
	for (sp_u32 i = 0; i < covering->n; i++)
		if (sp_nums_add(&c->of_set[covering->v[i]], c->n))
			return -ENOMEM;
	c->n++;
	if (c->n * 2 > c->slots_mask && rehash(c))
		return -ENOMEM;
	return (int)c->n - 1;
}

int sp_classes_of(struct sp_classes *c, const struct sp_nums *sets)
{
	sp_u64 mark = 0;

	for (sp_u32 i = 0; i < sets->n; i++)
		mark ^= mark_of(sets->v[i]);
	return class_of(c, mark, sets);
}

static int less(const sp_u64 a[2], const sp_u64 b[2])
{
	return a[0] < b[0] || (a[0] == b[0] && a[1] < b[1]);
}

/* One end of a span: where a set begins to cover, or ceases to. */
struct edge {
	sp_u64 at[2];
	sp_u32 set;
	int delta;
};

static int by_place(const void *x, const void *y)
{
	const struct edge *a = x, *b = y;

	return less(a->at, b->at) ? -1 : less(b->at, a->at);
}

static sp_u32 make_edges(const struct sp_spans *s, struct edge *edges)
{
	sp_u32 n = 0;

	for (sp_u32 i = 0; i < s->n; i++) {
		const struct sp_span_in *in = &s->v[i];
		sp_u64 after[2] = { in->last[0], in->last[1] + 1 };

		if (!after[1])
			after[0]++;
		edges[n++] = (struct edge){ { in->first[0], in->first[1] }, in->set, 1 };
		if (after[0] || after[1] != s->end) /* else it reaches to the very end */
			edges[n++] = (struct edge){ { after[0], after[1] }, in->set, -1 };
	}
	qsort(edges, n, sizeof(*edges), by_place);
	return n;
}

static void uncover(struct sp_nums *covering, sp_u32 set)
{
	for (sp_u32 i = 0; i < covering->n; i++) {
		if (covering->v[i] == set) {
			covering->v[i] = covering->v[--covering->n];
			return;
		}
	}
}

int sp_classes_cut(struct sp_classes *c, struct sp_spans *s, struct sp_interval **out, sp_u32 *n)
{
	struct edge *edges = malloc((2 * (size_t)s->n + 1) * sizeof(*edges));
	struct sp_interval *v = malloc((2 * (size_t)s->n + 2) * sizeof(*v));
	sp_u32 *depth = calloc(c->n_sets ? c->n_sets : 1, sizeof(*depth)); /* how often each set covers the place */
	struct sp_nums covering = {};
	sp_u32 count = 1, n_edges;
	sp_u64 mark = 0;
	int err = -ENOMEM;

	if (!edges || !v || !depth)
		goto out;
	v[0] = (struct sp_interval){ { 0, 0 }, 0 };
	n_edges = make_edges(s, edges);
	for (sp_u32 i = 0; i < n_edges; i++) {
		const struct edge *e = &edges[i];
		int class_;

		if (e->delta > 0 && !depth[e->set]++) {
			mark ^= mark_of(e->set);
			if (sp_nums_add(&covering, e->set))
				goto out;
		} else if (e->delta < 0 && !--depth[e->set]) {
			mark ^= mark_of(e->set);
			uncover(&covering, e->set);
		}
		if (i + 1 < n_edges && !less(e->at, edges[i + 1].at))
			continue; /* more happens at this very place */
		class_ = class_of(c, mark, &covering);
		if (class_ < 0) {
			err = class_;
			goto out;
		}
		if (v[count - 1].class_ == (sp_u32)class_)
			continue;
		if (v[count - 1].start[0] == e->at[0] && v[count - 1].start[1] == e->at[1])
			v[count - 1].class_ = (sp_u32)class_; /* the very first place */
		else
			v[count++] = (struct sp_interval){ { e->at[0], e->at[1] }, (sp_u32)class_ };
	}
	*out = v;
	*n = count;
	v = NULL;
	err = 0;
out:
	free(edges);
	free(v);
	free(depth);
	free(covering.v);
	return err;
}
