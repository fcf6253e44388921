/* SPDX-License-Identifier: BSD-2-Clause */
/* Many packets at once through the native engine. docs/decisions/0019-batches.md says what is gained, and how. */
#include "engine.h"

#include "../port/port_host.h"

#include "stages.h"

void sp_engine_packets(struct sp_engine *e, const struct sp_engine_packet *in, struct sp_engine_result *out, sp_u32 n,
		       struct sp_counter *counters)
{
	struct sp_batch b;

	sp_host = e;
	if (!counters)
		counters = e->counters;
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
