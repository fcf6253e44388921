/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The language from inside: addresses against the C library, services, tokens, names, limits, and every allocation
 * failing once. Built with AddressSanitizer, so that what is not given back is seen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../policy/internal.h"

/* ---- memory that runs out: the linker sends the allocations of this program through here -------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static long fail_at = -1; /* so many allocations from now; below 0: never */

static int is_out(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return is_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_out() ? NULL : __real_calloc(n, size);
}

/* ---- a file system of one page ------------------------------------------------------------------- */

static const char services_text[] = "ssh 22/tcp # remote\nhttp\t80/tcp www w3\nwww 81/tcp\ndomain 53/tcp\ndomain 53/udp\n"
				    "bad 0/tcp\nbad 65536/tcp\nbad x/tcp\nbad 5\nbad\n#no 1/tcp\nlast 7/udp";

struct page {
	const char *path, *text;
};
static const struct page pages[] = {
	{ "/etc/services", services_text },
	{ "bad.txt", "192.0.2.0/24 ; SBL1\n\n# nothing\n2001:db8::/32\r\n  198.51.100.7\n" },
	{ "dir/a.conf", "open http\n" },
	{ "dir/loop.conf", "include \"loop.conf\"\n" },
};

static int read_page(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	size_t i;

	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(pages[i].path, path))
			continue;
		*data = malloc(strlen(pages[i].text) + 1);
		if (!*data)
			return -ENOMEM;
		*len = strlen(pages[i].text);
		memcpy(*data, pages[i].text, *len);
		return 0;
	}
	return -ENOENT;
}

static int list_pages(void *ctx, const char *pattern, char ***paths, size_t *n)
{
	*n = 0;
	*paths = NULL;
	return 0;
}

static const struct sp_policy_io io = { NULL, read_page, list_pages };
static const struct sp_policy_options options = { &io, NULL };

static struct sp_policy *load(const char *text)
{
	struct sp_policy *p = NULL;

	assert_int_equal(sp_policy_load_text("test", text, strlen(text), &options, &p), 0);
	return p;
}

/* ---- addresses ------------------------------------------------------------------------------------- */

static void addresses_are_those_of_the_c_library(void **state)
{
	unsigned seed = 7;
	int i, k, host_bits;

	for (i = 0; i < 20000; i++) {
		char text[INET6_ADDRSTRLEN], ours[SP_NET_TEXT];
		sp_u8 bytes[16], back[16];
		struct sp_net net;
		int v6 = i & 1;

		for (k = 0; k < 16; k++) /* many zeros, for the gaps */
			bytes[k] = rand_r(&seed) & 4 ? 0 : (sp_u8)rand_r(&seed);
		inet_ntop(v6 ? AF_INET6 : AF_INET, bytes, text, sizeof(text));
		if (sp_net_read(text, strlen(text), &net, &host_bits) == SP_NET_MAPPED)
			continue;
		assert_int_equal(sp_net_read(text, strlen(text), &net, &host_bits), SP_NET_OK);
		assert_memory_equal(net.addr, bytes, v6 ? 16 : 4);
		sp_net_print(ours, &net);
		assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, ours, back), 1);
		assert_memory_equal(back, bytes, v6 ? 16 : 4);
	}
}

static void what_the_c_library_refuses_is_refused(void **state)
{
	static const char letters[] = "0123456789abf::...";
	unsigned seed = 11;
	int i, k, host_bits, refused = 0;

	for (i = 0; i < 200000; i++) {
		char text[24];
		struct sp_net net;
		sp_u8 out[16];
		int len = 1 + rand_r(&seed) % 20, known;

		for (k = 0; k < len; k++)
			text[k] = letters[(unsigned)rand_r(&seed) % (sizeof(letters) - 1)];
		text[len] = 0;
		known = inet_pton(AF_INET6, text, out) == 1 || inet_pton(AF_INET, text, out) == 1;
		if (sp_net_read(text, (size_t)len, &net, &host_bits) == SP_NET_OK)
			assert_true(known);
		else
			refused++;
	}
	assert_in_range(refused, 1, 199999);
}

static void networks_are_cut_at_their_prefix(void **state)
{
	static const struct {
		const char *text, *canonical;
		int host_bits;
	} rows[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", 0 },     { "10.1.2.3/8", "10.0.0.0/8", 1 },
		{ "10.0.0.1/32", "10.0.0.1", 0 },      { "255.255.255.255/0", "0.0.0.0/0", 1 },
		{ "10.0.0.255/31", "10.0.0.254/31", 1 }, { "2001:db8::1/127", "2001:db8::/127", 1 },
		{ "2001:db8::/33", "2001:db8::/33", 0 }, { "ffff::/1", "8000::/1", 1 },
		{ "::/0", "::/0", 0 },		       { "*::10", "*::10", 0 },
		{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", 0 }, { "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", 0 },
		{ "*:1:0:0:4", "*::1:0:0:4", 0 },      { "2001:DB8::A", "2001:db8::a", 0 },
	};
	char text[SP_NET_TEXT];
	struct sp_net net;
	int host_bits;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(sp_net_read(rows[i].text, strlen(rows[i].text), &net, &host_bits), SP_NET_OK);
		sp_net_print(text, &net);
		assert_string_equal(text, rows[i].canonical);
		assert_int_equal(host_bits, rows[i].host_bits);
	}
}

static void networks_cover_and_overlap(void **state)
{
	static const struct {
		const char *a, *b;
		int covers, overlaps;
	} rows[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", 1, 1 },	   { "2001:db8::/32", "2001:db8::/32", 1, 1 },
		{ "10.0.0.0/8", "10.1.0.0/16", 1, 1 },	   { "10.1.0.0/16", "10.0.0.0/8", 0, 1 },
		{ "10.0.0.0/9", "10.128.0.0/9", 0, 0 },	   { "0.0.0.0/0", "1.2.3.4", 1, 1 },
		{ "0.0.0.0/0", "::1", 0, 0 },		   { "::/0", "*::10", 1, 1 },
		{ "*::10", "2001:db8::10", 1, 1 },	   { "*::10", "2001:db8::11", 0, 0 },
		{ "*::10", "2001:db8::/64", 0, 1 },	   { "2001:db8::/64", "*::10", 0, 1 },
		{ "*::10", "2001:db8:0:0:8000::/65", 0, 0 }, { "*::10", "*::10", 1, 1 },
		{ "*::10", "*::11", 0, 0 },
	};
	struct sp_net a, b;
	int host_bits;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(sp_net_read(rows[i].a, strlen(rows[i].a), &a, &host_bits), SP_NET_OK);
		assert_int_equal(sp_net_read(rows[i].b, strlen(rows[i].b), &b, &host_bits), SP_NET_OK);
		assert_int_equal(sp_net_covers(&a, &b), rows[i].covers);
		assert_int_equal(sp_net_overlap(&a, &b), rows[i].overlaps);
		assert_int_equal(sp_net_overlap(&b, &a), rows[i].overlaps);
	}
}

/* ---- services ---------------------------------------------------------------------------------------- */

static void services_are_those_of_the_file(void **state)
{
	static const struct {
		const char *name;
		sp_u32 n;
		sp_u16 first;
	} rows[] = {
		{ "ssh", 1, 22 }, { "www", 2, 80 },    { "w3", 1, 80 },	 { "domain", 2, 53 },
		{ "last", 1, 7 }, { "https", 2, 443 }, { "bad", 0, 0 }, { "no", 0, 0 },
	};
	struct sp_policy *p = load("open ssh\n");
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sp_portlist list = { NULL, 0, 0 };

		assert_int_equal(sp_services_find(p, rows[i].name, SP_PROTO_ANY, &list), rows[i].n ? 0 : -ENOENT);
		assert_int_equal(list.n, rows[i].n);
		if (list.n)
			assert_int_equal(list.v[0].low, rows[i].first);
	}
	sp_policy_free(p);
}

static void port_lists_merge(void **state)
{
	struct sp_policy *p = load("");
	struct sp_portlist list = { NULL, 0, 0 }, one = { NULL, 0, 0 };

	assert_int_equal(sp_portlist_add(p, &list, 6, 90, 100), 0);
	assert_int_equal(sp_portlist_add(p, &list, 17, 90, 100), 0);
	assert_int_equal(sp_portlist_add(p, &list, 6, 80, 89), 0); /* neighbours become one */
	assert_int_equal(sp_portlist_add(p, &list, 6, 65535, 65535), 0);
	assert_int_equal(sp_portlist_add(p, &list, 6, 82, 84), 0);
	sp_portlist_merge(&list);
	assert_int_equal(list.n, 3);
	assert_int_equal(list.v[0].low, 80);
	assert_int_equal(list.v[0].high, 100);
	assert_int_equal(sp_portlist_add(p, &one, 6, 82, 99), 0);
	assert_true(sp_portlist_covers(&list, &one));
	assert_false(sp_portlist_covers(&one, &list));
	assert_true(sp_portlist_overlap(&one, &list));
	sp_policy_free(p);
}

/* ---- the tree ------------------------------------------------------------------------------------------- */

static void the_tree_says_what_the_text_said(void **state)
{
	struct sp_policy *p = load("open ssh, domain from 10.0.0.0/8 log idle 2h rate 5/m limit 9 as door\n"
				   "set bad = file \"bad.txt\"\nblock bad reject\n"
				   "forward tcp/8080 to [2001:db8::1]:80\n");
	const struct sp_sentence *open = p->lines[0], *set = p->lines[1], *block = p->lines[2], *forward = p->lines[3];

	assert_int_equal(p->errors, 0);
	assert_int_equal(p->n_lines, 4);
	assert_int_equal(open->kind, SP_KIND_OPEN);
	assert_int_equal(open->services.n, 2);
	assert_int_equal(open->services.v[1].ports.n, 2);
	assert_int_equal(open->from.v[0].kind, SP_TERM_NET);
	assert_int_equal(open->from.v[0].net.bits, 8);
	assert_int_equal(open->idle_s, 7200);
	assert_int_equal(open->rate, 5);
	assert_int_equal(open->rate_per_s, 60);
	assert_int_equal(open->limit, 9);
	assert_true(open->log);
	assert_string_equal(open->name, "door");
	assert_int_equal(set->nets.n, 3);
	assert_int_equal(set->nets.v[1].family, SP_NET_V6);
	assert_ptr_equal(block->from.v[0].def, set);
	assert_int_equal(block->refusal, SP_REFUSE_REJECT);
	assert_int_equal(forward->target.net.addr[15], 1);
	assert_int_equal(forward->target_port, 80);
	sp_policy_free(p);
}

static void a_place_is_exact(void **state)
{
	struct sp_policy *p = load("# first\n\topen ssh,\n\t\thtps  # misspelt\n");
	const struct sp_diag *d = p->diags;

	assert_int_equal(p->n_diags, 1);
	assert_string_equal(d->at.file, "test");
	assert_int_equal(d->at.line, 3);
	assert_int_equal(d->at.column, 3);
	assert_int_equal(d->at.length, 4);
	assert_string_equal(d->source, "\t\thtps  # misspelt");
	assert_string_equal(d->suggestion, "https");
	sp_policy_free(p);
}

static void includes_do_not_circle(void **state)
{
	struct sp_policy *p = load("include \"dir/loop.conf\"\ninclude \"dir/a.conf\"\ninclude \"dir/a.conf\"\n");

	assert_int_equal(p->errors, 2);
	assert_string_equal(p->diags[0].message, "'dir/a.conf' is already part of this configuration");
	assert_string_equal(p->diags[1].message, "'dir/loop.conf' is already part of this configuration");
	assert_string_equal(p->diags[1].at.file, "dir/loop.conf");
	sp_policy_free(p);
}

/* Many errors: some are kept, all are counted. */
static void errors_are_counted_to_the_end(void **state)
{
	char *text = __real_malloc(6 * 1000 + 1);
	struct sp_policy *p;
	int i;

	for (i = 0; i < 1000; i++)
		memcpy(text + 6 * i, "opn x\n", 7);
	p = load(text);
	assert_int_equal(p->errors, 1000);
	assert_int_equal(p->n_diags, SP_POLICY_DIAGS_MAX);
	sp_policy_free(p);
	free(text);
}

/* ---- every allocation fails once --------------------------------------------------------------------------- */

/* Loads text with the n-th allocation failing, for each n until none fails any more; returns how many there are. */
static long starve(const char *text, sp_u32 errors, sp_u32 warnings)
{
	int failed = 1, rc;
	long n;

	for (n = 0; failed && n < 10000; n++) {
		struct sp_policy *p = NULL;

		fail_at = n;
		rc = sp_policy_load_text("test", text, strlen(text), &options, &p);
		failed = fail_at < 0;
		fail_at = -1;
		assert_true(rc == 0 || (rc == -ENOMEM && failed && !p));
		if (!rc) { /* a hint may be lost, what is wrong may not */
			assert_int_equal(p->errors, errors);
			assert_int_equal(p->warnings, warnings);
		}
		sp_policy_free(p);
	}
	assert_false(failed);
	return n - 1;
}

static void out_of_memory_is_said(void **state)
{
	static const char right[] = "wan eth0\nzone dmz = eth1\nhost web = 10.0.0.1\nset s = web, 10.0.0.0/8\n"
				    "service x = ssh, tcp/9\nopen x from s log\nblock file \"bad.txt\"\n"
				    "forward tcp/80 to web:81\ninclude \"dir/a.conf\"\nopen ssh\nopen ssh\n";

	assert_in_range(starve(right, 0, 1), 150, 9999);
	assert_in_range(starve("open htps\nopn ssh\nwan eth0 eth1\nblock 10.0.0.1/8, www.x.y\n", 4, 1), 40, 9999);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_those_of_the_c_library),
		cmocka_unit_test(what_the_c_library_refuses_is_refused),
		cmocka_unit_test(networks_are_cut_at_their_prefix),
		cmocka_unit_test(networks_cover_and_overlap),
		cmocka_unit_test(services_are_those_of_the_file),
		cmocka_unit_test(port_lists_merge),
		cmocka_unit_test(the_tree_says_what_the_text_said),
		cmocka_unit_test(a_place_is_exact),
		cmocka_unit_test(includes_do_not_circle),
		cmocka_unit_test(errors_are_counted_to_the_end),
		cmocka_unit_test(out_of_memory_is_said),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
