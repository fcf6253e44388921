/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of what commands read and write: text in, value out; and addresses against the C library. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../cli/cli.h"
#include "../../cli/filter.h"

static int passed, failed;

static void expect(int ok, const char *what, const char *word)
{
	passed += ok;
	failed += !ok;
	if (!ok)
		printf("FAILED %s: '%s'\n", what, word);
}

/* filter.c reports through this; here only the code counts. */
int sp_usage(const char *what, const char *word)
{
	return SP_EXIT_USAGE;
}

static void addresses_are_written_as_the_c_library_does(void)
{
	static const char *const rows[] = {
		"0.0.0.0", "255.255.255.255", "10.0.0.1", "192.168.100.99", "::", "::1", "1::", "2001:db8::1", "1:0:0:2::3",
		"1:0:2:3:4:5:6:7", "fe80::1:0:0:1", "1:2:3:4:5:6:0:0", "0:0:1::", "ff02::1:ff00:1234", "a:b:c:d:e:f:1:2",
		"1:0:0:2:0:0:3:4", "1::2:0:0:0:3", "8000::800:80:8",
	};
	char got[SP_ADDR_TEXT], want[SP_ADDR_TEXT];
	struct sp_addr a;
	int family;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		expect(!sp_read_addr(rows[i], &a, &family), "read address", rows[i]);
		sp_text_addr(got, &a, family);
		inet_ntop(family == SP_IPV4 ? AF_INET : AF_INET6, a.b, want, sizeof(want));
		expect(!strcmp(got, want), "write address", got);
	}
	/* groups that are often 0, so that the longest run is in every place; the C library writes ::1.2.3.4 for some */
	srand(1);
	for (i = 0; i < 100000; i++) {
		int g;

		for (g = 0; g < 16; g++)
			a.b[g] = (sp_u8)(rand() % 3 ? 0 : rand());
		a.b[0] |= 1;
		sp_text_addr(got, &a, SP_IPV6);
		inet_ntop(AF_INET6, a.b, want, sizeof(want));
		if (strcmp(got, want)) {
			expect(0, "write random address", want);
			return;
		}
	}
	passed++;
}

static void endpoints_are_read_and_written(void)
{
	static const struct {
		const char *text;
		int port; /* -2: refused */
	} rows[] = {
		{ "10.0.0.1:80", 80 },	  { "10.0.0.1", -1 },	    { "[2001:db8::1]:443", 443 }, { "2001:db8::1", -1 },
		{ "[2001:db8::1]", -1 },  { "10.0.0.1:0", 0 },	    { "10.0.0.1:65535", 65535 },  { "10.0.0.1:65536", -2 },
		{ "10.0.0.1:", -2 },	  { "10.0.0.1:x", -2 },	    { "10.0.0:80", -2 },	  { "[10.0.0.1]:80", -2 },
		{ "[2001:db8::1", -2 },	  { "[2001:db8::1]443", -2 }, { "", -2 },		  { ":80", -2 },
		{ "10.0.0.1:80 ", -2 },	  { "10.0.0.1:+80", -2 },   { "1:2:3:4:5:6:7:8:9", -2 },  { "[]:80", -2 },
	};
	char text[SP_ENDPOINT_TEXT];
	struct sp_addr a;
	int family, port, rc;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rc = sp_read_endpoint(rows[i].text, &a, &family, &port);
		expect(rows[i].port == -2 ? rc != 0 : !rc && port == rows[i].port, "read endpoint", rows[i].text);
		if (rc || port <= 0)
			continue;
		sp_text_endpoint(text, &a, family, 6, (sp_u16)port);
		expect(!strcmp(text, rows[i].text), "write endpoint", text);
	}
}

static void numbers_have_limits(void)
{
	static const struct {
		const char *text;
		int ok;
	} rows[] = { { "1", 1 },  { "100", 1 }, { "0", 0 },  { "101", 0 }, { "-1", 0 },	  { " 1", 0 },
		     { "1x", 0 }, { "", 0 },	{ "0x1", 0 }, { "99999999999999999999999", 0 } };
	sp_u64 v;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect((sp_read_u64(rows[i].text, 1, 100, &v) == 0) == rows[i].ok, "read number", rows[i].text);
}

static struct sp_flow make_flow(const char *src, const char *dst, int proto, sp_u16 sport, sp_u16 dport, sp_u8 phase)
{
	struct sp_flow f = { .phase = phase, .zone_from = SP_ZONE_INSIDE, .zone_to = SP_ZONE_OUTSIDE };
	struct sp_addr a, b;
	int family;

	sp_read_addr(src, &a, &family);
	sp_read_addr(dst, &b, &family);
	sp_key_make(&f.key, family, (sp_u8)proto, a.b, b.b, sport, dport);
	return f;
}

static void filters_match(void)
{
	static const struct {
		const char *words; /* separated by spaces */
		int tcp4, udp6, icmp4; /* does it match; 2: the filter is refused */
	} rows[] = {
		{ "tcp", 1, 0, 0 },		{ "udp", 0, 1, 0 },		{ "icmp", 0, 0, 1 },
		{ "443", 1, 0, 0 },		{ "40000", 1, 0, 0 },		{ "53", 0, 1, 0 },
		{ "0", 0, 0, 0 },		{ "10.0.0.2", 1, 0, 1 },	{ "10.0.0.0/8", 1, 0, 1 },
		{ "10.0.0.3/31", 1, 0, 1 },	{ "10.0.0.4/31", 0, 0, 0 },	{ "0.0.0.0/0", 1, 0, 1 },
		{ "::/0", 0, 1, 0 },		{ "2001:470::/33", 0, 1, 0 },	{ "2001:470:8000::/33", 0, 0, 0 },
		{ "198.51.100.1", 1, 0, 1 },	{ "established", 1, 0, 0 },	{ "Established", 1, 0, 0 },
		{ "answered", 1, 0, 1 },	{ "unanswered", 0, 1, 0 },	{ "closing", 0, 0, 0 },
		{ "inside", 1, 1, 1 },		{ "self", 0, 0, 0 },		{ "tcp 443 10.0.0.2", 1, 0, 0 },
		{ "tcp 53", 0, 0, 0 },		{ "bogus", 2, 2, 2 },		{ "10.0.0.0/33", 2, 2, 2 },
		{ "70000", 2, 2, 2 },		{ "-1", 2, 2, 2 },		{ "203.0.113.1", 1, 0, 0 },
		{ "203.0.113.2", 0, 0, 0 },	{ "61000", 1, 0, 0 },		{ "10.1.0.9", 1, 0, 0 },
		{ "alias", 2, 2, 2 },
	};
	struct sp_flow tcp4 = make_flow("10.0.0.2", "198.51.100.1", 6, 40000, 443, SP_PHASE_TCP_ESTABLISHED);
	struct sp_flow udp6 = make_flow("2001:470:1::2", "2001:470:2::1", 17, 4000, 53, SP_PHASE_UDP_UNANSWERED);
	struct sp_flow icmp4 = make_flow("198.51.100.1", "10.0.0.2", 1, 53, 53, SP_PHASE_ICMP_ANSWERED);
	/* what its ends know each other by counts as well; what stands where nothing is translated does not */
	struct sp_known known = { .is = { 1, 1 }, .port = { sp_hton16(443), sp_hton16(61000) } };
	struct sp_known plain = { .port = { sp_hton16(443), sp_hton16(61000) } };
	struct sp_addr a;
	int family;
	size_t i;

	sp_read_addr("10.1.0.9", &a, &family);
	known.addr[SP_ALIAS_INITIATOR] = plain.addr[SP_ALIAS_INITIATOR] = a.w32[0];
	sp_read_addr("203.0.113.1", &a, &family);
	known.addr[SP_ALIAS_RESPONDER] = plain.addr[SP_ALIAS_RESPONDER] = a.w32[0];
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char words[64], *word;
		struct sp_filter f;
		int rc = 0;

		sp_filter_init(&f);
		snprintf(words, sizeof(words), "%s", rows[i].words);
		for (word = strtok(words, " "); word && !rc; word = strtok(NULL, " "))
			rc = sp_filter_word(&f, word);
		if (rows[i].tcp4 == 2 || rc) {
			expect(rc && rows[i].tcp4 == 2, "refuse filter", rows[i].words);
			continue;
		}
		expect(sp_filter_match(&f, &tcp4, &known) == rows[i].tcp4, "filter on tcp", rows[i].words);
		expect(sp_filter_match(&f, &udp6, &plain) == rows[i].udp6, "filter on udp", rows[i].words);
		expect(sp_filter_match(&f, &icmp4, &plain) == rows[i].icmp4, "filter on icmp", rows[i].words);
	}
}

static void json_is_well_formed(void)
{
	static const char want[] = "{\"a\": \"q\\\"b\\\\n\\u000a\", \"l\": [1, 2, {\"x\": true}], "
				   "\"e\": {}, \"z\": false}\n{}\n";
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct sp_json j;

	sp_json_begin(&j, f);
	sp_json_open(&j, NULL, '{');
	sp_json_str(&j, "a", "q\"b\\n\n");
	sp_json_open(&j, "l", '[');
	sp_json_u64(&j, NULL, 1);
	sp_json_u64(&j, NULL, 2);
	sp_json_open(&j, NULL, '{');
	sp_json_bool(&j, "x", 1);
	sp_json_close(&j);
	sp_json_close(&j);
	sp_json_open(&j, "e", '{');
	sp_json_close(&j);
	sp_json_bool(&j, "z", 0);
	sp_json_close(&j);
	sp_json_open(&j, NULL, '{');
	sp_json_close(&j);
	fclose(f);
	expect(!strcmp(text, want), "json", text);
	free(text);
}

int main(void)
{
	addresses_are_written_as_the_c_library_does();
	endpoints_are_read_and_written();
	numbers_have_limits();
	filters_match();
	json_is_well_formed();
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
