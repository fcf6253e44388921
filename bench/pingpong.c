// SPDX-License-Identifier: BSD-2-Clause
/* One small question, one small answer, and again: how long each took. `serve` answers, `ask` measures. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES 16
#define MOST 4000000 /* answers that are remembered */

static unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
}

static int fail(const char *what)
{
	fprintf(stderr, "pingpong: %s: %s\n", what, strerror(errno));
	return 1;
}

/* A lost datagram must not hang the measurement: it ends with an error. */
static void at_once(int fd, int tcp)
{
	const struct timeval patience = { .tv_sec = 10 };
	const int on = 1;

	if (tcp && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		perror("pingpong: TCP_NODELAY");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		perror("pingpong: SO_RCVTIMEO");
}

static int serve(int fd, int tcp)
{
	struct sockaddr_in from;
	socklen_t len;
	char text[BYTES];
	ssize_t n;

	if (tcp) {
		if (listen(fd, 1))
			return fail("listen");
		fd = accept(fd, NULL, NULL);
		if (fd < 0)
			return fail("accept");
	}
	at_once(fd, tcp);
	for (;;) {
		len = sizeof(from);
		n = recvfrom(fd, text, sizeof(text), tcp ? MSG_WAITALL : 0, (struct sockaddr *)&from, &len);
		if (n <= 1) /* the other end has closed, or says that it is done */
			return n < 0 ? fail("receive") : 0;
		if (sendto(fd, text, (size_t)n, 0, tcp ? NULL : (struct sockaddr *)&from, tcp ? 0 : len) != n)
			return fail("answer");
	}
}

static int by_size(const void *a, const void *b)
{
	const unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return x < y ? -1 : x > y;
}

static int ask(int fd, int tcp, unsigned long long for_ns)
{
	unsigned int *took = malloc(MOST * sizeof(*took));
	char text[BYTES] = "how do you do?";
	const unsigned long long start = now_ns();
	unsigned long long before = start, now = start;
	size_t n = 0;

	if (!took)
		return fail("memory");
	at_once(fd, tcp);
	while (now - start < for_ns && n < MOST) {
		if (send(fd, text, BYTES, 0) != BYTES)
			return fail("ask");
		if (recv(fd, text, BYTES, tcp ? MSG_WAITALL : 0) != BYTES)
			return fail("no answer");
		now = now_ns();
		took[n++] = (unsigned int)(now - before);
		before = now;
	}
	if (!tcp && send(fd, text, 1, 0) != 1) /* done */
		return fail("ask");
	qsort(took, n, sizeof(*took), by_size);
	printf("{\"answers\": %zu, \"wall_ns\": %llu, \"p50_ns\": %u, \"p90_ns\": %u, \"p99_ns\": %u}\n", n, now - start,
	       took[n / 2], took[n * 9 / 10], took[n * 99 / 100]);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const int on = 1;
	int fd, tcp, serves;

	if (argc < 5 || inet_pton(AF_INET, argv[3], &to.sin_addr) != 1 || (strcmp(argv[1], "serve") && argc < 6)) {
		fprintf(stderr, "usage: pingpong serve tcp|udp ADDRESS PORT\n"
				"       pingpong ask tcp|udp ADDRESS PORT MILLISECONDS\n");
		return 2;
	}
	serves = !strcmp(argv[1], "serve");
	tcp = !strcmp(argv[2], "tcp");
	to.sin_port = htons((unsigned short)atoi(argv[4]));
	fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail("socket");
	if (!serves)
		return connect(fd, (struct sockaddr *)&to, sizeof(to)) ? fail("connect") :
			ask(fd, tcp, strtoull(argv[5], NULL, 10) * 1000000ull);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || bind(fd, (struct sockaddr *)&to, sizeof(to)))
		return fail("bind");
	return serve(fd, tcp);
}
