/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser: any packet of any length, from the link header to the packet that an ICMP error quotes. */
#include "world.h"

int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;
	struct sp_walk walk;
	struct sp_options options;

	world_begin();
	world_door(&packet);
	p = any_bit() ? &packet : SP_NULL;
	sp_parse(&world_dev, p);
	world_door(&packet);
	sp_read_packet(&world_dev, &packet);
	p = world_packet(&packet);
	sp_parse_quote(&world_dev, p);
	p = world_packet(&packet);
	sp_checksum_good(&world_dev, p);
	UNKNOWN(walk);
	sp_walk6(&world_dev, any_bit() ? &walk : SP_NULL);
	UNKNOWN(options);
	sp_options_ip4(any_bit() ? &options : SP_NULL);
	UNKNOWN(options);
	sp_options_tcp(any_bit() ? &options : SP_NULL);
	return 0;
}
