/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of policy/ share and nobody else needs: memory, diagnostics, tokens, words. */
#ifndef SP_POLICY_INTERNAL_H
#define SP_POLICY_INTERNAL_H

#include <stdarg.h>

#include "policy.h"

struct sp_source {
	const char *name;
	char *data;
	size_t len;
	int depth;
};

struct sp_sysservice {
	const char *name;
	sp_u8 proto;
	sp_u16 port;
};

struct sp_policy_priv {
	struct sp_chunk *chunks;
	const struct sp_policy_io *io;
	struct sp_source *sources[SP_POLICY_FILES_MAX];
	struct sp_sysservice *services; /* sorted by name */
	sp_u32 n_services, cap_services;
	struct sp_sentence **by_subject; /* definitions, sorted */
	sp_u32 n_subjects;
	int too_many_lines;
	int nest; /* services within services, while they are resolved */
};

/* ---- mem.c: memory that is given back all at once; NULL: there is none ------------------------ */
void *sp_mem_get(struct sp_policy *p, size_t size) SP_MUST; /* zeroed */
char *sp_mem_text(struct sp_policy *p, const char *s, size_t len) SP_MUST;
char *sp_mem_printf(struct sp_policy *p, const char *fmt, ...) __attribute__((format(printf, 2, 3))) SP_MUST;
char *sp_mem_vprintf(struct sp_policy *p, const char *fmt, va_list ap) SP_MUST;
void sp_mem_fini(struct sp_policy *p);
int sp_mem_room(struct sp_policy *p, void **v, sp_u32 n, sp_u32 *cap, size_t size) SP_MUST;

/* A new last element of a list {v, n, cap}, zeroed; or NULL */
#define SP_ADD(p, list)                                                                                                \
	(sp_mem_room(p, (void **)&(list)->v, (list)->n, &(list)->cap, sizeof(*(list)->v)) ? NULL :                     \
											   &(list)->v[(list)->n++])

/* ---- diag.c: 0, or -ENOMEM -------------------------------------------------------------------- */
int sp_diag_add(struct sp_policy *p, enum sp_severity severity, const struct sp_span *at, const char *expected,
		const char *suggestion, const char *fmt, ...) __attribute__((format(printf, 6, 7))) SP_MUST;
void sp_diag_sort(struct sp_policy *p);
/* a file of that name whose text is still in memory, or NULL */
const struct sp_source *sp_source_find(const struct sp_policy *p, const char *name);

/* Did you mean: keeps the candidate that is nearest to what was written. */
struct sp_guess {
	const char *word; /* what was written */
	const char *best; /* the nearest candidate, or NULL */
	int distance;
};
void sp_guess_init(struct sp_guess *g, const char *word);
void sp_guess_try(struct sp_guess *g, const char *candidate);

/* ---- addr.c ---------------------------------------------------------------------------------- */
enum sp_net_error { /* why a word is no network */
	SP_NET_OK,
	SP_NET_NOT, /* not an address at all */
	SP_NET_OCTET, /* 10.0.0.300 */
	SP_NET_SHORT, /* 10.0.0/8 */
	SP_NET_ZERO, /* 010.0.0.1 */
	SP_NET_BITS, /* 10.0.0.0/33 */
	SP_NET_SUFFIX, /* *::1 with more than 64 bits, or /n after it */
	SP_NET_MAPPED, /* ::ffff:1.2.3.4 */
	SP_NET_SCOPE, /* fe80::1%eth0 */
};
/* has_host_bits: bits beyond the prefix were set; they are cleared */
enum sp_net_error sp_net_read(const char *s, size_t len, struct sp_net *net, int *has_host_bits);
int sp_net_print(char *out, const struct sp_net *net); /* out: at least SP_NET_TEXT bytes; returns the length */
#define SP_NET_TEXT 56
int sp_net_is_one(const struct sp_net *net); /* one address */
int sp_net_covers(const struct sp_net *a, const struct sp_net *b); /* a contains b */
int sp_net_overlap(const struct sp_net *a, const struct sp_net *b);
int sp_addr_looks(const char *s, size_t len); /* meant as an address rather than as a name */

/* ---- lex.c ----------------------------------------------------------------------------------- */
enum sp_tok_type {
	SP_TOK_END,
	SP_TOK_WORD,
	SP_TOK_STRING,
	SP_TOK_COMMA,
	SP_TOK_EQUALS,
	SP_TOK_ARROW,
	SP_TOK_COLON,
};

struct sp_tok {
	enum sp_tok_type type;
	const char *text; /* a word; a string without its quotes; else as it stands */
	struct sp_span at;
};

struct sp_lexer {
	struct sp_policy *p;
	const char *file;
	const char *at, *end, *bol; /* here; behind the last byte; beginning of this line */
	sp_u32 line;
	int broken; /* a character that does not belong was reported in this sentence */
};

struct sp_toks {
	struct sp_tok *v;
	sp_u32 n, cap;
};
/* The tokens of the next sentence, SP_TOK_END last; 0, 1 at the end of the file, or -ENOMEM. */
int sp_lex_sentence(struct sp_lexer *lx, struct sp_toks *toks) SP_MUST;

/* ---- word.c: reserved words and the values of options ------------------------------------------ */
int sp_word_is_reserved(const char *word);
int sp_word_is_verb(const char *word, size_t len);
const char *const *sp_word_verbs(void); /* ends with NULL */
int sp_word_is_name(const char *word); /* letter { letter | digit | - _ . }, not too long */
int sp_read_number(const char *s, size_t len, sp_u32 max, sp_u32 *out);
int sp_read_time(const char *s, sp_u32 *seconds); /* 90s 30m 2h 1d */
int sp_read_rate(const char *s, sp_u32 *rate, sp_u32 *per_s); /* 10/s 100/m 5/h */
/* a protocol's number, or -1 */
int sp_proto_read(const char *s, size_t len);
const char *sp_proto_name(int proto); /* or NULL */
int sp_proto_ports(int proto); /* has ports */
const char *const *sp_proto_words(void); /* ends with NULL */

/* ---- service.c: names of services -------------------------------------------------------------- */
int sp_services_read(struct sp_policy *p, const char *text, size_t len) SP_MUST;
int sp_services_find(struct sp_policy *p, const char *name, int proto, struct sp_portlist *out) SP_MUST; /* -ENOENT */
void sp_services_guess(struct sp_policy *p, struct sp_guess *g);
int sp_portlist_add(struct sp_policy *p, struct sp_portlist *list, int proto, unsigned low, unsigned high) SP_MUST;
void sp_portlist_merge(struct sp_portlist *list); /* sorted, without overlaps */
int sp_portlist_covers(const struct sp_portlist *a, const struct sp_portlist *b);
int sp_portlist_overlap(const struct sp_portlist *a, const struct sp_portlist *b);

/* ---- source.c: files --------------------------------------------------------------------------- */
/* The path of a file that the file `from` names: relative to the folder of `from`. */
const char *sp_source_path(struct sp_policy *p, const char *from, const char *path) SP_MUST;
/* Takes data over, also on failure. */
int sp_source_add(struct sp_policy *p, const char *name, char *data, size_t len, struct sp_source **out) SP_MUST;
/* Reads a file; 1: it can not be had, and that was reported at `at`. */
int sp_source_open(struct sp_policy *p, const char *name, size_t max, const struct sp_span *at,
		   struct sp_source **out) SP_MUST;
/* Reads the file of networks line->path into line->nets. */
int sp_source_nets(struct sp_policy *p, struct sp_sentence *line) SP_MUST;
/* Parses the files that match a pattern. */
int sp_source_include(struct sp_policy *p, const struct sp_tok *what, int depth) SP_MUST;

/* ---- parse.c, parse_list.c ---------------------------------------------------------------------- */
struct sp_parser {
	struct sp_policy *p;
	struct sp_toks toks;
	sp_u32 i;
	int depth; /* of includes */
	int broken; /* an error in this sentence was reported, and parsing goes on */
};

int sp_parse_source(struct sp_policy *p, const struct sp_source *source) SP_MUST;

/* 0; -EINVAL: reported, the sentence is given up; -ENOMEM */
int sp_parse_fail(struct sp_parser *ps, const char *expected) SP_MUST; /* the token at hand is not what was expected */
int sp_parse_error(struct sp_parser *ps, const struct sp_span *at, const char *expected, const char *suggestion,
		   const char *fmt, ...) __attribute__((format(printf, 5, 6))) SP_MUST;
int sp_parse_people(struct sp_parser *ps, struct sp_terms *list) SP_MUST;
int sp_parse_addresses(struct sp_parser *ps, struct sp_terms *list, int ranges) SP_MUST;
int sp_parse_interfaces(struct sp_parser *ps, struct sp_terms *list) SP_MUST;
int sp_parse_services(struct sp_parser *ps, struct sp_services *list) SP_MUST;
int sp_parse_target(struct sp_parser *ps, struct sp_sentence *line) SP_MUST;
int sp_parse_options(struct sp_parser *ps, struct sp_sentence *line) SP_MUST;

SP_INLINE const struct sp_tok *sp_parse_tok(const struct sp_parser *ps)
{
	return &ps->toks.v[ps->i];
}

/* ---- check.c: names resolved, and all that can be wrong ------------------------------------------- */
int sp_check(struct sp_policy *p) SP_MUST;
/* the first line that defines a name; zones, hosts and sets share theirs, services have their own */
struct sp_sentence *sp_check_find(const struct sp_policy *p, enum sp_kind kind, const char *name);
int sp_check_is_zone(const char *name); /* built in */
/* check_forward.c, check_matter.c */
int sp_check_forwards(struct sp_policy *p) SP_MUST;
int sp_check_is_host(const struct sp_net *net); /* its address can be that of a host on a network */
int sp_check_matter(struct sp_policy *p) SP_MUST; /* warnings for lines that change nothing */

/* ---- cover.c: which packets a line is about ---------------------------------------------------------- */
int sp_cover_flatten(struct sp_policy *p) SP_MUST; /* first of all */
int sp_cover_is_permission(const struct sp_sentence *line);
int sp_cover_has_options(const struct sp_sentence *line);
int sp_cover_from(const struct sp_sentence *a, const struct sp_sentence *b); /* a's senders include b's */
int sp_cover_to(const struct sp_sentence *a, const struct sp_sentence *b);
int sp_cover_services(const struct sp_sentence *a, const struct sp_sentence *b);
int sp_cover_block(const struct sp_sentence *block, const struct sp_sentence *line); /* all of line is blocked */
int sp_cover_built_in(const struct sp_sentence *line); /* allowed anyway */
int sp_cover_from_overlap(const struct sp_sentence *a, const struct sp_sentence *b); /* surely */

/* ---- name.c, print.c ---------------------------------------------------------------------------------- */
int sp_name_lines(struct sp_policy *p) SP_MUST;
/* the sentence in canonical form, without its options if bare; in memory of the policy */
const char *sp_print_line(struct sp_policy *p, const struct sp_sentence *line, int bare) SP_MUST;

#endif
