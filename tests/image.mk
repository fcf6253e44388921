# SPDX-License-Identifier: BSD-2-Clause
# Compiled policies: against an evaluator that walks the tree, at their limits, damaged.

CHECKS += check-image check-image-kernel

IMAGE_DIR := $(B)/tests/image
IMAGE_DEPS := tests/image.mk $(wildcard core/*.h port/*.h host/*.h policy/*.h tests/policy/image*.h)
IMAGE_C := $(wildcard tests/policy/image*.c)

.PHONY: check-image check-image-kernel
check-image: $(IMAGE_DIR)/test ## compiled policies: against the tree, at their limits, damaged
	$(IMAGE_DIR)/test

check-image-kernel: $(IMAGE_DIR)/kernel_cost ## what the kernel's programs pay for a large policy
	$(IMAGE_DIR)/kernel_cost

# optimised: it measures, too
$(IMAGE_DIR)/test: $(IMAGE_C) $(POLICY_OBJ) $(B)/libhost.a $(IMAGE_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -o $@ $(IMAGE_C) $(POLICY_OBJ) $(B)/libhost.a

KERNEL_COST_C := tests/policy/kernel_cost.c $(addprefix tests/policy/image_,model.c random.c large.c)
$(IMAGE_DIR)/kernel_cost: $(KERNEL_COST_C) $(POLICY_OBJ) $(B)/libhost.a $(SKEL) $(IMAGE_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -o $@ $(KERNEL_COST_C) $(POLICY_OBJ) \
		$(B)/libhost.a $(LDLIBS)
