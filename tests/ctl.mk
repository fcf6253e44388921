# SPDX-License-Identifier: BSD-2-Clause
# What commands read and write, and the corners of coming up and going down.
CHECKS += check-cli check-ctl

.PHONY: check-cli check-ctl
check-cli: $(B)/tests/ctl/words ## addresses, endpoints, filters and JSON as commands read and write them
	$<

check-ctl: $(B)/sally $(B)/sallyd ## corners of up and down: filters of others, lost pins, kills, dead namespaces, containers
	SALLY=$(abspath $(B)/sally) $(PYTHON) -B -m pytest -q -p no:cacheprovider tests/ctl

$(B)/tests/ctl/words: $(B)/tests/ctl/words.o $(B)/cli/text.o $(B)/cli/json.o $(B)/cli/filter.o $(B)/libhost.a
	$(CC) $(CFLAGS) -o $@ $^
