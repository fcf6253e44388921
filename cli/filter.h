/* SPDX-License-Identifier: BSD-2-Clause */
/* Which conversations are meant: the filters of `sally flows`. */
#ifndef SP_CLI_FILTER_H
#define SP_CLI_FILTER_H

#include "cli.h"

struct sp_filter {
	int used; /* how many conditions there are; all must hold */
	int family, bits; /* of addr; family SP_FAMILY_NONE: any address */
	struct sp_addr addr;
	int port, proto, zone, class_; /* -1: any */
	const char *state; /* NULL: any */
};

void sp_filter_init(struct sp_filter *f);
/*
 * name: addr, port, proto, zone, state, answered, unanswered, closing; 0, or an exit code after saying
 * what is wrong
 */
int sp_filter_option(struct sp_filter *f, const char *name, const char *value);
/* A word alone says itself what it is: an address, a protocol, a zone, a state, or a port. */
int sp_filter_word(struct sp_filter *f, const char *word);
int sp_filter_match(const struct sp_filter *f, const struct sp_flow *flow, const struct sp_known *known);

#endif
