/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways to run a batch: one source (batch_run.h), compiled for any processor and for those with AVX2, for engines that
 * several threads use and for those with one. All of them give the same; tests call each, others sp_engine_packets().
 */
#ifndef SP_HOST_BATCH_H
#define SP_HOST_BATCH_H

#include "engine.h"

typedef void sp_batch_fn(struct sp_engine *e, const struct sp_engine_packet *in, struct sp_engine_result *out, sp_u32 n,
			 struct sp_counter *counters);

sp_batch_fn sp_batch_plain, sp_batch_alone; /* any processor; alone: no other thread is in the engine */
sp_batch_fn sp_batch_wide, sp_batch_wide_alone; /* only if sp_batch_has_wide() */

/* The same for sp_engine_forward(). */
typedef void sp_forward_fn(struct sp_engine *e, const struct sp_engine_through *t, sp_u32 n, struct sp_counter *counters);

sp_forward_fn sp_forward_plain, sp_forward_alone;
sp_forward_fn sp_forward_wide, sp_forward_wide_alone;

/* Does this processor have what the wide ones need? */
int sp_batch_has_wide(void);

#endif
