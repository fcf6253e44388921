/* SPDX-License-Identifier: BSD-2-Clause */
/* Configurations of a size that is measured: many lines, many networks, and addresses around what they name. */
#include "image_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A configuration of n lines, each for networks and ports of its own; and whatever `more` says. */
char *many_lines(sp_u32 n, const char *more)
{
	char *text = malloc(200 * (size_t)n + strlen(more) + 100), *at = text;

	if (!text)
		abort();
	at += sprintf(at, "wan eth0\nlan eth1\n%s", more);
	for (sp_u32 i = 0; i < n; i++) {
		const sp_u32 a = 1 + i % 200, b = i / 200;

		if (i % 5 == 4)
			at += sprintf(at, "block outside -> 198.51.%u.%u/32 : tcp/%u\n", a, b, 1 + i % 1000);
		else if (i % 5 == 3)
			at += sprintf(at, "allow 2600:%x::/32 -> inside, self : tcp/%u, udp/%u\n", i, 1 + i % 1000,
				      1 + i % 99);
		else
			at += sprintf(at, "open tcp/%u-%u from 20.%u.%u.0/24, 2610:%x::/32\n", 1 + i,
				      1 + i + (i % 4 ? 0 : 20), a, b, i);
	}
	return text;
}

/* A file of n networks: IPv4 with lengths of 24 to 32, and IPv6. */
char *many_networks(sp_u32 n)
{
	char *text = malloc(32 * (size_t)n + 1), *at = text;

	if (!text)
		abort();
	for (sp_u32 i = 0; i < n; i++) {
		const sp_u32 a = (i * 2654435761u) | 0x01000000;

		if (i % 4 == 3)
			at += sprintf(at, "2a0%x:%x:%x::/%u\n", a >> 28, a >> 16 & 0xfff, a & 0xffff, 44 + i % 21);
		else
			at += sprintf(at, "%u.%u.%u.%u/%u\n", 1 + (a >> 24) % 222, a >> 16 & 0xff, a >> 8 & 0xff,
				      a & 0xff, 24 + i % 9);
	}
	return text;
}

void large_talk(struct talk *t)
{
	*t = (struct talk){ .family = 4, .proto = 6, .dst = { 203, 0, 113, 1 } };
	for (int k = 0; k < 4; k++)
		t->src[k] = (sp_u8)(1 + pick(222));
	if (pick(2)) { /* one that many_lines() names */
		t->src[0] = 20;
		t->src[1] = (sp_u8)(1 + pick(200));
		t->src[2] = (sp_u8)pick(50);
		t->src[3] = (sp_u8)pick(256);
	}
	t->sport = (sp_u16)(1024 + pick(60000));
	t->dport = (sp_u16)(1 + pick(LINES));
}
