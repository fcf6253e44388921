/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Builds the answer to a refused packet in its place and sends it back where it came from: kernel programs at TC only.
 *
 * XDP can not send on a virtual cable, so it hands a packet that is to be answered on to sp_tc_reject, with a note in front
 * of it that only XDP can write, and with its header damaged: if nobody takes it, the stack throws it away.
 *
 * An answer meets the programs again. It is known by skb->mark, which does not come over a wire and needs a privilege to
 * set, with a value that is random for each instance.
 */
#ifndef SP_PORT_REFUSE_BPF_H
#define SP_PORT_REFUSE_BPF_H

#include "../core/refuse.h"

#define SP_ETH_LEN 14u

enum sp_refuse_path {
	SP_PATH_INGRESS = 0, /* back out of the interface where it came in */
	SP_PATH_EGRESS = 1, /* the same, but it was on its way out of another one already */
	SP_PATH_SELF = 2, /* up to this machine's own socket */
};

/* How to answer a packet; what else is needed is read from it. */
struct sp_refusal {
	sp_u8 how; /* enum sp_refuse */
	sp_u8 family;
	sp_u8 proto;
	sp_u8 path; /* enum sp_refuse_path */
	sp_u8 bare_ip;
	sp_u8 l4; /* bytes from the IP header to the transport header */
	sp_u8 pad_[2];
	sp_u32 number; /* SP_REFUSE_ASK: what the question acknowledges */
};

/* XDP's note to sp_tc_reject, right in front of the packet. */
struct sp_refuse_note {
	sp_u32 mark; /* sp_refuse_mark() */
	struct sp_refusal r;
};

SP_INLINE sp_u32 sp_refuse_mark(void)
{
	struct sp_config *c = sp_config_get();

	return c ? (sp_u32)(c->secret[0] ^ c->secret[1] >> 32) | 1 : 1;
}

/* p was stopped: is its sender told, and can he be? Returns enum sp_refuse and fills in r. */
SP_GLOBAL int sp_refuse(sp_dev *dev, struct sp_pkt *p, sp_u32 reason, struct sp_refusal *r)
{
	struct sp_budgets *b = SP_LOOKUP(sp_budget, 0);
	struct sp_config *c = sp_config_get();
	sp_u32 l4;

	if (sp_test_mode || !p || !r || !b || !c)
		return SP_REFUSE_SILENT;
	l4 = p->l4_off - p->l3_off;
	r->how = (sp_u8)sp_refuse_how(p, reason, p->now_ns < SP_READ(c->trial_until_ns));
	if (r->how == SP_REFUSE_SILENT || l4 > 255)
		return SP_REFUSE_SILENT;
	r->number = 0;
	if (r->how == SP_REFUSE_ASK) {
		/* its budget has been taken, and its source looked at, before it was to be asked */
		r->number = sp_question(c, p->hash, p->now_ns);
		goto rest;
	}
	/* an answer to somebody else's address is a weapon; of this machine's own packets the stack has chosen the source */
	if (p->zone != SP_ZONE_SELF && p->hook == SP_HOOK_INGRESS && !sp_source_fits(dev, p))
		return SP_REFUSE_SILENT;
	if (!sp_budget_take(&b->refuse_due_ns, p->now_ns, SP_REFUSE_EVERY_NS, SP_REFUSE_BURST))
		return SP_REFUSE_SILENT;
rest:
	r->family = p->family;
	r->proto = p->proto;
	r->path = p->hook == SP_HOOK_INGRESS ? SP_PATH_INGRESS : p->zone == SP_ZONE_SELF ? SP_PATH_SELF : SP_PATH_EGRESS;
	r->bare_ip = p->bare_ip;
	r->l4 = (sp_u8)l4;
	return r->how;
}

/*
 * Makes of what XDP hands on something that the stack throws away if sp_tc_reject is not there: a wrong header checksum,
 * or an IP version that does not exist. The same again undoes it.
 */
#define SP_DAMAGE4 1 /* of the checksum; makes no wrong one right, as turning all bits of 0xffff would */
#define SP_DAMAGE6 0xf0

#ifdef SP_XDP
/*
 * The question, sent back by the driver at once: a flood of SYNs is worth no buffer of the stack. Of plain SYNs, and where
 * the driver can send what XDP gives it. XDP_PASS: nothing was changed, it goes the other way.
 */
SP_GLOBAL int sp_ask_xdp(struct xdp_md *ctx, struct sp_pkt *p, struct sp_refusal *r)
{
	struct {
		sp_u8 dst[6], src[6];
	} was, eth;
	struct sp_tcp in, out;
	union {
		struct sp_ip4 v4;
		struct sp_ip6 v6;
	} was_ip = {}, ip = {};
	const sp_u32 *w = (const sp_u32 *)&out;
	sp_u32 base;
	sp_u64 sum;

	if (!p || !r || !p->express || p->bare_ip || p->l3_off != SP_ETH_LEN)
		return XDP_PASS;
	base = p->family == SP_IPV4 ? sizeof(ip.v4) : sizeof(ip.v6);
	if (r->l4 != base || bpf_xdp_load_bytes(ctx, 0, &was, sizeof(was)) || (was.dst[0] & 1) ||
	    bpf_xdp_load_bytes(ctx, SP_ETH_LEN, &was_ip, base) ||
	    bpf_xdp_load_bytes(ctx, SP_ETH_LEN + base, &in, sizeof(in)))
		return XDP_PASS;
	sp_refuse_ask(&out, &in, r->number);
	if (p->family == SP_IPV4) {
		sp_refuse_ip4(&ip.v4, was_ip.v4.dst, was_ip.v4.src, SP_PROTO_TCP, sizeof(out));
		sum = sp_refuse_pseudo4(&ip.v4, sizeof(out));
	} else {
		sp_refuse_ip6(&ip.v6, &was_ip.v6.dst, &was_ip.v6.src, SP_PROTO_TCP, sizeof(out));
		sum = sp_refuse_pseudo6(&ip.v6, sizeof(out));
	}
	out.check.raw = (sp_u16)~sp_fold(sum + w[0] + w[1] + w[2] + w[3] + w[4]);
	__builtin_memcpy(eth.dst, was.src, 6);
	__builtin_memcpy(eth.src, was.dst, 6);
	if (bpf_xdp_store_bytes(ctx, 0, &eth, sizeof(eth)) || bpf_xdp_store_bytes(ctx, SP_ETH_LEN, &ip, base) ||
	    bpf_xdp_store_bytes(ctx, SP_ETH_LEN + base, &out, sizeof(out)) ||
	    bpf_xdp_adjust_tail(ctx, (int)(SP_ETH_LEN + base + sizeof(out)) - (int)p->frame_len))
		return XDP_DROP;
	/* not XDP_TX: for that a veth wakes the other end only if it has a program; its queue stays full for everybody */
	return (int)bpf_redirect(ctx->ingress_ifindex, 0);
}

/* p was stopped. Returns what the program returns. */
SP_INLINE int sp_refuse_xdp(struct xdp_md *ctx, struct sp_pkt *p, sp_u32 reason)
{
	const int one_tag = p->l3_off == SP_ETH_LEN + 4;
	struct sp_refuse_note *note;
	struct sp_refusal r = {};
	void *data, *ip;

	if (sp_refuse(ctx, p, reason, &r) == SP_REFUSE_SILENT)
		return XDP_DROP;
	if (r.how == SP_REFUSE_ASK) {
		const int sent = sp_ask_xdp(ctx, p, &r);

		if (sent != XDP_PASS)
			return sent;
	}
	/* at TC one VLAN tag stands beside the packet; with two, or on another sort of link, nobody is told */
	if ((p->l3_off != SP_ETH_LEN && !one_tag) || bpf_xdp_adjust_meta(ctx, -(int)sizeof(*note)))
		return XDP_DROP;
	note = (void *)(long)ctx->data_meta;
	data = (void *)(long)ctx->data;
	ip = data + (one_tag ? SP_ETH_LEN + 4 : SP_ETH_LEN);
	if ((void *)(note + 1) > data || ip + sizeof(struct sp_ip4) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	note->mark = sp_refuse_mark();
	note->r = r;
	if (r.family == SP_IPV4)
		*((sp_u8 *)ip + 11) ^= SP_DAMAGE4;
	else
		*(sp_u8 *)ip ^= SP_DAMAGE6;
	return XDP_PASS;
}
#endif

#ifdef SP_TC
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

/*
 * Is the transport checksum unfinished (CHECKSUM_PARTIAL)? Then whoever sends the packet on puts the sum of everything from
 * the transport header on into the checksum's place, wherever we would like that to be. The kernel does not say; but its
 * helper leaves such a packet alone, and changes any other: tries it on the two bytes at off.
 */
SP_INLINE int sp_is_unfinished(struct __sk_buff *skb, sp_u32 off)
{
	sp_u16 before, after;

	if (bpf_skb_load_bytes(skb, off, &before, 2) || bpf_l4_csum_replace(skb, off, 0, 1, 2) ||
	    bpf_skb_load_bytes(skb, off, &after, 2) || bpf_skb_store_bytes(skb, off, &before, 2, 0))
		return -1;
	return before == after;
}

/* The packet becomes a reset, or a question. l3: where its IP header begins. Returns 0, or negative: it can not be done. */
SP_GLOBAL int sp_answer_rst(struct __sk_buff *skb, struct sp_refusal *r, sp_u32 l3)
{
	struct sp_tcp in, out;
	union {
		struct sp_ip4 v4;
		struct sp_ip6 v6;
	} was = {}, ip = {};
	sp_u32 base, payload;
	sp_u64 sum;
	int partial;

	if (!r || l3 > SP_ETH_LEN)
		return -1;
	base = r->family == SP_IPV4 ? sizeof(ip.v4) : sizeof(ip.v6);
	partial = sp_is_unfinished(skb, l3 + 10);
	/* unfinished, the transport header must stay where it is */
	if (partial < 0 || (partial && r->l4 != base) || bpf_skb_load_bytes(skb, l3 + r->l4, &in, sizeof(in)))
		return -1;
	if (bpf_skb_load_bytes(skb, l3, &was, r->family == SP_IPV4 ? sizeof(was.v4) : sizeof(was.v6)))
		return -1;
	payload = r->family == SP_IPV4 ? sp_ntoh16(was.v4.total) : sizeof(was.v6) + sp_ntoh16(was.v6.payload);
	payload -= r->l4 + (in.off >> 4) * 4u;
	if (r->how == SP_REFUSE_ASK)
		sp_refuse_ask(&out, &in, r->number);
	else
		sp_refuse_rst(&out, &in, payload);
	if (r->family == SP_IPV4) {
		sp_refuse_ip4(&ip.v4, was.v4.dst, was.v4.src, SP_PROTO_TCP, sizeof(out));
		sum = sp_refuse_pseudo4(&ip.v4, sizeof(out));
	} else {
		sp_refuse_ip6(&ip.v6, &was.v6.dst, &was.v6.src, SP_PROTO_TCP, sizeof(out));
		sum = sp_refuse_pseudo6(&ip.v6, sizeof(out));
	}
	if (partial) {
		out.check.raw = (sp_u16)sp_fold(sum);
	} else {
		const sp_u32 *w = (const sp_u32 *)&out;

		out.check.raw = (sp_u16)~sp_fold(sum + w[0] + w[1] + w[2] + w[3] + w[4]);
	}
	/* this also makes one packet of one that stands for several */
	if (bpf_skb_change_tail(skb, l3 + base + sizeof(out), 0))
		return -1;
	if (bpf_skb_store_bytes(skb, l3, &ip, r->family == SP_IPV4 ? sizeof(ip.v4) : sizeof(ip.v6), 0))
		return -1;
	return bpf_skb_store_bytes(skb, l3 + base, &out, sizeof(out), 0) ? -1 : 0;
}

/* Folded sum of the quote, len bytes at l3, as it will be when it arrives; 0: it can not be known. */
SP_GLOBAL int sp_quote_sum(struct __sk_buff *skb, struct sp_refusal *r, sp_u32 l3, sp_u32 len)
{
	const int partial = sp_is_unfinished(skb, l3 + 10);
	sp_be16 seed;
	sp_u32 sum;

	if (!r || partial < 0)
		return 0;
	if (!partial)
		return sp_sum(skb, l3, len, 0);
	if (r->proto != SP_PROTO_TCP && r->proto != SP_PROTO_UDP)
		return 0;
	/* what is finished later makes everything from the transport header on sum up to the complement of the seed */
	if (bpf_skb_load_bytes(skb, l3 + r->l4 + (r->proto == SP_PROTO_TCP ? 16 : 6), &seed, 2))
		return 0;
	sum = (sp_u32)sp_sum(skb, l3, r->l4, 0);
	return sum ? (int)sp_fold((sp_u64)sum + (0xffff ^ seed.raw)) : 0;
}

#define SP_FIB_LOOKUP_SRC (1u << 4) /* BPF_FIB_LOOKUP_SRC of Linux 6.7; older ones refuse it */

/*
 * Who says so? This machine's own address on that side (RFC 1812 4.3.2.4), where the kernel can tell; else the one that was
 * asked for, which is this machine's own on a host.
 */
SP_GLOBAL int sp_answer_source(struct __sk_buff *skb, struct sp_refusal *r, struct sp_addr *from, struct sp_addr *to)
{
	sp_u32 here = skb->ifindex, before = skb->ingress_ifindex;
	struct bpf_fib_lookup fib = {};
	long ret;

	if (!r || !from || !to || r->path == SP_PATH_SELF)
		return 0;
	SP_OPAQUE(here); /* clang-19 would rather choose the place in *skb, which no verifier likes */
	SP_OPAQUE(before);
	fib.ifindex = r->path == SP_PATH_EGRESS ? before : here;
	fib.family = r->family == SP_IPV4 ? SP_AF_INET : SP_AF_INET6;
	if (r->family == SP_IPV4) {
		fib.ipv4_src = from->w32[0];
		fib.ipv4_dst = to->w32[0];
	} else {
		__builtin_memcpy(fib.ipv6_src, from, 16);
		__builtin_memcpy(fib.ipv6_dst, to, 16);
	}
	ret = bpf_fib_lookup(skb, &fib, sizeof(fib), SP_FIB_LOOKUP_SRC);
	if (ret != BPF_FIB_LKUP_RET_SUCCESS && ret != BPF_FIB_LKUP_RET_NO_NEIGH)
		return 0;
	if (r->family == SP_IPV4)
		from->w32[0] = fib.ipv4_src;
	else
		__builtin_memcpy(from, fib.ipv6_src, 16);
	return 1;
}

/* The packet becomes an ICMP error that quotes it. */
SP_GLOBAL int sp_answer_icmp4(struct __sk_buff *skb, struct sp_refusal *r, sp_u32 l3)
{
	struct sp_addr from = {}, to = {};
	struct {
		struct sp_ip4 ip;
		struct sp_icmp icmp;
	} head = {};
	sp_u32 quote, sum;

	if (!r || l3 > SP_ETH_LEN || bpf_skb_load_bytes(skb, l3, &head.ip, sizeof(head.ip)))
		return -1;
	quote = sp_ntoh16(head.ip.total);
	if (quote > SP_REFUSE_MAX4 - sizeof(head))
		quote = SP_REFUSE_MAX4 - sizeof(head);
	from.w32[0] = head.ip.dst.raw;
	to.w32[0] = head.ip.src.raw;
	sp_answer_source(skb, r, &from, &to);
	if (bpf_skb_change_tail(skb, l3 + quote, 0))
		return -1;
	sum = (sp_u32)sp_quote_sum(skb, r, l3, quote);
	if (!sum || bpf_skb_adjust_room(skb, sizeof(head), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	sp_refuse_ip4(&head.ip, (sp_be32){ from.w32[0] }, (sp_be32){ to.w32[0] }, SP_PROTO_ICMP, sizeof(head.icmp) + quote);
	head.icmp.type = 3; /* destination unreachable: communication administratively prohibited (RFC 1812 5.2.7.1) */
	head.icmp.code = 13;
	head.icmp.check.raw = (sp_u16)~sp_fold((sp_u64)sum + sp_hton16(3 << 8 | 13).raw);
	return bpf_skb_store_bytes(skb, l3, &head, sizeof(head), 0) ? -1 : 0;
}

SP_GLOBAL int sp_answer_icmp6(struct __sk_buff *skb, struct sp_refusal *r, sp_u32 l3)
{
	struct {
		struct sp_ip6 ip;
		struct sp_icmp icmp;
	} head = {};
	struct sp_addr from, to;
	sp_u32 quote, sum;

	if (!r || l3 > SP_ETH_LEN || bpf_skb_load_bytes(skb, l3, &head.ip, sizeof(head.ip)))
		return -1;
	quote = sizeof(head.ip) + sp_ntoh16(head.ip.payload);
	if (quote > SP_REFUSE_MAX6 - sizeof(head))
		quote = SP_REFUSE_MAX6 - sizeof(head);
	from = head.ip.dst;
	to = head.ip.src;
	sp_answer_source(skb, r, &from, &to);
	if (bpf_skb_change_tail(skb, l3 + quote, 0))
		return -1;
	sum = (sp_u32)sp_quote_sum(skb, r, l3, quote);
	if (!sum || bpf_skb_adjust_room(skb, sizeof(head), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	sp_refuse_ip6(&head.ip, &from, &to, SP_PROTO_ICMP6, sizeof(head.icmp) + quote);
	head.icmp.type = 1; /* destination unreachable: communication administratively prohibited (RFC 4443 3.1) */
	head.icmp.code = 1;
	head.icmp.check.raw = (sp_u16)~sp_fold(sum + sp_refuse_pseudo6(&head.ip, sizeof(head.icmp) + quote) +
					       sp_hton16(1 << 8 | 1).raw);
	return bpf_skb_store_bytes(skb, l3, &head, sizeof(head), 0) ? -1 : 0;
}

SP_INLINE int sp_swap_ends(struct __sk_buff *skb)
{
	sp_u8 dst[6], src[6];

	return bpf_skb_load_bytes(skb, 0, dst, 6) || bpf_skb_load_bytes(skb, 6, src, 6) ||
	       bpf_skb_store_bytes(skb, 0, src, 6, 0) || bpf_skb_store_bytes(skb, 6, dst, 6, 0);
}

/* Turns a packet that was stopped into its answer and sends that. Returns what the program returns. */
SP_GLOBAL int sp_answer(struct __sk_buff *skb, struct sp_refusal *r)
{
	sp_u32 l3;
	int bad;

	if (!r)
		return TC_ACT_SHOT;
	l3 = r->bare_ip ? 0 : SP_ETH_LEN;
	/* RFC 1122 3.2.2: not about what came as a broadcast of the link; and not about what was not meant for us */
	if (r->path == SP_PATH_INGRESS && skb->pkt_type != PACKET_HOST)
		return TC_ACT_SHOT;
	if (r->how != SP_REFUSE_ICMP)
		bad = sp_answer_rst(skb, r, l3);
	else
		bad = r->family == SP_IPV4 ? sp_answer_icmp4(skb, r, l3) : sp_answer_icmp6(skb, r, l3);
	if (bad || (!r->bare_ip && r->path != SP_PATH_EGRESS && sp_swap_ends(skb)))
		return TC_ACT_SHOT;
	skb->mark = sp_refuse_mark();
	if (r->path == SP_PATH_SELF)
		return (int)bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	if (r->path == SP_PATH_EGRESS)
		return (int)bpf_redirect_neigh(skb->ingress_ifindex, NULL, 0, 0);
	return (int)bpf_redirect(skb->ifindex, 0);
}

/* p was stopped. Returns what the program returns. */
SP_INLINE int sp_refuse_tc(struct __sk_buff *skb, struct sp_pkt *p, sp_u32 reason)
{
	struct sp_refusal r = {};

	return sp_refuse(skb, p, reason, &r) == SP_REFUSE_SILENT ? TC_ACT_SHOT : sp_answer(skb, &r);
}

/* Is it an answer of ours on its way? Those pass, once, without becoming a conversation. */
SP_INLINE int sp_is_answer(struct __sk_buff *skb)
{
	if (!skb->mark || skb->mark != sp_refuse_mark())
		return 0;
	skb->mark = 0;
	return 1;
}

/* Did XDP leave a note in front of the packet? Returns what the program returns. */
SP_INLINE int sp_refuse_noted(struct __sk_buff *skb)
{
	struct sp_refuse_note *note = (void *)(long)skb->data_meta;
	struct sp_refusal r;
	sp_u32 off;
	sp_u8 byte;

	if ((void *)(note + 1) > (void *)(long)skb->data || note->mark != sp_refuse_mark())
		return TC_ACT_UNSPEC;
	note->mark = 0; /* whoever gets the answer next shall not take it for his */
	r = note->r;
	off = SP_ETH_LEN + (r.family == SP_IPV4 ? 11 : 0);
	if (bpf_skb_load_bytes(skb, off, &byte, 1))
		return TC_ACT_SHOT;
	byte ^= r.family == SP_IPV4 ? SP_DAMAGE4 : SP_DAMAGE6;
	if (bpf_skb_store_bytes(skb, off, &byte, 1, 0))
		return TC_ACT_SHOT;
	return sp_answer(skb, &r);
}
#endif

#endif
