# SPDX-License-Identifier: BSD-2-Clause
# Made-up sequences of packets on every engine, and on Linux's own tracking: what is not the same must be explained.

CHECKS += check-differential

# scenarios are read, packets are built and engines are opened as for the scenarios
DIFFERENTIAL_SRC := $(wildcard tests/differential/*.c) $(filter-out tests/scenario/main.c,$(wildcard tests/scenario/*.c))
DIFFERENTIAL_OBJ := $(patsubst %.c,$(B)/%.o,$(DIFFERENTIAL_SRC))
DIFFERENCES := tests/differential/differences.tsv
N ?= 100000
SEED ?= 1

$(B)/differential: $(DIFFERENTIAL_OBJ) $(POLICY_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: check-differential differential differential-linux differences
check-differential: $(B)/differential $(B)/scenario ## sequences of packets on every engine: a few seconds' worth
	DIFFERENTIAL=$(abspath $(B))/differential SCENARIO=$(abspath $(B))/scenario \
		$(PYTHON) -B -m pytest -q -p no:cacheprovider tests/differential
	$(B)/differential --sequences 3000 --out $(B)
	$(B)/differential --linux $(DIFFERENCES) --sequences 3000 --out $(B)

differential-linux: $(B)/differential ## the same beside nftables and conntrack, differences explained
	nice -n 10 $(B)/differential --linux $(DIFFERENCES) --sequences $(N) --seed $(SEED) --out $(B)

differential: $(B)/differential ## N sequences of packets (N=..., SEED=...) on every engine; what is found is made small
	nice -n 10 $(B)/differential --sequences $(N) --seed $(SEED) --out $(B)

differences: $(B)/differential ## count the differences from Linux anew, and write docs/differences.md
	$(PYTHON) tests/differential/write_doc.py $(B)/differential 100000
