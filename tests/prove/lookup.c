/* SPDX-License-Identifier: BSD-2-Clause */
/* The native port's look-ups, by any index: nothing, or a whole object, all of whose bytes are there. */
#include "memory.h"

static sp_u8 sink;

/* Eva reports a byte that is not there. */
#define WHOLE(pointer) touch((sp_u8 *)(pointer), sizeof(*(pointer)))

static void touch(sp_u8 *bytes, sp_u32 n)
{
	if (!bytes)
		return;
	sink = bytes[0];
	bytes[0] = sink;
	sink = bytes[n - 1];
	bytes[n - 1] = sink;
}

int main(void)
{
	memory_begin();
	WHOLE(sp_config_get());
	WHOLE(sp_state_get());
	WHOLE(sp_set_at(any_u32));
	WHOLE(sp_flow_at(any_u32));
	WHOLE(sp_frag_at(any_u32));
	WHOLE(sp_sketch_at(any_u32));
	WHOLE(sp_meter_at(any_u32));
	WHOLE(sp_nat_get());
	WHOLE(sp_port_at(any_u32));
	WHOLE(sp_image_at(any_u32, any_u32));
	return 0;
}
