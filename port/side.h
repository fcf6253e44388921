/* SPDX-License-Identifier: BSD-2-Clause */
/* The source check by written-down inside networks, where there are no routes: the native engine, programs under test. */
#ifndef SP_PORT_SIDE_H
#define SP_PORT_SIDE_H

#include "../core/addr.h"

/* Is an IPv6 address of the inside's network? */
SP_INLINE int sp_side_in6(const struct sp_test *t, const struct sp_addr *a)
{
	for (sp_u32 i = 0; i < 16; i++) {
		const sp_u32 left = t->inside6_bits > i * 8 ? t->inside6_bits - i * 8 : 0;
		const sp_u8 mask = left >= 8 ? 0xff : (sp_u8)(0xff00 >> left);

		if ((a->b[i] ^ t->inside6.b[i]) & mask)
			return 0;
	}
	return 1;
}

/* Is an address of the network of the first zone of one's own? */
SP_INLINE int sp_side_dmz(const struct sp_test *t, sp_u8 family, const struct sp_addr *a)
{
	if (family == SP_IPV4)
		return t->dmz4_mask && (a->w32[0] & t->dmz4_mask) == (t->dmz4_net & t->dmz4_mask);
	return t->dmz6.w[0] && a->w[0] == t->dmz6.w[0];
}

/* Zone of an address. nat: this machine's addresses outside, or NULL. */
SP_INLINE int sp_side_zone(const struct sp_test *t, struct sp_nat_addrs *nat, sp_u8 family, const struct sp_addr *a)
{
	const sp_u32 v4 = a->w32[0];

	if (t->zone_to)
		return t->zone_to;
	if (sp_side_dmz(t, family, a))
		return SP_ZONE_COUNT;
	if (family == SP_IPV4) {
		for (sp_u32 i = 0; nat && i < 4; i++)
			if (nat->slot[i].addr == v4)
				return SP_ZONE_SELF;
		if (t->me_inside4 == v4 || t->me_outside4 == v4)
			return SP_ZONE_SELF;
		return t->inside4_mask && (v4 & t->inside4_mask) == (t->inside4_net & t->inside4_mask) ?
			SP_ZONE_INSIDE : SP_ZONE_OUTSIDE;
	}
	if (sp_addr_equal(a, &t->me6[0]) || sp_addr_equal(a, &t->me6[1]))
		return SP_ZONE_SELF;
	return t->inside6_bits && sp_side_in6(t, a) ? SP_ZONE_INSIDE : SP_ZONE_OUTSIDE;
}

SP_INLINE int sp_side_fits(const struct sp_test *t, struct sp_nat_addrs *nat, const struct sp_pkt *p)
{
	if (p->zone == SP_ZONE_OUTSIDE)
		return t->zone_to || sp_side_zone(t, nat, p->family, &p->src) == SP_ZONE_OUTSIDE;
	if (p->zone == SP_ZONE_COUNT)
		return sp_side_dmz(t, p->family, &p->src);
	if (p->family == SP_IPV4)
		return !t->inside4_mask || sp_is_zero(&p->src) ||
		       (p->src.w32[0] & t->inside4_mask) == (t->inside4_net & t->inside4_mask);
	if (!t->inside6_bits || sp_is_link_local6(&p->src))
		return 1;
	return sp_side_in6(t, &p->src);
}

SP_INLINE int sp_side_listens(const struct sp_test *t, sp_u32 port)
{
	return port && (t->listens[0] == port || t->listens[1] == port || t->listens[2] == port || t->listens[3] == port);
}

#endif
