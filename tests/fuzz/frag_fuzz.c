/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Datagrams in pieces, in any order, of any size, from either side, in either family, against a reference that knows
 * for each datagram which of its bytes have passed: the verdict on every piece is foretold. What passes never
 * overlaps, never follows a first piece that was stopped, and never ends beyond the datagram; a piece that fits is
 * never stopped, but that a datagram too many may not begin.
 */
#include <string.h>

#include "table.h"
#include "take.h"
#include "wire.h"

#define DATAGRAMS 64
#define BLOCKS 8192 /* of 8 bytes */

struct datagram {
	int used, poisoned;
	struct wire w; /* its first piece */
	sp_u8 zone;
	sp_u64 born_ns;
	sp_u32 total, passed;
	sp_u8 seen[BLOCKS];
	sp_u32 blocks; /* highest block that was seen, + 1 */
};

static struct datagram all[DATAGRAMS];
static struct sp_engine *engine;
static sp_u64 now_ns;

static const sp_u8 inside4[2][4] = { { 10, 0, 0, 2 }, { 10, 0, 0, 3 } }, outside4[4] = { 198, 51, 100, 7 };
static const sp_u8 inside6[16] = { 0x2a, 0, 0, 1, [15] = 2 }, outside6[16] = { 0x2a, 0, 0, 2, [15] = 7 };

/* One that lives no longer is none. */
static struct datagram *find(const struct wire *w, sp_u8 zone)
{
	for (int i = 0; i < DATAGRAMS; i++) {
		struct datagram *d = &all[i];

		if (d->used && d->zone == zone && d->w.family == w->family && d->w.ip_id == w->ip_id &&
		    (w->family == 6 || d->w.proto == w->proto) && !memcmp(d->w.src, w->src, 16) &&
		    !memcmp(d->w.dst, w->dst, 16) && now_ns - d->born_ns <= SP_FRAG_TIMEOUT_NS)
			return d;
	}
	return NULL;
}

static struct datagram *begin(const struct wire *w, sp_u8 zone)
{
	for (int i = 0; i < DATAGRAMS; i++) {
		struct datagram *d = &all[i];

		if (d->used && now_ns - d->born_ns <= SP_FRAG_TIMEOUT_NS && !(d->total && d->passed == d->total))
			continue;
		*d = (struct datagram){ .used = 1, .w = *w, .zone = zone, .born_ns = now_ns };
		memset(d->seen, 0, sizeof(d->seen));
		return d;
	}
	return NULL;
}

/* Is the piece well-formed by itself (RFC 791, RFC 8200 4.5, RFC 1858, RFC 3128)? The caller looks at its header. */
static int fits_itself(const struct wire *w)
{
	if (w->more && w->frag_len % 8)
		return 0;
	if (!w->frag_len || w->frag_off + w->frag_len > 65535)
		return 0;
	return !(w->proto == 6 && w->frag_off == 8);
}

/* May the piece pass that datagram? It is noted if so. */
static int note(struct datagram *d, const struct wire *w)
{
	const sp_u32 from = w->frag_off / 8, to = (w->frag_off + w->frag_len + 7) / 8;
	sp_u32 twice = 0;

	if (d->poisoned)
		return 0;
	for (sp_u32 i = from; i < to; i++)
		twice += d->seen[i];
	if (twice) {
		d->poisoned = twice != to - from;
		return 0;
	}
	if (d->total && (w->frag_off + w->frag_len > d->total || !w->more))
		return !(d->poisoned = 1);
	if (!w->more && d->blocks > to)
		return !(d->poisoned = 1);
	if (!w->more)
		d->total = w->frag_off + w->frag_len;
	memset(d->seen + from, 1, to - from);
	d->blocks = d->blocks < to ? to : d->blocks;
	d->passed += w->frag_len;
	return 1;
}

static void judge(const struct wire *w, sp_u8 zone, struct sp_engine_result *r)
{
	sp_u8 frame[WIRE_MAX];
	struct sp_engine_packet p = { .now_ns = now_ns, .data = frame, .zone = zone };

	p.len = wire_build(w, frame);
	sp_engine_packet(engine, &p, NULL, r);
}

static void first_piece(const struct wire *w, sp_u8 zone)
{
	struct datagram *d = find(w, zone);
	struct sp_engine_result r;

	judge(w, zone, &r);
	if (!fits_itself(w)) {
		HOLDS(r.verdict == SP_DROP, "%s", sp_reason_name(r.reason));
		return;
	}
	/* stopped for another reason: nothing is remembered of it. Nor when there is no room. */
	if (r.verdict == SP_DROP && r.reason != SP_R_FRAG_OVERLAP && r.reason != SP_R_FRAG_LENGTH) {
		HOLDS(r.reason != SP_R_FRAG_HEADLESS, "a first piece");
		if (d && r.reason == SP_R_FRAG_FULL)
			HOLDS(d->total && d->passed == d->total, "there is room for it already");
		return;
	}
	if (d && d->total && d->passed == d->total) {
		d->used = 0; /* the identification comes again */
		d = NULL;
	}
	if (!d)
		d = begin(w, zone);
	if (d)
		HOLDS((r.verdict == SP_PASS) == note(d, w), "%s: off %u len %u", sp_reason_name(r.reason), w->frag_off,
		      w->frag_len);
	else
		HOLDS(r.verdict == SP_DROP, "the reference has no room left");
}

static void later_piece(const struct wire *w, sp_u8 zone)
{
	struct datagram *d = find(w, zone);
	struct sp_engine_result r;
	int may = 0;

	judge(w, zone, &r);
	if (fits_itself(w) && d)
		may = note(d, w);
	HOLDS((r.verdict == SP_PASS) == may, "%s: off %u len %u more %u", sp_reason_name(r.reason), w->frag_off, w->frag_len,
	      w->more);
	HOLDS(!may || r.reason == SP_R_FRAGMENT, "%s", sp_reason_name(r.reason));
	HOLDS(!r.event || r.event == SP_EVENT_DROP, "a later piece begins something");
}

static void piece(struct take *in)
{
	static const sp_u8 protos[4] = { 17, 17, 6, 47 };
	static const sp_u16 lens[8] = { 8, 24, 32, 64, 512, 1480, 1, 20 };
	const sp_u8 who = take8(in), what = take8(in), at = take8(in);
	const int back = who & 1, v6 = who & 2;
	struct wire w = { .family = v6 ? 6 : 4, .ttl = 64, .is_frag = 1, .ip_id = who >> 3 & 7, .more = what & 1,
			  .proto = protos[what >> 1 & 3], .sport = back ? 53 : 40000, .dport = back ? 40000 : 53,
			  .flags = 2, .wscale = 99, .win = 1000, .data = 64 };
	const sp_u8 *in4 = inside4[who >> 2 & 1];

	memcpy(w.src, v6 ? back ? outside6 : inside6 : back ? outside4 : in4, v6 ? 16 : 4);
	memcpy(w.dst, v6 ? back ? inside6 : outside6 : back ? in4 : outside4, v6 ? 16 : 4);
	w.frag_len = lens[what >> 3 & 7];
	w.frag_off = 8u * (at < 200 ? at : at * 32u);
	if (what & 0x40)
		w.frag_len = (sp_u16)(w.frag_len + take8(in));
	if (what & 0x80)
		w.frag_off = take16(in) & 0xfff8;
	if (w.frag_off == 0 && !w.more)
		return; /* that is no piece */
	if (w.frag_off)
		later_piece(&w, back ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE);
	else if (w.frag_len >= 20) /* shorter ones: scenarios have them */
		first_piece(&w, back ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE);
}

int LLVMFuzzerTestOneInput(const sp_u8 *data, size_t size)
{
	static const sp_u64 steps_s[4] = { 1, 30, 59, 61 };
	struct take in = { data, size };

	if (!engine)
		engine = table_new();
	table_fresh(engine, SP_CONFIG_GATEWAY, 0);
	now_ns = 1000 * SP_NS_PER_S;
	for (int i = 0; i < DATAGRAMS; i++)
		all[i].used = 0;
	for (int n = 0; n < 200 && in.left; n++) {
		if (*in.at >= 0xf8)
			now_ns += steps_s[take8(&in) & 3] * SP_NS_PER_S;
		else
			piece(&in);
	}
	table_check(engine);
	return 0;
}
