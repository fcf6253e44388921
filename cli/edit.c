/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `sally open`, `allow`, `block`, `forward`: add one sentence to the configuration file and put it in force; `close`,
 * `unblock`, `unforward`: take one out. The file is the truth: it is written whole, beside the old one, and takes its place
 * only when it is right. If it can not be put in force after all, the old text comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"

#define SENTENCE_MAX 1024
#define FILE_BYTES_MAX (4u << 20)
#define LOCK_TRIES 600
#define LOCK_PAUSE_NS 50000000

static const char help[] =
	"Usage: sally open SERVICES [from WHO]     sally close SERVICES | NAME\n"
	"       sally allow A -> B : SERVICES      sally close NAME\n"
	"       sally block WHO                    sally unblock WHO | NAME\n"
	"       sally forward SERVICES [from WHO] to HOST[:PORT]\n"
	"       sally unforward SERVICES [from WHO] to HOST[:PORT] | NAME\n\n"
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
	char path[PATH_MAX]; /* the file behind symbolic links */
	int dir_fd; /* its folder, locked as long as this runs */
	struct stat was; /* st_nlink 0: there was none */
	char *old; /* text as it was */
	size_t old_len;
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

/* Two that edit at the same time would lose a sentence. */
static int lock_folder(struct edit *e)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	char dir[PATH_MAX];
	int tries = 0;

	if (!realpath(e->file, e->path))
		snprintf(e->path, sizeof(e->path), "%s", e->file);
	snprintf(dir, sizeof(dir), "%s", e->path);
	if (mkdir(dirname(dir), 0755) && errno != EEXIST)
		return sp_fail(errno == EACCES ? SP_EXIT_PERMISSION : SP_EXIT_FAILED, "%s: %s; nothing has changed", dir,
			       strerror(errno));
	e->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dir_fd < 0)
		return sp_fail(errno == EACCES ? SP_EXIT_PERMISSION : SP_EXIT_FAILED, "%s: %s; nothing has changed", dir,
			       strerror(errno));
	while (flock(e->dir_fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return sp_fail(SP_EXIT_FAILED, "%s: %s; nothing has changed", dir, strerror(errno));
		if (++tries == LOCK_TRIES)
			return sp_fail(SP_EXIT_FAILED, "%s: another sally edits a file there; try again when it is done",
				       dir);
		nanosleep(&pause, NULL);
	}
	return SP_EXIT_OK;
}

/* The whole file, ended with a newline; an absent one is empty. What it was is kept. */
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
	else if (!code && f && fstat(fileno(f), &e->was))
		code = sp_fail(SP_EXIT_FAILED, "%s: %s", e->file, strerror(errno));
	if (f)
		fclose(f);
	e->old = code ? NULL : malloc(e->len + 1);
	if (!code && !e->old)
		code = sp_fail(SP_EXIT_FAILED, "out of memory");
	if (!code) {
		memcpy(e->old, e->text, e->len);
		e->old_len = e->len;
	}
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

/* 0 or a negative errno */
static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		const ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Beside the file, then in its place: at no instant is there half a file. 0 or a negative errno. */
static int replace_file(const struct edit *e, const char *beside, const char *text, size_t len)
{
	const int exists = e->was.st_nlink != 0;
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644), rc;

	if (fd < 0)
		return -errno;
	rc = write_all(fd, text, len);
	if (!rc && exists && (fchown(fd, e->was.st_uid, e->was.st_gid) || fchmod(fd, e->was.st_mode & 0777)))
		rc = -errno;
	if (!rc && fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && rename(beside, e->path))
		rc = -errno;
	if (rc)
		unlink(beside);
	return rc;
}

static int write_file(const struct edit *e)
{
	char beside[PATH_MAX + 8];
	int rc;

	snprintf(beside, sizeof(beside), "%s.new", e->path);
	rc = replace_file(e, beside, e->text, e->len);
	if (rc)
		return sp_fail(rc == -EACCES ? SP_EXIT_PERMISSION : SP_EXIT_FAILED, "%s: %s; nothing has changed", beside,
			       strerror(-rc));
	fsync(e->dir_fd); /* the new name; should power fail before, the old file is whole as well */
	return SP_EXIT_OK;
}

/* What could not be put in force is not to wait in the file. */
static int put_back(const struct edit *e, int code)
{
	char beside[PATH_MAX + 8];
	int rc;

	snprintf(beside, sizeof(beside), "%s.new", e->path);
	rc = e->was.st_nlink ? replace_file(e, beside, e->old, e->old_len) : unlink(e->path) ? -errno : 0;
	return rc ? sp_fail(code, "%s: it holds the change, which is not in force, and can not be put back: %s", e->file,
			    strerror(-rc)) :
		    sp_fail(code, "%s: nothing has changed", e->file);
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

/* The sentence of the file that says what the last one says, options aside; NULL: there is none. */
static const struct sp_sentence *find_same(struct sp_policy *p, const struct edit *e)
{
	const struct sp_sentence *typed = p->n_lines ? p->lines[p->n_lines - 1] : NULL;
	const char *text = NULL;

	if (typed && !typed->is_broken && !strcmp(typed->at.file, e->file))
		text = sp_policy_sentence(p, typed);
	for (sp_u32 i = 0; text && i + 1 < p->n_lines; i++) {
		const char *other = p->lines[i]->kind == typed->kind ? sp_policy_sentence(p, p->lines[i]) : NULL;

		if (other && !strcmp(other, text))
			return p->lines[i];
	}
	return NULL;
}

static const struct sp_sentence *find_named(const struct sp_policy *p, const char *name)
{
	for (sp_u32 i = 0; i < p->n_lines; i++)
		if (p->lines[i]->name && !strcmp(p->lines[i]->name, name))
			return p->lines[i];
	return NULL;
}

/* Takes out the sentence that was typed (it is read behind the file, whose names it may use), or the one of that name. */
static int remove_sentence(struct edit *e)
{
	const int more = snprintf(e->text + e->len, SENTENCE_MAX + 2, "%s\n", e->sentence);
	const struct sp_sentence *line = NULL;
	struct sp_policy *with = NULL, *p = NULL;
	int code = SP_EXIT_OK;

	if (sp_policy_load_text(e->file, e->text, e->len + (size_t)more, NULL, &with) ||
	    sp_policy_load_text(e->file, e->text, e->len, NULL, &p))
		code = sp_fail(SP_EXIT_FAILED, "out of memory");
	if (!code)
		line = find_same(with, e);
	if (!code && !line)
		line = find_named(p, e->object);
	if (!code && !line)
		code = sp_fail(SP_EXIT_FAILED, "%s: no line '%s'; 'sally check --json' lists their names; nothing has "
			       "changed", e->file, e->object);
	else if (!code && strcmp(line->at.file, e->file))
		code = sp_fail(SP_EXIT_FAILED, "%s stands in %s, line %u; take it out there", line->name, line->at.file,
			       line->at.line);
	else if (!code)
		cut_line(e, line->at.line);
	if (with)
		sp_policy_free(with);
	if (p)
		sp_policy_free(p);
	return code;
}

/* With the folder locked: from the file as it is to the policy in force. */
static int change(struct edit *e, int removes)
{
	int code = read_file(e);

	if (!code && removes)
		code = remove_sentence(e);
	else if (!code)
		e->len += (size_t)snprintf(e->text + e->len, SENTENCE_MAX + 2, "%s\n", e->sentence);
	if (!code)
		code = check_text(e);
	if (!code)
		code = write_file(e);
	if (code)
		return code;
	printf("%s: %s\n", e->file, removes ? "one line less" : e->sentence);
	code = sp_apply_file(e->file, sp_trial_default_s(), 0);
	/* a firewall that is not up reads the file when it comes up */
	return code && code != SP_EXIT_STATE ? put_back(e, code) : code;
}

static int edit(int argc, char **argv, const char *verb, int removes)
{
	struct edit e = { .dir_fd = -1 };
	int code;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	code = read_words(argc, argv, verb, &e);
	if (!code)
		code = lock_folder(&e);
	if (!code)
		code = change(&e, removes);
	free(e.text);
	free(e.old);
	if (e.dir_fd >= 0)
		close(e.dir_fd);
	return code ? code : sp_finish(SP_EXIT_OK);
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

int sp_cmd_forward(int argc, char **argv)
{
	return edit(argc, argv, "forward", 0);
}

int sp_cmd_unforward(int argc, char **argv)
{
	return edit(argc, argv, "forward", 1);
}
