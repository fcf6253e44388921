/* SPDX-License-Identifier: BSD-2-Clause */
/* What a line with `log` has decided: from the ring of the kernel's programs into the system's log, a line each. */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "../core/policy_abi.h"
#include "daemon.h"

#define SP_LOG_END 64 /* room for [address]:port */

struct sp_log {
	struct sp_watch *w;
	struct sp_logs logs;
	struct ring_buffer *ring;
	sp_u64 lost; /* so many have been told of */
	sp_u32 generation; /* whose names `line` is; 0: none was needed yet */
	char line[SP_IMAGE_NAME];
	sp_u16 number; /* of that line */
};

static void end_text(char out[SP_LOG_END], const struct sp_event *e, const struct sp_addr *a, sp_be16 port)
{
	const int v6 = e->family == SP_IPV6, has_port = e->proto != 1 && e->proto != 58;
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(v6 ? AF_INET6 : AF_INET, a, addr, sizeof(addr));
	if (has_port)
		snprintf(out, SP_LOG_END, v6 ? "[%s]:%u" : "%s:%u", addr, ntohs(port.raw));
	else
		snprintf(out, SP_LOG_END, "%s", addr);
}

static const char *proto_text(sp_u8 proto, char buf[16])
{
	static const struct {
		sp_u8 proto;
		const char *name;
	} names[] = { { 1, "icmp" }, { 6, "tcp" }, { 17, "udp" }, { 47, "gre" }, { 50, "esp" }, { 58, "icmp6" },
		      { 132, "sctp" } };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].proto == proto)
			return names[i].name;
	snprintf(buf, 16, "protocol %u", proto);
	return buf;
}

/* Most events in a row are of the same line. */
static const char *line_name(struct sp_log *l, const struct sp_event *e)
{
	const struct sp_image_line *image;
	const struct sp_image_head *h;
	sp_u32 n, i = e->line - SP_LINE_FIRST;

	if (e->line < SP_LINE_FIRST)
		return "built in";
	if (l->generation == e->generation && l->number == e->line)
		return l->line;
	image = sp_generation_image(&l->w->live, e->generation, &n);
	h = (const struct sp_image_head *)image;
	snprintf(l->line, sizeof(l->line), "%u", e->line);
	if (image && i < h->n_names && h->names + i / 2 < n)
		snprintf(l->line, sizeof(l->line), "%.*s", SP_IMAGE_NAME - 1,
			 (const char *)&image[h->names] + (size_t)i * SP_IMAGE_NAME);
	sp_generation_unmap(image, n);
	l->generation = e->generation;
	l->number = e->line;
	return l->line;
}

static int on_event(void *arg, void *data, size_t size)
{
	const struct sp_event *e = data;
	struct sp_log *l = arg;
	char src[SP_LOG_END], dst[SP_LOG_END], proto[16], name[IF_NAMESIZE] = "?";
	const char *verb;

	if (size < sizeof(*e))
		return 0;
	verb = e->kind == SP_EVENT_DROP ? "stopped" : e->zone == SP_ZONE_OUTSIDE ? "let in" : "let out";
	end_text(src, e, &e->src, e->sport);
	end_text(dst, e, &e->dst, e->dport);
	if_indextoname(e->ifindex, name);
	sp_say(LOG_INFO, "%s %s %s -> %s at %s: %s, line %s", verb, proto_text(e->proto, proto), src, dst, name,
	       sp_reason_name(e->reason), line_name(l, e));
	return 0;
}

struct sp_log *sp_log_open(struct sp_watch *w)
{
	struct sp_log *l = calloc(1, sizeof(*l));
	struct sp_err err = { .text = "no memory" };

	if (l && !sp_logs_open(&l->logs, &w->live, &err)) {
		l->w = w;
		l->lost = sp_logs_lost(&l->logs);
		l->ring = ring_buffer__new(l->logs.fd_ring, on_event, l, NULL);
		if (l->ring)
			return l;
		sp_logs_close(&l->logs);
	}
	sp_say(LOG_WARNING, "the log is not written: %s", err.text);
	free(l);
	return NULL;
}

int sp_log_fd(const struct sp_log *l)
{
	return ring_buffer__epoll_fd(l->ring);
}

void sp_log_read(struct sp_log *l)
{
	sp_u64 lost;

	/* poll, not consume: it also rearms the descriptor */
	ring_buffer__poll(l->ring, 0);
	lost = sp_logs_lost(&l->logs);
	if (lost != l->lost)
		sp_say(LOG_WARNING, "%llu more were too many to be written", lost - l->lost);
	l->lost = lost;
}

void sp_log_close(struct sp_log *l)
{
	if (!l)
		return;
	ring_buffer__free(l->ring);
	sp_logs_close(&l->logs);
	free(l);
}
