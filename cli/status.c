/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally status`: what is guarded, how full the table is, what was stopped and why. */
#include <stdlib.h>
#include <string.h>

#include "../policy/image.h"
#include "../ctl/watch.h"
#include "cli.h"
#include "heaviest.h"
#include "translation.h"

static const char help[] =
	"Usage: sally status [--json]\n\n"
	"Zones and interfaces (and where their packets are judged), what is allowed\n"
	"without being configured, how many conversations there are, whether the table is\n"
	"under pressure, which addresses are translated to and how many of their ports are\n"
	"in use, what was stopped and why. When conversations are being refused or\n"
	"the table is under pressure, also who started most of those without an answer.\n\n"
	"Exit codes: 0 up; 2 wrong arguments; 3 not permitted; 4 not up.\n";

/* What needs no configuration and is always allowed. */
static const char *const built_in[] = {
	"this machine may start conversations with anybody",
	"answers to what was sent out, from the very address and port it was sent to",
	"error messages that belong to a remembered conversation (path-MTU discovery is one of them)",
	"neighbour discovery, router advertisements and multicast membership on the link",
	"the DHCP exchange of this machine",
};
static const char built_in_gateway[] = "the inside may start conversations with the outside and with this machine";

struct picture {
	struct sp_live live;
	struct sp_links links;
	struct sp_counter counters[SP_REASON_COUNT];
	sp_u32 flows[SP_CLASS_COUNT]; /* counted, without those that have expired */
	sp_u32 translated;
	sp_u32 total, held; /* held: entries in use, expired ones included; what the engine compares with its limits */
	int has_pressure, has_refused, has_inside, has_lane; /* has_lane: it is wanted */
	struct sp_seen seen;
	int has_gate; /* interfaces that are made anew are held back until they are guarded */
	struct sp_held held_back[SP_HELD_MAX];
	int held_backs;
	struct sp_heavy heavy[SP_HEAVIEST];
	int heavies;
};

static void count_flows(struct picture *p)
{
	sp_u64 now = sp_now_ns();
	struct sp_flow f;
	sp_u32 i;

	for (i = sp_live_next(&p->live, 0); i < p->live.t.config->capacity; i = sp_live_next(&p->live, i + 1)) {
		if (!sp_live_flow(&p->live, i, &f) || sp_engine_is_stale(&p->live.t, &f, now))
			continue;
		p->flows[sp_phase_class(f.phase)]++;
		p->translated += (f.flags & SP_FLOW_TRANSLATED) != 0;
		p->total++;
	}
}

static int take_picture(struct picture *p, struct sp_err *err)
{
	static const int refusals[] = { SP_R_TABLE_FULL, SP_R_UNANSWERED_FULL, SP_R_SOURCE_SHARE, SP_R_ASKED };
	int i, rc;

	rc = sp_live_open(&p->live, err);
	if (!rc)
		rc = sp_live_links(&p->live, &p->links, err);
	if (!rc)
		rc = sp_live_counters(&p->live, p->counters, err);
	if (rc)
		return rc;
	p->has_gate = sp_gate_is_there(p->live.dir);
	p->held_backs = sp_held_read(&p->live, &p->links, p->held_back);
	p->has_lane = sp_lane_look(&p->live, &p->links);
	p->seen = sp_lane_seen(&p->live);
	count_flows(p);
	for (i = 0; i < 4; i++)
		p->held += p->live.t.state->count[i];
	p->has_pressure = p->held > p->live.t.config->pressure_on;
	for (i = 0; i < 4; i++)
		p->has_refused |= p->counters[refusals[i]].packets > 0;
	for (i = 0; i < p->links.count; i++)
		p->has_inside |= p->links.link[i].zone == SP_ZONE_INSIDE;
	if (p->has_pressure || p->has_refused)
		p->heavies = sp_heaviest(&p->live, p->heavy);
	return 0;
}

/* ---- drops by reason, most first ------------------------------------------------------------- */

static const struct sp_counter *sorting; /* qsort has no room for an argument */

static int compare_reasons(const void *a, const void *b)
{
	sp_u64 x = sorting[*(const int *)a].packets, y = sorting[*(const int *)b].packets;

	return x > y ? -1 : x < y ? 1 : *(const int *)a - *(const int *)b;
}

static int sort_reasons(const struct sp_counter *counters, enum sp_verdict verdict, int *out)
{
	int i, n = 0;

	for (i = 0; i < SP_REASON_COUNT; i++)
		if (counters[i].packets && sp_reason_verdict((unsigned)i) == verdict)
			out[n++] = i;
	sorting = counters;
	qsort(out, (size_t)n, sizeof(*out), compare_reasons);
	return n;
}

/* The process of the instance's sallyd; 0: it does not run; -1: it runs where we can not see its number. */
static int watcher_of(const struct picture *p)
{
	return sp_watcher_pid(strrchr(p->live.dir, '/') + 1);
}

/* ---- for people ------------------------------------------------------------------------------ */

static const char *link_name(const struct sp_link *l, char buf[32])
{
	if (*l->name)
		return l->name;
	snprintf(buf, 32, "(gone, was number %d)", l->ifindex);
	return buf;
}

/* Does the gate hold that interface? */
static int is_held(const struct picture *p, const char *name)
{
	int i, held = 0;

	for (i = 0; i < p->held_backs && p->has_gate; i++)
		held |= p->held_back[i].now && !strcmp(p->held_back[i].name, name);
	return held;
}

/* Interfaces that were made anew. */
static void print_gate(const struct picture *p)
{
	int i;

	if (!p->has_gate)
		printf("  an interface that is made anew is open until sallyd has seen it: this %s\n", sp_gate_may_be() ?
		       "kernel has no BPF links for\n  netfilter (Linux 6.4, CONFIG_NETFILTER_BPF_LINK)" :
		       "network namespace has no\n  name (ip-netns(8)), and would not end before them");
	for (i = 0; i < p->held_backs; i++) {
		const struct sp_held *h = &p->held_back[i];

		if (is_held(p, h->name))
			printf("  HELD BACK: %s was made anew and is not guarded yet: nothing comes in (%llu packets so far)"
			       "; sallyd guards it, or 'sally apply'\n", h->name, h->packets);
		else if (h->packets)
			printf("  %s was made anew: held back until it was guarded again: %llu packets\n", h->name,
			       h->packets);
	}
}

/* What has changed since 'up' and needs a new one. */
static void print_warnings(const struct picture *p)
{
	static const char again[] = "'sally up --replace' puts it right";
	int i, was_gateway = !!(p->live.t.config->flags & SP_CONFIG_GATEWAY);

	for (i = 0; i < p->links.count; i++) {
		const struct sp_link *l = &p->links.link[i];

		if (l->zone == SP_ZONE_NONE && l->has_default_route && !is_held(p, l->name))
			printf("  NOT GUARDED: %s has a default route now; %s\n", l->name, again);
		if (l->loses)
			printf("  PACKETS ARE LOST: the express lane leads to %s, but %s; 'sally apply' takes it off the "
			       "lane, sallyd does so by itself\n", l->name, l->lane);
		if (l->is_unhooked)
			printf("  NOT GUARDED: somebody took the programs off %s; %s\n", l->name, again);
	}
	if (was_gateway != p->links.forwarding)
		printf("  ATTENTION: this machine forwards packets %s; %s\n",
		       was_gateway ? "no longer" : "now, but came up as a host", again);
}

static void print_link(const char *zone, const char *name, const struct sp_link *l)
{
	printf("  %-8s  %s, judged at %s%s", zone, name, l->xdp ? "XDP" : "TC", l->express ? ", express lane" : "");
	if (*l->note)
		printf(" (%s)", l->note);
	if (*l->lane && !l->express)
		printf(" (no express lane: %s)", l->lane);
	putchar('\n');
}

/* What of the whole express lane is not as it was asked for. */
static void print_lane(const struct picture *p)
{
	const sp_u8 *others = p->seen.others;

	if (p->has_lane && sp_lane_is_idle(&p->live))
		printf("  the express lane is not taken: another program on this machine translates (nftables)\n");
	else if (p->has_lane && (others[0] || others[1]))
		printf("  express lane: what begins a conversation%s takes the stack: somebody else has rules for forwarded "
		       "packets\n", !others[1] ? " (IPv4)" : !others[0] ? " (IPv6)" : "");
	else if (!p->has_lane && p->live.t.config->flags & SP_CONFIG_NO_EXPRESS)
		printf("  the express lane is off, whatever the configuration says: 'sally up --no-express'\n");
}

static void print_links(const struct picture *p)
{
	char buf[32];
	sp_u8 zone;
	int i;

	printf("\nZones\n  self      this machine\n");
	for (zone = SP_ZONE_OUTSIDE; zone < SP_ZONES_MAX; zone++) {
		for (i = 0; i < p->links.count; i++) {
			const struct sp_link *l = &p->links.link[i];

			if (l->zone == zone)
				print_link(sp_zone_name(zone), link_name(l, buf), l);
		}
	}
	print_lane(p);
	print_warnings(p);
	print_gate(p);
}

static void print_table(const struct picture *p)
{
	const struct sp_config *c = p->live.t.config;
	int i;

	printf("\nConversations\n  %u of at most %u (%llu %%)\n", p->total, c->capacity,
	       c->capacity ? 100ULL * p->total / c->capacity : 0);
	for (i = 0; i < SP_CLASS_COUNT; i++) {
		printf("  %-10s  %u", sp_class_name((unsigned)i), p->flows[i]);
		if (i == SP_CLASS_UNANSWERED)
			printf(" of at most %u", c->unanswered_max);
		putchar('\n');
	}
	if (p->has_pressure)
		printf("  pressure    yes, %u places are taken (from %u on): the short timeouts are in force\n", p->held,
		       c->pressure_on + 1);
	else
		printf("  pressure    no: the normal timeouts are in force (up to %u)\n", c->pressure_on);
}

static void print_reasons(const struct picture *p, enum sp_verdict verdict, const char *title)
{
	int order[SP_REASON_COUNT], n = sort_reasons(p->counters, verdict, order), i;

	printf("\n%s\n", title);
	if (!n)
		printf("  nothing so far\n");
	for (i = 0; i < n; i++)
		printf("  %-16s  %12llu packets  %14llu bytes  %s\n", sp_reason_name((unsigned)order[i]),
		       p->counters[order[i]].packets, p->counters[order[i]].bytes, sp_reason_text((unsigned)order[i]));
}

static void print_heaviest(const struct picture *p)
{
	int i;

	if (!p->heavies)
		return;
	printf("\nMost conversations without an answer\n");
	for (i = 0; i < p->heavies; i++)
		printf("  %-43s  %u\n", p->heavy[i].text, p->heavy[i].count);
}

/* The configuration in force, as it is understood, and how long a trial still lasts. */
static void print_policy(const struct picture *p)
{
	const struct sp_config *c = p->live.t.config;
	int trial;
	const sp_u32 now = sp_generation_now(&p->live, &trial);
	sp_u32 n;
	const struct sp_image_line *image = sp_generation_image(&p->live, now, &n);
	const char *text = image ? sp_image_text(image) : "";

	printf("\nConfiguration, generation %u\n", now);
	if (trial)
		printf("  ON TRIAL: goes back by itself in %.0f s unless 'sally confirm' comes\n",
		       (double)(c->trial_until_ns - sp_now_ns()) / SP_NS_PER_S);
	if (!*text)
		printf("  no line: only what is built in\n");
	while (*text) {
		const int len = (int)strcspn(text, "\n");

		printf("  %.*s\n", len, text);
		text += len + (text[len] == '\n');
	}
	sp_generation_unmap(image, n);
}

static void print_text(const struct picture *p)
{
	const struct sp_config *c = p->live.t.config;
	char age[24];
	size_t i;

	printf("up for %s, guarding %s\n", sp_text_age(sp_now_ns() - c->up_ns, age),
	       c->flags & SP_CONFIG_GATEWAY ? "this machine and the network behind it (gateway)" : "this machine (host)");
	print_links(p);
	if (!watcher_of(p))
		printf("  sallyd does not run: interfaces that come back are not guarded again, and lost addresses are\n"
		       "  found out by the next packet that uses them\n");
	printf("\nBuilt in, always allowed\n");
	for (i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
		printf("  %s\n", built_in[i]);
		if (!i && p->has_inside)
			printf("  %s\n", built_in_gateway);
	}
	print_policy(p);
	print_table(p);
	sp_translation_text(&p->live, &p->links, p->translated);
	print_reasons(p, SP_DROP, "Stopped");
	print_reasons(p, SP_PASS, "Let through");
	print_heaviest(p);
	if (p->live.t.state->events_lost)
		printf("\nEvents not shown by 'sally watch' because there were too many: %llu\n",
		       p->live.t.state->events_lost);
}

/* ---- for scripts ----------------------------------------------------------------------------- */

static void json_links(struct sp_json *j, const struct picture *p)
{
	int i;

	sp_json_open(j, "interfaces", '[');
	for (i = 0; i < p->links.count; i++) {
		const struct sp_link *l = &p->links.link[i];

		if (l->zone == SP_ZONE_NONE && !l->has_default_route)
			continue;
		sp_json_open(j, NULL, '{');
		sp_json_str(j, "name", l->name);
		sp_json_u64(j, "index", (sp_u64)l->ifindex);
		sp_json_str(j, "zone", sp_zone_name(l->zone));
		sp_json_bool(j, "guarded", l->zone != SP_ZONE_NONE && !l->is_unhooked);
		sp_json_str(j, "mode", l->zone == SP_ZONE_NONE ? "" : l->xdp ? "xdp" : "tc");
		sp_json_bool(j, "express", l->express);
		sp_json_str(j, "note", l->note);
		sp_json_str(j, "express_note", l->lane);
		sp_json_close(j);
	}
	sp_json_close(j);
}

static void json_lane(struct sp_json *j, const struct picture *p)
{
	const sp_u32 by_hand = p->live.t.config->flags & (SP_CONFIG_EXPRESS | SP_CONFIG_NO_EXPRESS);

	sp_json_open(j, "express", '{');
	sp_json_bool(j, "wanted", p->has_lane);
	sp_json_str(j, "by", by_hand ? "option" : p->has_lane ? "configuration" : "default");
	sp_json_bool(j, "idle", p->has_lane && sp_lane_is_idle(&p->live));
	sp_json_open(j, "others", '[');
	if (p->has_lane && p->seen.others[0])
		sp_json_str(j, NULL, "ipv4");
	if (p->has_lane && p->seen.others[1])
		sp_json_str(j, NULL, "ipv6");
	sp_json_close(j);
	sp_json_close(j);
}

static void json_gate(struct sp_json *j, const struct picture *p)
{
	int i;

	sp_json_open(j, "gate", '{');
	sp_json_bool(j, "there", p->has_gate);
	sp_json_open(j, "held", '[');
	for (i = 0; i < p->held_backs; i++) {
		sp_json_open(j, NULL, '{');
		sp_json_str(j, "name", p->held_back[i].name);
		sp_json_bool(j, "now", is_held(p, p->held_back[i].name));
		sp_json_u64(j, "packets", p->held_back[i].packets);
		sp_json_u64(j, "bytes", p->held_back[i].bytes);
		sp_json_close(j);
	}
	sp_json_close(j);
	sp_json_close(j);
}

static void json_table(struct sp_json *j, const struct picture *p)
{
	const struct sp_config *c = p->live.t.config;
	int i;

	sp_json_open(j, "flows", '{');
	sp_json_u64(j, "total", p->total);
	for (i = 0; i < SP_CLASS_COUNT; i++)
		sp_json_u64(j, sp_class_name((unsigned)i), p->flows[i]);
	sp_json_u64(j, "translated", p->translated);
	sp_json_u64(j, "capacity", c->capacity);
	sp_json_u64(j, "unanswered_max", c->unanswered_max);
	sp_json_u64(j, "held", p->held);
	sp_json_u64(j, "pressure_on", c->pressure_on);
	sp_json_bool(j, "pressure", p->has_pressure);
	sp_json_str(j, "timeouts", p->has_pressure ? "pressure" : "normal");
	sp_json_close(j);
}

static void json_reasons(struct sp_json *j, const struct picture *p, enum sp_verdict verdict, const char *name)
{
	int order[SP_REASON_COUNT], n = sort_reasons(p->counters, verdict, order), i;

	sp_json_open(j, name, '{');
	for (i = 0; i < n; i++) {
		sp_json_open(j, sp_reason_name((unsigned)order[i]), '{');
		sp_json_u64(j, "packets", p->counters[order[i]].packets);
		sp_json_u64(j, "bytes", p->counters[order[i]].bytes);
		sp_json_close(j);
	}
	sp_json_close(j);
}

static void print_json(const struct picture *p)
{
	const struct sp_config *c = p->live.t.config;
	struct sp_json j;
	int trial;
	size_t i;

	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '{');
	sp_json_str(&j, "role", c->flags & SP_CONFIG_GATEWAY ? "gateway" : "host");
	sp_json_u64(&j, "up_seconds", (sp_now_ns() - c->up_ns) / SP_NS_PER_S);
	sp_json_u64(&j, "generation", sp_generation_now(&p->live, &trial));
	sp_json_bool(&j, "trial", trial);
	sp_json_bool(&j, "sallyd", watcher_of(p) != 0);
	json_links(&j, p);
	json_lane(&j, p);
	json_gate(&j, p);
	sp_json_open(&j, "built_in", '[');
	for (i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
		sp_json_str(&j, NULL, built_in[i]);
		if (!i && p->has_inside)
			sp_json_str(&j, NULL, built_in_gateway);
	}
	sp_json_close(&j);
	json_table(&j, p);
	sp_translation_json(&j, &p->live, &p->links);
	json_reasons(&j, p, SP_DROP, "stopped");
	json_reasons(&j, p, SP_PASS, "passed");
	sp_json_open(&j, "heaviest", '[');
	for (i = 0; i < (size_t)p->heavies; i++) {
		sp_json_open(&j, NULL, '{');
		sp_json_str(&j, "source", p->heavy[i].text);
		sp_json_u64(&j, "unanswered", p->heavy[i].count);
		sp_json_close(&j);
	}
	sp_json_close(&j);
	sp_json_u64(&j, "events_lost", p->live.t.state->events_lost);
	sp_json_close(&j);
}

int sp_cmd_status(int argc, char **argv)
{
	static struct picture p;
	struct sp_err err;
	int i, json = 0, rc;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json"))
			return sp_usage("unexpected argument", argv[i]);
		json = 1;
	}
	rc = take_picture(&p, &err);
	if (rc)
		return sp_fail_err(&err);
	if (json)
		print_json(&p);
	else
		print_text(&p);
	sp_links_free(&p.links);
	sp_live_close(&p.live);
	return SP_EXIT_OK;
}
