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
 * 0, and *out is filled in. -ENOMEM. -E2BIG: beyond a limit of the image; why (at most size bytes) says which one, and
 * where the file and its line are to blame, those. -EEXIST: two forwards contradict each other; likewise.
 */
int sp_policy_compile(const struct sp_policy *p, struct sp_image *out, char *why, size_t size) SP_MUST;

/*
 * The same, for a firewall that is up: before has SP_ZONES_MAX names of zones, by the numbers that they have there; a
 * zone that is still there keeps its number, and a new one gets one that none had, while there are such.
 */
int sp_policy_compile_after(const struct sp_policy *p, const char (*before)[SP_IMAGE_NAME], struct sp_image *out,
			    char *why, size_t size) SP_MUST;

#endif
