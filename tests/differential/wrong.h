/* SPDX-License-Identifier: BSD-2-Clause */
/* An engine with a fault, to see that it is found. */
#ifndef TESTS_DIFFERENTIAL_WRONG_H
#define TESTS_DIFFERENTIAL_WRONG_H

#include "tests/scenario/engine_api.h"

extern const struct tengine_ops tengine_wrong;

#endif
