# SPDX-License-Identifier: BSD-2-Clause
"""Finding the way and its MTU from behind the door: every error about a translated packet reaches the one who sent it."""

import errno
import re
import socket

import pytest

from lab import wait_for
from talk import Tcp, Udp
from test_nat_forward import IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO, learnt
from test_programs import both

pytestmark = pytest.mark.usefixtures("honest")
IP_RECVERR = 11
INSIDE_MTU, ROUTER_MTU = 1280, 1300


@both
@pytest.mark.parametrize("how", ["udp", "tcp", "icmp"])
def test_traceroute(home, family, how):
    web = home.address("web", family)
    hops = ["192.168.1.1", "5.5.0.2", web] if family == 4 else ["2a00:1:0:1::1", "2a00:1:0:2::2", web]
    options = {"udp": [], "tcp": ["-T", "-p", 80], "icmp": ["-I"]}[how]
    done = home.john.run("traceroute", f"-{family}", "-n", "-q", 2, "-w", 2, "-m", 5, *options, web)
    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == hops, done.stdout


@pytest.mark.parametrize("how", ["udp", "icmp"])
def test_mtr_like_probes_of_two_computers_at_once(home, how):
    """Both probe the same server with the same numbers."""
    options = {"udp": ["--sport=33333", "-U", "-p", 33434], "icmp": ["-I"]}[how]
    running = [ns.start("traceroute", "-4", "-n", "-q", 1, "-w", 2, "-m", 4, *options, home.web4, stdout=-1, text=True)
               for ns in (home.john, home.mary)]
    for process in running:
        said = process.communicate(timeout=20)[0]
        assert [line.split()[1] for line in said.splitlines()[1:]] == ["192.168.1.1", "5.5.0.2", home.web4], said


@both
def test_tracepath(home, family):
    home.forget_paths()
    done = home.john.run("tracepath", f"-{family}", "-n", "-m", 6, home.address("web", family), timeout=40)
    assert re.search(rf"Resume: pmtu {ROUTER_MTU}\b", done.stdout), done.stdout


def pmtu_socket(sock, family):
    """From now on it sends whole datagrams only, and is told when they are too big."""
    option = (socket.IPPROTO_IP, IP_MTU_DISCOVER) if family == 4 else (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)
    sock.setsockopt(*option, PMTUDISC_DO)


@both
def test_narrow_outside(home, family):
    """The router outside says so about John's translated packets."""
    home.forget_paths()
    web = home.address("web", family)
    with Tcp(home.john, home.web, web, 7041, family) as tcp:
        assert tcp.client_says(b"x" * 100_000) and tcp.server_says(b"y" * 100_000)
    assert learnt(home, home.john, family, web) == ROUTER_MTU
    home.forget_paths()
    with Udp(home.john, home.web, web, 7041, family) as udp:
        pmtu_socket(udp.client, family)
        udp.client.send(b"x" * 1400)
        wait_for("the error", lambda: learnt(home, home.john, family, web) == ROUTER_MTU)
        assert udp.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE
        assert udp.client_says(b"x" * 1200) and udp.server_says(b"y" * 1200)


@pytest.fixture
def narrow_lan(home):
    """The way to John narrows behind the door."""
    home.narrow(home.fw, f"{home.john4}/32", f"{home.john6}/128", "lan0", INSIDE_MTU)
    home.forget_paths()
    yield
    for to in (f"{home.john4}/32", f"{home.john6}/128"):
        home.fw.run("ip", "route", "del", to)
    home.forget_paths()


@both
def test_narrow_inside(home, narrow_lan, family):
    """The door's own error is about a packet to John; to the server it must be one about a packet to the door."""
    web = home.address("web", family)
    here = home.fw4 if family == 4 else home.john6
    with Tcp(home.john, home.web, web, 7042, family) as tcp:
        assert tcp.server_says(b"y" * 100_000) and tcp.client_says(b"x" * 100_000)
    assert learnt(home, home.web, family, here) == INSIDE_MTU
    home.forget_paths()
    with Udp(home.john, home.web, web, 7042, family) as udp:
        assert udp.client_says(b"send me much")
        pmtu_socket(udp.server, family)
        udp.server.sendto(b"y" * 1400, udp.peer)
        wait_for("the error", lambda: learnt(home, home.web, family, here) == INSIDE_MTU)
        assert udp.server_says(b"y" * 1200)


@pytest.fixture
def narrow_wan(home):
    """The door's own way out is narrower than the inside, as with PPPoE."""
    routes = ((4, f"{home.web4}/32", "5.5.0.2"), (6, f"{home.web6}/128", "2a00:1:0:2::2"))
    home.forget_paths()
    for family, to, via in routes:
        home.fw.run("ip", f"-{family}", "route", "add", to, "via", via, "mtu", "lock", INSIDE_MTU)
    yield
    for family, to, via in routes:
        home.fw.run("ip", f"-{family}", "route", "del", to)
    home.forget_paths()


@both
def test_narrow_at_the_door(home, narrow_wan, family):
    """The door tells John about packets that are not yet translated; what may be cut, it cuts, and translates the pieces."""
    web = home.address("web", family)
    with Tcp(home.john, home.web, web, 7045, family) as tcp:
        assert tcp.client_says(b"x" * 100_000) and tcp.server_says(b"y" * 100_000)
    assert learnt(home, home.john, family, web) == INSIDE_MTU
    home.forget_paths()
    with Udp(home.john, home.web, web, 7045, family) as udp:
        pmtu_socket(udp.client, family)
        udp.client.send(b"x" * 1400)
        wait_for("the error", lambda: learnt(home, home.john, family, web) == INSIDE_MTU)
        assert udp.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE
        assert udp.client_says(b"x" * 1200) and udp.server_says(b"y" * 1200)
    if family == 4:
        home.forget_paths()
        with Udp(home.john, home.web, web, 7046) as udp:
            udp.client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
            for size in (1472, 4000, 20001):
                assert udp.client_says(b"x" * size) and udp.server_says(b"y" * size), size


def test_john_has_hung_up(home):
    """His computer's error reaches the server, as if the door had said it."""
    with Udp(home.john, home.web, home.web4, 7047) as udp:
        assert udp.client_says(b"hello")
        udp.client.close()
        udp.server.connect(udp.peer)
        udp.server.send(b"are you there?")
        with pytest.raises(ConnectionRefusedError):
            udp.server.recv(100)


def told(ns, address):
    """Which error a datagram brings back."""
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)  # of all errors, not only of lasting ones
        sock.connect((address, 7043))
        sock.send(b"hello?")
        with pytest.raises(OSError) as error:
            sock.recv(100)
        return error.value.errno


def test_unreachable(home):
    """A port where nobody listens, told by the server; what the router knows of hosts beyond it."""
    home.router.run("nft", "-f", "-", stdin="""table ip walls { chain forward { type filter hook forward priority 0;
        ip daddr 5.5.3.1 reject with icmp host-unreachable
        ip daddr 5.5.3.2 reject with icmp net-unreachable
        ip daddr 5.5.3.3 reject with icmp admin-prohibited
        }
        }""")
    home.router.run("ip", "route", "replace", "5.5.3.0/24", "via", home.web4)
    for ns in (home.john, home.mary):
        with ns.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            assert sock.connect_ex((home.web4, 7043)) == errno.ECONNREFUSED
        assert told(ns, home.web4) == errno.ECONNREFUSED
        assert told(ns, "5.5.3.1") == told(ns, "5.5.3.3") == errno.EHOSTUNREACH
        assert told(ns, "5.5.3.2") == errno.ENETUNREACH
    home.router.run("nft", "delete", "table", "ip", "walls")


@pytest.mark.parametrize("size", [3000, 20001])
def test_datagrams_that_the_path_cuts(home, size):
    """Without DF the router cuts what John sent in pieces once more; the answer comes in pieces as well."""
    home.forget_paths()
    with Udp(home.john, home.web, home.web4, 7044) as udp:
        udp.client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
        for i in range(3):
            text = bytes([i]) * size
            assert udp.client_says(text) and udp.server_says(text)


def test_many_datagrams_in_pieces(home):
    """More than there is room for at a time, one after the other: what has passed whole takes none."""
    with Udp(home.john, home.web, home.web4, 7048) as udp:
        udp.client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
        for i in range(700):
            text = b"%04d" % i * 600
            assert udp.client_says(text) and udp.server_says(text), i
