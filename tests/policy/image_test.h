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

#include "../../core/types.h"
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

/* image_model.c */
extern sp_u64 seed;
sp_u32 pick(sp_u32 n);	 /* 0 .. n - 1 */
char *random_text(void); /* of a configuration; malloc()ed */
/* Reads, compiles and checks it; bad: contents of the file "bad.txt". Anything that goes wrong ends the program. */
void model_init(struct model *m, const char *text, const char *bad);
void model_fini(struct model *m);
/* The same without ending the program: 0, or what sp_policy_compile() returned, with its words in why. */
int model_try(struct model *m, const char *text, const char *bad, char *why, size_t size);
/* A conversation around the edges of what m names; zones from..to are random. */
void random_talk(const struct model *m, struct talk *t);
enum says model_says(const struct model *m, const struct talk *t);
/* Is the line of that name one that says so of this conversation? */
int model_line_says(const struct model *m, const struct talk *t, const char *name, enum says what);
extern const char *bad_networks; /* what random_text() wants in "bad.txt" */

/* image.c: counts and prints; format: what differs */
void check(const char *name, int good, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* image_limits.c, image_bad.c */
void test_limits(void);
void test_bad_images(void);

#endif
