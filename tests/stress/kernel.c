/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's programs from two processors at once, by BPF_PROG_TEST_RUN: the same workloads and invariants as native.c,
 * over the memory-mapped arrays. John is this machine (egress); whoever he talks to comes in at TC or at XDP. Or he is
 * inside and both come in at XDP, between two interfaces of the express lane. Nothing is attached or pinned.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../scenario/lane.h"
#include "stress.h"
#include "sally_tc.skel.h"
#include "sally_xdp.skel.h"

#define MAPS 9

enum way { TC, XDP, LANE };

static const sp_u64 secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

struct kernel {
	struct sally_tc *tc;
	struct sally_xdp *xdp; /* NULL: answers come in at TC */
	struct lane lane;
	struct sp_test *test; /* shared: the clock and the zone of whoever comes in */
	int in_fd, out_fd, counters_fd, glances_fd;
	sp_u32 begins_off, glance_size; /* what a processor has seen last: what is asked of it */
	void *maps[MAPS];
	size_t lens[MAPS];
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

/* ---- loading ------------------------------------------------------------------------------------------------------ */

static void *map_memory(struct kernel *k, int slot, struct bpf_map *map)
{
	const size_t value = (bpf_map__value_size(map) + 7) & ~7ul, page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t len = (value * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
	void *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (m == MAP_FAILED)
		return NULL;
	k->maps[slot] = m;
	k->lens[slot] = len;
	return m;
}

static int load_tc(struct kernel *k, sp_u32 sets)
{
	k->tc = sally_tc__open();
	if (!k->tc)
		return -errno;
	k->tc->rodata->sp_test_mode = 1;
	bpf_map__set_max_entries(k->tc->maps.sp_sets, sets);
	bpf_map__set_max_entries(k->tc->maps.sp_flows, sets * SP_WAYS);
	bpf_map__set_max_entries(k->tc->maps.sp_hop_of, sets * SP_WAYS);
	bpf_map__set_max_entries(k->tc->maps.sp_ports, SP_NAT_PORTS);
	return sally_tc__load(k->tc);
}

static int load_xdp(struct kernel *k)
{
	struct bpf_map *map;
	int rc;

	k->xdp = sally_xdp__open();
	if (!k->xdp)
		return -errno;
	k->xdp->rodata->sp_test_mode = 1;
	bpf_object__for_each_map(map, k->xdp->obj) {
		struct bpf_map *shared;

		if (strncmp(bpf_map__name(map), "sp_", 3) != 0)
			continue;
		shared = bpf_object__find_map_by_name(k->tc->obj, bpf_map__name(map));
		rc = shared ? bpf_map__reuse_fd(map, bpf_map__fd(shared)) : 0; /* else its own */
		if (rc)
			return rc;
	}
	return sally_xdp__load(k->xdp);
}

static void unload(struct kernel *k)
{
	for (int i = 0; i < MAPS; i++)
		if (k->maps[i])
			munmap(k->maps[i], k->lens[i]);
	sally_xdp__destroy(k->xdp);
	sally_tc__destroy(k->tc);
}

/* Two interfaces, in a network namespace of our own: what is loaded from now on works there, too. */
static int open_lane(struct kernel *k)
{
	const char *what;

	if (unshare(CLONE_NEWNET))
		return -errno;
	return lane_open(&k->lane, bpf_map__fd(k->tc->maps.sp_ifaces), &what);
}

static int load(struct kernel *k, struct sp_tables *t, sp_u32 capacity, enum way way)
{
	struct sp_config c;
	int rc;

	sp_config_init(&c, capacity, way == LANE ? SP_CONFIG_GATEWAY : 0, secret);
	rc = load_tc(k, c.sets);
	if (!rc && way != TC)
		rc = load_xdp(k);
	if (!rc && way == LANE)
		rc = open_lane(k);
	if (rc)
		return rc;
	t->sets = map_memory(k, 0, k->tc->maps.sp_sets);
	t->flows = map_memory(k, 1, k->tc->maps.sp_flows);
	t->frags = map_memory(k, 2, k->tc->maps.sp_frags);
	t->sketch = map_memory(k, 3, k->tc->maps.sp_sketch);
	t->config = map_memory(k, 4, k->tc->maps.sp_config);
	t->state = map_memory(k, 5, k->tc->maps.sp_state);
	k->test = map_memory(k, 6, k->tc->maps.sp_test);
	t->nat = map_memory(k, 7, k->tc->maps.sp_nat);
	t->ports = map_memory(k, 8, k->tc->maps.sp_ports);
	if (!t->sets || !t->flows || !t->frags || !t->sketch || !t->config || !t->state || !k->test ||
	    !t->nat || !t->ports)
		return -errno;
	*t->config = c;
	k->test->zone = SP_ZONE_OUTSIDE;
	k->test->now_ns = STRESS_BASE_NS;
	k->test->express = way == LANE;
	k->out_fd = bpf_program__fd(k->tc->progs.sp_tc_out);
	k->in_fd = bpf_program__fd(k->xdp ? k->xdp->progs.sp_xdp_in : k->tc->progs.sp_tc_in);
	k->counters_fd = bpf_map__fd(k->tc->maps.sp_counters);
	return 0;
}

/* Puts it where the configuration in force has its image, as ctl/generation.c does it. */
static int put_image(struct kernel *k, const struct sp_image *image, sp_u32 slot)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	const int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sp_image", 4, sizeof(image->v[0]), image->n, &opts);
	int rc = fd < 0 ? -errno : 0;

	for (sp_u32 i = 0; i < image->n && !rc; i++)
		rc = bpf_map_update_elem(fd, &i, &image->v[i], BPF_ANY);
	if (!rc)
		rc = bpf_map_update_elem(bpf_map__fd(k->tc->maps.sp_images), &slot, &fd, BPF_ANY);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Where a processor keeps whether its last packet from an interface began a conversation by a precedent. */
static int find_begins(struct kernel *k)
{
	const struct btf *btf = bpf_object__btf(k->xdp->obj);
	const int id = btf__find_by_name_kind(btf, "sp_glance", BTF_KIND_STRUCT);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (sp_u32)id) : NULL;
	const struct btf_member *m = type ? btf_members(type) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++, m++)
		if (!strcmp(btf__name_by_offset(btf, m->name_off), "begins")) {
			k->begins_off = m->offset / 8;
			k->glance_size = (type->size + 7) & ~7u;
			k->glances_fd = bpf_map__fd(k->tc->maps.sp_glances);
			return 0;
		}
	return -ENOENT;
}

static int by_precedent(struct bench *b, sp_u8 zone)
{
	struct kernel *k = b->engine;
	const sp_u32 at = lane_ifindex(&k->lane, zone) % bpf_map__max_entries(k->tc->maps.sp_glances);
	sp_u8 seen[64 * 64];
	int begun = 0;

	if ((size_t)libbpf_num_possible_cpus() * k->glance_size > sizeof(seen) ||
	    bpf_map_lookup_elem(k->glances_fd, &at, seen))
		return 0;
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		begun |= seen[(sp_u32)cpu * k->glance_size + k->begins_off];
	return begun;
}

static int translate(struct bench *b, sp_u32 me, const char *policy)
{
	struct kernel *k = b->engine;
	struct sp_image image;
	int rc = stress_image(policy, &image);

	if (rc)
		return rc;
	rc = put_image(k, &image, b->e->t.config->generation % SP_IMAGE_SLOTS);
	/* for those who look at the tables from here */
	b->e->images[b->e->t.config->generation % SP_IMAGE_SLOTS] = image.v;
	b->e->t.nat->slot[0] = (struct sp_nat_slot){ htonl(me), 0, SP_SLOT_MAPS };
	b->e->t.nat->slots = b->e->t.nat->used = 1;
	k->test->inside4_net = htonl(0x0a000000);
	k->test->inside4_mask = htonl(0xff000000);
	k->test->forwarded = 1; /* at egress: what came in inside */
	k->test->zone_from = SP_ZONE_INSIDE;
	return rc ? rc : find_begins(k);
}

/* ---- judging ------------------------------------------------------------------------------------------------------ */

static void set_clock(struct bench *b, sp_u64 now_ns)
{
	struct kernel *k = b->engine;

	__atomic_store_n(&k->test->now_ns, now_ns, __ATOMIC_RELAXED);
}

/* The reason stays unknown: the counters are summed up at the end. */
static void judge(struct bench *b, int thread, const struct sp_engine_packet *p, struct sp_engine_result *out)
{
	struct kernel *k = b->engine;
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->data, .data_size_in = p->len, .repeat = 1);
	struct xdp_md md = { .data_end = p->len, .ingress_ifindex = lane_ifindex(&k->lane, p->zone) };
	struct __sk_buff skb = { .ifindex = md.ingress_ifindex };
	const int out_going = p->hook == SP_HOOK_EGRESS;
	const int at_xdp = !out_going && k->xdp;

	if (md.ingress_ifindex) {
		o.ctx_in = at_xdp ? (void *)&md : &skb;
		o.ctx_size_in = at_xdp ? sizeof(md) : sizeof(skb);
	}
	if (p->out) {
		o.data_out = p->out;
		o.data_size_out = p->len;
	}
	if (bpf_prog_test_run_opts(out_going ? k->out_fd : k->in_fd, &o)) {
		complain("%s: the kernel can not run its program: %s", b->name, strerror(errno));
		__atomic_fetch_add(&b->failures, 1, __ATOMIC_RELAXED);
		out->verdict = SP_DROP;
		return;
	}
	out->verdict = o.retval == (at_xdp ? XDP_DROP : TC_ACT_SHOT) ? SP_DROP : SP_PASS;
	out->rewritten = p->out && out->verdict == SP_PASS;
	b->gone[thread] = at_xdp && o.retval == XDP_REDIRECT;
}

/* Sums of all CPUs; printed. Returns what was dropped for any reason but BUSY; *busy: for that; *express: redirected. */
static sp_u64 count(struct kernel *k, sp_u64 *busy, sp_u64 *express)
{
	const int cpus = libbpf_num_possible_cpus();
	struct sp_counter *per = calloc((size_t)cpus, sizeof(*per));
	sp_u64 dropped = 0;

	*busy = *express = 0;
	printf("      ");
	for (sp_u32 i = 0; per && i < SP_REASON_COUNT; i++) {
		sp_u64 n = 0;

		if (bpf_map_lookup_elem(k->counters_fd, &i, per))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			n += per[cpu].packets;
		if (n)
			printf(" %s %llu", sp_reason_name(i), n);
		if (i == SP_R_EXPRESS)
			*express = n;
		if (i == SP_R_BUSY)
			*busy = n;
		else if (sp_reason_verdict(i) == SP_DROP)
			dropped += n;
	}
	printf("\n");
	free(per);
	return dropped;
}

/* ---- parts -------------------------------------------------------------------------------------------------------- */

struct part {
	const char *name;
	void (*run)(struct bench *b, int ms);
	sp_u32 capacity;
	enum way way;
	int all_pass; /* no packet may be dropped */
};

static void run(const struct part *part, int ms)
{
	struct kernel k = { 0 };
	struct sp_engine engine = { 0 };
	struct bench *b = calloc(1, sizeof(*b));
	sp_u64 dropped, busy, express;
	int rest, empty, rc, cpus;

	if (!b)
		return result(0, "%s: no memory", part->name);
	rc = load(&k, &engine.t, part->capacity, part->way);
	if (rc && !getenv("CI")) {
		result_skip("%s: the kernel's programs can not be loaded here: %s", part->name, strerror(-rc));
	} else if (rc) {
		result(0, "%s: the kernel's programs can not be loaded: %s", part->name, strerror(-rc));
	} else {
		b->name = part->name;
		b->e = &engine;
		b->engine = &k;
		b->judge = judge;
		b->clock = set_clock;
		b->translate = translate;
		b->by_precedent = by_precedent;
		b->threads = 2;
		b->cpu[2] = b->cpu[3] = -1;
		b->john_inside = part->way == LANE;
		b->now_ns = STRESS_BASE_NS;
		cpus = find_cpus(b->cpu);
		part->run(b, part->run == collide ? 2 * ms : ms); /* it looks for the narrowest of windows */
		dropped = count(&k, &busy, &express);
		rest = check_rest(b);
		empty = check_empty(b);
		if (part->all_pass && dropped)
			complain("%s: %llu packets were dropped that are in order", part->name, dropped);
		if (part->way == LANE && part->run != begin_at_once && express < b->packets / 3) {
			complain("%s: only %llu packets took the lane", part->name, express);
			b->failures++;
		}
		result(!b->failures && !rest && !empty && b->packets > 200 && busy * 1000 <= b->packets &&
			       (!part->all_pass || (!dropped && busy == b->retries)),
		       "%s, 2 threads on %d processors: %llu packets, %llu lives, %llu busy; %llu failures, "
		       "%d violations at rest, %d after 25 hours",
		       part->name, cpus, b->packets, b->lives, busy, b->failures, rest, empty);
	}
	for (int i = 0; i < SP_IMAGE_SLOTS; i++)
		free(engine.images[i]);
	unload(&k);
	free(b);
}

/* usage: stress-... [MILLISECONDS [WORDS]]: only parts in whose name those words are */
int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "tc: the same connections", tcp_same, 1120, TC, 1 },
		{ "tc: each thread its own connections", tcp_disjoint, 1120, TC, 1 },
		{ "tc: one beginning from both at once", collide, 1120, TC, 1 },
		{ "tc: nearly full", churn_near_full, 1120, TC, 0 },
		{ "tc: nearly full, a table of two sets", churn_near_full, 56, TC, 0 },
		{ "xdp: the same connections", tcp_same, 1120, XDP, 1 },
		{ "xdp: nearly full", churn_near_full, 1120, XDP, 0 },
		{ "lane: one beginning from both at once", collide, 1120, LANE, 1 },
		{ "lane: each thread its own connections", tcp_disjoint, 1120, LANE, 1 },
		{ "lane: nearly full", churn_near_full, 1120, LANE, 0 },
		{ "lane: translated beginnings from both at once", begin_at_once, 560, LANE, 0 },
		{ "lane: the same, a table of four sets", begin_at_once, 112, LANE, 0 },
	};
	const int ms = argc > 1 ? atoi(argv[1]) : 2000;

	libbpf_set_print(quiet);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc < 3 || strstr(parts[i].name, argv[2]))
			run(&parts[i], ms);
	return result_end();
}
