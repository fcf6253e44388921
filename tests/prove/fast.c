/* SPDX-License-Identifier: BSD-2-Clause */
/* The fast path: frames of each length on real packet memory, in the world of all tables. */
#include "world.h"

#include "../../core/express.h"
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
	f = sp_fast_find(c, s, p, any_bit(), any_bit());
	if (!f || sp_fast_doubts(data, end, p) || !sp_fast_fits(c, s, f, p, any_u64))
		return;
	if (any_bit() && !sp_fast_source(f, p, any_u8, any_u64))
		return;
	if (sp_fast_record(f, p) == SP_R_NONE)
		return;
	if (p->nat == SP_NAT_SRC && any_u8 != sp_source_told(p->now_ns))
		sp_source_tell(p);
	sp_fast_write(data, end, p, (sp_u32)any_bit());
}

/* A conversation that begins as another one did a moment ago. */
static void beginning(struct sp_pkt *p)
{
	world_packet(p);
	if ((p->kind != SP_KIND_UDP && !sp_is_first_syn(p)) || !sp_order_none(p->generation, any_u32, any_u32))
		return;
	sp_fast_fresh(p, any_u32, any_u16, any_u8, any_u64);
	if (sp_flow_insert(p) != SP_R_NONE)
		return;
	sp_sweep_new(p->hash, p->now_ns);
	sp_express_leaves(p, any_u32, any_u8);
	sp_express_source(&world_dev, p);
}

int main(void)
{
	struct sp_pkt packet;

	world_begin();
	UNKNOWN(frame);
	/*@ loop unroll LENGTHS + 1; */
	for (sp_u32 len = 0; len <= LENGTHS; len++)
		one_length(len, &packet);
	beginning(&packet);
	return 0;
}
