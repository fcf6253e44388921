/* SPDX-License-Identifier: BSD-2-Clause */
/* What scenarios say about translation beside packets: this machine's outside addresses, who holds which outside port. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

/* "nat [pool | each] [ADDR...]": outside addresses by slot. With neither, sources are translated to the first only. */
int script_parse_nat(struct words *ws, struct script *s)
{
	const int pool = words_take(ws, "pool"), all = pool || words_take(ws, "each");
	sp_u8 addr[16], family;
	sp_u16 port;

	s->nat.slots = 0;
	while (words_peek(ws) && s->nat.slots < TENGINE_NAT_SLOTS) {
		struct words ahead = *ws;

		ahead.family = 4; /* names stand for their IPv4 addresses: nothing else is translated */
		if (words_endpoint(&ahead, 0, &family, addr, &port) || family != 4)
			break; /* another set-up word */
		ws->at = ahead.at;
		memcpy(&s->nat.slot[s->nat.slots].addr, addr, 4);
		s->nat.slot[s->nat.slots].flags = (all || !s->nat.slots ? SP_SLOT_MAPS : 0) | (pool ? SP_SLOT_POOL : 0);
		s->nat.slots++;
	}
	if (!s->nat.slots) {
		s->nat.slot[0].addr = htonl(0xc000020a); /* me */
		s->nat.slot[0].flags = SP_SLOT_MAPS;
		s->nat.slots = 1;
	}
	s->nat.used = s->nat.slots;
	return 1;
}

/* "listens PORT...": where this machine listens. */
int script_parse_listens(struct words *ws, struct script *s)
{
	sp_u64 v;

	for (size_t i = 0; words_peek(ws) && words_peek(ws)[0] <= '9'; i++) {
		if (i == sizeof(s->side.listens) / sizeof(s->side.listens[0]))
			return words_fail(ws, "at most %zu ports", i);
		if (words_number(ws, 65535, &v))
			return -1;
		s->side.listens[i] = (sp_u16)v;
	}
	return 1;
}

/* "address SLOT lost", "address SLOT is ADDR" */
static int parse_address(struct script *s, struct words *ws, int line)
{
	struct step *st = script_new_step(s, STEP_ADDRESS, line);

	if (words_number(ws, TENGINE_NAT_SLOTS - 1, &st->number))
		return -1;
	if (words_take(ws, "lost"))
		return 1;
	if (!words_take(ws, "is"))
		return words_fail(ws, "'address 0 lost' or 'address 0 is 192.0.2.77'");
	return words_endpoint(ws, 0, &st->pkt.family, st->pkt.src, &st->pkt.sport) ? -1 : 1;
}

static int parse_port(struct words *ws, const char *proto, sp_u8 *family, sp_u8 *addr, sp_u16 *port, char *var)
{
	if (words_endpoint(ws, 1, family, addr, port))
		return -1;
	*var = ws->var;
	return *family == 4 ? 0 : words_fail(ws, "only IPv4 addresses are translated (%s)", proto);
}

/* "mapped PROTO ADDR:PORT is free", "... is ADDR:PORT [by N]": who holds an outside port, for how many conversations */
static int parse_mapped(struct script *s, struct words *ws, int line)
{
	static const char *const names[SP_NAT_PROTOS] = { "tcp", "udp", "icmp" };
	struct step *st = script_new_step(s, STEP_MAPPED, line);
	const char *w = words_next(ws);
	sp_u8 family;

	st->reason = -1;
	for (int i = 0; w && i < SP_NAT_PROTOS; i++)
		if (!strcmp(names[i], w))
			st->reason = i;
	if (st->reason < 0)
		return words_fail(ws, "'mapped' goes on with tcp, udp or icmp");
	if (parse_port(ws, w, &st->pkt.family, st->pkt.src, &st->pkt.sport, &st->pkt.sport_var))
		return -1;
	if (!words_take(ws, "is"))
		return words_fail(ws, "'mapped udp me:4000 is john:4000', or 'is free'");
	if (words_take(ws, "free"))
		return 1;
	st->initiator = 1;
	if (parse_port(ws, w, &family, st->pkt.dst, &st->pkt.dport, &st->pkt.dport_var))
		return -1;
	if (words_take(ws, "by") && words_number(ws, 65535, &st->number))
		return -1;
	return 1;
}

/* "port $a even|odd|low|high|other than N" */
static int parse_var(struct script *s, struct words *ws, int line)
{
	struct step *st = script_new_step(s, STEP_VAR, line);
	const char *w = words_next(ws);

	st->pkt.sport_var = words_var(w);
	w = words_next(ws);
	if (!st->pkt.sport_var || !w)
		return words_fail(ws, "'port $a even', odd, low, high, or 'not N'");
	snprintf(st->phase, sizeof(st->phase), "%s", w);
	if (strcmp(w, "not") != 0)
		return 1;
	st->pkt.dport_var = words_var(words_peek(ws));
	if (st->pkt.dport_var)
		return words_next(ws) ? 1 : -1;
	return words_number(ws, 65535, &st->number) ? -1 : 1;
}

int script_parse_nat_step(struct script *s, struct words *ws, int line, const char *word)
{
	if (!strcmp(word, "address"))
		return parse_address(s, ws, line);
	if (!strcmp(word, "mapped"))
		return parse_mapped(s, ws, line);
	if (!strcmp(word, "port"))
		return parse_var(s, ws, line);
	if (!strcmp(word, "ports") || !strcmp(word, "displaced")) {
		struct step *st = script_new_step(s, STEP_PORTS, line);

		st->initiator = *word == 'd';
		return words_number(ws, 400000, &st->number) ? -1 : 1;
	}
	return 0;
}

static int run_mapped(struct run *r)
{
	const struct sp_tables *t = &r->t->core->t;
	struct pkt p = r->st->pkt;
	struct in_addr inside;
	sp_u64 owner = 0;
	sp_u32 addr;
	char who[INET_ADDRSTRLEN];

	if (run_resolve(r, &p))
		return -1;
	memcpy(&addr, p.src, 4);
	for (sp_u32 slot = 0; slot < t->nat->slots; slot++)
		if (t->nat->slot[slot].addr == addr)
			owner = t->ports[((slot * SP_NAT_PROTOS + (sp_u32)r->st->reason) << 16) + p.sport].owner;
	inside.s_addr = (sp_u32)(owner >> 32);
	inet_ntop(AF_INET, &inside, who, sizeof(who));
	if (!r->st->initiator && owner)
		return run_fail(r, "the port is held by %s:%u", who, (unsigned)(owner >> 16) & 0xffff);
	if (!r->st->initiator)
		return 0;
	if (!owner || memcmp(p.dst, &inside, 4) != 0 || p.dport != ((owner >> 16) & 0xffff))
		return owner ? run_fail(r, "the port is held by %s:%u", who, (unsigned)(owner >> 16) & 0xffff) :
			       run_fail(r, "the port is free");
	if (r->st->number && (owner & 0xffff) != r->st->number)
		return run_fail(r, "the port is used by %u conversations, expected %llu", (unsigned)(owner & 0xffff),
				r->st->number);
	return 0;
}

static int run_ports(struct run *r)
{
	const struct sp_tables *t = &r->t->core->t;
	sp_u64 n = 0;

	for (sp_u32 i = 0; i < t->nat->slots * SP_NAT_PORTS; i++)
		n += r->st->initiator ? t->ports[i].displaced : t->ports[i].owner != 0;
	if (n != r->st->number)
		return run_fail(r, "%llu ports are %s, expected %llu", n, r->st->initiator ? "displaced" : "held",
				r->st->number);
	return 0;
}

static int run_var(struct run *r)
{
	const int is = r->var[r->st->pkt.sport_var - 'a'];
	const char *must = r->st->phase;
	int not = (int)r->st->number, holds;

	if (r->st->pkt.dport_var)
		not = r->var[r->st->pkt.dport_var - 'a'];
	if (!strcmp(must, "even") || !strcmp(must, "odd"))
		holds = (is & 1) == (*must == 'o');
	else if (!strcmp(must, "low") || !strcmp(must, "high"))
		holds = (is < 1024) == (*must == 'l');
	else
		holds = !strcmp(must, "not") && is != not;
	return is >= 0 && holds ? 0 : run_fail(r, "$%c is %d, expected %s", r->st->pkt.sport_var, is, must);
}

static void set_address(struct tengine *t, const struct step *st)
{
	struct sp_nat_slot *slot = &t->core->t.nat->slot[st->number];

	memcpy(&slot->addr, st->pkt.src, 4);
	t->core->t.nat->changes++;
}

int run_nat(struct run *r)
{
	switch (r->st->kind) {
	case STEP_MAPPED:
		return run_mapped(r);
	case STEP_PORTS:
		return run_ports(r);
	case STEP_VAR:
		return run_var(r);
	default:
		set_address(r->t, r->st);
		if (r->twin)
			set_address(r->twin, r->st);
		return 0;
	}
}

/* ---- what must hold of the tables at any time ---------------------------------------------------------------- */

static const struct sp_alias *alias_of(const struct sp_tables *t, sp_u32 at)
{
	if (!at || at > t->config->sets * SP_WAYS || t->flows[at - 1].phase != SP_PHASE_ALIAS)
		return NULL;
	return (const struct sp_alias *)&t->flows[at - 1];
}

/* An alias belongs to a conversation that names it. Counts the use of its port. */
static int check_alias(const struct sp_tables *t, sp_u32 at, sp_u32 *uses, char *text, size_t len)
{
	const struct sp_alias *a = alias_of(t, at), *first;
	const struct sp_flow *f = a->flow ? &t->flows[a->flow - 1] : NULL;

	if (!f || f->phase == SP_PHASE_FREE || f->phase == SP_PHASE_ALIAS || !(f->flags & SP_FLOW_TRANSLATED)) {
		snprintf(text, len, "second key %u belongs to no conversation", at);
		return -1;
	}
	first = alias_of(t, f->alias);
	if (!first || (f->alias != at && first->other != at)) {
		snprintf(text, len, "second key %u: its conversation %u does not name it", at, a->flow);
		return -1;
	}
	if (a->port)
		uses[a->port - 1]++;
	return 0;
}

static int check_ports(const struct sp_tables *t, const sp_u32 *uses, sp_u32 *away, char *text, size_t len)
{
	const sp_u32 n = t->nat->slots * SP_NAT_PORTS;

	for (sp_u32 i = 0; i < n; i++) {
		const sp_u64 owner = t->ports[i].owner;
		const sp_u32 home = (i & ~0xffffu) | ((sp_u32)(owner >> 16) & 0xffff);

		if (uses[i] != (owner & 0xffff) || (owner && !uses[i])) {
			snprintf(text, len, "port %u of table %u is used %u times, and counts %u", i & 0xffff, i >> 16,
				 uses[i], (unsigned)(owner & 0xffff));
			return -1;
		}
		if (owner && home != i)
			away[home]++;
	}
	for (sp_u32 i = 0; i < n; i++)
		if (t->ports[i].displaced != away[i]) {
			snprintf(text, len, "port %u of table %u: %u are displaced, and it counts %u", i & 0xffff, i >> 16,
				 away[i], t->ports[i].displaced);
			return -1;
		}
	return 0;
}

int tables_check(const struct tengine *e, char *text, size_t len)
{
	const struct sp_tables *t = &e->core->t;
	const sp_u32 n = t->nat->slots * SP_NAT_PORTS;
	sp_u32 *uses = n ? calloc(n, sizeof(*uses)) : NULL, *away = n ? calloc(n, sizeof(*away)) : NULL;
	int rc = 0;

	if (n && (!uses || !away))
		abort();
	for (sp_u32 i = 1; n && !rc && i <= t->config->sets * SP_WAYS; i++)
		if (alias_of(t, i))
			rc = check_alias(t, i, uses, text, len);
	if (!rc)
		rc = check_ports(t, uses, away, text, len);
	free(uses);
	free(away);
	return rc;
}
