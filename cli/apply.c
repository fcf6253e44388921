/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally apply`, `confirm`, `undo`: put a configuration in force at one instant, on trial if asked, and go back. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config.h"

#define TRIAL_DEFAULT_S 60
#define TRIAL_MAX_S 86400
#define ENDS_SHOWN 10 /* conversations that would end, by name; the rest is counted */

static const char apply_help[] =
	"Usage: sally apply [FILE] [--trial SECONDS | --no-trial] [--dry-run]\n\n"
	"Puts a configuration in force: all of it, at one instant. Shows first what changes,\n"
	"and which conversations it would end; all others live on. Without FILE:\n"
	"/etc/sally/sally.conf.\n\n"
	"  --trial SECONDS  go back by itself after that time unless 'sally confirm' comes;\n"
	"                   the kernel does it, whatever becomes of this session. The default\n"
	"                   in an SSH session: 60\n"
	"  --no-trial       keep it at once, also in an SSH session\n"
	"  --dry-run, -n    only show what would change\n\n"
	"Exit codes: 0 done; 1 the configuration is wrong, nothing has changed; 2 wrong\n"
	"arguments; 3 not permitted; 4 the firewall is not up.\n";

static const char confirm_help[] =
	"Usage: sally confirm\n\n"
	"Keeps the configuration that is on trial.\n\n"
	"Exit codes: 0 kept; 1 there is no trial, or its time is over; 3 not permitted;\n"
	"4 the firewall is not up.\n";

static const char undo_help[] =
	"Usage: sally undo [GENERATION]\n\n"
	"Puts the configuration that was in force before (or that of an earlier generation)\n"
	"in force again. The last six are kept.\n\n"
	"Exit codes: 0 done; 1 there is nothing to go back to; 2 wrong arguments; 3 not\n"
	"permitted; 4 the firewall is not up.\n";

struct apply {
	const char *file;
	sp_u64 trial_s;
	int is_trial_given;
	int dry_run;
};

static int read_options(int argc, char **argv, struct apply *a)
{
	static const struct option options[] = {
		{ "trial", required_argument, NULL, 't' },
		{ "no-trial", no_argument, NULL, 'T' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":n", options, NULL)) != -1) {
		if (c == 't' && sp_read_u64(optarg, 1, TRIAL_MAX_S, &a->trial_s))
			return sp_usage("--trial wants seconds, 1 to 86400", optarg);
		if (c == ':')
			return sp_usage("this option wants a value", argv[optind - 1]);
		if (c == '?')
			return sp_usage("there is no such option", argv[optind - 1]);
		a->is_trial_given |= c == 't' || c == 'T';
		a->dry_run |= c == 'n';
		if (c == 'T')
			a->trial_s = 0;
	}
	if (optind < argc)
		a->file = argv[optind++];
	if (optind < argc)
		return sp_usage("unexpected argument", argv[optind]);
	if (!a->is_trial_given)
		a->trial_s = sp_trial_default_s();
	return 0;
}

/* Is the line (up to the newline) among the lines of text? */
static int has_line(const char *text, const char *line, size_t len)
{
	while (*text) {
		const size_t n = strcspn(text, "\n");

		if (n == len && !memcmp(text, line, len))
			return 1;
		text += n + (text[n] == '\n');
	}
	return 0;
}

/* Lines of one text that the other has not; the canonical form makes equal lines equal. Returns how many. */
static int show_missing(const char *of, const char *in, char sign)
{
	int shown = 0;

	while (*of) {
		const size_t n = strcspn(of, "\n");

		if (n && !has_line(in, of, n)) {
			printf("  %c %.*s\n", sign, (int)n, of);
			shown++;
		}
		of += n + (of[n] == '\n');
	}
	return shown;
}

static void show_flow(const struct sp_flow *f)
{
	const int from = (f->flags & SP_FLOW_FROM_1) != 0;
	char a[SP_ENDPOINT_TEXT], b[SP_ENDPOINT_TEXT], proto[8];

	sp_text_endpoint(a, &f->key.addr[from], f->key.family, f->key.proto, sp_ntoh16(f->key.port[from]));
	sp_text_endpoint(b, &f->key.addr[!from], f->key.family, f->key.proto, sp_ntoh16(f->key.port[!from]));
	printf("  ends: %s %s -> %s\n", sp_text_proto(f->key.proto, proto), a, b);
}

/* Which live conversations the new image would end: those that go on under the old one, and are not over. */
static void show_ends(struct sp_live *l, const struct sp_image *image, const struct sp_image_line *old)
{
	struct sp_engine e = { .t = l->t };
	const sp_u64 now_ns = sp_now_ns();
	struct sp_flow f;
	sp_u32 ends = 0;

	e.images[0] = image->v;
	e.images[1] = (struct sp_image_line *)old;
	for (sp_u32 i = sp_live_next(l, 0); i < l->t.config->capacity; i = sp_live_next(l, i + 1)) {
		if (!sp_live_flow(l, i, &f) || sp_engine_is_stale(&l->t, &f, now_ns) ||
		    sp_phase_class(f.phase) == SP_CLASS_CLOSING)
			continue;
		if (sp_engine_redecide(&e, &f, 0) == SP_R_NONE || sp_engine_redecide(&e, &f, 1) != SP_R_NONE)
			continue;
		if (ends++ < ENDS_SHOWN)
			show_flow(&f);
	}
	if (ends > ENDS_SHOWN)
		printf("  and %u more\n", ends - ENDS_SHOWN);
	if (!ends)
		printf("  no live conversation ends\n");
}

static int show_change(struct sp_live *l, const struct sp_image *image)
{
	const struct sp_image_line *old;
	const char *before, *after = sp_image_text(image->v);
	struct sp_err err;
	sp_u32 n;

	if (sp_generation_open(l, sp_generation_now(l, NULL), &old, &n, &err))
		return sp_fail_err(&err);
	before = old ? sp_image_text(old) : "";
	if (!(show_missing(before, after, '-') + show_missing(after, before, '+')))
		printf("  no line changes\n");
	show_ends(l, image, old);
	sp_generation_unmap(old, n);
	return SP_EXIT_OK;
}

/* Whom the express lane would lead to; what an option of `up` said stands over the configuration. */
static void show_lane(const struct sp_live *l, const struct sp_image_line *image, const struct sp_links *links)
{
	const sp_u32 flags = l->t.config->flags;

	if (sp_lane_is_wanted(0, image) && flags & SP_CONFIG_NO_EXPRESS)
		printf("  express on: not in force, 'sally up --no-express' stands over it\n");
	for (int i = 0; i < links->count; i++) {
		const struct sp_link *k = &links->link[i];

		if (k->zone && k->zone_was && k->express != k->express_was)
			printf("  %s: %s the express lane%s%s\n", k->name, k->express ? "on" : "off",
			       *k->lane ? ": " : "", k->lane);
		else if (k->zone && k->zone_was && *k->lane)
			printf("  %s: no express lane: %s\n", k->name, k->lane);
	}
}

/* Interfaces that change their zone; zones are called what image calls them, and before it what they are called now. */
static int show_zones(const struct sp_live *l, const struct sp_image_line *image, const struct sp_zoning *zoning)
{
	char before[SP_ZONES_MAX][SP_IMAGE_NAME];
	struct sp_links links;
	struct sp_err err;

	memcpy(before, sp_zone_names(), sizeof(before));
	sp_zone_names_of(image);
	if (sp_rezone_plan(l, zoning, image, &links, &err))
		return sp_fail_err(&err);
	for (int i = 0; i < links.count; i++) {
		const struct sp_link *k = &links.link[i];

		if (k->zone != k->zone_was)
			printf("  %s: %s -> %s%s\n", k->name, k->zone_was ? before[k->zone_was] : "not guarded",
			       k->zone ? sp_zone_name(k->zone) : "not guarded",
			       k->zone && k->zone_was ? "; its conversations stop" : "");
	}
	show_lane(l, image, &links);
	sp_links_free(&links);
	return SP_EXIT_OK;
}

/* sallyd will guard it in the zone that it had; to change that, it must be there. */
static void show_lacking(const struct sp_place *was, const struct sp_zoning *zoning)
{
	for (int i = 0; i < zoning->count; i++)
		if (!strcmp(zoning->place[i].name, was->name))
			return;
	if (!if_nametoindex(was->name))
		printf("  %s is not there: should it come back, it is %s as before, unless 'sally down' and 'sally up' come "
		       "first\n", was->name, sp_zone_name(was->zone));
}

/* Interfaces that the configuration in force has in the same zone may be gone for now. */
static int may_lack(const struct sp_live *l, struct sp_zoning *zoning)
{
	static struct sp_zoning before;
	struct sp_policy *policy = NULL;
	const struct sp_image_line *image;
	struct sp_err err;
	sp_u32 n;
	int rc;

	if (sp_generation_open(l, sp_generation_now(l, NULL), &image, &n, &err))
		return sp_fail_err(&err);
	rc = sp_config_zoning_before(image, &before, &policy);
	for (int i = 0; !rc && i < zoning->count; i++)
		for (int k = 0; k < before.count; k++)
			zoning->place[i].may_lack |= zoning->place[i].zone == before.place[k].zone &&
						     !strcmp(zoning->place[i].name, before.place[k].name);
	for (int k = 0; !rc && k < before.count; k++)
		show_lacking(&before.place[k], zoning);
	if (policy)
		sp_policy_free(policy);
	sp_generation_unmap(image, n);
	return rc;
}

/* Ports of addresses are laid out by `up`. */
static void show_pool(const struct sp_live *l, const struct sp_image_line *image)
{
	const sp_u32 pool = sp_image_line1(image)->pool_count, slots = l->t.nat->slots;

	if (slots && pool > slots)
		printf("  only %u of the %u addresses of the pool are used, until 'sally down' and 'sally up' make room\n",
		       slots, pool);
}

/* The addresses of two pools would be in use at the same time, for either policy. */
static int check_trial(const struct sp_live *l, const struct sp_image_line *image)
{
	const struct sp_image_line *old;
	const sp_u32 *a, *b;
	struct sp_err err;
	sp_u32 n, n_a, n_b = 0;
	int differs;

	if (sp_generation_open(l, sp_generation_now(l, NULL), &old, &n, &err))
		return sp_fail_err(&err);
	a = sp_image_pool(image, &n_a);
	b = old ? sp_image_pool(old, &n_b) : NULL;
	differs = n_a && n_b && (n_a != n_b || memcmp(a, b, n_a * sizeof(*a)));
	sp_generation_unmap(old, n);
	if (!differs)
		return SP_EXIT_OK;
	return sp_fail(SP_EXIT_FAILED, "one pool of addresses for another can not be on trial: --no-trial, or 'nat pool' "
		       "taken out first; nothing has changed");
}

/* What is to change, and the zones that the interfaces get. */
static int show(struct sp_live *l, const struct sp_policy *policy, const struct sp_image *image, struct sp_zoning *zoning,
		int is_trial)
{
	int rc = is_trial ? check_trial(l, image->v) : SP_EXIT_OK;

	if (!rc)
		rc = show_change(l, image);

	if (!rc)
		rc = sp_config_zoning(policy, image->v, zoning);
	if (!rc)
		rc = may_lack(l, zoning);
	show_pool(l, image->v);
	return rc ? rc : show_zones(l, image->v, zoning);
}

int sp_apply_file(const char *file, sp_u64 trial_s, int dry_run)
{
	static struct sp_zoning zoning;
	struct sp_policy *policy = NULL;
	struct sp_image image = {};
	struct sp_live l;
	struct sp_err err;
	sp_u32 generation = 0;
	const int is_up = !sp_live_open(&l, &err);
	int rc = sp_config_compile(file, &image, &policy);

	zoning.count = 0;
	if (!rc)
		rc = is_up ? show(&l, policy, &image, &zoning, trial_s != 0) : sp_fail_err(&err);
	if (is_up)
		sp_live_close(&l);
	if (!rc && !dry_run && sp_apply(image.v, image.n, &zoning, trial_s * SP_NS_PER_S, &generation, &err))
		rc = sp_fail_err(&err);
	else if (!rc && dry_run)
		printf("nothing has changed (dry run)\n");
	else if (!rc && trial_s)
		printf("in force on trial, generation %u: 'sally confirm' within %llu s keeps it, else it goes back by "
		       "itself\n", generation, trial_s);
	else if (!rc)
		printf("in force, generation %u\n", generation);
	if (policy)
		sp_policy_free(policy);
	sp_image_free(&image);
	return rc;
}

sp_u64 sp_trial_default_s(void)
{
	return sp_is_remote() ? TRIAL_DEFAULT_S : 0;
}

int sp_cmd_apply(int argc, char **argv)
{
	struct apply a = { .file = SP_CONFIG_FILE };
	int rc;

	if (sp_wants_help(argc, argv, apply_help))
		return SP_EXIT_OK;
	rc = read_options(argc, argv, &a);
	if (!rc)
		rc = sp_apply_file(a.file, a.trial_s, a.dry_run);
	return rc ? rc : sp_finish(SP_EXIT_OK);
}

int sp_cmd_confirm(int argc, char **argv)
{
	struct sp_err err;

	if (sp_wants_help(argc, argv, confirm_help))
		return SP_EXIT_OK;
	if (argc > 1)
		return sp_usage("unexpected argument", argv[1]);
	if (sp_confirm(&err))
		return err.code == -ENOENT && strstr(err.text, "trial") ? sp_fail(SP_EXIT_FAILED, "%s", err.text) :
		       sp_fail_err(&err);
	printf("confirmed: the configuration stays in force\n");
	return sp_finish(SP_EXIT_OK);
}

/* The zones that the configuration of generation *to (0: the one before) names, from its text, which policy keeps alive. */
static int zones_of_before(sp_u32 *to, struct sp_zoning *zoning, struct sp_policy **policy)
{
	struct sp_live l;
	struct sp_err err;
	sp_u32 n;
	int rc = sp_live_open(&l, &err) ? sp_fail_err(&err) : SP_EXIT_OK;
	const struct sp_image_line *image;

	if (rc)
		return rc;
	/* that very one is gone back to, whoever else applies something meanwhile */
	*to = sp_undo_to(&l, *to) ? sp_undo_to(&l, *to) : *to;
	rc = sp_generation_open(&l, *to, &image, &n, &err) ? sp_fail_err(&err) : SP_EXIT_OK;
	if (!rc)
		rc = sp_config_zoning_before(image, zoning, policy);
	for (int i = 0; !rc && i < zoning->count; i++)
		zoning->place[i].may_lack = 1;
	sp_generation_unmap(image, n);
	sp_live_close(&l);
	return rc;
}

int sp_cmd_undo(int argc, char **argv)
{
	static struct sp_zoning zoning;
	struct sp_policy *policy = NULL;
	sp_u64 asked = 0;
	sp_u32 to, generation;
	struct sp_err err;
	int rc;

	if (sp_wants_help(argc, argv, undo_help))
		return SP_EXIT_OK;
	if (argc > 1 && sp_read_u64(argv[1], 1, 0xffffffff, &asked))
		return sp_usage("this wants the number of a generation", argv[1]);
	if (argc > 2)
		return sp_usage("unexpected argument", argv[2]);
	to = (sp_u32)asked;
	rc = zones_of_before(&to, &zoning, &policy);
	if (!rc && sp_undo(to, &zoning, &generation, &err))
		rc = err.code == -EINVAL ? sp_fail(SP_EXIT_FAILED, "%s", err.text) : sp_fail_err(&err);
	else if (!rc)
		printf("back: in force as generation %u\n", generation);
	if (policy)
		sp_policy_free(policy);
	return rc ? rc : sp_finish(SP_EXIT_OK);
}
