# SPDX-License-Identifier: BSD-2-Clause
# Fuzzing with libFuzzer, sanitizers on: what reads bytes that strangers made, and the whole packet path by sequences.

CHECKS += check-fuzz

FUZZ_DIR := $(B)/tests/fuzz
FUZZ_ALL := parse frag pipeline capture control policy image
FUZZ_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_FLAGS := $(FUZZ_SANITIZE) -g -O2 -std=gnu11 -fno-strict-aliasing $(WARN) -I. \
	-I$(B)/gen
FUZZ_GUIDE = -fsanitize=fuzzer-no-link
fuzz_obj = $(patsubst %.c,$(FUZZ_DIR)/obj/%.o,$(1))

# what each is made of, beside tests/fuzz/<name>_fuzz.c
FUZZ_ENGINE := host/engine.c host/names.c host/craft.c host/glance.c
FUZZ_OF_parse := host/glance.c
FUZZ_OF_frag := tests/fuzz/wire.c tests/fuzz/table.c $(FUZZ_ENGINE)
FUZZ_OF_pipeline := $(filter-out %_fuzz.c,$(wildcard tests/fuzz/*.c)) $(FUZZ_ENGINE) $(wildcard host/batch*.c) \
	$(wildcard policy/*.c)
FUZZ_OF_capture := $(FUZZ_ENGINE) host/capture.c host/replay.c host/sides.c
FUZZ_OF_control := $(FUZZ_ENGINE) $(addprefix cli/,events.c filter.c json.c text.c) policy/image.c \
	$(filter-out ctl/netlink.c,$(wildcard ctl/*.c))
FUZZ_OF_policy := $(wildcard policy/*.c)
FUZZ_OF_image := $(FUZZ_ENGINE) $(wildcard policy/*.c)

.PHONY: check-fuzz fuzz fuzz-seeds
check-fuzz: $(FUZZ_ALL:%=$(FUZZ_DIR)/%) ## each fuzzer on its corpus, and for three seconds more
	tests/fuzz/run $(B) 3 1 $(FUZZ_ALL)

fuzz: $(FUZZ_ALL:%=$(FUZZ_DIR)/%) ## fuzz on two processors: T=600 seconds each, TARGETS="parse ..."; goes on where it was
	tests/fuzz/run $(B) $(or $(T),600) 2 $(or $(TARGETS),$(FUZZ_ALL))

fuzz-seeds: $(FUZZ_ALL:%=$(FUZZ_DIR)/%) ## choose the corpora in the tree anew, from all that was found
	tests/fuzz/choose $(B) $(or $(TARGETS),$(FUZZ_ALL))

# what looks at whole tables has nothing to tell the fuzzer, and would spend its time on it
$(call fuzz_obj,tests/fuzz/table.c tests/fuzz/wire.c tests/fuzz/look.c): FUZZ_GUIDE :=

$(call fuzz_obj,$(wildcard ctl/*.c)): | $(SKEL)

$(FUZZ_DIR)/obj/%.o: %.c
	@mkdir -p $(@D)
	clang-19 $(FUZZ_FLAGS) $(FUZZ_GUIDE) -MMD -MP -c $< -o $@

define FUZZ_PROGRAM
$(FUZZ_DIR)/$(1): $(call fuzz_obj,tests/fuzz/$(1)_fuzz.c $(FUZZ_OF_$(1)))
	clang-19 $(FUZZ_FLAGS) -fsanitize=fuzzer -o $$@ $$^ -lpcap -lmnl -lbpf
endef
$(foreach t,$(FUZZ_ALL),$(eval $(call FUZZ_PROGRAM,$(t))))
