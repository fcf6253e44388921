# SPDX-License-Identifier: BSD-2-Clause
# The manual pages are well-formed, and say what the program says.

CHECKS += check-man

.PHONY: check-man
check-man: all ## mandoc -Tlint; every command, option, exit code and reason is in the manual
	SALLY_BUILD="$(abspath $(B))" $(PYTHON) -m pytest -q -p no:cacheprovider tests/man
