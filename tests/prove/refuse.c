/* SPDX-License-Identifier: BSD-2-Clause */
/* Refusals: who is told, and the headers of the answers. */
#include "world.h"

#include "../../core/refuse.h"

int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;
	struct sp_tcp tcp, in;
	struct sp_ip4 ip4;
	struct sp_ip6 ip6;
	struct sp_addr src, dst;

	world_begin();
	p = &packet;
	UNKNOWN(packet);
	sp_is_logged(p, any_u32);
	sp_refuse_how(p, any_u32, any_bit());
	sp_budget_take(&world_meter[any_bit()], any_u64, SP_REFUSE_EVERY_NS, SP_REFUSE_BURST);
	sp_budget_take(&world_meter[any_bit()], any_u64, SP_LOG_EVERY_NS, SP_LOG_BURST);
	UNKNOWN(in);
	sp_refuse_rst(&tcp, &in, any_u32);
	sp_refuse_ask(&tcp, &in, any_u32);
	UNKNOWN(src);
	UNKNOWN(dst);
	sp_refuse_ip4(&ip4, (sp_be32){ any_u32 }, (sp_be32){ any_u32 }, any_u8, any_u32);
	sp_refuse_pseudo4(&ip4, any_u32);
	sp_refuse_ip6(&ip6, &src, &dst, any_u8, any_u32);
	sp_refuse_pseudo6(&ip6, any_u32);
	return 0;
}
