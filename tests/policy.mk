# SPDX-License-Identifier: BSD-2-Clause
# The configuration language: from inside, from outside word for word, and fuzzed.

CHECKS += check-policy

FUZZ_CC ?= clang-19
SECONDS ?= 600
POLICY_SRC := $(wildcard policy/*.c)
POLICY_DEPS := tests/policy.mk $(POLICY_SRC) $(wildcard policy/*.h) core/types.h
POLICY_PYTEST = SALLY="$(abspath $(B)/sally)" $(PYTHON) -B -m pytest -q -p no:cacheprovider tests/policy
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -g -O1 -std=gnu11 $(WARN) -I.

.PHONY: check-policy update-policy fuzz-policy
POLICY_TESTS := $(B)/tests/policy/unit $(B)/tests/policy/fuzz
check-policy: $(B)/sally $(POLICY_TESTS) ## the language: right and wrong files word for word, limits, a short fuzz
	$(B)/tests/policy/unit
	$(call FUZZ_POLICY,5)
	$(POLICY_PYTEST)

update-policy: $(B)/sally ## rewrite what the golden files of the language expect; then read the difference
	UPDATE=1 $(POLICY_PYTEST)

fuzz-policy: $(B)/tests/policy/fuzz ## fuzz the language for SECONDS=600
	$(call FUZZ_POLICY,$(SECONDS))

# the golden files are the seed; what is found is kept in the build folder
FUZZ_POLICY = $(PYTHON) -B tests/policy/golden.py $(B)/tests/policy/corpus && \
	$(B)/tests/policy/fuzz -max_total_time=$(1) -max_len=4096 -timeout=10 -dict=tests/fuzz/policy.dict \
	-artifact_prefix=$(B)/tests/policy/ -print_final_stats=1 $(B)/tests/policy/corpus \
	>$(B)/tests/policy/fuzz.log 2>&1 || \
	{ tail -n 60 $(B)/tests/policy/fuzz.log; exit 1; }; grep '^stat::' $(B)/tests/policy/fuzz.log

# tiny chunks, so that each allocation of the tree can fail
$(B)/tests/policy/unit: tests/policy/unit.c $(POLICY_DEPS)
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -DSP_POLICY_CHUNK=16 -Wl,--wrap=malloc,--wrap=calloc -o $@ $< $(POLICY_SRC) -lcmocka

$(B)/tests/policy/fuzz: tests/fuzz/policy_fuzz.c $(POLICY_DEPS)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(SANITIZE) -fsanitize=fuzzer -o $@ $< $(POLICY_SRC)
