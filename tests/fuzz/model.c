/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference of the pipeline's fuzzer: remembers who has spoken to whom outside, as seen on the outside wire, and
 * from that alone, and the text of the policy, says which packets from outside may come in. It is generous about time
 * (whoever was forgotten early is not missed here; honest.c does that), and never about ends.
 */
#include <string.h>

#include "world.h"

#define DHCP_S 120
#define PIECES_S 60

/* The longest that a conversation of that protocol may be remembered after its last packet. */
static sp_u64 longest_ns(sp_u8 proto)
{
	switch (proto) {
	case 6:
		return 86400 * SP_NS_PER_S;
	case 132:
	case 33:
		return 7440 * SP_NS_PER_S;
	case 1:
	case 58:
	case 17:
	case 136:
	default:
		return 300 * SP_NS_PER_S;
	}
}

static int is_live(const struct world *w, const struct talk *t)
{
	return t->used && w->now_ns - t->last_ns <= longest_ns(t->out.proto);
}

/* The conversation whose packets leave with these ends. */
static struct talk *find(struct world *w, const struct ends *out)
{
	for (int i = 0; i < TALKS; i++)
		if (is_live(w, &w->talk[i]) && ends_same(&w->talk[i].out, out))
			return &w->talk[i];
	return NULL;
}

/*
 * Anybody here who has spoken from that port of an address of ours: an open mapping. Ports are held by the place of an
 * address, so a mapping outlives, for two minutes, the address that took that place.
 */
static int speaks(const struct world *w, const struct ends *in)
{
	for (int i = 0; i < TALKS; i++) {
		const struct talk *t = &w->talk[i];

		if (is_live(w, t) && t->out.proto == in->proto && t->out.family == in->family && t->out.sport == in->dport &&
		    !memcmp(t->out.src, in->dst, 3))
			return 1;
	}
	return 0;
}

static struct talk *begin(struct world *w, const struct ends *out, const struct ends *real, int from_outside)
{
	struct talk *t = &w->talk[w->talks++ % TALKS];

	for (int i = 0; i < TALKS && is_live(w, t); i++)
		t = &w->talk[i];
	*t = (struct talk){ .out = *out, .real = *real, .used = 1, .from_outside = (sp_u8)from_outside };
	return t;
}

/* A packet that begins a conversation: what had those ends before is over, whoever began it. */
static struct talk *over(struct talk *t, const struct passage *p)
{
	if (!t || p->r[0].event != SP_EVENT_NEW)
		return t;
	t->used = 0;
	return NULL;
}

sp_u32 model_entries(const struct world *w)
{
	const struct sp_state *s = w->e->t.state;

	return s->count[0] + s->count[1] + s->count[2];
}

static int permitted(const struct world *w, const struct ends *in)
{
	int mapped, permits = policy_permits(world_policy(w), in, &mapped);

	return permits || (mapped && speaks(w, in));
}

/* Needs no conversation: discovery, membership, DHCP that this machine has asked for (RFC 4861, 3810, 2131, 8415). */
static int is_implied(const struct world *w, const struct look *l)
{
	const struct ends *e = &l->e;

	if (e->proto == 58 && e->family == 6 && l->icmp_type >= 133 && l->icmp_type <= 137)
		return l->hop_limit == 255 && !l->is_frag;
	if ((e->proto == 2 && e->family == 4) || (e->proto == 58 && e->family == 6 &&
	    ((l->icmp_type >= 130 && l->icmp_type <= 132) || l->icmp_type == 143)))
		return l->hop_limit == 1;
	if (e->proto != 17)
		return 0;
	if (e->family == 4)
		return e->sport == 67 && e->dport == 68 && w->dhcp4_ns && w->now_ns - w->dhcp4_ns <= DHCP_S * SP_NS_PER_S;
	return e->sport == 547 && e->dport == 546 && e->src[0] == 0xfe && w->dhcp6_ns &&
	       w->now_ns - w->dhcp6_ns <= DHCP_S * SP_NS_PER_S;
}

static void note_first(struct world *w, const struct look *l)
{
	w->first[w->firsts++ % FIRSTS] = (struct first){ .e = l->e, .id = l->frag_id, .seen_ns = w->now_ns, .used = 1 };
}

/* Was the first piece of its datagram let in lately? */
static int has_first(const struct world *w, const struct look *l)
{
	for (int i = 0; i < FIRSTS; i++) {
		const struct first *f = &w->first[i];

		if (f->used && f->id == l->frag_id && f->e.family == l->e.family && !memcmp(f->e.src, l->e.src, 16) &&
		    !memcmp(f->e.dst, l->e.dst, 16) && (l->e.family == 6 || f->e.proto == l->e.proto) &&
		    w->now_ns - f->seen_ns <= PIECES_S * SP_NS_PER_S)
			return 1;
	}
	return 0;
}

/* Does the error quote a packet of a conversation with somebody outside that is remembered, to the one who sent it? */
static int is_about_us(struct world *w, const struct look *l, const struct frame *f)
{
	struct look q;
	struct talk *t;
	struct ends back;

	if (!look_at_ip(&q, f->b + l->l4 + 8, l->end - l->l4 - 8) || memcmp(q.e.src, l->e.dst, 16))
		return 0;
	back = ends_back(&q.e);
	t = find(w, &q.e);
	if (!t)
		t = find(w, &back);
	if (t && !t->elsewhere)
		return 1;
	/* where no policy asked where it goes, either side may quote it as it is inside, until it is answered */
	for (int i = 0; i < TALKS && !policy_image(world_policy(w)); i++)
		if (is_live(w, &w->talk[i]) && (ends_same(&w->talk[i].real, &q.e) || ends_same(&w->talk[i].real, &back)))
			return 1;
	return 0;
}

void model_came_in(struct world *w, const struct passage *p, sp_u32 entries_before)
{
	const sp_u8 reason = p->r[0].reason;
	const int grew = p->r[0].event == SP_EVENT_NEW || model_entries(w) > entries_before;
	struct ends out;
	struct look l, m;
	struct talk *t;

	if (!look_at(&l, p->in.b, p->in.len)) {
		HOLDS(!grew && (p->r[0].verdict == SP_DROP || reason == SP_R_NOT_IP), "%s", sp_reason_name(reason));
		return;
	}
	if (p->r[0].verdict == SP_DROP) {
		/* refused at its second key, after it had begun: only what may begin gets there */
		HOLDS(!grew || permitted(w, &l.e), "%s: a packet that was stopped has begun a conversation",
		      sp_reason_name(reason));
		return;
	}
	if (is_implied(w, &l) || (l.frag_off && has_first(w, &l)) || (l.is_error && is_about_us(w, &l, &p->in))) {
		HOLDS(!grew, "%s: it begins a conversation", sp_reason_name(reason));
		return;
	}
	HOLDS(!l.frag_off, "%s: a piece without its first", sp_reason_name(reason));
	HOLDS(!l.is_error, "%s: an error about nothing", sp_reason_name(reason));
	out = ends_back(&l.e);
	t = find(w, &out);
	/* where private addresses are known outside, what John sent may be answered though a clash kept it from leaving */
	if (t && !t->from_outside && policy_bares(world_policy(w)))
		t->elsewhere = 0;
	HOLDS((t && !t->from_outside && !t->elsewhere) || (t && policy_opens(world_policy(w))) || permitted(w, &l.e),
	      "%s: uninvited, and it came in; policy %u, proto %u, %u to %u",
	      sp_reason_name(reason), world_policy(w), l.e.proto, l.e.sport, l.e.dport);
	HOLDS(!grew || permitted(w, &l.e), "%s: nobody may begin that from outside", sp_reason_name(reason));
	t = over(t, p);
	/* an answer reaches the one who has asked, and nobody else */
	if (t && !t->from_outside && look_at(&m, p->middle.b, p->middle.len)) {
		const struct ends to = ends_back(&t->real);

		HOLDS(!memcmp(m.e.dst, to.dst, 16) && m.e.dport == to.dport, "%s: delivered to %u.%u.%u.%u:%u",
		      sp_reason_name(reason), m.e.dst[0], m.e.dst[1], m.e.dst[2], m.e.dst[3], m.e.dport);
	}
	if (!t)
		t = begin(w, &out, &out, 1);
	t->last_ns = w->now_ns;
	if (l.is_frag)
		note_first(w, &l);
}

void model_began(struct world *w, const struct passage *p)
{
	struct look l;
	struct talk *t;

	if (!look_at(&l, p->in.b, p->in.len) || l.frag_off || l.is_error)
		return;
	t = over(find(w, &l.e), p);
	if (!t) {
		t = begin(w, &l.e, &l.e, 0);
		t->elsewhere = 1;
	}
	t->last_ns = w->now_ns;
}

void model_left(struct world *w, const struct passage *p)
{
	struct look l, m;
	struct talk *t;

	if (!look_at(&l, p->out.b, p->out.len) || !look_at(&m, p->in.b, p->in.len))
		return;
	if (p->from == SP_ZONE_SELF && l.e.proto == 17 && l.e.sport == 68 && l.e.dport == 67)
		w->dhcp4_ns = w->now_ns;
	if (p->from == SP_ZONE_SELF && l.e.proto == 17 && l.e.sport == 546 && l.e.dport == 547)
		w->dhcp6_ns = w->now_ns;
	if (l.frag_off || l.is_error)
		return;
	t = over(find(w, &l.e), p);
	if (!t)
		t = begin(w, &l.e, &m.e, 0);
	/* a host's stack throws away what it should forward: where that would have gone is not asked */
	t->elsewhere = world_zone(l.e.dst, l.e.family) != SP_ZONE_OUTSIDE && policy_image(world_policy(w));
	/* whoever had those ends before is gone, if it is another one */
	if (!t->from_outside)
		t->real = m.e;
	t->last_ns = w->now_ns;
}
