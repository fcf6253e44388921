/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy in words becomes the image that an engine asks. Alone: policy/ has other names for what is in a packet. */
#include <stdio.h>
#include <string.h>

#include "../../policy/compile.h"

int stress_image(const char *policy, struct sp_image *image);

int stress_image(const char *policy, struct sp_image *image)
{
	char why[300] = "no memory";
	struct sp_policy *p = NULL;
	int rc = sp_policy_load_text("policy", policy, strlen(policy), NULL, &p);

	if (!rc && p->errors) {
		snprintf(why, sizeof(why), "%s", p->n_diags ? p->diags[0].message : "it is wrong");
		rc = -1;
	}
	if (!rc)
		rc = sp_policy_compile(p, image, why, sizeof(why));
	if (rc)
		printf("  the policy: %s\n", why);
	if (p)
		sp_policy_free(p);
	return rc;
}
