# SPDX-License-Identifier: BSD-2-Clause
# Scenarios: one text, run natively and by the kernel's programs, with one verdict, reason and counter.

CHECKS += check-scenario check-scenario-lane check-scenario-runner

SCENARIOS := $(sort $(wildcard tests/scenarios/*/*.scn))
# the lane has an interface inside and one outside: left out is what needs a third, or is answered where it came from
LANELESS := $(patsubst %,tests/scenarios/%.scn,forward/into_a_zone_of_ones_own forward/ipv6_pinhole \
	forward/zone_changes_nothing_else icmp/errors_from_a_third_side nat/dmz_and_inside_want_one_port \
	nat/hairpin_obeys_the_policy nat/only_at_the_outside order/limit_of_a_forward policy/allow_between_zones \
	policy/zones_of_ones_own_start_nothing spoof/answer_from_another_zone story/a_server_of_the_middle_zone \
	udp/firewall_may_ask_the_inside)
SCENARIO_LIB := $(B)/tests/scenario/native.o $(B)/tests/scenario/kernel.o
SCENARIO_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tests/scenario/native.c tests/scenario/kernel.c,\
	$(wildcard tests/scenario/*.c)))

$(B)/tests/scenario/kernel.o: tests/scenario/kernel.c $(SKEL)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(B)/scenario: $(SCENARIO_OBJ) $(SCENARIO_LIB) $(POLICY_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: check-scenario check-scenario-lane check-scenario-runner check-rfc-table
check-scenario: $(B)/scenario check-rfc-table ## every scenario on the native engine, at TC and at XDP
	@$(B)/scenario --every-reason --random 4000 $(SCENARIOS)

check-scenario-lane: $(B)/scenario ## scenarios with the express lane, beside the native engine
	@$(B)/scenario --engine lane $(filter-out $(LANELESS),$(SCENARIOS))

check-scenario-runner: $(B)/scenario ## the runner of scenarios fails when it must, and says where
	SCENARIO=$(abspath $(B)/scenario) $(PYTHON) -B -m pytest -q -p no:cacheprovider tests/scenario

check-rfc-table: ## docs/rfc-scenarios.md says which scenario holds which line of an RFC
	$(PYTHON) tests/scenario/rfc_table.py --check

.PHONY: rfc-table
rfc-table: ## write docs/rfc-scenarios.md anew
	$(PYTHON) tests/scenario/rfc_table.py --write
