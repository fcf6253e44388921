/* SPDX-License-Identifier: BSD-2-Clause */
/* The IPv4 addresses of this machine at the outside, for translation: read from the kernel, kept in slots. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../core/policy_abi.h"
#include "internal.h"

_Static_assert(sizeof(struct sp_nat_addrs) <= 4096, "one page is mapped");

struct wanted {
	const struct sp_links *links;
	struct sp_nat_slot v[SP_NAT_SLOTS];
	int n, lost; /* lost: there was no room for so many */
};

static void want(struct wanted *w, sp_u32 addr, sp_u32 ifindex, sp_u32 flags)
{
	for (int i = 0; i < w->n; i++)
		if (w->v[i].addr == addr)
			return;
	if (w->n == SP_NAT_SLOTS)
		w->lost++;
	else
		w->v[w->n++] = (struct sp_nat_slot){ addr, ifindex, flags };
}

/* Sources are translated to the first address of an interface. */
static sp_u32 flags_of(const struct wanted *w, sp_u32 ifindex)
{
	for (int i = 0; i < w->n; i++)
		if (w->v[i].ifindex == ifindex && (w->v[i].flags & SP_SLOT_MAPS))
			return 0;
	return SP_SLOT_MAPS;
}

static int take_address(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	struct wanted *w = arg;
	const struct nlattr *a;
	sp_u32 addr = 0;
	int outside = 0;

	if (m->ifa_family != AF_INET)
		return MNL_CB_OK;
	for (int i = 0; i < w->links->count; i++)
		outside |= w->links->link[i].ifindex == (int)m->ifa_index && w->links->link[i].zone == SP_ZONE_OUTSIDE;
	if (!outside)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m)) {
		/* IFA_ADDRESS is the peer's on a point-to-point link */
		if (mnl_attr_get_type(a) == IFA_LOCAL && mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
			addr = mnl_attr_get_u32(a);
	}
	if (addr)
		want(w, addr, m->ifa_index, m->ifa_flags & IFA_F_SECONDARY ? 0 : flags_of(w, m->ifa_index));
	return MNL_CB_OK;
}

static void want_pool(struct wanted *w, const struct sp_image_line *image)
{
	const struct sp_image_more *more = image ? (const struct sp_image_more *)&image[1] : NULL;

	for (sp_u32 i = 0; more && i < more->pool_count; i++)
		want(w, ((const sp_u32 *)image[more->pool].w)[i], 0, SP_SLOT_MAPS | SP_SLOT_POOL);
}

static void set_slot(struct sp_nat_addrs *nat, int i, const struct sp_nat_slot *to)
{
	struct sp_nat_slot *s = &nat->slot[i];

	if (s->addr == to->addr && s->ifindex == to->ifindex && s->flags == to->flags)
		return;
	/* the engine reads word by word: while it changes, the slot has no address */
	if (s->addr != to->addr)
		__atomic_store_n(&s->addr, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->ifindex, to->ifindex, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->flags, to->flags, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->addr, to->addr, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&nat->changes, 1, __ATOMIC_SEQ_CST);
}

/* An empty slot: with ports if it is to translate, else preferably without; -1: none. was: which were in use before. */
static int free_slot(const struct sp_nat_addrs *nat, const sp_u8 *was, int maps)
{
	int best = -1;

	for (int i = 0; i < SP_NAT_SLOTS; i++) {
		const int has_ports = (sp_u32)i < nat->slots;

		if (nat->slot[i].addr || (maps && !has_ports))
			continue;
		if (best < 0 || (!maps && has_ports < ((sp_u32)best < nat->slots)) ||
		    (was[best] && !was[i] && has_ports == ((sp_u32)best < nat->slots)))
			best = i;
	}
	return best;
}

/* An address that is to translate now, in a slot without ports, while there are slots with ports. */
static int needs_ports(const struct sp_nat_addrs *nat, int i, const struct sp_nat_slot *to)
{
	static const sp_u8 never[SP_NAT_SLOTS];

	return to->flags & SP_SLOT_MAPS && (sp_u32)i >= nat->slots && free_slot(nat, never, 1) >= 0;
}

/* before: an image whose pool stays, too; NULL: none. */
static int fill(struct sp_nat_addrs *nat, const struct sp_links *links, const struct sp_image_line *image,
		const struct sp_image_line *before, struct sp_err *err)
{
	static const struct sp_nat_slot nothing;
	struct wanted w = { .links = links };
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtgenmsg *g;
	sp_u8 was[SP_NAT_SLOTS], done[SP_NAT_SLOTS] = { 0 };
	int rc;

	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->rtgen_family = AF_INET;
	want_pool(&w, image);
	want_pool(&w, before);
	rc = sp_netlink_dump(NETLINK_ROUTE, nlh, take_address, &w);
	if (rc)
		return sp_err_errno(err, rc, "can not read the addresses of the interfaces");
	for (int i = 0; i < SP_NAT_SLOTS; i++) {
		int k = 0;

		was[i] = nat->slot[i].addr != 0;
		while (k < w.n && (w.v[k].addr != nat->slot[i].addr || needs_ports(nat, i, &w.v[k])))
			k++;
		if (was[i] && k < w.n)
			done[k] = 1;
		set_slot(nat, i, was[i] && k < w.n ? &w.v[k] : &nothing);
	}
	for (int k = 0; k < w.n; k++) {
		const int maps = (w.v[k].flags & SP_SLOT_MAPS) != 0;
		int i = done[k] ? 0 : free_slot(nat, was, maps);

		/* without ports nothing is translated to it, but `forward` lines answer there */
		if (i < 0 && maps)
			i = free_slot(nat, was, 0);
		if (i < 0)
			w.lost++;
		else if (!done[k])
			set_slot(nat, i, &w.v[k]);
	}
	__atomic_store_n(&nat->used, SP_NAT_SLOTS, __ATOMIC_SEQ_CST);
	while (nat->used && !nat->slot[nat->used - 1].addr)
		__atomic_fetch_sub(&nat->used, 1, __ATOMIC_SEQ_CST);
	return w.lost;
}

int sp_addresses_fill(struct sp_nat_addrs *nat, const struct sp_links *links, const struct sp_image_line *image,
		      struct sp_err *err)
{
	return fill(nat, links, image, NULL, err);
}

int sp_addresses_update(const struct sp_live *l, const struct sp_links *links, const struct sp_image_line *image,
			const struct sp_image_line *before, struct sp_err *err)
{
	const size_t len = (size_t)sysconf(_SC_PAGESIZE);
	int fd SP_CLEANUP(sp_close_fd) = -1;
	void *nat;
	int rc;

	fd = sp_pins_open(l->dir, "sp_nat");
	nat = fd < 0 ? MAP_FAILED : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (nat == MAP_FAILED)
		return sp_err_errno(err, -errno, "can not open the addresses that are translated to");
	rc = fill(nat, links, image, before, err);
	munmap(nat, len);
	return rc < 0 ? rc : 0;
}
