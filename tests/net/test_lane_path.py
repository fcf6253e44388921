# SPDX-License-Identifier: BSD-2-Clause
"""Routes, neighbours and switches that change while packets take the express lane: it must be what the kernel says now.

Each test runs twice, on the lane and on the slow way, and expects the same of both.
"""

import errno
import json
import time

import pytest

from lab import wait_for
from lane import DEV, GATE, JOHN, KINDS, NET, Talk, family_of

both_families = pytest.mark.parametrize("kind", ["public", "v6"])
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", params=["lane", "slow"])
def lab(built, request):
    built.open(request.param)
    if request.param == "lane":
        assert built.lanes() == {"lan0": True, "wan0": True, "wan1": True}
    return built


@pytest.fixture(autouse=True)
def as_it_was(lab):
    """Whatever a test has changed of the ways is put back, and nothing honest was stopped."""
    before = lab.sally.drops()
    yield
    lab.straight()
    assert lab.sally.drops() == before


# ---- routes ----------------------------------------------------------------------------------------------------------


@every_kind
def test_another_gateway(lab, kind):
    """The next packet after `ip route replace` goes by the other gateway, and after another one back again."""
    family = family_of(kind)
    with Talk(lab, kind, 7401) as talk:
        talk.goes(by="a")
        lab.route("replace", family, "b")
        talk.goes(by="b")
        lab.route("replace", family, "a")
        talk.goes(by="a")


@every_kind
def test_the_very_next_packet(lab, kind):
    """Whatever was remembered of the way a moment ago: the first packet after the change goes by the other gateway."""
    switch = lab.switcher(family_of(kind))
    with Talk(lab, kind, 7411) as talk:
        for gate in "ba":  # both are known as neighbours
            switch(gate)
            assert talk.there() and talk.back()
        before = lab.seen()
        for _ in range(20):
            for gate in "ba":
                switch(gate)
                assert talk.there() and talk.there()
        assert [now - then for now, then in zip(lab.seen(), before)] == [40, 40]


@every_kind
def test_another_interface(lab, kind):
    with Talk(lab, kind, 7402) as talk:
        talk.goes(by="a")
        lab.route("replace", family_of(kind), "b1")
        talk.goes(by="b", askew=True)
        lab.answers_by("b1")
        talk.goes(by="b")


@both_families
def test_a_rule(lab, kind):
    """Policy routing: the rules decide anew when one is added, and when it is taken back."""
    family = family_of(kind)
    rule = ("from", JOHN[kind], "lookup", "77", "prio", "77")
    lab.fw.run("ip", f"-{family}", "route", "add", "default", "via", GATE[family]["b"], "dev", DEV["b"], "table", 77)
    with Talk(lab, kind, 7403) as talk:
        talk.goes(by="a")
        lab.fw.run("ip", f"-{family}", "rule", "add", *rule)
        try:
            talk.goes(by="b")
        finally:
            lab.fw.run("ip", f"-{family}", "rule", "del", *rule)
            lab.fw.run("ip", f"-{family}", "route", "flush", "table", 77)
        talk.goes(by="a")


@both_families
def test_a_rule_by_port_and_interface(lab, kind):
    family = family_of(kind)
    rule = ("iif", "lan0", "ipproto", "udp", "dport", 7404, "lookup", "78", "prio", "78")
    lab.fw.run("ip", f"-{family}", "route", "add", "default", "via", GATE[family]["b"], "dev", DEV["b"], "table", 78)
    with Talk(lab, kind, 7404) as talk, Talk(lab, kind, 7405) as other:
        lab.fw.run("ip", f"-{family}", "rule", "add", *rule)
        try:
            talk.goes(by="b")
            other.goes(by="a")
        finally:
            lab.fw.run("ip", f"-{family}", "rule", "del", *rule)
            lab.fw.run("ip", f"-{family}", "route", "flush", "table", 78)


def test_by_type_of_service(lab):
    """A route of its own for what asks for little delay."""
    with Talk(lab, "public", 7406) as talk:
        talk.goes(by="a")
        lab.fw.run("ip", "route", "add", NET[4], "tos", "0x10", "via", GATE[4]["b"])
        try:
            talk.goes(by="a")
            talk.client.setsockopt(0, 1, 0x10)  # IPPROTO_IP, IP_TOS
            talk.goes(by="b")
        finally:
            lab.fw.run("ip", "route", "del", NET[4], "tos", "0x10")


def test_a_rule_by_type_of_service(lab):
    """The same of IPv6, where only rules ask for it."""
    with Talk(lab, "v6", 7410) as talk:
        talk.goes(by="a")
        lab.fw.run("ip", "-6", "route", "add", "default", "via", GATE[6]["b"], "dev", DEV["b"], "table", 79)
        lab.fw.run("ip", "-6", "rule", "add", "tos", "0x10", "lookup", "79", "prio", "79")
        try:
            talk.goes(by="a")
            talk.client.setsockopt(41, 67, 0x10)  # IPPROTO_IPV6, IPV6_TCLASS
            talk.goes(by="b")
        finally:
            lab.fw.run("ip", "-6", "rule", "del", "tos", "0x10", "lookup", "79", "prio", "79")
            lab.fw.run("ip", "-6", "route", "flush", "table", 79)


@both_families
def test_several_ways_at_once(lab, kind):
    """Each pair of addresses goes by the gateway that the stack would choose for it, and stays with it."""
    family = family_of(kind)
    sources = [f"6.6.1.{n}" if family == 4 else f"2a00:1:0:1::{n}" for n in range(10, 18)]
    batch(lab.john, *(f"addr replace {s}/{24 if family == 4 else 64} dev eth0 nodad" for s in sources))
    lab.fw.run("ip", f"-{family}", "route", "replace", NET[family], *(word for gate in "ab" for word in (
        "nexthop", "via", GATE[family][gate], "dev", "wan0")))
    talks = [Talk(lab, kind, 7470 + n, source=source) for n, source in enumerate(sources)]
    try:
        ways = [talk.way() for talk in talks]
        lab.put("express off" if lab.way == "lane" else "express on")
        assert [talk.way() for talk in talks] == ways
    finally:
        lab.put("express on" if lab.way == "lane" else "express off")
        for talk in talks:
            talk.__exit__()


@both_families
def test_a_route_that_is_taken_away(lab, kind):
    """Who sends is told; and all goes on when there is one again."""
    family = family_of(kind)
    with Talk(lab, kind, 7407) as talk:
        talk.goes(by="a")
        lab.fw.run("ip", f"-{family}", "route", "del", "default")
        try:
            assert talk.told() == errno.ENETUNREACH
        finally:
            lab.fw.run("ip", f"-{family}", "route", "add", "default", "via", GATE[family]["a"])
        talk.goes(by="a")


@pytest.mark.parametrize("what,told4,told6", [("blackhole", None, None), ("prohibit", errno.EHOSTUNREACH, errno.EACCES),
                                              ("unreachable", errno.EHOSTUNREACH, errno.ENETUNREACH)])
@both_families
def test_a_route_that_refuses(lab, kind, what, told4, told6):
    family = family_of(kind)
    with Talk(lab, kind, 7408) as talk:
        talk.goes(by="a")
        lab.fw.run("ip", f"-{family}", "route", "add", what, NET[family])
        assert talk.told(seconds=0.3 if what == "blackhole" else 3) == (told4 if family == 4 else told6)
        lab.fw.run("ip", f"-{family}", "route", "del", what, NET[family])
        talk.goes(by="a")


@both_families
def test_an_interface_that_goes_down(lab, kind):
    """The backup is a route with a worse metric by another interface."""
    family = family_of(kind)
    lab.route("add", family, "b1", "metric", 5000)
    lab.route("add", family, "a", "metric", 100)
    lab.answers_by("b1")
    with Talk(lab, kind, 7409) as talk:
        talk.goes(by="a", askew=True)
        lab.fw.run("ip", "link", "set", "wan0", "down")
        try:
            talk.goes(by="b")
        finally:
            lab.fw.run("ip", "link", "set", "wan0", "up")
            lab.fw.run("ip", "addr", "replace", "2a00:1:0:2::1/64", "dev", "wan0", "nodad")
            for v in (4, 6):
                lab.fw.run("ip", f"-{v}", "route", "replace", "default", "via", GATE[v]["a"])
        lab.route("replace", family, "a", "metric", 100)
        talk.goes(by="a", askew=True)
    lab.route("del", family, "a", "metric", 100)


# ---- neighbours --------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(lab):
    """The gateway finds out within seconds, not minutes, that a neighbour is somewhere else."""
    names = [f"net.ipv{v}.neigh.wan0" for v in (4, 6)]
    settings = ("base_reachable_time_ms=400", "delay_first_probe_time=0", "retrans_time_ms=100", "ucast_solicit=1")
    old = {f"{n}.{s.split('=')[0]}": lab.fw.run("sysctl", "-n", f"{n}.{s.split('=')[0]}").stdout.strip()
           for n in names for s in settings}
    lab.fw.sysctl(*(f"{n}.{s}" for n in names for s in settings))
    for gate in "ab":
        for family in (4, 6):  # so that what it knows is as short-lived
            lab.fw.run("ip", "neigh", "del", GATE[family][gate], "dev", "wan0", check=False)
    yield
    lab.fw.sysctl(*(f"{name}={value}" for name, value in old.items()))


def mac_of(ns, dev):
    return json.loads(ns.run("ip", "-j", "link", "show", dev).stdout)[0]["address"]


def batch(ns, *commands):
    ns.run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")


@pytest.fixture
def movable(lab):
    """a, whose hardware address changes: (old, new); it has the old one again at the end."""
    old, new = mac_of(lab.a, "eth0"), "02:00:00:00:aa:01"
    yield old, new
    batch(lab.a, f"link set eth0 address {old}", "addr replace 2a00:1:0:2::2/64 dev eth0 nodad",
          "route replace 6.6.1.0/24 via 5.5.0.1", "route replace 2a00:1:0:1::/64 via 2a00:1:0:2::1")
    lab.fw.run("ip", "neigh", "flush", "dev", "wan0")


@both_families
def test_a_neighbour_that_says_that_it_moves(lab, movable, kind):
    """It has a new hardware address, and the kernel knows it."""
    family = family_of(kind)
    with Talk(lab, kind, 7420) as talk:
        talk.goes(by="a")
        lab.a.run("ip", "link", "set", "eth0", "address", movable[1])
        lab.fw.run("ip", f"-{family}", "neigh", "replace", GATE[family]["a"], "lladdr", movable[1], "dev", "wan0")
        wait_for("the first one", lambda: talk.there(seconds=0.3))
        talk.goes(by="a")


@pytest.mark.parametrize("kind", ["public"])
def test_a_neighbour_that_moves_in_silence(lab, movable, impatient, kind):
    """Nobody says anything: the kernel asks again after a while, and finds it at the new address."""
    fw_mac = mac_of(lab.fw, "wan0")
    with Talk(lab, kind, 7421) as talk:
        until = time.monotonic() + 1.5  # longer than the kernel takes what it knows for fresh
        while time.monotonic() < until:
            assert talk.there() and talk.back()
            time.sleep(0.02)  # else one of very many looks as if its checksum were unfinished, and takes the stack
        batch(lab.a, f"link set eth0 address {movable[1]}", f"neigh replace 5.5.0.1 lladdr {fw_mac} dev eth0 nud permanent",
              f"neigh replace 2a00:1:0:2::1 lladdr {fw_mac} dev eth0 nud permanent")
        wait_for("a packet that arrives", lambda: talk.there(seconds=0.2), seconds=8)
        talk.goes(by="a", n=5)


@both_families
def test_a_neighbour_that_is_forgotten(lab, kind):
    """The kernel asks for it anew; at most a packet or two wait for the answer."""
    family = family_of(kind)
    with Talk(lab, kind, 7422) as talk:
        talk.goes(by="a")
        for _ in range(3):
            lab.fw.run("ip", f"-{family}", "neigh", "del", GATE[family]["a"], "dev", "wan0")
            assert talk.there() and talk.back()
            assert lab.neighbour("a", family)["state"] != ["FAILED"]
        talk.goes(by="a")


@both_families
def test_a_neighbour_that_is_nailed_down(lab, movable, kind):
    """A permanent entry is believed, right or wrong."""
    family = family_of(kind)
    with Talk(lab, kind, 7423) as talk:
        lab.fw.run("ip", f"-{family}", "neigh", "replace", GATE[family]["a"], "lladdr", movable[0], "dev", "wan0", "nud",
                   "permanent")
        talk.goes(by="a")
        lab.fw.run("ip", f"-{family}", "neigh", "replace", GATE[family]["a"], "lladdr", movable[1], "dev", "wan0", "nud",
                   "permanent")
        wait_for("packets that go there", lambda: not talk.there(seconds=0.1))
        lab.fw.run("ip", f"-{family}", "neigh", "replace", GATE[family]["a"], "lladdr", movable[0], "dev", "wan0")
        wait_for("packets that arrive", lambda: talk.there(seconds=0.1))
        talk.goes(by="a")


@pytest.mark.parametrize("kind", ["public"])
def test_a_neighbour_that_is_gone(lab, impatient, kind):
    """The kernel finds that nobody answers, and says so to who sends; then there is another one."""
    family = family_of(kind)
    with Talk(lab, kind, 7424) as talk:
        talk.goes(by="a")
        lab.a.run("ip", "link", "set", "eth0", "down")
        try:
            wait_for("the error", lambda: talk.told(seconds=0.3) == errno.EHOSTUNREACH, seconds=8)
        finally:
            lab.a.run("ip", "link", "set", "eth0", "up")
            batch(lab.a, "addr replace 2a00:1:0:2::2/64 dev eth0 nodad", "route replace 6.6.1.0/24 via 5.5.0.1",
                  "route replace 2a00:1:0:1::/64 via 2a00:1:0:2::1")
        lab.route("replace", family, "b")
        talk.goes(by="b")
        lab.route("replace", family, "a")
        wait_for("the neighbour", lambda: talk.there(seconds=0.3))
        talk.goes(by="a")


# ---- switches ------------------------------------------------------------------------------------------------------------


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize("name,kind", [("ipv4.ip_forward", "public"), ("ipv4.ip_forward", "translated"),
                                       ("ipv4.conf.lan0.forwarding", "public"), ("ipv6.conf.all.forwarding", "v6")])
def test_forwarding_that_is_switched_off(lab, name, kind):
    """Not one more packet goes through; and all of them again when it is on again."""
    with Talk(lab, kind, 7430) as talk:
        talk.goes(by="a")
        before = lab.seen()
        assert talk.there() and talk.back()
        lab.fw.inside(write, f"/proc/sys/net/{name.replace('.', '/')}", "0")  # at once, without a process
        if kind == "v6":  # which does not count as a change of routes: what is remembered holds for ten milliseconds
            time.sleep(0.02)
        try:
            for _ in range(3):
                assert not talk.there(seconds=0.1)
            assert lab.seen() == (before[0] + 1, before[1])
        finally:
            lab.fw.sysctl(f"net.{name}=1")
            if kind == "v6":
                lab.fw.run("ip", "-6", "route", "replace", "default", "via", GATE[6]["a"])
        talk.goes(by="a")


def test_the_reverse_path(lab):
    """Strict filtering (RFC 3704): who sends from where the answers would not go to is not forwarded."""
    with Talk(lab, "public", 7431) as talk:
        talk.goes(by="a")
        lab.fw.sysctl("net.ipv4.conf.lan0.rp_filter=1")
        try:
            talk.goes(by="a")
            lab.fw.run("ip", "route", "add", f"{JOHN['public']}/32", "via", GATE[4]["b1"])
            before = lab.seen()
            for _ in range(3):
                assert not talk.there(seconds=0.1)
            assert lab.seen() == before
        finally:
            lab.fw.run("ip", "route", "del", f"{JOHN['public']}/32", check=False)
            lab.fw.sysctl("net.ipv4.conf.lan0.rp_filter=0")
        talk.goes(by="a")
