/* SPDX-License-Identifier: BSD-2-Clause */
/* What sallyd has to say. */
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "daemon.h"

static int in_foreground;

void sp_say_open(int foreground)
{
	in_foreground = foreground;
	if (!foreground)
		openlog("sallyd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void sp_say(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (in_foreground) {
		fputs("sallyd: ", stderr);
		vfprintf(stderr, fmt, ap);
		fputc('\n', stderr);
	} else {
		vsyslog(priority, fmt, ap);
	}
	va_end(ap);
}
