# SPDX-License-Identifier: BSD-2-Clause
"""A gateway with two ways out, for what the express lane must notice while it is used.

    john --- lan0 fw wan0 --- hub --- eth0 a w0 --- ea web
                  |            +----- eth0 b w0 --- eb
                  +-- wan1 ---------- eth1

    john 192.168.1.2 (translated), 6.6.1.2 (not), 2a00:1:0:1::2     web 5.5.9.9, 2a00:2:0:9::9, reached by a or by b
    fw   wan0 5.5.0.1, 2a00:1:0:2::1; wan1 5.6.0.1, 2a00:1:0:6::1     a 5.5.0.2, b 5.5.0.3 and 5.6.0.2 (IPv6 likewise)

a and b count what they see of john's packets to the tests' ports. A test is told which way packets are to take: "lane", or
"slow", which is the same firewall without the express lane. What holds on the one must hold on the other.
"""

import hashlib
import json
import os
import socket
import struct
import threading

from lab import Lab, Namespace, Sally
from talk import FAMILY

KINDS = ("translated", "public", "v6")
WEB = {"translated": "5.5.9.9", "public": "5.5.9.9", "v6": "2a00:2:0:9::9"}
JOHN = {"translated": "192.168.1.2", "public": "6.6.1.2", "v6": "2a00:1:0:1::2"}
GATE = {4: {"a": "5.5.0.2", "b": "5.5.0.3", "b1": "5.6.0.2"},
        6: {"a": "2a00:1:0:2::2", "b": "2a00:1:0:2::3", "b1": "2a00:1:0:6::2"}}
DEV = {"a": "wan0", "b": "wan0", "b1": "wan1"}
NET = {4: "5.5.9.9/32", 6: "2a00:2:0:9::9/128"}
PORTS = "7400-7499"
IP_RECVERR, IPV6_RECVERR = 11, 25
COUNT = f"""table inet count {{ counter seen {{ }}
    chain pre {{ type filter hook prerouting priority -300;
        meta l4proto {{ tcp, udp }} th dport {PORTS} counter name seen; }}
    }}"""


def family_of(kind):
    return 6 if kind == "v6" else 4


class Patient(Sally):
    """All the firewalls of a machine wait for each other's commands."""

    def __call__(self, *argv, **kw):
        kw["timeout"] = 120
        return super().__call__(*argv, **kw)


class LaneLab(Lab):
    """Closed with close(), as every lab."""

    def __init__(self, directory):
        self.way = None
        self.is_watched = None  # by sallyd; None: it is down
        self.dir = directory
        super().__init__("lane")

    def _build(self):
        self.fw = Namespace(self, "fw")
        self.sally = Patient(self.fw)
        for role in ("john", "hub", "a", "b", "web"):
            setattr(self, role, Namespace(self, role))
        for ns in self.namespaces:
            ns.sysctl("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                      "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0")
        for ns in (self.fw, self.a, self.b):
            self.forwards(ns)
        self.link(self.fw, "lan0", self.john, "eth0", "192.168.1.{}/24", "2a00:1:0:1::{}/64")
        self._address(self.fw, "lan0", "6.6.1.1/24")
        self._address(self.john, "eth0", "6.6.1.2/24")
        self.default_route(self.john, "192.168.1.1", "2a00:1:0:1::1")
        self._build_wan()
        for ns, dev in ((self.john, "eth0"), (self.hub, "fw0"), (self.b, "eth1")):
            ns.run("ethtool", "-K", dev, "gro", "on")  # takes redirected packets
        self.offloads("off")
        self._routes()
        for ns in (self.a, self.b):
            ns.run("nft", "-f", "-", stdin=COUNT)

    def _build_wan(self):
        self.hub.run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", 0)
        self.hub.run("ip", "link", "set", "br0", "up")
        for ns, dev, port, number in ((self.fw, "wan0", "fw0", 1), (self.a, "eth0", "a0", 2), (self.b, "eth0", "b0", 3)):
            ns.run("ip", "link", "add", dev, "type", "veth", "peer", "name", port, "netns", self.hub.name)
            self.hub.run("ip", "link", "set", port, "master", "br0", "up")
            self._address(ns, dev, f"5.5.0.{number}/24", f"2a00:1:0:2::{number}/64")
            ns.run("ip", "link", "set", dev, "up")
        self.link(self.fw, "wan1", self.b, "eth1", "5.6.0.{}/24", "2a00:1:0:6::{}/64")
        self.link(self.a, "w0", self.web, "ea", "5.5.1.{}/24", "2a00:2:0:1::{}/64")
        self.link(self.b, "w0", self.web, "eb", "5.5.3.{}/24", "2a00:2:0:3::{}/64")
        self._address(self.web, "lo", *NET.values())

    @staticmethod
    def _address(ns, dev, *nets):
        for net in nets:
            ns.run("ip", "addr", "add", net, "dev", dev, *(["nodad"] if ":" in net else []))

    def _routes(self):
        self.default_route(self.fw, GATE[4]["a"], GATE[6]["a"])
        for ns, n4, n6 in ((self.a, "5.5.1.2", "2a00:2:0:1::2"), (self.b, "5.5.3.2", "2a00:2:0:3::2")):
            for to, via in ((NET[4], n4), (NET[6], n6), ("6.6.1.0/24", "5.5.0.1"), ("2a00:1:0:1::/64", "2a00:1:0:2::1")):
                ns.run("ip", "route", "add", to, "via", via)
        self.answers_by("a")

    def answers_by(self, gate):
        """What the web server answers goes by a, by b to wan0, or (b1) by b to wan1."""
        n = "1" if gate == "a" else "3"
        for net, via in (("default", f"5.5.{n}.1"), ("default", f"2a00:2:0:{n}::1")):
            self.web.run("ip", *(["-6"] if ":" in via else []), "route", "replace", net, "via", via)
        via = ("5.6.0.1", "2a00:1:0:6::1") if gate == "b1" else ("5.5.0.1", "2a00:1:0:2::1")
        self.b.run("ip", "route", "replace", "6.6.1.0/24", "via", via[0])
        self.b.run("ip", "route", "replace", "2a00:1:0:1::/64", "via", via[1])
        if gate == "b1":
            self.b.run("ip", "route", "replace", "5.5.0.1/32", "via", via[0])  # whom the translated ones are
        else:
            self.b.run("ip", "route", "del", "5.5.0.1/32", check=False)

    def offloads(self, how):
        """Are checksums and segments finished where packets are made ("off"), or left to whoever can ("on")?"""
        for ns, dev in ((self.john, "eth0"), (self.web, "ea"), (self.web, "eb")):
            ns.run("ethtool", "-K", dev, "tx", how)

    def up(self, *options, lines=(), daemon=False):
        """With these lines as its configuration; the tests' interfaces are outside."""
        self.lines = ("wan wan0, wan1", "lan lan0", *lines)
        return self.sally.up("--config", self._file(self.lines), "--flows", 100000, *options, daemon=daemon).stdout

    def put(self, *lines, trial=None, zones=True):
        """Puts these lines in force; those that were are gone."""
        self.lines = (*(("wan wan0, wan1", "lan lan0") if zones else ()), *lines)
        return self.sally("apply", *(("--trial", trial) if trial else ("--no-trial",)), self._file(self.lines)).stdout

    def _file(self, lines):
        path = f"{self.dir}/{len(os.listdir(self.dir))}.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        return path

    def open(self, way):
        """The firewall comes up; or changes from one way to the other."""
        line = "express on" if way == "lane" else "express off"
        if self.way:
            self.put(line)
        else:
            self.up("--mode", "xdp", lines=[line])
        self.way = way

    def straight(self):
        """The routes are again what they were first."""
        for family in (4, 6):
            if self.fw.run("ip", f"-{family}", "route", "show", NET[family]).stdout.strip():
                self.route("del", family)
        self.answers_by("a")

    def lanes(self):
        return {i["name"]: i["express"] for i in self.sally.status()["interfaces"] if i["guarded"]}

    def taken(self):
        """Packets that took the lane so far."""
        return self.sally.status()["passed"].get("express", {"packets": 0})["packets"]

    def seen(self):
        """How many of john's packets a and b have seen."""
        out = []
        for ns in (self.a, self.b):
            words = ns.run("nft", "list", "counter", "inet", "count", "seen").stdout.split()
            out.append(int(words[words.index("packets") + 1]))
        return tuple(out)

    def route(self, what, family, gate=None, *more):
        """what: add, del, replace: fw's own route to the web server; gate: by whom."""
        via = ("via", GATE[family][gate], "dev", DEV[gate]) if gate else ()
        self.fw.run("ip", f"-{family}", "route", what, NET[family], *via, *more)

    def switcher(self, family):
        """A function that does what route("replace", family, gate) does, without a process: some ten microseconds."""
        sock = self.fw.inside(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0)
        index = {dev: self.fw.inside(socket.if_nametoindex, dev) for dev in set(DEV.values())}
        af, to = FAMILY[family], NET[family].split("/")

        def attribute(kind, data):
            return struct.pack("HH", 4 + len(data), kind) + data

        def switch(gate):
            body = struct.pack("BBBBBBBBI", af, int(to[1]), 0, 0, 254, 3, 0, 1, 0)  # main, as `ip` does, unicast
            body += attribute(1, socket.inet_pton(af, to[0])) + attribute(5, socket.inet_pton(af, GATE[family][gate]))
            body += attribute(4, struct.pack("I", index[DEV[gate]]))
            sock.send(struct.pack("IHHII", 16 + len(body), 24, 0x505, 1, 0) + body)  # RTM_NEWROUTE: REPLACE, CREATE, ACK
            error = struct.unpack("i", sock.recv(4096)[16:20])[0]
            assert error == 0, os.strerror(-error)

        return switch

    def neighbour(self, gate, family):
        """What fw knows of a gate's hardware address."""
        text = self.fw.run("ip", "-j", f"-{family}", "neigh", "show", GATE[family][gate], "dev", DEV[gate]).stdout
        return (json.loads(text or "[]") or [{}])[0]


    def widths(self, inside, outside):
        """How large packets may be between john and fw, and between fw and a, b; everywhere else 9000 bytes."""
        for ns, devs, mtu in ((self.john, ["eth0"], inside), (self.fw, ["lan0"], inside), (self.fw, ["wan0"], outside),
                              (self.hub, ["fw0", "a0", "b0", "br0"], outside), (self.a, ["eth0"], outside),
                              (self.b, ["eth0"], outside), (self.a, ["w0"], 9000), (self.web, ["ea", "eb"], 9000),
                              (self.b, ["w0"], 9000)):
            for dev in devs:
                ns.run("ip", "link", "set", dev, "mtu", mtu)
        self.forget_paths()

    def forget_paths(self):
        """What was learnt of paths' MTUs is forgotten."""
        for ns in (self.john, self.fw, self.web):
            for version in ("-4", "-6"):
                ns.run("ip", version, "route", "flush", "cache")


class Stream:
    """A TCP connection of one kind from john to the web server."""

    def __init__(self, lab, kind, port):
        family = FAMILY[family_of(kind)]
        self.listener = lab.web.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((WEB[kind], port))
        self.listener.listen(1)
        self.client = lab.john.socket(family, socket.SOCK_STREAM)
        self.client.bind((JOHN[kind], 0))
        self.client.connect((WEB[kind], port))
        self.server = self.listener.accept()[0]
        for sock in (self.client, self.server):
            sock.settimeout(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in (self.client, self.server, self.listener):
            sock.close()

    def carry(self, data, upwards, on_way=()):
        """
        One end sends data, and the other has it, byte for byte. on_way: functions that are called one after the other,
        evenly spread over what arrives.
        """
        end, other = (self.client, self.server) if upwards else (self.server, self.client)
        sender = threading.Thread(target=end.sendall, args=(data,))
        sender.start()
        got, digest, left = 0, hashlib.sha256(), list(on_way)
        step = len(data) // (len(left) + 1)
        try:
            while got < len(data):
                piece = other.recv(65536)
                assert piece, "the connection ended"
                digest.update(piece)
                got += len(piece)
                if left and got >= (len(on_way) - len(left) + 1) * step:
                    left.pop(0)()
        finally:
            sender.join(30)
        assert digest.digest() == hashlib.sha256(data).digest(), "not what was sent"
        assert not left and got == len(data)


class Talk:
    """Datagrams between john and the web server, of one kind; an answered conversation from the beginning."""

    def __init__(self, lab, kind, port, source=None):
        self.lab, self.kind, self.port = lab, kind, port
        family = FAMILY[family_of(kind)]
        self.server = lab.web.socket(family, socket.SOCK_DGRAM)
        self.server.bind((WEB[kind], port))
        self.client = lab.john.socket(family, socket.SOCK_DGRAM)
        self.client.bind((source or JOHN[kind], port + 1000))
        self.client.connect((WEB[kind], port))
        self.client.setsockopt(*((socket.IPPROTO_IP, IP_RECVERR) if family == socket.AF_INET else
                                 (socket.IPPROTO_IPV6, IPV6_RECVERR)), 1)
        self.peer = None
        self.number = 0
        for _ in range(3):
            assert self.there() and self.back(), "the way is not open"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.server.close()

    def there(self, seconds=3.0, size=100):
        """Does one datagram arrive?"""
        self.number += 1
        text = (b"%08d" % self.number).ljust(size, b"x")
        try:
            self.client.send(text)
        except OSError:  # it was told of an error of an earlier one
            self.client.send(text)
        self.server.settimeout(seconds)
        try:
            while True:  # what is older comes late
                got, self.peer = self.server.recvfrom(65536)
                if got[:8] == text[:8]:
                    return got == text
        except (TimeoutError, ConnectionError):
            return False

    def back(self, seconds=3.0, size=100):
        self.number += 1
        text = (b"%08d" % self.number).ljust(size, b"y")
        self.server.sendto(text, self.peer)
        self.client.settimeout(seconds)
        try:
            while True:
                got = self.client.recv(65536)
                if got[:8] == text[:8]:
                    return got == text
        except (TimeoutError, ConnectionError):
            return False

    def goes(self, *, by, n=10, both=True, askew=False):
        """
        n datagrams arrive, and answers, every one of them; those of john go by a or by b; on the lane, if that is on.
        askew: they come in by another interface than what they answer goes out; the lane may leave those to the stack.
        """
        before, taken = self.lab.seen(), self.lab.taken()
        for i in range(n):
            assert self.there(), f"datagram {i} did not arrive"
            assert not both or self.back(), f"answer {i} did not arrive"
        grown = [now - then for now, then in zip(self.lab.seen(), before)]
        assert grown["ab".index(by)] >= n, f"not by {by}: {grown}"
        assert grown["ba".index(by)] == 0, f"not only by {by}: {grown}"
        if self.lab.way == "lane" and not askew:
            assert self.lab.taken() - taken >= (1 + both) * n * 3 // 4, "they did not take the lane"

    def way(self, n=4):
        """By whom do these go: "a" or "b"?"""
        before = self.lab.seen()
        for i in range(n):
            assert self.there() and self.back(), f"datagram {i} did not arrive"
        grown = tuple(now - then for now, then in zip(self.lab.seen(), before))
        assert grown in ((n, 0), (0, n)), grown
        return "a" if grown[0] else "b"

    def told(self, seconds=3.0):
        """The error that a datagram brings back, or None."""
        self.client.settimeout(seconds)
        try:
            self.client.send(b"can you hear me?")
            self.client.recv(100)
        except TimeoutError:
            return None
        except OSError as error:
            return error.errno
        return 0
