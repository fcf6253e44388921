/* SPDX-License-Identifier: BSD-2-Clause */
/* The flow table: find, insert, recycle, expire, sweep, locks and tags, aliases included. */
#include "world.h"

/* One call, each time with another packet, of what a verifier or a caller may enter directly. */
int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;

	world_begin();
	p = world_packet(&packet);
	sp_lock_turn(any_u32, any_u32);
	p = world_packet(&packet);
	sp_lock(any_u32, any_u32);
	p = world_packet(&packet);
	sp_tag_swap(any_u32, any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_set_find(any_u32, any_u32, p ? &p->key : SP_NULL);
	p = world_packet(&packet);
	sp_key_find(p ? &p->key : SP_NULL, any_u64);
	p = world_packet(&packet);
	sp_flow_find(p);
	p = world_packet(&packet);
	sp_set_claim(any_u32, any_u32);
	p = world_packet(&packet);
	sp_set_room(any_u32);
	p = world_packet(&packet);
	sp_flow_merit(any_u32, any_u64, any_u32, any_u32);
	p = world_packet(&packet);
	sp_set_recycle(any_u32, any_u64, any_u32);
	p = world_packet(&packet);
	sp_flow_insert(p);
	p = world_packet(&packet);
	sp_pair_fill(p, any_u32, any_u32);
	p = world_packet(&packet);
	sp_pair_insert(p);
	p = world_packet(&packet);
	sp_port_release(any_u32);
	p = world_packet(&packet);
	sp_alias_free(any_u32, any_u32);
	p = world_packet(&packet);
	sp_alias_expire(any_u32, any_u64);
	p = world_packet(&packet);
	sp_flow_expire(any_u32, any_u64);
	p = world_packet(&packet);
	sp_sweep_word(any_u32, any_u64);
	p = world_packet(&packet);
	sp_sweep(any_u64, any_u32);
	return 0;
}
