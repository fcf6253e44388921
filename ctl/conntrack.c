/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's own tracking table (nf_conntrack): who talks with whom, and who knows whom by another address.
 *
 * An entry has two tuples: what the initiator sends, and what the responder answers. Where nothing is translated, the one
 * is the reverse of the other. What differs says it all:
 *
 *     original:  initiator             ->  responder, as the initiator knows it
 *     reply:     responder             ->  initiator, as the responder knows it
 */
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "adopt.h"

/* There in every network namespace whose kernel tracks connections; asking a kernel that does not would load its module. */
#define SP_TRACKS_FILE "/proc/sys/net/netfilter/nf_conntrack_count"

struct each {
	sp_tracked_fn *fn;
	void *arg;
};

/* The attributes of one level, by type. */
struct attrs {
	const struct nlattr *a[CTA_MAX + 1];
};

static int on_attr(const struct nlattr *a, void *arg)
{
	struct attrs *attrs = arg;

	if (mnl_attr_type_valid(a, CTA_MAX) >= 0)
		attrs->a[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

/* 0 if the attribute is not there or too short. */
static sp_u32 number(const struct nlattr *a, size_t size)
{
	sp_u16 half;
	sp_u32 word;

	if (!a || mnl_attr_get_payload_len(a) < size)
		return 0;
	switch (size) {
	case 1:
		return mnl_attr_get_u8(a);
	case 2:
		memcpy(&half, mnl_attr_get_payload(a), 2);
		return ntohs(half);
	default:
		memcpy(&word, mnl_attr_get_payload(a), 4);
		return ntohl(word);
	}
}

static int copy_address(struct sp_end *end, const struct nlattr *v4, const struct nlattr *v6, int family)
{
	const struct nlattr *a = family == SP_IPV4 ? v4 : v6;
	const size_t n = family == SP_IPV4 ? 4 : 16;

	if (!a || mnl_attr_get_payload_len(a) < n)
		return 0;
	memcpy(end->addr, mnl_attr_get_payload(a), n);
	return 1;
}

static int read_ports(struct sp_tracked *t, const struct nlattr *nest, struct sp_end *src, struct sp_end *dst)
{
	struct attrs at = { { 0 } };

	mnl_attr_parse_nested(nest, on_attr, &at);
	t->proto = (sp_u8)number(at.a[CTA_PROTO_NUM], 1);
	src->port = (sp_u16)number(at.a[CTA_PROTO_SRC_PORT], 2);
	dst->port = (sp_u16)number(at.a[CTA_PROTO_DST_PORT], 2);
	if (at.a[CTA_PROTO_ICMP_ID] || at.a[CTA_PROTO_ICMPV6_ID]) {
		src->port = (sp_u16)number(at.a[at.a[CTA_PROTO_ICMP_ID] ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID], 2);
		dst->port = src->port;
		/* the second tuple has the type of the answer */
		if (!t->icmp_type)
			t->icmp_type = (sp_u8)number(at.a[at.a[CTA_PROTO_ICMP_TYPE] ? CTA_PROTO_ICMP_TYPE :
							  CTA_PROTO_ICMPV6_TYPE], 1);
	}
	return t->proto != 0;
}

static int read_tuple(struct sp_tracked *t, const struct nlattr *nest, struct sp_end *src, struct sp_end *dst)
{
	struct attrs at = { { 0 } }, ip = { { 0 } };

	if (!nest)
		return 0;
	mnl_attr_parse_nested(nest, on_attr, &at);
	if (!at.a[CTA_TUPLE_IP] || !at.a[CTA_TUPLE_PROTO])
		return 0;
	mnl_attr_parse_nested(at.a[CTA_TUPLE_IP], on_attr, &ip);
	return copy_address(src, ip.a[CTA_IP_V4_SRC], ip.a[CTA_IP_V6_SRC], t->family) &&
	       copy_address(dst, ip.a[CTA_IP_V4_DST], ip.a[CTA_IP_V6_DST], t->family) &&
	       read_ports(t, at.a[CTA_TUPLE_PROTO], src, dst);
}

/* A connection that is over, or that has not come about, has nothing that could be cut. */
static int is_alive(const struct nlattr *info)
{
	struct attrs at = { { 0 } }, tcp = { { 0 } };

	if (!info)
		return 1;
	mnl_attr_parse_nested(info, on_attr, &at);
	if (!at.a[CTA_PROTOINFO_TCP])
		return 1;
	mnl_attr_parse_nested(at.a[CTA_PROTOINFO_TCP], on_attr, &tcp);
	switch (number(tcp.a[CTA_PROTOINFO_TCP_STATE], 1)) {
	case TCP_CONNTRACK_SYN_RECV:
	case TCP_CONNTRACK_ESTABLISHED:
	case TCP_CONNTRACK_FIN_WAIT:
	case TCP_CONNTRACK_CLOSE_WAIT:
	case TCP_CONNTRACK_LAST_ACK:
		return 1;
	default:
		return 0;
	}
}

static int on_entry(const struct nlmsghdr *nlh, void *arg)
{
	const struct nfgenmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct each *each = arg;
	struct sp_tracked t = { .family = m->nfgen_family == AF_INET ? SP_IPV4 : SP_IPV6 };
	struct attrs at = { { 0 } };

	if (m->nfgen_family != AF_INET && m->nfgen_family != AF_INET6)
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(*m), on_attr, &at);
	if (!(number(at.a[CTA_STATUS], 4) & IPS_SEEN_REPLY) || !is_alive(at.a[CTA_PROTOINFO]) ||
	    !read_tuple(&t, at.a[CTA_TUPLE_ORIG], &t.initiator, &t.responder_known) ||
	    !read_tuple(&t, at.a[CTA_TUPLE_REPLY], &t.responder, &t.initiator_known))
		return MNL_CB_OK;
	each->fn(each->arg, &t);
	return MNL_CB_OK;
}

int sp_conntrack_each(sp_tracked_fn *fn, void *arg)
{
	struct each each = { fn, arg };
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	if (access(SP_TRACKS_FILE, F_OK))
		return 0;
	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m->nfgen_family = AF_UNSPEC;
	m->version = NFNETLINK_V0;
	return sp_netlink_dump(NETLINK_NETFILTER, nlh, on_entry, &each);
}
