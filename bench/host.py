# SPDX-License-Identifier: BSD-2-Clause
"""What a firewall on a server costs its own conversations: TCP in bulk with offloads, and questions and answers.

    client                       server: whoever is measured, and the programs
    5.5.0.2  c0 ----------- eth0 5.5.0.1

Both ends run on one processor: what is counted is the time that both of them, and their packets, took of it.
"""

import json
import os

import bed

PINGPONG = os.environ.get("PINGPONG", "build/bench/pingpong")
PORT = 5201
OPEN = f"open tcp/{PORT}, udp/{PORT}\n"
NFT = f"""table inet bench {{
    chain input {{
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        tcp dport {PORT} ct state new accept
        udp dport {PORT} ct state new accept
    }}
}}
"""

# name: what is on the server
VARIANTS = {
    "no firewall": None,
    "XDP that only passes": ("pass",),
    "nftables stateful": ("nft", NFT),
    "sally tc": ("sally", "tc"),
    "sally xdp": ("sally", "xdp"),
}
SMOKE = ("no firewall", "nftables stateful", "sally tc")
TABLES = (
    ("Host: TCP in bulk with offloads, processor time of both ends",
     {"in_ns_kib": "in, ns/KiB", "out_ns_kib": "out, ns/KiB", "in_gbits": "in, Gbit/s", "out_gbits": "out, Gbit/s"}),
    ("Host: a question and its answer, 16 bytes each way",
     {"tcp_ns": "TCP, ns", "tcp_p50_us": "p50, us", "tcp_p99_us": "p99, us",
      "udp_ns": "UDP, ns", "udp_p50_us": "p50, us", "udp_p99_us": "p99, us"}),
)


def bulk(net, *options):
    """Processor time a KiB, and Gbit/s, of one TCP connection."""
    server = net.start("server", "iperf3", "-s", "-1", "-p", PORT)
    bed.listening(net, "server", "tcp", PORT)
    client = net.start("client", "iperf3", "-c", bed.WAN, "-p", PORT, "-J", *options, stdout=-1)
    softirqd = bed.Taken([])
    took, wrote = bed.ended(client, 40)
    took += bed.ended(server, 30)[0] + softirqd.ns()
    got = json.loads(wrote)["end"]["sum_received"]
    if got["bytes"] < 1 << 20:
        raise RuntimeError(f"iperf3 {' '.join(options)}: only {got['bytes']} bytes arrived")
    return took / got["bytes"] * 1024, got["bits_per_second"] / 1e9


def questions(net, seconds, proto):
    """Processor time an answer; microseconds that it was waited for."""
    server = net.start("server", PINGPONG, "serve", proto, bed.WAN, PORT, stderr=-1)
    bed.listening(net, "server", proto, PORT)
    client = net.start("client", PINGPONG, "ask", proto, bed.WAN, PORT, int(seconds * 1000), stdout=-1, stderr=-1)
    softirqd = bed.Taken([])
    took, wrote = bed.ended(client, seconds + 30)
    took += bed.ended(server, 30)[0] + softirqd.ns()
    seen = json.loads(wrote)
    if seen["answers"] < 100:
        raise RuntimeError(f"{proto}: only {seen['answers']} answers")
    return took / seen["answers"], seen["p50_ns"] / 1000, seen["p99_ns"] / 1000


def make(what):
    net = bed.Net("client", "server")
    try:
        net.cable("server", "eth0", "client", "c0")
        net.run("client", "ip", "addr", "add", "5.5.0.2/24", "dev", "c0")
        net.run("server", "ip", "addr", "add", bed.WAN + "/24", "dev", "eth0")
        net.run("server", "ip", "route", "add", "default", "via", "5.5.0.2")
        if what and what[0] == "pass":
            net.only_pass("server", "eth0")
        elif what and what[0] == "nft":
            net.nft("server", what[1])
        elif what:
            net.sally_up("server", OPEN, "--outside", "eth0", "--mode", what[1])
    except BaseException:
        net.close()
        raise
    return net


def measure(rounds, smoke):
    """All variants side by side, by turns: {(variant, metric): [a value a round]}."""
    long = ("-n", "20M") if smoke else ("-t", "1")
    jobs = [(("in_ns_kib", "in_gbits"), lambda net: bulk(net, *long)),
            (("out_ns_kib", "out_gbits"), lambda net: bulk(net, *long, "-R")),
            (("tcp_ns", "tcp_p50_us", "tcp_p99_us"), lambda net: questions(net, 0.2 if smoke else 0.5, "tcp")),
            (("udp_ns", "udp_p50_us", "udp_p99_us"), lambda net: questions(net, 0.2 if smoke else 0.5, "udp"))]
    return bed.by_turns({name: VARIANTS[name] for name in (SMOKE if smoke else VARIANTS)}, make, jobs, rounds)
