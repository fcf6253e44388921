/* SPDX-License-Identifier: BSD-2-Clause */
/* A compiled policy as user space holds it: names, text, and the validator. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/abi.h"

void sp_image_free(struct sp_image *image)
{
	free(image->v);
	image->v = NULL;
}

const char *sp_image_line_name(const struct sp_image_line *v, sp_u32 line)
{
	const struct sp_image_head *h = (const struct sp_image_head *)v;

	if (line < SP_LINE_FIRST || line - SP_LINE_FIRST >= h->n_names)
		return "";
	return (const char *)&v[h->names] + (size_t)(line - SP_LINE_FIRST) * SP_IMAGE_NAME;
}

const char *sp_image_text(const struct sp_image_line *v)
{
	return (const char *)&v[((const struct sp_image_head *)v)->text];
}

/* ---- the validator ------------------------------------------------------------------------------------------------ */

static int bad(char *why, size_t size, const char *what)
{
	snprintf(why, size, "not a policy image: %s", what);
	return -EINVAL;
}

/* Sorted from the first address on, and the index says where each /16 begins. Returns what is wrong, or NULL; so do all. */
static const char *check_v4(const struct sp_image_line *v, const struct sp_image_head *h)
{
	const sp_u32 *index = (const sp_u32 *)v[h->index4].w;
	const sp_u64 *w = v[h->v4].w;
	sp_u32 i = 0;

	if (w[0] >> 32)
		return "its IPv4 intervals do not begin at the beginning";
	for (sp_u32 k = 0; k < h->v4_count; k++) {
		if (k && w[k] >> 32 <= w[k - 1] >> 32)
			return "its IPv4 intervals do not ascend";
		if ((sp_u32)w[k] >= SP_CLASS_ANY)
			return "its IPv4 classes are out of range";
	}
	for (sp_u32 top = 0; top <= 65536; top++) {
		while (i < h->v4_count && w[i] >> 48 < top)
			i++;
		if (index[top] != i)
			return "its IPv4 index does not fit its intervals";
	}
	return NULL;
}

static const char *check_v6(const struct sp_image_line *v, const struct sp_image_head *h)
{
	const sp_u64 *w = v[h->v6].w;

	if (w[0] || w[1])
		return "its IPv6 intervals do not begin at the beginning";
	for (sp_u32 k = 0; k < h->v6_count; k++) {
		const sp_u64 *b = w + 4 * (size_t)k, *a = k ? b - 4 : NULL;

		if (a && (b[0] < a[0] || (b[0] == a[0] && b[1] <= a[1])))
			return "its IPv6 intervals do not ascend";
		if (b[2] >= SP_CLASS_ANY)
			return "its IPv6 classes are out of range";
	}
	return NULL;
}

/* Does the search for this key end at `word`, where it stands? */
static int is_found(const struct sp_image_line *rules, sp_u32 mask, sp_u64 key, const sp_u64 *word)
{
	for (sp_u32 hop = 0; hop < SP_RULE_HOPS; hop++) {
		const sp_u64 *w = rules[(SP_RULE_BUCKET(key, mask) + hop) & mask].w;

		for (int i = 0; i < 2 * SP_RULES_A_BUCKET; i += 2)
			if (w[i] == key || !w[i])
				return &w[i] == word;
	}
	return 0;
}

static const char *check_rules(const struct sp_image_line *v, const struct sp_image_head *h)
{
	for (sp_u32 at = 0; at <= h->rules_mask; at++) {
		const sp_u64 *w = v[h->rules + at].w;

		for (int i = 0; i < SP_RULES_A_BUCKET; i++) {
			const sp_u64 key = w[2 * i], value = w[2 * i + 1], verdict = value & ~(sp_u64)SP_RULE_LINE;
			const sp_u32 line = value & SP_RULE_LINE;

			if (!key)
				continue;
			if (!is_found(&v[h->rules], h->rules_mask, key, &w[2 * i]))
				return "one of its rules can not be found";
			if ((verdict != SP_RULE_BLOCK && verdict != SP_RULE_ALLOW) || line < SP_LINE_FIRST ||
			    line - SP_LINE_FIRST >= h->n_names)
				return "one of its rules belongs to no line";
		}
	}
	return NULL;
}

static const char *check_names(const struct sp_image_line *v, const struct sp_image_head *h)
{
	for (sp_u32 i = 0; i < SP_ZONES_MAX; i++)
		if (!memchr((const char *)&v[h->zones] + i * SP_IMAGE_NAME, 0, SP_IMAGE_NAME))
			return "one of its zones has a name without end";
	for (sp_u32 i = 0; i < h->n_names; i++)
		if (!memchr((const char *)&v[h->names] + (size_t)i * SP_IMAGE_NAME, 0, SP_IMAGE_NAME))
			return "one of its lines has a name without end";
	return NULL;
}

int sp_image_check(const struct sp_image_line *v, sp_u32 n, char *why, size_t size)
{
	const struct sp_image_head *h = (const struct sp_image_head *)v;
	const char *what;

	if (!n || h->magic != SP_IMAGE_MAGIC || h->abi != SP_IMAGE_ABI)
		return bad(why, size, "another kind or version");
	if (h->lines != n || n > SP_IMAGE_LINES_MAX)
		return bad(why, size, "its length is wrong");
	if (h->index4 != 1 || h->v4 != h->index4 + SP_IMAGE_INDEX4_LINES || !h->v4_count || !h->v6_count ||
	    h->v4_count > n * 8 || h->v6_count > n * 2 || h->v6 != h->v4 + (h->v4_count + 7) / 8 ||
	    h->services != h->v6 + (h->v6_count + 1) / 2 || h->rules != h->services + SP_IMAGE_SERVICE_LINES ||
	    (h->rules_mask & (h->rules_mask + 1)) || (sp_u64)h->rules + h->rules_mask + 1 != h->zones ||
	    h->names != h->zones + SP_ZONES_MAX / 2 || (sp_u64)h->names + ((sp_u64)h->n_names + 1) / 2 != h->text ||
	    h->text >= n)
		return bad(why, size, "its parts do not fit each other");
	if (!memchr(&v[h->text], 0, (size_t)(n - h->text) * sizeof(*v)))
		return bad(why, size, "its text has no end");
	what = check_v4(v, h);
	if (!what)
		what = check_v6(v, h);
	if (!what)
		what = check_rules(v, h);
	if (!what)
		what = check_names(v, h);
	return what ? bad(why, size, what) : 0;
}
