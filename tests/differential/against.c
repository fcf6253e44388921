/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The native engine beside Linux's own tracking. A difference must be explained by a line of the table of rules, which names
 * the section that decides it. Where a rule says that the conversation parts (the two remember different things from then
 * on) its later steps say nothing new, and are only counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "against.h"
#include "facts.h"

#define RULES_MAX 200
#define STEPS_MAX 8000
#define KINDS_MAX 20000

struct rule {
	char name[40], linux_says[8], ours, reasons[160], when[160], why[400];
	int parts;
	sp_u64 count, later, seed;
};

/* Differences that nobody has explained yet, by kind. */
struct kind {
	char text[600];
	sp_u64 count, seed;
	int step;
};

struct against {
	struct kind *kind; /* NULL: no survey */
	int kinds;
	struct linux_box *box[2];
	struct rule rule[RULES_MAX];
	int rules;
	sp_u64 steps, compared, same, after;
	struct seen seen[STEPS_MAX];
	struct linux_seen theirs[STEPS_MAX];
	struct rule *parted[SEQ_TALKS_MAX];
};

/* "name TAB linux TAB ours TAB reasons TAB when TAB goes-on|parts TAB why" */
static int read_rule(struct rule *r, char *line)
{
	char *field[7];
	int n = 0;

	for (char *at = line; at && n < 7; n++) {
		field[n] = strsep(&at, "\t");
		if (n == 6 && at)
			return -1;
	}
	if (n != 7 || !*field[6])
		return -1;
	memset(r, 0, sizeof(*r));
	snprintf(r->name, sizeof(r->name), "%s", field[0]);
	snprintf(r->linux_says, sizeof(r->linux_says), "%s", field[1]);
	r->ours = *field[2];
	snprintf(r->reasons, sizeof(r->reasons), " %s ", field[3]);
	snprintf(r->when, sizeof(r->when), "%s", field[4]);
	r->parts = !strcmp(field[5], "parts");
	snprintf(r->why, sizeof(r->why), "%s", field[6]);
	return r->parts || !strcmp(field[5], "goes-on") ? 0 : -1;
}

static int read_rules(struct against *a, const char *path, char *err, size_t err_len)
{
	FILE *f = fopen(path, "r");
	char line[1200];
	int number = 0, rc = 0;

	if (!f) {
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
		return -1;
	}
	while (!rc && fgets(line, sizeof(line), f)) {
		number++;
		line[strcspn(line, "\n")] = 0;
		if (!*line || *line == '#')
			continue;
		if (a->rules == RULES_MAX || read_rule(&a->rule[a->rules++], line)) {
			snprintf(err, err_len, "%s:%d: no rule: name, linux, ours, reasons, when, goes-on|parts, why", path,
				 number);
			rc = -1;
		}
	}
	fclose(f);
	return rc;
}

int against_new(struct against **out, const char *rules, char *err, size_t err_len)
{
	struct against *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	if (read_rules(a, rules, err, err_len)) {
		free(a);
		return -EINVAL;
	}
	for (int i = 0; i < 2; i++) {
		a->box[i] = linux_new(i, err, err_len);
		if (!a->box[i]) {
			against_free(a);
			return -ENODEV;
		}
	}
	*out = a;
	return 0;
}

void against_free(struct against *a)
{
	if (!a)
		return;
	for (int i = 0; i < 2; i++)
		linux_free(a->box[i]);
	free(a->kind);
	free(a);
}

void against_survey(struct against *a)
{
	a->kind = calloc(KINDS_MAX, sizeof(a->kind[0]));
	if (!a->kind)
		abort();
}

/* 1: it has been counted. */
static int survey(struct against *a, const struct batch *b, int step, const char *what)
{
	static struct rule nobody;
	int i = 0;

	while (a->kind && i < a->kinds && strcmp(a->kind[i].text, what) != 0)
		i++;
	if (!a->kind || i == KINDS_MAX)
		return 0;
	if (i == a->kinds) {
		a->kinds++;
		snprintf(a->kind[i].text, sizeof(a->kind[i].text), "%s", what);
		a->kind[i].seed = b->seed;
		a->kind[i].step = step;
	}
	a->kind[i].count++;
	a->parted[b->step[step].talk] = &nobody;
	return 1;
}

static int has_word(const char *words, const char *word)
{
	char w[64];

	snprintf(w, sizeof(w), " %s ", word);
	return strstr(words, w) != NULL || !strcmp(words, " * ");
}

static struct rule *find_rule(struct against *a, char linux_says, char ours, const char *reason, const char *facts)
{
	for (int i = 0; i < a->rules; i++) {
		struct rule *r = &a->rule[i];

		if (strchr(r->linux_says, linux_says) && r->ours == ours && has_word(r->reasons, reason) &&
		    facts_hold(facts, r->when))
			return r;
	}
	return NULL;
}

/* B: it came out with other bytes than it must have. */
static char letter_of(const struct linux_seen *s)
{
	return s->verdict == LINUX_HELD ? 'H' : s->verdict == LINUX_DROPPED ? 'D' : s->other_bytes ? 'B' : 'P';
}

/* 0: the same, or explained. */
static int one_step(struct against *a, const struct batch *b, int i, int count, char *what, size_t len)
{
	const struct seen *s = &a->seen[i];
	const char ours = s->verdict != SP_PASS ? 'D' : s->leaves ? 'P' : 'R';
	char linux_says = letter_of(&a->theirs[i]);
	const sp_u16 talk = b->step[i].talk;
	char facts[FACTS_MAX];
	struct rule *r;

	if (linux_says == 'B' && ours == 'D')
		linux_says = 'P';
	a->steps += (sp_u64)count;
	if (a->parted[talk]) {
		a->parted[talk]->later += (sp_u64)count;
		return 0;
	}
	a->compared += (sp_u64)count;
	if (ours == linux_says || (ours != 'P' && linux_says == 'D') || (ours != 'P' && linux_says == 'H')) {
		a->same += (sp_u64)count;
		return 0;
	}
	facts_of(b, i, a->seen, facts);
	r = find_rule(a, linux_says, ours, sp_reason_name(s->reason), facts);
	if (!r) {
		snprintf(what, len, "Linux says %c, native says %c %s, phase %s:%s", linux_says, ours,
			 sp_reason_name(s->reason), sp_phase_name(s->phase), facts);
		return survey(a, b, i, what) ? 0 : -1;
	}
	r->count += (sp_u64)count;
	if (count && !r->seed)
		r->seed = b->seed;
	if (r->parts)
		a->parted[talk] = r;
	return 0;
}

int against_batch(struct against *a, struct tengine *native, const struct batch *b, int count, char *what, size_t len)
{
	struct difference_at d;
	int rc;

	memset(a->parted, 0, sizeof(a->parted));
	memset(a->seen, 0, sizeof(a->seen[0]) * (size_t)b->n);
	if (b->n > STEPS_MAX || play(native, NULL, b, a->seen, &d)) {
		snprintf(what, len, "%s", b->n > STEPS_MAX ? "the batch is too long" : d.text);
		return 0;
	}
	rc = linux_play(a->box[b->translates], b, a->theirs);
	if (rc) {
		snprintf(what, len, "Linux can not be shown it: %s", strerror(-rc));
		return 0;
	}
	for (int i = 0; i < b->n; i++)
		if (one_step(a, b, i, count, what, len))
			return i;
	return -1;
}

void against_report(const struct against *a, int all, FILE *f)
{
	fprintf(f, "%llu packets; %llu compared, of which %llu the same\n", a->steps, a->compared, a->same);
	for (int i = 0; all && i < a->rules; i++) {
		const struct rule *r = &a->rule[i];

		fprintf(f, "%-30s %-2s %c %8llu packets, %8llu later, seed %llu\n", r->name, r->linux_says, r->ours,
			r->count, r->later, r->seed);
	}
	for (int i = 0; i < a->kinds; i++)
		fprintf(f, "?%7llu %s (seed %llu, step %d)\n", a->kind[i].count, a->kind[i].text, a->kind[i].seed,
			a->kind[i].step);
}
