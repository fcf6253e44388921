/* SPDX-License-Identifier: BSD-2-Clause */
/* The interfaces of this network namespace: what they are, and which of them lead to everywhere. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#ifndef ARPHRD_RAWIP
#define ARPHRD_RAWIP 519
#endif
#ifndef ARPHRD_IP6GRE
#define ARPHRD_IP6GRE 823
#endif

/*
 * Which kinds of link we can read. Anything else (InfiniBand, FireWire, ...) must not be guarded: its
 * frames would look like Ethernet with a strange type, which is nobody's conversation, and would pass.
 */
static void link_kind(struct sp_link *l, unsigned type)
{
	switch (type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return;
	case ARPHRD_NONE: /* tun, WireGuard */
	case ARPHRD_PPP:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		l->bare_ip = 1;
		return;
	default:
		l->is_foreign = 1;
	}
}

struct link_attrs {
	const struct nlattr *a[IFLA_MAX + 1];
};

static int attr_link(const struct nlattr *a, void *arg)
{
	struct link_attrs *attrs = arg;

	if (mnl_attr_type_valid(a, IFLA_MAX) >= 0)
		attrs->a[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static int link_info_is(const struct nlattr *info, int which, const char *kind)
{
	const struct nlattr *a;

	if (!info)
		return 0;
	mnl_attr_for_each_nested(a, info) {
		if (mnl_attr_get_type(a) == which)
			return !strcmp(mnl_attr_get_str(a), kind);
	}
	return 0;
}

static struct sp_link *link_add(struct sp_links *l)
{
	if (l->count == l->room) {
		int room = l->room ? l->room * 2 : 32;
		struct sp_link *p = realloc(l->link, (size_t)room * sizeof(*p));

		if (!p)
			return NULL;
		l->link = p;
		l->room = room;
	}
	memset(&l->link[l->count], 0, sizeof(*l->link));
	return &l->link[l->count++];
}

static int on_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(nlh);
	struct link_attrs at = { { 0 } };
	const struct nlattr *info;
	struct sp_link *l;

	if (nlh->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(*m), attr_link, &at);
	l = link_add(arg);
	if (!l) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	l->ifindex = m->ifi_index;
	l->is_up = !!(m->ifi_flags & IFF_UP);
	l->is_loopback = !!(m->ifi_flags & IFF_LOOPBACK);
	if (at.a[IFLA_IFNAME])
		snprintf(l->name, sizeof(l->name), "%s", mnl_attr_get_str(at.a[IFLA_IFNAME]));
	link_kind(l, m->ifi_type);
	if (at.a[IFLA_ADDRESS] && mnl_attr_get_payload_len(at.a[IFLA_ADDRESS]) == sizeof(l->mac))
		memcpy(l->mac, mnl_attr_get_payload(at.a[IFLA_ADDRESS]), sizeof(l->mac));
	info = at.a[IFLA_LINKINFO];
	/* interfaces in a VRF keep their own addresses and are judged themselves */
	l->is_port = at.a[IFLA_MASTER] && !link_info_is(info, IFLA_INFO_SLAVE_KIND, "vrf");
	/*
	 * IFLA_LINK of a veth is its peer, of a tunnel what it runs over; only these share their
	 * carrier's frames
	 */
	if (at.a[IFLA_LINK] && !at.a[IFLA_LINK_NETNSID] &&
	    (link_info_is(info, IFLA_INFO_KIND, "vlan") || link_info_is(info, IFLA_INFO_KIND, "macvlan") ||
	     link_info_is(info, IFLA_INFO_KIND, "ipvlan")))
		l->carrier = (int)mnl_attr_get_u32(at.a[IFLA_LINK]);
	return MNL_CB_OK;
}

static int on_address(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	struct sp_link *l = sp_links_by_index(arg, (int)m->ifa_index);

	if (nlh->nlmsg_type == RTM_NEWADDR && l && m->ifa_scope < RT_SCOPE_LINK)
		l->has_address = 1;
	return MNL_CB_OK;
}

static void mark_default(struct sp_links *links, int ifindex)
{
	struct sp_link *l = sp_links_by_index(links, ifindex);

	if (l)
		l->has_default_route = 1;
}

/*
 * A default route in any table (VPN clients use their own). Half of everything counts, too: that is
 * how OpenVPN puts itself in front of a default route (0.0.0.0/1 and 128.0.0.0/1; 2000::/3 is all of
 * the global IPv6 space).
 */
static int on_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || m->rtm_type != RTN_UNICAST || m->rtm_flags & RTM_F_CLONED ||
	    m->rtm_dst_len > (m->rtm_family == AF_INET ? 1 : 3))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m)) {
		if (mnl_attr_get_type(a) == RTA_OIF) {
			mark_default(arg, (int)mnl_attr_get_u32(a));
		} else if (mnl_attr_get_type(a) == RTA_MULTIPATH) {
			const struct rtnexthop *nh = mnl_attr_get_payload(a);
			int left = mnl_attr_get_payload_len(a);

			for (; left >= (int)sizeof(*nh) && RTNH_OK(nh, left); nh = RTNH_NEXT(nh)) {
				mark_default(arg, nh->rtnh_ifindex);
				left -= NLMSG_ALIGN(nh->rtnh_len);
			}
		}
	}
	return MNL_CB_OK;
}

static int dump_links(struct sp_links *l)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m->ifi_family = AF_UNSPEC;
	return sp_netlink_dump(NETLINK_ROUTE, nlh, on_link, l);
}

static int dump_addresses(struct sp_links *l)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m->ifa_family = AF_UNSPEC;
	return sp_netlink_dump(NETLINK_ROUTE, nlh, on_address, l);
}

static int dump_routes(struct sp_links *l, unsigned char family)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m->rtm_family = family;
	return sp_netlink_dump(NETLINK_ROUTE, nlh, on_route, l);
}

static int compare_links(const void *a, const void *b)
{
	const struct sp_link *x = a, *y = b;

	return x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

void sp_links_sort(struct sp_links *l)
{
	if (l->count)
		qsort(l->link, (size_t)l->count, sizeof(*l->link), compare_links);
}

/* /proc/sys/net answers for the network namespace of the reader; without IPv6 its file is missing. */
static int is_switched_on(const char *path)
{
	FILE *f = fopen(path, "re");
	int c = f ? fgetc(f) : '0';

	if (f)
		fclose(f);
	return c != '0' && c != EOF;
}

int sp_links_read(struct sp_links *l, struct sp_err *err)
{
	int i, rc;

	memset(l, 0, sizeof(*l));
	rc = dump_links(l);
	sp_links_sort(l);
	if (!rc)
		rc = dump_addresses(l);
	if (!rc)
		rc = dump_routes(l, AF_INET);
	if (!rc)
		rc = dump_routes(l, AF_INET6);
	if (rc) {
		sp_links_free(l);
		return sp_err_errno(err, rc, "can not list the interfaces");
	}
	for (i = 0; i < l->count; i++) {
		struct sp_link *carrier = sp_links_by_index(l, l->link[i].carrier);

		if (carrier)
			carrier->is_carrier = 1;
	}
	l->forwarding = is_switched_on("/proc/sys/net/ipv4/ip_forward") ||
			is_switched_on("/proc/sys/net/ipv6/conf/all/forwarding");
	return 0;
}

void sp_links_free(struct sp_links *l)
{
	free(l->link);
	memset(l, 0, sizeof(*l));
}

struct sp_link *sp_links_by_name(struct sp_links *l, const char *name)
{
	int i;

	for (i = 0; i < l->count; i++)
		if (!strcmp(l->link[i].name, name))
			return &l->link[i];
	return NULL;
}

struct sp_link *sp_links_by_index(struct sp_links *l, int ifindex)
{
	struct sp_link key = { .ifindex = ifindex };

	if (!l->count)
		return NULL;
	return bsearch(&key, l->link, (size_t)l->count, sizeof(*l->link), compare_links);
}
