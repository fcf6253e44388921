/* SPDX-License-Identifier: BSD-2-Clause */
/* The live instance as seen from user space: its tables mapped into memory, its interfaces, its counters. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define SP_COPY_TRIES 64 /* a writer holds an entry for well under a microsecond */

const char *const sp_live_names[SP_LIVE_TABLES] = {
	"sp_sets", "sp_flows", "sp_frags", "sp_sketch", "sp_config", "sp_state",
	"sp_nat", "sp_ports", "sp_meters"
};
#define CONFIG 4 /* its place in that list */
static const size_t element_size[SP_LIVE_TABLES] = { sizeof(struct sp_set), sizeof(struct sp_flow), sizeof(struct sp_frag),
					sizeof(sp_u64), sizeof(struct sp_config), sizeof(struct sp_state),
					sizeof(struct sp_nat_addrs), sizeof(struct sp_port), sizeof(sp_u64) };

/* The kernel keeps elements at multiples of 8 bytes and maps whole pages. */
static int map_array(int fd, size_t element, void **at, size_t *len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bpf_map_info info = { 0 };
	sp_u32 info_len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &info_len))
		return -errno;
	if (info.value_size != element)
		return -EPROTO;
	*len = (size_t)info.max_entries * ((element + 7) & ~(size_t)7);
	*len = (*len + page - 1) & ~(page - 1);
	*at = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*at != MAP_FAILED)
		return 0;
	*at = NULL;
	return -errno;
}

static int map_error(int rc, struct sp_err *err)
{
	if (rc == -EPROTO)
		return sp_err_set(err, rc, "it was brought up by another version of sally; 'sally up "
				  "--replace' puts this one in its place");
	return sp_err_errno(err, rc, "can not map the tables into memory");
}

int sp_live_map(struct sp_live *l, const int fd[SP_LIVE_TABLES], struct sp_err *err)
{
	void *at[SP_LIVE_TABLES] = { 0 };
	int i, rc = 0;

	for (i = 0; i < SP_LIVE_TABLES && !rc; i++)
		rc = map_array(fd[i], element_size[i], &at[i], &l->len[i]);
	l->t = (struct sp_tables){ at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], NULL };
	sp_live_images_init(l);
	return rc ? map_error(rc, err) : 0;
}

static int open_tables(struct sp_live *l, struct sp_err *err)
{
	int fd[SP_LIVE_TABLES], i, rc = 0;

	for (i = 0; i < SP_LIVE_TABLES; i++) {
		fd[i] = rc ? -1 : sp_pins_open(l->dir, sp_live_names[i]);
		if (fd[i] < 0 && !rc)
			rc = fd[i];
	}
	if (!rc) {
		l->fd_ifaces = sp_pins_open(l->dir, "sp_ifaces");
		l->fd_counters = sp_pins_open(l->dir, "sp_counters");
		l->fd_events = sp_pins_open(l->dir, "sp_events");
		l->fd_images = sp_pins_open(l->dir, "sp_images");
		if (l->fd_ifaces < 0 || l->fd_counters < 0 || l->fd_events < 0 || l->fd_images < 0)
			rc = -errno;
	}
	if (rc)
		sp_err_errno(err, rc, "can not open the pins");
	else
		rc = sp_live_map(l, fd, err);
	for (i = 0; i < SP_LIVE_TABLES; i++)
		sp_close_fd(&fd[i]); /* the mappings stay */
	return rc;
}

static int find(struct sp_live *l, struct sp_err *err)
{
	struct sp_pins place;
	sp_u64 cookie;
	int rc;

	memset(l, 0, sizeof(*l));
	l->fd_ifaces = l->fd_counters = l->fd_events = l->fd_images = -1;
	sp_log_init();
	rc = sp_privilege_check(err);
	if (!rc)
		rc = sp_netns_cookie(&cookie, err);
	if (rc)
		return rc;
	if (!sp_pins_find(cookie, &place))
		return sp_err_set(err, -ENOENT, "the firewall is not up here; bring it up with 'sally up'");
	snprintf(l->dir, sizeof(l->dir), "%s", place.dir);
	return 0;
}

/* Zones are called what the policy in force calls them. */
static int name_zones(const struct sp_live *l, struct sp_err *err)
{
	sp_u32 n;
	const struct sp_image_line *image;
	const int rc = sp_generation_open(l, sp_generation_now(l, NULL), &image, &n, err);

	if (!rc)
		sp_zone_names_of(image);
	sp_generation_unmap(image, n);
	return rc;
}

/* Is it up, and of our version? If not, it is closed again. */
static int check(struct sp_live *l, int rc, struct sp_err *err)
{
	if (!rc && l->t.config->abi != SP_ABI_VERSION)
		rc = sp_err_set(err, -EPROTO, "it was brought up by another version of sally; 'sally up "
				"--replace' puts this one in its place");
	if (!rc && !l->t.config->up_ns)
		rc = sp_err_set(err, -ENOENT, "the firewall is not up here (an earlier 'sally up' or 'sally down' is under "
				"way or was interrupted); bring it up with 'sally up'");
	if (!rc)
		rc = name_zones(l, err);
	if (rc)
		sp_live_close(l);
	return rc;
}

int sp_live_open(struct sp_live *l, struct sp_err *err)
{
	int rc = find(l, err);

	return rc ? rc : check(l, open_tables(l, err), err);
}

int sp_live_open_policy(struct sp_live *l, struct sp_err *err)
{
	int rc = find(l, err), fd SP_CLEANUP(sp_close_fd) = -1;
	void *at;

	if (rc)
		return rc;
	fd = sp_pins_open(l->dir, "sp_config");
	l->fd_images = fd < 0 ? -1 : sp_pins_open(l->dir, "sp_images");
	if (l->fd_images < 0) {
		rc = sp_err_errno(err, -errno, "can not open the pins");
	} else {
		rc = map_array(fd, sizeof(struct sp_config), &at, &l->len[CONFIG]);
		if (rc)
			rc = map_error(rc, err);
		else
			l->t.config = at;
	}
	return check(l, rc, err);
}

void sp_live_close(struct sp_live *l)
{
	void *at[SP_LIVE_TABLES] = { l->t.sets, l->t.flows, l->t.frags, l->t.sketch, l->t.config, l->t.state,
				       l->t.nat, l->t.ports, l->t.meters };
	int i;

	for (i = 0; i < SP_LIVE_TABLES; i++)
		if (at[i])
			munmap(at[i], l->len[i]);
	sp_live_images_fini(l);
	sp_close_fd(&l->fd_ifaces);
	sp_close_fd(&l->fd_counters);
	sp_close_fd(&l->fd_events);
	sp_close_fd(&l->fd_images);
	memset(&l->t, 0, sizeof(l->t));
}

int sp_live_zone(const struct sp_live *l, unsigned ifindex)
{
	struct sp_iface iface;

	return bpf_map_lookup_elem(l->fd_ifaces, &ifindex, &iface) ? SP_ZONE_NONE :
	       sp_iface_zone_now(l->t.config, &iface);
}

static void join_iface(const struct sp_live *l, struct sp_link *link, const struct sp_iface *iface)
{
	link->zone = sp_iface_zone_now(l->t.config, iface);
	link->named = iface->named & (sp_u8)~SP_NAMED_UNDONE;
	link->xdp = iface->xdp;
	link->express = sp_iface_express_now(l->t.config, iface);
	link->bare_ip = iface->bare_ip;
	sp_guard_note(link, l->t.config->flags, iface->xdp_errno);
}

int sp_live_links(const struct sp_live *l, struct sp_links *out, struct sp_err *err)
{
	sp_u32 key, next, *prev = NULL;
	struct sp_iface iface;
	struct sp_links known;
	int i, rc;

	rc = sp_links_read(out, err);
	if (rc)
		return rc;
	for (i = 0; i < out->count; i++) {
		key = (sp_u32)out->link[i].ifindex;
		if (bpf_map_lookup_elem(l->fd_ifaces, &key, &iface))
			continue;
		join_iface(l, &out->link[i], &iface);
		out->link[i].is_unhooked = out->link[i].zone && sp_hook_is_open(out->link[i].ifindex);
	}
	/* those that are gone: an index that no interface has any more */
	known = *out;
	for (; !bpf_map_get_next_key(l->fd_ifaces, prev, &next); key = next, prev = &key) {
		struct sp_link *p;

		if (bpf_map_lookup_elem(l->fd_ifaces, &next, &iface) || sp_links_by_index(&known, (int)next))
			continue;
		p = realloc(out->link, (size_t)(out->count + 1) * sizeof(*p));
		if (!p)
			return sp_err_errno(err, -ENOMEM, "can not list the interfaces");
		out->link = known.link = p;
		memset(&p[out->count], 0, sizeof(*p));
		p[out->count].ifindex = (int)next;
		join_iface(l, &p[out->count], &iface);
		out->count++;
		out->room = out->count;
	}
	sp_links_sort(out);
	return 0;
}

int sp_live_counters(const struct sp_live *l, struct sp_counter *out, struct sp_err *err)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	struct sp_counter *each;
	sp_u32 reason;

	each = cpus > 0 ? calloc((size_t)cpus, sizeof(*each)) : NULL;
	if (!each)
		return sp_err_errno(err, -ENOMEM, "can not read the counters");
	memset(out, 0, SP_REASON_COUNT * sizeof(*out));
	for (reason = 0; reason < SP_REASON_COUNT; reason++) {
		if (bpf_map_lookup_elem(l->fd_counters, &reason, each)) {
			free(each);
			return sp_err_errno(err, -errno, "can not read the counters");
		}
		for (cpu = 0; cpu < cpus; cpu++) {
			out[reason].packets += each[cpu].packets;
			out[reason].bytes += each[cpu].bytes;
		}
	}
	free(each);
	return 0;
}

/* The tags are a sixteenth of the size of the entries: empty sets cost one cache line. */
sp_u32 sp_live_next(const struct sp_live *l, sp_u32 from)
{
	sp_u32 index, capacity = l->t.config->capacity;

	for (index = from; index < capacity; index++) {
		const struct sp_set *set = &l->t.sets[sp_entry_set(l->t.config, index)];
		sp_u32 way = sp_entry_way(l->t.config, index);
		sp_u64 word = __atomic_load_n(&set->tags[way / 4], __ATOMIC_ACQUIRE);

		if (!word) { /* on to the next word, or half */
			while (++way % 4 && way % SP_WAYS_HALF)
				index++;
			continue;
		}
		if ((word >> (way % 4 * 16) & 0xffff) > SP_TAG_CLAIMED)
			return index;
	}
	return capacity;
}

/* An entry, whatever it is; 0: it is free or never held still. */
static int copy_entry(const struct sp_live *l, sp_u32 index, struct sp_flow *copy)
{
	const struct sp_flow *f = &l->t.flows[index];
	int tries;

	for (tries = 0; tries < SP_COPY_TRIES; tries++) {
		sp_u32 lock = __atomic_load_n(&f->lock, __ATOMIC_ACQUIRE);

		if (lock & 1)
			continue;
		if (__atomic_load_n(&f->phase, __ATOMIC_ACQUIRE) == SP_PHASE_FREE)
			return 0; /* it may be written to just now, without the lock (core/table.h) */
		memcpy(copy, f, sizeof(*copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&f->lock, __ATOMIC_RELAXED) != lock)
			continue;
		if (copy->flags & SP_FLOW_IDLE)
			sp_live_image_see(l, copy->generation);
		return copy->phase != SP_PHASE_FREE;
	}
	return 0;
}

int sp_live_flow(const struct sp_live *l, sp_u32 index, struct sp_flow *copy)
{
	return copy_entry(l, index, copy) && copy->phase != SP_PHASE_ALIAS;
}

void sp_live_known(const struct sp_live *l, sp_u32 index, const struct sp_flow *f, struct sp_known *k)
{
	const sp_u32 from = (f->flags & SP_FLOW_FROM_1) != 0;
	union {
		struct sp_flow flow;
		struct sp_alias alias;
	} e;
	sp_u32 at = f->flags & SP_FLOW_TRANSLATED ? f->alias : 0;

	memset(k, 0, sizeof(*k));
	if (!at)
		k->born_s = f->born_s;
	/* at most two: one a side */
	for (int n = 0; n < 2 && at && at <= l->t.config->capacity; n++, at = e.alias.other) {
		sp_u32 side, end;

		if (!copy_entry(l, at - 1, &e.flow) || e.alias.phase != SP_PHASE_ALIAS || e.alias.flow != index + 1)
			return;
		side = e.alias.flags & SP_ALIAS_OF_RESPONDER ? SP_ALIAS_RESPONDER : SP_ALIAS_INITIATOR;
		end = (side == SP_ALIAS_INITIATOR ? !from : from) ^ ((e.alias.flags & SP_ALIAS_FLIP) != 0);
		k->is[side] = 1;
		k->addr[side] = e.alias.key.addr[end].w32[0];
		k->port[side] = e.alias.key.port[end];
		k->born_s = e.alias.born_s;
	}
}
