/* SPDX-License-Identifier: BSD-2-Clause */
/* The bench of the tests of rates, limits and idle times. Ends with "N passed, N failed, N skipped". */
#include "orders.h"

#include "../../core/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

void check(const char *name, int good, const char *format, ...)
{
	va_list ap;

	passed += good;
	failed += !good;
	printf("%s %s: ", good ? "ok  " : "FAIL", name);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static void put_image(struct bench *b, sp_u32 generation, const char *text)
{
	const sp_u32 slot = generation % SP_IMAGE_SLOTS;

	free(b->e->images[slot]);
	b->e->images[slot] = text ? compile_text(text) : NULL;
}

void bench_init(struct bench *b, sp_u32 capacity, const char *text)
{
	static const sp_u64 secret[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

	memset(b, 0, sizeof(*b));
	b->e = sp_engine_new(capacity, 0, secret);
	if (!b->e)
		exit(1);
	b->e->side.zone_to = SP_ZONE_SELF;
	b->now_ns = 1000 * SP_NS_PER_S;
	put_image(b, 1, text);
}

void bench_fini(struct bench *b)
{
	for (int i = 0; i < SP_IMAGE_SLOTS; i++)
		free(b->e->images[i]);
	sp_engine_free(b->e);
}

void bench_apply(struct bench *b, const char *text)
{
	put_image(b, b->e->t.config->generation + 1, text);
	b->e->t.config->generation++;
}

void wait_ns(struct bench *b, sp_u64 ns)
{
	b->now_ns += ns;
}

void check_reason(const char *name, int got, int want)
{
	check(name, got == want, "%s, expected %s", sp_reason_name((unsigned)got), sp_reason_name((unsigned)want));
}

/* ---- packets ------------------------------------------------------------------------------------------------------ */

static void ends_of(struct talk *t, struct sp_addr *src, struct sp_addr *dst)
{
	memset(src, 0, sizeof(*src));
	memset(dst, 0, sizeof(*dst));
	if (!t->family)
		t->family = SP_IPV4;
	if (!t->proto)
		t->proto = SP_PROTO_TCP;
	if (t->family == SP_IPV4) {
		const sp_be32 a = sp_hton32(0xcb007100 + t->who), me = sp_hton32(0xc000020a);

		src->w32[0] = a.raw;
		dst->w32[0] = me.raw;
	} else {
		const sp_be32 net = sp_hton32(t->who);

		src->b[0] = dst->b[0] = 0x2a;
		src->w32[1] = net.raw;
		src->b[14] = (sp_u8)(t->host >> 8);
		src->b[15] = (sp_u8)t->host;
		dst->b[1] = 5;
		dst->b[15] = 10;
	}
}

static int is_ping(const struct talk *t)
{
	return t->proto == SP_PROTO_ICMP || t->proto == SP_PROTO_ICMP6;
}

static int send_packet(struct bench *b, struct talk t, int back, sp_u8 tcp_flags, sp_u32 seq, sp_u32 ack)
{
	struct sp_engine_packet p = { .now_ns = b->now_ns, .bare_ip = 1 };
	struct sp_craft c = { .tcp_flags = tcp_flags, .seq = seq, .ack = ack };
	struct sp_engine_result r;
	struct sp_addr src, dst;
	sp_u8 data[SP_CRAFT_MAX];

	ends_of(&t, &src, &dst);
	c.family = t.family;
	c.proto = t.proto;
	c.src = back ? dst : src;
	c.dst = back ? src : dst;
	c.sport = back && !is_ping(&t) ? t.dport : t.sport;
	c.dport = back ? t.sport : t.dport;
	c.icmp_type = t.proto == SP_PROTO_ICMP ? (back ? 0 : 8) : (back ? 129 : 128);
	p.zone = SP_ZONE_OUTSIDE;
	p.hook = back ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	p.data = data;
	p.len = (sp_u32)sp_craft(&c, data);
	sp_engine_packet(b->e, &p, NULL, &r);
	return r.reason;
}

int begin(struct bench *b, struct talk t)
{
	return send_packet(b, t, 0, SP_TCP_SYN, 1000, 0);
}

int answer(struct bench *b, struct talk t)
{
	int reason = send_packet(b, t, 1, SP_TCP_SYN | SP_TCP_ACK, 9000, 1001);

	if (t.proto == 0 || t.proto == SP_PROTO_TCP)
		send_packet(b, t, 0, SP_TCP_ACK, 1001, 9001);
	return reason;
}

int reset(struct bench *b, struct talk t)
{
	return send_packet(b, t, 0, SP_TCP_RST, 1001, 0);
}

struct sp_flow *flow_of(struct bench *b, struct talk t)
{
	struct sp_addr src, dst;
	struct sp_key key;
	struct sp_flow *f;
	sp_u32 at;

	ends_of(&t, &src, &dst);
	sp_key_make(&key, t.family, t.proto, &src, &dst, t.sport, is_ping(&t) ? t.sport : t.dport);
	at = sp_engine_find(b->e, &key);
	f = at ? &b->e->t.flows[at - 1] : NULL;
	return f && !sp_engine_is_stale(&b->e->t, f, b->now_ns) ? f : NULL;
}

int main(void)
{
	test_rates();
	test_rate_threads();
	test_limits();
	test_limit_sums();
	test_limit_threads();
	test_idle();
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
