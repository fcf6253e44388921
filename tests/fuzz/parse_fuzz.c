/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes are a packet. Reading it stays within them (they lie in memory of exactly their length), and of what is found
 * well-formed: offsets lie in the packet, the key is canonical, a look by other code (host/glance.c) sees the same ends,
 * and what lies behind the IP packet changes nothing.
 */
#include <string.h>

#include "../../host/engine.h"
#include "../../host/glance.h"
#include "../../port/port_host.h"
#include "take.h"

static int read_it(const sp_u8 *bytes, sp_u32 len, sp_u8 how, struct sp_pkt *p)
{
	struct sp_host_dev dev = { .data = bytes, .len = len };

	memset(p, 0, sizeof(*p));
	p->frame_len = len;
	p->bare_ip = how & 1;
	p->hook = how & 2 ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	p->segs = how & 4 ? 3 : 1;
	return sp_read_packet(&dev, p);
}

static void check_offsets(const struct sp_pkt *p)
{
	const sp_u32 end = p->l3_off + p->len;

	HOLDS(p->l3_off <= p->l4_off && p->l4_off <= end && end <= p->frame_len, "%u %u %u %u", p->l3_off, p->l4_off, end,
	      p->frame_len);
	HOLDS(p->l4_off + p->l4_len == end, "%u %u %u", p->l4_off, p->l4_len, end);
	HOLDS(p->kind != SP_KIND_TCP || p->payload + 20 <= p->l4_len, "%u %u", p->payload, p->l4_len);
	HOLDS((p->kind == SP_KIND_PIECE) == (p->is_frag && p->frag_off), "kind %u off %u", p->kind, p->frag_off);
	HOLDS(!p->is_frag || p->frag_off + p->frag_len <= 65535, "%u %u", p->frag_off, p->frag_len);
	HOLDS(p->wscale <= 14 || p->wscale == SP_WSCALE_NONE, "%u", p->wscale);
}

static void check_key(const struct sp_pkt *p)
{
	struct sp_key k = p->key;
	const int end = p->dir & 1;

	HOLDS(k.family == p->family, "%u %u", k.family, p->family);
	HOLDS(sp_key_set(&k, &p->key.addr[end], &p->key.addr[!end], p->key.port[end], p->key.port[!end]) == end ||
	      (sp_addr_equal(&k.addr[0], &k.addr[1]) && k.port[0].raw == k.port[1].raw), "not canonical");
	HOLDS(sp_key_equal(&k, &p->key), "not canonical");
}

/* What is stricter in one of the two does not count: only what both have read. */
static void check_glance(const struct sp_pkt *p, const sp_u8 *bytes)
{
	struct sp_glance g;

	sp_glance(&g, bytes, p->frame_len, p->bare_ip);
	HOLDS(g.family == p->family, "%u %u", g.family, p->family);
	HOLDS(sp_addr_equal(&g.src, &p->src) && sp_addr_equal(&g.dst, &p->dst), "other addresses");
	HOLDS(g.l3_off == p->l3_off, "%u %u", g.l3_off, p->l3_off);
	/* the glance steps over authentication headers, too */
	if (p->kind == SP_KIND_ERROR || p->kind == SP_KIND_PIECE || !g.has_l4 || p->proto == 51)
		return;
	HOLDS(g.proto == p->proto && g.l4_off == p->l4_off, "proto %u %u at %u %u", g.proto, p->proto, g.l4_off, p->l4_off);
	if (p->kind == SP_KIND_TCP || p->kind == SP_KIND_UDP)
		HOLDS(g.sport == sp_ntoh16(p->sport) && g.dport == sp_ntoh16(p->dport), "other ports");
	if (p->kind == SP_KIND_TCP)
		HOLDS(g.seq == p->seq && g.ack == p->ack && (g.tcp_flags & 0x3f) == p->tcp_flags &&
		      (g.payload == p->payload || p->segs > 1), "seq %u %u payload %u %u", g.seq, p->seq, g.payload,
		      p->payload);
}

/* Padding, as Ethernet adds it, or none. */
static void check_behind(const struct sp_pkt *p, const sp_u8 *bytes, sp_u8 how)
{
	const sp_u32 end = p->l3_off + p->len;
	sp_u8 *padded = malloc(end + 9), *exact = malloc(end);
	struct sp_pkt q;

	if (!padded || !exact)
		abort();
	memcpy(padded, bytes, end);
	memset(padded + end, how, 9);
	memcpy(exact, bytes, end);
	HOLDS(read_it(padded, end + 9, how, &q) == SP_R_NONE && sp_key_equal(&q.key, &p->key) && q.seq == p->seq, "padded");
	HOLDS(read_it(exact, end, how, &q) == SP_R_NONE && sp_key_equal(&q.key, &p->key) && q.seq == p->seq, "cut");
	free(padded);
	free(exact);
}

int LLVMFuzzerTestOneInput(const sp_u8 *data, size_t size)
{
	struct take in = { data, size };
	const sp_u8 how = take8(&in);
	sp_u8 *bytes = malloc(in.left ? in.left : 1);
	struct sp_pkt p;

	if (!bytes)
		abort();
	memcpy(bytes, in.at, in.left);
	if (in.left && read_it(bytes, (sp_u32)in.left, how, &p) == SP_R_NONE) {
		check_offsets(&p);
		check_key(&p);
		check_glance(&p, bytes);
		if (p.segs == 1)
			check_behind(&p, bytes, how);
	}
	free(bytes);
	return 0;
}
