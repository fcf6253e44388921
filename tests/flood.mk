# SPDX-License-Identifier: BSD-2-Clause
# Floods: the generator, which the network tests use, too, and the curve of attack rate against what is left for others.

$(B)/bench/flood.bpf.o: bench/flood.bpf.c bench/flood.h
	@mkdir -p $(@D)
	$(BPF_GUARD) $(BPF_CC) $(BPF_CFLAGS) -c $< -o $@
	$(BPF_STRIP) -g $@

$(B)/bench/flood.skel.h: $(B)/bench/flood.bpf.o
	$(BPFTOOL) gen skeleton $< name flood > $@.tmp
	mv $@.tmp $@

$(B)/bench/flood: bench/flood.c bench/flood.h $(B)/bench/flood.skel.h
	$(CC) $(ALL_CFLAGS) -I$(B)/bench -o $@ $< -lbpf

.PHONY: flood-curve
flood-curve: $(B)/sally $(B)/bench/flood ## what a flood of SYNs leaves for others, beside nftables (root; ten minutes)
	SALLY=$(abspath $(B)/sally) FLOOD=$(abspath $(B)/bench/flood) $(PYTHON) -B bench/flood_curve.py \
		--svg docs/floods.svg --json docs/bench/floods.json
