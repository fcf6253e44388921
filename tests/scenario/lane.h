/* SPDX-License-Identifier: BSD-2-Clause */
/* Two interfaces with routes and neighbours, so that test runs of the XDP program take the express lane. */
#ifndef TESTS_SCENARIO_LANE_H
#define TESTS_SCENARIO_LANE_H

#include "engine_api.h"
#include "packet.h"

struct lane {
	int open;
	sp_u32 ifindex[2]; /* inside, outside */
	sp_u8 out[PKT_MAX]; /* the packet that took the lane last */
	sp_u32 len;
};

/* Makes the interfaces in this network namespace, and guards them in the map sp_ifaces. 0 or -errno. */
int lane_open(struct lane *l, int ifaces_fd, const char **what);

/* Where a packet of that zone comes in; 0: nowhere, the lane is not open. */
sp_u32 lane_ifindex(const struct lane *l, sp_u8 zone);

void lane_keep(struct lane *l, const sp_u8 *out, sp_u32 len);

/*
 * How it left, as the native engine shows it: without the router's part (one hop less to live, other MAC addresses), which
 * must be right. p: the same packet at egress. 0, or -EPROTO.
 */
int lane_show(const struct lane *l, const struct sp_engine_packet *p, sp_u8 *out, struct sp_engine_result *result);

#endif
