# SPDX-License-Identifier: BSD-2-Clause
"""First packets of conversations on the express lane: policy, routes and addresses are what they are now, for each of them.

Each test runs twice, on the lane and on the slow way, and expects the same of both. All senders of a test begin within the
time for which an earlier one's decision is remembered (port/precedent_bpf.h).
"""

import contextlib
import itertools
import socket

import pytest

from lane import FAMILY, GATE, JOHN, KINDS, WEB, Talk, family_of
from wire import IP, UDP, IPv6, Raw, Wire

every_kind = pytest.mark.parametrize("kind", KINDS)
ports = itertools.count(20000)


@pytest.fixture(scope="module", params=["lane", "slow"])
def lab(built, request):
    built.open(request.param)
    yield built
    built.straight()


class Strangers:
    """john's datagrams to one port of the web server, each of a new conversation."""

    def __init__(self, lab, kind, port):
        self.lab, self.kind, self.port = lab, kind, port
        self.server = lab.web.socket(FAMILY[family_of(kind)], socket.SOCK_DGRAM)
        self.server.bind((WEB[kind], port))
        self.clients = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in (self.server, *self.clients):
            sock.close()

    def begin(self, seconds=3.0):
        """Does the first datagram of one more arrive?"""
        client = self.lab.john.socket(FAMILY[family_of(self.kind)], socket.SOCK_DGRAM)
        self.clients.append(client)
        client.bind((JOHN[self.kind], next(ports)))
        text = b"I am number %d" % len(self.clients)
        client.sendto(text, (WEB[self.kind], self.port))
        self.server.settimeout(seconds)
        try:
            got, self.peer = self.server.recvfrom(100)
            assert got == text
        except TimeoutError:
            return False
        return True

    def answered(self):
        """The one that has just begun gets an answer."""
        self.server.sendto(b"welcome", self.peer)
        self.clients[-1].settimeout(3)
        return self.clients[-1].recv(100) == b"welcome"

    def begin_many(self, n=20):
        """All arrive, and are answered. Returns how many packets took the lane."""
        before = self.lab.taken()
        for _ in range(n):
            assert self.begin() and self.answered()
        return self.lab.taken() - before


@every_kind
def test_they_take_it(lab, kind):
    with Strangers(lab, kind, 7470) as strangers:
        strangers.begin_many(3)
        took = strangers.begin_many(20)
    assert took >= 30 if lab.way == "lane" else took == 0, took


def connect(lab, kind, port, server):
    """john connects, both say a word, both close. Returns the segment size that the server may use."""
    client = lab.john.socket(FAMILY[family_of(kind)], socket.SOCK_STREAM)
    with client:
        client.settimeout(3)
        client.bind((JOHN[kind], 0))
        client.connect((WEB[kind], port))
        peer, _ = server.accept()
        with peer:
            peer.settimeout(3)
            size = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            client.sendall(b"hello")
            assert peer.recv(100) == b"hello"
            peer.sendall(b"welcome")
            assert client.recv(100) == b"welcome"
            client.shutdown(socket.SHUT_WR)
            assert peer.recv(100) == b""
        assert client.recv(100) == b""
    return size


@contextlib.contextmanager
def listening(lab, kind, port):
    with lab.web.socket(FAMILY[family_of(kind)], socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((WEB[kind], port))
        server.listen(50)
        server.settimeout(5)
        yield server


@every_kind
def test_connections_take_it(lab, kind):
    """From the SYN to the last acknowledgement."""
    with listening(lab, kind, 7475) as server:
        for _ in range(2):
            connect(lab, kind, 7475, server)
        before, seen = lab.taken(), sum(lab.seen())
        for _ in range(10):
            connect(lab, kind, 7475, server)
        took, seen = lab.taken() - before, sum(lab.seen()) - seen
    # what john sends is counted on its way; as much comes back, but that ends may answer with one packet or two
    assert took >= 2 * seen - 25 if lab.way == "lane" else took == 0, (took, seen)


OTHERS = {
    "drop": "meta l4proto { tcp, udp } th dport 7476 drop",
    "clamp": "tcp flags syn tcp option maxseg size set 600",
}


@every_kind
def test_rules_of_others(lab, kind):
    """Who has rules of his own for forwarded packets sees all that begin a conversation, also if others just went by.

    `status` says so, as the last one that began saw it.
    """
    family = f"IPv{family_of(kind)}"

    def told():
        line = f"express lane: what begins a conversation ({family}) takes the stack: somebody else has rules for forwarded"
        others = lab.sally.status()["express"]["others"]
        assert (line in lab.sally("status").stdout) == (others != [])
        return others

    def rules(which, hook):
        lab.fw.run("nft", "-f", "-", stdin=f"table inet others {{\nchain c {{\ntype filter hook {hook} priority 0\n"
                                           f"{OTHERS[which]}\n}}\n}}\n")

    def gone():
        lab.fw.run("nft", "-f", "-", stdin="add table inet others; delete table inet others")

    with Strangers(lab, kind, 7476) as strangers, listening(lab, kind, 7476) as server:
        strangers.begin_many(2)
        plain = connect(lab, kind, 7476, server)
        assert plain > 1000
        for hook in ("prerouting", "forward", "postrouting"):
            try:
                assert strangers.begin()
                rules("drop", hook)
                for _ in range(2):
                    assert not strangers.begin(seconds=0.1)
                assert told() == ([family.lower()] if lab.way == "lane" else [])
                with pytest.raises(TimeoutError), lab.john.socket(FAMILY[family_of(kind)], socket.SOCK_STREAM) as client:
                    client.settimeout(0.2)
                    client.connect((WEB[kind], 7476))
                gone()
                assert strangers.begin() and told() == []
                if hook != "prerouting":
                    rules("clamp", hook)
                    assert connect(lab, kind, 7476, server) <= 600
            finally:
                gone()
        assert connect(lab, kind, 7476, server) == plain


@every_kind
def test_the_very_next_one(lab, kind):
    """A route that has changed counts for the next conversation."""
    switch = lab.switcher(family_of(kind))
    with Strangers(lab, kind, 7471) as strangers:
        for gate in "ba":  # both are known as neighbours
            switch(gate)
            strangers.begin_many(2)
        before = lab.seen()
        for _ in range(20):
            for gate in "ba":
                switch(gate)
                assert strangers.begin() and strangers.begin()
        assert [now - then for now, then in zip(lab.seen(), before)] == [40, 40]
    lab.straight()


@every_kind
def test_a_rule_by_source_port(lab, kind):
    """What a rule says of the port by which somebody sends is asked for each of them."""
    family = family_of(kind)
    with Strangers(lab, kind, 7472) as strangers:
        strangers.begin_many(2)
        first = next(ports) + 1
        rule = ("iif", "lan0", "ipproto", "udp", "sport", f"{first}-{first + 9}", "lookup", "78", "prio", "78")
        lab.fw.run("ip", f"-{family}", "route", "add", "default", "via", GATE[family]["b"], "table", 78)
        lab.fw.run("ip", f"-{family}", "rule", "add", *rule)
        try:
            before = lab.seen()
            strangers.begin_many(20)
            assert [now - then for now, then in zip(lab.seen(), before)] == [10, 10]
        finally:
            lab.fw.run("ip", f"-{family}", "rule", "del", *rule)
            lab.fw.run("ip", f"-{family}", "route", "flush", "table", 78)


@every_kind
def test_a_policy_that_changes(lab, kind):
    """A line that forbids it is obeyed by the next one, and one that is taken back, too."""
    way = f"express {'on' if lab.way == 'lane' else 'off'}"
    with Strangers(lab, kind, 7473) as strangers:
        strangers.begin_many(3)
        lab.put(way, "block any -> any : udp/7473")
        before = lab.seen()
        for _ in range(3):
            assert not strangers.begin(seconds=0.1)
        assert lab.seen() == before
        lab.put(way)
        strangers.begin_many(3)


@pytest.mark.parametrize("kind", ["public", "v6"])
def test_the_same_from_another_interface(lab, kind):
    """In the name of a computer behind one interface nobody begins by another one, though both are of the same zone."""
    way = f"express {'on' if lab.way == 'lane' else 'off'}"
    lab.put("wan wan0", "lan lan0, wan1", way, zones=False)
    wire = Wire(lab.b, "eth1", lab.fw, "wan1")
    try:
        with Strangers(lab, kind, 7474) as strangers:
            strangers.begin_many(3)
            before = lab.seen()
            for _ in range(3):
                assert strangers.begin()  # a precedent that is fresh
                wire.sock.send(wire.frame(datagram(kind, next(ports), port=7474)))
            assert strangers.begin()
        assert [now - then for now, then in zip(lab.seen(), before)] == [4, 0]
    finally:
        wire.close()
        lab.put(way)


@pytest.mark.parametrize("line", ["rate 3/m", "limit 3"])
def test_an_order_is_asked_each_time(lab, line):
    """Of a line with a rate or a limit only so many begin as it says."""
    way = f"express {'on' if lab.way == 'lane' else 'off'}"
    port = 7475 if lab.way == "lane" else 7479  # what has begun on the other way counts
    lab.put(way, f"allow inside -> outside : udp/{port} {line}")
    try:
        with Strangers(lab, "public", port) as strangers:
            assert sum(strangers.begin(seconds=0.1) for _ in range(6)) == 3
    finally:
        lab.put(way)


CALLERS = {  # of our port: in which zone wan1 is, who calls from behind it, who is called
    "from inside": ("lan lan0, wan1", "wan wan0", "5.6.0.2", "192.168.1.2"),
    "to the outside": ("lan lan0", "wan wan0, wan1", "10.77.0.2", "5.5.9.9"),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_callers_that_are_known_by_our_address(lab, caller):
    """Who calls a forwarded port from inside, or with a private address somebody outside, is known by ours: each of them."""
    way = f"express {'on' if lab.way == 'lane' else 'off'}"
    *zones, source, called = CALLERS[caller]
    lab.put(*zones, way, f"forward udp/7483 to {called}", zones=False)
    lab.fw.run("ip", "addr", "replace", "10.77.0.1/24", "dev", "wan1")
    wire = Wire(lab.b, "eth1", lab.fw, "wan1")
    end = lab.john if called == JOHN["translated"] else lab.web
    try:
        with end.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((called, 7483))
            server.settimeout(3)
            calls = [wire.frame(IP(src=source, dst="5.5.0.1") / UDP(sport=next(ports), dport=7483)) for _ in range(30)]
            for call in calls:  # one right after the other: they have precedents
                wire.sock.send(call)
                assert server.recvfrom(100)[1][0] == "5.5.0.1"
    finally:
        wire.close()
        lab.fw.run("ip", "addr", "del", "10.77.0.1/24", "dev", "wan1")
        lab.put(way)


@pytest.fixture
def wire(lab):
    wire = Wire(lab.john, "eth0", lab.fw, "lan0")
    yield wire
    wire.close()


def datagram(kind, sport, dst=None, port=7476):
    ip = (IPv6 if kind == "v6" else IP)(src=JOHN[kind], dst=dst or WEB[kind])
    return ip / UDP(sport=sport, dport=port) / Raw(b"x" * 30)


def stays(lab, wire, frame):
    """The frame is seen by neither a nor b; one that is for us, sent after it, is."""
    before = lab.seen()
    wire.sock.send(frame)
    wire.sock.send(wire.frame(datagram("public", next(ports), port=7477)))
    with Talk(lab, "public", 7478) as talk:  # three there and back
        assert talk.there()
    assert sum(lab.seen()) - sum(before) == 1 + talk.number // 2 + 1


@pytest.mark.parametrize("mac", ["02:00:00:00:77:77", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05"])
@every_kind
def test_frames_for_others(lab, wire, kind, mac):
    """An interface that listens to everything sees frames for other machines: they are not ours to send on."""
    lab.fw.run("ip", "link", "set", "lan0", "promisc", "on")
    try:
        stays(lab, wire, wire.frame(datagram(kind, next(ports)), dst=mac))
        with Talk(lab, kind, 7476) as talk:  # and of an answered conversation
            stays(lab, wire, wire.frame(datagram(kind, 8476), dst=mac))
            assert talk.there() and talk.back()
    finally:
        lab.fw.run("ip", "link", "set", "lan0", "promisc", "off")


@pytest.mark.parametrize("kind,dst", [("public", "239.1.2.3"), ("public", "255.255.255.255"), ("public", "5.5.0.255"),
                                      ("v6", "ff0e::1234"), ("v6", "fe80::1234")])
def test_destinations_that_are_not_passed_on(lab, wire, kind, dst):
    """Groups, everybody, and what is on the link only."""
    for _ in range(2):
        stays(lab, wire, wire.frame(datagram(kind, next(ports), dst)))
