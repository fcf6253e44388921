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

/* core/proof.h: an acknowledgement of what he has not sent, from the port he wants: he resets it (RFC 9293 3.10.7.3). */
static void question_to_a_stranger(void **state)
{
	const struct sp_tcp in = { .sport = sp_hton16(40000), .dport = sp_hton16(22), .seq = sp_hton32(5), .off = 0xa0,
				   .flags = SP_TCP_SYN, .win = sp_hton16(64240) };
	struct sp_tcp out;

	memset(&out, 0xff, sizeof(out));
	sp_refuse_ask(&out, &in, 0x81828384);
	assert_memory_equal(&out, "\x00\x16\x9c\x40\0\0\0\0\x81\x82\x83\x84\x50\x10\0\0\0\0\0\0", 20);
}

/* The sum of RFC 1071, a byte at a time. */
static sp_u32 sum_bytes(sp_u32 sum, const void *at, size_t n)
{
	const sp_u8 *b = at;

	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? b[i] : (sp_u32)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Headers of answers, byte by byte; the pseudo-header's sum is that of RFC 9293 3.1 and RFC 8200 8.1. */
static void headers_of_answers(void **state)
{
	static const sp_u8 v4[20] = { 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x6e, 0xd1, 203, 0, 113, 9, 192, 0, 2, 10 };
	static const sp_u8 v6[40] = { 0x60, [5] = 20, [6] = 6, [7] = 64, [8] = 0x2a, [11] = 3, [23] = 9, [24] = 0x2a,
				      [27] = 5, [39] = 0x10 };
	static const sp_u8 behind[] = { 0, 0, 0, 20, 0, 0, 0, 6 };
	const sp_be32 from = { sp_hton32(0xcb007109).raw }, to = { sp_hton32(0xc000020a).raw };
	struct sp_addr from6, to6;
	struct sp_ip4 ip4;
	struct sp_ip6 ip6;

	memset(&ip4, 0xff, sizeof(ip4));
	sp_refuse_ip4(&ip4, from, to, SP_PROTO_TCP, 20);
	assert_int_equal(sum_bytes(0, &ip4, 20), 0xffff);
	assert_memory_equal(&ip4, v4, 10);
	assert_memory_equal((sp_u8 *)&ip4 + 12, v4 + 12, 8);
	assert_int_equal(sp_hton16((sp_u16)sum_bytes(sum_bytes(0, v4 + 12, 8), behind, 8)).raw,
			 sp_fold(sp_refuse_pseudo4(&ip4, 20)));
	/* RFC 1812 5.3.2: an error has precedence */
	sp_refuse_ip4(&ip4, from, to, SP_PROTO_ICMP, 548);
	assert_int_equal(((sp_u8 *)&ip4)[1], 0xc0);
	assert_int_equal(sp_ntoh16(ip4.total), 568);
	assert_int_equal(sum_bytes(0, &ip4, 20), 0xffff);
	memcpy(&from6, v6 + 8, 16);
	memcpy(&to6, v6 + 24, 16);
	memset(&ip6, 0xff, sizeof(ip6));
	sp_refuse_ip6(&ip6, &from6, &to6, SP_PROTO_TCP, 20);
	assert_memory_equal(&ip6, v6, 40);
	assert_int_equal(sp_hton16((sp_u16)sum_bytes(sum_bytes(0, v6 + 8, 32), behind, 8)).raw,
			 sp_fold(sp_refuse_pseudo6(&ip6, 20)));
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
		cmocka_unit_test(numbers_of_a_reset), cmocka_unit_test(question_to_a_stranger),
		cmocka_unit_test(headers_of_answers), cmocka_unit_test(budget),
	};

	return UNIT_RUN("refuse", tests);
}
