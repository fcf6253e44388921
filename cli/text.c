/* SPDX-License-Identifier: BSD-2-Clause */
/* How addresses, protocols and times are written and read. Fast: a listing may have millions of lines. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct {
	int number, has_ports;
	const char *name;
} protos[] = {
	{ 1, 0, "icmp" },  { 2, 0, "igmp" },	{ 4, 0, "ipip" },  { 6, 1, "tcp" },    { 17, 1, "udp" },
	{ 33, 1, "dccp" }, { 41, 0, "ipv6" },	{ 47, 0, "gre" },  { 50, 0, "esp" },   { 51, 0, "ah" },
	{ 58, 0, "icmpv6" }, { 89, 0, "ospf" }, { 103, 0, "pim" }, { 112, 0, "vrrp" }, { 132, 1, "sctp" },
	{ 136, 1, "udplite" },
};
#define PROTOS (int)(sizeof(protos) / sizeof(protos[0]))

const char *sp_text_proto(int proto, char *buf)
{
	int i;

	for (i = 0; i < PROTOS; i++)
		if (protos[i].number == proto)
			return protos[i].name;
	snprintf(buf, 8, "%d", proto & 255);
	return buf;
}

int sp_read_proto(const char *s)
{
	sp_u64 n;
	int i;

	for (i = 0; i < PROTOS; i++)
		if (!strcmp(protos[i].name, s))
			return protos[i].number;
	return sp_read_u64(s, 0, 255, &n) ? -1 : (int)n;
}

int sp_proto_has_ports(int proto)
{
	int i;

	for (i = 0; i < PROTOS; i++)
		if (protos[i].number == proto)
			return protos[i].has_ports;
	return 0;
}

static char *put_u32(char *p, sp_u32 v)
{
	char digits[10];
	int n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

static char *put_hex16(char *p, unsigned v)
{
	static const char hex[] = "0123456789abcdef";
	int shift = v > 0xfff ? 12 : v > 0xff ? 8 : v > 0xf ? 4 : 0;

	for (; shift >= 0; shift -= 4)
		*p++ = hex[v >> shift & 15];
	return p;
}

/* RFC 5952: lower case, the longest run of two or more zero groups as "::", the first one of equals. */
static char *put_ipv6(char *p, const sp_u8 *b)
{
	unsigned group[8];
	int i, run = 0, best = -1, best_len = 1;

	for (i = 0; i < 8; i++) {
		group[i] = (unsigned)b[2 * i] << 8 | b[2 * i + 1];
		run = group[i] ? 0 : run + 1;
		if (run > best_len) {
			best_len = run;
			best = i - run + 1;
		}
	}
	for (i = 0; i < 8; i++) {
		if (i == best) {
			*p++ = ':';
			*p++ = ':';
			i += best_len - 1;
			continue;
		}
		if (i && i != best + best_len)
			*p++ = ':';
		p = put_hex16(p, group[i]);
	}
	return p;
}

int sp_text_addr(char *out, const struct sp_addr *a, int family)
{
	char *p = out;
	int i;

	if (family == SP_IPV6) {
		p = put_ipv6(p, a->b);
	} else {
		for (i = 0; i < 4; i++) {
			if (i)
				*p++ = '.';
			p = put_u32(p, a->b[i]);
		}
	}
	*p = 0;
	return (int)(p - out);
}

int sp_text_endpoint(char *out, const struct sp_addr *a, int family, int proto, sp_u16 port)
{
	int ports = sp_proto_has_ports(proto), bracket = ports && family == SP_IPV6;
	char *p = out;

	if (bracket)
		*p++ = '[';
	p += sp_text_addr(p, a, family);
	if (bracket)
		*p++ = ']';
	if (ports) {
		*p++ = ':';
		p = put_u32(p, port);
	}
	*p = 0;
	return (int)(p - out);
}

const char *sp_text_age(sp_u64 ns, char *buf)
{
	sp_u64 s = ns / SP_NS_PER_S;

	if (s < 100)
		snprintf(buf, 24, "%llu.%llu s", s, ns / (SP_NS_PER_S / 10) % 10);
	else if (s < 3600)
		snprintf(buf, 24, "%llu min", s / 60);
	else if (s < 86400)
		snprintf(buf, 24, "%llu h %llu min", s / 3600, s / 60 % 60);
	else
		snprintf(buf, 24, "%llu d %llu h", s / 86400, s / 3600 % 24);
	return buf;
}

int sp_read_u64(const char *s, sp_u64 min, sp_u64 max, sp_u64 *out)
{
	char *end;
	sp_u64 v;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || *end || v < min || v > max)
		return -EINVAL;
	*out = v;
	return 0;
}

int sp_read_addr(const char *s, struct sp_addr *a, int *family)
{
	struct sp_addr got = { .w = { 0, 0 } };

	if (inet_pton(AF_INET, s, got.b) == 1)
		*family = SP_IPV4;
	else if (inet_pton(AF_INET6, s, got.b) == 1)
		*family = SP_IPV6;
	else
		return -EINVAL;
	*a = got;
	return 0;
}

/* Copies the first n characters of s if they fit. */
static int cut(char *out, size_t size, const char *s, size_t n)
{
	if (n >= size)
		return -EINVAL;
	memcpy(out, s, n);
	out[n] = 0;
	return 0;
}

int sp_read_prefix(const char *s, struct sp_addr *a, int *family, int *bits)
{
	const char *slash = strchr(s, '/');
	char text[SP_ADDR_TEXT];
	int fam = SP_FAMILY_NONE;
	struct sp_addr got;
	sp_u64 n;

	if (cut(text, sizeof(text), s, slash ? (size_t)(slash - s) : strlen(s)) || sp_read_addr(text, &got, &fam))
		return -EINVAL;
	n = fam == SP_IPV4 ? 32 : 128;
	if (slash && sp_read_u64(slash + 1, 0, n, &n))
		return -EINVAL;
	*a = got;
	*family = fam;
	*bits = (int)n;
	return 0;
}

int sp_read_endpoint(const char *s, struct sp_addr *a, int *family, int *port)
{
	char text[SP_ADDR_TEXT];
	const char *end = NULL;
	int rc, fam = SP_FAMILY_NONE;
	struct sp_addr got;
	sp_u64 n = 0;

	if (*s == '[') {
		end = strchr(s, ']');
		rc = end ? cut(text, sizeof(text), s + 1, (size_t)(end - s - 1)) : -EINVAL;
		end = end && end[1] ? end + 1 : NULL;
		if (rc || (end && *end != ':'))
			return -EINVAL;
	} else {
		/* one colon is the one before the port; more are an IPv6 address alone */
		end = strchr(s, ':');
		if (end && strchr(end + 1, ':'))
			end = NULL;
		if (cut(text, sizeof(text), s, end ? (size_t)(end - s) : strlen(s)))
			return -EINVAL;
	}
	if (sp_read_addr(text, &got, &fam) || (*s == '[' && fam != SP_IPV6) ||
	    (end && sp_read_u64(end + 1, 0, 65535, &n)))
		return -EINVAL;
	*a = got;
	*family = fam;
	*port = end ? (int)n : -1;
	return 0;
}
