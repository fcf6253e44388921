/* SPDX-License-Identifier: BSD-2-Clause */
/* Where an address lives: asks the kernel for its route, by rtnetlink. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>

#include "where.h"

static int take_attr(const struct nlattr *attr, void *arg)
{
	struct sp_where *out = arg;

	if (mnl_attr_get_type(attr) == RTA_OIF && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		out->ifindex = (int)mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);
	struct sp_where *out = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	out->is_local = rt->rtm_type == RTN_LOCAL;
	if (rt->rtm_type != RTN_LOCAL && rt->rtm_type != RTN_UNICAST && rt->rtm_type != RTN_MULTICAST &&
	    rt->rtm_type != RTN_BROADCAST) {
		errno = ENETUNREACH;
		return MNL_CB_ERROR;
	}
	mnl_attr_parse(nlh, sizeof(*rt), take_attr, out);
	return MNL_CB_STOP;
}

static int ask(struct mnl_socket *nl, const struct sp_addr *a, int family, struct sp_where *out)
{
	char buf[8192]; /* what MNL_SOCKET_BUFFER_SIZE is at most */
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	unsigned seq = (unsigned)time(NULL);
	struct rtmsg *rt;
	ssize_t n;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = seq;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = family == SP_IPV4 ? AF_INET : AF_INET6;
	rt->rtm_dst_len = family == SP_IPV4 ? 32 : 128;
	mnl_attr_put(nlh, RTA_DST, family == SP_IPV4 ? 4 : 16, a->b);
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl), take_route, out) < 0 ? -errno : 0;
}

int sp_where(const struct sp_addr *a, int family, struct sp_where *out)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct sp_where w = { 0 };
	int err;

	if (!nl)
		return -errno;
	err = ask(nl, a, family, &w);
	mnl_socket_close(nl);
	if (err == 0 && !w.ifindex && !w.is_local)
		err = -ENETUNREACH;
	if (err == 0)
		*out = w;
	return err;
}
