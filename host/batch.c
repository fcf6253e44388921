/* SPDX-License-Identifier: BSD-2-Clause */
/* Many packets at once through the native engine. docs/decisions/0019-batches.md says what is gained, and how. */
#include "batch.h"

int sp_batch_has_wide(void)
{
#ifdef __x86_64__
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") ? 1 : 0;
#else
	return 0;
#endif
}

void sp_engine_packets(struct sp_engine *e, const struct sp_engine_packet *in, struct sp_engine_result *out, sp_u32 n,
		       struct sp_counter *counters)
{
	static sp_batch_fn *const ways[2][2] = {
		{ sp_batch_plain, sp_batch_alone },
		{ sp_batch_wide, sp_batch_wide_alone },
	};

	ways[sp_batch_has_wide()][e->one_thread != 0](e, in, out, n, counters ? counters : e->counters);
}

void sp_engine_forward(struct sp_engine *e, const struct sp_engine_through *t, sp_u32 n, struct sp_counter *counters)
{
	static sp_forward_fn *const ways[2][2] = {
		{ sp_forward_plain, sp_forward_alone },
		{ sp_forward_wide, sp_forward_wide_alone },
	};

	ways[sp_batch_has_wide()][e->one_thread != 0](e, t, n, counters ? counters : e->counters);
}
