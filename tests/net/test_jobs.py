# SPDX-License-Identifier: BSD-2-Clause
"""Three files run for real: one computer (1 line), the gateway of a home (3), an office with a DMZ (at most 9).

Real clients and servers, IPv4 and IPv6, hairpin included, at TC and at XDP. What is not honest is stopped for the very
reason; what is honest loses not one packet, and no checksum is damaged.
"""

import re
import socket

import pytest

from conftest import MODES, need_lab
from jobs import GW, GW6, JOHN6, LAN, OFFICE, OFFICE6, SITE, SITE6, STRANGER, STRANGER6, WEB6, Job, example
from lab import SALLY, grown, wait_for
from talk import Tcp

UDP = socket.SOCK_DGRAM
LINES = {"host": 1, "home": 3, "office": 9}


# the very same objects for every test, or a town would be built for each
TOWNS = {kind: [(kind, mode) for mode in MODES if mode != "none"] for kind in LINES}


def only(kind):
    """Of one kind, in every mode; each town is built once."""
    return pytest.mark.parametrize("town", TOWNS[kind], indirect=True, ids="-".join, scope="module")


@pytest.fixture(scope="module")
def town(request, tmp_path_factory):
    need_lab()
    kind, mode = request.param
    town = Job(kind, tmp_path_factory.mktemp(f"{kind}-{mode}"))
    try:
        town.guard(mode)
        yield town
    finally:
        town.close()


@pytest.fixture
def honest(town):
    """Nothing that the test does may cost a packet, or a checksum."""
    before = town.sally.drops()
    yield
    more = grown(before, town.sally.drops())
    assert not more, f"honest packets were dropped: {more}"
    for ns in town.namespaces:
        assert not ns.checksum_errors(), ns.role


@pytest.mark.parametrize("kind", LINES)
def test_as_many_lines_as_promised(kind):
    lines = [line for line in example(kind).splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= LINES[kind], lines


@only("host")
def test_host_is_answered(town, honest):
    assert town.fetch(town.fw, SITE) == f"outside sees {GW}"
    assert town.fetch(town.fw, SITE6, "https") == f"outside sees {GW6}"
    for address in (SITE, SITE6):
        assert "5.5.1.2" in town.fw.run("dig", f"@{address}", "+short", "+tries=1", "small.test").stdout
        town.fw.run("ping", "-n", "-c", 1, "-W", 5, address)


@only("host")
def test_host_office_may_log_in(town, honest):
    assert town.login(town.outside, "fw", GW, OFFICE) == "logged in"
    assert town.login(town.outside, "fw", GW6, OFFICE6) == "logged in"


@only("host")
def test_host_nobody_else(town):
    for source, to in ((STRANGER, GW), (STRANGER6, GW6)):
        assert town.refused(town.outside, to, 22, source)
        assert town.refused(town.outside, to, 443, source)
        assert town.refused(town.outside, to, 53, source, UDP)
    assert town.refused(town.outside, GW, 80, OFFICE)


@only("home")
def test_home_inside_may_start_anything(town, honest):
    assert town.fetch(town.john, SITE) == f"outside sees {GW}"
    assert town.fetch(town.john, SITE, "https") == f"outside sees {GW}"
    assert town.fetch(town.john, SITE6) == f"outside sees {JOHN6}"
    assert town.login(town.john, "fw", LAN) == "logged in"
    for address in (SITE, SITE6):
        assert "5.5.1.2" in town.john.run("dig", f"@{address}", "+short", "+tries=1", "small.test").stdout
        town.john.run("ping", "-n", "-c", 1, "-W", 5, address)
    # the firewall itself, too
    assert town.fetch(town.fw, SITE) == f"outside sees {GW}"


@only("home")
def test_home_server_is_reached(town, honest):
    assert town.fetch(town.outside, GW, "https", STRANGER) == f"web sees {STRANGER}"
    # the same address from inside, and from the very server: hairpin, which the server sees from outside
    assert town.fetch(town.john, GW, "https") == f"web sees {GW}"
    assert town.fetch(town.web, GW, "https") == f"web sees {GW}"


@only("home")
def test_home_nothing_else(town):
    for to in (GW, GW6, JOHN6):
        assert town.refused(town.outside, to, 22, STRANGER6 if ":" in to else STRANGER)
    assert town.refused(town.outside, GW, 80, STRANGER)
    assert town.refused(town.outside, GW, 53, STRANGER, UDP)
    # who is next to the firewall and sends to the inside directly
    for to, port in ((town.web4, 443), ("192.168.1.2", 22)):
        assert town.refused(town.outside, to, port, STRANGER)


@only("home")
def test_home_listings(town, honest):
    """Who speaks with whom, as they know each other."""
    with Tcp(town.john, town.outside, SITE, 7401, source=4000) as tcp:
        tcp.both_speak()
        assert tcp.seen() == (GW, 4000)
        flow = town.sally.flows("--port", "7401")[0]
        assert (flow["from"], flow["to"], flow["nat"]) == ("192.168.1.2", SITE, {"initiator": GW, "initiator_port": 4000})
        text = town.sally("flows", GW, "7401").stdout
        assert re.search(rf"^tcp +192\.168\.1\.2:4000 +-> {SITE}:7401 as {GW}:4000 +ESTABLISHED .* inside -> outside$", text,
                         re.M), text
        status = town.sally.status()
        assert status["flows"]["translated"] >= 1
        slot = status["translation"][0]
        assert (slot["address"], slot["interface"], slot["maps"]) == (GW, "eth0", True) and slot["ports"]["tcp"] >= 1
        assert re.search(rf"^  {GW} +eth0, ports in use: \d+ tcp, \d+ udp, \d+ icmp$", town.sally("status").stdout, re.M)
        # an alias is no conversation
        count = int(town.sally("flows", "--count").stdout)
        assert count == len(town.sally.flows()) == status["flows"]["total"]
    door, served = town.web.socket(2, 1), None
    with door, town.outside.socket(2, 1) as client:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("192.168.1.10", 7402))
        door.listen()
        town.sally("forward", "tcp/7403", "to", "192.168.1.10:7402", "--config", town.dir / "sally.conf")
        client.bind((STRANGER, 5000))
        client.connect((GW, 7403))
        served = door.accept()[0]
        text = town.sally("flows", "--port", "7403").stdout
        assert f"{STRANGER}:5000" in text and f" -> {GW}:7403 to 192.168.1.10:7402  ESTABLISHED" in text, text
        assert town.sally.flows("--port", "7402")[0]["nat"] == {"responder": GW, "responder_port": 7403}
        served.close()
    town.sally("unforward", "tcp/7403", "to", "192.168.1.10:7402", "--config", town.dir / "sally.conf")


@only("home")
def test_home_a_translated_conversation_is_ended(town):
    with Tcp(town.john, town.outside, SITE, 7404) as tcp:
        tcp.both_speak()
        assert town.sally("flows", "kill", "--port", "7404").stdout == "ended: 1\n"
        before = town.sally.drops()
        tcp.server.send(b"still there?")
        wait_for("the end of it", lambda: grown(before, town.sally.drops()), 10, 0.02)
        assert not town.sally.flows("--port", "7404")


@only("home")
def test_home_explained(town):
    done = town.fw.run(SALLY, "explain", "tcp", "192.168.1.2:4000", "to", f"{SITE}:80")
    assert f"it goes on through eth0 as: tcp {GW}:4000 -> {SITE}:80 [S]" in done.stdout, done.stdout
    done = town.fw.run(SALLY, "explain", "tcp", f"{STRANGER}:5000", "to", f"{GW}:443")
    assert "is it for somebody who is known by this machine's address? yes: for 192.168.1.10" in done.stdout
    assert "the line of the configuration: forward-https-to" in done.stdout, done.stdout
    assert f"it goes on through eth1 as: tcp {STRANGER}:5000 -> 192.168.1.10:443 [S]" in done.stdout, done.stdout
    done = town.fw.run(SALLY, "explain", "tcp", "192.168.1.2:5000", "to", f"{GW}:443", "--json")
    assert f'"onward": "tcp {GW}:5000 -> 192.168.1.10:443' in done.stdout, done.stdout
    with Tcp(town.john, town.outside, SITE, 7405, source=4001) as tcp:
        tcp.both_speak()
        done = town.fw.run(SALLY, "explain", "tcp", f"{SITE}:7405", "to", f"{GW}:4001")
        assert f"it goes on through eth1 as: tcp {SITE}:7405 -> 192.168.1.2:4001 [A]" in done.stdout, done.stdout
        done = town.fw.run(SALLY, "explain", "tcp", f"{SITE}:7405", "to", "192.168.1.2:4001", check=False)
        assert done.returncode == 1 and "stopped: wrong_side" in done.stdout, done.stdout


@only("office")
def test_office_inside(town, honest):
    assert town.fetch(town.john, SITE) == f"outside sees {GW}"
    assert town.fetch(town.john, SITE6, "https") == f"outside sees {JOHN6}"
    assert town.login(town.john, "web", town.web4) == "logged in"
    assert town.login(town.john, "web", WEB6) == "logged in"
    assert town.fetch(town.john, WEB6) == f"web sees {JOHN6}"
    assert town.fetch(town.john, town.web4, "https") == "web sees 192.168.1.2"
    assert town.fetch(town.john, GW) == f"web sees {GW}"  # hairpin


@only("office")
def test_office_world(town, honest):
    for scheme in ("http", "https"):
        assert town.fetch(town.outside, GW, scheme, STRANGER) == f"web sees {STRANGER}"
        assert town.fetch(town.outside, WEB6, scheme, STRANGER6) == f"web sees {STRANGER6}"
    assert town.login(town.outside, "fw", GW, OFFICE) == "logged in"


@only("office")
def test_office_dmz_may_little(town, honest):
    assert town.fetch(town.web, SITE, "https") == f"outside sees {GW}"
    assert town.fetch(town.web, SITE6) == f"outside sees {WEB6}"
    for address in (SITE, SITE6):
        assert "5.5.1.2" in town.web.run("dig", f"@{address}", "+short", "+tries=1", "small.test").stdout
    assert {i["name"]: i["zone"] for i in town.sally.status()["interfaces"]} == {"eth0": "outside", "eth1": "inside",
                                                                                 "eth2": "dmz"}


@only("office")
def test_office_nothing_else(town):
    for to in ("192.168.1.2", JOHN6, "10.0.2.1", SITE, SITE6):
        assert town.refused(town.web, to, 22)
    assert town.refused(town.john, town.web4, 5432)
    for to, port in ((GW, 22), (GW6, 22), (WEB6, 22), (JOHN6, 80)):
        assert town.refused(town.outside, to, port, STRANGER6 if ":" in to else STRANGER)
    assert town.refused(town.outside, town.web4, 80, STRANGER)
    assert town.refused(town.outside, "192.168.1.2", 22, OFFICE)


def test_a_pool_has_room(bare, tmp_path):
    """`up` makes room for the ports of each address; a larger pool that comes later is told to be larger."""
    small, large = tmp_path / "small.conf", tmp_path / "large.conf"
    small.write_text("nat pool 5.9.0.0/28\n")
    large.write_text("nat pool 5.9.0.0/27\n")
    bare.sally.up("--flows", 1000, "--config", small)
    slots = bare.sally.status()["translation"]
    assert sum(slot["pool"] and slot["maps"] for slot in slots) == 16, slots
    assert [slot["maps"] for slot in slots if slot["interface"] == "wan0"] == [True]
    kept = [slot["address"] for slot in slots]
    done = bare.fw.run(SALLY, "apply", "--trial", "60", large, check=False)
    assert done.returncode == 1 and "one pool of addresses for another can not be on trial" in done.stderr, done.stderr
    said = bare.sally("apply", large).stdout
    assert "only 20 of the 32 addresses of the pool are used, until 'sally down' and 'sally up' make room" in said, said
    slots = bare.sally.status()["translation"]
    assert sum(slot["maps"] for slot in slots) == 20
    assert [slot["address"] for slot in slots][:17] == kept, "an address that stays keeps its place"
    assert "for so many addresses only" in bare.sally("status").stdout
