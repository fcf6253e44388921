/* SPDX-License-Identifier: BSD-2-Clause */
/* Which interfaces the express lane can lead to: a driver that can not send redirected packets loses them. */
#include <errno.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* linux/netdev.h, which came with Linux 6.3 */
#define NETDEV_DEV_GET 1
#define NETDEV_IFINDEX 1
#define NETDEV_XDP_FEATURES 3
#define NETDEV_XDP_NDO_XMIT 4

static int take_family(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			*(sp_u16 *)arg = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static int take_features(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == NETDEV_XDP_FEATURES)
			*(sp_u64 *)arg = mnl_attr_get_u64(a);
	return MNL_CB_OK;
}

static struct nlmsghdr *put_request(char *buf, sp_u16 family, sp_u8 cmd)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g;

	nlh->nlmsg_type = family;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->cmd = cmd;
	g->version = 1;
	return nlh;
}

int sp_express_can(int ifindex, char *why, size_t size)
{
	char buf[256];
	struct nlmsghdr *nlh = put_request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	sp_u16 family = 0;
	sp_u64 features = 0;
	int rc;

	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, "netdev");
	rc = sp_netlink_dump(NETLINK_GENERIC, nlh, take_family, &family);
	if (rc || !family) {
		snprintf(why, size, "the kernel does not say what its driver can do (Linux 6.3 and later do)");
		return 0;
	}
	nlh = put_request(buf, family, NETDEV_DEV_GET);
	mnl_attr_put_u32(nlh, NETDEV_IFINDEX, (sp_u32)ifindex);
	rc = sp_netlink_dump(NETLINK_GENERIC, nlh, take_features, &features);
	if (!rc && (features & NETDEV_XDP_NDO_XMIT))
		return 1;
	snprintf(why, size, "its driver can not send redirected packets (veth: the other end needs 'ethtool -K IF gro on')");
	return 0;
}
