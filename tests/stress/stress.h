/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stress tests share: one bench for every engine, workloads for several threads, the invariants at rest. */
#ifndef TESTS_STRESS_H
#define TESTS_STRESS_H

#include "../../host/craft.h"
#include "../../host/engine.h"
#include "../../policy/image.h"

#define STRESS_THREADS 4
#define STRESS_BASE_NS (1000 * SP_NS_PER_S)

struct bench;

/* Judges one packet for one thread; the reason is SP_R_NONE where the engine does not say it. */
typedef void judge_fn(struct bench *b, int thread, const struct sp_engine_packet *p, struct sp_engine_result *out);

struct bench {
	const char *name;
	struct sp_engine *e; /* its tables: allocated, or memory-mapped from the kernel */
	judge_fn *judge;
	void *engine; /* the judge's own */
	int threads;
	int john_inside; /* 1: John sends from the inside, 0: he is this machine (egress) */
	void (*clock)(struct bench *b, sp_u64 now_ns); /* NULL: now_ns below is the clock */
	int cpu[STRESS_THREADS]; /* -1: anywhere */
	/* gives the engine an address of ours, its ports, and that policy; 0 or an error */
	int (*translate)(struct bench *b, sp_u32 me, const char *policy);
	/* has a last packet of a processor from that zone begun a conversation by a precedent? NULL: there are none */
	int (*by_precedent)(struct bench *b, sp_u8 zone);
	int gone[STRESS_THREADS]; /* the packet that the thread sent last left by the express lane: it meets no other hook */
	sp_u64 deadline_ms; /* of the workload that is running, monotonic clock */
	sp_u64 now_ns; /* fake time; atomic */
	struct sp_counter counters[STRESS_THREADS][SP_REASON_COUNT]; /* native engine */
	sp_u16 forward_port, forward_to_port; /* what the policy forwards, for pair_begin() */
	sp_u32 forward_to4;
	sp_u64 packets, retries, failures, lives; /* atomic */
	sp_u64 got[2]; /* atomic: verdicts of the churn */
};

struct worker {
	struct bench *b;
	void *work;
	int thread;
	sp_u32 random;
};

/* A packet in words. from_john: his; else of whoever he talks to. Returns 1: passed, 0: dropped. */
int send_packet(struct worker *w, int from_john, struct sp_craft *c, sp_u8 *reason);
int send_ip(struct worker *w, int from_john, const sp_u8 *ip, sp_u32 len, sp_u8 *reason);
/* The same, for a packet that must pass: one that an engine was too busy to judge is sent again. */
int must_pass(struct worker *w, int from_john, struct sp_craft *c, const char *what);
void craft_ends(struct sp_craft *c, int from_john, sp_u32 john, sp_u32 server, sp_u16 john_port, sp_u16 server_port);
struct sp_flow *find_flow(struct sp_engine *e, sp_u8 proto, sp_u32 john, sp_u32 server, sp_u16 jport, sp_u16 sport,
			  int *john_end);

sp_u32 random_next(struct worker *w);
sp_u64 now_ms(void);
void advance(struct bench *b, sp_u64 ns);

/* Where threads wait for each other, by relaxed atomics: that orders nothing for ThreadSanitizer. */
struct meeting {
	sp_u32 senders; /* so many meet */
	sp_u32 arrived, round, stop;
};

/* The last one to arrive does `last` (its result: go on) and lets all go. 0: it is over. */
int meet(struct worker *w, struct meeting *m, int (*last)(struct worker *w));

/* A packet on its way through the hooks: what one of them rewrites is the frame of the next. */
struct flight {
	sp_u8 frame[14 + SP_CRAFT_MAX], out[14 + SP_CRAFT_MAX];
	sp_u32 len;
};

void flight_begin(struct flight *f, const struct sp_craft *c);
/* Through one hook of an interface of that zone; zone_from: where it came in, if it leaves. 1: passed, 0: dropped. */
int flight_pass(struct worker *w, struct flight *f, sp_u8 zone, sp_u8 hook, sp_u8 zone_from);
sp_u32 flight_addr(const struct flight *f, int dst);
sp_u16 flight_port(const struct flight *f, int dst);
void flight_wrong(struct worker *w, const char *what, const struct flight *f);

/* The first processors that this process may use, for two threads, or the only one. Returns how many. */
int find_cpus(int cpu[2]);

/* Runs fn in all threads of the bench for so long. */
void run_threads(struct bench *b, void *work, void (*fn)(struct worker *w), int ms);

/* Workloads: ms of real time each. */
void tcp_same(struct bench *b, int ms); /* the same connections from all threads */
void tcp_disjoint(struct bench *b, int ms); /* each thread its own connections */
void collide(struct bench *b, int ms); /* one beginning from all threads at the same instant, over and over */
void churn_near_full(struct bench *b, int ms); /* births, answers, deaths, kills, a table that is full */
void nat_churn(struct bench *b, int ms); /* translation: births, answers, hairpin, deaths, few ports; native */
void begin_at_once(struct bench *b, int ms); /* translated beginnings from two threads at the same instant, and the tool */

/* Invariants of a table at rest; each violation is printed. Returns how many. */
int check_rest(struct bench *b);
/* The same once aliases that dangle have had their time, and all of the table was swept: none dangles. */
int check_swept(struct bench *b);
/* Twenty-five hours later, after packets that sweep: is nothing left? Returns the violations. */
int check_empty(struct bench *b);

/* A policy in words becomes its image, which free() frees (image.v). 0; else why not is printed. */
int stress_image(const char *policy, struct sp_image *image);

/* If it begins a translated conversation and all is plain: both its entries at once, as at XDP. 0: it is to be judged. */
int pair_begin(struct bench *b, int thread, const struct sp_engine_packet *in, struct sp_engine_result *out);

/* Results. */
void result(int good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void result_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int result_end(void);
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
