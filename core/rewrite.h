/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes packets: one end of a packet gets another address and port, checksums follow (RFC 1624), also inside the
 * packet that an ICMP error quotes (RFC 5508 REQ-4, REQ-5).
 *
 * The including port has defined sp_put(dev, off, from, n), which stores n bytes, n constant, and, if it knows better than
 * by arithmetic how to mend the packet's own transport checksum, sp_fix(dev, p, off, from, to, how).
 */
#ifndef SP_CORE_REWRITE_H
#define SP_CORE_REWRITE_H

#include "parse.h"

enum sp_fix_how {
	SP_FIX_2 = 2, /* a word of so many bytes has changed */
	SP_FIX_4 = 4,
	SP_FIX_PSEUDO = 16, /* of the pseudo-header: counts in an unfinished checksum, too */
	SP_FIX_UDP = 32, /* 0 means that there is none (RFC 768, RFC 3828 3.1) */
};

/* Checksum `sum` after a word has changed. All as they lie in memory. */
SP_INLINE sp_u16 sp_sum_change(sp_u16 sum, sp_u32 from, sp_u32 to, sp_u32 how)
{
	const sp_u32 mask = how & SP_FIX_4 ? 0xffffffff : 0xffff;

	return (sp_u16)~sp_fold((sp_u64)(~(sp_u32)sum & 0xffff) + (~from & mask) + to);
}

/* Mends the checksum at `off`, which is none that hardware finishes. */
SP_GLOBAL int sp_mend(sp_dev *dev, sp_u32 off, sp_u32 from, sp_u32 to, sp_u32 how)
{
	sp_u16 sum;

	if (sp_load(dev, off, &sum, 2))
		return -1;
	if ((how & SP_FIX_UDP) && !sum)
		return 0;
	sum = sp_sum_change(sum, from, to, how);
	if ((how & SP_FIX_UDP) && !sum)
		sum = 0xffff;
	return sp_put(dev, off, &sum, 2);
}

#ifndef sp_fix
/* The packet's own transport checksum. An unfinished one is the folded sum of the pseudo-header, not complemented. */
SP_INLINE int sp_fix(sp_dev *dev, struct sp_pkt *p, sp_u32 off, sp_u32 from, sp_u32 to, sp_u32 how)
{
	sp_u16 sum;

	if (!p->unfinished)
		return sp_mend(dev, off, from, to, how);
	if (!(how & SP_FIX_PSEUDO))
		return 0;
	if (sp_load(dev, off, &sum, 2))
		return -1;
	sum = (sp_u16)~sp_sum_change((sp_u16)~sum, from, to, how);
	return sp_put(dev, off, &sum, 2);
}
#endif

/* Offset of the checksum in a transport header; 0: it has none that covers addresses or ports. */
SP_INLINE sp_u32 sp_sum_off(sp_u32 proto)
{
	if (proto == SP_PROTO_TCP)
		return 16;
	return proto == SP_PROTO_UDP || proto == SP_PROTO_UDPLITE || proto == SP_PROTO_DCCP ? 6 : 0;
}

/* The IPv4 address at `at` of the header at `ip` becomes `to`. */
SP_GLOBAL int sp_put_addr(sp_dev *dev, sp_u32 ip, sp_u32 at, sp_u32 to)
{
	sp_u32 from;

	if (sp_load(dev, ip + at, &from, 4) || sp_put(dev, ip + at, &to, 4))
		return -1;
	return sp_mend(dev, ip + 10, from, to, SP_FIX_4);
}

/* Ports (identifiers) and the transport checksum of the packet itself. */
SP_GLOBAL int sp_rewrite_l4(sp_dev *dev, struct sp_pkt *p)
{
	sp_u32 off, how = 0;
	sp_u16 port;

	if (!p)
		return -1;
	off = p->l4_off;
	port = p->new_port.raw;
	if (off > SP_HEADERS_MAX)
		return -1;
	if (p->key.query) {
		if (p->old_port.raw == port)
			return 0;
		return sp_put(dev, off + 4, &port, 2) || sp_fix(dev, p, off + 2, p->old_port.raw, port, SP_FIX_2);
	}
	if (sp_sum_off(p->proto)) {
		const sp_u32 sum = off + sp_sum_off(p->proto);

		if (p->proto == SP_PROTO_UDP || p->proto == SP_PROTO_UDPLITE) /* RFC 3828 3.1: never 0 */
			how = SP_FIX_UDP;
		if (sp_fix(dev, p, sum, p->old4, p->new4, SP_FIX_4 | SP_FIX_PSEUDO | how))
			return -1;
		if (p->old_port.raw != port && sp_fix(dev, p, sum, p->old_port.raw, port, SP_FIX_2 | how))
			return -1;
	}
	if (p->old_port.raw == port)
		return 0;
	return sp_put(dev, off + (p->nat == SP_NAT_DST ? 2 : 0), &port, 2);
}

/* One word inside an ICMP error, whose checksum covers it. */
SP_GLOBAL int sp_put_quoted(sp_dev *dev, struct sp_pkt *p, sp_u32 off, sp_u32 to)
{
	sp_u16 word = (sp_u16)to, from;

	if (!p || sp_load(dev, off, &from, 2) || sp_put(dev, off, &word, 2))
		return -1;
	return sp_fix(dev, p, p->l4_off + 2, from, word, SP_FIX_2);
}

/* The checksum at `off` of a quoted header, and the address and port that changed. */
SP_GLOBAL int sp_fix_quoted(sp_dev *dev, struct sp_pkt *p, sp_u32 off, sp_u32 udp)
{
	sp_u16 sum;

	if (!p || sp_load(dev, off, &sum, 2))
		return -1;
	if (udp && !sum)
		return 0;
	if (udp != 2) /* 2: the checksum of a query, which covers no address */
		sum = sp_sum_change(sum, p->old4, p->new4, SP_FIX_4);
	sum = sp_sum_change(sum, p->old_port.raw, p->new_port.raw, SP_FIX_2);
	if (udp == 1 && !sum)
		sum = 0xffff;
	return sp_put_quoted(dev, p, off, sum);
}

/* What an ICMP error quotes: at ingress its source is the receiver's end, at egress its destination the sender's. */
SP_GLOBAL int sp_rewrite_quote(sp_dev *dev, struct sp_pkt *p)
{
	const sp_u32 ingress = p && p->nat == SP_NAT_DST;
	sp_u32 ip, at, l4, end;
	sp_u16 sum;
	sp_u8 ihl;

	if (!p)
		return -1;
	ip = p->l4_off + 8;
	end = p->l4_off + p->l4_len;
	if (p->l4_off > SP_HEADERS_MAX || sp_load(dev, ip, &ihl, 1) || sp_load(dev, ip + 10, &sum, 2))
		return -1;
	l4 = ip + (ihl & 15) * 4u;
	at = ip + (ingress ? 12 : 16);
	sum = sp_sum_change(sum, p->old4, p->new4, SP_FIX_4);
	if (sp_put_quoted(dev, p, ip + 10, sum) || sp_put_quoted(dev, p, at, p->new4 & 0xffff) ||
	    sp_put_quoted(dev, p, at + 2, p->new4 >> 16))
		return -1;
	if (p->key.query) {
		if (p->old_port.raw == p->new_port.raw)
			return 0;
		return sp_fix_quoted(dev, p, l4 + 2, 2) || sp_put_quoted(dev, p, l4 + 4, p->new_port.raw);
	}
	at = sp_sum_off(p->key.proto);
	/* at least eight bytes of the transport header are there; TCP's checksum may not be */
	if (at && l4 + at + 2 <= end &&
	    sp_fix_quoted(dev, p, l4 + at, p->key.proto == SP_PROTO_UDP || p->key.proto == SP_PROTO_UDPLITE))
		return -1;
	if (p->old_port.raw == p->new_port.raw)
		return 0;
	return sp_put_quoted(dev, p, l4 + (ingress ? 0 : 2), p->new_port.raw);
}

/* Carries out what p->nat says. Nonzero: the packet is not all there; it must not go on. */
SP_GLOBAL int sp_rewrite(sp_dev *dev, struct sp_pkt *p)
{
	int bad = 0;

	if (!p || p->l3_off > SP_HEADERS_MAX)
		return -1;
	/* an error of this machine's own comes from an address of its own already */
	if (p->kind != SP_KIND_ERROR || p->nat == SP_NAT_DST || p->forwarded)
		bad = sp_put_addr(dev, p->l3_off, p->nat == SP_NAT_DST ? 16 : 12, p->new4);
	if (!bad && p->kind == SP_KIND_ERROR)
		bad = sp_rewrite_quote(dev, p);
	else if (!bad && p->kind != SP_KIND_PIECE)
		bad = sp_rewrite_l4(dev, p);
	return bad;
}

#endif
