# SPDX-License-Identifier: BSD-2-Clause
# The oldest kernel supported, Linux 6.1, in a virtual machine: load, guard, refuse, and the scenarios.

CHECKS += check-vm

VM_NEEDS := $(B)/sally $(BPF_OBJ) $(BPF16_OBJ) $(B)/tests/loader
# the scenarios run there too, where they exist
VM_NEEDS += $(if $(wildcard tests/scenario.mk),$(B)/scenario)

.PHONY: check-vm
check-vm: $(VM_NEEDS) ## the same on Linux 6.1, in a virtual machine
	tests/vm/run $(B)
