/* SPDX-License-Identifier: BSD-2-Clause */
/* libsallyport: engines, packets and counters. Its structures are the engine's own under public names; nothing is copied. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "internal.h"

#define SAME(public_, private_, theirs, ours)                                                                 \
	_Static_assert(offsetof(struct public_, theirs) == __builtin_offsetof(struct private_, ours) &&       \
		       sizeof(((struct public_ *)0)->theirs) == sizeof(((struct private_ *)0)->ours), #theirs)
#define SAME_SIZE(public_, private_) _Static_assert(sizeof(struct public_) == sizeof(struct private_), #public_)

SAME_SIZE(sallyport_packet, sp_engine_packet);
SAME(sallyport_packet, sp_engine_packet, data, data);
SAME(sallyport_packet, sp_engine_packet, len, len);
SAME(sallyport_packet, sp_engine_packet, gso_segs, gso_segs);
SAME(sallyport_packet, sp_engine_packet, now_ns, now_ns);
SAME(sallyport_packet, sp_engine_packet, ifindex, ifindex);
SAME(sallyport_packet, sp_engine_packet, zone, zone);
SAME(sallyport_packet, sp_engine_packet, hook, hook);
SAME(sallyport_packet, sp_engine_packet, bare_ip, bare_ip);
SAME(sallyport_packet, sp_engine_packet, forwarded, forwarded);
SAME(sallyport_packet, sp_engine_packet, zone_from, zone_from);
SAME(sallyport_packet, sp_engine_packet, out, out);
SAME_SIZE(sallyport_result, sp_engine_result);
SAME(sallyport_result, sp_engine_result, verdict, verdict);
SAME(sallyport_result, sp_engine_result, reason, reason);
SAME(sallyport_result, sp_engine_result, event, event);
SAME(sallyport_result, sp_engine_result, end, dir);
SAME(sallyport_result, sp_engine_result, conversation, flow);
SAME(sallyport_result, sp_engine_result, rewritten, rewritten);
SAME_SIZE(sallyport_way, sp_engine_way);
SAME(sallyport_way, sp_engine_way, ifindex, ifindex);
SAME(sallyport_way, sp_engine_way, zone, zone);
SAME(sallyport_way, sp_engine_way, out, out);
SAME_SIZE(sallyport_through, sp_engine_through);
SAME(sallyport_through, sp_engine_through, packets, in);
SAME(sallyport_through, sp_engine_through, ways, way);
SAME(sallyport_through, sp_engine_through, came, came);
SAME(sallyport_through, sp_engine_through, left, left);
SAME(sallyport_through, sp_engine_through, route, route);
SAME(sallyport_through, sp_engine_through, arg, arg);
SAME_SIZE(sallyport_counter, sp_counter);
SAME(sallyport_counter, sp_counter, packets, packets);
SAME(sallyport_counter, sp_counter, bytes, bytes);
_Static_assert((int)SALLYPORT_SELF == SP_ZONE_SELF && (int)SALLYPORT_OUTSIDE == SP_ZONE_OUTSIDE &&
	       (int)SALLYPORT_INSIDE == SP_ZONE_INSIDE, "zones");
_Static_assert((int)SALLYPORT_INGRESS == SP_HOOK_INGRESS && (int)SALLYPORT_EGRESS == SP_HOOK_EGRESS, "hooks");
_Static_assert((int)SALLYPORT_DROP == SP_DROP && (int)SALLYPORT_PASS == SP_PASS, "verdicts");
_Static_assert((int)SALLYPORT_DROPPED == SP_EVENT_DROP && (int)SALLYPORT_BEGUN == SP_EVENT_NEW &&
	       (int)SALLYPORT_ANSWERED == SP_EVENT_ANSWERED && (int)SALLYPORT_CLOSED == SP_EVENT_CLOSED, "events");

static int draw_secret(const sp_u8 given[16], sp_u64 secret[2])
{
	static const sp_u8 none[16];

	memcpy(secret, given, 16);
	if (!memcmp(given, none, sizeof(none)) && getrandom(secret, 16, 0) != 16)
		return errno ? -errno : -EIO;
	return 0;
}

int sallyport_new(const struct sallyport_options *options, struct sallyport **out)
{
	static const struct sallyport_options usual = { .size = sizeof(usual), .conversations = 65536,
							.flags = SALLYPORT_GATEWAY };
	const struct sallyport_options *o = options ? options : &usual;
	struct sallyport *s;
	sp_u64 secret[2];
	int err;

	if (o->size != sizeof(*o) || !o->conversations || o->conversations > 1u << 24 ||
	    o->flags & ~(sp_u32)(SALLYPORT_GATEWAY | SALLYPORT_ONE_THREAD) || o->addresses > SP_NAT_SLOTS)
		return -EINVAL;
	err = draw_secret(o->secret, secret);
	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->e = sp_engine_new(o->conversations, o->flags & SALLYPORT_GATEWAY ? SP_CONFIG_GATEWAY : 0, secret);
	s->network = calloc(SP_LIB_NETWORKS_MAX, sizeof(*s->network));
	if (!s->e || !s->network || (o->addresses && sp_engine_nat(s->e, o->addresses))) {
		sallyport_free(s);
		return -ENOMEM;
	}
	s->e->one_thread = (o->flags & SALLYPORT_ONE_THREAD) != 0;
	s->e->zone_of = sp_lib_zone_of;
	s->e->source_fits = sp_lib_fits;
	s->e->zone_arg = s;
	*out = s;
	return 0;
}

void sallyport_free(struct sallyport *s)
{
	if (!s)
		return;
	sp_engine_free(s->e);
	for (int i = 0; i < SP_IMAGE_SLOTS; i++)
		sp_image_free(&s->image[i]);
	free(s->network);
	free(s);
}

#define MOST ((size_t)1 << 30) /* at once: the engine counts in 32 bits */

void sallyport_packets(struct sallyport *s, const struct sallyport_packet *packets, struct sallyport_result *results,
		       size_t n, struct sallyport_counter *counters)
{
	while (n) {
		const size_t now = n < MOST ? n : MOST;

		sp_engine_packets(s->e, (const struct sp_engine_packet *)packets, (struct sp_engine_result *)results,
				  (sp_u32)now, (struct sp_counter *)counters);
		packets += now;
		results += now;
		n -= now;
	}
}

void sallyport_forward(struct sallyport *s, const struct sallyport_through *t, size_t n, struct sallyport_counter *counters)
{
	struct sp_engine_through part;

	memcpy(&part, t, sizeof(part));
	for (size_t done = 0; done < n; done += MOST) {
		const size_t now = n - done < MOST ? n - done : MOST;

		sp_engine_forward(s->e, &part, (sp_u32)now, (struct sp_counter *)counters);
		part.in += now;
		part.way += now;
		part.came += now;
		part.left += now;
	}
}

unsigned sallyport_reasons(void)
{
	return SP_REASON_COUNT;
}

const char *sallyport_reason_name(unsigned reason)
{
	return sp_reason_name(reason);
}

const char *sallyport_reason_text(unsigned reason)
{
	return sp_reason_text(reason);
}

enum sallyport_verdict sallyport_reason_verdict(unsigned reason)
{
	return sp_reason_verdict(reason) == SP_PASS ? SALLYPORT_PASS : SALLYPORT_DROP;
}

const struct sallyport_counter *sallyport_counters(const struct sallyport *s)
{
	return (const struct sallyport_counter *)s->e->counters;
}

void sallyport_usage(const struct sallyport *s, struct sallyport_usage *out)
{
	const sp_u32 *count = s->e->t.state->count;

	*out = (struct sallyport_usage){ .capacity = s->e->t.config->capacity };
	out->unanswered = __atomic_load_n(&count[SP_CLASS_UNANSWERED], __ATOMIC_RELAXED);
	out->answered = __atomic_load_n(&count[SP_CLASS_ANSWERED], __ATOMIC_RELAXED);
	out->closing = __atomic_load_n(&count[SP_CLASS_CLOSING], __ATOMIC_RELAXED);
	out->aliases = __atomic_load_n(&count[SP_CLASS_ALIAS], __ATOMIC_RELAXED);
}

const char *sallyport_version(void)
{
	return SP_VERSION;
}
