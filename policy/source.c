/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of a policy: the file system as a set of functions, includes, and files of networks. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define PIPE_WAIT_MS 5000
#define NETS_ERRORS 5 /* of one file of networks that are shown one by one */

/* ---- the file system --------------------------------------------------------------------------- */

/* A pipe that nobody has written to yet looks like one that is at its end. 0, or a negative errno. */
static int wait_for_writer(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	int rc;

	do
		rc = poll(&p, 1, PIPE_WAIT_MS);
	while (rc < 0 && errno == EINTR);
	return rc > 0 ? 0 : rc ? -errno : -ETIMEDOUT;
}

static int read_all(int fd, int is_pipe, size_t max, char **data, size_t *len)
{
	size_t n = 0, room = 65536;
	char *buf = malloc(room), *more;

	while (buf) {
		int rc = is_pipe ? wait_for_writer(fd) : 0;
		ssize_t got = rc ? -1 : read(fd, buf + n, room - n);

		if (!rc && got < 0)
			rc = -errno;
		if (rc == -EINTR || (rc == -EAGAIN && is_pipe))
			continue;
		if (rc || n + (size_t)got > max) {
			free(buf);
			return rc ? rc : -EFBIG;
		}
		n += (size_t)got;
		if (!got) {
			*data = buf;
			*len = n;
			return 0;
		}
		if (n < room)
			continue;
		room *= 2;
		more = realloc(buf, room);
		if (!more)
			free(buf);
		buf = more;
	}
	return -ENOMEM;
}

static int files_read(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	int is_stdin = !strcmp(path, "-"), rc;
	/* not to hang for ever on a pipe that nobody writes to */
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		rc = -errno;
	else if (S_ISDIR(st.st_mode))
		rc = -EISDIR;
	else
		rc = read_all(fd, !is_stdin && S_ISFIFO(st.st_mode), max, data, len);
	if (!is_stdin)
		close(fd);
	return rc;
}

/* A folder that is not there has no files; one that can not be read is an error. */
static int list_error(const char *path, int error)
{
	return error != ENOENT && error != ENOTDIR;
}

static int files_list(void *ctx, const char *pattern, char ***paths, size_t *n)
{
	glob_t found = { 0 };
	int rc = glob(pattern, 0, list_error, &found);
	char **out = NULL;
	size_t i;

	if (rc && rc != GLOB_NOMATCH) {
		globfree(&found);
		return rc == GLOB_NOSPACE ? -ENOMEM : -EACCES;
	}
	if (!rc) {
		out = calloc(found.gl_pathc + 1, sizeof(*out));
		for (i = 0; out && i < found.gl_pathc; i++) {
			out[i] = strdup(found.gl_pathv[i]);
			if (!out[i]) {
				while (i)
					free(out[--i]);
				free(out);
				out = NULL;
			}
		}
		if (!out) {
			globfree(&found);
			return -ENOMEM;
		}
	}
	*n = rc ? 0 : found.gl_pathc;
	*paths = out;
	globfree(&found);
	return 0;
}

const struct sp_policy_io sp_policy_files = { NULL, files_read, files_list };

/* ---- files of this policy ------------------------------------------------------------------------ */

const char *sp_source_path(struct sp_policy *p, const char *from, const char *path)
{
	const char *slash = strrchr(from, '/');

	if (*path == '/' || !slash)
		return sp_mem_text(p, path, strlen(path));
	return sp_mem_printf(p, "%.*s%s", (int)(slash - from) + 1, from, path);
}

int sp_source_add(struct sp_policy *p, const char *name, char *data, size_t len, struct sp_source **out)
{
	struct sp_source *s = sp_mem_get(p, sizeof(*s));

	if (s)
		s->name = sp_mem_text(p, name, strlen(name));
	if (!s || !s->name) {
		free(data);
		return -ENOMEM;
	}
	s->data = data;
	s->len = len;
	p->priv->sources[p->n_files++] = s;
	*out = s;
	return 0;
}

int sp_source_open(struct sp_policy *p, const char *name, size_t max, const struct sp_span *at, struct sp_source **out)
{
	char *data = NULL;
	size_t len = 0;
	int rc;

	if (p->n_files == SP_POLICY_FILES_MAX)
		rc = sp_diag_add(p, SP_SEVERITY_ERROR, at, NULL, NULL, "more than %d files", SP_POLICY_FILES_MAX);
	else if (!(rc = p->priv->io->read(p->priv->io->ctx, name, max, &data, &len)))
		return sp_source_add(p, name, data, len, out);
	else if (rc == -EFBIG)
		rc = sp_diag_add(p, SP_SEVERITY_ERROR, at, NULL, NULL, "'%s' is larger than %zu MB", name, max >> 20);
	else if (rc != -ENOMEM)
		rc = sp_diag_add(p, SP_SEVERITY_ERROR, at, NULL, NULL, "can not read '%s': %s", name,
				 rc == -ENOENT	 ? "no such file"
				 : rc == -EISDIR ? "it is a folder"
				 : rc == -EACCES ? "not permitted"
				 : rc == -ETIMEDOUT ? "a pipe that nobody writes to"
						 : strerror(-rc));
	return rc ? rc : 1;
}

/* ---- files of networks ----------------------------------------------------------------------------- */

static int net_error(struct sp_policy *p, const char *file, sp_u32 line, const char *bol, const char *word, size_t len)
{
	struct sp_span at = { file, line, (sp_u32)(word - bol) + 1, (sp_u32)len };

	return sp_diag_add(p, SP_SEVERITY_ERROR, &at, "a network in each line, such as 192.0.2.0/24 or 2001:db8::/32",
			   NULL, "'%.*s' is not a network", (int)(len < 60 ? len : 60), word);
}

/* One network a line; behind it and in lines of its own a comment, from # or ; on. */
static int read_nets(struct sp_policy *p, struct sp_sentence *line, const struct sp_source *src)
{
	const char *s = src->data, *end = s + src->len;
	sp_u32 number = 0, wrong = 0;

	while (s < end) {
		const char *bol = s, *eol = memchr(s, '\n', (size_t)(end - s)), *word;
		int host_bits;

		if (!eol)
			eol = end;
		number++;
		while (s < eol && (*s == ' ' || *s == '\t'))
			s++;
		for (word = s; s < eol && *s != ' ' && *s != '\t' && *s != '\r' && *s != '#' && *s != ';'; s++)
			;
		if (s > word) {
			struct sp_net *net = line->nets.n < SP_POLICY_NETS_MAX ? SP_ADD(p, &line->nets) : NULL;

			if (!net)
				return line->nets.n < SP_POLICY_NETS_MAX ? -ENOMEM : -E2BIG;
			if (sp_net_read(word, (size_t)(s - word), net, &host_bits) != SP_NET_OK) {
				line->nets.n--;
				if (++wrong <= NETS_ERRORS &&
				    net_error(p, src->name, number, bol, word, (size_t)(s - word)))
					return -ENOMEM;
			}
		}
		s = eol + 1;
	}
	if (wrong > NETS_ERRORS)
		return sp_diag_add(p, SP_SEVERITY_ERROR, &line->path_at, NULL, NULL,
				   "%u more lines of '%s' are no networks", wrong - NETS_ERRORS, src->name);
	return 0;
}

int sp_source_nets(struct sp_policy *p, struct sp_sentence *line)
{
	struct sp_source *src;
	int rc = sp_source_open(p, line->path, SP_POLICY_SET_FILE_MAX, &line->path_at, &src);

	if (rc)
		return rc < 0 ? rc : 0;
	rc = read_nets(p, line, src);
	if (rc == -E2BIG)
		rc = sp_diag_add(p, SP_SEVERITY_ERROR, &line->path_at, NULL, NULL, "more than %u networks in '%s'",
				 SP_POLICY_NETS_MAX, line->path);
	else if (!rc && !line->nets.n)
		rc = sp_diag_add(p, SP_SEVERITY_WARNING, &line->path_at, NULL, NULL, "there is no network in '%s'",
				 line->path);
	free(src->data); /* these files are large */
	src->data = NULL;
	return rc;
}

/* ---- include ----------------------------------------------------------------------------------------- */

static int include_one(struct sp_policy *p, const char *path, const struct sp_span *at, int depth)
{
	struct sp_source *src;
	int rc;

	if (sp_source_find(p, path))
		return sp_diag_add(p, SP_SEVERITY_ERROR, at, NULL, NULL, "'%s' is already part of this configuration",
				   path);
	rc = sp_source_open(p, path, SP_POLICY_FILE_MAX, at, &src);
	if (rc)
		return rc < 0 ? rc : 0;
	src->depth = depth;
	return sp_parse_source(p, src);
}

int sp_source_include(struct sp_policy *p, const struct sp_tok *what, int depth)
{
	const char *path = sp_source_path(p, what->at.file, what->text);
	char **paths;
	size_t n, i;
	int rc;

	if (!path)
		return -ENOMEM;
	if (depth > SP_POLICY_DEPTH_MAX)
		return sp_diag_add(p, SP_SEVERITY_ERROR, &what->at, NULL, NULL, "includes are nested more than %d deep",
				   SP_POLICY_DEPTH_MAX);
	if (!strpbrk(path, "*?["))
		return include_one(p, path, &what->at, depth);
	rc = p->priv->io->list(p->priv->io->ctx, path, &paths, &n);
	if (rc == -ENOMEM)
		return rc;
	if (rc)
		return sp_diag_add(p, SP_SEVERITY_ERROR, &what->at, NULL, NULL, "can not list '%s': %s", path,
				   strerror(-rc));
	for (i = 0; i < n; i++) {
		if (!rc)
			rc = include_one(p, paths[i], &what->at, depth);
		free(paths[i]);
	}
	free(paths);
	return rc;
}
