/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The native engine: the core of the firewall as a library, deterministic, no root, no clock of its own.
 *
 * One engine is one flow table with its counters. Several threads may call sp_engine_packet() on one engine at once, each
 * with its own sp_engine_cpu; everything else is for one thread. All times are nanoseconds of one clock that never goes
 * back; all integers are in host byte order.
 */
#ifndef SP_HOST_ENGINE_H
#define SP_HOST_ENGINE_H

#include "../core/abi.h"
#include "../core/policy_abi.h"

/* The arrays that an engine works on; the live firewall's are the same, memory-mapped. */
struct sp_tables {
	struct sp_set *sets; /* config->sets elements */
	struct sp_flow *flows; /* config->sets * SP_WAYS elements */
	struct sp_frag *frags; /* SP_FRAG_COUNT elements */
	sp_u64 *sketch; /* SP_SKETCH_ROWS * SP_SKETCH_ROW elements: a BPF array element is 8 bytes; low 32 bits count */
	struct sp_config *config;
	struct sp_state *state;
	struct sp_nat_addrs *nat; /* with nat->slots 0 nothing is translated */
	struct sp_port *ports; /* nat->slots * SP_NAT_PORTS elements */
	sp_u64 *meters; /* SP_METER_ROWS * SP_METER_ROW elements */
	/* compiled policies by generation % SP_IMAGE_SLOTS, for sp_engine_is_stale(); NULL: no line's idle time is known */
	struct sp_image_line *const *images;
};

/* Steps that explain() shows; `what` is a static string of the core, a and b depend on it. */
typedef void sp_step_fn(void *arg, const char *what, sp_u64 a, sp_u64 b);

struct sp_engine {
	struct sp_tables t;
	struct sp_test side; /* instead of routes and sockets: networks, zone_to, listens; the rest is unused */
	struct sp_image_line *images[SP_IMAGE_SLOTS]; /* compiled policies by generation % SP_IMAGE_SLOTS; NULL: none */
	struct sp_counter counters[SP_REASON_COUNT]; /* of sp_engine_packet() calls with cpu == NULL */
	sp_step_fn *step; /* NULL: none */
	void *step_arg;
	void (*event)(void *arg, const struct sp_event *e); /* NULL: none; not rate limited by the native engine */
	void *event_arg;
	int owned; /* the tables were allocated by sp_engine_new() */
	/* instead of `side`: zone of an address; may a packet from that zone have that source? NULL: side says so */
	sp_u8 (*zone_of)(void *arg, sp_u8 family, const struct sp_addr *a);
	int (*source_fits)(void *arg, sp_u8 zone, sp_u8 family, const struct sp_addr *a);
	void *zone_arg;
	int one_thread; /* no two threads are ever in it at once: batches may leave out what keeps them apart */
};

/* One packet as it meets an interface. */
struct sp_engine_packet {
	const void *data; /* first byte of the Ethernet header, or of the IP header if bare_ip */
	sp_u32 len; /* bytes at data */
	sp_u32 gso_segs; /* 0 or 1: an ordinary packet; more: a super-packet of so many segments */
	sp_u64 now_ns;
	sp_u32 ifindex; /* for events only */
	sp_u8 zone; /* enum sp_zone of the interface */
	sp_u8 hook; /* enum sp_hook */
	sp_u8 bare_ip;
	sp_u8 forwarded; /* at egress: it came in at a guarded interface, where it was decided */
	sp_u8 zone_from; /* then: zone of that interface; SP_ZONE_NONE: SP_ZONE_INSIDE */
	void *out; /* room for len bytes: the packet as it goes on, if it is rewritten; NULL: it is of no interest */
};

struct sp_engine_result {
	sp_u8 verdict; /* enum sp_verdict */
	sp_u8 reason; /* enum sp_reason */
	sp_u8 event; /* enum sp_event_kind */
	sp_u8 dir; /* which end of the key sent it */
	sp_u32 flow; /* index of its entry + 1, or 0 */
	sp_u8 rewritten; /* 1: `out` has been filled in */
};

/*
 * flags: enum sp_config_flag. capacity: conversations wanted (rounded up to whole sets, at least 56).
 * secret: two words, for the hash; any values will do in a test. Returns NULL when memory is short.
 */
struct sp_engine *sp_engine_new(sp_u32 capacity, sp_u32 flags, const sp_u64 secret[2]);
void sp_engine_free(struct sp_engine *e);

/* Fills in a configuration: defaults of abi.h for that capacity (rounded up) and flags. */
void sp_config_init(struct sp_config *c, sp_u32 capacity, sp_u32 flags, const sp_u64 secret[2]);

/* Judges one packet. counters: where to count (SP_REASON_COUNT elements), or NULL for the engine's own. */
void sp_engine_packet(struct sp_engine *e, const struct sp_engine_packet *p, struct sp_counter *counters,
		      struct sp_engine_result *out);

/*
 * Judges n packets in order: verdicts, state and counters are those of n calls of sp_engine_packet(), events come in the
 * same order; only faster, since the waits for memory overlap. 32 and multiples of it are good numbers. No packet may lie
 * where another one of the same call is written (`out` of struct sp_engine_packet).
 */
void sp_engine_packets(struct sp_engine *e, const struct sp_engine_packet *p, struct sp_engine_result *out, sp_u32 n,
		       struct sp_counter *counters);

/* Where a packet that came in goes on. */
struct sp_engine_way {
	sp_u32 ifindex; /* of the interface by which it leaves */
	sp_u8 zone; /* enum sp_zone of that; SP_ZONE_NONE: it stays here, or nobody knows: there is no second hook */
	void *out; /* room for len bytes: as it leaves, if it is rewritten there; NULL: it is of no interest */
};

/* Says where to packet p goes, whose bytes are at data by now (p->data or p->out). Called for those that may go on. */
typedef void sp_route_fn(void *arg, const struct sp_engine_packet *p, const void *data, struct sp_engine_way *way);

/*
 * Packets that are forwarded, through both hooks, in order: what sp_engine_packet() gives for packet i at ingress (came[i]),
 * and then, if it passes, at egress, forwarded from in[i].zone, read from where it was written (left[i]); then packet i + 1.
 * Of what is stopped at ingress or does not leave, left[i] is came[i]. route NULL: way[i] says where to; else it is asked.
 */
struct sp_engine_through {
	const struct sp_engine_packet *in;
	struct sp_engine_way *way;
	struct sp_engine_result *came, *left;
	sp_route_fn *route;
	void *arg;
};
void sp_engine_forward(struct sp_engine *e, const struct sp_engine_through *t, sp_u32 n, struct sp_counter *counters);

/*
 * Gives the engine `slots` addresses' worth of ports, all free, and no addresses: fill in t.nat->slot[] and t.nat->used.
 * 0 or -ENOMEM. sp_engine_new() gives none.
 */
int sp_engine_nat(struct sp_engine *e, sp_u32 slots);

/* A conversation that somebody else on this machine translates, until a packet shows that it no longer does. IPv4. */
struct sp_adopt {
	struct sp_key key; /* canonical, of the real ends */
	sp_u8 initiator; /* 0 or 1: which end of key */
	sp_u8 zone_from, zone_to; /* enum sp_zone */
	sp_u8 answered;
	sp_u32 initiator4; /* raw: the initiator's address as the responder knows it; 0: the real one */
	sp_u32 responder4; /* raw: the responder's address as the initiator knows it; 0: the real one */
	sp_be16 initiator_port, responder_port; /* with them; queries: the identifier */
};

/*
 * Puts it into the table, with its aliases, and takes its outside port. The addresses that it is known by must be in a slot
 * of t.nat. Returns the entry's index + 1; 0: no room, or another one has that key or port, or the address is none of ours.
 */
sp_u32 sp_engine_adopt_nat(struct sp_engine *e, const struct sp_adopt *a, sp_u64 now_ns);

/*
 * Puts a conversation that is older than the firewall into the table: answered, windows not enforced.
 * key must be canonical (sp_key_make). initiator: 0 or 1. Returns the entry's index + 1, or 0 when there is no room.
 */
sp_u32 sp_engine_adopt(struct sp_engine *e, const struct sp_key *key, int initiator, sp_u8 zone_from, sp_u8 zone_to,
		       sp_u64 now_ns);

/* Builds a canonical key; returns which end (0, 1) the source became. Addresses: 4 or 16 bytes, network order. */
int sp_key_make(struct sp_key *key, int family, sp_u8 proto, const void *src, const void *dst, sp_u16 sport,
		sp_u16 dport);

/* Finds a conversation: index + 1 or 0. Counts nothing. */
sp_u32 sp_engine_find(struct sp_engine *e, const struct sp_key *key);

/*
 * What the policy in e->images[generation % SP_IMAGE_SLOTS] would make of a conversation that was decided under another one:
 * SP_R_NONE: it goes on; else SP_R_REVOKED. Works on a copy; changes nothing.
 */
int sp_engine_redecide(struct sp_engine *e, const struct sp_flow *copy, sp_u32 generation);

/*
 * Marks the conversation in this entry as ended (SP_FLOW_KILLED), while programs or other threads work on the table. Returns
 * 1; 0: at that instant there was none, or an alias. Whoever holds the entry's lock may write back the flags that he has
 * read before; look again once it is even.
 */
int sp_engine_end(struct sp_flow *f);

/* Has the entry expired at now_ns (or been killed)? */
int sp_engine_is_stale(const struct sp_tables *t, const struct sp_flow *f, sp_u64 now_ns);

/* Names: of reasons ("uninvited"), their sentences, verdicts, phases ("ESTABLISHED"), zones ("outside"). Never NULL. */
const char *sp_reason_name(unsigned reason);
const char *sp_reason_text(unsigned reason);
enum sp_verdict sp_reason_verdict(unsigned reason);
int sp_reason_by_name(const char *name); /* -1: none */
const char *sp_phase_name(unsigned phase);
enum sp_class sp_phase_class(unsigned phase);
const char *sp_class_name(unsigned class_);
const char *sp_zone_name(unsigned zone);
/* Zones have the names that are in an image, from now on, for this process; NULL: those that are built in. */
void sp_zone_names_of(const struct sp_image_line *image);
const char (*sp_zone_names(void))[SP_IMAGE_NAME]; /* SP_ZONES_MAX, by number; "" where there is none */
int sp_zone_by_name(const char *name); /* -1: none */

#endif
