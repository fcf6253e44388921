/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translation: who is known to whom by which address. Decision record: docs/decisions/0012-translation.md.
 *
 * A conversation has the key of the real addresses of both ends; an alias has the key that one side knows. Ingress
 * replaces the receiver's known address by its real one, egress the sender's real one by that which the receiver
 * knows. In an ICMP error the receiver is the sender of the quoted packet, and the quote is treated alike.
 *
 *   sp_nat_resolve()      a packet that was found by an alias becomes one between real ends
 *   sp_nat_destination()  ingress, no conversation: is its destination somebody inside who is known by our address?
 *   sp_nat_source()       egress: what does the receiver know its sender as? Makes that alias with the first packet
 *
 * Sources: RFC 4787, 5382 (mapping, filtering, ports, hairpin), 5508 (ICMP), 7857.
 */
#ifndef SP_CORE_NAT_H
#define SP_CORE_NAT_H

#include "insert.h"
#include "ports.h"

#define SP_PORT_OPEN_S 120 /* `nat open`: a held port is open so long after its holder last sent (RFC 4787 REQ-5) */

/* Which end of the conversation's key a packet is for; an ICMP error is for the sender of what it quotes. */
SP_INLINE sp_u32 sp_receiver(const struct sp_pkt *p)
{
	return p->kind == SP_KIND_ERROR ? p->dir : !p->dir;
}


SP_INLINE int sp_others_translate(sp_u64 now_ns)
{
	struct sp_state *s = sp_state_get();
	const sp_u32 seen_s = s ? SP_READ(s->others_s) : 0;

	return seen_s && sp_seconds(now_ns) - seen_s < SP_OTHERS_S;
}

SP_INLINE void sp_note_others(sp_u64 now_ns)
{
	struct sp_state *s = sp_state_get();
	const sp_u32 now_s = sp_seconds(now_ns);

	if (s && (!SP_READ(s->others_s) || now_s - SP_READ(s->others_s) > SP_OTHERS_S / 10))
		SP_WRITE(s->others_s, now_s);
}

/* Private addresses: those that are translated at the outside (RFC 1918, RFC 6598). */
SP_INLINE int sp_is_private4(sp_u32 raw)
{
	const sp_be32 be = { raw };
	const sp_u32 a = sp_ntoh32(be);

	return a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 22 == 0x64400000 >> 22;
}

/* That is the other key of p's conversation, or may be. */
SP_INLINE void sp_other_set(struct sp_config *c, struct sp_pkt *p, const struct sp_key *key)
{
	p->other = *key;
	p->other_hash = sp_key_hash(key, c->secret);
	p->other_set = sp_first_set(p->other_hash, c->sets) + 1;
}

/* ---- aliases ---------------------------------------------------------------------------------------------------------- */

/* Gives conversation p->flow the alias p->via. */
SP_GLOBAL int sp_alias_link(struct sp_pkt *p)
{
	struct sp_flow *f = p ? sp_flow_at(p->flow - 1) : SP_NULL;
	struct sp_alias *a = p ? sp_alias_at(p->via - 1) : SP_NULL, *first;
	int reason = SP_R_BUSY;

	if (!p || !f || !a || !sp_flow_lock(f, p->flow - 1))
		return SP_R_BUSY;
	if (sp_flow_is(f, &p->key) && !sp_alias_of(f, p->side)) {
		reason = SP_R_NONE;
		if (f->flags & SP_FLOW_TRANSLATED) {
			first = sp_alias_at(f->alias - 1);
			if (first)
				SP_WRITE(first->other, p->via);
			else
				reason = SP_R_BUSY;
			sp_flow_placed(p->flow - 1, SP_NULL);
		} else {
			a->born_s = f->born_s;
			SP_WRITE(f->alias, p->via);
			SP_WRITE(f->flags, f->flags | SP_FLOW_TRANSLATED);
		}
	}
	sp_flow_unlock(f);
	if (reason)
		sp_alias_free(p->via, p->flow);
	return reason;
}

/*
 * The key under which conversation p->flow is known to side p->side: to the responder, p's sender has address p->new4;
 * to the initiator, p's receiver has p->old4. It becomes p->other.
 */
SP_INLINE int sp_alias_key_set(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_addr known = {};
	struct sp_key key;
	sp_u32 dir;

	if (!p || !c)
		return 0;
	key = p->key;
	if (p->side == SP_ALIAS_RESPONDER) {
		known.w32[0] = p->new4;
		dir = sp_key_set(&key, &known, &p->dst, p->new_port, key.query ? p->new_port : p->dport);
	} else {
		known.w32[0] = p->old4;
		dir = sp_key_set(&key, &p->src, &known, key.query ? p->old_port : p->sport, p->old_port);
	}
	p->flip = dir != p->dir;
	if (!p->other_set || !sp_key_equal(&p->other, &key))
		sp_other_set(c, p, &key);
	return 1;
}

/* The same by a call, where the stack has no room for it. */
SP_GLOBAL int sp_alias_key(struct sp_pkt *p)
{
	return sp_alias_key_set(p);
}

/* Makes that alias and gives it to the conversation. SP_R_NONE, or why not. */
SP_INLINE int sp_alias_make(struct sp_pkt *p)
{
	int reason;

	sp_alias_key(p);
	reason = sp_flow_insert(p);
	if (reason == SP_R_NONE) {
		reason = sp_alias_link(p);
	} else {
		struct sp_alias *a = reason == SP_R_CONTINUES ? sp_alias_at(p->via - 1) : SP_NULL;

		sp_port_release(p->port_at);
		/* another CPU has made it at the same instant, or it is somebody else's */
		if (reason == SP_R_CONTINUES)
			reason = a && SP_READ(a->flow) == p->flow ? SP_R_BUSY : SP_R_NAT_CLASH;
	}
	p->slot = 0;
	return reason;
}

/* ---- what was found by an alias -------------------------------------------------------------------------------------- */

/*
 * p->flow is alias a: p becomes a packet between the real ends; at egress only its key does. Returns the conversation, of
 * which no lock is held; SP_NULL: there is none.
 */
SP_INLINE struct sp_flow *sp_nat_turn(struct sp_alias *a, struct sp_pkt *p)
{
	struct sp_flow *f = sp_flow_at(SP_READ(a->flow) - 1);
	sp_u64 *from, *to;
	sp_u32 end;

	if (!f)
		return SP_NULL;
	p->via = p->flow;
	p->flow = SP_READ(a->flow);
	p->dir ^= sp_alias_flip(a);
	p->foreign = SP_READ(a->flags) & SP_ALIAS_FOREIGN;
	/* if it is another one by now, the tracker, which locks it, will see */
	from = (sp_u64 *)&f->key;
	to = (sp_u64 *)&p->key;
	for (int i = 0; i < 5; i++)
		to[i] = SP_READ(from[i]);
	if (p->hook != SP_HOOK_INGRESS) {
		/* our own stack answers what was meant for somebody else: nobody translates it any more */
		SP_WRITE(a->flags, a->flags & (sp_u8)~SP_ALIAS_FOREIGN);
		return f;
	}
	end = sp_receiver(p) & 1;
	p->nat = SP_NAT_DST;
	p->old4 = p->dst.w32[0];
	p->dst = p->key.addr[end];
	p->new4 = p->dst.w32[0];
	p->new_port = p->key.port[end];
	if (p->kind == SP_KIND_ERROR) {
		p->old_port = p->sport;
		p->sport = p->new_port;
	} else {
		p->old_port = p->dport;
		p->dport = p->new_port;
	}
	if (p->key.query)
		p->sport = p->dport = p->new_port;
	return f;
}

/* Somebody else on this machine has carried alias p->flow out: it is his from now on. */
SP_GLOBAL int sp_nat_leave(struct sp_pkt *p)
{
	struct sp_alias *a = p ? sp_alias_at(p->flow - 1) : SP_NULL;
	const sp_u32 at = a ? SP_READ(a->flow) : 0;
	struct sp_flow *f = sp_flow_at(at - 1);

	if (!a || !f || !sp_flow_lock(f, at - 1))
		return 0; /* the next packet says so again */
	if (SP_READ(a->phase) == SP_PHASE_ALIAS && SP_READ(a->flow) == at) {
		SP_WRITE(a->flags, a->flags | SP_ALIAS_FOREIGN);
		sp_flow_placed(at - 1, SP_NULL);
	}
	sp_flow_unlock(f);
	return 1;
}

/* Is p->flow an alias? Then p was turned. */
SP_GLOBAL int sp_nat_resolve(struct sp_pkt *p)
{
	struct sp_alias *a = p ? sp_alias_at(p->flow - 1) : SP_NULL;

	return p && a && sp_nat_turn(a, p);
}

/* The conversation that p was resolved to is gone: p is again what came in. */
SP_INLINE void sp_nat_forget(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();

	p->flow = p->searched = 0;
	if (!c || !p->via || p->nat != SP_NAT_DST)
		return;
	p->via = 0;
	p->nat = SP_NAT_UNTOUCHED;
	p->foreign = 0;
	p->dst.w32[0] = p->old4;
	p->dport = p->old_port;
	if (p->key.query)
		p->sport = p->dport;
	p->dir = sp_key_set(&p->key, &p->src, &p->dst, p->sport, p->dport);
	p->hash = sp_key_hash(&p->key, c->secret);
}

/* Can nobody where p comes from know p's destination by its real address, since it is to be translated and never was? */
SP_GLOBAL int sp_nat_hides(struct sp_pkt *p)
{
	struct sp_image_more *more = p ? sp_image_more(p->generation) : SP_NULL;

	return p && p->zone == SP_ZONE_OUTSIDE && p->family == SP_IPV4 && sp_is_private4(p->dst.w32[0]) && sp_nat_get() &&
	       !(more && (more->flags & SP_IMAGE_NAT_OFF));
}

/* Did p come by the key that its side knows? At ingress only. The conversation's lock is held. */
SP_INLINE int sp_nat_right_key(const struct sp_flow *f, struct sp_pkt *p, int to_initiator)
{
	const sp_u32 side = to_initiator ? SP_ALIAS_RESPONDER : SP_ALIAS_INITIATOR;

	return p->hook != SP_HOOK_INGRESS || (sp_alias_of(f, side) == p->via &&
	       (p->via || !to_initiator || (f->flags & SP_FLOW_ANSWERED) || !sp_nat_hides(p)));
}

/* ---- ingress: new conversations with somebody who is known by our address ---------------------------------------- */

/* Does a line forward p? Sets p->line, p->new4, p->new_port. */
SP_GLOBAL int sp_nat_forward(struct sp_pkt *p)
{
	struct sp_image_more *more = p ? sp_image_more(p->generation) : SP_NULL;
	struct sp_image_order *order;
	sp_u32 at, says;

	if (!p || !more || !more->forwards)
		return 0;
	at = sp_image_service(p->key.proto, sp_ntoh16(p->dport));
	if (!((sp_image_word(p->generation % SP_IMAGE_SLOTS, more->forwards, at / 64) >> (at % 64)) & 1))
		return 0;
	says = sp_image_ask(p, 0, (sp_u32)p->zone << 4 | SP_ZONE_FORWARD);
	if (!(says & SP_RULE_ALLOW) || (says & SP_RULE_LINE) < SP_LINE_FIRST)
		return 0;
	order = (struct sp_image_order *)sp_image_at(p->generation % SP_IMAGE_SLOTS,
						     more->orders + (says & SP_RULE_LINE) - SP_LINE_FIRST);
	if (!order || !order->to4)
		return 0;
	p->line = (sp_u16)(says & SP_RULE_LINE);
	p->new4 = order->to4;
	p->new_port = order->to_port ? sp_hton16(order->to_port) : p->dport;
	return 1;
}

/* Does somebody inside hold the outside port that p is for, and may p's sender use it? Sets the same. */
SP_GLOBAL int sp_nat_mapped(struct sp_pkt *p, sp_u32 slot)
{
	struct sp_image_more *more = p ? sp_image_more(p->generation) : SP_NULL;
	const int open = more && (more->flags & SP_IMAGE_NAT_OPEN);
	struct sp_port *port;
	sp_u64 owner;
	sp_u32 proto, at;

	if (!p)
		return 0;
	proto = sp_nat_proto(p);
	if (!proto || (p->zone == SP_ZONE_OUTSIDE && (!open || p->key.query)))
		return 0;
	at = sp_port_base(slot, proto) + sp_ntoh16(p->dport);
	port = sp_port_at(at);
	owner = port ? SP_READ(port->owner) : 0;
	if (!owner)
		return 0;
	/* RFC 7857 4: only those inside keep a mapping, whatever conversations it has with strangers */
	if (p->zone == SP_ZONE_OUTSIDE && sp_seconds(p->now_ns) - SP_READ(port->sent_s) > SP_PORT_OPEN_S)
		return 0;
	/* a line that opens the port of this machine means this machine */
	if (p->zone == SP_ZONE_OUTSIDE && (sp_image_ask(p, 0, SP_ZONE_OUTSIDE << 4 | SP_ZONE_SELF) & SP_RULE_ALLOW))
		return 0;
	p->line = p->zone == SP_ZONE_OUTSIDE ? SP_LINE_MAPPED : SP_LINE_NONE;
	p->new4 = (sp_u32)(owner >> 32);
	p->new_port = sp_hton16((sp_u16)(owner >> 16));
	p->port_at = at + 1; /* it is taken once policy has agreed */
	return 1;
}

/* That has an alias now, or (reason) could not get one. */
SP_GLOBAL int sp_nat_settle(struct sp_pkt *p, int reason)
{
	struct sp_flow *f = p ? sp_flow_at(p->flow - 1) : SP_NULL;

	if (!p || !f || !sp_flow_lock(f, p->flow - 1))
		return SP_R_BUSY;
	if (sp_flow_is(f, &p->key))
		SP_WRITE(f->flags, f->flags | (reason ? SP_FLOW_KILLED : p->line == SP_LINE_MAPPED ? SP_FLOW_MAPPED : 0));
	sp_flow_unlock(f);
	return reason;
}

/* Conversation p->flow has just begun with somebody who is known by our address, in `slot`: its alias. */
SP_INLINE int sp_nat_begin(struct sp_pkt *p, sp_u32 slot)
{
	int reason = SP_R_NAT_CLASH;

	p->slot = slot;
	if (!p->port_at || sp_port_take(p->port_at - 1, (sp_u64)p->new4 << 32 | (sp_u64)sp_ntoh16(p->new_port) << 16))
		reason = sp_alias_make(p);
	return reason || p->line == SP_LINE_MAPPED ? sp_nat_settle(p, reason) : SP_R_NONE;
}

/* p was for the address and port that it has: it is for p->new4 and p->new_port. */
SP_INLINE void sp_nat_redirect(struct sp_config *c, struct sp_pkt *p)
{
	struct sp_key key;
	sp_u64 hash;

	p->nat = SP_NAT_DST;
	p->side = SP_ALIAS_INITIATOR;
	p->old4 = p->dst.w32[0];
	p->old_port = p->dport;
	p->dst.w32[0] = p->new4;
	p->dport = p->new_port;
	if (p->key.query)
		p->sport = p->dport;
	p->searched = 0;
	key = p->key;
	p->dir = sp_key_set(&p->key, &p->src, &p->dst, p->sport, p->dport);
	/* the key that it had is that of its alias; the one that it has may have been guessed */
	hash = p->other_set && sp_key_equal(&p->other, &p->key) ? p->other_hash : sp_key_hash(&p->key, c->secret);
	p->other = key;
	p->other_hash = p->hash;
	p->other_set = sp_first_set(p->hash, c->sets) + 1;
	p->hash = hash;
}

/*
 * A packet of no conversation, at ingress, for one of our addresses: is it for somebody inside? Then it becomes one between
 * the real ends, p->nat says so, and p->line is the line that forwards it (SP_LINE_NONE: policy decides).
 */
SP_GLOBAL int sp_nat_destination(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	sp_u32 slot;

	if (!p || !c || p->family != SP_IPV4)
		return 0;
	p->line = SP_LINE_NONE;
	slot = sp_nat_slot_of(p->dst.w32[0]);
	if (!slot || (!sp_nat_forward(p) && !sp_nat_mapped(p, slot)))
		return 0;
	sp_nat_redirect(c, p);
	return (int)slot;
}

/* ---- egress: what the receiver knows the sender as ---------------------------------------------------------------- */

/* Must p's sender, the initiator, get an address of ours? */
SP_INLINE int sp_nat_wants(const struct sp_pkt *p, const struct sp_flow *f)
{
	struct sp_image_more *more = sp_image_more(p->generation);

	/* hairpin: the receiver sees the sender's outside address (RFC 4787 REQ-9) */
	if (p->zone_out != SP_ZONE_OUTSIDE)
		return f->zone_from != SP_ZONE_OUTSIDE && sp_alias_of(f, SP_ALIAS_INITIATOR);
	/* whoever was answered by its real address keeps it: one that lives is never renamed */
	if ((f->flags & SP_FLOW_ANSWERED) && f->zone_to == p->zone_out)
		return 0;
	return sp_is_private4(p->src.w32[0]) && !(more && (more->flags & SP_IMAGE_NAT_OFF));
}

SP_INLINE sp_u32 sp_nat_second(sp_u64 now_ns)
{
	return (sp_u32)(now_ns >> 30); /* about */
}

/* Is the address that p's sender gets still this machine's, as far as that has to be asked? */
SP_INLINE int sp_nat_is_mine(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_nat_addrs *nat = sp_nat_get();
	sp_u32 i = p->ask - 1u;

	if (!p->ask)
		return 1;
	if (!sp_is_mine(dev, p))
		return 0; /* the next packet asks again */
	SP_OPAQUE(i);
	if (nat && i < SP_NAT_SLOTS)
		SP_WRITE(nat->asked[i], sp_nat_second(p->now_ns));
	return 1;
}

/* With the first packet that leaves: the port of the address in `slot` by which the responder will know p's sender. */
SP_GLOBAL int sp_nat_give(sp_dev *dev, struct sp_pkt *p, sp_u32 slot)
{
	struct sp_nat_addrs *nat = sp_nat_get();
	sp_u32 got, i = slot - 1;

	if (!p || !nat)
		return SP_R_NAT_ADDRESS;
	SP_OPAQUE(i);
	if (!slot || i >= SP_NAT_SLOTS || slot > nat->slots)
		return SP_R_NAT_ADDRESS;
	p->slot = slot;
	p->side = SP_ALIAS_RESPONDER;
	p->old4 = p->src.w32[0];
	p->old_port = p->new_port = p->sport;
	p->new4 = SP_READ(nat->slot[i].addr);
	p->port_at = 0;
	/* user space may be dead and not know that the address is gone */
	if (SP_READ(nat->asked[i]) != sp_nat_second(p->now_ns) && !(SP_READ(nat->slot[i].flags) & SP_SLOT_POOL))
		p->ask = (sp_u8)slot;
	if (!p->new4 || !sp_nat_is_mine(dev, p))
		return SP_R_NAT_ADDRESS;
	if (sp_nat_proto(p)) {
		p->keeps = !p->key.query && sp_port_forwarded(p, sp_ntoh16(p->sport)) && sp_forwards_back(p);
		got = sp_port_claim(dev, p);
		if (!got)
			return SP_R_NAT_PORTS;
		p->new_port = sp_hton16((sp_u16)(got - 1));
		p->port_at = p->base + got;
	}
	p->nat = SP_NAT_SRC;
	return SP_R_NONE;
}

/*
 * p is to begin a conversation that is translated by the address in `slot`: both entries at once, if everything is plain.
 * 0: nothing has changed.
 */
SP_GLOBAL int sp_nat_at_once(sp_dev *dev, struct sp_pkt *p, sp_u32 slot)
{
	const int to = p && p->nat == SP_NAT_DST;
	int done = 0;

	if (!p)
		return 0;
	p->slot = slot;
	if (to || sp_nat_give(dev, p, slot) == SP_R_NONE) {
		sp_alias_key_set(p);
		done = sp_pair_insert(p);
		if (done)
			sp_port_sent(p->port_at, p->now_ns);
		else
			sp_port_release(p->port_at);
	}
	p->slot = 0;
	if (!done && !to)
		p->nat = SP_NAT_UNTOUCHED;
	return done;
}

/* A packet takes alias a: tells its port, about once a second. */
SP_INLINE void sp_nat_used(struct sp_alias *a, sp_u64 now_ns)
{
	if (a->used == sp_nat_second(now_ns))
		return;
	a->used = sp_nat_second(now_ns);
	sp_port_sent(a->port, now_ns);
}

#define SP_NAT_MISSING (-1)

/* Looks at conversation p->flow: sets what is to be rewritten. SP_NAT_MISSING: an alias must be made first. */
SP_GLOBAL int sp_nat_known(struct sp_pkt *p)
{
	struct sp_flow *f = p ? sp_flow_at(p->flow - 1) : SP_NULL;
	struct sp_nat_addrs *nat = sp_nat_get();
	int reason = SP_R_FORWARDED, to_initiator;
	sp_u32 at, end, i;
	struct sp_alias *a;

	if (!p || !f || !nat || !sp_flow_lock(f, p->flow - 1))
		return SP_R_BUSY;
	if (!sp_flow_is(f, &p->key)) {
		reason = SP_R_NAT_NONE;
		goto out;
	}
	to_initiator = sp_receiver(p) == ((f->flags & SP_FLOW_FROM_1) != 0);
	end = sp_bit(!sp_receiver(p)); /* the sender's, in the conversation's key */
	at = sp_alias_of(f, to_initiator ? SP_ALIAS_INITIATOR : SP_ALIAS_RESPONDER);
	if (!at && sp_addr_equal(&f->key.addr[0], &f->key.addr[1]) && f->key.port[0].raw == f->key.port[1].raw) {
		/* a program speaks to its own mapping, as STUN does to try hairpin: one alias does for both sides */
		at = sp_alias_of(f, SP_ALIAS_INITIATOR);
		end = (f->flags & SP_FLOW_FROM_1) == 0;
	}
	a = at ? sp_alias_at(at - 1) : SP_NULL;
	if (a) {
		p->nat = SP_NAT_SRC;
		SP_WRITE(a->flags, a->flags & (sp_u8)~SP_ALIAS_FOREIGN); /* it came untranslated: it is ours now */
		p->old4 = f->key.addr[end].w32[0];
		p->old_port = f->key.port[end];
		end = sp_bit(end ^ sp_alias_flip(a));
		p->new4 = a->key.addr[end].w32[0];
		p->new_port = a->key.port[end];
		i = a->slot - 1;
		SP_OPAQUE(i);
		sp_nat_used(a, p->now_ns);
		/* user space may be dead: once a second ask the kernel itself, too (a pool need not be its own) */
		if (i < SP_NAT_SLOTS && SP_READ(nat->asked[i]) != sp_nat_second(p->now_ns) &&
		    !(SP_READ(nat->slot[i].flags) & SP_SLOT_POOL))
			p->ask = (sp_u8)(i + 1);
		/* we no longer have the address that it is known by: it ends, and nothing else */
		if (i < SP_NAT_SLOTS && SP_READ(nat->slot[i].addr) != p->new4) {
			SP_WRITE(f->flags, f->flags | SP_FLOW_KILLED);
			reason = SP_R_NAT_ADDRESS;
		}
	} else if (p->forwarded && !to_initiator && sp_nat_wants(p, f)) {
		at = sp_alias_of(f, SP_ALIAS_INITIATOR);
		a = at ? sp_alias_at(at - 1) : SP_NULL;
		/* hairpin: the address that it was sent to */
		p->slot = a && p->zone_out != SP_ZONE_OUTSIDE ? a->slot : 0;
		/* an error about what never left: nobody there knows its sender */
		reason = p->kind == SP_KIND_ERROR ? SP_R_NAT_NONE : SP_NAT_MISSING;
	}
out:
	sp_flow_unlock(f);
	return reason;
}

/* Gives conversation p->flow, which has none yet, an alias with the address in that slot. The same. */
SP_INLINE int sp_nat_first(sp_dev *dev, struct sp_pkt *p, sp_u32 slot)
{
	int reason = sp_nat_give(dev, p, slot);

	if (reason == SP_R_NONE)
		reason = sp_alias_make(p);
	if (reason == SP_R_NONE) {
		sp_port_sent(p->port_at, p->now_ns);
		return SP_R_FORWARDED;
	}
	if (reason == SP_R_BUSY)
		reason = sp_nat_known(p); /* another CPU was quicker? */
	return reason < 0 ? SP_R_BUSY : reason;
}

/* Conversation p->flow at egress. Returns SP_R_FORWARDED or why the packet may not leave. */
SP_INLINE int sp_nat_source(sp_dev *dev, struct sp_pkt *p)
{
	int reason;

	if (!sp_nat_get())
		return SP_R_FORWARDED;
	reason = sp_nat_known(p);
	if (reason == SP_R_FORWARDED && !sp_nat_is_mine(dev, p))
		reason = sp_nat_settle(p, SP_R_NAT_ADDRESS);
	if (reason == SP_NAT_MISSING)
		return sp_nat_first(dev, p, sp_nat_choose(p));
	return reason < 0 ? SP_R_BUSY : reason;
}

#endif
