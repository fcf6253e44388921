/* SPDX-License-Identifier: BSD-2-Clause */
/* One netlink request and all of its answers. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "internal.h"

#define SP_NETLINK_TIMEOUT_S 5

int sp_netlink_dump(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	static unsigned int seq;
	struct timeval timeout = { .tv_sec = SP_NETLINK_TIMEOUT_S };
	struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC);
	size_t room = 65536;
	char *buf = malloc(room);
	ssize_t n = -1;
	int rc = -1;

	if (!s || !buf)
		goto out;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		goto out;
	request->nlmsg_seq = ++seq;
	if (mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		goto out;
	do {
		n = mnl_socket_recvfrom(s, buf, room);
		if (n <= 0)
			break;
		rc = mnl_cb_run(buf, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(s), cb, arg);
		/* an answer to a request that is not a dump has no end mark */
	} while (rc > 0 && request->nlmsg_flags & NLM_F_DUMP);
out:
	rc = n <= 0 || rc < 0 ? -(errno ? errno : EIO) : 0;
	free(buf);
	if (s)
		mnl_socket_close(s);
	return rc;
}
