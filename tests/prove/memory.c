/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole packet path on the native port's own memory: a packet of 1,514 bytes, tables with unknown contents. */
#include "memory.h"

#define FRAME 1514

static sp_u8 frame[FRAME], out[FRAME];

int main(void)
{
	struct sp_host_dev dev = { .data = frame, .len = FRAME };
	struct sp_pkt p;

	memory_begin();
	UNKNOWN(frame);
	dev.out = any_bit() ? out : SP_NULL;
	dev.hashed = any_u32;
	dev.hint = any_u32;
	memory_door(&p);
	return sp_process(&dev, &p);
}
