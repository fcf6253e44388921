# SPDX-License-Identifier: BSD-2-Clause
"""Others who translate on the same machine: nftables, as a container engine uses it or as the door itself; and refusals."""

import re
import socket

import pytest

from lab import grown, wait_for
from talk import Tcp, Udp
from test_nat import iperf
from test_nat_forward import WWW, Watched, refused
from test_programs import sha256, url

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM

MASQUERADE = """table ip beside {
    chain post { type nat hook postrouting priority srcnat; oifname "wan0" ip saddr 192.168.0.0/16 masquerade; }
}"""
PUBLISHED = """table ip beside {
    chain pre { type nat hook prerouting priority dstnat; ip daddr 5.5.0.1 tcp dport 8080 dnat to 192.168.1.10:80; }
}"""


@pytest.fixture
def beside(home):
    """Loads a table of nftables beside sally; it is gone afterwards."""
    home.put()
    home.forget()
    yield lambda text: home.fw.run("nft", "-f", "-", stdin=text)
    home.fw.run("nft", "delete", "table", "ip", "beside")
    home.put()
    home.forget()


@pytest.mark.parametrize("lines", [(), ("nat off",)], ids=["nat", "nat-off"])
def test_nftables_masquerades_as_well(home, beside, lines, tmp_path):
    """What it has translated is treated as the machine's own, and nothing is translated twice."""
    home.put(*lines)
    beside(MASQUERADE)
    with Watched(home):
        web = home.web4
        assert home.john.run("curl", "-sS", "-m", 10, url(web, "/who")).stdout.split()[0] == home.fw4
        home.john.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(web, "/big"))
        assert sha256(tmp_path / "big") == home.servers.big_sum
        for options in ([], ["-R"]):
            assert iperf(home.john, home.web4, "-t", 1, *options)["sum_received"]["bytes"] > 10e6
        assert home.mary.run(*home.servers.ssh_command(web, "echo", "it is me")).stdout == "it is me\n"
        for role in ("john", "mary"):
            with Udp(getattr(home, role), home.web, web, 7051, source=3074) as udp:
                for size in (1, 1200, 4000):
                    assert udp.client_says(b"?" * size) and udp.seen()[0] == home.fw4
                    assert udp.server_says(b"!" * size)
        done = home.john.run("ping", "-n", "-c", 3, "-i", 0.05, "-W", 5, web)
        assert "3 received" in done.stdout, done.stdout
        with home.john.socket(socket.AF_INET, UDP) as sock:
            sock.connect((web, 7052))
            sock.send(b"hello?")
            with pytest.raises(ConnectionRefusedError):
                sock.recv(100)
    with Udp(home.john, home.web, web, 7053) as udp:
        assert udp.client_says(b"hello")
        before = home.drops()
        with home.stranger.socket(socket.AF_INET, UDP) as stranger:
            stranger.sendto(b"let me in", udp.seen())
            wait_for("a refusal", lambda: grown(before, home.drops()) == {"uninvited": 1})


def test_nftables_comes_and_goes_under_running_conversations(home, beside):
    """A conversation stays with the translator that has it; the next one gets the one that is there."""
    with Tcp(home.john, home.web, home.web4, 7054) as ours:
        ours.both_speak()
        beside(MASQUERADE)
        with Tcp(home.mary, home.web, home.web4, 7055) as theirs:
            for tcp in (ours, theirs):
                tcp.both_speak()
            assert {tcp.seen()[0] for tcp in (ours, theirs)} == {home.fw4}


def test_a_published_port_stays_shut_until_a_line_opens_it(home, beside):
    """
    nftables changes the destination before routing, as container engines publish ports. Sallyport judges what arrives at the
    interface, so the port that counts is the one published on the machine.
    """
    beside(PUBLISHED)
    assert home.mary.run("curl", "-sS", "-m", 10, url(home.www4, "/")).stdout == "hello John\n"
    refused(home, home.stranger, home.fw4, 8080)
    home.put("open tcp/80")  # the server's own number does not matter
    refused(home, home.stranger, home.fw4, 8080)
    home.put("allow outside -> inside : tcp/8080")  # nor does a line about the inside: it arrives for the machine
    refused(home, home.stranger, home.fw4, 8080)
    home.put("open tcp/8080")
    with Watched(home):
        done = home.stranger.run("curl", "-sS", "-m", 10, f"http://{home.fw4}:8080/who")
        assert done.stdout.split()[0] == home.stranger4
    home.put()
    refused(home, home.stranger, home.fw4, 8080)


def test_a_forward_line_and_a_published_port_side_by_side(home, beside):
    beside(PUBLISHED)
    home.put(WWW, "forward http to box", "open tcp/8080")
    with Watched(home):
        for port in (80, 8080):
            done = home.stranger.run("curl", "-sS", "-m", 10, f"http://{home.fw4}:{port}/who")
            assert done.stdout.split()[0] == home.stranger4


def gre(ns, address):
    """One packet of a protocol without ports, empty GRE."""
    with ns.socket(socket.AF_INET, socket.SOCK_RAW, 47) as sock:
        sock.sendto(bytes(4), (address, 0))


@pytest.mark.beyond_nft
def test_status_names_what_translation_refuses(home):
    """Two computers speak GRE to one server: nothing in its packets could tell their answers apart."""
    home.put()
    home.forget()
    before = home.drops()
    with home.web.socket(socket.AF_INET, socket.SOCK_RAW, 47) as server:
        for _ in range(2):
            gre(home.john, home.web4)
            assert server.recvfrom(100)[1][0] == home.fw4
        gre(home.mary, home.web4)
        wait_for("a refusal", lambda: grown(before, home.drops()) == {"nat_clash": 1})
        assert re.search(r"^ +nat_clash +\d+ packets .*another conversation$", home.sally("status").stdout, re.M)


@pytest.mark.beyond_nft
def test_nat_off(home):
    """The address stays as it is, and the answer comes to it; here the router sees it and lets it go no further."""
    home.put("nat off")
    home.forget()
    with home.john.socket(socket.AF_INET, UDP) as sock:
        sock.sendto(b"as I am", (home.web4, 7056))
        wait_for("a packet with a private source", lambda: home.leaks() == 1)
    home.router.run("nft", "reset", "counter", "ip", "leaks", "private")
    home.put()


@pytest.mark.beyond_nft
def test_when_all_low_ports_are_given_away_low_ports_are_refused(home):
    """
    RFC 4787 REQ-3a: a port below 1024 is translated to one below 1024. If `forward` lines have them all, there is none; that
    is refused under its own name, and others do not notice.
    """
    home.put("forward udp/1-1023 to 192.168.1.10")
    home.forget()
    before = home.drops()
    with home.john.socket(socket.AF_INET, UDP) as low:
        low.bind(("0.0.0.0", 600))
        low.sendto(b"hello", (home.web4, 7057))
        wait_for("a refusal", lambda: grown(before, home.drops()) == {"nat_ports": 1})
    assert re.search(r"^ +nat_ports +\d+ packets ", home.sally("status").stdout, re.M)
    with Udp(home.john, home.web, home.web4, 7058, source=6000) as high:
        assert high.client_says(b"hello") and high.seen() == (home.fw4, 6000)


def test_shares_of_a_busy_house(home):
    """Three computers open many sockets at once, all with the same ports: every one gets an answer from its own."""
    home.put()
    with home.web.socket(socket.AF_INET, UDP) as server:
        server.bind(("0.0.0.0", 7059))
        socks = {}
        for role in ("john", "mary", "www"):
            for port in range(45000, 45060):
                sock = getattr(home, role).socket(socket.AF_INET, UDP)
                sock.bind(("0.0.0.0", port))
                socks[f"{role} {port}".encode()] = sock
        seen = set()
        for name, sock in socks.items():
            sock.sendto(name, (home.web4, 7059))
            text, peer = server.recvfrom(100)
            assert text == name
            seen.add(peer)
            server.sendto(name, peer)
        assert len(seen) == len(socks), "two have the same outside port"
        for name, sock in socks.items():
            assert sock.recv(100) == name
            sock.close()
