/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the time of a batch goes, stage by stage. */
#ifndef SP_BENCH_NATIVE_STAGES_H
#define SP_BENCH_NATIVE_STAGES_H

#include "traffic.h"

enum stage { STAGE_PARSE, STAGE_HASH, STAGE_MATCH, STAGE_SECOND, STAGE_FOLLOW, STAGE_DECIDE, STAGE_COUNT };

extern const char *const stage_names[STAGE_COUNT];

/*
 * Sends a block through in batches and adds the ns of each stage to spent[]; the reading of the clock is taken off. The
 * first two are measured by doing them once more, alone: in the engine they are one.
 */
void stages_run(struct traffic *t, const struct sp_engine_packet *in, double spent[STAGE_COUNT]);

/* ns of a keyed hash: of many in a row, and when the next one waits for it. */
double stages_hash(int waits, sp_u32 n);

#endif
