# SPDX-License-Identifier: BSD-2-Clause
# The bench: what a packet costs, beside the peers, in one run. As a check only that it works; no time is judged.

CHECKS += check-bench

BENCH := SALLY=$(abspath $(B)/sally) BLAST=$(abspath $(B)/bench/blast) PINGPONG=$(abspath $(B)/bench/pingpong) \
	RESIDENT=$(abspath $(B)/bench/resident) BENCH_PROGRAMS=$(abspath $(B)/bench/bench.bpf.o) \
	NATIVE=$(abspath $(B)/bench/native/native) $(PYTHON) -B bench/bench.py
BENCH_NEEDS := $(B)/sally $(B)/bench/blast $(B)/bench/pingpong $(B)/bench/resident $(B)/bench/native/native

$(B)/bench/bench.bpf.o: bench/bench.bpf.c bench/bench.h
	@mkdir -p $(@D)
	$(BPF_GUARD) $(BPF_CC) $(BPF_CFLAGS) -c $< -o $@
	$(BPF_STRIP) -g $@

$(B)/bench/bench.skel.h: $(B)/bench/bench.bpf.o
	$(BPFTOOL) gen skeleton $< name bench > $@.tmp
	mv $@.tmp $@

$(B)/bench/blast: bench/blast.c bench/bench.h $(B)/bench/bench.skel.h
	$(CC) $(ALL_CFLAGS) -I$(B)/bench -o $@ $< -lbpf

$(B)/bench/pingpong: bench/pingpong.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $<

$(B)/bench/resident: bench/resident.c $(B)/libhost.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(B)/libhost.a

.PHONY: bench check-bench
bench: $(BENCH_NEEDS) ## what all costs, beside plain forwarding, nftables and bare XDP, into docs/bench (root; minutes)
	$(BENCH) --parts all --out docs/bench

check-bench: $(BENCH_NEEDS) ## the bench works (a short run; its times are not judged)
	$(BENCH) --smoke
