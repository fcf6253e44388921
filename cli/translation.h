/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sally status` says of translation. */
#ifndef SP_CLI_TRANSLATION_H
#define SP_CLI_TRANSLATION_H

#include "cli.h"

/* Ports in use, by protocol: TCP, UDP, identifiers of ICMP queries. */
struct sp_in_use {
	sp_u32 ports[SP_NAT_PROTOS];
};

/* The addresses that this machine translates to, or answers to for `forward`; conversations: how many are translated. */
void sp_translation_text(const struct sp_live *l, const struct sp_links *links, sp_u32 conversations);
void sp_translation_json(struct sp_json *j, const struct sp_live *l, const struct sp_links *links);

#endif
