/* SPDX-License-Identifier: BSD-2-Clause */
/* A tolerant look at a packet, for people; glance.h says what it is for and what it must not be used for. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "glance.h"

#define EXT_HEADERS_MAX 16 /* enough for everything that is seen; what lies behind them is not described */

static sp_u16 be16(const sp_u8 *p)
{
	return (sp_u16)(p[0] << 8 | p[1]);
}

static sp_u32 be32(const sp_u8 *p)
{
	return (sp_u32)be16(p) << 16 | be16(p + 2);
}

int sp_glance_has_ports(int proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP;
}

static void glance_l4(struct sp_glance *g, const sp_u8 *d, sp_u32 len)
{
	const sp_u8 *p = d + g->l4_off;
	sp_u32 have = len - g->l4_off, head = 8;
	sp_u32 said = g->ip_len - (g->l4_off - g->l3_off);

	if (g->ip_len < g->l4_off - g->l3_off || have < 4 || (g->is_fragment && g->frag_off != 0))
		return;
	if (g->proto == IPPROTO_ICMP || g->proto == IPPROTO_ICMPV6) {
		if (have < 8)
			return;
		g->icmp_type = p[0];
		g->icmp_code = p[1];
		g->sport = be16(p + 4);
	} else if (sp_glance_has_ports(g->proto)) {
		g->sport = be16(p);
		g->dport = be16(p + 2);
		if (g->proto == IPPROTO_TCP) {
			if (have < 20)
				return;
			g->seq = be32(p + 4);
			g->ack = be32(p + 8);
			g->tcp_flags = p[13];
			g->win = be16(p + 14);
			head = (sp_u32)(p[12] >> 4) * 4;
		}
	}
	g->payload = said > head ? said - head : 0;
	g->has_l4 = 1;
}

static void glance_ipv4(struct sp_glance *g, const sp_u8 *d, sp_u32 len)
{
	const sp_u8 *p = d + g->l3_off;
	sp_u32 head;

	if (len - g->l3_off < 20)
		return;
	g->family = SP_IPV4;
	memcpy(g->src.b, p + 12, 4);
	memcpy(g->dst.b, p + 16, 4);
	g->proto = p[9];
	g->ip_len = be16(p + 2);
	g->frag_off = (be16(p + 6) & 0x1fffu) * 8;
	g->frag_more = (p[6] & 0x20) != 0;
	g->is_fragment = g->frag_off || g->frag_more;
	g->frag_id = be16(p + 4);
	head = (p[0] & 15u) * 4;
	if (head < 20 || len - g->l3_off < head)
		return;
	g->l4_off = g->l3_off + head;
	glance_l4(g, d, len);
}

/* Returns 0 when the next header is no extension header that could be stepped over. */
static int step_ext(struct sp_glance *g, const sp_u8 *d, sp_u32 len, sp_u32 *at)
{
	const sp_u8 *p = d + *at;
	sp_u32 size;

	if (len - *at < 8)
		return 0;
	switch (g->proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		size = ((sp_u32)p[1] + 1) * 8;
		break;
	case IPPROTO_AH:
		size = ((sp_u32)p[1] + 2) * 4;
		break;
	case IPPROTO_FRAGMENT:
		g->is_fragment = 1;
		g->frag_off = be16(p + 2) & 0xfff8u;
		g->frag_more = p[3] & 1;
		g->frag_id = be32(p + 4);
		size = 8;
		break;
	default:
		return 0;
	}
	if (len - *at < size)
		return 0;
	g->proto = p[0];
	*at += size;
	return !(g->is_fragment && g->frag_off != 0);
}

static int is_ext(int proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_AH || proto == IPPROTO_FRAGMENT;
}

static void glance_ipv6(struct sp_glance *g, const sp_u8 *d, sp_u32 len)
{
	const sp_u8 *p = d + g->l3_off;
	sp_u32 at = g->l3_off + 40;

	if (len - g->l3_off < 40)
		return;
	g->family = SP_IPV6;
	memcpy(g->src.b, p + 8, 16);
	memcpy(g->dst.b, p + 24, 16);
	g->proto = p[6];
	g->ip_len = be16(p + 4) + 40u;
	for (int i = 0; i < EXT_HEADERS_MAX && step_ext(g, d, len, &at); i++)
		;
	if (is_ext(g->proto))
		return;
	g->l4_off = at;
	glance_l4(g, d, len);
}

void sp_glance(struct sp_glance *g, const void *data, sp_u32 len, int bare_ip)
{
	const sp_u8 *d = data;

	memset(g, 0, sizeof(*g));
	if (!bare_ip) {
		if (len < 14)
			return;
		g->ethertype = be16(d + 12);
		g->l3_off = 14;
		while (g->ethertype == 0x8100 || g->ethertype == 0x88a8 || g->ethertype == 0x9100) {
			if (len - g->l3_off < 4)
				return;
			g->ethertype = be16(d + g->l3_off + 2);
			g->l3_off += 4;
			g->vlans++;
		}
		if (g->ethertype != 0x0800 && g->ethertype != 0x86dd)
			return;
	}
	if (len <= g->l3_off)
		return;
	if (d[g->l3_off] >> 4 == 4)
		glance_ipv4(g, d, len);
	else if (d[g->l3_off] >> 4 == 6)
		glance_ipv6(g, d, len);
}

/* ---- in words ------------------------------------------------------------------------------------------------- */

const char *sp_glance_proto(int proto, char *buf)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_UDPLITE:
		return "udplite";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmp6";
	case IPPROTO_SCTP:
		return "sctp";
	case IPPROTO_DCCP:
		return "dccp";
	case IPPROTO_GRE:
		return "gre";
	case IPPROTO_ESP:
		return "esp";
	case IPPROTO_AH:
		return "ah";
	case IPPROTO_IGMP:
		return "igmp";
	case IPPROTO_IPIP:
		return "ipip";
	case IPPROTO_IPV6:
		return "ipv6";
	}
	snprintf(buf, 8, "%d", proto);
	return buf;
}

void sp_glance_endpoint(const struct sp_addr *a, int family, int proto, sp_u16 port, char *out)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family == SP_IPV4 ? AF_INET : AF_INET6, a->b, text, sizeof(text));
	if (!sp_glance_has_ports(proto))
		snprintf(out, SP_GLANCE_END, "%s", text);
	else
		snprintf(out, SP_GLANCE_END, family == SP_IPV4 ? "%s:%u" : "[%s]:%u", text, port);
}

static const struct icmp_name {
	sp_u8 proto, type;
	const char *name;
} icmp_names[] = {
	{ IPPROTO_ICMP, 0, "echo reply" },
	{ IPPROTO_ICMP, 3, "unreachable" },
	{ IPPROTO_ICMP, 5, "redirect" },
	{ IPPROTO_ICMP, 8, "echo request" },
	{ IPPROTO_ICMP, 11, "time exceeded" },
	{ IPPROTO_ICMP, 12, "parameter problem" },
	{ IPPROTO_ICMP, 13, "timestamp request" },
	{ IPPROTO_ICMP, 14, "timestamp reply" },
	{ IPPROTO_ICMPV6, 1, "unreachable" },
	{ IPPROTO_ICMPV6, 2, "packet too big" },
	{ IPPROTO_ICMPV6, 3, "time exceeded" },
	{ IPPROTO_ICMPV6, 4, "parameter problem" },
	{ IPPROTO_ICMPV6, 128, "echo request" },
	{ IPPROTO_ICMPV6, 129, "echo reply" },
	{ IPPROTO_ICMPV6, 133, "router solicitation" },
	{ IPPROTO_ICMPV6, 134, "router advertisement" },
	{ IPPROTO_ICMPV6, 135, "neighbour solicitation" },
	{ IPPROTO_ICMPV6, 136, "neighbour advertisement" },
	{ IPPROTO_ICMPV6, 137, "redirect" },
	{ IPPROTO_ICMPV6, 143, "multicast report" },
};

static const char *icmp_name(const struct sp_glance *g)
{
	for (unsigned i = 0; i < sizeof(icmp_names) / sizeof(icmp_names[0]); i++)
		if (icmp_names[i].proto == g->proto && icmp_names[i].type == g->icmp_type)
			return icmp_names[i].name;
	return NULL;
}

/* A string that grows inside a fixed buffer. */
struct text {
	char *s;
	sp_u32 size, used;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->used, t->size - t->used, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->used = t->used + (sp_u32)n < t->size ? t->used + (sp_u32)n : t->size - 1;
}

static void add_tcp(struct text *t, const struct sp_glance *g)
{
	static const char letters[] = "FSRPAUEC"; /* by bit, from bit 0 */

	add(t, " [");
	for (int i = 0; i < 8; i++)
		if (g->tcp_flags & 1u << i)
			add(t, "%c", letters[i]);
	add(t, "] seq %u", g->seq);
	if (g->tcp_flags & SP_TCP_ACK)
		add(t, " ack %u", g->ack);
	add(t, " win %u", g->win);
}

static void add_l4(struct text *t, const struct sp_glance *g)
{
	const char *name;

	switch (g->proto) {
	case IPPROTO_TCP:
		add_tcp(t, g);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		name = icmp_name(g);
		if (name)
			add(t, " %s", name);
		else
			add(t, " type %u", g->icmp_type);
		if (g->icmp_code)
			add(t, " code %u", g->icmp_code);
		if (name && strncmp(name, "echo", 4) == 0)
			add(t, " id %u", g->sport);
		return;
	}
	if (g->payload || sp_glance_has_ports(g->proto))
		add(t, ", %u byte%s", g->payload, g->payload == 1 ? "" : "s");
}

static void add_ends(struct text *t, const struct sp_glance *g)
{
	int proto = g->has_l4 ? g->proto : IPPROTO_NONE; /* without ports: none to show */
	char src[SP_GLANCE_END], dst[SP_GLANCE_END], number[8];

	sp_glance_endpoint(&g->src, g->family, proto, g->sport, src);
	sp_glance_endpoint(&g->dst, g->family, proto, g->dport, dst);
	add(t, "%s %s -> %s", sp_glance_proto(g->proto, number), src, dst);
}

void sp_glance_text(const struct sp_glance *g, char *out, sp_u32 size)
{
	struct text t = { .s = out, .size = size };

	out[0] = 0;
	if (g->family == SP_FAMILY_NONE) {
		if (g->ethertype == 0x0806)
			add(&t, "arp");
		else if (g->ethertype == 0x0800 || g->ethertype == 0x86dd || g->ethertype == 0)
			add(&t, "a packet too short to read");
		else
			add(&t, "ethernet type 0x%04x", g->ethertype);
		return;
	}
	add_ends(&t, g);
	if (g->has_l4)
		add_l4(&t, g);
	if (g->is_fragment)
		add(&t, ", fragment %u+%u%s", g->frag_id, g->frag_off, g->frag_more ? "" : " (last)");
}
