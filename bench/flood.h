/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the flood's kernel program and its driver share: what to send, and how much was sent. */
#ifndef SP_BENCH_FLOOD_H
#define SP_BENCH_FLOOD_H

#define FLOOD_L4 24 /* bytes from the transport header on, whatever the kind */
#define FLOOD_FRAME4 (14 + 20 + FLOOD_L4 + 2) /* bytes of a frame; two of padding, as short frames have */
#define FLOOD_FRAME6 (14 + 40 + FLOOD_L4)
/*
 * Taken off the end of every frame: one that comes back shorter than it went (it was answered in its place) is given its
 * length again only if the program changes it.
 */
#define FLOOD_TAIL 4

enum flood_kind { FLOOD_SYN, FLOOD_ACK, FLOOD_RST, FLOOD_UDP, FLOOD_PIECE, FLOOD_PING, FLOOD_KINDS };

struct flood_orders {
	unsigned int kind; /* enum flood_kind */
	unsigned int family; /* 4 or 6 */
	unsigned int sources; /* so many different ones, a power of two; the port counts up beside them */
	unsigned int port; /* that is flooded, host order; 0: every one in turn */
	unsigned int out; /* interface that it is sent to */
	unsigned int next; /* number of the next packet */
	unsigned int every_ns; /* one packet in so many; 0: as fast as it goes */
	unsigned int pad;
	unsigned long long due_ns; /* when the next packet may go */
	unsigned long long until_ns; /* of the monotonic clock: none after that */
	unsigned char source[16]; /* the first one; the others follow it */
	unsigned char target[16];
	unsigned char to_mac[6], from_mac[6];
};

#endif
