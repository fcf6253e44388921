# SPDX-License-Identifier: BSD-2-Clause
"""Who is translated never gets a port that a socket of this machine uses; and no other port is kept from him.

On the lane and on the slow way. Senders begin as others did a moment ago: there only what each of them needs of his own is
asked for (port/precedent_bpf.h), a port above all (port/listens_bpf.h).
"""

import contextlib
import itertools
import socket

import pytest

from bpf import Chooser
from lane import JOHN, WEB

OURS = "5.5.0.1"
SERVER = (WEB["translated"], 7485)
HOSTS = (JOHN["translated"], "192.168.1.3")
ROUND = 5  # ports that are tried at once
given = set()  # by the firewall, to those who could not have their own: kept for some time
ports = (port for port in itertools.count(21000) if port not in given)

USED = {  # by a socket of: family, address, whom it is connected to
    "any address": (socket.AF_INET, "0.0.0.0", None),
    "the outside address": (socket.AF_INET, OURS, None),
    "any address of both families": (socket.AF_INET6, "::", None),
    "the same server": (socket.AF_INET, OURS, SERVER),
}
NOT_USED = {
    "any IPv6 address": (socket.AF_INET6, "::", None),
    "another address": (socket.AF_INET, "192.168.1.1", None),
    "another server": (socket.AF_INET, OURS, ("5.5.0.2", 7485)),
}


@pytest.fixture(scope="module", params=["lane", "slow"])
def lab(built, request):
    built.open(request.param)
    built.john.run("ip", "addr", "replace", f"{HOSTS[1]}/24", "dev", "eth0")
    yield built


@pytest.fixture
def begin(lab):
    """A function: a host begins a conversation from that port. By which port the server sees him, who answers him."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(lab.web.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(SERVER)

        def begin(host, port):
            client = stack.enter_context(lab.john.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.bind((host, port))
            client.sendto(b"hello from %d" % port, SERVER)
            text, peer = server.recvfrom(100)
            assert text == b"hello from %d" % port and peer[0] == OURS
            if peer[1] != port:
                given.add(peer[1])
            server.sendto(b"welcome", peer)
            assert client.recv(100) == b"welcome"
            return peer[1]

        yield begin


def begin_all(lab, begin, host, wanted):
    """By which ports those are seen who send by the wanted ones, right after others who get their own."""
    before = lab.taken()
    for port in itertools.islice(ports, 3):
        assert begin(host, port) == port
    got = [begin(host, port) for port in wanted]
    took = lab.taken() - before
    assert took >= len(wanted) if lab.way == "lane" else took == 0, took
    return got


@contextlib.contextmanager
def sockets(lab, family, address, peer, wanted, only6=False):
    with contextlib.ExitStack() as stack:
        for port in wanted:
            sock = stack.enter_context(lab.fw.socket(family, socket.SOCK_DGRAM))
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
            sock.bind((address, port))
            if peer:
                sock.connect(peer)
        yield


def given_to_nobody_else(wanted, got):
    return not set(wanted) & set(got) and len(set(got)) == len(got)


@pytest.mark.parametrize("of", USED)
def test_ports_in_use(lab, begin, of):
    """They are somebody's again as soon as the socket is closed."""
    wanted = list(itertools.islice(ports, ROUND))
    with sockets(lab, *USED[of], wanted):
        assert given_to_nobody_else(wanted, begin_all(lab, begin, HOSTS[0], wanted))
    assert begin_all(lab, begin, HOSTS[1], wanted) == wanted


@pytest.mark.parametrize("of", NOT_USED)
def test_ports_in_use_elsewhere(lab, begin, of):
    """A socket that nothing of that server's can reach keeps nobody from its port."""
    wanted = list(itertools.islice(ports, ROUND))
    with sockets(lab, *NOT_USED[of], wanted, only6=True):
        assert begin_all(lab, begin, HOSTS[0], wanted) == wanted


def test_a_port_that_a_program_serves(lab, begin):
    """Somebody's program gives what comes to a port to a socket of another one: that port is in use, too."""
    port, other = itertools.islice(ports, 2)
    with lab.fw.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((OURS, other))
        with Chooser(lab.fw, port, sock):
            assert given_to_nobody_else([port], begin_all(lab, begin, HOSTS[0], [port]))
    assert begin_all(lab, begin, HOSTS[1], [port]) == [port]
