/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes are a configuration: reading them neither crashes nor leaks, each diagnostic is in its file, and what was
 * found right prints a canonical form that parses to itself. Includes and files of networks are made of the same bytes.
 * Some of what is right is compiled, too: to an image that holds, or it is said why not.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../policy/compile.h"

#define COMPILED 32 /* one length in so many: an image is a megabyte */

#define CHECK(what) ((what) ? (void)0 : fail(#what, __LINE__))

struct bytes {
	const uint8_t *data;
	size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, int line)
{
	fprintf(stderr, "policy_fuzz: line %d: does not hold: %s\n", line, what);
	abort();
}

/* Every file but that of services exists: the second half of the bytes. */
static int read_file(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	static const char services[] = "ssh 22/tcp\nhttp 80/tcp www\ndomain 53/tcp\ndomain 53/udp\n";
	const struct bytes *all = ctx;
	const char *from = (const char *)all->data + all->size / 2;
	size_t n = all->size - all->size / 2;

	if (!strcmp(path, "/etc/services")) {
		from = services;
		n = sizeof(services) - 1;
	}
	if (n > max)
		return -EFBIG;
	*data = malloc(n + 1);
	if (!*data)
		return -ENOMEM;
	memcpy(*data, from, n);
	*len = n;
	return 0;
}

static int list_files(void *ctx, const char *pattern, char ***paths, size_t *n)
{
	*paths = malloc(sizeof(**paths));
	if (!*paths)
		return -ENOMEM;
	**paths = strdup("found.conf");
	*n = 1;
	return **paths ? 0 : -ENOMEM;
}

static void check_diags(const struct sp_policy *p)
{
	sp_u32 i, errors = 0;

	CHECK(p->n_diags <= SP_POLICY_DIAGS_MAX && p->n_diags <= p->errors + p->warnings);
	for (i = 0; i < p->n_diags; i++) {
		const struct sp_diag *d = &p->diags[i];

		CHECK(d->at.file && *d->message && !strchr(d->message, '\n'));
		CHECK(!d->source || d->at.column <= 401 || strlen(d->source) == 400);
		CHECK(!d->at.line || d->at.column);
		errors += d->severity == SP_SEVERITY_ERROR;
	}
	CHECK(errors <= p->errors);
}

/* Canonical text has no errors, and the same canonical text. */
static void check_round(const struct sp_policy *p, const struct sp_policy_options *options)
{
	char *once, *twice;
	size_t once_len, twice_len;
	struct sp_policy *again;
	sp_u32 i;

	if (sp_policy_print(p, &once, &once_len))
		return;
	CHECK(!sp_policy_load_text("again", once, once_len, options, &again));
	CHECK(!again->errors && again->n_lines == p->n_lines);
	CHECK(!sp_policy_print(again, &twice, &twice_len));
	CHECK(once_len == twice_len && !memcmp(once, twice, once_len));
	for (i = 0; i < p->n_lines; i++)
		CHECK(*p->lines[i]->name && strlen(p->lines[i]->name) <= SP_POLICY_NAME_MAX);
	free(once);
	free(twice);
	sp_policy_free(again);
}

static void check_image(const struct sp_policy *p)
{
	struct sp_image image = {};
	char why[300];
	int err = sp_policy_compile(p, &image, why, sizeof(why));

	CHECK(err == 0 || ((err == -E2BIG || err == -EEXIST) && *why));
	CHECK(err || !sp_image_check(image.v, image.n, why, sizeof(why)));
	sp_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes all = { data, size };
	struct sp_policy_io io = { &all, read_file, list_files };
	struct sp_policy_options options = { &io, NULL };
	struct sp_policy *p;

	CHECK(!sp_policy_load_text("fuzz", (const char *)data, size, &options, &p));
	check_diags(p);
	if (!p->errors)
		check_round(p, &options);
	if (!p->errors && size % COMPILED == 0)
		check_image(p);
	sp_policy_free(p);
	return 0;
}
