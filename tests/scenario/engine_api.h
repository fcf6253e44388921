/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One face for every engine under test: the native one, the kernel's TC programs, the kernel's XDP program, and the latter
 * with the express lane.
 *
 * All of them work on the same arrays (struct sp_tables: allocated by the native engine, memory-mapped from the
 * kernel's maps), so flows are listed, found, killed and adopted through `core` in the same way everywhere:
 *
 *	t = tengine_tc.open(4096, err, sizeof(err));			NULL: err says why (no root, no BPF, ...)
 *	t->ops->reset(t, 1000, SP_CONFIG_GATEWAY);			empty tables, counters 0
 *	t->core->side.inside4_net = ...;				inside networks, if any
 *	t->ops->judge(t, &packet, bytes, &result);			one packet
 *	t->ops->close(t);
 */
#ifndef TESTS_ENGINE_API_H
#define TESTS_ENGINE_API_H

#include <stddef.h>

#include "host/engine.h"
#include "policy/image.h"

#define TENGINE_NAT_SLOTS 2 /* outside addresses for which there are ports */

struct tengine;

struct tengine_ops {
	const char *name; /* "native", "tc", "xdp" */
	/* Prepares for tables of up to capacity_max conversations. On failure NULL, and one line of text in err. */
	struct tengine *(*open)(sp_u32 capacity_max, char *err, size_t err_len);
	void (*close)(struct tengine *t);
	/*
	 * Empties the tables and counters, configures for capacity and flags (enum sp_config_flag); nothing is translated
	 * until core->t.nat says so. 0 or -errno.
	 */
	int (*reset)(struct tengine *t, sp_u32 capacity, sp_u32 flags);
	/*
	 * Judges one packet. 0, or -ENOTSUP: this engine can not be shown such a packet (too short or too long for
	 * BPF_PROG_TEST_RUN, a super-packet at XDP), or another -errno. In the kernel the reason is the one whose
	 * counter grew by one; anything else is -EPROTO.
	 * out: at least p->len bytes, the packet as it goes on (what stands there after a drop means nothing).
	 * result: verdict, reason; flow, event and dir only on the native engine (0 otherwise).
	 */
	int (*judge)(struct tengine *t, const struct sp_engine_packet *p, sp_u8 *out, struct sp_engine_result *result);
	/* The policy of a generation; NULL: the built-in one alone. The image stays until the next reset. 0 or -errno. */
	int (*image)(struct tengine *t, sp_u32 generation, const struct sp_image *image);
	/* Sums of all CPUs. 0 or -errno. */
	int (*counters)(struct tengine *t, struct sp_counter out[SP_REASON_COUNT]);
};

struct tengine {
	const struct tengine_ops *ops;
	struct sp_engine *core; /* core->t: the tables; core->side: the inside networks, kept by reset */
	sp_u32 capacity_max;
	/*
	 * What the reason of the next packet will probably be; 0: nobody knows. If its counter grew by one, no other one is
	 * read: whether another one grew, too, is for tables_compare() to see.
	 */
	sp_u8 likely;
	/* "lane": the last packet that came in left at once; the next call shows how. What it was in between is not seen. */
	sp_u8 took_lane;
	sp_u64 lane_count; /* that did so far */
};

extern const struct tengine_ops tengine_native;
extern const struct tengine_ops tengine_tc;
extern const struct tengine_ops tengine_xdp;
extern const struct tengine_ops tengine_batch; /* native, as a batch of one */
extern const struct tengine_ops tengine_lane; /* needs a network namespace of its own */

/* By name; NULL: no such engine. */
const struct tengine_ops *tengine_by_name(const char *name);

#endif
