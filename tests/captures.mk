# SPDX-License-Identifier: BSD-2-Clause
# Real captures: kernel against native packet by packet, native against what Linux said, differences explained.

CHECKS += check-captures

CAPTURES ?= ../shared/captures
CAPTURES_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/captures/*.c))
CAPTURES_RUN = $(B)/captures --captures $(CAPTURES) --differences tests/captures/differences.tsv

# the engines under test are those of the scenarios
SCENARIO_ENGINES := $(patsubst %,$(B)/tests/scenario/%.o,native kernel lane)
$(B)/captures: $(CAPTURES_OBJ) $(SCENARIO_ENGINES) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: check-captures captures-update
check-captures: $(B)/captures all ## sally replay and explain; real captures on every engine, against Linux
	SALLY="$(abspath $(B))/sally" $(PYTHON) -B -m pytest -q -p no:cacheprovider tests/captures
	$(CAPTURES_RUN) --engine native --engine tc --engine xdp

captures-update: $(B)/captures ## write the table of differences anew, keeping the explanations
	$(CAPTURES_RUN) --update
