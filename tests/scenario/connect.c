/* SPDX-License-Identifier: BSD-2-Clause */
/* `connect`: a whole TCP handshake in one line of a scenario, translated or not. */
#include <string.h>

#include "script.h"

struct handshake {
	sp_u64 seq, peer, win, peer_win, wscale;
	int no_scale;
};

static int parse_handshake(struct words *ws, struct handshake *h)
{
	struct {
		const char *word;
		sp_u64 max, *to;
	} numbers[] = { { "seq", 0xffffffffu, &h->seq },
			{ "peer", 0xffffffffu, &h->peer },
			{ "win", 65535, &h->win },
			{ "peer-win", 65535, &h->peer_win },
			{ "wscale", 14, &h->wscale } };
	int again = 1;

	*h = (struct handshake){ .seq = 1000, .peer = 9000, .win = 64240, .peer_win = 64240, .wscale = 7 };
	while (again) {
		again = 0;
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			if (words_take(ws, numbers[i].word)) {
				if (words_number(ws, numbers[i].max, numbers[i].to))
					return -1;
				again = 1;
			}
		if (words_take(ws, "noscale"))
			again = h->no_scale = 1;
	}
	return 0;
}

/* The ends of a packet, and what they become. */
struct way {
	struct pkt ends;
	struct rewrite as;
	const struct arrow *arrow;
};

static void handshake_packet(struct script *s, int line, const struct way *way, int answer, const struct handshake *h,
			     int flags, int reason)
{
	struct step *st = script_new_step(s, STEP_PACKET, line);
	struct pkt *p = &st->pkt;

	*p = way->ends;
	st->as = way->as;
	st->arrow = way->arrow;
	st->expect[st->expects++] = (sp_u8)reason;
	if (reason == SP_R_NEW_PERMITTED && way->arrow->zone == SP_ZONE_INSIDE)
		st->expect[st->expects++] = SP_R_NEW_INSIDE; /* hairpin needs no line */
	p->proto = 6;
	p->body = PKT_BODY_TCP;
	p->flags = (sp_u8)flags;
	p->seq = (sp_u32)(answer ? h->peer : h->seq) + (flags == 0x10);
	p->ack = flags & 0x10 ? (sp_u32)(answer ? h->seq : h->peer) + 1 : 0;
	p->win = (sp_u16)(answer ? h->peer_win : h->win);
	if (flags & 2 && !h->no_scale) {
		sp_u8 opt[4] = { 1, 3, 3, (sp_u8)h->wscale };

		memcpy(p->opt, opt, 4);
		p->opts = 4;
	} else if (!(flags & 2) && !h->no_scale) {
		p->win = (sp_u16)(h->win >> h->wscale);
	}
}

static void ends_of(const struct pkt *p, struct ends *e)
{
	memcpy(e->src, p->src, 16);
	memcpy(e->dst, p->dst, 16);
	e->sport = p->sport;
	e->dport = p->dport;
	e->sport_var = p->sport_var;
	e->dport_var = p->dport_var;
	e->given = 1;
}

/* The answer is sent from where the packet arrived, and arrives where that came from. */
static void turn(const struct way *way, struct way *back)
{
	struct ends there, here;
	struct pkt *p = &back->ends;

	ends_of(&way->ends, &here);
	there = way->as.outer.given ? way->as.outer : here;
	*back = *way;
	back->arrow = NULL;
	memcpy(p->src, there.dst, 16);
	memcpy(p->dst, there.src, 16);
	p->sport = there.dport;
	p->dport = there.sport;
	p->sport_var = there.dport_var;
	p->dport_var = there.sport_var;
	memcpy(back->as.outer.src, here.dst, 16);
	memcpy(back->as.outer.dst, here.src, 16);
	back->as.outer.sport = here.dport;
	back->as.outer.dport = here.sport;
	back->as.outer.sport_var = here.dport_var;
	back->as.outer.dport_var = here.sport_var;
}

/* The arrow of what comes back, and the reason with which a conversation begins that way. */
static const struct arrow *arrow_back(const struct arrow *a, int *reason)
{
	static const struct {
		const char *there, *back;
		int reason;
	} ways[] = {
		{ "in>", "out>", SP_R_NEW_INSIDE },	   { "self>", "out>", SP_R_NEW_SELF },
		{ "self-in>", "in>", SP_R_NEW_SELF },	   { "in-out>", "out-in>", SP_R_NEW_INSIDE },
		{ "in-in>", "in-in>", SP_R_NEW_PERMITTED }, { "in-dmz>", "dmz-in>", SP_R_NEW_PERMITTED },
		{ "out-in>", "in-out>", SP_R_NEW_PERMITTED }, { "out-dmz>", "dmz-out>", SP_R_NEW_PERMITTED },
		{ "dmz-out>", "out-dmz>", SP_R_NEW_PERMITTED }, { "dmz-in>", "in-dmz>", SP_R_NEW_PERMITTED },
		{ "dmz-dmz>", "dmz-dmz>", SP_R_NEW_PERMITTED },
	};

	for (size_t i = 0; a && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].there, a->word)) {
			*reason = ways[i].reason;
			return script_arrow(ways[i].back);
		}
	return NULL;
}

/* "connect in> john:40000 > web:80 [as ...] [seq N] [peer N] [win N] [peer-win N] [wscale N | noscale]" */
int script_parse_connect(struct script *s, struct words *ws, int line)
{
	struct way way = { .arrow = script_arrow(words_next(ws)) }, back;
	int reason = 0;
	const struct arrow *arrow = arrow_back(way.arrow, &reason);
	struct handshake h;
	sp_u8 family;

	if (!arrow)
		return words_fail(ws, "'connect' goes on with in>, self>, self-in>, in-out>, ...");
	pkt_init(&way.ends);
	way.ends.proto = 6;
	if (words_endpoint(ws, 1, &way.ends.family, way.ends.src, &way.ends.sport))
		return -1;
	way.ends.sport_var = ws->var;
	if (!words_take(ws, ">") || words_endpoint(ws, 1, &family, way.ends.dst, &way.ends.dport))
		return words_fail(ws, "'connect in> john:40000 > web:80', as for a packet");
	way.ends.dport_var = ws->var;
	if (family != way.ends.family)
		return words_fail(ws, "the two ends are not of one family");
	if (words_take(ws, "as") && script_parse_rewrite(ws, &way.ends, &way.as))
		return -1;
	if (parse_handshake(ws, &h))
		return -1;
	turn(&way, &back);
	back.arrow = arrow;
	handshake_packet(s, line, &way, 0, &h, 0x02, reason);
	handshake_packet(s, line, &back, 1, &h, 0x12, SP_R_ANSWER);
	handshake_packet(s, line, &way, 0, &h, 0x10, SP_R_CONTINUES);
	return 1;
}
