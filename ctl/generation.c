/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Generations of the policy. Each has an image in the slot of its number; the one in force is a number in the shared
 * configuration, changed last, so no packet ever sees half of a policy.
 *
 * A trial is three numbers: where to go back to, the new generation, until when. The engine compares the
 * clock at each packet (sp_generation() in core/policy.h); nothing here has to be alive for it to go back.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

/*
 * Generations to go back to. The slot that is neither theirs nor that of the one in force is the next one's: an apply that
 * was killed may have left something there.
 */
#define KEPT (SP_IMAGE_SLOTS - 2)

sp_u32 sp_generation_now(const struct sp_live *l, int *trial)
{
	const struct sp_config *c = l->t.config;
	const sp_u64 until_ns = __atomic_load_n(&c->trial_until_ns, __ATOMIC_ACQUIRE);
	const int over = until_ns && sp_now_ns() >= until_ns;

	if (trial)
		*trial = until_ns && !over;
	return over ? c->trial_back : c->generation;
}

/* The map in a slot, -ENOENT when it is empty, or what went wrong. */
static int slot_fd(const struct sp_live *l, sp_u32 generation)
{
	sp_u32 slot = generation % SP_IMAGE_SLOTS, id = 0;
	int fd;

	if (bpf_map_lookup_elem(l->fd_images, &slot, &id))
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? (errno == ENOENT ? -EIO : -errno) : fd;
}

/* The same for going back to it: *fd is -1 when there was no image. */
static int slot_fd_or_none(const struct sp_live *l, sp_u32 generation, int *fd, struct sp_err *err)
{
	const int rc = slot_fd(l, generation);

	*fd = rc < 0 ? -1 : rc;
	return rc < 0 && rc != -ENOENT ? sp_err_errno(err, rc, "can not open the policy in the kernel") : 0;
}

static void *map_image(int fd, int protection, sp_u32 *n)
{
	struct bpf_map_info info = { 0 };
	sp_u32 len = sizeof(info);
	void *at;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(struct sp_image_line))
		return NULL;
	at = mmap(NULL, (size_t)info.max_entries * sizeof(struct sp_image_line), protection, MAP_SHARED, fd, 0);
	*n = info.max_entries;
	return at == MAP_FAILED ? NULL : at;
}

int sp_generation_open(const struct sp_live *l, sp_u32 generation, const struct sp_image_line **image, sp_u32 *n,
		       struct sp_err *err)
{
	int fd SP_CLEANUP(sp_close_fd) = -1;
	const int rc = slot_fd_or_none(l, generation, &fd, err);

	*image = fd < 0 ? NULL : map_image(fd, PROT_READ, n);
	if (!*image)
		*n = 0;
	if (!rc && fd >= 0 && !*image)
		return sp_err_errno(err, -ENOMEM, "can not map the policy into memory");
	return rc;
}

const struct sp_image_line *sp_generation_image(const struct sp_live *l, sp_u32 generation, sp_u32 *n)
{
	const struct sp_image_line *image;
	struct sp_err ignored;

	sp_generation_open(l, generation, &image, n, &ignored);
	return image;
}

void sp_generation_unmap(const struct sp_image_line *image, sp_u32 n)
{
	if (image)
		munmap((void *)image, (size_t)n * sizeof(*image));
}

/* A kernel map with the image in it; the caller closes it. */
static int make_map(const struct sp_image_line *image, sp_u32 n, struct sp_err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sp_image", 4, sizeof(*image), n, &opts);
	sp_u32 have;
	void *at;

	if (fd < 0)
		return sp_err_errno(err, fd, "no room in the kernel for the policy");
	at = map_image(fd, PROT_READ | PROT_WRITE, &have);
	if (!at) {
		sp_close_fd(&fd);
		return sp_err_errno(err, -ENOMEM, "can not map the policy into memory");
	}
	memcpy(at, image, (size_t)n * sizeof(*image));
	munmap(at, (size_t)n * sizeof(*image));
	return fd;
}

/* fd -1: empties the slot. */
static int put_map(int fd_images, sp_u32 generation, int fd, struct sp_err *err)
{
	sp_u32 slot = generation % SP_IMAGE_SLOTS;
	int rc;

	if (fd < 0)
		rc = bpf_map_delete_elem(fd_images, &slot) && errno != ENOENT ? -errno : 0;
	else
		rc = bpf_map_update_elem(fd_images, &slot, &fd, BPF_ANY) ? -errno : 0;
	return rc ? sp_err_errno(err, rc, "the kernel does not take the policy") : 0;
}

int sp_generation_store(int fd_images, sp_u32 generation, const struct sp_image_line *image, sp_u32 n,
			struct sp_err *err)
{
	int fd SP_CLEANUP(sp_close_fd) = make_map(image, n, err);

	return fd < 0 ? fd : put_map(fd_images, generation, fd, err);
}

/*
 * Puts map fd (-1: none) into the slot of the next generation and makes that the one in force, with the zones of z (NULL:
 * they stay).
 */
static int switch_to(struct sp_live *l, int fd, struct sp_rezone *z, sp_u64 trial_ns, sp_u32 *generation,
		     struct sp_err *err)
{
	struct sp_config *c = l->t.config;
	int is_running;
	const sp_u32 now = sp_generation_now(l, &is_running), next = c->generation + 1;
	int rc = put_map(l->fd_images, next, fd, err);

	if (rc)
		return rc;
	/*
	 * What is in force up to the last store but one or two, stays in force: a trial that is over goes back to `now`
	 * until its deadline is gone, and one that is to begin is over (1) before it has begun. Whoever is killed in between
	 * leaves the one or the other in force, and never a number that is in force and will be given out again.
	 */
	if (!is_running)
		__atomic_store_n(&c->trial_back, now, __ATOMIC_SEQ_CST);
	if (trial_ns || z)
		__atomic_store_n(&c->trial_until_ns, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->generation, next, __ATOMIC_SEQ_CST);
	rc = z ? sp_rezone_write(z, err) : 0;
	if (rc)
		return rc;
	__atomic_store_n(&c->trial_until_ns, trial_ns ? sp_now_ns() + trial_ns : 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->trial_back, now, __ATOMIC_SEQ_CST); /* also what undo goes back to */
	*generation = next;
	return 0;
}

/*
 * Trials that expire use numbers up while the one in force keeps its own. Before the next number would take the slot of that
 * one, it gets a new number itself.
 */
static int renumber(struct sp_live *l, struct sp_err *err)
{
	const sp_u32 now = sp_generation_now(l, NULL);
	int fd SP_CLEANUP(sp_close_fd) = -1;
	sp_u32 generation;
	int rc;

	if (l->t.config->generation + 1 - now < SP_IMAGE_SLOTS)
		return 0;
	rc = slot_fd_or_none(l, now, &fd, err);
	return rc ? rc : switch_to(l, fd, NULL, 0, &generation, err);
}

/* One change at a time: the lock of the place where it is pinned. */
static int open_locked(struct sp_live *l, struct sp_pins *place, struct sp_err *err)
{
	sp_u64 cookie;
	int rc;

	place->lock_fd = -1;
	rc = sp_live_open_policy(l, err);
	if (!rc)
		rc = sp_netns_cookie(&cookie, err);
	if (!rc)
		rc = sp_pins_lock(cookie, place, err);
	if (rc)
		return rc;
	/* it may have gone down, and another one come up, while we waited */
	sp_live_close(l);
	return sp_live_open_policy(l, err);
}

/* With those of interfaces that are outside now, and of the pool in force: conversations use them up to the end. */
static int add_addresses(struct sp_live *l, const struct sp_links *links, const struct sp_image_line *image,
			 struct sp_err *err)
{
	struct sp_links both = { .count = links->count, .link = calloc((size_t)links->count + 1, sizeof(*both.link)) };
	const struct sp_image_line *old;
	sp_u32 n;
	int rc;

	if (!both.link)
		return sp_err_errno(err, -ENOMEM, "can not change the addresses");
	memcpy(both.link, links->link, (size_t)links->count * sizeof(*both.link));
	for (int i = 0; i < both.count; i++)
		if (both.link[i].zone_was == SP_ZONE_OUTSIDE)
			both.link[i].zone = SP_ZONE_OUTSIDE;
	rc = sp_generation_open(l, sp_generation_now(l, NULL), &old, &n, err);
	if (!rc)
		rc = sp_addresses_update(l, &both, image, old, err);
	sp_generation_unmap(old, n);
	free(both.link);
	return rc;
}

/* renumber() and switch_to(), and with them the zones, and the addresses that are translated to. */
static int switch_all(struct sp_live *l, int fd, const struct sp_zoning *zoning, sp_u64 trial_ns, sp_u32 *generation,
		      struct sp_err *err)
{
	sp_u32 n = 0;
	const struct sp_image_line *image = fd < 0 ? NULL : map_image(fd, PROT_READ, &n);
	struct sp_err ignored; /* what is left over does not matter: nothing in force uses it */
	struct sp_rezone z;
	int rc = fd >= 0 && !image ? sp_err_errno(err, -ENOMEM, "can not map the policy into memory") : 0;

	if (rc)
		return rc;
	rc = sp_rezone_begin(&z, l, zoning, image, err);
	if (!rc)
		rc = add_addresses(l, &z.links, image, err);
	if (!rc)
		rc = renumber(l, err);
	if (!rc)
		rc = switch_to(l, fd, z.changes ? &z : NULL, trial_ns, generation, err);
	if (!rc && !trial_ns)
		sp_addresses_update(l, &z.links, image, NULL, &ignored);
	if (!rc && !trial_ns)
		sp_names_forget(&z.guard, zoning);
	sp_rezone_end(&z, l, !rc && trial_ns);
	sp_generation_unmap(image, n);
	return rc;
}

int sp_apply(const struct sp_image_line *image, sp_u32 n, const struct sp_zoning *zoning, sp_u64 trial_ns,
	     sp_u32 *generation, struct sp_err *err)
{
	struct sp_pins place SP_CLEANUP(sp_pins_unlock) = { .lock_fd = -1 };
	int fd SP_CLEANUP(sp_close_fd) = -1;
	struct sp_live l;
	int rc = open_locked(&l, &place, err), trial;

	if (!rc) {
		sp_generation_now(&l, &trial);
		if (trial)
			rc = sp_err_set(err, -EBUSY, "a trial is under way; 'sally confirm' or 'sally undo' first");
	}
	if (!rc && image) {
		fd = make_map(image, n, err);
		rc = fd < 0 ? fd : 0;
	}
	if (!rc)
		rc = switch_all(&l, fd, zoning, trial_ns, generation, err);
	sp_live_close(&l);
	return rc;
}

/* The trial is kept: what only the time before it needed goes. */
static int settle(struct sp_live *l, struct sp_err *err)
{
	struct sp_links links = { 0 };
	const struct sp_image_line *image;
	sp_u32 n;
	int rc = sp_rezone_settle(l, err);

	if (!rc)
		rc = sp_rezone_now(l, &links, err);
	if (!rc)
		rc = sp_generation_open(l, sp_generation_now(l, NULL), &image, &n, err);
	if (!rc) {
		rc = sp_addresses_update(l, &links, image, NULL, err);
		sp_generation_unmap(image, n);
	}
	sp_links_free(&links);
	return rc;
}

int sp_confirm(struct sp_err *err)
{
	struct sp_pins place SP_CLEANUP(sp_pins_unlock) = { .lock_fd = -1 };
	struct sp_live l;
	int rc = open_locked(&l, &place, err), trial;

	if (!rc) {
		sp_generation_now(&l, &trial);
		if (!trial)
			rc = sp_err_set(err, -ENOENT, "there is no trial to confirm%s", l.t.config->trial_until_ns ?
					": its time is over, the policy before it is in force" : "");
	}
	if (!rc) {
		__atomic_store_n(&l.t.config->trial_until_ns, 0, __ATOMIC_SEQ_CST);
		rc = settle(&l, err);
	}
	sp_live_close(&l);
	return rc;
}

/* The generation that undo goes back to, asked for (0: not). */
static int undo_target(const struct sp_live *l, sp_u32 *to, struct sp_err *err)
{
	const sp_u32 now = sp_generation_now(l, NULL), last = l->t.config->generation;

	if (!*to && now != last)
		return sp_err_set(err, -EINVAL, "the trial is over, and generation %u, from before it, is in force already; "
				  "name a generation to go back further", now);
	if (!*to)
		*to = l->t.config->trial_back;
	if (!*to || *to >= now || last - *to > KEPT)
		return sp_err_set(err, -EINVAL, "there is no generation %u to go back to; this is number %u, and %u are "
				  "kept", *to, now, KEPT);
	return 0;
}

sp_u32 sp_undo_to(const struct sp_live *l, sp_u32 to)
{
	struct sp_err ignored;

	return undo_target(l, &to, &ignored) ? 0 : to;
}

/* A trial that has moved interfaces ends as if its time were over: everything is as it was before. */
static int end_trial(struct sp_live *l, struct sp_err *err)
{
	int trial, pending;

	sp_generation_now(l, &trial);
	pending = trial ? sp_rezone_pending(l, err) : 0;
	if (pending <= 0)
		return pending;
	__atomic_store_n(&l->t.config->trial_until_ns, 1, __ATOMIC_SEQ_CST);
	return sp_rezone_settle(l, err);
}

int sp_undo(sp_u32 to, const struct sp_zoning *zoning, sp_u32 *generation, struct sp_err *err)
{
	struct sp_pins place SP_CLEANUP(sp_pins_unlock) = { .lock_fd = -1 };
	int fd SP_CLEANUP(sp_close_fd) = -1;
	struct sp_live l;
	int rc = open_locked(&l, &place, err);

	if (!rc)
		rc = undo_target(&l, &to, err);
	if (!rc)
		rc = slot_fd_or_none(&l, to, &fd, err);
	if (!rc)
		rc = end_trial(&l, err);
	if (!rc)
		rc = switch_all(&l, fd, zoning, 0, generation, err);
	sp_live_close(&l);
	return rc;
}
