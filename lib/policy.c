/* SPDX-License-Identifier: BSD-2-Clause */
/* libsallyport: a policy from text to the image that the engine asks. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "../policy/compile.h"

/* A text of a given size that is cut at its end. */
struct text {
	char *at;
	size_t left;
};

static __attribute__((format(printf, 2, 3))) void put(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	if (t->left < 2)
		return;
	va_start(args, fmt);
	n = vsnprintf(t->at, t->left, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= t->left)
		n = (int)t->left - 1;
	t->at += n;
	t->left -= (size_t)n;
}

static void put_diags(struct text *t, const struct sp_policy *p)
{
	for (sp_u32 i = 0; i < p->n_diags; i++) {
		const struct sp_diag *d = &p->diags[i];

		put(t, "%s:", d->at.file);
		if (d->at.line)
			put(t, "%u:%u:", d->at.line, d->at.column);
		put(t, " %s: %s", d->severity == SP_SEVERITY_ERROR ? "error" : "warning", d->message);
		if (d->expected)
			put(t, "; expected %s", d->expected);
		if (d->suggestion)
			put(t, "; did you mean '%s'?", d->suggestion);
		put(t, "\n");
	}
}

const struct sp_image_line *sp_lib_image(const struct sallyport *s)
{
	return s->image[s->e->t.config->generation % SP_IMAGE_SLOTS].v;
}

/* Puts a compiled policy into force; then it is the engine's. */
static int put_into_force(struct sallyport *s, struct sp_image *image, struct text *why)
{
	const sp_u32 generation = s->e->t.config->generation + 1, slot = generation % SP_IMAGE_SLOTS;
	const int err = sp_lib_slots(s, image->v);

	if (err) {
		put(why, "more addresses to translate to than the engine was made for (options.addresses)\n");
		return -EINVAL;
	}
	sp_image_free(&s->image[slot]);
	s->image[slot] = *image;
	__atomic_store_n(&s->e->images[slot], image->v, __ATOMIC_RELEASE);
	__atomic_store_n(&s->e->t.config->generation, generation, __ATOMIC_RELEASE);
	return 0;
}

static int take(struct sallyport *s, struct sp_policy *p, char *said, size_t size)
{
	const struct sp_image_line *old = sp_lib_image(s);
	const char (*before)[SP_IMAGE_NAME] = NULL;
	struct text why = { said, said ? size : 0 };
	struct sp_image image = {};
	char limit[512] = "";
	int err;

	if (why.left)
		*said = 0;
	put_diags(&why, p);
	if (p->errors)
		return -EINVAL;
	if (old)
		before = (const char (*)[SP_IMAGE_NAME])&old[((const struct sp_image_head *)old)->zones];
	err = sp_policy_compile_after(p, before, &image, limit, sizeof(limit));
	if (!err)
		err = put_into_force(s, &image, &why);
	else if (err != -ENOMEM)
		put(&why, "%s\n", limit);
	if (err)
		sp_image_free(&image);
	return !err || err == -ENOMEM ? err : -EINVAL;
}

int sallyport_policy(struct sallyport *s, const char *name, const char *text, size_t len, char *why, size_t size)
{
	struct sp_policy *p;
	int err = sp_policy_load_text(name, text, len, NULL, &p);

	if (err)
		return err;
	err = take(s, p, why, size);
	sp_policy_free(p);
	return err;
}

int sallyport_policy_file(struct sallyport *s, const char *path, char *why, size_t size)
{
	struct sp_policy *p;
	int err;

	/* what can not be opened is an error here, not a wrong policy */
	{
		FILE *f = fopen(path, "r");

		if (!f)
			return -errno;
		fclose(f);
	}
	err = sp_policy_load(path, NULL, &p);
	if (err)
		return err;
	err = take(s, p, why, size);
	sp_policy_free(p);
	return err;
}

int sallyport_zone(const struct sallyport *s, const char *name)
{
	static const char *const built_in[] = { [SP_ZONE_SELF] = "self", [SP_ZONE_OUTSIDE] = "outside",
						[SP_ZONE_INSIDE] = "inside" };
	const struct sp_image_line *image = sp_lib_image(s);
	sp_u32 zone;

	for (int i = SP_ZONE_SELF; i < SP_ZONE_COUNT; i++)
		if (!strcmp(built_in[i], name))
			return i;
	zone = image ? sp_image_zone_number(image, name) : SP_ZONE_NONE;
	return zone ? (int)zone : -ENOENT;
}

const char *sallyport_zone_name(const struct sallyport *s, unsigned zone)
{
	const struct sp_image_line *image = sp_lib_image(s);

	if (zone == SP_ZONE_SELF)
		return "self";
	if (zone == SP_ZONE_OUTSIDE)
		return "outside";
	if (zone == SP_ZONE_INSIDE)
		return "inside";
	return image ? sp_image_zone_name(image, zone) : "";
}
