/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of sallyd share. */
#ifndef SP_DAEMON_DAEMON_H
#define SP_DAEMON_DAEMON_H

#include "../ctl/watch.h"

/* ---- say.c: one line, to the error output in the foreground, else to the system's log ---- */
void sp_say_open(int foreground);
void sp_say(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- events.c: a socket that tells when interfaces, addresses or default routes change ---- */
int sp_events_open(struct sp_err *err); /* a descriptor or a negative errno */
int sp_events_read(int fd); /* takes all there is; 1: something that matters to us has changed */

/* ---- log.c: events that a line of the configuration wants to be told ---- */
struct sp_log;
struct sp_log *sp_log_open(struct sp_watch *w); /* NULL: somebody else reads them, or it did not work; it says so */
int sp_log_fd(const struct sp_log *l); /* readable when there are some */
void sp_log_read(struct sp_log *l);
void sp_log_close(struct sp_log *l);

/* ---- drop.c: keeps what sallyd needs, gives up the rest; 0 or a negative errno ---- */
int sp_drop_privileges(struct sp_err *err);

#endif
