/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled policies in the native engine, against an evaluator that walks the tree: random configurations, random
 * packets around the edges of their networks and ports. Argument: another seed. Ends with "N passed, N failed, N
 * skipped".
 */
#include "image_test.h"

#include "../../host/craft.h"
#include "../../host/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGS 400
#define TALKS 250 /* packets a configuration */
#define ASKS 600  /* conversations a configuration that are asked about without a packet */
#define NOW_NS (1000 * SP_NS_PER_S)

static int passed, failed;

void check(const char *name, int good, const char *format, ...)
{
	va_list ap;

	passed += good;
	failed += !good;
	printf("%s %s", good ? "ok  " : "FAIL", name);
	va_start(ap, format);
	if (format[0]) {
		printf(": ");
		vprintf(format, ap);
	}
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* ---- talks as packets ----------------------------------------------------------------------------------------------
 */

static const sp_u64 secret[2] = { 1, 2 };

/* A packet of t: its first, or the answer of the other end. */
static void send_talk(struct sp_engine *e, const struct talk *t, int answer, sp_u64 now_ns, struct sp_engine_result *r)
{
	struct sp_craft c = {
		.family = t->family, .proto = t->proto, .sport = t->sport, .dport = t->dport, .win = 1000
	};
	struct sp_engine_packet p = { .now_ns = now_ns, .bare_ip = 1, .zone = answer ? t->to : t->from };
	sp_u8 data[SP_CRAFT_MAX];

	memcpy(c.src.b, answer ? t->dst : t->src, 16);
	memcpy(c.dst.b, answer ? t->src : t->dst, 16);
	c.seq = answer ? 7000 : 1000;
	c.ack = answer ? 1001 : 0;
	c.tcp_flags = answer ? SP_TCP_SYN | SP_TCP_ACK : SP_TCP_SYN;
	c.icmp_type = t->proto == SP_PROTO_ICMP ? (answer ? 0 : 8) : (answer ? 129 : 128);
	if (answer && t->proto != SP_PROTO_ICMP && t->proto != SP_PROTO_ICMP6) {
		c.sport = t->dport;
		c.dport = t->sport;
	}
	p.len = (sp_u32)sp_craft(&c, data);
	p.data = data;
	p.hook = p.zone == SP_ZONE_SELF ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	e->side.zone_to = answer ? t->from : t->to;
	/* whoever sends has an address of its zone */
	e->side.dmz4_net = c.src.w32[0];
	e->side.dmz4_mask = 0xffffffff;
	e->side.dmz6 = c.src;
	sp_engine_packet(e, &p, NULL, r);
}

static int make_key(const struct talk *t, struct sp_key *key)
{
	const int icmp = t->proto == SP_PROTO_ICMP || t->proto == SP_PROTO_ICMP6;
	const int ports = t->proto == SP_PROTO_TCP || t->proto == SP_PROTO_UDP || t->proto == SP_PROTO_SCTP ||
			  t->proto == SP_PROTO_DCCP || t->proto == SP_PROTO_UDPLITE;

	return sp_key_make(key, t->family, t->proto, t->src, t->dst, icmp || ports ? t->sport : 0,
			   icmp	   ? t->sport
			   : ports ? t->dport
				   : 0);
}

/* Is it one that the policy decides, and nothing before it (addresses that can not be)? Also: not known yet. */
static int is_fair(struct sp_engine *e, const struct talk *t)
{
	const sp_u8 s = t->src[0], d = t->dst[0];
	struct sp_key key;

	if (t->family == SP_IPV4 ? s == 0 || s == 127 || s >= 224 || d == 0 || d == 127 || d >= 224
				 : s == 0 || s >= 0xfe || d == 0 || d >= 0xfe)
		return 0;
	make_key(t, &key);
	/* zone 0 is only asked about: for a packet, sp_side_zone() finds one */
	return t->to != SP_ZONE_NONE && !sp_engine_find(e, &key);
}

static int is_built_in(const struct talk *t)
{
	return t->from == SP_ZONE_SELF || (t->from == SP_ZONE_INSIDE && t->to <= SP_ZONE_INSIDE);
}

static int reason_of(enum says says, const struct talk *t)
{
	if (says == SAYS_BLOCK)
		return SP_R_BLOCKED;
	if (says == SAYS_ALLOW)
		return SP_R_NEW_PERMITTED;
	if (!is_built_in(t))
		return SP_R_UNINVITED;
	return t->from == SP_ZONE_SELF ? SP_R_NEW_SELF : SP_R_NEW_INSIDE;
}

static void forget_all(struct sp_engine *e)
{
	memset(e->t.sets, 0, e->t.config->sets * sizeof(*e->t.sets));
	memset(e->t.flows, 0, e->t.config->capacity * sizeof(*e->t.flows));
	memset(e->t.sketch, 0, SP_SKETCH_ROWS * SP_SKETCH_ROW * sizeof(*e->t.sketch));
	memset(e->t.state, 0, sizeof(*e->t.state));
	e->t.config->trial_until_ns = 0;
	e->t.config->generation = 1;
}

/* Says what differs, with everything that is needed to see why; once a run. */
static int differs(const struct model *m, const struct talk *t, int want, int got, const char *what)
{
	static int told;

	if (!told++) {
		printf("%s\n%s: family %u proto %u zones %u -> %u port %u -> %u\nsrc ", m->text, what, t->family,
		       t->proto, t->from, t->to, t->sport, t->dport);
		for (int i = 0; i < 16; i++)
			printf("%02x", t->src[i]);
		printf(" dst ");
		for (int i = 0; i < 16; i++)
			printf("%02x", t->dst[i]);
		printf("\nexpected %s, engine %s\n", sp_reason_name((unsigned)want), sp_reason_name((unsigned)got));
	}
	return 1;
}

/* ---- decided once ---------------------------------------------------------------------------------------------------
 */

struct tally {
	sp_u32 packets, asks, reasons[SP_REASON_COUNT], bad_reason, bad_line, bad_ask;
};

static void try_packet(struct sp_engine *e, const struct model *m, const struct talk *t, struct tally *n)
{
	const struct sp_sentence *which;
	const enum says says = model_says(m, t, &which);
	const int want = reason_of(says, t);
	struct sp_engine_result r;
	const char *line;

	send_talk(e, t, 0, NOW_NS, &r);
	n->packets++;
	n->reasons[r.reason]++;
	if (r.reason != want) {
		n->bad_reason += (sp_u32)differs(m, t, want, r.reason, "first packet");
		return;
	}
	if (says != SAYS_ALLOW)
		return;
	line = sp_image_line_name(m->image.v, e->t.flows[r.flow - 1].line);
	if (strcmp(line, model_name(which)))
		n->bad_line += (sp_u32)differs(m, t, want, r.reason, line);
}

/* Every pair of zones and every address, also those that no packet may have: as if the conversation had had a line. */
static void try_ask(struct sp_engine *e, const struct model *m, const struct talk *t, struct tally *n)
{
	struct sp_flow f = { .line = SP_LINE_FIRST, .zone_from = t->from, .zone_to = t->to };
	const int reason = reason_of(model_says(m, t, NULL), t);
	const int want = reason == SP_R_BLOCKED || reason == SP_R_UNINVITED ? SP_R_REVOKED : SP_R_NONE;
	int got;

	if (make_key(t, &f.key))
		f.flags = SP_FLOW_FROM_1;
	got = sp_engine_redecide(e, &f, 1);
	n->asks++;
	if (got != want)
		n->bad_ask += (sp_u32)differs(m, t, want, got, "asked");
}

static void test_decided(struct sp_engine *e)
{
	struct tally n = {};

	for (int i = 0; i < CONFIGS; i++) {
		char *text = random_text();
		struct model m;
		struct talk t;

		model_init(&m, text, bad_networks);
		free(text);
		forget_all(e);
		e->images[1] = m.image.v;
		for (int k = 0; k < TALKS; k++) {
			random_talk(&m, &t);
			if (is_fair(e, &t))
				try_packet(e, &m, &t, &n);
		}
		for (int k = 0; k < ASKS; k++) {
			random_talk(&m, &t);
			try_ask(e, &m, &t, &n);
		}
		e->images[1] = NULL;
		model_fini(&m);
	}
	check("decided/reason_is_that_of_the_tree", !n.bad_reason && n.packets > CONFIGS * TALKS / 4,
	      "%u of %u packets differ", n.bad_reason, n.packets);
	check("decided/line_is_that_of_the_tree", !n.bad_line, "%u of %u lines differ", n.bad_line,
	      n.reasons[SP_R_NEW_PERMITTED]);
	check("decided/any_address_and_zone", !n.bad_ask, "%u of %u differ", n.bad_ask, n.asks);
	check("decided/every_outcome_was_seen",
	      n.reasons[SP_R_NEW_PERMITTED] > 1000 && n.reasons[SP_R_BLOCKED] > 1000 &&
		      n.reasons[SP_R_UNINVITED] > 1000 && n.reasons[SP_R_NEW_SELF] > 1000 &&
		      n.reasons[SP_R_NEW_INSIDE] > 500,
	      "permitted %u, blocked %u, uninvited %u, self %u, inside %u", n.reasons[SP_R_NEW_PERMITTED],
	      n.reasons[SP_R_BLOCKED], n.reasons[SP_R_UNINVITED], n.reasons[SP_R_NEW_SELF], n.reasons[SP_R_NEW_INSIDE]);
}

/* ---- decided again --------------------------------------------------------------------------------------------------
 */

struct pair {
	struct model old, new;
	struct talk talks[TALKS];
	sp_u32 flow[TALKS]; /* index + 1 */
	sp_u32 n;
};

static void pair_init(struct pair *p, struct sp_engine *e)
{
	struct sp_engine_result r;
	char *text = random_text();

	model_init(&p->old, text, bad_networks);
	free(text);
	text = random_text();
	model_init(&p->new, text, "");
	free(text);
	p->n = 0;
	forget_all(e);
	e->images[1] = p->old.image.v;
	e->images[2] = p->new.image.v;
	for (int i = 0; i < TALKS; i++) {
		struct talk *t = &p->talks[p->n];

		random_talk(&p->old, t);
		if (t->from > SP_ZONE_INSIDE || t->to > SP_ZONE_INSIDE || !is_fair(e, t))
			continue; /* the two may number other zones differently */
		send_talk(e, t, 0, NOW_NS, &r);
		p->flow[p->n] = r.flow;
		p->n += r.verdict == SP_PASS;
	}
}

static void pair_fini(struct pair *p, struct sp_engine *e)
{
	e->images[1] = e->images[2] = NULL;
	model_fini(&p->old);
	model_fini(&p->new);
}

/* Does conversation t, permitted by `line` so far, end under m? */
static int ends(const struct model *m, const struct talk *t, sp_u16 line)
{
	const int reason = reason_of(model_says(m, t, NULL), t);

	return reason == SP_R_BLOCKED || (reason == SP_R_UNINVITED && line >= SP_LINE_FIRST);
}

struct again {
	sp_u32 asked, revoked, bad_forecast, bad_reason, bad_after;
};

static void try_again(struct sp_engine *e, const struct pair *p, sp_u32 i, struct again *n)
{
	const struct talk *t = &p->talks[i];
	const struct sp_flow *f = &e->t.flows[p->flow[i] - 1];
	const int answer = t->to != SP_ZONE_NONE && pick(2), end = ends(&p->new, t, f->line);
	const int want = end ? SP_R_REVOKED : answer ? SP_R_ANSWER : SP_R_CONTINUES;
	struct sp_engine_result r;

	n->bad_forecast += sp_engine_redecide(e, f, 2) != (end ? SP_R_REVOKED : SP_R_NONE);
	send_talk(e, t, answer, NOW_NS + SP_NS_PER_S, &r);
	n->asked++;
	n->revoked += (sp_u32)end;
	if (r.reason != want)
		n->bad_reason += (sp_u32)differs(&p->new, t, want, r.reason, answer ? "answer again" : "again");
	if (end) { /* and so is each packet that follows, from either end */
		send_talk(e, t, t->to != SP_ZONE_NONE && pick(2), NOW_NS + 2 * SP_NS_PER_S, &r);
		n->bad_after += r.reason != SP_R_REVOKED;
	}
}

static void test_redecided(struct sp_engine *e)
{
	struct again n = {};

	for (int i = 0; i < CONFIGS; i++) {
		static struct pair p;

		pair_init(&p, e);
		e->t.config->generation = 2;
		for (sp_u32 k = 0; k < p.n; k++)
			try_again(e, &p, k, &n);
		pair_fini(&p, e);
	}
	check("redecided/ended_exactly_when_no_line_permits_it",
	      !n.bad_reason && n.revoked > 500 && n.asked > 3 * n.revoked / 2, "%u wrong; %u asked, %u revoked",
	      n.bad_reason, n.asked, n.revoked);
	check("redecided/forecast_is_what_happens", !n.bad_forecast, "%u wrong", n.bad_forecast);
	check("redecided/what_is_stopped_stays_stopped", !n.bad_after, "%u of %u wrong", n.bad_after, n.revoked);
}

/* What began before there was any policy, and was never answered: nobody has looked yet where it goes. */
static void test_first_policy(struct sp_engine *e)
{
	static const char text[] = "wan eth0\nlan eth1\nblock inside -> outside : udp/514\n";
	struct talk t = { .family = 4,
			  .proto = 17,
			  .from = SP_ZONE_INSIDE,
			  .to = SP_ZONE_OUTSIDE,
			  .sport = 5000,
			  .dport = 514,
			  .src = { 10, 0, 0, 2 },
			  .dst = { 198, 51, 100, 7 } };
	struct sp_engine_result first, again, answer, other;
	struct model m;

	model_init(&m, text, "");
	for (int answered = 0; answered < 2; answered++) {
		forget_all(e);
		e->images[1] = NULL;
		e->images[2] = m.image.v;
		send_talk(e, &t, 0, NOW_NS, &first);
		if (answered)
			send_talk(e, &t, 1, NOW_NS + 1, &answer);
		e->t.config->generation = 2;
		send_talk(e, &t, 0, NOW_NS + 2, &again);
		send_talk(e, &t, 1, NOW_NS + 3, &answer);
		t.dport = 515;
		send_talk(e, &t, 0, NOW_NS + 4, &other);
		t.dport = 514;
		check(answered ? "redecided/first_policy_ends_what_is_answered"
			       : "redecided/first_policy_ends_what_is_unanswered",
		      first.reason == SP_R_NEW_INSIDE && again.reason == SP_R_REVOKED &&
			      answer.reason == SP_R_REVOKED && other.reason == SP_R_NEW_INSIDE,
		      "%s, then %s, answer %s, port beside it %s", sp_reason_name(first.reason),
		      sp_reason_name(again.reason), sp_reason_name(answer.reason), sp_reason_name(other.reason));
	}
	e->images[2] = NULL;
	model_fini(&m);
}

/* Taken over when the firewall came up: no line permits it, but only a block can end it. */
static void test_adopted(struct sp_engine *e)
{
	static const char *const texts[] = { "wan eth0\nopen tcp/1\n", "wan eth0\nopen any\nblock 198.51.100.0/24\n" };
	const struct talk t = { .family = 4, .proto = 17, .from = SP_ZONE_OUTSIDE, .to = SP_ZONE_SELF, .sport = 5000,
				.dport = 53, .src = { 198, 51, 100, 7 }, .dst = { 192, 0, 2, 1 } };
	struct sp_engine_result r;
	struct sp_key key;

	for (int i = 0; i < 2; i++) {
		const int want = i ? SP_R_REVOKED : SP_R_CONTINUES, end = make_key(&t, &key);
		struct model m;

		model_init(&m, texts[i], "");
		forget_all(e);
		e->images[2] = m.image.v;
		if (!sp_engine_adopt(e, &key, end, t.from, t.to, NOW_NS))
			abort();
		e->t.config->generation = 2;
		send_talk(e, &t, 0, NOW_NS, &r);
		check(i ? "redecided/taken_over_ends_by_block" : "redecided/taken_over_needs_no_line",
		      r.reason == want, "%s", sp_reason_name(r.reason));
		e->images[2] = NULL;
		model_fini(&m);
	}
}

/* ---- on trial -------------------------------------------------------------------------------------------- */

struct trial {
	sp_u32 stopped, bad_during, bad_after, begun, bad_begun;
};

static void try_trial(struct sp_engine *e, const struct pair *p, sp_u64 end_ns, struct trial *n)
{
	static struct talk begun[TALKS];
	struct sp_engine_result r;
	sp_u32 n_begun = 0;

	for (sp_u32 i = 0; i < p->n; i++) {
		const int end = ends(&p->new, &p->talks[i], e->t.flows[p->flow[i] - 1].line);

		send_talk(e, &p->talks[i], 0, end_ns - 1, &r);
		n->stopped += (sp_u32)end;
		n->bad_during += r.reason != (end ? SP_R_REVOKED : SP_R_CONTINUES);
	}
	for (int i = 0; i < TALKS; i++) {
		struct talk *t = &begun[n_begun];

		random_talk(&p->old, t);
		if (t->from > SP_ZONE_INSIDE || t->to > SP_ZONE_INSIDE || !is_fair(e, t))
			continue;
		send_talk(e, t, 0, end_ns - 1, &r);
		n_begun += r.reason == SP_R_NEW_PERMITTED;
	}
	/* nobody has confirmed; the very nanosecond counts */
	for (sp_u32 i = 0; i < p->n; i++) {
		send_talk(e, &p->talks[i], 0, end_ns, &r);
		if (r.reason != SP_R_CONTINUES)
			n->bad_after +=
				(sp_u32)differs(&p->old, &p->talks[i], SP_R_CONTINUES, r.reason, "after the trial");
	}
	for (sp_u32 i = 0; i < n_begun; i++) {
		const int end = ends(&p->old, &begun[i], SP_LINE_FIRST);

		send_talk(e, &begun[i], 0, end_ns, &r);
		n->begun += (sp_u32)end;
		if (r.reason != (end ? SP_R_REVOKED : SP_R_CONTINUES))
			n->bad_begun += (sp_u32)differs(&p->old, &begun[i], end ? SP_R_REVOKED : SP_R_CONTINUES,
							r.reason, "begun on trial");
	}
}

static void test_trial(struct sp_engine *e)
{
	struct trial n = {};

	for (int i = 0; i < CONFIGS / 4; i++) {
		static struct pair p;
		const sp_u64 end_ns = NOW_NS + 10 * SP_NS_PER_S;

		pair_init(&p, e);
		e->t.config->generation = 2;
		e->t.config->trial_back = 1;
		e->t.config->trial_until_ns = end_ns;
		try_trial(e, &p, end_ns, &n);
		pair_fini(&p, e);
	}
	check("trial/new_policy_is_in_force_until_the_deadline", !n.bad_during && n.stopped > 100,
	      "%u wrong, %u stopped", n.bad_during, n.stopped);
	check("trial/all_conversations_are_back_at_the_deadline", !n.bad_after, "%u are not", n.bad_after);
	check("trial/what_only_the_trial_permitted_ends_with_it", !n.bad_begun && n.begun > 20, "%u wrong of %u",
	      n.bad_begun, n.begun);
}

int main(int argc, char **argv)
{
	struct sp_engine *e = sp_engine_new(8192, 0, secret);

	if (!e)
		return 1;
	pick_seed = argc > 1 ? strtoull(argv[1], NULL, 0) * 2 + 1 : 20261127;
	test_decided(e);
	test_redecided(e);
	test_first_policy(e);
	test_adopted(e);
	test_trial(e);
	sp_engine_free(e);
	test_asked();
	test_more();
	test_bad_images();
	test_limits();
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
