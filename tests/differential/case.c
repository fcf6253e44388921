/* SPDX-License-Identifier: BSD-2-Clause */
/* A case that was found, as a scenario file: steps, and what the first engine said to each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

#define LINE 3000

/* A conversation's outside port has a letter; when it gets another port, another letter. */
struct letters {
	sp_u16 port[SEQ_TALKS_MAX];
	char of[SEQ_TALKS_MAX], next;
};

/* The letter of the port that a talk has, if it has been seen on a packet that went out; else 0. */
static char letter(const struct letters *l, sp_u16 talk, sp_u16 port)
{
	return port && l->port[talk] == port ? l->of[talk] : 0;
}

static char learn(struct letters *l, sp_u16 talk, sp_u16 port)
{
	if (!port || letter(l, talk, port) || l->next > 'z')
		return letter(l, talk, port);
	l->port[talk] = port;
	l->of[talk] = l->next++;
	return l->of[talk];
}

static void put_letter(struct pkt *p, int destination, char var)
{
	if (p->body == PKT_BODY_ICMP)
		p->id_var = p->quote ? 0 : var;
	else if (p->body == PKT_BODY_TCP || p->proto == 17)
		*(destination ? &p->dport_var : &p->sport_var) = var;
}

static const char *arrow_of(const struct seq_step *s, const struct seen *is)
{
	if (s->from == SP_ZONE_SELF)
		return "self>";
	if (s->from == SP_ZONE_INSIDE)
		return is->leaves ? "in-out>" : "in>";
	return is->leaves ? "out-in>" : "out>";
}

static void write_frame(FILE *f, const struct pkt *p)
{
	static sp_u8 bytes[PKT_MAX];
	const size_t n = pkt_build(p, 0, bytes, sizeof(bytes));

	fprintf(f, "frame ");
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%02x", bytes[i]);
}

static void write_step(FILE *f, const struct batch *b, const struct seq_step *s, const struct seen *is, struct letters *l)
{
	char text[LINE], as[LINE] = "";
	struct pkt p;
	char var = letter(l, s->talk, is->to_port);

	play_resolve(b, s, is->to_port, &p);
	print_packet(&p, text, sizeof(text));
	if (s->wait_ms)
		fprintf(f, "wait %ums\n", s->wait_ms);
	fprintf(f, "%-7s ", arrow_of(s, is));
	if (!print_is_faithful(&p, text)) {
		write_frame(f, &p);
	} else {
		if (s->to_mapped && b->translates && var) {
			put_letter(&p, 1, var);
			if (p.quote)
				put_letter(p.quote, 0, var);
			print_packet(&p, text, sizeof(text));
		}
		fprintf(f, "%s", text);
	}
	if (is->rewritten) {
		play_put_end(s, &is->as, &p);
		if (s->from == SP_ZONE_INSIDE)
			var = learn(l, s->talk, is->as_port);
		if (s->from == SP_ZONE_INSIDE && var && is->as.port == l->port[s->talk])
			put_letter(&p, 0, var);
		print_as(&p, as, sizeof(as));
	}
	fprintf(f, " => %s %s%s\n", is->verdict == SP_PASS ? "pass" : "drop", sp_reason_name(is->reason), as);
}

int case_write(const struct batch *b, const struct seen *seen, const char *note, const char *path)
{
	struct letters l = { .next = 'a' };
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fprintf(f, "# %s\n", note);
	fprintf(f, "gateway family %s%s\n", "4", b->translates ? " nat" : "");
	if (b->policy)
		fprintf(f, "config {\n%s\n}\n", b->policy);
	if (b->unanswered_max)
		fprintf(f, "unanswered-max %u\n", b->unanswered_max);
	for (int i = 0; i < b->n; i++)
		write_step(f, b, &b->step[i], &seen[i], &l);
	return fclose(f) ? -errno : 0;
}
