/* SPDX-License-Identifier: BSD-2-Clause */
/* Integer and byte-order types of the core: freestanding, for the host and for BPF. */
#ifndef SP_CORE_TYPES_H
#define SP_CORE_TYPES_H

typedef unsigned char sp_u8;
typedef unsigned short sp_u16;
typedef unsigned int sp_u32;
typedef unsigned long long sp_u64;
typedef signed int sp_s32;
typedef signed long long sp_s64;

/* Values in network byte order are one-member structs: comparing one with an integer does not compile. */
typedef struct {
	sp_u16 raw;
} sp_be16;
typedef struct {
	sp_u32 raw;
} sp_be32;

static inline __attribute__((always_inline)) sp_u16 sp_ntoh16(sp_be16 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(v.raw);
#else
	return v.raw;
#endif
}

static inline __attribute__((always_inline)) sp_u32 sp_ntoh32(sp_be32 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap32(v.raw);
#else
	return v.raw;
#endif
}

static inline __attribute__((always_inline)) sp_be16 sp_hton16(sp_u16 v)
{
	sp_be16 be = { v };

	be.raw = sp_ntoh16(be);
	return be;
}

static inline __attribute__((always_inline)) sp_be32 sp_hton32(sp_u32 v)
{
	sp_be32 be = { v };

	be.raw = sp_ntoh32(be);
	return be;
}

/* Eight bytes as they lie in memory, read as one big-endian number; and back. */
static inline __attribute__((always_inline)) sp_u64 sp_hton64(sp_u64 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap64(v);
#else
	return v;
#endif
}

#define SP_INLINE static inline __attribute__((always_inline))
#define SP_NULL ((void *)0)

/*
 * n (a constant) bytes from a frame, or to it: by words, which the verifier lets lie anywhere where the processor does. By
 * itself clang copies what may lie anywhere byte by byte, and takes a hundred instructions for a header of twenty bytes.
 */
#if defined(__bpf__) && (defined(__TARGET_ARCH_x86) || defined(__TARGET_ARCH_arm64))
typedef sp_u32 __attribute__((may_alias)) sp_word32;
typedef sp_u16 __attribute__((may_alias)) sp_word16;

SP_INLINE void sp_from_frame(void *to, const void *from, sp_u32 n)
{
	sp_u32 at = 0;

#pragma unroll
	for (; at + 4 <= n; at += 4) {
		const sp_u32 word = *(const sp_word32 *)((const sp_u8 *)from + at);

		__builtin_memcpy((sp_u8 *)to + at, &word, 4);
	}
	if (n & 2) {
		const sp_u16 word = *(const sp_word16 *)((const sp_u8 *)from + at);

		__builtin_memcpy((sp_u8 *)to + at, &word, 2);
		at += 2;
	}
	if (n & 1)
		((sp_u8 *)to)[at] = ((const sp_u8 *)from)[at];
}

SP_INLINE void sp_to_frame(void *to, const void *from, sp_u32 n)
{
	sp_u32 at = 0;

#pragma unroll
	for (; at + 4 <= n; at += 4) {
		sp_u32 word;

		__builtin_memcpy(&word, (const sp_u8 *)from + at, 4);
		*(sp_word32 *)((sp_u8 *)to + at) = word;
	}
	if (n & 2) {
		sp_u16 word;

		__builtin_memcpy(&word, (const sp_u8 *)from + at, 2);
		*(sp_word16 *)((sp_u8 *)to + at) = word;
		at += 2;
	}
	if (n & 1)
		((sp_u8 *)to)[at] = ((const sp_u8 *)from)[at];
}
#else
#define sp_from_frame(to, from, n) ((void)__builtin_memcpy((to), (from), (n)))
#define sp_to_frame(to, from, n) ((void)__builtin_memcpy((to), (from), (n)))
#endif

#define SP_MUST __attribute__((warn_unused_result))
#define SP_NS_PER_S 1000000000ULL

#endif
