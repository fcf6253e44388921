/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Does this machine itself use a port? Decision record: docs/decisions/0029-precedents.md.
 *
 * To search a socket costs the kernel two hashes and some lines of memory that are in no cache. So its count of the UDP
 * sockets whose port's number falls into the same slot is read first (include/net/udp.h, udp_hashslot(); Linux 6.2). None:
 * nobody has that port, by whatever address, connected or not, of either family. A socket is counted before it can be found
 * (udp_lib_get_port()), so this never says less than the search would. Anything else, and where this can not be seen: the
 * search.
 */
#ifndef SP_PORT_LISTENS_BPF_H
#define SP_PORT_LISTENS_BPF_H

#ifdef SP_XDP
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct udp_hslot {
	int count;
};
struct udp_table {
	struct udp_hslot *hash;
	unsigned int mask;
};
struct netns_ipv4___udp {
	struct udp_table *udp_table;
};
struct bpf_prog_array;
struct netns_bpf {
	struct bpf_prog_array *run_array[2];
};
struct net___udp {
	sp_u32 hash_mix;
	struct netns_ipv4___udp ipv4;
	struct netns_bpf bpf;
};
struct possible_net_udp {
	struct net___udp *net;
};
struct net_device___udp {
	struct possible_net_udp nd_net;
};
struct xdp_rxq_info___udp {
	struct net_device___udp *dev;
};
struct xdp_buff___udp {
	struct xdp_rxq_info___udp *rxq;
};
#pragma clang attribute pop

/* Linux 6.2: the context as the kernel sees it, and any address as a pointer to a type, that may be read only. */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern void *bpf_rdonly_cast(const void *at, sp_u32 type) __ksym __weak;

enum special_kfunc_type___listens { KF_bpf_rdonly_cast = 10 };
enum netns_bpf_attach_type___listens { NETNS_BPF_SK_LOOKUP = 1 };
#define SP_SK_LOOKUP 1

/* Does this kernel tell? A constant for the verifier: what it does not have is not looked at. */
SP_INLINE int sp_udp_tells(void)
{
	return bpf_core_enum_value_exists(enum special_kfunc_type___listens, KF_bpf_rdonly_cast) &&
	       bpf_core_enum_value_exists(enum netns_bpf_attach_type___listens, NETNS_BPF_SK_LOOKUP) &&
	       bpf_core_enum_value(enum netns_bpf_attach_type___listens, NETNS_BPF_SK_LOOKUP) == SP_SK_LOOKUP &&
	       bpf_core_field_exists(((struct netns_ipv4___udp *)0)->udp_table) &&
	       bpf_core_field_exists(((struct udp_table *)0)->hash) &&
	       bpf_core_field_exists(((struct udp_table *)0)->mask) &&
	       bpf_core_field_exists(((struct udp_hslot *)0)->count) &&
	       bpf_core_field_exists(((struct net___udp *)0)->hash_mix) &&
	       bpf_core_field_exists(((struct net___udp *)0)->bpf.run_array);
}

/* Is it sure that no UDP socket of this machine has that port, whatever its address? */
SP_INLINE int sp_udp_none(struct xdp_md *ctx, sp_u32 port)
{
	struct xdp_buff___udp *x = bpf_cast_to_kern_ctx(ctx);
	struct net___udp *net = x->rxq->dev->nd_net.net;
	struct udp_table *table = net->ipv4.udp_table;
	const sp_u32 mask = table->mask;
	const struct udp_hslot *slot;
	const void *at;

	/* a program that chooses the socket (BPF_SK_LOOKUP) may choose one of another port */
	if (net->bpf.run_array[SP_SK_LOOKUP] || mask > 0xffff)
		return 0;
	at = (const char *)table->hash + ((port + net->hash_mix) & mask) * bpf_core_type_size(struct udp_hslot);
	slot = bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct udp_hslot));
	return slot->count == 0;
}
#endif

#endif
