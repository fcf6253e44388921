# SPDX-License-Identifier: BSD-2-Clause
# Kills, upgrades, interfaces that come and go, kernels that lack something: guarded all the while, and one clear line.

CHECKS += check-faults
N ?= 1000

# The next build: other programs (of the other compiler) and another version, on the same tables.
$(B)/second/gen/%.skel.h: $(B)/bpf16/%.bpf.o
	@mkdir -p $(@D)
	cp $< $(@D)/$*.bpf.o
	$(BPF_STRIP) -g $(@D)/$*.bpf.o
	$(BPFTOOL) gen skeleton $(@D)/$*.bpf.o name $(subst -,_,$*) > $@.tmp
	mv $@.tmp $@

$(B)/second/load.o: ctl/load.c $(patsubst bpf/%.bpf.c,$(B)/second/gen/%.skel.h,$(BPF_SRC))
	$(CC) -I$(B)/second/gen $(ALL_CFLAGS) -c $< -o $@

$(B)/second/gate.o: ctl/gate.c $(patsubst bpf/%.bpf.c,$(B)/second/gen/%.skel.h,$(BPF_SRC))
	$(CC) -I$(B)/second/gen $(ALL_CFLAGS) -c $< -o $@

$(B)/second/main.o: cli/main.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DSP_VERSION='"$(VERSION)-second"' -c $< -o $@

ALL_OBJ = $(CLI_OBJ) $(CTL_OBJ) $(POLICY_OBJ)
SECOND_OBJ = $(filter-out %/cli/main.o %/ctl/load.o %/ctl/gate.o,$(ALL_OBJ))
SECOND_OBJ += $(B)/second/main.o $(B)/second/load.o $(B)/second/gate.o
$(B)/second/sally: $(SECOND_OBJ) $(B)/libhost.a $(B)/sallyd
	$(CC) $(CFLAGS) -o $@ $(SECOND_OBJ) $(B)/libhost.a $(LDLIBS)
	cp $(B)/sallyd $(@D)/sallyd

# A build whose tables have another layout: the same source with another number in core/abi.h.
OTHER_OBJ := $(B)/other/ctl/up.o $(B)/other/ctl/live.o $(B)/other/host/engine.o
$(B)/other/core/abi.h: core/abi.h $(wildcard core/*.h ctl/*.[ch] host/*.[ch] port/*.h)
	@mkdir -p $(@D)
	cp -r core ctl host port $(B)/other/
	sed -i 's/^#define SP_ABI_VERSION .*/#define SP_ABI_VERSION 999u/' $@
	grep -q '^#define SP_ABI_VERSION 999u' $@

$(OTHER_OBJ): %.o: $(B)/other/core/abi.h
	$(CC) -std=gnu11 -fno-strict-aliasing $(CFLAGS) -I$(B)/other -I$(B)/gen -c $*.c -o $@

$(B)/other/sally: $(ALL_OBJ) $(B)/libhost.a $(OTHER_OBJ)
	$(CC) $(CFLAGS) -o $@ $(filter-out %/ctl/up.o %/ctl/live.o,$(ALL_OBJ)) $(OTHER_OBJ) $(B)/libhost.a $(LDLIBS)

$(B)/tests/faults/%: $(B)/tests/faults/%.o
	$(CC) $(CFLAGS) -o $@ $<

$(B)/tests/faults/poor.so: tests/faults/poor.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared -o $@ $< -ldl

FAULTS_NEED = $(B)/sally $(B)/sallyd $(B)/second/sally $(B)/other/sally $(B)/tests/faults/knock $(B)/tests/faults/listen
FAULTS_NEED += $(B)/tests/faults/poor.so
FAULTS_ENV = SP_BUILD=$(abspath $(B)) SALLY=$(abspath $(B)/sally) SP_NS_PREFIX=spfaults

.PHONY: check-faults faults
check-faults: $(FAULTS_NEED) ## kills, upgrades, lost interfaces, poor kernels: never unguarded, one clear line
	$(FAULTS_ENV) $(PYTHON) -B -m pytest -q -p no:cacheprovider --durations=5 tests/faults

faults: $(FAULTS_NEED) ## the same kills, N=1000 of them
	$(FAULTS_ENV) nice $(PYTHON) -B tests/faults/kills.py $(N)
