/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of a scenario line: numbers, bytes, addresses, and the cast that every scenario knows. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"

/* Documentation and benchmarking prefixes are of no use where the firewall refuses them: IPv6 uses ordinary ones. */
static const struct cast {
	const char *name, *v4, *v6, *who;
} cast[] = {
	{ "john", "10.0.0.2", "2a00:1::2", "a computer inside" },
	{ "mary", "10.0.0.3", "2a00:1::3", "another computer inside" },
	{ "web", "198.51.100.7", "2a00:2::7", "a server outside" },
	{ "web2", "198.51.100.8", "2a00:2::8", "another server outside" },
	{ "stranger", "203.0.113.9", "2a00:3::9", "nobody that anybody asked for anything" },
	{ "router", "192.0.2.33", "2a00:4::33", "a router on the way" },
	{ "me", "192.0.2.10", "2a00:5::10", "this machine, outside" },
	{ "me2", "192.0.2.11", "2a00:5::11", "this machine, outside, another address" },
	{ "melan", "10.0.0.1", "2a00:1::1", "this machine, inside" },
	{ "www", "10.0.2.10", "2a00:6::10", "a server in the zone dmz" },
	{ "mail", "10.0.2.11", "2a00:6::11", "another server in the zone dmz" },
};

const char *cast_name(size_t i, const char **v4, const char **v6)
{
	if (i >= sizeof(cast) / sizeof(cast[0]))
		return NULL;
	*v4 = cast[i].v4;
	*v6 = cast[i].v6;
	return cast[i].name;
}

int words_fail(struct words *ws, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ws->err, ws->err_len, fmt, ap);
	va_end(ap);
	return -1;
}

const char *words_peek(const struct words *ws)
{
	return ws->at < ws->n ? ws->w[ws->at] : NULL;
}

const char *words_next(struct words *ws)
{
	return ws->at < ws->n ? ws->w[ws->at++] : NULL;
}

int words_take(struct words *ws, const char *word)
{
	if (ws->at >= ws->n || strcmp(ws->w[ws->at], word) != 0)
		return 0;
	ws->at++;
	return 1;
}

int words_number(struct words *ws, sp_u64 max, sp_u64 *out)
{
	const char *w = words_next(ws), *s = w;
	sp_u64 v = 0;
	int minus = 0, more = 1;

	if (!w)
		return words_fail(ws, "a number is missing at the end of the line");
	while (more) {
		char *end;
		sp_u64 part;

		if (!isdigit((unsigned char)*s))
			return words_fail(ws, "'%s' is not a number", w);
		part = strtoull(s, &end, 0);
		v = minus ? v - part : v + part;
		more = *end == '+' || *end == '-';
		minus = *end == '-';
		if (*end && !more)
			return words_fail(ws, "'%s' is not a number", w);
		s = end + 1;
	}
	if (max == 0xffffffffu)
		v &= max; /* sequence numbers wrap */
	if (v > max)
		return words_fail(ws, "'%s' is too large, at most %llu", w, max);
	*out = v;
	return 0;
}

static int is_hex_word(const char *w)
{
	size_t len = strlen(w);

	for (size_t i = 0; i < len; i++)
		if (!isxdigit((unsigned char)w[i]))
			return 0;
	return len > 0 && len % 2 == 0;
}

/* A word such as "df" or "ad" could be both: bytes are taken as long as they look like bytes, except these. */
static int is_feature_word(const char *w)
{
	return !strcmp(w, "df");
}

int words_hex(struct words *ws, sp_u8 *out, int max)
{
	int n = 0;

	while (words_peek(ws) && is_hex_word(words_peek(ws)) && !is_feature_word(words_peek(ws))) {
		const char *w = words_next(ws);

		for (; *w; w += 2) {
			char two[3] = { w[0], w[1], 0 };

			if (n >= max)
				return words_fail(ws, "too many bytes, at most %d", max);
			out[n++] = (sp_u8)strtoul(two, NULL, 16);
		}
	}
	return n;
}

static int parse_address(const char *text, int names_family, sp_u8 *family, sp_u8 addr[16])
{
	const char *t = text;

	for (size_t i = 0; i < sizeof(cast) / sizeof(cast[0]); i++)
		if (!strcmp(cast[i].name, text))
			t = names_family == 6 ? cast[i].v6 : cast[i].v4;
	memset(addr, 0, 16);
	if (inet_pton(AF_INET, t, addr) == 1)
		*family = 4;
	else if (inet_pton(AF_INET6, t, addr) == 1)
		*family = 6;
	else
		return -1;
	return 0;
}

char words_var(const char *word)
{
	return word && word[0] == '$' && word[1] >= 'a' && word[1] <= 'z' && !word[2] ? word[1] : 0;
}

int words_endpoint(struct words *ws, int want_port, sp_u8 *family, sp_u8 addr[16], sp_u16 *port)
{
	const char *w = words_next(ws);
	char host[128], *colon = NULL, *end;
	unsigned long value;

	ws->var = 0;
	if (!w)
		return words_fail(ws, "an address is missing at the end of the line");
	snprintf(host, sizeof(host), "%s", w);
	if (want_port) {
		colon = strrchr(host, ':');
		if (!colon || !colon[1])
			return words_fail(ws, "'%s' has no port; write name:port, 192.0.2.1:port or [2a00::1]:port", w);
		*colon = 0;
		ws->var = words_var(colon + 1);
		value = ws->var ? 0 : strtoul(colon + 1, &end, 10);
		if (!ws->var && (*end || value > 65535))
			return words_fail(ws, "'%s' is not a port (in '%s')", colon + 1, w);
		*port = (sp_u16)value;
	}
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = 0;
		memmove(host, host + 1, strlen(host));
	}
	if (parse_address(host, ws->family, family, addr))
		return words_fail(ws, "'%s' is neither an address nor one of the names in docs/decisions/0002", host);
	return 0;
}

static const struct {
	const char *name;
	int number;
} protos[] = {
	{ "tcp", 6 },	{ "udp", 17 },	{ "udplite", 136 }, { "icmp", 1 },  { "icmp6", 58 }, { "sctp", 132 }, { "gre", 47 },
	{ "esp", 50 },	{ "ah", 51 },	{ "dccp", 33 },	    { "igmp", 2 },  { "hip", 139 },  { "mobility", 135 },
	{ "shim6", 140 }, { "nonext", 59 },
};

int proto_by_name(const char *name, int family)
{
	char *end;
	unsigned long value;

	if (!strcmp(name, "icmp") && family == 6)
		return 58; /* a scenario of both families says icmp for the ICMP of each */
	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (!strcmp(protos[i].name, name))
			return protos[i].number;
	if (!isdigit((unsigned char)name[0]))
		return -1;
	value = strtoul(name, &end, 10);
	return *end || value > 255 ? -1 : (int)value;
}

int proto_has_ports(int proto)
{
	return proto == 6 || proto == 17 || proto == 136 || proto == 132 || proto == 33;
}
