/* SPDX-License-Identifier: BSD-2-Clause */
/* Damaged images: the validator refuses what does not hang together, and says why. */
#include "image_test.h"

#include "../../core/abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "wan eth0\nlan eth1\nzone dmz = eth2\nhost web = 10.0.2.10, *::10\n"
			   "forward https to web:8443\nforward tcp/1-40000 from 192.0.2.7 to web\nopen ping from *::11\n"
			   "nat pool 203.0.113.8-203.0.113.10\nset a = 10.0.0.0/8, 10.1.0.0/16, 2001:470::/32, 192.0.2.7\n"
			   "open ssh from a\nallow inside -> a : https\nblock 10.1.2.0/24, 2001:470:1::/48\n";

/* A copy of the good image with one thing wrong; 1: refused, with a reason. */
struct damage {
	const char *what;
	void (*do_it)(struct sp_image_line *v, struct sp_image_head *h, sp_u32 *n);
};

#define DAMAGE(name, code)                                                            \
	static void name(struct sp_image_line *v, struct sp_image_head *h, sp_u32 *n) \
	{                                                                             \
		code;                                                                 \
	}
DAMAGE(magic, h->magic ^= 1)
DAMAGE(abi, h->abi++)
DAMAGE(no_lines, *n = 0)
DAMAGE(one_short, --*n)
DAMAGE(length, h->lines++)
DAMAGE(length_of_more, *n += 1; h->lines = SP_IMAGE_LINES_MAX + 1)
DAMAGE(index4, h->index4++)
DAMAGE(index4_head, h->index4 = 0)
DAMAGE(v4, h->v4 -= 1)
DAMAGE(no_v4, h->v4_count = 0)
DAMAGE(more_v4, h->v4_count += 8)
DAMAGE(huge_v4, h->v4_count = 0xffffffff)
DAMAGE(wrapped_v4, h->v4_count += 1u << 31)
DAMAGE(v6, h->v6 = h->lines)
DAMAGE(no_v6, h->v6_count = 0)
DAMAGE(more_v6, h->v6_count += 2)
DAMAGE(huge_v6, h->v6_count = 0xfffffff8)
DAMAGE(services, h->services += 4)
DAMAGE(rules, h->rules -= 1)
DAMAGE(mask_not_of_bits, h->rules_mask -= 1)
DAMAGE(mask_twice, h->rules_mask = h->rules_mask * 2 + 1)
DAMAGE(mask_all, h->rules_mask = 0xffffffff)
DAMAGE(zones, h->zones += 1)
DAMAGE(names, h->names += 1)
DAMAGE(more_names, h->n_names += 2)
DAMAGE(huge_names, h->n_names = 0xffffffff)
DAMAGE(text_behind_the_end, h->text = h->lines)
DAMAGE(cut_before_the_text, *n = h->lines = h->text)
DAMAGE(text_without_end, memset(&v[h->text], 'x', (*n - h->text) * sizeof(*v)))
DAMAGE(name_without_end, memset(&v[h->names], 'x', SP_IMAGE_NAME))
DAMAGE(zone_without_end, memset(&v[h->zones], 'x', SP_IMAGE_NAME))
DAMAGE(index_falls, ((sp_u32 *)v[h->index4].w)[0x0b00] = 0)
DAMAGE(index_too_high, ((sp_u32 *)v[h->index4].w)[65536] = h->v4_count + 1)
DAMAGE(index_too_low, ((sp_u32 *)v[h->index4].w)[65536] = h->v4_count - 1)
DAMAGE(index_off_by_one, ((sp_u32 *)v[h->index4].w)[0x0a01]++)
DAMAGE(v4_unsorted, v[h->v4].w[2] = v[h->v4].w[1])
DAMAGE(v4_late_start, v[h->v4].w[0] |= 1ULL << 32)
DAMAGE(v4_class, v[h->v4].w[1] |= 0xfffff)
DAMAGE(v6_unsorted, v[h->v6].w[4] = 0; v[h->v6].w[5] = 0)
DAMAGE(v6_late_start, v[h->v6].w[1] = 1)
DAMAGE(v6_class, v[h->v6].w[2] = 1 << 20)
DAMAGE(
	rule_elsewhere, for (sp_u32 i = h->rules; i < h->zones; i++) if (v[i].w[0]) {
		v[i].w[0] ^= 1ULL << 40;
		return;
	})
DAMAGE(
	rule_says_nothing, for (sp_u32 i = h->rules; i < h->zones; i++) if (v[i].w[0]) {
		v[i].w[1] = 16;
		return;
	})
DAMAGE(
	rule_of_no_line, for (sp_u32 i = h->rules; i < h->zones; i++) if (v[i].w[0]) {
		v[i].w[1] = SP_RULE_ALLOW | 0xffff;
		return;
	})
DAMAGE(
	rule_behind_a_gap, for (sp_u32 i = h->rules; i < h->zones; i++) if (v[i].w[0] && !v[i].w[2]) {
		v[i].w[2] = v[i].w[0];
		v[i].w[3] = v[i].w[1];
		v[i].w[0] = 0;
		return;
	})
DAMAGE(
	rule_twice, for (sp_u32 i = h->rules; i < h->zones; i++) if (v[i].w[0] && !v[i].w[2]) {
		v[i].w[2] = v[i].w[0];
		v[i].w[3] = v[i].w[1] ^ SP_RULE_BLOCK ^ SP_RULE_ALLOW;
		return;
	})


/* The same for what stands in line 1, and for the first line's order, which is that of a forward. */
#define DAMAGE_MORE(name, code)                                                                    \
	static void name(struct sp_image_line *v, struct sp_image_head *h, sp_u32 *n)              \
	{                                                                                          \
		struct sp_image_more *m = (struct sp_image_more *)&v[1];                           \
		struct sp_image_order *o = (struct sp_image_order *)&v[m->orders];                 \
		code;                                                                              \
		(void)o;                                                                           \
	}
DAMAGE_MORE(orders_moved, m->orders++)
DAMAGE_MORE(pool_moved, m->pool--)
DAMAGE_MORE(suffixes_moved, m->suffixes++)
DAMAGE_MORE(suffix_classes_moved, m->suffix_classes = 0)
DAMAGE_MORE(forwards_moved, m->forwards++)
DAMAGE_MORE(no_forwards, m->forwards = 0)
DAMAGE_MORE(more_pool, m->pool_count += 16)
DAMAGE_MORE(huge_pool, m->pool_count = 0xffffffff)
DAMAGE_MORE(pool_beyond_the_slots, m->pool_count = SP_NAT_SLOTS + 1)
DAMAGE_MORE(more_suffixes, m->suffix_count += 8)
DAMAGE_MORE(huge_suffixes, m->suffix_count = 0xffffffff)
DAMAGE_MORE(wrapped_suffixes, m->suffix_count = SP_IMAGE_SUFFIXES_MAX; m->v6_classes = 1u << 31)
DAMAGE_MORE(more_columns, m->v6_classes += 16)
DAMAGE_MORE(huge_columns, m->v6_classes = 0xffffffff)
DAMAGE_MORE(no_columns, m->v6_classes = 1)
DAMAGE_MORE(unknown_flag, m->flags |= 16)
DAMAGE_MORE(off_and_pool, m->flags |= SP_IMAGE_NAT_OFF)
DAMAGE_MORE(forwards_most_is_missing, m->flags &= ~SP_IMAGE_FORWARD_MOST)
DAMAGE_MORE(forwards_are_missing, memset(&v[m->forwards], 0, 32 * sizeof(*v)))
DAMAGE_MORE(probes_missing, m->probes &= m->probes - 1)
DAMAGE_MORE(probes_for_nothing, m->probes |= 0x100)
DAMAGE_MORE(more_zeroes, m->zero_[5] = 1)
DAMAGE_MORE(reject_for_no_zone, m->reject |= 1 << 9)
DAMAGE_MORE(reject_for_zone_none, m->reject |= 1)
DAMAGE_MORE(reject_for_forwards, m->reject |= 1 << 15)
DAMAGE_MORE(pool_has_none, *(sp_u32 *)&v[m->pool] = 0)
DAMAGE_MORE(pool_has_one_twice, ((sp_u32 *)&v[m->pool])[1] = ((sp_u32 *)&v[m->pool])[0])
DAMAGE_MORE(suffixes_fall, v[m->suffixes].w[1] = 1)
DAMAGE_MORE(suffix_twice, v[m->suffixes].w[1] = v[m->suffixes].w[0])
DAMAGE_MORE(suffix_class, ((sp_u32 *)&v[m->suffix_classes])[1] = SP_CLASS_ANY)
DAMAGE_MORE(order_flag, o->flags |= 8)
DAMAGE_MORE(order_both, o->flags |= SP_ORDER_REJECT | SP_ORDER_DROP)
DAMAGE_MORE(order_port_without_address, o->to4 = 0)
DAMAGE_MORE(order_rate_without_time, o->rate = 1)
DAMAGE_MORE(order_time_without_rate, o->rate_per_s = 1)
DAMAGE_MORE(order_padding, o->pad_ = 1)
DAMAGE_MORE(order_zeroes, o->zero_[8] = 1)
DAMAGE_MORE(forward_to_nowhere, o->to4 = 0; o->to_port = 0)
DAMAGE_MORE(zone_self_renamed, memcpy((char *)&v[h->zones] + SP_IMAGE_NAME, "else", 5))
DAMAGE_MORE(zone_of_forwards_named, memcpy((char *)&v[h->zones] + 15 * SP_IMAGE_NAME, "dmz", 4))
DAMAGE_MORE(zone_of_rules_gone, memset((char *)&v[h->zones] + 4 * SP_IMAGE_NAME, 0, SP_IMAGE_NAME))
DAMAGE_MORE(zone_none_named, *(char *)&v[h->zones] = 'x')
DAMAGE_MORE(cut_before_the_second_line, *n = h->lines = 1)
DAMAGE(
	forward_that_blocks, for (sp_u64 *w = v[h->rules].w; w < v[h->zones].w; w += 2) if ((*w >> 56 & 15) == 15) {
		w[1] ^= SP_RULE_BLOCK ^ SP_RULE_ALLOW;
		return;
	})

static const struct damage damages[] = {
#define D(name)             \
	{                   \
#name, name \
	}
	D(magic),
	D(abi),
	D(no_lines),
	D(one_short),
	D(length),
	D(length_of_more),
	D(index4),
	D(index4_head),
	D(v4),
	D(no_v4),
	D(more_v4),
	D(huge_v4),
	D(wrapped_v4),
	D(v6),
	D(no_v6),
	D(more_v6),
	D(huge_v6),
	D(services),
	D(rules),
	D(mask_not_of_bits),
	D(mask_twice),
	D(mask_all),
	D(zones),
	D(names),
	D(more_names),
	D(huge_names),
	D(text_behind_the_end), D(cut_before_the_text),
	D(text_without_end),
	D(name_without_end),
	D(zone_without_end),
	D(index_falls),
	D(index_too_high),
	D(index_too_low),
	D(index_off_by_one),
	D(v4_unsorted),
	D(v4_late_start),
	D(v4_class),
	D(v6_unsorted),
	D(v6_late_start),
	D(v6_class),
	D(rule_elsewhere),
	D(rule_says_nothing),
	D(rule_of_no_line),
	D(rule_behind_a_gap),
	D(rule_twice),
	D(orders_moved),
	D(pool_moved),
	D(suffixes_moved),
	D(suffix_classes_moved),
	D(forwards_moved),
	D(no_forwards),
	D(more_pool),
	D(huge_pool),
	D(pool_beyond_the_slots),
	D(more_suffixes),
	D(huge_suffixes),
	D(wrapped_suffixes),
	D(more_columns),
	D(huge_columns),
	D(no_columns),
	D(unknown_flag),
	D(off_and_pool),
	D(forwards_most_is_missing),
	D(forwards_are_missing),
	D(probes_missing),
	D(probes_for_nothing),
	D(more_zeroes),
	D(reject_for_no_zone),
	D(reject_for_zone_none),
	D(reject_for_forwards),
	D(pool_has_none),
	D(pool_has_one_twice),
	D(suffixes_fall),
	D(suffix_twice),
	D(suffix_class),
	D(order_flag),
	D(order_both),
	D(order_port_without_address),
	D(order_rate_without_time),
	D(order_time_without_rate),
	D(order_padding),
	D(order_zeroes),
	D(forward_to_nowhere),
	D(zone_self_renamed),
	D(zone_of_forwards_named),
	D(zone_of_rules_gone),
	D(zone_none_named),
	D(cut_before_the_second_line),
	D(forward_that_blocks),
#undef D
};

void test_bad_images(void)
{
	struct model m;

	model_init(&m, text, "");
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct sp_image_line *v = calloc(m.image.n + 1, sizeof(*v));
		sp_u32 n = m.image.n;
		char name[80], why[200] = "";
		int err;

		if (!v)
			abort();
		memcpy(v, m.image.v, n * sizeof(*v));
		damages[i].do_it(v, (struct sp_image_head *)v, &n);
		err = sp_image_check(v, n, why, sizeof(why));
		snprintf(name, sizeof(name), "damaged/%s", damages[i].what);
		check(name, err && !strncmp(why, "not a policy image: ", 20), "%s", err ? why : "accepted");
		free(v);
	}
	model_fini(&m);
}
