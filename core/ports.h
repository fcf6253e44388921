/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * This machine's addresses at the outside, and who holds which of their ports (docs/decisions/0012-translation.md).
 *
 * The table of ports is an open hash table whose first place for an inside port is the port of the same number. A word a
 * port names the holder and counts the conversations that use it; it changes by compare-and-swap only, so there is no lock.
 */
#ifndef SP_CORE_PORTS_H
#define SP_CORE_PORTS_H

#include "expire.h"
#include "image.h"

#define SP_PORT_DRAWS 64 /* other places that are tried for a port */
#define SP_PORTS_HIGH 1024u /* RFC 4787 REQ-3 a: ports stay on their side of it */

SP_INLINE struct sp_image_more *sp_image_more(sp_u32 generation)
{
	return (struct sp_image_more *)sp_image_at(generation % SP_IMAGE_SLOTS, 1);
}

/* ---- this machine's addresses -------------------------------------------------------------------------------------- */

/* The slot that has this address: number + 1, or 0. */
SP_GLOBAL sp_u32 sp_nat_slot_of(sp_u32 addr)
{
	struct sp_nat_addrs *nat = sp_nat_get();

	if (!nat || !addr)
		return 0;
	for (sp_u32 i = 0; i < SP_NAT_SLOTS && i < SP_READ(nat->used); i++)
		if (SP_READ(nat->slot[i].addr) == addr)
			return i + 1;
	return 0;
}

/* May slot i be used for what leaves by interface ifindex (0: any)? pool: those of a pool are in force. */
SP_GLOBAL int sp_nat_suits(sp_u32 i, sp_u32 pool, sp_u32 ifindex)
{
	struct sp_nat_addrs *nat = sp_nat_get();
	sp_u32 flags, of;

	SP_OPAQUE(i);
	if (!nat || i >= SP_NAT_SLOTS || i >= nat->slots || !SP_READ(nat->slot[i].addr))
		return 0;
	flags = SP_READ(nat->slot[i].flags);
	of = SP_READ(nat->slot[i].ifindex);
	if (!(flags & SP_SLOT_MAPS) || !(flags & SP_SLOT_POOL) != !pool)
		return 0;
	return pool || !of || !ifindex || of == ifindex;
}

/* One turn of the search: p->slot becomes slot i if that suits. 1: it is the one. */
SP_GLOBAL int sp_nat_look(struct sp_pkt *p, sp_u32 i, sp_u32 pool, sp_u32 ifindex)
{
	if (!p || !sp_nat_suits(i, pool, ifindex))
		return 0;
	p->slot = i + 1;
	if (!p->nth)
		return 1;
	p->nth--;
	return 0;
}

/*
 * The slot to translate to: among those of a pool the one that belongs to this host (RFC 4787 REQ-2: always the same), else
 * that of the interface where the packet leaves. Number + 1, or 0.
 */
SP_GLOBAL sp_u32 sp_nat_choose(struct sp_pkt *p)
{
	struct sp_image_more *more = p ? sp_image_more(p->generation) : SP_NULL;
	const sp_u32 pool = more ? more->pool_count : 0;
	sp_u32 ifindex;

	if (!p)
		return 0;
	/* hairpin: by whatever interface, the address that was called if sources are translated to it */
	if (!pool && p->slot && sp_nat_suits(p->slot - 1, 0, 0))
		return p->slot;
	/* the nth of the pool, by the host's address */
	p->nth = (sp_u32)(((sp_u64)(p->src.w32[0] * 0x9e3779b9u) * pool) >> 32);
	ifindex = p->slot ? 0 : p->ifindex;
	p->slot = 0;
	for (sp_u32 i = 0; i < SP_NAT_SLOTS; i++)
		if (sp_nat_look(p, i, pool, ifindex))
			break;
	return p->slot; /* a pool may not be all there yet */
}

/* ---- ports ----------------------------------------------------------------------------------------------------------- */

/* Which table of ports a protocol has: 1 TCP, 2 UDP, 3 identifiers of ICMP queries; 0: none, only addresses change. */
SP_INLINE sp_u32 sp_nat_proto(const struct sp_pkt *p)
{
	return p->key.query ? 3 : p->key.proto == SP_PROTO_TCP ? 1 : p->key.proto == SP_PROTO_UDP ? 2 : 0;
}

SP_INLINE sp_u32 sp_port_base(sp_u32 slot, sp_u32 proto)
{
	return ((slot - 1) * SP_NAT_PROTOS + proto - 1) << 16;
}

/* Place of outside port n, or of another one that suits inside port x, the i-th draw. */
SP_INLINE sp_u32 sp_port_draw(const struct sp_pkt *p, sp_u32 x, sp_u32 i)
{
	const sp_u32 r = (sp_u32)(((p->draw + (i + 1) * 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL) >> 32);

	if (p->key.query)
		return r >> 16;
	if (x < SP_PORTS_HIGH)
		return ((r >> 23) << 1) | (x & 1);
	/* 32,256 ports of each parity; REQ-4 recommends to keep it */
	return SP_PORTS_HIGH + ((sp_u32)(((sp_u64)r * ((65536 - SP_PORTS_HIGH) / 2)) >> 32) << 1 | (x & 1));
}

/* Its holder sends something by port `at` (index + 1): a second later at most, that is known. */
SP_INLINE void sp_port_sent(sp_u32 at, sp_u64 now_ns)
{
	struct sp_port *port = at ? sp_port_at(at - 1) : SP_NULL;

	if (port)
		SP_WRITE(port->sent_s, sp_seconds(now_ns));
}

/*
 * Takes place `at` for who (its owner word without the count), which holds it already or finds it free. Away from its first
 * place that counts it as displaced: before it can be seen, so that who looks for it meanwhile looks everywhere.
 */
SP_GLOBAL int sp_port_take(sp_u32 at, sp_u64 who)
{
	const sp_u32 first = (at & ~0xffffu) | ((sp_u32)(who >> 16) & 0xffff);
	struct sp_port *port = sp_port_at(at), *home = first != at ? sp_port_at(first) : SP_NULL;

	if (!port)
		return 0;
	for (int n = 0; n < SP_TAG_TRIES; n++) {
		const sp_u64 old = SP_READ(port->owner);

		if (old && ((old ^ who) >> 16 || (old & 0xffff) == 0xffff))
			return 0;
		if (!old && home)
			sp_fetch_add(&home->displaced, 1);
		if (sp_cmpxchg64(&port->owner, old, old ? old + 1 : who + 1) == old)
			return 1;
		if (!old && home)
			sp_fetch_add(&home->displaced, (sp_u32)-1);
		sp_relax(n);
	}
	return 0;
}

/* Is what p's destination sends to the outside port of the same number as p's source port forwarded to that very source? */
SP_GLOBAL int sp_forwards_back(struct sp_pkt *p)
{
	struct sp_image_more *more = p ? sp_image_more(p->generation) : SP_NULL;
	struct sp_image_order *order;
	sp_u32 says;

	if (!p || !more)
		return 0;
	says = sp_image_ask(p, 1, SP_ZONE_OUTSIDE << 4 | SP_ZONE_FORWARD);
	if (!(says & SP_RULE_ALLOW) || (says & SP_RULE_LINE) < SP_LINE_FIRST)
		return 0;
	order = (struct sp_image_order *)sp_image_at(p->generation % SP_IMAGE_SLOTS,
						     more->orders + (says & SP_RULE_LINE) - SP_LINE_FIRST);
	return order && order->to4 == p->src.w32[0] && (!order->to_port || order->to_port == sp_ntoh16(p->sport));
}

/* Does a line forward that port of ours, so that no mapping gets it? Unless forwards cover most ports. */
SP_INLINE int sp_port_forwarded(const struct sp_pkt *p, sp_u32 n)
{
	struct sp_image_more *more = sp_image_more(p->generation);
	const sp_u32 at = sp_image_service(p->key.proto, (sp_u16)n);

	if (!more || !more->forwards || (more->flags & SP_IMAGE_FORWARD_MOST))
		return 0;
	return (sp_image_word(p->generation % SP_IMAGE_SLOTS, more->forwards, at / 64) >> (at % 64)) & 1;
}

/* May a new mapping have outside port n? Not one that is forwarded to others or on which this machine listens. */
SP_INLINE int sp_port_free(sp_dev *dev, struct sp_pkt *p, sp_u32 n)
{
	if (p->key.query)
		return 1;
	if (!n)
		return 0;
	if (sp_port_forwarded(p, n))
		return p->keeps && n == sp_ntoh16(p->sport);
	return !sp_listens(dev, p, n);
}

/* Tries the i-th place for p's source: it must hold that already, or (want_free) nobody does. Port + 1, or 0. */
SP_INLINE sp_u32 sp_port_look(sp_dev *dev, struct sp_pkt *p, sp_u32 i, sp_u32 want_free)
{
	struct sp_port *port;
	sp_u64 who, owner;
	sp_u32 x, n, at;

	if (!p)
		return 0;
	x = sp_ntoh16(p->sport);
	n = i ? sp_port_draw(p, x, i) : x;
	at = p->base + (n & 0xffff);
	port = sp_port_at(at);
	if (!port)
		return 0;
	who = (sp_u64)p->src.w32[0] << 32 | x << 16;
	owner = SP_READ(port->owner);
	if (owner ? (owner ^ who) >> 16 != 0 : !want_free || !sp_port_free(dev, p, n))
		return 0;
	/* the first place of a new sender: no call in the common case */
	if (!owner && !i && sp_cmpxchg64(&port->owner, 0, who + 1) == 0)
		return n + 1;
	return sp_port_take(at, who) ? n + 1 : 0;
}

/* The same by a call. */
SP_GLOBAL sp_u32 sp_port_try(sp_dev *dev, struct sp_pkt *p, sp_u32 i, sp_u32 want_free)
{
	return sp_port_look(dev, p, i, want_free);
}

/* All places after the first. */
SP_GLOBAL sp_u32 sp_port_seek(sp_dev *dev, struct sp_pkt *p, sp_u32 want_free)
{
	for (sp_u32 i = 1; i <= SP_PORT_DRAWS; i++) {
		const sp_u32 got = sp_port_try(dev, p, i, want_free);

		if (got)
			return got;
	}
	return 0;
}

/* The outside port of p's source in p->slot, which it keeps for all destinations (RFC 4787 REQ-1): port + 1, or 0. */
SP_GLOBAL sp_u32 sp_port_claim(sp_dev *dev, struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	struct sp_port *home;
	struct sp_sip s;
	sp_u32 got, displaced;

	if (!p || !c)
		return 0;
	p->base = sp_port_base(p->slot, sp_nat_proto(p));
	home = sp_port_at(p->base + sp_ntoh16(p->sport));
	if (!home)
		return 0;
	displaced = SP_READ(home->displaced) != 0;
	got = sp_port_look(dev, p, 0, !displaced); /* who has another port holds that one */
	if (got)
		return got;
	sp_sip_init(&s, c->secret);
	sp_sip_word(&s, (sp_u64)p->src.w32[0] << 32 | (sp_u64)p->key.proto << 16 | p->sport.raw);
	p->draw = sp_sip_end(&s, 8);
	if (displaced) {
		got = sp_port_seek(dev, p, 0);
		if (!got)
			got = sp_port_try(dev, p, 0, 1);
	}
	return got ? got : sp_port_seek(dev, p, 1);
}

#endif
