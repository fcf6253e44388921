/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses the steps of a scenario: packets with their expectation, time, and what must hold between them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define IN SP_ZONE_INSIDE
#define OUT SP_ZONE_OUTSIDE
#define DMZ SCRIPT_ZONE_DMZ
#define COMES SP_HOOK_INGRESS
#define LEAVES SP_HOOK_EGRESS

static const struct arrow arrows[] = {
	{ "in>", IN, COMES, 0, 0, 0 }, /* comes in from the inside */
	{ "out>", OUT, COMES, 0, 0, 0 }, /* comes in from the outside */
	{ "dmz>", DMZ, COMES, 0, 0, 0 }, /* comes in from the zone dmz */
	{ "self>", OUT, LEAVES, 0, 0, 0 }, /* this machine sends it to the outside */
	{ "self-in>", IN, LEAVES, 0, 0, 0 }, /* this machine sends it to the inside */
	{ "self-dmz>", DMZ, LEAVES, 0, 0, 0 }, /* this machine sends it to the zone dmz */
	{ "fwd>", OUT, LEAVES, 1, IN, 0 }, /* forwarded, leaves to the outside; came in from the inside */
	{ "fwd-in>", IN, LEAVES, 1, OUT, 0 }, /* forwarded, leaves to the inside; came in from the outside */
	/* comes in here and, if it is let in, leaves there */
	{ "in-out>", IN, COMES, 0, 0, OUT },
	{ "in-in>", IN, COMES, 0, 0, IN },
	{ "in-dmz>", IN, COMES, 0, 0, DMZ },
	{ "out-in>", OUT, COMES, 0, 0, IN },
	{ "out-dmz>", OUT, COMES, 0, 0, DMZ },
	{ "out-out>", OUT, COMES, 0, 0, OUT },
	{ "dmz-out>", DMZ, COMES, 0, 0, OUT },
	{ "dmz-in>", DMZ, COMES, 0, 0, IN },
	{ "dmz-dmz>", DMZ, COMES, 0, 0, DMZ },
};

const struct arrow *script_arrow(const char *word)
{
	for (size_t i = 0; word && i < sizeof(arrows) / sizeof(arrows[0]); i++)
		if (!strcmp(arrows[i].word, word))
			return &arrows[i];
	return NULL;
}

struct step *script_new_step(struct script *s, enum step_kind kind, int line)
{
	struct step *st;

	if ((s->n & (s->n - 1)) == 0) { /* room doubles at powers of two */
		st = realloc(s->steps, sizeof(*st) * (size_t)(s->n ? 2 * s->n : 1));
		if (!st)
			abort();
		s->steps = st;
	}
	st = &s->steps[s->n++];
	memset(st, 0, sizeof(*st));
	pkt_init(&st->pkt);
	st->kind = kind;
	st->line = line;
	st->repeat = 1;
	st->class_ = -1;
	return st;
}

static int parse_expectation(struct words *ws, struct step *st)
{
	const char *verdict, *name;
	int reason;

	if (!words_take(ws, "=>"))
		return words_fail(ws, "a packet ends with '=> pass REASON' or '=> drop REASON'");
	do {
		verdict = words_next(ws);
		name = words_next(ws);
		reason = name ? sp_reason_by_name(name) : -1;
		if (!verdict || (strcmp(verdict, "pass") != 0 && strcmp(verdict, "drop") != 0))
			return words_fail(ws, "the verdict is 'pass' or 'drop', not '%s'", verdict ? verdict : "");
		if (reason < 0)
			return words_fail(ws, "'%s' is not a reason of core/reasons.h", name ? name : "");
		if (sp_reason_verdict((unsigned)reason) != (*verdict == 'p' ? SP_PASS : SP_DROP))
			return words_fail(ws, "the reason '%s' is not one for '%s'", name, verdict);
		if (st->expects == SCRIPT_EXPECTS)
			return words_fail(ws, "at most %d expectations", SCRIPT_EXPECTS);
		st->expect[st->expects++] = (sp_u8)reason;
	} while (words_take(ws, "or"));
	if (words_take(ws, "as"))
		return script_parse_rewrite(ws, &st->pkt, &st->as) ? -1 : 1;
	return 1;
}

static int parse_stepper(struct words *ws, struct step *st, const char *w)
{
	static const char *const fields[FIELD_COUNT] = { "src", "dst", "sport", "dport", "seq", "ack", "id", "echo-id" };
	size_t len = strcspn(w, "+");

	for (int i = 0; i < FIELD_COUNT; i++) {
		if (strlen(fields[i]) != len || strncmp(fields[i], w, len) != 0 || w[len] != '+')
			continue;
		if (st->steppers == SCRIPT_STEPPERS)
			return words_fail(ws, "too many fields that change");
		st->stepper[st->steppers].field = (enum step_field)i;
		st->stepper[st->steppers++].by = atol(w + len + 1);
		return 0;
	}
	return words_fail(ws, "'%s' does not say what changes: src+1, sport+1, seq+1460, ...", w);
}

/* "repeat 200 sport+1 in> tcp ..." */
static int parse_repeat(struct script *s, struct words *ws, int line)
{
	struct step *st = script_new_step(s, STEP_PACKET, line);
	const char *w;
	sp_u64 n;

	if (words_number(ws, 100000, &n))
		return -1;
	st->repeat = (unsigned)n;
	while ((w = words_next(ws)) && !(st->arrow = script_arrow(w)))
		if (parse_stepper(ws, st, w))
			return -1;
	if (!st->arrow)
		return words_fail(ws, "after 'repeat N' comes a packet: in> ..., out> ..., self> ...");
	return pkt_parse(ws, &st->pkt) ? -1 : parse_expectation(ws, st);
}

static int parse_duration(struct words *ws, sp_u64 *ns)
{
	const char *w = words_next(ws), *c = w;

	*ns = 0;
	while (c && *c) {
		char *end;
		sp_u64 v = strtoull(c, &end, 10);

		if (end == c)
			break;
		if (!strncmp(end, "ms", 2)) {
			*ns += v * 1000000;
			c = end + 2;
			continue;
		}
		if (*end != 's' && *end != 'm' && *end != 'h')
			break;
		*ns += v * SP_NS_PER_S * (*end == 's' ? 1 : *end == 'm' ? 60 : 3600);
		c = end + 1;
	}
	if (!w || *c || *ns == 0)
		return words_fail(ws, "'%s' is not a time: 59s, 2h4m, 500ms", w ? w : "");
	return 1;
}

/* "PROTO A B [echo-id N]": which conversation is meant. */
static int parse_flow_ends(struct words *ws, struct step *st)
{
	const char *w = words_next(ws);
	int proto = w ? proto_by_name(w, ws->family) : -1;
	sp_u8 family;
	sp_u64 id;

	if (proto < 0)
		return words_fail(ws, "'%s' is not a protocol", w ? w : "");
	st->pkt.proto = (sp_u8)proto;
	if (words_endpoint(ws, proto_has_ports(proto), &st->pkt.family, st->pkt.src, &st->pkt.sport) ||
	    words_endpoint(ws, proto_has_ports(proto), &family, st->pkt.dst, &st->pkt.dport))
		return -1;
	if (family != st->pkt.family)
		return words_fail(ws, "the two ends are not of one family");
	if (words_take(ws, "echo-id")) {
		if (words_number(ws, 65535, &id))
			return -1;
		st->pkt.sport = st->pkt.dport = (sp_u16)id;
	}
	return 0;
}

static int parse_flow(struct script *s, struct words *ws, int line)
{
	struct step *st = script_new_step(s, STEP_FLOW, line);
	const char *w;
	int known = 0;

	if (parse_flow_ends(ws, st))
		return -1;
	if (!words_take(ws, "is") || !(w = words_next(ws)))
		return words_fail(ws, "'flow A B is PHASE', or 'is gone'");
	snprintf(st->phase, sizeof(st->phase), "%s", w);
	for (unsigned i = 1; i < SP_PHASE_COUNT; i++)
		known |= !strcmp(sp_phase_name(i), w);
	if (!known && strcmp(w, "gone") != 0)
		return words_fail(ws, "'%s' is not a phase: ESTABLISHED, SYN-SENT, unanswered, answered, ..., gone", w);
	st->initiator = words_take(ws, "begun");
	if (words_take(ws, "by")) {
		w = words_next(ws);
		if (!w)
			return words_fail(ws, "'by' is followed by the name of a line of the policy");
		snprintf(st->by, sizeof(st->by), "%s", w);
	}
	return 1;
}

static enum compare parse_compare(struct words *ws)
{
	if (words_take(ws, ">="))
		return CMP_AT_LEAST;
	return words_take(ws, "<=") ? CMP_AT_MOST : CMP_EQUAL;
}

static int parse_flows(struct script *s, struct words *ws, int line)
{
	struct step *st = script_new_step(s, STEP_FLOWS, line);

	st->compare = parse_compare(ws);
	if (words_number(ws, SCRIPT_CAPACITY_MAX, &st->number))
		return -1;
	for (int i = 0; i < SP_CLASS_COUNT; i++)
		if (words_take(ws, sp_class_name((unsigned)i)))
			st->class_ = i;
	return 1;
}

static int parse_count(struct script *s, struct words *ws, int line)
{
	struct step *st = script_new_step(s, STEP_COUNT, line);
	const char *w = words_next(ws);

	st->reason = w ? sp_reason_by_name(w) : -1;
	if (st->reason < 0)
		return words_fail(ws, "'%s' is not a reason of core/reasons.h", w ? w : "");
	st->compare = parse_compare(ws);
	return words_number(ws, ~0ULL, &st->number) ? -1 : 1;
}

/* "adopt PROTO A B [from-outside] [as A > B]": A began it; how either end is known to the other */
static int parse_adopt(struct script *s, struct words *ws, int line)
{
	struct step *st = script_new_step(s, STEP_ADOPT, line);

	if (parse_flow_ends(ws, st))
		return -1;
	st->from_outside = words_take(ws, "from-outside");
	if (!words_take(ws, "as"))
		return 1;
	return script_parse_rewrite(ws, &st->pkt, &st->as) ? -1 : 1;
}

int script_parse_step(struct script *s, struct words *ws, int line, const char *word)
{
	const struct arrow *arrow = script_arrow(word);
	struct step *st;

	if (arrow) {
		st = script_new_step(s, STEP_PACKET, line);
		st->arrow = arrow;
		return pkt_parse(ws, &st->pkt) ? -1 : parse_expectation(ws, st);
	}
	if (!strcmp(word, "repeat"))
		return parse_repeat(s, ws, line);
	if (!strcmp(word, "connect"))
		return script_parse_connect(s, ws, line);
	if (!strcmp(word, "wait"))
		return parse_duration(ws, &script_new_step(s, STEP_WAIT, line)->number);
	if (!strcmp(word, "flow"))
		return parse_flow(s, ws, line);
	if (!strcmp(word, "flows"))
		return parse_flows(s, ws, line);
	if (!strcmp(word, "count"))
		return parse_count(s, ws, line);
	if (!strcmp(word, "kill"))
		return parse_flow_ends(ws, script_new_step(s, STEP_KILL, line)) ? -1 : 1;
	if (!strcmp(word, "adopt"))
		return parse_adopt(s, ws, line);
	if (!strcmp(word, "config") || !strcmp(word, "apply") || !strcmp(word, "trial")) {
		st = script_new_step(s, *word == 'c' ? STEP_CONFIG : STEP_APPLY, line);
		if (*word == 't' && parse_duration(ws, &st->number) < 0)
			return -1;
		return script_parse_policy(s, ws, st);
	}
	if (!strcmp(word, "confirm"))
		return script_new_step(s, STEP_CONFIRM, line) ? 1 : -1;
	if (!strcmp(word, "undo")) {
		st = script_new_step(s, STEP_UNDO, line);
		return words_take(ws, "to") && words_number(ws, 1000, &st->number) ? -1 : 1;
	}
	if (!strcmp(word, "unanswered-max"))
		return words_number(ws, 0xfffffffeu, &script_new_step(s, STEP_LIMIT, line)->number) ? -1 : 1;
	return script_parse_nat_step(s, ws, line, word);
}
