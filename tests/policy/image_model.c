/* SPDX-License-Identifier: BSD-2-Clause */
/* Random configurations, and an evaluator that walks their tree as sally.conf(5) says, with nothing compiled. */
#include "image_test.h"

#include "../../policy/compile.h"
#include "../../policy/policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SELF = 1, OUTSIDE = 2 };

sp_u64 seed = 1;

sp_u32 pick(sp_u32 n)
{
	seed ^= seed << 13; /* xorshift64, Marsaglia 2003 */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (sp_u32)((seed >> 11) % n);
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
	if (pick(5) < 3)
		put(w, "%s/%u", places4[pick(COUNT(places4))], lengths4[pick(COUNT(lengths4))]);
	else
		put(w, "%s/%u", places6[pick(COUNT(places6))], lengths6[pick(COUNT(lengths6))]);
}

static void put_address(struct writer *w)
{
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
	put(w, "\n");
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
		put_line(&w);
	return w.v;
}

/* ---- text to model ------------------------------------------------------------------------------------------------
 */

static int give_file(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	const char *text = !strcmp(path, "services") ? "" : ctx; /* names of services: the built-in ones */

	if (strcmp(path, "services") && strcmp(path, "bad.txt"))
		return -ENOENT;
	*len = strlen(text);
	if (*len > max)
		return -EFBIG;
	*data = strdup(text);
	return *data ? 0 : -ENOMEM;
}

static int give_list(void *ctx, const char *pattern, char ***paths, size_t *n)
{
	return -ENOENT;
}

static void die(const char *what, const char *why, const char *text)
{
	if (strlen(text) < 20000)
		fprintf(stderr, "%s\n", text);
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

int model_try(struct model *m, const char *text, const char *bad, char *why, size_t size)
{
	const struct sp_policy_io io = { .ctx = (void *)bad, .read = give_file, .list = give_list };
	const struct sp_policy_options options = { .io = &io, .services = "services" };
	int err;

	memset(m, 0, sizeof(*m));
	if (sp_policy_load_text("random", text, strlen(text), &options, &m->policy))
		die("sp_policy_load_text", "no memory", text);
	for (sp_u32 i = 0; m->policy->errors && i < m->policy->n_diags; i++)
		if (m->policy->diags[i].severity == SP_SEVERITY_ERROR)
			die("the configuration has errors", m->policy->diags[i].message, text);
	err = sp_policy_compile(m->policy, &m->image, why, size);
	if (err)
		return err;
	if (sp_image_check(m->image.v, m->image.n, why, size))
		die("sp_image_check refuses what sp_policy_compile made", why, text);
	return 0;
}

void model_init(struct model *m, const char *text, const char *bad)
{
	char why[300] = "";

	if (model_try(m, text, bad, why, sizeof(why)))
		die("sp_policy_compile", why, text);
	m->text = strdup(text);
}

void model_fini(struct model *m)
{
	sp_policy_free(m->policy);
	sp_image_free(&m->image);
	free(m->text);
	memset(m, 0, sizeof(*m));
}

/* ---- the evaluator ------------------------------------------------------------------------------------------------
 */

static int net_has(const struct sp_net *net, sp_u8 family, const sp_u8 *a)
{
	if (net->family != family)
		return 0;
	for (int bit = 0; bit < net->bits; bit++)
		if ((net->addr[bit / 8] ^ a[bit / 8]) >> (7 - bit % 8) & 1)
			return 0;
	return 1;
}

static int nets_have(const struct sp_nets *nets, sp_u8 family, const sp_u8 *a)
{
	for (sp_u32 i = 0; i < nets->n; i++)
		if (net_has(&nets->v[i], family, a))
			return 1;
	return 0;
}

static const char *zone_name(const struct model *m, sp_u8 zone)
{
	const struct sp_image_head *h = (const struct sp_image_head *)m->image.v;

	return (const char *)&m->image.v[h->zones] + zone * SP_IMAGE_NAME;
}

static int terms_have(const struct model *m, const struct sp_terms *terms, sp_u8 zone, sp_u8 family, const sp_u8 *a)
{
	for (sp_u32 i = 0; i < terms->n; i++) {
		const struct sp_term *t = &terms->v[i];

		if (t->kind == SP_TERM_ANY)
			return 1;
		if (t->kind == SP_TERM_ZONE && zone && !strcmp(t->text, zone_name(m, zone)))
			return 1;
		if (t->kind == SP_TERM_NET && net_has(&t->net, family, a))
			return 1;
		if ((t->kind == SP_TERM_HOST || t->kind == SP_TERM_SET) &&
		    (nets_have(&t->def->nets, family, a) || terms_have(m, &t->def->from, 0, family, a)))
			return 1;
	}
	return 0;
}

static int has_ports(sp_u8 proto)
{
	return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
}

static int services_have(const struct sp_services *list, const struct talk *t)
{
	for (sp_u32 i = 0; i < list->n; i++) {
		for (sp_u32 k = 0; k < list->v[i].ports.n; k++) {
			const struct sp_ports *p = &list->v[i].ports.v[k];

			if (p->proto == SP_PROTO_ANY || (p->proto == 1 && (t->proto == 1 || t->proto == 58)))
				return 1;
			if (p->proto == t->proto &&
			    (!has_ports(t->proto) || (t->dport >= p->low && t->dport <= p->high)))
				return 1;
		}
	}
	return !list->n;
}

static enum says line_says(const struct model *m, const struct sp_sentence *line, const struct talk *t)
{
	const int from =
		terms_have(m, &line->from, t->from, t->family, t->src) || nets_have(&line->nets, t->family, t->src);

	switch (line->kind) {
	case SP_KIND_OPEN:
		if (t->to != SELF || !services_have(&line->services, t))
			return SAYS_NOTHING;
		return (line->from.n ? from : t->from == OUTSIDE) ? SAYS_ALLOW : SAYS_NOTHING;
	case SP_KIND_ALLOW:
		return from && terms_have(m, &line->to, t->to, t->family, t->dst) && services_have(&line->services, t)
			       ? SAYS_ALLOW
			       : SAYS_NOTHING;
	case SP_KIND_BLOCK:
		if (!line->to.n) /* neither from them nor to them */
			return from || terms_have(m, &line->from, t->to, t->family, t->dst) ||
					       nets_have(&line->nets, t->family, t->dst)
				       ? SAYS_BLOCK
				       : SAYS_NOTHING;
		return from && terms_have(m, &line->to, t->to, t->family, t->dst) && services_have(&line->services, t)
			       ? SAYS_BLOCK
			       : SAYS_NOTHING;
	default:
		return SAYS_NOTHING;
	}
}

enum says model_says(const struct model *m, const struct talk *t)
{
	enum says best = SAYS_NOTHING;

	for (sp_u32 i = 0; i < m->policy->n_lines && best != SAYS_BLOCK; i++) {
		const enum says says = line_says(m, m->policy->lines[i], t);

		best = says > best ? says : best;
	}
	return best;
}

int model_line_says(const struct model *m, const struct talk *t, const char *name, enum says what)
{
	for (sp_u32 i = 0; i < m->policy->n_lines; i++)
		if (m->policy->lines[i]->name && !strcmp(m->policy->lines[i]->name, name) &&
		    line_says(m, m->policy->lines[i], t) == what)
			return 1;
	return 0;
}

/* ---- random conversations ------------------------------------------------------------------------------------------
 */

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

	while (zones < SP_ZONES_MAX && zone_name(m, (sp_u8)zones)[0])
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
	} while (!memcmp(t->src, t->dst, 16));
}
