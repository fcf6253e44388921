/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses the description of a packet: protocol, ends, and the features of the link and network layers. */
#include <string.h>

#include "packet.h"

static struct pkt_ext *new_ext(struct words *ws, struct pkt *p, int type)
{
	if (p->exts == PKT_EXTS) {
		words_fail(ws, "too many extension headers, at most %d", PKT_EXTS);
		return NULL;
	}
	memset(&p->ext[p->exts], 0, sizeof(p->ext[0]));
	p->ext[p->exts].type = (sp_u8)type;
	return &p->ext[p->exts++];
}

/* Hop-by-hop or destination options: given bytes, or padding only. body[0] is the length in 8 bytes, less one. */
static int parse_options_header(struct words *ws, struct pkt *p, int type)
{
	struct pkt_ext *x = new_ext(ws, p, type);
	int n;

	if (!x)
		return -1;
	n = words_hex(ws, x->body + 1, PKT_EXT_BYTES - 9);
	if (n < 0)
		return -1;
	if (n == 0) {
		x->body[1] = 1; /* PadN of four bytes */
		x->body[2] = 4;
		n = 6;
	}
	while ((n + 2) % 8)
		n++;
	x->len = (sp_u8)(n + 1);
	x->body[0] = (sp_u8)((n + 2) / 8 - 1);
	return 1;
}

/* "rt TYPE SEGMENTS_LEFT": types 0 and 2 with one address, others without. */
static int parse_routing_header(struct words *ws, struct pkt *p)
{
	struct pkt_ext *x = new_ext(ws, p, 43);
	sp_u64 type, left;

	if (!x || words_number(ws, 255, &type) || words_number(ws, 255, &left))
		return -1;
	x->body[1] = (sp_u8)type;
	x->body[2] = (sp_u8)left;
	x->len = 7;
	if (type == 0 || type == 2) {
		memcpy(x->body + 7, p->dst, 16);
		x->len = 23;
		x->body[0] = 2;
	}
	return 1;
}

/* A complete second fragment header, for packets that carry one too many. */
static int parse_frag_header(struct words *ws, struct pkt *p)
{
	struct pkt_ext *x = new_ext(ws, p, 44);
	sp_u64 off;

	if (!x || words_number(ws, 65528, &off))
		return -1;
	x->body[1] = (sp_u8)(off >> 8);
	x->body[2] = (sp_u8)((off & 0xf8) | (words_take(ws, "more") ? 1u : 0u));
	x->body[6] = 99;
	x->len = 7;
	return 1;
}

static int parse_ext(struct words *ws, struct pkt *p, const char *word)
{
	struct pkt_ext *x;
	sp_u64 v;

	if (!strcmp(word, "hbh"))
		return parse_options_header(ws, p, 0);
	if (!strcmp(word, "dst"))
		return parse_options_header(ws, p, 60);
	if (!strcmp(word, "rt"))
		return parse_routing_header(ws, p);
	if (!strcmp(word, "fraghdr"))
		return parse_frag_header(ws, p);
	if (!strcmp(word, "auth")) { /* RFC 4302: length in words, less two; 12 bytes of digest */
		x = new_ext(ws, p, 51);
		if (!x)
			return -1;
		x->body[0] = 4;
		x->len = 23;
		return 1;
	}
	if (!strcmp(word, "extlen")) { /* of the header just written */
		if (!p->exts)
			return words_fail(ws, "'extlen' has no extension header before it");
		if (words_number(ws, 255, &v))
			return -1;
		p->ext[p->exts - 1].body[0] = (sp_u8)v;
		return 1;
	}
	return 0;
}

/* "frag 1480+520 more": which bytes of the datagram's payload, and whether more follow. "frag 0 more": to the end. */
static int parse_frag(struct words *ws, struct pkt *p)
{
	char *plus = words_peek(ws) ? strchr(ws->w[ws->at], '+') : NULL;
	struct words part = *ws;
	char *len_word = plus ? plus + 1 : NULL;
	sp_u64 off, len;

	if (plus)
		*plus = 0;
	if (words_number(ws, 65528, &off))
		return -1;
	if (off % 8)
		return words_fail(ws, "a fragment begins at a multiple of 8, not at %llu", off);
	if (len_word) {
		part.w = &len_word;
		part.n = 1;
		part.at = 0;
		if (words_number(&part, 65535, &len))
			return -1;
		p->frag_len = (long)len;
		*plus = '+'; /* the line is parsed once for each family */
	}
	p->frag_off = (long)off;
	p->is_frag = 1;
	p->more = words_take(ws, "more");
	if (p->family == 6) {
		struct pkt_ext *x = new_ext(ws, p, 44);

		if (!x)
			return -1;
		x->is_frag = 1;
	}
	return 1;
}

static int parse_vlan(struct words *ws, struct pkt *p)
{
	sp_u64 v;

	if (p->vlans == 4)
		return words_fail(ws, "at most 4 VLAN tags");
	if (words_number(ws, 4095, &v))
		return -1;
	p->vlan[p->vlans++] = (sp_u16)v;
	return 1;
}

static int parse_ip_number(struct words *ws, struct pkt *p, const char *word)
{
	struct {
		const char *name;
		sp_u64 max;
		long *to;
	} numbers[] = {
		{ "ttl", 255, &p->ttl },	 { "tos", 255, &p->tos },	  { "id", 0xffffffffu, &p->ip_id },
		{ "ipver", 15, &p->ip_version }, { "ihl", 15, &p->ip_hlen },	  { "iplen", 65535, &p->ip_len },
		{ "cut", PKT_MAX, &p->cut },	 { "pad", 1000, &p->pad },	  { "gso", 1000, &p->gso_segs },
		{ "ethertype", 65535, &p->ethertype },
	};
	sp_u64 v;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(numbers[i].name, word)) {
			if (words_number(ws, numbers[i].max, &v))
				return -1;
			*numbers[i].to = (long)v;
			return 1;
		}
	return 0;
}

int pkt_parse_ip_feature(struct words *ws, struct pkt *p, const char *word)
{
	int n;

	if (!strcmp(word, "df"))
		return p->df = 1;
	if (!strcmp(word, "evil"))
		return p->evil = 1;
	if (!strcmp(word, "badipsum"))
		return p->bad_ip_sum = 1;
	if (!strcmp(word, "frag"))
		return parse_frag(ws, p);
	if (!strcmp(word, "vlan"))
		return parse_vlan(ws, p);
	if (!strcmp(word, "ipopt")) {
		n = words_hex(ws, p->ip_opt + p->ip_opts, (int)sizeof(p->ip_opt) - p->ip_opts);
		p->ip_opts += n > 0 ? n : 0;
		return n < 0 ? -1 : 1;
	}
	n = parse_ip_number(ws, p, word);
	return n ? n : parse_ext(ws, p, word);
}

static int parse_raw(struct words *ws, struct pkt *p)
{
	int n = words_hex(ws, p->raw, PKT_RAW);

	if (n < 0)
		return -1;
	if (n == 0)
		return words_fail(ws, "after 'raw' or 'frame' come bytes in hexadecimal");
	p->raw_len = n;
	return 0;
}

static int parse_ends(struct words *ws, struct pkt *p, const char *proto_word)
{
	sp_u8 family;
	int proto = proto_by_name(proto_word, ws->family);
	int ports = proto_has_ports(proto);

	if (proto < 0)
		return words_fail(ws, "'%s' is not a protocol: tcp, udp, icmp, icmp6, sctp, gre, esp, a number, "
				      "raw or frame", proto_word);
	p->proto = (sp_u8)proto;
	if (words_endpoint(ws, ports, &p->family, p->src, &p->sport))
		return -1;
	p->sport_var = ws->var;
	if (!words_take(ws, ">"))
		return words_fail(ws, "between the two ends stands '>'");
	if (words_endpoint(ws, ports, &family, p->dst, &p->dport))
		return -1;
	p->dport_var = ws->var;
	if (family != p->family)
		return words_fail(ws, "the two ends are not of one family");
	return 0;
}

int pkt_parse(struct words *ws, struct pkt *p)
{
	const char *w = words_next(ws);
	int n;

	if (!w)
		return words_fail(ws, "a packet is missing: PROTOCOL SOURCE > DESTINATION ...");
	p->is_frame = !strcmp(w, "frame");
	if (p->is_frame || !strcmp(w, "raw")) {
		if (parse_raw(ws, p))
			return -1;
	} else if (parse_ends(ws, p, w) || pkt_parse_l4_feature(ws, p, "(head)") < 0) {
		return -1;
	}
	while ((w = words_peek(ws)) && strcmp(w, "=>") != 0 && strcmp(w, "}") != 0) {
		words_next(ws);
		n = pkt_parse_ip_feature(ws, p, w);
		if (n == 0)
			n = pkt_parse_l4_feature(ws, p, w);
		if (n == 0)
			return words_fail(ws, "'%s' is not a feature of a packet", w);
		if (n < 0)
			return -1;
	}
	return 0;
}
