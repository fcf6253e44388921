/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes are a capture file: reading it ends, says what is wrong in one line, and each packet that it gives goes through
 * the engine as `sally replay` does it. Times never go back, lengths are within bounds.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../host/replay.h"
#include "take.h"

#define PACKETS 64 /* of one capture */

static void check_error(const struct sp_capture *c)
{
	HOLDS(*c->error && !strchr(c->error, '\n') && strlen(c->error) < sizeof(c->error), "'%s'", c->error);
}

static void play(struct sp_capture *c, struct sp_replay *r)
{
	struct sp_captured p;
	struct sp_replay_line line;
	char text[SP_GLANCE_TEXT];
	sp_u64 last_ns = 0;
	int got = 0;

	for (int i = 0; i < PACKETS; i++) {
		got = sp_capture_next(c, &p);
		if (got != 1)
			break;
		HOLDS(p.number == (sp_u64)i + 1 && p.len <= SP_CAPTURE_MAX, "%u bytes", p.len);
		HOLDS(!i || p.time_ns >= last_ns, "time goes back");
		last_ns = p.time_ns;
		sp_glance_text(&p.g, text, sizeof(text));
		HOLDS(memchr(text, 0, sizeof(text)), "no end");
		HOLDS(!sp_replay_packet(r, &p, &line) && line.result.reason < SP_REASON_COUNT, "%u", line.result.reason);
		HOLDS(!line.conversation || line.conversation <= r->count, "%u", line.conversation);
	}
	if (got < 0)
		check_error(c);
}

int LLVMFuzzerTestOneInput(const sp_u8 *data, size_t size)
{
	static struct sp_capture c;
	struct take in = { data, size };
	const sp_u8 how = take8(&in);
	char path[40];
	int fd = memfd_create("capture", MFD_CLOEXEC);
	struct sp_replay r;

	if (fd < 0 || write(fd, in.at, in.left) != (ssize_t)in.left)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (sp_capture_open(&c, path)) {
		check_error(&c);
	} else {
		c.sums = how % 3;
		if (sp_replay_init(&r, 56, how & 4 ? SP_CONFIG_GATEWAY : 0))
			abort();
		r.sides.how = how >> 3 & 3;
		play(&c, &r);
		sp_replay_fini(&r);
		sp_capture_close(&c);
	}
	close(fd);
	return 0;
}
