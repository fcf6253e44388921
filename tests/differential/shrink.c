/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a case small: first whole runs of steps are left out, halving their length (Zeller and Hildebrandt, "Simplifying and
 * isolating failure-inducing input", 2002), then each packet is made plainer, one field at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "shrink.h"

/* Without steps at..at+n-1. Their time passes all the same. 1: it still shows, and they are gone. */
static int without(struct batch *b, int at, int n, shows_fn *shows, void *arg)
{
	struct seq_step *was = b->step, *now = malloc(sizeof(*now) * (size_t)b->n);
	const int had = b->n;

	if (!now)
		abort();
	memcpy(now, was, sizeof(*now) * (size_t)at);
	memcpy(now + at, was + at + n, sizeof(*now) * (size_t)(had - at - n));
	if (at + n < had)
		for (int i = at; i < at + n; i++)
			now[at].wait_ms += was[i].wait_ms;
	b->step = now;
	b->n = had - n;
	if (b->n && shows(arg, b)) {
		for (int i = at; i < at + n; i++)
			pkt_free(&was[i].pkt);
		free(was);
		return 1;
	}
	free(now);
	b->step = was;
	b->n = had;
	return 0;
}

static void leave_out(struct batch *b, shows_fn *shows, void *arg)
{
	for (int n = b->n / 2; n; n /= 2)
		for (int at = b->n - n; at >= 0; at -= n)
			if (at + n <= b->n)
				without(b, at, n, shows, arg);
	for (int at = b->n - 1; at >= 0; at--)
		without(b, at, 1, shows, arg);
}

enum plainer {
	NO_WAIT, NO_DATA, NO_OPTIONS, NO_IP_OPTIONS, NO_VLAN, NO_EXTS, NO_FRAGMENT, NO_PAD, NO_CUT, NO_URG, NO_TTL,
	NO_TOS, NO_ID, NO_LENGTHS, NO_WINDOW, NO_QUOTE_LEN, NO_BAD_SUM, NO_NO_SUM, NO_DF, NO_QUOTE_DATA, NO_QUOTE_OPTIONS,
	PLAINER_COUNT
};

static void make_plainer(struct seq_step *s, enum plainer how)
{
	struct pkt *p = &s->pkt;

	switch (how) {
	case NO_WAIT: s->wait_ms = 0; break;
	case NO_DATA: p->data = 0; break;
	case NO_OPTIONS: p->opts = 0; break;
	case NO_IP_OPTIONS: p->ip_opts = 0; break;
	case NO_VLAN: p->vlans = 0; break;
	case NO_EXTS: p->exts = p->is_frag = 0; break;
	case NO_FRAGMENT:
		p->is_frag = p->more = 0;
		for (int i = 0; i < p->exts; i++)
			if (p->ext[i].is_frag)
				p->exts = i;
		break;
	case NO_PAD: p->pad = 0; break;
	case NO_CUT: p->cut = PKT_UNSET; break;
	case NO_URG: p->urg = 0; break;
	case NO_TTL: p->ttl = PKT_UNSET; break;
	case NO_TOS: p->tos = PKT_UNSET; break;
	case NO_ID: p->ip_id = PKT_UNSET; break;
	case NO_LENGTHS: p->ip_len = p->ip_hlen = p->ip_version = p->udp_len = p->doff = PKT_UNSET; break;
	case NO_WINDOW: p->win = 64240; break;
	case NO_QUOTE_LEN: p->quote_len = PKT_UNSET; break;
	case NO_BAD_SUM: p->bad_sum = p->bad_ip_sum = 0; break;
	case NO_NO_SUM: p->no_sum = p->partial_sum = 0; break;
	case NO_DF: p->df = p->evil = 0; break;
	case NO_QUOTE_DATA:
		if (p->quote)
			p->quote->data = 0;
		break;
	case NO_QUOTE_OPTIONS:
		if (p->quote)
			p->quote->opts = 0;
		break;
	case PLAINER_COUNT: break;
	}
}

static void make_all_plainer(struct batch *b, shows_fn *shows, void *arg)
{
	for (int i = 0; i < b->n; i++)
		for (int how = 0; how < PLAINER_COUNT; how++) {
			const struct seq_step was = b->step[i];
			struct pkt quote;

			if (was.pkt.quote)
				quote = *was.pkt.quote;
			make_plainer(&b->step[i], (enum plainer)how);
			if (shows(arg, b))
				continue;
			b->step[i] = was;
			if (was.pkt.quote)
				*was.pkt.quote = quote;
		}
}

static void without_setting(struct batch *b, shows_fn *shows, void *arg)
{
	const struct batch was = *b;

	b->policy = NULL;
	if (!shows(arg, b))
		b->policy = was.policy;
	b->unanswered_max = 0;
	if (!shows(arg, b))
		b->unanswered_max = was.unanswered_max;
	b->translates = 0; /* then nobody has another address, see play_resolve() */
	if (!shows(arg, b))
		b->translates = was.translates;
}

void shrink(struct batch *b, int last, shows_fn *shows, void *arg)
{
	if (!shows(arg, b))
		return; /* it does not show again: nothing is gained */
	if (last + 1 < b->n)
		without(b, last + 1, b->n - last - 1, shows, arg);
	without_setting(b, shows, arg);
	leave_out(b, shows, arg);
	make_all_plainer(b, shows, arg);
	leave_out(b, shows, arg);
}
