/* SPDX-License-Identifier: BSD-2-Clause */
/* The words that the language keeps for itself, names, protocols, and the values of options. */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const char *const verbs[] = { "wan",   "lan",   "zone",	  "host", "set",    "service", "open",
				     "allow", "block", "forward", "nat",  "express", "refuse",  "include", NULL };

static const char *const others[] = { "from", "to",    "any",	 "file", "with", "as",	 "log", "idle",
				      "rate", "limit", "reject", "drop", "off",	 "on",
				      "pool", NULL };

static const struct {
	const char *name;
	int number, has_ports;
} protos[] = {
	{ "tcp", 6, 1 },       { "udp", 17, 1 },  { "icmp", 1, 0 },   { "sctp", 132, 1 }, { "dccp", 33, 1 },
	{ "udplite", 136, 1 }, { "gre", 47, 0 },  { "esp", 50, 0 },   { "ah", 51, 0 },	  { "ipip", 4, 0 },
	{ "igmp", 2, 0 },      { "ospf", 89, 0 }, { "vrrp", 112, 0 },
};
#define PROTOS (sizeof(protos) / sizeof(protos[0]))

static int is_among(const char *const *list, const char *word, size_t len)
{
	for (; *list; list++)
		if (strlen(*list) == len && !memcmp(*list, word, len))
			return 1;
	return 0;
}

int sp_word_is_verb(const char *word, size_t len)
{
	return is_among(verbs, word, len);
}

const char *const *sp_word_verbs(void)
{
	return verbs;
}

int sp_word_is_reserved(const char *word)
{
	size_t len = strlen(word);

	return is_among(verbs, word, len) || is_among(others, word, len) || !strcmp(word, "proto") ||
	       sp_proto_read(word, len) >= 0;
}

int sp_word_is_name(const char *word)
{
	const char *s = word;

	if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')))
		return 0;
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
		      strchr("-_.", *s)))
			return 0;
	return s - word <= SP_POLICY_NAME_MAX;
}

int sp_read_number(const char *s, size_t len, sp_u32 max, sp_u32 *out)
{
	sp_u64 v = 0;
	size_t i;

	if (!len || len > 9 || (len > 1 && *s == '0'))
		return -EINVAL;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		v = v * 10 + (sp_u64)(s[i] - '0');
	}
	if (v > max)
		return -ERANGE;
	*out = (sp_u32)v;
	return 0;
}

static sp_u32 unit_of(char c)
{
	return c == 's' ? 1 : c == 'm' ? 60 : c == 'h' ? 3600 : c == 'd' ? 86400 : 0;
}

int sp_read_time(const char *s, sp_u32 *seconds)
{
	size_t len = strlen(s);
	sp_u32 unit = len ? unit_of(s[len - 1]) : 0, n;

	if (!unit || sp_read_number(s, len - 1, 30 * 86400 / unit, &n) || !n)
		return -EINVAL;
	*seconds = n * unit;
	return 0;
}

int sp_read_rate(const char *s, sp_u32 *rate, sp_u32 *per_s)
{
	const char *slash = strchr(s, '/');
	sp_u32 n, unit;

	if (!slash || strlen(slash) != 2)
		return -EINVAL;
	unit = unit_of(slash[1]);
	if (!unit || slash[1] == 'd' || sp_read_number(s, (size_t)(slash - s), 1000000, &n) || !n)
		return -EINVAL;
	*rate = n;
	*per_s = unit;
	return 0;
}

int sp_proto_read(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < PROTOS; i++)
		if (strlen(protos[i].name) == len && !memcmp(protos[i].name, s, len))
			return protos[i].number;
	return -1;
}

const char *sp_proto_name(int proto)
{
	size_t i;

	for (i = 0; i < PROTOS; i++)
		if (protos[i].number == proto)
			return protos[i].name;
	return NULL;
}

int sp_proto_ports(int proto)
{
	size_t i;

	for (i = 0; i < PROTOS; i++)
		if (protos[i].number == proto)
			return protos[i].has_ports;
	return 0;
}

const char *const *sp_proto_words(void)
{
	static const char *const words[] = { "tcp", "udp",  "icmp", "sctp", "dccp", "udplite", "gre", "esp",
					     "ah",  "ipip", "igmp", "ospf", "vrrp", "any",     NULL };

	return words;
}
