/* SPDX-License-Identifier: BSD-2-Clause */
/* Where forwards go: one host of each family, ports that fit, and no two answers to one question. */
#include <errno.h>
#include <string.h>

#include "internal.h"

static int error(struct sp_policy *p, const struct sp_span *at, const char *expected, const char *message)
{
	return message ? sp_diag_add(p, SP_SEVERITY_ERROR, at, expected, NULL, "%s", message) : -ENOMEM;
}

/* One that no host on a wire has (RFC 6890): this machine talking to itself, nobody, many. */
int sp_check_is_host(const struct sp_net *net)
{
	static const sp_u8 low[15];
	const sp_u8 *a = net->addr;

	if (net->family == SP_NET_V4)
		return a[0] && a[0] != 127 && a[0] < 224;
	return net->suffix || (a[0] != 0xff && (memcmp(a, low, 15) || a[15] > 1));
}

static int bad_target(struct sp_policy *p, const struct sp_term *target, const struct sp_net *net)
{
	char text[SP_NET_TEXT];

	sp_net_print(text, net);
	return error(p, &target->at, "the address that a host has on its network",
		     sp_mem_printf(p, "no host has the address %s, a forward goes to one host", text));
}

static int check_target(struct sp_policy *p, const struct sp_sentence *line)
{
	const struct sp_term *target = &line->target;
	sp_u32 i, v4 = 0, v6 = 0;

	if (target->kind == SP_TERM_NET && !line->is_broken && !sp_check_is_host(&target->net))
		return bad_target(p, target, &target->net);
	if (target->kind == SP_TERM_NET || target->kind == SP_TERM_NAME || (target->def && target->def->is_broken))
		return 0;
	if (target->kind != SP_TERM_HOST)
		return error(p, &target->at, "a host or an address",
			     sp_mem_printf(p, "'%s' is a %s, a forward goes to one host", target->text,
					   target->kind == SP_TERM_SET ? "set" : "zone"));
	for (i = 0; i < target->def->from.n; i++) {
		if (!sp_check_is_host(&target->def->from.v[i].net))
			return bad_target(p, target, &target->def->from.v[i].net);
		v4 += target->def->from.v[i].net.family == SP_NET_V4;
		v6 += target->def->from.v[i].net.family == SP_NET_V6;
	}
	if (v4 > 1 || v6 > 1)
		return error(p, &target->at, "a host with at most one address of each family",
			     sp_mem_printf(p, "'%s' has %u %s addresses, a forward goes to one", target->text,
					   v4 > 1 ? v4 : v6, v4 > 1 ? "IPv4" : "IPv6"));
	return 0;
}

/* With a port at the target there has to be exactly one port at the door; tcp/443 and udp/443 are one. */
static int check_port(struct sp_policy *p, const struct sp_sentence *line)
{
	int first = -1;
	sp_u32 i, j;

	for (i = 0; i < line->services.n && line->target_port; i++) {
		const struct sp_service *s = &line->services.v[i];

		for (j = 0; j < s->ports.n; j++) {
			const struct sp_ports *ports = &s->ports.v[j];

			if (ports->proto == 132) /* RFC 9260 6.8: a checksum over all of the packet, with its ports */
				return error(p, &s->at, "tcp, udp, dccp or udplite, or no port behind the host",
					     sp_mem_printf(p, "'%s': the ports of sctp are not changed on the way",
							   s->text));
			if (ports->low != ports->high)
				return error(p, &s->at, "a service with one port, or no port behind the host",
					     sp_mem_printf(p, "'%s' is more than one port, it can not become port %u",
							   s->text, line->target_port));
			if (first >= 0 && ports->low != first)
				return error(p, &s->at, "a line for each of them",
					     sp_mem_printf(p, "ports %d and %u can not both become port %u", first,
							   ports->low, line->target_port));
			first = ports->low;
		}
	}
	return 0;
}

static int is_same_target(const struct sp_sentence *a, const struct sp_sentence *b)
{
	if (a->target_port != b->target_port || a->target.kind != b->target.kind)
		return 0;
	return a->target.kind == SP_TERM_NET ? !memcmp(&a->target.net, &b->target.net, sizeof(a->target.net))
					     : !strcmp(a->target.text, b->target.text);
}

static int services_overlap(const struct sp_sentence *a, const struct sp_sentence *b)
{
	sp_u32 i, j;

	for (i = 0; i < a->services.n; i++)
		for (j = 0; j < b->services.n; j++)
			if (sp_portlist_overlap(&a->services.v[i].ports, &b->services.v[j].ports))
				return 1;
	return 0;
}

/* IPv6 is not translated: a forward of it opens the way to one host and takes nothing from another. */
static int has_v4(const struct sp_term *target)
{
	sp_u32 i;

	if (target->kind == SP_TERM_NET)
		return target->net.family == SP_NET_V4;
	for (i = 0; target->kind == SP_TERM_HOST && i < target->def->from.n; i++)
		if (target->def->from.v[i].net.family == SP_NET_V4)
			return 1;
	return 0;
}

/* Order has no meaning, so that nothing says which of two forwards would win. */
static int check_pair(struct sp_policy *p, const struct sp_sentence *first, const struct sp_sentence *line)
{
	if (!has_v4(&first->target) || !has_v4(&line->target))
		return 0;
	if (is_same_target(first, line) || !services_overlap(first, line) || !sp_cover_from_overlap(first, line))
		return 0;
	return error(p, &line->at, "services or senders that differ",
		     sp_mem_printf(p, "this goes elsewhere already, in %s:%u", first->at.file, first->at.line));
}

int sp_check_forwards(struct sp_policy *p)
{
	struct {
		struct sp_sentence **v;
		sp_u32 n, cap;
	} all = { 0 };
	sp_u32 i, j;
	int rc = sp_cover_flatten(p);

	for (i = 0; i < p->n_lines && !rc; i++) {
		struct sp_sentence *line = p->lines[i], **slot;

		if (line->kind != SP_KIND_FORWARD || line->is_broken)
			continue;
		rc = check_target(p, line);
		if (!rc)
			rc = check_port(p, line);
		for (j = 0; j < all.n && j < SP_POLICY_COMPARE_MAX && !rc; j++) {
			sp_u32 before = p->errors;

			rc = check_pair(p, all.v[j], line);
			if (p->errors != before)
				break;
		}
		slot = rc ? NULL : SP_ADD(p, &all);
		if (!rc && !slot)
			rc = -ENOMEM;
		if (slot)
			*slot = line;
	}
	return rc;
}
