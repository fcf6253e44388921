/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Netlink's news of interfaces, IPv4 addresses and default routes. They only say that it is time to look; what there
 * is, is read anew. So losing some (ENOBUFS) is one more reason to look, and nothing else.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"

#define SP_EVENTS_ROOM 65536

int sp_events_open(struct sp_err *err)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	sp_err_set(err, -EIO, "can not listen to changes of interfaces");
	if (fd >= 0)
		close(fd);
	return err->code;
}

/* A router may learn thousands of routes a second; only those to everywhere matter here. */
static int is_default_route(const struct nlmsghdr *nlh)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);

	return !(m->rtm_flags & RTM_F_CLONED) && m->rtm_dst_len <= (m->rtm_family == AF_INET ? 1 : 3);
}

static int on_message(const struct nlmsghdr *nlh, void *arg)
{
	int *matters = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
		*matters = 1;
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		*matters |= is_default_route(nlh);
		break;
	}
	return MNL_CB_OK;
}

int sp_events_read(int fd)
{
	static char buf[SP_EVENTS_ROOM];
	int matters = 0;
	ssize_t n;

	for (;;) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0 && mnl_cb_run(buf, (size_t)n, 0, 0, on_message, &matters) >= 0)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			matters = 1;
			continue;
		}
		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		return matters;
	}
}
