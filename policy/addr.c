/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses and networks: read fast (files have millions of them), strictly, and written one way only (RFC 5952). */
#include <ctype.h>
#include <string.h>

#include "internal.h"

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Exactly four octets, decimal, without leading zeros: to some programs 010 is eight. */
static enum sp_net_error read_v4(const char *s, const char *end, sp_u8 *out)
{
	enum sp_net_error error = SP_NET_OK;
	int octets = 0;

	while (s < end) {
		unsigned v = 0;
		const char *begin = s;

		while (s < end && is_digit(*s) && s - begin < 4)
			v = v * 10 + (unsigned)(*s++ - '0');
		if (s == begin || octets == 4 || (s < end && *s != '.'))
			return SP_NET_NOT;
		if (v > 255)
			error = SP_NET_OCTET;
		else if (s - begin > 1 && *begin == '0')
			error = SP_NET_ZERO;
		out[octets++] = (sp_u8)v;
		if (s < end && ++s == end)
			return SP_NET_NOT; /* ends with a period */
	}
	if (octets != 4)
		return octets ? SP_NET_SHORT : SP_NET_NOT;
	return error;
}

/* RFC 4291 2.2, all three forms. */
static enum sp_net_error read_v6(const char *s, const char *end, sp_u8 *out)
{
	int groups = 0, gap = -1, i;
	sp_u8 b[16] = { 0 };

	if (end - s >= 2 && s[0] == ':' && s[1] == ':') {
		gap = 0;
		s += 2;
	}
	while (s < end) {
		const char *begin = s;
		unsigned v = 0;

		while (s < end && hex_value(*s) >= 0 && s - begin < 5)
			v = v << 4 | (unsigned)hex_value(*s++);
		if (s < end && *s == '.') {
			if (groups > 6 || read_v4(begin, end, b + 2 * groups) != SP_NET_OK)
				return SP_NET_NOT;
			groups += 2;
			break;
		}
		if (s == begin || s - begin > 4 || groups == 8)
			return SP_NET_NOT;
		b[2 * groups] = (sp_u8)(v >> 8);
		b[2 * groups++ + 1] = (sp_u8)v;
		if (s == end)
			break;
		if (*s++ != ':' || s == end)
			return SP_NET_NOT;
		if (*s == ':') {
			if (gap >= 0)
				return SP_NET_NOT;
			gap = groups;
			s++;
		}
	}
	if (gap < 0 ? groups != 8 : groups > 7)
		return SP_NET_NOT;
	memset(out, 0, 16);
	for (i = 0; i < groups; i++) {
		int at = gap >= 0 && i >= gap ? 8 - groups + i : i;

		out[2 * at] = b[2 * i];
		out[2 * at + 1] = b[2 * i + 1];
	}
	return SP_NET_OK;
}

/* What follows the star: ::10 or :a:b:c:d; the prefix is whatever the network has. */
static enum sp_net_error read_suffix(const char *s, const char *end, struct sp_net *net)
{
	char text[SP_NET_TEXT];
	size_t len = (size_t)(end - s);
	int i, any = 0;

	if (len + 2 > sizeof(text) || !len || *s != ':')
		return SP_NET_SUFFIX;
	text[0] = ':';
	memcpy(text + 1, s, len);
	i = len > 1 && s[1] == ':'; /* :: has both colons already */
	if (read_v6(text + i, text + 1 + len, net->addr) != SP_NET_OK)
		return SP_NET_SUFFIX;
	for (i = 0; i < 8; i++)
		if (net->addr[i])
			return SP_NET_SUFFIX;
	for (i = 8; i < 16; i++)
		any |= net->addr[i];
	net->suffix = 1;
	net->bits = 128;
	return any ? SP_NET_OK : SP_NET_SUFFIX;
}

static int clear_host_bits(struct sp_net *net)
{
	int size = net->family == SP_NET_V4 ? 4 : 16, i, had = 0;

	for (i = net->bits / 8; i < size; i++) {
		sp_u8 keep = i == net->bits / 8 ? (sp_u8)(0xff00 >> net->bits % 8) : 0;

		had |= net->addr[i] & (sp_u8)~keep;
		net->addr[i] &= keep;
	}
	return had != 0;
}

static int is_mapped(const struct sp_net *net)
{
	static const sp_u8 prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return net->family == SP_NET_V6 && !memcmp(net->addr, prefix, 12);
}

enum sp_net_error sp_net_read(const char *s, size_t len, struct sp_net *net, int *has_host_bits)
{
	const char *end = s + len, *slash = memchr(s, '/', len), *stop = slash ? slash : end;
	enum sp_net_error error;
	struct sp_net got = { .family = SP_NET_V4 };
	sp_u32 bits;

	if (memchr(s, '%', len))
		return SP_NET_SCOPE;
	if (len && (*s == '*' || memchr(s, ':', (size_t)(stop - s)))) {
		got.family = SP_NET_V6;
		if (*s == '*')
			error = slash ? SP_NET_SUFFIX : read_suffix(s + 1, stop, &got);
		else
			error = read_v6(s, stop, got.addr);
	} else {
		error = read_v4(s, stop, got.addr);
	}
	if (error)
		return error;
	if (is_mapped(&got))
		return SP_NET_MAPPED;
	bits = got.family == SP_NET_V4 ? 32 : 128;
	if (slash && sp_read_number(slash + 1, (size_t)(end - slash - 1), bits, &bits))
		return SP_NET_BITS;
	got.bits = (sp_u8)bits;
	*has_host_bits = clear_host_bits(&got);
	*net = got;
	return SP_NET_OK;
}

static char *put_number(char *p, unsigned v)
{
	if (v >= 100)
		*p++ = (char)('0' + v / 100);
	if (v >= 10)
		*p++ = (char)('0' + v / 10 % 10);
	*p++ = (char)('0' + v % 10);
	return p;
}

static char *put_group(char *p, unsigned v)
{
	int shift = v > 0xfff ? 12 : v > 0xff ? 8 : v > 0xf ? 4 : 0;

	for (; shift >= 0; shift -= 4)
		*p++ = "0123456789abcdef"[v >> shift & 15];
	return p;
}

/* RFC 5952 4: lower case, the longest run of two or more zero groups is "::", the first one of equals. */
static char *put_v6(char *p, const sp_u8 *b)
{
	int i, run = 0, best = -1, best_len = 1;

	for (i = 0; i < 8; i++) {
		run = b[2 * i] | b[2 * i + 1] ? 0 : run + 1;
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
		p = put_group(p, (unsigned)b[2 * i] << 8 | b[2 * i + 1]);
	}
	return p;
}

int sp_net_print(char *out, const struct sp_net *net)
{
	char *p = out;
	int i;

	if (net->suffix)
		*p++ = '*';
	if (net->family == SP_NET_V6) {
		p = put_v6(p, net->addr);
	} else {
		for (i = 0; i < 4; i++) {
			if (i)
				*p++ = '.';
			p = put_number(p, net->addr[i]);
		}
	}
	if (!sp_net_is_one(net)) {
		*p++ = '/';
		p = put_number(p, net->bits);
	}
	*p = 0;
	return (int)(p - out);
}

int sp_net_is_one(const struct sp_net *net)
{
	return net->bits == (net->family == SP_NET_V4 ? 32 : 128);
}

static int same_bits(const sp_u8 *a, const sp_u8 *b, int bits)
{
	int whole = bits / 8, rest = bits % 8;

	return !memcmp(a, b, (size_t)whole) && (!rest || !((a[whole] ^ b[whole]) & (0xff00 >> rest & 0xff)));
}

int sp_net_covers(const struct sp_net *a, const struct sp_net *b)
{
	if (a->family != b->family)
		return 0;
	if (a->suffix || b->suffix)
		return a->bits == 0 || (a->suffix && sp_net_is_one(b) && !memcmp(a->addr + 8, b->addr + 8, 8));
	return a->bits <= b->bits && same_bits(a->addr, b->addr, a->bits);
}

int sp_net_overlap(const struct sp_net *a, const struct sp_net *b)
{
	if (a->family != b->family)
		return 0;
	/* a suffix may lie in any network of 64 bits or fewer; in a longer one only if the rest agrees */
	if (a->suffix && b->suffix)
		return !memcmp(a->addr + 8, b->addr + 8, 8);
	if (a->suffix || b->suffix) {
		const struct sp_net *net = a->suffix ? b : a;

		return net->bits <= 64 || same_bits(a->addr + 8, b->addr + 8, net->bits - 64);
	}
	return sp_net_covers(a, b) || sp_net_covers(b, a);
}

int sp_addr_looks(const char *s, size_t len)
{
	return len && (is_digit(*s) || *s == '*' || *s == '[' || memchr(s, ':', len) || memchr(s, '%', len) ||
		       memchr(s, '/', len));
}
