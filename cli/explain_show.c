/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally explain`: the answer, step by step in words or as JSON. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "explain.h"

static const char *const kinds[] = {
	[SP_KIND_NONE] = "an ICMP message of a kind that does not travel",
	[SP_KIND_TCP] = "a TCP segment",
	[SP_KIND_UDP] = "a UDP datagram",
	[SP_KIND_ASSOC] = "a packet of a protocol with ports",
	[SP_KIND_QUERY] = "an ICMP query",
	[SP_KIND_REPLY] = "an ICMP reply",
	[SP_KIND_ERROR] = "an ICMP error",
	[SP_KIND_NEIGHBOUR] = "neighbour discovery",
	[SP_KIND_MEMBERSHIP] = "multicast membership",
	[SP_KIND_OTHER] = "a packet of a protocol without ports",
	[SP_KIND_PIECE] = "a piece of a datagram",
};

static const char *is_ok(sp_u64 reason)
{
	return reason == SP_R_NONE ? "yes" : sp_reason_text((unsigned)reason);
}

static void say_parse(const struct sp_step *s)
{
	if (s->a == SP_R_NONE)
		printf("it is well-formed: %s", s->b < sizeof(kinds) / sizeof(kinds[0]) ? kinds[s->b] : "a packet");
	else
		printf("is it well-formed? %s", sp_reason_text((unsigned)s->a));
}

static void say_addresses(const struct sp_step *s)
{
	printf("can these addresses come from %s? %s", sp_zone_name((unsigned)s->b), is_ok(s->a));
}

static void say_implied(const struct sp_step *s)
{
	if (s->a == SP_R_NONE)
		printf("does it pass without a conversation, as discovery or DHCP? no");
	else
		printf("does it pass without a conversation, as discovery or DHCP? %s", sp_reason_text((unsigned)s->a));
}

static void say_find(const struct sp_step *s)
{
	printf("is its conversation remembered? %s", s->a ? "yes, or one was not long ago" : "no");
}

static void say_may_start(const struct sp_step *s)
{
	printf("may %s start one? %s: %s", s->b == SP_ZONE_SELF ? "this machine" : sp_zone_name((unsigned)s->b),
	       sp_reason_verdict((unsigned)s->a) == SP_PASS ? "yes" : "no", sp_reason_text((unsigned)s->a));
}

static void say_policy(const struct sp_step *s)
{
	printf("does a line of the configuration speak of it? %s",
	       s->a == SP_R_BLOCKED ? "yes: it is blocked" : s->b >= SP_LINE_FIRST ? "yes: it is permitted" : "no");
}

static void say_redecide(const struct sp_step *s)
{
	printf("the configuration has changed since; may its conversation go on? %s", is_ok(s->a));
}

static void say_limit(const struct sp_step *s)
{
	printf("has its source fewer than %llu conversations with that service, as its line wants it? %s", s->b,
	       s->a == SP_R_NONE ? "yes" : "no");
}

static void say_rate(const struct sp_step *s)
{
	printf("is its source within the rate of its line? %s", is_ok(s->a));
}

static void say_insert(const struct sp_step *s)
{
	if (s->a == SP_R_NONE)
		printf("is there room to remember it? yes");
	else
		printf("is there room to remember it? %s", sp_reason_text((unsigned)s->a));
}

static void say_track(const struct sp_step *s)
{
	sp_s64 reason = (sp_s64)s->a;

	if (reason >= 0)
		printf("does it fit that conversation? %s: %s",
		       sp_reason_verdict((unsigned)reason) == SP_PASS ? "yes" : "no", sp_reason_text((unsigned)reason));
	else
		printf("does it fit that conversation? %s", reason == -2 ? "it is over; it could be opened again" :
									     "it has expired: it counts as forgotten");
}

static void say_fragment(const struct sp_step *s)
{
	printf("does the piece fit its datagram? %s", sp_reason_text((unsigned)s->a));
}

static void raw_text(sp_u64 raw, char *out)
{
	const struct sp_addr a = { .w32 = { (sp_u32)raw } };

	sp_text_addr(out, &a, SP_IPV4);
}

static void say_destination(const struct sp_step *s)
{
	char text[SP_ADDR_TEXT];

	raw_text(s->b, text);
	printf("is it for somebody who is known by this machine's address? yes: for %s", text);
}

static void say_alias(const struct sp_step *s)
{
	printf("is an end of that conversation known by this machine's address? yes: it is put in its place");
}

static void say_source(const struct sp_step *s)
{
	char text[SP_ADDR_TEXT];

	raw_text(s->b, text);
	if (s->a != SP_R_FORWARDED)
		printf("where it leaves, does its sender get an address there? %s", sp_reason_text((unsigned)s->a));
	else
		printf("where it leaves, is its sender known by another address? %s%s", s->b ? "yes: by " : "no",
		       s->b ? text : "");
}

/* The steps that the core names (SP_STEP in core/pipeline.h), and how each reads. */
static const struct {
	const char *what;
	void (*say)(const struct sp_step *s);
} sayings[] = {
	{ "parse", say_parse },
	{ "addresses", say_addresses },
	{ "implied", say_implied },
	{ "find", say_find },
	{ "alias", say_alias },
	{ "destination", say_destination },
	{ "policy", say_policy },
	{ "redecide", say_redecide },
	{ "limit", say_limit },
	{ "rate", say_rate },
	{ "may_start", say_may_start },
	{ "insert", say_insert },
	{ "track", say_track },
	{ "fragment", say_fragment },
	{ "source", say_source },
};

static void print_step(int number, const struct sp_step *s)
{
	printf("  %d. ", number);
	for (unsigned i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
		if (strcmp(sayings[i].what, s->what))
			continue;
		sayings[i].say(s);
		printf("\n");
		return;
	}
	printf("%s %llu %llu\n", s->what, s->a, s->b);
}

/* ---- the packet and its place ---------------------------------------------------------------------------------- */

static void describe(const struct sp_explain *x, char *out)
{
	sp_u8 bytes[SP_CRAFT_MAX];
	struct sp_glance g;
	int len = sp_craft(&x->craft, bytes);

	sp_glance(&g, bytes, len < 0 ? 0 : (sp_u32)len, 1);
	sp_glance_text(&g, out, SP_GLANCE_TEXT);
}

static void describe_onward(const struct sp_explain *x, char *out)
{
	struct sp_glance g;

	sp_glance(&g, x->onward, x->onward_len, 1);
	sp_glance_text(&g, out, SP_GLANCE_TEXT);
}

static void print_onward(const struct sp_explain *x)
{
	char text[SP_GLANCE_TEXT];

	if (!x->onward_len || x->result.verdict != SP_PASS)
		return;
	describe_onward(x, text);
	printf("it goes on%s%s as: %s\n", x->out_ifname[0] ? " through " : "", x->out_ifname, text);
}

static void print_question(const struct sp_explain *x)
{
	char text[SP_GLANCE_TEXT];

	describe(x, text);
	printf("%s\n", text);
	if (x->continued)
		printf("  taken as the next segment of the connection that is remembered\n");
	else if (sp_proto_has_ports(x->craft.proto) && !x->sport_given)
		printf("  source port %u was chosen; a conversation is found only by its own port\n", x->craft.sport);
	if (x->egress)
		printf("  sent by this machine");
	else
		printf("  coming in from %s", sp_zone_name(x->met_zone));
	if (x->ifname[0])
		printf(", %s %s", x->egress ? "through" : "at", x->ifname);
	printf("%s\n", x->forwards ? " (this machine is a gateway)" : "");
	if (!x->live)
		printf("  %s: judged against an empty table, by the built-in policy\n", x->not_live);
}

/* ---- what would change it --------------------------------------------------------------------------------------- */

static void line_for(const struct sp_explain *x, char *out, size_t size)
{
	char src[SP_ADDR_TEXT], dst[SP_ADDR_TEXT], proto[8], service[32];

	sp_text_addr(src, &x->craft.src, x->craft.family);
	sp_text_addr(dst, &x->craft.dst, x->craft.family);
	snprintf(service, sizeof(service), "%s", sp_text_proto(x->craft.proto, proto));
	if (sp_proto_has_ports(x->craft.proto))
		snprintf(service + strlen(service), sizeof(service) - strlen(service), "/%u", x->craft.dport);
	if (!x->forwards || x->to_self)
		snprintf(out, size, "open %s from %s", service, src);
	else
		snprintf(out, size, "allow %s -> %s : %s", src, dst, service);
}

/* One line of advice, or an empty string. *is_line: it is a line of the configuration to come. */
static void advice(const struct sp_explain *x, char *out, size_t size, int *is_line)
{
	*is_line = 0;
	out[0] = 0;
	switch (x->result.reason) {
	case SP_R_UNINVITED:
		*is_line = 1;
		line_for(x, out, size);
		break;
	case SP_R_TCP_NO_FLOW:
		snprintf(out, size, "it would have to begin with a SYN; then the question is who may start "
				    "(ask again with --flags S)");
		break;
	case SP_R_ICMP_UNASKED:
		snprintf(out, size, "an echo request with this identifier in the other direction, before it");
		break;
	case SP_R_TABLE_FULL:
	case SP_R_UNANSWERED_FULL:
		snprintf(out, size, "a larger table: sally down, then sally up --flows N; or sally flows kill FILTER");
		break;
	case SP_R_RATE:
		snprintf(out, size, "time, or a higher 'rate' in the line %s", x->line);
		break;
	case SP_R_LIMIT:
		snprintf(out, size, "one of its source's conversations ending, or a higher 'limit' in the line %s", x->line);
		break;
	case SP_R_SOURCE_SHARE:
		snprintf(out, size, "fewer unanswered conversations of this source; sally status names the heaviest");
		break;
	case SP_R_ASKED:
		snprintf(out, size, "its sender being there: he is asked, and gets through when he tries again");
		break;
	case SP_R_SPOOFED:
		snprintf(out, size, "a route to the source through the interface it comes from");
		break;
	default:
		if (x->result.verdict == SP_DROP)
			snprintf(out, size, "no line of a configuration; sally reasons %s says more",
				 sp_reason_name(x->result.reason));
	}
}

static void print_advice(const struct sp_explain *x)
{
	char text[256];
	int is_line;

	advice(x, text, sizeof(text), &is_line);
	if (is_line)
		printf("what would change it: one line of the configuration file, and 'sally apply':\n  %s\n", text);
	else if (text[0])
		printf("what would change it: %s\n", text);
}

static void print_flow(const struct sp_explain *x)
{
	const struct sp_flow *f = &x->flow;
	int from = f->flags & SP_FLOW_FROM_1 ? 1 : 0;
	char a[SP_GLANCE_END], b[SP_GLANCE_END], proto[8];

	sp_glance_endpoint(&f->key.addr[from], f->key.family, f->key.proto, sp_ntoh16(f->key.port[from]), a);
	sp_glance_endpoint(&f->key.addr[!from], f->key.family, f->key.proto, sp_ntoh16(f->key.port[!from]), b);
	printf("conversation: %s %s -> %s, started by %s, afterwards %s\n", sp_text_proto(f->key.proto, proto), a, b,
	       sp_zone_name(f->zone_from), sp_phase_name(f->phase));
}

void sp_explain_text(const struct sp_explain *x)
{
	print_question(x);
	for (int i = 0; i < x->steps; i++)
		print_step(i + 1, &x->step[i]);
	printf("%s: %s, because %s\n", x->result.verdict == SP_PASS ? "let through" : "stopped",
	       sp_reason_name(x->result.reason), sp_reason_text(x->result.reason));
	if (x->line[0])
		printf("the line of the configuration: %s\n", x->line);
	print_onward(x);
	if (x->result.flow)
		print_flow(x);
	print_advice(x);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void json_flow(struct sp_json *j, const struct sp_flow *f)
{
	int from = f->flags & SP_FLOW_FROM_1 ? 1 : 0;
	char text[SP_ADDR_TEXT], proto[8];

	sp_json_open(j, "flow", '{');
	sp_json_str(j, "proto", sp_text_proto(f->key.proto, proto));
	sp_text_addr(text, &f->key.addr[from], f->key.family);
	sp_json_str(j, "src", text);
	sp_text_addr(text, &f->key.addr[!from], f->key.family);
	sp_json_str(j, "dst", text);
	sp_json_u64(j, "sport", sp_ntoh16(f->key.port[from]));
	sp_json_u64(j, "dport", sp_ntoh16(f->key.port[!from]));
	sp_json_str(j, "from", sp_zone_name(f->zone_from));
	sp_json_str(j, "state", sp_phase_name(f->phase));
	sp_json_close(j);
}

static void json_steps(struct sp_json *j, const struct sp_explain *x)
{
	sp_json_open(j, "steps", '[');
	for (int i = 0; i < x->steps; i++) {
		sp_json_open(j, NULL, '{');
		sp_json_str(j, "step", x->step[i].what);
		if (strcmp(x->step[i].what, "find") == 0 || strcmp(x->step[i].what, "alias") == 0 ||
		    strcmp(x->step[i].what, "destination") == 0)
			sp_json_bool(j, "found", x->step[i].a != 0);
		else if ((sp_s64)x->step[i].a >= 0)
			sp_json_str(j, "reason", sp_reason_name((unsigned)x->step[i].a));
		else
			sp_json_str(j, "reason", (sp_s64)x->step[i].a == -2 ? "over" : "expired");
		sp_json_close(j);
	}
	sp_json_close(j);
}

void sp_explain_json(const struct sp_explain *x)
{
	char text[SP_GLANCE_TEXT], change[256];
	struct sp_json j;
	int is_line;

	describe(x, text);
	advice(x, change, sizeof(change), &is_line);
	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '{');
	sp_json_str(&j, "packet", text);
	sp_json_bool(&j, "live", x->live);
	sp_json_bool(&j, "gateway", x->forwards);
	sp_json_str(&j, "from", x->egress ? "self" : sp_zone_name(x->met_zone));
	if (x->ifname[0])
		sp_json_str(&j, "interface", x->ifname);
	sp_json_bool(&j, "continued", x->continued);
	json_steps(&j, x);
	sp_json_str(&j, "verdict", x->result.verdict == SP_PASS ? "pass" : "drop");
	sp_json_str(&j, "reason", sp_reason_name(x->result.reason));
	sp_json_str(&j, "text", sp_reason_text(x->result.reason));
	if (x->line[0])
		sp_json_str(&j, "decided_by", x->line);
	if (x->onward_len && x->result.verdict == SP_PASS) {
		describe_onward(x, text);
		sp_json_str(&j, "onward", text);
	}
	if (change[0])
		sp_json_str(&j, is_line ? "line" : "change", change);
	if (x->result.flow)
		json_flow(&j, &x->flow);
	sp_json_close(&j);
}
