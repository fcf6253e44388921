/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Next hops remembered: the fast way of the express lane. Decision record: docs/decisions/0027-next-hops.md.
 *
 * A conversation remembers, for each direction, which entry of a small table of next hops its packets take, and under which
 * state of the kernel's routes that was so: a number that the kernel changes with each route, rule, address and interface
 * (rt_genid, fib6_sernum). It is compared for every packet, so a change counts at once. What has no such number, the
 * neighbour's address and the tool's orders about the interface, is asked again after SP_HOP_FRESH_NS. And once in
 * SP_HOP_STACK_NS a packet of each next hop takes the stack, which so learns that the neighbour is in use and looks whether
 * it is still there (RFC 4861 7.3).
 */
#ifndef SP_PORT_LANE_BPF_H
#define SP_PORT_LANE_BPF_H

#include <bpf/bpf_core_read.h>
#include <linux/ip.h>

#define SP_MAC 6
#define SP_HOP_FRESH_NS (10 * 1000 * 1000LL)
#define SP_HOP_STACK_NS (sp_s64)SP_NS_PER_S
#define SP_HOP_IDLE_NS (sp_s64)(60 * SP_NS_PER_S) /* so long unused it makes room for another one */
#define SP_HOPS 4096

/* One next hop. Shared by all CPUs: whoever changes it holds the lock (odd), readers look whether that was so meanwhile. */
struct sp_hop {
	sp_u32 lock;
	sp_u32 version; /* which next hop this is: not 0, 12 bits; grows when the entry becomes another one */
	sp_u32 ifindex;
	sp_u32 mtu; /* bytes, of the route */
	sp_u8 macs[2 * SP_MAC]; /* of the neighbour, our own: as they stand in a frame */
	sp_u8 zone; /* of the interface */
	sp_u8 family; /* of addr */
	sp_u8 pad_[2];
	struct sp_addr addr;
	sp_u64 fresh_ns; /* when the kernel last said so */
	sp_u64 stack_ns; /* when a packet last took the stack */
};
_Static_assert(sizeof(struct sp_hop) == 64, "one cache line");

SP_ARRAY(sp_hops, struct sp_hop, SP_HOPS);

/* ---- the state of the kernel's routes ------------------------------------------------------------------------------ */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct atomic_sp {
	int counter;
};
struct ipv4_devconf {
	int data[IPV4_DEVCONF_MAX];
};
struct netns_ipv4 {
	_Bool fib_has_custom_rules;
	struct atomic_sp rt_genid;
	struct ipv4_devconf *devconf_all;
};
struct netns_ipv6 {
	_Bool fib6_has_custom_rules;
	struct atomic_sp fib6_sernum;
};
struct nf_hook_entries {
	unsigned short num_hook_entries;
};
struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5], *hooks_ipv6[5];
};
struct net {
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
	struct netns_nf nf;
};
struct possible_net_sp {
	struct net *net;
};
struct in_device {
	struct ipv4_devconf cnf;
};
struct net_device {
	struct possible_net_sp nd_net;
	struct in_device *ip_ptr;
};
struct xdp_rxq_info {
	struct net_device *dev;
};
struct xdp_buff {
	struct xdp_rxq_info *rxq;
};
#pragma clang attribute pop

/* Linux 6.2: the context as the kernel sees it, whose fields may be read like any memory. */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

enum special_kfunc_type___sp { KF_bpf_cast_to_kern_ctx = 9 };

/* Does this kernel tell? A constant for the verifier: what it does not have is not looked at. */
SP_INLINE int sp_routes_tell(void)
{
	return bpf_core_enum_value_exists(enum special_kfunc_type___sp, KF_bpf_cast_to_kern_ctx) &&
	       bpf_core_field_exists(((struct netns_ipv4 *)0)->rt_genid) &&
	       bpf_core_field_exists(((struct netns_ipv6 *)0)->fib6_sernum);
}

SP_INLINE sp_u32 sp_routes_now(struct xdp_md *ctx, sp_u8 family)
{
	struct xdp_buff *x = bpf_cast_to_kern_ctx(ctx);
	struct net *net = x->rxq->dev->nd_net.net;

	return (sp_u32)(family == SP_IPV4 ? net->ipv4.rt_genid.counter : net->ipv6.fib6_sernum.counter);
}

/* May a rule (`ip rule`) send conversations of the same two ends different ways? */
SP_INLINE int sp_routes_by_rules(struct xdp_md *ctx, sp_u8 family)
{
	struct xdp_buff *x = bpf_cast_to_kern_ctx(ctx);
	struct net *net = x->rxq->dev->nd_net.net;

	if (family == SP_IPV4)
		return bpf_core_field_exists(net->ipv4.fib_has_custom_rules) && net->ipv4.fib_has_custom_rules;
	return bpf_core_field_exists(net->ipv6.fib6_has_custom_rules) && net->ipv6.fib6_has_custom_rules;
}

/*
 * The reverse path filter of the interface where the packet came in: 0 off, 1 the way back must leave there, 2 there must be
 * one (RFC 3704 2.2, 2.4; net.ipv4.conf.*.rp_filter). Where that can not be seen: 1.
 */
SP_INLINE int sp_reverse_filter(struct xdp_md *ctx)
{
	struct xdp_buff *x;
	struct in_device *in;
	int all, own;

	if (!sp_routes_tell())
		return 1;
	x = bpf_cast_to_kern_ctx(ctx);
	in = x->rxq->dev->ip_ptr;
	all = x->rxq->dev->nd_net.net->ipv4.devconf_all->data[IPV4_DEVCONF_RP_FILTER - 1];
	own = in->cnf.data[IPV4_DEVCONF_RP_FILTER - 1];
	return all > own ? all : own;
}

#define SP_NF_PRE_ROUTING 0
#define SP_NF_FORWARD 2
#define SP_NF_POST_ROUTING 4

struct sp_seen sp_seen; /* `sally status` reads it */

/*
 * Has anybody else a hook of netfilter by which forwarded packets come? He may want to judge those that begin a
 * conversation, or change what a SYN offers (the segment size): they have to take the stack.
 */
SP_INLINE int sp_others_look(struct xdp_md *ctx, sp_u8 family)
{
	volatile sp_u8 *seen = &sp_seen.others[family != SP_IPV4];
	struct nf_hook_entries *pre, *on, *post;
	struct sp_config *c = sp_config_get();
	struct xdp_buff *x;
	struct net *net;
	sp_u8 have;

	if (!sp_routes_tell() || !bpf_core_field_exists(((struct net *)0)->nf))
		return 0;
	x = bpf_cast_to_kern_ctx(ctx);
	net = x->rxq->dev->nd_net.net;
	pre = family == SP_IPV4 ? net->nf.hooks_ipv4[SP_NF_PRE_ROUTING] : net->nf.hooks_ipv6[SP_NF_PRE_ROUTING];
	on = family == SP_IPV4 ? net->nf.hooks_ipv4[SP_NF_FORWARD] : net->nf.hooks_ipv6[SP_NF_FORWARD];
	post = family == SP_IPV4 ? net->nf.hooks_ipv4[SP_NF_POST_ROUTING] : net->nf.hooks_ipv6[SP_NF_POST_ROUTING];
	have = (pre && pre->num_hook_entries) || (post && post->num_hook_entries) ||
	       (on && on->num_hook_entries > (c && (c->flags & SP_CONFIG_GATE) ? 1 : 0));
	if (*seen != have)
		*seen = have;
	return have;
}

/* ---- what a conversation remembers: routes' state << 32 | version << 20 | entry << 8 | class of service --------------- */

/* Type of service, traffic class: a rule may look at it. */
SP_INLINE sp_u8 sp_service(const sp_u8 *ip, sp_u8 family)
{
	return family == SP_IPV4 ? ip[1] : (sp_u8)(ip[0] << 4 | ip[1] >> 4);
}

struct sp_hop_seen {
	sp_u32 ifindex;
	sp_u8 macs[2 * SP_MAC];
	sp_u8 zone;
};

/* Negative: another CPU, or the exact clock, is ahead. */
SP_INLINE sp_s64 sp_hop_since(sp_u64 now_ns, sp_u64 then_ns)
{
	return (sp_s64)(now_ns - then_ns);
}

/* The next hop that a note names, if p may take it now. */
SP_INLINE int sp_hop_read(sp_u64 note, sp_u32 routes, sp_u8 service, const struct sp_pkt *p, struct sp_hop_seen *seen)
{
	struct sp_hop *hop = SP_LOOKUP(sp_hops, (note >> 8) & (SP_HOPS - 1));
	sp_u32 lock;

	if (!hop || note >> 32 != routes || (note & 0xff) != service)
		return 0;
	lock = SP_READ(hop->lock);
	if ((lock & 1) || SP_READ(hop->version) != ((note >> 20) & 0xfff) || p->len > SP_READ(hop->mtu) ||
	    sp_hop_since(p->now_ns, SP_READ(hop->fresh_ns)) > SP_HOP_FRESH_NS ||
	    sp_hop_since(p->now_ns, SP_READ(hop->stack_ns)) > SP_HOP_STACK_NS)
		return 0;
	seen->ifindex = SP_READ(hop->ifindex);
	seen->zone = SP_READ(hop->zone);
	__builtin_memcpy(seen->macs, hop->macs, 2 * SP_MAC);
	asm volatile("" ::: "memory");
	return SP_READ(hop->lock) == lock;
}

/* ---- where it is learnt: packets that ask the kernel ---------------------------------------------------------------- */

SP_INLINE int sp_hop_is(const struct sp_hop *hop, const struct bpf_fib_lookup *fib)
{
	const int four = fib->family == SP_AF_INET;

	if (!hop->version || hop->ifindex != fib->ifindex || hop->mtu != fib->mtu_result || hop->family != fib->family)
		return 0;
	return four ? hop->addr.w32[0] == fib->ipv4_dst :
	       hop->addr.w32[0] == fib->ipv6_dst[0] && hop->addr.w32[1] == fib->ipv6_dst[1] &&
	       hop->addr.w32[2] == fib->ipv6_dst[2] && hop->addr.w32[3] == fib->ipv6_dst[3];
}

/* Brings entry i up to date. Returns its version; 0: it is another one's. */
SP_GLOBAL int sp_hop_refresh(sp_u32 i, const struct bpf_fib_lookup *fib, sp_u32 zone, sp_u64 now_ns)
{
	struct sp_hop *hop = SP_LOOKUP(sp_hops, i % SP_HOPS);
	sp_u32 lock, version = 0;

	if (!hop || !fib)
		return 0;
	lock = SP_READ(hop->lock);
	if ((lock & 1) || sp_cmpxchg32(&hop->lock, lock, lock + 1) != lock)
		return 0;
	if (!sp_hop_is(hop, fib) && (!hop->version || sp_hop_since(now_ns, hop->fresh_ns) > SP_HOP_IDLE_NS)) {
		version = (hop->version + 1) & 0xfff;
		SP_WRITE(hop->version, version ? version : 1);
		hop->ifindex = fib->ifindex;
		hop->mtu = fib->mtu_result;
		hop->family = fib->family;
		if (fib->family == SP_AF_INET)
			hop->addr.w32[0] = fib->ipv4_dst;
		else
			__builtin_memcpy(&hop->addr, fib->ipv6_dst, 16);
		hop->stack_ns = 0;
	}
	version = 0;
	if (sp_hop_is(hop, fib)) {
		version = hop->version;
		__builtin_memcpy(hop->macs, fib->dmac, SP_MAC);
		__builtin_memcpy(hop->macs + SP_MAC, fib->smac, SP_MAC);
		hop->zone = (sp_u8)zone;
		SP_WRITE(hop->fresh_ns, now_ns);
	}
	sp_unlock(&hop->lock, lock + 2);
	return (int)version;
}

/* Is it time for the stack to see a packet to that next hop? Says so to one packet. */
SP_INLINE int sp_hop_is_due(sp_u32 i, sp_u64 now_ns)
{
	struct sp_hop *hop = SP_LOOKUP(sp_hops, i % SP_HOPS);
	sp_u64 then_ns;

	if (!hop)
		return 0;
	then_ns = SP_READ(hop->stack_ns);
	return sp_hop_since(now_ns, then_ns) > SP_HOP_STACK_NS && sp_cmpxchg64(&hop->stack_ns, then_ns, now_ns) == then_ns;
}

/*
 * The kernel has said where p goes: remembers that for its conversation, and as p->note. Returns 1 if this packet
 * has to take the stack. p->flow, p->key, p->dir are those of the conversation.
 */
SP_GLOBAL int sp_hop_learn(struct sp_pkt *p, const struct bpf_fib_lookup *fib, sp_u32 routes, sp_u32 service)
{
	sp_u32 i, version;
	struct sp_flow *f;
	sp_be32 last;

	if (!p || !fib)
		return 0;
	/* a poor hash that spreads neighbours well: they differ in the last bytes of their address */
	last.raw = fib->family == SP_AF_INET ? fib->ipv4_dst : fib->ipv6_dst[3];
	i = (sp_ntoh32(last) + fib->ifindex * 61 + fib->mtu_result * 7) % SP_HOPS;
	version = (sp_u32)sp_hop_refresh(i, fib, p->zone_out, p->now_ns);
	if (!version) {
		i ^= SP_HOPS / 2;
		version = (sp_u32)sp_hop_refresh(i, fib, p->zone_out, p->now_ns);
	}
	f = sp_flow_at(p->flow - 1);
	if (!version || !f)
		return 0;
	p->note = (sp_u64)routes << 32 | (sp_u64)(version & 0xfff) << 20 | (sp_u64)i << 8 | (service & 0xff);
	if (sp_flow_lock(f, p->flow - 1)) {
		if (sp_flow_is(f, &p->key)) {
			sp_note_set(f, p->flow - 1, sp_bit(p->dir) * 2, p->note);
			if (p->nat == SP_NAT_SRC)
				sp_note_set(f, p->flow - 1, SP_NOTE_SOURCE, sp_source_tell(p));
		}
		sp_flow_unlock(f);
	}
	return sp_hop_is_due(i, p->now_ns);
}

#endif
