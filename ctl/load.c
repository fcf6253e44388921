/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel programs, embedded in this executable: sized, loaded with one set of maps for both
 * objects, pinned.
 *
 * Programs of another build work on the maps that they find. But for what lives only for a moment: each load brings its
 * own, so that a build may have them of another size.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../core/policy_abi.h"
#include "internal.h"
#include "sally_tc.skel.h"
#include "sally_xdp.skel.h"

#define SP_SLOTS_DEFAULT 4 /* 12 MB */
#define SP_PROG_MAPS 64 /* of one program; ours have some 25 */

sp_u32 sp_load_slots(const struct sp_config *config, const struct sp_image_line *image)
{
	const sp_u32 pool = image ? ((const struct sp_image_more *)&image[1])->pool_count : 0;
	sp_u32 slots = pool + SP_SLOTS_DEFAULT;

	if (slots > SP_NAT_SLOTS)
		slots = SP_NAT_SLOTS;
	return config->flags & SP_CONFIG_GATEWAY ? slots : 0;
}

/* Filled anew for each packet, each tick of the kernel's clock, within 100 ms. All other maps are to last. */
static const char *const momentary[] = { "sp_packet", "sp_glances", "sp_precedents" };

static int lasts(const struct bpf_map *map)
{
	size_t i;

	for (i = 0; i < sizeof(momentary) / sizeof(momentary[0]); i++)
		if (!strcmp(bpf_map__name(map), momentary[i]))
			return 0;
	return !bpf_map__is_internal(map);
}

/* How many elements the maps have that depend on the size of the table; the others say it themselves. */
static sp_u32 map_elements(const char *name, const struct sp_config *config, sp_u32 slots)
{
	if (!strcmp(name, "sp_sets"))
		return config->sets;
	if (!strcmp(name, "sp_flows") || !strcmp(name, "sp_hop_of"))
		return config->sets * SP_WAYS;
	if (!strcmp(name, "sp_frags"))
		return SP_FRAG_COUNT;
	if (!strcmp(name, "sp_sketch"))
		return SP_SKETCH_ROWS * SP_SKETCH_ROW;
	if (!strcmp(name, "sp_ports"))
		return slots ? slots * SP_NAT_PORTS : 1;
	return 0;
}

static int size_maps(struct bpf_object *obj, const struct sp_config *config, sp_u32 slots)
{
	struct bpf_map *map;
	int rc = 0;

	bpf_object__for_each_map(map, obj) {
		sp_u32 n = map_elements(bpf_map__name(map), config, slots);

		if (n && !rc)
			rc = bpf_map__set_max_entries(map, n);
	}
	return rc;
}

/* The second object works on the maps of the first. */
static int share_maps(struct bpf_object *obj, const struct bpf_object *from)
{
	struct bpf_map *map, *other;
	int rc = 0;

	bpf_object__for_each_map(map, obj) {
		if (bpf_map__is_internal(map) || rc)
			continue;
		other = bpf_object__find_map_by_name(from, bpf_map__name(map));
		if (other)
			rc = bpf_map__reuse_fd(map, bpf_map__fd(other));
	}
	return rc;
}

static int explain_load(int rc, const struct sp_config *config, struct sp_err *err)
{
	const char *said = sp_log_cause();

	if (rc == -EPERM || rc == -EACCES)
		return sp_err_set(err, -EPERM, "the kernel does not permit it to load programs: %s%s%s",
				  strerror(-rc), *said ? ": " : "", said);
	if (rc == -ENOMEM)
		return sp_err_set(err, -ENOMEM, "no memory for %u conversations (%llu MB); try a smaller --flows",
				  config->capacity, ((sp_u64)config->sets * (SP_WAYS * sizeof(struct sp_flow) +
				  sizeof(struct sp_set))) >> 20);
	if (rc == -ESRCH && strstr(said, "kernel BTF"))
		return sp_err_set(err, -EOPNOTSUPP, "the kernel has no type information (CONFIG_DEBUG_INFO_BTF), which the "
				  "program at XDP needs; --mode tc does without");
	return sp_err_set(err, -EOPNOTSUPP, "the kernel can not run the programs (needs Linux 6.1 or later with BPF): "
			  "%s%s%s; -v shows more", strerror(-rc), *said ? ": " : "", said);
}

int sp_load_is_like(const struct bpf_map *map, int fd, int of_any_size)
{
	struct bpf_map_info info = { 0 };
	sp_u32 len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	       info.map_flags == bpf_map__map_flags(map) &&
	       (of_any_size || info.max_entries == bpf_map__max_entries(map));
}

/* Is that map what ours would be? What the table's size decides may be of any size. */
static int is_like_ours(const struct bpf_map *map, int fd, const struct sp_config *config)
{
	return sp_load_is_like(map, fd, map_elements(bpf_map__name(map), config, 0) != 0);
}

int sp_load_open_of_xdp(const char *dir, const char *name)
{
	int prog SP_CLEANUP(sp_close_fd) = sp_pins_open(dir, "sp_xdp_in");
	sp_u32 maps[SP_PROG_MAPS], len, i;
	struct bpf_prog_info info = { .nr_map_ids = SP_PROG_MAPS, .map_ids = (sp_u64)(unsigned long)maps };

	len = sizeof(info);
	if (prog < 0 || bpf_obj_get_info_by_fd(prog, &info, &len))
		return prog < 0 ? prog : -errno;
	for (i = 0; i < info.nr_map_ids && i < SP_PROG_MAPS; i++) {
		int fd = bpf_map_get_fd_by_id(maps[i]);
		struct bpf_map_info m = { 0 };

		len = sizeof(m);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &m, &len) && !strcmp(m.name, name))
			return fd;
		sp_close_fd(&fd);
	}
	return -ENOENT;
}

/* Of an instance that is up: those that the object does not have from another one already. */
static int take_maps(struct bpf_object *obj, const char *dir, const struct sp_config *config)
{
	struct bpf_map *map;
	int rc = 0;

	bpf_object__for_each_map(map, obj) {
		int fd SP_CLEANUP(sp_close_fd) = -1;

		if (!lasts(map) || bpf_map__fd(map) >= 0 || rc)
			continue;
		fd = sp_pins_open(dir, bpf_map__name(map));
		if (fd == -ENOENT)
			fd = sp_load_open_of_xdp(dir, bpf_map__name(map));
		rc = fd < 0 && fd != -ENOENT ? fd : fd < 0 || !is_like_ours(map, fd, config) ? -EPROTO :
		     bpf_map__reuse_fd(map, fd);
	}
	return rc;
}

/* After the first object. dir: on the maps of the instance there; NULL: on new ones. */
static int load_xdp(struct sp_loaded *l, const struct sp_config *config, sp_u32 slots, const char *dir)
{
	int rc;

	l->xdp = sally_xdp__open();
	rc = l->xdp ? size_maps(l->xdp->obj, config, slots) : -errno;
	if (!rc)
		rc = share_maps(l->xdp->obj, l->tc->obj);
	if (!rc && dir)
		rc = take_maps(l->xdp->obj, dir, config);
	return rc ? rc : sally_xdp__load(l->xdp);
}

int sp_load(struct sp_loaded *l, const struct sp_config *config, sp_u32 slots, int with_xdp, struct sp_err *err)
{
	int rc;

	memset(l, 0, sizeof(*l));
	sp_log_init();
	l->tc = sally_tc__open();
	rc = l->tc ? size_maps(l->tc->obj, config, slots) : -errno;
	if (!rc)
		rc = sally_tc__load(l->tc);
	if (!rc && with_xdp)
		rc = load_xdp(l, config, slots, NULL);
	if (!rc)
		rc = sp_gate_load(l, l->tc->obj, NULL);
	if (!rc)
		return 0;
	sp_load_free(l);
	return explain_load(rc, config, err);
}

void sp_load_free(struct sp_loaded *l)
{
	sp_gate_free(l);
	sally_xdp__destroy(l->xdp);
	sally_tc__destroy(l->tc);
	memset(l, 0, sizeof(*l));
}

/* ---- on the maps of a live instance ------------------------------------------------------------ */

static int is_pinned(const char *dir, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !access(path, F_OK);
}

int sp_load_onto(struct sp_loaded *l, const char *dir, const struct sp_config *config, struct sp_err *err)
{
	int rc;

	memset(l, 0, sizeof(*l));
	sp_log_init();
	l->tc = sally_tc__open();
	rc = l->tc ? take_maps(l->tc->obj, dir, config) : -errno;
	if (!rc)
		rc = sally_tc__load(l->tc);
	if (!rc && is_pinned(dir, "sp_xdp_in"))
		rc = load_xdp(l, config, 0, dir);
	if (!rc)
		rc = sp_gate_load(l, l->tc->obj, dir);
	if (!rc)
		return 0;
	sp_load_free(l);
	return rc == -EPROTO ? sp_err_set(err, rc, "it has other tables than this version") : explain_load(rc, config, err);
}

static int info_of(int fd, struct bpf_prog_info *info)
{
	sp_u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, info, &len);
}

/* By the kernel's digest of their instructions. */
static int are_same(int fd, int other_fd)
{
	struct bpf_prog_info info, other;

	return info_of(fd, &info) && info_of(other_fd, &other) && !memcmp(info.tag, other.tag, BPF_TAG_SIZE);
}

sp_u32 sp_load_pinned_id(const char *dir, const char *name)
{
	int fd SP_CLEANUP(sp_close_fd) = sp_pins_open(dir, name);
	struct bpf_prog_info info;

	return info_of(fd, &info) ? info.id : 0;
}

static int are_pinned(const struct bpf_object *obj, const char *dir)
{
	struct bpf_program *prog;
	int same = 1;

	bpf_object__for_each_program(prog, obj) {
		int fd SP_CLEANUP(sp_close_fd) = sp_pins_open(dir, bpf_program__name(prog));

		same &= are_same(bpf_program__fd(prog), fd);
	}
	return same;
}

int sp_load_is_pinned(const struct sp_loaded *l, const char *dir)
{
	return are_pinned(l->tc->obj, dir) && (!l->xdp || are_pinned(l->xdp->obj, dir)) &&
	       (!l->gate || are_pinned(sp_gate_object(l), dir));
}

/* ---- pins -------------------------------------------------------------------------------------- */

static int pin(int fd, const char *dir, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

static int pin_programs(struct bpf_object *obj, const char *dir)
{
	struct bpf_program *prog;
	int rc = 0;

	bpf_object__for_each_program(prog, obj)
		if (!rc)
			rc = pin(bpf_program__fd(prog), dir, bpf_program__name(prog));
	return rc;
}

int sp_load_pin(const struct sp_loaded *l, const char *dir, struct sp_err *err)
{
	struct bpf_map *map;
	int rc = 0;

	bpf_object__for_each_map(map, l->tc->obj)
		if (!rc && lasts(map))
			rc = pin(bpf_map__fd(map), dir, bpf_map__name(map));
	if (!rc)
		rc = pin_programs(l->tc->obj, dir);
	if (!rc && l->xdp)
		rc = pin_programs(l->xdp->obj, dir);
	return rc ? sp_err_errno(err, rc, "can not pin in the BPF file system") : 0;
}

/* A pin is replaced by renaming: whoever opens it finds the program before or this one. */
static int repin_programs(struct bpf_object *obj, const char *dir)
{
	struct bpf_program *prog;
	char fresh[220], path[200];
	int rc = 0;

	bpf_object__for_each_program(prog, obj) {
		if (rc)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, bpf_program__name(prog));
		snprintf(fresh, sizeof(fresh), "%s-new", path); /* no dots: the BPF file system keeps those for itself */
		unlink(fresh);
		if (bpf_obj_pin(bpf_program__fd(prog), fresh) || rename(fresh, path))
			rc = -errno;
	}
	return rc;
}

int sp_load_repin(const struct sp_loaded *l, const char *dir, struct sp_err *err)
{
	int rc = repin_programs(l->tc->obj, dir);

	if (!rc && l->xdp)
		rc = repin_programs(l->xdp->obj, dir);
	return rc ? sp_err_errno(err, rc, "can not pin in the BPF file system") : 0;
}

int sp_load_map_fd(const struct sp_loaded *l, const char *name)
{
	return bpf_object__find_map_fd_by_name(l->tc->obj, name);
}

int sp_load_prog_fd(const struct sp_loaded *l, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(l->tc->obj, name);

	if (!p && l->xdp)
		p = bpf_object__find_program_by_name(l->xdp->obj, name);
	return p ? bpf_program__fd(p) : -1;
}
