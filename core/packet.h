/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parser makes of a packet: everything that is decided afterwards is decided on this, never on packet memory.
 * Plus the wire formats that it reads.
 */
#ifndef SP_CORE_PACKET_H
#define SP_CORE_PACKET_H

#include "abi.h"

enum sp_kind {
	SP_KIND_NONE = 0,
	SP_KIND_TCP,
	SP_KIND_UDP, /* and UDP-Lite: another protocol number, hence another key */
	SP_KIND_ASSOC, /* SCTP, DCCP: ports, long-lived */
	SP_KIND_QUERY, /* ICMP request */
	SP_KIND_REPLY, /* ICMP reply */
	SP_KIND_ERROR, /* ICMP error; key and dir are those of the packet that it quotes */
	SP_KIND_NEIGHBOUR, /* ICMPv6 133-137 */
	SP_KIND_MEMBERSHIP, /* IGMP, MLD */
	SP_KIND_OTHER, /* by address and protocol */
	SP_KIND_PIECE, /* a fragment that is not the first */
};

#define SP_TCP_FIN 0x01
#define SP_TCP_SYN 0x02
#define SP_TCP_RST 0x04
#define SP_TCP_PSH 0x08
#define SP_TCP_ACK 0x10
#define SP_TCP_URG 0x20

#define SP_PROTO_ICMP 1
#define SP_PROTO_IGMP 2
#define SP_PROTO_TCP 6
#define SP_PROTO_UDP 17
#define SP_PROTO_DCCP 33
#define SP_PROTO_ICMP6 58
#define SP_PROTO_SCTP 132
#define SP_PROTO_UDPLITE 136

#define SP_WSCALE_NONE 15

/* What translation does to the packet. */
enum sp_nat_part {
	SP_NAT_UNTOUCHED = 0,
	SP_NAT_DST = 1, /* ingress: the receiver's known address becomes its real one */
	SP_NAT_SRC = 2, /* egress: the sender's real address becomes the one that the receiver knows */
};

/* At most so many IPv6 extension headers, VLAN tags; hitting the bound is a drop with its own reason. */
#define SP_EXT_MAX 6
#define SP_VLAN_MAX 2

struct sp_pkt {
	/* filled in at the door */
	sp_u64 now_ns;
	sp_u32 ifindex;
	sp_u32 frame_len; /* bytes, from the link header on */
	sp_u32 segs; /* packets that this one stands for (GSO, GRO); at least 1 */
	sp_u8 zone; /* enum sp_zone of whoever sent it, as seen from here */
	sp_u8 hook; /* enum sp_hook */
	sp_u8 bare_ip;
	sp_u8 config_flags; /* enum sp_config_flag */
	sp_u8 express; /* it came in where the express lane is on */
	sp_u8 forwarded; /* at egress: it came in at a guarded interface, from `zone` */
	sp_u8 zone_out; /* at egress: of the interface where it leaves */
	sp_u32 generation; /* of the policy that judges it */

	/* filled in by the policy */
	sp_u16 line; /* which line permits the conversation */
	sp_u8 zone_to; /* where it goes; SP_ZONE_NONE: not looked up */
	sp_u8 order_flags; /* that its conversation gets: SP_FLOW_IDLE, SP_FLOW_LIMITED */

	/* filled in by the table */
	sp_u32 flow; /* index of the entry + 1 */
	sp_u32 searched; /* the lock of its first set, held, if nobody takes it since that was searched in vain; or 0 */
	sp_u64 note; /* the port's: goes with the conversation that the packet begins */
	sp_u8 macs[12]; /* the port's: of the next hop, as they stand in a frame */
	sp_u32 out; /* the port's: its interface */

	/* translation (nat.h): src, dst, sport, dport and key are then those of the real ends */
	sp_u32 via; /* index + 1 of the alias by which the conversation was found */
	sp_u8 nat; /* enum sp_nat_part */
	sp_u8 unfinished; /* XDP, native: the checksum is that of the pseudo-header only */
	sp_u8 virtual; /* XDP: the link mostly hands over unfinished ones */
	sp_u8 keeps; /* its source port is forwarded to its source: it may have it outside, too */
	sp_u8 foreign; /* somebody else carries the translation out */
	sp_u8 ask; /* new4, of this slot + 1, may be no longer this machine's: ask the kernel */
	sp_u8 side, flip; /* of the alias that is being made: see struct sp_alias */
	sp_be16 old_port, new_port; /* of the end that is changed; queries: identifier */
	sp_u32 old4, new4; /* its IPv4 address, raw */

	/* filled in by the parser */
	struct sp_key key; /* canonical; of the quoted packet if kind is SP_KIND_ERROR */
	struct sp_addr src, dst; /* of the outer header */
	sp_u64 hash; /* of key */
	sp_u32 len; /* IP bytes, header included */
	sp_u32 l3_off, l4_off; /* bytes from the start of the frame */
	sp_u32 l4_len; /* bytes from l4_off to the end of the IP packet */
	sp_u32 payload; /* TCP: bytes after the header */
	sp_u32 seq, ack; /* TCP; seq also of a quoted segment */
	sp_u16 win; /* TCP, unscaled */
	sp_be16 sport, dport; /* as on the wire; ICMP queries: identifier in both */
	sp_u8 tcp_flags;
	sp_u8 wscale; /* 0-14, SP_WSCALE_NONE: no such option (only looked for in a SYN) */
	sp_u8 family;
	sp_u8 proto; /* of the outer packet */
	sp_u8 kind; /* enum sp_kind */
	sp_u8 dir; /* which end of the key sent it (or the quoted packet) */
	sp_u8 icmp_type, icmp_code;
	sp_u8 hop_limit;
	sp_u8 is_frag; /* it is a piece of a larger datagram */
	sp_u8 frag_more; /* and not the last one */
	sp_u8 event; /* enum sp_event_kind, filled in by the trackers */
	sp_u32 frag_id;
	sp_u32 frag_off; /* bytes */
	sp_u32 frag_len; /* bytes of the datagram that are in this piece, IPv6 extension headers behind the cut included */

	/* the interval search of the policy */
	sp_u32 lo, hi;

	/* translation (nat.h), of an alias that is made */
	sp_u32 port_at; /* struct sp_port that the alias being made uses: index + 1 */
	sp_u32 slot; /* of struct sp_nat_addrs, + 1 */
	sp_u32 nth; /* slots to pass by in the search for one */
	sp_u32 base; /* first struct sp_port of that slot and protocol */
	sp_u64 draw; /* decides where else a port is sought */
	struct sp_key other; /* its conversation's other key: of an alias that is made, or a guess of that */
	sp_u64 other_hash;
	sp_u32 other_set; /* its first set: number + 1; 0: nothing is known of it */
};

struct sp_eth {
	sp_u8 dst[6], src[6];
	sp_be16 type;
} __attribute__((packed));

struct sp_vlan {
	sp_be16 tci;
	sp_be16 type;
};

struct sp_ip4 {
	sp_u8 version_ihl;
	sp_u8 tos;
	sp_be16 total;
	sp_be16 id;
	sp_be16 frag; /* 3 flag bits, 13 bits of offset in 8 bytes */
	sp_u8 ttl;
	sp_u8 proto;
	sp_be16 check;
	sp_be32 src, dst;
};

struct sp_ip6 {
	sp_be32 version_class_label;
	sp_be16 payload;
	sp_u8 next;
	sp_u8 hop_limit;
	struct sp_addr src, dst;
};

/* RFC 8200 4.5: the byte after `next` is reserved, it is not a length. */
struct sp_frag6 {
	sp_u8 next;
	sp_u8 reserved;
	sp_be16 off_more; /* 13 bits of offset in 8 bytes, 2 reserved, M */
	sp_be32 id;
};

struct sp_tcp {
	sp_be16 sport, dport;
	sp_be32 seq, ack;
	sp_u8 off; /* data offset in the high four bits */
	sp_u8 flags;
	sp_be16 win;
	sp_be16 check;
	sp_be16 urgent;
};

struct sp_ports {
	sp_be16 sport, dport;
	sp_be16 len; /* UDP: length; others: whatever */
	sp_be16 check;
};

struct sp_icmp {
	sp_u8 type, code;
	sp_be16 check;
	sp_be16 id;
	sp_be16 seq;
};

/* Does the verdict of this reason drop the packet? The list of reasons as two words of bits. */
SP_INLINE int sp_reason_drops(sp_u32 reason)
{
	sp_u64 drops[2] = { 0, 0 };

#define X(id, name, verdict, text) drops[SP_R_##id / 64] |= (sp_u64)(SP_##verdict == SP_DROP) << (SP_R_##id % 64);
	SP_REASONS(X)
#undef X
	if (reason >= SP_REASON_COUNT)
		return 1;
	return (int)((reason < 64 ? drops[0] : drops[1]) >> (reason % 64)) & 1;
}

/* Class of each phase, two bits each, as one constant: a table that needs no memory. */
SP_INLINE sp_u32 sp_class_of(sp_u32 phase)
{
	sp_u64 packed = 0;

	_Static_assert(SP_PHASE_COUNT <= SP_PHASE_SLOTS, "two bits each");
#define X(id, name, class_, host_s, gateway_s, pressure_s) packed |= (sp_u64)SP_CLASS_##class_ << (2 * SP_PHASE_##id);
	SP_PHASES(X)
#undef X
	return (packed >> (2 * (phase & (SP_PHASE_SLOTS - 1)))) & 3;
}

/* Folds a sum of 32-bit words to 16 bits, one's complement (RFC 1071). */
SP_INLINE sp_u32 sp_fold(sp_u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sp_u32)sum;
}

SP_INLINE int sp_addr_equal(const struct sp_addr *a, const struct sp_addr *b)
{
	return ((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1])) == 0;
}

SP_INLINE int sp_key_equal(const struct sp_key *a, const struct sp_key *b)
{
	const sp_u64 *x = (const sp_u64 *)a, *y = (const sp_u64 *)b;

	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

/* Puts the ends in canonical order. Returns which end (0, 1) the source became. */
SP_INLINE int sp_key_set(struct sp_key *k, const struct sp_addr *src, const struct sp_addr *dst, sp_be16 sport,
			 sp_be16 dport)
{
	int swap;

	if (src->w[0] != dst->w[0])
		swap = src->w[0] > dst->w[0];
	else if (src->w[1] != dst->w[1])
		swap = src->w[1] > dst->w[1];
	else
		swap = sport.raw > dport.raw;
#ifdef SP_KEY_BY_INDEX /* which one is smaller is random: a branch on it is guessed wrong */
	k->addr[swap] = *src;
	k->addr[!swap] = *dst;
	k->port[swap] = sport;
	k->port[!swap] = dport;
	return swap;
#endif
	if (swap) {
		k->addr[0] = *dst;
		k->addr[1] = *src;
		k->port[0] = dport;
		k->port[1] = sport;
	} else {
		k->addr[0] = *src;
		k->addr[1] = *dst;
		k->port[0] = sport;
		k->port[1] = dport;
	}
	return swap;
}

#endif
