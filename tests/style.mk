# SPDX-License-Identifier: BSD-2-Clause
# The conventions of the tree, as far as a script can see them.

CHECKS += check-style

.PHONY: check-style
check-style: ## licence and purpose lines, tabs, widths, lengths, guards, leftovers; shellcheck
	$(PYTHON) -m pytest -q -p no:cacheprovider tests/style
