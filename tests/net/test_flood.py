# SPDX-License-Identifier: BSD-2-Clause
"""Floods: those who were answered go on, memory is fixed, others still begin, and status says what happens and who it is."""

import glob
import json
import os
import socket
import subprocess
import time

import pytest

import floods
import lab as lab_
from conftest import KINDS, MODES, checksums_were_right, need_lab
from lab import drops_of, grown, wait_for
from talk import FAMILY, Tcp

ROOM = 8192  # conversations: half of them may wait for an answer
RATE = 40000
SO_NETNS_COOKIE, SO_RCVBUFFORCE = 71, 33
ETH_P_IP = socket.htons(0x0800)
OPEN, FORWARDED, CLOSED = 80, 8080, 81
CONFIG = {"host": f"open tcp/{OPEN}, udp/{OPEN}\n",
          "gateway": f"allow outside -> inside : tcp/{OPEN}, udp/{OPEN}\nforward tcp/{FORWARDED} to 10.1.0.2:{OPEN}\n"}


def server(ns, port):
    """Takes every connection, and says good day."""
    script = (f"import socket\ns = socket.create_server(('::', {port}), family=socket.AF_INET6, dualstack_ipv6=True, "
              "backlog=4096)\nwhile True:\n    c = s.accept()[0]\n    c.sendall(b'good day')\n    c.close()\n")
    ns.start("/usr/bin/python3", "-c", script)
    wait_for("the server", lambda: f":{port} " in ns.run("ss", "-Htln").stdout)


def connects(ns, address, port, family=4, seconds=8.0):
    """Seconds until somebody's new connection was greeted; None: never."""
    start = time.monotonic()
    with ns.socket(FAMILY[family], socket.SOCK_STREAM, timeout=seconds) as sock:
        try:
            sock.connect((address, port))
            return time.monotonic() - start if sock.recv(100) == b"good day" else None
        except OSError:
            return None


@pytest.fixture(scope="module", ids=lambda p: f"{p[0]}-{p[1]}",
                params=[(k, m) for k, m in (("gateway", "xdp"), ("host", "tc")) if k in KINDS and m in MODES])
def under(request, tmp_path_factory):
    need_lab()
    kind, mode = request.param
    lab = lab_.Lab(kind)
    try:
        config = tmp_path_factory.mktemp("flood") / "sally.conf"
        config.write_text(CONFIG[kind])
        lab.outside = floods.outside(lab)
        lab.options = "--mode", mode, "--config", config, "--flows", ROOM
        if kind == "gateway":
            # questions leave from the driver
            lab.router.run("ethtool", "-K", "eth0", "gro", "on")
            lab.john.run("ethtool", "-K", "eth0", "gro", "on")
            lab.options += ("--express",)
        server(lab.john, OPEN)
        yield lab
        checksums_were_right(lab)
    finally:
        lab.close()


@pytest.fixture
def besieged(under):
    """Nothing is remembered of the floods before."""
    under.sally.up(*under.options)
    outside = next(link for link in under.sally.status()["interfaces"] if link["name"] == "wan0")
    assert outside["express"] == (under.kind == "gateway"), outside
    yield under
    under.sally.down()


def memory(lab):
    """Bytes that the kernel has locked for each map of this firewall. Nothing of it may grow."""
    with lab.fw.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        cookie = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")
    pins = glob.glob(f"/sys/fs/bpf/sally/{cookie}-*/sp_*")
    found = {}
    for pin in pins:
        shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", pin], capture_output=True, text=True, timeout=20)
        if shown.returncode == 0:  # else it is a program
            found[os.path.basename(pin)] = json.loads(shown.stdout)["bytes_memlock"]
    assert {"sp_flows", "sp_sets", "sp_sketch", "sp_frags"} <= set(found), found
    return found


# kind, port, the reasons of which one must grow; a piece without its first one, and a first one that is none
FLOODS = [("syn", CLOSED, {"uninvited"}), ("syn", OPEN, {"asked"}), ("udp", CLOSED, {"uninvited"}),
          ("ack", OPEN, {"tcp_no_flow"}), ("rst", OPEN, {"tcp_no_flow"}), ("piece", 0, {"frag_headless"}),
          ("ping", 0, {"uninvited"})]


def test_those_who_were_answered_go_on(besieged):
    """From many forged sources: a conversation speaks on in both ways, memory stays what it is, the reason is counted."""
    lab = besieged
    held = memory(lab)
    with Tcp(lab.john, lab.web, lab.web4, 7000) as tcp:
        for kind, port, reasons in FLOODS:
            tcp.both_speak()
            before = lab.sally.drops()
            process = lab.outside.flood(kind, lab.john4, port, RATE, 0.7)
            spoken = 0
            while process.poll() is None:
                tcp.both_speak()
                spoken += 1
            sent = lab.outside.over(process)["sent"]
            assert spoken > 2
            status = lab.sally.status()
            assert status["flows"]["unanswered"] <= status["flows"]["unanswered_max"]
            more = grown(before, drops_of(status))
            assert reasons & set(more), f"{kind} {port}: {sent} were sent, this was dropped: {more}"
            assert "table_full" not in more, more
        tcp.both_speak()
    assert memory(lab) == held


def doors(lab):
    """(family, address, port) of what strangers may reach."""
    yield from ((family, lab.address("john", family), OPEN) for family in (4, 6))
    if lab.kind == "gateway":
        yield 4, lab.fw4, FORWARDED


def fill(lab, address, port):
    """A flood of SYNs from many forged addresses, when there is no room for another stranger any more."""
    process = lab.outside.flood("syn", address, port, RATE, 60)
    wait_for("those who have no room to be asked", lambda: lab.sally.drops().get("asked", 0) > 500, 30)
    return process


def test_strangers_begin_all_the_same(besieged):
    """IPv4, IPv6, forwarded: whoever is there gets through, whoever is not gets nothing remembered of him."""
    lab = besieged
    for family, address, port in doors(lab):
        process = fill(lab, address, port)
        took = [connects(lab.stranger, address, port, family) for _ in range(5)]
        after = lab.sally.status()
        lab.end(process)
        assert None not in took, f"{address} {port}: {took}"
        room = after["flows"]["unanswered_max"]
        assert room * 5 // 8 < after["flows"]["unanswered"] < room, after["flows"]
        with Tcp(lab.john, lab.web, lab.web4, 7002) as own:
            own.both_speak()
    assert lab.sally.drops()["proven"] > 0


CONNTRACK = """table inet client {
    chain in { type filter hook input priority 0; policy drop; ct state established accept; meta l4proto ipv6-icmp accept; }
}
"""


@pytest.mark.parametrize("guard", ["conntrack", "sally"])
def test_strangers_behind_a_firewall_of_their_own(besieged, guard):
    """The question and its answer pass a stateful firewall at the other end, which lets in nothing but answers."""
    lab = besieged
    theirs = lab_.Sally(lab.stranger)
    try:
        if guard == "sally":
            theirs.up()
        else:
            lab.stranger.run("nft", "-f", "-", stdin=CONNTRACK)
        for family in (4, 6):
            address = lab.address("john", family)
            process = fill(lab, address, OPEN)
            before = lab.sally.drops().get("proven", 0)
            wait_for("somebody to show that he is there", lambda: connects(lab.stranger, address, OPEN, family) and
                     lab.sally.drops().get("proven", 0) > before)
            lab.end(process)
    finally:
        if guard == "sally":
            theirs.down()
        else:
            lab.stranger.run("nft", "flush", "ruleset")


def test_the_question_is_no_weapon(besieged):
    """As long as the shortest SYN, and few to one address, however many SYNs claim to be his."""
    lab = besieged
    lab.end(fill(lab, lab.john4, OPEN))
    before = lab.sally.drops()
    with lab.router.socket(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_IP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        sock.bind(("eth0", socket.ntohs(ETH_P_IP)))
        done = lab.outside.over(lab.outside.flood("syn", lab.john4, OPEN, RATE, 1.0, source="35.0.0.9", sources=1))
        heard = []
        sock.settimeout(0.5)
        try:
            while True:
                heard.append(sock.recv(2000)[14:])
        except TimeoutError:
            pass
    heard = [ip for ip in heard if ip[16:20] == socket.inet_aton("35.0.0.9") and ip[9] == socket.IPPROTO_TCP]
    asked = grown(before, lab.sally.drops()).get("asked", 0)
    questions = [ip for ip in heard if ip[33] == 0x10]
    assert 1 <= len(questions) == asked <= 33 + 33 * done["seconds"], (len(questions), asked, done)
    assert {len(ip[:int.from_bytes(ip[2:4], "big")]) for ip in questions} == {40}
    # those who still got a place were answered by the server
    assert len(heard) - len(questions) < done["sent"] // 10, (len(heard), len(questions), done)


def test_one_source_is_held_to_its_share(besieged):
    """Somebody floods an open port from his own address: others begin at once, and status names him."""
    lab = besieged
    lab.stranger.run("ip", "addr", "replace", "5.5.2.66/24", "dev", "eth0")
    process = lab.outside.flood("udp", lab.john4, OPEN, RATE, 60, source="5.5.2.66", sources=1)
    wait_for("the flood to be held", lambda: lab.sally.drops().get("source_share", 0) > 1000)
    took = connects(lab.stranger, lab.john4, OPEN)
    lab.end(process)
    assert took is not None
    heaviest = lab.sally.status()["heaviest"]
    assert heaviest[0]["source"] == "5.5.2.66", heaviest
    assert "5.5.2.66 " in lab.sally("status").stdout


@pytest.mark.parametrize("under", [("gateway", "xdp")], ids=["gateway-xdp"], indirect=True)
def test_somebody_inside_has_gone_mad(besieged):
    """He gets his share; another one inside and the machine itself begin conversations, and status names him."""
    lab = besieged
    inside = floods.Cable(lab, lab.john, "eth0", "lan0")
    lab.john.run("ip", "addr", "replace", "10.1.0.3/24", "dev", "eth0")
    with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp:
        tcp.both_speak()
        for kind in ("udp", "syn"):
            before = lab.sally.drops()
            process = inside.flood(kind, "5.5.3.3", 0, RATE, 60, source="10.1.0.66", sources=1)
            wait_for("the flood to be held", lambda: grown(before, lab.sally.drops()).get("source_share", 0) > 1000)
            with Tcp(lab.john, lab.web, lab.web4, 7002) as new:
                new.both_speak()
            with Tcp(lab.fw, lab.web, lab.web4, 7003) as own:
                own.both_speak()
            tcp.both_speak()
            lab.end(process)
    assert lab.sally.status()["heaviest"][0]["source"] == "10.1.0.66"


def test_afterwards_it_is_as_before(besieged):
    """Seconds after a flood from many sources to an open port a stranger is let in without a question."""
    lab = besieged
    lab.end(fill(lab, lab.john4, OPEN))

    def straight():
        before = lab.sally.drops().get("asked", 0)
        return connects(lab.stranger, lab.john4, OPEN) is not None and lab.sally.drops()["asked"] == before

    assert lab.sally.status()["flows"]["unanswered"] > ROOM // 4
    wait_for("a connection without a question", straight, 10)
