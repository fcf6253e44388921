/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzzes a compiled policy and the questions put to it: a good image with words changed as the input says. The
 * validator must not read outside of it, nor may the engine, whatever the image says, as long as its length is right:
 * asking ends, and names end within the image. Of what the validator lets through, the engine must find what a walk
 * over all of it finds.
 */
#include "../../host/engine.h"
#include "../../policy/compile.h"

#include <stdlib.h>
#include <string.h>

static const char text[] =
	"wan eth0\nlan eth1\nzone dmz = eth2\nhost web = 10.0.2.10, *::10\n"
	"set ends = *::11, *::8000:0:0:1, *::ffff:1:0:0\n"
	"forward udp/1-40000 to web\nforward tcp/443 to web:8443\n"
	"forward gre from 10.0.0.0/8, *::11 to web\nopen ssh from ends limit 3\n"
	"block ends -> dmz : dccp/1 reject\nnat open\nnat pool 203.0.113.8-203.0.113.15\n"
	"set a = 10.0.0.0/8, 10.1.0.0/16, 2001:470::/32, 192.0.2.7, 255.255.255.255\n"
	"open ssh from a, 198.51.100.0/31\nallow inside, dmz -> a : https, udp/1000-2000, icmp\n"
	"allow any -> dmz : tcp\nblock 10.1.2.0/24, 2001:470:1::/48, ffff::/16\nblock outside -> a : sctp/7\n";

static struct sp_image good;
static struct sp_engine *engine;

#define CHANGES_MAX 8
static struct sp_image_line *v; /* a copy, of the very length, so that a look beyond it is seen */
static sp_u64 *changed[CHANGES_MAX], was[CHANGES_MAX];
static sp_u32 n_changed;

static int give_file(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	*len = 0;
	*data = calloc(1, 1);
	return *data ? 0 : -12;
}

static void start(void)
{
	static const struct sp_policy_io io = { .read = give_file };
	const struct sp_policy_options options = { .io = &io, .services = "services" };
	const sp_u64 secret[2] = { 1, 2 };
	struct sp_policy *p = NULL;
	char why[200];

	if (sp_policy_load_text("fuzz", text, sizeof(text) - 1, &options, &p) || p->errors ||
	    sp_policy_compile(p, &good, why, sizeof(why)) || sp_image_check(good.v, good.n, why, sizeof(why)))
		abort();
	sp_policy_free(p);
	v = malloc(good.n * sizeof(*v));
	if (!v)
		abort();
	memcpy(v, good.v, good.n * sizeof(*v));
	engine = sp_engine_new(56, 0, secret);
	if (!engine)
		abort();
	engine->images[3] = v;
	engine->t.config->generation = 3;
}

struct input {
	const unsigned char *at;
	size_t left;
};

static sp_u64 take(struct input *in, size_t n)
{
	sp_u64 value = 0;

	for (size_t i = 0; i < n && in->left; i++, in->left--)
		value |= (sp_u64)*in->at++ << (8 * i);
	return value;
}

/* One word, in the head or near the beginning of a part (where most of what matters stands), set or moved. */
static void change(struct input *in)
{
	const struct sp_image_head *h = (const struct sp_image_head *)good.v;
	const struct sp_image_more *m = (const struct sp_image_more *)&good.v[1];
	const sp_u32 parts[] = { 0, h->index4 + 160, h->v4, h->v6, h->services, h->rules, h->zones, h->names,
				 1, m->orders, m->forwards, m->pool, m->suffixes, m->suffix_classes, h->text, 0 };
	const sp_u8 how = (sp_u8)take(in, 1), part = (sp_u8)take(in, 1) & 15;
	const sp_u64 word = parts[part] * 8ULL + take(in, 2) % (parts[part] > 1 ? 1024 : 8),
		     value = take(in, how & 8 ? 8 : 2);
	sp_u64 *w = v->w + word % (good.n * 8ULL);

	changed[n_changed] = w;
	was[n_changed++] = *w;
	if (how & 16)
		*w = value;
	else if (how & 32)
		*w ^= value << (how & 64 ? 32 : 0);
	else
		*w += value << (how & 64 ? 32 : 0);
}

/* ---- the walk -----------------------------------------------------------------------------------------------------
 */

static sp_u64 big_endian(const sp_u8 *b, int n)
{
	sp_u64 x = 0;

	for (int i = 0; i < n; i++)
		x = x << 8 | b[i];
	return x;
}

static sp_u64 walk_class(const struct sp_image_head *h, int v4, const sp_u8 *a)
{
	const struct sp_image_more *m = (const struct sp_image_more *)&v[1];
	const sp_u64 *w = v4 ? v[h->v4].w : v[h->v6].w, high = big_endian(a, 8), low = big_endian(a + 8, 8);
	sp_u64 class_ = 0;

	if (v4) {
		for (sp_u32 i = 0; i < h->v4_count; i++)
			if (w[i] >> 32 <= high >> 32)
				class_ = (sp_u32)w[i];
	} else {
		for (sp_u32 i = 0; i < h->v6_count; i++)
			if (w[4 * i] < high || (w[4 * i] == high && w[4 * i + 1] <= low))
				class_ = w[4 * i + 2];
		for (sp_u32 i = 0; i < m->suffix_count; i++)
			if (v[m->suffixes].w[i] == low)
				return ((const sp_u32 *)&v[m->suffix_classes])[i * m->v6_classes + class_];
	}
	return class_;
}

static int walk_permits(const struct sp_flow *f, int v4, sp_u8 proto, const sp_u8 *src, const sp_u8 *dst, sp_u16 port)
{
	const struct sp_image_head *h = (const struct sp_image_head *)v;
	const sp_u64 service = ((const sp_u16 *)v[h->services].w)[sp_image_service(proto, port)];
	const sp_u64 zones = (sp_u64)f->zone_from << 4 | f->zone_to, s = walk_class(h, v4, src),
		     d = walk_class(h, v4, dst);
	int allows = f->zone_from == SP_ZONE_SELF || (f->zone_from == SP_ZONE_INSIDE && f->zone_to <= SP_ZONE_INSIDE);

	for (const sp_u64 *w = v[h->rules].w; w < v[h->zones].w; w += 2) {
		const sp_u64 rule_s = w[0] >> 36 & 0xfffff, rule_d = w[0] >> 16 & 0xfffff, rule_service = w[0] & 0xffff;

		if (!w[0] || w[0] >> 56 != zones || (rule_s != s && rule_s != SP_CLASS_ANY) ||
		    (rule_d != d && rule_d != SP_CLASS_ANY) ||
		    (rule_service != service && rule_service != SP_SERVICE_ANY))
			continue;
		if (w[1] & SP_RULE_BLOCK)
			return 0;
		allows = 1;
	}
	return allows;
}

/* ---- the questions ------------------------------------------------------------------------------------------------
 */

static void ask(struct input *in, int is_good)
{
	static const sp_u8 protos[] = { 6, 17, 1, 58, 132, 33, 136, 47 };
	struct sp_flow f = { .line = SP_LINE_FIRST };
	const sp_u8 what = (sp_u8)take(in, 1), zones = (sp_u8)take(in, 1), proto = protos[what & 7];
	const int v4 = (what & 8) != 0;
	const sp_u16 port = (sp_u16)take(in, 2);
	sp_u8 src[16], dst[16];
	int permits;

	for (int i = 0; i < 16; i++)
		src[i] = v4 && i > 3 ? 0 : (sp_u8)take(in, 1);
	for (int i = 0; i < 16; i++)
		dst[i] = v4 && i > 3 ? 0 : (sp_u8)take(in, 1);
	if (!v4 && what & 16) /* a suffix, whatever the prefix */
		memcpy(dst + 8, (const sp_u8[]){ 0, 0, 0, 0, 0, 0, 0, 0x10 + (what >> 5 & 3) }, 8);
	f.flags = sp_key_make(&f.key, v4 ? SP_IPV4 : SP_IPV6, proto, src, dst, 7, port) ? SP_FLOW_FROM_1 : 0;
	f.zone_from = zones >> 4 ? zones >> 4 : 1;
	f.zone_to = zones & 15;
	permits = sp_engine_redecide(engine, &f, 3) == SP_R_NONE;
	if (is_good && permits != walk_permits(&f, v4, proto, src, dst, port))
		abort();
}

static void send(struct input *in)
{
	struct sp_engine_packet p = { .now_ns = SP_NS_PER_S, .bare_ip = 1, .data = in->at, .len = (sp_u32)in->left };
	struct sp_engine_result r;

	for (p.zone = SP_ZONE_SELF; p.zone < SP_ZONE_COUNT; p.zone++) {
		p.hook = p.zone == SP_ZONE_SELF ? SP_HOOK_EGRESS : SP_HOOK_INGRESS;
		engine->side.zone_to = (sp_u8)(in->left & 15);
		sp_engine_packet(engine, &p, NULL, &r);
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct input in = { data, size };
	size_t letters = 0;
	char why[200];
	sp_u32 pool;
	int bad;

	if (!v)
		start();
	for (sp_u32 i = take(&in, 1) % CHANGES_MAX; i; i--)
		change(&in);
	bad = sp_image_check(v, good.n, why, sizeof(why));
	if (!bad) {
		for (sp_u32 i = 0; i < 40; i++) {
			letters += strlen(sp_image_line_name(v, i));
			letters += sp_image_order(v, i) && sp_image_order(v, i)->flags > 7;
		}
		sp_image_pool(v, &pool);
		if (pool > SP_NAT_SLOTS || sp_image_zone_number(v, "outside") != SP_ZONE_OUTSIDE)
			abort();
		/* the sanitizer sees who reads beyond; a name must not run into the next one */
		if (letters > 40 * (SP_IMAGE_NAME - 1) || strlen(sp_image_text(v)) >= good.n * sizeof(*v))
			abort();
	}
	if (((const struct sp_image_head *)v)->lines == good.n) {
		for (int i = 0; i < 4; i++)
			ask(&in, !bad);
		send(&in);
	}
	while (n_changed--)
		*changed[n_changed] = was[n_changed];
	n_changed = 0;
	return 0;
}
