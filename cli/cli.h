/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the commands of `sally` share: their prototypes, exit codes, errors, and how things are printed
 * and read.
 */
#ifndef SP_CLI_CLI_H
#define SP_CLI_CLI_H

#include <stdio.h>

#include "../core/abi.h"
#include "../ctl/ctl.h"

/* Exit codes; `sally --help` and sally(8) list them. */
enum sp_exit {
	SP_EXIT_OK = 0,
	SP_EXIT_FAILED = 1, /* it did not work, or the answer is no */
	SP_EXIT_USAGE = 2, /* the command line is wrong */
	SP_EXIT_PERMISSION = 3, /* not permitted, or the kernel lacks something */
	SP_EXIT_STATE = 4, /* not up; or, for `up`, up already */
};

/* One file a command. argv[0] is the command's name. They return an enum sp_exit. */
int sp_cmd_up(int argc, char **argv);
int sp_cmd_down(int argc, char **argv);
int sp_cmd_status(int argc, char **argv);
int sp_cmd_flows(int argc, char **argv);
int sp_cmd_watch(int argc, char **argv);
int sp_cmd_log(int argc, char **argv);
int sp_cmd_explain(int argc, char **argv);
int sp_cmd_replay(int argc, char **argv);
int sp_cmd_reasons(int argc, char **argv);
int sp_cmd_check(int argc, char **argv);
int sp_cmd_apply(int argc, char **argv);
int sp_cmd_open(int argc, char **argv);
int sp_cmd_close(int argc, char **argv);
int sp_cmd_allow(int argc, char **argv);
int sp_cmd_block(int argc, char **argv);
int sp_cmd_unblock(int argc, char **argv);
int sp_cmd_forward(int argc, char **argv);
int sp_cmd_unforward(int argc, char **argv);
int sp_cmd_confirm(int argc, char **argv);
int sp_cmd_undo(int argc, char **argv);

extern int sp_verbose; /* -v: show what libbpf says */

/* ---- errors: one line "sally COMMAND: text" on stderr; returns code, so that `return sp_fail(...)` reads well  */
int sp_fail(enum sp_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* prints what ctl reports and returns the exit code that belongs to it */
int sp_fail_err(const struct sp_err *err);
/* "sally COMMAND: what: 'word'; try 'sally COMMAND --help'"; returns SP_EXIT_USAGE */
int sp_usage(const char *what, const char *word);
/* prints text and returns 1 if --help or -h is among the arguments */
int sp_wants_help(int argc, char **argv, const char *text);
/* flushes stdout; SP_EXIT_FAILED if it could not be written (disk full), else code */
int sp_finish(int code);

/* ---- JSON writer: names and values, commas by itself ----------------------------------------- */
struct sp_json {
	FILE *f;
	int depth;
	int comma; /* a value has been written at this depth */
	char close[16];
};
void sp_json_begin(struct sp_json *j, FILE *f);
void sp_json_open(struct sp_json *j, const char *name, char bracket); /* bracket: { or [; name NULL: in a list */
void sp_json_close(struct sp_json *j); /* the newest open bracket; the outermost one ends with a newline */
void sp_json_str(struct sp_json *j, const char *name, const char *value);
void sp_json_u64(struct sp_json *j, const char *name, sp_u64 value);
void sp_json_bool(struct sp_json *j, const char *name, int value);

/* ---- text ------------------------------------------------------------------------------------ */
#define SP_ADDR_TEXT 48 /* room for an address, with the 0 */
#define SP_ENDPOINT_TEXT 56 /* room for [address]:port */

/*
 * Both return the length; no lookups. family: enum sp_family. Ports are left out for protocols that
 * have none.
 */
int sp_text_addr(char *out, const struct sp_addr *a, int family);
int sp_text_endpoint(char *out, const struct sp_addr *a, int family, int proto, sp_u16 port);
/* "tcp", "icmp", ...; a number for those without a name (buf: at least 8 bytes) */
const char *sp_text_proto(int proto, char *buf);
/* "12.3 s", "4 min", "2 h 4 min", "3 d 1 h"; buf: at least 24 bytes */
const char *sp_text_age(sp_u64 ns, char *buf);
int sp_proto_has_ports(int proto);

/* ---- reading words: 0, or -EINVAL ------------------------------------------------------------ */
int sp_read_u64(const char *s, sp_u64 min, sp_u64 max, sp_u64 *out); /* plain decimal, the whole word */
int sp_read_addr(const char *s, struct sp_addr *a, int *family);
int sp_read_prefix(const char *s, struct sp_addr *a, int *family, int *bits); /* without "/n": one address */
int sp_read_endpoint(const char *s, struct sp_addr *a, int *family, int *port); /* port -1: none; v6 with port: [..]:n */
int sp_read_proto(const char *s); /* a name or a number; -1: neither */

#endif
