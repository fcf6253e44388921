// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* TC ingress and egress: attach, call the core, translate the verdict. */
#define SP_TC
#include "../port/port_bpf.h"

#include <bpf/bpf_endian.h>
#include <linux/pkt_cls.h>

/* Zone of the guarded interface where a packet that leaves came in; SP_ZONE_NONE: this machine sends it. */
SP_INLINE sp_u8 sp_came_from(struct __sk_buff *skb, const struct sp_pkt *p)
{
	const sp_u32 from = skb->ingress_ifindex;

	if (sp_test_mode) {
		struct sp_test *t = SP_LOOKUP(sp_test, 0);

		return !t || !t->forwarded ? SP_ZONE_NONE : t->zone_from ? t->zone_from : SP_ZONE_INSIDE;
	}
	return from ? sp_iface_zone(bpf_map_lookup_elem(&sp_ifaces, &from), p->now_ns) : SP_ZONE_NONE;
}

SP_INLINE int sp_tc(struct __sk_buff *skb, sp_u8 hook)
{
	struct sp_pkt *p = sp_door(skb->ifindex, hook);
	sp_u32 reason;
	sp_u8 from;

	if (!p)
		return TC_ACT_UNSPEC;
	p->frame_len = skb->len;
	p->segs = skb->gso_segs ? skb->gso_segs : 1;
	if (sp_is_answer(skb)) {
		sp_count(SP_R_OWN_ERROR, p);
		return TC_ACT_UNSPEC;
	}
	from = hook == SP_HOOK_EGRESS ? sp_came_from(skb, p) : SP_ZONE_NONE;
	if (from) {
		/* it was judged where it came in; what came from the outside needs no other source */
		if (skb->protocol == bpf_htons(0x86dd) || !sp_nat_get() ||
		    (from == SP_ZONE_OUTSIDE && p->zone_out != SP_ZONE_OUTSIDE && !sp_others_translate(p->now_ns))) {
			sp_count(SP_R_FORWARDED, p);
			return TC_ACT_UNSPEC;
		}
		p->forwarded = 1;
		p->zone = from;
	}
	/* UNSPEC: let the filters that others installed have their say */
	reason = sp_serve(skb, p);
	return sp_reason_drops(reason) ? sp_refuse_tc(skb, p, reason) : TC_ACT_UNSPEC;
}

SEC("tc")
int sp_tc_in(struct __sk_buff *skb)
{
	return sp_tc(skb, SP_HOOK_INGRESS);
}

SEC("tc")
int sp_tc_out(struct __sk_buff *skb)
{
	return sp_tc(skb, SP_HOOK_EGRESS);
}

/* At ingress of interfaces that are judged at XDP: answers what that refuses with an error. */
SEC("tc")
int sp_tc_reject(struct __sk_buff *skb)
{
	return sp_is_answer(skb) ? TC_ACT_UNSPEC : sp_refuse_noted(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
