/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeping what the engine knows of interfaces and addresses up to date.
 *
 * Nothing is derived from single messages: whatever has happened, interfaces and addresses are read anew, whole, and
 * what differs is put right. So a message that was lost, or a time in which nobody watched, makes no difference.
 *
 * An interface that goes takes its programs with it, and comes back under another number. It is known again by its name. The
 * names are also kept in a file, for the case that it goes while nobody watches.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "../core/policy_abi.h"
#include "internal.h"
#include "watch.h"

#define SP_PATIENCE_US 300000

/* ---- opening ----------------------------------------------------------------------------------- */

static int open_files(struct sp_watch *w, struct sp_err *err)
{
	int rc;

	w->guard = calloc(1, sizeof(*w->guard));
	if (!w->guard)
		return sp_err_errno(err, -ENOMEM, "can not watch");
	rc = sp_guard_open(w->guard, w->live.dir, err);
	if (rc)
		return rc;
	w->fd_dir = open(w->live.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->fd_dir < 0)
		return sp_err_errno(err, -errno, "can not open the folder of pins");
	w->fd_lock = sp_pins_open_lock(w->live.dir);
	return w->fd_lock < 0 ? sp_err_errno(err, w->fd_lock, "can not open the lock of the pins") : 0;
}

int sp_watch_open(struct sp_watch *w, struct sp_err *err)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->fd_lock = w->fd_dir = -1;
	rc = sp_live_open(&w->live, err);
	if (rc)
		return rc;
	snprintf(w->instance, sizeof(w->instance), "%.79s", strrchr(w->live.dir, '/') + 1);
	snprintf(w->names_path, sizeof(w->names_path), "%s/%s/interfaces", SP_RUN_DIR, w->instance);
	rc = open_files(w, err);
	if (rc)
		sp_watch_close(w);
	return rc;
}

void sp_watch_close(struct sp_watch *w)
{
	sp_links_free(&w->known);
	sp_close_fd(&w->fd_lock);
	sp_close_fd(&w->fd_dir);
	if (w->guard)
		sp_guard_close(w->guard);
	free(w->guard);
	sp_live_close(&w->live);
}

void sp_watch_let_end(const struct sp_watch *w)
{
	w->live.t.config->flags &= ~(sp_u32)SP_CONFIG_GATE;
	sp_gate_unpin(w->live.dir);
}

int sp_watch_is_down(const struct sp_watch *w)
{
	struct stat st;

	return fstat(w->fd_dir, &st) || !st.st_nlink;
}

/* ---- names ------------------------------------------------------------------------------------- */

static const char *name_of(const struct sp_links *l, int ifindex)
{
	int i;

	for (i = 0; i < l->count; i++)
		if (l->link[i].ifindex == ifindex)
			return l->link[i].name;
	return "";
}

static struct sp_link *remember(struct sp_links *l, int ifindex, const char *name)
{
	struct sp_link *p = sp_links_by_index(l, ifindex);

	if (!p) {
		p = realloc(l->link, (size_t)(l->count + 1) * sizeof(*p));
		if (!p)
			return NULL;
		l->link = p;
		p = &l->link[l->count++];
		memset(p, 0, sizeof(*p));
		p->ifindex = ifindex;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	sp_links_sort(l);
	return sp_links_by_index(l, ifindex);
}

static void forget(struct sp_links *l, int ifindex)
{
	struct sp_link *p = sp_links_by_index(l, ifindex);

	if (!p)
		return;
	memmove(p, p + 1, (size_t)(l->count - (p + 1 - l->link)) * sizeof(*p));
	l->count--;
}

static void read_names(struct sp_watch *w)
{
	char name[IF_NAMESIZE];
	FILE *f = fopen(w->names_path, "re");
	int ifindex;

	while (f && fscanf(f, "%d %15s", &ifindex, name) == 2)
		remember(&w->known, ifindex, name);
	if (f)
		fclose(f);
}

/* Whole or not at all. */
static int write_names(const struct sp_watch *w)
{
	char path[140];
	FILE *f;
	int i, rc;

	snprintf(path, sizeof(path), "%s.new", w->names_path);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	for (i = 0; i < w->known.count; i++)
		fprintf(f, "%d %s\n", w->known.link[i].ifindex, w->known.link[i].name);
	rc = ferror(f);
	rc |= fclose(f);
	return rc || rename(path, w->names_path) ? -EIO : 0;
}

/* ---- one round --------------------------------------------------------------------------------- */

struct round {
	struct sp_watch *w;
	struct sp_links now;
	int names_changed;
	sp_watch_say_fn *say;
	void *arg;
	struct sp_err *err;
};

static void say(const struct round *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct round *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->say(r->arg, text);
}

/* The same interface, mostly under another number: guarded as it was, by the programs that are pinned. */
static int guard_again(struct round *r, sp_u32 old, const struct sp_iface *was, struct sp_link *l)
{
	const int rc = sp_guard_again(r->w->guard, old, was, l, r->err);

	if (rc) {
		say(r, "%s is there again, but is NOT guarded: %s", l->name, r->err->text);
		return rc;
	}
	say(r, "%s is there again, and guarded again: %s", l->name, sp_zone_name(l->zone));
	return 0;
}

/* An interface that the engine knows. */
static int check_one(struct round *r, sp_u32 ifindex, const struct sp_iface *i)
{
	struct sp_link *l = sp_links_by_index(&r->now, (int)ifindex), *known;
	const char *name = name_of(&r->w->known, (int)ifindex);
	char gone[IF_NAMESIZE];

	if (l) {
		l->zone = sp_iface_zone_now(r->w->live.t.config, i);
		l->named = i->named & (sp_u8)~SP_NAMED_UNDONE;
		/* it was in another network namespace meanwhile, or somebody took the programs off */
		if (l->zone != SP_ZONE_NONE && (sp_hook_is_open(l->ifindex) || i->named & SP_NAMED_UNDONE)) {
			sp_hook_remove(l->ifindex, i->own_qdisc);
			return guard_again(r, ifindex, i, l);
		}
		return 0;
	}
	snprintf(gone, sizeof(gone), "%s", name);
	l = *gone ? sp_links_by_name(&r->now, gone) : NULL;
	if (l && l->zone == SP_ZONE_NONE && !sp_hook_count(l->ifindex))
		return guard_again(r, ifindex, i, l);
	known = sp_links_by_index(&r->w->known, (int)ifindex);
	if (known && known->is_up) {
		known->is_up = 0;
		say(r, "%s is gone; it will be guarded again when it is there again", gone);
	}
	return 0;
}

static int check_interfaces(struct round *r)
{
	sp_u32 all[SP_MAX_IFACES], n = 0, i, *prev = NULL;
	struct sp_iface iface;
	int rc = 0, one;

	while (n < SP_MAX_IFACES && !bpf_map_get_next_key(r->w->guard->fd_ifaces, prev, &all[n]))
		prev = &all[n++];
	/* first those that are there, so that none of them is taken for one that has come back */
	for (int present = 1; present >= 0; present--) {
		for (i = 0; i < n; i++) {
			if (!!sp_links_by_index(&r->now, (int)all[i]) != present ||
			    bpf_map_lookup_elem(r->w->guard->fd_ifaces, &all[i], &iface))
				continue;
			one = check_one(r, all[i], &iface);
			rc = rc ? rc : one;
		}
	}
	sp_names_sync(r->w->guard, &r->now);
	return rc;
}

/* The names of all that is there now, and of what is gone but guarded when it is there again. */
static int check_names(struct round *r)
{
	struct sp_links *known = &r->w->known;
	struct sp_iface iface;
	struct sp_link *l;
	int i;

	for (i = known->count - 1; i >= 0; i--) {
		const int ifindex = known->link[i].ifindex;

		if (sp_links_by_index(&r->now, ifindex) || !bpf_map_lookup_elem(r->w->guard->fd_ifaces, &ifindex, &iface))
			continue;
		forget(known, ifindex);
		r->names_changed = 1;
	}
	for (i = 0; i < r->now.count; i++) {
		l = sp_links_by_index(known, r->now.link[i].ifindex);
		r->names_changed |= !l || strcmp(l->name, r->now.link[i].name);
		l = remember(known, r->now.link[i].ifindex, r->now.link[i].name);
		if (!l)
			return sp_err_errno(r->err, -ENOMEM, "can not keep the names of the interfaces");
		l->is_up = 1;
	}
	return 0;
}

static int check_addresses(struct round *r)
{
	struct sp_nat_addrs *nat = r->w->live.t.nat;
	const sp_u32 before = nat->changes;
	const struct sp_image_line *image;
	sp_u32 n;
	int rc;

	image = sp_generation_image(&r->w->live, sp_generation_now(&r->w->live, NULL), &n);
	sp_zone_names_of(image);
	rc = sp_addresses_fill(nat, &r->now, image, r->err);
	sp_generation_unmap(image, n);
	if (rc < 0)
		return rc;
	if (nat->changes != before)
		say(r, "the addresses at the outside have changed; conversations that were translated to a lost one end");
	if (rc)
		say(r, "%d addresses at the outside are more than can be used", rc);
	return 0;
}

/* What a driver can do changes: with an interface that is there again, with a switch of its other end. */
static int check_lane(struct round *r)
{
	struct sp_lane_round lane;
	int rc = 0;

	sp_lane_begin(&lane, &r->w->live);
	for (int i = 0; i < r->now.count && rc >= 0; i++) {
		struct sp_link *l = &r->now.link[i];

		rc = l->zone == SP_ZONE_NONE ? 0 : sp_lane_renew(&lane, r->w->guard->fd_ifaces, l, r->err);
		if (rc > 0)
			say(r, "%s is %s the express lane%s%s", l->name, l->express ? "on" : "off", *l->lane ? ": " : "",
			    l->lane);
	}
	return rc < 0 ? rc : 0;
}

/* Zones that were settled by the rule of the default route do not change by themselves: only told, once. */
static void check_default(struct round *r)
{
	struct sp_link *l, *was;
	int i;

	for (i = 0; i < r->now.count; i++) {
		l = &r->now.link[i];
		was = sp_links_by_index(&r->w->known, l->ifindex);
		if (l->has_default_route && l->zone != SP_ZONE_OUTSIDE && l->zone != SP_ZONE_NONE &&
		    !(was && was->has_default_route))
			say(r, "the default route leads through %s now, which is %s; if it is to be outside, say so in the "
			    "configuration: wan %s", l->name, sp_zone_name(l->zone), l->name);
		if (was)
			was->has_default_route = l->has_default_route;
	}
}

/* What does not work for one thing must not keep it from the others; the first error is told. */
static int bring_up_to_date(struct round *r)
{
	struct sp_err first = { 0 };
	int (*const steps[])(struct round *r) = { check_interfaces, check_lane, check_addresses };
	int i, rc = 0, one;

	for (i = 0; i < 3; i++) {
		one = steps[i](r);
		if (one && !rc) {
			rc = one;
			first = *r->err;
		}
	}
	check_default(r);
	if (rc)
		*r->err = first;
	return rc;
}

static void on_alarm(int sig)
{
}

/*
 * Commands take this lock for what they change. Who waits for it in the kernel gets his turn; who only tries now and
 * then might never. But not for longer than it takes to notice that we are to end.
 */
static int take_turn(struct sp_watch *w)
{
	const struct itimerval every = { { 0, SP_PATIENCE_US }, { 0, SP_PATIENCE_US } }, never = { { 0, 0 }, { 0, 0 } };
	const struct sigaction sa = { .sa_handler = on_alarm };
	int rc;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	rc = flock(w->fd_lock, LOCK_EX) ? -errno : 0;
	setitimer(ITIMER_REAL, &never, NULL);
	return rc == -EINTR ? -EAGAIN : rc;
}

/* Names need no lock, and must be known before an interface goes. */
static int read_all(struct round *r)
{
	int rc;

	sp_links_free(&r->now);
	rc = sp_links_read(&r->now, r->err);
	return rc ? rc : check_names(r);
}

static int locked_round(struct round *r)
{
	struct sp_watch *w = r->w;
	int rc = 0;

	if (flock(w->fd_lock, LOCK_EX | LOCK_NB)) {
		rc = take_turn(w);
		if (rc)
			return sp_err_set(r->err, rc, "another sally is at work: %s", strerror(-rc));
		rc = read_all(r); /* it has changed something, perhaps */
	}
	if (!rc && !sp_watch_is_down(w))
		rc = bring_up_to_date(r);
	flock(w->fd_lock, LOCK_UN);
	return rc;
}

int sp_watch_sync(struct sp_watch *w, sp_watch_say_fn *fn, void *arg, struct sp_err *err)
{
	struct round r = { .w = w, .say = fn, .arg = arg, .err = err };
	const sp_u64 start_ns = sp_now_ns();
	int rc;

	if (!w->known.count)
		read_names(w);
	rc = read_all(&r);
	w->took_ns = sp_now_ns() - start_ns;
	if (!rc)
		rc = locked_round(&r);
	if (r.names_changed && write_names(w))
		say(&r, "can not write %s; interfaces that go while sallyd does not run are not known again", w->names_path);
	sp_links_free(&r.now);
	return rc;
}
