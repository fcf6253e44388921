/* SPDX-License-Identifier: BSD-2-Clause */
/* The policies of the pipeline's fuzzer, each as text, and once more as a function that says what it permits. */
#include <string.h>

#include "../../policy/compile.h"
#include "world.h"

static const char head[] = "zone dmz = eth2\nhost john = 10.0.0.2\nhost www = 10.0.2.10\n";

static const char *const texts[POLICIES] = {
	"", /* 0: no image at all */
	"open tcp/40000-40001, icmp\n",
	"nat open\nallow dmz -> outside : any\n",
	"forward tcp/53, udp/53 to john\nopen icmp\n",
	"allow outside -> dmz : any\n",
	"open udp/40000 limit 2 idle 30s\nopen tcp/40000 rate 5/m log\nblock 198.51.100.8\n",
	"nat off\nallow inside -> dmz : any\n",
	"nat pool 192.0.2.12\nnat open\nforward tcp/40000-40003 to www\n",
	"block john -> outside : udp\nallow outside -> inside : tcp/53\nopen sctp/53, gre\n",
};

static struct sp_image images[POLICIES];

static int no_file(void *ctx, const char *path, size_t max, char **data, size_t *len)
{
	*len = 0;
	*data = calloc(1, 1);
	return *data ? 0 : -12;
}

void policy_compile(const char *name, const char *text, struct sp_image *out)
{
	static const struct sp_policy_io io = { .read = no_file };
	const struct sp_policy_options options = { .io = &io, .services = "services" };
	struct sp_policy *p = NULL;
	char why[300] = "";

	if (sp_policy_load_text(name, text, strlen(text), &options, &p) || p->errors ||
	    sp_policy_compile(p, out, why, sizeof(why))) {
		fprintf(stderr, "%s: %s %s\n", name, why, p && p->n_diags ? p->diags[0].message : "");
		abort();
	}
	sp_policy_free(p);
}

const struct sp_image *policy_image(sp_u32 number)
{
	struct sp_image *image = &images[number];
	char text[400];

	if (!number || image->v)
		return number ? image : NULL;
	snprintf(text, sizeof(text), "%s%s", head, texts[number]);
	policy_compile("fuzz", text, image);
	return image;
}

static int is_slot(const struct ends *e)
{
	return e->family == 4 && e->dst[0] == 192 && world_zone(e->dst, 4) == SP_ZONE_SELF;
}

static int is_icmp(const struct ends *e)
{
	return e->proto == (e->family == 4 ? 1 : 58);
}

int policy_permits(sp_u32 number, const struct ends *e, int *mapped)
{
	const sp_u8 to = world_zone(e->dst, e->family);
	const sp_u16 port = e->dport;

	*mapped = 0;
	switch (number) {
	case 1:
		return to == SP_ZONE_SELF && (is_icmp(e) || (e->proto == 6 && (port == 40000 || port == 40001)));
	case 2:
		*mapped = is_slot(e);
		return 0;
	case 3:
		return (is_slot(e) && port == 53 && (e->proto == 6 || e->proto == 17)) || (to == SP_ZONE_SELF && is_icmp(e));
	case 4:
		return to == ZONE_DMZ;
	case 5:
		if (e->family == 4 && !memcmp(e->src, (const sp_u8[]){ 198, 51, 100, 8 }, 4))
			return 0;
		return to == SP_ZONE_SELF && (e->proto == 6 || e->proto == 17) && port == 40000;
	case 7:
		*mapped = is_slot(e);
		return is_slot(e) && e->proto == 6 && port >= 40000 && port <= 40003;
	case 8:
		return (to == SP_ZONE_INSIDE && e->proto == 6 && port == 53) ||
		       (to == SP_ZONE_SELF && ((e->proto == 132 && port == 53) || e->proto == 47));
	default:
		return 0;
	}
}

/* What came in by a mapping or a forward goes on, also when its address has just gone: nothing arrives there any more. */
int policy_opens(sp_u32 number)
{
	return number == 2 || number == 3 || number == 7;
}

int policy_blocks(sp_u32 number)
{
	return number == 8 || number == 5;
}

int policy_bares(sp_u32 number)
{
	return number == 4 || number == 6 || number == 8;
}
