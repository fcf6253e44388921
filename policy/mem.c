/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory of a policy: taken in small pieces, given back all at once, so that no error path can leak. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#ifndef SP_POLICY_CHUNK /* tests make it small, so that each of many allocations can fail */
#define SP_POLICY_CHUNK 32768
#endif

struct sp_chunk {
	struct sp_chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

void *sp_mem_get(struct sp_policy *p, size_t size)
{
	struct sp_chunk *c = p->priv->chunks;
	size_t need = (size + 15) & ~(size_t)15;

	if (need < size)
		return NULL;
	if (!c || c->size - c->used < need) {
		size_t room = need > SP_POLICY_CHUNK ? need : SP_POLICY_CHUNK;
		struct sp_chunk *fresh = calloc(1, sizeof(*fresh) + room);

		if (!fresh)
			return NULL;
		fresh->size = room;
		fresh->next = c;
		p->priv->chunks = c = fresh;
	}
	c->used += need;
	return c->data + c->used - need;
}

char *sp_mem_text(struct sp_policy *p, const char *s, size_t len)
{
	char *out = sp_mem_get(p, len + 1);

	if (out && len)
		memcpy(out, s, len);
	return out;
}

char *sp_mem_vprintf(struct sp_policy *p, const char *fmt, va_list ap)
{
	va_list again;
	char *out;
	int len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (len < 0)
		return NULL;
	out = sp_mem_get(p, (size_t)len + 1);
	if (out)
		vsnprintf(out, (size_t)len + 1, fmt, ap);
	return out;
}

char *sp_mem_printf(struct sp_policy *p, const char *fmt, ...)
{
	va_list ap;
	char *out;

	va_start(ap, fmt);
	out = sp_mem_vprintf(p, fmt, ap);
	va_end(ap);
	return out;
}

int sp_mem_room(struct sp_policy *p, void **v, sp_u32 n, sp_u32 *cap, size_t size)
{
	sp_u32 more = *cap ? *cap * 2 : 4;
	void *fresh;

	if (n < *cap)
		return 0;
	fresh = sp_mem_get(p, more * size);
	if (!fresh)
		return -ENOMEM;
	if (n)
		memcpy(fresh, *v, n * size);
	*v = fresh;
	*cap = more;
	return 0;
}

void sp_mem_fini(struct sp_policy *p)
{
	struct sp_chunk *c = p->priv->chunks;

	while (c) {
		struct sp_chunk *next = c->next;

		free(c);
		c = next;
	}
	p->priv->chunks = NULL;
}
