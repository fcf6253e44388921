# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of the core and the native engine, from inside.

CHECKS += check-unit

UNIT_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/*.c))

$(B)/unit: $(UNIT_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

.PHONY: check-unit
check-unit: $(B)/unit ## layouts, keys, hash, configuration and flow table, from inside
	$(B)/unit
