# SPDX-License-Identifier: BSD-2-Clause
# Real programs through the live firewall, in network namespaces.
CHECKS += check-net

NET_ENV = SALLY=$(abspath $(B)/sally) SP_FILL=$(abspath $(B)/tests/net/fill) FLOOD=$(abspath $(B)/bench/flood)
NET_PYTEST = $(NET_ENV) $(PYTHON) -B tests/net/at_once.py

# What counts packets or milliseconds against a flood or the clock, or sends all that fits, has the machine for itself; the
# rest takes half as long in two shares. A new file is in the second one.
NET_ALONE = $(patsubst %,tests/net/test_%.py,flood glance million nat_bulk)
NET_FIRST = $(patsubst %,tests/net/test_%.py,abandoned addresses apply apply_faults bad_input compare edit express jobs \
	lane_bytes lane_config lane_first lane_path life log takeover zones)
NET_SECOND = $(filter-out $(NET_ALONE) $(NET_FIRST),$(wildcard tests/net/test_*.py))

.PHONY: check-net
check-net: $(B)/bench/flood
check-net: $(B)/sally $(B)/sallyd $(B)/tests/net/fill ## real programs, scans and the life of the firewall, in namespaces
	$(NET_PYTEST) $(NET_ALONE)
	$(NET_PYTEST) $(NET_FIRST) -- $(NET_SECOND)

$(B)/tests/net/fill: $(B)/tests/net/fill.o $(CTL_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
