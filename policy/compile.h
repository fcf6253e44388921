/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a checked policy to the image that the engine asks (core/policy_abi.h, docs/decisions/0011-policy-image.md).
 * Never prints, never exits. May be called by anybody; needs no privilege.
 */
#ifndef SP_POLICY_COMPILE_H
#define SP_POLICY_COMPILE_H

#include "image.h"
#include "policy.h"

/*
 * 0, and *out is filled in. -ENOMEM. -E2BIG: the table of lines would be too large. -ENOTSUP: a line that this version
 * can not carry out; both say why in why (at most size bytes), with file and line.
 */
int sp_policy_compile(const struct sp_policy *p, struct sp_image *out, char *why, size_t size) SP_MUST;

#endif
