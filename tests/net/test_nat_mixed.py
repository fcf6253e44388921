# SPDX-License-Identifier: BSD-2-Clause
"""One side of the door is judged at XDP, the other at TC, because it is a bridge: a packet is translated once, and whole."""

import socket

import pytest

from conftest import MODES, checksums_were_right, need_lab
from natkit.home import Home, start_servers
from talk import Udp
from test_nat import iperf
from test_nat_forward import Watched
from test_programs import sha256, url

pytestmark = pytest.mark.skipif("xdp" not in MODES, reason="a mixture needs XDP; SP_MODES leaves it out")
LINES = ("forward tcp/7080 to 192.168.1.10:5201", "forward http to 192.168.1.10")


@pytest.fixture(scope="module", params=["lan0", "wan0"])
def mixed(request, tmp_path_factory):
    need_lab()
    lab = Home("auto", tmp_path_factory.mktemp("mixed"), bridged=request.param)
    try:
        start_servers(lab, tmp_path_factory)
        lab.open_door()
        lab.put(*LINES)
        yield lab
        checksums_were_right(lab)
        assert lab.leaks() == 0, "packets left with a private source"
        lab.close_door()
    finally:
        lab.close()


def test_it_is_a_mixture(mixed):
    status = mixed.sally("status").stdout
    other = {"lan0": "wan0", "wan0": "lan0"}[mixed.bridged]
    assert f"br-{mixed.bridged}, judged at TC" in status and f"{other}, judged at XDP" in status, status


@pytest.mark.parametrize("offloads", ["on", "late", "off"])
def test_much_data(mixed, offloads, tmp_path):
    """Out, in, from outside and from inside to a forwarded port that changes; both ways each."""
    mixed.offloads(offloads)
    with Watched(mixed):
        for client, address, port in ((mixed.john, mixed.web4, 5201), (mixed.stranger, mixed.fw4, 7080),
                                      (mixed.mary, mixed.fw4, 7080)):
            end = iperf(client, address, "-p", port, "-n", 8 << 20, "--bidir")
            for way in ("sum_received", "sum_received_bidir_reverse"):
                assert end[way]["bytes"] > 1 << 17, end[way]
        mixed.john.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(mixed.web4, "/big"))
        assert sha256(tmp_path / "big") == mixed.servers.big_sum
        assert mixed.mary.run("curl", "-sS", "-m", 10, url(mixed.fw4, "/who")).stdout.split()[0] == mixed.fw4
    mixed.offloads()


def test_datagrams_pings_and_errors(mixed):
    with Watched(mixed):
        with Udp(mixed.john, mixed.web, mixed.web4, 7001) as udp:
            for size in (0, 1, 1200, 4000, 20001):
                assert udp.client_says(b"?" * size) and udp.server_says(b"!" * size), size
        done = mixed.john.run("ping", "-n", "-c", 3, "-i", 0.05, "-W", 5, "-s", 4000, mixed.web4)
        assert "3 received" in done.stdout, done.stdout
        with mixed.john.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((mixed.web4, 7043))
            sock.send(b"hello?")
            with pytest.raises(ConnectionRefusedError):
                sock.recv(100)
        done = mixed.john.run("traceroute", "-4", "-n", "-q", 1, "-w", 2, "-m", 5, mixed.web4)
        assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["192.168.1.1", "5.5.0.2", mixed.web4]
