/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests: each file defines one group; main.c runs them and writes the closing line. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/engine.h"

struct unit_result {
	int passed, failed;
};

/* Runs one group: cmocka returns how many of its tests failed. */
#define UNIT_RUN(group, tests)                                                              \
	({                                                                                  \
		int failed_ = cmocka_run_group_tests_name(group, tests, NULL, NULL);        \
		(struct unit_result){ (int)(sizeof(tests) / sizeof((tests)[0])) - failed_, failed_ }; \
	})

struct unit_result unit_abi(void);
struct unit_result unit_key(void);
struct unit_result unit_siphash(void);
struct unit_result unit_config(void);
struct unit_result unit_table(void);
struct unit_result unit_refuse(void);
struct unit_result unit_batch(void);

/* Deterministic random numbers (splitmix64). */
static inline sp_u64 unit_random(sp_u64 *state)
{
	sp_u64 z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

#endif
