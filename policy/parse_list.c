/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists: people, addresses, interfaces, services; and the host that a forward goes to. */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const char of_people[] = "a zone, a host, a set, an address, a network, or 'any'";
static const char of_addresses[] = "an address: 192.0.2.7, 2001:db8::7, or *::7 for an IPv6 host behind any prefix";
static const char of_pool[] = "IPv4 addresses: 203.0.113.8, 203.0.113.0/28, 203.0.113.8-203.0.113.15";
static const char of_services[] = "a service: a name, tcp/8443, udp/5000-5010, icmp, or 'any'";
static const char of_target[] =
	"a host or an address, and perhaps ':' and a port: web, 192.0.2.7:8080, [2001:db8::7]:8080";
static const char of_interfaces[] = "the name of an interface, such as eth0";

#define PORT_MAX 65535

/* Calls one() for each word of a list with commas. */
static int each(struct sp_parser *ps, const char *expected,
		int (*one)(struct sp_parser *, const struct sp_tok *, void *), void *list)
{
	for (;;) {
		const struct sp_tok *tok = sp_parse_tok(ps);
		int rc;

		if (tok->type != SP_TOK_WORD)
			return sp_parse_fail(ps, expected);
		ps->i++;
		rc = one(ps, tok, list);
		if (rc && (rc != -EINVAL || sp_parse_tok(ps) == tok)) /* after a wrong value it goes on */
			return rc;
		if (sp_parse_tok(ps)->type != SP_TOK_COMMA)
			return 0;
		ps->i++;
	}
}

static int reserved(struct sp_parser *ps, const struct sp_tok *tok, const char *expected)
{
	return sp_parse_error(ps, &tok->at, expected, NULL, "'%s' does not belong here", tok->text);
}

/* ---- networks ----------------------------------------------------------------------------------- */

static int bad_network(struct sp_parser *ps, const struct sp_tok *tok, const char *text, enum sp_net_error why,
		       const char *expected)
{
	const struct sp_span *at = &tok->at;

	switch (why) {
	case SP_NET_OCTET:
		return sp_parse_error(ps, at, expected, NULL, "'%s': the numbers of an address are at most 255", text);
	case SP_NET_SHORT:
		return sp_parse_error(ps, at, expected, NULL, "'%s': an IPv4 address has four numbers", text);
	case SP_NET_ZERO:
		return sp_parse_error(ps, at, expected, NULL, "'%s': a number begins with 0; some read it as octal",
				      text);
	case SP_NET_BITS:
		return sp_parse_error(ps, at, "a length of at most 32 bits, 128 for IPv6", NULL,
				      "'%s': what follows '/' is no length of a prefix", text);
	case SP_NET_SUFFIX:
		return sp_parse_error(ps, at,
				      "'*::' and at most 64 bits that are not all 0, such as *::10 or *:a:b:c:d", NULL,
				      "'%s' is not the end of an IPv6 address", text);
	case SP_NET_MAPPED:
		return sp_parse_error(ps, at, expected, strrchr(text, '.') ? strrchr(text, ':') + 1 : NULL,
				      "'%s' is an IPv4 address in disguise", text);
	case SP_NET_SCOPE:
		return sp_parse_error(ps, at, expected, sp_mem_text(ps->p, text, strcspn(text, "%")),
				      "'%s': an address has no interface here; zones say where packets come from",
				      text);
	case SP_NET_NOT:
	case SP_NET_OK:
		break;
	}
	return sp_parse_error(ps, at, expected, NULL, "'%s' is not an address", text);
}

static int read_network(struct sp_parser *ps, const struct sp_tok *tok, const char *text, const char *expected,
			struct sp_net *net)
{
	char canonical[SP_NET_TEXT];
	enum sp_net_error why;
	int host_bits = 0;

	why = sp_net_read(text, strlen(text), net, &host_bits);
	if (why)
		return bad_network(ps, tok, text, why, expected);
	if (!host_bits)
		return 0;
	sp_net_print(canonical, net);
	return sp_diag_add(ps->p, SP_SEVERITY_WARNING, &tok->at, NULL, sp_mem_text(ps->p, canonical, strlen(canonical)),
			   "'%s' is an address, not a network; all of %s is meant", text, canonical);
}

static struct sp_term *add_term(struct sp_parser *ps, struct sp_terms *list, const struct sp_tok *tok)
{
	struct sp_term *term = SP_ADD(ps->p, list);

	if (term) {
		term->at = tok->at;
		term->text = tok->text;
	}
	return term;
}

static int one_person(struct sp_parser *ps, const struct sp_tok *tok, void *list)
{
	struct sp_term *term;

	if (sp_word_is_reserved(tok->text) && strcmp(tok->text, "any")) {
		ps->i--; /* nothing has been taken: what follows is no list */
		return reserved(ps, tok, of_people);
	}
	term = add_term(ps, list, tok);
	if (!term)
		return -ENOMEM;
	if (!strcmp(tok->text, "any")) {
		term->kind = SP_TERM_ANY;
		return 0;
	}
	if (sp_addr_looks(tok->text, strlen(tok->text))) {
		const char *colon = strchr(tok->text, ':');
		const char *left = colon ? sp_mem_text(ps->p, tok->text, (size_t)(colon - tok->text)) : NULL;

		if (left && sp_word_is_name(left) && !strchr(colon + 1, ':')) { /* dmz:ssh */
			ps->i--;						/* and so the sentence is given up */
			return sp_parse_error(ps, &tok->at, "blanks around ':'",
					      sp_mem_printf(ps->p, "%s : %s", left, colon + 1),
					      "'%s' is neither a name nor an address", tok->text);
		}
		term->kind = SP_TERM_NET;
		return read_network(ps, tok, tok->text, of_people, &term->net);
	}
	term->kind = sp_word_is_name(tok->text) ? SP_TERM_NAME : SP_TERM_NET;
	if (term->kind != SP_TERM_NAME)
		return sp_parse_error(ps, &tok->at, of_people, NULL, "'%s' can not be a name", tok->text);
	return 0;
}

int sp_parse_people(struct sp_parser *ps, struct sp_terms *list)
{
	return each(ps, of_people, one_person, list);
}

/* "203.0.113.8-203.0.113.15", for pools */
static int read_range(struct sp_parser *ps, const struct sp_tok *tok, const char *dash, struct sp_term *term)
{
	size_t len = (size_t)(dash - tok->text);
	int host_bits;

	term->kind = SP_TERM_RANGE;
	if (sp_net_read(tok->text, len, &term->net, &host_bits) != SP_NET_OK ||
	    sp_net_read(dash + 1, strlen(dash + 1), &term->last, &host_bits) != SP_NET_OK ||
	    term->net.family != term->last.family || !sp_net_is_one(&term->net) || !sp_net_is_one(&term->last))
		return sp_parse_error(ps, &tok->at, "two addresses, such as 203.0.113.8-203.0.113.15", NULL,
				      "'%s' is not a range of addresses", tok->text);
	if (memcmp(term->net.addr, term->last.addr, sizeof(term->net.addr)) > 0)
		return sp_parse_error(ps, &tok->at, "the smaller address first",
				      sp_mem_printf(ps->p, "%s-%.*s", dash + 1, (int)len, tok->text),
				      "'%s' ends before it begins", tok->text);
	return 0;
}

static int one_pool(struct sp_parser *ps, const struct sp_tok *tok, void *list)
{
	struct sp_term *term = add_term(ps, list, tok);
	const char *dash = strchr(tok->text, '-');
	int rc;

	if (!term)
		return -ENOMEM;
	term->kind = SP_TERM_NET;
	rc = dash ? read_range(ps, tok, dash, term) : read_network(ps, tok, tok->text, of_pool, &term->net);
	if (!rc && term->net.family != SP_NET_V4)
		rc = sp_parse_error(ps, &tok->at, of_pool, NULL, "'%s': IPv6 is not translated", tok->text);
	return rc;
}

static int one_address(struct sp_parser *ps, const struct sp_tok *tok, void *list)
{
	struct sp_term *term = add_term(ps, list, tok);
	int rc;

	if (!term)
		return -ENOMEM;
	term->kind = SP_TERM_NET;
	if (sp_word_is_name(tok->text))
		return sp_parse_error(ps, &tok->at, of_addresses, NULL,
				      "'%s' is not an address; names are not looked up", tok->text);
	rc = read_network(ps, tok, tok->text, of_addresses, &term->net);
	if (!rc && !sp_net_is_one(&term->net))
		rc = sp_parse_error(ps, &tok->at, of_addresses, NULL,
				    "'%s' is a network; a host has addresses, a set has networks", tok->text);
	return rc;
}

int sp_parse_addresses(struct sp_parser *ps, struct sp_terms *list, int ranges)
{
	return ranges ? each(ps, of_pool, one_pool, list) : each(ps, of_addresses, one_address, list);
}

/* ---- interfaces --------------------------------------------------------------------------------- */

static int one_interface(struct sp_parser *ps, const struct sp_tok *tok, void *list)
{
	struct sp_term *term = add_term(ps, list, tok);
	size_t len = strlen(tok->text);

	if (!term)
		return -ENOMEM;
	term->kind = SP_TERM_NAME;
	if (len > 15)
		return sp_parse_error(ps, &tok->at, of_interfaces, NULL, "'%s': interfaces have at most 15 letters",
				      tok->text);
	if (strpbrk(tok->text, "/*[]%:") || !strcmp(tok->text, ".") || !strcmp(tok->text, ".."))
		return sp_parse_error(ps, &tok->at, of_interfaces, NULL, "'%s' can not be the name of an interface",
				      tok->text);
	if (!strcmp(tok->text, "lo"))
		return sp_parse_error(ps, &tok->at, of_interfaces, NULL,
				      "'lo' is this machine talking to itself; it is in no zone");
	return 0;
}

int sp_parse_interfaces(struct sp_parser *ps, struct sp_terms *list)
{
	return each(ps, of_interfaces, one_interface, list);
}

/* ---- services ----------------------------------------------------------------------------------- */

static int bad_ports(struct sp_parser *ps, const struct sp_tok *tok, const char *proto, const char *ports)
{
	const char *colon = strchr(ports, ':');
	const char *better = colon && colon > ports && colon[1]
				     ? sp_mem_printf(ps->p, "%s/%.*s-%s", proto, (int)(colon - ports), ports, colon + 1)
				     : NULL;

	return sp_parse_error(ps, &tok->at, "a port from 1 to 65535, or two with '-' between them", better,
			      "'%s' is not a port", ports);
}

/* "8443", "5000-5010": 0, -EINVAL, or -ERANGE: the wrong way round */
static int read_ports(const char *s, sp_u32 *low, sp_u32 *high)
{
	const char *dash = strchr(s, '-');
	size_t len = dash ? (size_t)(dash - s) : strlen(s);

	if (sp_read_number(s, len, PORT_MAX, low) || !*low)
		return -EINVAL;
	*high = *low;
	if (dash && (sp_read_number(dash + 1, strlen(dash + 1), PORT_MAX, high) || !*high))
		return -EINVAL;
	return *low > *high ? -ERANGE : 0;
}

static int number_without_protocol(struct sp_parser *ps, const struct sp_tok *tok)
{
	const struct sp_tok *before = tok - 2; /* tcp/80,443: the protocol of the one before */
	const char *slash = ps->i >= 4 && before->type == SP_TOK_WORD ? strchr(before->text, '/') : NULL;
	int len = slash && sp_proto_read(before->text, (size_t)(slash - before->text)) >= 0
			  ? (int)(slash - before->text)
			  : 0;

	return sp_parse_error(ps, &tok->at, of_services,
			      sp_mem_printf(ps->p, "%.*s/%s", len ? len : 3, len ? before->text : "tcp", tok->text),
			      "'%s' has no protocol", tok->text);
}

/* "proto/47" */
static int read_proto_number(struct sp_parser *ps, const struct sp_tok *tok, const char *number, struct sp_service *s)
{
	const char *name;
	sp_u32 n;

	if (sp_read_number(number, strlen(number), 254, &n))
		return sp_parse_error(ps, &tok->at, "the number of a protocol, 0 to 254", NULL, "'%s' is no protocol",
				      number);
	if (n == 58)
		n = 1; /* icmp means both */
	name = sp_proto_name((int)n);
	s->text = name ? name : sp_mem_printf(ps->p, "proto/%u", n);
	return s->text ? sp_portlist_add(ps->p, &s->ports, (int)n, 0, PORT_MAX) : -ENOMEM;
}

static int unknown_proto(struct sp_parser *ps, const struct sp_tok *tok, const char *slash)
{
	const char *word = sp_mem_text(ps->p, tok->text, (size_t)(slash - tok->text));
	const char *const *proto = sp_proto_words();
	struct sp_guess g;

	if (!word)
		return -ENOMEM;
	if (sp_proto_read(slash + 1, strlen(slash + 1)) >= 0) /* 22/tcp */
		return sp_parse_error(ps, &tok->at, of_services, sp_mem_printf(ps->p, "%s/%s", slash + 1, word),
				      "'%s': the protocol comes first", tok->text);
	sp_guess_init(&g, word);
	for (; *proto; proto++)
		if (sp_proto_ports(sp_proto_read(*proto, strlen(*proto))))
			sp_guess_try(&g, *proto);
	return sp_parse_error(ps, &tok->at, of_services, g.best ? sp_mem_printf(ps->p, "%s%s", g.best, slash) : NULL,
			      "'%s' is not a protocol", word);
}

/* "tcp/8443", "tcp/5000-5010", "tcp/https" */
static int read_proto_ports(struct sp_parser *ps, const struct sp_tok *tok, const char *slash, struct sp_service *s)
{
	int proto = sp_proto_read(tok->text, (size_t)(slash - tok->text)), rc;
	const char *name, *ports = slash + 1;
	sp_u32 low, high;

	if (slash - tok->text == 5 && !memcmp(tok->text, "proto", 5))
		return read_proto_number(ps, tok, ports, s);
	if (proto < 0)
		return unknown_proto(ps, tok, slash);
	name = sp_proto_name(proto);
	if (!sp_proto_ports(proto))
		return sp_parse_error(ps, &tok->at, of_services, name, "'%s': %s has no ports", tok->text, name);
	if (sp_word_is_name(ports)) {
		rc = sp_services_find(ps->p, ports, proto, &s->ports);
		if (rc == -ENOENT)
			return sp_parse_error(ps, &tok->at, of_services, NULL, "there is no service '%s' over %s",
					      ports, name);
		if (rc)
			return rc;
		low = s->ports.v[0].low; /* the canonical form has numbers */
		s->ports.n = 1;
		high = s->ports.v[0].high;
	} else {
		rc = read_ports(ports, &low, &high);
		if (rc == -ERANGE)
			return sp_parse_error(ps, &tok->at, "the smaller port first",
					      sp_mem_printf(ps->p, "%s/%u-%u", name, high, low),
					      "'%s' ends before it begins", ports);
		if (rc)
			return bad_ports(ps, tok, name, ports);
		rc = sp_portlist_add(ps->p, &s->ports, proto, low, high);
	}
	s->text = low == high ? sp_mem_printf(ps->p, "%s/%u", name, low)
			      : sp_mem_printf(ps->p, "%s/%u-%u", name, low, high);
	return s->text ? rc : -ENOMEM;
}

static int one_service(struct sp_parser *ps, const struct sp_tok *tok, void *list)
{
	const char *slash = strchr(tok->text, '/');
	int proto = sp_proto_read(tok->text, strlen(tok->text));
	struct sp_service *s;

	if (sp_word_is_reserved(tok->text) && proto < 0 && strcmp(tok->text, "any")) {
		ps->i--;
		return reserved(ps, tok, of_services);
	}
	s = SP_ADD(ps->p, (struct sp_services *)list);
	if (!s)
		return -ENOMEM;
	s->at = tok->at;
	s->text = tok->text;
	if (slash)
		return read_proto_ports(ps, tok, slash, s);
	if (proto >= 0 || !strcmp(tok->text, "any"))
		return sp_portlist_add(ps->p, &s->ports, proto < 0 ? SP_PROTO_ANY : proto, 0, PORT_MAX);
	if (*tok->text >= '0' && *tok->text <= '9')
		return number_without_protocol(ps, tok);
	s->is_name = sp_word_is_name(tok->text);
	if (!s->is_name)
		return sp_parse_error(ps, &tok->at, of_services, NULL, "'%s' is not a service", tok->text);
	return 0;
}

int sp_parse_services(struct sp_parser *ps, struct sp_services *list)
{
	return each(ps, of_services, one_service, list);
}

/* ---- the host that a forward goes to ------------------------------------------------------------- */

/* Cuts HOST[:PORT] in two; the port is NULL if there is none, the host is NULL if a bracket is not closed. */
static int cut_target(struct sp_parser *ps, const char *text, const char **host, const char **port)
{
	const char *colon = strchr(text, ':'), *bracket;

	*host = text;
	*port = NULL;
	if (*text == '[') {
		bracket = strchr(text, ']');
		if (!bracket || (bracket[1] && bracket[1] != ':')) {
			*host = NULL;
			return 0;
		}
		*port = bracket[1] ? bracket + 2 : NULL;
		*host = sp_mem_text(ps->p, text + 1, (size_t)(bracket - text) - 1);
	} else if (colon && *text != '*' && !strchr(colon + 1, ':')) {
		*port = colon + 1;
		*host = sp_mem_text(ps->p, text, (size_t)(colon - text));
	}
	return *host ? 0 : -ENOMEM;
}

int sp_parse_target(struct sp_parser *ps, struct sp_sentence *line)
{
	const struct sp_tok *tok = sp_parse_tok(ps);
	const char *host, *port;
	sp_u32 n = 0;
	int rc;

	if (tok->type != SP_TOK_WORD || sp_word_is_reserved(tok->text))
		return sp_parse_fail(ps, of_target);
	ps->i++;
	rc = cut_target(ps, tok->text, &host, &port);
	if (rc)
		return rc;
	if (!host || !*host)
		return sp_parse_error(ps, &tok->at, of_target, NULL, "'%s' is not a host", tok->text);
	if (port && (sp_read_number(port, strlen(port), PORT_MAX, &n) || !n))
		return sp_parse_error(ps, &tok->at, "one port from 1 to 65535 behind ':'", NULL, "'%s' is not a port",
				      port);
	line->target = (struct sp_term){ .kind = SP_TERM_NAME, .text = host, .at = tok->at };
	line->target_port = (sp_u16)n;
	if (host == tok->text || *tok->text != '[')
		line->target.at.length = (sp_u32)strlen(host);
	if (!sp_addr_looks(host, strlen(host))) {
		if (!sp_word_is_name(host) || sp_word_is_reserved(host)) {
			line->target.kind = SP_TERM_NET;
			return sp_parse_error(ps, &tok->at, of_target, NULL, "'%s' can not be a name", host);
		}
		return 0;
	}
	line->target.kind = SP_TERM_NET;
	rc = read_network(ps, tok, host, of_target, &line->target.net);
	if (!rc && !sp_net_is_one(&line->target.net))
		rc = sp_parse_error(ps, &tok->at, of_target, NULL, "'%s' is a network; a forward goes to one host",
				    host);
	return rc;
}
