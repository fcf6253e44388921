/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What sallyd needs of what root may, and nothing else:
 *   CAP_NET_ADMIN  programs on interfaces
 *   CAP_BPF        the maps
 *   CAP_SYS_ADMIN  opening a policy's map: it is one inside another, and the kernel hands such a map out by its number only
 *                  to this. (The name of the line in a logged event, and the addresses of a pool, stand there.)
 * So it can not read other people's files, look into their processes, or become somebody else.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon.h"

#define SP_KEPT (1ULL << CAP_NET_ADMIN | 1ULL << CAP_BPF | 1ULL << CAP_SYS_ADMIN)

int sp_drop_privileges(struct sp_err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	int cap, i;

	for (cap = 0; cap < 64; cap++)
		if (!(SP_KEPT >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL && errno != EPERM)
			return sp_err_set(err, -errno, "can not give up capability %d", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return sp_err_set(err, -errno, "can not give up ambient capabilities");
	for (i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (__u32)(SP_KEPT >> 32 * i);
	if (syscall(SYS_capset, &head, data) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return sp_err_set(err, -errno, "can not give up what is not needed of root's privileges");
	return 0;
}
