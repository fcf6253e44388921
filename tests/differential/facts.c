/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be said of a step in a word: of the packet, and of what went before it. */
#include <stdio.h>
#include <string.h>

#include "facts.h"

static void add(char *text, int holds, const char *word)
{
	const size_t at = strlen(text);

	if (holds)
		snprintf(text + at, FACTS_MAX - at, "%s ", word);
}

static const char *proto_of(const struct pkt *p)
{
	switch (p->proto) {
	case 6: return "tcp";
	case 17: return "udp";
	case 136: return "udplite";
	case 132: return "sctp";
	case 1: case 58: return p->quote ? "error" : "query";
	default: return "other";
	}
}

static void tcp_facts(char *text, const struct pkt *p)
{
	if (p->proto != 6)
		return;
	add(text, p->flags & 2, "syn");
	add(text, p->flags & 16, "ack");
	add(text, p->flags & 4, "rst");
	add(text, p->flags & 1, "fin");
	add(text, p->flags & 32, "urg");
	add(text, !(p->flags & 23), "none");
	add(text, p->opts > 0, "options");
	add(text, p->opts > 2 && (p->opt[0] == 5 || p->opt[2] == 5), "sack");
	add(text, p->doff != PKT_UNSET, "doff");
	add(text, p->data > 0, "data");
}

static void ip_facts(char *text, const struct pkt *p)
{
	add(text, p->is_frag, "piece");
	add(text, p->is_frag && p->frag_off == 0, "first-piece");
	add(text, p->exts > p->is_frag, "ext");
	for (int i = 0; i < p->exts; i++)
		add(text, p->ext[i].type == 43, "routing");
	for (int i = 0; i < p->exts; i++)
		add(text, p->ext[i].type == 51, "auth");
	add(text, p->body == PKT_BODY_RAW && p->data < 8, "short");
	add(text, p->bad_sum, "badsum");
	add(text, p->no_sum, "nosum");
	add(text, p->bad_ip_sum, "badipsum");
	add(text, p->ip_opts > 0, "ipopt");
	add(text, p->ip_len != PKT_UNSET || p->cut != PKT_UNSET, "length");
	add(text, p->udp_len != PKT_UNSET, "ulen");
	add(text, p->ip_version != PKT_UNSET || p->ip_hlen != PKT_UNSET, "version");
	add(text, p->evil, "evil");
	add(text, p->ttl == 1, "ttl1");
	add(text, proto_has_ports(p->proto) && (!p->sport || !p->dport), "port0");
}

/* An address of somebody who talks in these batches: 10.0.0.0/24, 198.51.100.0/24, the router, this machine; and IPv6. */
static int is_ours(const struct pkt *p, const sp_u8 *a)
{
	if (p->family == 4)
		return (a[0] == 10 && a[3] >= 16 && a[3] != 255) || (a[0] == 198 && a[3] >= 16) ||
		       (a[0] == 203 && a[3] == 33) || a[0] == 192;
	return a[0] == 0x2a;
}

static sp_u32 end_of(const struct pkt *p)
{
	return p->seq + (sp_u32)p->data + !!(p->flags & 2) + (p->flags & 1);
}

/* The window scale that a SYN offers; -1: none, -2: the packet is no SYN. */
static int scale_of(const struct pkt *p)
{
	if (!(p->flags & 2))
		return -2;
	for (int i = 0; i + 2 < p->opts;) {
		if (p->opt[i] == 3 && p->opt[i + 1] == 3)
			return p->opt[i + 2] > 14 ? 14 : p->opt[i + 2];
		i += p->opt[i] < 2 ? 1 : p->opt[i + 1] ? p->opt[i + 1] : 1;
	}
	return -1;
}

/* Does it begin within what the other end has offered so far (RFC 9293 3.10.7.4, RFC 7323 2.3)? */
static int is_in_window(const struct batch *b, int step, const struct seen *seen)
{
	const struct seq_step *s = &b->step[step];
	int scale[2] = { -2, -2 }, any = 0;
	sp_u32 edge = 0;

	for (int i = 0; i < step; i++) {
		const struct seq_step *e = &b->step[i];
		const int back = e->from != s->from, sc = scale_of(&e->pkt);
		sp_u32 to;

		if (e->talk != s->talk || e->pkt.body != PKT_BODY_TCP || seen[i].verdict != SP_PASS || (e->pkt.flags & 4) ||
		    seen[i].reason == SP_R_CHALLENGE)
			continue;
		if (sc > -2)
			scale[back] = sc;
		if (!back || !(e->pkt.flags & 16))
			continue;
		to = e->pkt.win ? e->pkt.win : 1;
		if (sc == -2 && scale[0] >= 0 && scale[1] >= 0)
			to <<= scale[1];
		to += e->pkt.ack;
		if (!any || (sp_s32)(to - edge) > 0)
			edge = to;
		any = 1;
	}
	return any && (sp_s32)(s->pkt.seq - edge) <= 0;
}

/* Where its numbers lie: next to what was let through before from either end, behind it, or ahead. */
static void number_facts(char *text, const struct batch *b, int step, const struct seen *seen)
{
	const struct seq_step *s = &b->step[step];
	sp_u32 end[2] = { 0 };
	int has[2] = { 0 };

	for (int i = 0; i < step; i++) {
		const struct seq_step *e = &b->step[i];
		const int back = e->from != s->from;

		if (e->talk != s->talk || e->pkt.body != PKT_BODY_TCP || seen[i].verdict != SP_PASS || (e->pkt.flags & 4) ||
		    seen[i].reason == SP_R_CHALLENGE)
			continue;
		if (!has[back] || (e->pkt.flags & 2) || (sp_s32)(end_of(&e->pkt) - end[back]) > 0)
			end[back] = end_of(&e->pkt);
		has[back] = 1;
	}
	add(text, has[0] && s->pkt.seq == end[0], "seq-next");
	add(text, has[0] && (sp_s32)(s->pkt.seq - end[0]) < 0, "seq-behind");
	add(text, has[0] && (sp_s32)(s->pkt.seq - end[0]) > 0, "seq-ahead");
	add(text, is_in_window(b, step, seen), "in-window");
	if (!(s->pkt.flags & 16))
		return;
	add(text, has[1] && s->pkt.ack == end[1], "ack-next");
	add(text, has[1] && (sp_s32)(s->pkt.ack - end[1]) < 0, "ack-behind");
	add(text, has[1] && (sp_s32)(s->pkt.ack - end[1]) > 0, "ack-ahead");
	add(text, !has[1], "ack-of-nothing");
}

/* What has happened in a connection before, as far as it was let through. */
static void past_facts(char *text, const struct batch *b, int step, const struct seen *seen)
{
	int reset = 0, both = 0, begun = -1, fin = 0, piece = 0, auth = 0, pickup = 0, ends = 0;

	for (int i = 0; i < step; i++) {
		const struct seq_step *e = &b->step[i];

		if (e->talk != b->step[step].talk || seen[i].verdict != SP_PASS)
			continue;
		pickup |= seen[i].reason == SP_R_PICKED_UP;
		ends |= !is_ours(&e->pkt, e->pkt.src) || !is_ours(&e->pkt, e->pkt.dst) ||
			(proto_has_ports(e->pkt.proto) && (!e->pkt.sport || !e->pkt.dport));
		for (int x = 0; x < e->pkt.exts; x++)
			auth |= e->pkt.ext[x].type == 51;
		if (e->pkt.body != PKT_BODY_TCP)
			continue;
		if (begun < 0)
			begun = e->from;
		reset |= e->pkt.flags & 4;
		fin |= e->pkt.flags & 1;
		piece |= e->pkt.is_frag;
		both |= e->from != begun && (e->pkt.flags & 18) == 2;
	}
	add(text, reset, "after-reset");
	add(text, auth, "after-auth");
	add(text, pickup, "after-pickup");
	add(text, ends, "after-ends");
	add(text, fin, "after-fin");
	add(text, both, "simultaneous");
	add(text, piece, "after-piece");
}

void facts_of(const struct batch *b, int step, const struct seen *seen, char text[FACTS_MAX])
{
	const struct seq_step *s = &b->step[step];
	const struct pkt *p = &s->pkt;
	char phase[32];
	int first = 1, last = -1;

	strcpy(text, " ");
	add(text, 1, proto_of(p));
	add(text, 1, p->family == 4 ? "v4" : "v6");
	add(text, 1, s->from == SP_ZONE_OUTSIDE ? "in" : "out");
	add(text, b->translates && p->family == 4, "nat");
	tcp_facts(text, p);
	ip_facts(text, p);
	add(text, !is_ours(p, p->src) || !is_ours(p, p->dst) || !memcmp(p->src, p->dst, 16), "ends");
	for (int i = step - 1; i >= 0 && last < 0; i--)
		if (b->step[i].talk == s->talk) {
			first = 0;
			if (seen[i].phase)
				last = seen[i].phase;
		}
	add(text, first, "first");
	if (p->body == PKT_BODY_TCP)
		number_facts(text, b, step, seen);
	past_facts(text, b, step, seen);
	snprintf(phase, sizeof(phase), "was-%s", last < 0 ? "nothing" : sp_phase_name((unsigned)last));
	add(text, 1, phase);
	if (p->quote) {
		tcp_facts(text, p->quote);
		add(text, p->quote->bad_sum, "quoted-badsum");
		add(text, p->quote->exts > 0, "quoted-ext");
		add(text, p->quote->proto == 136, "quoted-udplite");
		add(text, p->quote->is_frag || p->quote->cut != PKT_UNSET || p->quote->ip_len != PKT_UNSET, "quoted-odd");
		add(text, p->quote_len != PKT_UNSET, "quoted-short");
		snprintf(phase, sizeof(phase), "type-%u-%u", p->icmp_type, p->icmp_code);
		add(text, 1, phase);
	}
}

int facts_hold(const char *facts, const char *words)
{
	char w[64];

	while (*words) {
		size_t n = strcspn(words, " ");
		const int not = *words == '-';

		if (n - (size_t)not + 2 < sizeof(w) && n > (size_t)not) {
			snprintf(w, sizeof(w), " %.*s ", (int)(n - (size_t)not), words + not);
			if ((strstr(facts, w) == NULL) != not)
				return 0;
		}
		words += n + strspn(words + n, " ");
	}
	return 1;
}
