/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that crosses the kernel/user boundary: layouts, limits, names of maps.
 *
 * Who may touch a field is the letter beside it:
 *   K  the engine (kernel programs, or the native engine), any CPU
 *   L  the engine, only while it holds the lock of that entry
 *   U  user space (the tool), at any time
 *   I  user space, only before the programs are attached
 *   R  anybody may read; a torn read shows at worst one wrong line in a listing
 * All integers are in host byte order unless the type says sp_be*. Times are nanoseconds of the boot clock.
 */
#ifndef SP_CORE_ABI_H
#define SP_CORE_ABI_H

#include "reasons.h"
#include "types.h"

#define SP_ABI_VERSION 6u

/* ---- addresses and keys ------------------------------------------------------------------------------------ */

/* An address, network byte order in memory. IPv4 sits in b[0..3], the rest is 0; the family stands elsewhere. */
struct sp_addr {
	union {
		sp_u8 b[16];
		sp_u32 w32[4];
		sp_u64 w[2];
	};
};

enum sp_family { SP_FAMILY_NONE = 0, SP_IPV4 = 4, SP_IPV6 = 6 };

/*
 * Canonical five-tuple: the smaller (address, port) pair, compared as stored integers, is end 0. Both directions of a
 * conversation have the same key. ICMP queries: both ports are the identifier. Protocols without ports: 0.
 * The family is part of the key: IPv4 and IPv6 can never collide.
 */
struct sp_key {
	struct sp_addr addr[2];
	sp_be16 port[2];
	sp_u8 proto;
	sp_u8 family; /* enum sp_family */
	sp_u16 query; /* ICMP queries: type of the request (8, 13, 15, 17, 128); else 0 */
};
_Static_assert(sizeof(struct sp_key) == 40, "key");

enum sp_zone { SP_ZONE_NONE = 0, SP_ZONE_SELF = 1, SP_ZONE_OUTSIDE = 2, SP_ZONE_INSIDE = 3, SP_ZONE_COUNT = 4 };

/* ---- phases: what a conversation waits for, and how long ---------------------------------------------------- */

/* SP_CLASS_ALIAS counts second index entries, not conversations. */
enum sp_class {
	SP_CLASS_UNANSWERED = 0,
	SP_CLASS_ANSWERED = 1,
	SP_CLASS_CLOSING = 2,
	SP_CLASS_COUNT = 3,
	SP_CLASS_ALIAS = 3
};

/*
 * X(ID, "name", class, host_s, gateway_s, pressure_s): idle seconds on a host, on a gateway, and above 60 % full.
 * Sources: RFC 5382 REQ-5 and RFC 6092 REC-35 (established 2 h 4 min, transitory 4 min: the gateway column), RFC 4787
 * REQ-5 (UDP 2 min, 5 min recommended), RFC 5508 REQ-2 (ICMP 60 s), RFC 6092 REC-12 (others 2 min, 5 recommended),
 * REC-40 and REC-44 (SCTP, DCCP). Established is stretched to 24 h. Pressure never shortens answered conversations.
 */
#define SP_PHASES(X)                                                                  \
	X(FREE, "free", CLOSING, 0, 0, 0)                                             \
	X(TCP_SYN_SENT, "SYN-SENT", UNANSWERED, 60, 240, 20)                          \
	X(TCP_SYN_RECEIVED, "SYN-RECEIVED", UNANSWERED, 60, 240, 20)                  \
	X(TCP_ESTABLISHED, "ESTABLISHED", ANSWERED, 86400, 86400, 86400)              \
	X(TCP_HALF_CLOSED, "HALF-CLOSED", ANSWERED, 900, 900, 900)                    \
	X(TCP_LAST_ACK, "LAST-ACK", CLOSING, 60, 240, 20)                             \
	X(TCP_TIME_WAIT, "TIME-WAIT", CLOSING, 60, 240, 10)                           \
	X(TCP_CLOSED, "CLOSED", CLOSING, 10, 10, 5)                                   \
	X(TCP_PICKED_UP, "PICKED-UP", UNANSWERED, 300, 300, 60)                       \
	X(UDP_UNANSWERED, "unanswered", UNANSWERED, 120, 120, 30)                     \
	X(UDP_ANSWERED, "answered", ANSWERED, 300, 300, 300)                          \
	X(ICMP_UNANSWERED, "unanswered", UNANSWERED, 60, 60, 10)                      \
	X(ICMP_ANSWERED, "answered", ANSWERED, 60, 60, 60)                            \
	X(ASSOC_UNANSWERED, "unanswered", UNANSWERED, 480, 480, 60)                   \
	X(ASSOC_ANSWERED, "answered", ANSWERED, 7440, 7440, 7440)                     \
	X(OTHER_UNANSWERED, "unanswered", UNANSWERED, 120, 120, 30)                   \
	X(OTHER_ANSWERED, "answered", ANSWERED, 300, 300, 300)                        \
	X(ALIAS, "alias", ALIAS, 0, 0, 0)

enum sp_phase {
#define X(id, name, class_, host_s, gateway_s, pressure_s) SP_PHASE_##id,
	SP_PHASES(X)
#undef X
	SP_PHASE_COUNT
};
#define SP_PHASE_SLOTS 32

/* ---- the flow table ------------------------------------------------------------------------------------------ */

#define SP_WAYS 28 /* conversations in one set */
#define SP_WAYS_HALF (SP_WAYS / 2) /* those of conversations come first, those of aliases last: sp_entry_at() */
#define SP_TAG_WORDS 7 /* 28 tags of 16 bits */
#define SP_TAG_EMPTY 0u
#define SP_TAG_CLAIMED 1u /* taken, not yet readable */

/* One cache line a set. */
struct sp_set {
	sp_u32 lock; /* K  odd while held: keys whose first set this is are being inserted */
	sp_u32 pad_;
	/* K  four 16-bit tags a word, way 4*i+0 in the low bits; changed by cmpxchg, or by a CLAIMED way's owner */
	sp_u64 tags[SP_TAG_WORDS];
};
_Static_assert(sizeof(struct sp_set) == 64, "one cache line");

/* What one end of a TCP connection has sent (facts: G. van Rooij, "Real Stateful TCP Packet Filtering", 2000). */
struct sp_peer {
	sp_u32 end; /* L  sequence number after the highest byte it sent */
	sp_u32 max_end; /* L  the highest that the other end allows (its ack + its window) */
	sp_u32 max_win; /* L  largest window it offered, scaled, bytes */
	sp_u32 ack; /* L  highest acknowledgement it sent; before its first one, the lowest it may send (ISN + 1) */
};

/* State of one end (RFC 9293 3.3.2, seen from the middle). */
enum sp_tcp_end {
	SP_END_CLOSED = 0, /* has sent nothing */
	SP_END_SYN = 1, /* its SYN is not acknowledged */
	SP_END_OPEN = 2, /* its SYN is acknowledged */
	SP_END_FIN = 3, /* its FIN is not acknowledged */
	SP_END_DONE = 4, /* its FIN is acknowledged */
	SP_END_COUNT = 5
};

enum sp_flow_flag {
	SP_FLOW_FROM_1 = 1, /* end 1 of the key started it; else end 0 */
	SP_FLOW_LOOSE = 2, /* window scale was not seen: the windows are not enforced (RFC 6092 REC-32) */
	SP_FLOW_KILLED = 4, /* U  the tool ended it: the engine treats it as expired */
	SP_FLOW_ANSWERED = 8, /* the other end has spoken */
	SP_FLOW_TRANSLATED = 16, /* it has an alias: `alias` is its index + 1 */
	SP_FLOW_IDLE = 32, /* its line names an idle time of its own */
	SP_FLOW_LIMITED = 64, /* it is counted for the limit of its line */
	SP_FLOW_MAPPED = 128, /* begun from outside with an open mapping: its initiator does not keep it (RFC 7857 4) */
};

/* One conversation: 128 bytes. The first line is all that a non-TCP IPv4 packet needs to be judged. */
struct sp_flow {
	struct sp_key key; /* L R */
	sp_u32 lock; /* K  odd while held; grows by 2 with each change, so readers can tell */
	sp_u8 flags; /* K U  enum sp_flow_flag; changed by the engine under the lock, KILLED by sp_engine_end() */
	sp_u8 phase; /* L R  enum sp_phase; SP_PHASE_FREE: not in use */
	sp_u8 ends; /* L R  enum sp_tcp_end of end 0 in the low, of end 1 in the high four bits */
	sp_u8 wscale; /* L R  window scale of end 0 (low), end 1 (high); 15: not seen */
	sp_u64 seen_ns; /* L R  last packet that refreshed it */
	sp_u32 generation; /* L R  policy generation it was decided under */
	sp_u16 line; /* L R  which line of the policy permitted it (enum sp_line_id) */
	sp_u8 zone_from; /* L R  zone of the initiator */
	sp_u8 zone_to; /* L R  zone of the other end; SP_ZONE_NONE until it has spoken */
	/* second line */
	union {
		struct sp_peer peer[2]; /* L R  TCP: by end of the key */
		sp_u64 note[3]; /* L  others: what an engine remembers of them (port/port_bpf.h) */
	};
	sp_u64 bytes[2]; /* L R  IP bytes sent by each end */
	sp_u32 packets[2]; /* L R  packets sent by each end, low 32 bits */
	sp_u16 packets_high[2]; /* L R  and the next 16 */
	union {
		sp_u32 born_s; /* L R  boot-clock second in which it began */
		sp_u32 alias; /* L R  SP_FLOW_TRANSLATED: index + 1 of its alias, which knows born_s */
	};
};
_Static_assert(sizeof(struct sp_flow) == 128, "budget: 128 bytes a conversation");
_Static_assert(__builtin_offsetof(struct sp_flow, peer) == 64, "second cache line");

#define SP_TOLD_SHIFT 36 /* of the boot clock, 69 s: only `nat open` asks how long a port is unused, and then it is 30 */

enum sp_alias_side {
	SP_ALIAS_INITIATOR = 0, /* the key as the initiator knows it: destination translation */
	SP_ALIAS_RESPONDER = 1, /* the key as the responder knows it: source translation */
};

enum sp_alias_flag {
	/*
	 * Somebody else on this machine (nftables) still carries this translation out: packets are judged, not rewritten. It
	 * goes with the first packet that shows that nobody does any more.
	 */
	SP_ALIAS_FOREIGN = 1,
	SP_ALIAS_OF_RESPONDER = 2, /* its side: SP_ALIAS_RESPONDER */
	SP_ALIAS_FLIP = 4, /* end e of this key is end !e of the conversation's */
};

/*
 * The second index entry of a translated conversation, in the place of a struct sp_flow (phase SP_PHASE_ALIAS). The
 * conversation itself has the key of the real addresses of both ends, the one that a packet has between destination and
 * source translation. Guarded by the lock of the conversation while that names it; `lock` is taken to fill or release it.
 */
struct sp_alias {
	struct sp_key key; /* as one side knows it */
	sp_u32 lock;
	sp_u8 flags; /* enum sp_alias_flag */
	sp_u8 phase; /* SP_PHASE_ALIAS */
	sp_u8 zero_[2];
	sp_u64 made_ns; /* place of seen_ns */
	sp_u32 flow; /* the conversation: index + 1; place of generation */
	sp_u32 other; /* hairpin: the conversation's other alias, index + 1; 0: none; place of line and zones */
	/* second line: only under the lock */
	sp_u32 port; /* struct sp_port that it uses: index + 1; 0: none */
	sp_u32 born_s; /* of the conversation */
	sp_u32 slot; /* of struct sp_nat_addrs whose address it uses, + 1; 0: none */
	sp_u32 used; /* when a packet was last given its address: boot clock >> 30; on the fast path within SP_TOLD_SHIFT */
	sp_u32 pad_[12];
};
_Static_assert(sizeof(struct sp_alias) == 128, "as large as a conversation");
_Static_assert(__builtin_offsetof(struct sp_alias, phase) == __builtin_offsetof(struct sp_flow, phase), "same place");
_Static_assert(__builtin_offsetof(struct sp_alias, port) == 64, "second cache line");
_Static_assert(__builtin_offsetof(struct sp_alias, made_ns) == __builtin_offsetof(struct sp_flow, seen_ns), "same place");

/* ---- translation ------------------------------------------------------------------------------------------------- */

#define SP_NAT_SLOTS 64 /* addresses at most */
#define SP_NAT_PROTOS 3 /* TCP, UDP, ICMP queries: each has its own ports (identifiers) */
#define SP_NAT_PORTS (SP_NAT_PROTOS * 65536u) /* struct sp_port of one address */

enum sp_nat_slot_flag {
	SP_SLOT_MAPS = 1, /* sources are translated to it; else it is only an address that `forward` lines answer to */
	SP_SLOT_POOL = 2, /* of `nat pool` */
};

struct sp_nat_slot {
	sp_u32 addr; /* U  IPv4, raw network order; 0: empty */
	sp_u32 ifindex; /* U  outside interface that has it; 0: any (a pool's) */
	sp_u32 flags; /* U  enum sp_nat_slot_flag */
};

/* The addresses of this machine at the outside. Written by user space, also when they change. One element. */
struct sp_nat_addrs {
	sp_u32 slots; /* I  slots that have ports: sp_ports has slots * SP_NAT_PORTS elements; 0: nothing is translated */
	sp_u32 used; /* U  slots that may be in use: none from here on */
	sp_u32 changes; /* U  grows with each change of a slot */
	struct sp_nat_slot slot[SP_NAT_SLOTS]; /* U */
	sp_u32 asked[SP_NAT_SLOTS]; /* K  when the kernel last said that it is still this machine's: boot clock >> 30 */
};

/*
 * Who holds an outside port: index ((slot * SP_NAT_PROTOS) + protocol) * 65,536 + port (host order). An open hash table:
 * the first place for an inside port is the same number, so ports are preserved where that is free (RFC 4787 REQ-3).
 */
struct sp_port {
	sp_u64 owner; /* K  inside address (raw) << 32 | inside port (host order) << 16 | users; 0: free */
	sp_u32 displaced; /* K  mappings whose first place this is but that had to go elsewhere */
	sp_u32 sent_s; /* K  boot-clock second in which its holder last sent something by it, about */
};

/* Lines of the built-in policy; a configuration's own lines start at SP_LINE_FIRST. */
enum sp_line_id {
	SP_LINE_NONE = 0,
	SP_LINE_SELF = 1,
	SP_LINE_INSIDE = 2,
	SP_LINE_ADOPTED = 3,
	SP_LINE_MAPPED = 4, /* `nat open` */
	SP_LINE_FIRST = 16
};

/* ---- fragments ------------------------------------------------------------------------------------------------ */

#define SP_FRAG_WAYS 4
#define SP_FRAG_SETS 256
#define SP_FRAG_COUNT (SP_FRAG_WAYS * SP_FRAG_SETS)
#define SP_FRAG_WORDS 128 /* a bit for every 8 bytes of 65,536 */
#define SP_FRAG_TIMEOUT_NS (60 * SP_NS_PER_S) /* RFC 8200 4.5 */

/* One datagram in pieces, kept only when its first piece was let through. */
struct sp_frag {
	struct sp_addr src, dst; /* L */
	sp_u32 id; /* L  identification */
	sp_u8 proto; /* L */
	sp_u8 family; /* L  0: free */
	sp_u8 zone; /* L  where it came from */
	sp_u8 poisoned; /* L  pieces overlapped: nothing more of it passes (RFC 5722) */
	sp_u32 lock; /* K  odd while held */
	sp_u32 total; /* L  length of the datagram's payload once the last piece is known, else 0; bytes */
	sp_u64 born_ns; /* L */
	sp_u32 nat4; /* L  IPv4 address, raw, that its pieces get: destination at ingress, source at egress; 0: none */
	sp_u8 hook; /* L  where it was seen: enum sp_hook */
	sp_u8 pad_;
	sp_u16 passed; /* L  bytes of its payload that have passed; all of them: it makes room when room is needed */
	sp_u64 seen[SP_FRAG_WORDS]; /* L */
};
_Static_assert(sizeof(struct sp_frag) == 64 + 8 * SP_FRAG_WORDS, "frag");

/* ---- configuration and shared state ------------------------------------------------------------------------- */

#define SP_MAX_IFACES 256

/* What an interface is; key of the map: ifindex. */
struct sp_iface {
	sp_u8 zone; /* U  enum sp_zone; SP_ZONE_NONE: it is no longer guarded */
	sp_u8 bare_ip; /* U  1: no Ethernet header (tun, wg, ppp) */
	sp_u8 xdp; /* U  1: ingress is judged at XDP */
	sp_u8 own_qdisc; /* U  1: the tool made the clsact qdisc, and removes it again */
	sp_u8 xdp_errno; /* U  why the driver refused XDP that was wanted; 0: it did not */
	sp_u8 zone_back; /* U  its zone once a trial has ended unconfirmed; mostly the same as zone */
	sp_u8 named; /* U  enum sp_named */
	sp_u8 express; /* U  1: packets may be redirected to it, without the stack */
	sp_u8 virtual; /* K  1: the last packet from it that told (see sp_unfinished()) had an unfinished checksum */
	sp_u8 express_back; /* U  express, once a trial has ended unconfirmed */
	sp_u8 mac[6]; /* U  its hardware address: frames for another one never take the express lane; 0: not known */
};

/* Why an interface is in its zone. */
enum sp_named {
	SP_NAMED_BY_RULE = 0, /* of the default route */
	SP_NAMED_BY_FILE = 1, /* a line of the configuration */
	SP_NAMED_BY_HAND = 2, /* an option of `up`, which stands over the configuration */
	SP_NAMED_UNDONE = 0x80, /* beside one of these: its programs are not all in their place yet */
};

#define SP_GATE_NAME 16 /* IFNAMSIZ */

/* The gate (bpf/sally_gate.bpf.c): names of guarded interfaces, also of those that are gone and expected back. */
struct sp_gate_name {
	char name[SP_GATE_NAME]; /* to its end with zeros */
};

struct sp_gate {
	sp_u32 ifindex; /* U  its number when it was last seen guarded */
	sp_u32 pad_;
	sp_u64 packets, bytes; /* K  held back since it came up: in its name, but not guarded */
};

_Static_assert(sizeof(struct sp_gate) == 24, "gate");

/* Guarded interfaces whose programs are in their place, each at its number modulo SP_MAX_IFACES: found without a look-up. */
struct sp_whole {
	sp_u32 ifindex[SP_MAX_IFACES]; /* U  0: none, or one that has its place taken */
};

enum sp_config_flag {
	SP_CONFIG_GATEWAY = 1, /* the machine forwards between guarded interfaces */
	SP_CONFIG_EXPRESS = 2, /* an option of `up` wants the express lane, whatever the policy says */
	SP_CONFIG_NO_EXPRESS = 4, /* an option of `up` does not want it, likewise */
	SP_CONFIG_NO_BTF = 8, /* XDP was wanted, but the kernel does not describe the structures that it reads */
	SP_CONFIG_GATE = 16, /* programs of ours are at netfilter's FORWARD, one a family (bpf/sally_gate.bpf.c) */
};

/* Written by user space, read by the engine. One element. */
struct sp_config {
	sp_u32 abi; /* I  SP_ABI_VERSION */
	sp_u32 flags; /* I  enum sp_config_flag */
	sp_u64 secret[2]; /* I  key of SipHash; random */
	sp_u32 sets; /* I  number of struct sp_set; entries = sets * SP_WAYS */
	sp_u32 capacity; /* I  conversations at most: sets * SP_WAYS */
	sp_u32 unanswered_max; /* U  budget of conversations that nobody has answered */
	sp_u32 pressure_on; /* U  above so many conversations the pressure column is in force */
	sp_u32 generation; /* U  policy generation in force; its image is in slot generation % SP_IMAGE_SLOTS */
	sp_u32 trial_back; /* U  the generation before: to go back to when a trial ends unconfirmed, or by undo */
	sp_u64 trial_until_ns; /* U  0: no trial. The engine itself goes back: see sp_generation() */
	sp_u64 netns_cookie; /* I  of the network namespace that this instance guards */
	sp_u64 up_ns; /* I  when it came up */
	sp_u64 watch_until_ns; /* U  events are produced until then */
	sp_u64 timeout_ns[2][SP_PHASE_SLOTS]; /* U  [0] normal, [1] pressure; by enum sp_phase */
};

/* The entry of that way of set b: ways 0 to 13 of all sets in a row, then the others. */
SP_INLINE sp_u32 sp_entry_at(const struct sp_config *c, sp_u32 b, sp_u32 way)
{
	return b * SP_WAYS_HALF + way + (way < SP_WAYS_HALF ? 0 : c->capacity / 2 - SP_WAYS_HALF);
}

/* The other way round: the set of entry i, and its way there. */
SP_INLINE sp_u32 sp_entry_set(const struct sp_config *c, sp_u32 i)
{
	return (i < c->capacity / 2 ? i : i - c->capacity / 2) / SP_WAYS_HALF;
}

SP_INLINE sp_u32 sp_entry_way(const struct sp_config *c, sp_u32 i)
{
	return i < c->capacity / 2 ? i % SP_WAYS_HALF : SP_WAYS_HALF + (i - c->capacity / 2) % SP_WAYS_HALF;
}

#define SP_OTHERS_S 600 /* so long after a sign of it (others_s) somebody else is believed to translate */

/* Written by the engine, atomically. One element. */
struct sp_state {
	sp_u32 count[4]; /* K  entries in use by enum sp_class (stale ones included until they are swept) */
	sp_u32 sources; /* K  cells of the source sketch that are not 0 */
	sp_u32 hand; /* K  next entry that the sweeper looks at */
	sp_u32 tick; /* K  boot clock >> 24 (17 ms) of the last timed sweep */
	sp_u32 others_s; /* K  when somebody else on this machine (nftables) was last seen to translate; 0: never */
	sp_u64 dhcp4_ns; /* K  when this machine last sent a DHCP request */
	sp_u64 dhcp6_ns; /* K */
	sp_u64 events_lost; /* K  ring full or rate limit reached */
	sp_u64 event_tick[2]; /* K  rate limit of events: drops, passes: tick << 32 | used */
	sp_u64 ask_due_ns; /* K  when the next question (core/proof.h) may be asked */
	sp_u64 spare_due_ns; /* K  when the next stranger who has not shown that he is there may begin all the same */
};

/* What a program at XDP has seen last: its own variables, which begin anew with each build. One element. */
struct sp_seen {
	sp_u8 others[2]; /* K  IPv4, IPv6; 1: somebody else has hooks of netfilter by which forwarded packets come */
	sp_u8 pad_[6];
};

/*
 * Unanswered conversations by hashed source address: two rows, the smaller counts (count-min sketch, Cormode and
 * Muthukrishnan 2005). A collision costs a source its share, never its safety.
 */
#define SP_SKETCH_ROW 16384
#define SP_SKETCH_ROWS 2

/*
 * What sources do under lines with a rate or a limit (core/order.h), by keyed hash: rows of arrival times, in ns of the boot
 * clock, and rows of counts (low 32 bits).
 */
#define SP_METER_ROW 65536
#define SP_METER_RATES 0 /* first of two rows */
#define SP_METER_LIMITS 2
#define SP_METER_PROOFS 4 /* one row: who has shown that he is there (core/proof.h) */
#define SP_METER_ASKED 5 /* one row: when the next question to a source may be asked */
#define SP_METER_ROWS 6

/* Per-CPU, one a reason. */
struct sp_counter {
	sp_u64 packets; /* K */
	sp_u64 bytes; /* K */
};

enum sp_hook { SP_HOOK_INGRESS = 0, SP_HOOK_EGRESS = 1 };

/* Only in programs loaded for tests: what the engine sees instead of the machine. */
struct sp_test {
	sp_u64 now_ns;
	sp_u8 zone; /* of the interface that the packet meets */
	sp_u8 hook; /* enum sp_hook */
	sp_u8 bare_ip;
	sp_u8 forwarded; /* at egress: 1 if it came in at a guarded interface */
	sp_u8 zone_to; /* zone that the packet's destination is in; SP_ZONE_NONE: see sp_side_zone() */
	sp_u8 zone_from; /* at egress, forwarded: zone of the interface where it came in */
	sp_u8 express; /* 1: interfaces that are known are in their own zones, and take part in the express lane */
	sp_u8 pad_;
	sp_u32 me_inside4; /* this machine's address inside, raw; 0: none */
	sp_u32 me_outside4; /* and outside, beside those that it translates to; 0: none */
	sp_u32 dmz4_net, dmz4_mask; /* IPv4 network of zone SP_ZONE_COUNT (the first of one's own); mask 0: none */
	sp_u16 listens[4]; /* host order: ports on which this machine listens, all protocols; 0: none */
	sp_u32 inside4_net, inside4_mask; /* the inside's IPv4 network (raw network order); mask 0: any */
	sp_u32 inside6_bits; /* prefix length of inside6; 0: any */
	sp_u32 pad2_;
	struct sp_addr inside6;
	struct sp_addr me6[2]; /* this machine's addresses; zero: none */
	struct sp_addr dmz6; /* a /64 of that first zone; zero: none */
};

/* ---- events ---------------------------------------------------------------------------------------------------- */

enum sp_event_kind {
	SP_EVENT_NONE = 0,
	SP_EVENT_DROP = 1,
	SP_EVENT_NEW = 2, /* a conversation is remembered */
	SP_EVENT_ANSWERED = 3, /* its first answer was let in */
	SP_EVENT_CLOSED = 4, /* both ends closed it, or a reset that is believed */
};

/* Of lines with the option `log`: one in 10 ms, so many at once. Whether somebody watches or not. */
#define SP_LOG_EVERY_NS (SP_NS_PER_S / 100)
#define SP_LOG_BURST 200u

/* What all CPUs share out, written atomically by the engine: when the next one is due. Zero at first. One element. */
struct sp_budgets {
	sp_u64 refuse_due_ns; /* K  answers to what is refused */
	sp_u64 log_due_ns; /* K  entries of the log */
	sp_u64 logs_lost; /* K  entries that were too many, or for which the ring had no room */
};

#define SP_EVENTS_PER_TICK 64u /* of each sort, in 17 ms: about 3,800 a second */

struct sp_event {
	sp_u64 time_ns;
	struct sp_addr src, dst; /* as on the wire */
	sp_be16 sport, dport; /* ICMP queries: the identifier in sport */
	sp_u32 ifindex;
	sp_u32 len; /* IP bytes */
	sp_u32 flow; /* index of the entry + 1; 0: none */
	sp_u8 kind; /* enum sp_event_kind */
	sp_u8 reason; /* enum sp_reason */
	sp_u8 family; /* enum sp_family */
	sp_u8 proto;
	sp_u8 zone; /* enum sp_zone of the sender */
	sp_u8 hook; /* enum sp_hook */
	sp_u8 tcp_flags;
	sp_u8 icmp_type, icmp_code;
	sp_u8 logged; /* 1: its line wants it to be told of */
	sp_u16 line; /* which line decided; 0: none */
	sp_u32 generation; /* whose line */
};
_Static_assert(sizeof(struct sp_event) == 72, "event");

#endif
