/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole packet path: any packet at any hook, on any table, under any policy, while others write. */
#include "world.h"

int main(void)
{
	struct sp_pkt p;
	int reason;

	world_begin();
	world_door(&p);
	reason = sp_process(&world_dev, &p);
	/* a caller may count by it */
	/*@ assert reason: 0 <= reason < SP_REASON_COUNT; */
	return reason;
}
