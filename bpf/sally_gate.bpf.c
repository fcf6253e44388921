/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The gate: what came in by an interface that is to be guarded but has no programs yet is held back, and so is what is to be
 * forwarded to it: it would leave untranslated. Decision record: docs/decisions/0031-gate.md.
 *
 * An interface that is made anew (a modem dials again, a tunnel is restarted) has no filters. Netfilter's hooks belong to
 * the network namespace, so they are there before it is. Whatever is guarded passes, and what nobody wants guarded.
 */
#include "../port/maps_bpf.h"

#include <bpf/bpf_core_read.h>

#define SP_NF_DROP 0
#define SP_NF_ACCEPT 1
#define SP_NF_IPV6 10 /* NFPROTO_IPV6 */

/* What the verifier knows of these is the kernel's own; here is what is read of it. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_mprog_entry;
struct mini_Qdisc;
struct net_device {
	char name[SP_GATE_NAME];
	int ifindex;
	unsigned int flags;
	struct bpf_mprog_entry *tcx_ingress; /* Linux 6.6 */
	struct mini_Qdisc *miniq_ingress; /* before */
};
struct sk_buff {
	unsigned int len;
	unsigned short network_header;
	unsigned char *head;
};
struct nf_hook_state {
	unsigned char pf;
	struct net_device *in, *out;
};
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * SP_MAX_IFACES);
	__type(key, struct sp_gate_name);
	__type(value, struct sp_gate);
} sp_gate SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, sp_u32);
	__type(value, struct sp_whole);
} sp_whole SEC(".maps");

/* One that was in another namespace meanwhile has kept its number, but lost its filters. */
SP_INLINE int has_filters(const struct net_device *dev)
{
	if (bpf_core_field_exists(dev->tcx_ingress))
		return dev->tcx_ingress != 0;
	if (bpf_core_field_exists(dev->miniq_ingress))
		return dev->miniq_ingress != 0;
	return 1;
}

/*
 * Neighbour and router discovery as the link itself sends it: always allowed, and a host asks for a router only every four
 * seconds.
 */
static __attribute__((noinline)) int is_discovery(const struct bpf_nf_ctx *ctx)
{
	const struct sk_buff *skb = ctx->skb;
	struct {
		sp_u8 version[4], length[2], next, hops, src[16], dst[16], type;
	} h;

	if (ctx->state->pf != SP_NF_IPV6 || bpf_probe_read_kernel(&h, sizeof(h), skb->head + skb->network_header))
		return 0;
	if (skb->len < sizeof(h) || h.next != 58 || h.hops != 255 || h.type < 133 || h.type > 136)
		return 0;
	return h.type != 134 || (h.src[0] == 0xfe && (h.src[1] & 0xc0) == 0x80); /* RFC 4861 6.1.2 */
}

/* Is it guarded? If not, ought it to be? */
static __attribute__((noinline)) int hold(const struct bpf_nf_ctx *ctx, const struct net_device *dev)
{
	struct sp_gate_name name = { { 0 } };
	sp_u32 zero = 0, ifindex = (sp_u32)dev->ifindex;
	const struct sp_iface *i = bpf_map_lookup_elem(&sp_ifaces, &ifindex);
	const struct sp_config *c;
	struct sp_gate *g;

	if (i && !(i->named & SP_NAMED_UNDONE) && has_filters(dev))
		return SP_NF_ACCEPT;
	if (bpf_probe_read_kernel_str(&name, sizeof(name), dev->name) < 0)
		return SP_NF_ACCEPT;
	g = bpf_map_lookup_elem(&sp_gate, &name);
	if (!g)
		return SP_NF_ACCEPT;
	c = bpf_map_lookup_elem(&sp_config, &zero);
	if (!c || !c->up_ns || is_discovery(ctx))
		return SP_NF_ACCEPT;
	__sync_fetch_and_add(&g->packets, 1);
	__sync_fetch_and_add(&g->bytes, ctx->skb->len);
	return SP_NF_DROP;
}

SP_INLINE int pass(const struct bpf_nf_ctx *ctx, const struct net_device *dev)
{
	const struct sp_whole *w;
	sp_u32 zero = 0, ifindex;

	if (!dev)
		return SP_NF_ACCEPT;
	ifindex = (sp_u32)dev->ifindex;
	w = bpf_map_lookup_elem(&sp_whole, &zero);
	if (w && w->ifindex[ifindex % SP_MAX_IFACES] == ifindex && has_filters(dev))
		return SP_NF_ACCEPT;
	return hold(ctx, dev);
}

/* Each packet meets one of these: netfilter's call costs more than what is done here. */
SEC("netfilter") int sp_gate_in(struct bpf_nf_ctx *ctx)
{
	return pass(ctx, ctx->state->in);
}

SEC("netfilter") int sp_gate_on(struct bpf_nf_ctx *ctx)
{
	return pass(ctx, ctx->state->in) == SP_NF_DROP ? SP_NF_DROP : pass(ctx, ctx->state->out);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
