/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sentences. Each verb has a function that reads what follows it; lists, services and options are in parse_list.c and
 * parse_option.c. A sentence that can not be understood is reported and given up, the next line starts afresh; a value
 * that is wrong is reported and the sentence goes on. What a broken sentence would have defined stays known by its
 * name, so that one error does not make ten.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const char of_file[] = "the name of a file in double quotes";

int sp_parse_error(struct sp_parser *ps, const struct sp_span *at, const char *expected, const char *suggestion,
		   const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = sp_mem_vprintf(ps->p, fmt, ap);
	va_end(ap);
	ps->broken = 1;
	if (!text || sp_diag_add(ps->p, SP_SEVERITY_ERROR, at, expected, suggestion, "%s", text))
		return -ENOMEM;
	return -EINVAL;
}

int sp_parse_fail(struct sp_parser *ps, const char *expected)
{
	const struct sp_tok *tok = sp_parse_tok(ps);

	if (tok->type == SP_TOK_END)
		return sp_parse_error(ps, &tok->at, expected, NULL, "the sentence ends too early");
	if (tok->type == SP_TOK_STRING)
		return sp_parse_error(ps, &tok->at, expected, NULL, "no file name belongs here");
	return sp_parse_error(ps, &tok->at, expected, NULL, "'%s' does not belong here", tok->text);
}

static int is_word(const struct sp_parser *ps, const char *word)
{
	const struct sp_tok *tok = sp_parse_tok(ps);

	return tok->type == SP_TOK_WORD && !strcmp(tok->text, word);
}

static int take(struct sp_parser *ps, enum sp_tok_type type, const char *expected)
{
	if (sp_parse_tok(ps)->type != type)
		return sp_parse_fail(ps, expected);
	ps->i++;
	return 0;
}

/* A word that must be this one; a near miss is recognised. */
static int take_word(struct sp_parser *ps, const char *word, const char *expected)
{
	const struct sp_tok *tok = sp_parse_tok(ps);
	struct sp_guess g;

	if (is_word(ps, word)) {
		ps->i++;
		return 0;
	}
	if (tok->type == SP_TOK_WORD) {
		sp_guess_init(&g, tok->text);
		sp_guess_try(&g, word);
		if (g.best)
			return sp_parse_error(ps, &tok->at, expected, g.best, "'%s' does not belong here", tok->text);
	}
	return sp_parse_fail(ps, expected);
}

static int take_file(struct sp_parser *ps, struct sp_sentence *line)
{
	const struct sp_tok *tok = sp_parse_tok(ps);
	int rc;

	if (tok->type == SP_TOK_WORD)
		return sp_parse_error(ps, &tok->at, of_file, sp_mem_printf(ps->p, "\"%s\"", tok->text),
				      "the name of a file without quotes");
	if (tok->type == SP_TOK_STRING && !*tok->text)
		return sp_parse_error(ps, &tok->at, of_file, NULL, "the name of the file is empty");
	rc = take(ps, SP_TOK_STRING, of_file);
	if (rc)
		return rc;
	line->path_at = tok->at;
	line->path = sp_source_path(ps->p, tok->at.file, tok->text);
	return line->path ? 0 : -ENOMEM;
}

/* The name that a sentence defines. */
static int take_subject(struct sp_parser *ps, struct sp_sentence *line, const char *expected)
{
	const struct sp_tok *tok = sp_parse_tok(ps);

	if (tok->type != SP_TOK_WORD)
		return sp_parse_fail(ps, expected);
	if (sp_word_is_reserved(tok->text))
		return sp_parse_error(ps, &tok->at, expected, NULL,
				      "'%s' is a word of the language and can not be a name", tok->text);
	if (!sp_word_is_name(tok->text))
		return sp_parse_error(ps, &tok->at, "a letter, then letters, digits and - _ . (31 at most)", NULL,
				      "'%s' can not be a name", tok->text);
	line->subject = tok->text;
	line->subject_at = tok->at;
	ps->i++;
	return 0;
}

static int parse_wan(struct sp_parser *ps, struct sp_sentence *line)
{
	line->subject = "outside";
	line->subject_at = line->at;
	return sp_parse_interfaces(ps, &line->from);
}

static int parse_lan(struct sp_parser *ps, struct sp_sentence *line)
{
	line->subject = "inside";
	line->subject_at = line->at;
	return sp_parse_interfaces(ps, &line->from);
}

static int parse_zone(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc = take_subject(ps, line, "the name of a zone");

	if (!rc && !strcmp(line->subject, "self"))
		rc = sp_parse_error(ps, &line->subject_at, "outside, inside, or a name of your own", NULL,
				    "'self' is this machine and has no interfaces");
	if (!rc)
		rc = take(ps, SP_TOK_EQUALS, "'='");
	return rc ? rc : sp_parse_interfaces(ps, &line->from);
}

static int parse_host(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc = take_subject(ps, line, "the name of a host");

	if (!rc)
		rc = take(ps, SP_TOK_EQUALS, "'='");
	return rc ? rc : sp_parse_addresses(ps, &line->from, 0);
}

static int parse_set(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc = take_subject(ps, line, "the name of a set");

	if (!rc)
		rc = take(ps, SP_TOK_EQUALS, "'='");
	if (rc)
		return rc;
	if (is_word(ps, "file")) {
		ps->i++;
		return take_file(ps, line);
	}
	return sp_parse_people(ps, &line->from);
}

static int parse_service(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc = take_subject(ps, line, "the name of a service");

	if (!rc)
		rc = take(ps, SP_TOK_EQUALS, "'='");
	return rc ? rc : sp_parse_services(ps, &line->services);
}

static int parse_open(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc = sp_parse_services(ps, &line->services);

	if (rc || !is_word(ps, "from"))
		return rc;
	ps->i++;
	return sp_parse_people(ps, &line->from);
}

/* A -> B : SERVICES */
static int parse_allow(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc = sp_parse_people(ps, &line->from);

	if (!rc && is_word(ps, "to"))
		rc = sp_parse_error(ps, &sp_parse_tok(ps)->at, "'->' and who may be reached", "->",
				    "'to' does not belong here");
	if (!rc)
		rc = take(ps, SP_TOK_ARROW, "'->' and who may be reached");
	if (!rc)
		rc = sp_parse_people(ps, &line->to);
	if (!rc)
		rc = take(ps, SP_TOK_COLON, "':' and services");
	return rc ? rc : sp_parse_services(ps, &line->services);
}

static int parse_block(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc;

	if (is_word(ps, "file")) {
		ps->i++;
		return take_file(ps, line);
	}
	rc = sp_parse_people(ps, &line->from);
	if (rc || sp_parse_tok(ps)->type != SP_TOK_ARROW)
		return rc;
	ps->i++;
	rc = sp_parse_people(ps, &line->to);
	if (rc || sp_parse_tok(ps)->type != SP_TOK_COLON)
		return rc;
	ps->i++;
	return sp_parse_services(ps, &line->services);
}

static int parse_forward(struct sp_parser *ps, struct sp_sentence *line)
{
	int rc = sp_parse_services(ps, &line->services);

	if (!rc && is_word(ps, "from")) {
		ps->i++;
		rc = sp_parse_people(ps, &line->from);
	}
	if (!rc && sp_parse_tok(ps)->type == SP_TOK_ARROW)
		rc = sp_parse_error(ps, &sp_parse_tok(ps)->at, "'to' and a host", "to", "'->' does not belong here");
	if (!rc)
		rc = take_word(ps, "to", "'to' and a host");
	return rc ? rc : sp_parse_target(ps, line);
}

static int parse_nat(struct sp_parser *ps, struct sp_sentence *line)
{
	static const char expected[] = "'off', 'open', or 'pool' and addresses";

	if (is_word(ps, "pool")) {
		ps->i++;
		line->nat = SP_NAT_POOL;
		return sp_parse_addresses(ps, &line->from, 1);
	}
	line->nat = is_word(ps, "open") ? SP_NAT_OPEN : SP_NAT_OFF;
	return line->nat == SP_NAT_OPEN ? take_word(ps, "open", expected) : take_word(ps, "off", expected);
}

static int parse_express(struct sp_parser *ps, struct sp_sentence *line)
{
	line->is_on = is_word(ps, "on");
	return take_word(ps, line->is_on ? "on" : "off", "'on' or 'off'");
}

static int parse_refuse(struct sp_parser *ps, struct sp_sentence *line)
{
	static const char how[] = "'reject' or 'drop'";
	const struct sp_tok *tok = sp_parse_tok(ps);
	int rc;

	if (tok->type != SP_TOK_WORD || sp_word_is_reserved(tok->text))
		return sp_parse_fail(ps, "a zone");
	line->subject = tok->text;
	line->subject_at = tok->at;
	ps->i++;
	rc = take_word(ps, "with", "'with' and 'reject' or 'drop'");
	if (rc)
		return rc;
	line->refusal = is_word(ps, "reject") ? SP_REFUSE_REJECT : SP_REFUSE_DROP;
	return take_word(ps, line->refusal == SP_REFUSE_REJECT ? "reject" : "drop", how);
}

static const struct {
	const char *verb;
	enum sp_kind kind;
	int (*parse)(struct sp_parser *ps, struct sp_sentence *line);
} sentences[] = {
	{ "wan", SP_KIND_ZONE, parse_wan },	 { "lan", SP_KIND_ZONE, parse_lan },
	{ "zone", SP_KIND_ZONE, parse_zone },	 { "host", SP_KIND_HOST, parse_host },
	{ "set", SP_KIND_SET, parse_set },	 { "service", SP_KIND_SERVICE, parse_service },
	{ "open", SP_KIND_OPEN, parse_open },	 { "allow", SP_KIND_ALLOW, parse_allow },
	{ "block", SP_KIND_BLOCK, parse_block }, { "forward", SP_KIND_FORWARD, parse_forward },
	{ "nat", SP_KIND_NAT, parse_nat },	 { "refuse", SP_KIND_REFUSE, parse_refuse },
	{ "express", SP_KIND_EXPRESS, parse_express },
};
#define SENTENCES (sizeof(sentences) / sizeof(sentences[0]))

const char *sp_kind_name(enum sp_kind kind)
{
	static const char *const names[SP_KIND_COUNT] = { "zone",    "host",  "set",  "service", "refuse", "nat",
							  "express", "block", "open", "allow",	 "forward" };

	return names[kind];
}

static int unknown_verb(struct sp_parser *ps)
{
	static const struct {
		const char *theirs, *ours;
	} foreign[] = {
		/* verbs of other firewalls */
		{ "accept", "allow" }, { "permit", "allow" },	{ "pass", "allow" },	   { "deny", "block" },
		{ "drop", "block" },   { "reject", "block" },	{ "redirect", "forward" }, { "rdr", "forward" },
		{ "dnat", "forward" }, { "masquerade", "nat" }, { "snat", "nat" },	   { "ipset", "set" },
		{ "table", "set" },    { "interface", "zone" },
	};
	const struct sp_tok *tok = sp_parse_tok(ps);
	const char *const *verb;
	struct sp_guess g;
	size_t i;

	if (tok->type != SP_TOK_WORD)
		return sp_parse_error(ps, &tok->at, "a sentence, such as 'open ssh'", NULL,
				      "no sentence begins like this");
	sp_guess_init(&g, tok->text);
	for (verb = sp_word_verbs(); *verb; verb++)
		sp_guess_try(&g, *verb);
	for (i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (!strcmp(foreign[i].theirs, tok->text))
			g.best = foreign[i].ours;
	return sp_parse_error(ps, &tok->at,
			      "wan, lan, zone, host, set, service, open, allow, block, forward, nat, express, refuse, "
			      "include", g.best, "no sentence begins with '%s'", tok->text);
}

static int parse_include(struct sp_parser *ps)
{
	struct sp_sentence dummy = { .kind = SP_KIND_COUNT };
	const struct sp_tok *what;
	int rc;

	ps->i++;
	what = sp_parse_tok(ps);
	rc = take_file(ps, &dummy);
	if (!rc && sp_parse_tok(ps)->type != SP_TOK_END)
		rc = sp_parse_fail(ps, "the end of the line");
	return rc ? rc : sp_source_include(ps->p, what, ps->depth + 1);
}

static int keep(struct sp_parser *ps, struct sp_sentence *line)
{
	struct sp_policy *p = ps->p;

	if (p->n_lines == SP_POLICY_LINES_MAX) {
		if (p->priv->too_many_lines)
			return 0;
		p->priv->too_many_lines = 1;
		return sp_diag_add(p, SP_SEVERITY_ERROR, &line->at, NULL, NULL, "more than %d sentences",
				   SP_POLICY_LINES_MAX);
	}
	if (sp_mem_room(p, (void **)&p->lines, p->n_lines, &p->cap_lines, sizeof(*p->lines)))
		return -ENOMEM;
	p->lines[p->n_lines++] = line;
	return 0;
}

static int parse_sentence(struct sp_parser *ps)
{
	struct sp_sentence *line;
	size_t i;
	int rc;

	ps->i = 0;
	if (is_word(ps, "include"))
		return parse_include(ps);
	for (i = 0; i < SENTENCES && !is_word(ps, sentences[i].verb); i++)
		;
	if (i == SENTENCES)
		return unknown_verb(ps);
	line = sp_mem_get(ps->p, sizeof(*line));
	if (!line)
		return -ENOMEM;
	line->kind = sentences[i].kind;
	line->at = sp_parse_tok(ps)->at;
	ps->i++;
	ps->broken = 0;
	rc = sentences[i].parse(ps, line);
	if (!rc)
		rc = sp_parse_options(ps, line);
	if (rc && rc != -EINVAL)
		return rc;
	line->is_broken = rc || ps->broken;
	line->is_whole = !rc;
	if (line->path && !line->is_broken) {
		rc = sp_source_nets(ps->p, line);
		if (rc)
			return rc;
	}
	return keep(ps, line);
}

int sp_parse_source(struct sp_policy *p, const struct sp_source *source)
{
	struct sp_lexer lx = { .p = p, .file = source->name, .at = source->data, .line = 1 };
	struct sp_parser ps = { .p = p, .depth = source->depth };
	int rc;

	lx.end = source->data + source->len;
	if (source->len >= 3 && !memcmp(source->data, "\xef\xbb\xbf", 3))
		lx.at += 3; /* some editors begin a file with this mark */
	lx.bol = lx.at;
	while (!(rc = sp_lex_sentence(&lx, &ps.toks))) {
		if (lx.broken)
			continue;
		rc = parse_sentence(&ps);
		if (rc && rc != -EINVAL)
			return rc;
	}
	return rc < 0 ? rc : 0;
}
