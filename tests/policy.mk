# SPDX-License-Identifier: BSD-2-Clause
# The configuration language: from inside, from outside word for word.

CHECKS += check-policy

POLICY_SRC := $(wildcard policy/*.c)
POLICY_DEPS := tests/policy.mk $(POLICY_SRC) $(wildcard policy/*.h) core/types.h
POLICY_PYTEST = SALLY="$(abspath $(B)/sally)" $(PYTHON) -B -m pytest -q -p no:cacheprovider tests/policy
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -g -O1 -std=gnu11 $(WARN) -I.

.PHONY: check-policy update-policy
check-policy: $(B)/sally $(B)/tests/policy/unit ## the language: right and wrong files word for word, limits
	$(B)/tests/policy/unit
	$(POLICY_PYTEST)

update-policy: $(B)/sally ## rewrite what the golden files of the language expect; then read the difference
	UPDATE=1 $(POLICY_PYTEST)

# tiny chunks, so that each allocation of the tree can fail
$(B)/tests/policy/unit: tests/policy/unit.c $(POLICY_DEPS)
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -DSP_POLICY_CHUNK=16 -Wl,--wrap=malloc,--wrap=calloc -o $@ $< $(POLICY_SRC) -lcmocka
