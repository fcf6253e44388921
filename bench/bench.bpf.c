// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The bench's kernel programs: a generator, a sink that may answer, and gateways that know no state. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench.h"

#define UDP_LEN (BENCH_FRAME - ETH_HLEN - 20)

/* One CPU does it all: no atomics. */
struct bench_orders orders = {};
struct bench_counts counts = {};

/* The program that is measured alone. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__u8 text[UDP_LEN - 8];
} __attribute__((packed));

static __always_inline void set_mac(__u8 *mac, __u8 who)
{
	__builtin_memset(mac, 0, ETH_ALEN);
	mac[0] = 2;
	mac[4] = 0xbe;
	mac[5] = who;
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

static __always_inline __u32 halves(__u32 word)
{
	return (word >> 16) + (word & 0xffff);
}

/* Which flow is next? */
static __always_inline __u32 pick(void)
{
	const __u32 n = orders.next++;
	__u32 x = n * 0x9e3779b9u;

	if (orders.order >= BENCH_NEW)
		return n;
	if (orders.order == BENCH_IN_TURN)
		return n % orders.flows;
	x = (x ^ x >> 15) * 0x85ebca6bu;
	x = (x ^ x >> 13) * 0xc2b2ae35u;
	x ^= x >> 16;
	return (__u32)(((__u64)x * orders.flows) >> 32);
}

/* All headers of the next packet: pages are used again, and whoever had them has changed them. */
static __always_inline int write_frame(struct xdp_md *ctx)
{
	struct frame *f = (void *)(long)ctx->data;
	const int come = orders.order == BENCH_COME, new_ = come || orders.order == BENCH_NEW;
	__u32 flow, sender, from, to, sum;
	__u16 port;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return -1;
	flow = pick();
	sender = new_ ? flow : flow / BENCH_SERVERS;
	from = (come ? BENCH_SERVER : BENCH_SOURCE) + (sender & 0xff);
	to = come ? orders.called : BENCH_SERVER + (new_ ? 0 : flow % BENCH_SERVERS);
	port = (__u16)(BENCH_FIRST_PORT + sender);
	set_mac(f->eth.h_dest, come ? BENCH_WAN : BENCH_LAN);
	set_mac(f->eth.h_source, come ? BENCH_SINK : BENCH_GEN);
	f->eth.h_proto = bpf_htons(ETH_P_IP);
	f->ip.version = 4;
	f->ip.ihl = 5;
	f->ip.tos = 0;
	f->ip.tot_len = bpf_htons(BENCH_FRAME - ETH_HLEN);
	f->ip.id = 0;
	f->ip.frag_off = bpf_htons(0x4000);
	f->ip.ttl = 64;
	f->ip.protocol = IPPROTO_UDP;
	f->ip.saddr = bpf_htonl(from);
	f->ip.daddr = bpf_htonl(to);
	sum = halves(from) + halves(to);
	f->ip.check = bpf_htons((__u16)~fold(sum + 0x4500 + (BENCH_FRAME - ETH_HLEN) + 0x4000 + 0x4011));
	f->udp.source = bpf_htons(port);
	f->udp.dest = bpf_htons(BENCH_PORT);
	f->udp.len = bpf_htons(UDP_LEN);
	f->udp.check = bpf_htons((__u16)~fold(sum + IPPROTO_UDP + 2 * UDP_LEN + port + BENCH_PORT));
	if (orders.watch) {
		const __u64 now = bpf_ktime_get_ns();

		f->udp.check = 0; /* none */
		__builtin_memcpy(f->text, &now, sizeof(now));
	}
	return 0;
}

SEC("xdp")
int bench_send(struct xdp_md *ctx)
{
	return write_frame(ctx) ? XDP_ABORTED : (int)bpf_redirect(orders.out, 0);
}

/* Makes a packet and hands it to the measured program. */
SEC("xdp.frags")
int bench_measure(struct xdp_md *ctx)
{
	if (write_frame(ctx))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

static __always_inline int sums_are_right(const struct frame *f)
{
	const __u16 *w = (const void *)f + ETH_HLEN;
	__u32 ip = 0, udp = bpf_htons(IPPROTO_UDP) + f->udp.len;

	for (int i = 0; i < 10; i++)
		ip += w[i];
	for (int i = 6; i < (20 + UDP_LEN) / 2; i++)
		udp += w[i];
	return fold(ip) == 0xffff && fold(udp) == 0xffff;
}

static __always_inline void watch(const struct frame *f)
{
	const __u64 now = bpf_ktime_get_ns();
	__u64 sent;

	__builtin_memcpy(&sent, f->text, sizeof(sent));
	if (now - sent > counts.way_ns)
		counts.way_ns = now - sent;
	if (counts.last_ns && now - counts.last_ns > counts.gap_ns)
		counts.gap_ns = now - counts.last_ns;
	counts.last_ns = now;
}

/* Counts and drops; or sends back to whom it came from. */
SEC("xdp")
int bench_sink(struct xdp_md *ctx)
{
	struct frame *f = (void *)(long)ctx->data;
	__u32 address;
	__u16 port;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end || f->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    f->udp.dest != bpf_htons(BENCH_PORT))
		return XDP_DROP;
	counts.arrived++;
	if (orders.watch)
		watch(f);
	if (!orders.echo)
		return XDP_DROP;
	counts.source = f->ip.saddr;
	counts.ttl = f->ip.ttl;
	if (!sums_are_right(f))
		counts.bad++;
	set_mac(f->eth.h_dest, BENCH_WAN);
	set_mac(f->eth.h_source, BENCH_SINK);
	address = f->ip.saddr;
	f->ip.saddr = f->ip.daddr;
	f->ip.daddr = address;
	port = f->udp.source;
	f->udp.source = f->udp.dest;
	f->udp.dest = port;
	/* not XDP_TX: on a veth that is delivered only if there is a program on the other end */
	return (int)bpf_redirect(ctx->ingress_ifindex, 0);
}

/* What comes home to the generator, or calls somebody there. */
SEC("xdp")
int bench_home(struct xdp_md *ctx)
{
	struct frame *f = (void *)(long)ctx->data;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	if (orders.order == BENCH_COME ? f->ip.daddr != bpf_htonl(BENCH_HOST) || f->udp.dest != bpf_htons(BENCH_PORT) :
					 f->udp.source != bpf_htons(BENCH_PORT))
		return XDP_DROP;
	counts.home++;
	if (orders.order == BENCH_COME && counts.home % 64)
		return XDP_DROP; /* looking at all of them would be counted as the gateway's */
	if (!sums_are_right(f))
		counts.bad++;
	return XDP_DROP;
}

/* ---- gateways ----------------------------------------------------------------------------------------------------- */

SEC("xdp")
int bench_gw_drop(struct xdp_md *ctx)
{
	counts.dropped++;
	return XDP_DROP;
}

SEC("xdp")
int bench_gw_redirect(struct xdp_md *ctx)
{
	struct frame *f = (void *)(long)ctx->data;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	set_mac(f->eth.h_dest, BENCH_SINK);
	set_mac(f->eth.h_source, BENCH_WAN);
	return (int)bpf_redirect(orders.gw_out, 0);
}

SEC("xdp")
int bench_gw_fib(struct xdp_md *ctx)
{
	struct frame *f = (void *)(long)ctx->data;
	struct bpf_fib_lookup fib = {};

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	fib.family = 2;
	fib.ifindex = ctx->ingress_ifindex;
	fib.l4_protocol = f->ip.protocol;
	fib.sport = f->udp.source;
	fib.dport = f->udp.dest;
	fib.tot_len = bpf_ntohs(f->ip.tot_len);
	fib.ipv4_src = f->ip.saddr;
	fib.ipv4_dst = f->ip.daddr;
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return XDP_DROP;
	__builtin_memcpy(f->eth.h_dest, fib.dmac, ETH_ALEN);
	__builtin_memcpy(f->eth.h_source, fib.smac, ETH_ALEN);
	return (int)bpf_redirect(fib.ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
