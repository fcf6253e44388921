/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What each CPU remembers of the guarded interfaces and of the policy for a moment. Included by port_bpf.h. */
#ifndef SP_PORT_GLANCE_BPF_H
#define SP_PORT_GLANCE_BPF_H

/*
 * What this CPU knows of an interface: for the rest of one tick of the kernel's clock (1 to 10 ms), and while the same
 * policy is in force. A hash map takes 28 ns to ask, the exact time 40.
 */
struct sp_glance {
	sp_u64 tick;
	sp_u64 now_ns; /* when it was taken: good enough for what is idle for seconds */
	sp_u32 ifindex;
	sp_u32 generation;
	sp_u8 zone, bare_ip, express, virtual;
	sp_u8 nat_off; /* that policy says `nat off` */
	sp_u8 begins; /* SP_BEGINS: the packet before has begun a conversation by a precedent; _TWICE: with an alias */
	sp_u16 mac[3]; /* 0: not known */
};

#define SP_GLANCES 64
#define SP_BEGINS 1
#define SP_BEGINS_TWICE 2

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_GLANCES);
	__type(key, sp_u32);
	__type(value, struct sp_glance);
} sp_glances SEC(".maps");

SP_INLINE sp_u8 sp_says_nat_off(sp_u32 generation)
{
	struct sp_image_more *more = sp_image_more(generation);

	return more && (more->flags & SP_IMAGE_NAT_OFF);
}

/* Not inlined: it is seldom needed, and in the way of what is. */
SP_GLOBAL int sp_look_again(sp_u32 ifindex)
{
	struct sp_glance *g = SP_LOOKUP(sp_glances, ifindex % SP_GLANCES);
	struct sp_iface *i = bpf_map_lookup_elem(&sp_ifaces, &ifindex);
	struct sp_config *c = sp_config_get();

	if (!g || !c)
		return 0;
	g->tick = bpf_jiffies64();
	g->ifindex = ifindex;
	g->now_ns = bpf_ktime_get_boot_ns();
	g->generation = sp_generation(c, g->now_ns);
	g->zone = sp_iface_zone(i, g->now_ns);
	g->bare_ip = i ? i->bare_ip : 0;
	g->express = i ? sp_iface_express(i, g->now_ns) : 0;
	g->virtual = i ? SP_READ(i->virtual) : 0;
	g->nat_off = sp_says_nat_off(g->generation);
	if (i)
		__builtin_memcpy(g->mac, i->mac, sizeof(g->mac));
	return 1;
}

/* NULL: the interface is not guarded. Under test all are one, see struct sp_test. */
SP_INLINE struct sp_glance *sp_look(sp_u32 ifindex)
{
	struct sp_glance *g = SP_LOOKUP(sp_glances, ifindex % SP_GLANCES);
	struct sp_config *c = sp_config_get();
	struct sp_iface *i;

	if (!g || !c)
		return NULL;
	if (sp_test_mode) {
		struct sp_test *t = SP_LOOKUP(sp_test, 0);

		if (!t)
			return NULL;
		i = t->express ? bpf_map_lookup_elem(&sp_ifaces, &ifindex) : NULL;
		g->now_ns = t->now_ns;
		g->zone = i ? i->zone : t->zone;
		g->express = t->express;
		g->bare_ip = t->bare_ip;
		g->generation = sp_generation(c, g->now_ns);
		g->nat_off = sp_says_nat_off(g->generation);
		return g;
	}
	if (g->tick != bpf_jiffies64() || g->ifindex != ifindex || g->generation != sp_generation(c, g->now_ns))
		sp_look_again(ifindex);
	return g->zone ? g : NULL;
}

SP_GLOBAL int sp_zone_of(sp_u32 ifindex)
{
	struct sp_glance *g = sp_look(ifindex);

	return g ? g->zone : SP_ZONE_NONE;
}

#endif
