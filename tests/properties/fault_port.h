/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port of the core to ordinary C, with answers that fail when a test says so: what the verifier makes the kernel's
 * programs check, though an array's element is always there, and what other processors do at the wrong moment. In place of
 * port/port_host.h; host/engine.c is compiled with it.
 */
#ifndef TESTS_PROPERTIES_FAULT_PORT_H
#define TESTS_PROPERTIES_FAULT_PORT_H

#include "../../core/packet.h"
#include "../../host/engine.h"

/* Counts the answers; does this one fail? */
int fault(void);

/* the core comes after the port this time, when the port's functions have their traps */
#define SP_CORE_PIPELINE_H
static sp_u32 sp_flow_find(struct sp_pkt *p);
SP_INLINE int sp_key_same(struct sp_key *shared, const struct sp_key *key);
#include "../../port/port_host.h"
#undef SP_CORE_PIPELINE_H

#define sp_config_get() (fault() ? NULL : (sp_config_get)())
#define sp_state_get() (fault() ? NULL : (sp_state_get)())
#define sp_set_at(i) (fault() ? NULL : (sp_set_at)(i))
#define sp_flow_at(i) (fault() ? NULL : (sp_flow_at)(i))
#define sp_frag_at(i) (fault() ? NULL : (sp_frag_at)(i))
#define sp_sketch_at(i) (fault() ? NULL : (sp_sketch_at)(i))
#define sp_meter_at(i) (fault() ? NULL : (sp_meter_at)(i))
#define sp_image_at(slot, line) (fault() ? NULL : (sp_image_at)(slot, line))
#define sp_nat_get() (fault() ? NULL : (sp_nat_get)())
#define sp_port_at(i) (fault() ? NULL : (sp_port_at)(i))
#define sp_load(dev, off, to, n) (fault() ? -1 : (sp_load)(dev, off, to, n))
#define sp_put(dev, off, from, n) (fault() ? -1 : (sp_put)(dev, off, from, n))
/* another processor was quicker */
#define sp_cmpxchg32(p, old, new_) (fault() ? (old) + 1 : (sp_cmpxchg32)(p, old, new_))
#define sp_cmpxchg64(p, old, new_) (fault() ? (old) + 1 : (sp_cmpxchg64)(p, old, new_))
#define sp_is_mine(dev, p) (!fault() && (sp_is_mine)(dev, p))
#define sp_source_fits(dev, p) (!fault() && (sp_source_fits)(dev, p))
/* nobody waits for long here */
#define sp_repeat(n, f, arg) (sp_repeat)((n) > 4 ? 4 : (n), f, arg)

#include "../../core/pipeline.h"

#endif
