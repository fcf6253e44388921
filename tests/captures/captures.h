/* SPDX-License-Identifier: BSD-2-Clause */
/* The captures test: what its two files share. */
#ifndef TESTS_CAPTURES_H
#define TESTS_CAPTURES_H

#include <stdio.h>

#include "core/abi.h"

#define PACKETS_MAX 250 /* of a capture; the reference stopped there */
#define NAME_MAX_ 160
#define NOTE_MAX_ 1600
#define HOSTS_MAX 512 /* in one capture */

/* One line of INDEX.tsv. */
struct cap {
	char file[NAME_MAX_];
	int raw; /* the bytes as captured; otherwise checksums are made right */
	/*
	 * P, D, R (dropped, but so it is by a router without any firewall), - (not IP), 0 (behind the end);
	 * [0] the first sender is inside, [1] outside
	 */
	char linux_says[2][PACKETS_MAX];
};

/* Packets of one capture, seen from one side, where Linux and this firewall say different things for one reason. */
struct diff {
	char file[NAME_MAX_];
	int swapped; /* the first sender is outside */
	char linux_says, we_say; /* P, D or R; P or D */
	char reason[32];
	char packets[NOTE_MAX_]; /* "3,5-9" */
	char why[NOTE_MAX_]; /* what makes ours right, with a section; "?" : nobody has said so yet */
};

struct diffs {
	struct diff *list;
	int count, room;
};

/* Which hosts are on which side; all 0 at first. */
struct pairs {
	int count;
	struct {
		struct sp_addr addr;
		int family, near;
	} host[HOSTS_MAX];
};

/* Is the sender on the side of the first sender? 1, 0, or -1: too many hosts. */
int pairs_near(struct pairs *s, const struct sp_addr *src, const struct sp_addr *dst, int family);

/* All return 0, or -1 after one line on stderr. */
int index_read(const char *path, struct cap **out, int *count);
int diffs_read(const char *path, struct diffs *out);
int diffs_write(const char *path, const struct diffs *d);
int diffs_add(struct diffs *d, const struct diff *one);
struct diff *diffs_find(const struct diffs *d, const struct diff *like); /* packets and why do not matter */
void numbers_add(char *list, int number); /* appends to "3,5-8" */

#endif
