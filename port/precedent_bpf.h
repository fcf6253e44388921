/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Precedents: conversations that begin as others did a moment ago. Decision record: docs/decisions/0029-precedents.md.
 *
 * Everything that decides whether a UDP packet may begin a conversation, but its source port, is a key here: both
 * addresses, the service, where it came in, the policy, the routes. If another one began on the express lane with
 * the same key within the last 100 ms, policy and route need not be asked again. All else is done anew for each:
 * checksum, budgets, table, translation.
 *
 * One table a CPU: no locks. Its hash is a poor one on purpose: who makes others collide makes them ask as they did before.
 */
#ifndef SP_PORT_PRECEDENT_BPF_H
#define SP_PORT_PRECEDENT_BPF_H

#define SP_PRECEDENTS 1024
#define SP_PRECEDENT_TICKS 6u /* of the boot clock >> SP_TICK_SHIFT: 100 ms */

struct sp_precedent {
	struct sp_addr src, dst;
	sp_u64 note; /* where it leaves: lane_bpf.h; its routes and class of service */
	sp_u32 ifindex; /* where it came in */
	sp_u32 generation; /* of the policy */
	sp_u32 changes; /* of this machine's addresses: struct sp_nat_addrs */
	sp_u32 tick; /* when */
	sp_be16 dport;
	sp_u16 line;
	sp_u8 zone, zone_to;
	sp_u8 reason; /* enum sp_reason: it begins */
	sp_u8 family; /* 0: empty */
};
_Static_assert(sizeof(struct sp_precedent) == 64, "one cache line");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_PRECEDENTS);
	__type(key, sp_u32);
	__type(value, struct sp_precedent);
} sp_precedents SEC(".maps");

SP_INLINE struct sp_precedent *sp_precedent_at(const struct sp_pkt *p)
{
	const sp_u32 mixed = (p->src.w32[0] ^ p->src.w32[3] ^ p->dst.w32[0] * 3 ^ p->dst.w32[3] * 3 ^
			      (sp_u32)p->dport.raw << 8) * 0x9e3779b1u;

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

	if (!q || q->family != p->family || q->ifindex != ifindex || q->generation != p->generation || q->zone != p->zone ||
	    q->dport.raw != p->dport.raw || !sp_addr_equal(&q->src, &p->src) || !sp_addr_equal(&q->dst, &p->dst) ||
	    (sp_u32)(p->now_ns >> SP_TICK_SHIFT) - q->tick > SP_PRECEDENT_TICKS || q->changes != sp_nat_changes())
		return NULL;
	return q;
}

/* p has begun a conversation for that reason, and takes the lane by p->note. */
SP_INLINE void sp_precedent_set(const struct sp_pkt *p, sp_u32 ifindex, sp_u32 reason)
{
	struct sp_precedent *q = sp_precedent_at(p);

	if (!q)
		return;
	q->src = p->src;
	q->dst = p->dst;
	q->note = p->note;
	q->ifindex = ifindex;
	q->generation = p->generation;
	q->changes = sp_nat_changes();
	q->tick = (sp_u32)(p->now_ns >> SP_TICK_SHIFT);
	q->dport = p->dport;
	q->line = p->line;
	q->zone = p->zone;
	q->zone_to = p->zone_to;
	q->reason = (sp_u8)reason;
	q->family = p->family;
}

#endif
