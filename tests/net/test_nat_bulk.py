# SPDX-License-Identifier: BSD-2-Clause
"""Much data where ports change as well: no segment may be damaged, whoever finishes the checksum and cuts the segments."""

import itertools

import pytest

from lab import grown, wait_for
from talk import Tcp, Udp
from test_nat import idle, iperf
from test_nat_forward import Watched

BYTES = 20 << 20
# of clients: a run has two streams, whose ports may rest for a minute
ports = itertools.count(41000, 4)
LINES = ("forward tcp/7080 to 192.168.1.10:5201", "forward udp/7080 to 192.168.1.10:5201")


@pytest.fixture(params=["on", "late", "off"])
def offloads(home, request):
    """Whoever finishes checksums and cuts segments: nobody, the last cable, the end hosts."""
    idle(home)
    home.put(*LINES)
    home.forget()
    home.offloads(request.param)
    yield
    idle(home)
    home.offloads()
    home.put()


def whole(home, client, address, port, *options):
    """Both ways at once; nothing is dropped, and whoever received it saw nothing damaged."""
    before = home.drops()
    end = iperf(client, address, "-p", port, "-n", BYTES, "--bidir", *options)
    # it ends as soon as one way has sent all
    for way in ("sum_received", "sum_received_bidir_reverse"):
        assert end[way]["bytes"] > BYTES >> 6, end[way]
    assert not grown(before, home.drops())
    for ns in (home.john, home.mary, home.www, home.web, home.stranger):
        assert not ns.checksum_errors(), ns.role


@pytest.mark.parametrize("who", ["outside", "inside"])
def test_forwarded_to_another_port(home, offloads, who):
    """From outside the destination changes; from inside both ends do, both ports included."""
    client = home.stranger if who == "outside" else home.mary
    whole(home, client, home.fw4, 7080, "--cport", next(ports))


def test_from_a_port_that_somebody_else_holds(home, offloads):
    """Mary has the port outside, so John's connection gets another one."""
    port = next(ports)
    with Tcp(home.mary, home.web, home.web4, 7081, source=port) as mary:
        mary.both_speak()
        assert mary.seen()[1] == port
        whole(home, home.john, home.web4, 5201, "--cport", port)
        mary.both_speak()


def test_changes_beside_running_conversations(home):
    """The configuration changes forty times; what its lines still permit, and what needs none, loses nothing."""
    home.put(*LINES)
    home.forget()
    others = ("nat open", "forward tcp/7082 to 192.168.1.3", "block 5.5.77.0/24", "forward udp/7080 to 192.168.1.3")
    before = home.drops()
    running = [ns.start("iperf3", "-c", address, "-p", port, "--bidir", "-b", "20M", "-t", 60, "--connect-timeout", 5000)
               for ns, address, port in ((home.john, home.web4, 5201), (home.stranger, home.fw4, 7080))]
    for ns in (home.john, home.stranger):
        wait_for("iperf3 at work", lambda: ns.run("ss", "-Htn", "state", "established").stdout.count("\n") >= 3)
    for i in range(40):
        home.put(LINES[0], *(line for bit, line in enumerate(others) if i >> bit & 1))
        with Udp(home.mary, home.web, home.web4, 7083) as udp:
            assert udp.client_says(b"who am I?") and udp.seen()[0] == home.fw4 and udp.server_says(b"the door")
    assert all(process.poll() is None for process in running)
    assert not grown(before, home.drops())
    for ns in (home.john, home.stranger):
        assert ns.run("ss", "-Htn", "state", "established").stdout.count("\n") >= 3, ns.role
    for process in running:
        home.end(process)


def test_datagrams_to_another_port(home, offloads):
    for client in (home.stranger, home.mary):
        with Watched(home):
            end = iperf(client, home.fw4, "-p", 7080, "-u", "-b", "50M", "-n", BYTES >> 3, "-l", 1400)
        assert end["sum"]["packets"] > 1500 and end["sum"]["lost_percent"] < 50, end["sum"]
    for ns in (home.stranger, home.mary, home.www):
        assert not ns.checksum_errors(), ns.role
