/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches for any processor, several threads. */
#define SP_RUN sp_batch_plain
#include "batch_run.h"
