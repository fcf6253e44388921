/* SPDX-License-Identifier: BSD-2-Clause */
/* A compiled policy as user space holds it: what is in it for people. */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "../core/abi.h"

void sp_image_free(struct sp_image *image)
{
	free(image->v);
	image->v = NULL;
}

const char *sp_image_line_name(const struct sp_image_line *v, sp_u32 line)
{
	const struct sp_image_head *h = (const struct sp_image_head *)v;

	if (line < SP_LINE_FIRST || line - SP_LINE_FIRST >= h->n_names)
		return "";
	return (const char *)&v[h->names] + (size_t)(line - SP_LINE_FIRST) * SP_IMAGE_NAME;
}

const char *sp_image_text(const struct sp_image_line *v)
{
	return (const char *)&v[((const struct sp_image_head *)v)->text];
}

const struct sp_image_more *sp_image_line1(const struct sp_image_line *v)
{
	return (const struct sp_image_more *)&v[1];
}

const struct sp_image_order *sp_image_order(const struct sp_image_line *v, sp_u32 line)
{
	const struct sp_image_head *h = (const struct sp_image_head *)v;

	if (line < SP_LINE_FIRST || line - SP_LINE_FIRST >= h->n_names)
		return NULL;
	return (const struct sp_image_order *)&v[sp_image_line1(v)->orders + line - SP_LINE_FIRST];
}

const char *sp_image_zone_name(const struct sp_image_line *v, sp_u32 zone)
{
	const struct sp_image_head *h = (const struct sp_image_head *)v;

	return zone < SP_ZONE_FORWARD ? (const char *)&v[h->zones] + (size_t)zone * SP_IMAGE_NAME : "";
}

sp_u32 sp_image_zone_number(const struct sp_image_line *v, const char *name)
{
	for (sp_u32 zone = 1; *name && zone < SP_ZONE_FORWARD; zone++)
		if (!strcmp(sp_image_zone_name(v, zone), name))
			return zone;
	return SP_ZONE_NONE;
}

const sp_u32 *sp_image_pool(const struct sp_image_line *v, sp_u32 *n)
{
	*n = sp_image_line1(v)->pool_count;
	return (const sp_u32 *)&v[sp_image_line1(v)->pool];
}
