/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet's description in the words of the scenario language: the reverse of tests/scenario/parse_*.c. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

struct text {
	char *s;
	size_t len, max;
};

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->s + t->len, t->max - t->len, fmt, ap);
	va_end(ap);
	if (t->len >= t->max)
		t->len = t->max - 1;
}

static void say_hex(struct text *t, const sp_u8 *b, size_t n)
{
	say(t, " ");
	for (size_t i = 0; i < n; i++)
		say(t, "%02x", b[i]);
}

static void say_end(struct text *t, const struct pkt *p, const sp_u8 *addr, sp_u16 port, char var)
{
	char a[INET6_ADDRSTRLEN];

	inet_ntop(p->family == 4 ? AF_INET : AF_INET6, addr, a, sizeof(a));
	if (!proto_has_ports(p->proto))
		say(t, "%s", a);
	else if (var)
		say(t, "%s:$%c", a, var);
	else
		say(t, p->family == 4 ? "%s:%u" : "[%s]:%u", a, port);
}

static void say_ends(struct text *t, const struct pkt *p)
{
	say(t, " ");
	say_end(t, p, p->src, p->sport, p->sport_var);
	say(t, " > ");
	say_end(t, p, p->dst, p->dport, p->dport_var);
}

static void say_number(struct text *t, const char *name, long v, long unless)
{
	if (v != unless)
		say(t, " %s %ld", name, v);
}

static void say_flags(struct text *t, unsigned flags)
{
	static const char letters[] = "FSRPAUEC";

	say(t, flags ? " " : " none");
	for (int i = 0; i < 8; i++)
		if (flags & 1u << i)
			say(t, "%c", letters[i]);
}

static void say_upper(struct text *t, const struct pkt *p)
{
	static const char *const chunks[] = { "data", "init", "init-ack", [10] = "cookie-echo" };

	switch (p->body) {
	case PKT_BODY_TCP:
		say_flags(t, p->flags);
		say(t, " seq %u", p->seq);
		say_number(t, "ack", (long)p->ack, 0);
		say_number(t, "win", p->win, 64240);
		say_number(t, "urg", p->urg, 0);
		say_number(t, "doff", p->doff, PKT_UNSET);
		if (p->opts) {
			say(t, " tcpopt");
			say_hex(t, p->opt, (size_t)p->opts);
		}
		break;
	case PKT_BODY_ICMP:
		say(t, " %u", p->icmp_type);
		say_number(t, "code", p->icmp_code, 0);
		say_number(t, "rest", (long)p->icmp_rest, 0);
		if (p->id_var)
			say(t, " echo-id $%c", p->id_var);
		break;
	case PKT_BODY_SCTP:
		say(t, " %s", chunks[p->sctp_chunk < 11 && chunks[p->sctp_chunk] ? p->sctp_chunk : 0]);
		say_number(t, "vtag", (long)p->vtag, 0);
		say_number(t, "itag", (long)p->seq, 0);
		break;
	default:
		say_number(t, "ulen", p->udp_len, PKT_UNSET);
	}
	if (p->raw_len) {
		say(t, " bytes");
		say_hex(t, p->raw, (size_t)p->raw_len);
	}
	say_number(t, "data", p->data, 0);
}

static void say_fragment(struct text *t, const struct pkt *p)
{
	say(t, " frag %ld", p->frag_off);
	if (p->frag_len != PKT_UNSET)
		say(t, "+%ld", p->frag_len);
	say(t, "%s", p->more ? " more" : "");
}

static void say_exts(struct text *t, const struct pkt *p)
{
	for (int i = 0; i < p->exts; i++) {
		const struct pkt_ext *x = &p->ext[i];

		if (x->is_frag) {
			say_fragment(t, p);
		} else if (x->type == 43) {
			say(t, " rt %u %u", x->body[1], x->body[2]);
		} else if (x->type == 51) {
			say(t, " auth");
		} else {
			say(t, x->type ? " dst" : " hbh");
			say_hex(t, x->body + 1, x->len - 1u);
		}
	}
}

static void say_network(struct text *t, const struct pkt *p)
{
	for (int i = 0; i < p->vlans; i++)
		say(t, " vlan %u", p->vlan[i]);
	say_number(t, "ttl", p->ttl, PKT_UNSET);
	say_number(t, "tos", p->tos, PKT_UNSET);
	say_number(t, "id", p->ip_id, PKT_UNSET);
	say_number(t, "ipver", p->ip_version, PKT_UNSET);
	say_number(t, "ihl", p->ip_hlen, PKT_UNSET);
	say_number(t, "iplen", p->ip_len, PKT_UNSET);
	say_number(t, "cut", p->cut, PKT_UNSET);
	say_number(t, "pad", p->pad, 0);
	say(t, "%s%s%s%s%s%s", p->df ? " df" : "", p->evil ? " evil" : "", p->bad_ip_sum ? " badipsum" : "",
	    p->bad_sum ? " badsum" : "", p->no_sum ? " nosum" : "", p->partial_sum ? " partial" : "");
	if (p->ip_opts) {
		say(t, " ipopt");
		say_hex(t, p->ip_opt, (size_t)p->ip_opts);
	}
	if (p->family == 6)
		say_exts(t, p);
	else if (p->is_frag)
		say_fragment(t, p);
}

static void say_packet(struct text *t, const struct pkt *p)
{
	static const struct {
		sp_u8 proto;
		const char *name;
	} names[] = { { 6, "tcp" },    { 17, "udp" }, { 1, "icmp" }, { 58, "icmp6" },
		      { 132, "sctp" }, { 47, "gre" }, { 50, "esp" }, { 136, "udplite" } };
	const char *name = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].proto == p->proto)
			name = names[i].name;
	if (name)
		say(t, "%s", name);
	else
		say(t, "%u", p->proto);
	say_ends(t, p);
	say_upper(t, p);
	say_network(t, p);
	if (p->quote) {
		say(t, " quote { ");
		say_packet(t, p->quote);
		say(t, " }");
		say_number(t, "quote-len", p->quote_len, PKT_UNSET);
	}
}

void print_packet(const struct pkt *p, char *text, size_t len)
{
	struct text t = { text, 0, len };

	text[0] = 0;
	say_packet(&t, p);
}

void print_as(const struct pkt *p, char *text, size_t len)
{
	struct text t = { text, 0, len };

	text[0] = 0;
	say(&t, " as");
	say_ends(&t, p);
	if (p->body == PKT_BODY_ICMP && !p->quote && p->id_var)
		say(&t, " echo-id $%c", p->id_var);
	else if (p->body == PKT_BODY_ICMP && !p->quote)
		say(&t, " echo-id %u", p->icmp_rest >> 16);
	if (p->quote) {
		say(&t, " quoting");
		say_ends(&t, p->quote);
		if (p->quote->body == PKT_BODY_ICMP && p->quote->id_var)
			say(&t, " echo-id $%c", p->quote->id_var);
		else if (p->quote->body == PKT_BODY_ICMP)
			say(&t, " echo-id %u", p->quote->icmp_rest >> 16);
	}
}

int print_is_faithful(const struct pkt *p, const char *text)
{
	static sp_u8 a[PKT_MAX], b[PKT_MAX];
	char *copy = strdup(text), *w[400], err[300], *save = NULL;
	struct words ws = { .w = w, .family = p->family, .err = err, .err_len = sizeof(err) };
	struct pkt back;
	size_t n, m = 0;

	if (!copy)
		abort();
	pkt_init(&back);
	for (char *at = strtok_r(copy, " ", &save); at && ws.n < 400; at = strtok_r(NULL, " ", &save))
		w[ws.n++] = at;
	n = pkt_build(p, 0, a, sizeof(a));
	if (!pkt_parse(&ws, &back) && ws.at == ws.n)
		m = pkt_build(&back, 0, b, sizeof(b));
	pkt_free(&back);
	free(copy);
	return n == m && !memcmp(a, b, n);
}
