/* SPDX-License-Identifier: BSD-2-Clause */
/* The smallest port: says what the core expects of one and defines nothing; for compiling headers, not for running. */
#ifndef SP_HEADERS_TINY_PORT_H
#define SP_HEADERS_TINY_PORT_H

#include "core/abi.h"
#include "core/policy_abi.h"

#define SP_GLOBAL static __attribute__((unused, noinline))
#define SP_CALLBACK __attribute__((unused, noinline))
#define SP_CALLBACK __attribute__((unused, noinline))
#define SP_READ(x) (*(const volatile __typeof__(x) *)&(x))
#define SP_WRITE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define SP_ACQUIRE(x) SP_READ(x)
#define SP_RELEASE(x, v) SP_WRITE(x, v)
#define SP_OPAQUE(x) ((void)(x))
#define SP_STEP(what, a, b) ((void)(what), (void)(a), (void)(b))

struct sp_tiny_dev;
typedef struct sp_tiny_dev sp_dev;
struct sp_pkt;

int sp_load(sp_dev *dev, sp_u32 off, void *to, sp_u32 n);
int sp_load_some(sp_dev *dev, sp_u32 off, void *to, sp_u32 n);
sp_u32 sp_sum(sp_dev *dev, sp_u32 off, sp_u32 len, sp_u32 seed);
int sp_source_fits(sp_dev *dev, const struct sp_pkt *p);

sp_u32 sp_cmpxchg32(sp_u32 *p, sp_u32 old, sp_u32 new_);
sp_u64 sp_cmpxchg64(sp_u64 *p, sp_u64 old, sp_u64 new_);
sp_u32 sp_fetch_add(sp_u32 *p, sp_u32 n);
void sp_unlock(sp_u32 *p, sp_u32 v);
void sp_relax(sp_u32 n);
void sp_repeat(sp_u32 n, long (*f)(sp_u32 i, void *arg), void *arg);
void sp_repeat(sp_u32 n, long (*f)(sp_u32 i, void *arg), void *arg);
sp_u32 sp_seconds(sp_u64 ns);

struct sp_config *sp_config_get(void);
struct sp_state *sp_state_get(void);
struct sp_set *sp_set_at(sp_u32 i);
struct sp_flow *sp_flow_at(sp_u32 i);
void sp_flow_soon(sp_u32 i, sp_u8 proto);
void sp_set_soon(sp_u32 b);
void sp_flow_placed(sp_u32 i, const struct sp_pkt *p);
struct sp_frag *sp_frag_at(sp_u32 i);
sp_u32 *sp_sketch_at(sp_u32 i);
sp_u64 *sp_meter_at(sp_u32 i);
void sp_image_soon(sp_u32 slot, sp_u32 first, sp_u32 last);
struct sp_image_line *sp_image_at(sp_u32 slot, sp_u32 line);
int sp_is_mine(sp_dev *dev, const struct sp_pkt *p);
int sp_put(sp_dev *dev, sp_u32 off, const void *from, sp_u32 n);
int sp_listens(sp_dev *dev, const struct sp_pkt *p, sp_u32 port);
struct sp_nat_addrs *sp_nat_get(void);
struct sp_port *sp_port_at(sp_u32 i);
int sp_route_zone(sp_dev *dev, struct sp_pkt *p);

#endif
