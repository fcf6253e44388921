/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally down`: stop guarding this network namespace. */
#include "cli.h"

static const char help[] =
	"Usage: sally down\n\n"
	"Takes the firewall off this machine: programs, table and pins. Filters of others\n"
	"stay. From then on nothing is stopped, and all conversations are forgotten.\n\n"
	"Exit codes: 0 down; 1 it did not work; 2 wrong arguments; 3 not permitted; 4 it\n"
	"was not up.\n";

int sp_cmd_down(int argc, char **argv)
{
	struct sp_err err;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	if (argc > 1)
		return sp_usage("unexpected argument", argv[1]);
	if (sp_down(&err))
		return sp_fail_err(&err);
	printf("down: this machine is no longer guarded\n");
	return SP_EXIT_OK;
}
