/* SPDX-License-Identifier: BSD-2-Clause */
/* Playing a batch on an engine and another one that must agree with it, step by step. */
#ifndef TESTS_DIFFERENTIAL_PLAY_H
#define TESTS_DIFFERENTIAL_PLAY_H

#include "sequence.h"

#define PLAY_CAPACITY 1000

/* What came of a step on the first engine; that is what a scenario expects. */
struct seen {
	sp_u8 verdict, reason;
	sp_u8 leaves; /* it met the firewall a second time, where it left */
	sp_u8 rewritten;
	sp_u16 to_port, as_port; /* the outside port that it was sent to; that it left from */
};

enum difference { SAME, DIFFERENT_REASON, DIFFERENT_BYTES, DIFFERENT_TABLES, DIFFERENT_FAILURE };

struct difference_at {
	enum difference kind;
	sp_u8 reason[2]; /* of the two engines */
	int step;
	char text[1000];
};

/* Plays it on fresh tables. seen: room for b->n, or NULL. 0: they agree; -1: d says where they do not. */
int play(struct tengine *first, struct tengine *second, const struct batch *b, struct seen *seen, struct difference_at *d);

/*
 * A step's packet with its destination as the outside knows it. port: where to; 0: none is known, it is kept.
 */
void play_resolve(const struct batch *b, const struct seq_step *s, sp_u16 port, struct pkt *out);
/* The packet with the ends that it has on the other side of a translation by that port. */
void play_translated(const struct seq_step *s, sp_u16 port, struct pkt *out);
/* Source port (identifier) of IP bytes; 0: none that could be mapped. */
sp_u16 play_port_of(const struct seq_step *s, const sp_u8 *ip, size_t len);

#endif
