# SPDX-License-Identifier: BSD-2-Clause
# Kills, upgrades, interfaces that come and go, kernels that lack something: guarded all the while, and one clear line.

CHECKS += check-faults
N ?= 1000

# The next build: other programs (of the other compiler) and another version, on the same tables.
$(B)/second/bpf/%.bpf.o: $(B)/bpf16/%.bpf.o
	@mkdir -p $(@D)
	cp $< $@
	$(BPF_STRIP) -g $@

# And the one after it, whose programs want more room for what they keep for a moment only.
WIDER := $(B)/wider/src
$(WIDER)/core/packet.h: $(wildcard core/*.h port/*.h bpf/*.c)
	@mkdir -p $(WIDER)
	cp -r core port bpf $(WIDER)/
	sed -i 's/^\(#define SP_PRECEDENTS\) 1024$$/\1 2048/' $(WIDER)/port/precedent_bpf.h
	sed -i 's/^\(#define SP_GLANCES\) 64$$/\1 128/' $(WIDER)/port/glance_bpf.h
	sed -i 's/^struct sp_pkt {$$/&\n\tsp_u64 more_[4];/' $@
	grep -q 'SP_PRECEDENTS 2048' $(WIDER)/port/precedent_bpf.h
	grep -q 'SP_GLANCES 128' $(WIDER)/port/glance_bpf.h
	grep -q 'more_\[4\]' $@

$(B)/wider/bpf/%.bpf.o: $(WIDER)/core/packet.h
	@mkdir -p $(@D)
	$(BPF_GUARD) $(BPF_CC) $(BPF_CFLAGS) -c $(WIDER)/bpf/$*.bpf.c -o $@
	$(BPF_STRIP) -g $@

.SECONDARY: $(patsubst bpf/%.c,$(B)/second/bpf/%.o,$(BPF_SRC)) $(patsubst bpf/%.c,$(B)/wider/bpf/%.o,$(BPF_SRC))

ALL_OBJ = $(CLI_OBJ) $(CTL_OBJ) $(POLICY_OBJ)
# $(1): its folder; everything but the programs, and what it calls itself, is as in the build itself
define NEXT_BUILD
$(B)/$(1)/gen/%.skel.h: $(B)/$(1)/bpf/%.bpf.o
	@mkdir -p $$(@D)
	$$(BPFTOOL) gen skeleton $$< name $$(subst -,_,$$*) > $$@.tmp
	mv $$@.tmp $$@

$(B)/$(1)/load.o $(B)/$(1)/gate.o: $(B)/$(1)/%.o: ctl/%.c $(patsubst bpf/%.bpf.c,$(B)/$(1)/gen/%.skel.h,$(BPF_SRC))
	$$(CC) -I$(B)/$(1)/gen $$(ALL_CFLAGS) -c $$< -o $$@

$(B)/$(1)/main.o: cli/main.c
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -DSP_VERSION='"$$(VERSION)-$(1)"' -c $$< -o $$@

$(B)/$(1)/sally: $(B)/$(1)/main.o $(B)/$(1)/load.o $(B)/$(1)/gate.o $$(ALL_OBJ) $(B)/libhost.a $(B)/sallyd
	$$(CC) $$(CFLAGS) -o $$@ $$(filter-out %/cli/main.o $(B)/ctl/load.o $(B)/ctl/gate.o,$$(filter %.o,$$^)) \
		$(B)/libhost.a $$(LDLIBS)
	cp $(B)/sallyd $$(@D)/sallyd
endef
$(eval $(call NEXT_BUILD,second))
$(eval $(call NEXT_BUILD,wider))

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

FAULTS_NEED = $(B)/sally $(B)/sallyd $(B)/second/sally $(B)/wider/sally $(B)/other/sally
FAULTS_NEED += $(B)/tests/faults/knock $(B)/tests/faults/listen
FAULTS_NEED += $(B)/tests/faults/poor.so
FAULTS_ENV = SP_BUILD=$(abspath $(B)) SALLY=$(abspath $(B)/sally) SP_NS_PREFIX=spfaults

.PHONY: check-faults faults
check-faults: $(FAULTS_NEED) ## kills, upgrades, lost interfaces, poor kernels: never unguarded, one clear line
	$(FAULTS_ENV) $(PYTHON) -B -m pytest -q -p no:cacheprovider --durations=5 tests/faults

faults: $(FAULTS_NEED) ## the same kills, N=1000 of them
	$(FAULTS_ENV) nice $(PYTHON) -B tests/faults/kills.py $(N)
