/* SPDX-License-Identifier: BSD-2-Clause */
/* The captures test: reads the index of the captures, reads and writes the table of differences. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "captures.h"

#define LINE_MAX_ 4096
#define COLUMNS 13

static int split(char *line, char **col, int max)
{
	int n = 0;

	line[strcspn(line, "\r\n")] = 0;
	for (char *p = line; p && n < max; n++) {
		col[n] = p;
		p = strchr(p, '\t');
		if (p)
			*p++ = 0;
	}
	return n;
}

/* "2P7D 1m": run lengths; m = arrived changed, which is passed. */
static int expand(const char *s, char *out)
{
	int at = 0;

	memset(out, 0, PACKETS_MAX);
	while (*s) {
		char *end;
		long n;

		if (*s == ' ') {
			s++;
			continue;
		}
		n = strtol(s, &end, 10);
		if (end == s || n < 1 || at + n > PACKETS_MAX || !strchr("PDm-", *end) || !*end)
			return -1;
		memset(out + at, *end == 'm' ? 'P' : *end, (size_t)n);
		at += (int)n;
		s = end + 1;
	}
	return at ? 0 : -1;
}

/* A packet that even a router without a firewall does not forward says nothing about the firewall. */
static int expand_all(struct cap *c, const char *router, const char *inside, const char *outside)
{
	char plain[PACKETS_MAX];

	if (expand(router, plain) || expand(inside, c->linux_says[0]) || expand(outside, c->linux_says[1]))
		return -1;
	for (int i = 0; i < PACKETS_MAX; i++)
		for (int side = 0; side < 2; side++)
			if (plain[i] == 'D' && c->linux_says[side][i] == 'D')
				c->linux_says[side][i] = 'R';
	return 0;
}

int index_read(const char *path, struct cap **out, int *count)
{
	FILE *f = fopen(path, "r");
	char line[LINE_MAX_], *col[COLUMNS];
	struct cap *caps = NULL;
	int n = 0, number = 0;

	if (!f) {
		fprintf(stderr, "%s: can not be read\n", path);
		return -1;
	}
	while (fgets(line, sizeof(line), f)) {
		if (number++ == 0)
			continue; /* the head of the table */
		caps = realloc(caps, (size_t)(n + 1) * sizeof(*caps));
		if (!caps || split(line, col, COLUMNS) < COLUMNS - 1 ||
		    expand_all(&caps[n], col[9], col[10], col[11])) {
			fprintf(stderr, "%s:%d: not a line of the index\n", path, number);
			fclose(f);
			free(caps);
			return -1;
		}
		snprintf(caps[n].file, sizeof(caps[n].file), "%s", col[0]);
		caps[n].raw = strcmp(col[5], "raw") == 0;
		n++;
	}
	fclose(f);
	*out = caps;
	*count = n;
	return 0;
}

int diffs_add(struct diffs *d, const struct diff *one)
{
	if (d->count == d->room) {
		int room = d->room ? d->room * 2 : 64;
		struct diff *list = realloc(d->list, (size_t)room * sizeof(*list));

		if (!list) {
			fprintf(stderr, "out of memory\n");
			return -1;
		}
		d->list = list;
		d->room = room;
	}
	d->list[d->count++] = *one;
	return 0;
}

struct diff *diffs_find(const struct diffs *d, const struct diff *like)
{
	for (int i = 0; i < d->count; i++) {
		struct diff *x = &d->list[i];

		if (strcmp(x->file, like->file) == 0 && x->swapped == like->swapped &&
		    x->linux_says == like->linux_says && x->we_say == like->we_say &&
		    strcmp(x->reason, like->reason) == 0)
			return x;
	}
	return NULL;
}

void numbers_add(char *list, int number)
{
	size_t used = strlen(list);
	char *last = list + used;

	while (last > list && isdigit((unsigned char)last[-1]))
		last--;
	if (used && atoi(last) == number - 1) {
		if (last > list && last[-1] == '-')
			snprintf(last, NOTE_MAX_ - (size_t)(last - list), "%d", number);
		else
			snprintf(list + used, NOTE_MAX_ - used, "-%d", number);
		return;
	}
	snprintf(list + used, NOTE_MAX_ - used, "%s%d", used ? "," : "", number);
}

static const char head[] = "# file\tfirst_sender\tlinux\tours\treason\tpackets\twhy";

int diffs_read(const char *path, struct diffs *out)
{
	FILE *f = fopen(path, "r");
	char line[LINE_MAX_], *col[7];
	int number = 0;

	if (!f) {
		fprintf(stderr, "%s: can not be read\n", path);
		return -1;
	}
	while (fgets(line, sizeof(line), f)) {
		struct diff d = { 0 };

		number++;
		if (line[0] == '#')
			continue;
		if (split(line, col, 7) != 7 || !*col[6] || (strcmp(col[1], "inside") && strcmp(col[1], "outside"))) {
			fprintf(stderr, "%s:%d: not seven columns\n", path, number);
			fclose(f);
			return -1;
		}
		snprintf(d.file, sizeof(d.file), "%s", col[0]);
		d.swapped = strcmp(col[1], "outside") == 0;
		d.linux_says = col[2][0];
		d.we_say = col[3][0];
		snprintf(d.reason, sizeof(d.reason), "%s", col[4]);
		snprintf(d.packets, sizeof(d.packets), "%s", col[5]);
		snprintf(d.why, sizeof(d.why), "%s", col[6]);
		if (diffs_add(out, &d)) {
			fclose(f);
			return -1;
		}
	}
	fclose(f);
	return 0;
}

int diffs_write(const char *path, const struct diffs *d)
{
	FILE *f = fopen(path, "w");

	if (!f) {
		fprintf(stderr, "%s: can not be written\n", path);
		return -1;
	}
	fprintf(f, "%s\n", head);
	for (int i = 0; i < d->count; i++) {
		const struct diff *x = &d->list[i];

		fprintf(f, "%s\t%s\t%c\t%c\t%s\t%s\t%s\n", x->file, x->swapped ? "outside" : "inside", x->linux_says,
			x->we_say, x->reason, x->packets, x->why);
	}
	return fclose(f) ? -1 : 0;
}
