/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The tables that each program of the kernel looks at, at netfilter's hooks as well as at TC and XDP. */
#ifndef SP_PORT_MAPS_BPF_H
#define SP_PORT_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../core/abi.h"

/* One element a row: a flat array that user space maps. */
#define SP_ARRAY(name_, type_, n_)                  \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_ARRAY);   \
		__uint(map_flags, BPF_F_MMAPABLE);  \
		__uint(max_entries, n_);            \
		__type(key, sp_u32);                \
		__type(value, type_);               \
	} name_ SEC(".maps")

SP_ARRAY(sp_config, struct sp_config, 1);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SP_MAX_IFACES);
	__type(key, sp_u32);
	__type(value, struct sp_iface);
} sp_ifaces SEC(".maps");

#endif
