/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port of the core to a world where anything may be in memory, at any time: the strongest adversary that there is.
 *
 * Packets: each load either fails or gives any bytes, so every packet of every length is covered, also one that changes
 * while it is read.
 *
 * Tables, configuration, policy images: each look-up either finds nothing or leads to one of two objects, and Eva, which can
 * not tell which one, keeps for both the union of what was there before and what is written. They are unknown at first,
 * hence for ever: each read of shared memory gives any value, whatever was checked or written a line earlier, as if other
 * processors, or a broken table, had just put it there.
 */
#ifndef SP_TESTS_PROVE_WORLD_H
#define SP_TESTS_PROVE_WORLD_H

#include "eva.h"

#include "../../core/packet.h"
#include "../../core/policy_abi.h"

#define SP_GLOBAL static __attribute__((unused))
#define SP_CALLBACK __attribute__((unused))
#define SP_READ(x) (x)
#define SP_WRITE(x, v) ((x) = (v))
#define SP_ACQUIRE(x) (x)
#define SP_RELEASE(x, v) ((x) = (v))
#define SP_OPAQUE(x) ((void)(x))
#define SP_STEP(what, a, b) ((void)(what), (void)(a), (void)(b))
#define SP_GUESS_UNFINISHED

typedef struct {
	sp_u8 nothing;
} sp_dev;

/* ---- packet memory -------------------------------------------------------------------------------------------- */

#define SP_LOAD_MAX 40 /* options, an IPv6 header */

static int sp_load(sp_dev *dev, sp_u32 off, void *to, sp_u32 n)
{
	(void)dev;
	(void)off;
	/* Eva looks at the whole object, not at the member that `to` is: the largest member, too */
	/*@ assert load: n <= SP_LOAD_MAX; */
	if (any_bit())
		return -1;
	Frama_C_make_unknown(to, n);
	return 0;
}

#define sp_load_some sp_load

static sp_u8 world_sink;

static int sp_put(sp_dev *dev, sp_u32 off, const void *from, sp_u32 n)
{
	(void)dev;
	(void)off;
	for (sp_u32 i = 0; i < n; i++)
		world_sink = ((const sp_u8 *)from)[i]; /* must be there, and initialised */
	return any_bit() ? -1 : 0;
}

static sp_u32 sp_sum(sp_dev *dev, sp_u32 off, sp_u32 len, sp_u32 seed)
{
	(void)dev;
	(void)off;
	(void)len;
	(void)seed;
	return any_u16;
}

static void sp_note_virtual(struct sp_pkt *p, sp_u8 is)
{
	p->virtual = is;
}

/* ---- atomics -------------------------------------------------------------------------------------------------- */

static sp_u32 sp_cmpxchg32(sp_u32 *p, sp_u32 old, sp_u32 new_)
{
	const sp_u32 was = *p;

	if (was == old)
		*p = new_;
	return was;
}

static sp_u64 sp_cmpxchg64(sp_u64 *p, sp_u64 old, sp_u64 new_)
{
	const sp_u64 was = *p;

	if (was == old)
		*p = new_;
	return was;
}

static sp_u32 sp_fetch_add(sp_u32 *p, sp_u32 n)
{
	const sp_u32 was = *p;

	*p = was + n;
	return was;
}

static void sp_unlock(sp_u32 *p, sp_u32 v)
{
	*p = v;
}

static void sp_relax(sp_u32 n)
{
	(void)n;
}

static void sp_repeat(sp_u32 n, long (*f)(sp_u32 i, void *arg), void *arg)
{
	for (sp_u32 i = 0; i < n; i++)
		if (f(i, arg))
			return;
}

/* ---- shared memory -------------------------------------------------------------------------------------------- */

static struct sp_config world_config[2];
static struct sp_state world_state[2];
static struct sp_set world_set[2];
static struct sp_flow world_flow[2];
static struct sp_frag world_frag[2];
static sp_u32 world_sketch[2];
static sp_u64 world_meter[2];
static struct sp_image_line world_image[2];
static struct sp_nat_addrs world_nat[2];
static struct sp_port world_port[2];

/* nothing, or one of two */
#define ONE_OF(two) (any_bit() ? &(two)[any_bit()] : SP_NULL)

static struct sp_config *sp_config_get(void)
{
	return ONE_OF(world_config);
}

static struct sp_state *sp_state_get(void)
{
	return ONE_OF(world_state);
}

static struct sp_set *sp_set_at(sp_u32 i)
{
	(void)i;
	return ONE_OF(world_set);
}

static struct sp_flow *sp_flow_at(sp_u32 i)
{
	(void)i;
	return ONE_OF(world_flow);
}

#define sp_flow_soon(i, proto) ((void)(i), (void)(proto))
#define sp_set_soon(b) ((void)(b))

static __attribute__((unused)) void sp_flow_placed(sp_u32 i, const struct sp_pkt *p)
{
	(void)i;
}

static struct sp_frag *sp_frag_at(sp_u32 i)
{
	(void)i;
	return ONE_OF(world_frag);
}

static sp_u32 *sp_sketch_at(sp_u32 i)
{
	(void)i;
	return ONE_OF(world_sketch);
}

static sp_u64 *sp_meter_at(sp_u32 i)
{
	(void)i;
	return ONE_OF(world_meter);
}

static struct sp_image_line *sp_image_at(sp_u32 slot, sp_u32 line)
{
	(void)slot;
	(void)line;
	return ONE_OF(world_image);
}

static void sp_image_soon(sp_u32 slot, sp_u32 first, sp_u32 last)
{
	(void)slot;
	(void)first;
	(void)last;
}

static struct sp_nat_addrs *sp_nat_get(void)
{
	return ONE_OF(world_nat);
}

static struct sp_port *sp_port_at(sp_u32 i)
{
	(void)i;
	return ONE_OF(world_port);
}

/* ---- the machine: any answer ---------------------------------------------------------------------------------- */

static sp_u32 sp_seconds(sp_u64 ns)
{
	(void)ns;
	return any_u32;
}

static int sp_source_fits(sp_dev *dev, const struct sp_pkt *p)
{
	(void)dev;
	(void)p;
	return any_bit();
}

static int sp_route_zone(sp_dev *dev, const struct sp_pkt *p)
{
	(void)dev;
	(void)p;
	return any_u8;
}

static int sp_is_mine(sp_dev *dev, const struct sp_pkt *p)
{
	(void)dev;
	(void)p;
	return any_bit();
}

static int sp_listens(sp_dev *dev, const struct sp_pkt *p, sp_u32 port)
{
	(void)dev;
	(void)p;
	(void)port;
	return any_bit();
}

#include "../../core/pipeline.h"

#define UNKNOWN(x) Frama_C_make_unknown((char *)&(x), sizeof(x))

static sp_dev world_dev;

static void world_begin(void)
{
	UNKNOWN(world_config);
	UNKNOWN(world_state);
	UNKNOWN(world_set);
	UNKNOWN(world_flow);
	UNKNOWN(world_frag);
	UNKNOWN(world_sketch);
	UNKNOWN(world_meter);
	UNKNOWN(world_image);
	UNKNOWN(world_nat);
	UNKNOWN(world_port);
}

/* A packet at the door: its door fields are any, the rest is 0. */
static void world_door(struct sp_pkt *p)
{
	struct sp_pkt zero = {};

	*p = zero;
	p->now_ns = any_u64;
	p->ifindex = any_u32;
	p->frame_len = any_u32;
	p->segs = any_u32;
	p->zone = any_u8;
	p->hook = any_u8;
	p->bare_ip = any_u8;
	p->config_flags = any_u8;
	p->express = any_u8;
	p->forwarded = any_u8;
	p->zone_out = any_u8;
	p->generation = any_u32;
}

/* A packet in any state of its way, or none. What is assumed of it: dir is 0 or 1 (sp_key_set(); proved in pipeline.c). */
static struct sp_pkt *world_packet(struct sp_pkt *p)
{
	UNKNOWN(*p);
	p->dir = (sp_u8)any_bit();
	return any_bit() ? SP_NULL : p;
}

#endif
