/* SPDX-License-Identifier: BSD-2-Clause */
/* An engine with a fault, to see that it is found: it lets every reset in that belongs to a conversation. */
#include "wrong.h"

static struct tengine *wrong_open(sp_u32 capacity_max, char *err, size_t err_len)
{
	struct tengine *t = tengine_native.open(capacity_max, err, err_len);

	if (t)
		t->ops = &tengine_wrong;
	return t;
}

static void wrong_close(struct tengine *t)
{
	tengine_native.close(t);
}

static int wrong_reset(struct tengine *t, sp_u32 capacity, sp_u32 flags)
{
	return tengine_native.reset(t, capacity, flags);
}

static int wrong_judge(struct tengine *t, const struct sp_engine_packet *p, sp_u8 *out, struct sp_engine_result *result)
{
	const int rc = tengine_native.judge(t, p, out, result);

	if (!rc && result->reason == SP_R_TCP_RST_SEQ) {
		result->reason = SP_R_ANSWER;
		result->verdict = SP_PASS;
	}
	return rc;
}

static int wrong_image(struct tengine *t, sp_u32 generation, const struct sp_image *image)
{
	return tengine_native.image(t, generation, image);
}

static int wrong_counters(struct tengine *t, struct sp_counter out[SP_REASON_COUNT])
{
	return tengine_native.counters(t, out);
}

const struct tengine_ops tengine_wrong = {
	.name = "wrong",
	.open = wrong_open,
	.close = wrong_close,
	.reset = wrong_reset,
	.judge = wrong_judge,
	.image = wrong_image,
	.counters = wrong_counters,
};
