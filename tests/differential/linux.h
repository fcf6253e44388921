/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux's own tracking (nftables with conntrack) as a gateway between two TUN devices, in a network namespace of its own. */
#ifndef TESTS_DIFFERENTIAL_LINUX_H
#define TESTS_DIFFERENTIAL_LINUX_H

#include "play.h"

struct linux_box;

/* What came of a step. */
enum linux_verdict {
	LINUX_DROPPED,
	LINUX_PASSED,
	LINUX_HELD, /* a piece: kept until its datagram is whole, which it never was */
};

struct linux_seen {
	sp_u8 verdict;
	sp_u8 other_bytes; /* it came out, but not as it must have become */
};

/*
 * Makes the gateway; the calling thread is in its namespace then. translates: with masquerade. NULL: err says why.
 */
struct linux_box *linux_new(int translates, char *err, size_t err_len);
void linux_free(struct linux_box *box);

/* Plays a batch on empty tables. 0 or -errno. */
int linux_play(struct linux_box *box, const struct batch *b, struct linux_seen *seen);

#endif
