/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading captures (pcap and pcapng) one packet at a time, whatever link they were taken on.
 *
 * Link headers that carry no more than a protocol number (Linux cooked, loopback) become an Ethernet header of zeros with
 * that number, so that one path serves all. A packet of which the capture kept only the beginning gets zeros for the
 * rest, and a right checksum: what the firewall would have seen is known as far as it looks, and no further.
 */
#ifndef SP_HOST_CAPTURE_H
#define SP_HOST_CAPTURE_H

#include <pcap/pcap.h>

#include "glance.h"

#define SP_CAPTURE_MAX (65535 + 128) /* bytes of one packet, link header included */

enum sp_capture_sums {
	SP_CAPTURE_SUMS_PARTIAL, /* finish those that were left to the network card, keep all others */
	SP_CAPTURE_SUMS_KEEP, /* the bytes as captured */
	SP_CAPTURE_SUMS_REPAIR, /* make all right */
};

struct sp_capture {
	pcap_t *pcap;
	const char *name; /* of the file, for messages; "standard input" for "-" */
	int link; /* DLT_* */
	enum sp_capture_sums sums; /* may be set after opening */
	sp_u64 number; /* packets read so far */
	sp_u64 last_ns;
	char error[512]; /* one line, lower case: what, where, what to do */
	sp_u8 buf[SP_CAPTURE_MAX];
};

struct sp_captured {
	sp_u64 number; /* 1 is the first */
	sp_u64 time_ns; /* of the capture's clock; never smaller than that of the packet before */
	const sp_u8 *data; /* valid until the next call; writable memory of the capture */
	sp_u32 len;
	sp_u8 bare_ip;
	sp_u8 cut; /* the capture kept only its beginning; the rest is zeros */
	struct sp_glance g;
};

/* path "-": standard input. 0, or a negative errno with c->error set; then nothing needs to be closed. */
int sp_capture_open(struct sp_capture *c, const char *path) SP_MUST;
/* 1: a packet, 0: the end, negative errno: c->error says what is wrong after which packet. */
int sp_capture_next(struct sp_capture *c, struct sp_captured *out) SP_MUST;
void sp_capture_close(struct sp_capture *c);

#endif
