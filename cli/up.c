/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally up`: guard this network namespace from now on. */
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "../ctl/watch.h"
#include "cli.h"
#include "config.h"

static const char help[] =
	"Usage: sally up [--outside IF]... [--inside IF]... [--flows N] [--mode MODE]\n"
	"                [--config FILE | --no-config] [--no-daemon] [--replace]\n\n"
	"Guards this machine from now on. Interfaces are in the zones that the configuration\n"
	"names. Those that nobody names are outside if they have a default route; the others\n"
	"are left alone, or inside if this machine forwards packets (a gateway). Everything\n"
	"lives in the kernel: no program has to keep running. Connections that exist go on,\n"
	"also those that the kernel translates now (nftables). If another build of Sallyport\n"
	"guards, the programs of this one take their place: nothing is unguarded meanwhile,\n"
	"conversations, policy and interfaces stay.\n\n"
	"  --outside IF  this interface is outside (repeatable), whatever the configuration\n"
	"                says\n"
	"  --inside IF   this interface is inside (repeatable)\n"
	"  --flows N     room for so many conversations; without it a thirty-second of\n"
	"                the memory\n"
	"  --mode MODE   where packets that come in are judged: tc (always works), xdp (in\n"
	"                the driver; an error if it can not), auto (on a gateway xdp where\n"
	"                the driver can, else tc)\n"
	"  --express     forwarded packets of answered conversations go from driver to\n"
	"                driver, without the stack (and without its queueing disciplines and\n"
	"                other filters), where both interfaces can; as a line 'express on',\n"
	"                but whatever the configuration says, now and later\n"
	"  --no-express  they do not, likewise\n"
	"  --config FILE the configuration, in force from the first packet on; without it\n"
	"                /etc/sally/sally.conf if there is one\n"
	"  --no-config   do not look for one: what is built in, alone\n"
	"  --no-daemon   do not start sallyd, which sees to interfaces that come back and\n"
	"                addresses that change\n"
	"  --replace     if one is up, of whatever build, this takes its place, with these\n"
	"                options and a table of its own: nothing is unguarded meanwhile, but\n"
	"                conversations have to be taken over as if none had been up\n\n"
	"Exit codes: 0 up; 1 it did not work, nothing has changed; 2 wrong arguments\n"
	"(unknown interface, none outside); 3 not permitted, or not possible with this\n"
	"kernel; 4 up already, with these programs, or with tables that this one can not read.\n";

static const struct option options[] = {
	{ "outside", required_argument, NULL, 'o' },
	{ "inside", required_argument, NULL, 'i' },
	{ "flows", required_argument, NULL, 'f' },
	{ "mode", required_argument, NULL, 'm' },
	{ "express", no_argument, NULL, 'e' },
	{ "no-express", no_argument, NULL, 'E' },
	{ "config", required_argument, NULL, 'c' },
	{ "no-config", no_argument, NULL, 'C' },
	{ "no-daemon", no_argument, NULL, 'D' },
	{ "replace", no_argument, NULL, 'r' },
	{ NULL, 0, NULL, 0 },
};

static int read_mode(const char *word, enum sp_mode *mode)
{
	static const char *const names[] = { [SP_MODE_AUTO] = "auto", [SP_MODE_TC] = "tc", [SP_MODE_XDP] = "xdp" };
	int i;

	for (i = 0; i < 3; i++) {
		if (!strcmp(word, names[i])) {
			*mode = (enum sp_mode)i;
			return 0;
		}
	}
	return -1;
}

static int add_by_hand(struct sp_up *up, const char *name, sp_u8 zone)
{
	struct sp_zoning *z = &up->zoning;

	if (z->count == SP_MAX_IFACES)
		return sp_usage("too many interfaces", name);
	z->place[z->count++] = (struct sp_place){ .name = name, .zone = zone, .named = SP_NAMED_BY_HAND };
	return 0;
}

/* The configuration: its interfaces and its image. policy keeps the names alive. */
static int read_config(const char *file, struct sp_up *up, struct sp_image *image, struct sp_policy **policy)
{
	int rc;

	if (!file && !access(SP_CONFIG_FILE, F_OK))
		file = SP_CONFIG_FILE;
	if (!file || !*file)
		return SP_EXIT_OK;
	rc = sp_config_compile(file, image, policy);
	if (rc)
		return rc;
	up->image = image->v;
	up->image_lines = image->n;
	sp_zone_names_of(up->image);
	return sp_config_zoning(*policy, up->image, &up->zoning);
}

/* *config: NULL: the usual place; "": none. */
static int read_options(int argc, char **argv, struct sp_up *up, const char **config, int *no_daemon)
{
	int c, rc = 0;

	opterr = 0;
	while (!rc && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'o')
			rc = add_by_hand(up, optarg, SP_ZONE_OUTSIDE);
		else if (c == 'i')
			rc = add_by_hand(up, optarg, SP_ZONE_INSIDE);
		else if (c == 'f' && sp_read_u64(optarg, 1, ~0ULL, &up->flows))
			rc = sp_usage("--flows wants a number of conversations", optarg);
		else if (c == 'm' && read_mode(optarg, &up->mode))
			rc = sp_usage("--mode wants auto, tc or xdp", optarg);
		else if (c == 'c')
			*config = optarg;
		else if (c == 'C')
			*config = "";
		else if (c == 'e')
			up->lane = SP_CONFIG_EXPRESS;
		else if (c == 'E')
			up->lane = SP_CONFIG_NO_EXPRESS;
		else if (c == 'D')
			*no_daemon = 1;
		else if (c == 'r')
			up->replace = 1;
		else if (c == ':')
			rc = sp_usage("this option wants a value", argv[optind - 1]);
		else if (c == '?')
			rc = sp_usage("there is no such option", argv[optind - 1]);
	}
	if (!rc && optind < argc)
		rc = sp_usage("unexpected argument", argv[optind]);
	return rc;
}

static void print_zone(const struct sp_up *up, sp_u8 zone)
{
	int i, shown = 0;

	for (i = 0; i < up->links.count; i++) {
		const struct sp_link *l = &up->links.link[i];

		if (l->zone != zone)
			continue;
		if (!shown)
			printf("  %-7s  ", sp_zone_name(zone));
		printf("%s%s (%s%s%s%s%s%s)", shown++ ? ", " : "", l->name, l->xdp ? "xdp" : "tc",
		       l->express ? ", express lane" : "", *l->note ? "; " : "", l->note,
		       *l->lane ? "; no express lane: " : "", l->lane);
	}
	if (shown)
		putchar('\n');
}

static void print_zones(const struct sp_up *up)
{
	for (sp_u8 zone = SP_ZONE_OUTSIDE; zone < SP_ZONES_MAX; zone++)
		print_zone(up, zone);
}

static void print_renewed(const struct sp_up *up)
{
	printf("up: the programs of this build are in the place of those before; conversations that go on: %u\n", up->kept);
	print_zones(up);
	printf("  interfaces and policy are what they were; 'sally apply' puts another configuration in force\n");
}

static void print_result(const struct sp_up *up, const char *config)
{
	if (up->renewed) {
		print_renewed(up);
		return;
	}
	if (up->cleaned)
		printf("what an interrupted 'sally up' or 'sally down' had left was removed first\n");
	printf("up%s: guarding %s\n", up->replaced ? ", in the place of the one before" : "",
	       up->flags & SP_CONFIG_GATEWAY ? "this machine and the network behind it" : "this machine");
	print_zones(up);
	if (up->image)
		printf("  configuration: %s\n", config ? config : SP_CONFIG_FILE);
	printf("  room for %u conversations; connections taken over: %u\n", up->capacity, up->adopted);
	if (up->adopt_failed)
		printf("  connections without room: %u; a larger --flows would keep them\n", up->adopt_failed);
	if (*up->adopt_note)
		printf("  connections may be cut: %s\n", up->adopt_note);
}

/* The firewall is up, with or without it. One that runs already has the programs before in its hands. */
static void start_watcher(const struct sp_up *up, int no_daemon)
{
	char instance[80];
	struct sp_err err;
	const int ran = (up->renewed || up->replaced) && !sp_watcher_instance(instance, &err) && sp_watcher_pid(instance);

	if (ran)
		sp_watcher_stop(instance);
	if (no_daemon && !(ran && up->renewed))
		return;
	fflush(stdout);
	if (!sp_watcher_is_first() && !sp_watcher_is_named())
		printf("  sallyd is not started: this network namespace has no name and would not end before it\n");
	else if (sp_watcher_start(&err))
		printf("  addresses that change are found out by the next packet only: %s\n", err.text);
	else
		printf("  sallyd watches for addresses that change\n");
}

int sp_cmd_up(int argc, char **argv)
{
	struct sp_policy *policy = NULL;
	struct sp_image image = {};
	static struct sp_up up;
	const char *config = NULL;
	struct sp_err err;
	int rc, no_daemon = 0;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	rc = read_options(argc, argv, &up, &config, &no_daemon);
	if (!rc)
		rc = read_config(config, &up, &image, &policy);
	if (!rc && sp_up(&up, &err))
		rc = sp_fail_err(&err);
	else if (!rc)
		print_result(&up, config);
	if (!rc)
		start_watcher(&up, no_daemon);
	sp_up_fini(&up);
	sp_image_free(&image);
	if (policy)
		sp_policy_free(policy);
	return rc;
}
