/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which side of the firewall a captured packet came from. A capture does not say; the source address does, once one knows
 * who is inside. Without any list the sender of the first IP packet is inside and everybody else is outside.
 */
#ifndef SP_HOST_SIDES_H
#define SP_HOST_SIDES_H

#include "glance.h"

#define SP_SIDES_MAX 256

enum sp_sides_how {
	SP_SIDES_FIRST_SENDER, /* list[0] becomes the sender of the first IP packet; it is inside */
	SP_SIDES_INSIDE, /* the list is the inside, everybody else is outside */
	SP_SIDES_OUTSIDE, /* the list is the outside, everybody else is inside */
	SP_SIDES_SELF, /* the list is this machine, everybody else is outside: the view of one guarded computer */
};

struct sp_prefix {
	struct sp_addr addr;
	sp_u8 family; /* enum sp_family */
	sp_u8 bits;
};

struct sp_sides {
	enum sp_sides_how how;
	int count;
	struct sp_prefix list[SP_SIDES_MAX];
};

/* Adds "addr", "net/bits" or several of them with commas. 0, -EINVAL (*bad: the word that is wrong), -ENOSPC. */
int sp_sides_add(struct sp_sides *s, const char *text, char *bad, sp_u32 bad_size) SP_MUST;

/* The zone of the interface that the packet meets, and the hook (enum sp_hook). Not IP: the outside. */
void sp_sides_judge(struct sp_sides *s, const struct sp_glance *g, sp_u8 *zone, sp_u8 *hook);

#endif
