/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sender that never stops: one UDP datagram to each address in turn, to a port that no policy opens.
 * usage: knock PORT INTERVAL-MICROSECONDS ADDRESS...
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "knock.h"

#define MAX_TARGETS 8

static int open_to(const char *address, const char *port)
{
	struct addrinfo want = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *to;
	int fd;

	if (getaddrinfo(address, port, &want, &to))
		return -1;
	fd = socket(to->ai_family, SOCK_DGRAM, 0);
	if (fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen)) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(to);
	return fd;
}

int main(int argc, char **argv)
{
	struct timespec pause = { 0 };
	int fd[MAX_TARGETS], n, i;

	if (argc < 4 || argc - 3 > MAX_TARGETS) {
		fprintf(stderr, "usage: knock PORT INTERVAL-MICROSECONDS ADDRESS...\n");
		return 2;
	}
	n = argc - 3;
	pause.tv_nsec = atol(argv[2]) * 1000;
	for (i = 0; i < n; i++) {
		fd[i] = open_to(argv[3 + i], argv[1]);
		if (fd[i] < 0) {
			perror(argv[3 + i]);
			return 1;
		}
	}
	for (i = 0;; i = (i + 1) % n) {
		/* a refusal by ICMP, or an interface that is away, is no reason to stop */
		(void)!send(fd[i], KNOCK, sizeof(KNOCK), MSG_DONTWAIT);
		nanosleep(&pause, NULL);
	}
}
