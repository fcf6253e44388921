/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiler, last step: everything that was worked out, into one flat image. */
#include "compiler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Places of the parts, in the order in which they stand. Returns the lines of all, which may be too many. */
static sp_u64 lay_out(const struct sp_compiler *c, sp_u32 buckets, struct sp_image_head *h, struct sp_image_more *m)
{
	const sp_u64 cells = (sp_u64)c->pairs.n * c->pairs.columns;
	sp_u64 at = 2;

#define PART(place, n_lines) ((place) = (sp_u32)at, at += (n_lines))
	PART(h->index4, SP_IMAGE_INDEX4_LINES);
	PART(h->v4, (c->n_v4 + 7) / 8);
	PART(h->v6, (c->n_v6 + 1) / 2);
	PART(h->services, SP_IMAGE_SERVICE_LINES);
	PART(h->rules, buckets);
	PART(h->zones, SP_ZONES_MAX / 2);
	PART(h->names, (c->n_names + 1) / 2);
	PART(m->orders, c->n_names);
	if (c->forwards)
		PART(m->forwards, SP_IMAGE_FORWARDS_LINES);
	PART(m->pool, (m->pool_count + 15) / 16);
	PART(m->suffixes, (c->pairs.n + 7) / 8);
	PART(m->suffix_classes, (cells + 15) / 16);
	PART(h->text, (c->text_len + 1 + 63) / 64);
#undef PART
	h->v4_count = c->n_v4;
	h->v6_count = c->n_v6;
	h->rules_mask = buckets - 1;
	h->n_names = c->n_names;
	m->suffix_count = c->pairs.n;
	m->v6_classes = c->pairs.columns;
	h->lines = (sp_u32)at;
	return at;
}

static void put_v4(const struct sp_compiler *c, struct sp_image_line *v, const struct sp_image_head *h)
{
	const struct sp_interval *in = c->v4_cut;
	sp_u64 *words = v[h->v4].w;
	sp_u32 *index = (sp_u32 *)v[h->index4].w;
	sp_u32 i = 0;

	for (sp_u32 k = 0; k < c->n_v4; k++)
		words[k] = in[k].start[1] << 32 | in[k].class_;
	for (sp_u32 top = 0; top <= 65536; top++) {
		while (i < c->n_v4 && in[i].start[1] >> 16 < top)
			i++;
		index[top] = i;
	}
}

static void put_v6(const struct sp_compiler *c, struct sp_image_line *v, const struct sp_image_head *h)
{
	for (sp_u32 k = 0; k < c->n_v6; k++) {
		sp_u64 *w = v[h->v6].w + 4 * (size_t)k;

		w[0] = c->v6_cut[k].start[0];
		w[1] = c->v6_cut[k].start[1];
		w[2] = c->v6_cut[k].class_;
	}
}

static void put_services(const struct sp_compiler *c, struct sp_image_line *v, const struct sp_image_head *h)
{
	sp_u16 *table = (sp_u16 *)v[h->services].w;

	for (sp_u32 k = 0; k < c->n_ports; k++) {
		const sp_u64 end = k + 1 < c->n_ports ? c->ports_cut[k + 1].start[1] : SP_IMAGE_SERVICES;

		for (sp_u64 at = c->ports_cut[k].start[1]; at < end; at++)
			table[at] = (sp_u16)c->ports_cut[k].class_;
	}
}

static void put_more(const struct sp_compiler *c, struct sp_image_line *v, const struct sp_image_head *h,
		     const struct sp_image_more *m)
{
	memcpy(&v[0], h, sizeof(*h));
	memcpy(&v[1], m, sizeof(*m));
	memcpy(&v[h->zones], c->zones, sizeof(c->zones));
	memcpy(&v[h->names], c->names, c->n_names * sizeof(*c->names));
	memcpy(&v[m->orders], c->orders, c->n_names * sizeof(*c->orders));
	if (c->forwards)
		memcpy(&v[m->forwards], c->forwards, SP_IMAGE_FORWARDS_LINES * sizeof(*v));
	memcpy(&v[m->pool], c->pool, m->pool_count * sizeof(*c->pool));
	if (c->pairs.n) {
		memcpy(&v[m->suffixes], c->pairs.lows, c->pairs.n * sizeof(*c->pairs.lows));
		memcpy(&v[m->suffix_classes], c->pairs.classes,
		       (size_t)c->pairs.n * c->pairs.columns * sizeof(*c->pairs.classes));
	}
	memcpy(&v[h->text], c->text, c->text_len);
}

int sp_compile_pack(struct sp_compiler *c, struct sp_image *out)
{
	struct sp_image_head h = { .magic = SP_IMAGE_MAGIC, .abi = SP_IMAGE_ABI };
	struct sp_image_more m = c->more;
	const sp_u32 buckets = sp_rules_buckets(&c->table);
	struct sp_image_line *v;

	if (!buckets)
		return -ENOMEM;
	if (lay_out(c, buckets, &h, &m) > SP_IMAGE_LINES_MAX) {
		snprintf(c->why, c->why_size, "the compiled policy would be larger than %u MB",
			 (unsigned)(SP_IMAGE_LINES_MAX >> 14));
		return -E2BIG;
	}
	v = calloc(h.lines, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (sp_u32 i = 0; c->table.v && i <= c->table.mask; i++)
		if (c->table.v[2 * (size_t)i])
			m.probes |= (sp_u16)(1 << SP_RULE_SORT(c->table.v[2 * (size_t)i]));
	put_v4(c, v, &h);
	put_v6(c, v, &h);
	put_services(c, v, &h);
	put_more(c, v, &h, &m);
	if (sp_rules_pack(&c->table, v + h.rules, h.rules_mask)) {
		free(v);
		return -ENOMEM;
	}
	out->v = v;
	out->n = h.lines;
	return 0;
}
