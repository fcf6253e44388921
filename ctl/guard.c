/* SPDX-License-Identifier: BSD-2-Clause */
/* Guarding one interface: what the kernel's programs know of it, and the programs on its ways out and in. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* What is copied from and to it must fit: of other sizes it is another version's. */
static int open_map(const char *dir, const char *name, size_t key, size_t value)
{
	int fd = sp_pins_open(dir, name);
	struct bpf_map_info info = { 0 };
	sp_u32 len = sizeof(info);

	if (fd < 0 || (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.key_size == key && info.value_size == value))
		return fd;
	sp_close_fd(&fd);
	return -EPROTO;
}

int sp_guard_open(struct sp_guard *g, const char *dir, struct sp_err *err)
{
	*g = (struct sp_guard){ .fd_ifaces = open_map(dir, "sp_ifaces", sizeof(sp_u32), sizeof(struct sp_iface)),
				.fd_names = open_map(dir, "sp_gate", sizeof(struct sp_gate_name), sizeof(struct sp_gate)),
				.fd_whole = open_map(dir, "sp_whole", sizeof(sp_u32), sizeof(struct sp_whole)),
				.fd_in = sp_pins_open(dir, "sp_tc_in"), .fd_out = sp_pins_open(dir, "sp_tc_out"),
				.fd_xdp = sp_pins_open(dir, "sp_xdp_in"), .fd_reject = sp_pins_open(dir, "sp_tc_reject") };
	if (g->fd_ifaces < 0 || g->fd_in < 0 || g->fd_out < 0 || g->fd_reject < 0 || (g->fd_xdp < 0 && g->fd_xdp != -ENOENT))
		return sp_err_set(err, -EIO, "can not open the programs in %s; 'sally up --replace' puts others there", dir);
	return 0;
}

void sp_guard_close(struct sp_guard *g)
{
	sp_close_fd(&g->fd_ifaces);
	sp_close_fd(&g->fd_names);
	sp_close_fd(&g->fd_whole);
	sp_close_fd(&g->fd_in);
	sp_close_fd(&g->fd_out);
	sp_close_fd(&g->fd_xdp);
	sp_close_fd(&g->fd_reject);
}

int sp_guard_enter(const struct sp_guard *g, const struct sp_link *l, sp_u8 zone_back, sp_u8 own_qdisc, int xdp_error,
		   struct sp_err *err)
{
	struct sp_iface iface = { .zone = l->zone, .bare_ip = l->bare_ip, .xdp = l->xdp, .own_qdisc = own_qdisc,
				  .xdp_errno = (sp_u8)(xdp_error > -256 ? -xdp_error : EIO), .zone_back = zone_back,
				  .named = l->named, .express = l->express, .express_back = l->express };
	sp_u32 key = (sp_u32)l->ifindex;

	memcpy(iface.mac, l->mac, sizeof(iface.mac));
	return bpf_map_update_elem(g->fd_ifaces, &key, &iface, BPF_ANY) ?
		sp_err_errno(err, -errno, "can not enter the interfaces") : 0;
}

/* Written down before it is made: who is killed in between leaves no qdisc that everybody takes for somebody else's. */
static int own_qdisc_there(const struct sp_guard *g, const struct sp_link *l, sp_u8 zone_back, sp_u8 *own_qdisc,
			   struct sp_err *err)
{
	struct sp_err ignored;
	int rc;

	*own_qdisc = 1;
	rc = sp_guard_enter(g, l, zone_back, 1, 0, err);
	if (!rc)
		rc = sp_hook_add_qdisc(l->ifindex, err);
	if (rc) {
		*own_qdisc = 0;
		(void)sp_guard_enter(g, l, zone_back, 0, 0, &ignored);
	}
	if (rc == -EEXIST) {
		rc = sp_hook_has_qdisc(l->ifindex, err);
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

int sp_guard_out(const struct sp_guard *g, const struct sp_link *l, sp_u8 zone_back, sp_u8 *own_qdisc, struct sp_err *err)
{
	int rc = sp_hook_has_qdisc(l->ifindex, err);

	if (rc < 0)
		return rc;
	rc = rc ? sp_guard_enter(g, l, zone_back, *own_qdisc, 0, err) : own_qdisc_there(g, l, zone_back, own_qdisc, err);
	return rc ? rc : sp_hook_tc(l, 1, g->fd_out, err);
}

static const char *why(int xdp_errno)
{
	if (xdp_errno == EBUSY || xdp_errno == EEXIST)
		return "a program of somebody else is there";
	return xdp_errno == EOPNOTSUPP ? "its driver has none" : strerror(xdp_errno);
}

void sp_guard_note(struct sp_link *l, sp_u32 flags, int xdp_errno)
{
	if (xdp_errno)
		snprintf(l->note, sizeof(l->note), "no native XDP: %s", why(xdp_errno));
	else if (flags & SP_CONFIG_NO_BTF && l->zone != SP_ZONE_NONE && !l->xdp && !l->bare_ip)
		snprintf(l->note, sizeof(l->note), "no native XDP: the kernel has no type information "
			 "(CONFIG_DEBUG_INFO_BTF)");
}

int sp_guard_in(const struct sp_guard *g, struct sp_link *l, sp_u8 zone_back, sp_u8 own_qdisc, struct sp_err *err)
{
	int rc = l->xdp ? sp_hook_xdp(l, g->fd_xdp) : 0;

	if (l->xdp && !rc)
		return sp_hook_tc(l, 0, g->fd_reject, err);
	if (rc && g->must_xdp)
		return sp_err_set(err, -EOPNOTSUPP, "%s: no native XDP: %s; try --mode auto", l->name,
				  why(-rc));
	if (rc) {
		l->xdp = 0;
		sp_guard_note(l, 0, -rc);
		rc = sp_guard_enter(g, l, zone_back, own_qdisc, rc, err);
		if (rc)
			return rc;
	}
	rc = sp_hook_tc(l, 0, g->fd_in, err);
	if (!rc)
		sp_hook_no_xdp(l);
	return rc;
}

/* All is in its place: the gate lets it on. */
static int done(const struct sp_guard *g, const struct sp_link *l, struct sp_err *err)
{
	const sp_u32 key = (sp_u32)l->ifindex;
	struct sp_iface iface;

	if (bpf_map_lookup_elem(g->fd_ifaces, &key, &iface))
		return sp_err_errno(err, -errno, "can not read the interfaces");
	iface.named = l->named;
	return bpf_map_update_elem(g->fd_ifaces, &key, &iface, BPF_EXIST) ?
		sp_err_errno(err, -errno, "can not enter the interfaces") : 0;
}

int sp_guard_again(const struct sp_guard *g, sp_u32 old, const struct sp_iface *was, struct sp_link *l, struct sp_err *err)
{
	struct sp_link undone;
	sp_u8 own_qdisc = 0;
	int rc;

	l->zone = was->zone;
	l->named = was->named & (sp_u8)~SP_NAMED_UNDONE;
	l->xdp = (was->xdp || was->xdp_errno) && g->fd_xdp >= 0 && !l->bare_ip;
	undone = *l;
	undone.named |= SP_NAMED_UNDONE;
	sp_names_undo(g, (sp_u32)l->ifindex);
	rc = sp_guard_enter(g, &undone, was->zone_back, 0, 0, err);
	if (!rc)
		rc = sp_guard_out(g, &undone, was->zone_back, &own_qdisc, err);
	if (!rc)
		rc = sp_guard_in(g, &undone, was->zone_back, own_qdisc, err);
	if (!rc)
		rc = done(g, l, err);
	l->xdp = undone.xdp;
	memcpy(l->note, undone.note, sizeof(l->note));
	if (rc) {
		/* half guarded, it would look as if it were whole */
		sp_hook_remove(l->ifindex, own_qdisc);
		if (old != (sp_u32)l->ifindex)
			bpf_map_delete_elem(g->fd_ifaces, &l->ifindex);
	} else if (old != (sp_u32)l->ifindex) {
		bpf_map_delete_elem(g->fd_ifaces, &old);
	}
	return rc;
}
