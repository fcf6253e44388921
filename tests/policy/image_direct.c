/* SPDX-License-Identifier: BSD-2-Clause */
/* The very function with which the engine asks an image, without a packet. */
#include "image_test.h"

#include "../../host/engine.h"
#include "../../port/port_host.h"

#include <stdlib.h>

sp_u32 image_ask(const struct sp_image_line *image, const struct talk *t)
{
	static const sp_u64 secret[2] = { 5, 6 };
	static struct sp_engine *engine;
	struct sp_pkt p = { .family = t->family, .sport = sp_hton16(t->sport), .dport = sp_hton16(t->dport),
			    .key.proto = t->proto, .generation = 1 };
	sp_u32 value;

	if (!engine)
		engine = sp_engine_new(56, 0, secret);
	if (!engine)
		abort();
	memcpy(p.src.b, t->src, 16);
	memcpy(p.dst.b, t->dst, 16);
	sp_host = engine;
	engine->images[1] = (struct sp_image_line *)image; /* the engine only reads it */
	value = sp_image_ask(&p, 0, (sp_u32)t->from << 4 | t->to);
	engine->images[1] = NULL;
	return value;
}
