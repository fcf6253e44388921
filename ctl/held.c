/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the gate knows: the names of guarded interfaces, each with the number it was last seen under.
 *
 * They follow from the interfaces that the programs know, by number, and from what those are called now. One that is gone
 * keeps its name here as long as it is expected back. All changes are made under the lock of the pins.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

#define SP_NAMES (2 * SP_MAX_IFACES)

static struct sp_gate_name name_from(const char *text)
{
	struct sp_gate_name n = { { 0 } };

	memcpy(n.name, text, strnlen(text, sizeof(n.name) - 1));
	return n;
}

static int all_names(const struct sp_guard *g, struct sp_gate_name *all)
{
	const struct sp_gate_name *prev = NULL;
	int n = 0;

	while (g->fd_names >= 0 && n < SP_NAMES && !bpf_map_get_next_key(g->fd_names, prev, &all[n]))
		prev = &all[n++];
	return n;
}

static int is_known(const struct sp_guard *g, sp_u32 ifindex)
{
	struct sp_iface iface;

	return !bpf_map_lookup_elem(g->fd_ifaces, &ifindex, &iface);
}

/*
 * Not of an interface that is guarded. One that was renamed may be made anew under either name; the one before goes when
 * somebody else has it, or when there is little room.
 */
static int is_stale(const struct sp_guard *g, struct sp_links *links, const struct sp_gate_name *name, sp_u32 ifindex, int n)
{
	const struct sp_link *l = sp_links_by_index(links, (int)ifindex);

	if (!is_known(g, ifindex))
		return 1;
	return l && strcmp(l->name, name->name) && (n > SP_MAX_IFACES || sp_links_by_name(links, name->name));
}

void sp_names_undo(const struct sp_guard *g, sp_u32 ifindex)
{
	struct sp_whole w;
	sp_u32 zero = 0, *place = &w.ifindex[ifindex % SP_MAX_IFACES];

	if (g->fd_whole < 0 || bpf_map_lookup_elem(g->fd_whole, &zero, &w) || *place != ifindex)
		return;
	*place = 0;
	(void)bpf_map_update_elem(g->fd_whole, &zero, &w, BPF_ANY);
}

/* Those of the programs' interfaces that are there, with all of theirs. */
static void write_whole(const struct sp_guard *g, const struct sp_links *links)
{
	struct sp_whole w = { { 0 } };
	struct sp_iface iface;
	sp_u32 zero = 0;
	int i;

	for (i = 0; i < links->count; i++) {
		const sp_u32 key = (sp_u32)links->link[i].ifindex;

		if (!bpf_map_lookup_elem(g->fd_ifaces, &key, &iface) && !(iface.named & SP_NAMED_UNDONE))
			w.ifindex[key % SP_MAX_IFACES] = key;
	}
	(void)bpf_map_update_elem(g->fd_whole, &zero, &w, BPF_ANY);
}

void sp_names_sync(const struct sp_guard *g, struct sp_links *links)
{
	struct sp_gate_name all[SP_NAMES];
	struct sp_gate gate;
	int i, n = all_names(g, all);

	for (i = 0; i < links->count && g->fd_names >= 0; i++) {
		const struct sp_link *l = &links->link[i];
		const struct sp_gate_name name = name_from(l->name);

		if (!is_known(g, (sp_u32)l->ifindex))
			continue;
		if (bpf_map_lookup_elem(g->fd_names, &name, &gate))
			memset(&gate, 0, sizeof(gate));
		else if (gate.ifindex == (sp_u32)l->ifindex)
			continue;
		gate.ifindex = (sp_u32)l->ifindex;
		(void)bpf_map_update_elem(g->fd_names, &name, &gate, BPF_ANY);
	}
	for (i = 0; i < n; i++)
		if (!bpf_map_lookup_elem(g->fd_names, &all[i], &gate) && is_stale(g, links, &all[i], gate.ifindex, n))
			bpf_map_delete_elem(g->fd_names, &all[i]);
	if (links->count && g->fd_whole >= 0)
		write_whole(g, links);
}

/* Of an interface that is gone: 1, and what the programs knew of it. */
static int is_gone(const struct sp_guard *g, const struct sp_gate_name *name, struct sp_gate *gate, struct sp_iface *was)
{
	char now[IF_NAMESIZE];

	return !bpf_map_lookup_elem(g->fd_names, name, gate) && !if_indextoname(gate->ifindex, now) &&
	       !bpf_map_lookup_elem(g->fd_ifaces, &gate->ifindex, was);
}

int sp_names_was(const struct sp_guard *g, const char *name, struct sp_iface *was)
{
	const struct sp_gate_name key = name_from(name);
	struct sp_gate gate;

	return g->fd_names >= 0 && is_gone(g, &key, &gate, was);
}

void sp_names_return(const struct sp_guard *g)
{
	struct sp_gate_name all[SP_NAMES];
	struct sp_links links = { 0 };
	struct sp_iface was;
	struct sp_gate gate;
	struct sp_err ignored; /* then the gate holds it, and `status` says so */
	int i, n = all_names(g, all);

	for (i = 0; i < n; i++) {
		struct sp_link *l;

		if (!is_gone(g, &all[i], &gate, &was) || (!links.count && sp_links_read(&links, &ignored)))
			continue;
		l = sp_links_by_name(&links, all[i].name);
		if (l && !is_known(g, (sp_u32)l->ifindex) && !sp_hook_count(l->ifindex))
			(void)sp_guard_again(g, gate.ifindex, &was, l, &ignored);
	}
	if (links.count)
		sp_names_sync(g, &links);
	sp_links_free(&links);
}

static int is_said(const struct sp_zoning *zoning, const char *name)
{
	int i, said = 0;

	for (i = 0; i < zoning->count; i++)
		said |= !strcmp(zoning->place[i].name, name);
	return said;
}

void sp_names_forget(const struct sp_guard *g, const struct sp_zoning *zoning)
{
	struct sp_gate_name all[SP_NAMES];
	struct sp_iface was;
	struct sp_gate gate;
	int i, n = all_names(g, all);

	for (i = 0; i < n; i++) {
		if (!is_gone(g, &all[i], &gate, &was) || (was.named & ~SP_NAMED_UNDONE) != SP_NAMED_BY_FILE ||
		    is_said(zoning, all[i].name))
			continue;
		bpf_map_delete_elem(g->fd_ifaces, &gate.ifindex);
		bpf_map_delete_elem(g->fd_names, &all[i]);
	}
}

/* An interface of that name is there, but its programs are not, or not all. */
static int is_held(const struct sp_guard *g, struct sp_links *links, const char *name)
{
	const struct sp_link *l = sp_links_by_name(links, name);
	struct sp_iface iface;

	return l && (bpf_map_lookup_elem(g->fd_ifaces, &l->ifindex, &iface) || iface.named & SP_NAMED_UNDONE);
}

int sp_held_read(const struct sp_live *l, struct sp_links *links, struct sp_held *out)
{
	struct sp_guard g SP_CLEANUP(sp_guard_close) = SP_GUARD_NONE;
	struct sp_gate_name all[SP_NAMES];
	struct sp_err ignored;
	struct sp_gate gate;
	int i, n, held = 0;

	if (sp_guard_open(&g, l->dir, &ignored))
		return 0;
	n = all_names(&g, all);
	for (i = 0; i < n; i++) {
		if (bpf_map_lookup_elem(g.fd_names, &all[i], &gate))
			continue;
		out[held] = (struct sp_held){ .packets = gate.packets, .bytes = gate.bytes,
					      .now = (sp_u8)is_held(&g, links, all[i].name) };
		memcpy(out[held].name, all[i].name, sizeof(out[held].name));
		held += out[held].now || out[held].packets;
	}
	return held;
}
