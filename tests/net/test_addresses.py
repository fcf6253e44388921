# SPDX-License-Identifier: BSD-2-Clause
"""Addresses and interfaces that change under the firewall: exactly what used them ends, with sallyd and without it."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import SALLY, Lab, Namespace, grown, wait_for
from talk import Tcp, Udp

SO_NETNS_COOKIE = 71
SALLYD = os.path.join(os.path.dirname(SALLY), "sallyd")
modes = pytest.mark.parametrize("mode", ["tc", "xdp"])
daemons = pytest.mark.parametrize("daemon", [True, False], ids=["sallyd", "alone"])


@pytest.fixture
def gateway(bare):
    """John's network has private addresses that the outside knows no way to; 5.5.0.9 leads to the firewall as well."""
    bare.router.run("ip", "route", "del", "10.1.0.0/24")
    bare.fw.sysctl("net.ipv4.conf.all.promote_secondaries=1", "net.ipv4.conf.wan0.promote_secondaries=1")
    return bare


class Foreground:
    """sallyd -f, and what it says, line by line."""

    def __init__(self, lab):
        self.process = lab.fw.start(SALLYD, "-f", stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        assert "watches" in self.line()

    def _read(self):
        for line in self.process.stderr:
            self.lines.put(line)

    def line(self, seconds=20):
        return self.lines.get(timeout=seconds)


def second_outside(lab):
    """Another interface outside, with an address of its own and another computer behind it."""
    lab.other = Namespace(lab, "other")
    lab.link(lab.fw, "wan1", lab.other, "eth0", "5.5.9.{}/24", "2a00:9:0:1::{}/64")
    return "5.5.9.2"


def change_address(lab):
    """5.5.0.1 is replaced by 5.5.0.9, as by a provider."""
    lab.fw.run("ip", "addr", "add", "5.5.0.9/24", "dev", "wan0")
    lab.fw.run("ip", "addr", "del", "5.5.0.1/24", "dev", "wan0")
    # the address of the first one went with its routes
    lab.fw.run("ip", "route", "replace", "default", "via", "5.5.0.2")


def slots(lab):
    return [row["address"] for row in lab.sally.status()["translation"]]


@modes
@daemons
def test_exactly_those_that_used_the_lost_address_end(gateway, mode, daemon):
    lab = gateway
    other4 = second_outside(lab)
    lab.sally.up("--mode", mode, "--outside", "wan0", "--outside", "wan1", daemon=daemon)
    with contextlib.ExitStack() as stack:
        def tcp(*args):
            return stack.enter_context(Tcp(*args))

        lost = [tcp(lab.john, lab.web, lab.web4, 7001), stack.enter_context(Udp(lab.john, lab.web, lab.web4, 7002))]
        spared = [tcp(lab.john, lab.web, lab.web6, 7003, 6), tcp(lab.john, lab.fw, "10.1.0.1", 7004),
                  tcp(lab.john, lab.other, other4, 7005), tcp(lab.fw, lab.john, lab.john4, 7006)]
        for one in lost + spared:
            assert one.client_says(b"good day") and one.server_says(b"good day")
        assert lost[0].seen()[0] == "5.5.0.1" and spared[2].seen()[0] == "5.5.9.1"
        before = lab.sally.drops()
        change_address(lab)
        if daemon:
            wait_for("the new address", lambda: "5.5.0.9" in slots(lab) and "5.5.0.1" not in slots(lab))
        for one in spared:
            assert one.client_says(b"still there") and one.server_says(b"still there")
        # alone, the engine asks the kernel about once a second whether an address is still there
        for one in () if daemon else lost:
            wait_for("it to be found out", lambda one=one: not one.client_says(b"is anybody there", seconds=0.5))
        # their next packet ends them; nothing of them leaves with an address that is not ours
        heard = lab.router.start("timeout", "20", "tcpdump", "-nli", "eth0", "-c", "1", "src", "net", "10.0.0.0/8", "or",
                                 "src", "host", "5.5.0.1", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for("tcpdump", lambda: "listening" in heard.stderr.readline())
        for one in lost if daemon else ():
            assert not one.client_says(b"is anybody there", seconds=1.0)
        assert grown(before, lab.sally.drops()).get("nat_address", 0) >= 2, lab.sally.drops()
        assert not [flow for port in ("7001", "7002") for flow in lab.sally.flows("--port", port) if "5.5.0.1" in str(flow)]
        assert heard.poll() is None, "something has left with a lost or a private address"
        for one in spared:
            assert one.client_says(b"still there") and one.server_says(b"still there")
        if daemon:
            late = tcp(lab.john, lab.web, lab.web4, 7007)
            late.both_speak()
            assert late.seen()[0] == "5.5.0.9"
            again = stack.enter_context(Udp(lab.john, lab.web, lab.web4, 7008))
            assert again.client_says(b"hello") and again.server_says(b"hello") and again.seen()[0] == "5.5.0.9"


def test_an_address_more_changes_nothing(gateway):
    """Only a lost address ends conversations, not one that comes or that goes beside theirs."""
    lab = gateway
    lab.sally.up(daemon=True)
    with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp:
        tcp.both_speak()
        lab.fw.run("ip", "addr", "add", "5.5.0.9/24", "dev", "wan0")
        wait_for("the second address", lambda: "5.5.0.9" in slots(lab))
        tcp.both_speak()
        with Tcp(lab.john, lab.web, lab.web4, 7002) as late:
            late.both_speak()
            assert late.seen()[0] == "5.5.0.1"
        lab.fw.run("ip", "addr", "del", "5.5.0.9/24", "dev", "wan0")
        wait_for("the second address to go", lambda: "5.5.0.9" not in slots(lab))
        tcp.both_speak()
        assert tcp.seen()[0] == "5.5.0.1"


@modes
def test_an_interface_comes_back(gateway, mode):
    """It has another number and the same name: it is guarded again, in the same zone, and what uses others lives on."""
    lab = gateway
    other4 = second_outside(lab)
    lab.sally.up("--mode", mode, "--outside", "wan0", "--outside", "wan1", daemon=True)
    with Tcp(lab.john, lab.other, other4, 7001) as spared, Tcp(lab.john, lab.web, lab.web4, 7002) as lost:
        spared.both_speak()
        lost.both_speak()
        lab.fw.run("ip", "link", "del", "wan0")
        spared.both_speak()
        lab.link(lab.fw, "wan0", lab.router, "eth0", "5.5.0.{}/24", "2a00:1:0:2::{}/64")
        lab.default_route(lab.fw, "5.5.0.2", "2a00:1:0:2::2")

        def row():
            return {r["name"]: r for r in lab.sally.status()["interfaces"]}.get("wan0", {})

        wait_for("wan0 to be guarded again", lambda: row().get("guarded") and row()["zone"] == "outside")
        assert row()["mode"] == mode, row()
        wait_for("its address", lambda: "5.5.0.1" in slots(lab))
        with Tcp(lab.john, lab.web, lab.web4, 7003) as late:
            late.both_speak()
        before = lab.sally.drops()
        with lab.stranger.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"let me in", (lab.fw4, 7004))
            wait_for("the refusal", lambda: grown(before, lab.sally.drops()).get("uninvited"))
        spared.both_speak()
    lab.sally.down()
    assert "sp_tc" not in lab.fw.run("tc", "filter", "show", "dev", "wan0", "ingress", check=False).stdout


def test_nobody_watched_meanwhile(gateway):
    """sallyd is killed: all goes on. An interface is made anew and an address changes; the next sallyd catches up."""
    lab = gateway
    lab.sally.up(daemon=True)
    with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp:
        tcp.both_speak()
        assert lab.sally.status()["sallyd"]
        process = holder(lab)
        os.kill(process, signal.SIGKILL)
        wait_for("sallyd to be gone", lambda: not lab.sally.status()["sallyd"])
        tcp.both_speak()
    lab.fw.run("ip", "link", "del", "lan0")
    lab.link(lab.fw, "lan0", lab.john, "eth0", "10.1.0.{}/24", "2a00:1:0:1::{}/64")
    lab.default_route(lab.john, "10.1.0.1", "2a00:1:0:1::1")
    change_address(lab)
    lab.fw.run(SALLYD)
    rows = {r["name"]: r for r in lab.sally.status()["interfaces"]}
    assert rows["lan0"]["guarded"] and rows["lan0"]["zone"] == "inside", rows
    assert slots(lab) == ["5.5.0.9"]
    with Tcp(lab.john, lab.web, lab.web4, 7002) as late:
        late.both_speak()
        assert late.seen()[0] == "5.5.0.9"


def holder(lab):
    """Number of the process that holds the lock of this firewall's sallyd, as the second one is told."""
    second = lab.fw.run(SALLYD, check=False)
    assert second.returncode == 4 and "running here already, process " in second.stderr, second
    return int(second.stderr.split("process ")[1])


def test_one_for_each_firewall_and_none_without(gateway):
    lab = gateway
    without = lab.fw.run(SALLYD, check=False)
    assert without.returncode == 4 and "not up" in without.stderr, without
    assert lab.fw.run(SALLYD, "--nonsense", check=False).returncode == 2
    assert lab.fw.run(SALLYD, "nonsense", check=False).returncode == 2
    assert not lab.sally.up() is None and not lab.sally.status()["sallyd"], "--no-daemon starts none"
    watching = Foreground(lab)
    wait_for("it to be seen", lambda: lab.sally.status()["sallyd"])
    # in the foreground nsenter has become it, so it has the number that was started
    assert holder(lab) == watching.pid
    status = {line.split(":")[0]: line.split()[1] for line in open(f"/proc/{watching.pid}/status") if "\t" in line
              and len(line.split()) > 1}
    kept = 1 << 12 | 1 << 21 | 1 << 39  # NET_ADMIN, SYS_ADMIN, BPF
    for which in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[which], 16) & ~kept == 0, (which, status[which])
    assert int(status["CapInh"], 16) == 0 and status["NoNewPrivs"] == "1"
    lab.sally.down()
    assert "taken down" in watching.line()
    assert watching.process.wait(10) == 0


def test_what_a_line_logs(gateway, tmp_path):
    """Events of a line with `log` are written, one line each, with the name of the line; nothing else is."""
    lab = gateway
    config = tmp_path / "sally.conf"
    config.write_text("open tcp/7001 log\nopen tcp/7002\nblock from 5.5.2.2 log\n".replace("block from", "block"))
    lab.sally.up("--config", config)
    watching = Foreground(lab)
    with Tcp(lab.web, lab.fw, lab.fw4, 7002) as quiet, Tcp(lab.web, lab.fw, lab.fw4, 7001) as told:
        quiet.both_speak()
        told.both_speak()
        line = watching.line()
        assert "let in tcp 5.5.1.2:" in line and " -> 5.5.0.1:7001 at wan0: " in line and "line open-tcp" in line, line
        with lab.stranger.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"let me in", (lab.fw4, 7003))
        line = watching.line()
        assert "stopped udp 5.5.2.2:" in line and "blocked" in line and "line block" in line, line


def test_a_default_route_elsewhere_is_told(gateway):
    """Zones do not change by themselves; it is said once, and what to do."""
    lab = gateway
    lab.sally.up()
    watching = Foreground(lab)
    lab.fw.run("ip", "route", "add", "default", "via", "10.1.0.2", "metric", "50")
    line = watching.line()
    assert "default route leads through lan0 now, which is inside" in line and "wan lan0" in line, line
    lab.fw.run("ip", "route", "add", "default", "via", "10.1.0.2", "metric", "60")
    lab.fw.run("ip", "addr", "add", "5.5.0.9/24", "dev", "wan0")
    assert "addresses at the outside have changed" in watching.line()
    assert {row["name"]: row["zone"] for row in lab.sally.status()["interfaces"]} == {"lan0": "inside", "wan0": "outside"}


def test_it_sleeps_when_nothing_happens(gateway):
    """No busy loop: packets, however many, do not wake it."""
    lab = gateway
    lab.sally.up()
    watching = Foreground(lab)

    def switches():
        with open(f"/proc/{watching.pid}/status", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)

    def at_rest():
        before, until = switches(), time.monotonic() + 1.0
        with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp:
            while time.monotonic() < until:
                tcp.both_speak()
        return switches() == before

    wait_for("sallyd at rest while packets pass", at_rest)


def is_gone(process):
    """Ended, whether or not somebody has taken note of it."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("killed", [False, True], ids=["ends", "killed"])
def test_it_ends_with_its_network_namespace(gateway, killed):
    """A namespace that loses its name is not kept alive by sallyd, and what it kept goes, by the next `up` if not before."""
    lab = gateway
    lab.sally.up(daemon=True)
    process = holder(lab)
    cookie = lab.fw.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with cookie:
        number = int.from_bytes(cookie.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")
    kept = [f"/run/sally/{name}" for name in os.listdir("/run/sally") if name.startswith(f"{number}-")]
    assert len(kept) == 1
    if killed:
        os.kill(process, signal.SIGKILL)
        wait_for("sallyd to be killed", lambda: is_gone(process))
        assert os.path.exists(kept[0])
    # its pins are not in it: the next `up` anywhere removes them
    subprocess.run(["ip", "netns", "del", lab.fw.name], check=True, timeout=20)
    lab.namespaces.remove(lab.fw)
    wait_for("sallyd to end", lambda: is_gone(process))
    if killed:
        other = Lab("host")
        try:
            # a new namespace may have got the number of the one that is gone: whoever is up in it sees that
            for ns in other.namespaces:
                ns.run(SALLY, "up", "--no-daemon", "--outside", "eth0" if ns is not other.fw else "wan0", "--flows", 1000)
            wait_for("what it kept to go", lambda: not os.path.exists(kept[0]))
        finally:
            for ns in other.namespaces:
                ns.run(SALLY, "down")
            other.close()
    assert not os.path.exists(kept[0])
