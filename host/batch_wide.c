/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches for processors with AVX2, several threads. */
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC target("avx2,bmi,bmi2")
#endif
#define SP_BATCH_WAY(verb) sp_##verb##_wide
#include "batch_run.h"
