# SPDX-License-Identifier: BSD-2-Clause
"""The life of the firewall: it starts without cutting, keeps to itself, and leaves nothing behind."""

import json
import os
import re
import socket
import subprocess

import pytest

from lab import SALLY, Lab, grown, wait_for
from talk import Tcp, Udp, uninvited

SO_NETNS_COOKIE = 71
modes = pytest.mark.parametrize("mode", ["tc", "xdp"])
kinds = pytest.mark.parametrize("bare", ["gateway", "host"], indirect=True)
gateway = pytest.mark.parametrize("bare", ["gateway"], indirect=True)


def footprint(ns):
    """What the firewall adds to a computer: queueing disciplines, filters, XDP programs, pins."""
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        cookie = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")
    links = json.loads(ns.run("ip", "-j", "-d", "link", "show").stdout)
    found = [("qdisc", q["kind"], q.get("dev")) for q in json.loads(ns.run("tc", "-j", "qdisc", "show").stdout)
             if q["kind"] != "noqueue"]
    for link in links:
        for side in ("ingress", "egress"):
            filters = ns.run("tc", "filter", "show", "dev", link["ifname"], side, check=False).stdout
            found += [("filter", link["ifname"], side, line) for line in filters.splitlines() if " bpf " in line]
        found += [("xdp", link["ifname"])] if "xdp" in link else []
    for base, _, _ in os.walk("/sys/fs/bpf/sally"):
        if os.path.basename(base).startswith(f"{cookie}-"):
            found.append(("pins", base))
    return found


@kinds
@modes
@pytest.mark.parametrize("family", [4, 6])
def test_starting_does_not_cut(bare, mode, family, tmp_path):
    """Connections of every temper are older than the firewall, and live on: busy both ways, idle, and half idle."""
    config = tmp_path / "sally.conf"
    config.write_text("nat off\n")  # this gateway routes private addresses; one that translates: test_takeover.py
    web = bare.address("web", family)
    server = bare.web.start("iperf3", "-s", "-p", 5300, "-1")
    wait_for("iperf3", lambda: ":5300" in bare.web.run("ss", "-Hltn", "sport = :5300").stdout)
    with Tcp(bare.john, bare.web, web, 7001, family) as idle, Udp(bare.john, bare.web, web, 7002, family) as udp:
        idle.both_speak()
        assert udp.client_says(b"one") and udp.server_says(b"two")
        busy = bare.john.start("iperf3", f"-{family}", "-c", web, "-p", 5300, "--bidir", "-t", 4, "-i", 0.5, "-J",
                               stdout=subprocess.PIPE, text=True)
        wait_for("iperf3 at work", lambda: bare.john.run("ss", "-Htn", "state", "established", "dport = :5300").stdout
                 .count("\n") >= 3)
        bare.sally.up("--mode", mode, "--config", config)
        if bare.kind == "host":
            assert idle.server_says(b"the far side speaks first"), "the socket tables were not taken over"
        idle.both_speak()
        assert udp.client_says(b"three") and udp.server_says(b"four")
        report = json.loads(busy.communicate(timeout=30)[0])
        assert "error" not in report, report.get("error")
        for way in ("sum", "sum_bidir_reverse"):
            late = [interval[way]["bytes"] for interval in report["intervals"]][-4:]
            assert sum(late) > 500_000, f"{way}: the busy connection starved: {late}"
        drops = bare.sally.drops()
        windows = {k: n for k, n in drops.items() if k.startswith(("tcp_seq", "tcp_ack"))}
        assert not windows, f"windows were enforced that nobody had seen: {windows}"
    assert server.wait(10) == 0


@kinds
@modes
def test_nobody_is_locked_out(bare, mode):
    """Somebody who administers the firewall from outside, over a connection that is older than it, keeps it."""
    with Tcp(bare.stranger, bare.fw, bare.fw4, 7001) as four, Tcp(bare.stranger, bare.fw, bare.fw6, 7002, 6) as six:
        mapped_listener = bare.fw.socket(socket.AF_INET6, socket.SOCK_STREAM)
        mapped_listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        mapped_listener.bind(("::", 7003))
        mapped_listener.listen()
        mapped = bare.stranger.socket(socket.AF_INET, socket.SOCK_STREAM)
        mapped.connect((bare.fw4, 7003))
        served = mapped_listener.accept()[0]
        said = bare.sally.up("--mode", mode).stdout
        assert int(re.search(r"taken over: (\d+)", said)[1]) >= 3, said
        for tcp in (four, six):
            assert tcp.client_says(b"ls"), "what the administrator types does not arrive"
            tcp.both_speak(b"x" * 100_000)
        assert four.says(mapped, served, b"ls") and four.says(served, mapped, b"README"), "IPv4 in an IPv6 socket"
        late = bare.stranger.socket(socket.AF_INET, socket.SOCK_STREAM, timeout=0.8)
        with late, pytest.raises(TimeoutError):
            late.connect((bare.fw4, 7001))
        for sock in (mapped, served, mapped_listener):
            sock.close()
        assert set(bare.sally.drops()) <= {"uninvited"}, bare.sally.drops()


@gateway
@modes
def test_killed_conversations_end(bare, mode):
    bare.sally.up("--mode", mode)
    with Udp(bare.john, bare.web, bare.web4, 7001) as doomed, Udp(bare.john, bare.web, bare.web4, 7002) as spared:
        for udp in (doomed, spared):
            assert udp.client_says(b"hello") and udp.server_says(b"hello")
        assert bare.sally("flows", "kill", check=False).returncode == 2, "kill without a filter must not kill all"
        assert len(bare.sally.flows("--port", "7001")) == 1
        bare.sally("flows", "kill", "--port", "7001")
        assert bare.sally.flows("--port", "7001") == []
        before = bare.sally.drops()
        assert not doomed.server_says(b"are you there", seconds=0.5), "a killed conversation let its answer in"
        assert grown(before, bare.sally.drops()).get("uninvited") == 1
        assert spared.server_says(b"are you there"), "the other conversation must live on"
        assert doomed.client_says(b"again") and doomed.server_says(b"again"), "John may start it again"


@gateway
@modes
def test_down_leaves_nothing(bare, mode):
    clean = footprint(bare.fw)
    bare.sally.up("--mode", mode)
    standing = footprint(bare.fw)
    assert {kind for kind, *_ in standing} >= {"qdisc", "filter", "pins"}, standing
    if mode == "xdp":
        assert ("xdp", "wan0") in standing and ("xdp", "lan0") in standing, standing
    bare.sally.down()
    assert footprint(bare.fw) == clean
    uninvited(bare.stranger, bare.john4, 7001)
    again = bare.sally("down", check=False)
    assert again.returncode == 4 and one_line(again), again
    bare.sally.up("--mode", mode)
    bare.sally.down()
    assert footprint(bare.fw) == clean


@gateway
def test_other_peoples_filters_stay(bare):
    bare.fw.run("tc", "qdisc", "add", "dev", "wan0", "clsact")
    for side in ("ingress", "egress"):
        bare.fw.run("tc", "filter", "add", "dev", "wan0", side, "prio", 7, "bpf", "da", "bytecode", "1,6 0 0 0")
    theirs = [bare.fw.run("tc", "filter", "show", "dev", "wan0", side).stdout for side in ("ingress", "egress")]
    bare.sally.up("--mode", "tc")
    uninvited(bare.stranger, bare.john4, 7001)
    wait_for("the refusal", lambda: bare.sally.drops().get("uninvited"))
    bare.sally.down()
    left = [bare.fw.run("tc", "filter", "show", "dev", "wan0", side).stdout for side in ("ingress", "egress")]
    assert left == theirs


@gateway
@modes
def test_second_up_is_refused(bare, mode):
    bare.sally.up("--mode", mode)
    with Tcp(bare.john, bare.web, bare.web4, 7001) as old:
        old.both_speak()
        standing = footprint(bare.fw)
        second = bare.sally("up", check=False)
        assert second.returncode == 4 and one_line(second), second
        assert footprint(bare.fw) == standing
        old.both_speak()
        assert len(bare.sally.flows("--port", "7001")) == 1


@modes
@gateway
def test_two_namespaces_do_not_collide(bare, mode):
    other = Lab("host")
    try:
        bare.sally.up("--mode", mode)
        other.sally.up("--mode", mode)
        with Tcp(bare.john, bare.web, bare.web4, 7001) as here, Tcp(other.john, other.web, other.web4, 7002) as there:
            here.both_speak()
            there.both_speak()
            assert len(bare.sally.flows("--port", "7001")) == 1 and not bare.sally.flows("--port", "7002")
            assert len(other.sally.flows("--port", "7002")) == 1 and not other.sally.flows("--port", "7001")
            uninvited(other.stranger, other.john4, 7003)
            wait_for("the refusal there", lambda: other.sally.drops().get("uninvited"))
            assert not bare.sally.drops().get("uninvited"), "a drop was counted in the wrong namespace"
            other.sally.down()
            here.both_speak()
            assert len(bare.sally.flows("--port", "7001")) == 1
    finally:
        other.close()


@gateway
def test_ip_netns_exec_sees_the_same_firewall(bare):
    """`ip netns exec` hides the BPF file system; the firewall finds it all the same."""
    def exec_(*argv):
        return subprocess.run(["ip", "netns", "exec", bare.fw.name, SALLY, *argv], capture_output=True, text=True,
                              timeout=60)

    up = exec_("up")
    assert up.returncode == 0, up
    assert bare.sally("up", check=False).returncode == 4
    with Tcp(bare.john, bare.web, bare.web4, 7001) as tcp:
        tcp.both_speak()
        assert len(bare.sally.flows("--port", "7001")) == 1
        assert exec_("status").returncode == 0
    assert exec_("down").returncode == 0
    assert bare.sally("status", check=False).returncode == 4


def one_line(done):
    """Exactly one line on standard error, and it is ours."""
    lines = done.stderr.splitlines()
    return len(lines) == 1 and lines[0].startswith("sally")
