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

/* image_check.c: is it an image that the engine may be given? 0, or -EINVAL with the reason in why. */
int sp_image_check(const struct sp_image_line *v, sp_u32 n, char *why, size_t size) SP_MUST;

/* Name of a line by number (struct sp_flow line), "" if the image has none such; text of the whole configuration. */
const char *sp_image_line_name(const struct sp_image_line *v, sp_u32 line);
const char *sp_image_text(const struct sp_image_line *v);
/* What a line wants beyond yes or no; NULL if the image has no such line. */
const struct sp_image_order *sp_image_order(const struct sp_image_line *v, sp_u32 line);
/* What stands in its line 1: flags of translation, refusals, pool. */
const struct sp_image_more *sp_image_line1(const struct sp_image_line *v);

/* Zones of the configuration, self, outside and inside among them. Name by number, "": none; number by name, 0: none. */
const char *sp_image_zone_name(const struct sp_image_line *v, sp_u32 zone);
sp_u32 sp_image_zone_number(const struct sp_image_line *v, const char *name);

/* The addresses of `nat pool`, raw network order; *n of them. */
const sp_u32 *sp_image_pool(const struct sp_image_line *v, sp_u32 *n);

#endif
