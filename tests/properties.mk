# SPDX-License-Identifier: BSD-2-Clause
# What must hold of the packet path whatever happens: small models to the end, and every answer that can fail.

CHECKS += check-properties

PROPERTIES_DIR := $(B)/tests/properties
PROPERTIES_WORLD := $(filter-out %_fuzz.c,$(wildcard tests/fuzz/*.c))
PROPERTIES_REST := $(POLICY_OBJ) $(B)/libhost.a
PROPERTIES_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: check-properties
check-properties: $(PROPERTIES_DIR)/test $(PROPERTIES_DIR)/faults ## small models to the end; each answer that can fail
	$(PROPERTIES_DIR)/test
	$(PROPERTIES_DIR)/faults

PROPERTIES_TEST := $(patsubst %.c,$(B)/%.o,tests/properties/models.c tests/properties/source.c $(PROPERTIES_WORLD))
$(PROPERTIES_DIR)/test: $(PROPERTIES_TEST) $(PROPERTIES_REST)
	$(CC) $(CFLAGS) -o $@ $^

# with sanitizers, except for what has no part in a packet's way there
PROPERTIES_FAULTS := $(patsubst %.c,$(PROPERTIES_DIR)/sane/%.o,tests/properties/faults.c $(PROPERTIES_WORLD))
$(PROPERTIES_DIR)/faults: $(PROPERTIES_FAULTS) $(PROPERTIES_REST)
	$(CC) $(CFLAGS) $(PROPERTIES_SANITIZE) -o $@ $^

$(PROPERTIES_DIR)/sane/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(PROPERTIES_SANITIZE) -c $< -o $@

.PHONY: mutants
mutants: ## break the core in one place at a time, in a copy: do the properties find it?
	$(PYTHON) -B tests/properties/mutants.py
