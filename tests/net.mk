# SPDX-License-Identifier: BSD-2-Clause
# Real programs through the live firewall, in network namespaces.
CHECKS += check-net

NET_PYTEST = SALLY=$(abspath $(B)/sally) SP_FILL=$(abspath $(B)/tests/net/fill) \
	FLOOD=$(abspath $(B)/bench/flood) \
	$(PYTHON) -B -m pytest -q -p no:cacheprovider --durations=5

.PHONY: check-net
check-net: $(B)/bench/flood
check-net: $(B)/sally $(B)/sallyd $(B)/tests/net/fill ## real programs, scans and the life of the firewall, in namespaces
	$(NET_PYTEST) tests/net

$(B)/tests/net/fill: $(B)/tests/net/fill.o $(CTL_OBJ) $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
