# SPDX-License-Identifier: BSD-2-Clause
"""What new TCP conversations cost through a gateway: connect, ask, be answered, close; wrk without keep-alive against nginx.

    john (wrk)               gw: whoever is measured               web (nginx)
    10.255.0.2  g0 ------- lan0 10.255.0.1    5.5.0.1 wan0 ------- s0  5.5.0.2

Everything runs on one processor: what is counted is the time that both programs, and their packets, took of it.
Twice: the ends finish their checksums, as whoever sends on a wire, and they leave that to the other end, as virtual cables
let them. What is unfinished can not be redirected, so the express lane has no part in it.
"""

import re
import tempfile

import bed
import packets

CONNECTIONS = 32  # at a time
NGINX = """daemon off; master_process off; pid {home}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_timeout 0;
    client_body_temp_path {home}; proxy_temp_path {home}; fastcgi_temp_path {home}; uwsgi_temp_path {home};
    scgi_temp_path {home};
    server {{ listen 80 backlog=4096; location / {{ return 200 "the page\\n"; }} }}
}}
"""

VARIANTS = {
    "plain forwarding": None,
    "XDP that only passes": ("pass",),
    "nftables stateful": ("nft", packets.NFT),
    "nftables masquerade": ("nft", packets.MASQUERADE),
    "sally tc": ("sally", "nat off\n", "tc"),
    "sally xdp": ("sally", "nat off\n", "xdp"),
    "sally express": ("sally", "nat off\n", "xdp", "--express"),
    "sally tc, translating": ("sally", "", "tc"),
    "sally xdp, translating": ("sally", "", "xdp"),
    "sally express, translating": ("sally", "", "xdp", "--express"),
}
SMOKE = ("plain forwarding", "nftables masquerade", "sally tc", "sally express, translating")
ENDS = (("john", "g0"), ("web", "s0"))
COLUMNS = {"ns": "ns/connection", "rate": "a second", "p50_us": "p50, us", "p90_us": "p90, us", "p99_us": "p99, us"}
TABLES = (
    ("Gateway: connect, request, close", COLUMNS),
    ("Gateway: connect, request, close, with unfinished checksums",
     {"virtual_" + name: text for name, text in COLUMNS.items()}),
)


class Web(bed.Net):
    """The three of them, and nginx."""

    def __init__(self, what):
        super().__init__("john", "gw", "web")
        self.home = tempfile.TemporaryDirectory()
        try:
            bed.gateway(self, "john", "g0", "web", "s0")
            for role, dev, address, via in (("john", "g0", "10.255.0.2", "10.255.0.1"), ("web", "s0", "5.5.0.2", bed.WAN)):
                self.run(role, "ip", "addr", "add", address + "/24", "dev", dev)
                self.run(role, "ip", "route", "add", "default", "via", via)
                self.run(role, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")
            self.finish(True)
            if what and what[0] == "pass":
                self.only_pass("gw", "lan0", "wan0")
            elif what and what[0] == "nft":
                self.nft("gw", what[1])
            elif what:
                self.sally_up("gw", what[1], "--outside", "wan0", "--inside", "lan0", "--mode", what[2],
                              "--flows", "1000000", *what[3:])
            conf = self.home.name + "/nginx.conf"
            with open(conf, "w", encoding="ascii") as file:
                file.write(NGINX.format(home=self.home.name))
            self.nginx = self.start("web", "nginx", "-c", conf, "-p", self.home.name, stderr=-1)
            bed.listening(self, "web", "tcp", 80)
        except BaseException:
            self.close()
            raise

    def finish(self, checksums):
        for role, dev in ENDS:
            self.run(role, "ethtool", "-K", dev, "tx", "off" if checksums else "on")

    def close(self):
        super().close()
        self.home.cleanup()


def micro(text):
    """Of what wrk says: 812.00us, 1.05ms, 2.01s; a minute is written m."""
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not found:
        raise RuntimeError(f"wrk: no time: {text}")
    return float(found.group(1)) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[found.group(2)]


def damaged(net, role):
    lines = [line.split() for line in net.run(role, "cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:")]
    return int(lines[1][lines[0].index("InCsumErrors")])


def pages(net, seconds):
    """Processor time a connection, how many there were a second, and percentiles of how long one took."""
    taken = bed.Taken([net.nginx.pid])
    took, wrote = bed.ended(net.start("john", "wrk", "-t", 1, "-c", CONNECTIONS, "-d", seconds, "--latency", "-H",
                                      "Connection: close", "http://5.5.0.2/", stdout=-1), seconds + 30)
    took += taken.ns()
    count = int(re.search(r"(\d+) requests in", wrote).group(1))
    bad = damaged(net, "john") + damaged(net, "web")
    if count < 100 or "Non-2xx" in wrote or "Socket errors" in wrote or bad:
        raise RuntimeError(f"wrk: {' '.join(wrote.split())}; damaged segments: {bad}")
    waits = [micro(re.search(rf"\n\s+{percent}%\s+(\S+)", wrote).group(1)) for percent in (50, 90, 99)]
    return took / count, float(re.search(r"Requests/sec:\s+([\d.]+)", wrote).group(1)), *waits


def unfinished(net, seconds):
    net.finish(False)
    try:
        return pages(net, seconds)
    finally:
        net.finish(True)


def measure(rounds, smoke):
    jobs = [(tuple(TABLES[0][1]), lambda net: pages(net, 1)), (tuple(TABLES[1][1]), lambda net: unfinished(net, 1))]
    return bed.by_turns({name: VARIANTS[name] for name in (SMOKE if smoke else VARIANTS)}, Web, jobs, rounds)
