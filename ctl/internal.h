/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of ctl/ share among themselves; nothing outside includes it. */
#ifndef SP_CTL_INTERNAL_H
#define SP_CTL_INTERNAL_H

#include <libmnl/libmnl.h>
#include <linux/bpf.h>

#include "ctl.h"

struct bpf_map;
struct bpf_object;

#define SP_CLEANUP(fn) __attribute__((cleanup(fn)))
void sp_close_fd(int *fd); /* for SP_CLEANUP */

/* ---- base.c: errors, privilege, identity ----------------------------------------------------- */
int sp_err_errno(struct sp_err *err, int code, const char *what); /* "what: strerror" */
int sp_privilege_check(struct sp_err *err);
int sp_netns_cookie(sp_u64 *out, struct sp_err *err);
sp_u64 sp_inode_of(const char *path); /* 0: can not be read */
const char *sp_log_cause(void); /* what libbpf or the verifier complained about, or "" */
void sp_log_init(void);

/* ---- netlink.c ------------------------------------------------------------------------------- */
/* Sends one request and hands every answer to cb; 0 or a negative errno. */
int sp_netlink_dump(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg);

/* ---- links.c --------------------------------------------------------------------------------- */
void sp_links_sort(struct sp_links *l);

/* ---- zones.c --------------------------------------------------------------------------------- */
/* Fills in zone and named of each; zones that are there already stay. */
int sp_zones_assign(struct sp_links *links, const struct sp_zoning *z, struct sp_err *err);

/* ---- pins.c: where the pins are -------------------------------------------------------------- */
struct sp_pins {
	char base[96]; /* <bpffs>/sally */
	char dir[160]; /* <base>/<instance>; empty: none */
	sp_u64 cookie; /* whose lock it is */
	int lock_fd; /* exclusive lock of that instance, on <base>/lock-<cookie> */
};
/* Looks everywhere for the instance of this namespace: 1 found (dir is set), 0 not. */
int sp_pins_find(sp_u64 cookie, struct sp_pins *p);
/*
 * Takes the lock of the instance, in the place that has it, or in the one where a new one belongs (mounting it if needed).
 * Instances do not wait for each other.
 */
int sp_pins_lock(sp_u64 cookie, struct sp_pins *p, struct sp_err *err);
int sp_pins_try_lock(const char *base, sp_u64 cookie, struct sp_pins *p); /* 1: taken; 0: somebody else has it */
void sp_pins_unlock(struct sp_pins *p); /* also for SP_CLEANUP */
void sp_pins_drop_lock(const char *base, sp_u64 cookie); /* one without pins that nobody has: left by who was killed */
/* A descriptor of the lock of the instance pinned in dir, or a negative errno; it stays the lock until that is down. */
int sp_pins_open_lock(const char *dir);
int sp_pins_open(const char *dir, const char *name); /* a descriptor, or a negative errno, which errno has, too */
int sp_pins_make_dir(sp_u64 cookie, struct sp_pins *p, struct sp_err *err);
int sp_pins_remove_dir(const char *dir);
/* A second folder, for pins that are to take the place of those in p->dir; what was left there goes. Under the lock. */
int sp_pins_make_second(const struct sp_pins *p, char dir[160], struct sp_err *err);
int sp_pins_exchange(const struct sp_pins *p, const char *second, struct sp_err *err); /* at one instant */
void sp_pins_drop_second(const struct sp_pins *p);

/* ---- garbage.c ------------------------------------------------------------------------------- */
void sp_garbage_collect(const char *base);

/* ---- hooks.c: programs on interfaces --------------------------------------------------------- */
struct sp_loaded;
int sp_hook_has_qdisc(int ifindex, struct sp_err *err); /* 1: a clsact, whoever made it; 0: none */
int sp_hook_add_qdisc(int ifindex, struct sp_err *err); /* -EEXIST: somebody was quicker */
/* Where a program of ours is, it is exchanged for this one: at no instant is there none. */
int sp_hook_tc(const struct sp_link *l, int egress, int prog_fd, struct sp_err *err);
int sp_hook_xdp(const struct sp_link *l, int prog_fd); /* 0 or negative errno */
void sp_hook_no_xdp(const struct sp_link *l);
/* Takes everything of ours off an interface; returns how many programs that were. */
int sp_hook_remove(int ifindex, int own_qdisc);
int sp_hook_count(int ifindex);
int sp_hook_is_open(int ifindex); /* 1: a way in or out lacks its program, be it at TC or at XDP */
/* Puts the program of the same name in the place of each of ours; at no instant is there none. */
int sp_hook_renew(const struct sp_link *l, const struct sp_loaded *by, struct sp_err *err);
int sp_hook_is_of(const struct sp_link *l, const char *dir); /* 1: ours there are the very programs that are pinned */
int sp_hook_is_where(const struct sp_link *l); /* 1: the way in is judged at XDP, or at TC, as l->xdp says, and only there */

/* ---- guard.c: what it takes to guard an interface ---------------------------------------------- */
struct sp_guard {
	int fd_ifaces, fd_in, fd_out; /* fd_in, fd_out: programs for TC */
	int fd_names, fd_whole; /* of the gate; -1: the kernel has none */
	int fd_xdp; /* -1: nothing is judged at XDP */
	int fd_reject; /* for TC: answers what XDP refuses */
	int must_xdp; /* XDP or nothing */
};
#define SP_GUARD_NONE { .fd_ifaces = -1, .fd_names = -1, .fd_whole = -1, .fd_in = -1, .fd_out = -1, .fd_xdp = -1, \
			.fd_reject = -1 }
/* The programs and the map of a live instance; sp_guard_close() also after a failure. */
int sp_guard_open(struct sp_guard *g, const char *dir, struct sp_err *err);
void sp_guard_close(struct sp_guard *g); /* also for SP_CLEANUP */
/* Writes what the programs know of an interface. zone_back: see struct sp_iface. xdp_error: 0, or why there is no XDP. */
int sp_guard_enter(const struct sp_guard *g, const struct sp_link *l, sp_u8 zone_back, sp_u8 own_qdisc, int xdp_error,
		   struct sp_err *err);
/* First the way out, so that what is sent is remembered before answers meet the way in. The interface has been entered. */
int sp_guard_out(const struct sp_guard *g, const struct sp_link *l, sp_u8 zone_back, sp_u8 *own_qdisc, struct sp_err *err);
/* Writes l->note: why it is not judged at XDP though that is wanted. flags: enum sp_config_flag; xdp_errno: or 0. */
void sp_guard_note(struct sp_link *l, sp_u32 flags, int xdp_errno);
/* At XDP if l->xdp and the driver has it, else at TC; l->xdp and l->note say what it became. */
int sp_guard_in(const struct sp_guard *g, struct sp_link *l, sp_u8 zone_back, sp_u8 own_qdisc, struct sp_err *err);

/*
 * The same interface, mostly under another number, that was guarded as `old`: guarded as it was. Until all its programs are
 * in their place the gate holds it; after a failure it has none.
 */
int sp_guard_again(const struct sp_guard *g, sp_u32 old, const struct sp_iface *was, struct sp_link *l, struct sp_err *err);

/* ---- gate.c: what holds back interfaces that are to be guarded and are not ------------------------ */
struct sp_loaded;
/* On the maps of the others; dir: with the names pinned there, NULL: none. 0 also if the kernel has no such thing. */
int sp_gate_load(struct sp_loaded *l, struct bpf_object *maps, const char *dir);
void sp_gate_free(struct sp_loaded *l);
struct bpf_object *sp_gate_object(const struct sp_loaded *l); /* NULL: the kernel has none */
int sp_gate_map_fd(const struct sp_loaded *l, const char *name); /* -1: likewise */
/* Attaches and pins it; where one is pinned already, in its place: at no instant is there none. */
int sp_gate_attach(struct sp_loaded *l, const char *dir, struct sp_err *err);
int sp_gate_is_of(const struct sp_loaded *l, const char *dir); /* 1: what holds are the programs that are pinned */
void sp_gate_unpin(const char *dir); /* it holds no longer */
void sp_gate_remove(sp_u64 cookie); /* that of this namespace, wherever it is pinned */

/* ---- held.c: the gate's names of interfaces ------------------------------------------------------- */
/* As the guarded interfaces are called; of those that are gone, as they were called. */
void sp_names_sync(const struct sp_guard *g, struct sp_links *links);
/* Its programs are about to change: until sp_names_sync() the gate looks twice. */
void sp_names_undo(const struct sp_guard *g, sp_u32 ifindex);
/* 1: one of that name was guarded, and is gone; what the programs knew of it. */
int sp_names_was(const struct sp_guard *g, const char *name, struct sp_iface *was);
/* Interfaces that are there again, and that nobody has guarded again yet, are. */
void sp_names_return(const struct sp_guard *g);
/* Interfaces that are gone, that a line named and that none names now, are not expected any more. */
void sp_names_forget(const struct sp_guard *g, const struct sp_zoning *zoning);

/* ---- addresses.c ------------------------------------------------------------------------------- */
/* sp_addresses_fill() of a live instance; before: another image, whose pool is kept as well. NULL: none. */
int sp_addresses_update(const struct sp_live *l, const struct sp_links *links, const struct sp_image_line *image,
			const struct sp_image_line *before, struct sp_err *err);

/* ---- rezone.c: interfaces that change their zone ----------------------------------------------- */
struct sp_rezone {
	struct sp_guard guard;
	struct sp_links links;
	int changes; /* interfaces that change */
};
/* Under the lock, and not while a trial is running. image: the policy to come. After it, always sp_rezone_end(). */
int sp_rezone_begin(struct sp_rezone *z, const struct sp_live *l, const struct sp_zoning *zoning,
		    const struct sp_image_line *image, struct sp_err *err);
int sp_rezone_write(struct sp_rezone *z, struct sp_err *err); /* while a trial that is over has not begun */
void sp_rezone_end(struct sp_rezone *z, const struct sp_live *l, int is_trial);
/* The interfaces and their zones as they are. */
int sp_rezone_now(const struct sp_live *l, struct sp_links *out, struct sp_err *err);
/* 1: some interface would go back to another zone; 0: none; or a negative errno */
int sp_rezone_pending(const struct sp_live *l, struct sp_err *err);
int sp_rezone_settle(const struct sp_live *l, struct sp_err *err); /* what a trial left over, when none is running */
sp_u8 sp_iface_zone_now(const struct sp_config *c, const struct sp_iface *i);
int sp_is_trial_over(const struct sp_config *c); /* 1: what it changed of interfaces is no longer so */

/* ---- express.c ------------------------------------------------------------------------------- */
/* 1: the lane can lead to that interface, if it is judged at XDP (l->xdp); 0: not, and l->lane says why. */
int sp_lane_can(struct sp_link *l);
sp_u8 sp_iface_express_now(const struct sp_config *c, const struct sp_iface *i);
/* Is it wanted, under the policy in force, and under the one that a trial would go back to? */
struct sp_lane_round {
	sp_u8 wanted, wanted_back;
};
void sp_lane_begin(struct sp_lane_round *r, const struct sp_live *l);
/* Under the lock: opens or closes the lane to a guarded interface. 1: it changed (l->express, l->lane), 0, or an error. */
int sp_lane_renew(const struct sp_lane_round *r, int fd_ifaces, struct sp_link *l, struct sp_err *err);

/* ---- load.c ---------------------------------------------------------------------------------- */
struct sp_loaded {
	struct sally_tc *tc;
	struct sally_xdp *xdp; /* NULL: not wanted */
	struct sally_gate *gate; /* NULL: the kernel has no such hooks */
};
/* Outside addresses for which there are ports: what is translated at the same time without down and up. */
sp_u32 sp_load_slots(const struct sp_config *config, const struct sp_image_line *image);
int sp_load(struct sp_loaded *l, const struct sp_config *config, sp_u32 slots, int with_xdp, struct sp_err *err);
/* Our programs on the maps of a live instance; -EPROTO: its tables are not ours. */
int sp_load_onto(struct sp_loaded *l, const char *dir, const struct sp_config *config, struct sp_err *err);
int sp_load_pin(const struct sp_loaded *l, const char *dir, struct sp_err *err);
/* Puts the programs' pins in the place of those that are there. */
int sp_load_repin(const struct sp_loaded *l, const char *dir, struct sp_err *err);
sp_u32 sp_load_pinned_id(const char *dir, const char *name); /* the kernel's number of that program; 0: can not be had */
/* A map that only the program at XDP has: no pin but that program's holds it. Its descriptor, or a negative errno. */
int sp_load_open_of_xdp(const char *dir, const char *name);
int sp_load_is_pinned(const struct sp_loaded *l, const char *dir); /* 1: the same programs */
/* Has that map the type, keys, values and flags that `map` is to have, and (unless of_any_size) as many elements? */
int sp_load_is_like(const struct bpf_map *map, int fd, int of_any_size);
void sp_load_free(struct sp_loaded *l);
int sp_load_map_fd(const struct sp_loaded *l, const char *name);
int sp_load_prog_fd(const struct sp_loaded *l, const char *name); /* -1: there is none */

/* ---- live.c ---------------------------------------------------------------------------------- */
int sp_live_map(struct sp_live *l, const int fd[SP_LIVE_TABLES], struct sp_err *err);
/*
 * Opens only what changing the policy needs: fd_images and t.config. Mapping the conversations of a large table takes ten
 * times as long as all the rest.
 */
int sp_live_open_policy(struct sp_live *l, struct sp_err *err);
extern const char *const sp_live_names[SP_LIVE_TABLES]; /* the memory-mapped ones, in the order of struct sp_tables */

/* ---- images.c -------------------------------------------------------------------------------- */
void sp_live_images_init(struct sp_live *l);
void sp_live_images_fini(struct sp_live *l);

/* ---- generation.c ---------------------------------------------------------------------------- */
/* Puts an image into the slot of a generation; nothing changes until that generation is in force. */
int sp_generation_store(int fd_images, sp_u32 generation, const struct sp_image_line *image, sp_u32 n,
			struct sp_err *err);

/* ---- upgrade.c ------------------------------------------------------------------------------- */
/* Under the lock: our programs in the place of those of the live instance; -EEXIST: they are the same. */
int sp_upgrade(struct sp_up *up, struct sp_err *err);

/* ---- adopt.c --------------------------------------------------------------------------------- */
int sp_adopt(struct sp_up *up, const struct sp_tables *t, struct sp_err *err);

#endif
