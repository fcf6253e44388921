/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sallyd: sees to it that the firewall keeps up with this machine's interfaces and addresses, and writes logged
 * events to the system's log. It forwards nothing and decides nothing: when it is killed, all goes on, and the next
 * one catches up.
 *
 *   start: open everything that needs root, take the lock, look once, give up privileges, tell who waits
 *   then:  sleep until something has changed; look; sleep
 *   end:   a signal; the firewall was taken down; this network namespace has lost its name
 */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon.h"

#define SP_START_TRIES 20 /* to get its turn: some seconds */
#define SP_CALM 10 /* after looking, it waits so many times as long as that took */

enum { FD_NEWS, FD_DRIVERS, FD_PINS, FD_MOUNTS, FD_SIGNALS, FD_LOG, FD_COUNT };

struct sallyd {
	struct sp_watch w;
	struct sp_log *log;
	int fd[FD_COUNT]; /* -1: there is none */
	int fd_lock, is_named; /* is_named: the network namespace ends with its name */
	int due; /* something has changed */
	sp_u64 calm_until_ns;
};

static const char help[] =
	"Usage: sallyd [-f]\n\n"
	"Watches this machine's interfaces and addresses for the firewall that 'sally up' has\n"
	"brought up, which starts it; writes events of lines with 'log' to the system's log.\n"
	"Without it the firewall works as well.\n\n"
	"  -f, --foreground  does not go into the background; says what it does on the\n"
	"                    error output\n"
	"  --help            this text\n"
	"  --version         the version\n\n"
	"Exit codes: 0 it watches (or, in the foreground: it was ended, or the firewall was\n"
	"taken down); 1 it did not work; 2 wrong arguments; 3 not permitted; 4 the firewall\n"
	"is not up, or is watched already.\n";

static const struct option options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* ---- starting ---------------------------------------------------------------------------------- */

static int exit_code(const struct sp_err *err)
{
	switch (err->code) {
	case -EPERM:
	case -EOPNOTSUPP:
		return 3;
	case -ENOENT:
	case -EBUSY:
		return 4;
	default:
		return 1;
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The folder of pins goes when the firewall is taken down or replaced. We have it open: only the folder above tells. */
static int open_pins(const struct sp_watch *w)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char above[200];

	snprintf(above, sizeof(above), "%s/..", w->live.dir);
	if (fd >= 0 && inotify_add_watch(fd, above, IN_DELETE | IN_ONLYDIR) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_descriptors(struct sallyd *d, struct sp_err *err)
{
	int rc = sp_events_open(err);

	if (rc < 0)
		return rc;
	d->fd[FD_NEWS] = rc;
	d->fd[FD_DRIVERS] = sp_lane_events();
	d->fd[FD_PINS] = open_pins(&d->w);
	d->fd[FD_SIGNALS] = open_signals();
	d->fd[FD_MOUNTS] = d->is_named ? open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) : -1;
	if (d->fd[FD_PINS] < 0 || d->fd[FD_SIGNALS] < 0 || (d->is_named && d->fd[FD_MOUNTS] < 0))
		return sp_err_set(err, -EIO, "can not watch: %s", strerror(errno));
	d->log = sp_log_open(&d->w);
	d->fd[FD_LOG] = d->log ? sp_log_fd(d->log) : -1;
	return 0;
}

static void say_line(void *arg, const char *text)
{
	sp_say(LOG_NOTICE, "%s", text);
}

static void look(struct sallyd *d)
{
	struct sp_err err;
	const int rc = sp_watch_sync(&d->w, say_line, NULL, &err);

	d->due = rc == -EAGAIN;
	d->calm_until_ns = d->due ? 0 : sp_now_ns() + d->w.took_ns * SP_CALM;
	if (rc && rc != -EAGAIN)
		sp_say(LOG_WARNING, "%s", err.text);
}

static int start(struct sallyd *d, int foreground, struct sp_err *err)
{
	int i, rc;

	for (i = 0; i < FD_COUNT; i++)
		d->fd[i] = -1;
	rc = sp_watch_open(&d->w, err);
	if (rc)
		return rc;
	d->is_named = !sp_watcher_is_first() && sp_watcher_is_named();
	if (!foreground && !d->is_named && !sp_watcher_is_first())
		return sp_err_set(err, -EINVAL, "this network namespace has no name, and would never end while sallyd is in "
				  "it; run it in the foreground: sallyd -f");
	d->fd_lock = sp_watcher_lock(d->w.instance, err);
	if (d->fd_lock < 0)
		return d->fd_lock;
	rc = open_descriptors(d, err);
	if (!rc)
		rc = sp_drop_privileges(err);
	return rc;
}

/* ---- watching ---------------------------------------------------------------------------------- */

static void empty(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* How long it may sleep, ms; -1: until something happens. */
static int patience(const struct sallyd *d)
{
	const sp_u64 now_ns = sp_now_ns();

	if (!d->due)
		return -1;
	return now_ns >= d->calm_until_ns ? 0 : (int)((d->calm_until_ns - now_ns) / 1000000 + 1);
}

/* Why it ends, or NULL. *for_good: there is nothing more to watch, also for the next one. */
static const char *reason_to_end(const struct sallyd *d, const struct pollfd *p, int *for_good)
{
	struct signalfd_siginfo si;

	*for_good = 1;
	if (p[FD_PINS].revents)
		empty(d->fd[FD_PINS]);
	if (sp_watch_is_down(&d->w))
		return "the firewall was taken down";
	if (p[FD_MOUNTS].revents && !sp_watcher_is_named()) {
		sp_watch_let_end(&d->w);
		return "this network namespace has lost its name";
	}
	*for_good = 0;
	if (p[FD_SIGNALS].revents && read(d->fd[FD_SIGNALS], &si, sizeof(si)) == sizeof(si))
		return "it was told to end";
	return NULL;
}

static void watch(struct sallyd *d)
{
	struct pollfd p[FD_COUNT];
	const char *why = NULL;
	int i, for_good = 0;

	for (i = 0; i < FD_COUNT; i++)
		p[i] = (struct pollfd){ .fd = d->fd[i], .events = i == FD_MOUNTS ? POLLPRI : POLLIN };
	do {
		while (poll(p, FD_COUNT, patience(d)) < 0 && errno == EINTR)
			;
		why = reason_to_end(d, p, &for_good);
		if (p[FD_NEWS].revents && sp_events_read(d->fd[FD_NEWS]))
			d->due = 1;
		if (p[FD_DRIVERS].revents) {
			empty(d->fd[FD_DRIVERS]);
			d->due = 1;
			d->calm_until_ns = 0; /* packets may be lost until it has looked */
		}
		if (p[FD_LOG].revents)
			sp_log_read(d->log);
		if (!why && d->due && sp_now_ns() >= d->calm_until_ns)
			look(d);
	} while (!why);
	sp_say(LOG_NOTICE, "ends: %s", why);
	if (for_good)
		sp_watcher_forget(d->w.instance);
}

/* ---- the background ---------------------------------------------------------------------------- */

/* In the child: -1. In the parent: the exit code, once the child watches or has failed. */
static int go_into_background(int *fd_ready)
{
	unsigned char code = 1;
	int fd[2];
	pid_t child;

	if (pipe2(fd, O_CLOEXEC) || (child = fork()) < 0) {
		fprintf(stderr, "sallyd: can not go into the background: %s\n", strerror(errno));
		return 1;
	}
	if (child) {
		close(fd[1]);
		return read(fd[0], &code, 1) == 1 ? code : 1;
	}
	close(fd[0]);
	*fd_ready = fd[1];
	return -1;
}

/* Nobody may wait for the end of a pipe that we hold. */
static void let_go(void)
{
	int i, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (chdir("/"))
		sp_say(LOG_WARNING, "can not leave the working directory: %s", strerror(errno));
	for (i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	if (null > 2)
		close(null);
}

static int tell(int fd_ready, int code)
{
	const unsigned char byte = (unsigned char)code;

	if (fd_ready >= 0 && write(fd_ready, &byte, 1) != 1)
		return 1;
	return code;
}

static int serve(int foreground, int fd_ready)
{
	static struct sallyd d;
	struct sp_err err;
	int tries;

	sp_say_open(foreground);
	if (start(&d, foreground, &err)) {
		fprintf(stderr, "sallyd: %s\n", err.text);
		return tell(fd_ready, exit_code(&err));
	}
	for (tries = 0; tries < SP_START_TRIES && (d.due || !tries); tries++)
		look(&d);
	sp_say(LOG_NOTICE, "watches the interfaces and addresses of this machine");
	if (!foreground)
		let_go();
	tell(fd_ready, 0);
	watch(&d);
	sp_log_close(d.log);
	sp_watch_close(&d.w);
	return 0;
}

int main(int argc, char **argv)
{
	int c, code, foreground = 0, fd_ready = -1;

	while ((c = getopt_long(argc, argv, "fh", options, NULL)) != -1) {
		if (c == 'f') {
			foreground = 1;
		} else if (c == 'h' || c == 'V') {
			printf(c == 'h' ? help : "sallyd " SP_VERSION "\n");
			return 0;
		} else {
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sallyd: unexpected argument: '%s'; try 'sallyd --help'\n", argv[optind]);
		return 2;
	}
	code = foreground ? -1 : go_into_background(&fd_ready);
	return code >= 0 ? code : serve(foreground, fd_ready);
}
