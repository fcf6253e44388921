/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks a compiled policy (policy_abi.h) about one conversation. Constant bounds: two interval searches, for IPv6 hosts by
 * suffix two more, one table look-up, eight probes; the price does not grow with the number of lines.
 */
#ifndef SP_CORE_IMAGE_H
#define SP_CORE_IMAGE_H

#include "packet.h"
#include "policy_abi.h"

SP_INLINE sp_u64 sp_image_word(sp_u32 slot, sp_u32 line, sp_u32 word)
{
	struct sp_image_line *l = sp_image_at(slot, line + word / 8);

	return l ? SP_READ(l->w[word % 8]) : 0;
}

/* One turn of halving in p->lo..p->hi: the interval sought begins at or before `first` (and `second`). */
SP_GLOBAL int sp_halve(struct sp_pkt *p, sp_u32 line, sp_u64 first, sp_u64 second)
{
	const sp_u32 slot = p ? p->generation % SP_IMAGE_SLOTS : 0;
	sp_u32 mid;
	sp_u64 a;

	if (!p || p->hi - p->lo <= 1)
		return 1;
	mid = p->lo + (p->hi - p->lo) / 2;
	if (p->family == SP_IPV4) {
		a = sp_image_word(slot, line, mid) >> 32;
	} else {
		a = sp_image_word(slot, line, mid * 4);
		if (a == first) {
			a = sp_image_word(slot, line, mid * 4 + 1);
			first = second;
		}
	}
	if (a <= first)
		p->lo = mid;
	else
		p->hi = mid;
	return 0;
}

/* Class of p's destination (which 1) or source (0). */
SP_GLOBAL int sp_class(struct sp_pkt *p, sp_u32 which)
{
	struct sp_image_head *head;
	sp_u64 first, second;
	sp_u32 line, slot;

	if (!p)
		return 0;
	slot = p->generation % SP_IMAGE_SLOTS;
	head = (struct sp_image_head *)sp_image_at(slot, 0);
	if (!head)
		return 0;
	first = sp_hton64(which ? p->dst.w[0] : p->src.w[0]);
	second = sp_hton64(which ? p->dst.w[1] : p->src.w[1]);
	if (p->family == SP_IPV4) {
		const sp_u32 top = (sp_u32)(first >> 48), index4 = head->index4;

		line = head->v4;
		first >>= 32;
		/* one before the /16's own: it may reach into it */
		p->lo = (sp_u32)(sp_image_word(slot, index4, top / 2) >> (32 * (top & 1)));
		p->lo = p->lo ? p->lo - 1 : 0;
		p->hi = (sp_u32)(sp_image_word(slot, index4, (top + 1) / 2) >> (32 * ((top + 1) & 1)));
		sp_image_soon(slot, line + p->lo / 8, line + p->hi / 8);
	} else {
		line = head->v6;
		p->lo = 0;
		p->hi = head->v6_count;
	}
	for (int turn = 0; turn < SP_IMAGE_TURNS; turn++)
		if (sp_halve(p, line, first, second))
			break;
	return (int)(p->family == SP_IPV4 ? sp_image_word(slot, line, p->lo) : sp_image_word(slot, line, p->lo * 4 + 2)) &
	       (int)SP_CLASS_ANY;
}

#define SP_SUFFIX_TURNS 13 /* of halving: 4,096 suffixes at most (SP_IMAGE_SUFFIXES_MAX) */

/* One turn of halving in p->lo..p->hi: the suffix sought is at or behind lo. */
SP_GLOBAL int sp_halve_suffix(struct sp_pkt *p, sp_u32 line, sp_u64 low)
{
	sp_u32 mid;

	if (!p || p->hi - p->lo <= 1)
		return 1;
	mid = p->lo + (p->hi - p->lo) / 2;
	if (sp_image_word(p->generation % SP_IMAGE_SLOTS, line, mid) <= low)
		p->lo = mid;
	else
		p->hi = mid;
	return 0;
}

/* Class of p's destination (which 1) or source (0) whose interval has class_: another if the policy names its last half. */
SP_GLOBAL int sp_class_suffix(struct sp_pkt *p, sp_u32 which, sp_u32 class_)
{
	struct sp_image_more *more;
	sp_u32 slot, at;
	sp_u64 low;

	if (!p || p->family != SP_IPV6)
		return (int)class_;
	slot = p->generation % SP_IMAGE_SLOTS;
	more = (struct sp_image_more *)sp_image_at(slot, 1);
	if (!more || !more->suffix_count)
		return (int)class_;
	low = sp_hton64(which ? p->dst.w[1] : p->src.w[1]);
	p->lo = 0;
	p->hi = more->suffix_count;
	for (int turn = 0; turn < SP_SUFFIX_TURNS; turn++)
		if (sp_halve_suffix(p, more->suffixes, low))
			break;
	if (sp_image_word(slot, more->suffixes, p->lo) != low)
		return (int)class_;
	at = p->lo * more->v6_classes + class_;
	return (int)(sp_image_word(slot, more->suffix_classes, at / 2) >> (32 * (at & 1))) & (int)SP_CLASS_ANY;
}

/* The value under one key, or 0. rules, mask: of the image's head. */
SP_GLOBAL sp_u32 sp_rule_find(sp_u32 slot, sp_u32 rules, sp_u32 mask, sp_u64 key)
{
	const sp_u32 bucket = SP_RULE_BUCKET(key, mask);

	for (sp_u32 hop = 0; hop < SP_RULE_HOPS; hop++) {
		struct sp_image_line *l = sp_image_at(slot, rules + ((bucket + hop) & mask));

		if (!l)
			return 0;
		for (int i = 0; i < SP_RULES_A_BUCKET; i++) {
			if (SP_READ(l->w[2 * i]) == key)
				return (sp_u32)SP_READ(l->w[2 * i + 1]);
			if (!SP_READ(l->w[2 * i]))
				return 0;
		}
	}
	return 0;
}

/*
 * What the policy says of p's conversation: SP_RULE_BLOCK or SP_RULE_ALLOW with the line, or 0: no line speaks of it.
 * reply: p comes from the other end, so source and destination change places. zones: from << 4 | to.
 */
SP_GLOBAL sp_u32 sp_image_ask(struct sp_pkt *p, sp_u32 reply, sp_u32 zones)
{
	struct sp_image_head *head;
	struct sp_image_more *more;
	sp_u32 service, best = 0, rules, mask, src, dst, slot, at, probes;
	sp_u16 port;

	if (!p)
		return 0;
	slot = p->generation % SP_IMAGE_SLOTS;
	head = (struct sp_image_head *)sp_image_at(slot, 0);
	more = (struct sp_image_more *)sp_image_at(slot, 1);
	if (!head || !more)
		return 0;
	probes = more->probes;
	rules = head->rules;
	mask = head->rules_mask;
	port = reply ? sp_ntoh16(p->sport) : sp_ntoh16(p->dport);
	at = sp_image_service(p->key.proto, port);
	service = (sp_u32)(sp_image_word(slot, head->services, at / 4) >> (16 * (at & 3))) & 0xffff;
	src = (sp_u32)sp_class_suffix(p, reply != 0, (sp_u32)sp_class(p, reply != 0));
	dst = (sp_u32)sp_class_suffix(p, !reply, (sp_u32)sp_class(p, !reply));
	for (sp_u32 any = 0; any < 8; any++) {
		sp_u64 key;
		sp_u32 value;

		if (!(probes >> any & 1)) /* no rule has a key of that sort */
			continue;
		key = SP_RULE_KEY((sp_u64)(zones >> 4) & 15, zones & 15, any & 1 ? SP_CLASS_ANY : src,
				  any & 2 ? SP_CLASS_ANY : dst, any & 4 ? SP_SERVICE_ANY : service);
		value = sp_rule_find(slot, rules, mask, key);
		/* block stands above allow in the value; among equals the first probe counts */
		if ((value & (SP_RULE_BLOCK | SP_RULE_ALLOW)) > (best & (SP_RULE_BLOCK | SP_RULE_ALLOW)))
			best = value;
	}
	return best;
}

#endif
