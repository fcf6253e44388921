/* SPDX-License-Identifier: BSD-2-Clause */
/* Options, which close a sentence; and what to say when neither an option nor the end of the line is there. */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define BIT(kind) (1u << (kind))
#define PERMISSIONS (BIT(SP_KIND_OPEN) | BIT(SP_KIND_ALLOW) | BIT(SP_KIND_FORWARD))
#define NAMED (PERMISSIONS | BIT(SP_KIND_BLOCK) | BIT(SP_KIND_NAT) | BIT(SP_KIND_EXPRESS) | \
	       BIT(SP_KIND_REFUSE))

enum option { LOG, IDLE, RATE, LIMIT, REJECT, DROP, AS, OPTIONS };

static const struct {
	const char *word;
	unsigned kinds;	      /* sentences that can have it */
	const char *expected; /* its value, or NULL: it has none */
} options[OPTIONS] = {
	[LOG] = { "log", PERMISSIONS | BIT(SP_KIND_BLOCK), NULL },
	[IDLE] = { "idle", PERMISSIONS, "a time from 1s to 30d: 90s, 30m, 2h, 1d" },
	[RATE] = { "rate", PERMISSIONS, "new conversations of one source in a time: 10/s, 100/m, 5/h" },
	[LIMIT] = { "limit", PERMISSIONS, "conversations of one source at a time, 1 to 1000000" },
	[REJECT] = { "reject", BIT(SP_KIND_BLOCK), NULL },
	[DROP] = { "drop", BIT(SP_KIND_BLOCK), NULL },
	[AS] = { "as", NAMED, "a name for this line" },
};

static const char *expected_of(const struct sp_sentence *line)
{
	if (line->kind == SP_KIND_OPEN && !line->options)
		return line->from.n ? "',', an option (log, idle, rate, limit, as) or the end of the line"
				    : "',', 'from', an option (log, idle, rate, limit, as) or the end of the line";
	if (PERMISSIONS & BIT(line->kind))
		return "an option (log, idle, rate, limit, as) or the end of the line";
	if (line->kind == SP_KIND_BLOCK)
		return line->path || line->to.n || line->options
			       ? "an option (log, reject, drop, as) or the end of the line"
			       : "',', '->', an option (log, reject, drop, as) or the end of the line";
	return NAMED & BIT(line->kind) ? "'as' and a name, or the end of the line" : "the end of the line";
}

static int bad_value(struct sp_parser *ps, enum option option, const struct sp_tok *tok)
{
	return sp_parse_error(ps, &tok->at, options[option].expected, NULL, "'%s' is no value for '%s'", tok->text,
			      options[option].word);
}

static int set_name(struct sp_parser *ps, struct sp_sentence *line, const struct sp_tok *tok)
{
	if (!sp_word_is_name(tok->text) || sp_word_is_reserved(tok->text))
		return sp_parse_error(ps, &tok->at, "a letter, then letters, digits and - _ . (31 at most)", NULL,
				      "'%s' can not be a name", tok->text);
	line->name = tok->text;
	line->is_named = 1;
	line->subject_at = line->subject ? line->subject_at : tok->at;
	return 0;
}

static int set_value(struct sp_parser *ps, struct sp_sentence *line, enum option option, const struct sp_tok *tok)
{
	switch (option) {
	case LOG:
		line->log = 1;
		return 0;
	case IDLE:
		return sp_read_time(tok->text, &line->idle_s) ? bad_value(ps, option, tok) : 0;
	case RATE:
		return sp_read_rate(tok->text, &line->rate, &line->rate_per_s) ? bad_value(ps, option, tok) : 0;
	case LIMIT:
		return sp_read_number(tok->text, strlen(tok->text), 1000000, &line->limit) || !line->limit
			       ? bad_value(ps, option, tok)
			       : 0;
	case REJECT:
		line->refusal = SP_REFUSE_REJECT;
		return 0;
	case DROP:
		line->refusal = SP_REFUSE_DROP;
		return 0;
	case AS:
		return set_name(ps, line, tok);
	case OPTIONS:
		break;
	}
	return -EINVAL;
}

static int one_option(struct sp_parser *ps, struct sp_sentence *line, enum option option)
{
	const struct sp_tok *tok = sp_parse_tok(ps);
	int clash = (option == REJECT && line->options & BIT(DROP)) || (option == DROP && line->options & BIT(REJECT));

	if (!(options[option].kinds & BIT(line->kind)))
		return sp_parse_error(ps, &tok->at, expected_of(line), NULL, "'%s' has no meaning for '%s'", tok->text,
				      ps->toks.v[0].text);
	if (line->options & BIT(option))
		return sp_parse_error(ps, &tok->at, "each option once", NULL, "a second '%s'", tok->text);
	if (clash)
		return sp_parse_error(ps, &tok->at, "one of them", NULL, "both 'reject' and 'drop'");
	line->options |= BIT(option);
	ps->i++;
	if (!options[option].expected)
		return set_value(ps, line, option, tok);
	tok = sp_parse_tok(ps);
	if (tok->type != SP_TOK_WORD)
		return sp_parse_fail(ps, options[option].expected);
	ps->i++;
	return set_value(ps, line, option, tok);
}

/* Neither an option nor the end: a comma is missing, a word is misspelt, or something else altogether. */
static int leftover(struct sp_parser *ps, struct sp_sentence *line)
{
	const struct sp_tok *tok = sp_parse_tok(ps), *before = tok - 1;
	const char *expected = expected_of(line);
	int proto = before->type == SP_TOK_WORD ? sp_proto_read(before->text, strlen(before->text)) : -1;
	struct sp_span both = before->at;
	struct sp_guess g;
	int i;

	if (tok->type != SP_TOK_WORD || before->type != SP_TOK_WORD)
		return sp_parse_fail(ps, expected);
	if (line->services.n && sp_proto_ports(proto) && *tok->text >= '0' && *tok->text <= '9') {
		both.length = tok->at.column + tok->at.length - both.column;
		return sp_parse_error(ps, &both, expected, sp_mem_printf(ps->p, "%s/%s", before->text, tok->text),
				      "a protocol and its port are one word");
	}
	if (line->services.n && (!strcmp(before->text, "port") || !strcmp(before->text, "ports")) &&
	    *tok->text >= '0' && *tok->text <= '9') {
		both.length = tok->at.column + tok->at.length - both.column;
		return sp_parse_error(ps, &both, "a protocol and a port in one word",
				      sp_mem_printf(ps->p, "tcp/%s", tok->text), "a port has a protocol");
	}
	if (!strcmp(tok->text, "and") || !strcmp(tok->text, "or"))
		return sp_parse_error(ps, &tok->at, expected, ",", "'%s' does not belong here", tok->text);
	if (line->kind == SP_KIND_FORWARD && !strcmp(tok->text, "from"))
		return sp_parse_error(ps, &tok->at, expected, NULL, "'from' comes too late: it stands before 'to'");
	if (line->options && (!strcmp(tok->text, "from") || !strcmp(tok->text, "to")))
		return sp_parse_error(ps, &tok->at, expected, NULL, "'%s' comes too late: options close the line",
				      tok->text);
	sp_guess_init(&g, tok->text);
	for (i = 0; i < OPTIONS; i++)
		if (options[i].kinds & BIT(line->kind))
			sp_guess_try(&g, options[i].word);
	if (line->kind == SP_KIND_OPEN && !line->from.n && !line->options)
		sp_guess_try(&g, "from");
	if (g.best)
		return sp_parse_error(ps, &tok->at, expected, g.best, "'%s' does not belong here", tok->text);
	if (!sp_word_is_reserved(tok->text) && !line->options && line->kind != SP_KIND_FORWARD &&
	    line->kind != SP_KIND_REFUSE && line->kind != SP_KIND_EXPRESS &&
	    !(line->kind == SP_KIND_NAT && line->nat != SP_NAT_POOL))
		return sp_parse_error(ps, &tok->at, expected, sp_mem_printf(ps->p, ", %s", tok->text),
				      "'%s' does not belong here without a comma", tok->text);
	return sp_parse_fail(ps, expected);
}

int sp_parse_options(struct sp_parser *ps, struct sp_sentence *line)
{
	for (;;) {
		const struct sp_tok *tok = sp_parse_tok(ps);
		sp_u32 before = ps->i;
		int i = 0, rc;

		if (tok->type == SP_TOK_END)
			return 0;
		while (tok->type == SP_TOK_WORD && i < OPTIONS && strcmp(options[i].word, tok->text))
			i++;
		if (tok->type != SP_TOK_WORD || i == OPTIONS)
			return leftover(ps, line);
		rc = one_option(ps, line, (enum option)i);
		if (rc && (rc != -EINVAL || ps->i < before + 2)) /* after a wrong value it goes on */
			return rc;
	}
}
