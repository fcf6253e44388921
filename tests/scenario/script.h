/* SPDX-License-Identifier: BSD-2-Clause */
/* A scenario: what is set up, and the steps that follow; and running it on an engine. */
#ifndef TESTS_SCENARIO_SCRIPT_H
#define TESTS_SCENARIO_SCRIPT_H

#include "engine_api.h"
#include "packet.h"
#include "policy/image.h"

#define SCRIPT_EXPECTS 4
#define SCRIPT_STEPPERS 6
#define SCRIPT_CAPACITY_MAX 4096u
#define SCRIPT_START_NS (100000 * SP_NS_PER_S) /* the boot clock when a scenario begins */

enum step_kind {
	STEP_PACKET, /* one packet, or many; each is judged and must have one of the expected reasons */
	STEP_WAIT, /* time moves */
	STEP_FLOW, /* a conversation is in this phase, or gone */
	STEP_FLOWS, /* so many live conversations (of a class) */
	STEP_COUNT, /* a counter stands at */
	STEP_KILL, /* as `sally flows kill` */
	STEP_ADOPT, /* as `sally up` does with sockets that exist */
	STEP_LIMIT, /* sets the budget of unanswered conversations */
	STEP_CONFIG, /* the policy in force when the scenario begins */
	STEP_APPLY, /* another policy comes into force, for good or on trial */
	STEP_CONFIRM,
	STEP_UNDO,
	STEP_ADDRESS, /* an outside address of this machine is lost, or another one */
	STEP_MAPPED, /* who holds an outside port */
	STEP_PORTS, /* so many outside ports are held, or displaced */
	STEP_VAR, /* what a letter stands for is ... */
};

enum step_field {
	FIELD_SRC,
	FIELD_DST,
	FIELD_SPORT,
	FIELD_DPORT,
	FIELD_SEQ,
	FIELD_ACK,
	FIELD_ID,
	FIELD_ECHO_ID,
	FIELD_COUNT,
};

enum compare { CMP_EQUAL, CMP_AT_LEAST, CMP_AT_MOST };

#define SCRIPT_ZONE_DMZ SP_ZONE_COUNT /* the first zone of one's own */

/* Where a packet meets the firewall; a forwarded one that is let in meets it a second time, where it leaves. */
struct arrow {
	const char *word;
	sp_u8 zone, hook, forwarded, zone_from;
	sp_u8 leaves; /* zone that it leaves to; SP_ZONE_NONE: only the first meeting is looked at */
};

/* How both ends look to whoever gets the packet. */
struct ends {
	sp_u8 src[16], dst[16];
	sp_u16 sport, dport; /* of an ICMP query: the identifier, in sport */
	char sport_var, dport_var;
	int given; /* else as they were */
};

struct rewrite {
	struct ends outer, quote; /* quote: of the packet that an ICMP error quotes */
};

struct step {
	int line;
	enum step_kind kind;
	const struct arrow *arrow;
	struct pkt pkt; /* PACKET; also the ends of FLOW, KILL, ADOPT */
	unsigned repeat;
	int steppers;
	struct {
		enum step_field field;
		long by;
	} stepper[SCRIPT_STEPPERS];
	int expects;
	sp_u8 expect[SCRIPT_EXPECTS]; /* enum sp_reason */
	struct rewrite as;
	sp_u64 number; /* WAIT: ns; FLOWS, COUNT, LIMIT; APPLY: of the trial, ns; UNDO: generation, 0: the one before */
	enum compare compare;
	int class_; /* FLOWS: enum sp_class, or -1 */
	int reason; /* COUNT */
	char phase[20]; /* FLOW: or "gone" */
	int from_outside; /* ADOPT: the first end named is the one outside */
	int initiator; /* FLOW: 1 the first end named must have begun it, 0 not asked */
	char by[SP_IMAGE_NAME]; /* FLOW: name of the line that permits it; "": not asked */
	struct sp_image image; /* CONFIG, APPLY */
};

struct script {
	const char *path;
	int family; /* of the names: 4 or 6 */
	unsigned families; /* bit 0: IPv4, bit 1: IPv6 */
	unsigned engines; /* bits in the order native, tc, xdp; the scenario means something only there */
	sp_u32 flags; /* enum sp_config_flag */
	int has_mode;
	sp_u32 capacity;
	int bare_ip;
	struct sp_test side;
	struct sp_nat_addrs nat;
	struct step *steps;
	int n;
	char *block; /* while a line is read that ends with a block: what is between the braces */
};

/* Reads a file for one family. 0, or -1 with "file:line: what" in err. */
int script_read(struct script *s, const char *path, int family, char *err, size_t err_len);
void script_free(struct script *s);

/* One line that is a step (not set-up): 1 it was, 0 it is none, -1 error. Adds to s->steps. */
int script_parse_step(struct script *s, struct words *ws, int line, const char *word);
int script_parse_connect(struct script *s, struct words *ws, int line);
const struct arrow *script_arrow(const char *word); /* NULL: it is none */
struct step *script_new_step(struct script *s, enum step_kind kind, int line);

/* Compiles a policy; hosts of the cast need no definition. 0, or -1 with the reason in why. */
int script_compile(const char *policy, struct sp_image *out, char *why, size_t len);

/* What every scenario sees instead of the machine, if it does not say otherwise. */
void script_side(struct sp_test *side);

/* "{ text of sally.conf }" into st->image. 1, or -1. */
int script_parse_policy(struct script *s, struct words *ws, struct step *st);

/* "SRC > DST [echo-id N] [quoting SRC > DST]" behind `as`. 0, or -1. */
int script_parse_rewrite(struct words *ws, const struct pkt *p, struct rewrite *as);

/* Set-up lines and steps of nat.c: 1 it was one, 0 it is none, -1 error. */
int script_parse_nat(struct words *ws, struct script *s);
int script_parse_listens(struct words *ws, struct script *s);
int script_parse_nat_step(struct script *s, struct words *ws, int line, const char *word);

struct outcome {
	int failed;
	int line;
	char text[600];
	sp_u64 seen[SP_REASON_COUNT]; /* packets by the reason that was got; adds up over runs */
	int verbose; /* print each packet's reason */
};

/*
 * Runs it on an engine. twin: NULL, or a native engine that is shown the same packets; after every step verdicts,
 * reasons, counters, class counts and every conversation must be the same.
 */
void script_run(const struct script *s, struct tengine *t, struct tengine *twin, struct outcome *o);

/* A scenario that runs: shared by run.c, expect.c and rule.c. */
struct run {
	const struct script *s;
	struct tengine *t, *twin;
	struct outcome *o;
	const struct step *st;
	sp_u64 now_ns;
	int var[26]; /* what $a to $z stand for; -1: nothing yet */
	const struct sp_image *image[SP_IMAGE_SLOTS]; /* by generation; NULL: the built-in policy */
};

/* Notes what is wrong; returns -1. */
int run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts the values of letters into a packet. 0, or -1. */
int run_resolve(struct run *r, struct pkt *p);

/* Are these the bytes that p becomes? Letters that stand for nothing yet are taken from the bytes. 0, or -1. */
int run_compare_bytes(struct run *r, const struct pkt *p, const struct rewrite *as, const sp_u8 *got, size_t len);

/* CONFIG, APPLY, CONFIRM, UNDO. 0, or -1. */
int run_policy(struct run *r);

/* ADDRESS, MAPPED, PORTS, VAR. 0, or -1. */
int run_nat(struct run *r);

/* So many random packets on an engine and its twin. 0, or -1 with text: what differs, and the seed that shows it again. */
int random_run(struct tengine *t, struct tengine *twin, sp_u64 seed, unsigned packets, char *text, size_t len);

/* Compares the tables of two engines. 0, or -1 with text. */
int tables_compare(struct tengine *a, struct tengine *b, char *text, size_t len);

/* Do second keys, conversations and the table of ports agree with each other? 0, or -1 with text. */
int tables_check(const struct tengine *e, char *text, size_t len);

#endif
