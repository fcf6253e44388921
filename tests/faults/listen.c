/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's raw listener: notes when each knock (knock.c) arrived at this computer's IP layer, so behind the firewall.
 * usage: listen FILE PORT
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "knock.h"

#define POLL_MS 10

static unsigned long long in_ns(const struct timespec *t)
{
	return (unsigned long long)t->tv_sec * 1000000000ull + (unsigned long long)t->tv_nsec;
}

static int open_raw(int family)
{
	int one = 1, room = 4 << 20, fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one))) {
		perror("listen: raw socket");
		exit(1);
	}
	return fd;
}

static struct heard *open_notes(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, sizeof(struct heard)))
		at = mmap(NULL, sizeof(struct heard), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	return at;
}

/* A raw socket hands over IPv4 packets with their header, IPv6 packets without. */
static int is_knock(const unsigned char *p, ssize_t len, int family, int port)
{
	const ssize_t ip = family == AF_INET ? (p[0] & 15) * 4 : 0;

	return len >= ip + 8 + (ssize_t)sizeof(KNOCK) && p[ip + 2] << 8 == (port & 0xff00) && p[ip + 3] == (port & 0xff) &&
	       !memcmp(p + ip + 8, KNOCK, sizeof(KNOCK));
}

static void drain(int fd, int family, int port, struct heard *h)
{
	char control[128];
	unsigned char data[256];
	struct iovec iov = { data, sizeof(data) };
	struct timespec when = { 0 };
	struct cmsghdr *c;
	ssize_t n;

	for (;;) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };

		n = recvmsg(fd, &m, 0);
		if (n < 0)
			return;
		for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
			if (c->cmsg_type == SCM_TIMESTAMPNS)
				memcpy(&when, CMSG_DATA(c), sizeof(when));
		if (!is_knock(data, n, family, port))
			continue;
		h->at_ns[h->count % HEARD_ROOM] = in_ns(&when);
		__atomic_store_n(&h->count, h->count + 1, __ATOMIC_RELEASE);
	}
}

int main(int argc, char **argv)
{
	static const int family[2] = { AF_INET, AF_INET6 };
	struct pollfd p[2];
	struct timespec now;
	struct heard *h;
	int i, port;

	if (argc != 3) {
		fprintf(stderr, "usage: listen FILE PORT\n");
		return 2;
	}
	h = open_notes(argv[1]);
	port = atoi(argv[2]);
	for (i = 0; i < 2; i++)
		p[i] = (struct pollfd){ .fd = open_raw(family[i]), .events = POLLIN };
	for (;;) {
		clock_gettime(CLOCK_REALTIME, &now);
		for (i = 0; i < 2; i++)
			drain(p[i].fd, family[i], port, h);
		__atomic_store_n(&h->empty_ns, in_ns(&now), __ATOMIC_RELEASE);
		poll(p, 2, POLL_MS);
	}
}
