/* SPDX-License-Identifier: BSD-2-Clause */
/* Events of the engine, as `watch` and `log` print them. */
#ifndef SP_CLI_EVENTS_H
#define SP_CLI_EVENTS_H

#include "cli.h"

/* What it takes to print them. */
struct sp_events {
	const struct sp_live *live;
	struct sp_links links;
	sp_u64 wall_offset_ns; /* wall clock minus boot clock */
	const struct sp_image_line *image; /* of `generation`; NULL: none, or not kept any more */
	sp_u32 image_lines, generation;
	sp_u32 zones_of; /* the generation whose interfaces and zones are known */
};

/* 0 or a negative errno; the live instance must stay open. */
int sp_events_open(struct sp_events *v, const struct sp_live *live, struct sp_err *err);
void sp_events_close(struct sp_events *v);
void sp_events_clock(struct sp_events *v); /* reads the wall clock again, which can be set */
/* One event, one line to stdout. */
void sp_events_print(struct sp_events *v, const struct sp_event *e, int json);

#endif
