# SPDX-License-Identifier: BSD-2-Clause
# Concurrency and capacity: several processors at work in one table, and how much it holds.

CHECKS += check-stress

STRESS := tests/stress/begin.c tests/stress/bench.c tests/stress/check.c tests/stress/churn.c tests/stress/collide.c \
	tests/stress/flight.c tests/stress/image.c tests/stress/nat.c tests/stress/pair.c tests/stress/tcp.c
STRESS_HOST := host/engine.c $(wildcard host/batch*.c) host/names.c host/craft.c host/glance.c
STRESS_DEPS := $(STRESS) $(STRESS_HOST) tests/stress/stress.h $(wildcard core/*.h port/*.h host/*.h) $(POLICY_OBJ)

$(B)/stress-native: tests/stress/native.c $(STRESS_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) -O1 -g -fsanitize=thread $(CPPFLAGS) -pthread \
		-o $@ $< $(STRESS) $(STRESS_HOST) $(POLICY_OBJ)

# Without it memory is taken to be in order, as it is on x86: another way to fill, publish and unlock (core/table.h).
$(B)/stress-plain: tests/stress/native.c $(STRESS_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -pthread \
		-o $@ $< $(STRESS) $(STRESS_HOST) $(POLICY_OBJ)

$(B)/stress-kernel: tests/stress/kernel.c tests/scenario/lane.c tests/scenario/lane.h $(STRESS_DEPS) $(SKEL)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -pthread \
		-o $@ $< tests/scenario/lane.c $(STRESS) $(STRESS_HOST) $(POLICY_OBJ) -lbpf

$(B)/stress-capacity: tests/stress/capacity.c $(STRESS_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -pthread \
		-o $@ $< $(STRESS) $(STRESS_HOST) $(POLICY_OBJ)

$(B)/stress-live: tests/stress/live.c $(STRESS_DEPS) $(CTL_OBJ) $(B)/libhost.a
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -pthread \
		-o $@ $< $(STRESS) $(CTL_OBJ) $(POLICY_OBJ) $(B)/libhost.a $(LDLIBS)

STRESS_PARTS := $(B)/stress-capacity $(B)/stress-native $(B)/stress-plain $(B)/stress-kernel $(B)/stress-live

.PHONY: check-stress
check-stress: $(B)/sally $(STRESS_PARTS) ## the table full, flooded, and under several processors
	tests/stress/run $(B)
