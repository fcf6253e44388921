/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The express lane: forwarded packets of answered conversations leave from where they came in, without the stack. Decision
 * record: docs/decisions/0018-express-lane.md. The verdict and the state are those of everywhere; this only says what is
 * simple enough, and changes what a router changes.
 */
#ifndef SP_CORE_EXPRESS_H
#define SP_CORE_EXPRESS_H

#include "addr.h"
#include "nat.h"
#include "rewrite.h"

/* Is a one of many, or of this link only? A router does not pass such packets on (RFC 1812 5.3.7, RFC 4291 2.5.6, 2.7). */
SP_INLINE int sp_is_near(const struct sp_addr *a, sp_u8 family)
{
	return family == SP_IPV4 ? a->b[0] >= 224 || a->b[0] == 0 : a->b[0] == 0xff || sp_is_link_local6(a) || sp_is_zero(a);
}

/*
 * Is p, which has been let in, simple: a whole packet of a conversation, with neither options nor VLAN tags, and
 * time to live? SCTP takes the stack: its checksum may be unfinished in a way that can not be seen.
 */
SP_INLINE int sp_is_simple(const struct sp_pkt *p)
{
	const sp_u32 head = p->family == SP_IPV4 ? 20 : 40;

	return p->flow && p->kind != SP_KIND_ERROR && p->proto != SP_PROTO_SCTP && !sp_is_near(&p->src, p->family) &&
	       !sp_is_near(&p->dst, p->family) && !p->is_frag && !p->foreign && p->hop_limit > 1 && p->l3_off == 14 &&
	       p->l4_off == 14 + head;
}

/* Does nobody else translate its conversation? To be asked before sp_nat_known(), which takes that for settled. */
SP_INLINE int sp_is_ours(const struct sp_flow *f)
{
	sp_u32 at = SP_READ(f->flags) & SP_FLOW_TRANSLATED ? SP_READ(f->alias) : 0;

	for (int n = 0; n < 2 && at; n++) {
		struct sp_alias *a = sp_alias_at(at - 1);

		if (!a || (SP_READ(a->flags) & SP_ALIAS_FOREIGN))
			return 0;
		at = SP_READ(a->other);
	}
	return 1;
}

/* p leaves by that interface of zone `zone`. */
SP_INLINE void sp_express_leaves(struct sp_pkt *p, sp_u32 ifindex, sp_u8 zone)
{
	p->ifindex = ifindex;
	p->zone_out = zone;
	p->hook = SP_HOOK_EGRESS;
	p->forwarded = 1;
}

/*
 * p leaves by an interface of zone p->zone_out: whom does the receiver know it as? 1: p->nat says; 0: the stack has to look.
 * p->forwarded is set, the hook is egress.
 */
SP_INLINE int sp_express_known(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_flow *f = p ? sp_flow_at(p->flow - 1) : SP_NULL;

	if (!p || !f || !sp_is_ours(f))
		return 0;
	p->nat = SP_NAT_UNTOUCHED;
	if (p->family != SP_IPV4 || !sp_nat_get())
		return 1;
	/* mostly without a lock; what comes from the outside gets another source by hairpin only, and then has an alias */
	if (!(SP_READ(f->flags) & SP_FLOW_TRANSLATED) &&
	    (p->zone_out != SP_ZONE_OUTSIDE || !sp_is_private4(p->src.w32[0]) || !sp_nat_wants(p, f)))
		return 1;
	return sp_nat_source(dev, p) == SP_R_FORWARDED;
}

/* The same as a call; where the stack has no room for one, the other. */
SP_GLOBAL int sp_express_source(sp_dev *dev, struct sp_pkt *p)
{
	return sp_express_known(dev, p);
}

/* One hop further: RFC 1812 5.3.1, RFC 8200 3. Nonzero: the packet is not all there. */
SP_INLINE int sp_express_hop(sp_dev *dev, struct sp_pkt *p)
{
	sp_u8 old[2], new_[2];
	sp_u16 from, to;

	if (p->family == SP_IPV6) {
		new_[0] = p->hop_limit - 1;
		return sp_put(dev, 14 + 7, new_, 1);
	}
	if (sp_load(dev, 14 + 8, old, 2))
		return -1;
	new_[0] = old[0] - 1;
	new_[1] = old[1];
	__builtin_memcpy(&from, old, 2);
	__builtin_memcpy(&to, new_, 2);
	if (sp_put(dev, 14 + 8, new_, 2))
		return -1;
	return sp_mend(dev, 14 + 10, from, to, SP_FIX_2);
}

#endif
