/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally`: finds the command, and says what there is. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *line;
};

static const struct command commands[] = {
	{ "up", sp_cmd_up, "guard this machine, or the network behind it, from now on" },
	{ "down", sp_cmd_down, "stop guarding; nothing stays behind" },
	{ "status", sp_cmd_status, "what is guarded, how full the table is, what was stopped and why" },
	{ "flows", sp_cmd_flows, "list, count or end the conversations that are remembered" },
	{ "watch", sp_cmd_watch, "decisions as they are made, one sentence each" },
	{ "log", sp_cmd_log, "what lines with the option log have decided" },
	{ "explain", sp_cmd_explain, "what would happen to a packet now, step by step" },
	{ "replay", sp_cmd_replay, "what would have happened to the packets of a capture file" },
	{ "check", sp_cmd_check, "is a configuration file right? nothing is changed" },
	{ "open", sp_cmd_open, "let somebody in: a line more in the configuration, in force at once" },
	{ "close", sp_cmd_close, "take such a line out; its connections end" },
	{ "allow", sp_cmd_allow, "let one side start conversations with another" },
	{ "block", sp_cmd_block, "have nothing to do with somebody" },
	{ "unblock", sp_cmd_unblock, "take such a line out" },
	{ "forward", sp_cmd_forward, "let somebody reach a service of a host inside, at this machine's address" },
	{ "unforward", sp_cmd_unforward, "take such a line out" },
	{ "apply", sp_cmd_apply, "put a configuration in force, on trial if asked" },
	{ "confirm", sp_cmd_confirm, "keep the configuration that is on trial" },
	{ "undo", sp_cmd_undo, "go back to an earlier configuration" },
	{ "reasons", sp_cmd_reasons, "every reason for a decision, in words" },
};
#define COMMANDS (int)(sizeof(commands) / sizeof(commands[0]))

int sp_verbose;
static const char *command_name = "";

static const char exit_codes[] =
	"Exit codes\n"
	"  0  done; or the answer is yes\n"
	"  1  it did not work; or the answer is no\n"
	"  2  the command line is wrong\n"
	"  3  not permitted, or the kernel lacks something\n"
	"  4  the firewall is not up; or, for 'up', is up already\n";

static int help(FILE *f)
{
	int i;

	fprintf(f, "Usage: sally COMMAND [ARGUMENTS]\n\n"
		"Sallyport, a stateful firewall: what was sent out may be answered, and nothing else comes in.\n\n"
		"Commands\n");
	for (i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-9s %s\n", commands[i].name, commands[i].line);
	fprintf(f, "\nOptions\n"
		"  -v         also show what the kernel and libbpf say\n"
		"  --help     this text; 'sally COMMAND --help' tells about one command\n"
		"  --version  the version\n\n%s\nManual: sally(8), sally-reasons(7)\n", exit_codes);
	return SP_EXIT_OK;
}

static void say_log(const char *text)
{
	fputs(text, stderr);
}

int sp_fail(enum sp_exit code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "sally%s%s: ", *command_name ? " " : "", command_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

int sp_usage(const char *what, const char *word)
{
	return sp_fail(SP_EXIT_USAGE, "%s: '%s'; try 'sally%s%s --help'", what, word, *command_name ? " " : "",
		       command_name);
}

int sp_wants_help(int argc, char **argv, const char *text)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(text, stdout);
			return 1;
		}
	}
	return 0;
}

int sp_finish(int code)
{
	if (fflush(stdout) || ferror(stdout))
		return sp_fail(SP_EXIT_FAILED, "can not write the output; is the disk full?");
	return code;
}

/* Takes every -v out of the arguments. */
static int strip_verbose(int argc, char **argv)
{
	int i, n = 0;

	for (i = 0; i < argc; i++) {
		if (i && (!strcmp(argv[i], "-v") || !strcmp(argv[i], "--verbose")))
			sp_verbose = 1;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
}

int main(int argc, char **argv)
{
	int i;

	argc = strip_verbose(argc, argv);
	sp_log_to(sp_verbose ? say_log : NULL);
	if (argc < 2) {
		help(stderr);
		return SP_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return sp_finish(help(stdout));
	if (!strcmp(argv[1], "--version")) {
		printf("sally %s\n", SP_VERSION);
		return sp_finish(SP_EXIT_OK);
	}
	for (i = 0; i < COMMANDS; i++) {
		if (!strcmp(argv[1], commands[i].name)) {
			command_name = commands[i].name;
			return sp_finish(commands[i].run(argc - 1, argv + 1));
		}
	}
	return sp_usage("there is no such command", argv[1]);
}
