/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The captures test: which side of the firewall each host is on, in the way of the reference: the first sender is on the
 * near side; whoever talks with a host of one side is on the other; of two new hosts the sender is on the near side.
 */
#include <string.h>

#include "captures.h"

static int find(const struct pairs *s, const struct sp_addr *a, int family)
{
	for (int i = 0; i < s->count; i++)
		if (s->host[i].family == family && memcmp(&s->host[i].addr, a, sizeof(*a)) == 0)
			return i;
	return -1;
}

static int add(struct pairs *s, const struct sp_addr *a, int family, int near)
{
	if (s->count == HOSTS_MAX)
		return -1;
	s->host[s->count].addr = *a;
	s->host[s->count].family = family;
	s->host[s->count].near = near;
	return s->count++;
}

int pairs_near(struct pairs *s, const struct sp_addr *src, const struct sp_addr *dst, int family)
{
	int from = find(s, src, family), to = find(s, dst, family);

	if (from < 0)
		from = add(s, src, family, to < 0 ? 1 : !s->host[to].near);
	if (from < 0)
		return -1;
	if (to < 0 && add(s, dst, family, !s->host[from].near) < 0)
		return -1;
	return s->host[from].near;
}
