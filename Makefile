# SPDX-License-Identifier: BSD-2-Clause
# Sallyport. `make help` lists what there is to do.

CC        ?= gcc
BPF_CC    ?= clang-19
BPF_STRIP ?= llvm-strip-19
BPFTOOL   ?= /usr/sbin/bpftool
PYTHON    ?= /usr/bin/python3
B         := build

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
CFLAGS  ?= -O2 -g
CPPFLAGS += -I. -I$(B)/gen
ALL_CFLAGS = -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -MMD -MP
LDLIBS  := -lbpf -lmnl -lpcap
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter \
	-Wno-missing-declarations -I. -I/usr/include/$(shell uname -m)-linux-gnu \
	-D__TARGET_ARCH_$(patsubst x86_64,x86,$(shell uname -m))
# a compiler that goes astray must not take the machine with it
BPF_GUARD := ulimit -v 3000000; timeout 120

VERSION := 0.1.0

BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
SKEL    := $(BPF_SRC:bpf/%.bpf.c=$(B)/gen/%.skel.h)

HOST_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard host/*.c))
# the engine's packet path: at -O2 gcc clears a packet's notes by a string instruction that takes as long as the parser
$(B)/host/engine.o $(B)/host/batch_%.o $(B)/bench/native/stages.o: CFLAGS += -O3 -fno-builtin-memset
CTL_OBJ  := $(patsubst %.c,$(B)/%.o,$(wildcard ctl/*.c))
POLICY_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard policy/*.c))
CLI_OBJ  := $(patsubst %.c,$(B)/%.o,$(wildcard cli/*.c))
DAEMON_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard daemon/*.c))

.PHONY: all help deps demo check clean
all: $(B)/sally $(B)/sallyd $(B)/man/sally-reasons.7 lib ## build sally, sallyd (kernel programs embedded), libsallyport

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(B)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(BPF_GUARD) $(BPF_CC) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@
	$(BPF_STRIP) -g $@

$(B)/gen/%.skel.h: $(B)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(BPFTOOL) gen skeleton $< name $(subst -,_,$*) > $@.tmp
	mv $@.tmp $@

$(B)/ctl/%.o: ctl/%.c $(SKEL)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DSP_VERSION='"$(VERSION)"' -c $< -o $@

$(B)/libhost.a: $(HOST_OBJ)
	rm -f $@
	$(AR) rcs $@ $^

$(B)/sally: $(CLI_OBJ) $(CTL_OBJ) $(POLICY_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $(CLI_OBJ) $(CTL_OBJ) $(POLICY_OBJ) $(B)/libhost.a $(LDLIBS)

$(B)/sallyd: $(DAEMON_OBJ) $(CTL_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $(DAEMON_OBJ) $(CTL_OBJ) $(B)/libhost.a $(LDLIBS)

$(B)/man/sally-reasons.7: $(B)/sally
	@mkdir -p $(@D)
	$< reasons --man > $@.tmp
	mv $@.tmp $@

deps: ## install the Debian packages that are missing (root)
	@packaging/install-deps

demo: ## the story of the firewall, told by live events of real packets (root)
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@B=$(B) demo/run

# cheap parts first; the virtual machine, which waits for one processor only, beside what neither listens nor looks at the
# clock (see tests/check); a part that is not named here comes last
CHECK_ORDER := style headers man cli unit orders verifier scenario-runner scenario scenario-lane \
	vm+ fuzz properties policy image image-kernel differential captures ctl lib bench-native wait \
	stress bench net faults
ORDERED = $(CHECK_ORDER:%=check-%)
IN_ORDER = $(filter $(CHECKS) $(CHECKS:%=%+) check-wait,$(ORDERED)) $(filter-out $(ORDERED) $(ORDERED:%+=%),$(CHECKS))
JOBS := -j$(shell nproc)
check: ## everything that can be checked, to the end, with a summary (root)
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@MAKE="$(MAKE)" tests/check $(B) $(IN_ORDER)

clean: ## remove everything that was built
	rm -rf $(B)

include lib/lib.mk
include $(wildcard tests/*.mk)
-include $(shell find $(B) -name '*.d' 2>/dev/null)
