/* SPDX-License-Identifier: BSD-2-Clause */
/* Where an address lives, as the kernel's routing of this network namespace sees it. */
#ifndef SP_CLI_WHERE_H
#define SP_CLI_WHERE_H

#include "../core/abi.h"

struct sp_where {
	int ifindex; /* through which it is reached */
	int is_local; /* it is an address of this machine */
};

/* 0, -ENETUNREACH when there is no route, or another negative errno. */
int sp_where(const struct sp_addr *a, int family, struct sp_where *out);

#endif
