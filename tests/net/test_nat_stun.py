# SPDX-License-Identifier: BSD-2-Clause
"""What STUN clients find out about the door, and who may reach a program that has an outside port."""

import select
import socket
import subprocess

import pytest

from lab import grown, wait_for
from talk import FAMILY, Udp
from test_programs import both

UDP = socket.SOCK_DGRAM
filtering = pytest.mark.parametrize("lines", [(), ("nat open",)], ids=["strict", "open"])


@pytest.fixture(autouse=True)
def quiet(home):
    home.put()
    home.forget()


def discover(home, *words):
    return home.john.start(*words, home.web4, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.beyond_nft
@filtering
def test_natdiscovery_and_stun(home, lines):
    """coturn's natdiscovery (RFC 5780) and the older stun client (RFC 3489), at the same time: each waits for silences."""
    home.put(*lines)
    running = [discover(home, *words) for words in (("turnutils_natdiscovery", "-m"), ("turnutils_natdiscovery", "-f"),
                                                    ("turnutils_natdiscovery", "-H"), ("stun",))]
    mapping, filters, hairpin, old = (process.communicate(timeout=40)[0] for process in running)
    assert "NAT with Endpoint Independent Mapping!" in mapping, mapping
    assert f"UDP reflexive addr: {home.fw4}:" in mapping
    kind = "Endpoint Independent" if lines else "Address and Port Dependent"
    assert f"NAT with {kind} Filtering!" in filters, filters
    assert "successful hairpinning" in hairpin and "timeout" not in hairpin, hairpin
    assert "Independent Mapping, " + ("Independent Filter" if lines else "Port Dependent Filter") in old, old
    assert "preserves ports, will hairpin" in old, old


def arrived(*socks, seconds=5.0):
    """Who of them gets a datagram: its text and sender; fails if nobody does."""
    ready = select.select(socks, [], [], seconds)[0]
    assert ready, "nothing arrived"
    return {sock: sock.recvfrom(2048) for sock in ready}


def mapped(home, ns, port):
    """A program of ns at this port, which has spoken to the web server: its socket, and its outside address."""
    with Udp(ns, home.web, home.web4, 7099, source=port) as udp:
        assert udp.client_says(b"I am here")
        outside = udp.seen()
    sock = ns.socket(socket.AF_INET, UDP)
    sock.bind(("0.0.0.0", port))
    return sock, outside


@pytest.mark.beyond_nft
def test_nat_open_lets_anybody_speak_to_a_mapped_port(home):
    """Two consoles with the same port: each is reached at its own outside port, by strangers it never asked."""
    home.put("nat open")
    john, at_john = mapped(home, home.john, 3074)
    mary, at_mary = mapped(home, home.mary, 3074)
    assert at_john == (home.fw4, 3074) and at_mary[0] == home.fw4 and at_mary[1] != 3074
    with home.stranger.socket(socket.AF_INET, UDP) as stranger:
        for sock, at, name in ((john, at_john, b"John"), (mary, at_mary, b"Mary")):
            stranger.sendto(b"a game, " + name + b"?", at)
            got = arrived(john, mary)
            assert list(got) == [sock] and got[sock][0] == b"a game, " + name + b"?"
            assert got[sock][1][0] == home.stranger4, "a stranger keeps his own address"
            sock.sendto(b"yes", got[sock][1])
            assert stranger.recvfrom(100) == (b"yes", at)
        before = home.drops()
        stranger.sendto(b"anybody?", (home.fw4, 3075))
        wait_for("a refusal of a port that nobody holds", lambda: home.drops().get("uninvited") ==
                 before.get("uninvited", 0) + 1)
    john.close()
    mary.close()


@both
def test_answers_come_only_from_those_who_were_asked(home, family):
    """Filtering is address- and port-dependent (RFC 4787 5): others do not reach the same port, for IPv6 as well."""
    with Udp(home.john, home.web, home.address("web", family), 7011, family) as udp:
        assert udp.client_says(b"hello")
        other = home.stranger.socket(FAMILY[family], UDP)
        third = home.web.socket(FAMILY[family], UDP)
        before = home.drops()
        for sock in (other, third):
            sock.sendto(b"let me in", udp.seen())
            sock.close()
        if home.mode != "nft":
            wait_for("two refusals", lambda: grown(before, home.drops()) == {"uninvited": 2})
        assert udp.server_says(b"welcome"), "the first thing that the client gets is the answer"


def test_tcp_hole_punching(home):
    """
    RFC 5382 REQ-2, -4: the stranger's SYN is not answered; when John's leaves from that very port, both have opened at once,
    and have a connection that neither's door would have let in.
    """
    before = home.drops()
    stranger, john = (ns.socket(socket.AF_INET, socket.SOCK_STREAM) for ns in (home.stranger, home.john))
    with stranger, john:
        stranger.bind(("0.0.0.0", 40091))
        john.bind(("0.0.0.0", 40092))
        stranger.setblocking(False)
        stranger.connect_ex((home.fw4, 40092))
        if home.mode != "nft":
            wait_for("a refusal", lambda: grown(before, home.drops()) == {"uninvited": 1})
        john.connect((home.stranger4, 40091))
        stranger.settimeout(5)
        for a, b in ((john, stranger), (stranger, john)):
            a.sendall(b"through the hole")
            assert b.recv(100) == b"through the hole"
        assert stranger.getpeername() == (home.fw4, 40092)


@pytest.mark.beyond_nft
def test_two_at_home_meet_outside(home):
    """Each knows only the other's outside address (RFC 4787 REQ-9): it is what each must see as the sender's."""
    john, at_john = mapped(home, home.john, 3080)
    mary, at_mary = mapped(home, home.mary, 3080)
    for text in (b"are you at home too?", b"and again"):
        john.sendto(text, at_mary)
        assert arrived(john, mary) == {mary: (text, at_john)}
        mary.sendto(b"yes", at_john)
        assert arrived(john, mary) == {john: (b"yes", at_mary)}
    john.close()
    mary.close()


@pytest.mark.beyond_nft
def test_a_held_port_is_not_reached_from_outside_by_hairpin_rules(home):
    """What the inside may do at an outside port is not for strangers, and not for those who claim to be of the inside."""
    john, at_john = mapped(home, home.john, 3090)
    before = home.drops()
    with home.stranger.socket(socket.AF_INET, UDP) as stranger:
        stranger.sendto(b"hello", at_john)
        wait_for("a refusal", lambda: grown(before, home.drops()) == {"uninvited": 1})
    home.router.run("ip", "addr", "add", "192.168.1.77/32", "dev", "eth0")
    try:
        with home.router.socket(socket.AF_INET, UDP) as forger:
            forger.bind(("192.168.1.77", 3090))
            forger.sendto(b"I am of the house", at_john)
            wait_for("another", lambda: grown(before, home.drops()) == {"uninvited": 2})
    finally:
        home.router.run("ip", "addr", "del", "192.168.1.77/32", "dev", "eth0")
    john.setblocking(False)
    with pytest.raises(BlockingIOError):
        john.recv(100)
    john.close()
