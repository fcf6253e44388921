/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing the firewall up in this network namespace, and taking it down.
 *
 * Coming up, in this order, so that nothing is cut and a failure leaves nothing behind:
 *   1. decide the zones; take the lock; clean up what an interrupted `up` or `down` left; if it is up, see upgrade.c instead
 *   2. load the programs, fill in configuration and interfaces, pin everything
 *   3. put the existing connections into the table (user space writes to it only now, before any program runs: a process
 *      can be killed while it holds a lock); then guard all ways out, so that whatever is sent from now on is remembered, or
 *      picked up if it is older; then the ways in, trusted ones first
 *   4. write the time into config->up_ns: from now on it counts as up, until `down` takes it away, first of all
 *
 * Taking the place of one that is up (--replace), of whatever build, is the same with another order at the end: 4, then the
 * pins of both are exchanged at one instant, then 3, each program in the place of the one before. Who is killed before the
 * exchange has changed nothing; after it, what guards is a mixture, which the next `up` takes for an upgrade that was begun.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "internal.h"

#define SP_CAPACITY_MIN 65536u /* of the default */
#define SP_CAPACITY_MAX 4194304u /* of the default */
#define SP_CAPACITY_LIMIT (64u << 20) /* of what may be asked for */
#define SP_CAPACITY_LEAST 56u
#define SP_MEMORY_SHARE 32 /* one part of so many of the machine's memory */
#define SP_FLOW_COST 131 /* bytes a conversation with its share of the set */

struct run {
	struct sp_up *up;
	struct sp_pins place;
	struct sp_loaded loaded;
	struct sp_live live;
	struct sp_guard guard; /* its descriptors belong to `loaded` */
	sp_u8 own_qdisc[SP_MAX_IFACES]; /* by number of the guarded interface */
	int fd_before; /* interfaces of the one whose place this takes; -1: none */
};

static sp_u64 default_capacity(void)
{
	struct sysinfo si;
	sp_u64 n;

	if (sysinfo(&si))
		return SP_CAPACITY_MIN;
	n = (sp_u64)si.totalram * si.mem_unit / SP_MEMORY_SHARE / SP_FLOW_COST;
	return n < SP_CAPACITY_MIN ? SP_CAPACITY_MIN : n > SP_CAPACITY_MAX ? SP_CAPACITY_MAX : n;
}

/*
 * A gateway wants XDP, a host TC: native XDP costs a local TCP stack its offloads. The XDP program reads the kernel's own
 * structures, whose description (CONFIG_DEBUG_INFO_BTF) a kernel may lack; those of TC need nothing of the sort.
 */
static sp_u32 lacks_btf(const struct sp_up *up)
{
	return up->mode == SP_MODE_AUTO && up->links.forwarding && access("/sys/kernel/btf/vmlinux", R_OK) ?
	       SP_CONFIG_NO_BTF : 0;
}

static int wants_xdp(const struct sp_up *up, const struct sp_link *l)
{
	if (l->zone == SP_ZONE_NONE || l->bare_ip)
		return 0;
	return up->mode == SP_MODE_XDP ||
	       (up->mode == SP_MODE_AUTO && up->links.forwarding && !(up->flags & SP_CONFIG_NO_BTF));
}

static int make_config(struct sp_up *up, sp_u64 cookie, struct sp_config *config, struct sp_err *err)
{
	sp_u64 capacity = up->flows ? up->flows : default_capacity();
	sp_u64 secret[2];

	if (capacity < SP_CAPACITY_LEAST || capacity > SP_CAPACITY_LIMIT)
		return sp_err_set(err, -EINVAL, "--flows %llu is out of range; %u to %u", capacity, SP_CAPACITY_LEAST,
				  SP_CAPACITY_LIMIT);
	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return sp_err_errno(err, -errno, "can not get random numbers");
	up->flags = (up->links.forwarding ? SP_CONFIG_GATEWAY : 0) | up->lane | lacks_btf(up);
	sp_config_init(config, (sp_u32)capacity, up->flags, secret);
	config->netns_cookie = cookie;
	up->capacity = config->capacity;
	return 0;
}

static int any_wants_xdp(const struct sp_up *up)
{
	int i, any = 0;

	for (i = 0; i < up->links.count; i++)
		any |= wants_xdp(up, &up->links.link[i]);
	return any;
}

/* A map that another version made may have larger values than we have room for. */
static int has_value_size(int fd, size_t size)
{
	struct bpf_map_info info = { 0 };
	sp_u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.value_size == size;
}

/* What an instance whose pins can be read knows of its interfaces; without pins nothing is our own qdisc. */
static int is_own_qdisc(int fd_ifaces, int ifindex)
{
	struct sp_iface iface;

	return has_value_size(fd_ifaces, sizeof(iface)) && !bpf_map_lookup_elem(fd_ifaces, &ifindex, &iface) &&
	       iface.own_qdisc;
}

static int prepare_tables(struct run *r, const struct sp_config *config, struct sp_err *err)
{
	int fd[SP_LIVE_TABLES], i, rc = 0;

	for (i = 0; i < SP_LIVE_TABLES; i++)
		fd[i] = sp_load_map_fd(&r->loaded, sp_live_names[i]);
	r->guard = (struct sp_guard){ .fd_ifaces = sp_load_map_fd(&r->loaded, "sp_ifaces"),
				      .fd_names = sp_gate_map_fd(&r->loaded, "sp_gate"),
				      .fd_whole = sp_gate_map_fd(&r->loaded, "sp_whole"),
				      .fd_in = sp_load_prog_fd(&r->loaded, "sp_tc_in"),
				      .fd_out = sp_load_prog_fd(&r->loaded, "sp_tc_out"),
				      .fd_xdp = sp_load_prog_fd(&r->loaded, "sp_xdp_in"),
				      .fd_reject = sp_load_prog_fd(&r->loaded, "sp_tc_reject"),
				      .must_xdp = r->up->mode == SP_MODE_XDP && !r->up->replaced };
	rc = sp_live_map(&r->live, fd, err);
	if (rc)
		return rc;
	*r->live.t.config = *config;
	r->live.t.nat->slots = sp_load_slots(config, r->up->image);
	if (r->live.t.nat->slots) {
		rc = sp_addresses_fill(r->live.t.nat, &r->up->links, r->up->image, err);
		rc = rc < 0 ? rc : 0;
	}
	if (!rc && r->up->image)
		rc = sp_generation_store(sp_load_map_fd(&r->loaded, "sp_images"), config->generation, r->up->image,
					 r->up->image_lines, err);
	for (i = 0; i < r->up->links.count && !rc; i++) {
		struct sp_link *l = &r->up->links.link[i];

		l->xdp = (sp_u8)wants_xdp(r->up, l);
		sp_guard_note(l, r->up->flags, 0);
		if (l->zone != SP_ZONE_NONE)
			rc = sp_guard_enter(&r->guard, l, l->zone, (sp_u8)is_own_qdisc(r->fd_before, l->ifindex), 0, err);
	}
	if (!rc)
		sp_names_sync(&r->guard, &r->up->links);
	return rc;
}

static int guard_ways_out(struct run *r, struct sp_err *err)
{
	int i, n = 0, rc = 0;

	for (i = 0; i < r->up->links.count && !rc; i++) {
		const struct sp_link *l = &r->up->links.link[i];

		if (l->zone == SP_ZONE_NONE)
			continue;
		r->own_qdisc[n] = (sp_u8)is_own_qdisc(r->fd_before, l->ifindex);
		rc = sp_guard_out(&r->guard, l, l->zone, &r->own_qdisc[n++], err);
	}
	return rc;
}

static int guard_ways_in(struct run *r, int outside, struct sp_err *err)
{
	int i, n = 0, rc = 0;

	for (i = 0; i < r->up->links.count && !rc; i++) {
		struct sp_link *l = &r->up->links.link[i];

		if (l->zone == SP_ZONE_NONE)
			continue;
		if ((l->zone == SP_ZONE_OUTSIDE) == outside)
			rc = sp_guard_in(&r->guard, l, l->zone, r->own_qdisc[n], err);
		n++;
	}
	return rc;
}

/*
 * The trusted side must speak first for a connection to be picked up. Somebody inside who receives a long answer only
 * acknowledges it; if what he is sent were stopped before his next acknowledgement comes by, he would never speak again.
 * So the ways in from the inside are guarded this much earlier than those from the outside: longer than most round trips.
 * (A connection that begins in this very moment waits for its server to repeat the SYN ACK that was not seen.)
 */
#define SP_LISTEN_NS 300000000L

static void listen_to_the_inside(const struct run *r)
{
	const struct timespec wait = { .tv_nsec = SP_LISTEN_NS };

	if (r->up->flags & SP_CONFIG_GATEWAY)
		nanosleep(&wait, NULL);
}

/* Last of all, when every program is in its place: some drivers can redirect only then. */
static int open_express(struct run *r, struct sp_err *err)
{
	int i, n = 0, rc = 0;

	for (i = 0; i < r->up->links.count && !rc && sp_lane_is_wanted(r->up->flags, r->up->image); i++) {
		struct sp_link *l = &r->up->links.link[i];

		if (l->zone == SP_ZONE_NONE)
			continue;
		l->express = (sp_u8)sp_lane_can(l);
		if (l->express)
			rc = sp_guard_enter(&r->guard, l, l->zone, r->own_qdisc[n], 0, err);
		n++;
	}
	return rc;
}

static int attach(struct run *r, struct sp_err *err)
{
	int rc = guard_ways_out(r, err);

	if (!rc)
		rc = guard_ways_in(r, 0, err);
	if (!rc)
		listen_to_the_inside(r);
	if (!rc)
		rc = guard_ways_in(r, 1, err);
	if (!rc)
		rc = open_express(r, err);
	return rc;
}

static void unwind(struct run *r)
{
	int i, n = 0;

	for (i = 0; i < r->up->links.count; i++)
		if (r->up->links.link[i].zone != SP_ZONE_NONE)
			sp_hook_remove(r->up->links.link[i].ifindex, r->own_qdisc[n++]);
	if (r->place.dir[0])
		sp_pins_remove_dir(r->place.dir);
}

static int load_and_prepare(struct run *r, sp_u64 cookie, struct sp_err *err)
{
	struct sp_config config;
	int rc = make_config(r->up, cookie, &config, err);

	if (!rc)
		rc = sp_load(&r->loaded, &config, sp_load_slots(&config, r->up->image), any_wants_xdp(r->up), err);
	return rc ? rc : prepare_tables(r, &config, err);
}

static void count_as_up(const struct run *r)
{
	__atomic_store_n(&r->live.t.config->up_ns, sp_now_ns(), __ATOMIC_RELEASE);
}

static int load_and_attach(struct run *r, sp_u64 cookie, struct sp_err *err)
{
	int rc = load_and_prepare(r, cookie, err);

	if (!rc)
		rc = sp_pins_make_dir(cookie, &r->place, err);
	if (rc)
		return rc;
	rc = sp_load_pin(&r->loaded, r->place.dir, err);
	if (!rc)
		rc = sp_adopt(r->up, &r->live.t, err);
	if (!rc)
		rc = attach(r, err);
	if (!rc)
		rc = sp_gate_attach(&r->loaded, r->place.dir, err); /* it holds nothing before `up_ns` is written */
	if (rc)
		unwind(r);
	else
		count_as_up(r);
	return rc;
}

/* ---- in the place of one that is up ------------------------------------------------------------ */

/* What that one guarded and this one does not. */
static void let_go(const struct run *r)
{
	int i;

	for (i = 0; i < r->up->links.count; i++) {
		const int ifindex = r->up->links.link[i].ifindex;

		if (r->up->links.link[i].zone == SP_ZONE_NONE)
			sp_hook_remove(ifindex, is_own_qdisc(r->fd_before, ifindex));
	}
}

static int exchange_all(struct run *r, const char *second, struct sp_err *err)
{
	struct sp_err why;
	int rc;

	count_as_up(r);
	rc = sp_pins_exchange(&r->place, second, err);
	if (rc)
		return rc;
	sp_gate_unpin(second); /* that of before knows nothing of interfaces that are guarded from now on */
	rc = attach(r, &why);
	if (rc)
		return sp_err_set(err, rc, "%.300s; what was up guards on where this one does not yet; 'sally up' tries "
				  "again", why.text);
	let_go(r);
	return 0;
}

static int replace(struct run *r, sp_u64 cookie, struct sp_err *err)
{
	int fd SP_CLEANUP(sp_close_fd) = -1;
	char second[160];
	int rc;

	r->up->replaced = 1;
	fd = r->fd_before = sp_pins_open(r->place.dir, "sp_ifaces");
	rc = load_and_prepare(r, cookie, err);
	if (!rc)
		rc = sp_adopt(r->up, &r->live.t, err);
	if (!rc)
		rc = sp_pins_make_second(&r->place, second, err);
	if (!rc)
		rc = sp_load_pin(&r->loaded, second, err);
	if (!rc)
		rc = sp_gate_attach(&r->loaded, second, err);
	if (!rc)
		rc = exchange_all(r, second, err);
	sp_pins_drop_second(&r->place);
	r->fd_before = -1;
	return rc;
}

/* ---- taking down ----------------------------------------------------------------------------- */

static int remove_hooks(const char *dir, struct sp_err *err)
{
	int fd SP_CLEANUP(sp_close_fd) = -1;
	struct sp_links links;
	int i, rc, removed = 0;

	rc = sp_links_read(&links, err);
	if (rc)
		return rc;
	if (*dir)
		fd = sp_pins_open(dir, "sp_ifaces");
	for (i = 0; i < links.count; i++)
		removed += sp_hook_remove(links.link[i].ifindex, is_own_qdisc(fd, links.link[i].ifindex));
	sp_links_free(&links);
	return removed;
}

/* First of all: who is killed from here on leaves something that the next `up` removes. Other tables stay as they are. */
static void count_as_down(const char *dir)
{
	struct sp_config config;
	int fd SP_CLEANUP(sp_close_fd) = -1;
	sp_u32 zero = 0;

	fd = *dir ? sp_pins_open(dir, "sp_config") : -1;
	if (!has_value_size(fd, sizeof(config)) || bpf_map_lookup_elem(fd, &zero, &config) || config.abi != SP_ABI_VERSION)
		return;
	config.up_ns = 0;
	(void)bpf_map_update_elem(fd, &zero, &config, BPF_EXIST);
}

static int take_down(struct sp_pins *p, struct sp_err *err)
{
	int removed, rc;

	count_as_down(p->dir);
	sp_gate_remove(p->cookie);
	removed = remove_hooks(p->dir, err);
	if (removed < 0)
		return removed;
	sp_pins_drop_second(p);
	if (p->dir[0]) {
		rc = sp_pins_remove_dir(p->dir);
		p->dir[0] = 0;
		if (rc)
			return sp_err_errno(err, rc, "can not remove the pins");
		return 0;
	}
	return removed ? 0 : sp_err_set(err, -ENOENT, "the firewall is not up here; nothing to do");
}

int sp_down(struct sp_err *err)
{
	struct sp_pins place SP_CLEANUP(sp_pins_unlock) = { .lock_fd = -1 };
	sp_u64 cookie;
	int rc;

	sp_log_init();
	rc = sp_privilege_check(err);
	if (!rc)
		rc = sp_netns_cookie(&cookie, err);
	if (!rc)
		rc = sp_pins_lock(cookie, &place, err);
	if (rc)
		return rc;
	rc = take_down(&place, err);
	sp_garbage_collect(place.base);
	return rc;
}

/* ---- coming up ------------------------------------------------------------------------------- */

static int is_complete(const char *dir)
{
	struct sp_config config = { 0 };
	int fd SP_CLEANUP(sp_close_fd) = -1;
	sp_u32 zero = 0;

	fd = sp_pins_open(dir, "sp_config");
	if (fd < 0)
		return 0;
	/* a config of another version can not be read, but is somebody's */
	return !has_value_size(fd, sizeof(config)) || bpf_map_lookup_elem(fd, &zero, &config) ||
	       config.abi != SP_ABI_VERSION || config.up_ns;
}

/* What an interrupted `up` or `down` has left goes; programs without pins are somebody's. */
static int begin_clean(struct run *r, struct sp_err *err)
{
	int i, found = 0;

	if (r->place.dir[0]) {
		r->up->cleaned = 1;
		return take_down(&r->place, err);
	}
	for (i = 0; i < r->up->links.count; i++)
		found += sp_hook_count(r->up->links.link[i].ifindex);
	return found ? sp_err_set(err, -EEXIST, "the firewall is up already, but its pins are not to be seen from here; "
				  "'sally down' takes it off the interfaces") : 0;
}

int sp_up(struct sp_up *up, struct sp_err *err)
{
	struct run r = { .up = up, .place.lock_fd = -1, .fd_before = -1 };
	sp_u64 cookie;
	int rc;

	sp_log_init();
	rc = sp_privilege_check(err);
	if (!rc)
		rc = sp_netns_cookie(&cookie, err);
	if (!rc)
		rc = sp_links_read(&up->links, err);
	if (!rc)
		rc = sp_zones_assign(&up->links, &up->zoning, err);
	if (!rc)
		rc = sp_pins_lock(cookie, &r.place, err);
	if (rc)
		return rc;
	sp_garbage_collect(r.place.base);
	sp_pins_drop_second(&r.place); /* of a --replace that was killed */
	if (r.place.dir[0] && is_complete(r.place.dir)) {
		rc = up->replace ? replace(&r, cookie, err) : sp_upgrade(up, err);
	} else {
		rc = begin_clean(&r, err);
		if (!rc)
			rc = load_and_attach(&r, cookie, err);
	}
	r.live.fd_ifaces = r.live.fd_counters = r.live.fd_events = r.live.fd_images = -1;
	sp_live_close(&r.live);
	sp_load_free(&r.loaded);
	sp_pins_unlock(&r.place);
	return rc;
}

void sp_up_fini(struct sp_up *up)
{
	sp_links_free(&up->links);
}
