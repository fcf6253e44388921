/* SPDX-License-Identifier: BSD-2-Clause */
/* libsallyport: which zone an address is in, by networks that the caller names, and the addresses that are translated to. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Sets all bits of an address behind the first n to 0. */
static void cut(struct sp_addr *a, sp_u32 n)
{
	for (sp_u32 i = 0; i < 16; i++) {
		const sp_u32 left = n > i * 8 ? n - i * 8 : 0;

		a->b[i] &= left >= 8 ? 0xff : (sp_u8)(0xff00 >> left);
	}
}

static int read_network(const char *text, struct sp_lib_network *out)
{
	const char *slash = strchr(text, '/');
	const size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits, most;
	char word[64], *end;

	memset(out, 0, sizeof(*out));
	if (n >= sizeof(word))
		return -EINVAL;
	memcpy(word, text, n);
	word[n] = 0;
	if (inet_pton(AF_INET, word, out->addr.b) == 1)
		out->family = SP_IPV4;
	else if (inet_pton(AF_INET6, word, out->addr.b) == 1)
		out->family = SP_IPV6;
	else
		return -EINVAL;
	most = bits = out->family == SP_IPV4 ? 32 : 128;
	if (slash) {
		bits = strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end || bits > most)
			return -EINVAL;
	}
	out->bits = (sp_u8)bits;
	cut(&out->addr, out->bits);
	return 0;
}

int sallyport_network(struct sallyport *s, unsigned zone, const char *network)
{
	struct sp_lib_network n;
	sp_u32 at = 0;

	if (zone < SP_ZONE_SELF || zone >= SP_ZONE_FORWARD || read_network(network, &n))
		return -EINVAL;
	if (s->networks == SP_LIB_NETWORKS_MAX)
		return -ENOSPC;
	n.zone = (sp_u8)zone;
	while (at < s->networks && s->network[at].bits > n.bits)
		at++;
	memmove(&s->network[at + 1], &s->network[at], (s->networks - at) * sizeof(n));
	s->network[at] = n;
	s->networks++;
	return 0;
}

static int contains(const struct sp_lib_network *n, sp_u8 family, const struct sp_addr *a)
{
	struct sp_addr b = *a;

	if (n->family != family)
		return 0;
	cut(&b, n->bits);
	return !memcmp(&b, &n->addr, sizeof(b));
}

sp_u8 sp_lib_zone_of(void *arg, sp_u8 family, const struct sp_addr *a)
{
	const struct sallyport *s = arg;

	for (sp_u32 i = 0; family == SP_IPV4 && i < s->addresses; i++)
		if (s->address[i].addr == a->w32[0])
			return SP_ZONE_SELF;
	for (sp_u32 i = 0; i < s->networks; i++)
		if (contains(&s->network[i], family, a))
			return s->network[i].zone;
	return SP_ZONE_OUTSIDE;
}

unsigned sallyport_zone_of(const struct sallyport *s, int family, const void *address)
{
	struct sp_addr a = {};

	memcpy(&a, address, family == SP_IPV4 ? 4 : 16);
	return sp_lib_zone_of((void *)s, (sp_u8)family, &a);
}

int sp_lib_fits(void *arg, sp_u8 zone, sp_u8 family, const struct sp_addr *a)
{
	const struct sallyport *s = arg;
	const sp_u8 is = sp_lib_zone_of(arg, family, a);

	if (is == zone)
		return 1;
	if (zone == SP_ZONE_OUTSIDE || is != SP_ZONE_OUTSIDE)
		return 0;
	/* on its way to an address of its own, or on its own link */
	if (!(a->w[0] | a->w[1]) || (family == SP_IPV6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80))
		return 1;
	for (sp_u32 i = 0; i < s->networks; i++)
		if (s->network[i].zone == zone && s->network[i].family == family)
			return 0;
	return 1;
}

/* ---- addresses that are translated to -------------------------------------------------------------------------- */

static int want(struct sp_nat_slot *v, sp_u32 *n, sp_u32 most, struct sp_nat_slot slot)
{
	for (sp_u32 i = 0; i < *n; i++)
		if (v[i].addr == slot.addr)
			return 0;
	if (*n == most)
		return -ENOSPC;
	v[(*n)++] = slot;
	return 0;
}

/* The engine reads word by word, maybe now: while it changes, a slot has no address. */
static void set_slot(struct sp_nat_slot *s, const struct sp_nat_slot *to)
{
	if (s->addr != to->addr)
		__atomic_store_n(&s->addr, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->ifindex, to->ifindex, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->flags, to->flags, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->addr, to->addr, __ATOMIC_SEQ_CST);
}

/* An address that stays keeps its slot, with the ports that are in use. */
static void fill(struct sp_nat_addrs *nat, const struct sp_nat_slot *v, sp_u32 n)
{
	static const struct sp_nat_slot empty;
	sp_u8 kept[SP_NAT_SLOTS] = { 0 };

	for (sp_u32 i = 0; i < nat->slots; i++) {
		sp_u32 k = 0;

		while (k < n && v[k].addr != nat->slot[i].addr)
			k++;
		set_slot(&nat->slot[i], k < n ? &v[k] : &empty);
		if (k < n)
			kept[k] = 1;
	}
	for (sp_u32 k = 0, i = 0; k < n; k++) {
		if (kept[k])
			continue;
		while (nat->slot[i].addr)
			i++;
		set_slot(&nat->slot[i], &v[k]);
	}
	__atomic_store_n(&nat->used, nat->slots, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&nat->changes, 1, __ATOMIC_SEQ_CST);
}

int sp_lib_slots(struct sallyport *s, const struct sp_image_line *image)
{
	const sp_u32 most = s->e->t.nat ? s->e->t.nat->slots : 0;
	struct sp_nat_slot v[SP_NAT_SLOTS];
	sp_u32 n = 0, pooled = 0;
	const sp_u32 *pool = image ? sp_image_pool(image, &pooled) : NULL;

	for (sp_u32 i = 0; i < pooled; i++)
		if (want(v, &n, most, (struct sp_nat_slot){ pool[i], 0, SP_SLOT_MAPS | SP_SLOT_POOL }))
			return -ENOSPC;
	for (sp_u32 i = 0; i < s->addresses; i++)
		if (want(v, &n, most, (struct sp_nat_slot){ s->address[i].addr, s->address[i].ifindex, SP_SLOT_MAPS }))
			return -ENOSPC;
	if (most)
		fill(s->e->t.nat, v, n);
	return 0;
}

int sallyport_address(struct sallyport *s, const char *address, uint32_t ifindex)
{
	struct sp_lib_address a = { .ifindex = ifindex };
	int err;

	if (inet_pton(AF_INET, address, &a.addr) != 1 || !a.addr)
		return -EINVAL;
	if (s->addresses == SP_NAT_SLOTS)
		return -ENOSPC;
	s->address[s->addresses++] = a;
	err = sp_lib_slots(s, sp_lib_image(s));
	if (err)
		s->addresses--;
	return err;
}
