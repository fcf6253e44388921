/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and sentences of reasons, phases, classes and zones, all made from the lists that the core itself uses. */
#include <string.h>

#include "engine.h"

static const struct {
	const char *name, *text;
	enum sp_verdict verdict;
} reasons[SP_REASON_COUNT] = {
#define X(id, name_, verdict_, text_) [SP_R_##id] = { .name = name_, .text = text_, .verdict = SP_##verdict_ },
	SP_REASONS(X)
#undef X
};

static const struct {
	const char *name;
	enum sp_class class_;
} phases[SP_PHASE_COUNT] = {
#define X(id, name_, class__, host_s, gateway_s, pressure_s) \
	[SP_PHASE_##id] = { .name = name_, .class_ = SP_CLASS_##class__ },
	SP_PHASES(X)
#undef X
};

static const char *const classes[SP_CLASS_COUNT] = {
	[SP_CLASS_UNANSWERED] = "unanswered",
	[SP_CLASS_ANSWERED] = "answered",
	[SP_CLASS_CLOSING] = "closing",
};

static const char built_in_zones[SP_ZONE_COUNT][SP_IMAGE_NAME] = {
	[SP_ZONE_SELF] = "self",
	[SP_ZONE_OUTSIDE] = "outside",
	[SP_ZONE_INSIDE] = "inside",
};

/* Those of the instance that this process looks at; only names for people hang on it. */
static char zones[SP_ZONES_MAX][SP_IMAGE_NAME] = { "", "self", "outside", "inside" };

const char *sp_reason_name(unsigned reason)
{
	return reason < SP_REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *sp_reason_text(unsigned reason)
{
	return reason < SP_REASON_COUNT ? reasons[reason].text : "of a reason that this version does not know";
}

enum sp_verdict sp_reason_verdict(unsigned reason)
{
	return reason < SP_REASON_COUNT ? reasons[reason].verdict : SP_DROP;
}

int sp_reason_by_name(const char *name)
{
	for (int i = 0; i < SP_REASON_COUNT; i++)
		if (strcmp(reasons[i].name, name) == 0)
			return i;
	return -1;
}

const char *sp_phase_name(unsigned phase)
{
	return phase < SP_PHASE_COUNT ? phases[phase].name : "unknown";
}

enum sp_class sp_phase_class(unsigned phase)
{
	return phase < SP_PHASE_COUNT ? phases[phase].class_ : SP_CLASS_CLOSING;
}

const char *sp_class_name(unsigned class_)
{
	return class_ < SP_CLASS_COUNT ? classes[class_] : "unknown";
}

const char *sp_zone_name(unsigned zone)
{
	if (zone == SP_ZONE_NONE)
		return "none";
	return zone < SP_ZONES_MAX && zones[zone][0] ? zones[zone] : "unknown";
}

void sp_zone_names_of(const struct sp_image_line *image)
{
	const struct sp_image_head *h = (const struct sp_image_head *)image;

	memset(zones, 0, sizeof(zones));
	if (h && h->magic == SP_IMAGE_MAGIC && h->abi == SP_IMAGE_ABI && (sp_u64)h->zones + SP_ZONES_MAX / 2 <= h->lines)
		memcpy(zones, &image[h->zones], sizeof(zones));
	for (int i = 0; i < SP_ZONES_MAX; i++)
		zones[i][SP_IMAGE_NAME - 1] = 0;
	memcpy(zones, built_in_zones, sizeof(built_in_zones));
}

const char (*sp_zone_names(void))[SP_IMAGE_NAME]
{
	return (const char (*)[SP_IMAGE_NAME])zones;
}

int sp_zone_by_name(const char *name)
{
	for (int i = SP_ZONE_SELF; i < SP_ZONES_MAX; i++)
		if (zones[i][0] && !strcmp(zones[i], name))
			return i;
	return -1;
}
