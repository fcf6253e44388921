/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a configuration for a command: load, say what is wrong with it, compile. */
#include <stdlib.h>

#include "cli.h"
#include "config.h"

int sp_config_compile(const char *file, struct sp_image *image, struct sp_policy **policy)
{
	struct sp_policy *p = NULL;
	char why[300];
	int code = SP_EXIT_OK;

	if (sp_policy_load(file, NULL, &p))
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	for (sp_u32 i = 0; i < p->n_diags; i++)
		sp_put_diag(stderr, &p->diags[i]);
	if (p->errors)
		code = sp_fail(SP_EXIT_FAILED, "%s: %u error%s; nothing has changed", file, p->errors,
			       p->errors == 1 ? "" : "s");
	else if (sp_policy_compile(p, image, why, sizeof(why)))
		code = sp_fail(SP_EXIT_FAILED, "%s; nothing has changed", why);
	if (code || !policy)
		sp_policy_free(p);
	else
		*policy = p;
	return code;
}

int sp_config_interfaces(const struct sp_policy *p, int (*take)(void *arg, const char *name, const char *zone), void *arg)
{
	int rc = 0;

	for (sp_u32 i = 0; i < p->n_lines && !rc; i++) {
		const struct sp_sentence *line = p->lines[i];

		for (sp_u32 k = 0; line->kind == SP_KIND_ZONE && k < line->from.n && !rc; k++)
			rc = take(arg, line->from.v[k].text, line->subject);
	}
	return rc;
}
