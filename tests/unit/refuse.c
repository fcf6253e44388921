/* SPDX-License-Identifier: BSD-2-Clause */
/* Refusing with an error: every reason by zone, protocol and line; what is never answered; the numbers of a reset. */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "port/port_host.h"

#include "core/refuse.h"

#define MINE SP_ZONE_COUNT /* a zone of one's own */

enum { S = SP_REFUSE_SILENT, R = SP_REFUSE_RST, I = SP_REFUSE_ICMP };

static const sp_u64 secret[2] = { 1, 2 };

static struct sp_pkt packet(sp_u8 kind, sp_u8 zone)
{
	struct sp_pkt p = { .kind = kind, .zone = zone, .family = SP_IPV4, .tcp_flags = SP_TCP_SYN, .generation = 1 };

	p.proto = kind == SP_KIND_TCP ? SP_PROTO_TCP : kind == SP_KIND_UDP ? SP_PROTO_UDP : SP_PROTO_ICMP;
	p.src.b[0] = 10;
	p.dst.b[0] = 203;
	return p;
}

static int told(sp_u8 kind, sp_u8 zone, sp_u32 reason, int trial)
{
	const struct sp_pkt p = packet(kind, zone);

	return sp_refuse_how(&p, reason, trial);
}

/* Each reason once: TCP from inside, UDP from inside, TCP from a zone of one's own, TCP of this machine itself. */
static void every_reason(void **state)
{
	static const struct {
		sp_u8 tcp, udp, mine, self;
	} want[SP_REASON_COUNT] = {
		[SP_R_UNINVITED] = { R, I, R, R },   [SP_R_BLOCKED] = { R, I, R, R },
		[SP_R_RATE] = { R, I, R, R },	     [SP_R_LIMIT] = { R, I, R, R },
		[SP_R_REVOKED] = { R, I, R, S },     [SP_R_TCP_NO_FLOW] = { R, I, S, R },
		[SP_R_NAT_ADDRESS] = { I, I, I, I }, [SP_R_NAT_PORTS] = { I, I, I, I },
		[SP_R_NAT_CLASH] = { I, I, I, I },   [SP_R_TABLE_FULL] = { I, I, I, I },
		[SP_R_SOURCE_SHARE] = { I, I, I, I }, [SP_R_UNANSWERED_FULL] = { I, I, I, I },
	};
	struct sp_engine *e = sp_engine_new(1000, SP_CONFIG_GATEWAY, secret);

	assert_non_null(e);
	sp_host = e;
	for (sp_u32 r = 0; r < SP_REASON_COUNT; r++) {
		assert_int_equal(told(SP_KIND_TCP, SP_ZONE_INSIDE, r, 0), want[r].tcp);
		assert_int_equal(told(SP_KIND_UDP, SP_ZONE_INSIDE, r, 0), want[r].udp);
		assert_int_equal(told(SP_KIND_TCP, MINE, r, 0), want[r].mine);
		assert_int_equal(told(SP_KIND_TCP, SP_ZONE_SELF, r, 0), want[r].self);
		assert_int_equal(told(SP_KIND_TCP, SP_ZONE_OUTSIDE, r, 0), r == SP_R_ASKED ? SP_REFUSE_ASK : S);
		assert_int_equal(told(SP_KIND_UDP, SP_ZONE_OUTSIDE, r, 0), S);
		/* a trial that ends unconfirmed gives conversations back */
		assert_int_equal(told(SP_KIND_TCP, SP_ZONE_INSIDE, r, 1), r == SP_R_REVOKED ? S : want[r].tcp);
	}
	sp_engine_free(e);
}

static void never_told(void **state)
{
	struct sp_engine *e = sp_engine_new(1000, SP_CONFIG_GATEWAY, secret);
	struct sp_pkt p;

	assert_non_null(e);
	sp_host = e;
	for (sp_u8 kind = SP_KIND_NONE; kind <= SP_KIND_PIECE; kind++) {
		const int error = kind == SP_KIND_UDP || kind == SP_KIND_ASSOC || kind == SP_KIND_QUERY ||
				  kind == SP_KIND_OTHER;
		const int want = kind == SP_KIND_TCP ? R : error ? I : S;

		assert_int_equal(told(kind, SP_ZONE_INSIDE, SP_R_BLOCKED, 0), want);
	}
	p = packet(SP_KIND_TCP, SP_ZONE_INSIDE);
	p.tcp_flags = SP_TCP_RST | SP_TCP_ACK;
	assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), S);
	p = packet(SP_KIND_TCP, SP_ZONE_INSIDE);
	p.is_frag = 1;
	assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), S);
	p.kind = SP_KIND_UDP;
	assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), I); /* the first piece */
	p.frag_off = 8;
	assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), S);
	for (int i = 0; i < 8; i++) {
		const sp_u8 first = i & 1 ? 255 : 224, v6 = (i & 4) != 0;

		p = packet(SP_KIND_UDP, SP_ZONE_INSIDE);
		p.family = v6 ? SP_IPV6 : SP_IPV4;
		*(i & 2 ? &p.src.b[0] : &p.dst.b[0]) = first;
		assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), v6 && first != 255 ? I : S);
	}
	p = packet(SP_KIND_UDP, SP_ZONE_INSIDE);
	p.src.b[0] = 0; /* who has no address yet can not be answered */
	assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), S);
	sp_engine_free(e);
}

/* A policy in which only the outside is told; line 16 says nothing, 17 reject, 18 drop and log. */
static void lines_and_zones(void **state)
{
	struct sp_engine *e = sp_engine_new(1000, SP_CONFIG_GATEWAY, secret);
	static struct sp_image_line image[5];
	struct sp_image_head *head = (struct sp_image_head *)&image[0];
	struct sp_image_more *more = (struct sp_image_more *)&image[1];
	static const struct {
		sp_u16 line;
		sp_u8 outside, inside;
	} rows[] = { { 0, R, S }, { SP_LINE_FIRST, R, S }, { SP_LINE_FIRST + 1, R, R }, { SP_LINE_FIRST + 2, S, S } };
	struct sp_pkt p;

	assert_non_null(e);
	sp_host = e;
	memset(image, 0, sizeof(image));
	head->lines = 5;
	head->n_names = 3;
	more->orders = 2;
	more->reject = 1u << SP_ZONE_OUTSIDE;
	((struct sp_image_order *)&image[3])->flags = SP_ORDER_REJECT;
	((struct sp_image_order *)&image[4])->flags = SP_ORDER_DROP | SP_ORDER_LOG;
	e->images[1] = image;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p = packet(SP_KIND_TCP, SP_ZONE_OUTSIDE);
		p.line = rows[i].line;
		assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), rows[i].outside);
		p.zone = SP_ZONE_INSIDE;
		assert_int_equal(sp_refuse_how(&p, SP_R_BLOCKED, 0), rows[i].inside);
		/* the log is for what the line itself decided */
		p.event = SP_EVENT_DROP;
		assert_int_equal(sp_is_logged(&p, SP_R_BLOCKED), i == 3);
		assert_int_equal(sp_is_logged(&p, SP_R_TCP_NO_FLOW), 0);
		p.event = SP_EVENT_NEW;
		assert_int_equal(sp_is_logged(&p, SP_R_NEW_PERMITTED), i == 3);
	}
	/* reject and drop are a block's: a rate that is exceeded is answered as its zone has it */
	p.line = SP_LINE_FIRST + 2;
	assert_int_equal(sp_refuse_how(&p, SP_R_RATE, 0), S);
	p.zone = SP_ZONE_OUTSIDE;
	assert_int_equal(sp_refuse_how(&p, SP_R_RATE, 0), R);
	e->images[1] = NULL;
	sp_engine_free(e);
}

/* RFC 9293 3.10.7.1 */
static void numbers_of_a_reset(void **state)
{
	static const struct {
		sp_u32 seq, ack;
		sp_u8 flags;
		sp_u32 payload;
		sp_u32 want_seq, want_ack;
		sp_u8 want_flags;
	} rows[] = {
		{ 5, 0, SP_TCP_SYN, 0, 0, 6, SP_TCP_RST | SP_TCP_ACK },
		{ 0xffffffff, 0, SP_TCP_SYN, 10, 0, 10, SP_TCP_RST | SP_TCP_ACK },
		{ 5, 0, 0, 10, 0, 15, SP_TCP_RST | SP_TCP_ACK },
		{ 5, 0, SP_TCP_FIN, 10, 0, 16, SP_TCP_RST | SP_TCP_ACK },
		{ 5, 77, SP_TCP_ACK, 10, 77, 0, SP_TCP_RST },
		{ 5, 77, SP_TCP_SYN | SP_TCP_ACK, 0, 77, 0, SP_TCP_RST },
		{ 5, 0, SP_TCP_ACK, 0, 0, 0, SP_TCP_RST },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sp_tcp in = { .sport = sp_hton16(1), .dport = sp_hton16(2), .seq = sp_hton32(rows[i].seq),
					   .ack = sp_hton32(rows[i].ack), .flags = rows[i].flags };
		struct sp_tcp out;

		sp_refuse_rst(&out, &in, rows[i].payload);
		assert_int_equal(sp_ntoh16(out.sport), 2);
		assert_int_equal(sp_ntoh16(out.dport), 1);
		assert_int_equal(sp_ntoh32(out.seq), rows[i].want_seq);
		assert_int_equal(sp_ntoh32(out.ack), rows[i].want_ack);
		assert_int_equal(out.flags, rows[i].want_flags);
	}
}

static void budget(void **state)
{
	sp_u64 due_ns = 0, now_ns = 1000 * SP_NS_PER_S;
	sp_u32 taken = 0;

	for (int i = 0; i < 1000; i++)
		taken += (sp_u32)sp_budget_take(&due_ns, now_ns, SP_REFUSE_EVERY_NS, SP_REFUSE_BURST);
	assert_int_equal(taken, SP_REFUSE_BURST);
	for (int i = 0; i < 10000; i++)
		taken += (sp_u32)sp_budget_take(&due_ns, now_ns += SP_REFUSE_EVERY_NS / 10, SP_REFUSE_EVERY_NS,
						SP_REFUSE_BURST);
	assert_int_equal(taken, SP_REFUSE_BURST + 1000);
}

struct unit_result unit_refuse(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason),	    cmocka_unit_test(never_told), cmocka_unit_test(lines_and_zones),
		cmocka_unit_test(numbers_of_a_reset), cmocka_unit_test(budget),
	};

	return UNIT_RUN("refuse", tests);
}
