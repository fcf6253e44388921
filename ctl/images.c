/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled policies of a live instance, mapped when they are asked for: conversations whose line names an idle time have it
 * from the image of the generation that they were decided under.
 */
#include <stdlib.h>

#include "internal.h"

struct sp_live_images {
	struct sp_image_line *v[SP_IMAGE_SLOTS];
	sp_u32 generation[SP_IMAGE_SLOTS]; /* whose image that is; 0: nobody has asked */
};

/* Without memory there are none, and idle times of lines are not known. */
void sp_live_images_init(struct sp_live *l)
{
	l->images = calloc(1, sizeof(*l->images));
	l->t.images = l->images ? l->images->v : NULL;
}

static void unmap(struct sp_live_images *images, sp_u32 slot)
{
	const struct sp_image_line *v = images->v[slot];

	sp_generation_unmap(v, v ? ((const struct sp_image_head *)v)->lines : 0);
	images->v[slot] = NULL;
	images->generation[slot] = 0;
}

void sp_live_images_fini(struct sp_live *l)
{
	for (sp_u32 slot = 0; l->images && slot < SP_IMAGE_SLOTS; slot++)
		unmap(l->images, slot);
	free(l->images);
	l->images = NULL;
	l->t.images = NULL;
}

void sp_live_image_see(const struct sp_live *l, sp_u32 generation)
{
	const sp_u32 slot = generation % SP_IMAGE_SLOTS;
	sp_u32 n;

	if (!l->images || l->images->generation[slot] == generation)
		return;
	unmap(l->images, slot);
	/* the engine only reads it */
	l->images->v[slot] = (struct sp_image_line *)sp_generation_image(l, generation, &n);
	l->images->generation[slot] = generation;
}
