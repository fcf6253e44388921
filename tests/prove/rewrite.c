/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that change: addresses, ports, checksums, quotes; the express lane. */
#include "world.h"

#include "../../core/express.h"

/* One call, each time with another packet, of what a verifier or a caller may enter directly. */
int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;

	world_begin();
	p = world_packet(&packet);
	sp_mend(&world_dev, any_u32, any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_put_addr(&world_dev, any_u32, any_u32, any_u32);
	p = world_packet(&packet);
	sp_rewrite_l4(&world_dev, p);
	p = world_packet(&packet);
	sp_put_quoted(&world_dev, p, any_u32, any_u32);
	p = world_packet(&packet);
	sp_fix_quoted(&world_dev, p, any_u32, any_u32);
	p = world_packet(&packet);
	sp_rewrite_quote(&world_dev, p);
	p = world_packet(&packet);
	sp_rewrite(&world_dev, p);
	p = world_packet(&packet);
	sp_checksum_good(&world_dev, p);
	p = world_packet(&packet);
	sp_unfinished(&world_dev, p);
	p = world_packet(&packet);
	sp_express_source(&world_dev, p);
	p = world_packet(&packet);
	if (p && sp_is_simple(p))
		sp_express_hop(&world_dev, p);
	return 0;
}
