/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally explain`: what its parts share: the question, how it is asked of the engine, the answer in words. */
#ifndef SP_CLI_EXPLAIN_H
#define SP_CLI_EXPLAIN_H

#include "../host/craft.h"
#include "cli.h"

#define SP_EXPLAIN_STEPS 64

struct sp_step {
	const char *what; /* static string of the core */
	sp_u64 a, b;
};

struct sp_explain {
	/* the question, from the command line */
	struct sp_craft craft;
	const char *iface; /* --in */
	sp_u8 zone; /* --zone; SP_ZONE_NONE: find out */
	sp_u8 egress; /* --egress, or --zone self */
	sp_u8 gateway; /* --gateway: for a table that is not live */
	sp_u8 json;
	sp_u8 flags_given, seq_given, ack_given, sport_given;
	/* what was found out */
	sp_u8 live; /* judged against the live table */
	sp_u8 hook; /* enum sp_hook */
	sp_u8 met_zone; /* enum sp_zone of the interface that it meets */
	sp_u8 continued; /* seq, ack and flags were taken from the remembered conversation */
	sp_u8 forwards; /* this machine is a gateway */
	sp_u8 to_self; /* the destination is this machine */
	char ifname[IF_NAMESIZE]; /* empty: not known */
	const char *not_live; /* why not */
	struct sp_engine *engine; /* while it is asked */
	const struct sp_live *at; /* the instance, or NULL */
	char line[SP_IMAGE_NAME]; /* of the configuration, that decided; empty: none */
	char out_ifname[IF_NAMESIZE]; /* where it leaves, on its way through a gateway; empty: it does not */
	sp_u8 for_inside; /* it is for somebody inside who is known by this machine's address */
	sp_u8 leaving; /* the steps are those of that interface */
	/* the answer */
	struct sp_engine_result result;
	struct sp_flow flow; /* if result.flow: a copy, after the packet */
	sp_u8 onward[SP_CRAFT_MAX]; /* the packet as it goes on, if it is translated */
	sp_u32 onward_len; /* 0: it goes on as it is */
	struct sp_step step[SP_EXPLAIN_STEPS];
	int steps;
};

/* explain_ask.c: fills in what was found out and the answer. SP_EXIT_OK, or an exit code after an error line. */
int sp_explain_ask(struct sp_explain *x);

/* explain_show.c: prints the answer */
void sp_explain_text(const struct sp_explain *x);
void sp_explain_json(const struct sp_explain *x);

#endif
