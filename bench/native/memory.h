/* SPDX-License-Identifier: BSD-2-Clause */
/* What this machine's memory allows: the limits that the engine's figures are held against. */
#ifndef SP_BENCH_NATIVE_MEMORY_H
#define SP_BENCH_NATIVE_MEMORY_H

#include "core/types.h"

struct memory;

/* Lines of 128 bytes, chained at random. NULL: no room. */
struct memory *memory_new(sp_u64 bytes);
void memory_free(struct memory *m);

/* ns for an access that waits for the one before; `chains` such at once, each counted. */
double memory_chase(struct memory *m, sp_u32 chains, sp_u32 steps);

#endif
