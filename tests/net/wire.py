# SPDX-License-Identifier: BSD-2-Clause
"""Raw frames at one end of a cable: what is sent, and what comes back, byte by byte."""

import itertools
import logging
import socket
import struct
import time

logging.getLogger("scapy").setLevel(logging.ERROR)  # it warns of routes that nobody needs
from scapy.all import ICMP, IP, UDP, Ether, ICMPv6DestUnreach, ICMPv6ND_NA, ICMPv6ND_NS, IPv6, Raw  # noqa: E402

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_AUXDATA = 263, 8
TP_STATUS_VLAN_VALID = 1 << 4
MARKER_PORT = 7999  # what is sent there is answered with an ICMP error


def mac_of(ns, dev):
    return ns.run("ip", "-br", "link", "show", dev).stdout.split()[2]


def tagged(data, beside):
    """The frame with its VLAN tag, which the kernel hands over beside it (struct tpacket_auxdata)."""
    for level, kind, aux in beside:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, kind = struct.unpack("IIIHHHH", aux[:20])
            if status & TP_STATUS_VLAN_VALID:
                return data[:12] + struct.pack("!HH", kind or 0x8100, tci) + data[12:]
    return data


def is_neighbour(frame):
    return frame.haslayer(ICMPv6ND_NS) or frame.haslayer(ICMPv6ND_NA)


class Wire:
    """Frames that leave and enter by device dev of ns; the other end of its cable is peer_dev of peer."""

    def __init__(self, ns, dev, peer, peer_dev):
        self.mac, self.peer_mac = mac_of(ns, dev), mac_of(peer, peer_dev)
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.bind((dev, ETH_P_ALL))
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.serial = itertools.count()

    def frame(self, packet, **eth):
        """The frame around an IP packet, from us to the other end."""
        return bytes(Ether(**{"src": self.mac, "dst": self.peer_mac, **eth}) / packet)

    def received(self, seconds):
        """Frames that come in, until nothing comes for so long."""
        self.sock.settimeout(seconds)
        while True:
            try:
                data, beside, _, address = self.sock.recvmsg(65536, 64)
            except TimeoutError:
                return
            if address[2] != PACKET_OUTGOING:
                yield tagged(data, beside)

    def drain(self):
        """Forgets what has come in so far."""
        for _ in self.received(0.01):
            pass

    def answers(self, src, dst, *frames, any_address=False):
        """
        Sends frames; returns what comes back to address src (or any), until a marker that follows them from src to dst has
        been answered twice. So nothing waits for a silence.
        """
        self.drain()
        for frame in frames:
            self.sock.send(frame)
        return [frame for _ in range(2) for frame in self._until_answered(src, dst, any_address)]

    def _until_answered(self, src, dst, any_address):
        token = b"marker-%d." % next(self.serial)
        packet = (IPv6 if ":" in src else IP)(src=src, dst=dst) / UDP(sport=40000, dport=MARKER_PORT) / token
        deadline = time.monotonic() + 10
        got = []
        while time.monotonic() < deadline:
            self.sock.send(self.frame(packet))
            for data in self.received(0.3):
                frame = Ether(data)
                ip = frame.getlayer(IP) or frame.getlayer(IPv6)
                if token in data:
                    return got
                if ip is None or frame.dst != self.mac or b"marker-" in data or is_neighbour(frame):
                    continue
                if any_address or ip.dst == src:
                    got.append(data)
        raise AssertionError(f"the marker was not answered; but {[Ether(data).summary() for data in got]}")

    def close(self):
        self.sock.close()


def quoting(packet):
    """The ICMP error that is due for this packet (RFC 1812 4.3.2.3, RFC 4443 3.1), without its IP header."""
    if packet[0] >> 4 == 4:
        return ICMP(type=3, code=13) / Raw(packet[:576 - 28])
    return ICMPv6DestUnreach(code=1) / Raw(packet[:1280 - 48])
