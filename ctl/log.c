/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: what lines with the option `log` decided. The engine tells of it whether somebody reads or not, in a ring of its
 * own, so that watching takes nothing away from it. A ring has one reader: `sally log`, or sallyd, which hands it on to the
 * system's log.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "internal.h"

/* The folder `log` beside the pins is the lock. */
static int take_turn(const struct sp_live *l, struct sp_err *err)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/log", l->dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return sp_err_errno(err, -errno, "can not make a folder in the BPF file system");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return sp_err_errno(err, -errno, "can not read the log");
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	sp_close_fd(&fd);
	return sp_err_set(err, -EBUSY, "the log has a reader already: sallyd, which hands it on to the system's log "
			  "('journalctl -t sallyd'), or another 'sally log'");
}

int sp_logs_open(struct sp_logs *log, const struct sp_live *l, struct sp_err *err)
{
	int rc;

	log->fd_ring = log->fd_budgets = -1;
	log->fd_turn = take_turn(l, err);
	if (log->fd_turn < 0)
		return log->fd_turn;
	log->fd_ring = sp_pins_open(l->dir, "sp_logs");
	rc = log->fd_ring < 0 ? log->fd_ring : 0;
	log->fd_budgets = rc ? -1 : sp_pins_open(l->dir, "sp_budget");
	rc = log->fd_budgets < 0 && !rc ? log->fd_budgets : rc;
	if (!rc)
		return 0;
	sp_logs_close(log);
	return sp_err_errno(err, rc, "can not open the log's pins");
}

void sp_logs_close(struct sp_logs *log)
{
	sp_close_fd(&log->fd_ring);
	sp_close_fd(&log->fd_budgets);
	sp_close_fd(&log->fd_turn);
}

sp_u64 sp_logs_lost(const struct sp_logs *log)
{
	struct sp_budgets b;
	sp_u32 zero = 0;

	return bpf_map_lookup_elem(log->fd_budgets, &zero, &b) ? 0 : b.logs_lost;
}
