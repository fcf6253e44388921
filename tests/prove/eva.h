/* SPDX-License-Identifier: BSD-2-Clause */
/* What Frama-C's Eva has to be told of gcc's built-in functions, and values that may be anything. */
#ifndef SP_TESTS_PROVE_EVA_H
#define SP_TESTS_PROVE_EVA_H

#include "__fc_builtin.h"
#include <string.h>

#define __builtin_bswap16(x) eva_swap16(x)
#define __builtin_bswap32(x) eva_swap32(x)
#define __builtin_bswap64(x) eva_swap64(x)
#define __builtin_memcpy memcpy

static unsigned short eva_swap16(unsigned short v);
static unsigned int eva_swap32(unsigned int v);
static unsigned long long eva_swap64(unsigned long long v);

#include "../../core/types.h"

static sp_u16 eva_swap16(sp_u16 v)
{
	return (sp_u16)(v >> 8 | (v & 0xffu) << 8);
}

static sp_u32 eva_swap32(sp_u32 v)
{
	return (sp_u32)eva_swap16((sp_u16)v) << 16 | eva_swap16((sp_u16)(v >> 16));
}

static sp_u64 eva_swap64(sp_u64 v)
{
	return (sp_u64)eva_swap32((sp_u32)v) << 32 | eva_swap32((sp_u32)(v >> 32));
}

/* each read is another value, any that its type has */
static volatile sp_u8 any_u8;
static volatile sp_u16 any_u16;
static volatile sp_u32 any_u32;
static volatile sp_u64 any_u64;

/* 0 or 1 */
static inline int any_bit(void)
{
	return any_u8 & 1;
}

#endif
