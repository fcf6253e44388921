/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel's programs pay to decide a new conversation under a large policy, and how long such a policy takes to
 * load.
 *
 * Each packet begins a conversation of its own and is run once (BPF_PROG_TEST_RUN tells the nanoseconds inside the
 * program), under one policy and under the other, in turns, several rounds long. The quickest run of each packet counts:
 * what a busy machine adds comes and goes. Nothing is attached or pinned.
 */
#include "image_test.h"

#include "../../core/abi.h"
#include "../../host/craft.h"
#include "../../host/engine.h"
#include "sally_tc.skel.h"
#include "sally_xdp.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PACKETS 4000
#define ROUNDS 9
#define LINES_FACTOR 2.0
#define NETWORKS_FACTOR 1.5
#define LOAD_S 3.0

static int passed, failed;

void check(const char *name, int good, const char *format, ...)
{
	va_list ap;

	passed += good;
	failed += !good;
	printf("%s %s: ", good ? "ok  " : "FAIL", name);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "kernel_cost: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the programs --------------------------------------------------------------------------------------------------
 */

struct kernel {
	struct sally_tc *tc;
	struct sally_xdp *xdp;
	struct sp_config config;
	struct sp_set *sets;
	struct sp_flow *flows;
	void *sketch, *state;
	size_t sketch_len, state_len;
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

static void *map_memory(struct bpf_map *map, size_t *len)
{
	const size_t value = (bpf_map__value_size(map) + 7) & ~7ul, page = (size_t)sysconf(_SC_PAGESIZE);
	void *m;

	*len = (value * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
	m = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (m == MAP_FAILED)
		die("a map can not be mapped");
	return m;
}

static void load_xdp(struct kernel *k)
{
	struct bpf_map *map;

	k->xdp = sally_xdp__open();
	if (!k->xdp)
		die("sally_xdp");
	k->xdp->rodata->sp_test_mode = 1;
	bpf_object__for_each_map(map, k->xdp->obj) {
		const char *name = bpf_map__name(map);
		struct bpf_map *shared = strncmp(name, "sp_", 3) ? NULL : bpf_object__find_map_by_name(k->tc->obj, name);

		if (shared && bpf_map__reuse_fd(map, bpf_map__fd(shared)))
			die(name);
	}
	if (sally_xdp__load(k->xdp))
		die("sally_xdp is not loaded");
}

static void load(struct kernel *k)
{
	static const sp_u64 secret[2] = { 3, 4 };
	const struct sp_test test = { .now_ns = SP_NS_PER_S, .zone = SP_ZONE_INSIDE, .zone_to = SP_ZONE_SELF };
	const sp_u32 zero = 0;
	size_t len;

	sp_config_init(&k->config, 4 * PACKETS, 0, secret);
	k->config.generation = 1;
	k->tc = sally_tc__open();
	if (!k->tc)
		die("sally_tc");
	k->tc->rodata->sp_test_mode = 1;
	bpf_map__set_max_entries(k->tc->maps.sp_sets, k->config.sets);
	bpf_map__set_max_entries(k->tc->maps.sp_flows, k->config.sets * SP_WAYS);
	if (sally_tc__load(k->tc))
		die("sally_tc is not loaded");
	load_xdp(k);
	k->sets = map_memory(k->tc->maps.sp_sets, &len);
	k->flows = map_memory(k->tc->maps.sp_flows, &len);
	k->sketch = map_memory(k->tc->maps.sp_sketch, &k->sketch_len);
	k->state = map_memory(k->tc->maps.sp_state, &k->state_len);
	if (bpf_map_update_elem(bpf_map__fd(k->tc->maps.sp_config), &zero, &k->config, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(k->tc->maps.sp_test), &zero, &test, BPF_ANY))
		die("configuration");
}

/* As ctl/generation.c does it: an array of its own. */
static int make_image(const struct model *m)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	const size_t bytes = m->image.n * sizeof(*m->image.v);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sp_image", 4, sizeof(*m->image.v), m->image.n, &opts);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		die("image");
	memcpy(at, m->image.v, bytes);
	munmap(at, bytes);
	return fd;
}

static void forget_all(struct kernel *k)
{
	memset(k->sets, 0, k->config.sets * sizeof(*k->sets));
	memset(k->flows, 0, k->config.capacity * sizeof(*k->flows));
	memset(k->sketch, 0, k->sketch_len);
	memset(k->state, 0, k->state_len);
}

/* ---- the measurement -----------------------------------------------------------------------------------------------
 */

struct packets {
	sp_u8 data[PACKETS][14 + SP_CRAFT_MAX]; /* Ethernet first */
	sp_u32 len[PACKETS];
	sp_u32 best_ns[2][PACKETS];
	sp_u8 passes[2][PACKETS];
};

static void make_packets(struct packets *p)
{
	for (sp_u32 i = 0; i < PACKETS; i++) {
		struct sp_craft c = { .family = SP_IPV4, .proto = SP_PROTO_TCP, .tcp_flags = SP_TCP_SYN };
		struct talk t;

		large_talk(&t);
		memcpy(c.src.b, t.src, 16);
		memcpy(c.dst.b, t.dst, 16);
		c.sport = t.sport;
		c.dport = t.dport;
		p->data[i][12] = 0x08;
		p->len[i] = 14 + (sp_u32)sp_craft(&c, p->data[i] + 14);
	}
}

static void one_round(struct kernel *k, struct packets *p, int fd, int xdp, int which)
{
	const int prog = bpf_program__fd(xdp ? k->xdp->progs.sp_xdp_in : k->tc->progs.sp_tc_in);
	const sp_u32 slot = 1, pass = xdp ? 2 /* XDP_PASS */ : (sp_u32)-1; /* TC_ACT_UNSPEC */

	if (bpf_map_update_elem(bpf_map__fd(k->tc->maps.sp_images), &slot, &fd, BPF_ANY))
		die("image");
	forget_all(k);
	for (sp_u32 i = 0; i < PACKETS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->data[i], .data_size_in = p->len[i], .repeat = 1);

		if (bpf_prog_test_run_opts(prog, &o))
			die("run");
		p->passes[which][i] = o.retval == pass;
		if (o.duration < p->best_ns[which][i])
			p->best_ns[which][i] = o.duration;
	}
}

/* Nanoseconds of a new conversation under a and b; those count that both let through. */
static void measure(struct kernel *k, struct packets *p, const int fd[2], int xdp, double ns[2], sp_u32 *n)
{
	memset(p->best_ns, 0xff, sizeof(p->best_ns));
	for (int round = 0; round < ROUNDS; round++)
		for (int which = 0; which < 2; which++)
			one_round(k, p, fd[which], xdp, which);
	ns[0] = ns[1] = 0;
	*n = 0;
	for (sp_u32 i = 0; i < PACKETS; i++) {
		if (!p->passes[0][i] || !p->passes[1][i])
			continue;
		for (int which = 0; which < 2; which++)
			ns[which] += p->best_ns[which][i];
		++*n;
	}
	for (int which = 0; which < 2; which++)
		ns[which] /= *n ? *n : 1;
}

static void compare(struct kernel *k, struct packets *p, const struct model *a, const struct model *b, const char *what,
		    const char *words, double factor)
{
	const int fd[2] = { make_image(a), make_image(b) };

	for (int xdp = 0; xdp < 2; xdp++) {
		char name[80];
		double ns[2];
		sp_u32 n;

		measure(k, p, fd, xdp, ns, &n);
		snprintf(name, sizeof(name), "kernel_cost/%s_%s", what, xdp ? "xdp" : "tc");
		check(name, n > PACKETS / 2 && ns[0] > 0 && ns[1] <= factor * ns[0],
		      "a new conversation: %.0f ns %s %.0f ns: %.2f times, at most %.1f; %u packets", ns[0], words, ns[1],
		      ns[1] / ns[0], factor, n);
	}
	close(fd[0]);
	close(fd[1]);
}

static void test_lines(struct kernel *k, struct packets *p)
{
	char *few_text = many_lines(10, ""), *many_text = many_lines(LINES, "");
	struct model few, many;

	model_init(&few, few_text, "");
	model_init(&many, many_text, "");
	compare(k, p, &few, &many, "ten_thousand_lines", "with 10 lines, with 10,000", LINES_FACTOR);
	model_fini(&few);
	model_fini(&many);
	free(few_text);
	free(many_text);
}

static void test_networks(struct kernel *k, struct packets *p)
{
	char *networks = many_networks(NETWORKS);
	struct model without, with;
	const double begin = now_s();
	double took;
	int fd;

	model_init(&with, "wan eth0\nlan eth1\nopen ssh\nset bad = file \"bad.txt\"\nblock bad\n", networks);
	fd = make_image(&with);
	took = now_s() - begin;
	close(fd);
	check("kernel_cost/a_million_networks_load", took < LOAD_S,
	      "read, compiled, checked and put into the kernel in %.2f s, at most %.0f", took, LOAD_S);
	model_init(&without, "wan eth0\nlan eth1\nopen ssh\n", "");
	compare(k, p, &without, &with, "a_million_networks", "with no set, with a million networks", NETWORKS_FACTOR);
	model_fini(&without);
	model_fini(&with);
	free(networks);
}

static int can_load(void)
{
	const int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 8, 1, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int main(void)
{
	static struct packets packets;
	struct kernel k = {};
	const char *ci = getenv("CI");

	libbpf_set_print(quiet);
	if (!can_load() && !(ci && !strcmp(ci, "true"))) {
		printf("kernel_cost: skipped: BPF is not to be had here\n0 passed, 0 failed, 1 skipped\n");
		return 0;
	}
	load(&k);
	make_packets(&packets);
	test_lines(&k, &packets);
	test_networks(&k, &packets);
	sally_xdp__destroy(k.xdp);
	sally_tc__destroy(k.tc);
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
