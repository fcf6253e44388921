/* SPDX-License-Identifier: BSD-2-Clause */
/* Configurations of the tests: from text to image. Apart from the rest: policy.h and packet.h use the same names. */
#include "text.h"

#include "../../policy/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sp_image_line *compile_text(const char *text)
{
	const struct sp_policy_options options = {};
	struct sp_policy *policy;
	struct sp_image image;
	char why[300] = "out of memory";
	int rc = sp_policy_load_text("orders", text, strlen(text), &options, &policy);

	if (!rc && policy->errors) {
		snprintf(why, sizeof(why), "%s", policy->diags[0].message);
		rc = -1;
	}
	if (!rc)
		rc = sp_policy_compile(policy, &image, why, sizeof(why));
	if (!rc)
		rc = sp_image_check(image.v, image.n, why, sizeof(why));
	if (rc) {
		printf("FAIL the configuration of a test: %s\n%s", why, text);
		exit(1);
	}
	sp_policy_free(policy);
	return image.v;
}
