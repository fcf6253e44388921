/* SPDX-License-Identifier: BSD-2-Clause */
/* `idle time`: an answered conversation is forgotten after so long, shorter or longer than the others. */
#include "orders.h"

#include "../../core/packet.h"

#include <stdlib.h>

static const struct talk ssh = { .who = 9, .sport = 1001, .dport = 22 };
static const struct talk game = { .who = 9, .sport = 1001, .dport = 3000, .proto = SP_PROTO_UDP };

/* Boundary rows: alive at the very second, gone a nanosecond later. */
static void test_boundaries(void)
{
	static const struct row {
		const char *name, *text;
		int tcp, answered;
		sp_u64 idle_s;
	} rows[] = {
		{ "idle/shorter_tcp", "open tcp/22, udp/3000 idle 5s\n", 1, 1, 5 },
		{ "idle/shorter_udp", "open tcp/22, udp/3000 idle 5s\n", 0, 1, 5 },
		{ "idle/a_second", "open tcp/22, udp/3000 idle 1s\n", 0, 1, 1 },
		{ "idle/longer_tcp", "open tcp/22, udp/3000 idle 30d\n", 1, 1, 30 * 86400 },
		{ "idle/longer_udp", "open tcp/22, udp/3000 idle 30d\n", 0, 1, 30 * 86400 },
		{ "idle/not_said_tcp", "open tcp/22, udp/3000\n", 1, 1, 86400 },
		{ "idle/not_said_udp", "open tcp/22, udp/3000\n", 0, 1, 300 },
		{ "idle/unanswered_ones_have_their_own_time", "open tcp/22, udp/3000 idle 30d\n", 0, 0, 120 },
		{ "idle/unanswered_ones_are_not_shortened", "open tcp/22, udp/3000 idle 5s\n", 1, 0, 60 },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		const struct talk t = r->tcp ? ssh : game;
		int alive, gone, next;
		struct bench b;

		bench_init(&b, 4096, r->text);
		begin(&b, t);
		if (r->answered)
			answer(&b, t);
		wait_ns(&b, r->idle_s * SP_NS_PER_S);
		alive = flow_of(&b, t) != NULL;
		wait_ns(&b, 1);
		gone = flow_of(&b, t) == NULL;
		next = begin(&b, t);
		check(r->name, alive && gone && next == SP_R_NEW_PERMITTED,
		      "after %llu s %s, a nanosecond later %s, then %s", r->idle_s, alive ? "alive" : "gone",
		      gone ? "gone" : "alive", sp_reason_name((unsigned)next));
		bench_fini(&b);
	}
}

/* Traffic keeps it, and closing has its own time. */
static void test_traffic(void)
{
	struct bench b;

	bench_init(&b, 4096, "open tcp/22, udp/3000 idle 5s\n");
	begin(&b, game);
	answer(&b, game);
	for (int i = 0; i < 100; i++) {
		wait_s(&b, 5);
		if (begin(&b, game) != SP_R_CONTINUES)
			break;
	}
	check("idle/traffic_keeps_it", flow_of(&b, game) != NULL, "for 500 s, a packet each 5 s");
	begin(&b, ssh);
	answer(&b, ssh);
	reset(&b, ssh);
	wait_s(&b, 6);
	check("idle/closing_has_its_own_time", flow_of(&b, ssh) != NULL, "a closed connection after 6 s");
	bench_fini(&b);
}

static void test_generations(void)
{
	static const char without[] = "open tcp/22, udp/3000\n", shorter[] = "open tcp/22, udp/3000 idle 5s\n";
	struct bench b;

	/* a line's number says nothing about another generation's lines */
	bench_init(&b, 4096, "open tcp/22, udp/3000 idle 1h\n");
	begin(&b, game);
	answer(&b, game);
	for (int i = 0; i < 6; i++) {
		bench_apply(&b, shorter);
		wait_s(&b, 500);
		check("idle/is_that_of_its_own_generation", flow_of(&b, game) != NULL, "after %d other generations", i + 1);
	}
	bench_apply(&b, shorter);
	check("idle/its_own_generation_is_not_kept_any_more", flow_of(&b, game) == NULL, "the normal time is over");
	bench_fini(&b);

	/* decided again, it takes over what the new line says */
	bench_init(&b, 4096, without);
	begin(&b, game);
	answer(&b, game);
	bench_apply(&b, shorter);
	check_reason("idle/decided_again", begin(&b, game), SP_R_CONTINUES);
	wait_s(&b, 6);
	check("idle/a_new_line_says_it", flow_of(&b, game) == NULL, "after 6 s");
	begin(&b, game);
	answer(&b, game);
	bench_apply(&b, without);
	begin(&b, game);
	wait_s(&b, 299);
	check("idle/a_new_line_does_not_say_it", flow_of(&b, game) != NULL, "after 299 s");
	bench_fini(&b);
}

/* Trials that nobody confirms use numbers up while the policy in force keeps its own: its image stays. */
static void test_trials(void)
{
	struct sp_config *c;
	struct bench b;

	bench_init(&b, 4096, "open tcp/22, udp/3000 idle 1h\n");
	c = b.e->t.config;
	begin(&b, game);
	answer(&b, game);
	for (int i = 0; i < 7; i++) {
		bench_apply(&b, "open tcp/22\n");
		c->trial_back = 1;
		c->trial_until_ns = b.now_ns + SP_NS_PER_S;
		wait_s(&b, 400);
	}
	check("idle/what_trials_go_back_to_is_kept", flow_of(&b, game) != NULL, "after seven trials");
	check_reason("idle/and_goes_on", begin(&b, game), SP_R_CONTINUES);
	bench_fini(&b);
}

/* In a table that is full, one whose own time is over is as good as a free place; one whose time is longer is not. */
static void test_recycled(void)
{
	for (int longer = 0; longer < 2; longer++) {
		struct bench b;
		sp_u32 refused = 0, stale = 0;

		bench_init(&b, 56, longer ? "open udp idle 2h\n" : "open udp idle 10s\n");
		b.e->t.config->unanswered_max = 56;
		for (sp_u16 i = 0; i < 400; i++) {
			const struct talk t = { .who = 9, .sport = (sp_u16)(1000 + i), .dport = 5, .proto = SP_PROTO_UDP };

			if (begin(&b, t) == SP_R_NEW_PERMITTED)
				answer(&b, t);
		}
		wait_s(&b, longer ? 3600 : 11);
		for (sp_u16 i = 0; i < 40; i++) {
			const struct talk t = { .who = 10 + i, .sport = 1, .dport = 5, .proto = SP_PROTO_UDP };
			const int reason = begin(&b, t);

			refused += reason == SP_R_TABLE_FULL;
			stale += reason == SP_R_NEW_PERMITTED;
		}
		check(longer ? "idle/longer_is_not_recycled" : "idle/shorter_is_recycled",
		      longer ? refused == 40 && !stale : stale == 40, "%u refused, %u begun", refused, stale);
		bench_fini(&b);
	}
}

void test_idle(void)
{
	test_boundaries();
	test_traffic();
	test_generations();
	test_trials();
	test_recycled();
}
