/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting does not cut: the conversations that exist on this machine, and through it, go into the table before anything
 * is judged.
 *
 * The socket tables say who is connected with whom, not who began. A connection whose local port also listens was
 * begun by the other end; else we began it. The kernel's own tracking table, where there is one, says the rest: what
 * is forwarded, and what is translated. Neither says anything about sequence numbers, so the windows of these are not
 * enforced. Which zones the ends are in, the routing table says; what does not go through a guarded interface is left
 * out.
 *
 * A translated conversation has the key of its real ends, and an alias for each side that knows the other by another
 * address. As long as somebody else translates it (nftables), the engine leaves the packets to them; once they come
 * to the way out untranslated, it translates them itself, with the same addresses and ports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adopt.h"

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

struct adopting {
	struct sp_up *up;
	struct sp_engine *e;
	struct sp_routes routes;
};

static void count(struct adopting *a, sp_u32 flow)
{
	if (flow)
		a->up->adopted++;
	else
		a->up->adopt_failed++;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static void adopt_socket(struct adopting *a, unsigned char proto, const struct sock *s, int listening)
{
	sp_u8 zone = sp_routes_zone(&a->routes, s->family, s->remote, s->local, s->ifindex);
	struct sp_key key;
	int local;

	/* what stays within this machine meets no guarded interface */
	if (zone == SP_ZONE_NONE || zone == SP_ZONE_SELF)
		return;
	local = sp_key_make(&key, s->family, proto, s->local, s->remote, s->lport, s->rport);
	if (sp_engine_find(a->e, &key))
		return;
	count(a, sp_engine_adopt(a->e, &key, listening ? !local : local, listening ? zone : SP_ZONE_SELF,
				 listening ? SP_ZONE_SELF : zone, sp_now_ns()));
}

static int adopt_sockets(struct adopting *a, unsigned char proto, struct socks *socks)
{
	int rc = read_sockets(proto, socks);
	size_t i;

	/* a kernel without socket diagnosis still gets its firewall, and the user a warning */
	if (rc && rc != -ENOMEM) {
		snprintf(a->up->adopt_note, sizeof(a->up->adopt_note), "the kernel does not list its %s sockets (%s)",
			 proto == IPPROTO_TCP ? "TCP" : "UDP", strerror(-rc));
		rc = 0;
	}
	for (i = 0; i < socks->count && !rc; i++) {
		const struct sock *s = &socks->s[i];

		adopt_socket(a, proto, s, socks->listening[s->lport / 8] >> s->lport % 8 & 1);
	}
	free(socks->s);
	socks->s = NULL;
	return rc;
}

/* ---- the kernel's own tracking table --------------------------------------------------------- */

static int same_end(const struct sp_end *a, const struct sp_end *b)
{
	return a->port == b->port && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

/* Between what one side calls the two ends. Returns which end of the key the initiator is. */
static int make_key(struct sp_key *key, const struct sp_tracked *t, const struct sp_end *initiator,
		    const struct sp_end *responder)
{
	const int end = sp_key_make(key, t->family, t->proto, initiator->addr, responder->addr, initiator->port,
				    responder->port);

	if (key->query)
		key->query = t->icmp_type;
	return end;
}

/* A conversation that is nothing special; does it have a place in the table now? */
static sp_u32 adopt_plain(struct adopting *a, const struct sp_tracked *t, const struct sp_end *initiator,
			  const struct sp_end *responder, sp_u8 zone_from, sp_u8 zone_to)
{
	struct sp_key key;
	const int end = make_key(&key, t, initiator, responder);
	const sp_u32 known = sp_engine_find(a->e, &key);

	return known ? known : sp_engine_adopt(a->e, &key, end, zone_from, zone_to, sp_now_ns());
}

static void put_known(const struct sp_end *real, const struct sp_end *known, sp_u32 *addr, sp_be16 *port)
{
	if (same_end(real, known))
		return;
	memcpy(addr, known->addr, sizeof(*addr));
	port->raw = htons(known->port);
}

static sp_u32 adopt_translated(struct adopting *a, const struct sp_tracked *t, sp_u8 zone_from, sp_u8 zone_to)
{
	struct sp_adopt ad = { .zone_from = zone_from, .zone_to = zone_to, .answered = 1 };

	if (t->family != SP_IPV4)
		return 0;
	ad.initiator = (sp_u8)make_key(&ad.key, t, &t->initiator, &t->responder);
	put_known(&t->initiator, &t->initiator_known, &ad.initiator4, &ad.initiator_port);
	put_known(&t->responder, &t->responder_known, &ad.responder4, &ad.responder_port);
	return sp_engine_adopt_nat(a->e, &ad, sp_now_ns());
}

/*
 * What another has translated to addresses that are not this machine's at the outside, we could not translate, but need not
 * stop: each side's packets are remembered as that side sees them.
 */
static sp_u32 adopt_both_sides(struct adopting *a, const struct sp_tracked *t, sp_u8 zone_from, sp_u8 zone_to)
{
	sp_u32 first = 1, second = 1;

	if (zone_from != SP_ZONE_NONE && zone_from != SP_ZONE_SELF)
		first = adopt_plain(a, t, &t->initiator, &t->responder_known, zone_from,
				    zone_to == SP_ZONE_NONE ? SP_ZONE_SELF : zone_to);
	if (zone_to != SP_ZONE_NONE && zone_to != SP_ZONE_SELF)
		second = adopt_plain(a, t, &t->initiator_known, &t->responder,
				     zone_from == SP_ZONE_NONE ? SP_ZONE_SELF : zone_from, zone_to);
	return first && second;
}

static void adopt_tracked(void *arg, const struct sp_tracked *t)
{
	struct adopting *a = arg;
	const sp_u8 from = sp_routes_zone(&a->routes, t->family, t->initiator.addr, NULL, 0);
	const sp_u8 to = sp_routes_zone(&a->routes, t->family, t->responder.addr, NULL, 0);
	struct sp_key key;
	sp_u32 flow = 0;

	/* one end at least must be behind a guarded interface */
	if ((from == SP_ZONE_NONE || from == SP_ZONE_SELF) && (to == SP_ZONE_NONE || to == SP_ZONE_SELF))
		return;
	if (same_end(&t->initiator, &t->initiator_known) && same_end(&t->responder, &t->responder_known)) {
		make_key(&key, t, &t->initiator, &t->responder);
		if (sp_engine_find(a->e, &key))
			return; /* a socket of this machine */
	} else if (from != SP_ZONE_NONE && to != SP_ZONE_NONE) {
		flow = adopt_translated(a, t, from, to);
	}
	count(a, flow ? flow : adopt_both_sides(a, t, from, to));
}

/* Before the programs are attached. */
int sp_adopt(struct sp_up *up, const struct sp_tables *t, struct sp_err *err)
{
	struct adopting a = { .up = up, .e = calloc(1, sizeof(*a.e)) };
	struct socks *socks = calloc(1, sizeof(*socks));
	int rc = a.e && socks ? sp_routes_open(&a.routes, &up->links) : -ENOMEM;
	int tracked;

	if (!rc) {
		a.e->t = *t;
		rc = adopt_sockets(&a, IPPROTO_TCP, socks);
	}
	if (!rc)
		rc = adopt_sockets(&a, IPPROTO_UDP, socks);
	if (!rc) {
		tracked = sp_conntrack_each(adopt_tracked, &a);
		if (tracked)
			snprintf(up->adopt_note, sizeof(up->adopt_note), "the kernel does not list what it tracks (%s)",
				 strerror(-tracked));
	}
	sp_routes_close(&a.routes);
	free(socks);
	free(a.e);
	return rc ? sp_err_errno(err, rc, "can not take over the connections that exist") : 0;
}
