/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting does not cut: the connections that exist on this machine go into the table before anything
 * is judged.
 *
 * The socket tables say who is connected with whom, not who began. A connection whose local port also
 * listens was begun by the other end; else we began it. They say nothing about sequence numbers, so
 * the windows of these are not enforced. Which zone the other end is in, the routing table says; what
 * does not go through a guarded interface is left out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/*
 * TIME-WAIT (6) and CLOSE (7) have nothing more to say; 12 is a TCP connection whose third packet is
 * not there yet
 */
#define SP_NEW_SYN_RECV 12
#define SP_TCP_STATES (1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECV | 1u << TCP_FIN_WAIT1 |      \
		       1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING |        \
		       1u << SP_NEW_SYN_RECV)
#define SP_UDP_CONNECTED (1u << TCP_ESTABLISHED)
#define SP_UDP_UNCONNECTED (1u << TCP_CLOSE)

struct sock {
	int family; /* 4 or 6 */
	sp_u8 local[16], remote[16];
	sp_u16 lport, rport;
	sp_u32 ifindex; /* bound to, or the scope of a link-local address; 0: none */
};

struct socks {
	struct sock *s;
	size_t count, room;
	sp_u8 listening[65536 / 8];
};

static int on_listener(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct socks *socks = arg;
	unsigned port = ntohs(m->id.idiag_sport);

	socks->listening[port / 8] |= (sp_u8)(1u << port % 8);
	return MNL_CB_OK;
}

/* An IPv4 conversation of an IPv6 socket has mapped addresses: on the wire it is IPv4. */
static void set_addresses(struct sock *s, const struct inet_diag_msg *m)
{
	static const sp_u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	const sp_u8 *local = (const sp_u8 *)m->id.idiag_src, *remote = (const sp_u8 *)m->id.idiag_dst;
	int skip = 0;

	s->family = m->idiag_family == AF_INET6 ? SP_IPV6 : SP_IPV4;
	if (s->family == SP_IPV6 && !memcmp(remote, mapped, 12)) {
		s->family = SP_IPV4;
		skip = 12;
	}
	memcpy(s->local, local + skip, s->family == SP_IPV4 ? 4 : 16);
	memcpy(s->remote, remote + skip, s->family == SP_IPV4 ? 4 : 16);
}

static int on_connection(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct socks *socks = arg;
	struct sock *s;

	if (!m->id.idiag_dport)
		return MNL_CB_OK;
	if (socks->count == socks->room) {
		size_t room = socks->room ? socks->room * 2 : 256;

		s = realloc(socks->s, room * sizeof(*s));
		if (!s) {
			errno = ENOMEM;
			return MNL_CB_ERROR;
		}
		socks->s = s;
		socks->room = room;
	}
	s = &socks->s[socks->count++];
	memset(s, 0, sizeof(*s));
	set_addresses(s, m);
	s->lport = ntohs(m->id.idiag_sport);
	s->rport = ntohs(m->id.idiag_dport);
	s->ifindex = m->id.idiag_if;
	return MNL_CB_OK;
}

static int dump_sockets(unsigned char family, unsigned char proto, unsigned states, mnl_cb_t cb, struct socks *socks)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req->sdiag_family = family;
	req->sdiag_protocol = proto;
	req->idiag_states = states;
	return sp_netlink_dump(NETLINK_SOCK_DIAG, nlh, cb, socks);
}

static int read_sockets(unsigned char proto, struct socks *socks)
{
	static const unsigned char family[] = { AF_INET, AF_INET6 };
	unsigned listening = proto == IPPROTO_TCP ? 1u << TCP_LISTEN : SP_UDP_UNCONNECTED;
	unsigned connected = proto == IPPROTO_TCP ? SP_TCP_STATES : SP_UDP_CONNECTED;
	int i, rc = 0, ignore;

	memset(socks, 0, sizeof(*socks));
	for (i = 0; i < 2; i++) {
		ignore = rc;
		rc = dump_sockets(family[i], proto, listening, on_listener, socks);
		if (!rc)
			rc = dump_sockets(family[i], proto, connected, on_connection, socks);
		/* a machine without IPv6 has no such sockets */
		if (family[i] == AF_INET6 && (rc == -EAFNOSUPPORT || rc == -ENOENT))
			rc = 0;
		rc = ignore ? ignore : rc;
	}
	return rc;
}

static int on_reply(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || m->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
		if (mnl_attr_get_type(a) == RTA_OIF)
			*(sp_u32 *)arg = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

/* The interface through which the kernel would reach the other end; 0: none. */
static sp_u32 route_to(const struct sock *s)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	sp_u8 len = s->family == SP_IPV4 ? 4 : 16;
	sp_u32 ifindex = 0;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	m->rtm_family = s->family == SP_IPV4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = m->rtm_src_len = (sp_u8)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, s->remote);
	mnl_attr_put(nlh, RTA_SRC, len, s->local);
	if (s->ifindex)
		mnl_attr_put_u32(nlh, RTA_OIF, s->ifindex);
	return sp_netlink_dump(NETLINK_ROUTE, nlh, on_reply, &ifindex) ? 0 : ifindex;
}

static sp_u8 zone_of(struct sp_links *links, const struct sock *s)
{
	static struct sock last;
	static sp_u32 last_ifindex;
	const struct sp_link *l;

	/* many connections go to the same place */
	if (last.family != s->family || last.ifindex != s->ifindex || memcmp(last.remote, s->remote, 16) ||
	    memcmp(last.local, s->local, 16)) {
		last = *s;
		last_ifindex = route_to(s);
	}
	l = sp_links_by_index(links, (int)last_ifindex);
	return l ? l->zone : SP_ZONE_NONE;
}

static void adopt_one(struct sp_up *up, struct sp_engine *e, unsigned char proto, const struct sock *s, int listening)
{
	sp_u8 zone = zone_of(&up->links, s);
	struct sp_key key;
	int local;

	if (zone == SP_ZONE_NONE)
		return;
	local = sp_key_make(&key, s->family, proto, s->local, s->remote, s->lport, s->rport);
	if (sp_engine_find(e, &key))
		return;
	if (sp_engine_adopt(e, &key, listening ? !local : local, listening ? zone : SP_ZONE_SELF,
			    listening ? SP_ZONE_SELF : zone, sp_now_ns()))
		up->adopted++;
	else
		up->adopt_failed++;
}

/* Before the programs are attached. */
int sp_adopt(struct sp_up *up, const struct sp_tables *t, struct sp_err *err)
{
	static const unsigned char protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct sp_engine *e = calloc(1, sizeof(*e));
	struct socks *socks = calloc(1, sizeof(*socks));
	int k, rc = e && socks ? 0 : -ENOMEM;
	size_t i;

	for (k = 0; k < 2 && !rc; k++) {
		e->t = *t;
		rc = read_sockets(protos[k], socks);
		/* a kernel without socket diagnosis still gets its firewall, and the user a warning */
		if (rc && rc != -ENOMEM) {
			snprintf(up->adopt_note, sizeof(up->adopt_note), "the kernel does not list its %s sockets (%s)",
				 protos[k] == IPPROTO_TCP ? "TCP" : "UDP", strerror(-rc));
			rc = 0;
		}
		for (i = 0; i < socks->count && !rc; i++) {
			const struct sock *s = &socks->s[i];

			adopt_one(up, e, protos[k], s, socks->listening[s->lport / 8] >> s->lport % 8 & 1);
		}
		free(socks->s);
		socks->s = NULL;
	}
	free(socks);
	free(e);
	return rc ? sp_err_errno(err, rc, "can not take over the connections that exist") : 0;
}
