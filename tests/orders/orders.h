/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of rates, limits and idle times share: an engine with a configuration, and packets in a word each. */
#ifndef SP_TESTS_ORDERS_H
#define SP_TESTS_ORDERS_H

#include "../../host/craft.h"
#include "../../host/engine.h"
#include "text.h"

struct bench {
	struct sp_engine *e;
	sp_u64 now_ns;
};

/* Somebody outside (source 203.0.113.`who`, or in IPv6 2a00:`who`::1) and a service of this machine. */
struct talk {
	sp_u32 who;
	sp_u16 sport, dport;
	sp_u8 proto, family; /* 0: TCP, IPv4 */
	sp_u16 host; /* IPv6: last 16 bits of the source */
};

/* An empty table of that capacity and a configuration in force as generation 1. Time: 1,000 s. */
void bench_init(struct bench *b, sp_u32 capacity, const char *text);
void bench_fini(struct bench *b);
/* Puts a configuration in force as the next generation; NULL: the built-in policy alone. */
void bench_apply(struct bench *b, const char *text);
void wait_ns(struct bench *b, sp_u64 ns);
#define wait_s(b, s) wait_ns(b, (s) * SP_NS_PER_S)

/* Its first packet (SYN, datagram, ping), the answer, a reset of either end. Returns the reason. */
int begin(struct bench *b, struct talk t);
int answer(struct bench *b, struct talk t);
int reset(struct bench *b, struct talk t);
/* The entry of its conversation that is not stale, or NULL. */
struct sp_flow *flow_of(struct bench *b, struct talk t);

/* Counts and prints; format says what differs. */
void check(const char *name, int good, const char *format, ...) __attribute__((format(printf, 3, 4)));
void check_reason(const char *name, int got, int want);

void test_rates(void);
void test_rate_threads(void);
void test_limits(void);
void test_limit_sums(void);
void test_limit_threads(void);
void test_idle(void);

#endif
