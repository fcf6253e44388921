/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a configuration for a command: load, say what is wrong with it, compile. */
#ifndef SP_CLI_CONFIG_H
#define SP_CLI_CONFIG_H

#include <stdio.h>

#include "../ctl/ctl.h"
#include "../policy/compile.h"

#define SP_CONFIG_FILE "/etc/sally/sally.conf"

/* One diagnostic: place, message, the line with a caret, what was expected. */
void sp_put_diag(FILE *f, const struct sp_diag *d);

/*
 * Compiles a file, with zones numbered as they are called now (sp_zone_names_of()). What is wrong goes to standard error, a
 * diagnostic each. Returns an enum sp_exit; 0: image is to be freed by the caller, and *policy too, if it is wanted (policy
 * may be NULL).
 */
int sp_config_compile(const char *file, struct sp_image *image, struct sp_policy **policy);

/* Adds the interfaces that the configuration names, to zones by their numbers in its image. An enum sp_exit. */
int sp_config_zoning(const struct sp_policy *p, const struct sp_image_line *image, struct sp_zoning *z);

/*
 * The same for a configuration that was in force, of which there is only the image (NULL: it names none). *policy keeps the
 * names alive, and is to be freed, also after a failure if it is not NULL.
 */
int sp_config_zoning_before(const struct sp_image_line *image, struct sp_zoning *z, struct sp_policy **policy);

/* What `sally apply` does with a file, but for flushing standard output. Returns an enum sp_exit. */
int sp_apply_file(const char *file, sp_u64 trial_s, int dry_run);
/* How long a change is on trial when nobody said: 60 s in an SSH session, which it could cut; else 0, not at all. */
sp_u64 sp_trial_default_s(void);

/* 1: this session came over SSH, also when sudo stands in between. */
int sp_is_remote(void);

#endif
