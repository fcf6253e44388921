/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be said of a step in a word, for the rules that explain differences. */
#ifndef TESTS_DIFFERENTIAL_FACTS_H
#define TESTS_DIFFERENTIAL_FACTS_H

#include "play.h"

#define FACTS_MAX 500

/* Words between blanks, with a blank at either end: " tcp in rst ". */
void facts_of(const struct batch *b, int step, const struct seen *seen, char text[FACTS_MAX]);
/* Do all words hold? "-word" must not. */
int facts_hold(const char *facts, const char *words);

#endif
