/* SPDX-License-Identifier: BSD-2-Clause */
/* Configurations of the tests of rates, limits and idle times: from text to image. */
#ifndef SP_TESTS_ORDERS_TEXT_H
#define SP_TESTS_ORDERS_TEXT_H

#include "../../core/policy_abi.h"

/* The image, malloc()ed. Ends the program when the text is wrong. */
struct sp_image_line *compile_text(const char *text);

#endif
