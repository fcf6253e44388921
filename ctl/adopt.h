/* SPDX-License-Identifier: BSD-2-Clause */
/* Conversations that are older than the firewall, as others know them; for the files of ctl/ only. */
#ifndef SP_CTL_ADOPT_H
#define SP_CTL_ADOPT_H

#include "internal.h"

struct sp_end {
	sp_u8 addr[16]; /* network order; IPv4: the first four */
	sp_u16 port; /* host order; ICMP queries: the identifier */
};

/* One conversation of the kernel's own tracking table that somebody has answered. */
struct sp_tracked {
	sp_u8 family; /* enum sp_family */
	sp_u8 proto;
	sp_u8 icmp_type; /* of the query */
	struct sp_end initiator, responder; /* where packets really come from and go to */
	struct sp_end initiator_known, responder_known; /* as the other end knows it; the same where nothing is translated */
};

typedef void sp_tracked_fn(void *arg, const struct sp_tracked *t);

/* ---- conntrack.c: fn is called for each; 0, also if this kernel tracks nothing here, or a negative errno ------ */
int sp_conntrack_each(sp_tracked_fn *fn, void *arg);

/* ---- route.c: which zone an address is in, by the kernel's routes ---------------------------------------------- */
struct sp_routes {
	struct sp_links *links;
	struct sp_route_memory *memory; /* many conversations go to the same place */
};
int sp_routes_open(struct sp_routes *r, struct sp_links *links); /* 0 or -ENOMEM */
void sp_routes_close(struct sp_routes *r);
/*
 * enum sp_zone of an address: SP_ZONE_SELF if it is this machine's own; SP_ZONE_NONE if it is reached through an interface
 * that is not guarded, or not at all. from: the address to be used, NULL: any. ifindex: the way to take, 0: any.
 */
sp_u8 sp_routes_zone(struct sp_routes *r, int family, const sp_u8 *to, const sp_u8 *from, sp_u32 ifindex);

#endif
