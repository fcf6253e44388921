/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration language: from text to a checked tree, and back to canonical text.
 *
 *     text --lex, parse--> lines --check--> names resolved, lines named, warnings --print--> text
 *
 * Nothing here prints, exits or knows the kernel. What is wrong with a file comes back as a list of diagnostics, all of
 * them in one run. A policy is built once and then only read; everything that it points to lives until it is freed.
 * The grammar is in sally.conf(5), the reasons for it in docs/decisions/0010-language.md.
 */
#ifndef SP_POLICY_POLICY_H
#define SP_POLICY_POLICY_H

#include <stddef.h>

#include "../core/types.h"

/* ---- limits: a file beyond one of them is refused with a diagnostic --------------------------- */
#define SP_POLICY_FILE_MAX (4u << 20) /* bytes of one configuration file */
#define SP_POLICY_FILES_MAX 256 /* files of one policy, included ones too */
#define SP_POLICY_DEPTH_MAX 8 /* includes within includes */
#define SP_POLICY_LINES_MAX 65536 /* sentences */
#define SP_POLICY_SET_FILE_MAX (128u << 20) /* bytes of a file of networks */
#define SP_POLICY_NETS_MAX 4000000u /* networks of one such file */
#define SP_POLICY_NEST_MAX 16 /* sets within sets, services within services */
#define SP_POLICY_DIAGS_MAX 200 /* diagnostics that are kept; the rest is counted */
#define SP_POLICY_NAME_MAX 31 /* letters of a name */
#define SP_POLICY_COMPARE_MAX 2000 /* lines up to which each is held against each other, for warnings */
#define SP_POLICY_FLAT_MAX 256 /* networks of a set up to which it is looked into, for warnings */

/* ---- diagnostics ----------------------------------------------------------------------------- */
struct sp_span {
	const char *file; /* as the user knows it; "-" is standard input */
	sp_u32 line, column, length; /* from 1, in bytes; line 0: the file as a whole */
};

enum sp_severity { SP_SEVERITY_ERROR, SP_SEVERITY_WARNING };

struct sp_diag {
	struct sp_span at;
	enum sp_severity severity;
	const char *message; /* one line, lower case */
	const char *expected; /* what could stand there, or NULL */
	const char *suggestion; /* what to write in place of the span, or NULL */
	const char *source; /* the line of the file, or NULL */
};

/* ---- the tree -------------------------------------------------------------------------------- */
enum sp_net_family { SP_NET_V4 = 4, SP_NET_V6 = 6 };

struct sp_net {
	sp_u8 addr[16]; /* IPv4: the first four */
	sp_u8 family; /* enum sp_net_family */
	sp_u8 bits;
	sp_u8 suffix; /* IPv6 by its last 64 bits, whatever the prefix: *::10 */
	sp_u8 pad_;
};
_Static_assert(sizeof(struct sp_net) == 20, "a million of them are kept");

struct sp_nets {
	struct sp_net *v;
	sp_u32 n, cap;
};

/* One word of a list of people: any, a network, or a name. Interfaces of a zone are names, too. */
enum sp_term_kind { SP_TERM_ANY, SP_TERM_NET, SP_TERM_RANGE, SP_TERM_NAME, SP_TERM_ZONE, SP_TERM_HOST, SP_TERM_SET };

struct sp_term {
	enum sp_term_kind kind; /* SP_TERM_NAME until it is checked */
	struct sp_net net; /* SP_TERM_NET; the first address of SP_TERM_RANGE */
	struct sp_net last; /* SP_TERM_RANGE */
	const char *text; /* a name */
	const struct sp_sentence *def; /* HOST, SET, and ZONE unless it is built in */
	struct sp_span at;
};

struct sp_terms {
	struct sp_term *v;
	sp_u32 n, cap;
};

#define SP_PROTO_ANY 255 /* reserved by IANA, so no packet has it */

struct sp_ports {
	sp_u8 proto; /* SP_PROTO_ANY: everything; 1: ICMP and ICMPv6 */
	sp_u8 pad_;
	sp_u16 low, high; /* 0-65535 for protocols without ports */
};

struct sp_portlist {
	struct sp_ports *v;
	sp_u32 n, cap;
};

struct sp_service {
	const char *text; /* canonical */
	int is_name;
	const struct sp_sentence *def; /* the file's own service of that name, or NULL: the system's */
	struct sp_portlist ports; /* what it means; for a name only after checking */
	struct sp_span at;
};

struct sp_services {
	struct sp_service *v;
	sp_u32 n, cap;
};

/* In the order of the canonical form. */
enum sp_kind {
	SP_KIND_ZONE,
	SP_KIND_HOST,
	SP_KIND_SET,
	SP_KIND_SERVICE,
	SP_KIND_REFUSE,
	SP_KIND_NAT,
	SP_KIND_EXPRESS,
	SP_KIND_BLOCK,
	SP_KIND_OPEN,
	SP_KIND_ALLOW,
	SP_KIND_FORWARD,
	SP_KIND_COUNT,
};

enum sp_refusal { SP_REFUSE_DEFAULT, SP_REFUSE_REJECT, SP_REFUSE_DROP };
enum sp_nat { SP_NAT_OFF, SP_NAT_OPEN, SP_NAT_POOL };

struct sp_sentence {
	enum sp_kind kind;
	const char *name; /* of the line: as given, or derived; unique */
	int is_named; /* given by `as` */
	int is_broken; /* an error was reported: it is only there so that its name is known */
	int is_whole; /* read to its end, broken or not, so that its names can be looked up */
	int is_used; /* some line names this host, set or service */
	int mark; /* scratch of the checks; after them without meaning */
	int is_flat; /* host, set: flat is filled in */
	struct sp_nets flat; /* all networks that it means, its members' too; only where these are few */
	struct sp_span at; /* its verb */
	const char *subject; /* the name that it defines; refuse: the zone */
	struct sp_span subject_at;
	struct sp_terms from; /* zone: interfaces; host, set: members; nat: the pool */
	struct sp_terms to;
	struct sp_services services;
	const char *path; /* set, block: a file of networks */
	struct sp_span path_at;
	struct sp_nets nets; /* what is in it */
	struct sp_term target; /* forward */
	sp_u16 target_port; /* forward; 0: as it came */
	enum sp_nat nat;
	int is_on; /* express */
	/* options */
	int log;
	enum sp_refusal refusal; /* block, refuse */
	sp_u32 idle_s; /* 0: not given, also below */
	sp_u32 rate, rate_per_s; /* new conversations of one source: rate in so many seconds */
	sp_u32 limit; /* conversations of one source at a time */
	sp_u32 options; /* which ones were given, bits of the parser */
};

struct sp_policy {
	struct sp_sentence **lines; /* in the order of the files */
	sp_u32 n_lines, cap_lines;
	struct sp_diag *diags; /* in the order of the files */
	sp_u32 n_diags, cap_diags;
	sp_u32 errors, warnings; /* all, also those that are not kept */
	sp_u32 n_files;
	struct sp_policy_priv *priv;
};

/* ---- what it needs from outside; every file comes through here -------------------------------- */
struct sp_policy_io {
	void *ctx;
	/* data: malloc()ed. -EFBIG beyond max; other negative errno as from open() */
	int (*read)(void *ctx, const char *path, size_t max, char **data, size_t *len);
	/* the files that match, sorted; paths and each of them malloc()ed */
	int (*list)(void *ctx, const char *pattern, char ***paths, size_t *n);
};
extern const struct sp_policy_io sp_policy_files; /* the file system */

struct sp_policy_options {
	const struct sp_policy_io *io; /* NULL: the file system */
	const char *services; /* NULL: /etc/services */
};

/*
 * Reads, parses and checks. 0 also for a file that is wrong in every line: look at out->errors. -ENOMEM otherwise; then
 * out is untouched. options may be NULL.
 */
int sp_policy_load(const char *path, const struct sp_policy_options *options, struct sp_policy **out) SP_MUST;
int sp_policy_load_text(const char *name, const char *text, size_t len, const struct sp_policy_options *options,
			struct sp_policy **out) SP_MUST;
void sp_policy_free(struct sp_policy *p);

/* Canonical text, malloc()ed, of a policy without errors. It parses to itself. */
int sp_policy_print(const struct sp_policy *p, char **text, size_t *len) SP_MUST;

/* Canonical text of one line without its options and name; lives as long as p. NULL: out of memory. */
const char *sp_policy_sentence(struct sp_policy *p, const struct sp_sentence *line);

/* "open", "allow", ... */
const char *sp_kind_name(enum sp_kind kind);

#endif
