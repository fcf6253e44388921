/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the program at XDP does with a packet that begins a translated conversation as another one did before it
 * (bpf/sally_xdp.bpf.c), natively: both entries at once, or, where that is not plain, all from the start.
 */
#include <arpa/inet.h>
#include <string.h>

#include "stress.h"

#include "../../port/port_host.h"

#include "../../core/fast.h"

/* Is it one that may begin, and belongs to no conversation? Then p is as the precedent would make it. */
static int may_begin(struct bench *b, const struct sp_engine_packet *in, struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_state *s = sp_state_get();
	const int inwards = in->zone == SP_ZONE_OUTSIDE;

	*p = (struct sp_pkt){ .now_ns = in->now_ns, .zone = in->zone, .hook = SP_HOOK_INGRESS, .segs = 1 };
	p->generation = sp_generation(c, p->now_ns);
	if (in->hook != SP_HOOK_INGRESS || !in->out ||
	    !sp_fast_parse(in->data, (const sp_u8 *)in->data + in->len, in->len, p) ||
	    (p->kind != SP_KIND_UDP && !sp_is_first_syn(p)) || !sp_waiting_few(c, s, p))
		return 0;
	if (inwards && (p->dst.w32[0] != b->e->t.nat->slot[0].addr || ntohs(p->dport.raw) != b->forward_port))
		return 0;
	if (sp_fast_find(c, s, p, 0, 0) || p->flow)
		return 0;
	sp_fast_fresh(p, 0, inwards ? SP_LINE_FIRST : SP_LINE_INSIDE, inwards ? SP_ZONE_INSIDE : SP_ZONE_OUTSIDE, 0);
	if (inwards) {
		p->new4 = htonl(b->forward_to4);
		p->new_port.raw = htons(b->forward_to_port);
		sp_nat_redirect(c, p);
	}
	return 1;
}

int pair_begin(struct bench *b, int thread, const struct sp_engine_packet *in, struct sp_engine_result *out)
{
	struct sp_host_dev dev = { .data = in->data, .len = in->len };
	sp_u8 *frame = in->out;
	struct sp_pkt p;

	sp_host = b->e;
	__atomic_store_n(&b->gone[thread], 0, __ATOMIC_RELAXED);
	if (!may_begin(b, in, &p) || !sp_nat_at_once(&dev, &p, 1))
		return 0;
	sp_sweep_new(p.hash, p.now_ns);
	memcpy(frame, in->data, in->len);
	sp_fast_write(frame, frame + in->len, &p, 1);
	out->verdict = SP_PASS;
	out->rewritten = 1;
	__atomic_store_n(&b->gone[thread], 1, __ATOMIC_RELAXED);
	return 1;
}
