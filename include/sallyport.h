/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libsallyport: a stateful firewall as a library. A program that has packets (from a capture, DPDK, AF_XDP, a TUN) asks
 * which of them may go on; whatever is needed to know that is remembered between calls. The verdicts are those of the
 * firewall of the same name in the kernel: it is the same source. Manual: libsallyport(3).
 *
 * UNITS AND ORDERS. Times are nanoseconds of one clock that never goes back; the caller reads it, the library has none. An
 * hour of a capture takes no longer than its packets. Lengths are bytes. All integers are in the byte order of the machine,
 * except the packets themselves. Addresses are text ("192.0.2.7", "2001:db8::/32").
 *
 * ERRORS. Functions return 0 or a positive answer, or a negative errno; what they give back through pointers is untouched
 * then. The library never prints, never exits, starts no thread, installs no handler and reads no file but policies.
 *
 * WHO MAY CALL. Several threads may call sallyport_packets() on one engine at once, each with counters of its own
 * (SALLYPORT_ONE_THREAD: only one at a time). Everything else that takes an engine is for one thread while none is in
 * sallyport_packets(), except where it says otherwise. Names of reasons may be asked for at any time.
 *
 * MEMORY. sallyport_new() takes all of it: 132 bytes for each conversation. A packet allocates nothing.
 *
 * STABILITY. The version is 0: until 1.0 the structures may grow, and the name of the shared library changes with them.
 */
#ifndef SALLYPORT_H
#define SALLYPORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SALLYPORT_API __attribute__((visibility("default")))
#define SALLYPORT_MUST __attribute__((warn_unused_result))
#else
#define SALLYPORT_API
#define SALLYPORT_MUST
#endif

/* ---- engines ------------------------------------------------------------------------------------------------- */

struct sallyport; /* an engine: conversations, counters, policy */

enum sallyport_flag {
	SALLYPORT_GATEWAY = 1, /* packets pass between networks; without it: to and from one computer. Decides timeouts. */
	SALLYPORT_ONE_THREAD = 2, /* no two threads are ever in sallyport_packets() at once: it takes no locks */
};

struct sallyport_options {
	size_t size; /* sizeof(struct sallyport_options) */
	uint32_t conversations; /* room: 1 to 2^24, rounded up to sets of 28, at least 56; translated ones take two places */
	uint32_t flags; /* enum sallyport_flag */
	uint32_t addresses; /* to translate to, at most: 0 to 64; each takes 3 MB once its ports are in use */
	uint8_t secret[16]; /* key of the hash; all 0: random. Verdicts depend on it only when the table is full */
};

/* options NULL: a gateway, 65,536 conversations, no translation. 0, -EINVAL, -ENOMEM. */
SALLYPORT_API int sallyport_new(const struct sallyport_options *options, struct sallyport **out) SALLYPORT_MUST;
SALLYPORT_API void sallyport_free(struct sallyport *s);

/* ---- who is who ---------------------------------------------------------------------------------------------- */

/* Where packets come from and go to. A policy may have zones of its own: sallyport_zone(). */
enum sallyport_zone {
	SALLYPORT_SELF = 1, /* this computer itself */
	SALLYPORT_OUTSIDE = 2, /* starts nothing, unless a line says so */
	SALLYPORT_INSIDE = 3, /* may start to the outside and to this computer */
};

/*
 * Addresses of `network` ("10.0.0.0/8", "2001:db8::1") are in that zone; of several networks the longest counts; what is in
 * none is outside. Needed for lines that say where to, and so that the outside can not pretend to be inside: a packet that
 * begins a conversation must come from the zone that its source is in. A zone with no network of that family may use any
 * address that is in no other zone. 0, -EINVAL (not a network, or no zone), -ENOSPC (more than 1,024).
 */
SALLYPORT_API int sallyport_network(struct sallyport *s, unsigned zone, const char *network) SALLYPORT_MUST;

/* The zone of an address, 4 or 16 bytes in network order. family: 4 or 6. */
SALLYPORT_API unsigned sallyport_zone_of(const struct sallyport *s, int family, const void *address);

/*
 * This computer has that IPv4 address at the outside: private sources that leave there (SALLYPORT_EGRESS, forwarded) are
 * translated to it, and lines with `forward` answer to it. ifindex: only what leaves by that interface; 0: by any.
 * 0, -EINVAL, -ENOSPC (more than options.addresses).
 */
SALLYPORT_API int sallyport_address(struct sallyport *s, const char *address, uint32_t ifindex) SALLYPORT_MUST;

/* ---- policy -------------------------------------------------------------------------------------------------- */

/*
 * Puts a policy into force, in the language of sally.conf(5); without one, or with an empty one, what is built in holds.
 * Lines about interfaces only name zones here. name: for messages; files that the text names are sought relative to it.
 * 0, -EINVAL: it is wrong, or beyond a limit; the one before stays in force. -ENOMEM. why (may be NULL, size 0): everything
 * that is wrong, a line each, "name:3:7: ...", cut to size; after success, warnings of the same form, or nothing.
 * Live conversations are decided again with their next packet. May be called while other threads judge packets, by one
 * thread at a time: the policy that it replaces is only freed by the eighth call after it.
 */
SALLYPORT_API int sallyport_policy(struct sallyport *s, const char *name, const char *text, size_t len, char *why,
				   size_t size) SALLYPORT_MUST;
/* The same from a file. Further: negative errno of opening and reading it. */
SALLYPORT_API int sallyport_policy_file(struct sallyport *s, const char *path, char *why, size_t size) SALLYPORT_MUST;

/* Number of a zone of the policy in force, built-in ones ("inside") too; -ENOENT. Its name, or "". */
SALLYPORT_API int sallyport_zone(const struct sallyport *s, const char *name) SALLYPORT_MUST;
SALLYPORT_API const char *sallyport_zone_name(const struct sallyport *s, unsigned zone);

/* ---- packets ------------------------------------------------------------------------------------------------- */

enum sallyport_hook {
	SALLYPORT_INGRESS = 0, /* it comes in at an interface */
	SALLYPORT_EGRESS = 1, /* it leaves by one */
};

enum sallyport_verdict { SALLYPORT_DROP = 0, SALLYPORT_PASS = 1 };

/* One packet as it meets an interface. What this computer sends is judged at egress, what it gets at ingress, only. */
struct sallyport_packet {
	const void *data; /* first byte of the Ethernet header, or of the IP header if bare_ip. Any alignment. */
	uint32_t len; /* bytes at data: the whole frame. What is cut off counts as missing. */
	uint32_t gso_segs; /* 0 or 1: an ordinary packet; more: a super-packet of so many segments */
	uint64_t now_ns; /* when; not 0 */
	uint32_t ifindex; /* any number for the interface: see sallyport_address() */
	uint8_t zone; /* of the interface */
	uint8_t hook; /* enum sallyport_hook */
	uint8_t bare_ip; /* 1: there is no Ethernet header */
	uint8_t forwarded; /* egress: 1: it came in at another interface, where it was judged; needed to translate */
	uint8_t zone_from; /* egress, forwarded: zone of that interface */
	uint8_t pad_[3]; /* 0 */
	void *out; /* room for len bytes, for the packet as it goes on if it is translated. NULL: nobody translates */
};

enum sallyport_event {
	SALLYPORT_NOTHING = 0,
	SALLYPORT_DROPPED = 1,
	SALLYPORT_BEGUN = 2, /* a conversation is remembered */
	SALLYPORT_ANSWERED = 3, /* its first answer passed */
	SALLYPORT_CLOSED = 4, /* both ends have closed it, or one has reset it */
};

struct sallyport_result {
	uint8_t verdict; /* enum sallyport_verdict */
	uint8_t reason; /* sallyport_reason_name(); numbers may change with the version, names do not */
	uint8_t event; /* enum sallyport_event */
	uint8_t end; /* which of its conversation's two ends sent it: 0 or 1 */
	uint32_t conversation; /* a number that its packets share while it lives, from 1; 0: it belongs to none */
	uint8_t rewritten; /* 1: it was translated: `out` has it, not `data` */
	uint8_t pad_[3];
};

/* One a reason. */
struct sallyport_counter {
	uint64_t packets; /* segments of super-packets each */
	uint64_t bytes; /* IP bytes; of what is not IP all */
};

/*
 * Judges n packets, in order. Any n; 32 and multiples of it are good numbers, since the waits for memory overlap. results: n
 * of them. counters: sallyport_reasons() of them, which grow; NULL: the engine's own, for one thread at a time.
 * No packet may lie where another one of the same call is written (`out`).
 */
SALLYPORT_API void sallyport_packets(struct sallyport *s, const struct sallyport_packet *packets,
				     struct sallyport_result *results, size_t n, struct sallyport_counter *counters);

/* Where a packet that came in goes on. */
struct sallyport_way {
	uint32_t ifindex; /* of the interface by which it leaves */
	uint8_t zone; /* of that interface; 0: it stays here, or nobody knows */
	uint8_t pad_[3]; /* 0 */
	void *out; /* room for len bytes, for the packet as it leaves if it is translated there. NULL: nobody translates */
};

/*
 * Says where packet p goes, whose bytes are at `data` by now (p->data or p->out): fills in *way. Called by
 * sallyport_forward() for what may go on; it must not call the library.
 */
typedef void sallyport_route(void *arg, const struct sallyport_packet *p, const void *data, struct sallyport_way *way);

/* n packets that come in and, most of them, leave again. */
struct sallyport_through {
	const struct sallyport_packet *packets; /* as they come in: hook SALLYPORT_INGRESS */
	struct sallyport_way *ways; /* where to, if `route` is NULL; else it fills them in */
	struct sallyport_result *came, *left; /* verdicts of the two hooks; what was stopped or stays: the same in both */
	sallyport_route *route;
	void *arg; /* of route */
};

/*
 * A router's packets through both hooks, in order: the same as asking for each at ingress, and then, if it passes and
 * leaves, at egress; but it is read, hashed and sought only once. The packet as it leaves is at the way's `out` if `left` is
 * rewritten, else at the packet's `out` if `came` is, else at `data`.
 */
SALLYPORT_API void sallyport_forward(struct sallyport *s, const struct sallyport_through *t, size_t n,
				     struct sallyport_counter *counters);

/* ---- what happened ------------------------------------------------------------------------------------------- */

/* How many reasons there are: they are 0 to this - 1. Word ("uninvited"), sentence and verdict of one; never NULL. */
SALLYPORT_API unsigned sallyport_reasons(void);
SALLYPORT_API const char *sallyport_reason_name(unsigned reason);
SALLYPORT_API const char *sallyport_reason_text(unsigned reason);
SALLYPORT_API enum sallyport_verdict sallyport_reason_verdict(unsigned reason);

/* The engine's own counters: sallyport_reasons() of them, or NULL for one that there is not. */
SALLYPORT_API const struct sallyport_counter *sallyport_counters(const struct sallyport *s);

struct sallyport_usage {
	uint32_t capacity; /* places in the table */
	uint32_t unanswered, answered, closing; /* conversations; some may have expired a while ago */
	uint32_t aliases; /* second places of translated ones */
};

/* At any time, by anybody. */
SALLYPORT_API void sallyport_usage(const struct sallyport *s, struct sallyport_usage *out);

/* "0.1.0": of the library that runs. */
SALLYPORT_API const char *sallyport_version(void);

#ifdef __cplusplus
}
#endif

#endif
