/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a packet must look like when it has passed. The bytes that are expected are built from the very line that made the
 * packet, with other ends, so every checksum in them is right by construction and nothing else may have changed.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "script.h"

static int parse_ends(struct words *ws, const struct pkt *p, struct ends *e)
{
	const int ports = proto_has_ports(p->proto);
	sp_u8 family;
	sp_u64 id;

	if (words_endpoint(ws, ports, &family, e->src, &e->sport))
		return -1;
	e->sport_var = ws->var;
	if (family != p->family || !words_take(ws, ">"))
		return words_fail(ws, "'as' and 'quoting' are followed by two ends, as in the packet: me:4000 > web:80");
	if (words_endpoint(ws, ports, &family, e->dst, &e->dport))
		return -1;
	e->dport_var = ws->var;
	if (family != p->family)
		return words_fail(ws, "the two ends are not of one family");
	if (p->body == PKT_BODY_ICMP && !p->quote) {
		e->sport = (sp_u16)(p->icmp_rest >> 16);
		e->sport_var = p->id_var;
		if (words_take(ws, "echo-id")) {
			e->sport_var = words_var(words_peek(ws));
			if (e->sport_var)
				words_next(ws);
			else if (words_number(ws, 65535, &id))
				return -1;
			else
				e->sport = (sp_u16)id;
		}
	}
	e->given = 1;
	return 0;
}

int script_parse_rewrite(struct words *ws, const struct pkt *p, struct rewrite *as)
{
	if (!p->family)
		return words_fail(ws, "raw bytes have no ends that 'as' could name");
	if (parse_ends(ws, p, &as->outer))
		return -1;
	if (!words_take(ws, "quoting"))
		return 0;
	return p->quote ? parse_ends(ws, p->quote, &as->quote) : words_fail(ws, "this packet quotes none");
}

static int value_of(struct run *r, char letter, sp_u16 *to)
{
	if (!letter)
		return 0;
	if (r->var[letter - 'a'] < 0)
		return run_fail(r, "$%c stands for nothing yet", letter);
	*to = (sp_u16)r->var[letter - 'a'];
	return 0;
}

int run_resolve(struct run *r, struct pkt *p)
{
	sp_u16 id = (sp_u16)(p->icmp_rest >> 16);

	if (value_of(r, p->sport_var, &p->sport) || value_of(r, p->dport_var, &p->dport) || value_of(r, p->id_var, &id))
		return -1;
	if (p->id_var)
		p->icmp_rest = (sp_u32)id << 16 | (p->icmp_rest & 0xffff);
	return p->quote ? run_resolve(r, p->quote) : 0;
}

/* A letter that stands for nothing yet becomes what stands at that place of the packet. */
static void learn(struct run *r, char letter, const sp_u8 *got, size_t len, size_t at)
{
	if (letter && r->var[letter - 'a'] < 0 && at + 2 <= len)
		r->var[letter - 'a'] = got[at] << 8 | got[at + 1];
}

static size_t upper_layer(const struct pkt *p, int bare_ip, const sp_u8 *got, size_t len)
{
	const size_t ip = bare_ip ? 0 : 14 + 4 * (size_t)p->vlans;

	return p->family == 4 && ip < len ? ip + (size_t)(got[ip] & 15) * 4 : ip + 40;
}

static int replace(struct run *r, struct pkt *p, const struct ends *e)
{
	sp_u16 sport = e->sport, dport = e->dport;

	if (!e->given)
		return 0;
	memcpy(p->src, e->src, 16);
	memcpy(p->dst, e->dst, 16);
	if (value_of(r, e->sport_var, &sport) || value_of(r, e->dport_var, &dport))
		return -1;
	p->sport_var = p->dport_var = p->id_var = 0;
	if (p->body == PKT_BODY_ICMP && !p->quote) {
		p->icmp_rest = (sp_u32)sport << 16 | (p->icmp_rest & 0xffff);
	} else {
		p->sport = sport;
		p->dport = dport;
	}
	return 0;
}

static void say_ends(const struct pkt *p, int bare_ip, const sp_u8 *b, size_t len, char *text, size_t room)
{
	const size_t ip = bare_ip ? 0 : 14 + 4 * (size_t)p->vlans, l4 = upper_layer(p, bare_ip, b, len);
	char src[INET_ADDRSTRLEN] = "?", dst[INET_ADDRSTRLEN] = "?";

	if (p->family != 4 || l4 + 6 > len) {
		snprintf(text, room, "it");
		return;
	}
	inet_ntop(AF_INET, b + ip + 12, src, sizeof(src));
	inet_ntop(AF_INET, b + ip + 16, dst, sizeof(dst));
	if (p->body == PKT_BODY_ICMP)
		snprintf(text, room, "%s > %s id %u", src, dst, (unsigned)(b[l4 + 4] << 8 | b[l4 + 5]));
	else
		snprintf(text, room, "%s:%u > %s:%u", src, (unsigned)(b[l4] << 8 | b[l4 + 1]), dst,
			 (unsigned)(b[l4 + 2] << 8 | b[l4 + 3]));
}

int run_compare_bytes(struct run *r, const struct pkt *p, const struct rewrite *as, const sp_u8 *got, size_t len)
{
	static sp_u8 want[PKT_MAX];
	const int bare_ip = r->s->bare_ip;
	struct pkt wanted = *p, quote;
	char is[100], must[100];
	size_t n, l4 = upper_layer(p, bare_ip, got, len), id = p->body == PKT_BODY_ICMP ? 4 : 0;

	if (as->outer.given && !(p->is_frag && p->frag_off)) {
		learn(r, as->outer.sport_var, got, len, l4 + id);
		learn(r, as->outer.dport_var, got, len, l4 + 2);
	}
	if (p->quote) {
		quote = *p->quote;
		wanted.quote = &quote;
		if (replace(r, &quote, &as->quote))
			return -1;
	}
	if (replace(r, &wanted, &as->outer))
		return -1;
	n = pkt_build(&wanted, bare_ip, want, sizeof(want));
	if (n == len && !memcmp(want, got, len))
		return 0;
	for (n = 0; n < len && want[n] == got[n];)
		n++;
	say_ends(p, bare_ip, got, len, is, sizeof(is));
	say_ends(p, bare_ip, want, len, must, sizeof(must));
	return run_fail(r, "the packet leaves as %s, expected %s; byte %zu of %zu is %02x, expected %02x", is, must, n, len,
			got[n], want[n]);
}
