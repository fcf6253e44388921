/* SPDX-License-Identifier: BSD-2-Clause */
/* Translation: aliases, addresses, ports, at both hooks, and what is asked of others. */
#include "world.h"

/* One call, each time with another packet, of what a verifier or a caller may enter directly. */
int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;

	world_begin();
	p = world_packet(&packet);
	sp_alias_link(p);
	p = world_packet(&packet);
	sp_alias_key(p);
	p = world_packet(&packet);
	sp_nat_resolve(p);
	p = world_packet(&packet);
	sp_nat_hides(p);
	p = world_packet(&packet);
	sp_nat_forward(p);
	p = world_packet(&packet);
	sp_nat_mapped(p, any_u32);
	p = world_packet(&packet);
	sp_nat_settle(p, any_u8);
	p = world_packet(&packet);
	sp_nat_destination(p);
	p = world_packet(&packet);
	sp_nat_give(&world_dev, p, any_u32);
	p = world_packet(&packet);
	sp_nat_at_once(&world_dev, p, any_u32);
	p = world_packet(&packet);
	sp_nat_known(p);
	p = world_packet(&packet);
	sp_nat_slot_of(any_u32);
	p = world_packet(&packet);
	sp_nat_suits(any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_nat_look(p, any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_nat_choose(p);
	p = world_packet(&packet);
	sp_port_take(any_u32, any_u64);
	p = world_packet(&packet);
	sp_forwards_back(p);
	p = world_packet(&packet);
	sp_port_try(&world_dev, p, any_u32, any_u32);
	p = world_packet(&packet);
	sp_port_seek(&world_dev, p, any_u32);
	p = world_packet(&packet);
	sp_port_claim(&world_dev, p);
	p = world_packet(&packet);
	sp_others_translate(any_u64);
	return 0;
}
