/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The port of the core to BPF: shared maps, packet memory of TC or XDP, kernel atomics.
 *
 * The including program has defined SP_TC or SP_XDP. Works on Linux 6.1 and later.
 */
#ifndef SP_PORT_BPF_H
#define SP_PORT_BPF_H

#include "maps_bpf.h"

#include "../core/packet.h"
#include "../core/policy_abi.h"

/* A global function: the verifier checks it once, on its own, whoever calls it. */
#define SP_GLOBAL __attribute__((noinline))

#define SP_READ(x) (*(const volatile typeof(x) *)&(x))
#define SP_WRITE(x, v) (*(volatile typeof(x) *)&(x) = (v))

/* Keeps the compiler from undoing a bounds check: the verifier must see it on the register that is used. */
#define SP_OPAQUE(x) asm volatile("" : "+r"(x))

#define sp_cmpxchg32(p, old, new_) __sync_val_compare_and_swap((sp_u32 *)(p), (sp_u32)(old), (sp_u32)(new_))
#define sp_cmpxchg64(p, old, new_) __sync_val_compare_and_swap((sp_u64 *)(p), (sp_u64)(old), (sp_u64)(new_))
#define sp_fetch_add(p, n) __sync_fetch_and_add((p), (n))
#define SP_ACQUIRE(x)                          \
	({                                     \
		const typeof(x) v_ = SP_READ(x); \
		asm volatile("" ::: "memory"); \
		v_;                            \
	})
#define SP_RELEASE(x, v)                      \
	do {                                  \
		asm volatile("" ::: "memory"); \
		SP_WRITE(x, v);               \
	} while (0)
#ifdef __TARGET_ARCH_x86
#define SP_IN_ORDER
#define sp_unlock(p, v) SP_RELEASE(*(p), v)
#else
/* a full exchange: BPF has no store with release order */
#define sp_unlock(p, v) ((void)__sync_lock_test_and_set((p), (v)))
#endif
#define SP_CALLBACK __attribute__((noinline))
#define sp_repeat(n, f, arg) ((void)bpf_loop((n), (f), (arg), 0))
#define sp_relax(n) ((void)(n))
#define SP_STEP(what, a, b) ((void)0)

/* ---- maps: one element a row, flat arrays that user space maps -------------------------------------------------- */

/* sizes of sp_sets and sp_flows are set by the loader */
SP_ARRAY(sp_sets, struct sp_set, 2);
SP_ARRAY(sp_flows, struct sp_flow, 2 * SP_WAYS);
SP_ARRAY(sp_frags, struct sp_frag, SP_FRAG_COUNT);
SP_ARRAY(sp_sketch, sp_u64, SP_SKETCH_ROWS * SP_SKETCH_ROW);
SP_ARRAY(sp_meters, sp_u64, SP_METER_ROWS * SP_METER_ROW);
SP_ARRAY(sp_state, struct sp_state, 1);
SP_ARRAY(sp_budget, struct sp_budgets, 1);
SP_ARRAY(sp_test, struct sp_test, 1);
SP_ARRAY(sp_nat, struct sp_nat_addrs, 1);
SP_ARRAY(sp_ports, struct sp_port, 1); /* slots * SP_NAT_PORTS */

/*
 * What is remembered of a conversation, under its lock: where packets of either end of its key leave (first and last word,
 * lane_bpf.h); between them, so that each is beside it, what its sender becomes (core/fast.h). That is in the conversation
 * itself, but where TCP's windows are: what is remembered of TCP lies beside it, in an array of its own.
 */
#define SP_NOTE_SOURCE 1
struct sp_hop_of {
	sp_u64 note[3];
};

SP_ARRAY(sp_hop_of, struct sp_hop_of, 1); /* as many as sp_flows */

/*
 * The packet under way, one a CPU: too large for the stack. Programs do not interrupt each other on one CPU: at ingress and
 * egress they run with bottom halves off.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, sp_u32);
	__type(value, struct sp_pkt);
} sp_packet SEC(".maps");

/* Compiled policies by slot; an empty slot means: the built-in policy alone. */
struct sp_image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, 1); /* each image has its own size */
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct sp_image_line));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SP_IMAGE_SLOTS);
	__type(key, sp_u32);
	__array(values, struct sp_image_map);
} sp_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_REASON_COUNT);
	__type(key, sp_u32);
	__type(value, struct sp_counter);
} sp_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} sp_events SEC(".maps");

/* The same of lines with the option `log`: another reader, another ring. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} sp_logs SEC(".maps");

/* Set by the test runner before loading: clock, zone and hook then come from sp_test. */
const volatile sp_u32 sp_test_mode = 0;

#define SP_LOOKUP(map, i)                               \
	({                                              \
		sp_u32 key_ = (i);                      \
		bpf_map_lookup_elem(&map, &key_);       \
	})

SP_INLINE struct sp_config *sp_config_get(void)
{
	return SP_LOOKUP(sp_config, 0);
}

SP_INLINE struct sp_state *sp_state_get(void)
{
	return SP_LOOKUP(sp_state, 0);
}

SP_INLINE struct sp_set *sp_set_at(sp_u32 i)
{
	return SP_LOOKUP(sp_sets, i);
}

SP_INLINE struct sp_flow *sp_flow_at(sp_u32 i)
{
	return SP_LOOKUP(sp_flows, i);
}

/* Entry i will be needed, by a packet of that protocol. BPF can not fetch ahead, but nobody waits for what is not used. */
SP_INLINE void sp_flow_soon(sp_u32 i, sp_u8 proto)
{
	struct sp_flow *f = sp_flow_at(i);
	struct sp_hop_of *of;

	if (f)
		(void)SP_READ(f->packets[0]);
	if (proto != SP_PROTO_TCP)
		return;
	of = SP_LOOKUP(sp_hop_of, i);
	if (of)
		(void)SP_READ(of->note[SP_NOTE_SOURCE]);
}

/* The same of a set. */
SP_INLINE void sp_set_soon(sp_u32 b)
{
	struct sp_set *set = sp_set_at(b);

	if (set)
		(void)SP_READ(set->lock);
}

/* Note n of f, which is entry i and locked. No pointer to either place: the verifier would follow both to the end. */
SP_INLINE sp_u64 sp_note_get(struct sp_flow *f, sp_u32 i, sp_u32 n)
{
	struct sp_hop_of *of;

	if (f->key.proto != SP_PROTO_TCP)
		return SP_READ(f->note[n]);
	of = SP_LOOKUP(sp_hop_of, i);
	return of ? SP_READ(of->note[n]) : 0;
}

SP_INLINE void sp_note_set(struct sp_flow *f, sp_u32 i, sp_u32 n, sp_u64 note)
{
	struct sp_hop_of *of;

	if (f->key.proto != SP_PROTO_TCP) {
		SP_WRITE(f->note[n], note);
		return;
	}
	of = SP_LOOKUP(sp_hop_of, i);
	if (of)
		SP_WRITE(of->note[n], note);
}

SP_INLINE void sp_notes_begin(sp_u64 *note, const struct sp_pkt *p)
{
	note[0] = note[1] = note[2] = 0;
	if (p)
		note[(p->dir & 1) * 2] = p->note;
}

/* Entry i, which is locked, becomes the conversation that p begins; NULL: has other aliases. */
SP_INLINE void sp_flow_placed(sp_u32 i, const struct sp_pkt *p)
{
	struct sp_flow *f = sp_flow_at(i);
	struct sp_hop_of *of;

	if (!f)
		return;
	if ((p ? p->key.proto : f->key.proto) != SP_PROTO_TCP) {
		sp_notes_begin(f->note, p);
		return;
	}
	of = SP_LOOKUP(sp_hop_of, i);
	if (of)
		sp_notes_begin(of->note, p);
}

SP_INLINE struct sp_frag *sp_frag_at(sp_u32 i)
{
	return SP_LOOKUP(sp_frags, i);
}

SP_INLINE sp_u32 *sp_sketch_at(sp_u32 i)
{
	return SP_LOOKUP(sp_sketch, i);
}

SP_INLINE struct sp_nat_addrs *sp_nat_get(void)
{
	struct sp_nat_addrs *nat = SP_LOOKUP(sp_nat, 0);

	return nat && nat->slots ? nat : NULL;
}

SP_INLINE struct sp_port *sp_port_at(sp_u32 i)
{
	return SP_LOOKUP(sp_ports, i);
}

SP_INLINE sp_u64 *sp_meter_at(sp_u32 i)
{
	return SP_LOOKUP(sp_meters, i);
}

SP_INLINE struct sp_image_line *sp_image_at(sp_u32 slot, sp_u32 line)
{
	void *image = SP_LOOKUP(sp_images, slot);

	return image ? bpf_map_lookup_elem(image, &line) : NULL;
}

/* The native engine fetches ahead; BPF has no instruction for it. */
#define sp_image_soon(slot, first, last) ((void)0)

SP_INLINE sp_u32 sp_seconds(sp_u64 ns)
{
	return (sp_u32)(ns / SP_NS_PER_S);
}

/* ---- packet memory ------------------------------------------------------------------------------------------------ */

#ifdef SP_TC
typedef struct __sk_buff sp_dev;
#define sp_load_far(dev, off, to, n) bpf_skb_load_bytes((dev), (off), (to), (n))
#else
typedef struct xdp_md sp_dev;
#define sp_load_far(dev, off, to, n) bpf_xdp_load_bytes((dev), (off), (to), (n))
#endif

/*
 * Copies n (a constant) bytes at off. Directly where the packet is linear, by helper where it is not: into what has been
 * written before, since the verifier of Linux 7.2 and 7.3 refuses clang-19's programs otherwise ("verifier bug: stack slot
 * 8, total slots 6"; `make kernels` shows when that can go).
 */
#define sp_load(dev, off, to, n)                                                      \
	({                                                                            \
		const sp_u32 off_ = (off);                                            \
		void *data_ = (void *)(long)(dev)->data;                              \
		void *end_ = (void *)(long)(dev)->data_end;                           \
		int bad_ = -1;                                                        \
		if (off_ <= 0x3fff) {                                                 \
			if (data_ + off_ + (n) <= end_) {                             \
				sp_from_frame((to), data_ + off_, (n));               \
				bad_ = 0;                                             \
			} else {                                                      \
				__builtin_memset((to), 0, (n));                       \
				bad_ = sp_load_far(dev, off_, (to), (n)) ? -1 : 0;    \
			}                                                             \
		}                                                                     \
		bad_;                                                                 \
	})

/* The same for a length that is not constant, 1 to 40 bytes. */
SP_INLINE int sp_load_some(sp_dev *dev, sp_u32 off, void *to, sp_u32 n)
{
	sp_u32 last = n - 1;

	/* Linux 6.1 does not learn from `n != 0` that n is at least 1; from last <= 39 it knows that last + 1 is */
	SP_OPAQUE(last);
	if (last > 39)
		return -1;
	return sp_load_far(dev, off, to, last + 1) ? -1 : 0;
}

#define SP_SUM_CHUNK 64u
#define SP_SUM_CHUNKS (9216 / 64)

/* One step of sp_sum_near(): n bytes (a constant) more, if at least as many are left. */
#define SP_SUM_STEP(n, type)                                              \
	if (left & (n)) {                                                  \
		if (at + (n) > end)                                        \
			return -1;                                         \
		for (int w_ = 0; w_ < (int)((n) / sizeof(type)); w_++)     \
			acc += ((const type *)at)[w_];                     \
		at += (n);                                                 \
	}

/* Sum of `left` bytes at off, at most a chunk, where the packet is linear; not folded. Negative: not there. */
SP_INLINE long sp_sum_near(sp_dev *dev, sp_u32 off, sp_u32 left)
{
	const sp_u8 *at = (void *)(long)dev->data, *end = (void *)(long)dev->data_end;
	sp_u64 acc = 0;

	SP_OPAQUE(off);
	if (off > 0x3fff)
		return -1;
	at += off;
	SP_SUM_STEP(64, sp_u32)
	SP_SUM_STEP(32, sp_u32)
	SP_SUM_STEP(16, sp_u32)
	SP_SUM_STEP(8, sp_u32)
	SP_SUM_STEP(4, sp_u32)
	SP_SUM_STEP(2, sp_u16)
	if (left & 1) {
		if (at + 1 > end)
			return -1;
		acc += *at;
	}
	return (long)acc;
}

/* Sum of the next bytes at off, at most a chunk of the `left` ones; not folded. Negative when they are not there. */
SP_GLOBAL long sp_sum_chunk(sp_dev *dev, sp_u32 off, sp_u32 left)
{
	const long near = sp_sum_near(dev, off, left < SP_SUM_CHUNK ? left : SP_SUM_CHUNK);
	sp_u32 last = (left < SP_SUM_CHUNK ? left : SP_SUM_CHUNK) - 1;
	sp_u32 chunk[SP_SUM_CHUNK / 4];
	sp_u64 acc = 0;

	if (near >= 0)
		return near;
	__builtin_memset(chunk, 0, sizeof(chunk));
	SP_OPAQUE(last); /* as in sp_load_some() */
	if (last >= SP_SUM_CHUNK || sp_load_far(dev, off, chunk, last + 1))
		return -1;
	for (int w = 0; w < (int)(SP_SUM_CHUNK / 4); w++)
		acc += chunk[w];
	return (long)acc;
}

/* One's complement sum of len bytes at off, folded; 0 when they are not there. */
SP_GLOBAL int sp_sum(sp_dev *dev, sp_u32 off, sp_u32 len, sp_u32 seed)
{
	sp_u64 acc = seed;
	long near;

	if (len < SP_SUM_CHUNK) {
		near = sp_sum_near(dev, off, len);
		if (near >= 0)
			return (int)sp_fold(acc + (sp_u64)near);
	}
	for (sp_u32 done = 0; done < SP_SUM_CHUNKS * SP_SUM_CHUNK; done += SP_SUM_CHUNK) {
		long sum;

		if (done >= len)
			return (int)sp_fold(acc);
		sum = sp_sum_chunk(dev, off + done, len - done);
		if (sum < 0)
			return 0;
		acc += (sp_u64)sum;
	}
	return 0;
}

/* Stores n (a constant) bytes at off. */
#ifdef SP_TC
#define sp_put(dev, off, from, n) (bpf_skb_store_bytes((dev), (off), (from), (n), 0) ? -1 : 0)
/* The kernel knows which checksums are unfinished. The flags of SP_FIX_* are those of the helper, moved. */
#define sp_fix(dev, p, off, from, to, how)                                                                         \
	(bpf_l4_csum_replace((dev), (off), (from), (to),                                                            \
			     ((how) & 15) | ((how) & SP_FIX_PSEUDO ? BPF_F_PSEUDO_HDR : 0) |                         \
				     ((how) & SP_FIX_UDP ? BPF_F_MARK_MANGLED_0 : 0)) ? -1 : 0)
#else
/* directly where the packet is linear: the helper costs some 20 ns */
#define sp_put(dev, off, from, n)                                                                \
	({                                                                                       \
		sp_u32 off_ = (off);                                                             \
		SP_OPAQUE(off_); /* the bound must be seen on this very register (clang-16) */   \
		void *data_ = (void *)(long)(dev)->data;                                         \
		void *end_ = (void *)(long)(dev)->data_end;                                      \
		int bad_ = -1;                                                                   \
		if (off_ <= 0x3fff) {                                                            \
			if (data_ + off_ + (n) <= end_) {                                        \
				sp_to_frame(data_ + off_, (from), (n));                          \
				bad_ = 0;                                                        \
			} else {                                                                 \
				bad_ = bpf_xdp_store_bytes((dev), off_, (from), (n)) ? -1 : 0;   \
			}                                                                        \
		}                                                                                \
		bad_;                                                                            \
	})
#define SP_GUESS_UNFINISHED

/* What packets from p's interface mostly are; written only when that changes. */
SP_INLINE void sp_note_virtual(struct sp_pkt *p, sp_u8 is)
{
	struct sp_iface *i;
	sp_u32 ifindex = p->ifindex;

	if (p->virtual == is)
		return;
	p->virtual = is;
	i = bpf_map_lookup_elem(&sp_ifaces, &ifindex);
	if (i)
		SP_WRITE(i->virtual, is);
}
#endif

/* ---- the route back to a source ------------------------------------------------------------------------------- */

#include "side.h"

#define SP_AF_INET 2
#define SP_AF_INET6 10

#define SP_ROUTE_NO_FORWARDING (-1)
#define SP_ROUTE_UNKNOWN (-2)

enum sp_route_to { SP_ROUTE_DST = 0, SP_ROUTE_SRC = 1, SP_ROUTE_NEW4 = 2 };

/*
 * Which interface leads to p's destination (or source, or the address that it gets)? Its index; 0: this machine, or nowhere;
 * or one of the above.
 */
SP_GLOBAL int sp_route(sp_dev *dev, struct sp_pkt *p, sp_u32 to)
{
	struct bpf_fib_lookup fib = {};
	long ret;

	if (!p)
		return SP_ROUTE_UNKNOWN;
	fib.ifindex = p->ifindex;
	if (p->family == SP_IPV4) {
		fib.family = SP_AF_INET;
		fib.ipv4_src = to == SP_ROUTE_SRC ? p->dst.w32[0] : p->src.w32[0];
		fib.ipv4_dst = to == SP_ROUTE_SRC ? p->src.w32[0] : to == SP_ROUTE_DST ? p->dst.w32[0] : p->new4;
	} else {
		fib.family = SP_AF_INET6;
		if (to == SP_ROUTE_SRC) {
			__builtin_memcpy(fib.ipv6_src, &p->dst, 16);
			__builtin_memcpy(fib.ipv6_dst, &p->src, 16);
		} else {
			__builtin_memcpy(fib.ipv6_src, &p->src, 16);
			__builtin_memcpy(fib.ipv6_dst, &p->dst, 16);
		}
	}
	ret = bpf_fib_lookup(dev, &fib, sizeof(fib), 0);
	if (ret == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return SP_ROUTE_NO_FORWARDING;
	if (ret < 0 || ret == BPF_FIB_LKUP_RET_UNSUPP_LWT)
		return SP_ROUTE_UNKNOWN; /* a route into a tunnel, say */
	if (ret == BPF_FIB_LKUP_RET_SUCCESS || ret == BPF_FIB_LKUP_RET_NO_NEIGH || ret == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return (int)fib.ifindex;
	return 0;
}

/* Zone of a guarded interface; SP_ZONE_NONE: it is not one. */
SP_GLOBAL int sp_zone_of(sp_u32 ifindex);

/* Would a packet to p's source leave where p came from? (RFC 3704 2.2, 2.4 for the outside; for new conversations only) */
SP_GLOBAL int sp_source_fits(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_test *test;
	int out, zone;

	if (!p)
		return 0;
	if (sp_test_mode) {
		test = SP_LOOKUP(sp_test, 0);
		return test && sp_side_fits(test, sp_nat_get(), p);
	}
	if (sp_is_zero(&p->src) || (p->family == SP_IPV6 && sp_is_link_local6(&p->src)))
		return 1;
	out = sp_route(dev, p, SP_ROUTE_SRC);
	if (out < 0 || out == (int)p->ifindex)
		return 1; /* a host has nothing to compare with */
	if (p->zone != SP_ZONE_OUTSIDE || !out)
		return 0;
	/* several ways may lead outside, and back by another one than in */
	zone = sp_zone_of((sp_u32)out);
	return zone == SP_ZONE_NONE || zone == SP_ZONE_OUTSIDE;
}

/* Is what a trial has changed of interfaces no longer so? It goes back with the policy (sp_generation()). */
SP_INLINE int sp_is_back(sp_u64 now_ns)
{
	struct sp_config *c = sp_config_get();
	const sp_u64 until_ns = c ? SP_READ(c->trial_until_ns) : 0;

	return until_ns && now_ns >= until_ns;
}

/* Zone of a guarded interface, SP_ZONE_NONE if it is not. */
SP_INLINE sp_u8 sp_iface_zone(const struct sp_iface *i, sp_u64 now_ns)
{
	if (!i)
		return SP_ZONE_NONE;
	return sp_is_back(now_ns) ? i->zone_back : i->zone;
}

/* May packets come from it, or be redirected to it, without the stack? */
SP_INLINE sp_u8 sp_iface_express(const struct sp_iface *i, sp_u64 now_ns)
{
	return sp_is_back(now_ns) ? i->express_back : i->express;
}

/* Zone of p's destination. */
SP_GLOBAL int sp_route_zone(sp_dev *dev, struct sp_pkt *p)
{
	sp_u32 out;
	int to;

	if (!p)
		return SP_ZONE_NONE;
	if (sp_test_mode) {
		struct sp_test *t = SP_LOOKUP(sp_test, 0);

		return t ? sp_side_zone(t, sp_nat_get(), p->family, &p->dst) : SP_ZONE_NONE;
	}
	out = p->ifindex;
	if (p->hook == SP_HOOK_INGRESS) {
		to = sp_route(dev, p, SP_ROUTE_DST);
		if (to == SP_ROUTE_UNKNOWN)
			return SP_ZONE_NONE;
		if (to <= 0)
			return SP_ZONE_SELF;
		out = (sp_u32)to;
	}
	return sp_zone_of(out);
}

/* A route to it that leaves says that it is somebody else's by now. */
SP_INLINE int sp_is_mine(sp_dev *dev, struct sp_pkt *p)
{
	return sp_test_mode || sp_route(dev, p, SP_ROUTE_NEW4) <= 0;
}

#include "listens_bpf.h"

/* Does a socket of this machine have that port (host order), against p's destination? Asked where p leaves. */
SP_INLINE int sp_listens(sp_dev *dev, struct sp_pkt *p, sp_u32 port)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sock;

	if (sp_test_mode) {
		struct sp_test *t = SP_LOOKUP(sp_test, 0);

		return t && sp_side_listens(t, port);
	}
#ifdef SP_XDP
	if (p->key.proto != SP_PROTO_TCP && sp_udp_tells() && sp_udp_none(dev, port))
		return 0;
#endif
	tuple.ipv4.saddr = p->dst.w32[0];
	tuple.ipv4.sport = p->dport.raw;
	tuple.ipv4.daddr = p->new4;
	tuple.ipv4.dport = sp_hton16((sp_u16)port).raw;
	if (p->key.proto == SP_PROTO_TCP)
		sock = bpf_skc_lookup_tcp(dev, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sock = bpf_sk_lookup_udp(dev, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	bpf_sk_release(sock);
	return 1;
}

#include "../core/pipeline.h"
#include "../core/fast.h"
#include "../core/refuse.h"

#include "door_bpf.h"
#include "refuse_bpf.h"

#endif
