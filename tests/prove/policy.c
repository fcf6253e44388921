/* SPDX-License-Identifier: BSD-2-Clause */
/* Policy: any image, also one that no validator has seen; rates, limits, idle times. */
#include "world.h"

/* One call, each time with another packet, of what a verifier or a caller may enter directly. */
int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;

	world_begin();
	p = world_packet(&packet);
	sp_halve(p, any_u32, any_u64, any_u64);
	p = world_packet(&packet);
	sp_class(p, any_u32);
	p = world_packet(&packet);
	sp_halve_suffix(p, any_u32, any_u64);
	p = world_packet(&packet);
	sp_class_suffix(p, any_u32, any_u32);
	p = world_packet(&packet);
	sp_rule_find(any_u32, any_u32, any_u32, any_u64);
	p = world_packet(&packet);
	sp_image_ask(p, any_u32, any_u32);
	p = world_packet(&packet);
	sp_order_idle_s(any_u32, any_u32);
	p = world_packet(&packet);
	sp_limit_add(any_bit() ? SP_NULL : sp_flow_at(0), any_u32);
	p = world_packet(&packet);
	sp_rate_try(any_u64, any_u64, any_u64, any_u64);
	p = world_packet(&packet);
	sp_rate_take(any_u64, any_u64, any_u64, any_u64);
	p = world_packet(&packet);
	sp_order_admit(p);
	p = world_packet(&packet);
	sp_still_forwarded(p, any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_redecide(p);
	p = world_packet(&packet);
	sp_reason_drops(any_u32);
	return 0;
}
