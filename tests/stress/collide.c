/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The beginning of one conversation from all threads at the same instant, tens of thousands of times: of a key that is new,
 * of one that was closed, of one that has expired, of one that the tool has ended. Whatever the order, all of them pass and
 * there is one entry, which has counted them all.
 *
 * The threads leave where they meet a random moment apart, so that every instant of the one meets every instant of the
 * other.
 */
#include "stress.h"

#define JOHN 0x0a000020u
#define SERVER 0xc6336403u /* 198.51.100.3 */
#define SYN 0x02
#define RST 0x04
#define ACK 0x10
#define SKEW 512 /* turns of an empty loop */

enum kind { NEW_KEY, EXPIRED = 6, ENDED = 7, KINDS = 8 }; /* all others: closed */

static void segment(struct sp_craft *c, sp_u32 round, int from_john)
{
	*c = (struct sp_craft){ .proto = 6, .tcp_flags = from_john ? SYN : RST | ACK, .seq = from_john ? round * 77777 : 0 };
	c->ack = from_john ? 0 : round * 77777 + 1;
	craft_ends(c, from_john, JOHN, SERVER, (sp_u16)(1024 + round / KINDS % 60000), 80);
}

static struct sp_flow *flow_of(struct worker *w, sp_u32 round, int *end)
{
	return find_flow(w->b->e, 6, JOHN, SERVER, (sp_u16)(1024 + round / KINDS % 60000), 80, end);
}

/* Everybody has sent: is there one entry, and has it counted all? Then it goes, in the way of the next round. */
static int look(struct worker *w)
{
	const sp_u32 round = __atomic_load_n(&((struct meeting *)w->work)->round, __ATOMIC_RELAXED) / 2;
	struct bench *b = w->b;
	const sp_u32 waiting = __atomic_load_n(&b->e->t.state->count[SP_CLASS_UNANSWERED], __ATOMIC_RELAXED);
	int end;
	struct sp_flow *f = flow_of(w, round, &end);
	sp_u32 packets = 0;
	struct sp_craft c;

	if (f) {
		/* the lock of the entry orders their writes before this read, and this read before their next writes */
		__atomic_fetch_add(&f->lock, 0, __ATOMIC_ACQ_REL);
		packets = f->packets[end];
		__atomic_fetch_add(&f->lock, 0, __ATOMIC_ACQ_REL);
	}
	if (waiting != 1 || packets != (sp_u32)b->threads) {
		complain("%s: round %u: %u conversations where there should be one; it counted %u packets of %d", b->name,
			 round, waiting, packets, b->threads);
		__atomic_fetch_add(&b->failures, 1, __ATOMIC_RELAXED);
		return 0;
	}
	__atomic_fetch_add(&b->lives, 1, __ATOMIC_RELAXED);
	advance(b, 1000);
	switch ((round + 1) % KINDS) {
	case EXPIRED:
		advance(b, 250 * SP_NS_PER_S);
		break;
	case ENDED:
		sp_engine_end(f);
		break;
	default:
		segment(&c, round, 0);
		if (!must_pass(w, 0, &c, "the RST that closes"))
			return 0;
	}
	return now_ms() < b->deadline_ms;
}

static void collide_worker(struct worker *w)
{
	do {
		const sp_u32 round = __atomic_load_n(&((struct meeting *)w->work)->round, __ATOMIC_RELAXED) / 2;
		const sp_u32 skew = random_next(w) % SKEW;
		struct sp_craft c;

		segment(&c, round, 1);
		if (!meet(w, w->work, NULL))
			break;
		for (volatile sp_u32 n = 0; n < skew; n++)
			;
		must_pass(w, 1, &c, "a SYN");
	} while (meet(w, w->work, look));
}

void collide(struct bench *b, int ms)
{
	struct meeting work = { .senders = (sp_u32)b->threads };

	run_threads(b, &work, collide_worker, ms);
}
