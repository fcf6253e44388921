/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sally status` says of translation: addresses, and how many of their ports are in use. */
#include "translation.h"

#include "../policy/image.h"

static const char *const proto_names[SP_NAT_PROTOS] = { "tcp", "udp", "icmp" };

/* Reads 3 MB an address. */
static void count_ports(const struct sp_live *l, sp_u32 slot, struct sp_in_use *u)
{
	const struct sp_port *port = l->t.ports + (size_t)slot * SP_NAT_PORTS;

	*u = (struct sp_in_use){ { 0 } };
	for (sp_u32 proto = 0; proto < SP_NAT_PROTOS; proto++)
		for (sp_u32 i = 0; i < 65536; i++)
			u->ports[proto] += __atomic_load_n(&port[proto * 65536 + i].owner, __ATOMIC_RELAXED) != 0;
}

static int is_used(const struct sp_live *l, sp_u32 slot, sp_u32 flag)
{
	const struct sp_nat_slot *s = &l->t.nat->slot[slot];

	return s->addr && (!flag || (s->flags & flag));
}

/* Translates to it: it is to, and there are ports. */
static int maps(const struct sp_live *l, sp_u32 slot)
{
	return slot < l->t.nat->slots && is_used(l, slot, SP_SLOT_MAPS);
}

static const char *where(const struct sp_live *l, const struct sp_links *links, sp_u32 slot)
{
	const struct sp_nat_slot *s = &l->t.nat->slot[slot];

	for (int i = 0; i < links->count; i++)
		if (s->ifindex && links->link[i].ifindex == (int)s->ifindex)
			return links->link[i].name;
	return "";
}

/* `nat off` stands in the policy in force. */
static int is_off(const struct sp_live *l)
{
	sp_u32 n;
	const struct sp_image_line *image = sp_generation_image(l, sp_generation_now(l, NULL), &n);
	const int off = image && (sp_image_line1(image)->flags & SP_IMAGE_NAT_OFF);

	sp_generation_unmap(image, n);
	return off;
}

static void address_of(const struct sp_live *l, sp_u32 slot, char *text)
{
	const struct sp_addr a = { .w32 = { l->t.nat->slot[slot].addr } };

	sp_text_addr(text, &a, SP_IPV4);
}

void sp_translation_text(const struct sp_live *l, const struct sp_links *links, sp_u32 conversations)
{
	char text[SP_ADDR_TEXT];
	struct sp_in_use u;

	if (!l->t.nat->slots)
		return;
	printf("\nTranslation%s\n  conversations    %u\n", is_off(l) ? " (off)" :
	       ", of private IPv4 addresses that go outside", conversations);
	for (sp_u32 i = 0; i < SP_NAT_SLOTS; i++) {
		const char *name = where(l, links, i);

		if (!is_used(l, i, 0))
			continue;
		address_of(l, i, text);
		printf("  %-15s  %s", text, is_used(l, i, SP_SLOT_POOL) ? "of the pool" : *name ? name : "-");
		if (maps(l, i)) {
			count_ports(l, i, &u);
			printf(", ports in use: %u tcp, %u udp, %u icmp\n", u.ports[0], u.ports[1], u.ports[2]);
		} else {
			printf(", only for forwards%s\n", is_used(l, i, SP_SLOT_MAPS) ? ": there are ports for so many "
			       "addresses only" : "");
		}
	}
}

void sp_translation_json(struct sp_json *j, const struct sp_live *l, const struct sp_links *links)
{
	char text[SP_ADDR_TEXT];
	struct sp_in_use u;

	sp_json_open(j, "translation", '[');
	for (sp_u32 i = 0; l->t.nat->slots && i < SP_NAT_SLOTS; i++) {
		if (!is_used(l, i, 0))
			continue;
		address_of(l, i, text);
		sp_json_open(j, NULL, '{');
		sp_json_str(j, "address", text);
		sp_json_str(j, "interface", where(l, links, i));
		sp_json_bool(j, "pool", is_used(l, i, SP_SLOT_POOL));
		sp_json_bool(j, "maps", maps(l, i) && !is_off(l));
		u = (struct sp_in_use){ { 0 } };
		if (maps(l, i))
			count_ports(l, i, &u);
		sp_json_open(j, "ports", '{');
		for (int proto = 0; proto < SP_NAT_PROTOS; proto++)
			sp_json_u64(j, proto_names[proto], u.ports[proto]);
		sp_json_close(j);
		sp_json_close(j);
	}
	sp_json_close(j);
}
