/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches for processors with AVX2, an engine with one thread. */
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC target("avx2,bmi,bmi2")
#endif
#define SP_ALONE
#define SP_BATCH_WAY(verb) sp_##verb##_wide_alone
#include "batch_run.h"
