/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches for any processor, an engine with one thread. */
#define SP_ALONE
#define SP_RUN sp_batch_alone
#include "batch_run.h"
