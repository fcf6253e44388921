/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a configuration for a command: load, say what is wrong with it, compile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	else if (sp_policy_compile_after(p, sp_zone_names(), image, why, sizeof(why)))
		code = sp_fail(SP_EXIT_FAILED, "%s; nothing has changed", why);
	if (code || !policy)
		sp_policy_free(p);
	else
		*policy = p;
	return code;
}

int sp_config_zoning(const struct sp_policy *p, const struct sp_image_line *image, struct sp_zoning *z)
{
	for (sp_u32 i = 0; i < p->n_lines; i++) {
		const struct sp_sentence *line = p->lines[i];
		const sp_u32 zone = line->kind == SP_KIND_ZONE && image ? sp_image_zone_number(image, line->subject) :
				    SP_ZONE_NONE;

		for (sp_u32 k = 0; zone != SP_ZONE_NONE && k < line->from.n; k++) {
			if (z->count == SP_MAX_IFACES)
				return sp_usage("too many interfaces", line->from.v[k].text);
			z->place[z->count++] = (struct sp_place){ .name = line->from.v[k].text, .zone = zone,
								  .named = SP_NAMED_BY_FILE };
		}
	}
	return SP_EXIT_OK;
}

/* Only zones are asked for: networks in files, which may be a million, need not be there. */
static int no_file(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	return -ENOENT;
}

static int no_files(void *ctx, const char *pattern, char ***paths, size_t *n)
{
	*paths = NULL;
	*n = 0;
	return 0;
}

int sp_config_zoning_before(const struct sp_image_line *image, struct sp_zoning *z, struct sp_policy **policy)
{
	static const struct sp_policy_io io = { .read = no_file, .list = no_files };
	const struct sp_policy_options options = { .io = &io };
	const char *text = image ? sp_image_text(image) : "";

	if (sp_policy_load_text("-", text, strlen(text), &options, policy))
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	return sp_config_zoning(*policy, image, z);
}
