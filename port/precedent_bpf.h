/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Precedents: conversations that begin as others did a moment ago. Decision record: docs/decisions/0029-precedents.md.
 *
 * Everything that decides whether a UDP packet or a SYN may begin a conversation, but its source port, is a key here: both
 * addresses, the service, where it came in, the policy, the routes. If another one began on the express lane with
 * the same key within the last 100 ms, policy and route need not be asked again. All else is done anew for each:
 * checksum, budgets, table, translation.
 *
 * A line that forwards to another address (`forward`) is one, too, where packets come from the outside: that address is
 * remembered, and the conversation gets its alias as any other does.
 *
 * One table a CPU: no locks. Its hash is a poor one on purpose: who makes others collide makes them ask as they did before.
 */
#ifndef SP_PORT_PRECEDENT_BPF_H
#define SP_PORT_PRECEDENT_BPF_H

#define SP_PRECEDENTS 1024
#define SP_PRECEDENT_TICKS 6u /* of the boot clock >> SP_TICK_SHIFT: 100 ms */

struct sp_precedent {
	struct sp_addr src, dst; /* as they came */
	sp_u64 note; /* where it leaves: lane_bpf.h; its routes and class of service */
	sp_u32 ifindex; /* where it came in */
	sp_u32 generation; /* of the policy */
	sp_u32 changes; /* of this machine's addresses: struct sp_nat_addrs */
	sp_u32 tick; /* when */
	sp_be16 dport;
	sp_u16 line;
	sp_u8 zone, zone_to;
	sp_u8 reason; /* enum sp_reason: it begins */
	sp_u8 sort; /* sp_precedent_sort(); 0: empty */
	sp_u32 to4; /* who it is forwarded to; 0: it is not */
	sp_be16 to_port;
	sp_u16 slot; /* whose address it came to, or leaves with: of struct sp_nat_addrs, + 1; 0: none */
};
_Static_assert(sizeof(struct sp_precedent) == 72, "and what a forwarded one needs behind the first line");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_PRECEDENTS);
	__type(key, sp_u32);
	__type(value, struct sp_precedent);
} sp_precedents SEC(".maps");

/* Protocol and family. */
SP_INLINE sp_u8 sp_precedent_sort(const struct sp_pkt *p)
{
	return (sp_u8)(p->proto | (p->family == SP_IPV4 ? 0x80 : 0)); /* TCP or UDP */
}

SP_INLINE struct sp_precedent *sp_precedent_at(const struct sp_pkt *p)
{
	const int to = p->nat == SP_NAT_DST;
	const sp_u32 first = to ? p->old4 : p->dst.w32[0], port = to ? p->old_port.raw : p->dport.raw;
	const sp_u32 mixed = (p->src.w32[0] ^ p->src.w32[3] ^ first * 3 ^ p->dst.w32[3] * 3 ^ port << 8) * 0x9e3779b1u;

	return SP_LOOKUP(sp_precedents, mixed >> 22);
}

SP_INLINE sp_u32 sp_nat_changes(void)
{
	struct sp_nat_addrs *nat = SP_LOOKUP(sp_nat, 0);

	return nat ? SP_READ(nat->changes) : 0;
}

/* What decides p, which came in at ifindex, if that was decided a moment ago; NULL: it was not. */
SP_INLINE struct sp_precedent *sp_precedent_of(const struct sp_pkt *p, sp_u32 ifindex)
{
	struct sp_precedent *q = sp_precedent_at(p);

	if (!q || q->sort != sp_precedent_sort(p) || q->ifindex != ifindex || q->generation != p->generation ||
	    q->zone != p->zone || q->dport.raw != p->dport.raw || !sp_addr_equal(&q->src, &p->src) ||
	    !sp_addr_equal(&q->dst, &p->dst) || (sp_u32)(p->now_ns >> SP_TICK_SHIFT) - q->tick > SP_PRECEDENT_TICKS ||
	    q->changes != sp_nat_changes())
		return NULL;
	return q;
}

/*
 * May what was decided for p, which begins a conversation and leaves to that zone, hold for others of the same key? An
 * order of its line must be asked each time, and who is known by our address looked for, but for a forwarded port.
 */
SP_INLINE int sp_precedent_may(const struct sp_pkt *p, sp_u8 zone_out)
{
	const int to = p->nat == SP_NAT_DST;

	if (p->proto != SP_PROTO_UDP && !sp_is_first_syn(p))
		return 0;
	if (to ? p->zone != SP_ZONE_OUTSIDE || zone_out == SP_ZONE_OUTSIDE : p->nat)
		return 0;
	return sp_order_none(p->generation, p->line, to ? p->dst.w32[0] : 0);
}

/*
 * p, which was read, probably begins a translated conversation, as the packet before it did: p->other becomes its other key,
 * and its port is asked for (its set by sp_fast_find()), so that it waits for all at once. If it was a wrong guess,
 * nothing but time is lost.
 */
SP_GLOBAL int sp_precedent_soon(struct sp_pkt *p, sp_u32 ifindex)
{
	struct sp_precedent *q = p ? sp_precedent_of(p, ifindex) : NULL;
	struct sp_nat_addrs *nat = sp_nat_get();
	struct sp_config *c = sp_config_get();
	struct sp_addr known = {};
	struct sp_port *port;
	struct sp_key key;
	sp_u32 i;

	if (!q || !nat || !c || !q->slot)
		return 0;
	key = p->key;
	if (q->to4) {
		known.w32[0] = q->to4;
		sp_key_set(&key, &p->src, &known, p->sport, q->to_port);
	} else {
		i = q->slot - 1u;
		SP_OPAQUE(i);
		if (i >= SP_NAT_SLOTS)
			return 0;
		known.w32[0] = SP_READ(nat->slot[i].addr);
		sp_key_set(&key, &known, &p->dst, p->sport, p->dport);
		port = sp_port_at(sp_port_base(q->slot, sp_nat_proto(p)) + sp_ntoh16(p->sport));
		if (port)
			(void)SP_READ(port->owner);
	}
	sp_other_set(c, p, &key);
	return 1;
}

/* p has begun a conversation for that reason, and takes the lane by p->note. */
SP_INLINE void sp_precedent_set(const struct sp_pkt *p, sp_u32 ifindex, sp_u32 reason)
{
	struct sp_precedent *q = sp_precedent_at(p);
	const int to = p->nat == SP_NAT_DST;

	if (!q)
		return;
	q->src = p->src;
	q->dst = p->dst;
	if (to)
		q->dst.w32[0] = p->old4;
	q->to4 = to ? p->dst.w32[0] : 0;
	q->to_port = p->dport;
	q->slot = to ? (sp_u16)sp_nat_slot_of(p->old4) : 0;
	q->note = p->note;
	q->ifindex = ifindex;
	q->generation = p->generation;
	q->changes = sp_nat_changes();
	q->tick = (sp_u32)(p->now_ns >> SP_TICK_SHIFT);
	q->dport = to ? p->old_port : p->dport;
	q->line = p->line;
	q->zone = p->zone;
	q->zone_to = p->zone_to;
	q->reason = (sp_u8)reason;
	q->sort = sp_precedent_sort(p);
}

#endif
