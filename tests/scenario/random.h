/* SPDX-License-Identifier: BSD-2-Clause */
/* Random packets: dice, and what they make of a small cast that talks a lot. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include "packet.h"

struct dice {
	sp_u64 state;
};

sp_u32 roll(struct dice *d, sp_u32 sides);
int one_in(struct dice *d, sp_u32 n);

enum party { PARTY_OUTSIDE, PARTY_INSIDE, PARTY_DMZ, PARTY_ME, PARTY_COUNT };

/* An address of that party; IPv4 or IPv6. */
void random_address(struct dice *d, int family, enum party party, sp_u8 out[16]);

/* One packet of one party to another. p->quote may be set. */
void random_packet(struct dice *d, struct pkt *p, int family, enum party from, enum party to);

#endif
