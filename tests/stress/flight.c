/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that are translated on their way, from hook to hook. */
#include <arpa/inet.h>
#include <string.h>

#include "stress.h"

void flight_begin(struct flight *f, const struct sp_craft *c)
{
	static const sp_u8 ethernet[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };

	memcpy(f->frame, ethernet, sizeof(ethernet));
	f->len = 14 + (sp_u32)sp_craft(c, f->frame + 14);
}

int flight_pass(struct worker *w, struct flight *f, sp_u8 zone, sp_u8 hook, sp_u8 zone_from)
{
	struct sp_engine_packet p = { .data = f->frame, .len = f->len, .zone = zone, .hook = hook, .out = f->out,
				      .forwarded = hook == SP_HOOK_EGRESS, .zone_from = zone_from,
				      .now_ns = __atomic_load_n(&w->b->now_ns, __ATOMIC_RELAXED) };
	struct sp_engine_result r = { 0 };

	w->b->judge(w->b, w->thread, &p, &r);
	__atomic_fetch_add(&w->b->packets, 1, __ATOMIC_RELAXED);
	if (r.rewritten)
		memcpy(f->frame, f->out, f->len);
	return r.verdict == SP_PASS;
}

sp_u32 flight_addr(const struct flight *f, int dst)
{
	sp_u32 a;

	memcpy(&a, f->frame + 14 + (dst ? 16 : 12), 4);
	return ntohl(a);
}

sp_u16 flight_port(const struct flight *f, int dst)
{
	sp_u16 n;

	memcpy(&n, f->frame + 14 + 20 + (dst ? 2 : 0), 2);
	return ntohs(n);
}

void flight_wrong(struct worker *w, const char *what, const struct flight *f)
{
	__atomic_fetch_add(&w->b->failures, 1, __ATOMIC_RELAXED);
	complain("%s: %s: %08x:%u -> %08x:%u", w->b->name, what, flight_addr(f, 0), flight_port(f, 0), flight_addr(f, 1),
		 flight_port(f, 1));
}
