/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live firewall of a network namespace: loading, pinning, opening, taking down.
 *
 * There is no daemon. Everything lives in the kernel, pinned in the BPF file system under sally/<instance>/, where
 * <instance> is the network namespace's cookie, which the kernel never gives out twice. Nothing here prints or exits.
 * Functions return 0 or a negative errno, and then say in struct sp_err what went wrong and what to do:
 *   -EPERM not permitted, -EOPNOTSUPP the kernel lacks something, -ENOENT not up, -EEXIST up already,
 *   -EINVAL the request makes no sense, anything else: it failed.
 */
#ifndef SP_CTL_CTL_H
#define SP_CTL_CTL_H

#include <net/if.h>
#include <stddef.h>

#include "../core/abi.h"
#include "../host/engine.h"

struct sp_err {
	int code; /* negative errno */
	char text[512]; /* one line, lower case, no newline */
};
int sp_err_set(struct sp_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- interfaces of the current network namespace --------------------------------------------- */

struct sp_link {
	int ifindex;
	char name[IF_NAMESIZE];
	sp_u8 bare_ip; /* no Ethernet header */
	sp_u8 is_loopback;
	sp_u8 is_up;
	sp_u8 has_default_route;
	sp_u8 has_address; /* one that is more than link-local */
	sp_u8 is_port; /* of a bridge or a bond: its master is guarded instead */
	sp_u8 is_carrier; /* other interfaces sit on it (VLAN, macvlan) */
	sp_u8 is_foreign; /* a kind of link whose frames we can not read */
	int carrier; /* the ifindex that this one sits on; 0: none */
	sp_u8 zone; /* enum sp_zone or a number of one's own; SP_ZONE_NONE: not guarded */
	sp_u8 named; /* enum sp_named: why it is in that zone */
	sp_u8 zone_was, named_was; /* of a plan: what they are now */
	sp_u8 stays; /* of a plan: the rule of the default route does not change it */
	sp_u8 mac[6]; /* hardware address of an Ethernet interface; else 0 */
	sp_u8 xdp; /* ingress is judged at XDP */
	sp_u8 express; /* the express lane may lead to it */
	sp_u8 express_was; /* of a plan: what it is now */
	sp_u8 loses; /* of sp_lane_look(): the lane leads to it, but it can not take it: packets are lost */
	sp_u8 is_unhooked; /* of a live instance: somebody has taken our programs off */
	char note[120]; /* why it is not judged at XDP though that was wanted; else empty */
	char lane[120]; /* why the express lane does not lead to it though that is wanted; else empty */
};

struct sp_links {
	int count, room;
	int forwarding; /* net.ipv4.ip_forward or IPv6 forwarding is on */
	struct sp_link *link; /* sorted by ifindex */
};

int sp_links_read(struct sp_links *l, struct sp_err *err);
void sp_links_free(struct sp_links *l);
struct sp_link *sp_links_by_name(struct sp_links *l, const char *name);
struct sp_link *sp_links_by_index(struct sp_links *l, int ifindex);

/* Which zone an interface is to be in. */
struct sp_place {
	const char *name;
	sp_u8 zone;
	sp_u8 named; /* SP_NAMED_BY_FILE or SP_NAMED_BY_HAND */
	sp_u8 may_lack; /* it was there before: that it is not now is no mistake */
};

/* All that was said; what was not is settled by the rule of the default route. */
struct sp_zoning {
	struct sp_place place[SP_MAX_IFACES];
	int count;
};

/* ---- bringing it up and down ----------------------------------------------------------------- */

enum sp_mode { SP_MODE_AUTO, SP_MODE_TC, SP_MODE_XDP };

struct sp_up {
	struct sp_zoning zoning;
	sp_u64 flows; /* capacity wanted; 0: from the machine's memory */
	enum sp_mode mode;
	sp_u32 lane; /* SP_CONFIG_EXPRESS, SP_CONFIG_NO_EXPRESS; 0: as the configuration says */
	int replace; /* 1: if something is up, this takes its place, with tables of its own; at no instant is nothing up */
	const struct sp_image_line *image; /* the compiled configuration, in force from the first packet on; NULL: none */
	sp_u32 image_lines;
	/* results */
	struct sp_links links; /* with zones and modes filled in */
	sp_u32 flags, capacity; /* enum sp_config_flag; conversations */
	sp_u32 adopted, adopt_failed; /* connections that existed and were taken over; had no room */
	char adopt_note[120]; /* why not all could be looked for; else empty */
	int cleaned; /* 1: what an interrupted `up` or `down` had left was removed first */
	int renewed; /* 1: it was up; only the programs are others now. Else only links, flags and capacity are results */
	sp_u32 kept; /* of that: conversations */
	int replaced; /* 1: something was up, and this took its place */
};

int sp_up(struct sp_up *up, struct sp_err *err);
int sp_down(struct sp_err *err);
void sp_up_fini(struct sp_up *up);

/*
 * What libbpf says goes to fn, a line a call; NULL: nowhere (the last warning still ends up in struct
 * sp_err).
 */
void sp_log_to(void (*fn)(const char *text));

/* ---- the live instance ----------------------------------------------------------------------- */

#define SP_LIVE_TABLES 9

struct sp_live {
	struct sp_tables t; /* memory-mapped, the kernel's own; writable */
	char dir[160]; /* where it is pinned, as seen in the mount namespace that has the BPF file system */
	int fd_ifaces, fd_counters, fd_events, fd_images;
	size_t len[SP_LIVE_TABLES]; /* lengths of the mappings; internal */
	struct sp_live_images *images; /* of t.images; internal */
};

/* Opens the instance that guards the current network namespace. Needs root. */
int sp_live_open(struct sp_live *l, struct sp_err *err);
void sp_live_close(struct sp_live *l);

/* enum sp_zone of an interface; SP_ZONE_NONE: not guarded */
int sp_live_zone(const struct sp_live *l, unsigned ifindex);
/*
 * the guarded interfaces as the kernel programs see them, joined with their names; gone ones have an
 * empty name
 */
int sp_live_links(const struct sp_live *l, struct sp_links *out, struct sp_err *err);
/*
 * Walking the table: the first entry in use at or after `from`, or t.config->capacity when there is
 * none. Then sp_live_flow() takes a copy that no engine was writing to meanwhile: 1, or 0 when the
 * entry went away or never held still, or is no conversation but an alias of one.
 */
sp_u32 sp_live_next(const struct sp_live *l, sp_u32 from);
int sp_live_flow(const struct sp_live *l, sp_u32 index, struct sp_flow *copy);
/* Maps the image of a generation, if it is kept, for t.images. sp_live_flow() does that for what it copies. */
void sp_live_image_see(const struct sp_live *l, sp_u32 generation);
/* How the ends of a translated conversation know each other. */
struct sp_known {
	sp_u8 is[2]; /* by enum sp_alias_side: that side knows the other end by another address than its own */
	sp_u32 addr[2]; /* raw: of the other end, as that side knows it */
	sp_be16 port[2]; /* ICMP queries: the identifier */
	sp_u32 born_s; /* of the conversation, translated or not */
};
/* Of the entry `index`, of which f is a copy; what is not translated, or no longer there, is known as it is. */
void sp_live_known(const struct sp_live *l, sp_u32 index, const struct sp_flow *f, struct sp_known *k);
/* the counters of all processors added up: SP_REASON_COUNT elements */
int sp_live_counters(const struct sp_live *l, struct sp_counter *out, struct sp_err *err);

/* ---- the gate: what passes by an interface that is to be guarded and is not, is held back --------- */

/* 1: it holds; 0: this kernel can not, or somebody has taken it away. */
int sp_gate_is_there(const char *dir);
int sp_gate_may_be(void); /* 0: not in this network namespace: it has no name, and would not end before the gate does */
struct sp_held {
	char name[IF_NAMESIZE];
	sp_u8 now; /* 1: that is so now; 0: it was */
	sp_u64 packets, bytes; /* since it came up */
};
#define SP_HELD_MAX (2 * SP_MAX_IFACES)
/* Interfaces that are held back or were; links: all there are. How many, at most SP_HELD_MAX. */
int sp_held_read(const struct sp_live *l, struct sp_links *links, struct sp_held *out);

/* ---- the express lane -------------------------------------------------------------------------- */

/* Is it wanted under that policy (NULL: none)? flags: enum sp_config_flag. */
int sp_lane_is_wanted(sp_u32 flags, const struct sp_image_line *image);
/* For the guarded interfaces of sp_live_links(): lane and loses, as their drivers are now. 1: the lane is wanted. */
int sp_lane_look(const struct sp_live *l, struct sp_links *links);
/* 1: it is not taken, because somebody else on this machine translates. */
int sp_lane_is_idle(const struct sp_live *l);
/* What the last packet of either family that began a conversation on the lane saw; zero, if that can not be had. */
struct sp_seen sp_lane_seen(const struct sp_live *l);

/* ---- addresses ------------------------------------------------------------------------------- */

/*
 * Writes the addresses of the interfaces of zone outside, and the pool of the policy (NULL: none), into the slots of the
 * live instance (or of one that is coming up). What is there already keeps its slot. Returns how many found no room, or an
 * error.
 */
int sp_addresses_fill(struct sp_nat_addrs *nat, const struct sp_links *links, const struct sp_image_line *image,
		      struct sp_err *err);

/* ---- generations of the policy ---------------------------------------------------------------- */

/* The generation in force now; *trial: 1 while a trial is running. An expired trial counts as gone back. */
sp_u32 sp_generation_now(const struct sp_live *l, int *trial);
/* Its image, mapped read-only, with the number of lines; NULL (and 0): only what is built in, or no longer kept. */
const struct sp_image_line *sp_generation_image(const struct sp_live *l, sp_u32 generation, sp_u32 *n);
/* The same, for those who must not take an image that can not be opened for none. */
int sp_generation_open(const struct sp_live *l, sp_u32 generation, const struct sp_image_line **image, sp_u32 *n,
		       struct sp_err *err);
void sp_generation_unmap(const struct sp_image_line *image, sp_u32 n);
/*
 * Puts an image (NULL: built-in alone) in force as a new generation, at one instant. trial_ns: 0, or how long it may stay
 * unless sp_confirm() is called: then the kernel's programs themselves go back, whatever became of user space. Interfaces
 * change their zones at the same instant, and go back with it, and so do the addresses that are translated to.
 */
int sp_apply(const struct sp_image_line *image, sp_u32 n, const struct sp_zoning *zoning, sp_u64 trial_ns,
	     sp_u32 *generation, struct sp_err *err);
int sp_confirm(struct sp_err *err);
/* Puts the image of an earlier generation (0: the one before this) in force again, as a new generation. */
int sp_undo(sp_u32 to, const struct sp_zoning *zoning, sp_u32 *generation, struct sp_err *err);
/* Which one undo would go back to; 0: none. */
sp_u32 sp_undo_to(const struct sp_live *l, sp_u32 to);
/*
 * What zones the interfaces would have, beside those that they have (zone_was), if zoning were said, and whether the
 * express lane would lead to them under that policy (of those that are guarded already). Those that an option of `up` named
 * stay, and so do those that nobody names, guarded or not; but those that a line named and names no longer follow the rule
 * of the default route.
 */
int sp_rezone_plan(const struct sp_live *l, const struct sp_zoning *zoning, const struct sp_image_line *image,
		   struct sp_links *out, struct sp_err *err);

/* ---- the log: what lines with the option `log` decided; one reader at a time ---------------------- */

struct sp_logs {
	int fd_ring; /* a BPF ring buffer of struct sp_event */
	int fd_budgets, fd_turn; /* internal */
};
/* 0, -EBUSY: somebody else reads, or another negative errno. */
int sp_logs_open(struct sp_logs *log, const struct sp_live *l, struct sp_err *err);
void sp_logs_close(struct sp_logs *log);
sp_u64 sp_logs_lost(const struct sp_logs *log); /* how many were not noted since it came up */

sp_u64 sp_now_ns(void); /* the boot clock, as the engine reads it */

#endif
