# SPDX-License-Identifier: BSD-2-Clause
# How much of the core the tests reach: lines and branches, over everything that runs natively.

COVERAGE_DIR := $(B)/coverage
COVERAGE_FLAGS := -O1 -g -fprofile-instr-generate -fcoverage-mapping
COVERAGE_FUZZ := parse frag pipeline image
COVERAGE_PROGRAMS := unit scenario tests/orders/test tests/image/test tests/properties/test tests/properties/faults \
	$(COVERAGE_FUZZ:%=tests/fuzz/%)

.PHONY: coverage
coverage: $(SKEL) ## lines and branches of core/ that unit tests, scenarios, properties and the fuzzers' corpora reach
	@mkdir -p $(COVERAGE_DIR)
	@ln -sfn ../bpf $(COVERAGE_DIR)/bpf
	@ln -sfn ../gen $(COVERAGE_DIR)/gen
	@$(MAKE) --no-print-directory B=$(COVERAGE_DIR) CC=clang-19 CFLAGS="$(COVERAGE_FLAGS)" \
		FUZZ_SANITIZE="-fprofile-instr-generate -fcoverage-mapping" PROPERTIES_SANITIZE= \
		$(COVERAGE_PROGRAMS:%=$(COVERAGE_DIR)/%)
	@tests/coverage/run $(COVERAGE_DIR) $(COVERAGE_PROGRAMS)
