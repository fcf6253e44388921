/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of libsallyport share: the engine behind the handle, and what it needs beside its tables. */
#ifndef SP_LIB_INTERNAL_H
#define SP_LIB_INTERNAL_H

#include "../host/engine.h"
#include "../include/sallyport.h"
#include "../policy/image.h"

#define SP_LIB_NETWORKS_MAX 1024

struct sp_lib_network {
	struct sp_addr addr; /* bits beyond the prefix are 0 */
	sp_u8 family; /* enum sp_family */
	sp_u8 bits;
	sp_u8 zone; /* enum sp_zone */
};

struct sp_lib_address {
	sp_u32 addr; /* IPv4, raw */
	sp_u32 ifindex;
};

struct sallyport {
	struct sp_engine *e;
	struct sp_image image[SP_IMAGE_SLOTS]; /* policies by generation % SP_IMAGE_SLOTS */
	struct sp_lib_network *network; /* longest prefix first */
	sp_u32 networks;
	struct sp_lib_address address[SP_NAT_SLOTS];
	sp_u32 addresses;
};

/* network.c: zone of an address; may a packet from that zone have that source? arg: struct sallyport. */
sp_u8 sp_lib_zone_of(void *arg, sp_u8 family, const struct sp_addr *a);
int sp_lib_fits(void *arg, sp_u8 zone, sp_u8 family, const struct sp_addr *a);

/* policy.c: the policy in force, NULL: only what is built in. */
const struct sp_image_line *sp_lib_image(const struct sallyport *s);

/* address.c: fills the slots of the engine: addresses that were given, and the pool of that policy. 0 or -ENOSPC. */
int sp_lib_slots(struct sallyport *s, const struct sp_image_line *image);

#endif
