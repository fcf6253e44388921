/* SPDX-License-Identifier: BSD-2-Clause */
/* What an image says beyond who may start what: translation, refusals, numbers of zones; and how much is too much. */
#include "image_test.h"

#include "../../core/abi.h"
#include "../../policy/compile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONES "wan eth0\nlan eth1\nzone dmz = eth2\nzone guests = eth3\n"

struct row {
	const char *name;
	const char *lines;
	sp_u32 flags, reject;
	const char *pool; /* as pool_text() writes it */
};

static const struct row rows[] = {
	{ "more/nothing_said", "", 0, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5, "" },
	{ "more/nat_off", "nat off\n", SP_IMAGE_NAT_OFF, 0x3a, "" },
	{ "more/express", "express on\n", SP_IMAGE_EXPRESS, 0x3a, "" },
	{ "more/express_off", "express off\n", 0, 0x3a, "" },
	{ "more/nat_open", "nat open\n", SP_IMAGE_NAT_OPEN, 0x3a, "" },
	{ "more/pool_of_one", "nat pool 203.0.113.8\n", 0, 0x3a, "203.0.113.8 " },
	{ "more/pool_of_a_range", "nat pool 203.0.113.254-203.0.114.1\n", 0, 0x3a,
	  "203.0.113.254 203.0.113.255 203.0.114.0 203.0.114.1 " },
	{ "more/pool_of_a_network", "nat pool 203.0.113.4/31\n", 0, 0x3a, "203.0.113.4 203.0.113.5 " },
	{ "more/pools_add_up_and_nothing_counts_twice",
	  "nat pool 203.0.113.8, 203.0.113.7-203.0.113.9\nnat pool 203.0.113.8/31, 203.0.113.1\nnat open\n",
	  SP_IMAGE_NAT_OPEN, 0x3a, "203.0.113.8 203.0.113.7 203.0.113.9 203.0.113.1 " },
	{ "more/refuse", "refuse outside with reject\nrefuse inside with drop\nrefuse guests with drop\n", 0,
	  1 << 1 | 1 << 2 | 1 << 4, "" },
	{ "more/half_of_the_ports_is_not_most", "forward tcp/1-32768, udp/1-32768 to 10.0.0.1\n", 0, 0x3a, "" },
	{ "more/more_than_half_of_tcp", "forward tcp/1-32769 to 10.0.0.1\n", SP_IMAGE_FORWARD_MOST, 0x3a, "" },
	{ "more/more_than_half_of_udp_together",
	  "forward udp/1-20000 to 10.0.0.1\nforward udp/19000-32769 from 192.0.2.1 to 10.0.0.2\n", SP_IMAGE_FORWARD_MOST,
	  0x3a, "" },
	{ "more/ipv6_takes_no_ports", "forward any to *::1\n", 0, 0x3a, "" },
};

static void pool_text(const struct sp_image_line *v, char *out, size_t size)
{
	sp_u32 n;
	const sp_u32 *pool = sp_image_pool(v, &n);

	*out = 0;
	for (sp_u32 i = 0; i < n; i++) {
		char one[INET_ADDRSTRLEN];

		inet_ntop(AF_INET, &pool[i], one, sizeof(one));
		snprintf(out + strlen(out), size - strlen(out), "%s ", one);
	}
}

static void test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		const struct sp_image_more *more;
		char text[600], pool[2000];
		struct model m;

		snprintf(text, sizeof(text), ZONES "%s", r->lines);
		model_init(&m, text, "");
		more = sp_image_line1(m.image.v);
		pool_text(m.image.v, pool, sizeof(pool));
		check(r->name, more->flags == r->flags && more->reject == r->reject && !strcmp(pool, r->pool),
		      "flags %x of %x, reject %x of %x, pool %s", more->flags, r->flags, more->reject, r->reject, pool);
		model_fini(&m);
	}
}

static void test_options(void)
{
	static const char text[] = ZONES "open ssh rate 10/m limit 3 idle 2h log as a\nblock 192.0.2.1 reject as b\n"
					 "block 192.0.2.2 drop log as c\nopen http as d\nrefuse dmz with drop\nnat open\n";
	struct model m;
	const struct sp_image_order *o;

	model_init(&m, text, "");
	o = sp_image_order(m.image.v, SP_LINE_FIRST);
	check("options/of_open", o && o->rate == 10 && o->rate_per_s == 60 && o->limit == 3 && o->idle_s == 7200 &&
	      o->flags == SP_ORDER_LOG && !o->to4, "%s", o ? "" : "no order");
	o = sp_image_order(m.image.v, SP_LINE_FIRST + 1);
	check("options/reject", o && o->flags == SP_ORDER_REJECT && !o->rate && !o->limit && !o->idle_s, "%s", "");
	o = sp_image_order(m.image.v, SP_LINE_FIRST + 2);
	check("options/drop_log", o && o->flags == (SP_ORDER_DROP | SP_ORDER_LOG), "%s", "");
	o = sp_image_order(m.image.v, SP_LINE_FIRST + 3);
	check("options/none", o && !o->flags && !o->rate && !o->limit && !o->idle_s, "%s", "");
	check("options/of_no_line", !sp_image_order(m.image.v, SP_LINE_FIRST + 4) &&
	      !sp_image_order(m.image.v, SP_LINE_SELF), "%s", "");
	model_fini(&m);
}

/* ---- numbers of zones ---------------------------------------------------------------------------------------------
 */

/* "4 dmz 5 guests": those of the file's own. */
static void zones_text(const struct sp_image_line *v, char *out, size_t size)
{
	*out = 0;
	for (sp_u32 i = SP_ZONE_COUNT; i < SP_ZONES_MAX; i++)
		if (*sp_image_zone_name(v, i))
			snprintf(out + strlen(out), size - strlen(out), "%u %s ", i, sp_image_zone_name(v, i));
}

static void test_zone_numbers(void)
{
	static const struct {
		const char *name, *before[SP_ZONES_MAX], *lines, *want;
	} cases[] = {
		{ "zones/in_the_order_of_the_file", {}, "zone b = eth2\nzone a = eth3\n", "4 b 5 a " },
		{ "zones/keep_their_numbers", { [4] = "a", [7] = "b" }, "zone b = eth2\nzone a = eth3\n", "4 a 7 b " },
		{ "zones/a_new_one_gets_a_number_that_none_had", { [4] = "a", [5] = "b" }, "zone c = eth2\n", "6 c " },
		{ "zones/a_new_one_before_one_that_stays", { [4] = "a" }, "zone c = eth2\nzone a = eth3\n", "4 a 5 c " },
		{ "zones/all_had_before",
		  { [4] = "a", [5] = "b", [6] = "c", [7] = "d", [8] = "e", [9] = "f", [10] = "g", [11] = "h", [12] = "i",
		    [13] = "j", [14] = "k" },
		  "zone x = eth2\nzone b = eth3\n", "4 x 5 b " },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char before[SP_ZONES_MAX][SP_IMAGE_NAME] = { "", "self", "outside", "inside" }, text[300], got[300];
		struct sp_image image = {};
		struct model m;

		for (int k = SP_ZONE_COUNT; k < SP_ZONES_MAX; k++)
			if (cases[i].before[k])
				snprintf(before[k], sizeof(before[k]), "%s", cases[i].before[k]);
		snprintf(text, sizeof(text), "wan eth0\nlan eth1\n%s", cases[i].lines);
		model_init(&m, text, "");
		if (sp_policy_compile_after(m.policy, (const char (*)[SP_IMAGE_NAME])before, &image, got, sizeof(got)))
			abort();
		zones_text(image.v, got, sizeof(got));
		check(cases[i].name, !strcmp(got, cases[i].want) && sp_image_zone_number(image.v, "inside") == 3 &&
		      !sp_image_zone_number(image.v, "nowhere") && !sp_image_zone_number(image.v, ""), "%s", got);
		sp_image_free(&image);
		model_fini(&m);
	}
}

/* ---- too much -------------------------------------------------------------------------------------------------------
 */

/* head, then n times `each` with a number, then tail. */
static void refused(const char *name, const char *head, const char *each, sp_u32 n, const char *tail, const char *words)
{
	char *text = malloc(strlen(head) + strlen(tail) + 100 * (size_t)n + 1), *at = text, why[300] = "";
	struct model m;
	int err;

	if (!text)
		abort();
	at += sprintf(at, "%s", head);
	for (sp_u32 i = 0; i < n; i++)
		at += sprintf(at, each, i + 1);
	strcpy(at, tail);
	err = model_try(&m, text, "", why, sizeof(why));
	check(name, words ? err == -E2BIG && strstr(why, words) != NULL : !err, "%d: %s", err, why);
	model_fini(&m);
	free(text);
}

static void test_too_much(void)
{
	static const char many_sets[] = "allow 2600:%x::/32 -> self : ssh\n";

	refused("too_much/a_pool_of_64", ZONES, "nat pool 203.0.113.%u\n", 64, "", NULL);
	refused("too_much/a_pool_of_65", ZONES, "nat pool 203.0.113.%u\n", 65, "",
		"random:69: nat-pool-203.0.113.65: more than 64 addresses");
	refused("too_much/a_pool_of_everything", ZONES "nat pool 16.0.0.0/4\n", "", 0, "", "more than 64 addresses");
	refused("too_much/eleven_zones_of_ones_own", "wan eth0\n", "zone z%1$u = if%1$u\n", 11, "", NULL);
	refused("too_much/twelve_zones_of_ones_own", "wan eth0\n", "zone z%1$u = if%1$u\n", 12, "",
		"random:13: zone-z12: more than 14 zones");
	refused("too_much/4096_suffixes", ZONES "set s = *::ffff", ", *::%x", 4095, "\nblock s\n", NULL);
	refused("too_much/4097_suffixes", ZONES "set s = *::ffff", ", *::%x", 4096, "\nblock s\n",
		"more than 4096 IPv6 hosts");
	for (int too = 0; too < 2; too++) {
		char *head = malloc(100 * 3001), *at = head;

		if (!head)
			abort();
		at += sprintf(at, ZONES "set s = *::ffff");
		for (int i = 1; i < 3000; i++)
			at += sprintf(at, ", *::%x", i);
		sprintf(at, "\nblock s\n");
		refused(too ? "too_much/suffixes_in_more_networks" : "too_much/suffixes_in_many_networks", head, many_sets,
			too ? 5600 : 500, "", too ? "too many IPv6 hosts by suffix" : NULL);
		free(head);
	}
}

/* Senders that overlap are found by the checker only where sets are small; then the compiler finds them. */
static void test_clash(void)
{
	static const struct {
		const char *name, *last;
		int err;
	} cases[] = {
		{ "clash/large_sets_that_overlap", "set b = 10.0.200.1, 10.1.0.0/16\n", -EEXIST },
		{ "clash/large_sets_apart", "set b = 10.2.200.1, 10.1.0.0/16\n", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[20000], *at = text, why[300] = "";
		struct model m;
		int err;

		at += sprintf(at, ZONES "set a = 10.0.0.0");
		for (int k = 1; k < 300; k++)
			at += sprintf(at, ", 10.0.%d.1", k % 256);
		for (int k = 1; k < 300; k++)
			at += sprintf(at, ", 10.3.%d.%d", k % 256, k / 256);
		sprintf(at, "\n%sforward https from a to 10.9.0.1 as x\nforward https from b to 10.9.0.2 as y\n",
			cases[i].last);
		err = model_try(&m, text, "", why, sizeof(why));
		check(cases[i].name, err == cases[i].err && (!err || strstr(why, "random:8: y: some of its senders go")),
		      "%d: %s", err, why);
		model_fini(&m);
	}
}

void test_more(void)
{
	test_clash();
	test_rows();
	test_options();
	test_zone_numbers();
	test_too_much();
}
