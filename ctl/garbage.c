/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins of network namespaces that are gone, and what sallyd kept for them.
 *
 * The kernel takes the programs away with the interfaces of a namespace, but pins stay, and hold the
 * table's memory. A folder says in its name which namespace it belongs to and from which process-id
 * namespace it was made. It is removed only if that is ours, or ours is the machine's first (else
 * processes may live in it that we can not see), and only if no process, no mount and no open file
 * that we can see refers to the namespace; a process that we may not look into counts as living there,
 * except process 1 and the kernel's own, which live where the machine does.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "watch.h"

#define SP_FIRST_PID_NAMESPACE 0xEFFFFFFCu /* PROC_PID_INIT_INO: from there every process is to be seen */

static int link_says(const char *path, const char *want)
{
	char text[64];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = 0;
	return !strcmp(text, want);
}

static int is_kernel_thread(int pid)
{
	char path[32];
	char c;
	FILE *f;
	int empty;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	f = fopen(path, "re");
	empty = f && fread(&c, 1, 1, f) == 0;
	if (f)
		fclose(f);
	return empty;
}

static int is_mounted_by(int pid, const char *want)
{
	char path[40], line[4096];
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, want) != NULL;
	if (f)
		fclose(f);
	return found;
}

static int is_opened_by(int pid, const char *want)
{
	char path[300];
	struct dirent *d;
	DIR *dp;
	int found = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dp = opendir(path);
	while (dp && !found && (d = readdir(dp))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.200s", pid, d->d_name);
		found = link_says(path, want) == 1;
	}
	if (dp)
		closedir(dp);
	return found;
}

/* Does this process keep the namespace ("net:[4026531840]") alive? */
static int is_held_by(int pid, const char *want)
{
	char path[40];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	rc = link_says(path, want);
	if (rc == -EACCES || rc == -EPERM)
		return pid != 1 && !is_kernel_thread(pid);
	return rc == 1 || is_mounted_by(pid, want) || is_opened_by(pid, want);
}

static int is_alive(sp_u64 netns)
{
	char want[40];
	struct dirent *d;
	DIR *dp = opendir("/proc");
	int alive = !dp;

	snprintf(want, sizeof(want), "net:[%llu]", netns);
	while (dp && !alive && (d = readdir(dp)))
		if (isdigit((unsigned char)d->d_name[0]))
			alive = is_held_by(atoi(d->d_name), want);
	if (dp)
		closedir(dp);
	return alive;
}

/* The kernel gives an inode out again, a cookie never: another one in our own namespace is of one that is gone. */
static int is_gone(sp_u64 cookie, sp_u64 netns)
{
	struct sp_err ignored;
	sp_u64 own;

	if (netns == sp_inode_of("/proc/self/ns/net") && !sp_netns_cookie(&own, &ignored))
		return cookie != own;
	return !is_alive(netns);
}

/* Calls remove_one for each folder of a namespace that is gone. */
static void collect(const char *base, void (*remove_one)(const char *base, const char *name))
{
	sp_u64 cookie, netns, pidns, own = sp_inode_of("/proc/self/ns/pid");
	struct dirent *d;
	DIR *dp = opendir(base);

	while (dp && (d = readdir(dp))) {
		if (sscanf(d->d_name, "%llu-%llu-%llu", &cookie, &netns, &pidns) != 3)
			continue;
		if ((pidns == own || own == SP_FIRST_PID_NAMESPACE) && is_gone(cookie, netns))
			remove_one(base, d->d_name);
	}
	if (dp)
		closedir(dp);
}

static void remove_pins(const char *base, const char *name)
{
	struct sp_pins place SP_CLEANUP(sp_pins_unlock);
	char path[200];

	snprintf(path, sizeof(path), "%s/%.60s", base, name);
	if (sp_pins_try_lock(base, strtoull(name, NULL, 10), &place)) {
		sp_pins_remove_dir(path);
		sp_pins_drop_second(&place);
	}
}

static void remove_kept(const char *base, const char *name)
{
	sp_watcher_forget(name);
}

static void collect_locks(const char *base)
{
	DIR *dp = opendir(base);
	struct dirent *d;
	sp_u64 cookie;

	while (dp && (d = readdir(dp)))
		if (sscanf(d->d_name, "lock-%llu", &cookie) == 1)
			sp_pins_drop_lock(base, cookie);
	if (dp)
		closedir(dp);
}

/* The caller holds a lock in base, so that base stays. Others may do the same meanwhile. */
void sp_garbage_collect(const char *base)
{
	collect(base, remove_pins);
	collect_locks(base);
	collect(SP_RUN_DIR, remove_kept);
}
