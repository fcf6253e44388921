/* SPDX-License-Identifier: BSD-2-Clause */
/* Is this command typed in a session over the network, which a wrong configuration could cut? */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define ANCESTORS_MAX 32
#define MARK "SSH_CONNECTION="

/* A file of process pid, with a 0 at its end; its length, 0 when it can not be read. */
static size_t read_proc(int pid, const char *name, char *text, size_t size)
{
	char path[40];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, size - 1, f);
		fclose(f);
	}
	text[n] = 0;
	return n;
}

/* Does the environment that process pid was started with name an SSH connection? */
static int began_over_ssh(int pid)
{
	char text[65536];
	const size_t n = read_proc(pid, "environ", text, sizeof(text));

	for (const char *word = text; word < text + n; word += strlen(word) + 1)
		if (!strncmp(word, MARK, sizeof(MARK) - 1))
			return 1;
	return 0;
}

/* 0 when there is none, or none to be seen */
static int parent_of(int pid)
{
	char text[512];
	int parent = 0;

	if (!read_proc(pid, "stat", text, sizeof(text)))
		return 0;
	/* the name, in brackets, may hold anything, also brackets */
	return strrchr(text, ')') && sscanf(strrchr(text, ')') + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

int sp_is_remote(void)
{
	int pid = getpid();

	if (getenv("SSH_CONNECTION"))
		return 1;
	/* sudo takes the variable away; those who called it still have it */
	for (int i = 0; getenv("SUDO_UID") && i < ANCESTORS_MAX && pid > 1; i++) {
		pid = parent_of(pid);
		if (pid > 0 && began_over_ssh(pid))
			return 1;
	}
	return 0;
}
