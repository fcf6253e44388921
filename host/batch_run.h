/* SPDX-License-Identifier: BSD-2-Clause */
/* One way to run batches. The including file has chosen its names (SP_BATCH_WAY), the processor, and maybe SP_ALONE. */
#ifndef SP_HOST_BATCH_RUN_H
#define SP_HOST_BATCH_RUN_H

#include "batch.h"

#include "../port/port_host.h"

#include "through.h"

static inline void ahead(struct sp_engine *e, struct sp_batch *b, const struct sp_engine_packet *in, sp_u32 n)
{
	sp_stage_read(e, b, in, n);
	sp_stage_hash(e, b);
	sp_stage_match(e, b, n);
	sp_stage_second(e, b);
	sp_stage_follow(e, b, n);
}

void SP_BATCH_WAY(batch)(struct sp_engine *e, const struct sp_engine_packet *in, struct sp_engine_result *out, sp_u32 n,
			 struct sp_counter *counters)
{
	struct sp_batch b;

	sp_host = e;
	for (sp_u32 done = 0; done < n; done += SP_BATCH) {
		const sp_u32 now = n - done < SP_BATCH ? n - done : SP_BATCH;

		ahead(e, &b, in + done, now);
		sp_stage_decide(e, &b, in + done, out + done, now, counters);
	}
}

void SP_BATCH_WAY(forward)(struct sp_engine *e, const struct sp_engine_through *t, sp_u32 n, struct sp_counter *counters)
{
	struct sp_batch b;

	sp_host = e;
	for (sp_u32 done = 0; done < n; done += SP_BATCH) {
		const sp_u32 now = n - done < SP_BATCH ? n - done : SP_BATCH;

		ahead(e, &b, t->in + done, now);
		for (sp_u32 i = 0; i < now; i++)
			sp_through(&b.door[i], e, t, done + i, counters);
	}
}

#endif
