/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequences of packets through the whole pipeline, with time, changes of policy and of addresses in between:
 * strangers, hosts inside, a zone of one's own and the machine itself, answers to what has left, errors about it,
 * bytes that are no packet, and conversations by the book. What must hold is in world.c, model.c, honest.c and
 * table.c.
 */
#include <string.h>

#include "world.h"

#define STEPS 150

static const sp_u16 ports[8] = { 53, 80, 40000, 40001, 40002, 50000, 68, 67 };
static const sp_u8 zones[4] = { SP_ZONE_OUTSIDE, SP_ZONE_INSIDE, ZONE_DMZ, SP_ZONE_SELF };

/* The machine itself is trusted: it does not send in other people's names. */
static void go(struct world *w, struct passage *p)
{
	struct look l;

	if (p->from == SP_ZONE_SELF && look_at(&l, p->in.b, p->in.len) && world_zone(l.e.src, l.e.family) != SP_ZONE_SELF)
		return;
	world_pass(w, p);
	honest_saw(w, p);
}

static void tcp_part(struct take *in, struct wire *p)
{
	static const sp_u8 flags[16] = { 2, 18, 16, 24, 17, 4, 20, 2, 16, 16, 3, 0, 41, 25, 18, 6 };
	static const sp_u32 near[8] = { 1000, 1001, 1002, 2000, 61000, 80000, 0x80000000u, 0xfffffff0u };
	const sp_u8 a = take8(in), b = take8(in);

	p->flags = flags[a & 15];
	p->wscale = a & 16 ? a >> 5 : 99;
	p->seq = near[b & 7];
	p->ack = near[b >> 3 & 7];
	p->win = b & 64 ? 0 : 5000;
}

static void icmp_part(struct take *in, struct wire *p)
{
	static const sp_u8 v4[8] = { 8, 0, 13, 14, 3, 11, 5, 12 }, v6[16] = { 128, 129, 1,   2,	  3,   4,   133, 134,
									     135, 136, 137, 130, 143, 144, 200, 128 };
	const sp_u8 a = take8(in);

	p->proto = p->family == 4 ? 1 : 58;
	p->icmp_type = p->family == 4 ? v4[a & 7] : v6[a & 15];
	p->sport = p->dport = a >> 4 & 1 ? 50000 : 7;
	p->ttl = a & 0x20 ? 255 : a & 0x40 ? 1 : 64;
}

/* Anything from anybody to anybody. */
static void fresh(struct world *w, struct take *in)
{
	static const sp_u8 protos[8] = { 6, 6, 17, 17, 1, 132, 136, 47 };
	static struct passage p;
	const sp_u8 who = take8(in), what = take8(in), odd = take8(in);
	const sp_u8 from = zones[who & 3], to = zones[who >> 2 & 3];
	struct wire x = { .family = what & 128 ? 6 : 4, .proto = protos[what & 7], .ttl = 64, .data = 8 };

	world_address(from, who >> 4 & 3, x.family, x.src);
	world_address(to, who >> 6 & 3, x.family, x.dst);
	x.sport = ports[what >> 3 & 3];
	x.dport = ports[what >> 5 & 3];
	if (odd & 0x40) {
		x.sport = ports[take8(in) & 7];
		x.dport = ports[take8(in) & 7];
	}
	if (x.proto == 6)
		tcp_part(in, &x);
	if (x.proto == 1)
		icmp_part(in, &x);
	if ((odd & 0x38) == 0x08) {
		x.is_frag = 1;
		x.ip_id = odd & 3;
		x.more = odd >> 2 & 1;
		x.frag_off = 8u * (take8(in) & 15);
		x.frag_len = 8u * (1 + (take8(in) & 7));
		x.is_frag = x.more || x.frag_off;
	}
	x.bad_sum = (odd & 0x38) == 0x10;
	p.in.len = wire_build(&x, p.in.b);
	if ((odd & 0x38) == 0x18 && p.in.len > 20) /* broken */
		p.in.b[14 + take8(in) % (p.in.len - 14)] ^= take8(in);
	p.from = (odd & 0x80) ? zones[odd & 3] : from;
	go(w, &p);
}

static struct frame *recall(struct world *w, sp_u8 which)
{
	const sp_u32 n = w->n_left < LEFT ? w->n_left : LEFT;

	return n ? &w->left[which % n] : NULL;
}

static sp_u32 get32(const sp_u8 *b)
{
	return (sp_u32)b[0] << 24 | (sp_u32)b[1] << 16 | (sp_u32)b[2] << 8 | b[3];
}

/* What has left is answered by whoever it was for, or by somebody who pretends to be. */
static void answer(struct world *w, struct take *in)
{
	static const sp_u8 flags[8] = { 18, 16, 24, 17, 4, 20, 2, 16 };
	static struct passage p;
	const sp_u8 which = take8(in), how = take8(in);
	const struct frame *f = recall(w, which);
	struct wire x = { .ttl = 64, .data = 4, .win = 5000, .wscale = how & 64 ? 3 : 99 };
	struct look l;

	if (!f || !look_at(&l, f->b, f->len) || l.frag_off)
		return;
	x.family = l.e.family;
	x.proto = l.e.proto;
	memcpy(x.src, l.e.dst, 16);
	memcpy(x.dst, l.e.src, 16);
	x.sport = l.e.dport;
	x.dport = l.e.sport;
	if (x.proto == 6 && l.l4 + 20 <= l.end) {
		x.flags = flags[how & 7];
		x.seq = l.tcp_flags & 16 ? get32(f->b + l.l4 + 8) : 5000;
		x.ack = get32(f->b + l.l4 + 4) + ((l.tcp_flags & 3) != 0) + (how & 32 ? 8 : 0);
		x.seq += how & 8 ? 1 : 0;
		x.seq += how & 16 ? 100000 : 0;
	}
	if (x.proto == 1 || x.proto == 58)
		x.icmp_type = (l.icmp_type == 8 || l.icmp_type == 13) ? (l.icmp_type & 4) ? 14 : 0 :
			      l.icmp_type == 128 ? 129 : l.icmp_type;
	p.in.len = wire_build(&x, p.in.b);
	p.from = how & 128 ? zones[which >> 6] : world_zone(x.src, x.family);
	go(w, &p);
}

/* An error about what has left. */
static void complain(struct world *w, struct take *in)
{
	static const sp_u8 types4[4] = { 3, 11, 12, 3 }, types6[4] = { 1, 2, 3, 4 };
	static struct passage p;
	const sp_u8 which = take8(in), how = take8(in);
	struct frame *f = recall(w, which);
	struct wire x = { .ttl = 64 };
	struct look l;

	if (!f || f->len < 42 || !look_at(&l, f->b, f->len))
		return;
	x.family = l.e.family;
	x.proto = x.family == 4 ? 1 : 58;
	x.icmp_type = x.family == 4 ? types4[how & 3] : types6[how & 3];
	memcpy(x.dst, l.e.src, 16);
	if (how & 4) /* by the one it was for, or by a router on the way */
		memcpy(x.src, l.e.dst, 16);
	else
		world_address(zones[how >> 3 & 3], 3, x.family, x.src);
	x.body = f->b + 14;
	x.data = (sp_u16)(f->len - 14 < 600 ? f->len - 14 : 600);
	if (how & 32)
		x.data = (sp_u16)(28 + (how >> 6) * 20) < x.data ? (sp_u16)(28 + (how >> 6) * 20) : x.data;
	p.in.len = wire_build(&x, p.in.b);
	if ((how & 0xc0) == 0xc0 && !(how & 32))
		p.in.b[14 + take8(in) % (p.in.len - 14)] ^= take8(in);
	p.from = world_zone(x.src, x.family);
	go(w, &p);
}

static void raw(struct world *w, struct take *in)
{
	static struct passage p;
	const sp_u8 who = take8(in);
	sp_u32 len = take8(in);

	memset(p.in.b, 0, sizeof(p.in.b));
	p.in.len = 14 + len;
	memcpy(p.in.b + 12, who & 4 ? "\x86\xdd" : "\x08\x00", 2);
	for (sp_u32 i = 0; i < len; i++)
		p.in.b[14 + i] = take8(in);
	p.from = zones[who & 3];
	go(w, &p);
}

/* The same once more, from there or from elsewhere. */
static void again(struct world *w, struct take *in)
{
	static struct passage p;
	const sp_u8 which = take8(in);
	const struct frame *f = recall(w, which);

	if (!f)
		return;
	p.in = *f;
	p.from = zones[which >> 4 & 3];
	go(w, &p);
}

int LLVMFuzzerTestOneInput(const sp_u8 *data, size_t size)
{
	static const sp_u64 steps_ms[8] = { 1, 20, 1100, 2500, 21000, 61000, 301000, 90000000 };
	static struct world w;
	struct take in = { data, size };

	world_begin(&w, take8(&in));
	honest_begin(&w);
	for (int n = 0; n < STEPS && in.left; n++) {
		const sp_u8 op = take8(&in);

		switch (op & 15) {
		case 0: case 1: case 2: case 3: case 4:
			fresh(&w, &in);
			break;
		case 5: case 6:
			answer(&w, &in);
			break;
		case 7:
			complain(&w, &in);
			break;
		case 8:
			again(&w, &in);
			break;
		case 9:
			w.now_ns += steps_ms[op >> 5] * 1000000;
			break;
		case 10:
			world_change(&w, take8(&in));
			break;
		case 11:
			raw(&w, &in);
			break;
		default:
			honest_step(&w, &in);
		}
		if (n % 8 == 7)
			table_check(w.e);
	}
	world_check(&w);
	if (size % 16 == 0)
		world_expire(&w);
	return 0;
}
