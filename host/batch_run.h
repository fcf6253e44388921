/* SPDX-License-Identifier: BSD-2-Clause */
/* One way to run batches. The including file has chosen its name (SP_RUN), the processor, and maybe SP_ALONE. */
#ifndef SP_HOST_BATCH_RUN_H
#define SP_HOST_BATCH_RUN_H

#include "batch.h"

#include "../port/port_host.h"

#include "stages.h"

void SP_RUN(struct sp_engine *e, const struct sp_engine_packet *in, struct sp_engine_result *out, sp_u32 n,
	    struct sp_counter *counters)
{
	struct sp_batch b;

	sp_host = e;
	while (n) {
		const sp_u32 now = n < SP_BATCH ? n : SP_BATCH;

		sp_stage_read(e, &b, in, now);
		sp_stage_match(e, &b, now);
		sp_stage_second(e, &b, now);
		sp_stage_follow(e, &b, now);
		sp_stage_decide(e, &b, in, out, now, counters);
		in += now;
		out += now;
		n -= now;
	}
}

#endif
