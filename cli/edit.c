/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `sally open`, `allow`, `block`: add one sentence to the configuration file and put it in force; `close`, `unblock`: take
 * one out. The file is the truth: it is written whole, beside the old one, and takes its place only when it is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"

#define SENTENCE_MAX 1024
#define FILE_BYTES_MAX (4u << 20)

static const char help[] =
	"Usage: sally open SERVICES [from WHO]     sally close SERVICES | NAME\n"
	"       sally allow A -> B : SERVICES      sally close NAME\n"
	"       sally block WHO                    sally unblock WHO | NAME\n\n"
	"Adds one sentence to the configuration file, or takes one out, and puts the file in\n"
	"force (as 'sally apply' does, on trial in an SSH session). Comments and everything\n"
	"else in the file stay as they are. sally.conf(5) has the language.\n\n"
	"  --config FILE  this file instead of /etc/sally/sally.conf (made if it is missing)\n\n"
	"Exit codes: 0 done; 1 the sentence is wrong or not there, nothing has changed; 2 wrong\n"
	"arguments; 3 not permitted; 4 the firewall is not up: the file was changed, and waits.\n";

struct edit {
	const char *file;
	char sentence[SENTENCE_MAX]; /* as typed, verb included */
	const char *object; /* the part after the verb */
	char *text; /* of the file */
	size_t len;
};

static int read_words(int argc, char **argv, const char *verb, struct edit *e)
{
	size_t used = (size_t)snprintf(e->sentence, sizeof(e->sentence), "%s", verb);

	e->file = SP_CONFIG_FILE;
	e->object = e->sentence + used + 1;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--config")) {
			if (++i == argc)
				return sp_usage("a file is missing after", "--config");
			e->file = argv[i];
			continue;
		}
		used += (size_t)snprintf(e->sentence + used, sizeof(e->sentence) - used, " %s", argv[i]);
		if (used >= sizeof(e->sentence) || strchr(argv[i], '\n'))
			return sp_usage("that is no sentence", argv[i]);
	}
	return used == strlen(verb) ? sp_usage("say what", verb) : SP_EXIT_OK;
}

/* The whole file, ended with a newline; an absent one is empty. */
static int read_file(struct edit *e)
{
	FILE *f = fopen(e->file, "re");
	int code = SP_EXIT_OK;

	e->text = malloc(FILE_BYTES_MAX + SENTENCE_MAX + 3);
	if (!e->text)
		code = sp_fail(SP_EXIT_FAILED, "out of memory");
	else if (!f && errno != ENOENT)
		code = sp_fail(errno == EACCES ? SP_EXIT_PERMISSION : SP_EXIT_FAILED, "%s: %s", e->file, strerror(errno));
	else if (f)
		e->len = fread(e->text, 1, FILE_BYTES_MAX, f);
	if (!code && f && (ferror(f) || !feof(f)))
		code = sp_fail(SP_EXIT_FAILED, "%s: can not be read whole", e->file);
	if (f)
		fclose(f);
	if (!code && e->len && e->text[e->len - 1] != '\n')
		e->text[e->len++] = '\n';
	return code;
}

static int say_diags(const struct sp_policy *p)
{
	for (sp_u32 i = 0; i < p->n_diags; i++)
		if (p->diags[i].severity == SP_SEVERITY_ERROR)
			sp_put_diag(stderr, &p->diags[i]);
	return p->errors ? sp_fail(SP_EXIT_FAILED, "nothing has changed") : SP_EXIT_OK;
}

/* Is the text right? It is parsed under the file's name, so that includes are found beside it. */
static int check_text(const struct edit *e)
{
	struct sp_policy *p;
	int code;

	if (sp_policy_load_text(e->file, e->text, e->len, NULL, &p))
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	code = say_diags(p);
	sp_policy_free(p);
	return code;
}

/* Beside the file, then in its place: at no instant is there half a file. */
static int write_file(const struct edit *e)
{
	char beside[4200], dir[4200];
	struct stat st = { .st_mode = 0644 };
	int fd, ok;

	snprintf(beside, sizeof(beside), "%s.new", e->file);
	snprintf(dir, sizeof(dir), "%s", e->file);
	if (mkdir(dirname(dir), 0755) && errno != EEXIST)
		return sp_fail(SP_EXIT_FAILED, "%s: %s; nothing has changed", dir, strerror(errno));
	if (stat(e->file, &st) && errno != ENOENT)
		return sp_fail(SP_EXIT_FAILED, "%s: %s; nothing has changed", e->file, strerror(errno));
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, st.st_mode & 0777);
	ok = fd >= 0 && write(fd, e->text, e->len) == (ssize_t)e->len && !fsync(fd);
	if (fd >= 0 && close(fd))
		ok = 0;
	if (ok && !rename(beside, e->file))
		return SP_EXIT_OK;
	ok = sp_fail(errno == EACCES ? SP_EXIT_PERMISSION : SP_EXIT_FAILED, "%s: %s; nothing has changed", beside,
		     strerror(errno));
	unlink(beside);
	return ok;
}

/* Takes line `number` (from 1) out of the text. */
static void cut_line(struct edit *e, sp_u32 number)
{
	char *at = e->text, *end = e->text + e->len, *next;

	while (--number && at < end)
		at = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;
	next = (char *)memchr(at, '\n', (size_t)(end - at)) + 1;
	memmove(at, next, (size_t)(end - next));
	e->len -= (size_t)(next - at);
}

/* The name that a sentence by itself would get, or NULL: then it may be the name of a line. */
static char *name_of(const char *sentence)
{
	struct sp_policy *p;
	char *name = NULL;

	if (sp_policy_load_text("-", sentence, strlen(sentence), NULL, &p))
		return NULL;
	if (!p->errors && p->n_lines == 1)
		name = strdup(p->lines[0]->name);
	sp_policy_free(p);
	return name;
}

static int remove_sentence(struct edit *e)
{
	char *name = name_of(e->sentence);
	struct sp_policy *p;
	int code = SP_EXIT_OK, found = 0;

	if (sp_policy_load_text(e->file, e->text, e->len, NULL, &p)) {
		free(name);
		return sp_fail(SP_EXIT_FAILED, "out of memory");
	}
	for (sp_u32 i = 0; i < p->n_lines && !found && !code; i++) {
		const struct sp_sentence *line = p->lines[i];

		if (!line->name || (strcmp(line->name, e->object) && (!name || strcmp(line->name, name))))
			continue;
		found = 1;
		if (strcmp(line->at.file, e->file))
			code = sp_fail(SP_EXIT_FAILED, "%s stands in %s, line %u; take it out there", line->name,
				       line->at.file, line->at.line);
		else
			cut_line(e, line->at.line);
	}
	if (!found)
		code = sp_fail(SP_EXIT_FAILED, "%s: no line '%s'; 'sally check --json' lists their names; nothing has "
			       "changed", e->file, e->object);
	sp_policy_free(p);
	free(name);
	return code;
}

static int edit(int argc, char **argv, const char *verb, int removes)
{
	struct edit e = {};
	int code;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	code = read_words(argc, argv, verb, &e);
	if (!code)
		code = read_file(&e);
	if (!code && removes)
		code = remove_sentence(&e);
	else if (!code)
		e.len += (size_t)snprintf(e.text + e.len, SENTENCE_MAX + 2, "%s\n", e.sentence);
	if (!code)
		code = check_text(&e);
	if (!code)
		code = write_file(&e);
	free(e.text);
	if (!code)
		printf("%s: %s\n", e.file, removes ? "one line less" : e.sentence);
	return code ? code : sp_apply_file(e.file, sp_trial_default_s(), 0);
}

int sp_cmd_open(int argc, char **argv)
{
	return edit(argc, argv, "open", 0);
}

int sp_cmd_close(int argc, char **argv)
{
	return edit(argc, argv, "open", 1);
}

int sp_cmd_allow(int argc, char **argv)
{
	return edit(argc, argv, "allow", 0);
}

int sp_cmd_block(int argc, char **argv)
{
	return edit(argc, argv, "block", 0);
}

int sp_cmd_unblock(int argc, char **argv)
{
	return edit(argc, argv, "block", 1);
}
