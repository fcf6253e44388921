/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of it all: services, parse, check, name, warn, sort. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static struct sp_policy *policy_new(const struct sp_policy_io *io)
{
	struct sp_policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->priv = calloc(1, sizeof(*p->priv));
	if (!p->priv) {
		free(p);
		return NULL;
	}
	p->priv->io = io;
	return p;
}

void sp_policy_free(struct sp_policy *p)
{
	sp_u32 i;

	if (!p)
		return;
	for (i = 0; i < p->n_files; i++)
		free(p->priv->sources[i]->data);
	sp_mem_fini(p);
	free(p->priv);
	free(p);
}

/* A system without such a file is no error: the names that are built in are left. One that was asked for has to be
 * there. */
static int load_services(struct sp_policy *p, const char *path)
{
	const char *file = path ? path : "/etc/services";
	struct sp_span at = { file, 0, 0, 0 };
	char *data = NULL;
	size_t len = 0;
	int rc = p->priv->io->read(p->priv->io->ctx, file, SP_POLICY_FILE_MAX, &data, &len);

	if (rc)
		return rc == -ENOMEM ? rc
		       : path ? sp_diag_add(p, SP_SEVERITY_ERROR, &at, NULL, NULL, "can not read it: %s", strerror(-rc))
			      : 0;
	rc = sp_services_read(p, data, len);
	free(data);
	return rc;
}

static int load_source(struct sp_policy *p, const char *services, const struct sp_source *source)
{
	int rc = load_services(p, services);

	if (!rc)
		rc = sp_parse_source(p, source);
	if (!rc)
		rc = sp_check(p);
	/* a tree with errors has holes, and warnings about it would mislead */
	if (!rc && !p->errors)
		rc = sp_name_lines(p);
	if (!rc && !p->errors)
		rc = sp_check_matter(p);
	if (!rc)
		sp_diag_sort(p);
	return rc;
}

int sp_policy_load(const char *path, const struct sp_policy_options *options, struct sp_policy **out)
{
	const struct sp_policy_io *io = options && options->io ? options->io : &sp_policy_files;
	struct sp_policy *p = policy_new(io);
	struct sp_span at = { path, 0, 0, 0 };
	struct sp_source *source;
	int rc;

	if (!p)
		return -ENOMEM;
	at.file = sp_mem_text(p, path, strlen(path));
	rc = at.file ? sp_source_open(p, at.file, SP_POLICY_FILE_MAX, &at, &source) : -ENOMEM;
	if (!rc)
		rc = load_source(p, options ? options->services : NULL, source);
	if (rc < 0) {
		sp_policy_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

int sp_policy_load_text(const char *name, const char *text, size_t len, const struct sp_policy_options *options,
			struct sp_policy **out)
{
	struct sp_policy *p = policy_new(options && options->io ? options->io : &sp_policy_files);
	char *data = malloc(len + 1);
	struct sp_source *source;
	int rc = p && data ? 0 : -ENOMEM;

	if (!rc) {
		memcpy(data, text, len);
		rc = sp_source_add(p, name, data, len, &source);
		data = NULL;
	}
	if (!rc)
		rc = load_source(p, options ? options->services : NULL, source);
	free(data);
	if (rc < 0) {
		sp_policy_free(p);
		return rc;
	}
	*out = p;
	return 0;
}
