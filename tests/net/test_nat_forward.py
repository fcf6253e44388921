# SPDX-License-Identifier: BSD-2-Clause
"""`forward`: a server inside is reached at the address of the door, from outside and from inside; for IPv6 at its own."""

import errno
import re
import select
import socket

import pytest

from lab import grown, wait_for
from natkit.home import DEEP_MTU
from talk import FAMILY, Tcp, Udp
from test_programs import both, sha256, url

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
WWW = "host box = 192.168.1.10, 2a00:1:0:1::10"
DEEP = "host cave = 192.168.2.10, 2a00:1:0:3::10"
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2


@pytest.fixture(autouse=True)
def quiet(home):
    home.put()
    home.forget()


def door(home, family, inside):
    """Where the outside reaches a server inside: at the door, or at its own IPv6 address."""
    return home.fw4 if family == 4 else inside


def refused(home, ns, address, port, kind=TCP, reason="uninvited", family=4):
    """One packet that would start a conversation is dropped, for this reason alone."""
    before = home.drops()
    with ns.socket(FAMILY[family], kind) as sock:
        sock.setblocking(False)
        sock.connect_ex((address, port))
        if kind == UDP:
            sock.send(b"let me in")
        if home.mode != "nft":
            wait_for(f"a refusal of port {port}", lambda: set(grown(before, home.drops())) == {reason}, 10, 0.02)
        else:
            assert not any(select.select([sock], [sock] if kind == TCP else [], [], 0.3)), "no silence"


class Watched:
    """What happens here is honest: nothing of it may be dropped."""

    def __init__(self, home):
        self.home = home

    def __enter__(self):
        self.before = self.home.drops()

    def __exit__(self, kind, *_):
        if kind is None:
            more = grown(self.before, self.home.drops())
            assert not more, f"honest packets were dropped: {more}"


@both
def test_from_outside(home, family, tmp_path):
    """Real web and ssh servers; the server sees the visitor's own address."""
    home.put(WWW, "forward http, ssh to box")
    with Watched(home):
        at = door(home, family, home.www6)
        seen = home.stranger.run("curl", "-sS", "-m", 10, url(at, "/who")).stdout.split()
        assert seen[0] == home.address("stranger", family)
        home.stranger.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(at, "/big"))
        assert sha256(tmp_path / "big") == home.inner.big_sum
        assert home.web.run(*home.inner.ssh_command(at, "echo", "it is me")).stdout == "it is me\n"
    refused(home, home.stranger, at, 8080, family=family)
    refused(home, home.stranger, at, 80, UDP, family=family)


def test_from_inside(home, tmp_path):
    """Hairpin: John uses the address that the world uses; the server sees the door, or its answer would go past it."""
    home.put(WWW, "forward http to box")
    with Watched(home):
        for role in ("john", "mary"):
            ns = getattr(home, role)
            assert ns.run("curl", "-sS", "-m", 10, url(home.fw4, "/who")).stdout.split()[0] == home.fw4
        home.john.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(home.fw4, "/big"))
        assert sha256(tmp_path / "big") == home.inner.big_sum
        seen = home.john.run("curl", "-sS", "-m", 10, url(home.www4, "/who")).stdout.split()
        assert seen[0] == home.john4, "at its own address it is an ordinary neighbour"


def test_the_server_itself_uses_the_outside_address(home):
    home.put(WWW, "forward http to box")
    with Watched(home):
        assert home.www.run("curl", "-sS", "-m", 10, url(home.fw4, "/who")).stdout.split()[0] == home.fw4


def test_the_lan_behind_a_router_uses_the_outside_address(home):
    """`deep` is private and inside, but of another network than the server."""
    home.put(WWW, "forward http to box")
    with Watched(home):
        assert home.deep.run("curl", "-sS", "-m", 10, url(home.fw4, "/who")).stdout.split()[0] == home.fw4


@both
def test_the_pinhole_is_for_that_service_alone(home, family):
    home.put(WWW, "forward tcp/7021 to box")
    with Tcp(home.stranger, home.www, door(home, family, home.www6), 7021, family) as tcp:
        tcp.both_speak()
        assert tcp.seen()[0] == home.address("stranger", family)
    refused(home, home.stranger, door(home, family, home.www6), 7022, family=family)
    refused(home, home.stranger, door(home, family, home.john6), 22 if family == 4 else 7021, family=family)


def test_an_inside_address_is_not_reached_from_outside(home):
    """A neighbour outside who sends to 192.168.1.10 itself does not come in by the line, although the way exists."""
    home.put(WWW, "forward tcp/7021 to box")
    home.router.run("ip", "route", "add", "192.168.1.0/24", "via", home.fw4)
    try:
        refused(home, home.stranger, home.www4, 7021)
    finally:
        home.router.run("ip", "route", "del", "192.168.1.0/24")


def test_to_another_port(home):
    """Real ssh at port 2222 outside, 22 inside; the number inside is not open outside."""
    home.put("forward tcp/2222 to 192.168.1.10:22")
    with Watched(home):
        for ns in (home.stranger, home.mary):
            command = home.inner.ssh_command(home.fw4, "echo", "it is me")
            assert ns.run(command[0], "-p", 2222, *command[1:]).stdout == "it is me\n"
    refused(home, home.stranger, home.fw4, 22)


def test_only_from_some(home):
    home.put("forward tcp/7021 from 5.5.2.0/24 to 192.168.1.10")
    with Tcp(home.stranger, home.www, home.fw4, 7021) as tcp:
        tcp.both_speak()
    refused(home, home.web, home.fw4, 7021)


@pytest.mark.beyond_nft
def test_an_exception_for_some(home):
    """A line with `from` beats one without, in whichever order."""
    for lines in (("forward tcp/7021 to 192.168.1.10", "forward tcp/7021 from 5.5.2.0/24 to 192.168.1.3"),
                  ("forward tcp/7021 from 5.5.2.0/24 to 192.168.1.3", "forward tcp/7021 to 192.168.1.10")):
        home.put(*lines)
        with Tcp(home.stranger, home.mary, home.fw4, 7021) as tcp:
            tcp.both_speak()
        with Tcp(home.web, home.www, home.fw4, 7021) as tcp:
            tcp.both_speak()


@pytest.mark.beyond_nft
@both
def test_block_beats_it(home, family):
    home.put(WWW, "forward tcp/7032 to box", "block 5.5.2.0/24, 2a00:2:0:2::/64")
    at = door(home, family, home.www6)
    refused(home, home.stranger, at, 7032, reason="blocked", family=family)
    with Tcp(home.web, home.www, at, 7032, family) as tcp:
        tcp.both_speak()


def test_all_ports_to_one_host(home):
    """
    The exposed host of a home router. What the machine itself and others inside began stays theirs, and they still get
    outside ports; what nobody began is his.
    """
    home.put("forward tcp/1-65535, udp/1-65535 to 192.168.1.10")
    with Watched(home):
        with Tcp(home.john, home.web, home.web4, 7033, source=40051) as john, \
                Tcp(home.fw, home.web, home.web4, 7034) as own, Udp(home.mary, home.web, home.web4, 7035) as mary:
            assert mary.client_says(b"Mary") and mary.seen()[0] == home.fw4
            for tcp in (john, own):
                tcp.both_speak()
                assert tcp.seen()[0] == home.fw4
            for port in (1, 7036, 65535):
                with Tcp(home.stranger, home.www, home.fw4, port) as tcp:
                    tcp.both_speak()
            with Udp(home.stranger, home.www, home.fw4, 7037) as udp:
                assert udp.client_says(b"anybody?") and udp.server_says(b"www")
            for tcp in (john, own):
                tcp.both_speak()
            assert mary.server_says(b"hello Mary")


@both
def test_datagrams(home, family):
    """Answers come from the door; datagrams in pieces, both ways."""
    home.put(WWW, "forward udp/7022 to box")
    with Watched(home), Udp(home.stranger, home.www, door(home, family, home.www6), 7022, family) as udp:
        for size in (0, 1, 1200, 4000):
            assert udp.client_says(b"?" * size), size
            assert udp.seen()[0] == home.address("stranger", family)
            assert udp.server_says(b"!" * size), size  # a connected socket hears nobody else


@pytest.mark.beyond_nft
def test_the_server_of_a_port_keeps_it_for_what_it_starts(home):
    """The port that is forwarded to John's console is the one that the world sees when the console itself speaks."""
    home.put("forward udp/3074 to 192.168.1.2")
    with Udp(home.mary, home.web, home.web4, 7023, source=3074) as mary:
        assert mary.client_says(b"Mary") and mary.seen()[1] != 3074
        with Udp(home.john, home.web, home.web4, 7024, source=3074) as john:
            assert john.client_says(b"John") and john.seen() == (home.fw4, 3074)
            assert john.server_says(b"hello John") and mary.server_says(b"hello Mary")


@both
def test_nobody_listens_there(home, family):
    """The server's refusals reach the stranger as if the door had said it: a reset, and an ICMP error."""
    home.put(WWW, "forward tcp/7025, udp/7025 to box")
    at = door(home, family, home.www6)
    with Watched(home):
        with home.stranger.socket(FAMILY[family], TCP) as sock:
            assert sock.connect_ex((at, 7025)) == errno.ECONNREFUSED
        with home.stranger.socket(FAMILY[family], UDP) as sock:
            sock.connect((at, 7025))
            sock.send(b"hello?")
            with pytest.raises(ConnectionRefusedError):
                sock.recv(100)


def test_nobody_listens_there_from_inside(home):
    """The same over the hairpin: the error is translated twice."""
    home.put(WWW, "forward tcp/7025, udp/7025 to box")
    with Watched(home):
        with home.john.socket(socket.AF_INET, TCP) as sock:
            assert sock.connect_ex((home.fw4, 7025)) == errno.ECONNREFUSED
        with home.john.socket(socket.AF_INET, UDP) as sock:
            sock.connect((home.fw4, 7025))
            sock.send(b"hello?")
            with pytest.raises(ConnectionRefusedError):
                sock.recv(100)


def learnt(home, ns, family, address):
    """The path's MTU as a computer has learnt it from errors."""
    found = re.search(r"\bmtu (\d+)", ns.run("ip", f"-{family}", "route", "get", address).stdout)
    return int(found[1]) if found else None


@pytest.mark.parametrize("who, family", [("stranger", 4), ("stranger", 6), ("mary", 4)])
def test_the_way_to_the_server_narrows_inside(home, who, family):
    """
    www is the router to the server and says so, from its own private address and about a private one: what the visitor
    gets is about the conversation that he knows.
    """
    home.put(DEEP, "forward tcp/7026, udp/7026 to cave")
    home.forget_paths()
    at = door(home, family, home.deep6)
    visitor = getattr(home, who)
    with Watched(home), Tcp(visitor, home.deep, at, 7026, family) as tcp:
        assert tcp.client_says(b"x" * 100_000), "full segments are too big, and the error must come back"
        assert tcp.server_says(b"y" * 100_000)
    assert learnt(home, visitor, family, at) == DEEP_MTU
    home.forget_paths()
    with Watched(home), Udp(visitor, home.deep, at, 7026, family) as udp:
        option = (socket.IPPROTO_IP, IP_MTU_DISCOVER) if family == 4 else (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)
        udp.client.setsockopt(*option, PMTUDISC_DO)
        udp.client.send(b"x" * 1400)
        wait_for("the error", lambda: learnt(home, visitor, family, at) == DEEP_MTU)
        assert udp.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE
        assert udp.client_says(b"x" * 1200) and udp.server_says(b"y" * 1200)


@both
def test_the_way_to_the_visitor_narrows_outside(home, family):
    """A router outside cannot pass on what the server sends: its error is about a packet of the door's."""
    home.put(WWW, "forward tcp/7031 to box")
    home.narrow(home.router, f"{home.stranger4}/32", f"{home.stranger6}/128", "s0", DEEP_MTU)
    home.forget_paths()
    visitor = home.address("stranger", family)
    try:
        with Watched(home), Tcp(home.stranger, home.www, door(home, family, home.www6), 7031, family) as tcp:
            assert tcp.server_says(b"y" * 100_000) and tcp.client_says(b"x" * 100_000)
        assert learnt(home, home.www, family, visitor) == DEEP_MTU
    finally:
        for to in (f"{home.stranger4}/32", f"{home.stranger6}/128"):
            home.router.run("ip", "route", "del", to)
        home.forget_paths()


@pytest.mark.parametrize("who", ["stranger", "mary"])
def test_traceroute_to_the_server(home, who):
    """The hops behind the door have no addresses that the outside knows: they appear as the door's."""
    home.put(DEEP, "forward http to cave")
    with home.deep.socket(socket.AF_INET, TCP) as listener, Watched(home):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        done = getattr(home, who).run("traceroute", "-4", "-n", "-q", 1, "-w", 2, "-m", 6, "-T", "-p", 80, home.fw4)
    hops = [line.split()[1] for line in done.stdout.splitlines()[1:]]
    # the door by whichever address, www as the door, the server as the door
    before = [["5.5.2.1", home.fw4]] if who == "stranger" else [["192.168.1.1"], [home.fw4]]
    assert hops in [hop + [home.fw4] * 2 for hop in before], done.stdout


def test_a_line_taken_back_ends_what_it_let_in(home):
    stays = "forward tcp/7028 to 192.168.1.3"
    home.put("forward tcp/7027 to 192.168.1.10", stays)
    with Tcp(home.stranger, home.www, home.fw4, 7027) as doomed, Tcp(home.stranger, home.mary, home.fw4, 7028) as other, \
            Tcp(home.john, home.web, home.web4, 7029) as own:
        for tcp in (doomed, other, own):
            tcp.both_speak()
        home.put(stays)
        if home.mode == "nft":
            return
        before = home.drops()
        doomed.client.sendall(b"the next packet")
        wait_for("its end", lambda: grown(before, home.drops()).get("revoked"))
        for tcp in (other, own):
            tcp.both_speak()
        doomed.server.setblocking(False)
        with pytest.raises(BlockingIOError):
            doomed.server.recv(100)
        doomed.abort()


def test_another_server_takes_over(home):
    """The line now names another host: conversations with the old one end, new ones go to the new one."""
    home.put("forward tcp/7030 to 192.168.1.10")
    with Tcp(home.stranger, home.www, home.fw4, 7030) as old:
        old.both_speak()
        home.put("forward tcp/7030 to 192.168.1.3")
        with Tcp(home.stranger, home.mary, home.fw4, 7030) as new:
            new.both_speak()
        if home.mode == "nft":
            return
        before = home.drops()
        old.client.sendall(b"the next packet")
        wait_for("its end", lambda: grown(before, home.drops()).get("revoked"))
        old.abort()
