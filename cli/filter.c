/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the filters of `sally flows` and holds conversations against them. */
#include "filter.h"

#include <string.h>
#include <strings.h>

void sp_filter_init(struct sp_filter *f)
{
	memset(f, 0, sizeof(*f));
	f->port = f->proto = f->zone = f->class_ = -1;
}

static int is_state(const char *word)
{
	unsigned i;

	for (i = SP_PHASE_FREE + 1; i < SP_PHASE_COUNT; i++)
		if (i != SP_PHASE_ALIAS && !strcasecmp(sp_phase_name(i), word))
			return 1;
	return 0;
}

static int read_class(const char *word)
{
	int i;

	for (i = 0; i < SP_CLASS_COUNT; i++)
		if (!strcmp(sp_class_name((unsigned)i), word))
			return i;
	return -1;
}

static int read_port(const char *word, int *port)
{
	sp_u64 n;

	if (sp_read_u64(word, 0, 65535, &n))
		return -1;
	*port = (int)n;
	return 0;
}

int sp_filter_option(struct sp_filter *f, const char *name, const char *value)
{
	f->used++;
	if (!strcmp(name, "addr"))
		return sp_read_prefix(value, &f->addr, &f->family, &f->bits) ?
			sp_usage("--addr wants an address or a network (10.0.0.0/8)", value) : 0;
	if (!strcmp(name, "port"))
		return read_port(value, &f->port) ? sp_usage("--port wants a number up to 65535", value) : 0;
	if (!strcmp(name, "proto")) {
		f->proto = sp_read_proto(value);
		return f->proto < 0 ? sp_usage("--proto wants a protocol's name or number", value) : 0;
	}
	if (!strcmp(name, "zone")) {
		f->zone = sp_zone_by_name(value);
		return f->zone < 0 ? sp_usage("--zone wants self, outside, inside or a zone of the configuration", value) :
				     0;
	}
	if (!strcmp(name, "state")) {
		f->state = value;
		return is_state(value) ? 0 : sp_usage("--state wants a state, such as established or syn-sent", value);
	}
	f->class_ = read_class(name);
	return 0;
}

int sp_filter_word(struct sp_filter *f, const char *word)
{
	int port;

	if (!sp_read_prefix(word, &f->addr, &f->family, &f->bits)) {
		f->used++;
		return 0;
	}
	if (read_class(word) >= 0)
		return sp_filter_option(f, word, NULL);
	if (sp_zone_by_name(word) >= 0)
		return sp_filter_option(f, "zone", word);
	if (is_state(word))
		return sp_filter_option(f, "state", word);
	/* a bare number is a port: protocols have names */
	if (!read_port(word, &port))
		return sp_filter_option(f, "port", word);
	if (sp_read_proto(word) >= 0)
		return sp_filter_option(f, "proto", word);
	return sp_usage("neither an address, a protocol, a zone, a state nor a port", word);
}

static int in_prefix(const struct sp_addr *a, const struct sp_addr *net, int bits)
{
	int whole = bits / 8, rest = bits % 8;

	if (memcmp(a->b, net->b, (size_t)whole))
		return 0;
	return !rest || !((a->b[whole] ^ net->b[whole]) & (0xff00 >> rest & 0xff));
}

/* One of the ends, or what one of them is known as to the other. */
static int match_addr(const struct sp_filter *f, const struct sp_flow *flow, const struct sp_known *k)
{
	int match = in_prefix(&flow->key.addr[0], &f->addr, f->bits) || in_prefix(&flow->key.addr[1], &f->addr, f->bits);

	for (int side = 0; side < 2; side++) {
		const struct sp_addr a = { .w32 = { k->addr[side] } };

		match |= k->is[side] && in_prefix(&a, &f->addr, f->bits);
	}
	return flow->key.family == f->family && match;
}

static int match_port(int port, const struct sp_flow *flow, const struct sp_known *k)
{
	int match = sp_ntoh16(flow->key.port[0]) == port || sp_ntoh16(flow->key.port[1]) == port;

	for (int side = 0; side < 2; side++)
		match |= k->is[side] && sp_ntoh16(k->port[side]) == port;
	return sp_proto_has_ports(flow->key.proto) && match;
}

int sp_filter_match(const struct sp_filter *f, const struct sp_flow *flow, const struct sp_known *known)
{
	if (f->proto >= 0 && flow->key.proto != f->proto)
		return 0;
	if (f->port >= 0 && !match_port(f->port, flow, known))
		return 0;
	if (f->zone >= 0 && flow->zone_from != f->zone && flow->zone_to != f->zone)
		return 0;
	if (f->class_ >= 0 && (int)sp_phase_class(flow->phase) != f->class_)
		return 0;
	if (f->state && strcasecmp(sp_phase_name(flow->phase), f->state))
		return 0;
	return f->family == SP_FAMILY_NONE || match_addr(f, flow, known);
}
