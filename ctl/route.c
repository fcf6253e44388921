/* SPDX-License-Identifier: BSD-2-Clause */
/* Which zone an address is in: the kernel is asked where it would send a packet. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "adopt.h"

#define SP_ROUTE_PLACES 4096u /* a power of two */

struct sp_route_memory {
	struct question {
		int family; /* 0: nothing is known yet */
		sp_u32 ifindex;
		sp_u8 to[16], from[16];
		sp_u8 zone;
	} place[SP_ROUTE_PLACES];
};

struct answer {
	sp_u32 ifindex;
	int is_local;
};

static int on_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	struct answer *answer = arg;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	answer->is_local = m->rtm_type == RTN_LOCAL;
	if (m->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
		if (mnl_attr_get_type(a) == RTA_OIF)
			answer->ifindex = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int ask(const struct question *q, struct answer *answer)
{
	static const sp_u8 any[16];
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	const sp_u8 len = q->family == SP_IPV4 ? 4 : 16;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	m->rtm_family = q->family == SP_IPV4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = (sp_u8)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, q->to);
	if (memcmp(q->from, any, sizeof(any))) {
		m->rtm_src_len = (sp_u8)(len * 8);
		mnl_attr_put(nlh, RTA_SRC, len, q->from);
	}
	if (q->ifindex)
		mnl_attr_put_u32(nlh, RTA_OIF, q->ifindex);
	return sp_netlink_dump(NETLINK_ROUTE, nlh, on_route, answer);
}

static sp_u8 find_zone(struct sp_links *links, const struct question *q)
{
	struct answer answer = { 0 };
	const struct sp_link *l;

	if (ask(q, &answer))
		return SP_ZONE_NONE;
	if (answer.is_local)
		return SP_ZONE_SELF;
	l = sp_links_by_index(links, (int)answer.ifindex);
	return l ? l->zone : SP_ZONE_NONE;
}

static struct question *place_of(struct sp_route_memory *memory, const struct question *q)
{
	const sp_u8 *b = (const sp_u8 *)q;
	sp_u32 hash = 2166136261u; /* FNV-1a; a collision only costs a question */
	size_t i;

	for (i = 0; i < offsetof(struct question, zone); i++)
		hash = (hash ^ b[i]) * 16777619u;
	return &memory->place[(hash ^ hash >> 16) & (SP_ROUTE_PLACES - 1)];
}

sp_u8 sp_routes_zone(struct sp_routes *r, int family, const sp_u8 *to, const sp_u8 *from, sp_u32 ifindex)
{
	const size_t n = family == SP_IPV4 ? 4 : 16;
	struct question q, *known;

	memset(&q, 0, sizeof(q));
	q.family = family;
	q.ifindex = ifindex;
	memcpy(q.to, to, n);
	if (from)
		memcpy(q.from, from, n);
	known = place_of(r->memory, &q);
	if (memcmp(known, &q, offsetof(struct question, zone))) {
		q.zone = find_zone(r->links, &q);
		*known = q;
	}
	return known->zone;
}

int sp_routes_open(struct sp_routes *r, struct sp_links *links)
{
	r->links = links;
	r->memory = calloc(1, sizeof(*r->memory));
	return r->memory ? 0 : -ENOMEM;
}

void sp_routes_close(struct sp_routes *r)
{
	free(r->memory);
	r->memory = NULL;
}
