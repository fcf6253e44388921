/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints what the engine tells: one event, one line, for people or as JSON. */
#include <string.h>
#include <time.h>

#include "../policy/image.h"
#include "events.h"

#define SP_EVENT_RST 4 /* the flag's bit in a TCP header */

int sp_events_open(struct sp_events *v, const struct sp_live *live, struct sp_err *err)
{
	memset(v, 0, sizeof(*v));
	v->live = live;
	v->zones_of = sp_generation_now(live, NULL);
	sp_events_clock(v);
	return sp_live_links(live, &v->links, err);
}

void sp_events_close(struct sp_events *v)
{
	sp_links_free(&v->links);
	sp_generation_unmap(v->image, v->image_lines);
	memset(v, 0, sizeof(*v));
}

void sp_events_clock(struct sp_events *v)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	v->wall_offset_ns = (sp_u64)ts.tv_sec * SP_NS_PER_S + (sp_u64)ts.tv_nsec - sp_now_ns();
}

static void local_time(const struct sp_events *v, sp_u64 ns, const char *format, char out[40])
{
	sp_u64 wall = ns + v->wall_offset_ns;
	time_t s = (time_t)(wall / SP_NS_PER_S);
	struct tm tm;
	size_t n;

	localtime_r(&s, &tm);
	n = strftime(out, 32, format, &tm);
	snprintf(out + n, 40 - n, ".%03u", (unsigned)(wall / 1000000 % 1000));
}

/* Which way it went, seen from those who are guarded. */
static const char *what_happened(const struct sp_event *e)
{
	int from_outside = e->zone == SP_ZONE_OUTSIDE;

	switch (e->kind) {
	case SP_EVENT_DROP:
		return "stopped";
	case SP_EVENT_CLOSED:
		return "closed";
	default:
		return from_outside ? "let in" : "let out";
	}
}

static const char *kind_name(unsigned kind)
{
	static const char *const names[] = { [SP_EVENT_NONE] = "none",	       [SP_EVENT_DROP] = "drop",
					     [SP_EVENT_NEW] = "new",	       [SP_EVENT_ANSWERED] = "answered",
					     [SP_EVENT_CLOSED] = "closed" };

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

/* What a person wants to read: for the end of a conversation how it ended, else why the packet was decided so. */
static const char *sentence(const struct sp_event *e)
{
	if (e->kind != SP_EVENT_CLOSED)
		return sp_reason_text(e->reason);
	return e->tcp_flags & SP_EVENT_RST ? "its sender has reset the conversation" :
					     "both ends have closed the conversation";
}

static const char *icmp_name(const struct sp_event *e)
{
	static const struct {
		sp_u8 proto, type;
		const char *name;
	} names[] = {
		{ 1, 0, " (echo reply)" },	   { 1, 3, " (unreachable)" },	  { 1, 5, " (redirect)" },
		{ 1, 8, " (echo request)" },	   { 1, 11, " (time exceeded)" }, { 58, 1, " (unreachable)" },
		{ 58, 2, " (packet too big)" },	   { 58, 3, " (time exceeded)" }, { 58, 128, " (echo request)" },
		{ 58, 129, " (echo reply)" },	   { 58, 133, " (router solicitation)" },
		{ 58, 134, " (router advertisement)" }, { 58, 135, " (neighbour solicitation)" },
		{ 58, 136, " (neighbour advertisement)" }, { 58, 137, " (redirect)" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].proto == e->proto && names[i].type == e->icmp_type)
			return names[i].name;
	return "";
}

/* Name of the configuration's line that decided; empty: none did, or its generation is not kept any more. */
static const char *line_name(struct sp_events *v, const struct sp_event *e)
{
	if (e->line < SP_LINE_FIRST)
		return "";
	if (!v->image || v->generation != e->generation) {
		sp_generation_unmap(v->image, v->image_lines);
		v->image = sp_generation_image(v->live, e->generation, &v->image_lines);
		v->generation = e->generation;
	}
	return v->image ? sp_image_line_name(v->image, e->line) : "";
}

static void print_text(struct sp_events *v, const struct sp_event *e)
{
	char when[40], src[SP_ENDPOINT_TEXT], dst[SP_ENDPOINT_TEXT], proto[8];
	const char *line;

	local_time(v, e->time_ns, "%H:%M:%S", when);
	printf("%s %-8s ", when, what_happened(e));
	if (e->family == SP_FAMILY_NONE) {
		printf("a frame of %u bytes", e->len);
	} else {
		sp_text_endpoint(src, &e->src, e->family, e->proto, sp_ntoh16(e->sport));
		sp_text_endpoint(dst, &e->dst, e->family, e->proto, sp_ntoh16(e->dport));
		printf("%-6s %s -> %s%s", sp_text_proto(e->proto, proto), src, dst, icmp_name(e));
	}
	printf("  %s: %s", e->kind == SP_EVENT_CLOSED ? "closed" : sp_reason_name(e->reason), sentence(e));
	line = line_name(v, e);
	printf(*line ? " [%s]\n" : "%s\n", line);
}

static void json_end(struct sp_json *j, const struct sp_event *e, const struct sp_addr *a, sp_be16 port, const char *name,
		     const char *port_name)
{
	char text[SP_ADDR_TEXT];

	sp_text_addr(text, a, e->family);
	sp_json_str(j, name, text);
	if (sp_proto_has_ports(e->proto))
		sp_json_u64(j, port_name, sp_ntoh16(port));
}

static void print_json(struct sp_events *v, const struct sp_event *e)
{
	const struct sp_link *l = sp_links_by_index(&v->links, (int)e->ifindex);
	char when[40], proto[8];
	struct sp_json j;

	local_time(v, e->time_ns, "%Y-%m-%dT%H:%M:%S", when);
	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '{');
	sp_json_str(&j, "time", when);
	sp_json_str(&j, "event", kind_name(e->kind));
	sp_json_str(&j, "verdict", sp_reason_verdict(e->reason) == SP_PASS ? "pass" : "drop");
	sp_json_str(&j, "reason", sp_reason_name(e->reason));
	sp_json_str(&j, "text", sentence(e));
	if (e->family != SP_FAMILY_NONE) {
		sp_json_u64(&j, "family", e->family);
		sp_json_str(&j, "proto", sp_text_proto(e->proto, proto));
		json_end(&j, e, &e->src, e->sport, "src", "sport");
		json_end(&j, e, &e->dst, e->dport, "dst", "dport");
	}
	if (e->proto == 1 || e->proto == 58) {
		sp_json_u64(&j, "icmp_type", e->icmp_type);
		sp_json_u64(&j, "icmp_code", e->icmp_code);
		sp_json_u64(&j, "id", sp_ntoh16(e->sport));
	}
	if (e->proto == 6)
		sp_json_u64(&j, "tcp_flags", e->tcp_flags);
	sp_json_str(&j, "zone", sp_zone_name(e->zone));
	sp_json_str(&j, "hook", e->hook == SP_HOOK_EGRESS ? "egress" : "ingress");
	sp_json_str(&j, "interface", l ? l->name : "");
	sp_json_u64(&j, "bytes", e->len);
	sp_json_u64(&j, "flow", e->flow);
	sp_json_str(&j, "line", line_name(v, e));
	sp_json_u64(&j, "generation", e->generation);
	sp_json_close(&j);
}

/* Interfaces and the names of zones may be others since the policy has changed. */
static void keep_up(struct sp_events *v)
{
	const sp_u32 now = sp_generation_now(v->live, NULL);
	const struct sp_image_line *image;
	struct sp_links links;
	struct sp_err err;
	sp_u32 n;

	if (now == v->zones_of || sp_live_links(v->live, &links, &err))
		return;
	v->zones_of = now;
	image = sp_generation_image(v->live, now, &n);
	sp_zone_names_of(image);
	sp_generation_unmap(image, n);
	sp_links_free(&v->links);
	v->links = links;
}

void sp_events_print(struct sp_events *v, const struct sp_event *e, int json)
{
	keep_up(v);
	if (json)
		print_json(v, e);
	else
		print_text(v, e);
}
