/* SPDX-License-Identifier: BSD-2-Clause */
/* Which source a packet leaves with: the fast path beside the pipeline, in each state. */
#ifndef SP_PROPERTIES_SOURCE_H
#define SP_PROPERTIES_SOURCE_H

unsigned every_source(void);

#endif
