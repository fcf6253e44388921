/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays a batch on two engines: verdict, reason, bytes and what is remembered must be the same. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"
#include "tests/scenario/script.h"

#define LONGEST 3000 /* bytes of a frame that the kernel's test runs can be shown */
#define COMPARE_EVERY 500 /* steps after which tables are compared; it is done at the end in any case */

static const sp_u8 me4[4] = { 192, 0, 2, 10 }, me6[16] = { 0x2a, 0, 0, 5, [15] = 0x10 };

struct game {
	struct tengine *t[2];
	const struct batch *b;
	const struct seq_step *st;
	struct seen *seen;
	struct difference_at *d;
	sp_u64 now_ns;
	sp_u16 port[SEQ_TALKS_MAX];
	struct sp_engine_result got[2];
};

static void replace(sp_u8 *addr, const sp_u8 *by)
{
	memset(addr, 0, 16);
	memcpy(addr, by, 4);
}

static void set_id(struct pkt *p, sp_u16 id)
{
	p->icmp_rest = (sp_u32)id << 16 | (p->icmp_rest & 0xffff);
}

static int is_query(const struct pkt *p)
{
	return p->body == PKT_BODY_ICMP && !p->quote;
}

static int maps_ports(const struct pkt *p)
{
	return p->body == PKT_BODY_TCP || (p->body == PKT_BODY_UDP && p->proto == 17);
}

/* Puts this machine's address and an outside port in place of one end of the inside. The quote is left as it is. */
static void map_end(struct pkt *p, int destination, sp_u16 port)
{
	replace(destination ? p->dst : p->src, me4);
	if (port && maps_ports(p))
		*(destination ? &p->dport : &p->sport) = port;
	if (port && is_query(p))
		set_id(p, port);
}

/* Both for the packet and for the one that it quotes, which went the other way. */
static void map_both(struct pkt *p, int destination, sp_u16 port)
{
	static struct pkt quote; /* of the one packet that is being built */

	map_end(p, destination, port);
	if (!p->quote)
		return;
	quote = *p->quote;
	map_end(&quote, !destination, port);
	p->quote = &quote;
}

void play_resolve(const struct batch *b, const struct seq_step *s, sp_u16 port, struct pkt *out)
{
	*out = s->pkt;
	if (s->to_mapped && b->translates)
		map_both(out, 1, port);
}

/* One end of the packet at ip; 1: with its port. */
static int read_end(const struct pkt *p, const sp_u8 *ip, size_t len, int destination, sp_u8 *addr, sp_u16 *port)
{
	const size_t l4 = (ip[0] & 15u) * 4, at = is_query(p) ? l4 + 4 : l4 + (destination ? 2 : 0);

	memcpy(addr, ip + (destination ? 16 : 12), 4);
	if ((!maps_ports(p) && !is_query(p)) || (ip[6] & 0x1f) || ip[7] || at + 2 > len)
		return 0;
	*port = (sp_u16)(ip[at] << 8 | ip[at + 1]);
	return 1;
}

void play_read_end(const struct seq_step *s, const sp_u8 *ip, size_t len, struct other_end *end)
{
	const int destination = s->from == SP_ZONE_OUTSIDE;
	const size_t quote = len >= 20 ? (ip[0] & 15u) * 4 + 8 : 0;

	memset(end, 0, sizeof(*end));
	if (len < 20)
		return;
	end->has_port = (sp_u8)read_end(&s->pkt, ip, len, destination, end->addr, &end->port);
	if (s->pkt.quote && quote + 20 <= len)
		end->has_quoted_port = (sp_u8)read_end(s->pkt.quote, ip + quote, len - quote, !destination,
						       end->quoted_addr, &end->quoted_port);
}

static void put_end(struct pkt *p, int destination, const sp_u8 *addr, int has_port, sp_u16 port)
{
	replace(destination ? p->dst : p->src, addr);
	if (has_port && is_query(p))
		set_id(p, port);
	else if (has_port)
		*(destination ? &p->dport : &p->sport) = port;
}

void play_put_end(const struct seq_step *s, const struct other_end *end, struct pkt *out)
{
	static struct pkt quote;
	const int destination = s->from == SP_ZONE_OUTSIDE;

	*out = s->pkt;
	put_end(out, destination, end->addr, end->has_port, end->port);
	if (!out->quote)
		return;
	quote = *out->quote;
	put_end(&quote, !destination, end->quoted_addr, end->has_quoted_port, end->quoted_port);
	out->quote = &quote;
}

sp_u16 play_port_of(const struct seq_step *s, const sp_u8 *ip, size_t len)
{
	const size_t l4 = (ip[0] & 15u) * 4;

	if (s->from != SP_ZONE_INSIDE || s->pkt.family != 4 || s->pkt.quote || len < l4 + 8 || (ip[6] & 0x1f) || ip[7])
		return 0;
	if (maps_ports(&s->pkt))
		return (sp_u16)(ip[l4] << 8 | ip[l4 + 1]);
	return is_query(&s->pkt) ? (sp_u16)(ip[l4 + 4] << 8 | ip[l4 + 5]) : 0;
}

static int differs(struct game *g, enum difference kind, const char *what)
{
	const struct sp_engine_result *a = &g->got[0], *b = &g->got[1];
	struct difference_at *d = g->d;

	d->kind = kind;
	d->reason[0] = a->reason;
	d->reason[1] = b->reason;
	d->step = g->st ? (int)(g->st - g->b->step) : g->b->n;
	snprintf(d->text, sizeof(d->text), "%s says %s, %s says %s: %s", g->t[0]->ops->name, sp_reason_name(a->reason),
		 g->t[1] ? g->t[1]->ops->name : "nobody", sp_reason_name(b->reason), what);
	return -1;
}

static unsigned phase_of(const struct tengine *t, sp_u32 flow)
{
	const struct sp_flow *f = flow ? &t->core->t.flows[flow - 1] : NULL;

	if (f && f->phase == SP_PHASE_ALIAS)
		f = ((const struct sp_alias *)f)->flow ? &t->core->t.flows[((const struct sp_alias *)f)->flow - 1] : NULL;
	return f ? f->phase : SP_PHASE_FREE;
}

static void note(struct game *g, const struct sp_engine_result *last, sp_u16 to_port, int rewritten, sp_u16 as_port)
{
	struct seen *s = g->seen ? &g->seen[g->st - g->b->step] : NULL;

	if (as_port)
		g->port[g->st->talk] = as_port;
	if (!s)
		return;
	s->phase = (sp_u8)phase_of(g->t[0], last->flow);
	s->verdict = last->verdict;
	s->reason = last->reason;
	s->to_port = to_port;
	s->rewritten = (sp_u8)rewritten;
	s->as_port = as_port;
}

/* Test runs want a whole IP header, of the version that the frame says. */
static int can_be_shown(const struct sp_engine_packet *e)
{
	const sp_u8 *b = e->data;

	return e->len >= 34 && e->len <= LONGEST && (b[12] != 0x86 || b[13] != 0xdd || e->len >= 54);
}

/* One meeting on both. 1: the kernel's test runs can not be shown it. out: of the first. */
static int meet(struct game *g, const struct sp_engine_packet *e, sp_u8 *out)
{
	static sp_u8 other[PKT_MAX];
	int rc;

	if (g->t[1] && !can_be_shown(e))
		return 1;
	rc = g->t[0]->ops->judge(g->t[0], e, out, &g->got[0]);
	if (!rc && g->t[1]) {
		g->t[1]->likely = g->got[0].reason;
		rc = g->t[1]->ops->judge(g->t[1], e, other, &g->got[1]);
	}
	if (rc)
		return differs(g, DIFFERENT_FAILURE, strerror(-rc));
	note(g, &g->got[0], g->port[g->st->talk], 0, 0); /* in case that it is the last one */
	if (!g->t[1])
		return 0;
	if (g->got[0].verdict != g->got[1].verdict || g->got[0].reason != g->got[1].reason)
		return differs(g, DIFFERENT_REASON, "not the same");
	/* what takes the lane is not seen in between */
	if (g->got[0].verdict == SP_PASS && !g->t[1]->took_lane && memcmp(out, other, e->len) != 0)
		return differs(g, DIFFERENT_BYTES, "they make other bytes of it");
	return 0;
}

/*
 * Is the transport checksum by chance the sum of the pseudo-header alone, as virtual links leave it? One in 65,536 is. TC
 * asks the kernel which it is; the others can only guess (core/pipeline.h), so they may change it in different ways. And one
 * of UDP-Lite that is 0 is none: it stays as it is.
 */
static int is_ambiguous(const struct pkt *p, const sp_u8 *frame, size_t len)
{
	const sp_u8 *ip = frame + 14 + 4 * p->vlans;
	const size_t head = (ip[0] & 15u) * 4, at = head + (p->proto == 6 ? 16 : 6);
	sp_u32 sum = p->proto + (sp_u32)(ip[2] << 8 | ip[3]) - (sp_u32)head, field;

	if (p->family != 4 || (p->proto != 6 && p->proto != 17 && p->proto != 136) || (size_t)(ip - frame) + at + 2 > len)
		return 0;
	for (int i = 12; i < 20; i += 2)
		sum += (sp_u32)(ip[i] << 8 | ip[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	field = (sp_u32)(ip[at] << 8 | ip[at + 1]);
	return field == sum || (p->proto == 136 && !field);
}

/* Does the packet, as it looks now, go to this machine itself? */
static int is_mine(const struct pkt *p, const sp_u8 *frame)
{
	const sp_u8 *ip = frame + 14 + 4 * p->vlans;

	return p->family == 4 ? !memcmp(ip + 16, me4, 4) : !memcmp(ip + 24, me6, 16);
}

/* Is it what is built anew with the ends that it has? So each checksum is right by construction. */
static int is_right(const struct game *g, const sp_u8 *out, size_t len, size_t l3, int rewritten)
{
	static sp_u8 must[PKT_MAX];
	static struct pkt p;
	struct other_end end;

	if (!rewritten)
		return 1;
	if (g->st->pkt.family != 4)
		return 0;
	play_read_end(g->st, out + l3, len - l3, &end);
	play_put_end(g->st, &end, &p);
	if (g->seen)
		g->seen[g->st - g->b->step].as = end;
	return pkt_build(&p, 0, must, sizeof(must)) == len && !memcmp(must, out, len);
}

static int play_step(struct game *g)
{
	static sp_u8 bytes[PKT_MAX], between[PKT_MAX], out[PKT_MAX];
	static struct pkt p;
	const struct seq_step *st = g->st;
	const sp_u16 port = g->port[st->talk];
	struct sp_engine_packet e = { .data = bytes, .now_ns = g->now_ns, .zone = st->from, .hook = SP_HOOK_INGRESS };
	struct sp_engine_result first;
	size_t l3;
	int rc, rewritten;

	play_resolve(g->b, st, port, &p);
	l3 = 14 + 4 * (size_t)p.vlans;
	e.len = (sp_u32)pkt_build(&p, 0, bytes, sizeof(bytes));
	if (g->t[1] && is_ambiguous(&p, bytes, e.len)) /* Linux is shown it, and so it must be natively */
		return 0;
	if (st->from == SP_ZONE_SELF) {
		e.zone = SP_ZONE_OUTSIDE;
		e.hook = SP_HOOK_EGRESS;
	}
	rc = meet(g, &e, between);
	if (rc)
		return rc < 0 ? -1 : 0;
	first = g->got[0];
	if (st->from == SP_ZONE_SELF || first.verdict != SP_PASS || e.len < l3 + (p.family == 4 ? 20 : 40) ||
	    is_mine(&p, between)) {
		note(g, &first, port, 0, 0);
		return 0;
	}
	e.data = between;
	e.zone_from = e.zone;
	e.zone = e.zone == SP_ZONE_INSIDE ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE;
	e.hook = SP_HOOK_EGRESS;
	e.forwarded = 1;
	rc = meet(g, &e, out);
	if (rc)
		return rc < 0 ? -1 : 0;
	if (g->seen)
		g->seen[st - g->b->step].leaves = 1;
	if (g->got[0].verdict != SP_PASS) {
		note(g, &g->got[0], port, 0, 0);
		return 0;
	}
	rewritten = memcmp(bytes, out, e.len) != 0;
	note(g, &first, port, rewritten, g->b->translates ? play_port_of(st, out + l3, e.len - l3) : 0);
	if (is_right(g, out, e.len, l3, rewritten))
		return 0;
	return differs(g, DIFFERENT_BYTES, "it is not what it must have become");
}

/* Policies are few, and compiled once. */
static const struct sp_image *image_of(const char *policy)
{
	static struct {
		const char *policy;
		struct sp_image image;
	} known[16];
	char why[300];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].policy == policy)
			return &known[i].image;
		if (known[i].policy)
			continue;
		if (script_compile(policy, &known[i].image, why, sizeof(why))) {
			fprintf(stderr, "differential: %s\n", why);
			exit(1);
		}
		known[i].policy = policy;
		return &known[i].image;
	}
	abort();
}

static int set_up(struct tengine *t, const struct batch *b)
{
	int rc = t->ops->reset(t, PLAY_CAPACITY, SP_CONFIG_GATEWAY);
	struct sp_nat_addrs *nat = t->core->t.nat; /* the native engine is a new one */

	memset(&t->core->side, 0, sizeof(t->core->side));
	script_side(&t->core->side);
	if (!rc && b->policy) {
		rc = t->ops->image(t, 1, image_of(b->policy));
		t->core->t.config->generation = 1;
	}
	if (b->unanswered_max)
		t->core->t.config->unanswered_max = b->unanswered_max;
	if (b->translates) {
		memcpy(&nat->slot[0].addr, me4, 4);
		nat->slot[0].flags = SP_SLOT_MAPS;
		nat->slots = nat->used = 1;
	}
	return rc;
}

static int compare(struct game *g)
{
	char text[800];

	if (!g->t[1] || !tables_compare(g->t[0], g->t[1], text, sizeof(text)))
		return 0;
	return differs(g, DIFFERENT_TABLES, text);
}

int play(struct tengine *first, struct tengine *second, const struct batch *b, struct seen *seen, struct difference_at *d)
{
	struct game g = { .t = { first, second }, .b = b, .seen = seen, .d = d, .now_ns = SCRIPT_START_NS };
	char text[400];

	memset(d, 0, sizeof(*d));
	if (set_up(first, b) || (second && set_up(second, b)))
		return differs(&g, DIFFERENT_FAILURE, "the engines can not be set up");
	for (int i = 0; i < b->n; i++) {
		g.st = &b->step[i];
		g.now_ns += g.st->wait_ms * 1000000ull;
		if (play_step(&g) || ((i % COMPARE_EVERY == 0 || i + 1 == b->n) && compare(&g)))
			return -1;
	}
	for (int i = 0; i < (second ? 2 : 1); i++)
		if (tables_check(g.t[i], text, sizeof(text)))
			return differs(&g, DIFFERENT_TABLES, text);
	return 0;
}
