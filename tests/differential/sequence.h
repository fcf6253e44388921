/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet sequences that could come from real hosts and from those who mean harm: what is generated, played, shrunk, written.
 *
 * A batch is a list of steps. Nothing in a step depends on what a firewall made of the earlier ones, but for one thing: who
 * answers a translated conversation writes to the outside port that he was asked from, and each firewall chooses that one
 * itself. Such a step says which conversation it answers (talk), and the player fills in the port. So steps can be left out.
 */
#ifndef TESTS_DIFFERENTIAL_SEQUENCE_H
#define TESTS_DIFFERENTIAL_SEQUENCE_H

#include "tests/scenario/engine_api.h"
#include "tests/scenario/packet.h"
#include "tests/scenario/random.h"

#define SEQ_TALKS_MAX 400 /* conversations of a batch */
#define SEQ_PER_BATCH 100
#define SEQ_STEPS_MAX 64 /* of one sequence */

enum seq_kind { SEQ_ENGINES, SEQ_LINUX }; /* for the engines among themselves; what Linux can be shown, too */

struct seq_step {
	struct pkt pkt; /* ends as the inside knows them */
	sp_u32 wait_ms; /* time that passes before it */
	sp_u16 sequence, talk;
	sp_u8 from; /* SP_ZONE_INSIDE, SP_ZONE_OUTSIDE; SP_ZONE_SELF: this machine sends it to the outside */
	sp_u8 to_mapped; /* its destination is what the outside knows the talk's inside end as */
};

struct batch {
	sp_u64 seed;
	int translates;
	sp_u32 unanswered_max; /* 0: the usual budget of those that wait for an answer */
	const char *policy; /* NULL: the built-in one alone */
	struct seq_step *step;
	int n, sequences, talks;
};

/* Fills a batch from its seed. sequences: at most SEQ_PER_BATCH. */
void batch_make(struct batch *b, sp_u64 seed, enum seq_kind kind, int sequences);
void batch_free(struct batch *b);

/* ---- the parts of the generator ----------------------------------------------------------------------------------- */

/* What one end of a TCP connection knows. */
struct peer {
	sp_u32 next, got; /* what it sends next; what it expects next */
	sp_u16 win;
	sp_u8 scale, syn, fin;
};

/* A conversation: end 0 begins it. */
struct talk {
	sp_u16 number;
	sp_u8 family, proto, outside_end, self;
	sp_u8 addr[2][16];
	sp_u16 port[2]; /* ICMP: port[0] is the identifier */
	struct peer peer[2];
	struct pkt last[2]; /* what either end sent last; family 0: nothing yet */
};

struct maker {
	struct dice d;
	enum seq_kind kind;
	int translates, has_policy;
	struct batch *b; /* of one sequence at a time */
	struct talk talk[3];
	int talks, number; /* of this sequence; number of it in the batch */
	sp_u16 ip_id;
};

/* The next thing that an end of a talk would send, if everybody kept to the rules; who remembers that it was sent. */
void talk_natural(struct maker *m, struct talk *t, int end, struct pkt *p);
void talk_sent(struct talk *t, int end, const struct pkt *p);
int talk_who_speaks(struct maker *m, const struct talk *t);
void talk_begin(struct maker *m, struct talk *t);

/* Something that does not quite fit: flags, numbers, lengths. */
void odd_tcp(struct maker *m, struct talk *t, int end, struct pkt *p);
void odd_packet(struct maker *m, struct talk *t, struct pkt *p);
/* An ICMP error about what `end` sent last: from the other end or from a router on its side. */
void odd_error(struct maker *m, struct talk *t, int end, struct pkt *p);
/* The packet in pieces, which are added as steps. */
void odd_pieces(struct maker *m, struct talk *t, int end, const struct pkt *p);

/* Adds a step: `end` of the talk sends p. Takes p->quote over. */
struct seq_step *seq_add(struct maker *m, const struct talk *t, int end, const struct pkt *p);

#endif
