/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The express lane (docs/decisions/0018-express-lane.md, 0021-express-by-configuration.md): is it wanted, and which
 * interfaces can it lead to?
 *
 * A driver that can not send redirected packets loses them, and nothing tells the program that has redirected them. So the
 * kernel is asked about each driver, when the lane is opened, and again whenever it says that one has changed (sallyd).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../core/policy_abi.h"
#include "internal.h"
#include "watch.h"

/* linux/netdev.h, which came with Linux 6.3 */
#define NETDEV_DEV_GET 1
#define NETDEV_IFINDEX 1
#define NETDEV_XDP_FEATURES 3
#define NETDEV_XDP_NDO_XMIT 4
#define NETDEV_GROUP "mgmt"

/* ---- what the kernel says of drivers ------------------------------------------------------------ */

struct family {
	sp_u16 id; /* 0: the kernel has none */
	sp_u32 group; /* in which it tells of changes; 0: it does not */
};

static void take_group(const struct nlattr *groups, struct family *f)
{
	const struct nlattr *group, *a;

	mnl_attr_for_each_nested(group, groups) {
		sp_u32 id = 0;
		int is_it = 0;

		mnl_attr_for_each_nested(a, group) {
			if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_NAME)
				is_it = !strcmp(mnl_attr_get_str(a), NETDEV_GROUP);
			if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
				id = mnl_attr_get_u32(a);
		}
		if (is_it)
			f->group = id;
	}
}

static int take_family(const struct nlmsghdr *nlh, void *arg)
{
	struct family *f = arg;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			f->id = mnl_attr_get_u16(a);
		if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GROUPS)
			take_group(a, f);
	}
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

static struct family read_family(void)
{
	struct family f = { 0 };
	char buf[256];
	struct nlmsghdr *nlh = put_request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);

	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, "netdev");
	if (sp_netlink_dump(NETLINK_GENERIC, nlh, take_family, &f))
		f.id = 0;
	return f;
}

/* 1: redirected packets can leave by that interface; 0: not, and why. */
static int can_send(int ifindex, char *why, size_t size)
{
	const struct family f = read_family();
	struct nlmsghdr *nlh;
	sp_u64 features = 0;
	char buf[256];
	int rc;

	if (!f.id) {
		snprintf(why, size, "the kernel does not say what its driver can do (Linux 6.3 and later do)");
		return 0;
	}
	nlh = put_request(buf, f.id, NETDEV_DEV_GET);
	mnl_attr_put_u32(nlh, NETDEV_IFINDEX, (sp_u32)ifindex);
	rc = sp_netlink_dump(NETLINK_GENERIC, nlh, take_features, &features);
	if (!rc && (features & NETDEV_XDP_NDO_XMIT))
		return 1;
	snprintf(why, size, "its driver can not send redirected packets (veth: the other end needs 'ethtool -K IF gro on')");
	return 0;
}

int sp_lane_can(struct sp_link *l)
{
	*l->lane = 0;
	if (l->xdp)
		return can_send(l->ifindex, l->lane, sizeof(l->lane));
	snprintf(l->lane, sizeof(l->lane), "%s", l->bare_ip ? "its packets have no Ethernet header" :
		 "its packets are not judged at XDP");
	return 0;
}

int sp_lane_events(void)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK };
	const struct family f = read_family();
	int fd = f.group ? socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC) : -1;

	if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
			setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &f.group, sizeof(f.group))))
		sp_close_fd(&fd);
	return fd;
}

/* ---- what is wanted ------------------------------------------------------------------------------- */

int sp_lane_is_wanted(sp_u32 flags, const struct sp_image_line *image)
{
	if (flags & (SP_CONFIG_EXPRESS | SP_CONFIG_NO_EXPRESS))
		return (flags & SP_CONFIG_EXPRESS) != 0;
	return image && (((const struct sp_image_more *)&image[1])->flags & SP_IMAGE_EXPRESS);
}

sp_u8 sp_iface_express_now(const struct sp_config *c, const struct sp_iface *i)
{
	return sp_is_trial_over(c) ? i->express_back : i->express;
}

static int is_wanted_under(const struct sp_live *l, sp_u32 generation)
{
	sp_u32 n;
	const struct sp_image_line *image = sp_generation_image(l, generation, &n);
	const int wanted = sp_lane_is_wanted(l->t.config->flags, image);

	sp_generation_unmap(image, n);
	return wanted;
}

int sp_lane_look(const struct sp_live *l, struct sp_links *links)
{
	const int wanted = is_wanted_under(l, sp_generation_now(l, NULL));

	for (int i = 0; i < links->count; i++) {
		struct sp_link *k = &links->link[i];

		if (k->zone == SP_ZONE_NONE || !*k->name || (!wanted && !k->express))
			continue;
		if (sp_lane_can(k)) {
			if (!k->express)
				snprintf(k->lane, sizeof(k->lane), "%s",
					 "it can take it by now: 'sally apply', or sallyd if it runs");
			continue;
		}
		k->loses = k->express;
	}
	return wanted;
}

int sp_lane_is_idle(const struct sp_live *l)
{
	const sp_u32 seen_s = __atomic_load_n(&l->t.state->others_s, __ATOMIC_RELAXED);

	return seen_s && (sp_u32)(sp_now_ns() / SP_NS_PER_S) - seen_s < SP_OTHERS_S;
}

struct sp_seen sp_lane_seen(const struct sp_live *l)
{
	int fd SP_CLEANUP(sp_close_fd) = sp_load_open_of_xdp(l->dir, "sally_xd.bss");
	struct bpf_map_info info = { 0 };
	sp_u32 len = sizeof(info), zero = 0;
	struct sp_seen seen = { 0 };

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(seen) ||
	    bpf_map_lookup_elem(fd, &zero, &seen))
		memset(&seen, 0, sizeof(seen));
	return seen;
}

/* ---- what changes while it is up -------------------------------------------------------------------- */

void sp_lane_begin(struct sp_lane_round *r, const struct sp_live *l)
{
	int is_trial;
	const sp_u32 now = sp_generation_now(l, &is_trial);

	r->wanted = (sp_u8)is_wanted_under(l, now);
	r->wanted_back = is_trial ? (sp_u8)is_wanted_under(l, l->t.config->trial_back) : r->wanted;
}

int sp_lane_renew(const struct sp_lane_round *r, int fd_ifaces, struct sp_link *l, struct sp_err *err)
{
	const sp_u32 key = (sp_u32)l->ifindex;
	struct sp_iface iface;
	int can;

	if (bpf_map_lookup_elem(fd_ifaces, &key, &iface))
		return 0;
	l->xdp = iface.xdp;
	can = (r->wanted || r->wanted_back) && sp_lane_can(l);
	if (iface.express == (r->wanted && can) && iface.express_back == (r->wanted_back && can)) {
		if (!can || !memcmp(iface.mac, l->mac, sizeof(iface.mac)))
			return 0;
		/* not worth a word: until now its packets took the stack */
		memcpy(iface.mac, l->mac, sizeof(iface.mac));
		return bpf_map_update_elem(fd_ifaces, &key, &iface, BPF_EXIST) ?
			sp_err_errno(err, -errno, "can not change an interface's hardware address") : 0;
	}
	iface.express = r->wanted && can;
	iface.express_back = r->wanted_back && can;
	memcpy(iface.mac, l->mac, sizeof(iface.mac));
	if (bpf_map_update_elem(fd_ifaces, &key, &iface, BPF_EXIST))
		return sp_err_errno(err, -errno, "can not change whether an interface takes the express lane");
	l->express = iface.express;
	return 1;
}
