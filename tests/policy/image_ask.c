/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image is asked by the very function that the engine uses, without a packet: every pair of zones, also the one that
 * only forwards answer to; and whatever else an image says is held against the tree.
 */
#include "image_test.h"

#include "../../core/abi.h"
#include "../../policy/policy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGS 600
#define ASKS 400

static int address(const char *text, sp_u8 *out)
{
	return inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, out) != 1;
}

/* ---- every line by its name ---------------------------------------------------------------------------------------
 */

struct tally {
	sp_u32 n, wrong, blocks, allows, forwards, pinholes, by_suffix;
};

static void count(const struct talk *t, sp_u32 value, const struct sp_sentence *which, struct tally *n)
{
	n->blocks += (value & SP_RULE_BLOCK) != 0;
	n->allows += (value & SP_RULE_ALLOW) != 0;
	if (!which || which->kind != SP_KIND_FORWARD)
		return;
	n->forwards += t->to == SP_ZONE_FORWARD;
	n->pinholes += t->to != SP_ZONE_FORWARD;
}

static void ask_one(const struct model *m, const struct talk *t, struct tally *n)
{
	const struct sp_sentence *which;
	const enum says says = model_says(m, t, &which);
	const sp_u32 value = image_ask(m->image.v, t);
	const enum says got = value & SP_RULE_BLOCK ? SAYS_BLOCK : value & SP_RULE_ALLOW ? SAYS_ALLOW : SAYS_NOTHING;
	const char *name = sp_image_line_name(m->image.v, value & SP_RULE_LINE);

	n->n++;
	count(t, value, which, n);
	if (got == says && !strcmp(name, model_name(which)))
		return;
	if (!n->wrong++) {
		printf("%sfamily %u proto %u zones %u -> %u port %u\nsrc ", m->text, t->family, t->proto, t->from, t->to,
		       t->dport);
		for (int i = 0; i < 16; i++)
			printf("%02x", t->src[i]);
		printf(" dst ");
		for (int i = 0; i < 16; i++)
			printf("%02x", t->dst[i]);
		printf("\nexpected %d by %s, image %d by %s\n", says, which ? which->name : "no line", got, name);
	}
}

/* A forward's order says where its packets go. */
static int order_fits(const struct model *m, const struct sp_sentence *line, const struct sp_image_order *o)
{
	const struct sp_term *t = &line->target;
	sp_u32 to4 = 0;

	if (line->kind == SP_KIND_FORWARD && t->kind == SP_TERM_NET && t->net.family == SP_NET_V4)
		memcpy(&to4, t->net.addr, 4);
	for (sp_u32 i = 0; line->kind == SP_KIND_FORWARD && t->kind == SP_TERM_HOST && i < t->def->from.n; i++)
		if (t->def->from.v[i].net.family == SP_NET_V4)
			memcpy(&to4, t->def->from.v[i].net.addr, 4);
	return o && o->to4 == to4 && o->to_port == (to4 ? line->target_port : 0) &&
	       !(o->flags & SP_ORDER_LOG) == !line->log &&
	       !(o->flags & SP_ORDER_REJECT) == (line->refusal != SP_REFUSE_REJECT) &&
	       !(o->flags & SP_ORDER_DROP) == (line->refusal != SP_REFUSE_DROP) && o->idle_s == line->idle_s &&
	       o->rate == line->rate && o->rate_per_s == line->rate_per_s && o->limit == line->limit;
}

static sp_u32 orders_wrong(const struct model *m)
{
	sp_u32 wrong = 0, number = SP_LINE_FIRST;

	for (sp_u32 i = 0; i < m->policy->n_lines; i++) {
		const struct sp_sentence *line = m->policy->lines[i];

		if (line->kind < SP_KIND_BLOCK)
			continue;
		if (strcmp(sp_image_line_name(m->image.v, number), line->name) ||
		    !order_fits(m, line, sp_image_order(m->image.v, number)))
			wrong++;
		number++;
	}
	return wrong + (sp_image_order(m->image.v, number) != NULL);
}

/* A service is marked exactly if a forward to an IPv4 address names it. */
static sp_u32 marks_wrong(const struct model *m)
{
	static const sp_u8 protos[] = { 6, 17, 132, 33, 136, 1, 47, 254 };
	const struct sp_image_more *more = sp_image_line1(m->image.v);
	struct talk t = { .family = 4, .from = 2, .to = SP_ZONE_FORWARD, .src = { 1 } };
	sp_u32 wrong = 0;

	for (int i = 0; i < 400; i++) {
		int is = 0, want = 0;
		sp_u32 at;

		t.proto = protos[pick(8)];
		t.dport = (sp_u16)(pick(3) ? 1 + pick(2100) : pick(65536));
		at = sp_image_service(t.proto, t.dport);
		if (more->forwards)
			is = m->image.v[more->forwards].w[at / 64] >> (at % 64) & 1;
		for (sp_u32 k = 0; k < m->policy->n_lines; k++) {
			struct sp_sentence line = *m->policy->lines[k];
			struct sp_sentence *one[] = { &line };
			struct sp_policy alone = { .lines = one, .n_lines = 1 };
			const struct model single = { .policy = &alone, .image = m->image };

			if (line.kind != SP_KIND_FORWARD)
				continue;
			line.from.n = 0; /* from whom does not matter here */
			want |= model_says(&single, &t, NULL) == SAYS_ALLOW;
		}
		wrong += is != want;
	}
	return wrong;
}

static void test_lines(void)
{
	struct tally n = {};
	sp_u32 orders = 0, marks = 0, suffixes = 0, most = 0;

	for (int i = 0; i < CONFIGS; i++) {
		char *text = random_text();
		struct model m;
		struct talk t;

		model_init(&m, text, bad_networks);
		free(text);
		suffixes += sp_image_line1(m.image.v)->suffix_count > 0;
		most += (sp_image_line1(m.image.v)->flags & SP_IMAGE_FORWARD_MOST) != 0;
		orders += orders_wrong(&m);
		marks += marks_wrong(&m);
		for (int k = 0; k < ASKS; k++) {
			random_talk(&m, &t);
			if (t.family == 4 && !pick(3))
				t.to = SP_ZONE_FORWARD;
			ask_one(&m, &t, &n);
		}
		model_fini(&m);
	}
	check("asked/line_is_that_of_the_tree", !n.wrong && n.blocks > 1000 && n.allows > 1000 && n.forwards > 1000 &&
	      n.pinholes > 100 && suffixes > 100, "%u of %u differ; %u blocked, %u allowed, %u of them forwarded, %u by "
	      "pinholes; %u policies with suffixes", n.wrong, n.n, n.blocks, n.allows, n.forwards, n.pinholes, suffixes);
	check("asked/options_are_those_of_the_tree", !orders, "%u lines differ", orders);
	check("asked/forwarded_services_are_marked", !marks && most > 10, "%u wrong; %u policies forward most ports", marks,
	      most);
}

/* ---- one text, one answer ------------------------------------------------------------------------------------------
 */

static const char home[] = "wan eth0\nlan eth1\nzone dmz = eth2\nhost web = 10.0.2.10, *::10\n";

/* "4 outside self 198.51.100.7 192.0.2.1 tcp 443" style, in C: who decides? "" nobody. */
static const char *who(const struct model *m, sp_u8 from, sp_u8 to, const char *src, const char *dst, sp_u8 proto,
		       sp_u16 port)
{
	struct talk t = { .family = strchr(src, ':') ? 6 : 4, .proto = proto, .from = from, .to = to, .sport = 4000,
			  .dport = port };
	sp_u32 value;

	if (address(src, t.src) || address(dst, t.dst))
		abort();
	value = image_ask(m->image.v, &t);
	return sp_image_line_name(m->image.v, value & SP_RULE_LINE);
}

struct row {
	const char *name; /* of the test */
	const char *lines;
	sp_u8 from, to;
	const char *src, *dst;
	sp_u8 proto;
	sp_u16 port;
	const char *decides;
};

#define F SP_ZONE_FORWARD
/* one class of addresses is the upper half of one network of 64 bits and the lower half of the next */
#define SLICED                                                                                                        \
	"host up = *::8000:0:0:11\nallow outside -> web, up : ssh as s\nallow outside -> 2600:0:0:2::/63 : http as n\n" \
	"allow outside -> 2600:0:0:2::/65, 2600:0:0:3:8000::/65 : https as o\n"
static const struct row rows[] = {
	{ "forward/answers_to_this_machines_address", "forward https to web as f\n", 2, F, "198.51.100.7", "192.0.2.1", 6,
	  443, "f" },
	{ "forward/hairpin_for_the_inside", "forward https to web as f\n", 3, F, "10.0.0.5", "192.0.2.1", 6, 443, "f" },
	{ "forward/not_for_this_machine", "forward https to web as f\n", 1, F, "192.0.2.1", "192.0.2.1", 6, 443, "" },
	{ "forward/other_port", "forward https to web as f\n", 2, F, "198.51.100.7", "192.0.2.1", 6, 444, "" },
	{ "forward/opens_no_way_to_the_real_ipv4_address", "forward https to web as f\n", 2, 4, "198.51.100.7",
	  "10.0.2.10", 6, 443, "" },
	{ "forward/pinhole", "forward https to web as f\n", 2, 4, "2001:470::1", "2600:1:2:3::10", 6, 443, "f" },
	{ "forward/pinhole_from_the_inside", "forward https to web as f\n", 3, 4, "2001:470::1", "2600:1:2:3::10", 6, 443,
	  "f" },
	{ "forward/pinhole_not_to_the_outside", "forward https to web as f\n", 4, 2, "2001:470::1", "2600:1:2:3::10", 6,
	  443, "" },
	{ "forward/pinhole_not_to_this_machine", "forward https to web as f\n", 2, 1, "2001:470::1", "2600:1:2:3::10", 6,
	  443, "" },
	{ "forward/pinhole_not_to_nowhere", "forward https to web as f\n", 2, 0, "2001:470::1", "2600:1:2:3::10", 6, 443,
	  "" },
	{ "forward/pinhole_only_to_that_host", "forward https to web as f\n", 2, 4, "2001:470::1", "2600:1:2:3::11", 6, 443,
	  "" },
	{ "forward/pinhole_has_the_port_of_the_host", "forward https to web:8443 as f\n", 2, 4, "2001:470::1", "2600::10",
	  6, 8443, "f" },
	{ "forward/pinhole_has_not_the_port_at_the_door", "forward https to web:8443 as f\n", 2, 4, "2001:470::1",
	  "2600::10", 6, 443, "" },
	{ "forward/port_at_the_door", "forward https to web:8443 as f\n", 2, F, "198.51.100.7", "192.0.2.1", 6, 443, "f" },
	{ "forward/from_is_an_exception",
	  "forward https to 10.0.2.11 as a\nforward https from 198.51.100.0/24 to 10.0.2.12 as z\n", 2, F, "198.51.100.7",
	  "192.0.2.1", 6, 443, "z" },
	{ "forward/from_is_no_exception_for_others",
	  "forward https to 10.0.2.11 as a\nforward https from 198.51.100.0/24 to 10.0.2.12 as z\n", 2, F, "203.0.113.7",
	  "192.0.2.1", 6, 443, "a" },
	{ "forward/from_a_zone_is_an_exception",
	  "forward https to 10.0.2.11 as a\nforward https from dmz to 10.0.2.12 as z\n", 4, F, "10.0.2.7", "192.0.2.1", 6,
	  443, "z" },
	{ "forward/from_with_any_service_is_an_exception",
	  "forward https to 10.0.2.11 as a\nforward any from 198.51.100.7 to 10.0.2.12 as z\n", 2, F, "198.51.100.7",
	  "192.0.2.1", 6, 443, "z" },
	{ "forward/from_addresses_before_from_zones",
	  "forward https from dmz to 10.0.2.11 as a\nforward https from 10.0.2.7 to 10.0.2.12 as z\n", 4, F, "10.0.2.7",
	  "192.0.2.1", 6, 443, "z" },
	{ "forward/protocol_without_ports", "forward gre, icmp to 10.0.2.11 as f\n", 2, F, "198.51.100.7", "192.0.2.1", 47,
	  0, "f" },
	{ "forward/icmp", "forward gre, icmp to 10.0.2.11 as f\n", 2, F, "198.51.100.7", "192.0.2.1", 1, 7, "f" },
	{ "forward/block_is_asked_at_the_real_target", "forward https to web as f\nblock outside -> web as b\n", 2, 4,
	  "198.51.100.7", "10.0.2.10", 6, 443, "b" },
	{ "forward/block_has_no_part_at_the_door", "forward https to web as f\nblock 198.51.100.0/24 as b\n", 2, F,
	  "198.51.100.7", "192.0.2.1", 6, 443, "f" },
	{ "forward/block_beats_the_pinhole", "forward https to web as f\nblock outside -> web as b\n", 2, 4, "2001:470::1",
	  "2600::10", 6, 443, "b" },
	{ "forward/allow_any_is_not_for_the_door", "allow any -> any : any as all\n", 2, F, "198.51.100.7", "192.0.2.1", 6,
	  443, "" },
	{ "suffix/any_prefix", "allow outside -> web : ssh as s\n", 2, 3, "2001:470::1", "2a02:8071:1:2::10", 6, 22, "s" },
	{ "suffix/all_of_the_last_half", "allow outside -> web : ssh as s\n", 2, 3, "2001:470::1", "2a02:8071:1:2:1::10", 6,
	  22, "" },
	{ "suffix/as_a_source", "open ssh from web as s\n", 2, 1, "fe80::10", "2001:470::1", 6, 22, "s" },
	{ "suffix/with_a_network", "allow outside -> web : ssh as s\nblock outside -> 2a02:8071::/32 as b\n", 2, 3,
	  "2001:470::1", "2a02:8071:1:2::10", 6, 22, "b" },
	{ "suffix/beside_a_whole_address",
	  "host db = 2600::77, *::77\nallow outside -> db : ssh as s\nblock 2600::77 as b\n", 2, 3, "2001:470::1",
	  "2601::77", 6, 22, "s" },
	{ "suffix/where_a_network_ends_within_64_bits", SLICED, 2, 3, "2001:470::1", "2600:0:0:3::10", 6, 22, "s" },
	{ "suffix/where_a_network_begins_within_64_bits", SLICED, 2, 3, "2001:470::1", "2600:0:0:2:8000:0:0:11", 6, 22,
	  "s" },
	{ "alike/the_name_decides_not_the_order", "open ssh from 198.51.100.0/24 as z\nopen ssh from 198.51.100.7 as a\n", 2,
	  1, "198.51.100.7", "192.0.2.1", 6, 22, "a" },
	{ "alike/a_named_service_before_any", "open any from 198.51.100.7 as a\nopen ssh as z\n", 2, 1, "198.51.100.7",
	  "192.0.2.1", 6, 22, "z" },
};
#undef F

static void test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		char text[600];
		const char *got;
		struct model m;

		snprintf(text, sizeof(text), "%s%s", home, r->lines);
		model_init(&m, text, "");
		got = who(&m, r->from, r->to, r->src, r->dst, r->proto, r->port);
		check(r->name, !strcmp(got, r->decides), "decided by '%s', expected '%s'", got, r->decides);
		model_fini(&m);
	}
}

/* As many as there can be: each is found, and what lies between them is not. */
static void test_many_suffixes(void)
{
	char *text = malloc(32 * SP_IMAGE_SUFFIXES_MAX + 100), *at = text;
	sp_u32 wrong = 0;
	struct model m;

	if (!text)
		abort();
	at += sprintf(at, "wan eth0\nset ends = *::1");
	for (sp_u32 i = 1; i < SP_IMAGE_SUFFIXES_MAX; i++)
		at += sprintf(at, ", *::%x:%x", i, 2 * i + 1);
	sprintf(at, "\nopen ssh from ends as e\n");
	model_init(&m, text, "");
	free(text);
	for (sp_u32 i = 0; i < SP_IMAGE_SUFFIXES_MAX; i++) {
		char src[64];

		for (sp_u32 beside = 0; beside < 2; beside++) {
			snprintf(src, sizeof(src), "2600::%x:%x", i, 2 * i + 1 + beside);
			wrong += strcmp(who(&m, 2, 1, src, "2001:470::1", 6, 22), beside ? "" : "e") != 0;
		}
	}
	check("suffix/all_of_4096_are_found", !wrong, "%u wrong", wrong);
	model_fini(&m);
}

void test_asked(void)
{
	test_many_suffixes();
	test_rows();
	test_lines();
}
