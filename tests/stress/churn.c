/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table that is nearly full: births, answers, resets, deaths by time and by the tool's hand, evictions, refusals, from
 * all threads at once, over keys that the threads share. In the middle of it live the kept ones: answered conversations that
 * nothing may touch, so each of their packets must pass.
 */
#include "stress.h"

#define JOHN 0x0a000000u
#define KEPT_JOHN 0x0a010000u
#define SERVER 0xc6336402u /* 198.51.100.2 */
#define SYN 0x02
#define RST 0x04
#define ACK 0x10
#define SOURCES 48u
#define PORTS 64u /* SOURCES * PORTS keys: several times the table */

#define CUT 32 /* bytes of the datagram in its first piece */
#define REST 24 /* and in its second */
#define IP_HEADER 20

struct churn_work {
	sp_u32 kept;
	sp_u32 datagram; /* atomic */
};

/* Those that stay: three fifths of the capacity less a little, so that the unanswered budget can still fill. */
static void keep(struct bench *b, struct churn_work *work)
{
	const sp_u32 wanted = b->e->t.config->capacity * 55 / 100;

	for (work->kept = 0; work->kept < wanted; work->kept++) {
		struct sp_key key;
		struct sp_craft c;
		int end;

		craft_ends(&c, 1, KEPT_JOHN + work->kept / 100, SERVER, (sp_u16)(1024 + work->kept % 100), 443);
		end = sp_key_make(&key, SP_IPV4, 6, &c.src, &c.dst, c.sport, c.dport);
		if (!sp_engine_adopt(b->e, &key, end, b->john_inside ? SP_ZONE_INSIDE : SP_ZONE_SELF, SP_ZONE_OUTSIDE,
				     b->now_ns))
			break;
	}
}

static void kept_packet(struct worker *w, struct churn_work *work)
{
	const sp_u32 n = (random_next(w) >> 4) % work->kept;
	const int from_john = (int)(random_next(w) >> 9) & 1;
	struct sp_craft c = { .proto = 6, .tcp_flags = ACK, .seq = 1, .ack = 1, .payload = 10 };

	craft_ends(&c, from_john, KEPT_JOHN + n / 100, SERVER, (sp_u16)(1024 + n % 100), 443);
	must_pass(w, from_john, &c, "a packet of a kept conversation");
}

/* A packet of one of the many: every third is TCP, opened by SYN and answered by RST, the others UDP. */
static void many_packet(struct worker *w, int from_john)
{
	/* the low sources get most: they are the ones that have more than their share */
	const sp_u32 r = random_next(w) >> 3, source = r % 3 ? r % 5 : (r >> 4) % SOURCES;
	const sp_u32 port = (random_next(w) >> 5) % PORTS;
	struct sp_craft c = { .proto = 17, .payload = 20 };
	sp_u8 reason;
	int pass;

	if ((source + port) % 3 == 0) {
		c = (struct sp_craft){ .proto = 6, .tcp_flags = from_john ? SYN : RST | ACK, .seq = 100 };
		c.ack = from_john ? 0 : 101;
	}
	craft_ends(&c, from_john, JOHN + source + 1, SERVER, (sp_u16)(2000 + port), 53);
	pass = send_packet(w, from_john, &c, &reason);
	__atomic_fetch_add(&w->b->got[pass], 1, __ATOMIC_RELAXED);
}

/* The IPv4 header of a piece: its length, its place, and the checksum over them (RFC 1071). */
static void piece_header(sp_u8 *ip, sp_u32 id, sp_u32 bytes, sp_u32 offset, int more)
{
	sp_u32 sum = 0;

	ip[2] = 0;
	ip[3] = (sp_u8)(IP_HEADER + bytes);
	ip[4] = (sp_u8)(id >> 8);
	ip[5] = (sp_u8)id;
	ip[6] = more ? 0x20 : 0;
	ip[7] = (sp_u8)(offset / 8);
	ip[10] = ip[11] = 0;
	for (int i = 0; i < IP_HEADER; i += 2)
		sum += (sp_u32)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	ip[10] = (sp_u8)(sum >> 8);
	ip[11] = (sp_u8)sum;
}

/* A datagram in two pieces: when the first one passes, the second one must, once; and not a second time. */
static void pieces(struct worker *w, struct churn_work *work)
{
	const sp_u32 id = __atomic_add_fetch(&work->datagram, 1, __ATOMIC_RELAXED);
	const sp_u64 begun = __atomic_load_n(&w->b->now_ns, __ATOMIC_RELAXED);
	struct sp_craft c = { .proto = 17, .payload = CUT + REST - 8 };
	sp_u8 ip[SP_CRAFT_MAX], reason = SP_R_NONE;
	int passed = 0;

	craft_ends(&c, 1, JOHN + 1 + id % SOURCES, SERVER, (sp_u16)(2000 + id % PORTS), 53);
	if (sp_craft(&c, ip) < 0)
		return;
	piece_header(ip, id, CUT, 0, 1);
	if (!send_ip(w, 1, ip, IP_HEADER + CUT, &reason))
		return;
	for (int i = 0; i < REST; i++)
		ip[IP_HEADER + i] = ip[IP_HEADER + CUT + i];
	piece_header(ip, id, REST, CUT, 0);
	for (int n = 0; n < 5; n++)
		passed += send_ip(w, 1, ip, IP_HEADER + REST, &reason);
	/* unless the others let a minute pass meanwhile */
	if (passed == 1 || __atomic_load_n(&w->b->now_ns, __ATOMIC_RELAXED) - begun > SP_FRAG_TIMEOUT_NS / 2)
		return;
	complain("%s: the second piece of a datagram passed %d times of 5: %s", w->b->name, passed, sp_reason_name(reason));
	__atomic_fetch_add(&w->b->failures, 1, __ATOMIC_RELAXED);
}

/*
 * As the tool does it: another process, which ThreadSanitizer does not see either. Not one of the kept (JOHN's many only).
 * At worst the conversation is replaced at this instant and its successor ends early: it is not a kept one.
 */
static __attribute__((no_sanitize("thread"))) void end_one(struct worker *w)
{
	struct sp_tables *t = &w->b->e->t;
	struct sp_flow *f = &t->flows[(random_next(w) >> 3) % t->config->capacity];
	const sp_u16 port = sp_ntoh16(f->key.port[0]) == 53 ? 53 : sp_ntoh16(f->key.port[1]);

	if (port == 53)
		sp_engine_end(f);
}

static void churn_worker(struct worker *w)
{
	struct churn_work *work = w->work;

	while (now_ms() < w->b->deadline_ms && __atomic_load_n(&w->b->failures, __ATOMIC_RELAXED) < 5) {
		const sp_u32 dice = (random_next(w) >> 7) % 128;

		if (dice < 2)
			pieces(w, work);
		else if (dice < 80)
			many_packet(w, 1);
		else if (dice < 100)
			many_packet(w, 0);
		else if (dice < 124)
			kept_packet(w, work);
		else if (dice < 126)
			end_one(w);
		else
			advance(w->b, dice == 126 ? 20000000 : 150000000);
	}
}

void churn_near_full(struct bench *b, int ms)
{
	struct churn_work work = { 0 };

	keep(b, &work);
	if (work.kept < b->e->t.config->capacity / 2) {
		complain("%s: only %u conversations could be put into an empty table", b->name, work.kept);
		b->failures++;
		return;
	}
	run_threads(b, &work, churn_worker, ms);
}
