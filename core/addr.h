/* SPDX-License-Identifier: BSD-2-Clause */
/* Predicates on addresses. */
#ifndef SP_CORE_ADDR_H
#define SP_CORE_ADDR_H

#include "packet.h"

SP_INLINE int sp_is_link_local6(const struct sp_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

SP_INLINE int sp_is_zero(const struct sp_addr *a)
{
	return (a->w[0] | a->w[1]) == 0;
}

#endif
