/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of compiled policies share. A model is a configuration in both forms: the checked tree, which
 * model_says() walks line by line and address by address, and the image, which the engine asks. They must never differ.
 *
 *     random text --policy.c--> tree --compile.c--> image --sp_engine_packet()--> reason, line
 *                                 \---------------- model_says() ---------------> verdict, lines that match
 */
#ifndef SP_TESTS_IMAGE_TEST_H
#define SP_TESTS_IMAGE_TEST_H

#include "../../policy/image.h"

struct model {
	struct sp_policy *policy;
	struct sp_image image;
	char *text;
};

/* A conversation as its first packet shows it. Addresses in network order; IPv4 in the first four bytes. */
struct talk {
	sp_u8 family, proto;
	sp_u8 from, to; /* zones by number */
	sp_u16 sport, dport;
	sp_u8 src[16], dst[16];
};

enum says { SAYS_NOTHING, SAYS_ALLOW, SAYS_BLOCK };

/* image_random.c */
extern sp_u64 pick_seed;
sp_u32 pick(sp_u32 n);	 /* 0 .. n - 1 */
char *random_text(void); /* of a configuration; malloc()ed */
/* A conversation around the edges of what m names; zones from..to are random. */
void random_talk(const struct model *m, struct talk *t);
extern const char *bad_networks; /* what random_text() wants in "bad.txt" */

/* image_large.c */
#define LINES 10000
#define NETWORKS 1000000u
/* A configuration of n lines, each for networks and ports of its own; and whatever `more` says. malloc()ed */
char *many_lines(sp_u32 n, const char *more);
/* A file of n networks. malloc()ed */
char *many_networks(sp_u32 n);
/* A conversation from somewhere, half of them from what many_lines() names, to this machine; zones are not set. */
void large_talk(struct talk *t);

/* image_model.c */
int text_is_good(const char *text); /* without errors */
/* Reads, compiles and checks it; bad: contents of the file "bad.txt". Anything that goes wrong ends the program. */
void model_init(struct model *m, const char *text, const char *bad);
void model_fini(struct model *m);
/* The same without ending the program: 0, or what sp_policy_compile() returned, with its words in why. */
int model_try(struct model *m, const char *text, const char *bad, char *why, size_t size);
/* What the configuration says of t, and (which may be NULL) the line that decides it; zone 15: see SP_ZONE_FORWARD. */
struct sp_sentence;
enum says model_says(const struct model *m, const struct talk *t, const struct sp_sentence **which);
const char *model_name(const struct sp_sentence *line); /* "" for NULL */

/* image.c: counts and prints; format: what differs */
void check(const char *name, int good, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* image_direct.c: the engine's own question, value of a rule or 0 */
sp_u32 image_ask(const struct sp_image_line *image, const struct talk *t);
/* image_ask.c: the image is asked, without packets, also what only forwards answer; and what else is in it */
void test_asked(void);
/* image_more.c */
void test_more(void);
/* image_limits.c, image_bad.c */
void test_limits(void);
void test_bad_images(void);

#endif
