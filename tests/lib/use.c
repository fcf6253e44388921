/* SPDX-License-Identifier: BSD-2-Clause */
/* A program that uses the installed libsallyport for all that its header promises. Prints what does not hold. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sallyport.h>

#define MUST(what)                                                              \
	do {                                                                    \
		checks++;                                                       \
		if (!(what)) {                                                  \
			fprintf(stderr, "line %d: not so: %s\n", __LINE__, #what); \
			failures++;                                             \
		}                                                               \
	} while (0)

static int checks, failures;

static unsigned sum(const unsigned char *b, unsigned n, unsigned long from)
{
	for (unsigned i = 0; i < n; i += 2)
		from += (unsigned long)(b[i] << 8 | b[i + 1]);
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return (unsigned)from;
}

/* A bare IPv4 UDP packet of 32 bytes; addresses in host order. */
static void udp(unsigned char b[32], unsigned src, unsigned dst, unsigned sport, unsigned dport)
{
	unsigned s;

	memset(b, 0, 32);
	b[0] = 0x45;
	b[3] = 32;
	b[8] = 64;
	b[9] = 17;
	for (int i = 0; i < 4; i++) {
		b[12 + i] = (unsigned char)(src >> (24 - 8 * i));
		b[16 + i] = (unsigned char)(dst >> (24 - 8 * i));
	}
	s = ~sum(b, 20, 0) & 0xffff;
	b[10] = (unsigned char)(s >> 8);
	b[11] = (unsigned char)s;
	b[20] = (unsigned char)(sport >> 8);
	b[21] = (unsigned char)sport;
	b[22] = (unsigned char)(dport >> 8);
	b[23] = (unsigned char)dport;
	b[25] = 12;
	s = ~sum(b + 12, 20, 17 + 12) & 0xffff;
	b[26] = (unsigned char)(s >> 8);
	b[27] = (unsigned char)s;
}

static unsigned long long clock_ns = 1000000000ull;

static struct sallyport_packet at(const void *data, unsigned zone, int hook)
{
	struct sallyport_packet p = { .data = data, .len = 32, .bare_ip = 1 };

	p.zone = (unsigned char)zone;
	p.hook = (unsigned char)hook;
	p.now_ns = clock_ns += 1000;
	return p;
}

/* The word for what becomes of one packet. */
static const char *judge(struct sallyport *s, const void *data, unsigned zone)
{
	struct sallyport_packet p = at(data, zone, SALLYPORT_INGRESS);
	struct sallyport_result r;

	sallyport_packets(s, &p, &r, 1, NULL);
	return sallyport_reason_name(r.reason);
}

#define JOHN 0x0a000002u
#define SERVER 0xc6336407u
#define OURS 0xcb007107u

static void options(void)
{
	struct sallyport_options o = { .size = sizeof(o), .conversations = 100 };
	struct sallyport *s = NULL;
	struct sallyport_usage u;

	o.size--;
	MUST(sallyport_new(&o, &s) == -EINVAL);
	o.size++;
	o.conversations = 0;
	MUST(sallyport_new(&o, &s) == -EINVAL);
	o.conversations = (1u << 24) + 1;
	MUST(sallyport_new(&o, &s) == -EINVAL);
	o.conversations = 100;
	o.addresses = 65;
	MUST(sallyport_new(&o, &s) == -EINVAL);
	o.addresses = 0;
	o.flags = 4;
	MUST(sallyport_new(&o, &s) == -EINVAL && !s);
	o.flags = SALLYPORT_ONE_THREAD;
	MUST(!sallyport_new(&o, &s) && s);
	sallyport_usage(s, &u);
	MUST(u.capacity == 112 && !u.unanswered);
	MUST(sallyport_address(s, "203.0.113.7", 0) == -ENOSPC);
	MUST(sallyport_network(s, 0, "10.0.0.0/8") == -EINVAL);
	MUST(sallyport_network(s, SALLYPORT_INSIDE, "10.0.0.0/33") == -EINVAL);
	MUST(sallyport_network(s, SALLYPORT_INSIDE, "10.0.0") == -EINVAL);
	sallyport_free(s);
	sallyport_free(NULL);
}

/* Zones by address, the longest network first; who pretends to be somebody else. */
static void zones(struct sallyport *s)
{
	const unsigned char inside[4] = { 10, 0, 0, 2 }, self[4] = { 10, 0, 0, 1 }, far[4] = { 11, 0, 0, 1 };
	unsigned char b[32], six[16] = { 0x20, 1, 0x0d, 0xb8 };

	MUST(!sallyport_network(s, SALLYPORT_INSIDE, "10.0.0.0/8"));
	MUST(!sallyport_network(s, SALLYPORT_SELF, "10.0.0.1"));
	MUST(!sallyport_network(s, SALLYPORT_INSIDE, "2001:db8::/32"));
	MUST(sallyport_zone_of(s, 4, inside) == SALLYPORT_INSIDE);
	MUST(sallyport_zone_of(s, 4, self) == SALLYPORT_SELF);
	MUST(sallyport_zone_of(s, 4, far) == SALLYPORT_OUTSIDE);
	MUST(sallyport_zone_of(s, 6, six) == SALLYPORT_INSIDE);
	six[1] = 2;
	MUST(sallyport_zone_of(s, 6, six) == SALLYPORT_OUTSIDE);
	udp(b, 0x0b000001, SERVER, 5, 6);
	MUST(!strcmp(judge(s, b, SALLYPORT_INSIDE), "spoofed"));
}

/* Lines are obeyed, taken back, and wrong ones change nothing. */
static void policy(struct sallyport *s)
{
	static const char text[] = "open udp/53\n", wrong[] = "open udp/53\nopn ssh\n";
	unsigned char ask[32], web[32];
	char why[200] = "";

	udp(ask, SERVER, 0x0a000001, 1000, 53);
	udp(web, SERVER, 0x0a000001, 1000, 80);
	MUST(!strcmp(judge(s, ask, SALLYPORT_OUTSIDE), "uninvited"));
	MUST(!sallyport_policy(s, "my.conf", text, sizeof(text) - 1, why, sizeof(why)) && !*why);
	MUST(!strcmp(judge(s, ask, SALLYPORT_OUTSIDE), "new_permitted"));
	MUST(!strcmp(judge(s, web, SALLYPORT_OUTSIDE), "uninvited"));
	MUST(sallyport_policy(s, "my.conf", wrong, sizeof(wrong) - 1, why, sizeof(why)) == -EINVAL);
	MUST(!strncmp(why, "my.conf:2:1: error: ", 20));
	MUST(sallyport_policy(s, "my.conf", wrong, sizeof(wrong) - 1, NULL, 0) == -EINVAL);
	MUST(sallyport_policy(s, "my.conf", wrong, sizeof(wrong) - 1, why, 9) == -EINVAL && !strcmp(why, "my.conf:"));
	MUST(!strcmp(judge(s, ask, SALLYPORT_OUTSIDE), "continues"));
	MUST(sallyport_policy_file(s, "/does/not/exist", why, sizeof(why)) == -ENOENT);
	MUST(!sallyport_policy(s, "my.conf", "", 0, why, sizeof(why)));
	MUST(!strcmp(judge(s, ask, SALLYPORT_OUTSIDE), "revoked"));
}

static void own_zones(struct sallyport *s)
{
	static const char text[] = "zone dmz = eth2\nallow outside -> dmz : udp/53\n";
	unsigned char ask[32];
	int dmz;

	MUST(sallyport_zone(s, "dmz") == -ENOENT && sallyport_zone(s, "inside") == SALLYPORT_INSIDE);
	MUST(!sallyport_policy(s, "my.conf", text, sizeof(text) - 1, NULL, 0));
	dmz = sallyport_zone(s, "dmz");
	MUST(dmz > SALLYPORT_INSIDE && !strcmp(sallyport_zone_name(s, (unsigned)dmz), "dmz"));
	MUST(!strcmp(sallyport_zone_name(s, SALLYPORT_SELF), "self") && !*sallyport_zone_name(s, 14));
	MUST(!sallyport_network(s, (unsigned)dmz, "10.9.0.0/16"));
	udp(ask, SERVER, 0x0a090001, 1000, 53);
	MUST(!strcmp(judge(s, ask, SALLYPORT_OUTSIDE), "new_permitted"));
	/* many policies: slots are used again, numbers of zones stay */
	for (int i = 0; i < 30; i++)
		MUST(!sallyport_policy(s, "my.conf", text, sizeof(text) - 1, NULL, 0) && sallyport_zone(s, "dmz") == dmz);
	MUST(!strcmp(judge(s, ask, SALLYPORT_OUTSIDE), "continues"));
}

static void to_the_outside(void *arg, const struct sallyport_packet *p, const void *data, struct sallyport_way *way)
{
	static unsigned char room[32];

	MUST(data == p->data);
	*way = (struct sallyport_way){ .ifindex = 1, .zone = SALLYPORT_OUTSIDE, .out = room };
	++*(int *)arg;
}

/* Through both hooks at once. */
static void both_hooks(struct sallyport *s, const unsigned char *mapped)
{
	unsigned char again[2][32], far[32], room[2][32];
	struct sallyport_packet p[2];
	struct sallyport_way way[2] = { { .ifindex = 1, .zone = SALLYPORT_OUTSIDE, .out = room[0] }, { .ifindex = 0 } };
	struct sallyport_result came[2], left[2];
	struct sallyport_through t = { .packets = p, .ways = way, .came = came, .left = left };
	int asked = 0;

	for (int i = 0; i < 2; i++) {
		udp(again[i], JOHN, SERVER, 4000, 53);
		p[i] = at(again[i], SALLYPORT_INSIDE, SALLYPORT_INGRESS);
	}
	sallyport_forward(s, &t, 2, NULL);
	MUST(came[0].verdict == SALLYPORT_PASS && left[0].rewritten && !memcmp(room[0], mapped, 32));
	MUST(!left[1].rewritten && !memcmp(&left[1], &came[1], sizeof(left[1])));
	t.route = to_the_outside;
	t.arg = &asked;
	udp(far, 0x0b000001, SERVER, 4000, 53);
	p[1] = at(far, SALLYPORT_INSIDE, SALLYPORT_INGRESS);
	sallyport_forward(s, &t, 2, NULL);
	MUST(asked == 1 && left[0].rewritten && !memcmp(way[0].out, mapped, 32));
	MUST(left[1].verdict == SALLYPORT_DROP && !strcmp(sallyport_reason_name(left[1].reason), "spoofed"));
}

/* Out by our address, back to the real one. */
static void translation(void)
{
	struct sallyport_options o = { .size = sizeof(o), .conversations = 999, .flags = SALLYPORT_GATEWAY, .addresses = 1 };
	unsigned char out[32], known[32], answer[32], real[32], *port = known + 20;
	struct sallyport_packet p;
	struct sallyport_result r;
	struct sallyport *s;

	MUST(!sallyport_new(&o, &s) && !sallyport_network(s, SALLYPORT_INSIDE, "10.0.0.0/8"));
	MUST(!sallyport_address(s, "203.0.113.7", 0) && sallyport_address(s, "203.0.113.8", 0) == -ENOSPC);
	udp(out, JOHN, SERVER, 4000, 53);
	MUST(!strcmp(judge(s, out, SALLYPORT_INSIDE), "new_inside"));
	p = at(out, SALLYPORT_OUTSIDE, SALLYPORT_EGRESS);
	p.forwarded = 1;
	p.zone_from = SALLYPORT_INSIDE;
	p.out = known;
	sallyport_packets(s, &p, &r, 1, NULL);
	MUST(r.verdict == SALLYPORT_PASS && r.rewritten && known[12] == 203 && known[15] == 7);
	udp(answer, SERVER, OURS, 53, (unsigned)(port[0] << 8 | port[1]));
	p = at(answer, SALLYPORT_OUTSIDE, SALLYPORT_INGRESS);
	p.out = real;
	sallyport_packets(s, &p, &r, 1, NULL);
	MUST(r.event == SALLYPORT_ANSWERED && r.rewritten && real[16] == 10 && real[19] == 2 && r.conversation);
	both_hooks(s, known);
	sallyport_free(s);
}

static void counters(struct sallyport *s)
{
	struct sallyport_counter mine[256] = { { 0, 0 } };
	const struct sallyport_counter before = sallyport_counters(s)[0];
	struct sallyport_packet p[3];
	struct sallyport_result r[3];
	unsigned char b[32];
	unsigned long long all = 0;

	udp(b, SERVER, 0x0a000001, 1, 81);
	for (int i = 0; i < 3; i++)
		p[i] = at(b, SALLYPORT_OUTSIDE, SALLYPORT_INGRESS);
	MUST(sallyport_reasons() <= 256);
	sallyport_packets(s, p, r, 3, mine);
	for (unsigned i = 0; i < sallyport_reasons(); i++) {
		all += mine[i].packets;
		MUST(*sallyport_reason_name(i) && *sallyport_reason_text(i));
	}
	MUST(all == 3 && mine[r[0].reason].packets == 3 && mine[r[0].reason].bytes == 96);
	MUST(r[0].event == SALLYPORT_DROPPED && sallyport_reason_verdict(r[0].reason) == SALLYPORT_DROP);
	MUST(!memcmp(&before, sallyport_counters(s), sizeof(before)));
}

int main(void)
{
	struct sallyport *s;

	options();
	MUST(!sallyport_new(NULL, &s));
	zones(s);
	policy(s);
	own_zones(s);
	counters(s);
	sallyport_free(s);
	translation();
	printf("%s: %d checks, %d failures\n", sallyport_version(), checks, failures);
	return failures != 0;
}
