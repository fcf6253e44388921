/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration: capacities are rounded to whole sets, budgets and timeouts are those of the design. */
#include "unit.h"

static const sp_u64 secret[2] = { 11, 22 };

static void capacity_is_rounded_up_to_sets(void **state)
{
	static const struct {
		sp_u32 wanted, sets;
	} rows[] = { { 0, 2 },	{ 1, 2 },	 { 28, 2 },	   { 56, 2 },	     { 57, 3 },
		     { 84, 3 }, { 1000, 36 }, { 65536, 2341 }, { 4194304, 149797 } };
	struct sp_config c;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sp_config_init(&c, rows[i].wanted, 0, secret);
		assert_int_equal(c.sets, rows[i].sets);
		assert_int_equal(c.capacity, rows[i].sets * SP_WAYS);
		assert_true(c.capacity >= rows[i].wanted);
	}
}

static void budgets(void **state)
{
	struct sp_config c;

	sp_config_init(&c, 1000, SP_CONFIG_GATEWAY, secret);
	assert_int_equal(c.abi, SP_ABI_VERSION);
	assert_int_equal(c.flags, SP_CONFIG_GATEWAY);
	assert_int_equal(c.unanswered_max, c.capacity / 2);
	assert_int_equal(c.pressure_on, c.capacity * 6ull / 10);
	assert_true(c.generation > 0);
	assert_true(c.secret[0] == 11 && c.secret[1] == 22);
}

/* RFC floors (RFC 5382 REQ-5, RFC 4787 REQ-5, RFC 5508 REQ-2, RFC 6092 REC-12, REC-40) hold in the normal column. */
static void timeouts_of_a_gateway_keep_the_floors(void **state)
{
	static const struct {
		int phase;
		unsigned floor_s;
	} rows[] = { { SP_PHASE_TCP_ESTABLISHED, 7440 }, { SP_PHASE_TCP_SYN_SENT, 240 },
		     { SP_PHASE_TCP_SYN_RECEIVED, 240 }, { SP_PHASE_TCP_LAST_ACK, 240 },
		     { SP_PHASE_TCP_TIME_WAIT, 240 },	 { SP_PHASE_UDP_UNANSWERED, 120 },
		     { SP_PHASE_UDP_ANSWERED, 300 },	 { SP_PHASE_ICMP_UNANSWERED, 60 },
		     { SP_PHASE_ICMP_ANSWERED, 60 },	 { SP_PHASE_OTHER_UNANSWERED, 120 },
		     { SP_PHASE_ASSOC_UNANSWERED, 240 }, { SP_PHASE_ASSOC_ANSWERED, 7440 } };
	struct sp_config c;

	sp_config_init(&c, 1000, SP_CONFIG_GATEWAY, secret);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(c.timeout_ns[0][rows[i].phase] >= rows[i].floor_s * SP_NS_PER_S);
}

static void pressure_never_shortens_answered_ones(void **state)
{
	struct sp_config c;

	for (sp_u32 flags = 0; flags <= SP_CONFIG_GATEWAY; flags++) {
		sp_config_init(&c, 1000, flags, secret);
		for (unsigned phase = 1; phase < SP_PHASE_ALIAS; phase++) {
			assert_true(c.timeout_ns[1][phase] <= c.timeout_ns[0][phase]);
			assert_true(c.timeout_ns[1][phase] > 0);
			if (sp_phase_class(phase) == SP_CLASS_ANSWERED)
				assert_true(c.timeout_ns[1][phase] == c.timeout_ns[0][phase]);
		}
	}
}

struct unit_result unit_config(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capacity_is_rounded_up_to_sets),
		cmocka_unit_test(budgets),
		cmocka_unit_test(timeouts_of_a_gateway_keep_the_floors),
		cmocka_unit_test(pressure_never_shortens_answered_ones),
	};

	return UNIT_RUN("config", tests);
}
