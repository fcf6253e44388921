/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally down`: stop guarding this network namespace. */
#include "../ctl/watch.h"
#include "cli.h"

static const char help[] =
	"Usage: sally down\n\n"
	"Takes the firewall off this machine: programs, table and pins. Filters of others\n"
	"stay; sallyd ends. From then on nothing is stopped, and all conversations are\n"
	"forgotten.\n\n"
	"Exit codes: 0 down; 1 it did not work; 2 wrong arguments; 3 not permitted; 4 it\n"
	"was not up.\n";

int sp_cmd_down(int argc, char **argv)
{
	struct sp_err err, ignored;
	char instance[80] = "";
	int rc;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	if (argc > 1)
		return sp_usage("unexpected argument", argv[1]);
	/* its name is that of the folder of pins, which is about to go */
	rc = sp_watcher_instance(instance, &ignored);
	if (sp_down(&err))
		return sp_fail_err(&err);
	printf("down: this machine is no longer guarded\n");
	return !rc && sp_watcher_end(instance, &err) < 0 ? sp_fail_err(&err) : SP_EXIT_OK;
}
