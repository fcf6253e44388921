/* SPDX-License-Identifier: BSD-2-Clause */
/* Playing a batch on an engine and another one that must agree with it, step by step. */
#ifndef TESTS_DIFFERENTIAL_PLAY_H
#define TESTS_DIFFERENTIAL_PLAY_H

#include "sequence.h"

#define PLAY_CAPACITY 1000

/* The end of an IPv4 packet that is translated (its source if it goes out, else its destination), and of what it quotes. */
struct other_end {
	sp_u8 addr[4], quoted_addr[4];
	sp_u16 port, quoted_port; /* of a query: the identifier */
	sp_u8 has_port, has_quoted_port;
};

/* What came of a step on the first engine; that is what a scenario expects. */
struct seen {
	sp_u8 verdict, reason;
	sp_u8 leaves; /* it met the firewall a second time, where it left */
	sp_u8 rewritten;
	sp_u8 phase; /* of its conversation, afterwards; SP_PHASE_FREE: it has none, or is not the native engine */
	struct other_end as; /* rewritten: how the inside end looks to whoever gets it */
	sp_u16 to_port, as_port; /* the outside port that it was sent to; that it left from */
};

enum difference { SAME, DIFFERENT_REASON, DIFFERENT_BYTES, DIFFERENT_TABLES, DIFFERENT_FAILURE };

struct difference_at {
	enum difference kind;
	sp_u8 reason[2]; /* of the two engines */
	int step;
	char text[1000];
};

/*
 * Plays it on fresh tables. second: NULL to see what the first one does. seen: room for b->n, or NULL. 0: they agree, and
 * what is translated has become what it must; -1: d says where not.
 */
int play(struct tengine *first, struct tengine *second, const struct batch *b, struct seen *seen, struct difference_at *d);

/*
 * A step's packet with its destination as the outside knows it. port: where to; 0: none is known, it is kept.
 */
void play_resolve(const struct batch *b, const struct seq_step *s, sp_u16 port, struct pkt *out);
/* Reads them from IP bytes, and puts them into a packet. */
void play_read_end(const struct seq_step *s, const sp_u8 *ip, size_t len, struct other_end *end);
void play_put_end(const struct seq_step *s, const struct other_end *end, struct pkt *out);
/* Source port (identifier) of IP bytes; 0: none that could be mapped. */
sp_u16 play_port_of(const struct seq_step *s, const sp_u8 *ip, size_t len);

#endif
