# SPDX-License-Identifier: BSD-2-Clause
# What lines want beyond yes or no: rate, limit, idle time, on the native engine, with fake time and with threads.

CHECKS += check-orders

ORDERS_C := $(wildcard tests/orders/*.c)
ORDERS_DEPS := tests/orders.mk $(wildcard core/*.h port/*.h host/*.h policy/*.h tests/orders/*.h)

.PHONY: check-orders
check-orders: $(B)/tests/orders/test ## rate, limit and idle time of a line: boundaries, sums, threads
	$(B)/tests/orders/test

$(B)/tests/orders/test: $(ORDERS_C) $(POLICY_OBJ) $(B)/libhost.a $(ORDERS_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -pthread -o $@ $(ORDERS_C) $(POLICY_OBJ) \
		$(B)/libhost.a
