/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally flows`: list, count or end the conversations that are remembered. */
#include <getopt.h>
#include <string.h>
#include <time.h>

#include "../policy/image.h"
#include "cli.h"
#include "filter.h"

static const char help[] =
	"Usage: sally flows [--json] [--count] [FILTER]...\n"
	"       sally flows kill FILTER... | --all\n\n"
	"Lists the conversations that are remembered, one a line: who started it, with\n"
	"whom, its state, what each side has sent, how old it is, how long it has been\n"
	"silent, and between which zones. Of a translated one, 'to' names the real other\n"
	"end, 'as' what that one takes the first for. 'kill' ends those that match: their\n"
	"next packet has to be allowed anew.\n\n"
	"Filters; all must hold. The words alone will do: sally flows tcp 10.0.0.0/8 443\n"
	"  --addr ADDRESS[/BITS]  one of the ends is (in) this, or is known by it\n"
	"  --port N               one of the ends uses this port\n"
	"  --proto NAME           tcp, udp, icmp, icmpv6, ... or a number\n"
	"  --zone ZONE            one of the ends is in self, outside, inside, or a zone of\n"
	"                         the configuration\n"
	"  --state STATE          established, syn-sent, ...\n"
	"  --answered, --unanswered, --closing\n\n"
	"  --json   one JSON object a line\n"
	"  --count  only how many\n"
	"  --all    with 'kill': all of them\n\n"
	"Exit codes: 0 done, also if none matched; 2 wrong arguments; 3 not permitted; 4\n"
	"not up.\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },	   { "count", no_argument, NULL, 'c' },
	{ "all", no_argument, NULL, 'a' },	   { "addr", required_argument, NULL, 'f' },
	{ "port", required_argument, NULL, 'f' },  { "proto", required_argument, NULL, 'f' },
	{ "zone", required_argument, NULL, 'f' },  { "state", required_argument, NULL, 'f' },
	{ "answered", no_argument, NULL, 'f' },	   { "unanswered", no_argument, NULL, 'f' },
	{ "closing", no_argument, NULL, 'f' },	   { NULL, 0, NULL, 0 },
};

struct request {
	struct sp_filter filter;
	int json, count, kill, all;
};

/* ---- writing fast: no printf on the way of a million lines ----------------------------------- */

#define SP_LINE_ROOM 900 /* longer than any line */

static char buf[1 << 16];
static size_t used;

static void flush(void)
{
	fwrite(buf, 1, used, stdout);
	used = 0;
}

static void put(const char *s)
{
	size_t n = strlen(s);

	memcpy(buf + used, s, n);
	used += n;
}

static void put_u64(sp_u64 v)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		buf[used++] = digits[--n];
}

static void pad_from(size_t start, size_t width)
{
	while (used < start + width)
		buf[used++] = ' ';
}

static void put_padded(const char *s, size_t width)
{
	size_t start = used;

	put(s);
	pad_from(start, width);
}

static void put_endpoint(const struct sp_flow *f, int end, size_t width)
{
	size_t start = used;

	used += (size_t)sp_text_endpoint(buf + used, &f->key.addr[end], f->key.family, f->key.proto,
					 sp_ntoh16(f->key.port[end]));
	pad_from(start, width);
}

static sp_u64 packets_of(const struct sp_flow *f, int end)
{
	return (sp_u64)f->packets_high[end] << 32 | f->packets[end];
}

static void put_traffic(const char *label, const struct sp_flow *f, int end)
{
	put(label);
	put_u64(packets_of(f, end));
	put(" packets ");
	put_u64(f->bytes[end]);
	put(" bytes");
}

static sp_u64 idle_ms(const struct sp_flow *f, sp_u64 now)
{
	return now > f->seen_ns ? (now - f->seen_ns) / 1000000 : 0;
}

static sp_u64 age_s(const struct sp_known *k, sp_u64 now)
{
	sp_u64 s = now / SP_NS_PER_S;

	return k->born_s && s > k->born_s ? s - k->born_s : 0;
}

/* Lines of the policy by name: those of the image in force, those that are built in. */
static const struct sp_image_line *image;

static const char *line_name(unsigned line)
{
	static const char *const names[] = { [SP_LINE_NONE] = "none", [SP_LINE_SELF] = "self", [SP_LINE_INSIDE] = "inside",
					     [SP_LINE_ADOPTED] = "adopted", [SP_LINE_MAPPED] = "mapped" };

	if (line < sizeof(names) / sizeof(names[0]))
		return names[line];
	return image ? sp_image_line_name(image, line) : "";
}

static void put_known(const struct sp_known *k, int side, sp_u8 proto)
{
	const struct sp_addr a = { .w32 = { k->addr[side] } };

	used += (size_t)sp_text_endpoint(buf + used, &a, SP_IPV4, proto, sp_ntoh16(k->port[side]));
}

/* Who speaks with whom, as they know each other; `to` the real other end, `as` what that one takes the first for. */
static void put_ends(const struct sp_flow *f, const struct sp_known *k)
{
	int from = f->flags & SP_FLOW_FROM_1 ? 1 : 0;
	size_t width = f->key.family == SP_IPV4 ? 21 : 0, start;

	put_endpoint(f, from, width);
	put(" -> ");
	start = used;
	if (k->is[SP_ALIAS_INITIATOR]) {
		put_known(k, SP_ALIAS_INITIATOR, f->key.proto);
		put(" to ");
	}
	put_endpoint(f, !from, 0);
	if (k->is[SP_ALIAS_RESPONDER]) {
		put(" as ");
		put_known(k, SP_ALIAS_RESPONDER, f->key.proto);
	}
	pad_from(start, width);
}

static void write_text(const struct sp_flow *f, const struct sp_known *k, sp_u64 now)
{
	int from = f->flags & SP_FLOW_FROM_1 ? 1 : 0;
	char proto[8];

	put_padded(sp_text_proto(f->key.proto, proto), 7);
	put_ends(f, k);
	put("  ");
	put_padded(sp_phase_name(f->phase), 12);
	put_traffic("  out ", f, from);
	put_traffic(", back ", f, !from);
	put("  age ");
	put_u64(age_s(k, now));
	put(" s, idle ");
	put_u64(idle_ms(f, now) / 1000);
	put(" s  ");
	put(sp_zone_name(f->zone_from));
	if (f->zone_to != SP_ZONE_NONE) {
		put(" -> ");
		put(sp_zone_name(f->zone_to));
	}
	if (f->line >= SP_LINE_FIRST) {
		put("  ");
		put(line_name(f->line));
	}
	put("\n");
}

static void put_field(const char *name, sp_u64 v)
{
	put(", \"");
	put(name);
	put("\": ");
	put_u64(v);
}

/* names and zones are our own words: nothing to escape */
static void put_word(const char *name, const char *v)
{
	put(", \"");
	put(name);
	put("\": \"");
	put(v);
	put("\"");
}

static void put_json_end(const struct sp_flow *f, int end, const char *name, const char *port_name)
{
	char text[SP_ADDR_TEXT];

	sp_text_addr(text, &f->key.addr[end], f->key.family);
	put_word(name, text);
	if (sp_proto_has_ports(f->key.proto))
		put_field(port_name, sp_ntoh16(f->key.port[end]));
}

/* initiator: what the responder knows him by; responder: what the initiator knows him by; the real ends stand elsewhere. */
static void put_json_nat(const struct sp_flow *f, const struct sp_known *k)
{
	static const char *const names[2][2] = { [SP_ALIAS_INITIATOR] = { "responder", "responder_port" },
						 [SP_ALIAS_RESPONDER] = { "initiator", "initiator_port" } };
	const char *comma = "";
	char text[SP_ADDR_TEXT];

	put(", \"nat\": {");
	for (int side = SP_ALIAS_RESPONDER; side >= SP_ALIAS_INITIATOR; side--) {
		const struct sp_addr a = { .w32 = { k->addr[side] } };

		if (!k->is[side])
			continue;
		sp_text_addr(text, &a, SP_IPV4);
		put(comma);
		put("\"");
		put(names[side][0]);
		put("\": \"");
		put(text);
		put("\"");
		if (sp_proto_has_ports(f->key.proto) || f->key.query)
			put_field(names[side][1], sp_ntoh16(k->port[side]));
		comma = ", ";
	}
	put("}");
}

static void write_json(const struct sp_flow *f, const struct sp_known *k, sp_u64 now)
{
	int from = f->flags & SP_FLOW_FROM_1 ? 1 : 0;
	char proto[8];

	put("{\"proto\": \"");
	put(sp_text_proto(f->key.proto, proto));
	put("\"");
	put_field("family", f->key.family);
	put_json_end(f, from, "from", "from_port");
	put_json_end(f, !from, "to", "to_port");
	if (f->key.query)
		put_field("id", sp_ntoh16(f->key.port[0]));
	if (k->is[SP_ALIAS_INITIATOR] || k->is[SP_ALIAS_RESPONDER])
		put_json_nat(f, k);
	put_word("state", sp_phase_name(f->phase));
	put_word("class", sp_class_name(sp_phase_class(f->phase)));
	put_word("zone_from", sp_zone_name(f->zone_from));
	put_word("zone_to", sp_zone_name(f->zone_to));
	put_word("line", line_name(f->line));
	put(f->flags & SP_FLOW_LOOSE ? ", \"windows\": false" : ", \"windows\": true");
	put_field("packets_out", packets_of(f, from));
	put_field("bytes_out", f->bytes[from]);
	put_field("packets_back", packets_of(f, !from));
	put_field("bytes_back", f->bytes[!from]);
	put_field("age_s", age_s(k, now));
	put_field("idle_ms", idle_ms(f, now));
	put("}\n");
}

/* ---- ending conversations -------------------------------------------------------------------- */

/*
 * An engine that holds the entry at that moment may write back the flags it has read before; so look again once it has let
 * go. Worst case, if the entry was given to another conversation after we looked at its key: that one ends instead, and has
 * to be allowed anew.
 */
static int kill_flow(struct sp_flow *f, const struct sp_key *key)
{
	int tries;

	for (tries = 0; tries < 1000000; tries++) {
		if (memcmp(&f->key, key, sizeof(*key)) || !sp_engine_end(f))
			return 0;
		if (!(__atomic_load_n(&f->lock, __ATOMIC_SEQ_CST) & 1) &&
		    __atomic_load_n(&f->flags, __ATOMIC_SEQ_CST) & SP_FLOW_KILLED)
			return 1;
	}
	return 0;
}

/*
 * Packets go first: the memory that is read here is theirs, and on most machines so is half of this core. So whoever lists
 * rests three times as long as he works, and a pipe that is full counts as rest. What is short goes through at once.
 */
#define SP_WORK_NS 2000000u /* between rests */
#define SP_RESTS 3
#define SP_LOOK 64 /* at the clocks, once in so many conversations */

struct pace {
	sp_u64 cpu_ns, wall_ns; /* when the last rest was over */
	sp_u32 turn;
};

static sp_u64 clock_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (sp_u64)t.tv_sec * SP_NS_PER_S + (sp_u64)t.tv_nsec;
}

static void pace_begin(struct pace *p)
{
	*p = (struct pace){ .cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), .wall_ns = clock_ns(CLOCK_MONOTONIC) };
}

static void pace(struct pace *p)
{
	sp_u64 worked, passed, want;
	struct timespec rest;

	if (++p->turn % SP_LOOK)
		return;
	worked = clock_ns(CLOCK_THREAD_CPUTIME_ID) - p->cpu_ns;
	if (worked < SP_WORK_NS)
		return;
	passed = clock_ns(CLOCK_MONOTONIC) - p->wall_ns;
	want = worked * (1 + SP_RESTS);
	if (want > passed) {
		rest = (struct timespec){ .tv_sec = (time_t)((want - passed) / SP_NS_PER_S),
					  .tv_nsec = (long)((want - passed) % SP_NS_PER_S) };
		nanosleep(&rest, NULL);
	}
	pace_begin(p);
}

static sp_u64 walk(struct sp_live *live, const struct request *r)
{
	sp_u32 i, capacity = live->t.config->capacity;
	sp_u64 now = sp_now_ns(), n = 0;
	struct sp_known k;
	struct sp_flow f;
	struct pace p;

	pace_begin(&p);
	for (i = sp_live_next(live, 0); i < capacity; i = sp_live_next(live, i + 1)) {
		if (!r->kill)
			pace(&p);
		if (!sp_live_flow(live, i, &f))
			continue;
		sp_live_known(live, i, &f, &k);
		if (!sp_filter_match(&r->filter, &f, &k) || sp_engine_is_stale(&live->t, &f, now))
			continue;
		if (r->kill) {
			n += (sp_u64)kill_flow(&live->t.flows[i], &f.key);
			continue;
		}
		n++;
		if (r->count)
			continue;
		if (used + SP_LINE_ROOM > sizeof(buf))
			flush();
		if (r->json)
			write_json(&f, &k, now);
		else
			write_text(&f, &k, now);
	}
	flush();
	return n;
}

static int read_request(int argc, char **argv, struct request *r)
{
	int c, i = 0, rc = 0;

	sp_filter_init(&r->filter);
	opterr = 0;
	while (!rc && (c = getopt_long(argc, argv, ":", options, &i)) != -1) {
		if (c == 'j')
			r->json = 1;
		else if (c == 'c')
			r->count = 1;
		else if (c == 'a')
			r->all = 1;
		else if (c == 'f')
			rc = sp_filter_option(&r->filter, options[i].name, optarg);
		else
			rc = sp_usage(c == ':' ? "this option wants a value" : "there is no such option",
				      argv[optind - 1]);
	}
	if (!rc && optind < argc && !strcmp(argv[optind], "kill")) {
		r->kill = 1;
		optind++;
	}
	for (; !rc && optind < argc; optind++)
		rc = sp_filter_word(&r->filter, argv[optind]);
	if (!rc && r->kill && !r->filter.used && !r->all)
		rc = sp_fail(SP_EXIT_USAGE, "kill: say which with a filter, or --all; try 'sally flows --help'");
	if (!rc && r->all && (!r->kill || r->filter.used))
		rc = sp_fail(SP_EXIT_USAGE, "--all goes with 'kill', and without filters; try 'sally flows --help'");
	return rc;
}

int sp_cmd_flows(int argc, char **argv)
{
	struct request r = { .json = 0 };
	struct sp_live live;
	struct sp_err err;
	sp_u32 lines;
	sp_u64 n;
	int rc, is_up;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	is_up = !sp_live_open(&live, &err); /* filters may name its zones */
	rc = read_request(argc, argv, &r);
	if (!rc && !is_up)
		rc = sp_fail_err(&err);
	if (rc && is_up)
		sp_live_close(&live);
	if (rc)
		return rc;
	image = sp_generation_image(&live, sp_generation_now(&live, NULL), &lines);
	n = walk(&live, &r);
	sp_generation_unmap(image, lines);
	sp_live_close(&live);
	if (r.kill)
		printf(r.json ? "{\"killed\": %llu}\n" : "ended: %llu\n", n);
	else if (r.count)
		printf(r.json ? "{\"count\": %llu}\n" : "%llu\n", n);
	return SP_EXIT_OK;
}
