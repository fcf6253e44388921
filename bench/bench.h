/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the bench's kernel programs and their driver share: hardware addresses, flows, counters. */
#ifndef SP_BENCH_H
#define SP_BENCH_H

/* Hardware addresses: 02:00:00:00:be:NN. */
#define BENCH_GEN 1 /* g0, the generator's end */
#define BENCH_LAN 2 /* lan0 of the gateway */
#define BENCH_WAN 3 /* wan0 of the gateway */
#define BENCH_SINK 4 /* s0, the far end */

#define BENCH_FRAME 64 /* bytes of a frame, without its check sequence */
#define BENCH_SERVERS 32 /* a sender's port speaks to so many servers: 32 flows */
#define BENCH_PORT 9000
#define BENCH_SOURCE 0x0a010100u /* 10.1.1.0, and 256 hosts */
#define BENCH_SERVER 0x05050101u /* 5.5.1.1 */
#define BENCH_HOST 0x0a010101u /* 10.1.1.1: who is called from the outside */
#define BENCH_FIRST_PORT 1024

enum bench_order {
	BENCH_IN_TURN, /* every flow once, one after the other */
	BENCH_RANDOM,
	BENCH_NEW, /* every packet another sender's port */
	BENCH_COME, /* the same, from the outside */
};

struct bench_orders {
	unsigned int flows;
	unsigned int order; /* enum bench_order */
	unsigned int next; /* number of the next packet */
	unsigned int out; /* interface that the generator sends to */
	unsigned int gw_out; /* the same of the gateway that redirects */
	unsigned int echo; /* the sink sends packets back, and looks at their checksums */
	unsigned int called; /* whom those from the outside call; host order */
	unsigned int watch; /* packets say when they were sent, and the sink looks at the clock */
};

struct bench_counts {
	unsigned long long arrived; /* at the sink */
	unsigned long long home; /* answers that came back to the generator */
	unsigned long long dropped; /* by the gateway that drops */
	unsigned long long bad; /* with a wrong checksum */
	unsigned long long last_ns; /* when the last one arrived; 0: none has yet */
	unsigned long long gap_ns; /* longest time between two */
	unsigned long long way_ns; /* longest time that one was on its way */
	unsigned int source; /* of the last that arrived, network order */
	unsigned int ttl;
};

#endif
