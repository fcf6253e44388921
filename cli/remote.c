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

/* Does the environment that process pid was started with name an SSH connection? */
static int began_over_ssh(int pid)
{
	char path[40], text[65536];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	for (const char *word = text; word < text + n; word += strlen(word) + 1)
		if (!strncmp(word, MARK, sizeof(MARK) - 1))
			return 1;
	return 0;
}

/* 0 when there is none, or none to be seen */
static int parent_of(int pid)
{
	char path[40], text[512];
	int parent = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
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
