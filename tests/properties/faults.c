/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whichever answer fails that the core gets from where it runs, alone, for a while, or from then on: nothing crashes, and no
 * stranger comes in. A fixed story of packets is played once for each answer; those that are marked must be stopped
 * whatever happens. Built with sanitizers.
 */
#include "fault_port.h"

#include "../../host/engine.c"
#include "../../policy/image.h"
#include "../fuzz/world.h"

static unsigned long asked, fails_from, fails_to;
static int is_on;

int fault(void)
{
	if (!is_on)
		return 0;
	asked++;
	return asked > fails_from && asked <= fails_to;
}

#define OUT SP_ZONE_OUTSIDE
#define IN SP_ZONE_INSIDE
#define ME SP_ZONE_SELF
#define DMZ ZONE_DMZ

struct row {
	sp_u8 from, from_host, to, to_host; /* zones and numbers of hosts: see world_address() */
	sp_u8 family, proto;
	sp_u16 sport, dport;
	sp_u8 flags; /* TCP; ICMP: the type */
	sp_u32 seq, ack;
	sp_u8 stranger; /* it must be stopped */
	sp_u8 frag; /* 1: first piece, 2: second and last */
	sp_u16 wait_s; /* before it */
	sp_u8 quote; /* it quotes the packet that passed last */
};

#define TCP(f, fh, t, th, sp, dp, fl, sq, ak) { f, fh, t, th, 4, 6, sp, dp, fl, sq, ak, 0, 0, 0, 0 }
#define UDP(f, fh, t, th, sp, dp) { f, fh, t, th, 4, 17, sp, dp, 0, 0, 0, 0, 0, 0, 0 }

static const struct row story[] = {
	/* strangers first: everything is empty */
	{ OUT, 1, ME, 0, 4, 6, 40000, 22, 2, 1, 0, 1, 0, 0, 0 },
	{ OUT, 1, IN, 0, 4, 17, 53, 53, 0, 0, 0, 1, 0, 0, 0 },
	{ OUT, 1, ME, 0, 6, 6, 40000, 22, 2, 1, 0, 1, 0, 0, 0 },
	{ OUT, 1, IN, 0, 6, 58, 7, 7, 128, 0, 0, 1, 0, 0, 0 },
	/* John opens a web page, through the translation; somebody disturbs */
	TCP(IN, 0, OUT, 0, 40000, 80, 2, 1000, 0),
	{ OUT, 1, ME, 0, 4, 6, 80, 40000, 18, 9000, 1001, 1, 0, 0, 0 },
	TCP(OUT, 0, ME, 0, 80, 40000, 18, 9000, 1001),
	TCP(IN, 0, OUT, 0, 40000, 80, 16, 1001, 9001),
	TCP(IN, 0, OUT, 0, 40000, 80, 24, 1001, 9001),
	TCP(OUT, 0, ME, 0, 80, 40000, 24, 9001, 1009),
	TCP(OUT, 0, ME, 0, 80, 40000, 4, 500000, 0),
	{ OUT, 0, ME, 0, 4, 1, 0, 0, 3, 0, 0, 0, 0, 0, 1 },
	TCP(IN, 0, OUT, 0, 40000, 80, 17, 1009, 9009),
	TCP(OUT, 0, ME, 0, 80, 40000, 17, 9009, 1018),
	TCP(IN, 0, OUT, 0, 40000, 80, 16, 1018, 9018),
	TCP(IN, 0, OUT, 0, 40000, 80, 2, 700000, 0),
	/* IPv6, and the machine itself */
	{ IN, 0, OUT, 0, 6, 17, 40000, 53, 0, 0, 0, 0, 0, 0, 0 },
	{ OUT, 0, IN, 0, 6, 17, 53, 40000, 0, 0, 0, 0, 0, 0, 0 },
	{ OUT, 2, IN, 0, 6, 17, 53, 40000, 0, 0, 0, 1, 0, 0, 0 },
	UDP(ME, 0, OUT, 0, 50000, 53),
	UDP(OUT, 0, ME, 0, 53, 50000),
	/* Mary wants John's port; pings with one identifier; hairpin */
	UDP(IN, 1, OUT, 0, 50001, 53),
	UDP(IN, 2, OUT, 0, 50001, 53),
	UDP(OUT, 0, ME, 0, 53, 50001),
	{ IN, 0, OUT, 0, 4, 1, 7, 7, 8, 0, 0, 0, 0, 0, 0 },
	{ IN, 1, OUT, 0, 4, 1, 7, 7, 8, 0, 0, 0, 0, 0, 0 },
	{ OUT, 0, ME, 0, 4, 1, 7, 7, 0, 0, 0, 0, 0, 0, 0 },
	UDP(IN, 1, ME, 0, 50002, 50001),
	/* pieces */
	{ IN, 0, OUT, 0, 4, 17, 50003, 53, 0, 0, 0, 0, 1, 0, 0 },
	{ IN, 0, OUT, 0, 4, 17, 50003, 53, 0, 0, 0, 0, 2, 0, 0 },
	{ OUT, 0, ME, 0, 4, 17, 53, 50003, 0, 0, 0, 0, 1, 0, 0 },
	{ OUT, 0, ME, 0, 4, 17, 53, 50003, 0, 0, 0, 0, 2, 0, 0 },
	{ OUT, 1, ME, 0, 4, 17, 53, 50003, 0, 0, 0, 1, 2, 0, 0 },
	/* what lines let in: forwarded, opened, with a limit; and what they do not */
	TCP(OUT, 0, ME, 0, 40000, 53, 2, 1, 0),
	UDP(OUT, 0, ME, 0, 40000, 40000),
	UDP(OUT, 0, ME, 0, 40001, 40000),
	{ OUT, 1, ME, 0, 4, 17, 40001, 40000, 0, 0, 0, 0, 0, 0, 0 }, /* its line is in the image that fails */
	{ OUT, 0, ME, 0, 4, 17, 40001, 40003, 0, 0, 0, 1, 0, 0, 0 },
	UDP(IN, 0, DMZ, 0, 40000, 53),
	UDP(DMZ, 0, IN, 0, 53, 40000),
	UDP(ME, 0, OUT, 1, 68, 67),
	/* later: what was opened is decided anew, or has expired */
	{ OUT, 0, ME, 0, 4, 17, 53, 50001, 0, 0, 0, 1, 0, 400, 0 },
	{ OUT, 0, ME, 0, 4, 17, 53, 50000, 0, 0, 0, 1, 0, 0, 0 },
	UDP(IN, 1, OUT, 0, 50001, 53),
};
#define ROWS (sizeof(story) / sizeof(story[0]))

static const char policy[] =
	"zone dmz = eth2\nhost john = 10.0.0.2\nforward tcp/53 to john\nopen udp/40000 limit 2 rate 5/m idle 30s log\n"
	"block 198.51.100.8\nallow inside -> dmz : any\nopen udp/7 from *::7, 2a00::/16\n";

static struct sp_engine *e;
static struct sp_image image;
static sp_u64 now_ns;
static struct frame last;

static void begin(void)
{
	table_fresh(e, SP_CONFIG_GATEWAY, 1);
	world_sides(e);
	e->images[1] = image.v;
	now_ns = 1000000 * SP_NS_PER_S;
	last.len = 0;
}

static sp_u32 make(const struct row *r, sp_u8 *out)
{
	struct wire w = { .family = r->family, .proto = r->proto, .ttl = 64, .sport = r->sport, .dport = r->dport,
			  .flags = r->flags, .icmp_type = r->flags, .seq = r->seq, .ack = r->ack, .win = 5000,
			  .data = r->flags == 2 || r->flags == 16 || r->flags == 18 ? 0 : 8, .wscale = 2,
			  .is_frag = r->frag != 0, .more = r->frag == 1, .frag_off = r->frag == 2 ? 24 : 0,
			  .frag_len = 24, .ip_id = 5 };

	world_address(r->from, r->from_host, r->family, w.src);
	world_address(r->to, r->to_host, r->family, w.dst);
	if (r->quote) {
		w.body = last.b + 14;
		w.data = (sp_u16)(last.len > 14 ? last.len - 14 : 0);
	}
	return wire_build(&w, out);
}

/* One row, both meetings. Returns what the first one said. */
static int meet(const struct row *r, struct sp_engine_result *result)
{
	static struct frame in, middle, out;
	struct sp_engine_packet p = { .data = in.b, .hook = r->from == ME ? SP_HOOK_EGRESS : SP_HOOK_INGRESS,
				      .zone = r->from == ME ? r->to : r->from, .out = middle.b };
	struct sp_engine_result second;
	struct look l;

	now_ns += r->wait_s * SP_NS_PER_S + 20000000;
	p.now_ns = now_ns;
	p.len = in.len = make(r, in.b);
	is_on = 1;
	sp_engine_packet(e, &p, NULL, result);
	is_on = 0;
	memcpy(in.b, result->rewritten ? middle.b : in.b, in.len);
	if (r->from == ME)
		last = in;
	if (result->verdict == SP_DROP || r->from == ME)
		return result->verdict;
	if (!look_at(&l, in.b, in.len) || world_zone(l.e.dst, l.e.family) == ME)
		return SP_PASS;
	p.hook = SP_HOOK_EGRESS;
	p.forwarded = 1;
	p.zone_from = r->from;
	p.zone = world_zone(l.e.dst, l.e.family);
	p.out = out.b;
	is_on = 1;
	sp_engine_packet(e, &p, NULL, &second);
	is_on = 0;
	if (p.zone == OUT && second.verdict == SP_PASS) {
		last.len = in.len;
		memcpy(last.b, second.rewritten ? out.b : in.b, in.len);
	}
	return SP_PASS;
}

/* The whole story; answers from + 1 to `to` fail. Returns how many strangers came in. */
static int play(unsigned long from, unsigned long to, unsigned *passed)
{
	int strangers = 0;

	asked = 0;
	fails_from = from;
	fails_to = to;
	begin();
	*passed = 0;
	for (size_t i = 0; i < ROWS; i++) {
		struct sp_engine_result r;
		const int verdict = meet(&story[i], &r);

		*passed += verdict == SP_PASS;
		if (getenv("FUZZ_SAY") && !to)
			fprintf(stderr, "row %zu: %s\n", i, sp_reason_name(r.reason));
		if (verdict == SP_PASS && story[i].stranger) {
			fprintf(stderr, "row %zu came in (%s) when answers %lu to %lu fail\n", i, sp_reason_name(r.reason),
				from + 1, to);
			strangers++;
		}
	}
	return strangers;
}

int main(void)
{
	static const unsigned long lasts[] = { 1, 70, 1ul << 40 }, steps[] = { 1, 9, 60 };
	unsigned long answers;
	unsigned passed, clean;
	int failed = 0, plays = 0;

	e = table_new();
	policy_compile("faults", policy, &image);
	failed += play(0, 0, &clean) != 0;
	answers = asked;
	for (size_t k = 0; k < sizeof(lasts) / sizeof(lasts[0]); k++)
		for (unsigned long n = 0; n < answers; n += steps[k], plays++)
			failed += play(n, n + lasts[k], &passed) != 0;
	printf("faults: %u packets of %zu pass when nothing fails; %lu answers, %d stories with some that fail\n", clean,
	       ROWS, answers, plays);
	printf("%d passed, %d failed, 0 skipped\n", 1 + plays - failed, failed);
	return failed != 0;
}
