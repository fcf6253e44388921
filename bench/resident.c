// SPDX-License-Identifier: BSD-2-Clause
/*
 * What conversations of the native engine take of memory, resident.
 *
 *   resident FLOWS ROOM      FLOWS answered UDP conversations in a table with room for ROOM; prints a line of JSON
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../host/craft.h"
#include "../host/engine.h"

/* Kilobytes of ours that are in memory; 0: the system does not say. */
static unsigned long resident_kb(void)
{
	unsigned long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && !kb && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %lu", &kb) != 1)
			kb = 0;
	if (f)
		fclose(f);
	return kb;
}

/* Flow n: a sender of 10.0.0.0/8 asks one server, who answers. 0, or -1 if it was not let through. */
static int converse(struct sp_engine *e, sp_u32 n)
{
	unsigned char frame[64] = {
		[12] = 8, 0, 0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 17, 0, 0, /* IPv4, 50 bytes, do not fragment, UDP */
		10, 0, 0, 0, 5, 5, 1, 1, 0, 0, 9000 >> 8, 9000 & 255, 0, 30, 0, 0,
	};
	struct sp_engine_packet p = { .data = frame, .len = sizeof(frame), .zone = SP_ZONE_INSIDE, .hook = SP_HOOK_INGRESS };
	struct sp_engine_result r;
	unsigned char word[6];

	frame[27] = (unsigned char)(n >> 24);
	frame[28] = (unsigned char)(n >> 16);
	frame[29] = (unsigned char)(1 + (n >> 8 & 63));
	frame[34] = (unsigned char)(16 + (n >> 14 & 63));
	frame[35] = (unsigned char)n;
	for (int dir = 0; dir < 2; dir++) {
		sp_u32 sum = 0;

		frame[24] = frame[25] = 0;
		for (int i = 14; i < 34; i += 2)
			sum += (sp_u32)frame[i] << 8 | frame[i + 1];
		sum = (sum & 0xffff) + (sum >> 16);
		sum = ~(sum + (sum >> 16));
		frame[24] = (unsigned char)(sum >> 8);
		frame[25] = (unsigned char)sum;
		p.now_ns = 1000000000ull + n;
		sp_engine_packet(e, &p, NULL, &r);
		if (r.verdict != SP_PASS)
			return -1;
		memcpy(word, frame + 26, 4);
		memcpy(frame + 26, frame + 30, 4);
		memcpy(frame + 30, word, 4);
		memcpy(word, frame + 34, 2);
		memcpy(frame + 34, frame + 36, 2);
		memcpy(frame + 36, word, 2);
		p.zone = SP_ZONE_OUTSIDE;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const sp_u64 secret[2] = { 1, 2 };
	const unsigned long before = resident_kb();
	struct sp_engine *e;
	sp_u32 flows, held = 0;

	if (argc != 3 || !(flows = (sp_u32)strtoul(argv[1], NULL, 10))) {
		fprintf(stderr, "usage: resident FLOWS ROOM\n");
		return 2;
	}
	e = sp_engine_new((sp_u32)strtoul(argv[2], NULL, 10), 0, secret);
	if (!e) {
		fprintf(stderr, "resident: no memory for %s conversations\n", argv[2]);
		return 1;
	}
	e->side.zone_to = SP_ZONE_OUTSIDE;
	for (sp_u32 n = 0; n < flows; n++)
		held += !converse(e, n);
	printf("{\"held\": %u, \"bytes\": %lu}\n", held, (resident_kb() - before) * 1024);
	sp_engine_free(e);
	return held == flows ? 0 : 1;
}
