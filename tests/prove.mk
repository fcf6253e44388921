# SPDX-License-Identifier: BSD-2-Clause
# The proof by Frama-C's Eva that the core can do no undefined thing. Not a part of `check`: its tool takes 900 MB.

.PHONY: prove
prove: ## prove that the core can do no undefined thing, whatever comes (minutes; installs 900 MB of tools once, root)
	@tests/prove/install
	nice $(PYTHON) -B tests/prove/prove.py $(B) $(HARNESS)
