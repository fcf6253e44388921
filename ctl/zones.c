/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which interface belongs to which zone.
 *
 * What the options of `up` name is settled; then what lines of the configuration name. For the rest: an interface with a
 * default route is outside; every other one is inside if this machine forwards, and left alone if it does not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static int unknown_interface(struct sp_links *links, const char *name, struct sp_err *err)
{
	char known[256] = "";
	size_t used = 0;
	int i;

	for (i = 0; i < links->count && used + IF_NAMESIZE + 8 < sizeof(known); i++)
		if (!links->link[i].is_loopback)
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
						 links->link[i].name);
	if (i < links->count)
		snprintf(known + used, sizeof(known) - used, ", ...");
	return sp_err_set(err, -EINVAL, "there is no interface '%.60s' here; there are: %s", name,
			  used ? known : "none at all");
}

static int assign_named(struct sp_links *links, const struct sp_place *p, struct sp_err *err)
{
	struct sp_link *l = sp_links_by_name(links, p->name);

	if (!l)
		return p->may_lack ? 0 : unknown_interface(links, p->name, err);
	if (l->is_loopback)
		return sp_err_set(err, -EINVAL, "'%s' is the loopback interface, which is never guarded; name another",
				  p->name);
	if (l->zone != SP_ZONE_NONE && l->zone != p->zone && l->named == p->named)
		return sp_err_set(err, -EINVAL, "'%s' can not be both %s and %s; name it once", p->name,
				  sp_zone_name(l->zone < p->zone ? l->zone : p->zone),
				  sp_zone_name(l->zone < p->zone ? p->zone : l->zone));
	if (l->zone == SP_ZONE_NONE) {
		l->zone = p->zone;
		l->named = p->named;
	}
	return 0;
}

static void assign_rest(struct sp_links *links)
{
	int i;

	for (i = 0; i < links->count; i++) {
		struct sp_link *l = &links->link[i];

		if (l->zone != SP_ZONE_NONE || l->is_loopback)
			continue;
		l->named = SP_NAMED_BY_RULE;
		if (l->stays)
			l->zone = l->zone_was;
		else if (l->has_default_route)
			l->zone = SP_ZONE_OUTSIDE;
		/*
		 * a port's master is guarded; a carrier without addresses of its own only hands frames
		 * to those on top
		 */
		else if (links->forwarding && !l->is_port && !(l->is_carrier && !l->has_address))
			l->zone = SP_ZONE_INSIDE;
	}
}

/*
 * Frames for an interface that sits on another one (a VLAN) pass the hook of the carrier first, and
 * would be judged by the zone of the carrier: with different zones a stranger would be taken for one
 * of us. Better not to start.
 */
static int check_carriers(struct sp_links *links, struct sp_err *err)
{
	int i;

	for (i = 0; i < links->count; i++) {
		struct sp_link *l = &links->link[i], *c = sp_links_by_index(links, l->carrier);

		if (c && c->zone != SP_ZONE_NONE && l->zone != c->zone)
			return sp_err_set(err, -EINVAL, "'%s' sits on '%s', which would be %s, but is itself %s; "
					  "give both the same zone",
					  l->name, c->name, sp_zone_name(c->zone),
					  l->zone == SP_ZONE_NONE ? "not guarded" : sp_zone_name(l->zone));
	}
	return 0;
}

static int check_result(struct sp_links *links, struct sp_err *err)
{
	int i, outside = 0, guarded = 0;

	for (i = 0; i < links->count; i++) {
		struct sp_link *l = &links->link[i];

		if (l->zone == SP_ZONE_NONE)
			continue;
		if (l->is_foreign)
			return sp_err_set(err, -EOPNOTSUPP, "'%s' is a kind of link whose frames are not understood; "
					  "it can not be guarded", l->name);
		guarded++;
		outside += l->zone == SP_ZONE_OUTSIDE;
	}
	if (!outside)
		return sp_err_set(err, -EINVAL, "no interface has a default route, so none is outside; "
				  "name it: sally up --outside IF, or a line 'wan IF'");
	if (guarded > SP_MAX_IFACES)
		return sp_err_set(err, -EINVAL, "%d interfaces would be guarded, %d is the most", guarded,
				  SP_MAX_IFACES);
	return check_carriers(links, err);
}

int sp_zones_assign(struct sp_links *links, const struct sp_zoning *z, struct sp_err *err)
{
	static const sp_u8 order[] = { SP_NAMED_BY_HAND, SP_NAMED_BY_FILE };
	int i, k, rc;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < z->count; i++) {
			rc = z->place[i].named == order[k] ? assign_named(links, &z->place[i], err) : 0;
			if (rc)
				return rc;
		}
	}
	assign_rest(links);
	return check_result(links, err);
}
