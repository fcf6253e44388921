/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets and whole cases in the words of the scenario language. */
#ifndef TESTS_DIFFERENTIAL_PRINT_H
#define TESTS_DIFFERENTIAL_PRINT_H

#include "play.h"

/* "tcp 10.0.0.2:40000 > ... S seq 1": without arrow and expectation. */
void print_packet(const struct pkt *p, char *text, size_t len);
/* " as A > B [quoting A > B]" with the ends of p. */
void print_as(const struct pkt *p, char *text, size_t len);
/* Does the text make the same bytes? Letters must not stand in it. */
int print_is_faithful(const struct pkt *p, const char *text);

/*
 * A batch as a scenario, with what the first engine made of it as the expectation. note: a comment on top. 0 or -errno.
 */
int case_write(const struct batch *b, const struct seen *seen, const char *note, const char *path);

#endif
