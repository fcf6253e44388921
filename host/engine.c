/* SPDX-License-Identifier: BSD-2-Clause */
/* The native engine: tables in memory, one packet at a time through the core. */
#include "engine.h"

#include "../port/port_host.h"

#include "door.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

void sp_config_init(struct sp_config *c, sp_u32 capacity, sp_u32 flags, const sp_u64 secret[2])
{
	static const sp_u32 host_s[] = {
#define X(id, name, class_, host, gateway, pressure) host,
		SP_PHASES(X)
#undef X
	};
	static const sp_u32 gateway_s[] = {
#define X(id, name, class_, host, gateway, pressure) gateway,
		SP_PHASES(X)
#undef X
	};
	static const sp_u32 pressure_s[] = {
#define X(id, name, class_, host, gateway, pressure) pressure,
		SP_PHASES(X)
#undef X
	};

	memset(c, 0, sizeof(*c));
	c->abi = SP_ABI_VERSION;
	c->flags = flags;
	c->secret[0] = secret[0];
	c->secret[1] = secret[1];
	c->sets = capacity / SP_WAYS + (capacity % SP_WAYS != 0);
	if (c->sets < 2)
		c->sets = 2;
	c->capacity = c->sets * SP_WAYS;
	c->unanswered_max = c->capacity / 2;
	c->pressure_on = (sp_u32)((sp_u64)c->capacity * 6 / 10);
	c->generation = 1;
	for (int i = 0; i < SP_PHASE_COUNT; i++) {
		const sp_u32 normal_s = flags & SP_CONFIG_GATEWAY ? gateway_s[i] : host_s[i];

		c->timeout_ns[0][i] = normal_s * SP_NS_PER_S;
		c->timeout_ns[1][i] = pressure_s[i] * SP_NS_PER_S;
	}
}

#define HUGE_BYTES (4u << 20)

static void *pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* each packet goes to another page: of 4 KiB ones the processor does not remember enough. If not, then not. */
	if (bytes >= HUGE_BYTES)
		madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static void unpages(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

#define METER_BYTES (SP_METER_ROWS * SP_METER_ROW * sizeof(sp_u64))
#define SKETCH_BYTES (SP_SKETCH_ROWS * SP_SKETCH_ROW * sizeof(sp_u64))

struct sp_engine *sp_engine_new(sp_u32 capacity, sp_u32 flags, const sp_u64 secret[2])
{
	struct sp_engine *e = calloc(1, sizeof(*e));
	struct sp_config *c = calloc(1, sizeof(*c));

	if (!e || !c) {
		free(e);
		free(c);
		return NULL;
	}
	sp_config_init(c, capacity, flags, secret);
	e->owned = 1;
	e->t.images = e->images;
	e->t.config = c;
	e->t.state = calloc(1, sizeof(*e->t.state));
	e->t.sets = pages(c->sets * sizeof(struct sp_set));
	e->t.flows = pages((size_t)c->capacity * sizeof(struct sp_flow));
	e->t.frags = pages(SP_FRAG_COUNT * sizeof(struct sp_frag));
	e->t.sketch = pages(SKETCH_BYTES);
	e->t.meters = pages(METER_BYTES);
	if (e->t.state && e->t.sets && e->t.flows && e->t.frags && e->t.sketch && e->t.meters)
		return e;
	sp_engine_free(e);
	return NULL;
}

void sp_engine_free(struct sp_engine *e)
{
	if (!e)
		return;
	if (e->owned) {
		unpages(e->t.sets, e->t.config->sets * sizeof(struct sp_set));
		unpages(e->t.flows, (size_t)e->t.config->capacity * sizeof(struct sp_flow));
		unpages(e->t.frags, SP_FRAG_COUNT * sizeof(struct sp_frag));
		unpages(e->t.sketch, SKETCH_BYTES);
		unpages(e->t.meters, METER_BYTES);
		if (e->t.nat)
			unpages(e->t.ports, e->t.nat->slots * SP_NAT_PORTS * sizeof(struct sp_port));
		free(e->t.nat);
		free(e->t.state);
		free(e->t.config);
	}
	free(e);
}

int sp_engine_nat(struct sp_engine *e, sp_u32 slots)
{
	e->t.nat = calloc(1, sizeof(*e->t.nat));
	e->t.ports = pages((size_t)slots * SP_NAT_PORTS * sizeof(struct sp_port));
	if (!e->t.nat || !e->t.ports)
		return -ENOMEM;
	e->t.nat->slots = slots;
	return 0;
}

void sp_engine_packet(struct sp_engine *e, const struct sp_engine_packet *in, struct sp_counter *counters,
		      struct sp_engine_result *out)
{
	struct sp_door d;
	int reason;

	sp_host = e;
	sp_door_open(&d, e, in);
	reason = sp_passes_unread(in) ? SP_R_FORWARDED : sp_process(&d.dev, &d.p);
	sp_door_close(&d, e, in, reason, counters ? counters : e->counters, out);
}

int sp_key_make(struct sp_key *key, int family, sp_u8 proto, const void *src, const void *dst, sp_u16 sport,
		sp_u16 dport)
{
	const size_t n = family == SP_IPV4 ? 4 : 16;
	struct sp_addr a = {}, b = {};

	memcpy(&a, src, n);
	memcpy(&b, dst, n);
	memset(key, 0, sizeof(*key));
	key->family = (sp_u8)family;
	key->proto = proto;
	if (proto == SP_PROTO_ICMP && family == SP_IPV4)
		key->query = 8;
	if (proto == SP_PROTO_ICMP6 && family == SP_IPV6)
		key->query = 128;
	return sp_key_set(key, &a, &b, sp_hton16(sport), sp_hton16(dport));
}

static void look_up(struct sp_engine *e, const struct sp_key *key, struct sp_pkt *p)
{
	sp_host = e;
	p->key = *key;
	p->hash = sp_key_hash(key, e->t.config->secret);
}

sp_u32 sp_engine_find(struct sp_engine *e, const struct sp_key *key)
{
	struct sp_pkt p = {};

	look_up(e, key, &p);
	return sp_flow_find(&p);
}

sp_u32 sp_engine_adopt(struct sp_engine *e, const struct sp_key *key, int initiator, sp_u8 zone_from, sp_u8 zone_to,
		       sp_u64 now_ns)
{
	struct sp_pkt p = {};
	struct sp_flow *f;
	int reason;

	look_up(e, key, &p);
	p.now_ns = now_ns;
	p.dir = initiator != 0;
	p.family = key->family;
	p.src = key->addr[p.dir];
	p.zone = zone_from;
	p.generation = e->t.config->generation;
	p.line = SP_LINE_ADOPTED;
	p.kind = key->proto == SP_PROTO_UDP ? SP_KIND_UDP : SP_KIND_OTHER;
	reason = sp_flow_insert(&p);
	if (reason != SP_R_NONE)
		return reason == SP_R_CONTINUES ? p.flow : 0;
	f = sp_flow_at(p.flow - 1);
	if (!f || !sp_flow_lock(f, p.flow - 1))
		return 0;
	f->line = SP_LINE_ADOPTED;
	f->zone_to = zone_to;
	f->packets[p.dir] = 0;
	SP_WRITE(f->flags, f->flags | SP_FLOW_LOOSE | SP_FLOW_ANSWERED);
	if (key->proto == SP_PROTO_TCP) {
		sp_end_set(f, 0, SP_END_OPEN);
		sp_end_set(f, 1, SP_END_OPEN);
		sp_flow_phase(e->t.config, e->t.state, f, SP_PHASE_TCP_ESTABLISHED);
	} else {
		sp_flow_phase(e->t.config, e->t.state, f, sp_pseudo_phase(p.kind, 1));
	}
	sp_flow_unlock(f);
	return p.flow;
}

/* One alias of an adopted conversation, in p; slot of the address that it uses. */
static int adopt_alias(struct sp_pkt *p, enum sp_alias_side side, sp_u32 addr, sp_be16 port)
{
	const sp_u32 proto = sp_nat_proto(p);

	p->slot = sp_nat_slot_of(addr);
	p->side = (sp_u8)side;
	p->port_at = 0;
	if (!p->slot)
		return SP_R_NAT_ADDRESS;
	if (side == SP_ALIAS_RESPONDER) {
		p->new4 = addr;
		p->new_port = port;
	} else {
		p->old4 = addr;
		p->old_port = port;
	}
	if (side == SP_ALIAS_RESPONDER && proto && p->slot <= sp_host->t.nat->slots) {
		const sp_u32 base = sp_port_base(p->slot, proto), n = sp_ntoh16(port), x = sp_ntoh16(p->sport);

		if (!sp_port_take(base + n, (sp_u64)p->src.w32[0] << 32 | x << 16))
			return SP_R_NAT_PORTS;
		p->port_at = base + n + 1;
	}
	if (sp_alias_make(p))
		return SP_R_NAT_CLASH;
	sp_alias_at(p->via - 1)->flags |= SP_ALIAS_FOREIGN;
	return SP_R_NONE;
}

sp_u32 sp_engine_adopt_nat(struct sp_engine *e, const struct sp_adopt *a, sp_u64 now_ns)
{
	const sp_u32 flow = sp_engine_adopt(e, &a->key, a->initiator, a->zone_from, a->zone_to, now_ns);
	struct sp_pkt p = {};
	int bad = 0;

	if (!flow)
		return 0;
	look_up(e, &a->key, &p);
	p.now_ns = now_ns;
	p.dir = a->initiator != 0;
	p.family = SP_IPV4;
	p.proto = a->key.proto;
	p.src = a->key.addr[p.dir];
	p.dst = a->key.addr[!p.dir];
	p.sport = a->key.port[p.dir];
	p.dport = a->key.port[!p.dir];
	p.flow = flow;
	if (sp_nat_get() && a->initiator4)
		bad = adopt_alias(&p, SP_ALIAS_RESPONDER, a->initiator4, a->initiator_port);
	if (sp_nat_get() && !bad && a->responder4)
		bad = adopt_alias(&p, SP_ALIAS_INITIATOR, a->responder4, a->responder_port);
	if (!bad && sp_nat_get())
		return flow;
	SP_WRITE(e->t.flows[flow - 1].flags, e->t.flows[flow - 1].flags | SP_FLOW_KILLED);
	return 0;
}

int sp_engine_redecide(struct sp_engine *e, const struct sp_flow *copy, sp_u32 generation)
{
	struct sp_pkt p = { .generation = generation };
	const sp_u32 from = (copy->flags & SP_FLOW_FROM_1) != 0;
	sp_u16 line;

	sp_host = e;
	p.key = copy->key;
	p.family = copy->key.family;
	p.dir = (sp_u8)from;
	p.src = copy->key.addr[from];
	p.dst = copy->key.addr[!from];
	p.sport = copy->key.port[from];
	p.dport = copy->key.port[!from];
	return sp_still_permitted(copy, &p, &line) ? SP_R_REVOKED : SP_R_NONE;
}

/*
 * Flags and phase are compared and exchanged as one: the same bit says something else of an alias (SP_ALIAS_FLIP). It is the
 * tool's part, which ThreadSanitizer does not see: another process.
 */
__attribute__((no_sanitize("thread"))) int sp_engine_end(struct sp_flow *f)
{
	sp_u32 *at = (sp_u32 *)&f->flags, old = __atomic_load_n(at, __ATOMIC_ACQUIRE);
	union {
		sp_u32 word;
		sp_u8 b[4];
	} now;

	_Static_assert(__builtin_offsetof(struct sp_flow, flags) % 4 == 0, "a word of its own");
	_Static_assert(__builtin_offsetof(struct sp_flow, phase) == __builtin_offsetof(struct sp_flow, flags) + 1, "b[1]");
	do {
		now.word = old;
		if (now.b[1] == SP_PHASE_FREE || now.b[1] == SP_PHASE_ALIAS)
			return 0;
		now.b[0] |= SP_FLOW_KILLED;
	} while (!__atomic_compare_exchange_n(at, &old, now.word, 0, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
	return 1;
}

int sp_engine_is_stale(const struct sp_tables *t, const struct sp_flow *f, sp_u64 now_ns)
{
	static __thread struct sp_engine view;
	struct sp_flow copy = *f;

	if (!t->images)
		copy.flags &= (sp_u8)~SP_FLOW_IDLE;
	if (copy.flags & SP_FLOW_IDLE) {
		view.t = *t;
		memcpy(view.images, t->images, sizeof(view.images));
		sp_host = &view;
	}
	return sp_is_stale(t->config, t->state, &copy, now_ns);
}
