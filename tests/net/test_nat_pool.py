# SPDX-License-Identifier: BSD-2-Clause
"""`nat pool`: more than one outside address, none of which the machine itself has; the outside sends them its way."""

import re
import socket

import pytest

from lab import grown, wait_for
from talk import Tcp, Udp
from test_nat_forward import WWW, Watched
from test_programs import sha256, url

POOL = ["5.5.9.1", "5.5.9.2"]


@pytest.fixture
def pool(home):
    for address in POOL:
        home.router.run("ip", "route", "replace", f"{address}/32", "via", home.fw4)
    home.put("nat pool 5.5.9.1-5.5.9.2", WWW, "forward http to box")
    home.forget()
    yield home
    home.put()
    home.forget()


def identity(home, ns):
    """By which addresses the outside knows a computer: over TCP, UDP and ping, many conversations."""
    seen = set()
    for i in range(4):
        for kind in (Tcp, Udp):
            with kind(ns, home.web, home.web4, 7061 + i) as talk:
                assert talk.client_says(b"who am I?") and talk.server_says(b"see for yourself")
                seen.add(talk.seen()[0])
    with home.web.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sniffer:
        done = ns.run("ping", "-n", "-c", 2, "-i", 0.05, "-W", 5, home.web4)
        assert "2 received" in done.stdout, done.stdout
        seen.add(sniffer.recvfrom(2048)[1][0])
    return seen


@pytest.mark.beyond_nft
def test_one_computer_has_one_of_its_addresses(pool):
    """RFC 4787 REQ-2: paired pooling."""
    with Watched(pool):
        seen = [identity(pool, ns) for ns in (pool.john, pool.mary, pool.www)]
    assert all(len(addresses) == 1 for addresses in seen), seen
    assert set().union(*seen) <= set(POOL), seen


def test_files_and_errors(pool, tmp_path):
    with Watched(pool):
        pool.john.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(pool.web4, "/big"))
        done = pool.john.run("traceroute", "-4", "-n", "-q", 1, "-w", 2, "-m", 5, pool.web4)
    assert sha256(tmp_path / "big") == pool.servers.big_sum
    assert re.findall(r"^ *\d+ +(\S+)", done.stdout, re.M) == ["192.168.1.1", "5.5.0.2", pool.web4]


def test_the_machine_itself_keeps_its_own_address(pool):
    with Tcp(pool.fw, pool.web, pool.web4, 7066) as tcp:
        tcp.both_speak()
        assert tcp.seen()[0] == pool.fw4
    seen = pool.stranger.run("curl", "-sS", "-m", 10, url(pool.fw4, "/who")).stdout.split()
    assert seen[0] == pool.stranger4, "and forward lines answer there"


@pytest.mark.beyond_nft
def test_uninvited(pool):
    before = pool.drops()
    with pool.stranger.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for i, address in enumerate(POOL, 1):
            stranger.sendto(b"let me in", (address, 7067))
            wait_for("a refusal", lambda: grown(before, pool.drops()) == {"uninvited": i})
