/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port of the core to ordinary C: tables in memory, GNU atomics, the engine of the calling thread.
 * Included once, by host/engine.c and by tests that look inside; both include host/engine.h (struct sp_engine) first.
 */
#ifndef SP_PORT_HOST_H
#define SP_PORT_HOST_H

#define SP_KEY_BY_INDEX
#include "../core/packet.h"

#include <sched.h>
#include <string.h>

#define SP_GLOBAL static __attribute__((unused))

#define SP_READ(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SP_WRITE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define SP_ACQUIRE(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define SP_RELEASE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

#define SP_OPAQUE(x) ((void)(x))

/* Packet memory. */
struct sp_host_dev {
	const sp_u8 *data;
	sp_u8 *out; /* where it is rewritten; NULL: nobody wants to see it */
	sp_u32 len;
	/* batches look ahead */
	sp_u32 hashed; /* 1: the packet's hash has been worked out */
	sp_u32 hint; /* its conversation was seen here: index + 1; 0: it was not */
};
typedef struct sp_host_dev sp_dev;

#define SP_HASHED(dev) ((dev)->hashed)
#define SP_FIND(dev, p) sp_hinted(dev, p)
SP_INLINE sp_u32 sp_hinted(sp_dev *dev, struct sp_pkt *p);

/* The engine that this thread works for; set at each entry. */
static __thread struct sp_engine *sp_host;

#ifdef SP_ALONE /* no other thread is in this engine: no instruction needs to hold the memory for itself */
SP_INLINE sp_u32 sp_cmpxchg32(sp_u32 *p, sp_u32 old, sp_u32 new_)
{
	const sp_u32 was = *p;

	if (was == old)
		SP_WRITE(*p, new_); /* whoever lists the table reads meanwhile */
	return was;
}

SP_INLINE sp_u64 sp_cmpxchg64(sp_u64 *p, sp_u64 old, sp_u64 new_)
{
	const sp_u64 was = *p;

	if (was == old)
		SP_WRITE(*p, new_);
	return was;
}

SP_INLINE sp_u32 sp_fetch_add(sp_u32 *p, sp_u32 n)
{
	const sp_u32 was = *p;

	SP_WRITE(*p, was + n);
	return was;
}
#else
SP_INLINE sp_u32 sp_cmpxchg32(sp_u32 *p, sp_u32 old, sp_u32 new_)
{
	__atomic_compare_exchange_n(p, &old, new_, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return old;
}

SP_INLINE sp_u64 sp_cmpxchg64(sp_u64 *p, sp_u64 old, sp_u64 new_)
{
	__atomic_compare_exchange_n(p, &old, new_, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return old;
}

SP_INLINE sp_u32 sp_fetch_add(sp_u32 *p, sp_u32 n)
{
	return __atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}
#endif

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define SP_IN_ORDER
#endif

SP_INLINE void sp_unlock(sp_u32 *p, sp_u32 v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Threads, unlike the kernel's programs, can be preempted while they hold a lock: let them run. */
SP_INLINE void sp_relax(sp_u32 n)
{
	(void)n;
	sched_yield();
}

#define SP_CALLBACK

SP_INLINE void sp_repeat(sp_u32 n, long (*f)(sp_u32 i, void *arg), void *arg)
{
	for (sp_u32 i = 0; i < n; i++)
		if (f(i, arg))
			return;
}

SP_INLINE int sp_load(sp_dev *dev, sp_u32 off, void *to, sp_u32 n)
{
	if (off > dev->len || n > dev->len - off)
		return -1;
	memcpy(to, dev->data + off, n);
	return 0;
}

/* Stores n bytes at off. The first one makes the copy, from which is read from then on. */
SP_INLINE int sp_put(sp_dev *dev, sp_u32 off, const void *from, sp_u32 n)
{
	if (off > dev->len || n > dev->len - off)
		return -1;
	if (!dev->out)
		return 0;
	if (dev->data != dev->out) {
		memcpy(dev->out, dev->data, dev->len);
		dev->data = dev->out;
	}
	memcpy(dev->out + off, from, n);
	return 0;
}

#define SP_GUESS_UNFINISHED

/* A packet by itself: nothing is known of the link. */
SP_INLINE void sp_note_virtual(struct sp_pkt *p, sp_u8 is)
{
}

/* The same for a length that is not constant, 1 to 40 bytes. A proof has its own: tests/prove/memory.h. */
#ifndef sp_load_some
#define sp_load_some sp_load
#endif

/* One's complement sum of len bytes at off, folded; 0 when they are not there. */
SP_INLINE sp_u32 sp_sum(sp_dev *dev, sp_u32 off, sp_u32 len, sp_u32 seed)
{
	sp_u64 acc = seed;
	sp_u32 i;

	if (off > dev->len || len > dev->len - off)
		return 0;
	for (i = 0; i + 2 <= len; i += 2) {
		sp_u16 w;

		memcpy(&w, &dev->data[off + i], 2);
		acc += w;
	}
	if (i < len) {
		sp_be16 last = sp_hton16((sp_u16)(dev->data[off + i] << 8));

		acc += last.raw;
	}
	return sp_fold(acc);
}

SP_INLINE struct sp_config *sp_config_get(void)
{
	return sp_host->t.config;
}

SP_INLINE struct sp_state *sp_state_get(void)
{
	return sp_host->t.state;
}

SP_INLINE struct sp_set *sp_set_at(sp_u32 i)
{
	return i < sp_host->t.config->sets ? &sp_host->t.sets[i] : NULL;
}

SP_INLINE struct sp_flow *sp_flow_at(sp_u32 i)
{
	return i < sp_host->t.config->capacity ? &sp_host->t.flows[i] : NULL;
}

/* Nothing beside it is kept natively, unless the including file does. */
#define sp_flow_soon(i, proto) ((void)(i), (void)(proto))
#define sp_set_soon(b) ((void)(b))
#ifndef sp_flow_placed
#define sp_flow_placed(i, p) ((void)(i))
#endif

SP_INLINE struct sp_frag *sp_frag_at(sp_u32 i)
{
	return i < SP_FRAG_COUNT ? &sp_host->t.frags[i] : NULL;
}

SP_INLINE sp_u32 *sp_sketch_at(sp_u32 i)
{
	return i < SP_SKETCH_ROWS * SP_SKETCH_ROW ? (sp_u32 *)&sp_host->t.sketch[i] : NULL;
}

SP_INLINE struct sp_nat_addrs *sp_nat_get(void)
{
	struct sp_nat_addrs *nat = sp_host->t.nat;

	return nat && nat->slots ? nat : NULL;
}

SP_INLINE struct sp_port *sp_port_at(sp_u32 i)
{
	return sp_host->t.nat && i < sp_host->t.nat->slots * SP_NAT_PORTS ? &sp_host->t.ports[i] : NULL;
}

SP_INLINE sp_u64 *sp_meter_at(sp_u32 i)
{
	return i < SP_METER_ROWS * SP_METER_ROW ? &sp_host->t.meters[i] : NULL;
}

SP_INLINE struct sp_image_line *sp_image_at(sp_u32 slot, sp_u32 line)
{
	struct sp_image_line *image = sp_host->images[slot % SP_IMAGE_SLOTS];

	return image && line < ((struct sp_image_head *)image)->lines ? &image[line] : NULL;
}

/* Lines first..last are searched next: fetch a few at once, rather than one after the other. */
SP_INLINE void sp_image_soon(sp_u32 slot, sp_u32 first, sp_u32 last)
{
	for (sp_u32 i = 0; i < 4 && first + i <= last; i++)
		__builtin_prefetch(&sp_host->images[slot % SP_IMAGE_SLOTS][first + i]);
}

SP_INLINE sp_u32 sp_seconds(sp_u64 ns)
{
	return (sp_u32)(ns / SP_NS_PER_S);
}

#include "side.h"

SP_INLINE int sp_source_fits(sp_dev *dev, const struct sp_pkt *p)
{
	if (sp_host->source_fits)
		return sp_host->source_fits(sp_host->zone_arg, p->zone, p->family, &p->src);
	return sp_side_fits(&sp_host->side, sp_nat_get(), p);
}

SP_INLINE sp_u8 sp_route_zone(sp_dev *dev, const struct sp_pkt *p)
{
	if (sp_host->zone_of)
		return sp_host->zone_of(sp_host->zone_arg, p->family, &p->dst);
	return (sp_u8)sp_side_zone(&sp_host->side, sp_nat_get(), p->family, &p->dst);
}

SP_INLINE int sp_is_mine(sp_dev *dev, const struct sp_pkt *p)
{
	return 1;
}

SP_INLINE int sp_listens(sp_dev *dev, const struct sp_pkt *p, sp_u32 port)
{
	return sp_side_listens(&sp_host->side, port);
}

#define SP_STEP(what, a, b)                                       \
	do {                                                      \
		if (sp_host->step)                                \
			sp_host->step(sp_host->step_arg, what, a, b); \
	} while (0)

#include "../core/pipeline.h"

/* sp_flow_find(), which has been there before. No key is there twice: where it is now, it would be found. */
SP_INLINE sp_u32 sp_hinted(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_flow *f = dev->hint ? sp_flow_at(dev->hint - 1) : NULL;

	if (f && sp_key_same(&f->key, &p->key) && SP_READ(f->phase) != SP_PHASE_FREE)
		return dev->hint;
	return sp_flow_find(p);
}

#endif
