/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one list of reasons. Every verdict has exactly one of these; the list makes the enum, the counters, the sentences
 * of the command line, the names in JSON and the manual page sally-reasons(7).
 *
 * X(ID, "json_name", VERDICT, "sentence: completes 'let in because ...' / 'stopped because ...'")
 * The order is part of the ABI (counters are indexed by it): add at the end of a block and raise SP_ABI_VERSION.
 */
#ifndef SP_CORE_REASONS_H
#define SP_CORE_REASONS_H

#define SP_REASONS(X)                                                                                                   \
	X(NONE, "none", DROP, "nothing has been decided")                                                                \
	/* passes: no conversation needed */                                                                            \
	X(NOT_IP, "not_ip", PASS, "it is not an IP packet (ARP and the like stay on the link)")                         \
	X(FORWARDED, "forwarded", PASS, "it was decided where it came in")                                              \
	X(NEIGHBOUR, "neighbour", PASS, "neighbour and router discovery on the link is always allowed")                 \
	X(DHCP, "dhcp", PASS, "it belongs to the DHCP exchange of this machine")                                        \
	X(MULTICAST_REPORT, "multicast_report", PASS, "multicast group membership on the link is always allowed")       \
	X(OWN_ERROR, "own_error", PASS, "this machine itself reports an error")                                         \
	/* passes: a conversation begins */                                                                             \
	X(NEW_SELF, "new_self", PASS, "this machine may start conversations")                                           \
	X(NEW_INSIDE, "new_inside", PASS, "the inside may start conversations")                                         \
	X(NEW_PERMITTED, "new_permitted", PASS, "a line of the configuration permits it")                               \
	X(NEW_MAPPED, "new_mapped", PASS, "the program it goes to has an outside port that everybody may use (nat open)") \
	X(PICKED_UP, "picked_up", PASS, "a trusted host continues a conversation that is older than the firewall")      \
	X(REOPENED, "reopened", PASS, "a closed conversation is opened again by the side that may")                     \
	/* passes: a conversation goes on */                                                                            \
	X(CONTINUES, "continues", PASS, "it continues a conversation that its sender started")                          \
	X(ANSWER, "answer", PASS, "it answers something that was sent out")                                             \
	X(EXPRESS, "express", PASS, "it took the express lane from interface to interface")                             \
	X(RELATED_ERROR, "related_error", PASS, "it reports an error about a conversation that is remembered")          \
	X(FRAGMENT, "fragment", PASS, "it is a piece of a datagram whose beginning was let through")                    \
	X(CHALLENGE, "challenge", PASS, "it is part of a reset or resynchronisation that the end hosts settle")         \
	/* drops: policy */                                                                                             \
	X(UNINVITED, "uninvited", DROP, "nobody inside asked for it and no line lets it in")                            \
	X(BLOCKED, "blocked", DROP, "a line of the configuration blocks it")                                            \
	X(REVOKED, "revoked", DROP, "the line that permitted its conversation is gone")                                 \
	X(TCP_NO_FLOW, "tcp_no_flow", DROP, "it is not the start of a TCP connection and belongs to none")              \
	X(WRONG_SIDE, "wrong_side", DROP, "the conversation it claims to belong to lives on another side")              \
	X(SPOOFED, "spoofed", DROP, "its source address does not belong on the side it came from")                      \
	X(RATE, "rate", DROP, "its source starts conversations faster than the line allows")                            \
	X(LIMIT, "limit", DROP, "its source has as many conversations as the line allows")                              \
	/* drops: translation */                                                                                        \
	X(NAT_ADDRESS, "nat_address", DROP, "this machine has no outside address to translate its source to")           \
	X(NAT_PORTS, "nat_ports", DROP, "no outside port is left to translate its source to")                           \
	X(NAT_CLASH, "nat_clash", DROP, "translated, it would look like another conversation")                          \
	X(NAT_NONE, "nat_none", DROP, "it would leave with a private address: nothing is remembered that translates it") \
	/* drops: headers */                                                                                            \
	X(TRUNCATED, "truncated", DROP, "it ends before its headers do")                                                \
	X(VLAN_DEPTH, "vlan_depth", DROP, "it has more VLAN tags than anybody uses")                                    \
	X(IP_VERSION, "ip_version", DROP, "its IP version does not fit")                                                \
	X(IP_HEADER_LENGTH, "ip_header_length", DROP, "its IP header length is impossible")                             \
	X(IP_LENGTH, "ip_length", DROP, "its IP length does not fit the packet")                                        \
	X(IP_CHECKSUM, "ip_checksum", DROP, "its IP header checksum is wrong")                                          \
	X(IP_OPTIONS, "ip_options", DROP, "its IP options are malformed")                                               \
	X(SOURCE_ROUTE, "source_route", DROP, "it asks for source routing")                                             \
	X(EXT_HEADERS, "ext_headers", DROP, "its IPv6 extension headers are too many, repeated or out of order")        \
	X(ROUTING_HEADER, "routing_header", DROP, "it carries a deprecated IPv6 routing header")                        \
	X(BAD_SOURCE, "bad_source", DROP, "its source address can not be a source")                                     \
	X(BAD_DESTINATION, "bad_destination", DROP, "its destination address can not be reached from there")            \
	X(LAND, "land", DROP, "its source and destination are the same")                                                \
	X(TCP_HEADER, "tcp_header", DROP, "its TCP header length is impossible")                                        \
	X(TCP_FLAGS, "tcp_flags", DROP, "its combination of TCP flags is nonsense")                                     \
	X(UDP_LENGTH, "udp_length", DROP, "its UDP length does not fit the packet")                                     \
	X(PORT_ZERO, "port_zero", DROP, "it uses port 0")                                                               \
	X(L4_CHECKSUM, "l4_checksum", DROP, "its checksum is wrong, so the end host would ignore it")                   \
	/* drops: fragments */                                                                                          \
	X(FRAG_HEADLESS, "frag_headless", DROP, "the first piece of its datagram was not let through")                  \
	X(FRAG_TINY, "frag_tiny", DROP, "the first piece is too short to judge")                                        \
	X(FRAG_OVERLAP, "frag_overlap", DROP, "pieces of its datagram overlap")                                         \
	X(FRAG_LENGTH, "frag_length", DROP, "a piece is not a multiple of eight bytes or ends beyond the datagram")     \
	X(FRAG_NESTED, "frag_nested", DROP, "it has two fragment headers")                                              \
	X(FRAG_FULL, "frag_full", DROP, "too many fragmented datagrams are under way")                                  \
	/* drops: ICMP */                                                                                               \
	X(ICMP_TYPE, "icmp_type", DROP, "this kind of ICMP message is never let through")                               \
	X(ICMP_UNASKED, "icmp_unasked", DROP, "it answers a query that nobody sent")                                    \
	X(ICMP_QUOTE, "icmp_quote", DROP, "the packet that it quotes is malformed")                                     \
	X(ICMP_NO_FLOW, "icmp_no_flow", DROP, "it reports an error about a conversation that does not exist")           \
	X(ICMP_TARGET, "icmp_target", DROP, "it reports an error to somebody who did not send the quoted packet")       \
	X(ICMP_WINDOW, "icmp_window", DROP, "the TCP segment that it quotes was never sent")                            \
	X(HOP_LIMIT, "hop_limit", DROP, "it should never have left its link, but it did")                               \
	/* drops: TCP */                                                                                                \
	X(TCP_SEQ_HIGH, "tcp_seq_high", DROP, "its sequence number is beyond what the receiver can take")               \
	X(TCP_SEQ_LOW, "tcp_seq_low", DROP, "its sequence number is older than anything under way")                     \
	X(TCP_ACK_HIGH, "tcp_ack_high", DROP, "it acknowledges what was never sent")                                    \
	X(TCP_ACK_LOW, "tcp_ack_low", DROP, "it acknowledges what was settled long ago")                                \
	X(TCP_RST_SEQ, "tcp_rst_seq", DROP, "it is a reset whose sequence number the receiver can not believe")         \
	X(TCP_HANDSHAKE, "tcp_handshake", DROP, "it does not fit the handshake under way")                              \
	X(TCP_CLOSED, "tcp_closed", DROP, "its connection has been closed")                                             \
	/* drops: resources */                                                                                          \
	X(TABLE_FULL, "table_full", DROP, "the table of conversations is full of answered ones")                        \
	X(UNANSWERED_FULL, "unanswered_full", DROP, "too many conversations wait for a first answer")                   \
	X(SOURCE_SHARE, "source_share", DROP, "its source already has more than its share of unanswered conversations") \
	X(BUSY, "busy", DROP, "its conversation was being changed by another processor for too long")                   \
	X(ASKED, "asked", DROP, "too many wait for an answer: its sender is asked to show that he is there")            \
	X(PROVEN, "proven", DROP, "it says that its sender is there: he may begin when he tries again")

enum sp_verdict { SP_DROP = 0, SP_PASS = 1 };

enum sp_reason {
#define X(id, name, verdict, text) SP_R_##id,
	SP_REASONS(X)
#undef X
	SP_REASON_COUNT
};

#endif
