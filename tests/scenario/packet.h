/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet as a scenario describes it: parsed from words, built into bytes. What is not said is right. */
#ifndef TESTS_SCENARIO_PACKET_H
#define TESTS_SCENARIO_PACKET_H

#include <stddef.h>

#include "core/types.h"

#define PKT_MAX 70000 /* longest frame that can be described */
#define PKT_EXTS 24
#define PKT_EXT_BYTES 40
#define PKT_RAW 256
#define PKT_OPTS 60

#define PKT_UNSET (-1L) /* of the overrides: the right value is computed */

/* One IPv6 extension header (or AH, which IPv4 may carry too). */
struct pkt_ext {
	sp_u8 type; /* protocol number; 44 with is_frag: the place of the computed fragment header */
	sp_u8 is_frag;
	sp_u8 len; /* bytes at body: everything after the next-header byte, already padded */
	sp_u8 body[PKT_EXT_BYTES];
};

enum pkt_body { PKT_BODY_RAW, PKT_BODY_TCP, PKT_BODY_UDP, PKT_BODY_ICMP, PKT_BODY_SCTP, PKT_BODY_DCCP };

struct pkt {
	/* link */
	int vlans;
	sp_u16 vlan[4];
	long ethertype; /* override */
	long gso_segs;
	long cut; /* bytes to leave of the IP packet */
	long pad; /* bytes added after it */
	/* network */
	sp_u8 family; /* 4 or 6; 0: raw bytes */
	sp_u8 proto;
	sp_u8 src[16], dst[16];
	sp_u16 sport, dport;
	char sport_var, dport_var, id_var; /* it is what this letter stands for (id: of a query); 0: as it says */
	long ttl, tos, ip_id, ip_version, ip_hlen, ip_len; /* overrides */
	int df, evil, bad_ip_sum;
	int ip_opts;
	sp_u8 ip_opt[40];
	/* extension headers and fragmentation */
	int exts;
	struct pkt_ext ext[PKT_EXTS];
	int is_frag, more;
	long frag_off, frag_len; /* bytes; frag_len PKT_UNSET: all the rest */
	/* transport */
	enum pkt_body body;
	sp_u8 flags; /* TCP, wire order: FIN 1 ... CWR 128 */
	sp_u32 seq, ack, vtag;
	sp_u16 win, urg;
	long doff, udp_len; /* overrides, doff in 32-bit words */
	int opts;
	sp_u8 opt[PKT_OPTS];
	sp_u8 icmp_type, icmp_code, sctp_chunk;
	sp_u32 icmp_rest; /* the four bytes after the checksum */
	int bad_sum, no_sum, partial_sum; /* partial: the pseudo-header's only, as CHECKSUM_PARTIAL */
	int raw_len; /* bytes of payload that are given */
	sp_u8 raw[PKT_RAW];
	long data; /* bytes of payload that are made up, after raw */
	struct pkt *quote; /* of an ICMP error */
	long quote_len; /* bytes of it; PKT_UNSET: IPv4 header and 8 more, IPv6 all up to 1,280 */
	int is_frame; /* raw is a whole Ethernet frame */
};

void pkt_init(struct pkt *p);
void pkt_free(struct pkt *p);

/*
 * Builds the bytes. bare_ip: without an Ethernet header. Returns their number, or 0 when they do not fit.
 */
size_t pkt_build(const struct pkt *p, int bare_ip, sp_u8 *out, size_t max);

/* Words of one line. */
struct words {
	char **w;
	int n, at;
	int family; /* of names: 4 or 6 */
	char var; /* words_endpoint(): the port was "$x"; else 0 */
	char *err; /* receives the error text */
	size_t err_len;
};

int words_fail(struct words *ws, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *words_peek(const struct words *ws);
const char *words_next(struct words *ws); /* NULL at the end */
int words_take(struct words *ws, const char *word); /* 1: it was the next one and is eaten */
int words_number(struct words *ws, sp_u64 max, sp_u64 *out); /* decimal, hex, sums such as 1000+1460 */
int words_hex(struct words *ws, sp_u8 *out, int max); /* "0a 0b0c" up to the first word that is not hex: bytes, or -1 */
/* An address or a name of the cast, with ":PORT" when port is wanted. Family into *family. */
int words_endpoint(struct words *ws, int want_port, sp_u8 *family, sp_u8 addr[16], sp_u16 *port);
/* The letter of "$x", or 0: it is no such word. */
char words_var(const char *word);
/* Addresses of the member of the cast that is number i; NULL: there are no more. */
const char *cast_name(size_t i, const char **v4, const char **v6);

/* Protocol by name or number; -1. */
int proto_by_name(const char *name, int family);
int proto_has_ports(int proto);

/* Parses "PROTO SRC > DST features..." up to "=>" , "}" or the end. 0, or -1 with ws->err set. */
int pkt_parse(struct words *ws, struct pkt *p);

/* One feature ("ttl 3", "df", "seq 1000"): 1 it was one, 0 it is not, -1 error. Split over two files by layer. */
int pkt_parse_ip_feature(struct words *ws, struct pkt *p, const char *word);
int pkt_parse_l4_feature(struct words *ws, struct pkt *p, const char *word);

#endif
