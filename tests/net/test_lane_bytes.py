# SPDX-License-Identifier: BSD-2-Clause
"""Files over every mix of packet sizes, and while everything changes, byte for byte: on the lane as on the slow way."""

import os
import socket

import pytest

from lane import GATE, KINDS, Stream, Talk, family_of

SIZES = (9000, 1500, 1280)
UDP_SEGMENT = 103


@pytest.fixture(scope="module", params=["lane", "slow"])
def lab(built, request):
    built.open(request.param)
    return built


@pytest.fixture(autouse=True)
def nothing_is_stopped(lab):
    before = lab.sally.drops()
    yield
    lab.straight()
    assert lab.sally.drops() == before


def took_the_lane(lab, before, least):
    """So many packets at least; on the slow way none."""
    grown = lab.taken() - before
    assert grown >= least if lab.way == "lane" else grown == 0, grown


@pytest.mark.parametrize("outside", SIZES)
@pytest.mark.parametrize("inside", SIZES)
def test_files(lab, inside, outside):
    """Both ways, and datagrams that just fit, just not, and come in pieces. Neither end knows how narrow the way is."""
    lab.widths(inside, outside)
    data = os.urandom(300_000)
    narrow = min(inside, outside)
    for number, kind in enumerate(KINDS):
        with Stream(lab, kind, 7440 + number) as stream:
            before = lab.taken()
            stream.carry(data, upwards=True)
            stream.carry(data, upwards=False)
            took_the_lane(lab, before, 2 * len(data) // narrow)
        with Talk(lab, kind, 7440 + number) as talk:
            if kind != "v6":  # whoever sends may cut, and so may routers
                for sock in (talk.client, talk.server):
                    sock.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER
            header = 48 if kind == "v6" else 28
            for size in (narrow - header, narrow - header + 1, 3000, 20001):
                arrives(talk.there, size, kind)
                arrives(talk.back, size, kind)


def arrives(send, size, kind):
    """The first one of IPv6 may be too large for the way; then the sender is told, and cuts the next."""
    assert send(size=size, seconds=0.3 if kind == "v6" else 3) or (kind == "v6" and send(size=size)), size


@pytest.mark.parametrize("how", ["on", "off"])
def test_offloads(lab, how):
    """Checksums and segments that are left to whoever can finish them; the lane leaves unfinished ones to the stack."""
    lab.widths(1500, 1500)
    lab.offloads(how)
    data = os.urandom(2_000_000)
    try:
        for number, kind in enumerate(KINDS):
            with Stream(lab, kind, 7450 + number) as stream:
                before = lab.taken()
                stream.carry(data, upwards=True)
                stream.carry(data, upwards=False)
                took_the_lane(lab, before, 2 * len(data) // 1500 if how == "off" else 0)
    finally:
        lab.offloads("off")


@pytest.mark.parametrize("how", ["on", "off"])
@pytest.mark.parametrize("kind", KINDS)
def test_datagrams_that_are_made_in_one(lab, kind, how):
    """One system call makes many datagrams (UDP_SEGMENT); each arrives as it was meant."""
    lab.widths(1500, 1500)
    lab.offloads(how)
    try:
        with Talk(lab, kind, 7455) as talk:
            talk.client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
            pieces = [bytes([n]) * 1200 for n in range(20)] + [b"the last one is shorter"]
            talk.client.send(b"".join(pieces))
            talk.server.settimeout(5)
            assert sorted(talk.server.recv(65536) for _ in pieces) == sorted(pieces)
    finally:
        lab.offloads("off")


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_while_everything_changes(lab, kind):
    """Gateway, size of packets, what is known of the neighbour, policy, and the lane itself."""
    family = family_of(kind)
    lab.widths(1500, 1500)
    line = "express on" if lab.way == "lane" else "express off"

    def changes(narrow):
        return [
            lambda: lab.route("replace", family, "b"),
            lambda: lab.fw.run("ip", "link", "set", narrow, "mtu", 1400),
            lambda: lab.fw.run("ip", f"-{family}", "neigh", "del", GATE[family]["b"], "dev", "wan0"),
            lambda: lab.put("express off"),
            lambda: lab.route("replace", family, "a"),
            lambda: lab.put(line, "open ssh"),
            lambda: lab.fw.run("ip", "link", "set", narrow, "mtu", 1280),
        ]

    data = os.urandom(5_000_000)
    seen = lab.seen()
    with Stream(lab, kind, 7458) as stream:
        for upwards, narrow in ((True, "wan0"), (False, "lan0")):
            before = lab.taken()
            stream.carry(data, upwards, changes(narrow))
            lab.fw.run("ip", "link", "set", narrow, "mtu", 1500)
            assert (lab.taken() - before > 500) == (lab.way == "lane")
    assert all(now > then for now, then in zip(lab.seen(), seen))
    lab.put(line)
