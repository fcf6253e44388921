// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* TC ingress and egress: attach, call the core, translate the verdict. */
#define SP_TC
#include "../port/port_bpf.h"

#include <linux/pkt_cls.h>

/* Did the packet that leaves come in at a guarded interface? Then it was decided there. */
SP_INLINE int sp_was_judged(struct __sk_buff *skb)
{
	sp_u32 from = skb->ingress_ifindex;

	if (sp_test_mode) {
		struct sp_test *t = SP_LOOKUP(sp_test, 0);

		return t && t->forwarded;
	}
	return from && bpf_map_lookup_elem(&sp_ifaces, &from);
}

SP_INLINE int sp_tc(struct __sk_buff *skb, sp_u8 hook)
{
	struct sp_pkt p = {};

	if (!sp_door(&p, skb->ifindex, hook))
		return TC_ACT_UNSPEC;
	p.frame_len = skb->len;
	p.segs = skb->gso_segs ? skb->gso_segs : 1;
	if (hook == SP_HOOK_EGRESS && sp_was_judged(skb)) {
		sp_count(SP_R_FORWARDED, &p);
		return TC_ACT_UNSPEC;
	}
	/* UNSPEC: let the filters that others installed have their say */
	return sp_serve(skb, &p) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
