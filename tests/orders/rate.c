/* SPDX-License-Identifier: BSD-2-Clause */
/* `rate n/unit`: so many conversations of one source at once, then one for each n-th part of the unit. */
#include "orders.h"

#include "../../core/packet.h"

#include <pthread.h>
#include <stdlib.h>

/* Begins conversations until one is refused, at most n; returns how many began, and why the last did not. */
static sp_u32 begin_many(struct bench *b, struct talk t, sp_u32 n, int *last)
{
	sp_u32 begun = 0;

	*last = SP_R_NONE;
	for (; begun < n; begun++, t.sport++) {
		*last = begin(b, t);
		if (*last != SP_R_NEW_PERMITTED)
			break;
	}
	return begun;
}

/* Boundary rows: so many at once, then nothing until the very nanosecond of the next one. */
static void test_boundaries(void)
{
	static const struct row {
		const char *name, *text;
		sp_u32 burst;
		sp_u64 interval_ns;
	} rows[] = {
		{ "rate/1_a_second", "open tcp/22 rate 1/s\n", 1, SP_NS_PER_S },
		{ "rate/3_a_minute", "open tcp/22 rate 3/m\n", 3, 20 * SP_NS_PER_S },
		{ "rate/5_an_hour", "open tcp/22 rate 5/h\n", 5, 720 * SP_NS_PER_S },
		{ "rate/7_a_second", "open tcp/22 rate 7/s\n", 7, SP_NS_PER_S / 7 },
		{ "rate/100_a_second", "open tcp/22 rate 100/s\n", 100, SP_NS_PER_S / 100 },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct talk t = { .who = 9, .sport = 1000, .dport = 22 };
		int last, early, due, again;
		struct bench b;
		sp_u32 begun;

		bench_init(&b, 4096, r->text);
		begun = begin_many(&b, t, 200, &last);
		t.sport = 5000;
		wait_ns(&b, r->interval_ns - 1);
		early = begin(&b, t);
		wait_ns(&b, 1);
		due = begin(&b, t);
		t.sport++;
		again = begin(&b, t);
		check(r->name, begun == r->burst && last == SP_R_RATE && early == SP_R_RATE && due == SP_R_NEW_PERMITTED &&
		      again == SP_R_RATE, "%u at once, then %s; early %s, due %s, again %s", begun,
		      sp_reason_name((unsigned)last), sp_reason_name((unsigned)early), sp_reason_name((unsigned)due),
		      sp_reason_name((unsigned)again));
		bench_fini(&b);
	}
}

static void test_refills(void)
{
	struct talk t = { .who = 9, .sport = 1000, .dport = 22 };
	struct bench b;
	sp_u32 half, full;
	int last;

	bench_init(&b, 4096, "open tcp/22 rate 6/m\n");
	begin_many(&b, t, 100, &last);
	/* refusals change nothing: a thousand of them do not move the time of the next one */
	for (int i = 0; i < 1000; i++)
		begin(&b, (struct talk){ .who = 9, .sport = (sp_u16)(10000 + i), .dport = 22 });
	wait_s(&b, 30);
	t.sport = 2000;
	half = begin_many(&b, t, 100, &last);
	wait_s(&b, 3600);
	t.sport = 3000;
	full = begin_many(&b, t, 100, &last);
	check("rate/half_of_it_is_back_after_half_the_time", half == 3, "%u", half);
	check("rate/never_more_than_all_of_it", full == 6, "%u", full);
	bench_fini(&b);
}

static void test_who(void)
{
	struct talk t = { .who = 9, .sport = 1000, .dport = 22 };
	struct talk six = { .who = 0x10001, .sport = 1000, .dport = 22, .family = SP_IPV6 };
	struct bench b;
	int last;

	bench_init(&b, 4096, "open tcp/22, tcp/25 rate 2/m\nopen tcp/80\n");
	begin_many(&b, t, 100, &last);
	t.dport = 25;
	check_reason("rate/is_that_of_the_line_not_of_the_port", begin(&b, t), SP_R_RATE);
	t.dport = 80;
	t.sport = 1000;
	check("rate/other_lines_do_not_mind", begin_many(&b, t, 100, &last) == 100, "%s", sp_reason_name((unsigned)last));
	t = (struct talk){ .who = 10, .sport = 1000, .dport = 22 };
	check("rate/another_source_has_its_own", begin_many(&b, t, 100, &last) == 2, "%s", sp_reason_name((unsigned)last));
	begin_many(&b, six, 100, &last);
	six.host = 77;
	check_reason("rate/ipv6_goes_by_64", begin(&b, six), SP_R_RATE);
	six.who++;
	check_reason("rate/ipv6_next_64_has_its_own", begin(&b, six), SP_R_NEW_PERMITTED);
	/* what has begun is not asked again */
	t = (struct talk){ .who = 9, .sport = 1000, .dport = 22 };
	check_reason("rate/a_conversation_goes_on", begin(&b, t), SP_R_CONTINUES);
	check_reason("rate/a_conversation_is_answered", answer(&b, t), SP_R_ANSWER);
	/* a closed one that begins again is a new one */
	check_reason("rate/it_closes", reset(&b, t), SP_R_CONTINUES);
	check_reason("rate/reopening_is_beginning", begin(&b, t), SP_R_RATE);
	wait_s(&b, 5);
	check_reason("rate/reopening_too_early", begin(&b, t), SP_R_RATE);
	bench_fini(&b);
}

static void test_generations(void)
{
	struct talk t = { .who = 9, .sport = 1000, .dport = 22 };
	struct bench b;
	int last;

	bench_init(&b, 4096, "open tcp/22 rate 2/m as login\n");
	begin_many(&b, t, 100, &last);
	t.sport = 2000;
	bench_apply(&b, "open tcp/1\nopen tcp/2 rate 1/s\nopen tcp/22 rate 2/m as login\n");
	check_reason("rate/lives_on_when_its_line_gets_another_number", begin(&b, t), SP_R_RATE);
	t.dport = 2;
	check_reason("rate/the_line_that_got_its_number_has_its_own", begin(&b, t), SP_R_NEW_PERMITTED);
	t.dport = 22;
	bench_apply(&b, "open tcp/22 as login\n");
	check_reason("rate/is_gone_with_the_option", begin(&b, t), SP_R_NEW_PERMITTED);
	bench_fini(&b);
}

/* Sources that share a cell must hardly suffer. */
static void test_many(void)
{
	static const char *const texts[] = { "open tcp/22 rate 1/h\n", "open tcp/22 rate 3/h\n", "open tcp/22 limit 1\n" };
	static const sp_u32 each[] = { 1, 3, 1 }, worst[] = { 200, 600, 200 };

	for (int row = 0; row < 3; row++) {
		sp_u32 refused = 0;
		struct bench b;

		bench_init(&b, 131072, texts[row]); /* strangers have three quarters of half of it */
		for (sp_u32 who = 0; who < 10000; who++)
			for (sp_u32 i = 0; i < each[row]; i++)
				refused += begin(&b, (struct talk){ .who = who, .sport = (sp_u16)(1 + i), .dport = 22 }) !=
					   SP_R_NEW_PERMITTED;
		check("rate/many_sources", refused <= worst[row], "%s: %u of %u refused because others share their cells",
		      row == 2 ? "limit 1" : row ? "rate 3/h" : "rate 1/h", refused, 10000 * each[row]);
		bench_fini(&b);
	}
}

void test_rates(void)
{
	test_many();
	test_boundaries();
	test_refills();
	test_who();
	test_generations();
}

/* ---- several processors --------------------------------------------------------------------------------------------- */

#define THREADS 4
#define EACH 2000

struct worker {
	struct bench b;
	sp_u32 n, begun, rate, busy, other;
};

static void *knock(void *arg)
{
	struct worker *w = arg;

	for (sp_u32 i = 0; i < EACH; i++) {
		const struct talk t = { .who = 9, .sport = (sp_u16)(1024 + w->n * EACH + i), .dport = 22 };
		const int reason = begin(&w->b, t);

		w->begun += reason == SP_R_NEW_PERMITTED;
		w->rate += reason == SP_R_RATE;
		w->busy += reason == SP_R_BUSY;
		w->other += reason != SP_R_NEW_PERMITTED && reason != SP_R_RATE && reason != SP_R_BUSY;
	}
	return NULL;
}

/* One source on all processors at the same instant: exactly the burst, whoever is quicker. */
void test_rate_threads(void)
{
	static struct worker w[THREADS];
	sp_u32 begun = 0, rate = 0, busy = 0, other = 0;
	pthread_t thread[THREADS];
	struct bench b;

	bench_init(&b, 65536, "open tcp/22 rate 3000/h\n");
	for (sp_u32 i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .b = b, .n = i };
		if (pthread_create(&thread[i], NULL, knock, &w[i]))
			abort();
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		begun += w[i].begun;
		rate += w[i].rate;
		busy += w[i].busy;
		other += w[i].other;
	}
	check("rate/exact_on_several_processors", begun <= 3000 && begun + busy >= 3000 && !other,
	      "%u began of 3000, %u refused, %u busy, %u otherwise", begun, rate, busy, other);
	bench_fini(&b);
}
