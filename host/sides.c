/* SPDX-License-Identifier: BSD-2-Clause */
/* Which side of the firewall a captured packet came from: by its source address. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sides.h"

static int read_prefix(struct sp_prefix *p, char *word)
{
	char *slash = strchr(word, '/'), *end;
	unsigned long bits;

	memset(p, 0, sizeof(*p));
	if (slash)
		*slash = 0;
	if (inet_pton(AF_INET, word, p->addr.b) == 1)
		p->family = SP_IPV4;
	else if (inet_pton(AF_INET6, word, p->addr.b) == 1)
		p->family = SP_IPV6;
	if (slash)
		*slash = '/';
	if (!p->family)
		return -EINVAL;
	bits = p->family == SP_IPV4 ? 32 : 128;
	if (slash) {
		unsigned long said = strtoul(slash + 1, &end, 10);

		if (slash[1] < '0' || slash[1] > '9' || *end || said > bits)
			return -EINVAL;
		bits = said;
	}
	p->bits = (sp_u8)bits;
	return 0;
}

int sp_sides_add(struct sp_sides *s, const char *text, char *bad, sp_u32 bad_size)
{
	char word[64];

	do {
		size_t n = strcspn(text, ",");
		size_t keep = n < sizeof(word) - 1 ? n : sizeof(word) - 1;

		memcpy(word, text, keep);
		word[keep] = 0;
		if (bad_size) {
			strncpy(bad, word, bad_size - 1);
			bad[bad_size - 1] = 0;
		}
		if (s->count == SP_SIDES_MAX)
			return -ENOSPC;
		if (keep != n || read_prefix(&s->list[s->count], word))
			return -EINVAL;
		s->count++;
		text += n;
	} while (*text++ == ',');
	return 0;
}

static int matches(const struct sp_prefix *p, const struct sp_addr *a, int family)
{
	sp_u32 whole = p->bits / 8, rest = p->bits % 8;
	sp_u8 mask = (sp_u8)(0xff00 >> rest);

	if (p->family != family || memcmp(p->addr.b, a->b, whole))
		return 0;
	return !rest || !((p->addr.b[whole] ^ a->b[whole]) & mask);
}

static int is_listed(const struct sp_sides *s, const struct sp_addr *a, int family)
{
	for (int i = 0; i < s->count; i++)
		if (matches(&s->list[i], a, family))
			return 1;
	return 0;
}

void sp_sides_judge(struct sp_sides *s, const struct sp_glance *g, sp_u8 *zone, sp_u8 *hook)
{
	int listed;

	*zone = SP_ZONE_OUTSIDE;
	*hook = SP_HOOK_INGRESS;
	if (g->family == SP_FAMILY_NONE)
		return;
	if (s->how == SP_SIDES_FIRST_SENDER && s->count == 0) {
		s->list[0].addr = g->src;
		s->list[0].family = g->family;
		s->list[0].bits = g->family == SP_IPV4 ? 32 : 128;
		s->count = 1;
	}
	listed = is_listed(s, &g->src, g->family);
	if (s->how == SP_SIDES_SELF)
		*hook = listed ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	else if (listed == (s->how != SP_SIDES_OUTSIDE))
		*zone = SP_ZONE_INSIDE;
}
