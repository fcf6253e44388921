# SPDX-License-Identifier: BSD-2-Clause
# Every kernel program loads, built by either compiler, and costs no more instructions and stack than it may.

CHECKS += check-verifier
BPF16_CC ?= clang-16
BPF16_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf16/%.bpf.o)

$(B)/bpf16/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(BPF_GUARD) $(BPF16_CC) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@

$(B)/tests/loader: tests/verifier/loader.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $< -lbpf

.PHONY: check-verifier
check-verifier: $(BPF_OBJ) $(BPF16_OBJ) $(B)/tests/loader ## load every kernel program within its budget, and its stack
	PYTHON="$(PYTHON)" tests/verifier/run $(B)
