/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments: the bitmap, the table of datagrams, their lock. */
#include "world.h"

/* One call, each time with another packet, of what a verifier or a caller may enter directly. */
int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;

	world_begin();
	p = world_packet(&packet);
	sp_frag_word(any_u32, any_u32, any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_frag_range(any_u32, any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_frag_mark(p, any_u32);
	p = world_packet(&packet);
	sp_frag_open(p, any_u32 % SP_FRAG_COUNT);
	p = world_packet(&packet);
	sp_frag_piece(p);
	return 0;
}
