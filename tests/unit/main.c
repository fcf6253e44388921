/* SPDX-License-Identifier: BSD-2-Clause */
/* unit: runs every group of unit tests and says how many passed. */
#include <stdio.h>

#include "unit.h"

int main(void)
{
	struct unit_result (*const groups[])(void) = { unit_abi, unit_key, unit_siphash, unit_config, unit_table,
							 unit_refuse, unit_batch };
	int passed = 0, failed = 0;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		struct unit_result r = groups[i]();

		passed += r.passed;
		failed += r.failed;
	}
	fflush(stderr);
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed ? 1 : 0;
}
