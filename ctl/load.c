/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel programs, embedded in this executable: sized, loaded with one set of maps for both
 * objects, pinned.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../core/policy_abi.h"
#include "internal.h"
#include "sally_tc.skel.h"
#include "sally_xdp.skel.h"

#define SP_SLOTS_DEFAULT 4 /* 12 MB */

sp_u32 sp_load_slots(const struct sp_config *config, const struct sp_image_line *image)
{
	const sp_u32 pool = image ? ((const struct sp_image_more *)&image[1])->pool_count : 0;
	sp_u32 slots = pool + SP_SLOTS_DEFAULT;

	if (slots > SP_NAT_SLOTS)
		slots = SP_NAT_SLOTS;
	return config->flags & SP_CONFIG_GATEWAY ? slots : 0;
}

/* How many elements the maps have that depend on the size of the table; the others say it themselves. */
static sp_u32 map_elements(const char *name, const struct sp_config *config, sp_u32 slots)
{
	if (!strcmp(name, "sp_sets"))
		return config->sets;
	if (!strcmp(name, "sp_flows"))
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
	return sp_err_set(err, -EOPNOTSUPP, "the kernel can not run the programs (needs Linux 6.1 or later with BPF): "
			  "%s%s%s; -v shows more", strerror(-rc), *said ? ": " : "", said);
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
	if (!rc && with_xdp) {
		l->xdp = sally_xdp__open();
		rc = l->xdp ? size_maps(l->xdp->obj, config, slots) : -errno;
		if (!rc)
			rc = share_maps(l->xdp->obj, l->tc->obj);
		if (!rc)
			rc = sally_xdp__load(l->xdp);
	}
	if (!rc)
		return 0;
	sp_load_free(l);
	return explain_load(rc, config, err);
}

void sp_load_free(struct sp_loaded *l)
{
	sally_xdp__destroy(l->xdp);
	sally_tc__destroy(l->tc);
	memset(l, 0, sizeof(*l));
}

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
		if (!rc && !bpf_map__is_internal(map))
			rc = pin(bpf_map__fd(map), dir, bpf_map__name(map));
	if (!rc)
		rc = pin_programs(l->tc->obj, dir);
	if (!rc && l->xdp)
		rc = pin_programs(l->xdp->obj, dir);
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
