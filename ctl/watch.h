/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What sallyd does for a live instance, and how the commands start, find and end it. Not needed for the firewall to
 * work: without it, a conversation whose address is lost is found out by its own next packet.
 */
#ifndef SP_CTL_WATCH_H
#define SP_CTL_WATCH_H

#include "ctl.h"

/* ---- watch.c: keeping the kernel's view up to date -------------------------------------------------------------------- */

struct sp_guard;

struct sp_watch {
	struct sp_live live;
	struct sp_links known; /* as they were when last seen; of those that are gone, the guarded ones */
	char instance[80]; /* <cookie>-<network namespace>-<process-id namespace> */
	char names_path[128]; /* where the names of the interfaces are kept for the next start */
	int fd_lock, fd_dir; /* of the pins: the lock that commands take; are they still there? */
	struct sp_guard *guard; /* the pinned programs, for interfaces that come back */
	sp_u64 took_ns; /* what reading took, the last time */
};

/* One line of what has happened, lower case. */
typedef void sp_watch_say_fn(void *arg, const char *text);

int sp_watch_open(struct sp_watch *w, struct sp_err *err);
void sp_watch_close(struct sp_watch *w);
/* The network namespace is to end: nothing of ours holds it any longer. */
void sp_watch_let_end(const struct sp_watch *w);
int sp_watch_is_down(const struct sp_watch *w); /* 1: the firewall was taken down */
/*
 * Reads interfaces, addresses and routes anew, and brings up to date what the engine knows of them: an interface that
 * is there again is guarded again, in the same zone; the outside's addresses get their slots. Says each change. 0, or
 * a negative errno; -EAGAIN: a command is at work, try again soon.
 */
int sp_watch_sync(struct sp_watch *w, sp_watch_say_fn *say, void *arg, struct sp_err *err);

/* A socket that is readable when a driver can do more or less than before; -1: the kernel does not tell. */
int sp_lane_events(void);

/* ---- watcher.c: the process ------------------------------------------------------------------------------------------- */

#define SP_RUN_DIR "/run/sally"

/* Name of the live instance of this network namespace: 0, or -ENOENT. */
int sp_watcher_instance(char instance[80], struct sp_err *err);
/* Becomes the one sallyd of that instance: a descriptor that holds the lock as long as this process lives, or -EBUSY. */
int sp_watcher_lock(const char *instance, struct sp_err *err);
/* The process that holds it: its number; 0: nobody; -1: somebody in another process-id namespace. */
int sp_watcher_pid(const char *instance);
/* Removes what it kept for the next one; by the holder of the lock, or when nobody holds it. */
void sp_watcher_forget(const char *instance);
/* Starts the sallyd that lies beside this executable, and waits until it watches. */
int sp_watcher_start(struct sp_err *err);
/* Ends it; what it kept stays for the next one. */
int sp_watcher_stop(const char *instance);
/* Ends it, and removes what it kept. 1: it ran, 0: it did not, or a negative errno. */
int sp_watcher_end(const char *instance, struct sp_err *err);
/*
 * Is this the network namespace of process 1, or does it have a name (ip-netns(8)), so that it goes when that goes?
 * If neither, a process in the background would keep it alive for ever.
 */
int sp_watcher_is_first(void);
int sp_watcher_is_named(void);

#endif
