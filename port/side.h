/* SPDX-License-Identifier: BSD-2-Clause */
/* The source check by written-down inside networks, where there are no routes: the native engine, programs under test. */
#ifndef SP_PORT_SIDE_H
#define SP_PORT_SIDE_H

#include "../core/addr.h"

SP_INLINE int sp_side_fits(const struct sp_test *t, const struct sp_pkt *p)
{
	if (p->family == SP_IPV4)
		return !t->inside4_mask || sp_is_zero(&p->src) ||
		       (p->src.w32[0] & t->inside4_mask) == (t->inside4_net & t->inside4_mask);
	if (!t->inside6_bits || sp_is_link_local6(&p->src))
		return 1;
	for (sp_u32 i = 0; i < 16; i++) {
		const sp_u32 left = t->inside6_bits > i * 8 ? t->inside6_bits - i * 8 : 0;
		const sp_u8 mask = left >= 8 ? 0xff : (sp_u8)(0xff00 >> left);

		if ((p->src.b[i] ^ t->inside6.b[i]) & mask)
			return 0;
	}
	return 1;
}

#endif
