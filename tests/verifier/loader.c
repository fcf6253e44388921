/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads every program of the given BPF objects and prints what the verifier spent on each:
 * object, program, instructions processed, instructions after rewriting; separated by tabs.
 * Exit code: 0 all loaded, 1 one was refused (with the end of the verifier's log), 2 usage, 77 BPF is not to be had.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Programs at netfilter's hooks: Linux 6.4; older headers do not name them, and older kernels do without. */
#define NETFILTER_TYPE 32
#define NETFILTER_ATTACH 45

#define LOG_TAIL 2000 /* bytes of a refusal that are worth reading */
#define ANY_SIZE 1024 /* the verifier does not care how large an array is, only that it is not empty */

static char log_buf[16 << 20];

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, args) : 0;
}

static int has_bpf(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 8, 1, NULL);

	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

static int has_netfilter(void)
{
	const struct bpf_insn accept[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
					   { .code = BPF_JMP | BPF_EXIT } };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)NETFILTER_ATTACH);
	int fd = bpf_prog_load((enum bpf_prog_type)NETFILTER_TYPE, "probe", "GPL", accept, 2, &opts);

	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

/* What libbpf does not know by the name of the section. 1: this kernel has no such programs. */
static int set_types(struct bpf_object *obj)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) {
		if (strcmp(bpf_program__section_name(prog), "netfilter"))
			continue;
		bpf_program__set_type(prog, (enum bpf_prog_type)NETFILTER_TYPE);
		bpf_program__set_expected_attach_type(prog, (enum bpf_attach_type)NETFILTER_ATTACH);
		if (!has_netfilter())
			return 1;
	}
	return 0;
}

static int print_program(const char *object, const struct bpf_program *prog)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len);

	if (err) {
		fprintf(stderr, "loader: %s: no information about %s: %s\n", object, bpf_program__name(prog),
			strerror(-err));
		return 1;
	}
	printf("%s\t%s\t%u\t%u\n", object, bpf_program__name(prog), info.verified_insns,
	       (unsigned)(info.xlated_prog_len / 8));
	return 0;
}

static int load_object(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = log_buf, .kernel_log_size = sizeof(log_buf));
	struct bpf_object *obj = bpf_object__open_file(path, &opts);
	struct bpf_program *prog;
	struct bpf_map *map;
	size_t len;
	int bad = 0;

	if (!obj) {
		fprintf(stderr, "loader: %s: cannot be opened: %s\n", path, strerror(errno));
		return 1;
	}
	if (set_types(obj)) {
		fprintf(stderr, "loader: %s: this kernel has no programs at netfilter's hooks, and does without\n", path);
		bpf_object__close(obj);
		return 0;
	}
	bpf_object__for_each_map(map, obj)
		if (!bpf_map__max_entries(map) && bpf_map__set_max_entries(map, ANY_SIZE))
			bad = 1;
	/* no log at first: a full one takes minutes on 6.1; libbpf asks again, with a log, when the kernel refuses */
	if (bad || bpf_object__load(obj)) {
		len = strnlen(log_buf, sizeof(log_buf));
		fprintf(stderr, "loader: %s: refused by this kernel: %s\n%s\n", path, strerror(errno),
			log_buf + (len > LOG_TAIL ? len - LOG_TAIL : 0));
		bpf_object__close(obj);
		return 1;
	}
	bpf_object__for_each_program(prog, obj)
		bad |= print_program(name, prog);
	bpf_object__close(obj);
	return bad;
}

int main(int argc, char **argv)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int bad = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: loader OBJECT.bpf.o...\n");
		return 2;
	}
	setrlimit(RLIMIT_MEMLOCK, &all);
	libbpf_set_print(quiet);
	if (!has_bpf()) {
		fprintf(stderr, "loader: this kernel or this user may not use BPF: %s\n", strerror(errno));
		return 77;
	}
	for (int i = 1; i < argc; i++)
		bad |= load_object(argv[i]);
	return bad;
}
