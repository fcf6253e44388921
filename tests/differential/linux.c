/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nftables and conntrack as a gateway. A packet that is written to one TUN device has been forwarded, or not, when write()
 * returns: the kernel does all of it there and then. So the verdict is whether it can be read from the other device.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "linux.h"

struct linux_box {
	int inside, outside; /* TUN devices */
	struct mnl_socket *nl;
	sp_u16 port[SEQ_TALKS_MAX];
};

static const char setup[] =
	"set -e\n"
	"w() { echo \"$1\" > /proc/sys/net/$2; }\n"
	"w 1 ipv4/ip_forward; w 1 ipv6/conf/all/forwarding; w 0 ipv4/conf/all/rp_filter; w 0 ipv4/conf/default/rp_filter\n"
	"w 1 ipv4/ipfrag_time; w 1 ipv6/ip6frag_time\n"
	"for i in in0 out0; do\n"
	"  w 0 ipv4/conf/$i/rp_filter; w 0 ipv6/conf/$i/accept_ra; w 0 ipv6/conf/$i/accept_dad\n"
	"  w 1 ipv6/conf/$i/addr_gen_mode\n"
	"  ip link set $i mtu 9000 up\n"
	"done\n"
	"ip addr add 10.0.0.1/24 dev in0; ip -6 addr add 2a00:1::1/64 dev in0 nodad\n"
	"ip addr add 192.0.2.10/24 dev out0; ip -6 addr add 2a00:5::10/64 dev out0 nodad\n"
	"ip route add default dev out0; ip -6 route add default dev out0\n"
	"nft -f - <<.\n"
	"table inet f {\n"
	"  chain forward { type filter hook forward priority 0; policy drop;\n"
	"    ct state established,related accept\n"
	"    iifname in0 ct state new accept\n"
	"  }\n"
	"  chain input { type filter hook input priority 0; policy drop; }\n"
	"  chain output { type filter hook output priority 0; policy drop; }\n" /* it has nothing to say itself */
	"}\n"
	".\n"
	"w 1 netfilter/nf_conntrack_frag6_timeout\n";

static const char masquerade[] =
	"nft 'table ip n { chain p { type nat hook postrouting priority 100; oifname out0 masquerade; }; }'";

static int run(const char *script)
{
	char path[] = "/tmp/differential-XXXXXX", command[64];
	int fd = mkstemp(path), rc;

	if (fd < 0)
		return -1;
	rc = write(fd, script, strlen(script)) == (ssize_t)strlen(script) ? 0 : -1;
	close(fd);
	snprintf(command, sizeof(command), "/bin/sh %s", path);
	if (!rc)
		rc = system(command);
	unlink(path);
	return rc;
}

static int tun(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r)) {
		close(fd);
		return -errno;
	}
	return fd;
}

struct linux_box *linux_new(int translates, char *err, size_t err_len)
{
	struct linux_box *box = calloc(1, sizeof(*box));
	const char *what = "a network namespace";

	if (!box)
		abort();
	box->inside = box->outside = -1;
	if (unshare(CLONE_NEWNET))
		goto failed;
	what = "a TUN device";
	box->inside = tun("in0");
	box->outside = tun("out0");
	if (box->inside < 0 || box->outside < 0)
		goto failed;
	what = "addresses, routes and rules (ip, nft)";
	if (run(setup) || (translates && run(masquerade)))
		goto failed;
	what = "a netlink socket";
	box->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (box->nl && !mnl_socket_bind(box->nl, 0, MNL_SOCKET_AUTOPID))
		return box;
failed:
	snprintf(err, err_len, "%s can not be had: %s", what, strerror(errno));
	linux_free(box);
	return NULL;
}

void linux_free(struct linux_box *box)
{
	if (!box)
		return;
	if (box->inside >= 0)
		close(box->inside);
	if (box->outside >= 0)
		close(box->outside);
	if (box->nl)
		mnl_socket_close(box->nl);
	free(box);
}

/* Forgets every conversation. */
static int flush(struct linux_box *box)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;
	ssize_t n;

	h->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->version = NFNETLINK_V0;
	if (mnl_socket_sendto(box->nl, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(box->nl, buf, sizeof(buf));
	if (n < 0 || mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(box->nl), NULL, NULL) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 0;
}

static void drain(int fd)
{
	static sp_u8 buf[PKT_MAX];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* One hop further; and only what the length in the header says. Returns the length, 0: no such packet can have come out. */
static size_t one_hop(sp_u8 *ip, size_t len)
{
	size_t said;
	sp_u32 sum;

	if (len < 20)
		return 0;
	if (ip[0] >> 4 == 6) {
		said = 40 + ((size_t)ip[4] << 8 | ip[5]);
		ip[7]--;
		return said <= len ? said : 0;
	}
	said = (size_t)ip[2] << 8 | ip[3];
	ip[8]--;
	sum = (sp_u32)(ip[10] << 8 | ip[11]) + 0x100; /* RFC 1141 */
	sum += sum >> 16;
	ip[10] = (sp_u8)(sum >> 8);
	ip[11] = (sp_u8)sum;
	return said <= len ? said : 0;
}

/* All pieces so far of the datagram that a step completes have come out with it. */
static void whole(const struct batch *b, const struct seq_step *last, struct linux_seen *seen)
{
	for (const struct seq_step *s = b->step; s <= last; s++)
		if (s->pkt.is_frag && s->talk == last->talk && s->from == last->from && s->pkt.ip_id == last->pkt.ip_id)
			seen[s - b->step].verdict = LINUX_PASSED;
}

static void came_out(struct linux_box *box, const struct batch *b, const struct seq_step *s, const sp_u8 *got, size_t len,
		     struct linux_seen *seen)
{
	static sp_u8 must[PKT_MAX];
	static struct pkt p;
	struct other_end end;
	sp_u16 port = 0;
	size_t n;

	if (b->translates)
		port = play_port_of(s, got, len);
	if (port)
		box->port[s->talk] = port;
	seen[s - b->step].verdict = LINUX_PASSED;
	if (s->pkt.is_frag) {
		whole(b, s, seen);
		return; /* joined and cut anew */
	}
	p = s->pkt;
	if (b->translates && p.family == 4) {
		play_read_end(s, got, len, &end);
		play_put_end(s, &end, &p);
	}
	n = one_hop(must, pkt_build(&p, 1, must, sizeof(must)));
	seen[s - b->step].other_bytes = n != len || memcmp(must, got, n) != 0;
}

static int play_one(struct linux_box *box, const struct batch *b, const struct seq_step *s, struct linux_seen *seen)
{
	static sp_u8 bytes[PKT_MAX];
	static struct pkt p;
	const int from = s->from == SP_ZONE_INSIDE ? box->inside : box->outside;
	const int to = s->from == SP_ZONE_INSIDE ? box->outside : box->inside;
	size_t len;
	ssize_t n;

	play_resolve(b, s, box->port[s->talk], &p);
	len = pkt_build(&p, 1, bytes, sizeof(bytes));
	if (s->pkt.is_frag)
		seen[s - b->step].verdict = LINUX_HELD;
	if (write(from, bytes, len) != (ssize_t)len && errno != EINVAL)
		return -errno;
	while ((n = read(to, bytes, sizeof(bytes))) > 0)
		came_out(box, b, s, bytes, (size_t)n, seen);
	n = errno == EAGAIN ? 0 : -errno;
	drain(from); /* somebody outside was translated, too, and got his answer */
	return (int)n;
}

int linux_play(struct linux_box *box, const struct batch *b, struct linux_seen *seen)
{
	int rc = flush(box);

	memset(box->port, 0, sizeof(box->port));
	memset(seen, 0, sizeof(*seen) * (size_t)b->n);
	drain(box->inside);
	drain(box->outside);
	for (int i = 0; !rc && i < b->n; i++)
		rc = play_one(box, b, &b->step[i], seen);
	return rc;
}
