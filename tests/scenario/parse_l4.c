/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of a packet's description that belongs to TCP, UDP, ICMP and SCTP. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"

static const struct {
	const char *name;
	int v4, v6; /* ICMP types, -1: this family has none */
} icmp_types[] = {
	{ "echo", 8, 128 },
	{ "echo-reply", 0, 129 },
	{ "unreachable", 3, 1 },
	{ "too-big", 3, 2 }, /* ICMP: code 4 */
	{ "time-exceeded", 11, 3 },
	{ "parameter-problem", 12, 4 },
	{ "source-quench", 4, -1 },
	{ "redirect", 5, 137 },
	{ "timestamp", 13, -1 },
	{ "timestamp-reply", 14, -1 },
	{ "mask", 17, -1 },
	{ "mask-reply", 18, -1 },
	{ "router-solicitation", 10, 133 },
	{ "router-advertisement", 9, 134 },
	{ "neighbour-solicitation", -1, 135 },
	{ "neighbour-advertisement", -1, 136 },
	{ "mld-query", -1, 130 },
	{ "mld-report", -1, 131 },
	{ "mld-done", -1, 132 },
	{ "mld2-report", -1, 143 },
	{ "node-query", -1, 139 },
};

/* Bytes that neighbour and listener discovery need after the first eight. */
static const struct {
	sp_u8 type, len;
} icmp6_bodies[] = { { 130, 20 }, { 131, 16 }, { 132, 16 }, { 134, 8 }, { 135, 16 }, { 136, 16 }, { 137, 32 } };

static int parse_icmp_type(struct words *ws, struct pkt *p)
{
	const char *w = words_next(ws);
	int type = -1;

	if (!w)
		return words_fail(ws, "an ICMP type is missing");
	for (size_t i = 0; i < sizeof(icmp_types) / sizeof(icmp_types[0]); i++) {
		if (strcmp(icmp_types[i].name, w) != 0)
			continue;
		type = p->family == 6 ? icmp_types[i].v6 : icmp_types[i].v4;
		if (type < 0)
			return words_fail(ws, "'%s' does not exist in this family", w);
		if (p->family == 4 && !strcmp(w, "too-big"))
			p->icmp_code = 4;
	}
	if (type < 0 && isdigit((unsigned char)w[0]))
		type = atoi(w);
	if (type < 0 || type > 255)
		return words_fail(ws, "'%s' is not an ICMP type", w);
	p->icmp_type = (sp_u8)type;
	for (size_t i = 0; p->family == 6 && i < sizeof(icmp6_bodies) / sizeof(icmp6_bodies[0]); i++)
		if (icmp6_bodies[i].type == type)
			p->data = icmp6_bodies[i].len;
	return 0;
}

static int parse_flags(struct words *ws, struct pkt *p)
{
	static const char letters[] = "FSRPAUEC"; /* in wire order, lowest bit first */
	const char *w = words_next(ws);

	if (!w)
		return words_fail(ws, "TCP flags are missing: S, SA, A, PA, FA, R, RA, ... or none");
	if (!strcmp(w, "none"))
		return 0;
	for (const char *c = w; *c; c++) {
		const char *at = strchr(letters, *c);

		if (!at)
			return words_fail(ws, "'%s' are not TCP flags: S, SA, A, PA, FA, R, RA, ... or none", w);
		p->flags |= (sp_u8)(1u << (at - letters));
	}
	return 0;
}

static int parse_chunk(struct words *ws, struct pkt *p)
{
	static const struct {
		const char *name;
		sp_u8 type;
	} chunks[] = { { "data", 0 },	  { "init", 1 },	 { "init-ack", 2 },    { "heartbeat", 4 },
		       { "abort", 6 },	  { "shutdown", 7 },	 { "shutdown-ack", 8 }, { "cookie-echo", 10 },
		       { "cookie-ack", 11 }, { "shutdown-complete", 14 } };
	const char *w = words_next(ws);

	for (size_t i = 0; w && i < sizeof(chunks) / sizeof(chunks[0]); i++)
		if (!strcmp(chunks[i].name, w)) {
			p->sctp_chunk = chunks[i].type;
			return 0;
		}
	return words_fail(ws, "'%s' is not an SCTP chunk: init, init-ack, cookie-echo, data, abort, ...", w ? w : "");
}

/* What must follow the addresses. */
static int parse_head(struct words *ws, struct pkt *p)
{
	switch (p->proto) {
	case 6:
		p->body = PKT_BODY_TCP;
		return parse_flags(ws, p);
	case 17:
	case 136:
		p->body = PKT_BODY_UDP;
		return 0;
	case 132:
		p->body = PKT_BODY_SCTP;
		return parse_chunk(ws, p);
	}
	if (p->proto == (p->family == 6 ? 58 : 1)) { /* that of the other family is any other protocol */
		p->body = PKT_BODY_ICMP;
		return parse_icmp_type(ws, p);
	}
	p->body = p->proto == 33 ? PKT_BODY_DCCP : PKT_BODY_RAW;
	return 0;
}

static int put_option(struct words *ws, struct pkt *p, int kind, int len, sp_u32 a, sp_u32 b)
{
	sp_u32 v[2] = { a, b };

	if (p->opts + len > 40)
		return words_fail(ws, "too many TCP options, at most 40 bytes");
	p->opt[p->opts++] = (sp_u8)kind;
	p->opt[p->opts++] = (sp_u8)len;
	if (len == 3)
		p->opt[p->opts++] = (sp_u8)a;
	if (len == 4) {
		p->opt[p->opts++] = (sp_u8)(a >> 8);
		p->opt[p->opts++] = (sp_u8)a;
	}
	for (int i = 0; len == 10 && i < 8; i++)
		p->opt[p->opts++] = (sp_u8)(v[i / 4] >> (24 - i % 4 * 8));
	return 1;
}

static int parse_tcp_option(struct words *ws, struct pkt *p, const char *word)
{
	sp_u64 a, b;
	int n;

	if (!strcmp(word, "mss"))
		return words_number(ws, 65535, &a) ? -1 : put_option(ws, p, 2, 4, (sp_u32)a, 0);
	if (!strcmp(word, "wscale"))
		return words_number(ws, 255, &a) ? -1 : put_option(ws, p, 3, 3, (sp_u32)a, 0);
	if (!strcmp(word, "sackok"))
		return put_option(ws, p, 4, 2, 0, 0);
	if (!strcmp(word, "sack") || !strcmp(word, "ts")) {
		if (words_number(ws, 0xffffffffu, &a) || words_number(ws, 0xffffffffu, &b))
			return -1;
		return put_option(ws, p, *word == 's' ? 5 : 8, 10, (sp_u32)a, (sp_u32)b);
	}
	if (!strcmp(word, "tcpopt")) {
		n = words_hex(ws, p->opt + p->opts, 40 - p->opts);
		if (n < 0)
			return -1;
		p->opts += n;
		return 1;
	}
	return 0;
}

/* Features that are one number. */
static int parse_l4_number(struct words *ws, struct pkt *p, const char *word)
{
	static const struct {
		const char *name;
		sp_u64 max;
	} numbers[] = { { "seq", 0xffffffffu }, { "ack", 0xffffffffu }, { "win", 65535 },	{ "urg", 65535 },
			{ "doff", 15 },		{ "ulen", 65535 },	{ "data", 66000 },	{ "code", 255 },
			{ "vtag", 0xffffffffu }, { "mtu", 65535 },	{ "quote-len", 2000 },	{ "rest", 0xffffffffu },
			{ "itag", 0xffffffffu }, };
	sp_u64 v;
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(numbers[i].name, word))
			break;
	if (i == sizeof(numbers) / sizeof(numbers[0]))
		return 0;
	if (words_number(ws, numbers[i].max, &v))
		return -1;
	switch (i) {
	case 0: p->seq = (sp_u32)v; break;
	case 1: p->ack = (sp_u32)v; break;
	case 2: p->win = (sp_u16)v; break;
	case 3: p->urg = (sp_u16)v; break;
	case 4: p->doff = (long)v; break;
	case 5: p->udp_len = (long)v; break;
	case 6: p->data = (long)v; break;
	case 7: p->icmp_code = (sp_u8)v; break;
	case 8: p->vtag = (sp_u32)v; break;
	case 9: p->icmp_rest = (sp_u32)v; break;
	case 10: p->quote_len = (long)v; break;
	case 11: p->icmp_rest = (sp_u32)v; break;
	case 12: p->seq = (sp_u32)v; break;
	}
	return 1;
}

static int parse_quote(struct words *ws, struct pkt *p)
{
	if (!words_take(ws, "{"))
		return words_fail(ws, "after 'quote' comes { a packet }");
	p->quote = calloc(1, sizeof(*p->quote));
	if (!p->quote)
		return words_fail(ws, "out of memory");
	pkt_init(p->quote);
	if (pkt_parse(ws, p->quote))
		return -1;
	if (!words_take(ws, "}"))
		return words_fail(ws, "the quoted packet does not end with }");
	return 1;
}

int pkt_parse_l4_feature(struct words *ws, struct pkt *p, const char *word)
{
	sp_u64 v;
	int n;

	if (!strcmp(word, "(head)"))
		return parse_head(ws, p) ? -1 : 1;
	if (!strcmp(word, "badsum"))
		return p->bad_sum = 1;
	if (!strcmp(word, "partial"))
		return p->partial_sum = 1;
	if (!strcmp(word, "nosum"))
		return p->no_sum = 1;
	if (!strcmp(word, "bytes")) {
		n = words_hex(ws, p->raw + p->raw_len, PKT_RAW - p->raw_len);
		p->raw_len += n > 0 ? n : 0;
		return n < 0 ? -1 : 1;
	}
	if (p->body == PKT_BODY_ICMP && !strcmp(word, "echo-id")) {
		p->id_var = words_var(words_peek(ws));
		if (p->id_var)
			return words_next(ws) ? 1 : -1;
		if (words_number(ws, 65535, &v))
			return -1;
		p->icmp_rest = (sp_u32)v << 16 | (p->icmp_rest & 0xffff);
		return 1;
	}
	if (p->body == PKT_BODY_ICMP && !strcmp(word, "quote"))
		return parse_quote(ws, p);
	n = p->body == PKT_BODY_TCP ? parse_tcp_option(ws, p, word) : 0;
	return n ? n : parse_l4_number(ws, p, word);
}
