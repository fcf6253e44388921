/* SPDX-License-Identifier: BSD-2-Clause */
/* The small world of the pipeline's fuzzer: a machine between an outside, an inside and a zone of its own. */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

#include "look.h"
#include "table.h"
#include "take.h"
#include "wire.h"

#define ZONE_DMZ SP_ZONE_COUNT
#define HOSTS 4 /* of each zone */
#define TALKS 256 /* that the reference remembers */
#define FIRSTS 64
#define LEFT 16 /* frames that have left lately */

/* Somebody outside and somebody here, as known outside. */
struct talk {
	struct ends out; /* as it leaves */
	struct ends real; /* of the one inside, before translation; the same if it was none */
	sp_u64 last_ns;
	sp_u8 used, from_outside; /* who began */
	sp_u8 elsewhere; /* it did not go outside, and whoever began it had a policy that said so */
};

struct first {
	struct ends e;
	sp_u32 id;
	sp_u64 seen_ns;
	sp_u8 used;
};

struct frame {
	sp_u8 b[WIRE_MAX];
	sp_u32 len;
};

/* One way of a packet through the machine. */
struct passage {
	struct frame in, middle, out; /* as it came; after ingress; as it left */
	sp_u8 from, to; /* zones; SP_ZONE_SELF */
	struct sp_engine_result r[2]; /* at ingress (of what the machine itself sends: at egress), and at egress */
	int passed; /* both */
	int forwarded; /* it met the second one */
};

struct world {
	struct sp_engine *e;
	struct sp_engine *lane; /* the same by the fast path, as the kernel's programs go (lane.c) */
	struct sp_engine *crowd; /* the same in batches, by both hooks at once (crowd.c) */
	sp_u64 now_ns;
	int gateway, translates, has_rules;
	int bare_sources; /* a policy was in force under which private addresses are known outside; that goes on */
	sp_u32 policy[SP_IMAGE_SLOTS]; /* by generation % SP_IMAGE_SLOTS */
	struct talk talk[TALKS];
	sp_u32 talks;
	struct first first[FIRSTS];
	sp_u32 firsts;
	sp_u64 dhcp4_ns, dhcp6_ns;
	struct frame left[LEFT]; /* to be answered */
	sp_u32 n_left;
};

/* ---- world.c ---- */
void world_begin(struct world *w, sp_u8 how);
void world_change(struct world *w, sp_u8 how); /* what user space does: policies, addresses, kills, trials */
sp_u32 world_policy(const struct world *w); /* number of the one that is in force */
/* A frame arrives from a zone, or is sent by the machine itself; all that must hold of that is checked. */
void world_pass(struct world *w, struct passage *p);
void world_check(struct world *w); /* the tables of all engines: whole, and the same */
void world_expire(struct world *w); /* after which nothing is left */
/* Addresses. host: 0..HOSTS-1, of SP_ZONE_SELF: 0 outside, 1 another one outside, else inside. */
void world_address(sp_u8 zone, sp_u8 host, sp_u8 family, sp_u8 out[16]);
void world_sides(struct sp_engine *e); /* which networks are where; the outside's addresses if it translates */
sp_u8 world_zone(const sp_u8 addr[16], sp_u8 family);

/* ---- lane.c: the second engine; every step must be the same ---- */
void lane_begin(void);
void lane_pass(struct world *w, const struct passage *p);

/* ---- crowd.c: the third engine; the same ---- */
void crowd_begin(sp_u32 size); /* so many go together */
void crowd_wait(struct world *w, const struct passage *p);
void crowd_go(struct world *w); /* those that wait: before anything changes but time */

/* ---- model.c: who may come in ---- */
/* Before the packet is judged and after. */
sp_u32 model_entries(const struct world *w);
void model_came_in(struct world *w, const struct passage *p, sp_u32 entries_before);
void model_left(struct world *w, const struct passage *p);
void model_began(struct world *w, const struct passage *p); /* let through where it came in, and not where it leaves */

/* ---- policies.c ---- */
#define POLICIES 9
struct sp_image;
void policy_compile(const char *name, const char *text, struct sp_image *out);
const struct sp_image *policy_image(sp_u32 number);
/* May somebody outside begin that (known otherwise: only by an open mapping, *mapped)? */
int policy_permits(sp_u32 number, const struct ends *e, int *mapped);
/* Does it say who may not begin from here? Are private addresses known outside? */
int policy_blocks(sp_u32 number);
int policy_opens(sp_u32 number); /* to our own addresses, for somebody inside */
int policy_bares(sp_u32 number);

/* ---- honest.c: conversations by the book, that must not be disturbed ---- */
void honest_begin(struct world *w);
void honest_step(struct world *w, struct take *in);
void honest_saw(struct world *w, const struct passage *p); /* somebody else's packet has passed */
void honest_changed(struct world *w, int addresses, int all);

#endif
