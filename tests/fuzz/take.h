/* SPDX-License-Identifier: BSD-2-Clause */
/* The bytes that a fuzzer gives, taken one after the other; when they are used up, zeros. */
#ifndef TESTS_FUZZ_TAKE_H
#define TESTS_FUZZ_TAKE_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/types.h"

struct take {
	const sp_u8 *at;
	size_t left;
};

static inline sp_u32 take_bytes(struct take *t, size_t n)
{
	sp_u32 value = 0;

	for (size_t i = 0; i < n && t->left; i++, t->left--)
		value |= (sp_u32)*t->at++ << (8 * i);
	return value;
}

static inline sp_u8 take8(struct take *t)
{
	return (sp_u8)take_bytes(t, 1);
}

static inline sp_u16 take16(struct take *t)
{
	return (sp_u16)take_bytes(t, 2);
}

/* What must hold; says where and ends the run, so that the fuzzer keeps the input. */
#define HOLDS(what, ...)                                                                     \
	do {                                                                                 \
		if (!(what)) {                                                               \
			fprintf(stderr, "%s:%d: does not hold: %s: ", __FILE__, __LINE__, #what); \
			fprintf(stderr, __VA_ARGS__);                                        \
			fprintf(stderr, "\n");                                               \
			abort();                                                             \
		}                                                                            \
	} while (0)

int LLVMFuzzerTestOneInput(const sp_u8 *data, size_t size);

#endif
