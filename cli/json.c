/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes JSON, so that no command has to count commas. */
#include <string.h>

#include "cli.h"

void sp_json_begin(struct sp_json *j, FILE *f)
{
	memset(j, 0, sizeof(*j));
	j->f = f;
}

static void put_string(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			putc(c, f);
	}
	putc('"', f);
}

static void put_name(struct sp_json *j, const char *name)
{
	if (j->comma)
		fputs(", ", j->f);
	j->comma = 1;
	if (name) {
		put_string(j->f, name);
		fputs(": ", j->f);
	}
}

void sp_json_open(struct sp_json *j, const char *name, char bracket)
{
	put_name(j, name);
	putc(bracket, j->f);
	if (j->depth < (int)sizeof(j->close))
		j->close[j->depth++] = bracket == '{' ? '}' : ']';
	j->comma = 0;
}

void sp_json_close(struct sp_json *j)
{
	if (!j->depth)
		return;
	putc(j->close[--j->depth], j->f);
	j->comma = j->depth > 0; /* after the outermost one a new document may begin */
	if (!j->depth)
		putc('\n', j->f);
}

void sp_json_str(struct sp_json *j, const char *name, const char *value)
{
	put_name(j, name);
	put_string(j->f, value);
}

void sp_json_u64(struct sp_json *j, const char *name, sp_u64 value)
{
	put_name(j, name);
	fprintf(j->f, "%llu", value);
}

void sp_json_bool(struct sp_json *j, const char *name, int value)
{
	put_name(j, name);
	fputs(value ? "true" : "false", j->f);
}
