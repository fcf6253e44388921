# SPDX-License-Identifier: BSD-2-Clause
# The bench of the native engine: packets beside the memory's limits. As a check only that it works; no time is judged.

CHECKS += check-bench-native

NATIVE_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard bench/native/*.c))

$(B)/bench/native/native: $(NATIVE_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^

.PHONY: bench-native check-bench-native
bench-native: $(B)/bench/native/native ## what a packet costs natively, beside the memory's limits (a minute)
	$< --json $(B)/bench/native.json

check-bench-native: $(B)/bench/native/native ## the native bench works (a short run; its times are not judged)
	$< --smoke --json $(B)/bench/smoke.json
	@$(PYTHON) -c 'import json, sys; r = json.load(open(sys.argv[1])); n = sum(x["median_ns"] > 0 for x in r); \
		print(f"{n} passed, {len(r) - n} failed, 0 skipped"); sys.exit(n != len(r) or n < 20)' $(B)/bench/smoke.json
