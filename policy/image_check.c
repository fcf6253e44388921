/* SPDX-License-Identifier: BSD-2-Clause */
/* The validator of compiled policies: whatever it lets through, the engine and user space can read without harm. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../core/abi.h"

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

static int is_zone(const struct sp_image_line *v, const struct sp_image_head *h, sp_u32 zone)
{
	return zone && zone < SP_ZONE_FORWARD && *((const char *)&v[h->zones] + zone * SP_IMAGE_NAME);
}

/* A forward answers for addresses of this machine, whichever; it permits, and says where to. */
static const char *check_rule(const struct sp_image_line *v, const struct sp_image_head *h, sp_u64 key, sp_u64 value)
{
	const struct sp_image_more *m = (const struct sp_image_more *)&v[1];
	const sp_u32 from = key >> 60, to = key >> 56 & 15, line = value & SP_RULE_LINE;
	const sp_u64 verdict = value & ~(sp_u64)SP_RULE_LINE;
	const struct sp_image_order *o;

	if ((verdict != SP_RULE_BLOCK && verdict != SP_RULE_ALLOW) || line < SP_LINE_FIRST ||
	    line - SP_LINE_FIRST >= h->n_names)
		return "one of its rules belongs to no line";
	if (!is_zone(v, h, from) || (to && to != SP_ZONE_FORWARD && !is_zone(v, h, to)))
		return "one of its rules is about no zone";
	o = (const struct sp_image_order *)&v[m->orders + line - SP_LINE_FIRST];
	if (to == SP_ZONE_FORWARD && (verdict != SP_RULE_ALLOW || !o->to4 || !m->forwards || from == SP_ZONE_SELF ||
				      (key >> 16 & SP_CLASS_ANY) != SP_CLASS_ANY))
		return "one of its forwards goes nowhere";
	return NULL;
}

static const char *check_rules(const struct sp_image_line *v, const struct sp_image_head *h)
{
	sp_u32 probes = 0;

	for (sp_u32 at = 0; at <= h->rules_mask; at++) {
		const sp_u64 *w = v[h->rules + at].w;

		for (int i = 0; i < SP_RULES_A_BUCKET; i++) {
			const char *what;

			if (!w[2 * i])
				continue;
			probes |= 1u << SP_RULE_SORT(w[2 * i]);
			if (!is_found(&v[h->rules], h->rules_mask, w[2 * i], &w[2 * i]))
				return "one of its rules can not be found";
			what = check_rule(v, h, w[2 * i], w[2 * i + 1]);
			if (what)
				return what;
		}
	}
	return probes == ((const struct sp_image_more *)&v[1])->probes ? NULL : "it has rules that are not looked for";
}

static const char *check_names(const struct sp_image_line *v, const struct sp_image_head *h)
{
	static const char *const built_in[SP_ZONE_COUNT] = { "", "self", "outside", "inside" };
	const char *zones = (const char *)&v[h->zones];

	for (sp_u32 i = 0; i < SP_ZONES_MAX; i++)
		if (!memchr(zones + i * SP_IMAGE_NAME, 0, SP_IMAGE_NAME))
			return "one of its zones has a name without end";
	for (sp_u32 i = 0; i < SP_ZONES_MAX; i++)
		if (i < SP_ZONE_COUNT ? strcmp(zones + i * SP_IMAGE_NAME, built_in[i]) != 0 :
		    i == SP_ZONE_FORWARD && zones[i * SP_IMAGE_NAME])
			return "its zones have numbers that are not theirs";
	for (sp_u32 i = 0; i < h->n_names; i++)
		if (!memchr((const char *)&v[h->names] + (size_t)i * SP_IMAGE_NAME, 0, SP_IMAGE_NAME))
			return "one of its lines has a name without end";
	return NULL;
}

static int all_zero(const sp_u32 *w, int n)
{
	sp_u32 any = 0;

	for (int i = 0; i < n; i++)
		any |= w[i];
	return !any;
}

static const char *check_orders(const struct sp_image_line *v, const struct sp_image_head *h)
{
	const struct sp_image_order *o = (const struct sp_image_order *)&v[((const struct sp_image_more *)&v[1])->orders];

	for (sp_u32 i = 0; i < h->n_names; i++) {
		const sp_u32 both = SP_ORDER_REJECT | SP_ORDER_DROP;

		if (o[i].flags & ~(SP_ORDER_LOG | both) || (o[i].flags & both) == both || (o[i].to_port && !o[i].to4) ||
		    !o[i].rate != !o[i].rate_per_s || o[i].pad_ || !all_zero(o[i].zero_, 9))
			return "one of its lines has options that contradict each other";
	}
	return NULL;
}

/* Do the forwards of one protocol cover more than half of its ports? */
static int covers_most(const sp_u64 *w, sp_u8 proto)
{
	int n = 0;

	for (sp_u32 i = 0, at = sp_image_service(proto, 0) / 64; i < 65536 / 64; i++)
		n += __builtin_popcountll(w[at + i]);
	return n > 32768;
}

static const char *check_translation(const struct sp_image_line *v, const struct sp_image_head *h)
{
	const sp_u32 known = SP_IMAGE_NAT_OFF | SP_IMAGE_NAT_OPEN | SP_IMAGE_FORWARD_MOST | SP_IMAGE_EXPRESS;
	const struct sp_image_more *m = (const struct sp_image_more *)&v[1];
	const sp_u64 *forwards = v[m->forwards].w;
	const int most = m->forwards && (covers_most(forwards, 6) || covers_most(forwards, 17));
	const sp_u32 *pool = (const sp_u32 *)&v[m->pool];

	if (m->flags & ~known || !all_zero(m->zero_, 6) ||
	    ((m->flags & SP_IMAGE_NAT_OFF) && (m->pool_count || m->flags & SP_IMAGE_NAT_OPEN)))
		return "its translation contradicts itself";
	if (most != !!(m->flags & SP_IMAGE_FORWARD_MOST))
		return "it says something else of its forwards than they are";
	for (sp_u32 i = 0; i < m->pool_count; i++)
		for (sp_u32 k = 0; k <= i; k++)
			if (!pool[i] || (k < i && pool[k] == pool[i]))
				return "its pool has an address twice, or one that is none";
	for (sp_u32 zone = 0; zone < SP_ZONES_MAX; zone++)
		if ((m->reject >> zone & 1) && !is_zone(v, h, zone))
			return "it refuses for a zone that it has not";
	return NULL;
}

static const char *check_suffixes(const struct sp_image_line *v, const struct sp_image_head *h)
{
	const struct sp_image_more *m = (const struct sp_image_more *)&v[1];
	const sp_u64 *lows = v[m->suffixes].w, *v6 = v[h->v6].w;
	const sp_u32 *classes = (const sp_u32 *)&v[m->suffix_classes];

	for (sp_u32 i = 0; i < m->suffix_count; i++)
		if (i && lows[i] <= lows[i - 1])
			return "its IPv6 suffixes do not ascend";
	for (sp_u32 k = 0; m->suffix_count && k < h->v6_count; k++)
		if (v6[4 * (size_t)k + 2] >= m->v6_classes)
			return "its table of IPv6 suffixes is too narrow";
	for (sp_u64 i = 0; i < (sp_u64)m->suffix_count * m->v6_classes; i++)
		if (classes[i] >= SP_CLASS_ANY)
			return "its IPv6 suffixes have classes that are out of range";
	return NULL;
}

/* Does each part begin where the one before ends? All sums in 64 bits: nothing here is trusted yet. */
static int parts_fit(const struct sp_image_head *h, const struct sp_image_more *m, sp_u32 n)
{
	const sp_u64 cells = (sp_u64)m->suffix_count * m->v6_classes;
	sp_u64 at = 2;
	int good = h->v4_count && h->v6_count && !(h->rules_mask & (h->rules_mask + 1)) && h->rules_mask != 0xffffffff &&
		   m->pool_count <= SP_NAT_SLOTS && m->suffix_count <= SP_IMAGE_SUFFIXES_MAX;

#define PART(place, n_lines) (good &= (place) == at, at += (n_lines))
	PART(h->index4, SP_IMAGE_INDEX4_LINES);
	PART(h->v4, ((sp_u64)h->v4_count + 7) / 8);
	PART(h->v6, ((sp_u64)h->v6_count + 1) / 2);
	PART(h->services, SP_IMAGE_SERVICE_LINES);
	PART(h->rules, (sp_u64)h->rules_mask + 1);
	PART(h->zones, SP_ZONES_MAX / 2);
	PART(h->names, ((sp_u64)h->n_names + 1) / 2);
	PART(m->orders, h->n_names);
	if (m->forwards)
		PART(m->forwards, SP_IMAGE_FORWARDS_LINES);
	PART(m->pool, (m->pool_count + 15) / 16);
	PART(m->suffixes, (m->suffix_count + 7) / 8);
	PART(m->suffix_classes, (cells + 15) / 16);
#undef PART
	return good && h->text == at && at < n;
}

int sp_image_check(const struct sp_image_line *v, sp_u32 n, char *why, size_t size)
{
	static const char *(*const checks[])(const struct sp_image_line *v, const struct sp_image_head *h) = {
		check_v4, check_v6, check_names, check_orders, check_rules, check_translation, check_suffixes
	};
	const struct sp_image_head *h = (const struct sp_image_head *)v;

	if (n < 2 || h->magic != SP_IMAGE_MAGIC || h->abi != SP_IMAGE_ABI)
		return bad(why, size, "another kind or version");
	if (h->lines != n || n > SP_IMAGE_LINES_MAX)
		return bad(why, size, "its length is wrong");
	if (!parts_fit(h, (const struct sp_image_more *)&v[1], n))
		return bad(why, size, "its parts do not fit each other");
	if (!memchr(&v[h->text], 0, (size_t)(n - h->text) * sizeof(*v)))
		return bad(why, size, "its text has no end");
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *what = checks[i](v, h);

		if (what)
			return bad(why, size, what);
	}
	return 0;
}
