/* SPDX-License-Identifier: BSD-2-Clause */
/* A compiled policy as user space holds it: the validator, and what is in it for people. Never prints, never exits. */
#ifndef SP_POLICY_IMAGE_H
#define SP_POLICY_IMAGE_H

#include <stddef.h>

#include "../core/policy_abi.h"

struct sp_image {
	struct sp_image_line *v; /* n lines, malloc()ed */
	sp_u32 n;
};

void sp_image_free(struct sp_image *image);

/* Is it an image that the engine may be given? 0, or -EINVAL with the reason in why. */
int sp_image_check(const struct sp_image_line *v, sp_u32 n, char *why, size_t size) SP_MUST;

/* Name of a line by number (struct sp_flow line), "" if the image has none such; text of the whole configuration. */
const char *sp_image_line_name(const struct sp_image_line *v, sp_u32 line);
const char *sp_image_text(const struct sp_image_line *v);

#endif
