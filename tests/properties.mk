# SPDX-License-Identifier: BSD-2-Clause
# What must hold of the packet path whatever happens: small models to the end, and every answer that can fail.

CHECKS += check-properties

PROPERTIES_DIR := $(B)/tests/properties
PROPERTIES_DEPS := tests/properties.mk $(wildcard core/*.h port/*.h host/*.h host/engine.c policy/*.h tests/properties/*.h \
	tests/fuzz/*.h)
PROPERTIES_C := $(addprefix tests/fuzz/,look.c table.c wire.c world.c model.c honest.c policies.c lane.c crowd.c) \
	host/names.c host/craft.c host/glance.c $(wildcard host/batch*.c) $(wildcard policy/*.c)
PROPERTIES_SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: check-properties
check-properties: ## small models to the end; each answer that can fail
	@$(MAKE) --no-print-directory -j2 $(PROPERTIES_DIR)/test $(PROPERTIES_DIR)/faults
	$(PROPERTIES_DIR)/test
	$(PROPERTIES_DIR)/faults

$(PROPERTIES_DIR)/faults: tests/properties/faults.c $(PROPERTIES_C) $(PROPERTIES_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(PROPERTIES_SANITIZE) $(CPPFLAGS) -o $@ $< $(PROPERTIES_C)

PROPERTIES_TEST := tests/properties/models.c tests/properties/source.c host/engine.c $(PROPERTIES_C)
$(PROPERTIES_DIR)/test: $(PROPERTIES_TEST) $(PROPERTIES_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -o $@ $(PROPERTIES_TEST)

.PHONY: mutants
mutants: ## break the core in one place at a time, in a copy: do the properties find it?
	$(PYTHON) -B tests/properties/mutants.py
