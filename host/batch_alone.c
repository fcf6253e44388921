/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches for any processor, an engine with one thread. */
#define SP_ALONE
#define SP_BATCH_WAY(verb) sp_##verb##_alone
#include "batch_run.h"
