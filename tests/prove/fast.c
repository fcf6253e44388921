/* SPDX-License-Identifier: BSD-2-Clause */
/* The fast path: frames of each length on real packet memory, in the world of all tables. */
#include "world.h"

#include "../../core/fast.h"

#define LENGTHS 128

static sp_u8 frame[LENGTHS];

/* As the XDP and TC programs call it; the frame's last byte is the last of the memory. */
static void one_length(sp_u32 len, struct sp_pkt *p)
{
	sp_u8 *data = frame + LENGTHS - len, *end = frame + LENGTHS;
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	struct sp_flow *f;

	world_packet(p);
	if (!c || !s || !sp_fast_read(data, end, any_u32, p))
		return;
	f = sp_fast_find(c, s, p);
	if (!f || sp_fast_doubts(data, end, p) || !sp_fast_fits(c, s, f, p, any_u64))
		return;
	if (any_bit() && !sp_fast_source(f, p, any_u8, any_u64))
		return;
	if (sp_fast_record(f, p) != SP_R_NONE)
		sp_fast_write(data, end, p, (sp_u32)any_bit());
}

int main(void)
{
	struct sp_pkt packet;

	world_begin();
	UNKNOWN(frame);
	/*@ loop unroll LENGTHS + 1; */
	for (sp_u32 len = 0; len <= LENGTHS; len++)
		one_length(len, &packet);
	return 0;
}
