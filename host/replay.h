/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture through the firewall: the native engine judges every packet as if the firewall had stood between the sides.
 * The clock is the capture's own. Prints nothing.
 */
#ifndef SP_HOST_REPLAY_H
#define SP_HOST_REPLAY_H

#include "capture.h"
#include "engine.h"
#include "sides.h"

/* One conversation as the capture showed it; it stays in the list when the engine's entry is long recycled. */
struct sp_replay_flow {
	sp_u64 first_ns, last_ns; /* of the capture's clock */
	sp_u64 packets[2], bytes[2]; /* let through: [0] from the initiator, [1] from the other end; IP bytes */
	sp_u64 stopped; /* packets that belong to it and were stopped */
	struct sp_addr src, dst; /* of the initiator, of the other end */
	sp_u16 sport, dport;
	sp_u8 family, proto;
	sp_u8 zone_from; /* enum sp_zone */
	sp_u8 phase; /* enum sp_phase after its newest packet */
};

struct sp_replay {
	struct sp_engine *engine;
	struct sp_sides sides; /* set before the first packet */
	struct sp_replay_flow *flows; /* conversation n is flows[n - 1] */
	sp_u32 count, room;
	sp_u32 *number; /* by entry of the table: its conversation, 0: none yet */
	sp_u64 first_ns; /* of the first packet */
	sp_u64 packets, passed;
};

struct sp_replay_line {
	struct sp_engine_result result;
	sp_u32 conversation; /* 0: none */
	sp_u8 zone, hook;
	sp_u8 phase; /* of the conversation after this packet */
};

/* 0 or -ENOMEM. flags: enum sp_config_flag. The hash has a fixed secret: the same capture gives the same answers. */
int sp_replay_init(struct sp_replay *r, sp_u32 capacity, sp_u32 flags) SP_MUST;
int sp_replay_packet(struct sp_replay *r, const struct sp_captured *p, struct sp_replay_line *out) SP_MUST;
void sp_replay_fini(struct sp_replay *r);

#endif
