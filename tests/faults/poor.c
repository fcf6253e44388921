/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel that lacks something, for one process: preloaded, it refuses what SP_LACKS names, as such a kernel does.
 *
 *   cmd NUMBER ERROR    a command of bpf(2)        map NUMBER ERROR    a type of map
 *   prog NUMBER ERROR   a type of program
 *   link ERROR          programs at XDP            qdisc ERROR         a new queueing discipline
 *   filter ERROR        a new filter               mount ERROR         file systems
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

long syscall(long number, ...);
ssize_t send(int fd, const void *data, size_t len, int flags);
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);

/* The error for this, if SP_LACKS names it; else 0. */
static int lacks(const char *what, long number)
{
	const char *text = getenv("SP_LACKS");
	char name[16];
	int a = 0, b = 0, n = text ? sscanf(text, "%15s %d %d", name, &a, &b) : 0;

	if (n < 2 || strcmp(name, what))
		return 0;
	if (n == 2)
		return a;
	return a == number ? b : 0;
}

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long a[6];
	va_list ap;
	int i, error = 0;

	va_start(ap, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf)
		error = lacks("cmd", a[0]);
	if (number == SYS_bpf && !error && a[0] == BPF_MAP_CREATE)
		error = lacks("map", ((const union bpf_attr *)a[1])->map_type);
	if (number == SYS_bpf && !error && a[0] == BPF_PROG_LOAD)
		error = lacks("prog", ((const union bpf_attr *)a[1])->prog_type);
	if (error) {
		errno = error;
		return -1;
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	static ssize_t (*next)(int, const void *, size_t, int);
	const struct nlmsghdr *nlh = data;
	int error = 0;

	if (!next)
		next = (ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
	if (len >= sizeof(*nlh) && nlh->nlmsg_len == len)
		error = nlh->nlmsg_type == RTM_SETLINK ? lacks("link", 0) : nlh->nlmsg_type == RTM_NEWQDISC ?
			lacks("qdisc", 0) : nlh->nlmsg_type == RTM_NEWTFILTER ? lacks("filter", 0) : 0;
	if (error) {
		errno = error;
		return -1;
	}
	return next(fd, data, len, flags);
}

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)
{
	const int error = lacks("mount", 0);

	if (error) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_mount, source, target, type, flags, data);
}
