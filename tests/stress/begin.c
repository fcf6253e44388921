/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translated conversations that two threads begin at the same instant, in a table that is full more often than not: sources
 * through our address (the same packet; two hosts that want one port; one port to two servers) and strangers to a port that
 * is forwarded. Meanwhile a third lists and ends conversations, as the tool does.
 *
 * After each round everybody waits while one looks: is there one conversation, which counted all that passed; does it name
 * an alias that names it; is that what both packets bore on the wire; who holds the port? A round in which the tool has
 * ended one proves less, and is only seen not to leak. The lock of a set counts who searched there for room: so it is seen
 * whether both found nothing, which is what all this is about.
 *
 * What the threads tell each other they tell by relaxed atomics, which order nothing for ThreadSanitizer.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stress.h"

#include "../../port/port_host.h"

#define ME 0xcb007101u /* 203.0.113.1 */
#define JOHN 0x0a000020u /* 10.0.0.32 */
#define WEB 0x0a000005u
#define SERVER 0xc6336402u /* 198.51.100.2 */
#define ENDS 4u /* hosts inside, and others outside */
#define KNOCK 7000
#define WEB_PORT 7001
#define SERVICE 53
#define PORT 2000u /* of those who begin, and so many above */
#define PORTS 4000u
#define OWN_PORT 20000u /* of the packets by which a thread makes precedents */
#define AGAIN 67 /* rounds: the time that aliases have to be taken on has passed meanwhile */
#define FEW_ROUNDS 512 /* so long few wait for an answer, then so long many */
#define MORE_MS 20000 /* at most, until all has been met */
#define SKEW 512 /* turns of an empty loop */
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static const char policy[] = "wan eth0\nlan eth1\nforward udp/7000, tcp/7000 to 10.0.0.5:7001\n";

enum kind { OUT_SAME, IN_SAME, OUT_ONE_PORT, OUT_TWO_SERVERS, KINDS };

/* Who talks to whom. */
struct talk {
	sp_u32 inside, outside;
	sp_u16 port; /* of the one that begins */
	sp_u8 proto, in;
};

/* What became of a packet that begins or goes on. */
struct sent {
	struct talk talk;
	int passed, left; /* it was let in; it went out, translated */
	sp_u16 known; /* our port that it left with */
	sp_u32 had; /* packets that its conversation had counted before; 0: there was none */
};

struct begin_work {
	struct meeting meeting;
	int at_once; /* there are two processors */
	/* relaxed atomics */
	sp_u32 sent[2]; /* by thread: passed, left << 1, known << 16 */
	sp_u32 had[2], locks, ended_before; /* before they send; locks: of the first set of the conversation */
	sp_u32 ended; /* by the tool; odd: it is at it */
	sp_u64 rounds, refused, uneven, began[2], both[2], both_by_precedent[2]; /* outwards, inwards */
	/* of one thread each */
	sp_u64 warm_ns[2], warm_talk_ns[2][2 * 2 * ENDS * ENDS];
	sp_u32 warm[2];
	sp_u64 listed, ends;
};

#define MORE(n) __atomic_fetch_add(&(n), 1, __ATOMIC_RELAXED)

/* What both do in a round. Each fourth is one of a while ago once more: it goes on, or, if it was reset, begins anew. */
static enum kind choose(sp_u32 round, struct talk t[2])
{
	sp_u64 r = (round % 4 == 3 ? round - AGAIN : round) * 0x9e3779b97f4a7c15ULL;
	enum kind kind;

	r = (r ^ r >> 30) * 0xbf58476d1ce4e5b9ULL;
	r ^= r >> 27;
	kind = (enum kind)(r % KINDS);
	t[0] = (struct talk){ .inside = JOHN + (sp_u32)(r >> 4) % ENDS, .outside = SERVER + (sp_u32)(r >> 6) % ENDS,
			      .port = (sp_u16)(PORT + (sp_u32)(r >> 12) % PORTS), .proto = r >> 9 & 1 ? 17 : 6,
			      .in = kind == IN_SAME };
	t[1] = t[0];
	if (kind == OUT_ONE_PORT)
		t[1].inside = JOHN + (t[0].inside - JOHN + 1) % ENDS;
	if (kind == OUT_TWO_SERVERS)
		t[1].outside = SERVER + (t[0].outside - SERVER + 1) % ENDS;
	return kind;
}

/* ---- packets -------------------------------------------------------------------------------------------------------- */

static void craft(struct sp_craft *c, const struct talk *t)
{
	*c = (struct sp_craft){ .proto = t->proto, .payload = t->proto == 17 ? 20 : 0, .tcp_flags = SYN };
	c->seq = t->port * 77u;
	if (t->in)
		craft_ends(c, 0, ME, t->outside, KNOCK, t->port);
	else
		craft_ends(c, 1, t->inside, t->outside, t->port, SERVICE);
}

/* It begins, or goes on. Whatever leaves is seen to bear an address and a port that it may have. */
static void send_one(struct worker *w, struct sent *s)
{
	const struct talk *t = &s->talk;
	struct flight f;
	struct sp_craft c;

	craft(&c, t);
	flight_begin(&f, &c);
	s->passed = flight_pass(w, &f, t->in ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE, SP_HOOK_INGRESS, 0);
	s->left = s->passed && (t->in || w->b->gone[w->thread] ||
				flight_pass(w, &f, SP_ZONE_OUTSIDE, SP_HOOK_EGRESS, SP_ZONE_INSIDE));
	s->known = t->in ? KNOCK : flight_port(&f, 0);
	if (!s->left)
		return;
	if (t->in ? flight_addr(&f, 1) != WEB || flight_port(&f, 1) != WEB_PORT || flight_addr(&f, 0) != t->outside :
		    flight_addr(&f, 0) != ME || flight_port(&f, 0) < 1024 || flight_addr(&f, 1) != t->outside)
		flight_wrong(w, "it went on as", &f);
}

/* Makes a precedent of it on this processor, by a port of the thread's own, if that is not known or not fresh any more. */
static void warm_up(struct worker *w, struct begin_work *work, const struct talk *t)
{
	const sp_u64 now_ns = __atomic_load_n(&w->b->now_ns, __ATOMIC_RELAXED);
	const sp_u32 sort = t->in * 2u + (t->proto == 17), ends = t->outside % ENDS * ENDS + t->inside % ENDS;
	sp_u64 *talk_ns = &work->warm_talk_ns[w->thread][sort * ENDS * ENDS + ends];
	struct sent own = { .talk = *t };

	if (now_ns - *talk_ns < 60000000 && now_ns - work->warm_ns[w->thread] < 8000000)
		return;
	*talk_ns = work->warm_ns[w->thread] = now_ns;
	own.talk.port = (sp_u16)(OWN_PORT + (sp_u32)w->thread * PORTS + work->warm[w->thread]++ % PORTS);
	send_one(w, &own);
}

/* Some are answered: by the other end, or by a reset. Whoever has the port by now gets it. */
static void answer(struct worker *w, const struct sent *s)
{
	const struct talk *t = &s->talk;
	struct sp_craft c = { .proto = t->proto, .payload = t->proto == 17 ? 20 : 0, .tcp_flags = RST | ACK };
	struct flight f;

	c.ack = t->port * 77u + 1;
	if (t->in)
		craft_ends(&c, 1, WEB, t->outside, WEB_PORT, t->port);
	else
		craft_ends(&c, 0, ME, t->outside, s->known, SERVICE);
	flight_begin(&f, &c);
	if (!flight_pass(w, &f, t->in ? SP_ZONE_INSIDE : SP_ZONE_OUTSIDE, SP_HOOK_INGRESS, 0))
		return;
	if (t->in && !w->b->gone[w->thread] && !flight_pass(w, &f, SP_ZONE_OUTSIDE, SP_HOOK_EGRESS, SP_ZONE_INSIDE))
		return;
	if (t->in ? flight_addr(&f, 0) != ME : flight_addr(&f, 1) - JOHN >= ENDS || flight_port(&f, 1) < PORT)
		flight_wrong(w, "an answer went on as", &f);
}

/* ---- the tool, which ThreadSanitizer does not see either -------------------------------------------------------------- */

static __attribute__((no_sanitize("thread"))) void copy(void *to, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((sp_u64 *)to)[i] = ((const volatile sp_u64 *)from)[i];
}

/* Entry i as a listing reads it. Returns what changes when anybody has it locked; odd: nothing is there. */
static __attribute__((no_sanitize("thread"))) sp_u32 list_one(struct sp_tables *t, sp_u32 i, struct sp_flow *f)
{
	const sp_u32 lock = *(volatile sp_u32 *)&t->flows[i].lock, way = sp_entry_way(t->config, i);
	struct sp_set set;

	copy(&set, &t->sets[sp_entry_set(t->config, i)], sizeof(set));
	copy(f, &t->flows[i], sizeof(*f));
	return ((const sp_u16 *)set.tags)[way] > SP_TAG_CLAIMED && f->phase != SP_PHASE_FREE ? lock : 1;
}

/*
 * A conversation that nobody has changed between two looks, and that is translated, has its alias: from the moment on in
 * which it can be found. Only where memory is in order.
 */
static void list(struct worker *w, sp_u32 i)
{
	struct sp_tables *t = &w->b->e->t;
	struct sp_flow f, again;
	struct sp_alias a;
	const sp_u32 lock = list_one(t, i, &f);

	if ((lock & 1) || f.phase == SP_PHASE_ALIAS || !(f.flags & SP_FLOW_TRANSLATED) || f.alias - 1 >= t->config->capacity)
		return;
	copy(&a, &t->flows[f.alias - 1], sizeof(a));
	if (list_one(t, i, &again) != lock)
		return;
	((struct begin_work *)w->work)->listed++;
#ifdef SP_IN_ORDER
	if (a.phase == SP_PHASE_ALIAS && a.flow == i + 1)
		return;
	__atomic_fetch_add(&w->b->failures, 1, __ATOMIC_RELAXED);
	complain("%s: conversation %u is found, and its alias %u is of %u, phase %u", w->b->name, i, f.alias - 1, a.flow - 1,
		 a.phase);
#endif
}

static void tool(struct worker *w, struct begin_work *work)
{
	struct sp_tables *t = &w->b->e->t;

	while (!__atomic_load_n(&work->meeting.stop, __ATOMIC_RELAXED)) {
		for (sp_u32 i = 0; i < t->config->capacity; i++)
			list(w, i);
		__atomic_fetch_add(&work->ended, 1, __ATOMIC_SEQ_CST);
		for (int i = 0; i < 16; i++)
			sp_engine_end(&t->flows[(random_next(w) >> 3) % t->config->capacity]);
		__atomic_fetch_add(&work->ended, 1, __ATOMIC_SEQ_CST);
		work->ends++;
		usleep(300);
	}
}

/* ---- rounds --------------------------------------------------------------------------------------------------------- */

static struct sp_flow *flow_of(struct bench *b, const struct talk *t)
{
	int end;

	if (t->in)
		return find_flow(b->e, t->proto, WEB, t->outside, WEB_PORT, t->port, &end);
	return find_flow(b->e, t->proto, t->inside, t->outside, t->port, SERVICE, &end);
}

/* The key's first set: its lock counts the insertions. */
static sp_u32 first_set(struct bench *b, sp_u8 proto, sp_u32 inside, sp_u32 outside, sp_u16 inside_port, sp_u16 outside_port)
{
	struct in_addr in = { htonl(inside) }, out = { htonl(outside) };
	struct sp_key key;

	sp_key_make(&key, SP_IPV4, proto, &in, &out, inside_port, outside_port);
	return sp_first_set(sp_key_hash(&key, b->e->t.config->secret), b->e->t.config->sets);
}

static sp_u32 set_of(struct bench *b, const struct talk *t)
{
	return t->in ? first_set(b, t->proto, WEB, t->outside, WEB_PORT, t->port) :
		       first_set(b, t->proto, t->inside, t->outside, t->port, SERVICE);
}

static sp_u32 set_of_alias(struct bench *b, const struct sent *s)
{
	const struct talk *t = &s->talk;

	return first_set(b, t->proto, ME, t->outside, s->known, t->in ? t->port : SERVICE);
}

/* The lock of the entry orders the others' writes before this read, and this read before their next writes. */
static void read_entry(struct sp_flow *f, struct sp_flow *to)
{
	__atomic_fetch_add(&f->lock, 0, __ATOMIC_ACQ_REL);
	copy(to, f, sizeof(*f));
	__atomic_fetch_add(&f->lock, 0, __ATOMIC_ACQ_REL);
}

static sp_u32 this_round(const struct begin_work *work)
{
	return SP_READ(work->meeting.round) / 2;
}

/* What is there before they send. */
static int note(struct worker *w)
{
	struct begin_work *work = w->work;
	struct talk t[2];
	struct sp_flow now;

	sp_host = w->b->e;
	choose(this_round(work), t);
	for (int i = 0; i < 2; i++) {
		struct sp_flow *f = flow_of(w->b, &t[i]);

		if (f)
			read_entry(f, &now);
		SP_WRITE(work->had[i], f ? now.packets[0] + now.packets[1] : 0);
	}
	SP_WRITE(work->ended_before, __atomic_load_n(&work->ended, __ATOMIC_SEQ_CST));
	SP_WRITE(work->locks, SP_READ(sp_set_at(set_of(w->b, &t[0]))->lock));
	return 1;
}

static void wrong(struct worker *w, const struct sent *s, const char *what, sp_u32 n)
{
	__atomic_fetch_add(&w->b->failures, 1, __ATOMIC_RELAXED);
	complain("%s: round %u: %s %s %08x <-> %08x, port %u (%u packets before; it %s with our port %u): %s %u", w->b->name,
		 this_round(w->work), s->talk.proto == 17 ? "udp" : "tcp", s->talk.in ? "inwards" : "outwards",
		 s->talk.inside, s->talk.outside, s->talk.port, s->had, s->left ? "left" : "did not leave", s->known,
		 what, n);
}

/* Who holds the port that it bore? */
static void check_port(struct worker *w, const struct sent *s)
{
	const sp_u32 at = (s->talk.proto == 17 ? 1u << 16 : 0) + s->known;
	const sp_u64 owner = SP_READ(sp_port_at(at)->owner);

	if (owner >> 32 != htonl(s->talk.inside) || (sp_u16)(owner >> 16) != s->talk.port || !(owner & 0xffff))
		wrong(w, s, "its port is held by somebody else, or by so many", (sp_u32)owner & 0xffff);
}

/* One that passed, and nothing but the two has happened: it counted `passed`, and its alias is what it bore. */
static void check_one(struct worker *w, const struct sent *s, sp_u32 passed)
{
	const struct talk *t = &s->talk;
	struct sp_flow *f = flow_of(w->b, t), *known, now, alias;
	const struct sp_alias *a = (const struct sp_alias *)&alias;
	sp_u32 at, counted;
	int end;

	if (!f)
		return wrong(w, s, "it passed and is not remembered", 0);
	read_entry(f, &now);
	counted = now.packets[0] + now.packets[1];
	at = (sp_u32)(f - w->b->e->t.flows);
	if (counted != passed && counted != s->had + passed)
		return wrong(w, s, "it has counted", counted);
	if (!s->left)
		return;
	known = find_flow(w->b->e, t->proto, ME, t->outside, s->known, t->in ? t->port : SERVICE, &end);
	if (!known)
		return wrong(w, s, "it has no alias of the port that it bore; its own is", now.alias);
	read_entry(known, &alias);
	if (a->phase != SP_PHASE_ALIAS || a->flow != at + 1)
		return wrong(w, s, "what it bore is an alias of another one than", at);
	if (!(now.flags & SP_FLOW_TRANSLATED) || now.alias != (sp_u32)(known - w->b->e->t.flows) + 1)
		return wrong(w, s, "it names another alias than that which it bore:", now.alias);
	if (!t->in)
		check_port(w, s);
}

/* Both bore the same port, or must not. */
static void check_two(struct worker *w, struct begin_work *work, enum kind kind, const struct sent s[2])
{
	const int same = s[0].known == s[1].known;

	if (kind == OUT_ONE_PORT ? same : (kind == OUT_SAME && !same))
		wrong(w, &s[1], "the other one left with", s[0].known);
	/* where one looks while the sweeper gives a port back, and the other one when it has: rarely */
	if (kind == OUT_TWO_SERVERS && !same)
		MORE(work->uneven);
}

/* Have both found that it was not there? Of two strangers at a forwarded port the second one may be refused. */
static void count_both(struct worker *w, struct begin_work *work, const struct sent *s)
{
	const sp_u32 set = set_of(w->b, &s->talk), in = s->talk.in;
	const sp_u32 searched = (SP_READ(sp_set_at(set)->lock) - SP_READ(work->locks)) / 2;

	if (searched)
		MORE(work->began[in]);
	if (searched < 2 || set == set_of_alias(w->b, s))
		return;
	MORE(work->both[in]);
	if (w->b->by_precedent && w->b->by_precedent(w->b, in ? SP_ZONE_OUTSIDE : SP_ZONE_INSIDE))
		MORE(work->both_by_precedent[in]);
}

/* Time goes on: the sweeper's turn, the end of the grace of those that wait, sometimes that of the time that they have. */
static void pass_time(struct worker *w, sp_u64 round)
{
	advance(w->b, 1000);
	if (round % 16 == 0)
		advance(w->b, 20000000);
	if (round % 64 == 0)
		advance(w->b, 2100000000);
	if (round % 2048 == 0)
		advance(w->b, 31 * SP_NS_PER_S);
}

/* Nothing but the two has happened. */
static void check_round(struct worker *w, struct begin_work *work, enum kind kind, const struct sent s[2])
{
	const int same = kind == OUT_SAME || kind == IN_SAME;

	for (int i = 0; i < 2; i++)
		if (s[i].passed)
			check_one(w, &s[i], same ? (sp_u32)(s[0].passed + s[1].passed) : 1);
	if (s[0].left && s[1].left)
		check_two(w, work, kind, s);
	if (same && (s[0].left || s[1].left))
		count_both(w, work, &s[!s[0].left]);
}

/* Has all been met that this is about? On a busy machine that may take longer. */
static int is_enough(struct bench *b, struct begin_work *work)
{
	int enough = SP_READ(work->refused) != 0;

	for (int i = 0; i < 2; i++)
		enough &= SP_READ(work->began[i]) && (!work->at_once || SP_READ(work->both[i])) &&
			  (!work->at_once || !b->by_precedent || SP_READ(work->both_by_precedent[i]));
	return enough;
}

/* Both have sent. */
static int look(struct worker *w)
{
	struct begin_work *work = w->work;
	const sp_u32 ended = __atomic_load_n(&work->ended, __ATOMIC_SEQ_CST), round = this_round(work);
	struct sent s[2] = { 0 };
	struct talk t[2];
	const enum kind kind = choose(round, t);

	sp_host = w->b->e;
	for (int i = 0; i < 2; i++) {
		const sp_u32 sent = SP_READ(work->sent[i]);

		s[i] = (struct sent){ t[i], sent & 1, sent >> 1 & 1, (sp_u16)(sent >> 16), SP_READ(work->had[i]) };
		if (!s[i].passed)
			MORE(work->refused);
	}
	if (ended == SP_READ(work->ended_before) && !(ended & 1))
		check_round(w, work, kind, s);
	MORE(work->rounds);
	pass_time(w, round);
	return now_ms() < w->b->deadline_ms + (is_enough(w->b, work) ? 0 : MORE_MS) &&
	       __atomic_load_n(&w->b->failures, __ATOMIC_RELAXED) < 5;
}

/* Few wait at one time, and most begin as they came; many at another, and who begins is weighed. */
static sp_u32 answered_of_16(sp_u32 round, sp_u8 proto)
{
	return round / FEW_ROUNDS % 2 ? (proto == 17 ? 4 : 8) : 15;
}

static void begin_worker(struct worker *w)
{
	struct begin_work *work = w->work;

	if (w->thread == 2)
		return tool(w, work);
	for (;;) {
		const sp_u32 skew = random_next(w) % SKEW;
		struct talk t[2];
		struct sent s;

		choose(this_round(work), t);
		s = (struct sent){ .talk = t[w->thread] };
		warm_up(w, work, &s.talk);
		meet(w, &work->meeting, note);
		for (volatile sp_u32 n = 0; n < skew; n++)
			;
		send_one(w, &s);
		SP_WRITE(work->sent[w->thread], (sp_u32)s.passed | (sp_u32)s.left << 1 | (sp_u32)s.known << 16);
		if (!meet(w, &work->meeting, look))
			break;
		if (s.left && random_next(w) % 16 < answered_of_16(this_round(work), s.talk.proto))
			answer(w, &s);
	}
}

/* Prints what was; returns whether it was what this is about. */
static int judge_work(struct bench *b, struct begin_work *work)
{
	for (int i = 0; i < 2; i++) {
		printf("       %s: %llu began, %llu of them from both at once, %llu by a precedent\n",
		       i ? "inwards" : "outwards", work->began[i], work->both[i], work->both_by_precedent[i]);
		b->lives += work->both[i];
	}
	printf("       %llu rounds, %llu packets refused, %llu ports uneven; listed %llu, ended %llu times\n", work->rounds,
	       work->refused, work->uneven, work->listed, work->ends);
	return is_enough(b, work) && work->listed && work->uneven <= 2 + work->rounds / 1000;
}

void begin_at_once(struct bench *b, int ms)
{
	struct begin_work *work = calloc(1, sizeof(*work));

	if (!work || b->translate(b, ME, policy)) {
		complain("%s: no address, or no policy", b->name);
		b->failures++;
		free(work);
		return;
	}
	b->forward_port = KNOCK;
	b->forward_to4 = WEB;
	b->forward_to_port = WEB_PORT;
	work->at_once = b->cpu[0] != b->cpu[1];
	work->meeting.senders = 2;
	b->threads = 3;
	run_threads(b, work, begin_worker, ms);
	if (!judge_work(b, work)) {
		complain("%s: nothing began at once, or nothing was refused or listed, or ports are uneven", b->name);
		b->failures++;
	}
	if (check_swept(b))
		b->failures++;
	free(work);
}
