/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a scenario on one engine, and beside it on the native twin, and says where what happened is not what must. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "script.h"

int run_fail(struct run *r, const char *fmt, ...)
{
	va_list ap;

	r->o->failed = 1;
	r->o->line = r->st ? r->st->line : 0;
	va_start(ap, fmt);
	vsnprintf(r->o->text, sizeof(r->o->text), fmt, ap);
	va_end(ap);
	return -1;
}

static void add32(sp_u8 *b, long by)
{
	sp_u32 v = (sp_u32)b[0] << 24 | (sp_u32)b[1] << 16 | (sp_u32)b[2] << 8 | b[3];

	v += (sp_u32)by;
	b[0] = (sp_u8)(v >> 24);
	b[1] = (sp_u8)(v >> 16);
	b[2] = (sp_u8)(v >> 8);
	b[3] = (sp_u8)v;
}

/* What is the same on both sides of a translation moves on both. */
static void advance_port(sp_u16 *port, sp_u16 *as, long by)
{
	if (*as == *port)
		*as = (sp_u16)(*as + by);
	*port = (sp_u16)(*port + by);
}

static void advance_addr(sp_u8 *addr, sp_u8 *as, int last, long by)
{
	if (!memcmp(as, addr, 16))
		add32(as + last, by);
	add32(addr + last, by);
}

static void advance_echo_id(struct pkt *p, struct ends *as, long by)
{
	sp_u16 id = (sp_u16)(p->icmp_rest >> 16);

	advance_port(&id, &as->sport, by);
	p->icmp_rest = (sp_u32)id << 16 | (p->icmp_rest & 0xffff);
}

static void advance(const struct step *st, struct pkt *p, struct ends *as)
{
	int last = p->family == 6 ? 12 : 0;

	for (int i = 0; i < st->steppers; i++) {
		long by = st->stepper[i].by;

		switch (st->stepper[i].field) {
		case FIELD_SRC: advance_addr(p->src, as->src, last, by); break;
		case FIELD_DST: advance_addr(p->dst, as->dst, last, by); break;
		case FIELD_SPORT: advance_port(&p->sport, &as->sport, by); break;
		case FIELD_DPORT: advance_port(&p->dport, &as->dport, by); break;
		case FIELD_SEQ: p->seq += (sp_u32)by; break;
		case FIELD_ACK: p->ack += (sp_u32)by; break;
		case FIELD_ID: p->ip_id = (p->ip_id == PKT_UNSET ? 0 : p->ip_id) + by; break;
		case FIELD_ECHO_ID: advance_echo_id(p, as, by); break;
		case FIELD_COUNT: break;
		}
	}
}

static int is_expected(const struct step *st, unsigned reason)
{
	for (int i = 0; i < st->expects; i++)
		if (st->expect[i] == reason)
			return 1;
	return 0;
}

static const char *verdict_name(unsigned verdict)
{
	return verdict == SP_PASS ? "pass" : "drop";
}

static int judge_on(struct run *r, struct tengine *t, const struct sp_engine_packet *p, sp_u8 *out,
		    struct sp_engine_result *res)
{
	int rc = t->ops->judge(t, p, out, res);

	if (rc == -ENOTSUP)
		return run_fail(r, "%s can not be shown this packet; if it means nothing there, say 'engines ...: why'",
				t->ops->name);
	if (rc)
		return run_fail(r, "%s: the packet could not be judged: %s", t->ops->name, strerror(-rc));
	return 0;
}

/* One meeting on the engine and its twin, which must agree. out: PKT_MAX bytes, the packet as it goes on. */
static int meet(struct run *r, const struct sp_engine_packet *e, unsigned number, sp_u8 *out,
		struct sp_engine_result *got)
{
	static sp_u8 twins[PKT_MAX];
	struct sp_engine_result twin = { 0 };

	if (judge_on(r, r->t, e, out, got) || (r->twin && judge_on(r, r->twin, e, twins, &twin)))
		return -1;
	r->o->seen[got->reason]++;
	if (r->o->verbose)
		printf("%s:%d: %s: %s %s\n", r->s->path, r->st->line, r->t->ops->name, verdict_name(got->verdict),
		       sp_reason_name(got->reason));
	if (r->twin && (twin.verdict != got->verdict || twin.reason != got->reason))
		return run_fail(r, "packet %u: %s says %s %s, native says %s %s", number, r->t->ops->name,
				verdict_name(got->verdict), sp_reason_name(got->reason), verdict_name(twin.verdict),
				sp_reason_name(twin.reason));
	/* what takes the lane is not seen in between: there it is what native makes of it */
	if (r->twin && r->t->took_lane)
		memcpy(out, twins, e->len);
	if (r->twin && got->verdict == SP_PASS && memcmp(out, twins, e->len) != 0)
		return run_fail(r, "packet %u: %s and native make other bytes of it", number, r->t->ops->name);
	return 0;
}

/* Where it comes in and, forwarded, where it leaves. The reason is that of the first meeting, unless the second refuses. */
static int meet_all(struct run *r, struct sp_engine_packet *e, unsigned number, sp_u8 *out, struct sp_engine_result *got)
{
	static sp_u8 between[PKT_MAX];
	struct sp_engine_result last = { 0 };

	if (meet(r, e, number, out, got))
		return -1;
	if (!r->st->arrow->leaves || got->verdict != SP_PASS)
		return 0;
	memcpy(between, out, e->len);
	e->data = between;
	e->zone_from = e->zone;
	e->zone = r->st->arrow->leaves;
	e->hook = SP_HOOK_EGRESS;
	e->forwarded = 1;
	if (meet(r, e, number, out, &last))
		return -1;
	if (last.verdict != SP_PASS)
		*got = last;
	else if (last.reason != SP_R_FORWARDED)
		return run_fail(r, "packet %u: where it leaves: expected pass forwarded, got pass %s", number,
				sp_reason_name(last.reason));
	return 0;
}

static int judge(struct run *r, const struct pkt *p, const struct rewrite *as, unsigned number)
{
	static sp_u8 bytes[PKT_MAX], out[PKT_MAX];
	struct sp_engine_result got = { 0 };
	struct sp_engine_packet e = {
		.data = bytes,
		.len = (sp_u32)pkt_build(p, r->s->bare_ip, bytes, sizeof(bytes)),
		.gso_segs = (sp_u32)p->gso_segs,
		.now_ns = r->now_ns,
		.ifindex = 0,
		.zone = r->st->arrow->zone,
		.hook = r->st->arrow->hook,
		.forwarded = r->st->arrow->forwarded,
		.zone_from = r->st->arrow->zone_from,
		.bare_ip = (sp_u8)r->s->bare_ip,
	};

	if (!e.len)
		return run_fail(r, "the packet is too long to be built");
	if (meet_all(r, &e, number, out, &got))
		return -1;
	if (!is_expected(r->st, got.reason) || got.verdict != sp_reason_verdict(got.reason))
		return run_fail(r, "packet %u: expected %s %s%s, got %s %s", number,
				verdict_name(sp_reason_verdict(r->st->expect[0])), sp_reason_name(r->st->expect[0]),
				r->st->expects > 1 ? " or another" : "", verdict_name(got.verdict),
				sp_reason_name(got.reason));
	return got.verdict == SP_PASS ? run_compare_bytes(r, p, as, out, e.len) : 0;
}

static int step_packet(struct run *r)
{
	struct pkt p = r->st->pkt; /* shares the quote, which is not freed here */
	struct rewrite as = r->st->as;

	for (unsigned i = 0; i < r->st->repeat; i++) {
		if (run_resolve(r, &p) || judge(r, &p, &as, i + 1))
			return -1;
		advance(r->st, &p, &as.outer);
	}
	return 0;
}

static int key_of(const struct pkt *p, struct sp_key *key)
{
	return sp_key_make(key, p->family == 6 ? SP_IPV6 : SP_IPV4, p->proto, p->src, p->dst, p->sport, p->dport);
}

/* The line that permits a conversation, by the name that it has in the policy under which it was decided. */
static int check_line(struct run *r, const struct sp_flow *f)
{
	const struct sp_image *image = f ? r->image[f->generation % SP_IMAGE_SLOTS] : NULL;
	const char *is = image ? sp_image_line_name(image->v, f->line) : "";

	return strcmp(is, r->st->by) ? run_fail(r, "the line is '%s', expected '%s'", is, r->st->by) : 0;
}

static int step_flow(struct run *r)
{
	struct sp_engine *e = r->t->core;
	struct sp_key key;
	int end = key_of(&r->st->pkt, &key);
	sp_u32 index = sp_engine_find(e, &key);
	const struct sp_flow *f = index ? &e->t.flows[index - 1] : NULL;
	const char *is = f && !sp_engine_is_stale(&e->t, f, r->now_ns) ? sp_phase_name(f->phase) : "gone";

	if (strcmp(is, r->st->phase) != 0)
		return run_fail(r, "the conversation is %s, expected %s", is, r->st->phase);
	if (f && r->st->initiator && !!(f->flags & SP_FLOW_FROM_1) != end)
		return run_fail(r, "the conversation was begun by the other end");
	return r->st->by[0] ? check_line(r, f) : 0;
}

static int compare_fails(const struct step *st, sp_u64 got)
{
	if (st->compare == CMP_AT_LEAST)
		return got < st->number;
	if (st->compare == CMP_AT_MOST)
		return got > st->number;
	return got != st->number;
}

static const char *compare_name(const struct step *st)
{
	return st->compare == CMP_AT_LEAST ? "at least " : st->compare == CMP_AT_MOST ? "at most " : "";
}

static int step_flows(struct run *r)
{
	const struct sp_tables *t = &r->t->core->t;
	sp_u64 live = 0;

	for (sp_u32 i = 0; i < t->config->sets * SP_WAYS; i++) {
		const struct sp_flow *f = &t->flows[i];

		if (f->phase == SP_PHASE_FREE || f->phase == SP_PHASE_ALIAS || sp_engine_is_stale(t, f, r->now_ns))
			continue;
		live += r->st->class_ < 0 || (int)sp_phase_class(f->phase) == r->st->class_;
	}
	if (compare_fails(r->st, live))
		return run_fail(r, "expected %s%llu conversations, there are %llu", compare_name(r->st), r->st->number,
				live);
	return 0;
}

static int step_count(struct run *r)
{
	struct sp_counter c[SP_REASON_COUNT];
	int rc = r->t->ops->counters(r->t, c);

	if (rc)
		return run_fail(r, "%s: counters can not be read: %s", r->t->ops->name, strerror(-rc));
	if (compare_fails(r->st, c[r->st->reason].packets))
		return run_fail(r, "expected %s%llu packets counted as %s, there are %llu", compare_name(r->st),
			    r->st->number, sp_reason_name((unsigned)r->st->reason), c[r->st->reason].packets);
	return 0;
}

/* An adopted conversation that is translated goes through the machine; else one end of it is the machine. */
static int step_adopt(struct run *r, struct tengine *t, const struct sp_key *key, int end)
{
	const struct step *st = r->st;
	const sp_u8 here = st->as.outer.given ? SP_ZONE_INSIDE : SP_ZONE_SELF;
	struct sp_adopt a = {
		.key = *key,
		.initiator = (sp_u8)end,
		.zone_from = st->from_outside ? SP_ZONE_OUTSIDE : here,
		.zone_to = st->from_outside ? here : SP_ZONE_OUTSIDE,
		.answered = 1,
		.initiator_port = { htons(st->as.outer.sport) },
		.responder_port = { htons(st->as.outer.dport) },
	};
	sp_u32 done;

	if (st->as.outer.given && memcmp(st->as.outer.src, st->pkt.src, 16) != 0)
		memcpy(&a.initiator4, st->as.outer.src, 4);
	if (st->as.outer.given && memcmp(st->as.outer.dst, st->pkt.dst, 16) != 0)
		memcpy(&a.responder4, st->as.outer.dst, 4);
	if (st->as.outer.given)
		done = sp_engine_adopt_nat(t->core, &a, r->now_ns);
	else
		done = sp_engine_adopt(t->core, key, end, a.zone_from, a.zone_to, r->now_ns);
	return done ? 0 : run_fail(r, "%s: the conversation can not be adopted", t->ops->name);
}

/* What user space does to a live table: the same on the engine and on its twin. */
static int step_tool(struct run *r, struct tengine *t)
{
	struct sp_engine *e = t->core;
	struct sp_key key;
	int end = key_of(&r->st->pkt, &key);
	sp_u32 index;

	if (r->st->kind == STEP_LIMIT) {
		e->t.config->unanswered_max = (sp_u32)r->st->number;
		return 0;
	}
	if (r->st->kind == STEP_ADOPT)
		return step_adopt(r, t, &key, end);
	index = sp_engine_find(e, &key);
	if (!index)
		return run_fail(r, "%s: there is no such conversation to kill", t->ops->name);
	sp_engine_end(&e->t.flows[index - 1]);
	return 0;
}

static int step_run(struct run *r)
{
	switch (r->st->kind) {
	case STEP_PACKET:
		return step_packet(r);
	case STEP_WAIT:
		r->now_ns += r->st->number;
		return 0;
	case STEP_FLOW:
		return step_flow(r);
	case STEP_FLOWS:
		return step_flows(r);
	case STEP_COUNT:
		return step_count(r);
	case STEP_KILL:
	case STEP_ADOPT:
	case STEP_LIMIT:
		return step_tool(r, r->t) || (r->twin && step_tool(r, r->twin)) ? -1 : 0;
	case STEP_CONFIG:
	case STEP_APPLY:
	case STEP_CONFIRM:
	case STEP_UNDO:
		return run_policy(r);
	case STEP_ADDRESS:
	case STEP_MAPPED:
	case STEP_PORTS:
	case STEP_VAR:
		return run_nat(r);
	}
	return run_fail(r, "unknown step");
}

static int set_up(struct run *r, struct tengine *t)
{
	int rc = t->ops->reset(t, r->s->capacity, r->s->flags);

	if (rc)
		return run_fail(r, "%s: can not be set up: %s", t->ops->name, strerror(-rc));
	t->core->side = r->s->side;
	*t->core->t.nat = r->s->nat;
	t->core->t.config->watch_until_ns = ~0ULL; /* events are written as if somebody watched */
	return 0;
}

void script_run(const struct script *s, struct tengine *t, struct tengine *twin, struct outcome *o)
{
	struct run r = { .s = s, .t = t, .twin = twin, .o = o, .now_ns = SCRIPT_START_NS };
	char text[400];

	memset(r.var, 0xff, sizeof(r.var)); /* -1 each */
	if (set_up(&r, t) || (twin && set_up(&r, twin)))
		return;
	for (int i = 0; i < s->n; i++) {
		r.st = &s->steps[i];
		if (step_run(&r))
			return;
		if (twin && tables_compare(t, twin, text, sizeof(text))) {
			run_fail(&r, "%s", text);
			return;
		}
	}
	if (tables_check(t, text, sizeof(text)) || (twin && tables_check(twin, text, sizeof(text))))
		run_fail(&r, "at the end: %s", text);
}
