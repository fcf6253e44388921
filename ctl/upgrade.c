/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `up` over a firewall that is up already: the programs of this build take the place of those that guard.
 *
 * Tables, policy and interfaces stay what and where they are; only the programs change, each at one instant, and those
 * before and after work side by side on the same tables meanwhile. So a process that is killed in between leaves a firewall
 * that guards; the pins, which say what is there, change last, so that the next `up` finishes what was begun. Tables of
 * another layout (SP_ABI_VERSION) can not be read: then nothing is touched, and the firewall before guards on, until
 * `up --replace` (up.c) puts this one in its place, tables and all.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

/* Does this firewall guard it, or may after a trial? What is on others was left by the one before (let_go() in up.c). */
static int is_known(const struct sp_live *live, const struct sp_link *l)
{
	struct sp_iface iface;
	const sp_u32 key = (sp_u32)l->ifindex;

	return !bpf_map_lookup_elem(live->fd_ifaces, &key, &iface);
}

static int is_renewed(const struct sp_loaded *loaded, const struct sp_live *live, const struct sp_links *links)
{
	int i, same = sp_load_is_pinned(loaded, live->dir) && sp_gate_is_of(loaded, live->dir);

	for (i = 0; i < links->count && same; i++) {
		const struct sp_link *l = &links->link[i];

		same = is_known(live, l) ? sp_hook_is_of(l, live->dir) && sp_hook_is_where(l) : !sp_hook_count(l->ifindex);
	}
	return same;
}

static int renew_hooks(const struct sp_loaded *loaded, const struct sp_live *live, const struct sp_links *links,
		       struct sp_err *err)
{
	int i, rc = 0;

	for (i = 0; i < links->count && !rc; i++) {
		if (is_known(live, &links->link[i]))
			rc = sp_hook_renew(&links->link[i], loaded, err);
		else
			sp_hook_remove(links->link[i].ifindex, 0);
	}
	return rc;
}

/* What sallyd would do, if one ran. */
static void guard_returned(const char *dir)
{
	struct sp_guard g SP_CLEANUP(sp_guard_close) = SP_GUARD_NONE;
	struct sp_err ignored; /* then the gate holds it */

	if (!sp_guard_open(&g, dir, &ignored))
		sp_names_return(&g);
}

/* The same of the express lane, with every program in its place: some drivers can redirect only then. */
static void renew_lane(const struct sp_live *live, struct sp_links *links)
{
	struct sp_lane_round lane;
	struct sp_err ignored; /* then its packets take the stack */
	int i;

	sp_lane_begin(&lane, live);
	for (i = 0; i < links->count; i++)
		if (links->link[i].zone != SP_ZONE_NONE)
			(void)sp_lane_renew(&lane, live->fd_ifaces, &links->link[i], &ignored);
}

static int renew_gate(struct sp_loaded *loaded, const char *dir, struct sp_err *err)
{
	struct sp_guard g SP_CLEANUP(sp_guard_close) = SP_GUARD_NONE;
	struct sp_links links = { 0 };
	int rc = sp_gate_attach(loaded, dir, err);

	if (!rc)
		rc = sp_guard_open(&g, dir, err);
	if (!rc)
		rc = sp_links_read(&links, err);
	if (!rc)
		sp_names_sync(&g, &links);
	sp_links_free(&links);
	return rc;
}

static int renew(struct sp_up *up, const struct sp_live *live, struct sp_err *err)
{
	struct sp_loaded loaded;
	int i, same, rc = sp_load_onto(&loaded, live->dir, live->t.config, err);

	if (rc)
		return rc;
	same = is_renewed(&loaded, live, &up->links);
	if (!same)
		rc = renew_hooks(&loaded, live, &up->links, err);
	if (!rc)
		renew_lane(live, &up->links); /* who was killed before that left it closed */
	if (same)
		rc = sp_err_set(err, -EEXIST, "the firewall is up already; see 'sally status', or 'sally down' first");
	if (!rc)
		rc = renew_gate(&loaded, live->dir, err);
	if (!rc)
		rc = sp_load_repin(&loaded, live->dir, err);
	for (i = 0; i < SP_CLASS_COUNT; i++)
		up->kept += __atomic_load_n(&live->t.state->count[i], __ATOMIC_RELAXED);
	up->flags = live->t.config->flags;
	up->capacity = live->t.config->capacity;
	up->renewed = !rc;
	sp_load_free(&loaded);
	return rc;
}

int sp_upgrade(struct sp_up *up, struct sp_err *err)
{
	struct sp_live live;
	struct sp_err why;
	int rc = sp_live_open(&live, &why);

	if (!rc) {
		guard_returned(live.dir);
		sp_links_free(&up->links);
		rc = sp_live_links(&live, &up->links, &why);
		if (!rc)
			rc = renew(up, &live, &why);
		sp_live_close(&live);
	}
	if (rc == -EPROTO || rc == -ENOENT)
		return sp_err_set(err, -EEXIST, "the firewall that is up was brought up by a version with other tables; it "
				  "guards on. 'sally up --replace' puts this one in its place, which forgets what that "
				  "one remembers");
	if (rc)
		*err = why;
	return rc;
}
