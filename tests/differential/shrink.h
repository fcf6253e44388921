/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a case small that shows something. */
#ifndef TESTS_DIFFERENTIAL_SHRINK_H
#define TESTS_DIFFERENTIAL_SHRINK_H

#include "sequence.h"

/* Does it still show what it is about? */
typedef int shows_fn(void *arg, const struct batch *b);

/* Leaves out steps, then makes packets plainer, as long as it shows. last: the step after which nothing matters, or b->n. */
void shrink(struct batch *b, int last, shows_fn *shows, void *arg);

#endif
