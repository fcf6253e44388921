/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which interface belongs to which zone when nobody configured anything.
 *
 * What --outside and --inside name is settled. For the rest: an interface with a default route is
 * outside; every other one is inside if this machine forwards, and left alone if it does not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static int unknown_interface(struct sp_up *up, const char *name, struct sp_err *err)
{
	char known[256] = "";
	size_t used = 0;
	int i;

	for (i = 0; i < up->links.count && used + IF_NAMESIZE + 8 < sizeof(known); i++)
		if (!up->links.link[i].is_loopback)
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
						 up->links.link[i].name);
	if (i < up->links.count)
		snprintf(known + used, sizeof(known) - used, ", ...");
	return sp_err_set(err, -EINVAL, "there is no interface '%.60s' here; there are: %s", name,
			  used ? known : "none at all");
}

static int assign_named(struct sp_up *up, const char *name, sp_u8 zone, struct sp_err *err)
{
	struct sp_link *l = sp_links_by_name(&up->links, name);

	if (!l)
		return unknown_interface(up, name, err);
	if (l->is_loopback)
		return sp_err_set(err, -EINVAL, "'%s' is the loopback interface, which is never guarded; name another",
				  name);
	if (l->zone != SP_ZONE_NONE && l->zone != zone)
		return sp_err_set(err, -EINVAL, "'%s' can not be both outside and inside; name it once", name);
	l->zone = zone;
	return 0;
}

static void assign_rest(struct sp_up *up)
{
	int i;

	for (i = 0; i < up->links.count; i++) {
		struct sp_link *l = &up->links.link[i];

		if (l->zone != SP_ZONE_NONE || l->is_loopback)
			continue;
		if (l->has_default_route)
			l->zone = SP_ZONE_OUTSIDE;
		/*
		 * a port's master is guarded; a carrier without addresses of its own only hands frames
		 * to those on top
		 */
		else if (up->links.forwarding && !l->is_port && !(l->is_carrier && !l->has_address))
			l->zone = SP_ZONE_INSIDE;
	}
}

/*
 * Frames for an interface that sits on another one (a VLAN) pass the hook of the carrier first, and
 * would be judged by the zone of the carrier: with different zones a stranger would be taken for one
 * of us. Better not to start.
 */
static int check_carriers(struct sp_up *up, struct sp_err *err)
{
	int i;

	for (i = 0; i < up->links.count; i++) {
		struct sp_link *l = &up->links.link[i], *c = sp_links_by_index(&up->links, l->carrier);

		if (c && c->zone != SP_ZONE_NONE && l->zone != c->zone)
			return sp_err_set(err, -EINVAL, "'%s' sits on '%s', which would be %s, but is itself %s; "
					  "give both the same zone with --outside or --inside",
					  l->name, c->name, sp_zone_name(c->zone),
					  l->zone == SP_ZONE_NONE ? "not guarded" : sp_zone_name(l->zone));
	}
	return 0;
}

static int check_result(struct sp_up *up, struct sp_err *err)
{
	int i, outside = 0, guarded = 0;

	for (i = 0; i < up->links.count; i++) {
		struct sp_link *l = &up->links.link[i];

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
				  "name it: sally up --outside IF");
	if (guarded > SP_MAX_IFACES)
		return sp_err_set(err, -EINVAL, "%d interfaces would be guarded, %d is the most", guarded,
				  SP_MAX_IFACES);
	return check_carriers(up, err);
}

int sp_zones_assign(struct sp_up *up, struct sp_err *err)
{
	int i, rc;

	for (i = 0; i < up->outsides; i++) {
		rc = assign_named(up, up->outside[i], SP_ZONE_OUTSIDE, err);
		if (rc)
			return rc;
	}
	for (i = 0; i < up->insides; i++) {
		rc = assign_named(up, up->inside[i], SP_ZONE_INSIDE, err);
		if (rc)
			return rc;
	}
	assign_rest(up);
	return check_result(up, err);
}
