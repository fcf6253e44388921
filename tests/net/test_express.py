# SPDX-License-Identifier: BSD-2-Clause
"""The express lane: the tests of a home with packets going from driver to driver, and what it alone could get wrong."""

import json
import socket
import struct
import time

import pytest

from lab import grown
from natkit import home as home_
from test_nat import (test_curl, test_datagrams_of_every_size, test_iperf3, test_iperf3_udp, test_ping,  # noqa: F401
                      test_pings_with_one_identifier, test_quic_like_udp, test_ssh)
from test_nat_forward import (test_datagrams, test_from_inside, test_from_outside,  # noqa: F401
                              test_the_lan_behind_a_router_uses_the_outside_address,
                              test_the_way_to_the_server_narrows_inside, test_traceroute_to_the_server)
from test_nat_path import (narrow_wan, test_narrow_at_the_door, test_narrow_outside, test_traceroute)  # noqa: F401
from talk import Udp


@pytest.fixture(scope="module", params=["express"])
def home(request, tmp_path_factory):
    """As everywhere, but on the express lane: links that can take redirected packets."""
    lab = home_.Home(request.param, tmp_path_factory.mktemp("home"))
    try:
        for ns, dev in ((lab.switch, "to-fw"), (lab.router, "eth0")):
            ns.run("ethtool", "-K", dev, "gro", "on")
        home_.start_servers(lab, tmp_path_factory)
        lab.open_door()
        yield lab
        for ns in lab.namespaces:
            assert not ns.checksum_errors(), ns.role
        assert lab.leaks() == 0, "packets left with a private source"
        lab.close_door()
    finally:
        lab.close()


def taken(home):
    """Packets that took the lane so far."""
    return home.sally.status()["passed"].get("express", {"packets": 0})["packets"]


@pytest.fixture
def finished(home):
    """Checksums are finished where packets are made, as a network card would; what is unfinished takes the slow way."""
    for ns in (home.john, home.mary, home.www, home.web, home.stranger):
        ns.run("ethtool", "-K", "eth0", "tx", "off")


def test_it_is_on_and_used(home, finished):
    """Packets of an answered conversation take it, both ways; one a second and next hop takes the stack."""
    lanes = {i["name"]: i["express"] for i in home.sally.status()["interfaces"] if i["guarded"]}
    assert lanes == {"lan0": True, "wan0": True}
    with Udp(home.john, home.web, home.web4, 7301) as udp:
        assert udp.client_says(b"first") and udp.server_says(b"answer")
        before = taken(home)
        for _ in range(50):
            assert udp.client_says(b"?" * 100) and udp.server_says(b"!" * 100)
        assert taken(home) - before >= 95


def test_a_hop_is_counted(home, finished):
    """What takes the lane has lived one hop, as on the slow way: the time to live that arrives is the same."""
    with Udp(home.john, home.web, home.web4, 7305) as udp:
        udp.server.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        udp.client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 40)
        lived = []
        before = taken(home)
        for _ in range(4):
            udp.client.send(b"how far is it?")
            udp.server.settimeout(5)
            text, extra, _, peer = udp.server.recvmsg(100, 100)
            lived.append(struct.unpack("i", extra[0][2])[0])
            udp.server.sendto(b"so far", peer)
            assert udp.client.recv(100) == b"so far"
        assert taken(home) - before >= 5
        assert lived == [38] * 4  # the firewall and the router


def test_a_neighbour_that_moves(home, finished):
    """Another hardware address of the next router is noticed: the neighbour table is asked every ten milliseconds."""
    with Udp(home.john, home.web, home.web4, 7302) as udp:
        assert udp.client_says(b"first") and udp.server_says(b"answer")
        old = json.loads(home.router.run("ip", "-j", "link", "show", "eth0").stdout)[0]["address"]
        home.router.run("ip", "link", "set", "eth0", "address", "02:00:00:00:aa:01")
        try:
            home.router.run("arping", "-A", "-c", 1, "-I", "eth0", "5.5.0.2", check=False)
            home.fw.run("ip", "neigh", "replace", "5.5.0.2", "lladdr", "02:00:00:00:aa:01", "dev", "wan0")
            time.sleep(0.03)  # what was known of it holds for ten milliseconds and a tick of the kernel's clock
            for _ in range(5):
                assert udp.client_says(b"again") and udp.server_says(b"yes")
        finally:
            home.router.run("ip", "link", "set", "eth0", "address", old)
            home.fw.run("ip", "neigh", "replace", "5.5.0.2", "lladdr", old, "dev", "wan0")
            time.sleep(0.03)
        assert udp.client_says(b"and back") and udp.server_says(b"yes")


def test_a_policy_that_changes_reaches_it(home, finished):
    """A line that is taken back stops what takes the lane, with its next packet."""
    home.put()
    with Udp(home.john, home.web, home.second4, 7303, at=home.second4) as udp:
        assert udp.client_says(b"first") and udp.server_says(b"answer") and udp.client_says(b"second")
        before = home.drops()
        home.put("block 5.5.1.3")
        assert not udp.client_says(b"third", seconds=1)
        assert set(grown(before, home.drops())) == {"revoked"}
        udp.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # he has been told
        home.put()
        assert udp.client_says(b"fourth")
