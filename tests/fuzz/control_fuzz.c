/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tools read that they did not write: words of a command line, the table of conversations while the kernel
 * changes it, records of the ring of events, and the kernel's own tracking table. Whatever the bytes are, each is
 * shown as one line that is whole, or it is said in one line what is wrong.
 */
#include <linux/netfilter/nfnetlink.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "../../cli/events.h"
#include "../../cli/filter.h"
#include "../../ctl/adopt.h"
#include "take.h"

#define ENTRIES 56

/* ---- in place of a live firewall ---------------------------------------------------------------------------- */

static struct take *netlink; /* what the kernel answers */

int sp_netlink_dump(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	const sp_u8 family = take8(netlink) & 1 ? AF_INET : AF_INET6;
	/* as the kernel makes it: whole, a multiple of four, with its own header; what follows is attributes */
	const size_t attrs = netlink->left & ~(size_t)3, len = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg) + attrs;
	struct nlmsghdr *m = calloc(1, len);
	struct nfgenmsg *g;
	int rc;

	if (!m)
		abort();
	*m = (struct nlmsghdr){ .nlmsg_len = (sp_u32)len, .nlmsg_type = 256 };
	g = (struct nfgenmsg *)(m + 1);
	g->nfgen_family = family;
	memcpy(g + 1, netlink->at, attrs);
	rc = mnl_cb_run(m, len, 0, 0, cb, arg);
	free(m);
	return rc < 0 ? -1 : 0;
}

int sp_fail(enum sp_exit code, const char *fmt, ...)
{
	char text[2000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	HOLDS(*text && strlen(text) < 600, "%s", text);
	return code;
}

int sp_usage(const char *text, const char *word)
{
	return sp_fail(SP_EXIT_USAGE, "%s%.300s", text, word ? word : "");
}

/* ---- the parts ---------------------------------------------------------------------------------------------- */

static void one_word(char *word, const struct sp_live *live)
{
	static const char *const names[] = { "addr", "port", "proto", "zone", "state", "answered", "unanswered", "closing" };
	struct sp_filter f;
	struct sp_flow copy;
	struct sp_known known;

	sp_filter_init(&f);
	if (*word >= 'A' && *word <= 'H' ? sp_filter_option(&f, names[*word - 'A'], word + 1) : sp_filter_word(&f, word))
		return;
	HOLDS(f.used, "'%s' says nothing", word);
	for (sp_u32 i = sp_live_next(live, 0); i < ENTRIES; i = sp_live_next(live, i + 1)) {
		if (!sp_live_flow(live, i, &copy))
			continue;
		sp_live_known(live, i, &copy, &known);
		sp_filter_match(&f, &copy, &known);
		HOLDS(*sp_phase_name(copy.phase) && *sp_zone_name(copy.zone_from), "a name is empty");
	}
}

/* A table that is torn in the middle of whatever the kernel does. */
static void torn(struct take *in)
{
	static struct sp_engine *e;
	static const sp_u64 secret[2] = { 1, 2 };
	struct sp_live live = { 0 };
	char word[64] = "";
	sp_u32 n;

	if (!e)
		e = sp_engine_new(ENTRIES, 0, secret);
	if (!e)
		abort();
	n = take8(in) % (sizeof(word) - 1);
	for (sp_u32 i = 0; i < n; i++)
		word[i] = (char)take8(in);
	memset(e->t.sets, 0x77, 2 * sizeof(struct sp_set));
	for (sp_u32 i = 0; i < ENTRIES * sizeof(struct sp_flow); i++)
		((sp_u8 *)e->t.flows)[i] = in->left ? take8(in) : (sp_u8)(i % 7 ? 0 : i);
	for (sp_u32 i = 0; i < ENTRIES; i++) {
		e->t.flows[i].lock &= ~1u;
		e->t.flows[i].flags &= (sp_u8)~SP_FLOW_IDLE; /* its image is in the kernel */
	}
	live.t = e->t;
	one_word(word, &live);
}

static void check_lines(const char *text, int json)
{
	const size_t len = strlen(text);
	int depth = 0, quoted = 0;

	HOLDS(len && text[len - 1] == '\n' && strchr(text, '\n') == text + len - 1, "not one line: '%s'", text);
	for (const char *c = text; json && *c; c++) {
		if (quoted && *c == '\\')
			c++;
		else if (*c == '"')
			quoted = !quoted;
		else if (!quoted)
			depth += (*c == '{') - (*c == '}');
		HOLDS(!quoted || (sp_u8)*c >= 32, "a control character in '%s'", text);
	}
	HOLDS(!depth && !quoted, "not whole: '%s'", text);
}

static void event(struct take *in)
{
	static struct sp_config config; /* no policy is in the kernel */
	static struct sp_live live = { .t = { .config = &config } };
	struct sp_events v = { .live = &live };
	struct sp_event e;
	FILE *out = stdout;
	char *text = NULL;
	size_t len;

	for (size_t i = 0; i < sizeof(e); i++)
		((sp_u8 *)&e)[i] = take8(in);
	e.line %= SP_LINE_FIRST;
	for (int json = 0; json < 2; json++) {
		stdout = open_memstream(&text, &len);
		if (!stdout)
			abort();
		sp_events_print(&v, &e, json);
		fclose(stdout);
		stdout = out;
		check_lines(text, json);
		free(text);
	}
}

static void tracked(void *arg, const struct sp_tracked *t)
{
	HOLDS(t->family == SP_IPV4 || t->family == SP_IPV6, "%u", t->family);
	++*(int *)arg;
}

int LLVMFuzzerTestOneInput(const sp_u8 *data, size_t size)
{
	struct take in = { data, size };
	int n = 0;

	netlink = &in;
	switch (take8(&in) % 3) {
	case 0:
		torn(&in);
		break;
	case 1:
		event(&in);
		break;
	default:
		HOLDS(sp_conntrack_each(tracked, &n) <= 0 && n <= 1, "%d", n);
	}
	return 0;
}
