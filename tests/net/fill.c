/* SPDX-License-Identifier: BSD-2-Clause */
/* Fills the live flow table of this network namespace: fill N puts N answered TCP conversations into it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../ctl/ctl.h"
#include "../../host/engine.h"

int main(int argc, char **argv)
{
	struct sp_live live;
	struct sp_err err = { 0 };
	struct sp_engine engine = { 0 };
	sp_u32 wanted = argc == 2 ? (sp_u32)strtoul(argv[1], NULL, 10) : 0, done = 0;
	sp_u64 now = sp_now_ns();

	if (!wanted) {
		fprintf(stderr, "usage: fill N\n");
		return 2;
	}
	if (sp_live_open(&live, &err)) {
		fprintf(stderr, "fill: %s\n", err.text);
		return 1;
	}
	engine.t = live.t;
	for (sp_u32 i = 0; i < wanted; i++) {
		struct in_addr inside = { htonl(0x0a000000u + i / 50) }, outside = { htonl(0x05060000u + i % 997) };
		struct sp_key key;
		int end = sp_key_make(&key, SP_IPV4, IPPROTO_TCP, &inside, &outside, (sp_u16)(10000 + i % 50), 443);

		if (sp_engine_adopt(&engine, &key, end, SP_ZONE_INSIDE, SP_ZONE_OUTSIDE, now))
			done++;
	}
	sp_live_close(&live);
	printf("%u of %u conversations are in the table\n", done, wanted);
	return done == wanted ? 0 : 1;
}
