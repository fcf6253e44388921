/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small things everything in ctl/ needs: errors, privilege, the clock, the identity of a network
 * namespace.
 */
#define _GNU_SOURCE /* vasprintf */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static void (*log_fn)(const char *text);
static char log_cause[256];

int sp_err_set(struct sp_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

/*
 * What the kernel calls "no entry", "exists" or "invalid" is not what ctl.h means by these: then it
 * just failed.
 */
int sp_err_errno(struct sp_err *err, int code, const char *what)
{
	int own = code == -ENOENT || code == -EEXIST || code == -EINVAL ? -EIO : code;

	return sp_err_set(err, own, "%s: %s", what, strerror(-code));
}

sp_u64 sp_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (sp_u64)ts.tv_sec * SP_NS_PER_S + (sp_u64)ts.tv_nsec;
}

void sp_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * CAP_NET_ADMIN for the hooks and netlink; CAP_SYS_ADMIN to find out whose program is on an interface and to mount the BPF
 * file system. It includes CAP_BPF.
 */
int sp_privilege_check(struct sp_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	sp_u64 have;

	if (syscall(SYS_capget, &head, data))
		return sp_err_errno(err, -errno, "can not read the capabilities of this process");
	have = data[0].effective | (sp_u64)data[1].effective << 32;
	if (have >> CAP_NET_ADMIN & 1 && have >> CAP_SYS_ADMIN & 1)
		return 0;
	return sp_err_set(err, -EPERM, "needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN)");
}

/* The kernel's number for this network namespace; never given out again (Linux 5.14). */
int sp_netns_cookie(sp_u64 *out, struct sp_err *err)
{
	int fd SP_CLEANUP(sp_close_fd) = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*out);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, out, &len))
		return sp_err_set(err, -EOPNOTSUPP, "the kernel does not tell network namespaces apart (%s); "
				  "needs Linux 6.1 or later", strerror(errno));
	return 0;
}

sp_u64 sp_inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (sp_u64)st.st_ino;
}

/* The line before the verifier's statistics says what it did not like. */
static void keep_verifier_cause(const char *log)
{
	const char *end = strstr(log, "\nprocessed "), *start = end;

	if (!end)
		return;
	while (start > log && start[-1] != '\n')
		start--;
	snprintf(log_cause, sizeof(log_cause), "%.*s", (int)(end - start), start);
}

/*
 * Keeps what sounds like the cause, so that one clear line can quote it: the first warning, or better
 * the verifier's.
 */
static int log_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		return 0;
	if (level == LIBBPF_WARN && strstr(text, "BEGIN PROG LOAD LOG"))
		keep_verifier_cause(text);
	else if (level == LIBBPF_WARN && !log_cause[0] && !strstr(text, "RLIMIT_MEMLOCK"))
		snprintf(log_cause, sizeof(log_cause), "%.*s", (int)strcspn(text, "\n"), text);
	if (log_fn)
		log_fn(text);
	free(text);
	return 0;
}

void sp_log_init(void)
{
	log_cause[0] = 0;
	libbpf_set_print(log_print);
}

const char *sp_log_cause(void)
{
	return log_cause;
}

void sp_log_to(void (*fn)(const char *text))
{
	log_fn = fn;
	sp_log_init();
}
