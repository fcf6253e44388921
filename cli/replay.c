/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally replay`: what the firewall would have said to every packet of a capture, and a summary. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../host/replay.h"
#include "cli.h"

static const char help[] =
	"usage: sally replay FILE [--inside ADDRS | --outside ADDRS | --self ADDRS]\n"
	"                    [--host | --gateway] [--flows N] [--summary] [--json]\n"
	"                    [--checksums partial|keep|repair]\n"
	"\n"
	"Judges every packet of a capture (pcap or pcapng; '-' reads standard input) as\n"
	"if the firewall had stood between the inside and the outside, by the clock of\n"
	"the capture. Needs no privileges and changes nothing.\n"
	"\n"
	"Sides are told by source address. ADDRS: addresses and networks, with commas;\n"
	"the option can be repeated.\n"
	"  --inside ADDRS    these are inside, everybody else is outside\n"
	"  --outside ADDRS   these are outside, everybody else is inside\n"
	"  --self ADDRS      these are the guarded computer, everybody else is outside\n"
	"  (none of them)    the sender of the first IP packet is inside, everybody else\n"
	"                    is outside\n"
	"  --gateway, --host semantics and timeouts of a gateway (the default) or a host\n"
	"                    (the default with --self)\n"
	"  --flows N         size of the table of conversations (65536)\n"
	"  --checksums HOW   partial: finish those that the sending machine left to its\n"
	"                    network card (the default); keep: judge the bytes as\n"
	"                    captured; repair: make all checksums right\n"
	"  --summary         only the summary\n"
	"  --json            one object a packet a line, the last one is the summary\n"
	"\n"
	"exit codes: 0, or 1 if the capture could not be read to its end (what was read\n"
	"is reported), 2 the command line is wrong\n";

#define SHOWN_FLOWS 20 /* conversations in the summary for people */

struct options {
	const char *file;
	sp_u64 flows;
	struct sp_sides sides;
	int sided, json, summary;
	int mode; /* 0: by the sides, 'g', 'h' */
	enum sp_capture_sums sums;
};

/* ---- command line ---------------------------------------------------------------------------------------------- */

static int read_sides(struct options *o, const char *option, const char *value)
{
	enum sp_sides_how how = strcmp(option, "--inside") == 0	   ? SP_SIDES_INSIDE :
				strcmp(option, "--outside") == 0 ? SP_SIDES_OUTSIDE :
								   SP_SIDES_SELF;
	char bad[64];
	int err;

	if (o->sided && o->sides.how != how)
		return sp_usage("only one of --inside, --outside and --self can be given, not also", option);
	o->sided = 1;
	o->sides.how = how;
	err = sp_sides_add(&o->sides, value, bad, sizeof(bad));
	if (err == -ENOSPC)
		return sp_usage("too many addresses, at", bad);
	return err ? sp_usage("not an address or network", bad) : SP_EXIT_OK;
}

static int read_sums(struct options *o, const char *value)
{
	static const char *const names[] = { [SP_CAPTURE_SUMS_PARTIAL] = "partial", [SP_CAPTURE_SUMS_KEEP] = "keep",
					     [SP_CAPTURE_SUMS_REPAIR] = "repair" };

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(value, names[i]) == 0) {
			o->sums = i;
			return SP_EXIT_OK;
		}
	}
	return sp_usage("--checksums is partial, keep or repair, not", value);
}

static int read_valued(struct options *o, const char *option, const char *value)
{
	if (!value)
		return sp_usage("a value is missing behind", option);
	if (strcmp(option, "--flows") == 0)
		return sp_read_u64(value, 1, 1 << 24, &o->flows) ?
			       sp_usage("--flows is a number from 1 to 16777216, not", value) :
			       SP_EXIT_OK;
	if (strcmp(option, "--checksums") == 0)
		return read_sums(o, value);
	return read_sides(o, option, value);
}

static int is_valued(const char *option)
{
	return strcmp(option, "--inside") == 0 || strcmp(option, "--outside") == 0 || strcmp(option, "--self") == 0 ||
	       strcmp(option, "--flows") == 0 || strcmp(option, "--checksums") == 0;
}

static int read_options(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (is_valued(argv[i])) {
			int code = read_valued(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);

			if (code)
				return code;
			i++;
		} else if (strcmp(argv[i], "--json") == 0)
			o->json = 1;
		else if (strcmp(argv[i], "--summary") == 0)
			o->summary = 1;
		else if (strcmp(argv[i], "--gateway") == 0)
			o->mode = 'g';
		else if (strcmp(argv[i], "--host") == 0)
			o->mode = 'h';
		else if (argv[i][0] == '-' && argv[i][1])
			return sp_usage("unknown option", argv[i]);
		else if (o->file)
			return sp_usage("one capture at a time, not also", argv[i]);
		else
			o->file = argv[i];
	}
	return o->file ? SP_EXIT_OK : sp_usage("name a capture", "FILE");
}

/* ---- one packet ------------------------------------------------------------------------------------------------ */

static void print_packet(const struct sp_replay *r, const struct sp_captured *p, const struct sp_replay_line *l)
{
	sp_u64 t = p->time_ns - r->first_ns;
	char text[SP_GLANCE_TEXT];

	sp_glance_text(&p->g, text, sizeof(text));
	printf("%6llu %5llu.%06llu %-7s %-11s %s%s", p->number, t / SP_NS_PER_S, t % SP_NS_PER_S / 1000,
	       sp_zone_name(l->zone), l->result.verdict == SP_PASS ? "let through" : "stopped", text,
	       p->cut ? " (cut by the capture)" : "");
	printf(" - %s: %s", sp_reason_name(l->result.reason), sp_reason_text(l->result.reason));
	if (l->conversation)
		printf(" [conversation %u, %s]", l->conversation, sp_phase_name(l->phase));
	printf("\n");
}

static void json_ends(struct sp_json *j, const struct sp_addr *src, const struct sp_addr *dst, int family, int proto,
		      sp_u16 sport, sp_u16 dport)
{
	char text[SP_ADDR_TEXT], number[8];

	sp_json_str(j, "proto", sp_glance_proto(proto, number));
	sp_text_addr(text, src, family);
	sp_json_str(j, "src", text);
	sp_text_addr(text, dst, family);
	sp_json_str(j, "dst", text);
	if (!sp_glance_has_ports(proto))
		return;
	sp_json_u64(j, "sport", sport);
	sp_json_u64(j, "dport", dport);
}

static void json_packet(const struct sp_captured *p, const struct sp_replay_line *l)
{
	const struct sp_glance *g = &p->g;
	char text[SP_GLANCE_TEXT];
	struct sp_json j;

	sp_glance_text(g, text, sizeof(text));
	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '{');
	sp_json_u64(&j, "packet", p->number);
	sp_json_u64(&j, "time_ns", p->time_ns);
	sp_json_u64(&j, "len", p->len);
	sp_json_str(&j, "from", sp_zone_name(l->zone));
	if (g->family)
		json_ends(&j, &g->src, &g->dst, g->family, g->proto, g->sport, g->dport);
	sp_json_str(&j, "what", text);
	if (p->cut)
		sp_json_bool(&j, "cut", 1);
	sp_json_str(&j, "verdict", l->result.verdict == SP_PASS ? "pass" : "drop");
	sp_json_str(&j, "reason", sp_reason_name(l->result.reason));
	sp_json_str(&j, "text", sp_reason_text(l->result.reason));
	if (l->conversation) {
		sp_json_u64(&j, "flow", l->conversation);
		sp_json_str(&j, "state", sp_phase_name(l->phase));
	}
	sp_json_close(&j);
}

/* ---- the summary ----------------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
	const struct sp_replay_flow *x = *(struct sp_replay_flow *const *)a, *y = *(struct sp_replay_flow *const *)b;
	sp_u64 n = x->bytes[0] + x->bytes[1], m = y->bytes[0] + y->bytes[1];

	return n != m ? (n < m) - (n > m) : (x > y) - (x < y); /* ties: in order of appearance */
}

static int sorted_flows(const struct sp_replay *r, const struct sp_replay_flow ***out)
{
	const struct sp_replay_flow **list = calloc(r->count + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (sp_u32 i = 0; i < r->count; i++)
		list[i] = &r->flows[i];
	qsort(list, r->count, sizeof(*list), by_bytes);
	*out = list;
	return 0;
}

static void print_flow(const struct sp_replay *r, const struct sp_replay_flow *f)
{
	char src[SP_GLANCE_END], dst[SP_GLANCE_END], number[8], age[24];

	sp_glance_endpoint(&f->src, f->family, f->proto, f->sport, src);
	sp_glance_endpoint(&f->dst, f->family, f->proto, f->dport, dst);
	printf("  %5llu  %-6s %s -> %s  %s  packets %llu/%llu bytes %llu/%llu  %s",
	       (sp_u64)(f - r->flows) + 1, sp_glance_proto(f->proto, number), src, dst, sp_phase_name(f->phase),
	       f->packets[0], f->packets[1], f->bytes[0], f->bytes[1], sp_text_age(f->last_ns - f->first_ns, age));
	if (f->stopped)
		printf("  (%llu stopped)", f->stopped);
	printf("\n");
}

static void print_reasons(const struct sp_replay *r, enum sp_verdict verdict)
{
	const struct sp_counter *c = r->engine->counters;

	for (unsigned i = 0; i < SP_REASON_COUNT; i++)
		if (c[i].packets && sp_reason_verdict(i) == verdict)
			printf("  %8llu  %-18s %s\n", c[i].packets, sp_reason_name(i), sp_reason_text(i));
}

static int print_summary(const struct sp_replay *r, int alone)
{
	const struct sp_replay_flow **list;

	if (sorted_flows(r, &list))
		return -ENOMEM;
	printf("%s%llu packets\n%llu let through\n", alone ? "" : "\n", r->packets, r->passed);
	print_reasons(r, SP_PASS);
	printf("%llu stopped\n", r->packets - r->passed);
	print_reasons(r, SP_DROP);
	printf("%u conversation%s\n", r->count, r->count == 1 ? "" : "s");
	for (sp_u32 i = 0; i < r->count && i < SHOWN_FLOWS; i++)
		print_flow(r, list[i]);
	if (r->count > SHOWN_FLOWS)
		printf("  and %u smaller ones; --json shows them all\n", r->count - SHOWN_FLOWS);
	free(list);
	return 0;
}

static void json_flow(struct sp_json *j, const struct sp_replay *r, const struct sp_replay_flow *f)
{
	sp_json_open(j, NULL, '{');
	sp_json_u64(j, "flow", (sp_u64)(f - r->flows) + 1);
	json_ends(j, &f->src, &f->dst, f->family, f->proto, f->sport, f->dport);
	sp_json_str(j, "from", sp_zone_name(f->zone_from));
	sp_json_str(j, "state", sp_phase_name(f->phase));
	sp_json_u64(j, "first_ns", f->first_ns);
	sp_json_u64(j, "last_ns", f->last_ns);
	sp_json_u64(j, "packets_sent", f->packets[0]);
	sp_json_u64(j, "packets_received", f->packets[1]);
	sp_json_u64(j, "bytes_sent", f->bytes[0]);
	sp_json_u64(j, "bytes_received", f->bytes[1]);
	sp_json_u64(j, "stopped", f->stopped);
	sp_json_close(j);
}

static void json_summary(const struct sp_replay *r, const char *error)
{
	const struct sp_counter *c = r->engine->counters;
	struct sp_json j;

	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '{');
	sp_json_open(&j, "summary", '{');
	sp_json_u64(&j, "packets", r->packets);
	sp_json_u64(&j, "passed", r->passed);
	sp_json_u64(&j, "dropped", r->packets - r->passed);
	sp_json_open(&j, "reasons", '{');
	for (unsigned i = 0; i < SP_REASON_COUNT; i++)
		if (c[i].packets)
			sp_json_u64(&j, sp_reason_name(i), c[i].packets);
	sp_json_close(&j);
	sp_json_open(&j, "flows", '[');
	for (sp_u32 i = 0; i < r->count; i++)
		json_flow(&j, r, &r->flows[i]);
	sp_json_close(&j);
	if (error)
		sp_json_str(&j, "error", error);
	sp_json_close(&j);
	sp_json_close(&j);
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

/* Returns 0, or -errno; why says in one line what. */
static int replay_all(struct sp_replay *r, struct sp_capture *c, const struct options *o, const char **why)
{
	struct sp_captured p;
	struct sp_replay_line l;
	int got;

	while ((got = sp_capture_next(c, &p)) == 1) {
		if (sp_replay_packet(r, &p, &l)) {
			*why = "out of memory";
			return -ENOMEM;
		}
		if (o->summary)
			continue;
		if (o->json)
			json_packet(&p, &l);
		else
			print_packet(r, &p, &l);
	}
	if (got)
		*why = c->error;
	return got;
}

static int run(struct sp_replay *r, struct sp_capture *c, const struct options *o)
{
	const char *why = NULL;
	int err = replay_all(r, c, o, &why);

	if (o->json)
		json_summary(r, why);
	else if (print_summary(r, o->summary) && !err) {
		err = -ENOMEM;
		why = "out of memory";
	}
	fflush(stdout); /* the error stands behind what was read */
	return err ? sp_finish(sp_fail(SP_EXIT_FAILED, "%s", why)) : sp_finish(SP_EXIT_OK);
}

int sp_cmd_replay(int argc, char **argv)
{
	static struct sp_capture capture; /* holds a whole packet: too much for some stacks */
	static struct options o = { .flows = 65536 };
	struct sp_replay r;
	sp_u32 flags;
	int code;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	code = read_options(&o, argc, argv);
	if (code)
		return code;
	if (sp_capture_open(&capture, o.file))
		return sp_fail(SP_EXIT_FAILED, "%s", capture.error);
	capture.sums = o.sums;
	flags = o.mode == 'g' || (!o.mode && o.sides.how != SP_SIDES_SELF) ? SP_CONFIG_GATEWAY : 0;
	if (sp_replay_init(&r, (sp_u32)o.flows, flags)) {
		sp_capture_close(&capture);
		return sp_fail(SP_EXIT_FAILED, "no memory for %llu conversations; try a smaller --flows", o.flows);
	}
	r.sides = o.sides;
	code = run(&r, &capture, &o);
	sp_replay_fini(&r);
	sp_capture_close(&capture);
	return code;
}
