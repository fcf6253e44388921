/* SPDX-License-Identifier: BSD-2-Clause */
/* From what ctl reports to the line that is printed and the code that is returned. */
#include <errno.h>

#include "cli.h"

int sp_fail_err(const struct sp_err *err)
{
	static const struct {
		int error;
		enum sp_exit code;
	} codes[] = {
		{ -EPERM, SP_EXIT_PERMISSION }, { -EACCES, SP_EXIT_PERMISSION }, { -EOPNOTSUPP, SP_EXIT_PERMISSION },
		{ -ENOENT, SP_EXIT_STATE },	{ -EEXIST, SP_EXIT_STATE },	 { -EINVAL, SP_EXIT_USAGE },
	};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (err->code == codes[i].error)
			return sp_fail(codes[i].code, "%s", err->text);
	return sp_fail(SP_EXIT_FAILED, "%s", err->text);
}
