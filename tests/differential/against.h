/* SPDX-License-Identifier: BSD-2-Clause */
/* Comparing the native engine with Linux's own tracking, and explaining by a table of rules where they differ. */
#ifndef TESTS_DIFFERENTIAL_AGAINST_H
#define TESTS_DIFFERENTIAL_AGAINST_H

#include <stdio.h>

#include "linux.h"

struct against;

/* Reads the table and makes both gateways. 0; -EINVAL: the table is broken; -ENODEV: Linux can not do it; err says why. */
int against_new(struct against **out, const char *rules, char *err, size_t err_len);
void against_free(struct against *a);

/* From now on differences that no rule explains are counted by kind, and reported; for who writes rules. */
void against_survey(struct against *a);

/*
 * Plays a batch on both. Returns the number of the first step whose difference no rule explains, or -1; what says it. count:
 * are the differences that are explained added to the tables that against_report() prints?
 */
int against_batch(struct against *a, struct tengine *native, const struct batch *b, int count, char *what, size_t len);

/* all: also each rule. */
void against_report(const struct against *a, int all, FILE *f);

#endif
