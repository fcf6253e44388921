/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of services. The system's file comes first; the few names below are what people write and some systems do not
 * list, or what all need on a system without such a file. getservbyname() is not used: it asks networks and caches,
 * and a policy must mean the same each time it is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define NUMBER_MAX 65535

static const struct sp_sysservice built_in[] = {
	{ "dns", 6, 53 },	 { "dns", 17, 53 },	 { "domain", 6, 53 },	     { "domain", 17, 53 },
	{ "ftp", 6, 21 },	 { "http", 6, 80 },	 { "https", 6, 443 },	     { "https", 17, 443 },
	{ "imap", 6, 143 },	 { "imaps", 6, 993 },	 { "mdns", 17, 5353 },	     { "mysql", 6, 3306 },
	{ "ntp", 17, 123 },	 { "openvpn", 6, 1194 }, { "openvpn", 17, 1194 },    { "pop3s", 6, 995 },
	{ "postgres", 6, 5432 }, { "rdp", 6, 3389 },	 { "rdp", 17, 3389 },	     { "smtp", 6, 25 },
	{ "smtps", 6, 465 },	 { "snmp", 17, 161 },	 { "ssh", 6, 22 },	     { "submission", 6, 587 },
	{ "syslog", 17, 514 },	 { "vnc", 6, 5900 },	 { "wireguard", 17, 51820 },
};
#define BUILT_IN (sizeof(built_in) / sizeof(built_in[0]))

static int is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; returns its length, 0 at the end of the line or at a comment. */
static size_t next_word(const char **s, const char *eol)
{
	const char *begin;

	while (*s < eol && is_space(**s))
		(*s)++;
	begin = *s;
	while (*s < eol && !is_space(**s) && **s != '#')
		(*s)++;
	return (size_t)(*s - begin);
}

static int by_name(const void *a, const void *b)
{
	const struct sp_sysservice *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d ? d : x->proto != y->proto ? x->proto - y->proto : x->port - y->port;
}

static int add_service(struct sp_policy *p, const char *name, size_t len, int proto, sp_u32 port)
{
	struct sp_policy_priv *v = p->priv;
	struct sp_sysservice *s;

	if (sp_mem_room(p, (void **)&v->services, v->n_services, &v->cap_services, sizeof(*s)))
		return -ENOMEM;
	s = &v->services[v->n_services];
	s->name = sp_mem_text(p, name, len);
	if (!s->name)
		return -ENOMEM;
	s->proto = (sp_u8)proto;
	s->port = (sp_u16)port;
	v->n_services++;
	return 0;
}

/* "ssh  22/tcp  alias  # comment"; a line that is not like this is passed over, as the C library does */
static int read_line(struct sp_policy *p, const char *s, const char *eol)
{
	size_t name_len = next_word(&s, eol), len, port_len;
	const char *name = s - name_len, *word, *slash;
	sp_u32 port;
	int proto;

	len = next_word(&s, eol);
	word = s - len;
	slash = len ? memchr(word, '/', len) : NULL;
	if (!name_len || !slash)
		return 0;
	port_len = (size_t)(slash - word);
	proto = sp_proto_read(slash + 1, len - port_len - 1);
	if (proto < 0 || !sp_proto_ports(proto) || sp_read_number(word, port_len, NUMBER_MAX, &port) || !port)
		return 0;
	do {
		if (add_service(p, name, name_len, proto, port))
			return -ENOMEM;
		name_len = next_word(&s, eol);
		name = s - name_len;
	} while (name_len);
	return 0;
}

int sp_services_read(struct sp_policy *p, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));

		if (!eol)
			eol = end;
		if (read_line(p, text, eol))
			return -ENOMEM;
		text = eol < end ? eol + 1 : end;
	}
	if (p->priv->n_services)
		qsort(p->priv->services, p->priv->n_services, sizeof(*p->priv->services), by_name);
	return 0;
}

static int collect(struct sp_policy *p, const struct sp_sysservice *v, size_t n, const char *name, int proto,
		   struct sp_portlist *out)
{
	size_t low = 0, high = n;
	int rc = -ENOENT;

	while (low < high) { /* the first one of that name */
		size_t mid = (low + high) / 2;

		if (strcmp(v[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < n && !strcmp(v[low].name, name); low++) {
		if (proto != SP_PROTO_ANY && v[low].proto != proto)
			continue;
		rc = sp_portlist_add(p, out, v[low].proto, v[low].port, v[low].port);
		if (rc)
			return rc;
	}
	return rc;
}

int sp_services_find(struct sp_policy *p, const char *name, int proto, struct sp_portlist *out)
{
	int rc;

	if (!strcmp(name, "ping") && proto == SP_PROTO_ANY)
		return sp_portlist_add(p, out, 1, 0, NUMBER_MAX);
	rc = collect(p, p->priv->services, p->priv->n_services, name, proto, out);
	return rc == -ENOENT ? collect(p, built_in, BUILT_IN, name, proto, out) : rc;
}

void sp_services_guess(struct sp_policy *p, struct sp_guess *g)
{
	sp_u32 i;

	for (i = 0; i < BUILT_IN; i++) /* the usual ones first: they win among equals */
		sp_guess_try(g, built_in[i].name);
	for (i = 0; i < p->priv->n_services; i++)
		sp_guess_try(g, p->priv->services[i].name);
	sp_guess_try(g, "ping");
}

/* ---- lists of ports --------------------------------------------------------------------------- */

int sp_portlist_add(struct sp_policy *p, struct sp_portlist *list, int proto, unsigned low, unsigned high)
{
	struct sp_ports *ports = SP_ADD(p, list);

	if (!ports)
		return -ENOMEM;
	*ports = (struct sp_ports){ .proto = (sp_u8)proto, .low = (sp_u16)low, .high = (sp_u16)high };
	return 0;
}

static int by_port(const void *a, const void *b)
{
	const struct sp_ports *x = a, *y = b;

	return x->proto != y->proto ? x->proto - y->proto : x->low != y->low ? x->low - y->low : x->high - y->high;
}

void sp_portlist_merge(struct sp_portlist *list)
{
	sp_u32 i, n = 0;

	if (!list->n)
		return;
	qsort(list->v, list->n, sizeof(*list->v), by_port);
	for (i = 1; i < list->n; i++) {
		struct sp_ports *last = &list->v[n], *next = &list->v[i];

		if (next->proto == last->proto && next->low <= last->high + 1)
			last->high = next->high > last->high ? next->high : last->high;
		else
			list->v[++n] = *next;
	}
	list->n = n + 1;
}

static int covers(const struct sp_ports *a, const struct sp_ports *b)
{
	return a->proto == SP_PROTO_ANY || (a->proto == b->proto && a->low <= b->low && a->high >= b->high);
}

int sp_portlist_covers(const struct sp_portlist *a, const struct sp_portlist *b)
{
	sp_u32 i, j;

	for (i = 0; i < b->n; i++) {
		for (j = 0; j < a->n && !covers(&a->v[j], &b->v[i]); j++)
			;
		if (j == a->n)
			return 0;
	}
	return 1;
}

int sp_portlist_overlap(const struct sp_portlist *a, const struct sp_portlist *b)
{
	sp_u32 i, j;

	for (i = 0; i < a->n; i++)
		for (j = 0; j < b->n; j++)
			if (a->v[i].proto == SP_PROTO_ANY || b->v[j].proto == SP_PROTO_ANY ||
			    (a->v[i].proto == b->v[j].proto && a->v[i].low <= b->v[j].high &&
			     b->v[j].low <= a->v[i].high))
				return 1;
	return 0;
}
