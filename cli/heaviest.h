/* SPDX-License-Identifier: BSD-2-Clause */
/* Who started most of the conversations that nobody has answered. */
#ifndef SP_CLI_HEAVIEST_H
#define SP_CLI_HEAVIEST_H

#include "cli.h"

#define SP_HEAVIEST 10

struct sp_heavy {
	char text[SP_ADDR_TEXT + 4]; /* an IPv4 address, or an IPv6 network of 64 bits, as the fair share counts them */
	sp_u32 count;
};

/* Fills in at most SP_HEAVIEST, the heaviest first; returns how many. */
int sp_heaviest(const struct sp_live *l, struct sp_heavy out[SP_HEAVIEST]);

#endif
