# SPDX-License-Identifier: BSD-2-Clause
# The oldest kernel supported, Linux 6.1, in a virtual machine: load, guard, refuse, and the scenarios. Others on demand.

CHECKS += check-vm

VM_NEEDS := $(B)/sally $(BPF_OBJ) $(BPF16_OBJ) $(B)/tests/loader
# the scenarios run there too, where they exist
VM_NEEDS += $(if $(wildcard tests/scenario.mk),$(B)/scenario)

.PHONY: check-vm kernels
check-vm: $(VM_NEEDS) ## the same on Linux 6.1, in a virtual machine
	tests/vm/run $(B)

kernels: $(VM_NEEDS) ## the same on each of Debian's kernels, or KERNELS="6.1-rt 7.3"; and the table of docs/kernels.md
	tests/vm/all $(B) $(KERNELS)
