/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From characters to the tokens of one sentence. A sentence ends with its line, unless the line ends with a comma
 * and the next one does not begin a sentence of its own.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Everything that names, addresses, services, times and interfaces are made of. */
static int is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._-:/*%[]@+", c));
}

static int is_arrow(const struct sp_lexer *lx, const char *s)
{
	return lx->end - s >= 2 && s[0] == '-' && s[1] == '>';
}

static struct sp_span span(const struct sp_lexer *lx, const char *begin, const char *end)
{
	return (struct sp_span){ lx->file, lx->line, (sp_u32)(begin - lx->bol) + 1, (sp_u32)(end - begin) };
}

static int add(struct sp_lexer *lx, struct sp_toks *toks, enum sp_tok_type type, const char *begin, const char *end)
{
	struct sp_tok *tok = SP_ADD(lx->p, toks);

	if (!tok)
		return -ENOMEM;
	tok->type = type;
	tok->at = span(lx, begin, end);
	if (type == SP_TOK_STRING) {
		begin++;
		end--;
	}
	tok->text = sp_mem_text(lx->p, begin, (size_t)(end - begin));
	return tok->text ? 0 : -ENOMEM;
}

static void to_eol(struct sp_lexer *lx)
{
	const char *eol = memchr(lx->at, '\n', (size_t)(lx->end - lx->at));

	lx->at = eol ? eol : lx->end;
}

static int bad_char(struct sp_lexer *lx)
{
	unsigned char c = (unsigned char)*lx->at;
	const char *begin = lx->at++;
	struct sp_span at;
	int rc;

	while (c >= 0xc0 && lx->at < lx->end && ((unsigned char)*lx->at & 0xc0) == 0x80)
		lx->at++; /* the rest of a UTF-8 character */
	at = span(lx, begin, lx->at);
	lx->broken = 1;
	if (c == ';' || c == '{' || c == '}')
		rc = sp_diag_add(lx->p, SP_SEVERITY_ERROR, &at, "one sentence a line, without punctuation at its end",
				 NULL, "no sentence has a '%c'", c);
	else if (c == '<' || c == '>')
		rc = sp_diag_add(lx->p, SP_SEVERITY_ERROR, &at, "'->', from the left to the right", NULL,
				 "no sentence has a '%c'", c);
	else if (c < 0x20 || c == 0x7f)
		rc = sp_diag_add(lx->p, SP_SEVERITY_ERROR, &at, "text", NULL, "a control character (0x%02x)", c);
	else if (c == '\'')
		rc = sp_diag_add(lx->p, SP_SEVERITY_ERROR, &at, "double quotes, and only around file names", NULL,
				 "no sentence has a single quote");
	else
		rc = sp_diag_add(lx->p, SP_SEVERITY_ERROR, &at, "letters, digits and . _ - : / * , = \" #", NULL,
				 "no sentence has a '%.*s'", (int)at.length, begin);
	to_eol(lx);
	return rc;
}

static int lex_string(struct sp_lexer *lx, struct sp_toks *toks)
{
	const char *begin = lx->at++;
	struct sp_span at;

	while (lx->at < lx->end && *lx->at != '"' && (unsigned char)*lx->at >= 0x20 && *lx->at != 0x7f)
		lx->at++;
	if (lx->at < lx->end && *lx->at == '"')
		return add(lx, toks, SP_TOK_STRING, begin, ++lx->at);
	at = span(lx, begin, lx->at);
	lx->broken = 1;
	if (lx->at < lx->end && *lx->at != '\n' && *lx->at != '\r') {
		at = span(lx, lx->at, lx->at + 1);
		to_eol(lx);
		return sp_diag_add(lx->p, SP_SEVERITY_ERROR, &at, NULL, NULL, "a control character in a file name");
	}
	return sp_diag_add(lx->p, SP_SEVERITY_ERROR, &at, "a closing '\"' in the same line", NULL,
			   "the quote is not closed");
}

static int lex_word(struct sp_lexer *lx, struct sp_toks *toks)
{
	const char *begin = lx->at, *end;
	int rc;

	/* ":ssh" begins with the colon of the sentence; "::1" with its own */
	if (*begin == ':' && (lx->end - begin < 2 || begin[1] != ':'))
		return add(lx, toks, SP_TOK_COLON, begin, ++lx->at);
	while (lx->at < lx->end && is_word(*lx->at) && !is_arrow(lx, lx->at))
		lx->at++;
	end = lx->at;
	/* "dmz: ssh" ends with the colon of the sentence; "2001:db8::" with its own */
	if (end - begin > 1 && end[-1] == ':' && end[-2] != ':') {
		rc = add(lx, toks, SP_TOK_WORD, begin, end - 1);
		return rc ? rc : add(lx, toks, SP_TOK_COLON, end - 1, end);
	}
	return add(lx, toks, SP_TOK_WORD, begin, end);
}

static int lex_one(struct sp_lexer *lx, struct sp_toks *toks)
{
	const char *begin = lx->at;

	if (is_arrow(lx, begin)) {
		lx->at += 2;
		return add(lx, toks, SP_TOK_ARROW, begin, lx->at);
	}
	if (*begin == '"')
		return lex_string(lx, toks);
	if (is_word(*begin))
		return lex_word(lx, toks);
	if (*begin != ',' && *begin != '=')
		return bad_char(lx);
	lx->at++;
	return add(lx, toks, *begin == ',' ? SP_TOK_COMMA : SP_TOK_EQUALS, begin, lx->at);
}

/* Passes blanks and a comment. */
static void skip_blank(struct sp_lexer *lx)
{
	while (lx->at < lx->end && is_blank(*lx->at))
		lx->at++;
	if (lx->at < lx->end && *lx->at == '#')
		to_eol(lx);
}

static void next_line(struct sp_lexer *lx)
{
	lx->at++;
	lx->bol = lx->at;
	lx->line++;
}

/* At the end of a line that ended with a comma: does the sentence go on? Then it moves to where it does. */
static int goes_on(struct sp_lexer *lx)
{
	struct sp_lexer look = *lx;
	const char *end;

	while (look.at < look.end && *look.at == '\n') {
		next_line(&look);
		skip_blank(&look);
	}
	for (end = look.at; end < look.end && is_word(*end); end++)
		;
	if (look.at == look.end || sp_word_is_verb(look.at, (size_t)(end - look.at)))
		return 0;
	*lx = look;
	return 1;
}

int sp_lex_sentence(struct sp_lexer *lx, struct sp_toks *toks)
{
	int rc;

	toks->n = 0;
	lx->broken = 0;
	for (;;) {
		skip_blank(lx);
		if (lx->at == lx->end || *lx->at == '\n') {
			if (toks->n && lx->at < lx->end && !lx->broken && toks->v[toks->n - 1].type == SP_TOK_COMMA &&
			    goes_on(lx))
				continue;
			if (toks->n || lx->broken || lx->at == lx->end)
				break;
			next_line(lx);
			continue;
		}
		rc = lex_one(lx, toks);
		if (rc)
			return rc;
	}
	if (!toks->n && !lx->broken)
		return 1;
	rc = add(lx, toks, SP_TOK_END, lx->at, lx->at);
	if (toks->n > 1) /* the end is right behind the last word, not behind a comment */
		toks->v[toks->n - 1].at.column = toks->v[toks->n - 2].at.column + toks->v[toks->n - 2].at.length;
	return rc;
}
