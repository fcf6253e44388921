/* SPDX-License-Identifier: BSD-2-Clause */
/* `limit n`: so many conversations of one source with one service at a time; exact through everything that can end one. */
#include "orders.h"

#include "../../port/port_host.h"

#include <pthread.h>
#include <stdlib.h>

static const struct talk ssh1 = { .who = 9, .sport = 1001, .dport = 22 }, ssh2 = { .who = 9, .sport = 1002, .dport = 22 },
			 ssh3 = { .who = 9, .sport = 1003, .dport = 22 };

/* Lets the sweeper see everything: strangers knock where nothing is open. */
static void sweep(struct bench *b)
{
	const sp_u32 ticks = b->e->t.config->sets * SP_TAG_WORDS / SP_SWEEP_WORDS + 2;

	for (sp_u32 i = 0; i < ticks; i++) {
		wait_ns(b, 1ULL << SP_TICK_SHIFT);
		begin(b, (struct talk){ .who = 200, .sport = 1, .dport = 9 });
	}
}

static void test_boundary(void)
{
	struct talk udp = { .who = 9, .sport = 1, .dport = 22, .proto = SP_PROTO_UDP };
	struct talk other = { .who = 10, .sport = 1, .dport = 22 };
	struct bench b;

	bench_init(&b, 4096, "open tcp/22, tcp/25, udp/22 limit 2\nopen tcp/80\n");
	check_reason("limit/first", begin(&b, ssh1), SP_R_NEW_PERMITTED);
	check_reason("limit/second", begin(&b, ssh2), SP_R_NEW_PERMITTED);
	check_reason("limit/third", begin(&b, ssh3), SP_R_LIMIT);
	check_reason("limit/third_again", begin(&b, ssh3), SP_R_LIMIT);
	check_reason("limit/the_first_goes_on", begin(&b, ssh1), SP_R_CONTINUES);
	check_reason("limit/the_first_is_answered", answer(&b, ssh1), SP_R_ANSWER);
	check_reason("limit/answered_ones_count", begin(&b, ssh3), SP_R_LIMIT);
	check_reason("limit/another_source_has_its_own", begin(&b, other), SP_R_NEW_PERMITTED);
	check_reason("limit/another_protocol_has_its_own", begin(&b, udp), SP_R_NEW_PERMITTED);
	check_reason("limit/another_port_has_its_own", begin(&b, (struct talk){ .who = 9, .sport = 1, .dport = 25 }),
		     SP_R_NEW_PERMITTED);
	for (sp_u16 i = 0; i < 100; i++)
		begin(&b, (struct talk){ .who = 9, .sport = (sp_u16)(5000 + i), .dport = 80 });
	check("limit/other_lines_do_not_mind", flow_of(&b, (struct talk){ .who = 9, .sport = 5099, .dport = 80 }) != NULL,
	      "the hundredth conversation under a line without a limit");
	bench_fini(&b);
}

static void test_sources(void)
{
	struct talk six = { .who = 0x10001, .sport = 1, .dport = 22, .family = SP_IPV6 };
	struct talk ping = { .who = 9, .sport = 1, .proto = SP_PROTO_ICMP };
	struct bench b;

	bench_init(&b, 4096, "open tcp/22, icmp limit 1\n");
	check_reason("limit/ipv6", begin(&b, six), SP_R_NEW_PERMITTED);
	six.host = 77;
	check_reason("limit/ipv6_goes_by_64", begin(&b, six), SP_R_LIMIT);
	six.who++;
	check_reason("limit/ipv6_next_64_has_its_own", begin(&b, six), SP_R_NEW_PERMITTED);
	check_reason("limit/ping", begin(&b, ping), SP_R_NEW_PERMITTED);
	ping.sport++;
	check_reason("limit/the_identifier_of_a_ping_is_no_service", begin(&b, ping), SP_R_LIMIT);
	bench_fini(&b);
}

/* Everything that ends a conversation gives its place back. */
static void test_places(void)
{
	struct bench b;

	bench_init(&b, 4096, "open tcp/22 limit 2\n");
	begin(&b, ssh1);
	begin(&b, ssh2);
	answer(&b, ssh1);
	check_reason("limit/full", begin(&b, ssh3), SP_R_LIMIT);
	check_reason("limit/a_reset", reset(&b, ssh1), SP_R_CONTINUES);
	check_reason("limit/what_has_closed_does_not_count", begin(&b, ssh3), SP_R_NEW_PERMITTED);
	check_reason("limit/full_again", begin(&b, ssh1), SP_R_LIMIT);
	wait_s(&b, 61); /* SYN-SENT: 60 s */
	sweep(&b);
	check_reason("limit/what_has_expired_does_not_count", begin(&b, ssh1), SP_R_NEW_PERMITTED);
	check_reason("limit/nor_does_the_other", begin(&b, ssh2), SP_R_NEW_PERMITTED);
	check_reason("limit/full_once_more", begin(&b, ssh3), SP_R_LIMIT);
	flow_of(&b, ssh1)->flags |= SP_FLOW_KILLED;
	sweep(&b);
	check_reason("limit/what_was_killed_does_not_count", begin(&b, ssh3), SP_R_NEW_PERMITTED);
	check_reason("limit/full_at_last", begin(&b, ssh1), SP_R_LIMIT);
	/* the same ports while it waits, another sequence number: it takes its own place */
	flow_of(&b, ssh3)->peer[0].ack ^= 1;
	flow_of(&b, ssh3)->peer[1].ack ^= 1;
	check_reason("limit/begun_afresh_in_its_own_place", begin(&b, ssh3), SP_R_REOPENED);
	check_reason("limit/and_it_is_still_full", begin(&b, ssh1), SP_R_LIMIT);
	bench_fini(&b);
}

static void test_generations(void)
{
	struct bench b;

	bench_init(&b, 4096, "open tcp/22\n");
	begin(&b, ssh1);
	begin(&b, ssh2);
	bench_apply(&b, "open tcp/22 limit 1\n");
	check_reason("limit/what_has_begun_goes_on_above_it", begin(&b, ssh1), SP_R_CONTINUES);
	check_reason("limit/and_so_does_the_next", begin(&b, ssh2), SP_R_CONTINUES);
	check_reason("limit/but_counts", begin(&b, ssh3), SP_R_LIMIT);
	bench_apply(&b, "open tcp/22 as other\n");
	begin(&b, ssh1);
	begin(&b, ssh2);
	bench_apply(&b, "open tcp/22 limit 1\n");
	check_reason("limit/a_line_without_it_lets_go", begin(&b, ssh3), SP_R_NEW_PERMITTED);
	bench_apply(&b, "open tcp/1\n");
	check_reason("limit/revoked", begin(&b, ssh3), SP_R_REVOKED);
	bench_apply(&b, "open tcp/22 limit 1\n");
	check_reason("limit/what_was_revoked_does_not_count", begin(&b, (struct talk){ .who = 9, .sport = 4, .dport = 22 }),
		     SP_R_NEW_PERMITTED);
	check_reason("limit/what_is_permitted_again_goes_on", begin(&b, ssh3), SP_R_CONTINUES);
	bench_apply(&b, NULL);
	check_reason("limit/no_policy_at_all", begin(&b, ssh3), SP_R_REVOKED);
	bench_fini(&b);
}

void test_limits(void)
{
	test_boundary();
	test_sources();
	test_places();
	test_generations();
}

/* ---- sums ------------------------------------------------------------------------------------------------------------ */

static sp_u64 seed = 20261127;

static sp_u32 pick(sp_u32 n)
{
	seed ^= seed << 13; /* xorshift64, Marsaglia 2003 */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (sp_u32)((seed >> 11) % n);
}

/* Counts afresh what stands in the table, and compares cell by cell. Returns how many cells differ. */
static sp_u32 wrong_cells(struct bench *b, sp_u32 *counted)
{
	struct sp_tables *t = &b->e->t;
	sp_u64 *want = calloc(SP_METER_ROWS * SP_METER_ROW, sizeof(*want));
	sp_u32 wrong = 0;

	if (!want)
		abort();
	*counted = 0;
	sp_host = b->e;
	for (sp_u32 i = 0; i < t->config->capacity; i++) {
		struct sp_flow *f = &t->flows[i];

		if (sp_tagged(i) && (f->flags & SP_FLOW_LIMITED) && sp_limit_counts(f->phase)) {
			const sp_u64 cells = sp_limit_cells(t->config, &f->key, (f->flags & SP_FLOW_FROM_1) != 0);

			want[(sp_u32)cells]++;
			want[cells >> 32]++;
			++*counted;
		}
	}
	for (sp_u32 i = SP_METER_LIMITS * SP_METER_ROW; i < (SP_METER_LIMITS + 2) * SP_METER_ROW; i++)
		wrong += want[i] != t->meters[i];
	free(want);
	return wrong;
}

/* Random beginnings, answers, ends, times, configurations, in a table that is too small: conversations are recycled, too. */
void test_limit_sums(void)
{
	static const char *const texts[] = { "open tcp/20-30, udp/20-30 limit 3\n",
					     "open tcp/20-30 idle 30s limit 2\nopen udp/20-30\n",
					     "open udp/20-25 limit 5\n",
					     "open tcp/20-30, udp/20-30 rate 100/s idle 5s limit 1\n" };
	sp_u32 reasons[SP_REASON_COUNT] = {}, wrong = 0, most = 0, counted;
	struct bench b;

	bench_init(&b, 112, texts[0]);
	for (int i = 0; i < 60000; i++) {
		struct talk t = { .who = 1 + pick(4), .sport = (sp_u16)(1000 + pick(8)), .dport = (sp_u16)(20 + pick(6)),
				  .proto = pick(3) ? SP_PROTO_TCP : SP_PROTO_UDP };
		struct sp_flow *f = flow_of(&b, t);
		const sp_u32 what = pick(100);

		if (what < 50)
			reasons[begin(&b, t)]++;
		else if (what < 80 && f)
			answer(&b, t);
		else if (what < 95 && f && t.proto == SP_PROTO_TCP)
			reset(&b, t);
		else if (what == 95 && f)
			f->flags |= SP_FLOW_KILLED;
		else if (what == 96 && !pick(8))
			bench_apply(&b, texts[pick(4)]);
		else if (what >= 97)
			wait_ns(&b, (sp_u64)pick(9) * SP_NS_PER_S);
		if (i % 100 == 0) {
			wrong += wrong_cells(&b, &counted);
			most = counted > most ? counted : most;
		}
	}
	check("limit/sums_are_exact", !wrong && most > 50, "%u cells wrong; at most %u counted at a time", wrong, most);
	check("limit/sums_saw_everything",
	      reasons[SP_R_LIMIT] > 500 && reasons[SP_R_REVOKED] > 100 && reasons[SP_R_REOPENED] > 50 &&
		      reasons[SP_R_NEW_PERMITTED] > 1000 && reasons[SP_R_CONTINUES] > 500,
	      "limit %u, revoked %u, reopened %u, begun %u, gone on %u, table full %u", reasons[SP_R_LIMIT],
	      reasons[SP_R_REVOKED], reasons[SP_R_REOPENED], reasons[SP_R_NEW_PERMITTED], reasons[SP_R_CONTINUES],
	      reasons[SP_R_TABLE_FULL]);
	wait_s(&b, 31 * 86400);
	sweep(&b);
	wrong = wrong_cells(&b, &counted);
	check("limit/nothing_is_left_in_the_end", !wrong && !counted, "%u cells wrong, %u counted", wrong, counted);
	bench_fini(&b);
}

/* ---- several processors --------------------------------------------------------------------------------------------- */

#define THREADS 4
#define EACH 5000

struct worker {
	struct bench b;
	sp_u32 n, begun, limit, most;
};

/* Conversations that live, of source 9 with port 22: whoever looks may be a moment late. */
static sp_u32 living(struct bench *b)
{
	const sp_u8 src[4] = { 203, 0, 113, 9 }, me[4] = { 192, 0, 2, 10 };
	struct sp_key key;
	const sp_u32 from = (sp_u32)sp_key_make(&key, SP_IPV4, SP_PROTO_TCP, src, me, 1, 22);

	sp_host = b->e;
	return sp_limit_count(sp_limit_cells(b->e->t.config, &key, from));
}

static void *come_and_go(void *arg)
{
	struct worker *w = arg;

	for (sp_u32 i = 0; i < EACH; i++) {
		const struct talk t = { .who = 9, .sport = (sp_u16)(1024 + w->n * EACH + i), .dport = 22 };
		const int reason = begin(&w->b, t);
		const sp_u32 now = living(&w->b);

		w->most = now > w->most ? now : w->most;
		w->limit += reason == SP_R_LIMIT;
		if (reason != SP_R_NEW_PERMITTED)
			continue;
		w->begun++;
		answer(&w->b, t);
		reset(&w->b, t);
	}
	return NULL;
}

/* One source on all processors: the sums stay exact, the limit is exceeded by no more than the others that look at once. */
void test_limit_threads(void)
{
	static struct worker w[THREADS];
	sp_u32 begun = 0, limit = 0, most = 0, wrong, counted;
	pthread_t thread[THREADS];
	struct bench b;

	bench_init(&b, 65536, "open tcp/22 limit 1\n");
	for (sp_u32 i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .b = b, .n = i };
		if (pthread_create(&thread[i], NULL, come_and_go, &w[i]))
			abort();
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		begun += w[i].begun;
		limit += w[i].limit;
		most = w[i].most > most ? w[i].most : most;
	}
	wrong = wrong_cells(&b, &counted);
	check("limit/exact_on_several_processors", !wrong && !counted && begun > EACH / 10 && most && most < 1 + THREADS,
	      "%u cells wrong, %u left; %u begun, %u refused, at most %u at a time", wrong, counted, begun, limit, most);
	bench_fini(&b);
}
