/* SPDX-License-Identifier: BSD-2-Clause */
/* Pointer chases: one access after the other, or several chains at once. */
#include "memory.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "traffic.h"

#define LINE 128
#define CHAINS 32

struct memory {
	sp_u64 bytes;
	sp_u8 *lines; /* the first word of each: index of the next */
	sp_u32 count, at[CHAINS];
};

struct memory *memory_new(sp_u64 bytes)
{
	struct memory *m = calloc(1, sizeof(*m));
	sp_u64 random = 7;
	sp_u32 *order;

	if (!m)
		return NULL;
	m->count = (sp_u32)(bytes / LINE);
	m->bytes = (sp_u64)m->count * LINE;
	m->lines = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	order = malloc(m->count * sizeof(*order));
	if (m->lines == MAP_FAILED || !order) {
		free(order);
		free(m);
		return NULL;
	}
	madvise(m->lines, m->bytes, MADV_HUGEPAGE);
	for (sp_u32 i = 0; i < m->count; i++)
		order[i] = i;
	for (sp_u32 i = m->count - 1; i; i--) {
		const sp_u32 j = (sp_u32)(traffic_random(&random) % (i + 1)), was = order[i];

		order[i] = order[j];
		order[j] = was;
	}
	for (sp_u32 i = 0; i < m->count; i++)
		*(sp_u32 *)(m->lines + (sp_u64)order[i] * LINE) = order[(i + 1) % m->count];
	for (sp_u32 c = 0; c < CHAINS; c++)
		m->at[c] = order[(sp_u64)c * m->count / CHAINS];
	free(order);
	return m;
}

void memory_free(struct memory *m)
{
	munmap(m->lines, m->bytes);
	free(m);
}

double memory_chase(struct memory *m, sp_u32 chains, sp_u32 steps)
{
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (sp_u32 n = 0; n < steps; n++)
		for (sp_u32 c = 0; c < chains; c++)
			m->at[c] = *(volatile sp_u32 *)(m->lines + (sp_u64)m->at[c] * LINE);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / steps / chains;
}
