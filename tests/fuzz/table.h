/* SPDX-License-Identifier: BSD-2-Clause */
/* An engine whose tables are emptied quickly, and what must hold of them at any time. */
#ifndef TESTS_FUZZ_TABLE_H
#define TESTS_FUZZ_TABLE_H

#include "../../host/engine.h"

#define TABLE_CAPACITY 56 /* two sets: every key can be in both */
#define TABLE_SLOTS 2 /* outside addresses with ports */

struct sp_engine *table_new(void);
/* As new. translates: with ports, but no addresses yet. */
void table_fresh(struct sp_engine *e, sp_u32 flags, int translates);
/* Counts are those of a recount, ports are used as often as they say, nothing is locked, no key is there twice. */
void table_check(const struct sp_engine *e);
/* Both hold the same conversations, and have counted the same. In b a port may have been used so many seconds ago more. */
void table_same(const struct sp_engine *a, const struct sp_engine *b, sp_u32 late_s);
/* Nothing is left, in no cell. */
void table_check_empty(const struct sp_engine *e);

#endif
