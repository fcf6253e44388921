/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of lines while it is compiled: keys of classes with their strongest line, and its form in the image. */
#include "rules.h"

#include <errno.h>
#include <stdlib.h>

#define RULES_MAX 4000000u /* keys in the table of lines */
#define PUTS_MAX 64000000u /* attempts to fill it: lines that say the same cost time, too */

static int grow(struct sp_rules *r)
{
	const sp_u32 mask = r->mask ? r->mask * 2 + 1 : 1023;
	sp_u64 *t = calloc((size_t)mask + 1, 2 * sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (sp_u32 i = 0; r->v && i <= r->mask; i++) {
		sp_u32 at = SP_RULE_BUCKET(r->v[2 * (size_t)i], mask);

		if (!r->v[2 * (size_t)i])
			continue;
		while (t[2 * (size_t)at])
			at = (at + 1) & mask;
		t[2 * (size_t)at] = r->v[2 * (size_t)i];
		t[2 * (size_t)at + 1] = r->v[2 * (size_t)i + 1];
	}
	free(r->v);
	r->v = t;
	r->mask = mask;
	return 0;
}

/* Block beats allow; of two alike the earlier line stays. */
int sp_rules_put(struct sp_rules *r, sp_u64 key, sp_u32 value)
{
	sp_u32 at;

	if (r->n * 2 >= r->mask && grow(r))
		return -ENOMEM;
	at = SP_RULE_BUCKET(key, r->mask);
	while (r->v[2 * (size_t)at] && r->v[2 * (size_t)at] != key)
		at = (at + 1) & r->mask;
	if (r->n >= RULES_MAX || r->puts++ >= PUTS_MAX)
		return -E2BIG;
	if (!r->v[2 * (size_t)at]) {
		r->n++;
		r->v[2 * (size_t)at] = key;
	} else if (!(value & SP_RULE_BLOCK) || (r->v[2 * (size_t)at + 1] & SP_RULE_BLOCK)) {
		return 0;
	}
	r->v[2 * (size_t)at + 1] = value;
	return 0;
}

sp_u32 sp_rules_get(const struct sp_rules *r, sp_u64 key)
{
	sp_u32 at;

	if (!r->v)
		return 0;
	at = SP_RULE_BUCKET(key, r->mask);
	while (r->v[2 * (size_t)at] && r->v[2 * (size_t)at] != key)
		at = (at + 1) & r->mask;
	return r->v[2 * (size_t)at] ? (sp_u32)r->v[2 * (size_t)at + 1] : 0;
}

/* The bucket that a key goes to, given how full each is; -1: too far from its own. */
static sp_s64 bucket_for(sp_u8 *fill, sp_u32 mask, sp_u64 key)
{
	for (sp_u32 hop = 0; hop < SP_RULE_HOPS; hop++) {
		const sp_u32 at = (SP_RULE_BUCKET(key, mask) + hop) & mask;

		if (fill[at] < SP_RULES_A_BUCKET) {
			fill[at]++;
			return at;
		}
	}
	return -1;
}

/* Lines of the bucket table so that each key finds room near its place; 0: memory. */
sp_u32 sp_rules_buckets(const struct sp_rules *r)
{
	sp_u32 mask = 63;

	while ((mask + 1ULL) * 12 < r->n * 5ULL) /* 60 % full at most */
		mask = mask * 2 + 1;
	for (;; mask = mask * 2 + 1) {
		sp_u8 *fill = calloc((size_t)mask + 1, 1);
		int fits = 1;

		if (!fill)
			return 0;
		for (sp_u32 i = 0; r->v && i <= r->mask && fits; i++)
			if (r->v[2 * (size_t)i])
				fits = bucket_for(fill, mask, r->v[2 * (size_t)i]) >= 0;
		free(fill);
		if (fits || mask >= SP_IMAGE_LINES_MAX)
			return mask + 1;
	}
}

/* In the order in which sp_rules_buckets() tried it. */
int sp_rules_pack(const struct sp_rules *r, struct sp_image_line *buckets, sp_u32 mask)
{
	sp_u8 *fill = calloc((size_t)mask + 1, 1);

	if (!fill)
		return -ENOMEM;
	for (sp_u32 i = 0; r->v && i <= r->mask; i++) {
		const sp_u64 key = r->v[2 * (size_t)i];
		const sp_s64 at = key ? bucket_for(fill, mask, key) : -1;
		sp_u64 *w;

		if (at < 0)
			continue;
		w = buckets[at].w + 2 * (fill[at] - 1);
		w[0] = key;
		w[1] = r->v[2 * (size_t)i + 1];
	}
	free(fill);
	return 0;
}
