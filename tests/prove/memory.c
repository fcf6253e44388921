/* SPDX-License-Identifier: BSD-2-Clause */
/* The native engine, a packet of 1,514 bytes from its door to its counter, on memory with unknown contents. */
#include "memory.h"

#include "../../host/door.h"

#define FRAME 1514

static sp_u8 frame[FRAME], out[FRAME];

/* events are the caller's: this one looks at all of it */
static struct sp_event told;

static void tell(void *arg, const struct sp_event *e)
{
	(void)arg;
	told = *e;
}

/* sp_engine_packet(), which lies beside functions that Eva need not know */
static void packet(struct sp_engine *e, const struct sp_engine_packet *in, struct sp_engine_result *result)
{
	struct sp_door d;
	int reason;

	sp_door_open(&d, e, in);
	d.dev.hashed = any_u32; /* as for a batch */
	d.dev.hint = any_u32;
	reason = sp_passes_unread(in) ? SP_R_FORWARDED : sp_process(&d.dev, &d.p);
	sp_door_close(&d, e, in, reason, e->counters, result);
}

int main(void)
{
	struct sp_engine_packet in = { .data = frame, .len = FRAME };
	struct sp_engine_result result;

	memory_begin();
	UNKNOWN(frame);
	UNKNOWN(memory_engine.counters);
	memory_engine.event = any_bit() ? tell : SP_NULL;
	in.out = any_bit() ? out : SP_NULL;
	in.gso_segs = any_u32;
	in.now_ns = any_u64;
	in.ifindex = any_u32;
	in.zone = any_u8;
	in.hook = any_u8;
	in.bare_ip = any_u8;
	in.forwarded = any_u8;
	in.zone_from = any_u8;
	packet(&memory_engine, &in, &result);
	return result.verdict;
}
