# SPDX-License-Identifier: BSD-2-Clause
# Compiled policies: against an evaluator that walks the tree, at their limits, damaged, and fuzzed.

CHECKS += check-image check-image-kernel

IMAGE_DIR := $(B)/tests/image
IMAGE_DEPS := tests/image.mk $(wildcard core/*.h port/*.h host/*.h policy/*.h tests/policy/image*.h)
IMAGE_C := $(wildcard tests/policy/image*.c)
IMAGE_HOST := host/engine.c host/names.c host/craft.c host/glance.c
IMAGE_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -g -O1 -std=gnu11 -fno-strict-aliasing $(WARN) -I.

.PHONY: check-image check-image-kernel fuzz-image
check-image: $(IMAGE_DIR)/test $(IMAGE_DIR)/fuzz ## compiled policies: against the tree, at their limits, damaged
	$(IMAGE_DIR)/test
	$(call FUZZ_IMAGE,5)

check-image-kernel: $(IMAGE_DIR)/kernel_cost ## what the kernel's programs pay for a large policy
	$(IMAGE_DIR)/kernel_cost

fuzz-image: $(IMAGE_DIR)/fuzz ## fuzz images and the questions put to them for FUZZ_S=600 seconds
	$(call FUZZ_IMAGE,$(or $(FUZZ_S),600))

FUZZ_IMAGE = mkdir -p $(IMAGE_DIR)/corpus && $(IMAGE_DIR)/fuzz -max_total_time=$(1) -max_len=256 -len_control=0 -timeout=10 \
	-artifact_prefix=$(IMAGE_DIR)/ -print_final_stats=1 -verbosity=0 $(IMAGE_DIR)/corpus

# optimised: it measures, too
$(IMAGE_DIR)/test: $(IMAGE_C) $(POLICY_OBJ) $(B)/libhost.a $(IMAGE_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -o $@ $(IMAGE_C) $(POLICY_OBJ) $(B)/libhost.a

KERNEL_COST_C := tests/policy/kernel_cost.c $(addprefix tests/policy/image_,model.c random.c large.c)
$(IMAGE_DIR)/kernel_cost: $(KERNEL_COST_C) $(POLICY_OBJ) $(B)/libhost.a $(SKEL) $(IMAGE_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -fno-strict-aliasing $(WARN) $(CFLAGS) $(CPPFLAGS) -o $@ $(KERNEL_COST_C) $(POLICY_OBJ) \
		$(B)/libhost.a $(LDLIBS)

$(IMAGE_DIR)/fuzz: tests/fuzz/image_fuzz.c $(IMAGE_HOST) $(wildcard policy/*.c) $(IMAGE_DEPS)
	@mkdir -p $(@D)
	clang-19 $(IMAGE_SANITIZE) -fsanitize=fuzzer -o $@ $< $(IMAGE_HOST) $(wildcard policy/*.c)
