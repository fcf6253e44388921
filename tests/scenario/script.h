/* SPDX-License-Identifier: BSD-2-Clause */
/* A scenario: what is set up, and the steps that follow; and running it on an engine. */
#ifndef TESTS_SCENARIO_SCRIPT_H
#define TESTS_SCENARIO_SCRIPT_H

#include "engine_api.h"
#include "packet.h"

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

/* Where a packet meets the firewall. */
struct arrow {
	const char *word;
	sp_u8 zone, hook, forwarded;
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
	sp_u64 number; /* WAIT: ns; FLOWS, COUNT, LIMIT */
	enum compare compare;
	int class_; /* FLOWS: enum sp_class, or -1 */
	int reason; /* COUNT */
	char phase[20]; /* FLOW: or "gone" */
	int from_outside; /* ADOPT: the first end named is the one outside */
	int initiator; /* FLOW: 1 the first end named must have begun it, 0 not asked */
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
	struct step *steps;
	int n;
};

/* Reads a file for one family. 0, or -1 with "file:line: what" in err. */
int script_read(struct script *s, const char *path, int family, char *err, size_t err_len);
void script_free(struct script *s);

/* One line that is a step (not set-up): 1 it was, 0 it is none, -1 error. Adds to s->steps. */
int script_parse_step(struct script *s, struct words *ws, int line, const char *word);
struct step *script_new_step(struct script *s, enum step_kind kind, int line);

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

/* So many random packets on an engine and its twin. 0, or -1 with text: what differs, and the seed that shows it again. */
int random_run(struct tengine *t, struct tengine *twin, sp_u64 seed, unsigned packets, char *text, size_t len);

/* Compares the tables of two engines. 0, or -1 with text. */
int tables_compare(struct tengine *a, struct tengine *b, char *text, size_t len);

#endif
