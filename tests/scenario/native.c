/* SPDX-License-Identifier: BSD-2-Clause */
/* The native engine behind the face that all engines under test have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_api.h"

static const sp_u64 test_secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

const struct tengine_ops *tengine_by_name(const char *name)
{
	static const struct tengine_ops *const all[] = { &tengine_native, &tengine_tc, &tengine_xdp, &tengine_lane,
							 &tengine_batch };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

static void free_engine(struct sp_engine *e)
{
	if (e && e->t.nat)
		e->t.nat->slots = TENGINE_NAT_SLOTS; /* the ports that it has */
	sp_engine_free(e);
}

static int native_reset(struct tengine *t, sp_u32 capacity, sp_u32 flags)
{
	struct sp_engine *fresh = sp_engine_new(capacity, flags, test_secret);

	if (!fresh)
		return -ENOMEM;
	if (sp_engine_nat(fresh, TENGINE_NAT_SLOTS)) {
		sp_engine_free(fresh);
		return -ENOMEM;
	}
	fresh->t.nat->slots = 0;
	if (t->core)
		fresh->side = t->core->side;
	free_engine(t->core);
	t->core = fresh;
	return 0;
}

static struct tengine *native_open(sp_u32 capacity_max, char *err, size_t err_len)
{
	struct tengine *t = calloc(1, sizeof(*t));

	if (t) {
		t->ops = &tengine_native;
		t->capacity_max = capacity_max;
		if (!native_reset(t, capacity_max, 0))
			return t;
	}
	snprintf(err, err_len, "native engine: no memory for %u conversations", capacity_max);
	free(t);
	return NULL;
}

static void native_close(struct tengine *t)
{
	if (!t)
		return;
	free_engine(t->core);
	free(t);
}

static int native_judge(struct tengine *t, const struct sp_engine_packet *p, sp_u8 *out, struct sp_engine_result *result)
{
	struct sp_engine_packet in = *p;

	in.out = out;
	memset(result, 0, sizeof(*result));
	sp_engine_packet(t->core, &in, NULL, result);
	if (!result->rewritten)
		memcpy(out, p->data, p->len);
	return 0;
}

static int native_image(struct tengine *t, sp_u32 generation, const struct sp_image *image)
{
	t->core->images[generation % SP_IMAGE_SLOTS] = image ? image->v : NULL;
	return 0;
}

static int native_counters(struct tengine *t, struct sp_counter out[SP_REASON_COUNT])
{
	memcpy(out, t->core->counters, sizeof(t->core->counters));
	return 0;
}

const struct tengine_ops tengine_native = {
	.name = "native",
	.open = native_open,
	.close = native_close,
	.reset = native_reset,
	.judge = native_judge,
	.image = native_image,
	.counters = native_counters,
};

/* ---- the same by the way that batches take, which has a fast path of its own ------------------------------------- */

static struct tengine *batch_open(sp_u32 capacity_max, char *err, size_t err_len)
{
	struct tengine *t = native_open(capacity_max, err, err_len);

	if (t)
		t->ops = &tengine_batch;
	return t;
}

static int batch_judge(struct tengine *t, const struct sp_engine_packet *p, sp_u8 *out, struct sp_engine_result *result)
{
	struct sp_engine_packet in = *p;

	in.out = out;
	memset(result, 0, sizeof(*result));
	sp_engine_packets(t->core, &in, result, 1, NULL);
	if (!result->rewritten)
		memcpy(out, p->data, p->len);
	return 0;
}

const struct tengine_ops tengine_batch = {
	.name = "batch",
	.open = batch_open,
	.close = native_close,
	.reset = native_reset,
	.judge = batch_judge,
	.image = native_image,
	.counters = native_counters,
};
