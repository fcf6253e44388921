/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter_pcap: writes those packets of a capture that would have passed the firewall, by the clock of the capture.
 * usage: filter_pcap [--policy FILE] [--inside NETWORK]... IN.pcap OUT.pcap
 * build: cc filter_pcap.c $(pkg-config --cflags --libs libsallyport) -lpcap
 *
 * A capture does not say where a packet came from. Whoever is in one of the networks is inside, everybody else outside;
 * without --inside the first sender is inside, alone.
 */
#include <arpa/inet.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport.h>

#define VECTOR 64 /* packets that are judged at once */
#define FRAME_MAX 65536

struct filter {
	struct sallyport *wall;
	int sided; /* it is known who is inside */
	int bare_ip; /* the capture has no Ethernet headers */
	pcap_t *in;
	pcap_dumper_t *out;
	struct pcap_pkthdr head[VECTOR];
	struct sallyport_packet packet[VECTOR];
	struct sallyport_result result[VECTOR];
	unsigned char bytes[VECTOR][FRAME_MAX];
	unsigned long long read, written;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "filter_pcap: %s: %s\n", what, why);
	return 1;
}

/* Where the IP header begins; NULL: there is none. */
static const unsigned char *ip_of(const struct filter *f, const unsigned char *b, unsigned len)
{
	unsigned off = f->bare_ip ? 0 : 14;

	for (int tags = 0; off && tags < 2 && off + 4 <= len && b[off - 2] == 0x81 && !b[off - 1]; tags++)
		off += 4;
	if (off + 40 <= len && b[off] >> 4 == 6)
		return b + off;
	return off + 20 <= len && b[off] >> 4 == 4 ? b + off : NULL;
}

static unsigned zone_of(struct filter *f, const unsigned char *b, unsigned len)
{
	const unsigned char *ip = ip_of(f, b, len);
	const int family = ip ? ip[0] >> 4 : 0;
	const unsigned char *src = ip ? ip + (family == 4 ? 12 : 8) : NULL;
	char text[INET6_ADDRSTRLEN];

	if (!ip)
		return SALLYPORT_OUTSIDE;
	if (!f->sided && inet_ntop(family == 4 ? AF_INET : AF_INET6, src, text, sizeof(text)))
		f->sided = !sallyport_network(f->wall, SALLYPORT_INSIDE, text);
	return sallyport_zone_of(f->wall, family, src);
}

/* Takes the next packets of the capture: how many, 0 at its end, negative when it can not be read. */
static int take(struct filter *f)
{
	const unsigned char *data;
	struct pcap_pkthdr *head;
	int n = 0, got = 1;

	while (n < VECTOR && (got = pcap_next_ex(f->in, &head, &data)) == 1) {
		struct sallyport_packet *p = &f->packet[n];
		const unsigned len = head->caplen < FRAME_MAX ? head->caplen : FRAME_MAX;

		memcpy(f->bytes[n], data, len);
		f->head[n] = *head;
		*p = (struct sallyport_packet){ .data = f->bytes[n], .len = len, .hook = SALLYPORT_INGRESS };
		p->now_ns = (uint64_t)head->ts.tv_sec * 1000000000 + (uint64_t)head->ts.tv_usec * 1000;
		p->bare_ip = (uint8_t)f->bare_ip;
		p->zone = (uint8_t)zone_of(f, f->bytes[n], len);
		n++;
	}
	return got == PCAP_ERROR ? -1 : n;
}

static int filter(struct filter *f)
{
	int n;

	while ((n = take(f)) > 0) {
		sallyport_packets(f->wall, f->packet, f->result, (size_t)n, NULL);
		for (int i = 0; i < n; i++) {
			f->read++;
			if (f->result[i].verdict != SALLYPORT_PASS)
				continue;
			f->written++;
			pcap_dump((unsigned char *)f->out, &f->head[i], f->bytes[i]);
		}
	}
	return n;
}

static void print_counts(const struct filter *f)
{
	const struct sallyport_counter *c = sallyport_counters(f->wall);

	printf("%llu packets, %llu written, %llu stopped\n", f->read, f->written, f->read - f->written);
	for (unsigned r = 0; r < sallyport_reasons(); r++)
		if (c[r].packets)
			printf("%8llu  %-18s %s\n", (unsigned long long)c[r].packets, sallyport_reason_name(r),
			       sallyport_reason_text(r));
}

static int open_files(struct filter *f, const char *in, const char *out)
{
	char why[PCAP_ERRBUF_SIZE];

	f->in = pcap_open_offline(in, why);
	if (!f->in)
		return fail(in, why);
	f->bare_ip = pcap_datalink(f->in) == DLT_RAW;
	if (!f->bare_ip && pcap_datalink(f->in) != DLT_EN10MB)
		return fail(in, "neither Ethernet nor raw IP; 'tcpdump -i eth0' makes the former");
	f->out = pcap_dump_open(f->in, out);
	return f->out ? 0 : fail(out, pcap_geterr(f->in));
}

int main(int argc, char **argv)
{
	struct filter *f = calloc(1, sizeof(*f));
	char why[4096];
	int i = 1;

	if (!f || sallyport_new(NULL, &f->wall))
		return fail("no memory", "65,536 conversations take 9 MB");
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!strcmp(argv[i], "--policy")) {
			if (sallyport_policy_file(f->wall, argv[i + 1], why, sizeof(why)))
				return fail("the policy is wrong", why);
		} else if (!strcmp(argv[i], "--inside")) {
			if (sallyport_network(f->wall, SALLYPORT_INSIDE, argv[i + 1]))
				return fail("not a network", argv[i + 1]);
			f->sided = 1;
		} else {
			break;
		}
	}
	if (i + 2 != argc)
		return fail("usage", "filter_pcap [--policy FILE] [--inside NETWORK]... IN.pcap OUT.pcap");
	if (open_files(f, argv[i], argv[i + 1]))
		return 1;
	if (filter(f) < 0)
		return fail(argv[i], pcap_geterr(f->in));
	print_counts(f);
	pcap_dump_close(f->out);
	pcap_close(f->in);
	sallyport_free(f->wall);
	free(f);
	return 0;
}
