/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches for any processor, several threads. */
#define SP_BATCH_WAY(verb) sp_##verb##_plain
#include "batch_run.h"
