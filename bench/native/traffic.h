/* SPDX-License-Identifier: BSD-2-Clause */
/* The conversations of the native bench, and their packets: made before the clock runs, as if a card had brought them. */
#ifndef SP_BENCH_NATIVE_TRAFFIC_H
#define SP_BENCH_NATIVE_TRAFFIC_H

#include "host/engine.h"

#define TRAFFIC_BLOCK 1024 /* packets that are made at once: they stay in the second cache */
#define TRAFFIC_FRAME 64 /* room of one; 60 bytes are used */
#define TRAFFIC_SLOTS 32 /* addresses to translate to, each at an interface of its own */

struct traffic {
	struct sp_engine *e;
	sp_u32 flows;
	sp_u8 proto; /* SP_PROTO_TCP or SP_PROTO_UDP */
	sp_u8 translated;
	sp_u16 *port; /* translated: outside port of each conversation */
	sp_u64 random, now_ns;
	sp_u32 next; /* traffic_new(): the next conversation */
	/* the block: packets where they come in, and the same where they leave */
	struct sp_engine_packet in[TRAFFIC_BLOCK], out[TRAFFIC_BLOCK];
	struct sp_engine_way way[TRAFFIC_BLOCK];
	sp_u8 bytes[TRAFFIC_BLOCK][TRAFFIC_FRAME], between[TRAFFIC_BLOCK][TRAFFIC_FRAME];
	sp_u8 after[TRAFFIC_BLOCK][TRAFFIC_FRAME];
};

enum traffic_way { TRAFFIC_OUT = 1, TRAFFIC_IN = 2, TRAFFIC_BOTH = 3 };

/* An engine with that many conversations at 60 % of its table, established; 0 or -1. begun: 0: the table stays empty. */
int traffic_init(struct traffic *t, sp_u8 proto, sp_u32 flows, int translated, int begun);
void traffic_fini(struct traffic *t);

/* A block of packets of conversations drawn at random, going that way. */
void traffic_block(struct traffic *t, enum traffic_way way);

/* A block of first packets, each of another conversation. 0: there are no more. */
int traffic_new(struct traffic *t);

sp_u64 traffic_random(sp_u64 *state);

#endif
