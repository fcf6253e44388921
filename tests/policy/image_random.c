/* SPDX-License-Identifier: BSD-2-Clause */
/* Random configurations, and conversations around the edges of what they name. */
#include "image_test.h"

#include "../../core/abi.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sp_u64 pick_seed = 1;

sp_u32 pick(sp_u32 n)
{
	pick_seed ^= pick_seed << 13; /* xorshift64, Marsaglia 2003 */
	pick_seed ^= pick_seed >> 7;
	pick_seed ^= pick_seed << 17;
	return (sp_u32)((pick_seed >> 11) % n);
}

/* ---- random text --------------------------------------------------------------------------------------------------
 */

/* Few places and many lengths, so that networks nest and overlap; both ends of the space among them. */
static const char *const places4[] = { "10.1.2.3",	  "10.1.2.200",	   "10.1.255.255",
				       "172.16.5.9",	  "198.51.100.77", "203.0.113.255",
				       "255.255.255.255", "128.0.0.0",	   "1.0.0.1" };
static const char *const places6[] = { "2001:470:1:2:3:4:5:6",
				       "2001:470:1:2:8000::",
				       "2001:470:1:ffff:ffff:ffff:ffff:ffff",
				       "2600::1",
				       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
				       "8000::" };
/* All but the first are the last halves of places, too. */
static const char *const suffixes[] = { "*::10", "*:3:4:5:6", "*::8000:0:0:0", "*:ffff:ffff:ffff:ffff" };
static const sp_u8 lengths4[] = { 0, 1, 2, 4, 8, 9, 15, 16, 17, 23, 24, 25, 26, 30, 31, 32, 32, 32 };
static const sp_u8 lengths6[] = { 0, 1, 3, 16, 32, 48, 63, 64, 65, 96, 112, 127, 128, 128 };
static const char *const services[] = { "ssh",
					"https",
					"dns",
					"icmp",
					"tcp/8443",
					"tcp",
					"udp",
					"gre",
					"esp",
					"tcp/1000-2000",
					"udp/1500-65535",
					"udp/1-1600",
					"tcp/65535",
					"tcp/1",
					"sctp/36412",
					"sctp/36000-37000",
					"sctp",
					"udplite/7",
					"dccp/5004",
					"proto/254",
					"tcp/1500-8443" };
#define COUNT(a) ((sp_u32)(sizeof(a) / sizeof((a)[0])))

const char *bad_networks = "203.0.113.252/31\n10.1.2.200\n2600::/127\n; nobody\n10.1.252.0/23 # two\n255.255.255.255\n";

struct writer {
	char *v;
	size_t n, cap;
	sp_u32 hosts, sets, groups;
	int dmz, guests;
};

static void put(struct writer *w, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	w->n += (size_t)vsnprintf(w->v + w->n, w->cap - w->n, format, ap);
	va_end(ap);
	if (w->n >= w->cap)
		abort(); /* the generator's own room is too small */
}

static void put_network(struct writer *w)
{
	if (!pick(12))
		put(w, "%s", suffixes[pick(COUNT(suffixes))]);
	else if (pick(5) < 3)
		put(w, "%s/%u", places4[pick(COUNT(places4))], lengths4[pick(COUNT(lengths4))]);
	else
		put(w, "%s/%u", places6[pick(COUNT(places6))], lengths6[pick(COUNT(lengths6))]);
}

static void put_address(struct writer *w)
{
	if (!pick(4))
		put(w, "%s", suffixes[pick(COUNT(suffixes))]);
	else
		put(w, "%s", pick(3) ? places4[pick(COUNT(places4))] : places6[pick(COUNT(places6))]);
}

static void put_zone(struct writer *w)
{
	const sp_u32 n = pick(5);

	put(w, "%s",
	    n == 0		  ? "self"
	    : n == 1		  ? "inside"
	    : n == 2 && w->dmz	  ? "dmz"
	    : n == 3 && w->guests ? "guests"
				  : "outside");
}

static void put_who(struct writer *w)
{
	const sp_u32 n = pick(12);

	if (n < 4)
		put_zone(w);
	else if (n < 6 && w->hosts)
		put(w, "h%u", pick(w->hosts));
	else if (n < 9 && w->sets)
		put(w, "s%u", pick(w->sets));
	else if (n == 11)
		put(w, "any");
	else
		put_network(w);
}

static void put_list(struct writer *w, void (*one)(struct writer *), sp_u32 most)
{
	one(w);
	for (sp_u32 more = pick(most); more; more--) {
		put(w, ", ");
		one(w);
	}
}

/* Only options that change nothing of who may start what. */
static void put_options(struct writer *w, int block)
{
	if (!pick(4))
		put(w, " log");
	if (!pick(4))
		put(w, block ? " reject" : " idle 90s");
	else if (block && !pick(4))
		put(w, " drop");
}

static void put_member(struct writer *w)
{
	const sp_u32 n = pick(4);

	if (n == 0 && w->hosts)
		put(w, "h%u", pick(w->hosts));
	else if (n == 1 && w->sets)
		put(w, "s%u", pick(w->sets));
	else
		put_network(w);
}

static void put_service(struct writer *w)
{
	if (!pick(15))
		put(w, "any");
	else if (!pick(5) && w->groups)
		put(w, "v%u", pick(w->groups));
	else
		put(w, "%s", services[pick(COUNT(services))]);
}

static void put_line(struct writer *w)
{
	const sp_u32 n = pick(10);
	const int block = n == 3 || n >= 8;

	if (n < 3) {
		put(w, "open ");
		put_list(w, put_service, 3);
		if (pick(2)) {
			put(w, " from ");
			put_list(w, put_who, 3);
		}
	} else if (n < 4) {
		put(w, "block ");
		put_list(w, put_member, 2);
	} else {
		put(w, n < 8 ? "allow " : "block ");
		put_list(w, put_who, 3);
		put(w, " -> ");
		put_list(w, put_who, 3);
		if (n < 8 || pick(2)) {
			put(w, " : ");
			put_list(w, put_service, 4);
		}
	}
	put_options(w, block);
	put(w, "\n");
}

static void put_forward(struct writer *w)
{
	put(w, "forward ");
	put_list(w, put_service, 3);
	if (pick(2)) {
		put(w, " from ");
		put_list(w, put_who, 3);
	}
	put(w, " to ");
	if (w->hosts && pick(4))
		put(w, "h%u", pick(w->hosts));
	else
		put(w, "%s", pick(3) ? places4[pick(6)] : suffixes[pick(COUNT(suffixes))]);
	if (!pick(4))
		put(w, ":%u", 1 + pick(3) * 442);
	put_options(w, 0);
	put(w, "\n");
}

/*
 * Not all that can be written is right: the same line with other options, forwards of one service to two places, a port
 * for many.
 */
static void try(struct writer *w, void (*one)(struct writer *))
{
	const size_t before = w->n;

	one(w);
	if (text_is_good(w->v))
		return;
	w->n = before;
	w->v[before] = 0;
}

static void put_translation(struct writer *w)
{
	const sp_u32 n = pick(5);

	put(w, "%s", n == 0 ? "nat off\n" : n == 1 ? "nat open\n" : "");
	if (n == 1 || n == 2)
		put(w, "nat pool 203.0.113.8-203.0.113.1%u, 203.0.113.0/28, 198.51.100.9\n", pick(10));
	if (!pick(3))
		put(w, "refuse outside with %s\n", pick(4) ? "reject" : "drop");
	if (!pick(3))
		put(w, "refuse inside with %s\n", pick(4) ? "drop" : "reject");
	if (w->guests && pick(2))
		put(w, "refuse guests with %s\n", pick(2) ? "drop" : "reject");
}

char *random_text(void)
{
	struct writer w = { .cap = 65536, .dmz = (int)pick(2), .guests = (int)pick(2) };

	w.v = malloc(w.cap);
	if (!w.v)
		abort();
	put(&w, "wan eth0\nlan eth1\n%s%s", w.guests ? "zone guests = eth3\n" : "", w.dmz ? "zone dmz = eth2\n" : "");
	for (sp_u32 n = pick(4); w.hosts < n; w.hosts++) {
		put(&w, "host h%u = ", w.hosts);
		put_list(&w, put_address, 3);
		put(&w, "\n");
	}
	for (sp_u32 n = pick(6); w.sets < n; w.sets++) {
		put(&w, "set s%u = ", w.sets);
		put_list(&w, put_member, 6);
		put(&w, "\n");
	}
	if (!pick(3))
		put(&w, "set s%u = file \"bad.txt\"\n", w.sets++);
	for (sp_u32 n = pick(3); w.groups < n; w.groups++) {
		put(&w, "service v%u = ", w.groups);
		put_list(&w, put_service, 4);
		put(&w, "\n");
	}
	if (!pick(4))
		put(&w, "block file \"bad.txt\"\n");
	for (sp_u32 n = pick(pick(3) ? 6 : 40); n; n--)
		try(&w, put_line);
	for (sp_u32 n = pick(2) ? pick(8) : 0; n; n--)
		try(&w, put_forward);
	put_translation(&w);
	return w.v;
}

/* ---- random conversations ------------------------------------------------------------------------------------------
 */

/* One of the suffixes, or beside it. */
static void near_suffix(sp_u8 *out)
{
	const char *s = suffixes[pick(COUNT(suffixes))] + 1; /* behind the asterisk */
	sp_u8 whole[16];
	char text[64];

	snprintf(text, sizeof(text), "%s%s", s[1] == ':' ? "" : ":", s);
	if (inet_pton(AF_INET6, text, whole) != 1)
		abort();
	memcpy(out + 8, whole + 8, 8);
	out[15] = (sp_u8)(out[15] + (pick(4) ? 0 : 1));
}

/* An address at or just outside an edge of a network, or within it. */
static void near_edge(sp_u8 family, sp_u8 *out)
{
	const int bytes = family == 4 ? 4 : 16;
	const sp_u32 bits = family == 4 ? lengths4[pick(COUNT(lengths4))] : lengths6[pick(COUNT(lengths6))];
	const sp_u32 where = pick(5);
	const int step = where == 0 ? -1 : where == 3 ? 1 : 0;

	memset(out, 0, 16);
	if (family == 4)
		inet_pton(AF_INET, places4[pick(COUNT(places4))], out);
	else
		inet_pton(AF_INET6, places6[pick(COUNT(places6))], out);
	for (sp_u32 bit = bits; bit < (sp_u32)bytes * 8; bit++) {
		const sp_u8 mask = (sp_u8)(0x80 >> bit % 8);
		const int one = where < 2 ? 0 : where < 4 ? 1 : (int)pick(2);

		out[bit / 8] = one ? out[bit / 8] | mask : out[bit / 8] & (sp_u8)~mask;
	}
	for (int i = bytes - 1; step && i >= 0; i--) {
		out[i] = (sp_u8)(out[i] + step);
		if (out[i] != (step > 0 ? 0 : 0xff)) /* no carry, no borrow */
			break;
	}
}

void random_talk(const struct model *m, struct talk *t)
{
	static const sp_u8 protos[] = { 6, 6, 6, 17, 17, 17, 1, 132, 132, 33, 136, 47, 50, 254 };
	static const sp_u16 ports[] = { 1,     2,     7,     8,	    22,	   53,	  443,	 999,  1000,
					1499,  1500,  1600,  1601,  2000,  2001,  5004,	 8443, 8444,
					35999, 36000, 36412, 36413, 37000, 37001, 65534, 65535 };
	sp_u32 zones = 4;

	while (zones < SP_ZONE_FORWARD && sp_image_zone_name(m->image.v, zones)[0])
		zones++;
	t->family = pick(2) ? 4 : 6;
	t->proto = protos[pick(COUNT(protos))];
	if (t->proto == 1 && t->family == 6)
		t->proto = 58;
	t->from = (sp_u8)(1 + pick(zones - 1));
	t->to = (sp_u8)pick(zones);
	t->sport = (sp_u16)(1024 + pick(60000));
	t->dport = ports[pick(COUNT(ports))];
	do {
		near_edge(t->family, t->src);
		near_edge(t->family, t->dst);
		if (t->family == 6 && !pick(3))
			near_suffix(t->dst);
		if (t->family == 6 && !pick(5))
			near_suffix(t->src);
	} while (!memcmp(t->src, t->dst, 16));
}
