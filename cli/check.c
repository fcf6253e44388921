/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally check`: is a configuration file right? Every error with its line, what was expected, what was probably meant.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config.h"

static const char help[] = "usage: sally check [FILE | -] [--canonical | --json] [--services FILE]\n"
			   "\n"
			   "Reads a configuration and says what is wrong with it: all errors, and warnings\n"
			   "for lines that can never matter. Nothing is changed, no privilege is needed.\n"
			   "Without FILE it is " SP_CONFIG_FILE "; '-' is standard input.\n"
			   "sally.conf(5) has the language.\n"
			   "\n"
			   "  --canonical      print the configuration in its canonical form\n"
			   "  --json           one object: errors, warnings, and every line by its name\n"
			   "  --services FILE  names of services, instead of those in /etc/services\n"
			   "\n"
			   "Exit code 0: right, perhaps with warnings; 1: there are errors.\n";

struct request {
	const char *file, *services;
	int json, canonical;
};

static const char *severity_name(const struct sp_diag *d)
{
	return d->severity == SP_SEVERITY_ERROR ? "error" : "warning";
}

/* Blanks up to the column, tabs kept and the bytes of a UTF-8 character counted once, so that the caret is below. */
static void put_caret(FILE *f, const struct sp_diag *d)
{
	sp_u32 i, len = (sp_u32)strlen(d->source);

	for (i = 0; i + 1 < d->at.column && i < len; i++)
		if (((unsigned char)d->source[i] & 0xc0) != 0x80)
			putc(d->source[i] == '\t' ? '\t' : ' ', f);
	for (; i + 1 < d->at.column; i++)
		putc(' ', f);
	putc('^', f);
	for (i = 1; i < d->at.length && d->at.column + i <= len; i++)
		if (((unsigned char)d->source[d->at.column + i - 1] & 0xc0) != 0x80)
			putc('~', f);
	putc('\n', f);
}

/* What came from the file may be anything; a terminal is shown only what can be shown. */
static void put_source(FILE *f, const char *s)
{
	fputs("    ", f);
	for (; *s; s++)
		putc(((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f ? '?' : *s, f);
	putc('\n', f);
}

void sp_put_diag(FILE *f, const struct sp_diag *d)
{
	fputs(d->at.file, f);
	if (d->at.line)
		fprintf(f, ":%u:%u", d->at.line, d->at.column);
	fprintf(f, ": %s: %s\n", severity_name(d), d->message);
	if (d->source) {
		put_source(f, d->source);
		fputs("    ", f);
		put_caret(f, d);
	}
	if (d->expected)
		fprintf(f, "    expected: %s\n", d->expected);
	if (d->suggestion)
		fprintf(f, "    did you mean '%s'?\n", d->suggestion);
}

static void put_count(FILE *f, sp_u32 n, const char *what)
{
	fprintf(f, "%u %s%s", n, what, n == 1 ? "" : "s");
}

static void put_summary(FILE *f, const struct request *r, const struct sp_policy *p)
{
	sp_u32 more = p->errors + p->warnings - p->n_diags;

	if (more)
		fprintf(f, "%s: %u more are not shown\n", r->file, more);
	fprintf(f, "%s: ", r->file);
	if (p->errors)
		put_count(f, p->errors, "error");
	else
		put_count(f, p->n_lines, "line"), fputs(", no errors", f);
	if (p->warnings)
		fputs(", ", f), put_count(f, p->warnings, "warning");
	putc('\n', f);
}

static void json_place(struct sp_json *j, const struct sp_span *at)
{
	sp_json_str(j, "file", at->file);
	sp_json_u64(j, "line", at->line);
	sp_json_u64(j, "column", at->column);
	sp_json_u64(j, "length", at->length);
}

static void json_diag(struct sp_json *j, const struct sp_diag *d)
{
	sp_json_open(j, NULL, '{');
	json_place(j, &d->at);
	sp_json_str(j, "severity", severity_name(d));
	sp_json_str(j, "message", d->message);
	if (d->expected)
		sp_json_str(j, "expected", d->expected);
	if (d->suggestion)
		sp_json_str(j, "suggestion", d->suggestion);
	sp_json_close(j);
}

static void put_json(const struct sp_policy *p, const char *limit)
{
	struct sp_json j;
	sp_u32 i;

	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '{');
	sp_json_u64(&j, "errors", p->errors);
	sp_json_u64(&j, "warnings", p->warnings);
	sp_json_open(&j, "diagnostics", '[');
	for (i = 0; i < p->n_diags; i++)
		json_diag(&j, &p->diags[i]);
	sp_json_close(&j);
	if (*limit)
		sp_json_str(&j, "limit", limit);
	sp_json_open(&j, "lines", '[');
	for (i = 0; i < p->n_lines && !p->errors; i++) {
		sp_json_open(&j, NULL, '{');
		sp_json_str(&j, "name", p->lines[i]->name);
		sp_json_str(&j, "kind", sp_kind_name(p->lines[i]->kind));
		sp_json_str(&j, "file", p->lines[i]->at.file);
		sp_json_u64(&j, "line", p->lines[i]->at.line);
		sp_json_close(&j);
	}
	sp_json_close(&j);
	sp_json_close(&j);
}

static int put_canonical(const struct sp_policy *p)
{
	char *text = NULL;
	size_t len = 0;

	if (sp_policy_print(p, &text, &len))
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	fwrite(text, 1, len, stdout);
	free(text);
	return SP_EXIT_OK;
}

/* What passes here can be applied: limit says why not, if the policy is right but too large. */
static void find_limit(const struct sp_policy *p, char *limit, size_t size)
{
	struct sp_image image = {};

	*limit = 0;
	if (!p->errors && sp_policy_compile(p, &image, limit, size))
		return;
	sp_image_free(&image);
}

static int show(const struct request *r, const struct sp_policy *p)
{
	char limit[300];
	sp_u32 i;

	find_limit(p, limit, sizeof(limit));
	if (r->json) {
		put_json(p, limit);
		return p->errors || *limit ? SP_EXIT_FAILED : SP_EXIT_OK;
	}
	for (i = 0; i < p->n_diags; i++)
		sp_put_diag(stderr, &p->diags[i]);
	if (*limit)
		return sp_fail(SP_EXIT_FAILED, "%s", limit);
	if (r->canonical && !p->errors)
		return put_canonical(p);
	put_summary(p->errors ? stderr : stdout, r, p);
	return p->errors ? SP_EXIT_FAILED : SP_EXIT_OK;
}

static int read_request(int argc, char **argv, struct request *r)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			r->json = 1;
		} else if (!strcmp(argv[i], "--canonical")) {
			r->canonical = 1;
		} else if (!strcmp(argv[i], "--services")) {
			if (++i == argc)
				return sp_usage("a file is missing after", "--services");
			r->services = argv[i];
		} else if (argv[i][0] == '-' && argv[i][1]) {
			return sp_usage("there is no such option", argv[i]);
		} else if (r->file) {
			return sp_usage("one file at a time", argv[i]);
		} else {
			r->file = argv[i];
		}
	}
	if (r->json && r->canonical)
		return sp_usage("either --json or", "--canonical");
	if (!r->file)
		r->file = SP_CONFIG_FILE;
	return SP_EXIT_OK;
}

int sp_cmd_check(int argc, char **argv)
{
	struct sp_policy_options options = { NULL, NULL };
	struct request r = { NULL, NULL, 0, 0 };
	struct sp_policy *p = NULL;
	int code;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	code = read_request(argc, argv, &r);
	if (code)
		return code;
	options.services = r.services;
	if (sp_policy_load(r.file, &options, &p))
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	code = show(&r, p);
	sp_policy_free(p);
	return code;
}
