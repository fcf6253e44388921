/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the pins of an instance are, and who may change them.
 *
 * A BPF file system belongs to a mount namespace, and `ip netns exec` gives every command a mount
 * namespace of its own in which /sys is new and no BPF file system is to be seen. So that separate
 * commands find each other's pins, they all use the BPF file system of the first process that can be
 * looked into: process 1 (of this container, if it is one), else the eldest ancestor, else this very
 * process. It is reached through /proc/PID/root, so nothing has to be entered; only to mount one where
 * there is none, a child enters that mount namespace.
 *
 *     <root>/sys/fs/bpf/sally/<cookie>-<netns inode>-<pid namespace inode>/sp_flows, ...
 *     <root>/sys/fs/bpf/sally/lock-<cookie>/
 *
 * or /run/sally/bpf, where nothing can be mounted on /sys. The second folder is empty: it is the lock of this instance,
 * held (flock) while something of it changes, and there before the pins and after them, so that coming up and going down can
 * be locked, too. It is only removed by who holds it, and only while there are no pins; so whoever has it open and sees the
 * pins (sallyd) has the lock that everybody takes. Nothing is shared between instances but the folder `sally`, which goes
 * with its last entry.
 */
#define _GNU_SOURCE /* setns, renameat2 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

#define SP_ROOTS 32 /* ancestors looked at */
#define SP_LOCK_WAIT_S 30
#define SP_LOCK_PATH 128

static const char *const bpffs_paths[] = { "/sys/fs/bpf", "/run/sally/bpf" };
#define SP_BPFFS_PATHS (int)(sizeof(bpffs_paths) / sizeof(bpffs_paths[0]))

struct roots {
	int count;
	char root[SP_ROOTS + 1][32]; /* "/proc/PID/root", or "" for our own */
	sp_u64 mnt[SP_ROOTS + 1]; /* inodes of the mount namespaces */
};

static void roots_add(struct roots *r, int pid)
{
	char path[32];
	sp_u64 mnt, own = sp_inode_of("/proc/self/ns/mnt");
	int i;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	mnt = sp_inode_of(path);
	if (!mnt || r->count >= SP_ROOTS)
		return;
	for (i = 0; i < r->count; i++)
		if (r->mnt[i] == mnt)
			return;
	r->mnt[r->count] = mnt;
	if (mnt == own)
		r->root[r->count][0] = 0;
	else
		snprintf(r->root[r->count], sizeof(r->root[0]), "/proc/%d/root", pid);
	r->count++;
}

static int parent_of(int pid)
{
	char path[32], line[512];
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* the command's name stands in brackets and may contain anything */
	if (fgets(line, sizeof(line), f) && strrchr(line, ')'))
		sscanf(strrchr(line, ')') + 1, " %*c %d", &parent);
	fclose(f);
	return parent;
}

static void roots_read(struct roots *r)
{
	int pids[SP_ROOTS], n = 0, pid;

	memset(r, 0, sizeof(*r));
	for (pid = getppid(); pid > 1 && n < SP_ROOTS; pid = parent_of(pid))
		pids[n++] = pid;
	roots_add(r, 1);
	while (n--)
		roots_add(r, pids[n]);
	roots_add(r, getpid());
	if (!r->count) /* no /proc */
		r->count = 1;
}

static int is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

/* In a child: our own mount namespace stays what it is. 0 or negative errno. */
static int mount_in(const char *root, const char *path)
{
	int status, fd;
	char ns[64];
	pid_t child = fork();

	if (child < 0)
		return -errno;
	if (!child) {
		if (*root) {
			snprintf(ns, sizeof(ns), "%.*s/ns/mnt", (int)(strlen(root) - strlen("/root")), root);
			fd = open(ns, O_RDONLY | O_CLOEXEC);
			if (fd < 0 || setns(fd, CLONE_NEWNS))
				_exit(errno & 127);
		}
		if (!strncmp(path, "/run/", 5)) {
			mkdir("/run/sally", 0700);
			mkdir(path, 0700);
		}
		_exit(mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") ? errno & 127 : 0);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -EIO;
	return -WEXITSTATUS(status);
}

/* Looks for "<cookie>-..." in base; 1: found, 0: not, or a negative errno. */
static int find_instance(const char *base, sp_u64 cookie, char *dir, size_t size)
{
	char want[24];
	struct dirent *d;
	DIR *dp = opendir(base);
	int found = 0;

	if (!dp)
		return errno == ENOENT ? 0 : -errno;
	snprintf(want, sizeof(want), "%llu-", cookie);
	while (!found && (d = readdir(dp)))
		if (!strncmp(d->d_name, want, strlen(want)))
			found = snprintf(dir, size, "%s/%.60s", base, d->d_name) < (int)size;
	closedir(dp);
	return found;
}

static int find_in_roots(const struct roots *r, sp_u64 cookie, struct sp_pins *p)
{
	char bpffs[64];
	int i, k;

	for (i = 0; i < r->count; i++) {
		for (k = 0; k < SP_BPFFS_PATHS; k++) {
			snprintf(bpffs, sizeof(bpffs), "%s%s", r->root[i], bpffs_paths[k]);
			if (!is_bpffs(bpffs))
				continue;
			snprintf(p->base, sizeof(p->base), "%s/sally", bpffs);
			if (find_instance(p->base, cookie, p->dir, sizeof(p->dir)) > 0)
				return 1;
		}
	}
	return 0;
}

/* An orphan in a mount namespace of its own has no ancestors left to ask: then any process will do. */
static int find_anywhere(sp_u64 cookie, struct sp_pins *p)
{
	struct roots r = { 0 };
	struct dirent *d;
	DIR *dp = opendir("/proc");
	int done = 0, found = 0;

	while (dp && !found && (d = readdir(dp))) {
		int pid = atoi(d->d_name);

		if (pid <= 0)
			continue;
		roots_add(&r, pid);
		if (r.count > done)
			found = find_in_roots(&r, cookie, p);
		if (r.count >= SP_ROOTS)
			r.count = 0;
		done = r.count;
	}
	if (dp)
		closedir(dp);
	return found;
}

int sp_pins_find(sp_u64 cookie, struct sp_pins *p)
{
	struct roots r;

	memset(p, 0, sizeof(*p));
	p->lock_fd = -1;
	roots_read(&r);
	if (find_in_roots(&r, cookie, p) || find_anywhere(cookie, p))
		return 1;
	p->base[0] = p->dir[0] = 0;
	return 0;
}

/* The first place where there is, or can be, a BPF file system. */
static int find_new_base(struct sp_pins *p, struct sp_err *err)
{
	char bpffs[64];
	struct roots r;
	int i, k, rc = -ENOENT;

	roots_read(&r);
	for (i = 0; i < r.count; i++) {
		for (k = 0; k < 2 * SP_BPFFS_PATHS; k++) {
			const char *path = bpffs_paths[k % SP_BPFFS_PATHS];

			snprintf(bpffs, sizeof(bpffs), "%s%s", r.root[i], path);
			snprintf(p->base, sizeof(p->base), "%s/sally", bpffs);
			if (is_bpffs(bpffs))
				return 0;
			if (k < SP_BPFFS_PATHS) /* first look, then mount */
				continue;
			rc = mount_in(r.root[i], path);
			if (!rc && is_bpffs(bpffs))
				return 0;
		}
	}
	p->base[0] = 0;
	return sp_err_set(err, rc == -EPERM ? -EPERM : -EOPNOTSUPP,
			  "there is no BPF file system and none can be mounted: %s; "
			  "try 'mount -t bpf bpf /sys/fs/bpf'", strerror(-rc));
}

static void on_alarm(int sig)
{
}

/*
 * In the kernel's queue, which is fair: whoever only tries now and then may never get it while others wait there. 0, -EINTR
 * when the time is over, or another negative errno.
 */
static int lock_within(int fd, unsigned seconds)
{
	struct sigaction wake = { .sa_handler = on_alarm }, before; /* without SA_RESTART: it ends the waiting */
	int rc;

	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK || sigaction(SIGALRM, &wake, &before))
		return -errno;
	alarm(seconds);
	rc = flock(fd, LOCK_EX) ? -errno : 0;
	alarm(0);
	sigaction(SIGALRM, &before, NULL);
	return rc;
}

static void lock_path(const char *base, sp_u64 cookie, char path[SP_LOCK_PATH])
{
	snprintf(path, SP_LOCK_PATH, "%s/lock-%llu", base, cookie);
}

/* A descriptor of the lock's folder, which is made if need be; -EAGAIN: somebody has just removed it. */
static int open_lock(const char *base, sp_u64 cookie)
{
	char path[SP_LOCK_PATH];
	int fd;

	lock_path(base, cookie, path);
	if (mkdir(base, 0700) && errno != EEXIST)
		return -errno;
	if (mkdir(path, 0700) && errno != EEXIST)
		return errno == ENOENT ? -EAGAIN : -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT ? -EAGAIN : -errno;
}

/* After waiting: is it still the folder of that name? The one before may have removed it. */
static int is_the_lock(const struct sp_pins *p)
{
	char path[SP_LOCK_PATH];
	struct stat held;

	lock_path(p->base, p->cookie, path);
	return p->lock_fd >= 0 && !fstat(p->lock_fd, &held) && held.st_ino == sp_inode_of(path);
}

static int take_lock(struct sp_pins *p, struct sp_err *err)
{
	const sp_u64 until = sp_now_ns() + SP_LOCK_WAIT_S * SP_NS_PER_S;
	int rc;

	for (;;) {
		p->lock_fd = open_lock(p->base, p->cookie);
		if (p->lock_fd < 0 && p->lock_fd != -EAGAIN)
			return sp_err_errno(err, p->lock_fd, "can not make a folder in the BPF file system");
		rc = p->lock_fd < 0 ? 0 : lock_within(p->lock_fd, SP_LOCK_WAIT_S);
		if (rc || sp_now_ns() > until) {
			sp_close_fd(&p->lock_fd);
			return rc && rc != -EINTR ? sp_err_errno(err, rc, "can not lock the folder of pins") :
			       sp_err_set(err, -EBUSY, "another sally is at work; try again when it is done");
		}
		if (is_the_lock(p))
			return 0;
		sp_close_fd(&p->lock_fd);
	}
}

int sp_pins_lock(sp_u64 cookie, struct sp_pins *p, struct sp_err *err)
{
	int rc = sp_pins_find(cookie, p) ? 0 : find_new_base(p, err);

	p->cookie = cookie;
	if (!rc)
		rc = take_lock(p, err);
	if (rc)
		return rc;
	/* another one may have come up, or gone down, while we waited */
	p->dir[0] = 0;
	rc = find_instance(p->base, cookie, p->dir, sizeof(p->dir));
	return rc < 0 ? sp_err_errno(err, rc, "can not look into the folder of pins") : 0;
}

int sp_pins_try_lock(const char *base, sp_u64 cookie, struct sp_pins *p)
{
	*p = (struct sp_pins){ .cookie = cookie };
	snprintf(p->base, sizeof(p->base), "%s", base);
	p->lock_fd = open_lock(base, cookie);
	if (p->lock_fd >= 0 && !flock(p->lock_fd, LOCK_EX | LOCK_NB) && is_the_lock(p))
		return 1;
	sp_close_fd(&p->lock_fd);
	return 0;
}

void sp_pins_unlock(struct sp_pins *p)
{
	char path[SP_LOCK_PATH], dir[160];

	if (p->lock_fd < 0)
		return;
	lock_path(p->base, p->cookie, path);
	if (!find_instance(p->base, p->cookie, dir, sizeof(dir)))
		rmdir(path);
	rmdir(p->base); /* only if it is empty */
	sp_close_fd(&p->lock_fd);
}

void sp_pins_drop_lock(const char *base, sp_u64 cookie)
{
	struct sp_pins p;
	char dir[160];

	/* others' locks are not touched while they are in use */
	if (find_instance(base, cookie, dir, sizeof(dir)) || !sp_pins_try_lock(base, cookie, &p))
		return;
	sp_pins_drop_second(&p);
	sp_pins_unlock(&p);
}

int sp_pins_open_lock(const char *dir)
{
	const char *name = strrchr(dir, '/');
	char base[96], path[SP_LOCK_PATH];
	int fd;

	if (!name || snprintf(base, sizeof(base), "%.*s", (int)(name - dir), dir) >= (int)sizeof(base))
		return -ENAMETOOLONG;
	lock_path(base, strtoull(name + 1, NULL, 10), path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sp_pins_open(const char *dir, const char *name)
{
	char path[220];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_get(path);
}

int sp_pins_make_dir(sp_u64 cookie, struct sp_pins *p, struct sp_err *err)
{
	snprintf(p->dir, sizeof(p->dir), "%s/%llu-%llu-%llu", p->base, cookie, sp_inode_of("/proc/self/ns/net"),
		 sp_inode_of("/proc/self/ns/pid"));
	if (mkdir(p->dir, 0700)) {
		p->dir[0] = 0;
		return sp_err_errno(err, -errno, "can not make a folder in the BPF file system");
	}
	return 0;
}

int sp_pins_remove_dir(const char *dir)
{
	DIR *dp = opendir(dir);
	struct dirent *d;

	while (dp && (d = readdir(dp)))
		if (d->d_name[0] != '.')
			(void)(unlinkat(dirfd(dp), d->d_name, 0) && unlinkat(dirfd(dp), d->d_name, AT_REMOVEDIR));
	if (dp)
		closedir(dp);
	return rmdir(dir) ? -errno : 0;
}

/* Its name is none of an instance, so nobody takes it for one. */
static void second_path(const struct sp_pins *p, char dir[160])
{
	snprintf(dir, 160, "%s/second-%llu", p->base, p->cookie);
}

void sp_pins_drop_second(const struct sp_pins *p)
{
	char dir[160];

	second_path(p, dir);
	sp_pins_remove_dir(dir);
}

int sp_pins_make_second(const struct sp_pins *p, char dir[160], struct sp_err *err)
{
	sp_pins_drop_second(p);
	second_path(p, dir);
	return mkdir(dir, 0700) ? sp_err_errno(err, -errno, "can not make a folder in the BPF file system") : 0;
}

int sp_pins_exchange(const struct sp_pins *p, const char *second, struct sp_err *err)
{
	return renameat2(AT_FDCWD, second, AT_FDCWD, p->dir, RENAME_EXCHANGE) ?
		sp_err_errno(err, -errno, "can not exchange the pins in the BPF file system") : 0;
}
