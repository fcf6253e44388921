/* SPDX-License-Identifier: BSD-2-Clause */
/* What crosses the kernel/user boundary: no hidden padding, sizes within their budgets, names that are unique. */
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define END(type, member) (offsetof(struct type, member) + sizeof(((struct type *)0)->member))
#define NEXT_TO(type, a, b) assert_int_equal(END(type, a), offsetof(struct type, b))

static void flow_has_no_holes(void **state)
{
	NEXT_TO(sp_key, addr, port);
	NEXT_TO(sp_key, port, proto);
	NEXT_TO(sp_key, proto, family);
	NEXT_TO(sp_key, family, query);
	assert_int_equal(END(sp_key, query), sizeof(struct sp_key));
	NEXT_TO(sp_flow, key, lock);
	NEXT_TO(sp_flow, lock, flags);
	NEXT_TO(sp_flow, flags, phase);
	NEXT_TO(sp_flow, phase, ends);
	NEXT_TO(sp_flow, ends, wscale);
	NEXT_TO(sp_flow, wscale, seen_ns);
	NEXT_TO(sp_flow, seen_ns, generation);
	NEXT_TO(sp_flow, generation, line);
	NEXT_TO(sp_flow, line, zone_from);
	NEXT_TO(sp_flow, zone_from, zone_to);
	NEXT_TO(sp_flow, zone_to, peer);
	NEXT_TO(sp_flow, peer, bytes);
	NEXT_TO(sp_flow, bytes, packets);
	NEXT_TO(sp_flow, packets, packets_high);
	NEXT_TO(sp_flow, packets_high, born_s);
	assert_int_equal(END(sp_flow, born_s), sizeof(struct sp_flow));
}

static void fragment_event_and_test_have_no_holes(void **state)
{
	NEXT_TO(sp_frag, dst, id);
	NEXT_TO(sp_frag, id, proto);
	NEXT_TO(sp_frag, poisoned, lock);
	NEXT_TO(sp_frag, lock, total);
	NEXT_TO(sp_frag, total, born_ns);
	NEXT_TO(sp_frag, born_ns, nat4);
	NEXT_TO(sp_frag, nat4, hook);
	NEXT_TO(sp_frag, pad_, passed);
	NEXT_TO(sp_frag, passed, seen);
	NEXT_TO(sp_event, time_ns, src);
	NEXT_TO(sp_event, dst, sport);
	NEXT_TO(sp_event, dport, ifindex);
	NEXT_TO(sp_event, flow, kind);
	NEXT_TO(sp_event, icmp_code, logged);
	NEXT_TO(sp_event, logged, line);
	NEXT_TO(sp_event, line, generation);
	assert_int_equal(END(sp_event, generation), sizeof(struct sp_event));
	NEXT_TO(sp_test, now_ns, zone);
	NEXT_TO(sp_test, forwarded, zone_to);
	NEXT_TO(sp_test, zone_to, zone_from);
	NEXT_TO(sp_test, inside4_mask, inside6_bits);
	NEXT_TO(sp_test, pad2_, inside6);
	NEXT_TO(sp_test, inside6, me6);
}

/* The budget of the design: at most 128 bytes a conversation, plus the index. */
static void memory_of_a_conversation(void **state)
{
	double index = (double)sizeof(struct sp_set) / SP_WAYS;

	assert_true(sizeof(struct sp_flow) <= 128);
	assert_int_equal(sizeof(struct sp_set), 64);
	printf("memory: %zu bytes a conversation, and %.2f of index\n", sizeof(struct sp_flow), index);
}

static void reasons_have_unique_names_and_sentences(void **state)
{
	for (unsigned i = 0; i < SP_REASON_COUNT; i++) {
		assert_true(strlen(sp_reason_name(i)) > 0);
		assert_true(strlen(sp_reason_text(i)) > 0);
		assert_int_equal(sp_reason_by_name(sp_reason_name(i)), i);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(sp_reason_text(i), sp_reason_text(k));
	}
	assert_int_equal(sp_reason_by_name("no_such_reason"), -1);
	assert_int_equal(sp_reason_by_name(""), -1);
}

static void names_out_of_range_are_harmless(void **state)
{
	assert_non_null(sp_reason_name(SP_REASON_COUNT));
	assert_non_null(sp_reason_text(1000000));
	assert_non_null(sp_phase_name(SP_PHASE_COUNT));
	assert_non_null(sp_class_name(99));
	assert_non_null(sp_zone_name(99));
}

static void phases_fit_their_table(void **state)
{
	assert_true(SP_PHASE_COUNT <= SP_PHASE_SLOTS);
	assert_int_equal(sp_phase_class(SP_PHASE_TCP_ESTABLISHED), SP_CLASS_ANSWERED);
	assert_int_equal(sp_phase_class(SP_PHASE_TCP_SYN_SENT), SP_CLASS_UNANSWERED);
	assert_int_equal(sp_phase_class(SP_PHASE_TCP_TIME_WAIT), SP_CLASS_CLOSING);
	assert_string_equal(sp_phase_name(SP_PHASE_UDP_ANSWERED), "answered");
}

struct unit_result unit_abi(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_has_no_holes),
		cmocka_unit_test(fragment_event_and_test_have_no_holes),
		cmocka_unit_test(memory_of_a_conversation),
		cmocka_unit_test(reasons_have_unique_names_and_sentences),
		cmocka_unit_test(names_out_of_range_are_harmless),
		cmocka_unit_test(phases_fit_their_table),
	};

	return UNIT_RUN("abi", tests);
}
