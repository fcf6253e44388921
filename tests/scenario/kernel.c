/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's programs behind the face that all engines under test have, one packet at a time by BPF_PROG_TEST_RUN.
 *
 *	tc	sp_tc_in at ingress, sp_tc_out at egress
 *	xdp	sp_xdp_in at ingress, sp_tc_out at egress, on the same maps
 *	lane	the same between two interfaces that take part in the express lane, see lane.c
 *
 * The programs are loaded with sp_test_mode: clock, zone and hook come from the map sp_test, which is memory-mapped or
 * written before each packet. Nothing is attached or pinned; everything goes when the process does.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine_api.h"
#include "lane.h"
#include "packet.h"
#include "sally_tc.skel.h"
#include "sally_xdp.skel.h"

#define MAPS 9

struct kernel {
	struct tengine t; /* first: the two are cast into each other */
	struct sally_tc *tc;
	struct sally_xdp *xdp; /* NULL for the engine "tc" */
	int test_fd, counters_fd, cpus;
	struct sp_counter *percpu; /* SP_REASON_COUNT * cpus */
	struct sp_counter before[SP_REASON_COUNT];
	sp_u32 sets_max;
	sp_u32 has_image; /* bits of slots */
	void *maps[MAPS];
	size_t map_len[MAPS];
	struct lane lane; /* of the engine "lane" */
};

static const sp_u64 test_secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return getenv("SCENARIO_LIBBPF") ? vfprintf(stderr, fmt, ap) : 0;
}

/* What the object has for each conversation, beside the conversations. */
static void size_hops(struct bpf_object *obj, sp_u32 flows)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "sp_hop_of");

	if (map)
		bpf_map__set_max_entries(map, flows);
}

static int load(struct kernel *k, sp_u32 sets, const char **what)
{
	int rc;

	*what = "open sally_tc";
	k->tc = sally_tc__open();
	if (!k->tc)
		return -errno;
	k->tc->rodata->sp_test_mode = 1;
	bpf_map__set_max_entries(k->tc->maps.sp_sets, sets);
	bpf_map__set_max_entries(k->tc->maps.sp_flows, sets * SP_WAYS);
	bpf_map__set_max_entries(k->tc->maps.sp_ports, TENGINE_NAT_SLOTS * SP_NAT_PORTS);
	size_hops(k->tc->obj, sets * SP_WAYS);
	*what = "load sally_tc";
	rc = sally_tc__load(k->tc);
	return rc;
}

static int load_xdp(struct kernel *k, const char **what)
{
	struct bpf_map *map;
	const char *name;
	int rc = 0;

	*what = "open sally_xdp";
	k->xdp = sally_xdp__open();
	if (!k->xdp)
		return -errno;
	k->xdp->rodata->sp_test_mode = 1;
	bpf_object__for_each_map(map, k->xdp->obj) {
		struct bpf_map *shared;

		name = bpf_map__name(map);
		if (strncmp(name, "sp_", 3) != 0)
			continue; /* .rodata and the like stay its own */
		shared = bpf_object__find_map_by_name(k->tc->obj, name);
		*what = name;
		rc = shared ? bpf_map__reuse_fd(map, bpf_map__fd(shared)) : 0; /* else its own */
		if (rc)
			return rc;
	}
	size_hops(k->xdp->obj, k->sets_max * SP_WAYS);
	*what = "load sally_xdp";
	return sally_xdp__load(k->xdp);
}

static void *map_memory(struct kernel *k, int slot, struct bpf_map *map)
{
	size_t value = (bpf_map__value_size(map) + 7) & ~7ul, page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = (value * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
	void *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (m == MAP_FAILED)
		return NULL;
	k->maps[slot] = m;
	k->map_len[slot] = len;
	return m;
}

static int map_tables(struct kernel *k)
{
	struct sp_tables *t = &k->t.core->t;

	t->sets = map_memory(k, 0, k->tc->maps.sp_sets);
	t->flows = map_memory(k, 1, k->tc->maps.sp_flows);
	t->frags = map_memory(k, 2, k->tc->maps.sp_frags);
	t->sketch = map_memory(k, 3, k->tc->maps.sp_sketch);
	t->config = map_memory(k, 4, k->tc->maps.sp_config);
	t->state = map_memory(k, 5, k->tc->maps.sp_state);
	t->nat = map_memory(k, 6, k->tc->maps.sp_nat);
	t->ports = map_memory(k, 7, k->tc->maps.sp_ports);
	t->meters = map_memory(k, 8, k->tc->maps.sp_meters);
	t->images = k->t.core->images;
	for (int i = 0; i < MAPS; i++)
		if (!k->maps[i])
			return -errno;
	return 0;
}

static void kernel_close(struct tengine *t)
{
	struct kernel *k = (struct kernel *)t;

	if (!k)
		return;
	for (int i = 0; i < MAPS; i++)
		if (k->maps[i])
			munmap(k->maps[i], k->map_len[i]);
	sally_xdp__destroy(k->xdp);
	sally_tc__destroy(k->tc);
	free(k->percpu);
	free(k->t.core);
	free(k);
}

/* All counters of all CPUs in one call; the batch is there for per-CPU arrays since Linux 5.13. */
static int kernel_counters(struct tengine *t, struct sp_counter out[SP_REASON_COUNT])
{
	struct kernel *k = (struct kernel *)t;
	sp_u32 keys[SP_REASON_COUNT], next, n = SP_REASON_COUNT;

	if (bpf_map_lookup_batch(k->counters_fd, NULL, &next, keys, k->percpu, &n, NULL) && errno != ENOENT)
		return -errno;
	if (n != SP_REASON_COUNT)
		return -EPROTO;
	memset(out, 0, sizeof(out[0]) * SP_REASON_COUNT);
	for (sp_u32 i = 0; i < n; i++)
		for (int cpu = 0; cpu < k->cpus; cpu++) {
			out[keys[i]].packets += k->percpu[i * (sp_u32)k->cpus + (sp_u32)cpu].packets;
			out[keys[i]].bytes += k->percpu[i * (sp_u32)k->cpus + (sp_u32)cpu].bytes;
		}
	return 0;
}

static int clear_counters(struct kernel *k)
{
	memset(k->percpu, 0, sizeof(k->percpu[0]) * SP_REASON_COUNT * (size_t)k->cpus);
	for (sp_u32 i = 0; i < SP_REASON_COUNT; i++)
		if (bpf_map_update_elem(k->counters_fd, &i, k->percpu, BPF_ANY))
			return -errno;
	memset(k->before, 0, sizeof(k->before));
	return 0;
}

/* What was decided for another test is no precedent. */
static int clear_precedents(struct kernel *k)
{
	const struct bpf_map *map = k->xdp ? k->xdp->maps.sp_precedents : NULL;
	sp_u32 n = map ? bpf_map__max_entries(map) : 0, *keys = calloc(n + 1, sizeof(*keys));
	void *nothing = calloc(n + 1, (size_t)k->cpus * sizeof(struct sp_flow)); /* more than one of them takes */
	int rc = keys && nothing ? 0 : -ENOMEM;

	for (sp_u32 i = 0; i < n && !rc; i++)
		keys[i] = i;
	if (n && !rc && bpf_map_update_batch(bpf_map__fd(map), keys, nothing, &n, NULL))
		rc = -errno;
	free(keys);
	free(nothing);
	return rc;
}

/* As ctl/generation.c does it: a map of its own for each image. */
static int kernel_image(struct tengine *t, sp_u32 generation, const struct sp_image *image)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	struct kernel *k = (struct kernel *)t;
	sp_u32 slot = generation % SP_IMAGE_SLOTS;
	int images = bpf_map__fd(k->tc->maps.sp_images), fd, rc = 0;
	size_t bytes = image ? image->n * sizeof(image->v[0]) : 0;
	void *at;

	t->core->images[slot] = image ? image->v : NULL; /* for those who ask what is stale */
	if (!image) {
		if (k->has_image & 1u << slot && bpf_map_delete_elem(images, &slot))
			return -errno;
		k->has_image &= ~(1u << slot);
		return 0;
	}
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sp_image", 4, sizeof(image->v[0]), image->n, &opts);
	if (fd < 0)
		return fd;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		rc = -errno;
	} else {
		memcpy(at, image->v, bytes);
		munmap(at, bytes);
	}
	if (!rc)
		rc = bpf_map_update_elem(images, &slot, &fd, BPF_ANY) ? -errno : 0;
	k->has_image |= 1u << slot;
	close(fd);
	return rc;
}

static int kernel_reset(struct tengine *t, sp_u32 capacity, sp_u32 flags)
{
	struct kernel *k = (struct kernel *)t;
	struct sp_tables *tb = &t->core->t;
	struct sp_config fresh;
	sp_u32 used = tb->config->sets ? tb->config->sets : k->sets_max;

	sp_config_init(&fresh, capacity, flags, test_secret);
	if (fresh.sets > k->sets_max)
		return -E2BIG;
	memset(tb->sets, 0, sizeof(tb->sets[0]) * used);
	memset(tb->flows, 0, sizeof(tb->flows[0]) * used * SP_WAYS);
	memset(tb->frags, 0, sizeof(tb->frags[0]) * SP_FRAG_COUNT);
	memset(tb->sketch, 0, sizeof(tb->sketch[0]) * SP_SKETCH_ROWS * SP_SKETCH_ROW);
	memset(tb->meters, 0, sizeof(tb->meters[0]) * SP_METER_ROWS * SP_METER_ROW);
	memset(tb->state, 0, sizeof(*tb->state));
	memset(tb->ports, 0, sizeof(tb->ports[0]) * SP_NAT_PORTS * tb->nat->slots);
	memset(tb->nat, 0, sizeof(*tb->nat));
	*tb->config = fresh;
	for (sp_u32 slot = 0; slot < SP_IMAGE_SLOTS; slot++) {
		const int rc = kernel_image(t, slot, NULL);

		if (rc)
			return rc;
	}
	return clear_counters(k) || clear_precedents(k) ? -EIO : 0;
}

static struct tengine *kernel_open(sp_u32 capacity_max, const struct tengine_ops *ops, char *err, size_t err_len)
{
	struct kernel *k = calloc(1, sizeof(*k));
	struct sp_config c;
	const char *what = "memory";
	int rc = -ENOMEM;

	libbpf_set_print(quiet);
	if (k)
		k->t.core = calloc(1, sizeof(*k->t.core));
	if (k && k->t.core) {
		k->t.ops = ops;
		k->t.capacity_max = capacity_max;
		sp_config_init(&c, capacity_max, 0, test_secret);
		k->sets_max = c.sets;
		rc = load(k, c.sets, &what);
		if (!rc && ops != &tengine_tc)
			rc = load_xdp(k, &what);
		if (!rc && ops == &tengine_lane)
			rc = lane_open(&k->lane, bpf_map__fd(k->tc->maps.sp_ifaces), &what);
	}
	if (!rc) {
		what = "map the tables";
		k->cpus = libbpf_num_possible_cpus();
		k->percpu = calloc(SP_REASON_COUNT * (size_t)k->cpus, sizeof(k->percpu[0]));
		k->counters_fd = bpf_map__fd(k->tc->maps.sp_counters);
		k->test_fd = bpf_map__fd(k->tc->maps.sp_test);
		rc = k->percpu ? map_tables(k) : -ENOMEM;
	}
	if (!rc) {
		what = "reset";
		rc = kernel_reset(&k->t, capacity_max, 0);
	}
	if (!rc)
		return &k->t;
	snprintf(err, err_len, "%s: %s", what, strerror(-rc));
	if (k)
		kernel_close(&k->t);
	return NULL;
}

static struct tengine *tc_open(sp_u32 capacity_max, char *err, size_t err_len)
{
	return kernel_open(capacity_max, &tengine_tc, err, err_len);
}

static struct tengine *xdp_open(sp_u32 capacity_max, char *err, size_t err_len)
{
	return kernel_open(capacity_max, &tengine_xdp, err, err_len);
}

static struct tengine *lane_engine_open(sp_u32 capacity_max, char *err, size_t err_len)
{
	return kernel_open(capacity_max, &tengine_lane, err, err_len);
}

static int write_test(struct kernel *k, const struct sp_engine_packet *p)
{
	struct sp_test test = k->t.core->side;
	sp_u32 zero = 0;

	test.now_ns = p->now_ns;
	test.zone = p->zone;
	test.hook = p->hook;
	test.bare_ip = p->bare_ip;
	test.forwarded = p->forwarded;
	test.zone_from = p->zone_from;
	test.express = k->lane.open && p->hook == SP_HOOK_INGRESS;
	return bpf_map_update_elem(k->test_fd, &zero, &test, BPF_ANY) ? -errno : 0;
}

static int run_program(struct kernel *k, const struct sp_engine_packet *p, int at_xdp, sp_u8 *out, sp_u32 *retval)
{
	struct __sk_buff ctx = { .gso_segs = p->gso_segs > 1 ? p->gso_segs : 0,
				 .gso_size = p->gso_segs > 1 ? 1448 : 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->data, .data_size_in = p->len, .data_out = out,
		    .data_size_out = PKT_MAX, .repeat = 1);
	struct xdp_md md = { .data_end = p->len, .ingress_ifindex = lane_ifindex(&k->lane, p->zone) };
	struct bpf_program *prog;

	if (at_xdp && md.ingress_ifindex) {
		o.ctx_in = &md;
		o.ctx_size_in = sizeof(md);
	}
	if (at_xdp)
		prog = k->xdp->progs.sp_xdp_in;
	else
		prog = p->hook == SP_HOOK_EGRESS ? k->tc->progs.sp_tc_out : k->tc->progs.sp_tc_in;
	if (!at_xdp && ctx.gso_segs) {
		o.ctx_in = &ctx;
		o.ctx_size_in = sizeof(ctx);
	}
	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &o))
		return errno == EINVAL && (p->len < 54 || p->len > 3000) ? -ENOTSUP : -errno;
	*retval = o.retval;
	return o.data_size_out == p->len ? 0 : -EPROTO;
}

/* Is it the reason that somebody expects? That costs a tenth of looking at all counters. */
static int is_likely(struct kernel *k, sp_u32 reason)
{
	struct sp_counter now = { 0 };

	if (!reason || reason >= SP_REASON_COUNT || bpf_map_lookup_elem(k->counters_fd, &reason, k->percpu))
		return 0;
	for (int cpu = 0; cpu < k->cpus; cpu++) {
		now.packets += k->percpu[cpu].packets;
		now.bytes += k->percpu[cpu].bytes;
	}
	if (now.packets != k->before[reason].packets + 1)
		return 0;
	k->before[reason] = now;
	return 1;
}

/* The one counter that grew by one packet is the reason. */
static int find_reason(struct kernel *k, struct sp_engine_result *out)
{
	struct sp_counter now[SP_REASON_COUNT];
	int rc, found = -1;

	if (is_likely(k, k->t.likely)) {
		out->reason = k->t.likely;
		return 0;
	}
	rc = kernel_counters(&k->t, now);
	if (rc)
		return rc;
	for (int i = 0; i < SP_REASON_COUNT; i++) {
		sp_u64 grown = now[i].packets - k->before[i].packets;

		if (!grown || (i == SP_R_EXPRESS && k->lane.open))
			continue;
		if (found >= 0)
			return -EPROTO;
		found = i;
	}
	memcpy(k->before, now, sizeof(now));
	if (found < 0)
		return -EPROTO;
	out->reason = (sp_u8)found;
	return 0;
}

static int kernel_judge(struct tengine *t, const struct sp_engine_packet *p, sp_u8 *out, struct sp_engine_result *result)
{
	struct kernel *k = (struct kernel *)t;
	int at_xdp = k->xdp && p->hook == SP_HOOK_INGRESS, rc;
	sp_u32 retval = 0;

	memset(result, 0, sizeof(*result));
	if (t->took_lane && p->hook == SP_HOOK_EGRESS) {
		t->took_lane = 0;
		return lane_show(&k->lane, p, out, result);
	}
	t->took_lane = 0;
	if (p->len < 14 || (at_xdp && p->gso_segs > 1))
		return -ENOTSUP;
	rc = write_test(k, p);
	if (!rc)
		rc = run_program(k, p, at_xdp, out, &retval);
	if (rc)
		return rc;
	if (at_xdp && retval == XDP_REDIRECT && k->lane.open) {
		lane_keep(&k->lane, out, p->len);
		t->took_lane = 1;
		t->lane_count++;
		retval = XDP_PASS;
	}
	if (at_xdp && retval != XDP_PASS && retval != XDP_DROP)
		return -EPROTO;
	if (!at_xdp && retval != TC_ACT_OK && retval != TC_ACT_SHOT && retval != (sp_u32)TC_ACT_UNSPEC)
		return -EPROTO;
	result->verdict = retval == (at_xdp ? (sp_u32)XDP_DROP : (sp_u32)TC_ACT_SHOT) ? SP_DROP : SP_PASS;
	return find_reason(k, result);
}

const struct tengine_ops tengine_tc = {
	.name = "tc",
	.open = tc_open,
	.close = kernel_close,
	.reset = kernel_reset,
	.judge = kernel_judge,
	.image = kernel_image,
	.counters = kernel_counters,
};

const struct tengine_ops tengine_xdp = {
	.name = "xdp",
	.open = xdp_open,
	.close = kernel_close,
	.reset = kernel_reset,
	.judge = kernel_judge,
	.image = kernel_image,
	.counters = kernel_counters,
};

/* What takes the lane is counted as such where it is counted as forwarded otherwise. */
static int lane_counters(struct tengine *t, struct sp_counter out[SP_REASON_COUNT])
{
	const int rc = kernel_counters(t, out);

	out[SP_R_FORWARDED].packets += out[SP_R_EXPRESS].packets;
	out[SP_R_FORWARDED].bytes += out[SP_R_EXPRESS].bytes;
	memset(&out[SP_R_EXPRESS], 0, sizeof(out[0]));
	return rc;
}

const struct tengine_ops tengine_lane = {
	.name = "lane",
	.open = lane_engine_open,
	.close = kernel_close,
	.reset = kernel_reset,
	.judge = kernel_judge,
	.image = kernel_image,
	.counters = lane_counters,
};
