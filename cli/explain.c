/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally explain`: what would happen to this packet now, and why. This file reads the question. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "explain.h"

static const char help[] =
	"usage: sally explain PROTO SRC[:PORT] to DST[:PORT] [options]\n"
	"       sally explain PROTO SRC[:PORT] '->' DST[:PORT] [options]\n"
	"\n"
	"What would happen to this packet now: it is made, and judged by the very code\n"
	"that judges all packets, against a copy of the live table. Nothing is changed\n"
	"and nothing is sent. Shows each step, the verdict with its reason, and what\n"
	"would change it. IPv6 addresses with a port are written [2a00::1]:443.\n"
	"\n"
	"  PROTO            tcp, udp, icmp (echo request), or another name or number\n"
	"  --in IF          it comes in at this interface (else: by the route to SRC)\n"
	"  --zone ZONE      it comes from outside, inside, self, or a zone of the\n"
	"                   configuration, whatever the interfaces are; works without\n"
	"                   root and when nothing is up: then against an empty table\n"
	"  --egress         it is sent by this machine (the same as --zone self)\n"
	"  --gateway        with --zone and nothing up: as a gateway, not as a host\n"
	"  --flags LETTERS  TCP flags out of SAFRPU; else a SYN, or the next segment of\n"
	"                   a remembered connection\n"
	"  --seq N --ack N  TCP sequence and acknowledgement number\n"
	"  --type N         ICMP type (and --code N); else an echo request\n"
	"  --id N           ICMP identifier\n"
	"  --json           one object\n"
	"\n"
	"exit codes: 0 it would be let through, 1 it would be stopped, 2 the question is\n"
	"wrong, 3 not permitted, 4 not up\n";

#define CHOSEN_PORT 50000 /* when the question names no source port */

static int read_flags(struct sp_explain *x, const char *s)
{
	static const char letters[] = "FSRPAU"; /* by bit */

	for (; *s; s++) {
		const char *at = strchr(letters, *s & ~0x20);

		if (!at)
			return sp_usage("TCP flags are letters out of SAFRPU, not", s);
		x->craft.tcp_flags |= (sp_u8)(1u << (at - letters));
	}
	x->flags_given = 1;
	return SP_EXIT_OK;
}

/* Zones of the configuration have names where the firewall is up. */
static int find_zone(const char *s)
{
	struct sp_live live;
	struct sp_err err;
	int zone = sp_zone_by_name(s);

	if (zone < 0 && !sp_live_open(&live, &err)) {
		zone = sp_zone_by_name(s);
		sp_live_close(&live);
	}
	return zone;
}

static int read_zone(struct sp_explain *x, const char *s)
{
	const int zone = find_zone(s);

	if (zone < 0)
		return sp_usage("a zone is outside, inside, self, or one of the configuration in force, not", s);
	x->zone = (sp_u8)zone;
	x->egress |= x->zone == SP_ZONE_SELF;
	return SP_EXIT_OK;
}

static int read_number(const char *option, const char *s, sp_u64 max, sp_u64 *out)
{
	if (sp_read_u64(s, 0, max, out))
		return sp_fail(SP_EXIT_USAGE, "%s is a number from 0 to %llu, not '%s'", option, max, s);
	return SP_EXIT_OK;
}

static int read_valued(struct sp_explain *x, const char *option, const char *s)
{
	sp_u64 n = 0;
	int code;

	if (!s)
		return sp_usage("a value is missing behind", option);
	if (strcmp(option, "--in") == 0) {
		x->iface = s;
		return SP_EXIT_OK;
	}
	if (strcmp(option, "--zone") == 0)
		return read_zone(x, s);
	if (strcmp(option, "--flags") == 0)
		return read_flags(x, s);
	if (strcmp(option, "--seq") == 0) {
		code = read_number(option, s, 0xffffffff, &n);
		x->craft.seq = (sp_u32)n;
		x->seq_given = 1;
	} else if (strcmp(option, "--ack") == 0) {
		code = read_number(option, s, 0xffffffff, &n);
		x->craft.ack = (sp_u32)n;
		x->ack_given = 1;
	} else if (strcmp(option, "--type") == 0) {
		code = read_number(option, s, 255, &n);
		x->craft.icmp_type = (sp_u8)n;
	} else if (strcmp(option, "--code") == 0) {
		code = read_number(option, s, 255, &n);
		x->craft.icmp_code = (sp_u8)n;
	} else {
		code = read_number(option, s, 65535, &n);
		x->craft.sport = (sp_u16)n;
		x->sport_given = 1;
	}
	return code;
}

static int is_valued(const char *s)
{
	static const char *const names[] = { "--in", "--zone", "--flags", "--seq", "--ack", "--type", "--code", "--id" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], s) == 0)
			return 1;
	return 0;
}

static int read_end(const char *word, int has_ports, struct sp_addr *a, int *family, int *port)
{
	if (sp_read_endpoint(word, a, family, port))
		return sp_usage("not an address, or an address with a port (IPv6: [2a00::1]:443)", word);
	if (*port >= 0 && !has_ports)
		return sp_usage("this protocol has no ports", word);
	return SP_EXIT_OK;
}

/* words: PROTO SRC DST, the arrow taken out */
static int read_words(struct sp_explain *x, const char *const *words)
{
	int proto = sp_read_proto(words[0]), family = 0, family2 = 0, port = -1, has_ports, code;

	if (proto < 0)
		return sp_usage("not a protocol", words[0]);
	has_ports = sp_proto_has_ports(proto);
	code = read_end(words[1], has_ports, &x->craft.src, &family, &port);
	if (code)
		return code;
	if (has_ports)
		x->craft.sport = port < 0 ? CHOSEN_PORT : (sp_u16)port;
	x->sport_given |= port >= 0;
	code = read_end(words[2], has_ports, &x->craft.dst, &family2, &port);
	if (code)
		return code;
	if (family != family2)
		return sp_usage("both addresses are IPv4 or both are IPv6; the destination is", words[2]);
	if (has_ports && port < 0)
		return sp_usage("the destination needs a port, as in 192.0.2.1:80", words[2]);
	x->craft.dport = has_ports ? (sp_u16)port : 0;
	x->craft.family = (sp_u8)family;
	if (proto == IPPROTO_ICMP && family == SP_IPV6)
		proto = IPPROTO_ICMPV6;
	x->craft.proto = (sp_u8)proto;
	return SP_EXIT_OK;
}

static int read_question(struct sp_explain *x, int argc, char **argv)
{
	const char *words[3];
	int n = 0, typed = 0;

	x->craft.icmp_type = 0;
	for (int i = 1; i < argc; i++) {
		if (is_valued(argv[i])) {
			int code = read_valued(x, argv[i], i + 1 < argc ? argv[i + 1] : NULL);

			if (code)
				return code;
			typed |= strcmp(argv[i], "--type") == 0;
			i++;
		} else if (strcmp(argv[i], "--egress") == 0)
			x->egress = 1;
		else if (strcmp(argv[i], "--gateway") == 0)
			x->gateway = 1;
		else if (strcmp(argv[i], "--json") == 0)
			x->json = 1;
		else if (n == 2 && (strcmp(argv[i], "->") == 0 || strcmp(argv[i], "to") == 0))
			continue;
		else if (n == 2 && strcmp(argv[i], "-") == 0)
			return sp_fail(SP_EXIT_USAGE, "the shell took the '>' of '->' for itself, and wrote to a file; "
						      "write 'to' or quote the arrow");
		else if (argv[i][0] == '-')
			return sp_usage("unknown option", argv[i]);
		else if (n == 3)
			return sp_usage("one packet at a time, not also", argv[i]);
		else
			words[n++] = argv[i];
	}
	if (n < 3)
		return sp_usage("say PROTO SRC[:PORT] to DST[:PORT]; missing", n == 0 ? "PROTO" : n == 1 ? "SRC" : "DST");
	n = read_words(x, words);
	if (n == 0 && !typed)
		x->craft.icmp_type = x->craft.family == SP_IPV4 ? 8 : 128;
	return n;
}

int sp_cmd_explain(int argc, char **argv)
{
	struct sp_explain x = { .craft.family = SP_IPV4 };
	int code;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	code = read_question(&x, argc, argv);
	if (code)
		return code;
	code = sp_explain_ask(&x);
	if (code)
		return code;
	if (x.json)
		sp_explain_json(&x);
	else
		sp_explain_text(&x);
	return sp_finish(x.result.verdict == SP_PASS ? SP_EXIT_OK : SP_EXIT_FAILED);
}
