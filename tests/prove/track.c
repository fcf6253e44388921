/* SPDX-License-Identifier: BSD-2-Clause */
/* The trackers: TCP, UDP, ICMP and all others, and the errors about them. */
#include "world.h"

/* One call, each time with another packet, of what a verifier or a caller may enter directly. */
int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;

	world_begin();
	p = world_packet(&packet);
	sp_track(p, any_u32);
	p = world_packet(&packet);
	sp_related(p);
	p = world_packet(&packet);
	sp_redecide(p);
	return 0;
}
