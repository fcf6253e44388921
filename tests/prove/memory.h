/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The native port (port/port_host.h) on real memory: two sets of conversations, one address with its ports, a policy image
 * of some lines, all with unknown contents. Here Eva sees what the world of world.h takes for granted: that each look-up
 * of the port stays inside its array, and that packet memory is only touched between its first and its last byte.
 */
#ifndef SP_TESTS_PROVE_MEMORY_H
#define SP_TESTS_PROVE_MEMORY_H

#include "eva.h"

/* one thread: the atomic operations of gcc as what they do */
#define __thread
#define __builtin_prefetch(p) ((void)0) /* no access: the address may be any */
#define __atomic_load_n(p, order) (*(p))
#define __atomic_store_n(p, v, order) (*(p) = (v))
#define __atomic_fetch_add(p, n, order) ((*(p) += (n)) - (n))
#define __atomic_compare_exchange_n(p, old, new_, weak, yes, no) (*(p) == *(old) ? (*(p) = (new_), 1) : (*(old) = *(p), 0))

#include "../../host/engine.h"

struct sp_host_dev;
static int memory_load_some(struct sp_host_dev *dev, sp_u32 off, void *to, sp_u32 n);
#define sp_load_some memory_load_some

#include "../../port/port_host.h"

int sched_yield(void)
{
	return 0;
}

/* for each n by itself: only so can Eva see that off + n is within the packet */
static int memory_load_some(struct sp_host_dev *dev, sp_u32 off, void *to, sp_u32 n)
{
	/*@ split n; */
	return sp_load(dev, off, to, n);
}

#define UNKNOWN(x) Frama_C_make_unknown((char *)&(x), sizeof(x))

#define MEMORY_SETS 2
#define MEMORY_LINES 64

static struct sp_engine memory_engine;
static struct sp_config memory_config;
static struct sp_state memory_state;
static struct sp_set memory_sets[MEMORY_SETS];
static struct sp_flow memory_flows[MEMORY_SETS * SP_WAYS];
static struct sp_frag memory_frags[SP_FRAG_COUNT];
static sp_u64 memory_sketch[SP_SKETCH_ROWS * SP_SKETCH_ROW];
static sp_u64 memory_meters[SP_METER_ROWS * SP_METER_ROW];
static struct sp_nat_addrs memory_nat;
static struct sp_port memory_ports[SP_NAT_PORTS];
static struct sp_image_line memory_image[MEMORY_LINES];

static void memory_begin(void)
{
	struct sp_tables *t = &memory_engine.t;

	UNKNOWN(memory_config);
	memory_config.sets = MEMORY_SETS;
	memory_config.capacity = MEMORY_SETS * SP_WAYS;
	UNKNOWN(memory_state);
	UNKNOWN(memory_sets);
	UNKNOWN(memory_flows);
	UNKNOWN(memory_frags);
	UNKNOWN(memory_sketch);
	UNKNOWN(memory_meters);
	UNKNOWN(memory_nat);
	memory_nat.slots = 1;
	UNKNOWN(memory_ports);
	UNKNOWN(memory_image);
	((struct sp_image_head *)memory_image)->lines = MEMORY_LINES;
	t->config = &memory_config;
	t->state = &memory_state;
	t->sets = memory_sets;
	t->flows = memory_flows;
	t->frags = memory_frags;
	t->sketch = memory_sketch;
	t->meters = memory_meters;
	t->nat = any_bit() ? &memory_nat : SP_NULL;
	t->ports = memory_ports;
	for (int i = 0; i < SP_IMAGE_SLOTS; i++)
		memory_engine.images[i] = any_bit() ? memory_image : SP_NULL;
	UNKNOWN(memory_engine.side);
	sp_host = &memory_engine;
}

#endif
