# SPDX-License-Identifier: BSD-2-Clause
"""The stranger's nmap: which scans he tries, and what they told him."""

import xml.etree.ElementTree as xml

TCP_PORTS = [21, 22, 25, 80, 443, 3389, 5201, 8080]
UDP_PORTS = [53, 67, 123, 161, 443, 500]
OPEN_TCP = [22, 80, 443, 8080]
OPEN_UDP = [53, 443]
PROTOCOLS = "1,2,6,17,41,47,50,51,58,89,132"

# What learns nothing leaves ports in one of these states.
NOTHING = {"filtered", "open|filtered", "no-response"}

_tcp = ["-p", ",".join(map(str, TCP_PORTS))]
_udp = ["-p", ",".join(map(str, UDP_PORTS))]
SCANS = {
    "syn": ["-sS", *_tcp],
    "ack": ["-sA", *_tcp],
    "window": ["-sW", *_tcp],
    "fin": ["-sF", *_tcp],
    "null": ["-sN", *_tcp],
    "xmas": ["-sX", *_tcp],
    "maimon": ["-sM", *_tcp],
    "udp": ["-sU", *_udp],
    "protocols": ["-sO", "-p", PROTOCOLS],
    "from-port-53-tcp": ["-sS", "--source-port", "53", *_tcp],
    "from-port-53-udp": ["-sU", "--source-port", "53", *_udp],
    "bad-checksums": ["-sS", "--badsum", *_tcp],
    "syn-fin": ["-sS", "--scanflags", "SYNFIN", *_tcp],
}
# nmap makes fragments of IPv4 only
SCANS4 = {
    "fragments": ["-sS", "-f", *_tcp],
    "tiny-fragments-ack": ["-sA", "-f", "-f", *_tcp],
}


def scan(stranger, options, targets, family):
    """Runs nmap; returns {(address, protocol, port): state} with one entry for every port asked for."""
    done = stranger.run("nmap", *(["-6"] if family == 6 else []), "-n", "-Pn", "-T5", "--max-retries", 1,
                        "--max-rtt-timeout", "150ms", "--initial-rtt-timeout", "100ms", "--disable-arp-ping",
                        *options, "-d1", "-v0", "-oX", "-", *targets, timeout=90)
    states = {}
    for host in xml.fromstring(done.stdout[done.stdout.index("<?xml"):]).iter("host"):
        if host.find("address") is None:
            continue
        address = host.find("address").get("addr")
        for port in host.iter("port"):
            states[address, port.get("protocol"), port.get("portid")] = port.find("state").get("state")
        for extra in host.iter("extraports"):
            states[address, "extra", extra.get("state")] = extra.get("state")
    return states
