/* SPDX-License-Identifier: BSD-2-Clause */
/* What those who knock and those who listen for them agree on. */
#ifndef SP_TESTS_FAULTS_KNOCK_H
#define SP_TESTS_FAULTS_KNOCK_H

#define KNOCK "let me in; nobody asked for me"
#define HEARD_ROOM (1u << 17) /* the last so many arrivals are kept */

/* A file in memory that the test reads while the listener writes. Times: nanoseconds of the real-time clock. */
struct heard {
	unsigned long long count; /* of all arrivals */
	unsigned long long empty_ns; /* nothing that had arrived before this is still unread */
	unsigned long long at_ns[HEARD_ROOM]; /* when the kernel received it; by number of arrival modulo HEARD_ROOM */
};

#endif
