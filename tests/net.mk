# SPDX-License-Identifier: BSD-2-Clause
# Real programs through the live firewall, in network namespaces.
CHECKS += check-net

NET_ENV = SALLY=$(abspath $(B)/sally) SP_FILL=$(abspath $(B)/tests/net/fill) FLOOD=$(abspath $(B)/bench/flood)
NET_PYTEST = $(NET_ENV) $(PYTHON) -B tests/net/at_once.py

# What counts packets or milliseconds against a flood or the clock, or sends all that fits, has the machine for itself; the
# rest, which waits much of its time, goes in three shares at once. A new file is in the third one.
NET_ALONE = $(patsubst %,tests/net/test_%.py,flood glance million nat_bulk)
NET_FIRST = $(patsubst %,tests/net/test_%.py,abandoned addresses apply apply_faults bad_input compare edit jobs life)
NET_SECOND = $(patsubst %,tests/net/test_%.py,express lane_bytes lane_config lane_first lane_path lane_listens log orders \
	reject takeover trial zones)
NET_THIRD = $(filter-out $(NET_ALONE) $(NET_FIRST) $(NET_SECOND),$(wildcard tests/net/test_*.py))

.PHONY: check-net
check-net: $(B)/bench/flood
check-net: $(B)/sally $(B)/sallyd $(B)/tests/net/fill ## real programs, scans and the life of the firewall, in namespaces
	$(NET_PYTEST) $(NET_ALONE)
	$(NET_PYTEST) $(NET_FIRST) -- $(NET_SECOND) -- $(NET_THIRD)

$(B)/tests/net/fill: $(B)/tests/net/fill.o $(CTL_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
