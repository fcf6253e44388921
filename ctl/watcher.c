/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process sallyd: one a firewall, found by the lock that it holds.
 *
 * A process number in a file may be somebody else's by now. A lock is not: the kernel says which process holds it, and lets
 * go of it when that ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "watch.h"

#define SP_LOCK_TRIES 300 /* of 10 ms: an earlier one may be about to end */
#define SP_END_TRIES 300 /* before it is ended by force, and again before we give up */

static void pause_a_little(void)
{
	const struct timespec ts = { .tv_nsec = 10 * 1000 * 1000 };

	nanosleep(&ts, NULL);
}

static void lock_path(char path[160], const char *instance)
{
	snprintf(path, 160, "%s/%.79s/lock", SP_RUN_DIR, instance);
}

int sp_watcher_instance(char instance[80], struct sp_err *err)
{
	struct sp_pins place;
	sp_u64 cookie;
	int rc = sp_netns_cookie(&cookie, err);

	if (rc)
		return rc;
	if (!sp_pins_find(cookie, &place))
		return sp_err_set(err, -ENOENT, "the firewall is not up here; bring it up with 'sally up'");
	snprintf(instance, 80, "%.79s", strrchr(place.dir, '/') + 1);
	return 0;
}

static int make_dirs(const char *instance, struct sp_err *err)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%.79s", SP_RUN_DIR, instance);
	if ((mkdir(SP_RUN_DIR, 0700) && errno != EEXIST) || (mkdir(path, 0700) && errno != EEXIST))
		return sp_err_set(err, -EIO, "can not make %s: %s", path, strerror(errno));
	return 0;
}

int sp_watcher_lock(const char *instance, struct sp_err *err)
{
	struct flock want = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat held;
	char path[160];
	int fd, tries;

	lock_path(path, instance);
	for (tries = 0; tries < SP_LOCK_TRIES; tries++) {
		if (make_dirs(instance, err))
			return err->code;
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return sp_err_set(err, -EIO, "can not open %s: %s", path, strerror(errno));
		/* whoever ended the one before may have removed the file meanwhile */
		if (!fcntl(fd, F_SETLK, &want) && !fstat(fd, &held) && held.st_ino == sp_inode_of(path))
			return fd;
		close(fd);
		pause_a_little();
	}
	return sp_err_set(err, -EBUSY, "sallyd is running here already, process %d", sp_watcher_pid(instance));
}

int sp_watcher_pid(const char *instance)
{
	struct flock ask = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd SP_CLEANUP(sp_close_fd) = -1;
	char path[160];

	lock_path(path, instance);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fcntl(fd, F_GETLK, &ask) || ask.l_type == F_UNLCK)
		return 0;
	return ask.l_pid > 0 ? ask.l_pid : -1;
}

/* ---- starting ---------------------------------------------------------------------------------- */

static int program_path(char path[256])
{
	ssize_t n = readlink("/proc/self/exe", path, 240);
	char *name;

	if (n <= 0)
		return -ENOENT;
	path[n] = 0;
	name = strrchr(path, '/') + 1;
	strcpy(name, "sallyd");
	return access(path, X_OK) ? -errno : 0;
}

int sp_watcher_start(struct sp_err *err)
{
	char path[256];
	int status, rc = program_path(path);
	pid_t child;

	if (rc)
		return sp_err_set(err, rc, "there is no program 'sallyd' beside this one");
	child = fork();
	if (child < 0)
		return sp_err_errno(err, -errno, "can not start sallyd");
	if (!child) {
		execl(path, "sallyd", (char *)NULL);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return sp_err_errno(err, -errno, "can not start sallyd");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return sp_err_set(err, -EIO, "sallyd has not started");
}

/* ---- ending ------------------------------------------------------------------------------------ */

/* Signals the holder of the lock, and waits until the lock is free. */
static int end_by(const char *instance, int sig)
{
	int tries, pid = sp_watcher_pid(instance);

	if (pid > 0)
		kill(pid, sig);
	for (tries = 0; tries < SP_END_TRIES && pid; tries++) {
		pause_a_little();
		pid = sp_watcher_pid(instance);
	}
	return pid;
}

void sp_watcher_forget(const char *instance)
{
	static const char *const names[] = { "lock", "interfaces" };
	char path[160];
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%.79s/%s", SP_RUN_DIR, instance, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/%.79s", SP_RUN_DIR, instance);
	rmdir(path);
	rmdir(SP_RUN_DIR); /* only if it is empty */
}

int sp_watcher_stop(const char *instance)
{
	return sp_watcher_pid(instance) && end_by(instance, SIGTERM) && end_by(instance, SIGKILL) ? -EBUSY : 0;
}

int sp_watcher_end(const char *instance, struct sp_err *err)
{
	const int ran = sp_watcher_pid(instance) != 0;

	if (sp_watcher_stop(instance))
		return sp_err_set(err, -EBUSY, "sallyd does not end (process %d)", sp_watcher_pid(instance));
	sp_watcher_forget(instance);
	return ran;
}

/* ---- how long this network namespace lasts ------------------------------------------------------ */

int sp_watcher_is_first(void)
{
	return sp_inode_of("/proc/1/ns/net") == sp_inode_of("/proc/self/ns/net");
}

int sp_watcher_is_named(void)
{
	char want[40], line[1024];
	int found = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	snprintf(want, sizeof(want), " net:[%llu] ", sp_inode_of("/proc/self/ns/net"));
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, want) != NULL;
	if (f)
		fclose(f);
	return found;
}
