/* SPDX-License-Identifier: BSD-2-Clause */
/* `sally reasons`: every reason that a verdict can have, what it means and what can be done about it. */
#include <string.h>

#include "cli.h"

static const char help[] =
	"usage: sally reasons [NAME]... [--json | --man]\n"
	"\n"
	"Every packet is let through or stopped for exactly one of these reasons. The\n"
	"names are those of status, watch, explain, replay and of all JSON output.\n"
	"\n"
	"  NAME     only this one, with what can be done about it\n"
	"  --json   one list of objects\n"
	"  --man    the manual page sally-reasons(7)\n";

#define WIDTH 72 /* columns of a paragraph; roff escapes come on top */

/* More than the sentence says: when one meets it, and what to do. Reasons that explain themselves have none. */
static const char *const hints[SP_REASON_COUNT] = {
	[SP_R_NOT_IP] = "ARP and other link protocols never cross the machine; the firewall leaves them alone.",
	[SP_R_FORWARDED] = "Each packet is judged once. On its way out of a gateway only the packets of the machine itself "
			   "are judged.",
	[SP_R_PICKED_UP] = "The connection is older than the firewall, or it was silent for so long that it was "
			   "forgotten. Its window is unknown and therefore not enforced. Only the trusted side can "
			   "have a connection picked up, never a stranger.",
	[SP_R_REOPENED] = "A closed conversation had the same addresses and ports (RFC 9293 3.10.7.4, TIME-WAIT).",
	[SP_R_CHALLENGE] = "The conversation stays as it was: only the end hosts know whether the reset or the new SYN is "
			   "true, and they ask each other (RFC 5961 3, 4).",
	[SP_R_UNINVITED] = "This is the firewall at work. If you meant to offer this service, the configuration "
			   "file will have one line for it, such as `open ssh from 203.0.113.9`. If it should have been "
			   "an answer, see with `sally flows` whether the question was remembered: the answer must come "
			   "from the very address and port that was asked.",
	[SP_R_TCP_NO_FLOW] = "Often a late packet of a connection that is closed or forgotten, or a scan. A connection "
			     "that idles for more than a day should send keep-alives.",
	[SP_R_WRONG_SIDE] = "The same addresses and ports were seen at another interface. Look for asymmetric routes or "
			    "for somebody who forges addresses.",
	[SP_R_SPOOFED] = "Somebody forges addresses, or a network is missing: routes and interface addresses say what "
			 "belongs to the inside.",
	[SP_R_TRUNCATED] = "Damaged or crafted. In a capture: it was taken with too small a snapshot length.",
	[SP_R_IP_CHECKSUM] = "Damaged on the way: look at cable, memory and driver counters (`ethtool -S`). In a capture "
			     "taken on the sending machine: the network card would have filled it in.",
	[SP_R_L4_CHECKSUM] = "Only packets that would change what is remembered are checked. The receiver would ignore "
			     "it; so does the firewall, or a stranger could close connections with it.",
	[SP_R_SOURCE_ROUTE] = "Source routes let a sender walk around filters (RFC 7126 4.3, 4.4). Nobody needs them.",
	[SP_R_ROUTING_HEADER] = "Routing header types 0 and 1 are deprecated (RFC 5095, RFC 5871).",
	[SP_R_BAD_SOURCE] = "Multicast, loopback and reserved addresses are no senders; documentation and private "
			    "addresses do not cross the outside of a gateway (RFC 6092 REC-1, REC-3, REC-7).",
	[SP_R_BAD_DESTINATION] = "Its scope ends before the other side (RFC 6092 REC-2, REC-3, REC-7).",
	[SP_R_TCP_FLAGS] = "SYN with FIN, no flag at all and the like: made by scanners, never by a TCP.",
	[SP_R_FRAG_HEADLESS] = "Its first piece was stopped, or has not come yet: pieces that overtake the first one are "
			       "not kept. Better than fragments: let path-MTU discovery work.",
	[SP_R_FRAG_OVERLAP] = "Overlapping pieces serve to deceive filters; the whole datagram is given up (RFC 5722 3).",
	[SP_R_FRAG_FULL] = "So many datagrams are under way in pieces that no more can be followed; they expire after "
			   "60 seconds. Whole packets are not affected.",
	[SP_R_ICMP_TYPE] = "Redirects, deprecated queries and link-local messages from elsewhere (RFC 4890 4.3).",
	[SP_R_ICMP_UNASKED] = "An echo reply without an echo request: late, or forged.",
	[SP_R_ICMP_NO_FLOW] = "Errors are let in only when they quote a conversation that is remembered.",
	[SP_R_ICMP_TARGET] = "Somebody uses an existing conversation's header to reach another host.",
	[SP_R_ICMP_WINDOW] = "A forged error, or one that took very long (RFC 5927 4.1).",
	[SP_R_HOP_LIMIT] = "Neighbour discovery must have hop limit 255 (RFC 4861 6.1, 7.1): this one was routed.",
	[SP_R_TCP_SEQ_HIGH] = "The receiver has no room for it and would ignore it. If it is frequent with one peer, "
			      "a device between removes or rewrites the window scale option.",
	[SP_R_TCP_SEQ_LOW] = "A very late copy, or a guess by somebody who does not see the connection.",
	[SP_R_TCP_ACK_HIGH] = "A guess by somebody who does not see the connection, or packets took another way.",
	[SP_R_TCP_RST_SEQ] = "A reset must fall into the window (RFC 5961 3); this is how blind attackers try to end "
			     "connections. The connection goes on.",
	[SP_R_TCP_HANDSHAKE] = "For instance an answer that acknowledges another SYN than the one that was sent.",
	[SP_R_TCP_CLOSED] = "Late packets after both sides said goodbye, or after a reset. Harmless.",
	[SP_R_TABLE_FULL] = "An answered conversation is never thrown out for a new one. `sally status` names the "
			    "heaviest sources; `sally flows kill` ends conversations; `sally up --flows N` makes room.",
	[SP_R_UNANSWERED_FULL] = "A scan from the inside, or a link that is down. `sally status` names the heaviest "
				 "sources. Answered conversations are not affected.",
	[SP_R_RATE] = "The option `rate` of that line. `sally explain` names it; the source may go on when it has been "
		      "quiet for a while.",
	[SP_R_LIMIT] = "The option `limit` of that line. `sally explain` names it; `sally flows` shows what the source has.",
	[SP_R_SOURCE_SHARE] = "One source asks very much and gets no answers: a scan, or a worm? `sally status` names it.",
	[SP_R_ASKED] = "A flood of SYNs to a port that is open or forwarded, from many addresses, mostly forged. "
		       "Whoever is there gets through with his next SYN; nothing is remembered of the others.",
	[SP_R_PROVEN] = "Good news: the reset of somebody who was asked. His next SYNs are let in.",
	[SP_R_BUSY] = "Two processors wanted the same entry. The sender will repeat the packet. If this counter grows "
		      "steadily, tell the authors.",
};

static const char *verdict_name(unsigned reason)
{
	return sp_reason_verdict(reason) == SP_PASS ? "pass" : "drop";
}

static void print_all(enum sp_verdict verdict, const char *title)
{
	printf("%s\n", title);
	for (unsigned i = SP_R_NONE + 1; i < SP_REASON_COUNT; i++)
		if (sp_reason_verdict(i) == verdict)
			printf("  %-18s %s\n", sp_reason_name(i), sp_reason_text(i));
}

/* One word; roff (a leading period or quote would be a request, a backslash an escape, a minus a hyphen) or plain. */
static void put_word(const char *s, size_t n, int roff)
{
	if (!roff) {
		printf("%.*s", (int)n, s);
		return;
	}
	if (*s == '.' || *s == '\'')
		printf("\\&");
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\')
			printf("\\e");
		else if (s[i] == '-')
			printf("\\-");
		else if (s[i] == '`') /* code in our texts: `like this` */
			printf("\"");
		else
			putchar(s[i]);
	}
}

/* A paragraph in lines of at most WIDTH columns. */
static void put_wrapped(const char *s, const char *indent, int roff)
{
	size_t at = 0;

	while (*s) {
		size_t n = strcspn(s, " ");

		if (at && at + 1 + n > WIDTH - strlen(indent)) {
			printf("\n");
			at = 0;
		}
		printf("%s", at ? " " : indent);
		put_word(s, n, roff);
		at += n + (at != 0);
		s += n + strspn(s + n, " ");
	}
	printf("\n");
}

static void print_one(unsigned i)
{
	printf("%s: %s because %s\n", sp_reason_name(i),
	       sp_reason_verdict(i) == SP_PASS ? "let through" : "stopped", sp_reason_text(i));
	if (hints[i])
		put_wrapped(hints[i], "  ", 0);
}

static void json_one(struct sp_json *j, unsigned i)
{
	sp_json_open(j, NULL, '{');
	sp_json_str(j, "name", sp_reason_name(i));
	sp_json_str(j, "verdict", verdict_name(i));
	sp_json_str(j, "text", sp_reason_text(i));
	if (hints[i])
		sp_json_str(j, "hint", hints[i]);
	sp_json_close(j);
}

static void man_section(const char *title, enum sp_verdict verdict)
{
	printf(".SH %s\n", title);
	for (unsigned i = SP_R_NONE + 1; i < SP_REASON_COUNT; i++) {
		if (sp_reason_verdict(i) != verdict)
			continue;
		printf(".TP\n.B %s\n", sp_reason_name(i));
		put_wrapped(sp_reason_text(i), "", 1);
		if (!hints[i])
			continue;
		printf(".br\n");
		put_wrapped(hints[i], "", 1);
	}
}

static void print_man(void)
{
	printf(".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
	       ".\\\" Generated by `sally reasons --man`; the list is core/reasons.h, the hints are in cli/reasons.c.\n"
	       ".TH SALLY\\-REASONS 7 \"2026-11-27\" \"Sallyport\" \"Miscellaneous Information Manual\"\n"
	       ".SH NAME\n"
	       "sally\\-reasons \\- why Sallyport lets a packet through or stops it\n"
	       ".SH DESCRIPTION\n"
	       "Each packet that meets a guarded interface is let through or stopped for\n"
	       "exactly one reason.\n"
	       "The names below appear in\n"
	       ".BR \"sally status\" ,\n"
	       ".BR \"sally watch\" ,\n"
	       ".BR \"sally explain\" ,\n"
	       ".B sally replay\n"
	       "and in all JSON output; each has its own counter.\n");
	man_section("LET THROUGH BECAUSE", SP_PASS);
	man_section("STOPPED BECAUSE", SP_DROP);
	printf(".SH SEE ALSO\n.BR sally (8)\n");
}

/* names were checked before */
static void print_named(int argc, char **argv, struct sp_json *j)
{
	for (int i = 1; i < argc; i++) {
		int reason = sp_reason_by_name(argv[i]);

		if (reason < 0)
			continue; /* an option */
		if (j)
			json_one(j, (unsigned)reason);
		else
			print_one((unsigned)reason);
	}
}

static void print_json(int argc, char **argv, int named)
{
	struct sp_json j;

	sp_json_begin(&j, stdout);
	sp_json_open(&j, NULL, '[');
	if (named)
		print_named(argc, argv, &j);
	else
		for (unsigned i = SP_R_NONE + 1; i < SP_REASON_COUNT; i++)
			json_one(&j, i);
	sp_json_close(&j);
}

int sp_cmd_reasons(int argc, char **argv)
{
	int json = 0, man = 0, named = 0;

	if (sp_wants_help(argc, argv, help))
		return SP_EXIT_OK;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = 1;
		else if (strcmp(argv[i], "--man") == 0)
			man = 1;
		else if (argv[i][0] == '-')
			return sp_usage("unknown option", argv[i]);
		else if (sp_reason_by_name(argv[i]) < 0)
			return sp_fail(SP_EXIT_USAGE, "there is no reason '%s'; 'sally reasons' lists them all", argv[i]);
		else
			named++;
	}
	if (man && (json || named))
		return sp_usage("goes with nothing else", "--man");
	if (man)
		print_man();
	else if (json)
		print_json(argc, argv, named);
	else if (named)
		print_named(argc, argv, NULL);
	else {
		print_all(SP_PASS, "let through because");
		printf("\n");
		print_all(SP_DROP, "stopped because");
	}
	return sp_finish(SP_EXIT_OK);
}
