// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* XDP ingress, in place of TC ingress where the driver has it: attach, call the core, translate the verdict. */
#define SP_XDP
#include "../port/port_bpf.h"

SEC("xdp.frags")
int sp_xdp_in(struct xdp_md *ctx)
{
	struct sp_pkt *p = sp_door(ctx->ingress_ifindex, SP_HOOK_INGRESS);
	sp_u32 reason;

	if (!p)
		return XDP_PASS;
	p->frame_len = (sp_u32)bpf_xdp_get_buff_len(ctx);
	p->segs = 1;
	reason = sp_serve(ctx, p);
	return sp_reason_drops(reason) ? sp_refuse_xdp(ctx, p, reason) : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
