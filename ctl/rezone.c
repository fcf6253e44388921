/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interfaces that change their zone, or whether the express lane leads to them, while the firewall is up.
 *
 * An interface has two zones (and likewise two words about the lane): the one that a trial or the present gives it, and the
 * one it goes back to when a trial ends unconfirmed (struct sp_iface). A change is written while a trial that is over (1)
 * has not begun yet: then everything old is in force, generation and zones, and one store of the deadline puts everything
 * new in force. Whoever is killed in between leaves the old in force. What is left over is settled by the next change.
 *
 * New interfaces get their programs before that, with no zone, so that these let pass what they always let pass; those that
 * are to be guarded no longer lose them when nothing can go back to them.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int sp_is_trial_over(const struct sp_config *c)
{
	const sp_u64 until_ns = __atomic_load_n(&c->trial_until_ns, __ATOMIC_ACQUIRE);

	return until_ns && sp_now_ns() >= until_ns;
}

sp_u8 sp_iface_zone_now(const struct sp_config *c, const struct sp_iface *i)
{
	return sp_is_trial_over(c) ? i->zone_back : i->zone;
}

static int change(int fd_ifaces, sp_u32 ifindex, const struct sp_iface *i, struct sp_err *err)
{
	return bpf_map_update_elem(fd_ifaces, &ifindex, i, BPF_EXIST) ?
		sp_err_errno(err, -errno, "can not change the zone of an interface") : 0;
}

/* 1: found; 0: the interface is not guarded; or a negative errno */
static int look_up(int fd_ifaces, sp_u32 ifindex, struct sp_iface *i, struct sp_err *err)
{
	if (!bpf_map_lookup_elem(fd_ifaces, &ifindex, i))
		return 1;
	return errno == ENOENT ? 0 : sp_err_errno(err, -errno, "can not read the zone of an interface");
}

/* What is in force becomes what to go back to; interfaces that are in no zone any more lose their programs. */
static int settle_one(const struct sp_config *c, int fd_ifaces, sp_u32 ifindex, struct sp_err *err)
{
	struct sp_iface i;
	const int found = look_up(fd_ifaces, ifindex, &i, err);
	const sp_u8 express = found > 0 ? sp_iface_express_now(c, &i) : 0;

	if (found <= 0)
		return found;
	if (sp_iface_zone_now(c, &i) == SP_ZONE_NONE) {
		sp_hook_remove((int)ifindex, i.own_qdisc);
		bpf_map_delete_elem(fd_ifaces, &ifindex);
		return 0;
	}
	if (i.zone == i.zone_back && i.express == i.express_back)
		return 0;
	i.zone = i.zone_back = sp_iface_zone_now(c, &i);
	i.express = i.express_back = express;
	return change(fd_ifaces, ifindex, &i, err);
}

/* Numbers of all interfaces that are known; there is room for SP_MAX_IFACES. How many, or a negative errno. */
static int all_ifaces(int fd_ifaces, sp_u32 *all, struct sp_err *err)
{
	sp_u32 n = 0, *prev = NULL;

	while (n < SP_MAX_IFACES) {
		if (bpf_map_get_next_key(fd_ifaces, prev, &all[n]))
			return errno == ENOENT ? (int)n : sp_err_errno(err, -errno, "can not list the interfaces");
		prev = &all[n++];
	}
	return (int)n;
}

/* Not while a trial is running. */
static int settle(const struct sp_config *c, int fd_ifaces, struct sp_err *err)
{
	sp_u32 all[SP_MAX_IFACES];
	const int n = all_ifaces(fd_ifaces, all, err);
	int rc = n < 0 ? n : 0;

	for (int i = 0; i < n && !rc; i++)
		rc = settle_one(c, fd_ifaces, all[i], err);
	return rc;
}

int sp_rezone_pending(const struct sp_live *l, struct sp_err *err)
{
	struct sp_guard g SP_CLEANUP(sp_guard_close) = SP_GUARD_NONE;
	sp_u32 all[SP_MAX_IFACES];
	struct sp_iface iface;
	int pending = 0, n = sp_guard_open(&g, l->dir, err);

	if (!n)
		n = all_ifaces(g.fd_ifaces, all, err);
	for (int i = 0; i < n; i++) {
		const int found = look_up(g.fd_ifaces, all[i], &iface, err);

		if (found < 0)
			return found;
		pending |= found && (iface.zone != iface.zone_back || iface.express != iface.express_back);
	}
	return n < 0 ? n : pending;
}

int sp_rezone_now(const struct sp_live *l, struct sp_links *out, struct sp_err *err)
{
	struct sp_guard g SP_CLEANUP(sp_guard_close) = SP_GUARD_NONE;
	struct sp_iface iface;
	int rc = sp_guard_open(&g, l->dir, err);

	if (!rc)
		rc = sp_links_read(out, err);
	for (int i = 0; rc >= 0 && i < out->count; i++) {
		rc = look_up(g.fd_ifaces, (sp_u32)out->link[i].ifindex, &iface, err);
		if (rc > 0)
			out->link[i].zone = sp_iface_zone_now(l->t.config, &iface);
	}
	return rc < 0 ? rc : 0;
}

int sp_rezone_settle(const struct sp_live *l, struct sp_err *err)
{
	struct sp_guard g SP_CLEANUP(sp_guard_close) = SP_GUARD_NONE;
	struct sp_links links = { 0 };
	int rc = sp_guard_open(&g, l->dir, err);

	if (!rc)
		rc = settle(l->t.config, g.fd_ifaces, err);
	if (!rc)
		rc = sp_links_read(&links, err);
	if (!rc)
		sp_names_sync(&g, &links);
	sp_links_free(&links);
	return rc;
}

static int plan(const struct sp_config *c, const struct sp_guard *g, const struct sp_zoning *zoning, struct sp_links *links,
		struct sp_err *err)
{
	struct sp_iface iface;
	int i, rc = sp_links_read(links, err);

	if (!rc)
		links->forwarding = (c->flags & SP_CONFIG_GATEWAY) != 0;
	for (i = 0; i < links->count && !rc; i++) {
		struct sp_link *l = &links->link[i];
		int found = look_up(g->fd_ifaces, (sp_u32)l->ifindex, &iface, err);

		if (found < 0)
			rc = found;
		if (!found)
			found = sp_names_was(g, l->name, &iface);
		l->stays = 1; /* containers come and go; routes, too */
		if (found <= 0)
			continue;
		iface.named &= (sp_u8)~SP_NAMED_UNDONE;
		l->stays = iface.named != SP_NAMED_BY_FILE;
		l->xdp = iface.xdp;
		l->express_was = sp_iface_express_now(c, &iface);
		l->zone_was = sp_iface_zone_now(c, &iface);
		l->named = l->named_was = iface.named;
		if (iface.named == SP_NAMED_BY_HAND)
			l->zone = l->zone_was;
	}
	if (!rc)
		rc = sp_zones_assign(links, zoning, err);
	return rc;
}

/* Of those that are guarded, with their programs in place: some drivers can redirect only then. */
static void plan_lane(const struct sp_config *c, const struct sp_image_line *image, struct sp_links *links, int with_new)
{
	const int wanted = sp_lane_is_wanted(c->flags, image);

	for (int i = 0; i < links->count && wanted; i++) {
		struct sp_link *l = &links->link[i];

		if (l->zone != SP_ZONE_NONE && (with_new || l->zone_was != SP_ZONE_NONE))
			l->express = (sp_u8)sp_lane_can(l);
	}
}

int sp_rezone_plan(const struct sp_live *l, const struct sp_zoning *zoning, const struct sp_image_line *image,
		   struct sp_links *out, struct sp_err *err)
{
	struct sp_guard g SP_CLEANUP(sp_guard_close) = SP_GUARD_NONE;
	int rc = sp_guard_open(&g, l->dir, err);

	if (!rc)
		rc = plan(l->t.config, &g, zoning, out, err);
	if (!rc)
		plan_lane(l->t.config, image, out, 0);
	return rc;
}

/* The programs, in no zone yet. */
static int guard_new(struct sp_rezone *z, struct sp_link *l, struct sp_err *err)
{
	struct sp_link inert = *l;
	sp_u8 own_qdisc = 0;
	int rc;

	inert.zone = SP_ZONE_NONE;
	inert.named |= SP_NAMED_UNDONE; /* should the gate hold it, then until it is in its zone */
	inert.xdp = z->guard.fd_xdp >= 0 && !l->bare_ip;
	rc = sp_guard_enter(&z->guard, &inert, SP_ZONE_NONE, 0, 0, err);
	if (!rc)
		rc = sp_guard_out(&z->guard, &inert, SP_ZONE_NONE, &own_qdisc, err);
	if (!rc)
		rc = sp_guard_in(&z->guard, &inert, SP_ZONE_NONE, own_qdisc, err);
	l->xdp = inert.xdp;
	return rc;
}

int sp_rezone_begin(struct sp_rezone *z, const struct sp_live *l, const struct sp_zoning *zoning,
		    const struct sp_image_line *image, struct sp_err *err)
{
	struct sp_guard there; /* what is held even now, nobody could guard again */
	int i, rc;

	memset(z, 0, sizeof(*z));
	rc = sp_guard_open(&z->guard, l->dir, err);
	if (!rc)
		rc = settle(l->t.config, z->guard.fd_ifaces, err);
	if (!rc)
		sp_names_return(&z->guard);
	there = z->guard;
	there.fd_names = -1;
	if (!rc)
		rc = plan(l->t.config, &there, zoning, &z->links, err);
	for (i = 0; i < z->links.count && !rc; i++) {
		struct sp_link *link = &z->links.link[i];

		if (link->zone != SP_ZONE_NONE && link->zone_was == SP_ZONE_NONE)
			rc = guard_new(z, link, err);
	}
	if (!rc)
		plan_lane(l->t.config, image, &z->links, 1);
	for (i = 0; i < z->links.count; i++)
		z->changes += z->links.link[i].zone != z->links.link[i].zone_was ||
			      z->links.link[i].express != z->links.link[i].express_was;
	return rc;
}

int sp_rezone_write(struct sp_rezone *z, struct sp_err *err)
{
	struct sp_iface iface;
	int i, rc = 0;

	for (i = 0; i < z->links.count && !rc; i++) {
		const struct sp_link *l = &z->links.link[i];
		const sp_u32 key = (sp_u32)l->ifindex;
		int found;

		if (l->zone == l->zone_was && l->named == l->named_was && l->express == l->express_was)
			continue;
		found = look_up(z->guard.fd_ifaces, key, &iface, err);
		if (!found && l->zone != l->zone_was)
			found = sp_err_set(err, -EAGAIN, "%s has come or gone just now; try again", l->name);
		if (found <= 0) {
			rc = found;
			continue;
		}
		iface.zone = l->zone;
		iface.named = l->named;
		iface.express = l->express;
		memcpy(iface.mac, l->mac, sizeof(iface.mac));
		rc = change(z->guard.fd_ifaces, key, &iface, err);
	}
	return rc;
}

void sp_rezone_end(struct sp_rezone *z, const struct sp_live *l, int is_trial)
{
	struct sp_err ignored; /* the next change settles what is left */

	if (z->guard.fd_ifaces > 0 && !is_trial)
		settle(l->t.config, z->guard.fd_ifaces, &ignored);
	if (z->guard.fd_ifaces > 0)
		sp_names_sync(&z->guard, &z->links);
	sp_guard_close(&z->guard);
	sp_links_free(&z->links);
}
