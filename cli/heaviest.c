/* SPDX-License-Identifier: BSD-2-Clause */
/* Who started most of the conversations that nobody has answered: collect, sort, count. */
#include "heaviest.h"

#include <stdlib.h>
#include <string.h>

struct source {
	sp_u64 net; /* IPv4 address, or the upper half of an IPv6 address */
	sp_u8 family;
};

static int compare(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->family != y->family)
		return x->family - y->family;
	return x->net < y->net ? -1 : x->net > y->net;
}

static size_t collect(const struct sp_live *l, struct source *s, size_t room)
{
	sp_u64 now = sp_now_ns();
	struct sp_flow f;
	size_t n = 0;
	sp_u32 i;

	for (i = sp_live_next(l, 0); i < l->t.config->capacity && n < room; i = sp_live_next(l, i + 1)) {
		if (!sp_live_flow(l, i, &f) || sp_phase_class(f.phase) != SP_CLASS_UNANSWERED ||
		    sp_engine_is_stale(&l->t, &f, now))
			continue;
		s[n].net = f.key.addr[f.flags & SP_FLOW_FROM_1 ? 1 : 0].w[0];
		s[n++].family = f.key.family;
	}
	return n;
}

static void describe(struct sp_heavy *h, const struct source *s, sp_u32 count)
{
	struct sp_addr a = { .w = { s->net, 0 } };
	int n = sp_text_addr(h->text, &a, s->family);

	if (s->family == SP_IPV6)
		strcpy(h->text + n, "/64");
	h->count = count;
}

/* Puts a source in its place among the ten. */
static int insert(struct sp_heavy *out, int n, const struct source *s, sp_u32 count)
{
	int at = n;

	while (at && out[at - 1].count < count)
		at--;
	if (at == SP_HEAVIEST)
		return n;
	if (n < SP_HEAVIEST)
		n++;
	memmove(out + at + 1, out + at, (size_t)(n - 1 - at) * sizeof(*out));
	describe(&out[at], s, count);
	return n;
}

int sp_heaviest(const struct sp_live *l, struct sp_heavy out[SP_HEAVIEST])
{
	size_t room = l->t.config->capacity, count, i, from;
	struct source *s = malloc(room * sizeof(*s));
	int n = 0;

	if (!s)
		return 0;
	count = collect(l, s, room);
	qsort(s, count, sizeof(*s), compare);
	for (from = 0, i = 1; i <= count; i++) {
		if (i < count && !compare(&s[from], &s[i]))
			continue;
		n = insert(out, n, &s[from], (sp_u32)(i - from));
		from = i;
	}
	free(s);
	return n;
}
