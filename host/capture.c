/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading captures (pcap and pcapng) with libpcap, one packet at a time, whatever link they were taken on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "capture.h"
#include "craft.h"

#define ETHER_LEN 14

static int is_known_link(int link)
{
	switch (link) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_NULL:
	case DLT_LOOP:
		return 1;
	}
	return 0;
}

static int bad_link(struct sp_capture *c)
{
	const char *name = pcap_datalink_val_to_name(c->link);

	snprintf(c->error, sizeof(c->error),
		 "%s: link type %d (%s) is not known here; known are Ethernet, raw IP, Linux cooked and loopback",
		 c->name, c->link, name ? name : "without a name");
	return -EPROTONOSUPPORT;
}

static FILE *open_file(struct sp_capture *c, const char *path)
{
	struct stat st;
	FILE *f;

	if (strcmp(path, "-") == 0)
		return stdin;
	f = fopen(path, "rb");
	if (!f || fstat(fileno(f), &st)) {
		snprintf(c->error, sizeof(c->error), "%s: can not be read: %s", path, strerror(errno));
		if (f)
			fclose(f);
		return NULL;
	}
	if (S_ISDIR(st.st_mode)) {
		snprintf(c->error, sizeof(c->error), "%s: is a directory; name a capture file", path);
		errno = EISDIR;
		fclose(f);
		return NULL;
	}
	return f;
}

int sp_capture_open(struct sp_capture *c, const char *path)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	FILE *f;

	memset(c, 0, sizeof(*c));
	c->name = strcmp(path, "-") ? path : "standard input";
	f = open_file(c, path);
	if (!f)
		return -errno;
	c->pcap = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!c->pcap) {
		snprintf(c->error, sizeof(c->error), "%s: is no capture that can be read (pcap or pcapng): %.200s",
			 c->name, text);
		if (f != stdin)
			fclose(f);
		return -EINVAL;
	}
	c->link = pcap_datalink(c->pcap);
	if (!is_known_link(c->link)) {
		int err = bad_link(c);

		sp_capture_close(c);
		return err;
	}
	return 0;
}

void sp_capture_close(struct sp_capture *c)
{
	if (c->pcap)
		pcap_close(c->pcap);
	c->pcap = NULL;
}

/* The protocol number of a link header and how long that is; 0 if the packet is too short to tell. */
static sp_u32 link_header(int link, const sp_u8 *p, sp_u32 len, sp_u32 *type)
{
	sp_u32 family;

	switch (link) {
	case DLT_LINUX_SLL:
		*type = len < 16 ? 0 : (sp_u32)(p[14] << 8 | p[15]);
		return len < 16 ? 0 : 16;
	case DLT_LINUX_SLL2:
		*type = len < 20 ? 0 : (sp_u32)(p[0] << 8 | p[1]);
		return len < 20 ? 0 : 20;
	}
	if (len < 4)
		return 0;
	/* DLT_NULL is in the byte order of the machine that captured; families are small numbers, so either end tells */
	family = p[0] ? p[0] : p[3];
	*type = family == 2 ? 0x0800 : family == 24 || family == 28 || family == 30 || family == 10 ? 0x86dd : 0xffff;
	return 4;
}

/*
 * Puts one packet into c->buf behind the link header that the engine understands. Returns the bytes of it that were
 * captured, and in *whole how many there were on the wire.
 */
static sp_u32 take(struct sp_capture *c, const struct pcap_pkthdr *h, const sp_u8 *p, struct sp_captured *out,
		   sp_u32 *whole)
{
	sp_u32 skip = 0, head = 0, type = 0, have = h->caplen, wire = h->len < h->caplen ? h->caplen : h->len;

	out->bare_ip = c->link == DLT_RAW || c->link == DLT_IPV4 || c->link == DLT_IPV6;
	if (!out->bare_ip && c->link != DLT_EN10MB) {
		skip = link_header(c->link, p, have, &type);
		if (!skip)
			skip = have; /* an Ethernet header with no protocol in it */
		head = ETHER_LEN;
		memset(c->buf, 0, ETHER_LEN);
		c->buf[12] = (sp_u8)(type >> 8);
		c->buf[13] = (sp_u8)type;
	}
	have -= skip;
	wire = wire - skip > SP_CAPTURE_MAX - head ? SP_CAPTURE_MAX - head : wire - skip;
	if (have > wire)
		have = wire;
	memcpy(c->buf + head, p + skip, have);
	memset(c->buf + head + have, 0, wire - have);
	*whole = wire + head;
	return have + head;
}

static void mend(struct sp_capture *c, struct sp_captured *out)
{
	enum sp_sums is = sp_sums_look(&out->g, out->data, out->len);

	if (out->cut || c->sums == SP_CAPTURE_SUMS_REPAIR ||
	    (c->sums == SP_CAPTURE_SUMS_PARTIAL && is == SP_SUMS_PARTIAL))
		sp_sums_repair(&out->g, c->buf, out->len, c->sums == SP_CAPTURE_SUMS_REPAIR);
}

int sp_capture_next(struct sp_capture *c, struct sp_captured *out)
{
	struct pcap_pkthdr *h;
	const sp_u8 *p;
	sp_u64 time_ns;
	sp_u32 have;
	int r;

	r = pcap_next_ex(c->pcap, &h, &p);
	if (r == PCAP_ERROR_BREAK)
		return 0;
	if (r != 1) {
		snprintf(c->error, sizeof(c->error), "%s: broken after packet %llu: %.200s", c->name, c->number,
			 pcap_geterr(c->pcap));
		return -EINVAL;
	}
	/* with nanosecond precision asked for, tv_usec holds nanoseconds */
	time_ns = (sp_u64)h->ts.tv_sec * SP_NS_PER_S + (sp_u64)h->ts.tv_usec;
	if (time_ns > c->last_ns || c->number == 0)
		c->last_ns = time_ns;
	out->number = ++c->number;
	out->time_ns = c->last_ns;
	out->data = c->buf;
	have = take(c, h, p, out, &out->len);
	out->cut = have < out->len;
	sp_glance(&out->g, c->buf, have, out->bare_ip);
	mend(c, out);
	return 1;
}
