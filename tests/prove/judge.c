/* SPDX-License-Identifier: BSD-2-Clause */
/* Verdicts: each step of the pipeline by itself, with a packet in any state. */
#include "world.h"

int main(void)
{
	struct sp_pkt packet;
	struct sp_pkt *p;

	world_begin();
	p = world_packet(&packet);
	sp_judge_new(&world_dev, p);
	p = world_packet(&packet);
	sp_judge_turned(p);
	sp_sweep_timed(&world_state[any_bit()], any_u64);
	p = world_packet(&packet);
	sp_proven(p, any_u32);
	p = world_packet(&packet);
	sp_shed(p);
	p = world_packet(&packet);
	sp_prove(p);
	p = world_packet(&packet);
	sp_ask(p, any_u32);
	p = world_packet(&packet);
	sp_admit(p);
	world_packet(&packet);
	p = &packet;
	sp_judge_known(&world_dev, p);
	return 0;
}
