/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plain packets of a batch: the core's fast path (core/fast.h), cut into what the stages do. Most packets are whole TCP or
 * UDP ones of conversations that go on: they are read into no more than is needed of them, and recorded at once. Whatever is
 * not so is told before anything has changed, and takes the pipeline. Include port_host.h first.
 */
#ifndef SP_HOST_PLAIN_H
#define SP_HOST_PLAIN_H

#include "door.h"

#include "../core/fast.h"

/* Reads it, if it may be a plain one; of d only what is named here is set then. */
static inline int sp_plain_read(struct sp_door *d, const struct sp_engine *e, const struct sp_engine_packet *in)
{
	const sp_u8 *data = in->data;
	struct sp_pkt *p = &d->p;

	if (in->bare_ip || in->forwarded || e->step)
		return 0;
	p->hook = in->hook;
	p->segs = in->gso_segs ? in->gso_segs : 1;
	if (!sp_fast_read(data, data + in->len, in->len, p))
		return 0;
	p->now_ns = in->now_ns;
	p->zone = in->hook == SP_HOOK_EGRESS ? SP_ZONE_SELF : in->zone;
	return 1;
}

/* Its conversation, if the hint still holds; an alias turns p. NULL: the pipeline has to look. */
static inline struct sp_flow *sp_plain_find(const struct sp_door *d, struct sp_pkt *p)
{
	struct sp_flow *f = d->dev.hint ? sp_flow_at(d->dev.hint - 1) : NULL;

	if (!f || !sp_key_same(&f->key, &p->key))
		return NULL;
	p->flow = d->dev.hint;
	p->via = 0;
	p->nat = SP_NAT_UNTOUCHED;
	if (SP_READ(f->phase) != SP_PHASE_ALIAS)
		return f;
	/* sp_judge(): at egress it is a clash; else somebody else may still translate it */
	if (p->hook != SP_HOOK_INGRESS || (SP_READ(((struct sp_alias *)f)->flags) & SP_ALIAS_FOREIGN))
		return NULL;
	return sp_nat_turn((struct sp_alias *)f, p);
}

/* What the packet becomes, beside it. */
static inline void sp_plain_write(struct sp_door *d, const struct sp_engine_packet *in)
{
	sp_u8 *out = in->out;

	if (out != in->data)
		memcpy(out, in->data, in->len);
	sp_fast_write(out, out + in->len, &d->p, 0);
}

/* Decides and records it: the reason, or SP_R_NONE: nothing has changed but d. */
static inline int sp_plain_decide(struct sp_door *d, struct sp_engine *e, const struct sp_engine_packet *in)
{
	struct sp_config *c = e->t.config;
	struct sp_state *s = e->t.state;
	struct sp_pkt *p = &d->p;
	int reason = SP_R_NONE;
	struct sp_flow *f;

	if (SP_READ(s->tick) != (sp_u32)(p->now_ns >> SP_TICK_SHIFT))
		return SP_R_NONE;
	f = sp_plain_find(d, p);
	if (!f)
		return SP_R_NONE;
	if (p->nat && sp_fast_doubts((sp_u8 *)in->data, (sp_u8 *)in->data + in->len, p))
		return SP_R_NONE;
	p->generation = sp_generation(c, p->now_ns);
	if (!sp_lock_try_once(&f->lock))
		return SP_R_NONE;
	if (sp_fast_fits(c, s, f, p, 0))
		reason = sp_fast_record(f, p);
	/* as if it had never been taken, if nothing has changed: the pipeline takes it next */
	sp_unlock(&f->lock, SP_READ(f->lock) + (reason ? 1 : -1u));
	if (reason && p->nat && in->out)
		sp_plain_write(d, in);
	return reason;
}

static inline void sp_plain_close(const struct sp_door *d, const struct sp_engine_packet *in, int reason,
				  struct sp_counter *counters, struct sp_engine_result *out)
{
	const struct sp_pkt *p = &d->p;

	counters[reason].packets += p->segs;
	counters[reason].bytes += p->len;
	out->verdict = SP_PASS;
	out->reason = (sp_u8)reason;
	out->event = SP_EVENT_NONE;
	out->dir = p->dir;
	out->flow = p->flow;
	out->rewritten = in->out && (p->nat || in->data == in->out);
}

#endif
