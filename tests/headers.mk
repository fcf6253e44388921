# SPDX-License-Identifier: BSD-2-Clause
# The core is freestanding and nothing includes upward.

CHECKS += check-headers

.PHONY: check-headers
check-headers: ## each header of the core compiles alone, for the host and for BPF; nothing includes upward
	CC="$(CC)" BPF_CC="$(BPF_CC)" $(PYTHON) -m pytest -q -p no:cacheprovider tests/headers
