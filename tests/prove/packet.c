/* SPDX-License-Identifier: BSD-2-Clause */
/* The native port's packet memory: loads, stores and sums at any offset of frames from 0 to 65,535 bytes. */
#include "memory.h"

#define EACH 128 /* up to here each length, then some */
#define LONGEST 65535

static sp_u8 frame[LONGEST], out[LONGEST];

/* The frame's last byte is the last of the memory: one byte further is seen. */
static void one_length(sp_u32 len)
{
	struct sp_host_dev dev = { .data = frame + LONGEST - len, .out = out + LONGEST - len, .len = len };
	sp_u8 bytes[SP_OPTIONS_MAX] = {};

	sp_sum(&dev, any_u32, any_u32, any_u32);
	memory_load_some(&dev, any_u32, bytes, 1 + any_u32 % SP_OPTIONS_MAX);
	if (any_bit())
		dev.out = SP_NULL;
	sp_put(&dev, any_u32, bytes, 1);
	sp_put(&dev, any_u32, bytes, 2);
	sp_put(&dev, any_u32, bytes, 4);
}

int main(void)
{
	UNKNOWN(frame);
	UNKNOWN(out);
	/*@ loop unroll EACH + 1; */
	for (sp_u32 len = 0; len <= EACH; len++)
		one_length(len);
	one_length(256);
	one_length(512);
	one_length(1024);
	one_length(1514);
	one_length(2048);
	one_length(9216);
	one_length(LONGEST);
	return 0;
}
