/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads a scenario file: cuts lines into words, handles the set-up lines, hands the rest to the steps. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define MAX_WORDS 400

static const char *const engine_names[] = { "native", "tc", "xdp" };

/* Cuts at white space; braces are words of their own, '#' begins a comment. */
static int cut_words(char *line, char **w)
{
	static char braces[2][2] = { "{", "}" };
	int n = 0;

	for (char *c = line; *c && *c != '#' && n < MAX_WORDS;) {
		if (strchr(" \t\r\n", *c)) {
			*c++ = 0;
		} else if (*c == '{' || *c == '}') {
			w[n++] = braces[*c == '}'];
			*c++ = 0;
		} else {
			w[n++] = c;
			while (*c && !strchr(" \t\r\n{}#", *c))
				c++;
			if (*c == '#') {
				*c = 0;
				break;
			}
		}
	}
	if (n == 0 || *line == '#')
		return *line == '#' ? 0 : n;
	return n;
}

static int parse_network(struct words *ws, struct script *s, const char *word)
{
	char net[64];
	char *slash;
	struct in6_addr a6;
	struct in_addr a4;
	int bits;

	snprintf(net, sizeof(net), "%s", word);
	slash = strchr(net, '/');
	if (!slash)
		return words_fail(ws, "'%s' is not a network; write 10.0.0.0/24", word);
	*slash = 0;
	bits = atoi(slash + 1);
	if (inet_pton(AF_INET, net, &a4) == 1 && bits > 0 && bits <= 32) {
		s->side.inside4_net = a4.s_addr;
		s->side.inside4_mask = htonl(0xffffffffu << (32 - bits));
	} else if (inet_pton(AF_INET6, net, &a6) == 1 && bits > 0 && bits <= 128) {
		memcpy(s->side.inside6.b, &a6, 16);
		s->side.inside6_bits = (sp_u32)bits;
	} else {
		return words_fail(ws, "'%s' is not a network; write 10.0.0.0/24 or 2a00:1::/64", word);
	}
	return 1;
}

static int parse_inside(struct words *ws, struct script *s)
{
	const char *w;

	s->side.inside4_net = s->side.inside4_mask = s->side.inside6_bits = 0;
	if (words_take(ws, "any"))
		return 1;
	while ((w = words_next(ws)))
		if (parse_network(ws, s, w) < 0)
			return -1;
	return 1;
}

/* "engines native tc: why": the rest is for the reader, and required. */
static int parse_engines(struct words *ws, struct script *s)
{
	const char *w = "";

	s->engines = 0;
	while (!strchr(w, ':') && (w = words_next(ws))) {
		size_t len = strcspn(w, ":");
		unsigned bit = 0;

		for (unsigned i = 0; i < 3; i++)
			if (strlen(engine_names[i]) == len && !strncmp(engine_names[i], w, len))
				bit = 1u << i;
		if (!bit)
			return words_fail(ws, "'%s' is not an engine: native, tc, xdp", w);
		s->engines |= bit;
	}
	if (!words_peek(ws))
		return words_fail(ws, "say why after the engines: 'engines native tc: XDP never sees ...'");
	ws->at = ws->n;
	return 1;
}

static int parse_family(struct words *ws, struct script *s)
{
	const char *w = words_next(ws);

	if (w && !strcmp(w, "both"))
		s->families = 3;
	else if (w && !strcmp(w, "4"))
		s->families = 1;
	else if (w && !strcmp(w, "6"))
		s->families = 2;
	else
		return words_fail(ws, "'family' is 4, 6 or both");
	return 1;
}

/* Set-up lines: 1 it was one, 0 not, -1 error. */
static int parse_setup(struct words *ws, struct script *s, const char *word)
{
	sp_u64 v;

	if (!strcmp(word, "gateway") || !strcmp(word, "host")) {
		s->has_mode = 1;
		s->flags = *word == 'g' ? SP_CONFIG_GATEWAY : 0;
		return 1;
	}
	if (!strcmp(word, "capacity")) {
		if (words_number(ws, SCRIPT_CAPACITY_MAX, &v))
			return -1;
		s->capacity = (sp_u32)v;
		return 1;
	}
	if (!strcmp(word, "bare"))
		return s->bare_ip = 1;
	if (!strcmp(word, "inside"))
		return parse_inside(ws, s);
	if (!strcmp(word, "engines"))
		return parse_engines(ws, s);
	if (!strcmp(word, "family"))
		return parse_family(ws, s);
	if (!strcmp(word, "nat"))
		return script_parse_nat(ws, s);
	if (!strcmp(word, "listens"))
		return script_parse_listens(ws, s);
	return 0;
}

/* The file speaks of the other family only: names would not fit, so the rest is not read. */
static int script_is_elsewhere(const struct script *s)
{
	return !(s->families & (s->family == 6 ? 2u : 1u));
}

static int parse_line(struct script *s, struct words *ws, int line)
{
	const char *word;
	int n;

	while (!script_is_elsewhere(s) && (word = words_next(ws))) {
		n = s->n == 0 ? parse_setup(ws, s, word) : 0;
		if (n == 0 && !s->has_mode)
			return words_fail(ws, "a scenario begins with 'gateway' or 'host', not with '%s'", word);
		if (n == 0)
			n = script_parse_step(s, ws, line, word);
		if (n == 0)
			return words_fail(ws, "'%s' is not a command here", word);
		if (n < 0)
			return -1;
	}
	return 0;
}

/*
 * A line that ends with an open brace and holds nothing else but the command begins a block: its lines, up to one that holds
 * only a closing brace, become s->block. Returns how many lines were read, or -1.
 */
static int read_block(struct script *s, struct words *ws, FILE *f)
{
	char *line = NULL;
	size_t room = 0, len = 0;
	int lines = 0, done = 0;

	free(s->block);
	s->block = NULL;
	if (ws->n < 2 || ws->n > 3 || strcmp(ws->w[ws->n - 1], "{") != 0)
		return 0;
	while (!done && getline(&line, &room, f) >= 0) {
		const size_t more = strlen(line);

		lines++;
		done = line[strspn(line, " \t")] == '}';
		if (done)
			break;
		s->block = realloc(s->block, len + more + 1);
		if (!s->block)
			abort();
		memcpy(s->block + len, line, more + 1);
		len += more;
	}
	free(line);
	if (!s->block)
		s->block = calloc(1, 1);
	ws->w[ws->n++] = "}";
	return done ? lines : words_fail(ws, "the block does not end with a line of '}'");
}

void script_side(struct sp_test *side)
{
	side->inside4_net = htonl(0x0a000000);
	side->inside4_mask = htonl(0xffffff00);
	side->me_outside4 = htonl(0xc000020a);
	side->me_inside4 = htonl(0x0a000001);
	side->dmz4_net = htonl(0x0a000200);
	side->dmz4_mask = htonl(0xffffff00);
	inet_pton(AF_INET6, "2a00:1::", side->inside6.b);
	inet_pton(AF_INET6, "2a00:5::10", side->me6[0].b);
	inet_pton(AF_INET6, "2a00:1::1", side->me6[1].b);
	inet_pton(AF_INET6, "2a00:6::", side->dmz6.b);
	side->inside6_bits = 64;
}

static void defaults(struct script *s, const char *path, int family)
{
	memset(s, 0, sizeof(*s));
	s->path = path;
	s->family = family;
	s->families = family == 6 ? 2 : 1;
	s->engines = 7;
	s->capacity = 1000;
	script_side(&s->side);
}

int script_read(struct script *s, const char *path, int family, char *err, size_t err_len)
{
	char *w[MAX_WORDS], what[300] = "", *line = NULL;
	size_t room = 0;
	int number = 0, rc = 0, block;
	FILE *f = fopen(path, "r");

	defaults(s, path, family);
	if (!f) {
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
		return -1;
	}
	while (rc == 0 && !script_is_elsewhere(s) && getline(&line, &room, f) >= 0) {
		struct words ws = { .w = w, .family = family, .err = what, .err_len = sizeof(what) };

		number++;
		ws.n = cut_words(line, w);
		block = read_block(s, &ws, f);
		rc = block < 0 ? -1 : parse_line(s, &ws, number);
		number += block > 0 ? block : 0;
	}
	free(line);
	fclose(f);
	if (rc == 0 && s->n == 0 && !script_is_elsewhere(s)) {
		snprintf(what, sizeof(what), "the file has no steps");
		rc = -1;
	}
	if (rc) {
		snprintf(err, err_len, "%s:%d: %s", path, number, what);
		script_free(s);
	}
	return rc;
}

void script_free(struct script *s)
{
	for (int i = 0; i < s->n; i++) {
		pkt_free(&s->steps[i].pkt);
		sp_image_free(&s->steps[i].image);
	}
	free(s->block);
	s->block = NULL;
	free(s->steps);
	s->steps = NULL;
	s->n = 0;
}
