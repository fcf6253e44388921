/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally explain`: where the packet meets the firewall, and how it is asked of the engine. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../policy/image.h"
#include "explain.h"
#include "where.h"

#define EMPTY_TABLE 1024 /* conversations, when there is no live table */

/* ---- where it meets the firewall ------------------------------------------------------------------------------ */

static int meet(struct sp_explain *x, const struct sp_live *live, struct sp_links *links, int ifindex)
{
	struct sp_link *l = sp_links_by_index(links, ifindex);

	snprintf(x->ifname, sizeof(x->ifname), "%s", l ? l->name : "?");
	x->met_zone = (sp_u8)sp_live_zone(live, (unsigned)ifindex);
	return x->met_zone ? SP_EXIT_OK :
			     sp_fail(SP_EXIT_FAILED, "interface %s is not guarded: its packets are not judged", x->ifname);
}

/* The guarded interface of a zone; the first one will do, since a zone's interfaces are treated alike. */
static int meet_zone(struct sp_explain *x, const struct sp_links *guarded, sp_u8 zone)
{
	for (int i = 0; i < guarded->count; i++) {
		if (guarded->link[i].zone != zone)
			continue;
		x->met_zone = zone;
		snprintf(x->ifname, sizeof(x->ifname), "%s", guarded->link[i].name);
		return SP_EXIT_OK;
	}
	return sp_fail(SP_EXIT_FAILED, "no guarded interface belongs to the zone %s", sp_zone_name(zone));
}

static int no_route(const char *what, const struct sp_addr *a, int family, int err)
{
	char text[SP_ADDR_TEXT];

	sp_text_addr(text, a, family);
	if (err == -ENETUNREACH || err == -EHOSTUNREACH)
		return sp_fail(SP_EXIT_FAILED, "there is no route to the %s %s; name the interface with --in", what, text);
	return sp_fail(SP_EXIT_FAILED, "can not find out where the %s %s lives: %s", what, text, strerror(-err));
}

static int find_place(struct sp_explain *x, const struct sp_live *live, struct sp_links *all, struct sp_links *guarded)
{
	int family = x->craft.family, err;
	struct sp_where src = { 0 }, dst = { 0 };

	x->to_self = sp_where(&x->craft.dst, family, &dst) == 0 && dst.is_local;
	err = sp_where(&x->craft.src, family, &src);
	if (!x->iface && !x->zone && (x->egress || (err == 0 && src.is_local))) {
		x->egress = 1;
		err = sp_where(&x->craft.dst, family, &dst);
		return err ? no_route("destination", &x->craft.dst, family, err) : meet(x, live, all, dst.ifindex);
	}
	if (x->iface) {
		struct sp_link *l = sp_links_by_name(all, x->iface);

		return l ? meet(x, live, all, l->ifindex) :
			   sp_fail(SP_EXIT_USAGE, "there is no interface '%s' here", x->iface);
	}
	if (x->zone)
		return meet_zone(x, guarded, x->zone == SP_ZONE_SELF ? SP_ZONE_OUTSIDE : x->zone);
	return err ? no_route("source", &x->craft.src, family, err) : meet(x, live, all, src.ifindex);
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

static int is_used(const struct sp_set *s)
{
	sp_u64 any = 0;

	for (int i = 0; i < SP_TAG_WORDS; i++)
		any |= s->tags[i];
	return any != 0;
}

/*
 * One set and its conversations. Ways without a tag are left alone: most of a large table is empty, and memory that is not
 * touched costs nothing. Whoever held a lock at that moment does not exist in the copy.
 */
static void copy_set(struct sp_tables *to, const struct sp_tables *from, sp_u32 i)
{
	to->sets[i] = from->sets[i];
	to->sets[i].lock = 0;
	for (sp_u32 way = 0; way < SP_WAYS; way++) {
		sp_u32 at = sp_entry_at(from->config, i, way);

		if (!(to->sets[i].tags[way / 4] >> (16 * (way % 4)) & 0xffff))
			continue;
		to->flows[at] = from->flows[at];
		to->flows[at].lock &= ~1u;
	}
}

/* A private copy of the live arrays: judged on it, the packet changes nothing. */
static struct sp_engine *copy_live(const struct sp_live *live)
{
	const struct sp_config *c = live->t.config;
	struct sp_engine *e = sp_engine_new(c->capacity, c->flags, c->secret);

	if (!e)
		return NULL;
	if (e->t.config->sets != c->sets) { /* made by another version */
		sp_engine_free(e);
		return NULL;
	}
	*e->t.config = *c;
	*e->t.state = *live->t.state;
	if (live->t.nat->slots) {
		if (sp_engine_nat(e, live->t.nat->slots)) {
			sp_engine_free(e);
			return NULL;
		}
		*e->t.nat = *live->t.nat;
		memcpy(e->t.ports, live->t.ports, (size_t)live->t.nat->slots * SP_NAT_PORTS * sizeof(*e->t.ports));
	}
	memcpy(e->t.frags, live->t.frags, (size_t)SP_FRAG_COUNT * sizeof(*e->t.frags));
	memcpy(e->t.sketch, live->t.sketch, (size_t)SP_SKETCH_ROW * SP_SKETCH_ROWS * sizeof(*e->t.sketch));
	memcpy(e->t.meters, live->t.meters, (size_t)SP_METER_ROW * SP_METER_ROWS * sizeof(*e->t.meters));
	for (sp_u32 i = 0; i < c->sets; i++)
		if (is_used(&live->t.sets[i]))
			copy_set(&e->t, &live->t, i);
	for (sp_u32 i = 0; i < SP_FRAG_COUNT; i++)
		e->t.frags[i].lock = 0;
	return e;
}

static struct sp_engine *empty_table(const struct sp_explain *x)
{
	static const sp_u64 secret[2] = { 1, 2 };
	int gateway = x->gateway || x->zone == SP_ZONE_INSIDE;

	return sp_engine_new(EMPTY_TABLE, gateway ? SP_CONFIG_GATEWAY : 0, secret);
}

/*
 * The kernel's programs ask for the route back to an inside source; the native engine compares with networks. Tell it
 * what the route says.
 */
static void set_inside(struct sp_explain *x, struct sp_engine *e)
{
	struct sp_where w;
	int fits = 1;

	if (x->ifname[0] && x->met_zone == SP_ZONE_INSIDE)
		fits = sp_where(&x->craft.src, x->craft.family, &w) == 0 && !w.is_local &&
		       w.ifindex == (int)if_nametoindex(x->ifname);
	if (fits)
		return; /* no networks given: any source fits */
	e->side.inside4_mask = 0xffffffff;
	e->side.inside4_net = ~x->craft.src.w32[0];
	e->side.inside6_bits = 128;
	e->side.inside6 = x->craft.src;
	e->side.inside6.b[0] ^= 0xff;
}

/* ---- the packet ------------------------------------------------------------------------------------------------ */

/* What the sender would say next in a connection that is remembered; what the question names stays. */
static void next_segment(struct sp_explain *x, const struct sp_flow *f, int end)
{
	const struct sp_peer *s = &f->peer[end], *d = &f->peer[!end];
	int has_spoken = (f->ends >> (4 * end) & 15) != SP_END_CLOSED;
	int other_spoke = (f->ends >> (4 * !end) & 15) != SP_END_CLOSED;

	x->continued = 1;
	if (!x->flags_given)
		x->craft.tcp_flags = has_spoken && !other_spoke ? SP_TCP_SYN :
				     has_spoken			? SP_TCP_ACK :
								  SP_TCP_SYN | SP_TCP_ACK;
	if (!x->seq_given && has_spoken)
		x->craft.seq = (x->craft.tcp_flags & SP_TCP_SYN) ? d->ack - 1 : s->end;
	if (!x->ack_given && (x->craft.tcp_flags & SP_TCP_ACK))
		x->craft.ack = d->end;
}

/* The conversation behind an alias; *end: the sender's, in its key. */
static const struct sp_flow *behind_alias(const struct sp_engine *e, const struct sp_flow *f, int *end)
{
	const struct sp_alias *a = (const struct sp_alias *)f;

	if (!f || f->phase != SP_PHASE_ALIAS)
		return f;
	*end ^= (a->flags & SP_ALIAS_FLIP) != 0;
	return a->flow && a->flow <= e->t.config->capacity ? &e->t.flows[a->flow - 1] : NULL;
}

static void complete(struct sp_explain *x, struct sp_engine *e, sp_u64 now_ns)
{
	struct sp_craft *c = &x->craft;
	const struct sp_flow *f;
	struct sp_key key;
	sp_u32 flow;
	int end;

	if (c->proto != IPPROTO_TCP)
		return;
	end = sp_key_make(&key, c->family, c->proto, c->src.b, c->dst.b, c->sport, c->dport);
	flow = sp_engine_find(e, &key);
	f = behind_alias(e, flow ? &e->t.flows[flow - 1] : NULL, &end);
	if (f && f->phase != SP_PHASE_TCP_CLOSED && f->phase != SP_PHASE_TCP_TIME_WAIT &&
	    !sp_engine_is_stale(&e->t, f, now_ns))
		next_segment(x, f, end);
	else if (!x->flags_given)
		c->tcp_flags = SP_TCP_SYN;
}

/* The kernel's programs would ask for the zone of where it really goes. */
static void destination_is(struct sp_explain *x, const struct sp_addr *to)
{
	struct sp_where w;

	if (x->at && !sp_where(to, x->craft.family, &w))
		x->engine->side.zone_to = w.is_local ? SP_ZONE_SELF : (sp_u8)sp_live_zone(x->at, (unsigned)w.ifindex);
}

static void take_step(void *arg, const char *what, sp_u64 a, sp_u64 b)
{
	struct sp_explain *x = arg;

	if (!strcmp(what, "destination")) {
		const struct sp_addr real = { .w32 = { (sp_u32)b } };

		if (!a)
			return; /* it is for whom it says */
		destination_is(x, &real);
		x->for_inside = 1;
	}
	if (x->leaving && strcmp(what, "source"))
		return;
	/* a line that forwards has spoken already: now only one that blocks is of interest */
	if (x->for_inside && !strcmp(what, "policy") && b < SP_LINE_FIRST && a != SP_R_BLOCKED)
		return;
	if (x->steps < SP_EXPLAIN_STEPS)
		x->step[x->steps++] = (struct sp_step){ .what = what, .a = a, .b = b };
}

/* The name of the line that the policy step speaks of, or that began the conversation; or "". */
static void name_line(struct sp_explain *x, const struct sp_image_line *image)
{
	if (image && x->result.flow && x->result.verdict == SP_PASS)
		snprintf(x->line, sizeof(x->line), "%s", sp_image_line_name(image, x->flow.line));
	for (int i = 0; image && i < x->steps; i++)
		if (!strcmp(x->step[i].what, "policy") && x->step[i].b >= SP_LINE_FIRST)
			snprintf(x->line, sizeof(x->line), "%s", sp_image_line_name(image, (sp_u32)x->step[i].b));
}

static void real_destination(const struct sp_explain *x, const sp_u8 *bytes, struct sp_addr *to)
{
	*to = x->craft.dst;
	if (x->onward_len)
		memcpy(to->b, bytes + 16, 4); /* IPv4: nothing else is translated */
}

/* On a gateway it meets the firewall once more, where it leaves: its sender may need another address. */
static void leave(struct sp_explain *x, struct sp_engine *e, const struct sp_engine_packet *in)
{
	struct sp_engine_packet p = *in;
	struct sp_engine_result result;
	sp_u8 bytes[SP_CRAFT_MAX];
	struct sp_links links;
	struct sp_addr to;
	struct sp_where w;
	struct sp_err err;
	struct sp_link *l;

	real_destination(x, x->onward, &to);
	if (x->hook != SP_HOOK_INGRESS || !x->forwards || x->result.verdict != SP_PASS ||
	    sp_where(&to, x->craft.family, &w) || w.is_local)
		return;
	p.zone = (sp_u8)sp_live_zone(x->at, (unsigned)w.ifindex);
	if (p.zone == SP_ZONE_NONE || sp_links_read(&links, &err))
		return;
	l = sp_links_by_index(&links, w.ifindex);
	snprintf(x->out_ifname, sizeof(x->out_ifname), "%s", l ? l->name : "?");
	sp_links_free(&links);
	p.data = x->onward_len ? x->onward : in->data;
	p.out = bytes;
	p.hook = SP_HOOK_EGRESS;
	p.forwarded = 1;
	p.zone_from = x->met_zone;
	p.ifindex = (sp_u32)w.ifindex;
	x->leaving = 1;
	sp_engine_packet(e, &p, NULL, &result);
	if (result.verdict == SP_DROP)
		x->result = result;
	if (result.rewritten) {
		memcpy(x->onward, bytes, p.len);
		x->onward_len = p.len;
	}
}

static int judge(struct sp_explain *x, struct sp_engine *e)
{
	sp_u8 bytes[SP_CRAFT_MAX];
	struct sp_engine_packet p = { .data = bytes, .out = x->onward, .bare_ip = 1, .now_ns = sp_now_ns() };
	int len;

	complete(x, e, p.now_ns);
	len = sp_craft(&x->craft, bytes);
	if (len < 0)
		return sp_fail(SP_EXIT_USAGE, "such a packet can not be made");
	p.len = (sp_u32)len;
	x->hook = x->egress ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
	p.hook = x->hook;
	p.zone = x->met_zone;
	set_inside(x, e);
	x->forwards = (e->t.config->flags & SP_CONFIG_GATEWAY) != 0;
	e->step = take_step;
	e->step_arg = x;
	x->engine = e;
	sp_engine_packet(e, &p, NULL, &x->result);
	x->onward_len = x->result.rewritten ? p.len : 0;
	if (x->at)
		leave(x, e, &p);
	if (x->result.flow)
		x->flow = e->t.flows[x->result.flow - 1];
	return SP_EXIT_OK;
}

/* All images that are kept: a conversation that was silent since a change has the idle time of its own generation. */
static void lend_images(struct sp_engine *e, const struct sp_live *live, sp_u32 in_force)
{
	const sp_u32 last = live->t.config->generation;

	for (sp_u32 back = 0; back < SP_IMAGE_SLOTS - 1 && back < last; back++)
		sp_live_image_see(live, last - back);
	sp_live_image_see(live, in_force); /* trials that nobody confirmed may have left it behind */
	memcpy(e->images, live->t.images, sizeof(e->images));
}

/* With the policy in force and the route to the destination, which the kernel's programs would ask for themselves. */
static int judge_live(struct sp_explain *x, struct sp_engine *e, const struct sp_live *live)
{
	const sp_u32 generation = sp_generation_now(live, NULL);
	int code;

	if (!live->t.images)
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	lend_images(e, live, generation);
	x->at = live;
	x->engine = e;
	destination_is(x, &x->craft.dst);
	code = judge(x, e);
	name_line(x, e->images[generation % SP_IMAGE_SLOTS]);
	return code;
}

/* With the live table; -1: there is none that can be read, though --zone allows to go on without. */
static int ask_live(struct sp_explain *x)
{
	static struct sp_links all, guarded; /* some 40 kB each */
	struct sp_engine *e = NULL;
	struct sp_live live;
	struct sp_err err;
	int code;

	if (sp_live_open(&live, &err)) {
		if (!x->zone || (err.code != -ENOENT && err.code != -EPERM))
			return sp_fail_err(&err);
		x->not_live = err.code == -EPERM ? "the live table can not be read without root" : "nothing is up here";
		return -1;
	}
	x->live = 1;
	if (sp_links_read(&all, &err) || sp_live_links(&live, &guarded, &err)) {
		sp_live_close(&live);
		return sp_fail_err(&err);
	}
	code = find_place(x, &live, &all, &guarded);
	if (!code) {
		e = copy_live(&live);
		code = e ? judge_live(x, e, &live) : sp_fail(SP_EXIT_FAILED, "no memory for a copy of the live table");
	}
	if (e)
		sp_engine_free(e);
	sp_live_close(&live);
	return code;
}

int sp_explain_ask(struct sp_explain *x)
{
	struct sp_engine *e;
	int code;

	if (x->egress && !x->zone && !x->iface)
		x->zone = SP_ZONE_NONE; /* the interface is found by the route to the destination */
	code = ask_live(x);
	if (code != -1)
		return code;
	x->met_zone = x->egress ? SP_ZONE_OUTSIDE : x->zone;
	e = empty_table(x);
	if (!e)
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	code = judge(x, e);
	sp_engine_free(e);
	return code;
}
