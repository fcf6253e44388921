/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate: programs at netfilter's hooks of this network namespace. They hold back what passes by an interface that is to
 * be guarded but is not (bpf/sally_gate.bpf.c).
 *
 * They are attached by BPF links (Linux 6.4, CONFIG_NETFILTER_BPF_LINK) that are pinned beside everything else. A kernel
 * that has none guards all the same; only what is made anew is then open until sallyd has seen it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "watch.h"
#include "sally_gate.skel.h"

/* What the headers of older systems lack. */
#define SP_BPF_PROG_TYPE_NETFILTER 32
#define SP_BPF_NETFILTER 45
#define SP_BPF_LINK_TYPE_NETFILTER 10
#define SP_NF_LOCAL_IN 1
#define SP_NF_FORWARD 2
#define SP_NF_IPV4 2
#define SP_NF_IPV6 10
#define SP_NF_FIRST (-2147483647) /* the very first is not to be had */
#define SP_NF_PLACES 64

struct hook {
	const char *pin, *program;
	sp_u32 family, hook;
};

static const struct hook hooks[] = {
	{ "sp_gate_in_4", "sp_gate_in", SP_NF_IPV4, SP_NF_LOCAL_IN },
	{ "sp_gate_in_6", "sp_gate_in", SP_NF_IPV6, SP_NF_LOCAL_IN },
	{ "sp_gate_on_4", "sp_gate_on", SP_NF_IPV4, SP_NF_FORWARD },
	{ "sp_gate_on_6", "sp_gate_on", SP_NF_IPV6, SP_NF_FORWARD },
};
#define HOOKS (int)(sizeof(hooks) / sizeof(hooks[0]))

static void pin_path(char path[220], const char *dir, const char *name)
{
	snprintf(path, 220, "%s/%s", dir, name);
}

/* ---- loading ----------------------------------------------------------------------------------- */

/* Refused because the kernel has no such programs, or can not tell what they read; not for want of memory or a right. */
static int is_lack(int rc)
{
	return rc == -EINVAL || rc == -EACCES || rc == -EOPNOTSUPP || rc == -ESRCH || rc == -ENOENT || rc == -E2BIG;
}

/* Asked first: libbpf would tell of the refusal as if something were wrong. 1, 0, or a negative errno. */
static int has_type(void)
{
	const struct bpf_insn accept[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
					   { .code = BPF_JMP | BPF_EXIT } };
	DECLARE_LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)SP_BPF_NETFILTER);
	int fd SP_CLEANUP(sp_close_fd) = bpf_prog_load((enum bpf_prog_type)SP_BPF_PROG_TYPE_NETFILTER, "sp_probe", "GPL",
						       accept, 2, &opts);

	return fd >= 0 ? 1 : is_lack(-errno) ? 0 : -errno;
}

/* The map that is pinned, if there is one: -EPROTO when it is none that these programs could work on. */
static int reuse_pin(struct bpf_map *map, const char *dir)
{
	int fd SP_CLEANUP(sp_close_fd) = sp_pins_open(dir, bpf_map__name(map));

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	return sp_load_is_like(map, fd, 0) ? bpf_map__reuse_fd(map, fd) : -EPROTO;
}

/* On the maps of the other programs, and its own if they are pinned in dir (NULL: not). */
static int load_on(struct sally_gate *gate, struct bpf_object *maps, const char *dir)
{
	struct bpf_program *prog;
	int rc = bpf_map__reuse_fd(gate->maps.sp_ifaces, bpf_object__find_map_fd_by_name(maps, "sp_ifaces"));

	if (!rc)
		rc = bpf_map__reuse_fd(gate->maps.sp_config, bpf_object__find_map_fd_by_name(maps, "sp_config"));
	if (!rc && dir)
		rc = reuse_pin(gate->maps.sp_gate, dir);
	if (!rc && dir)
		rc = reuse_pin(gate->maps.sp_whole, dir);
	bpf_object__for_each_program(prog, gate->obj) {
		bpf_program__set_type(prog, (enum bpf_prog_type)SP_BPF_PROG_TYPE_NETFILTER);
		bpf_program__set_expected_attach_type(prog, (enum bpf_attach_type)SP_BPF_NETFILTER);
	}
	return rc ? rc : sally_gate__load(gate);
}

int sp_gate_load(struct sp_loaded *l, struct bpf_object *maps, const char *dir)
{
	int rc = sp_gate_may_be() ? has_type() : 0;

	if (rc <= 0)
		return rc;
	l->gate = sally_gate__open();
	if (!l->gate)
		return -errno;
	rc = load_on(l->gate, maps, dir);
	if (!rc)
		return 0;
	sally_gate__destroy(l->gate);
	l->gate = NULL;
	if (!is_lack(rc))
		return rc;
	sp_log_init(); /* what was said is no cause of anything */
	return 0;
}

/* A link holds its network namespace: one without a name would never end. */
int sp_gate_may_be(void)
{
	return sp_watcher_is_first() || sp_watcher_is_named();
}

void sp_gate_free(struct sp_loaded *l)
{
	sally_gate__destroy(l->gate);
	l->gate = NULL;
}

int sp_gate_map_fd(const struct sp_loaded *l, const char *name)
{
	return l->gate ? bpf_object__find_map_fd_by_name(l->gate->obj, name) : -1;
}

/* ---- attaching --------------------------------------------------------------------------------- */

static int create_link(int prog_fd, const struct hook *h, int priority)
{
	struct {
		sp_u32 prog_fd, target_fd, attach_type, flags;
		struct {
			sp_u32 pf, hooknum;
			int priority;
			sp_u32 flags;
		} netfilter;
		sp_u8 rest[32]; /* the kernel wants nothing there */
	} attr = { .prog_fd = (sp_u32)prog_fd, .attach_type = SP_BPF_NETFILTER,
		   .netfilter = { .pf = h->family, .hooknum = h->hook, .priority = priority } };
	const int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/* The first place that is free: no two programs have the same, also not one and the one that takes its place. */
static int hook_in(int prog_fd, const struct hook *h)
{
	int i, fd = -EBUSY;

	for (i = 0; i < SP_NF_PLACES && fd == -EBUSY; i++)
		fd = create_link(prog_fd, h, SP_NF_FIRST + i);
	return fd;
}

/* A pin is replaced by renaming: the link before ends when this one holds already. */
static int pin_over(int fd, const char *dir, const char *name)
{
	char fresh[240], path[220];

	pin_path(path, dir, name);
	snprintf(fresh, sizeof(fresh), "%s-new", path);
	unlink(fresh);
	return bpf_obj_pin(fd, fresh) || rename(fresh, path) ? -errno : 0;
}

static int prog_fd_of(const struct sp_loaded *l, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(l->gate->obj, name));
}

static int attach_all(const struct sp_loaded *l, const char *dir)
{
	int i, rc = 0;

	for (i = 0; i < HOOKS && !rc; i++) {
		int fd SP_CLEANUP(sp_close_fd) = hook_in(prog_fd_of(l, hooks[i].program), &hooks[i]);

		rc = fd < 0 ? fd : pin_over(fd, dir, hooks[i].pin);
	}
	return rc;
}

static int pin_rest(const struct sp_loaded *l, const char *dir)
{
	struct bpf_program *prog;
	int rc = pin_over(bpf_map__fd(l->gate->maps.sp_gate), dir, "sp_gate");

	if (!rc)
		rc = pin_over(bpf_map__fd(l->gate->maps.sp_whole), dir, "sp_whole");
	bpf_object__for_each_program(prog, l->gate->obj)
		if (!rc)
			rc = pin_over(bpf_program__fd(prog), dir, bpf_program__name(prog));
	return rc;
}

/* The express lane counts hooks of netfilter, and is to know that these are ours. */
static int tell_lane(const struct sp_loaded *l)
{
	const int fd = bpf_map__fd(l->gate->maps.sp_config);
	struct sp_config config;
	sp_u32 zero = 0;

	if (bpf_map_lookup_elem(fd, &zero, &config))
		return -errno;
	config.flags |= SP_CONFIG_GATE;
	return bpf_map_update_elem(fd, &zero, &config, BPF_ANY) ? -errno : 0;
}

int sp_gate_attach(struct sp_loaded *l, const char *dir, struct sp_err *err)
{
	int rc;

	if (!l->gate)
		return 0;
	rc = attach_all(l, dir);
	if (!rc)
		rc = pin_rest(l, dir);
	if (!rc)
		rc = tell_lane(l);
	if (!rc)
		return 0;
	sp_gate_unpin(dir);
	return sp_err_errno(err, rc, "can not put programs at the hooks of netfilter");
}

void sp_gate_unpin(const char *dir)
{
	char path[220];
	int i;

	for (i = 0; i < HOOKS; i++) {
		pin_path(path, dir, hooks[i].pin);
		unlink(path);
	}
}

static int link_info(int fd, struct bpf_link_info *info)
{
	sp_u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, info, &len) && info->type == SP_BPF_LINK_TYPE_NETFILTER;
}

/* The program of a pinned link that holds; 0: there is none. */
static sp_u32 held_by(const char *dir, const struct hook *h)
{
	int fd SP_CLEANUP(sp_close_fd) = sp_pins_open(dir, h->pin);
	struct bpf_link_info info;

	return link_info(fd, &info) ? info.prog_id : 0;
}

int sp_gate_is_there(const char *dir)
{
	int i, there = 1;

	for (i = 0; i < HOOKS; i++)
		there &= held_by(dir, &hooks[i]) != 0;
	return there;
}

int sp_gate_is_of(const struct sp_loaded *l, const char *dir)
{
	int i, same = 1;

	for (i = 0; i < HOOKS && l->gate; i++) {
		const sp_u32 id = held_by(dir, &hooks[i]);

		same &= id && id == sp_load_pinned_id(dir, hooks[i].program);
	}
	return same;
}

struct bpf_object *sp_gate_object(const struct sp_loaded *l)
{
	return l->gate ? l->gate->obj : NULL;
}

/* ---- taking it away ---------------------------------------------------------------------------- */

/* Does that program hold for the firewall of this network namespace? Its configuration says which that is. */
static int is_for(sp_u32 prog_id, sp_u64 cookie)
{
	int fd SP_CLEANUP(sp_close_fd) = bpf_prog_get_fd_by_id(prog_id);
	sp_u32 maps[8], len, zero = 0, i;
	struct bpf_prog_info info = { .nr_map_ids = 8, .map_ids = (sp_u64)(unsigned long)maps };
	struct sp_config config;

	len = sizeof(info);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || strncmp(info.name, "sp_gate_", 8))
		return 0;
	for (i = 0; i < info.nr_map_ids && i < 8; i++) {
		int map SP_CLEANUP(sp_close_fd) = bpf_map_get_fd_by_id(maps[i]);
		struct bpf_map_info m = { 0 };

		len = sizeof(m);
		if (map >= 0 && !bpf_obj_get_info_by_fd(map, &m, &len) && !strcmp(m.name, "sp_config") &&
		    m.value_size == sizeof(config) && !bpf_map_lookup_elem(map, &zero, &config))
			return config.netns_cookie == cookie;
	}
	return 0;
}

void sp_gate_remove(sp_u64 cookie)
{
	struct bpf_link_info info;
	sp_u32 id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		int fd SP_CLEANUP(sp_close_fd) = bpf_link_get_fd_by_id(id);

		if (link_info(fd, &info) && is_for(info.prog_id, cookie))
			bpf_link_detach(fd);
	}
}
