/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies in scenarios: compiled where they stand, put in force, on trial, taken back, as ctl/generation.c does live. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "script.h"

#define TEXT_MAX 20000

/* Does the name stand in the text as a word of its own? */
static int has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
		int begins = at == text || !(isalnum((unsigned char)at[-1]) || strchr("-_./", at[-1]));
		int ends = !(isalnum((unsigned char)at[len]) || (at[len] && strchr("-_./", at[len])));

		if (begins && ends)
			return 1;
	}
	return 0;
}

/* Members of the cast that a policy names are hosts of it, and dmz, where some of them are, is the first zone of its own. */
static void add_cast(char *text, size_t room)
{
	const char *name, *v4, *v6;
	size_t at = strlen(text);

	if (has_word(text, "dmz") || has_word(text, "www") || has_word(text, "mail"))
		at += (size_t)snprintf(text + at, room - at, "\nzone dmz = eth9");
	for (size_t i = 0; (name = cast_name(i, &v4, &v6)); i++)
		if (has_word(text, name) && at + 100 < room)
			at += (size_t)snprintf(text + at, room - at, "\nhost %s = %s, %s", name, v4, v6);
	snprintf(text + at, room - at, "\n");
}

/* The words between braces, or the lines of a block. */
static int collect(struct script *s, struct words *ws, char *text, size_t room)
{
	size_t at = 0;

	if (!words_take(ws, "{"))
		return words_fail(ws, "a policy stands between { and }");
	text[0] = 0;
	if (s->block)
		at = (size_t)snprintf(text, room, "%s", s->block);
	while (words_peek(ws) && strcmp(words_peek(ws), "}") != 0 && at < room)
		at += (size_t)snprintf(text + at, room - at, "%s ", words_next(ws));
	if (!words_take(ws, "}"))
		return words_fail(ws, "the policy does not end with }");
	return at + 2000 < room ? 0 : words_fail(ws, "the policy is too long");
}

int script_compile(const char *policy, struct sp_image *out, char *why, size_t len)
{
	char text[TEXT_MAX];
	struct sp_policy *p;
	int rc = -1;

	snprintf(text, sizeof(text), "%s", policy);
	add_cast(text, sizeof(text));
	if (sp_policy_load_text("policy", text, strlen(text), NULL, &p)) {
		snprintf(why, len, "out of memory");
		return -1;
	}
	for (sp_u32 i = 0; i < p->n_diags; i++)
		if (p->diags[i].severity == SP_SEVERITY_ERROR) {
			snprintf(why, len, "policy, line %u: %s", p->diags[i].at.line, p->diags[i].message);
			sp_policy_free(p);
			return -1;
		}
	if (!sp_policy_compile(p, out, why, len)) {
		rc = sp_image_check(out->v, out->n, why, len);
		if (rc)
			sp_image_free(out);
	}
	sp_policy_free(p);
	return rc ? -1 : 0;
}

int script_parse_policy(struct script *s, struct words *ws, struct step *st)
{
	char text[TEXT_MAX], why[300];

	if (collect(s, ws, text, sizeof(text)))
		return -1;
	return script_compile(text, &st->image, why, sizeof(why)) ? words_fail(ws, "%s", why) : 1;
}

static sp_u32 in_force(const struct sp_config *c, sp_u64 now_ns)
{
	return c->trial_until_ns && now_ns >= c->trial_until_ns ? c->trial_back : c->generation;
}

static int put_image(struct run *r, sp_u32 generation, const struct sp_image *image)
{
	int rc = r->t->ops->image(r->t, generation, image);

	if (!rc && r->twin)
		rc = r->twin->ops->image(r->twin, generation, image);
	r->image[generation % SP_IMAGE_SLOTS] = image;
	return rc ? run_fail(r, "the policy can not be loaded: %s", strerror(-rc)) : 0;
}

static void switch_to(struct sp_config *c, sp_u64 now_ns, sp_u64 trial_ns)
{
	const sp_u32 now = in_force(c, now_ns);

	c->generation++;
	c->trial_back = now;
	c->trial_until_ns = trial_ns ? now_ns + trial_ns : 0;
}

int run_policy(struct run *r)
{
	struct sp_config *c = r->t->core->t.config;
	const struct step *st = r->st;
	sp_u32 to = st->number ? (sp_u32)st->number : c->trial_back;

	if (st->kind == STEP_CONFIG)
		return put_image(r, c->generation, &st->image);
	if (st->kind == STEP_CONFIRM) {
		if (in_force(c, r->now_ns) != c->generation || !c->trial_until_ns)
			return run_fail(r, "there is no trial to confirm");
		c->trial_until_ns = 0;
	} else {
		if (st->kind == STEP_UNDO && (!to || c->generation - to >= SP_IMAGE_SLOTS))
			return run_fail(r, "there is no generation %u to go back to", to);
		if (put_image(r, c->generation + 1,
			      st->kind == STEP_UNDO ? r->image[to % SP_IMAGE_SLOTS] : &st->image))
			return -1;
		switch_to(c, r->now_ns, st->kind == STEP_APPLY ? st->number : 0);
	}
	if (r->twin) {
		struct sp_config *w = r->twin->core->t.config;

		w->generation = c->generation;
		w->trial_back = c->trial_back;
		w->trial_until_ns = c->trial_until_ns;
	}
	return 0;
}
