/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments: a datagram is decided with its first piece, and its other pieces follow that decision.
 *
 * Only a first piece that was let through makes an entry, so a flood of pieces from outside can not fill the table.
 * Nothing is queued: a piece that overtakes its first one is dropped (DEVIATION from RFC 4787 REQ-14 a: "in any
 * order"). A bitmap of 8-byte blocks finds overlaps exactly: a piece that repeats what was seen is dropped alone,
 * one that overlaps in part condemns the datagram (RFC 5722 4, RFC 8200 4.5). Entries leave after 60 s (RFC 8200
 * 4.5), or make room as soon as their datagram has passed whole.
 *
 * The lock of a set is the lock of its first entry.
 */
#ifndef SP_CORE_FRAG_H
#define SP_CORE_FRAG_H

#include "table.h"

/* RFC 791 3.2 tells datagrams apart by protocol too; RFC 8200 4.5 does not, and the pieces need not agree on it. */
SP_INLINE sp_u8 sp_frag_proto(const struct sp_pkt *p)
{
	return p->family == SP_IPV4 ? p->proto : 0;
}

/* The destination as it came in: what translation has put in its place at ingress is none of the other pieces'. */
SP_INLINE sp_u64 sp_frag_dst(const struct sp_pkt *p)
{
	return p->nat == SP_NAT_DST ? p->old4 : p->dst.w[0];
}

SP_INLINE sp_u32 sp_frag_set(struct sp_config *c, const struct sp_pkt *p)
{
	struct sp_sip s;

	sp_sip_init(&s, c->secret);
	sp_sip_word(&s, p->src.w[0]);
	sp_sip_word(&s, p->src.w[1]);
	sp_sip_word(&s, sp_frag_dst(p));
	sp_sip_word(&s, p->dst.w[1]);
	sp_sip_word(&s, (sp_u64)p->frag_id << 16 | (sp_u64)sp_frag_proto(p) << 8 | p->family);
	return (sp_u32)sp_sip_end(&s, 40) % SP_FRAG_SETS * SP_FRAG_WAYS;
}

SP_INLINE int sp_frag_is(const struct sp_frag *f, const struct sp_pkt *p)
{
	return f->family == p->family && f->id == p->frag_id && f->proto == sp_frag_proto(p) && f->zone == p->zone &&
	       f->hook == p->hook && sp_addr_equal(&f->src, &p->src) && f->dst.w[0] == sp_frag_dst(p) &&
	       f->dst.w[1] == p->dst.w[1] &&
	       (sp_s64)(p->now_ns - f->born_ns) <= (sp_s64)SP_FRAG_TIMEOUT_NS;
}

#define SP_FRAG_TWICE 1
#define SP_FRAG_MISSING 2

/* Blocks from..to (exclusive) in word w of entry i: which are there already; marks them if asked to. */
SP_GLOBAL int sp_frag_word(sp_u32 i, sp_u32 w, sp_u32 from, sp_u32 to, sp_u32 mark)
{
	struct sp_frag *f = sp_frag_at(i);
	const sp_u32 lo = w * 64;
	sp_u32 a = from > lo ? from - lo : 0, b = to < lo + 64 ? to - lo : 64;
	sp_u64 mask, seen;

	SP_OPAQUE(w);
	if (!f || w >= SP_FRAG_WORDS || a >= 64 || to <= lo)
		return 0;
	mask = (~0ULL << (a & 63)) & (b >= 64 ? ~0ULL : (1ULL << (b & 63)) - 1);
	seen = f->seen[w];
	if (mark)
		f->seen[w] = seen | mask;
	return ((seen & mask) ? SP_FRAG_TWICE : 0) | ((~seen & mask) ? SP_FRAG_MISSING : 0);
}

SP_GLOBAL int sp_frag_range(sp_u32 i, sp_u32 from, sp_u32 to, sp_u32 mark)
{
	int found = 0;

	for (sp_u32 n = 0; n < SP_FRAG_WORDS; n++) {
		const sp_u32 w = from / 64 + n;

		if (w * 64 >= to)
			break;
		found |= sp_frag_word(i, w, from, to, mark);
	}
	return found;
}

/* Marks the piece p in entry i. The set's lock is held. Returns SP_R_FRAGMENT or why not. */
SP_GLOBAL int sp_frag_mark(struct sp_pkt *p, sp_u32 i)
{
	struct sp_frag *f = sp_frag_at(i);
	sp_u32 from, to;
	int found;

	if (!p || !f || f->poisoned)
		return SP_R_FRAG_OVERLAP;
	from = p->frag_off / 8;
	to = (p->frag_off + p->frag_len + 7) / 8;
	found = sp_frag_range(i, from, to, 0);
	if (found & SP_FRAG_TWICE) {
		if (found & SP_FRAG_MISSING)
			f->poisoned = 1;
		return SP_R_FRAG_OVERLAP;
	}
	if (f->total && (p->frag_off + p->frag_len > f->total || !p->frag_more)) {
		f->poisoned = 1;
		return SP_R_FRAG_LENGTH;
	}
	if (!p->frag_more) {
		if (sp_frag_range(i, to, SP_FRAG_WORDS * 64, 0) & SP_FRAG_TWICE) {
			f->poisoned = 1; /* it ends before what was seen already */
			return SP_R_FRAG_LENGTH;
		}
		f->total = p->frag_off + p->frag_len;
	}
	sp_frag_range(i, from, to, 1);
	f->passed = (sp_u16)(f->passed + p->frag_len);
	return SP_R_FRAGMENT;
}

/* How little an entry of the set would be missed: 2 free or timed out, 1 all of its datagram has passed, 0 in use. */
SP_INLINE int sp_frag_idle(const struct sp_frag *f, sp_u64 now_ns)
{
	if (!f->family || (sp_s64)(now_ns - f->born_ns) > (sp_s64)SP_FRAG_TIMEOUT_NS)
		return 2;
	return f->total && f->passed == f->total;
}

/* The entry of the set that would be missed least: index + 1; 0: all are in use. It is made p's. The set's lock is held. */
SP_GLOBAL int sp_frag_open(struct sp_pkt *p, sp_u32 base)
{
	int best = 0, at = 0;
	struct sp_frag *f;

	if (!p)
		return 0;
	for (sp_u32 way = 0; way < SP_FRAG_WAYS; way++) {
		f = sp_frag_at(base + way);
		if (f && sp_frag_idle(f, p->now_ns) > best) {
			best = sp_frag_idle(f, p->now_ns);
			at = (int)(base + way) + 1;
		}
	}
	f = at ? sp_frag_at((sp_u32)at - 1) : SP_NULL;
	if (!f)
		return 0;
	f->src = p->src;
	f->dst.w[0] = sp_frag_dst(p);
	f->dst.w[1] = p->dst.w[1];
	f->id = p->frag_id;
	f->proto = sp_frag_proto(p);
	f->family = p->family;
	f->zone = p->zone;
	f->hook = p->hook;
	f->nat4 = p->nat && !p->foreign ? p->new4 : 0;
	f->poisoned = 0;
	f->total = 0;
	f->passed = 0;
	f->born_ns = p->now_ns;
	for (sp_u32 w = 0; w < SP_FRAG_WORDS; w++)
		f->seen[w] = 0;
	return at;
}

/* A piece that is not the first gets what the first one got. The set's lock is held. */
SP_INLINE void sp_frag_nat(struct sp_pkt *p, sp_u32 i)
{
	struct sp_frag *f = sp_frag_at(i);

	if (!f || !f->nat4 || p->nat)
		return;
	p->nat = p->hook == SP_HOOK_INGRESS ? SP_NAT_DST : SP_NAT_SRC;
	p->old4 = p->nat == SP_NAT_DST ? p->dst.w32[0] : p->src.w32[0];
	p->new4 = f->nat4;
}

/*
 * A piece: one that is not the first (its datagram must be known), or the first one, which has just been let through.
 * Returns SP_R_FRAGMENT when it may pass.
 */
SP_GLOBAL int sp_frag_piece(struct sp_pkt *p)
{
	struct sp_config *c = sp_config_get();
	int reason = SP_R_FRAG_HEADLESS, at = 0;
	struct sp_frag *first;
	sp_u32 base;

	if (!p || !c)
		return SP_R_FRAG_HEADLESS;
	base = sp_frag_set(c, p);
	first = sp_frag_at(base);
	if (!first)
		return SP_R_FRAG_HEADLESS;
	if (!sp_lock(SP_LOCK_FRAG, base))
		return SP_R_BUSY;
	for (sp_u32 way = 0; way < SP_FRAG_WAYS; way++) {
		struct sp_frag *f = sp_frag_at(base + way);

		if (f && sp_frag_is(f, p)) {
			/* an identification that comes again (RFC 6864 4.3): what has passed whole makes room */
			if (!p->frag_off && sp_frag_idle(f, p->now_ns))
				f->family = 0;
			else
				at = (int)(base + way) + 1;
			break;
		}
	}
	if (!at && !p->frag_off) {
		at = sp_frag_open(p, base);
		reason = SP_R_FRAG_FULL;
	}
	if (at)
		reason = sp_frag_mark(p, (sp_u32)at - 1);
	if (at)
		sp_frag_nat(p, (sp_u32)at - 1);
	first = sp_frag_at(base);
	if (first)
		sp_unlock(&first->lock, SP_READ(first->lock) + 1);
	return reason;
}

#endif
