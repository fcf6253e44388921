/* SPDX-License-Identifier: BSD-2-Clause */
/* The surroundings of the express lane: interfaces, routes, neighbours; and what a router changes, taken back. */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "lane.h"

#define MAC 6

/* destination and source of what leaves by the inside's, the outside's interface */
static const sp_u8 macs[2][2 * MAC] = { { 2, 0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 1 }, { 2, 0, 0, 0, 2, 2, 2, 0, 0, 0, 2, 1 } };

static const char setup[] =
	"set -e\n"
	"exec >/dev/null\n"
	"echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding\n"
	"one() {\n" /* interface, number, networks of either family behind it */
	"  ip link add $1 address 02:00:00:00:0$2:01 mtu 9000 type veth peer name $1x\n"
	"  ip link set $1x up; ip link set $1 up\n"
	"  echo 0 > /proc/sys/net/ipv4/conf/$1/rp_filter\n"
	"  ip neigh add 10.255.$2.1 lladdr 02:00:00:00:0$2:02 nud permanent dev $1\n"
	"  ip -6 neigh add fe80::9 lladdr 02:00:00:00:0$2:02 nud permanent dev $1\n"
	"  ip addr add 10.255.$2.2/24 dev $1\n"
	"  ip route add $3 via 10.255.$2.1 dev $1\n"
	"  ip -6 route add $4 via fe80::9 dev $1\n"
	"}\n"
	"echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter\n"
	"one lanein 1 10.0.0.0/24 2a00:1::/64\n"
	"one laneout 2 default default\n"
	"ip addr add 192.0.2.10/32 dev laneout; ip -6 addr add 2a00:5::10/128 dev laneout nodad\n";

int lane_open(struct lane *l, int ifaces_fd, const char **what)
{
	static const char *const names[] = { "lanein", "laneout" };

	*what = "make interfaces (ip)";
	if (system(setup))
		return -EIO;
	*what = "guard interfaces";
	for (int i = 0; i < 2; i++) {
		struct sp_iface iface = { .zone = i ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE, .xdp = 1, .express = 1 };

		l->ifindex[i] = if_nametoindex(names[i]);
		if (!l->ifindex[i] || bpf_map_update_elem(ifaces_fd, &l->ifindex[i], &iface, BPF_ANY))
			return -errno;
	}
	l->open = 1;
	return 0;
}

sp_u32 lane_ifindex(const struct lane *l, sp_u8 zone)
{
	return l->open ? l->ifindex[zone == SP_ZONE_OUTSIDE] : 0;
}

void lane_keep(struct lane *l, const sp_u8 *out, sp_u32 len)
{
	memcpy(l->out, out, len);
	l->len = len;
}

int lane_show(const struct lane *l, const struct sp_engine_packet *p, sp_u8 *out, struct sp_engine_result *result)
{
	const sp_u8 *was = p->data;
	sp_u8 *ip = out + 2 * MAC + 2;
	sp_u32 sum;

	if (l->len != p->len || memcmp(l->out, macs[p->zone == SP_ZONE_OUTSIDE], 2 * MAC) != 0)
		return -EPROTO;
	memcpy(out, l->out, l->len);
	memcpy(out, was, 2 * MAC);
	if (out[2 * MAC] == 0x86) {
		ip[7]++;
	} else {
		ip[8]++;
		sum = (sp_u32)(ip[10] << 8 | ip[11]);
		sum = sum < 0x100 ? sum + 0xffff - 0x100 : sum - 0x100; /* RFC 1624 eqn. 4, for one hop more */
		ip[10] = (sp_u8)(sum >> 8);
		ip[11] = (sp_u8)sum;
	}
	result->verdict = SP_PASS;
	result->reason = SP_R_FORWARDED;
	return 0;
}
