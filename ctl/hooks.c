/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our programs on interfaces: put them there, find them again, take them away.
 *
 * They are attached by netlink, not by a BPF link: a link goes away with its last pin, and with it the
 * guard, for instance when the mount namespace that held the BPF file system ends. These stay until
 * somebody takes them off. Filters of others stay as they are, and so does a clsact qdisc that we did
 * not make or that somebody else uses, too.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "internal.h"

#define SP_TC_PRIORITY 1
#define SP_TC_HANDLES 16 /* so many places at our priority are tried */
#define SP_TC_MAX_OURS 8

struct qdisc_query {
	int ifindex, is_clsact, is_other;
};

static int on_qdisc(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *m = mnl_nlmsg_get_payload(nlh);
	struct qdisc_query *q = arg;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWQDISC || m->tcm_ifindex != q->ifindex || m->tcm_parent != TC_H_CLSACT)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m)) {
		if (mnl_attr_get_type(a) != TCA_KIND)
			continue;
		q->is_clsact = !strcmp(mnl_attr_get_str(a), "clsact");
		q->is_other = !q->is_clsact;
	}
	return MNL_CB_OK;
}

/*
 * The older `ingress` qdisc sits in the same place and takes filters for egress, too: as filters for
 * ingress.
 */
int sp_hook_has_qdisc(int ifindex, struct sp_err *err)
{
	struct qdisc_query q = { .ifindex = ifindex };
	char buf[256], name[IF_NAMESIZE] = "?";
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	int rc;

	nlh->nlmsg_type = RTM_GETQDISC;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m->tcm_ifindex = ifindex;
	rc = sp_netlink_dump(NETLINK_ROUTE, nlh, on_qdisc, &q);
	if (rc || q.is_other)
		if_indextoname((unsigned)ifindex, name);
	if (rc && rc != -EOPNOTSUPP) /* a kernel without any: it says so when one is added */
		return sp_err_set(err, rc, "%s: can not read its qdiscs: %s", name, strerror(-rc));
	if (q.is_other)
		return sp_err_set(err, -EBUSY, "%s: has an 'ingress' qdisc, which leaves no way to guard what goes out; "
				  "remove it when nothing needs it: tc qdisc del dev %s ingress", name, name);
	return q.is_clsact;
}

int sp_hook_add_qdisc(int ifindex, struct sp_err *err)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	char name[IF_NAMESIZE] = "?";
	int rc = bpf_tc_hook_create(&hook);

	if (!rc)
		return 0;
	if_indextoname((unsigned)ifindex, name);
	if (rc == -ENOENT)
		return sp_err_set(err, -EOPNOTSUPP, "%s: the kernel has no clsact qdisc (CONFIG_NET_SCH_INGRESS)", name);
	return sp_err_set(err, rc, "%s: can not add a clsact qdisc: %s", name, strerror(-rc));
}

struct filters {
	int others, ours;
	struct {
		sp_u32 handle;
		sp_u16 priority;
		const char *program;
		sp_u32 id;
	} our[SP_TC_MAX_OURS];
};

/* Which of our programs a filter is ("sp_tc_in:[ID]"), or NULL. */
static const char *our_program(const char *name)
{
	static const char *const programs[] = { "sp_tc_in", "sp_tc_out", "sp_tc_reject" };
	size_t i, len;

	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		len = strlen(programs[i]);
		if (!strncmp(name, programs[i], len) && !strncmp(name + len, ":[", 2))
			return programs[i];
	}
	return NULL;
}

static int on_filter(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *m = mnl_nlmsg_get_payload(nlh);
	struct filters *f = arg;
	const struct nlattr *a, *b;
	const char *ours = NULL;
	sp_u32 id = 0;

	/* each priority also has a head without a handle */
	if (nlh->nlmsg_type != RTM_NEWTFILTER || !m->tcm_handle)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m)) {
		if (mnl_attr_get_type(a) != TCA_OPTIONS)
			continue;
		mnl_attr_for_each_nested(b, a) {
			if (mnl_attr_get_type(b) == TCA_BPF_NAME)
				ours = our_program(mnl_attr_get_str(b));
			if (mnl_attr_get_type(b) == TCA_BPF_ID && mnl_attr_get_payload_len(b) == sizeof(id))
				id = mnl_attr_get_u32(b);
		}
	}
	if (ours && f->ours < SP_TC_MAX_OURS) {
		f->our[f->ours].handle = m->tcm_handle;
		f->our[f->ours].priority = (sp_u16)(m->tcm_info >> 16);
		f->our[f->ours].program = ours;
		f->our[f->ours].id = id;
		f->ours++;
	} else {
		f->others++;
	}
	return MNL_CB_OK;
}

/*
 * An interface without a clsact qdisc has no filters; the kernel then answers with nothing or with an
 * error.
 */
static void filters_read(int ifindex, int egress, struct filters *f)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	memset(f, 0, sizeof(*f));
	nlh->nlmsg_type = RTM_GETTFILTER;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m->tcm_ifindex = ifindex;
	m->tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
	if (sp_netlink_dump(NETLINK_ROUTE, nlh, on_filter, f))
		memset(f, 0, sizeof(*f));
}

static int remove_filters(int ifindex, int egress, int *others)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
			    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	struct filters f;
	int i, removed = 0;

	filters_read(ifindex, egress, &f);
	for (i = 0; i < f.ours; i++) {
		DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = f.our[i].handle, .priority = f.our[i].priority);

		removed += !bpf_tc_detach(&hook, &opts);
	}
	*others += f.others;
	return removed;
}

/* The program id of our XDP program on that interface, or 0. */
static sp_u32 xdp_ours(int ifindex)
{
	DECLARE_LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct bpf_prog_info info = { 0 };
	sp_u32 len = sizeof(info);
	int fd SP_CLEANUP(sp_close_fd) = -1;

	if (bpf_xdp_query(ifindex, 0, &q) || !q.drv_prog_id)
		return 0;
	fd = bpf_prog_get_fd_by_id(q.drv_prog_id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || strcmp(info.name, "sp_xdp_in"))
		return 0;
	return q.drv_prog_id;
}

/* A program of ours in the place of one that is there, or in a free one. */
static int add_filter(const struct bpf_tc_hook *hook, const struct filters *f, int prog_fd)
{
	sp_u32 handle;
	int rc = -EEXIST;

	if (f->ours) {
		DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = f->our[0].handle,
				    .priority = f->our[0].priority, .flags = BPF_TC_F_REPLACE);

		return bpf_tc_attach(hook, &opts);
	}
	for (handle = 1; handle <= SP_TC_HANDLES && rc == -EEXIST; handle++) {
		DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = handle,
				    .priority = SP_TC_PRIORITY);

		rc = bpf_tc_attach(hook, &opts);
	}
	return rc;
}

int sp_hook_tc(const struct sp_link *l, int egress, int prog_fd, struct sp_err *err)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = l->ifindex,
			    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	const char *side = egress ? "egress" : "ingress";
	struct filters f;
	int rc;

	filters_read(l->ifindex, egress, &f);
	rc = add_filter(&hook, &f, prog_fd);
	if (!rc)
		return 0;
	if (rc == -ENOENT)
		return sp_err_set(err, -EOPNOTSUPP, "%s: the kernel has no BPF filters (CONFIG_NET_CLS_BPF)", l->name);
	if (rc == -EINVAL || rc == -EEXIST)
		return sp_err_set(err, -EBUSY, "%s: other filters hold priority %d at %s; see 'tc filter show dev %s %s'",
				  l->name, SP_TC_PRIORITY, side, l->name, side);
	return sp_err_set(err, rc, "%s: can not attach at %s: %s", l->name, side, strerror(-rc));
}

/* The kernel exchanges a program only for the one that we name, so that nobody else's is lost. */
int sp_hook_xdp(const struct sp_link *l, int prog_fd)
{
	const sp_u32 id = xdp_ours(l->ifindex);
	int fd SP_CLEANUP(sp_close_fd) = id ? bpf_prog_get_fd_by_id(id) : -1;
	DECLARE_LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = fd);

	if (fd < 0)
		return bpf_xdp_attach(l->ifindex, prog_fd, XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	return bpf_xdp_attach(l->ifindex, prog_fd, XDP_FLAGS_DRV_MODE | XDP_FLAGS_REPLACE, &opts);
}

void sp_hook_no_xdp(const struct sp_link *l)
{
	if (xdp_ours(l->ifindex))
		bpf_xdp_detach(l->ifindex, XDP_FLAGS_DRV_MODE, NULL);
}

int sp_hook_count(int ifindex)
{
	struct filters in, out;

	filters_read(ifindex, 0, &in);
	filters_read(ifindex, 1, &out);
	return in.ours + out.ours + (xdp_ours(ifindex) != 0);
}

int sp_hook_is_open(int ifindex)
{
	struct filters in, out;
	int i, judged = xdp_ours(ifindex) != 0;

	filters_read(ifindex, 0, &in);
	filters_read(ifindex, 1, &out);
	for (i = 0; i < in.ours; i++)
		judged |= !strcmp(in.our[i].program, "sp_tc_in");
	return !in.ours || !out.ours || !judged;
}

int sp_hook_remove(int ifindex, int own_qdisc)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int removed = 0, others = 0;

	if (xdp_ours(ifindex))
		removed += !bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL);
	removed += remove_filters(ifindex, 0, &others);
	removed += remove_filters(ifindex, 1, &others);
	if (own_qdisc && !others)
		bpf_tc_hook_destroy(&hook);
	return removed;
}

/* ---- other programs in the place of ours ------------------------------------------------------- */

static int renew_filters(const struct sp_link *l, int egress, const struct sp_loaded *by, struct sp_err *err)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = l->ifindex,
			    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	struct filters f;
	int i, rc = 0;

	filters_read(l->ifindex, egress, &f);
	for (i = 0; i < f.ours && !rc; i++) {
		DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = f.our[i].handle, .priority = f.our[i].priority,
				    .prog_fd = sp_load_prog_fd(by, f.our[i].program), .flags = BPF_TC_F_REPLACE);

		rc = bpf_tc_attach(&hook, &opts);
	}
	return rc ? sp_err_set(err, rc, "%s: can not replace the program at %s: %s; the one before stays, "
			       "'sally up' tries again", l->name, egress ? "egress" : "ingress", strerror(-rc)) : 0;
}

static int renew_xdp(const struct sp_link *l, const struct sp_loaded *by, struct sp_err *err)
{
	const int prog_fd = sp_load_prog_fd(by, "sp_xdp_in");
	const int rc = prog_fd < 0 ? -EOPNOTSUPP : sp_hook_xdp(l, prog_fd);

	return rc ? sp_err_set(err, rc, "%s: can not replace the program at XDP: %s; the one before stays, "
			       "'sally up --replace' puts it right", l->name, strerror(-rc)) : 0;
}

int sp_hook_is_of(const struct sp_link *l, const char *dir)
{
	const sp_u32 id = xdp_ours(l->ifindex);
	struct filters f;
	int i, egress, same = !id || id == sp_load_pinned_id(dir, "sp_xdp_in");

	for (egress = 0; egress < 2; egress++) {
		filters_read(l->ifindex, egress, &f);
		for (i = 0; i < f.ours; i++)
			same &= f.our[i].id == sp_load_pinned_id(dir, f.our[i].program);
	}
	return same;
}

int sp_hook_is_where(const struct sp_link *l)
{
	struct filters f;

	filters_read(l->ifindex, 0, &f);
	if (!f.ours)
		return 1; /* somebody took it off, as status says */
	return f.ours == 1 && !strcmp(f.our[0].program, l->xdp ? "sp_tc_reject" : "sp_tc_in") &&
	       !xdp_ours(l->ifindex) == !l->xdp;
}

int sp_hook_renew(const struct sp_link *l, const struct sp_loaded *by, struct sp_err *err)
{
	int rc = renew_filters(l, 1, by, err);

	if (!rc)
		rc = renew_filters(l, 0, by, err);
	if (!rc && l->xdp && *l->name)
		rc = renew_xdp(l, by, err);
	if (rc || sp_hook_is_where(l))
		return rc;
	/* who was on the way from TC to XDP, or back, left the one before */
	rc = sp_hook_tc(l, 0, sp_load_prog_fd(by, l->xdp ? "sp_tc_reject" : "sp_tc_in"), err);
	if (!rc && !l->xdp)
		sp_hook_no_xdp(l);
	return rc;
}
