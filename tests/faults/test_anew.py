# SPDX-License-Identifier: BSD-2-Clause
"""Interfaces that are made anew while nobody looks: nothing passes by them before they are guarded again.

The sender outside never stops; sallyd is stopped (SIGSTOP), or there is none.
"""

import errno
import os
import signal
import socket

import pytest

from lab import SALLY, Lab, wait_for
from test_local_user import sallyd
from test_poor_kernel import poor
from witness import SECOND, Talkers, Witness, one_line, run

ETH_IP = 0x0800
HELD = 300  # packets: so many knocks are seen to be held back


def cable(lab, name):
    """The same interface, made anew."""
    if name == "wan0":
        lab.link(lab.fw, "wan0", lab.router, "eth0", "5.5.0.{}/24", "2a00:1:0:2::{}/64")
        lab.default_route(lab.fw, "5.5.0.2", "2a00:1:0:2::2")
        if lab.john is not lab.fw:
            lab.router.run("ip", "route", "replace", "10.1.0.0/24", "via", "5.5.0.1")
        lab.router.run("ip", "route", "replace", "2a00:1:0:1::/64", "via", "2a00:1:0:2::1")
    else:
        lab.link(lab.fw, "lan0", lab.john, "eth0", "10.1.0.{}/24", "2a00:1:0:1::{}/64")
        lab.default_route(lab.john, "10.1.0.1", "2a00:1:0:1::1")


def anew(lab, name):
    lab.fw.run("ip", "link", "del", name)
    cable(lab, name)


def private(sniffer):
    """How many packets have John's own address."""
    n = 0
    while True:
        try:
            n += sniffer.recv(2048)[12:16] == socket.inet_aton("10.1.0.2")
        except BlockingIOError:
            return n


def gate(lab, name):
    return {held["name"]: held for held in lab.sally.status()["gate"]["held"]}.get(name, {"now": False, "packets": 0})


def wait_held(lab, name, packets=HELD):
    before = gate(lab, name)["packets"]
    wait_for(f"what comes by {name} to be held back", lambda: gate(lab, name)["packets"] >= before + packets)
    assert gate(lab, name)["now"] and f"HELD BACK: {name}" in lab.sally("status").stdout


def wait_guarded(lab, name):
    wait_for(f"{name} to be guarded", lambda: any(i["name"] == name and i["guarded"] for i in
                                                  lab.sally.status()["interfaces"]) and not gate(lab, name)["now"])


@pytest.fixture(params=["host", "gateway"])
def watched(request, tmp_path):
    lab = Lab(request.param)
    try:
        lab.witness = Witness(lab, tmp_path)
        lab.sally.up("--flows", "2000", daemon=True)
        lab.witness.begin()
        lab.talkers = Talkers(lab)
        yield lab
        lab.talkers.end()
    finally:
        if sallyd(lab):
            os.kill(sallyd(lab), signal.SIGCONT)
        lab.close()


def test_while_sallyd_is_stopped(watched):
    """Each interface in turn. Nothing private leaves; afterwards it is guarded, and what was answered goes on."""
    lab = watched
    sniffer = lab.router.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_IP), timeout=0)
    daemon = sallyd(lab)
    for name in ("wan0",) if lab.john is lab.fw else ("wan0", "lan0"):
        os.kill(daemon, signal.SIGSTOP)
        anew(lab, name)
        if name == "wan0":
            sniffer.bind(("eth0", ETH_IP))
            wait_held(lab, name)
            if lab.john is not lab.fw:
                said = lab.talkers.said()
                wait_for("John to have spoken", lambda: lab.talkers.said() > said + 10)  # noqa: B023
            assert not private(sniffer)
        else:  # nobody knocks from there: John does
            lab.john.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "10.1.0.1", check=False)
            assert gate(lab, name)["packets"] >= 2
        assert lab.witness.unguarded() == 0
        os.kill(daemon, signal.SIGCONT)
        wait_guarded(lab, name)
        lab.talkers.go_on(40)
        assert lab.witness.unguarded() == 0
    stopped = lab.sally.drops().get("uninvited", 0)
    wait_for("knocks to be judged", lambda: lab.sally.drops()["uninvited"] > stopped + 20)
    assert lab.witness.end() == 0


@pytest.fixture
def alone(tmp_path):
    """Without sallyd, by a configuration that names the interface."""
    lab = Lab("host")
    try:
        lab.conf = os.path.join(tmp_path, "sally.conf")
        with open(lab.conf, "w", encoding="ascii") as file:
            file.write("wan wan0\n")
        lab.witness = Witness(lab, tmp_path)
        yield lab
    finally:
        lab.close()


def up(lab, program=SALLY, *words):
    done = run(lab.fw, program, "up", "--no-daemon", "--flows", "2000", "--config", lab.conf, *words)
    assert done.returncode == 0, done


def test_without_sallyd_apply_guards_it(alone):
    """Discovery of the link goes on meanwhile, answers are not let in."""
    lab = alone
    up(lab)
    lab.witness.begin()
    anew(lab, "wan0")
    wait_held(lab, "wan0")
    lab.router.run("ip", "-6", "neigh", "flush", "dev", "eth0")
    wait_for("the router to find it",
             lambda: "lladdr" in lab.router.run("ip", "-6", "neigh", "show", "2a00:1:0:2::1").stdout)
    assert lab.fw.run("ping", "-c", "1", "-W", "1", "5.5.0.2", check=False).returncode
    assert lab.sally("apply", "--no-trial", lab.conf).returncode == 0
    wait_guarded(lab, "wan0")
    assert lab.fw.run("ping", "-c", "1", "-W", "5", "5.5.0.2").returncode == 0
    anew(lab, "wan0")
    wait_held(lab, "wan0")
    assert run(lab.fw, SALLY, "up", "--no-daemon").returncode == 4  # that, too
    wait_guarded(lab, "wan0")
    assert lab.witness.end() == 0


def test_in_another_namespace_meanwhile(alone):
    """It keeps its number, but not its filters."""
    lab = alone
    up(lab)
    lab.witness.begin()
    lab.fw.run("ip", "link", "set", "wan0", "netns", lab.web.name)
    lab.web.run("ip", "link", "set", "wan0", "netns", lab.fw.name)
    lab.fw.run("ip", "addr", "add", "5.5.0.1/24", "dev", "wan0")
    lab.fw.run("ip", "link", "set", "wan0", "up")
    lab.fw.run("ip", "route", "add", "default", "via", "5.5.0.2")
    wait_for("it to be held back", lambda: gate(lab, "wan0")["packets"] > HELD)
    assert lab.witness.end() == 0


def test_a_released_one_works(alone):
    """One that the configuration names no longer is open, also when it comes back after that; and so is all after `down`."""
    lab = alone
    up(lab)
    lab.link(lab.fw, "two0", lab.web, "two1", "10.7.0.{}/24", "2a00:7::{}/64")
    other = lab.conf + ".two"
    with open(other, "w", encoding="ascii") as file:
        file.write("wan wan0\nlan two0\n")
    assert lab.sally("apply", "--no-trial", other).returncode == 0

    def make():
        lab.link(lab.fw, "two0", lab.web, "two1", "10.7.0.{}/24", "2a00:7::{}/64")

    def answers():
        return lab.web.run("ping", "-c", "1", "-W", "1", "10.7.0.1", check=False).returncode == 0

    lab.fw.run("ip", "link", "del", "two0")
    make()
    assert not answers() and gate(lab, "two0")["now"]
    assert lab.sally("apply", "--no-trial", lab.conf).returncode == 0
    wait_for("an answer by the released one", answers)
    lab.fw.run("ip", "link", "del", "two0")
    make()
    wait_for("an answer by the new one", answers)
    assert not gate(lab, "two0")["now"]
    lab.sally("apply", "--no-trial", other)
    lab.fw.run("ip", "link", "del", "two0")
    lab.sally("apply", "--no-trial", lab.conf)  # it is not there when it is released
    make()
    wait_for("an answer", answers)
    anew(lab, "wan0")
    wait_held(lab, "wan0")
    lab.sally.down()
    heard = lab.witness.listeners[0].count
    wait_for("knocks after down", lambda: lab.witness.listeners[0].count > heard + 20)


def rename(lab, old, new):
    """While it is up (Linux 6.2): it keeps its routes."""
    lab.fw.run("ip", "link", "set", old, "name", new)


def test_a_renamed_one_is_held_under_both_names(alone):
    """Once a command has seen it; but the name that it had may be somebody else's by now."""
    lab = alone
    done = run(lab.fw, SALLY, "up", "--no-daemon", "--flows", "2000", "--outside", "wan0")
    assert done.returncode == 0, done
    lab.witness.begin()
    conf = lab.conf + ".none"
    with open(conf, "w", encoding="ascii") as file:
        file.write("open ssh\n")
    for now in ("wan0", "wan9"):  # under which it is made anew
        rename(lab, "wan0", "wan9")
        assert lab.sally("apply", "--no-trial", conf).returncode == 0
        lab.fw.run("ip", "link", "del", "wan9")
        cable(lab, "wan0")
        if now != "wan0":
            rename(lab, "wan0", now)
        wait_held(lab, now)
        assert lab.sally("apply", "--no-trial", conf).returncode == 0
        wait_guarded(lab, now)
    rename(lab, "wan9", "wan0")
    assert lab.sally("apply", "--no-trial", conf).returncode == 0
    lab.link(lab.fw, "two0", lab.web, "two1", "10.7.0.{}/24", "2a00:7::{}/64")
    rename(lab, "two0", "wan9")
    assert lab.web.run("ping", "-c", "1", "-W", "1", "10.7.0.1", check=False).returncode and gate(lab, "wan9")["now"]
    assert lab.sally("apply", "--no-trial", conf).returncode == 0
    wait_for("an answer by another one",
             lambda: lab.web.run("ping", "-c", "1", "-W", "1", "10.7.0.1", check=False).returncode == 0)
    assert not gate(lab, "wan9")["now"] and lab.witness.end() == 0


def test_it_stays_through_upgrades(alone):
    """Another build in its place, another one's tables, and the first one again: it holds all the while."""
    lab = alone
    up(lab)
    lab.witness.begin()
    for program, words in ((SECOND, []), (SALLY, []), (SALLY, ["--replace"])):
        up(lab, program, *words)
        assert run(lab.fw, program, "up", "--no-daemon").returncode == 4, "that very build is up"
        anew(lab, "wan0")
        wait_held(lab, "wan0")
        assert lab.sally("apply", "--no-trial", lab.conf).returncode == 0
        wait_guarded(lab, "wan0")
    assert lab.witness.end() == 0


LACKS = ("prog", 32, errno.EINVAL)  # BPF_PROG_TYPE_NETFILTER


def test_a_kernel_without_it(alone):
    """It comes up as ever, says what is open, and an upgrade on a kernel that has it closes that."""
    lab = alone
    done = poor(lab.fw, LACKS, SALLY, "up", "--no-daemon", "--flows", "2000", "--config", lab.conf)
    assert done.returncode == 0 and not done.stderr, done
    assert "an interface that is made anew is open until sallyd has seen it" in lab.sally("status").stdout
    assert not lab.sally.status()["gate"]["there"]
    again = poor(lab.fw, LACKS, SALLY, "up", "--no-daemon")
    assert one_line(again) and again.returncode == 4, again
    anew(lab, "wan0")
    heard = lab.witness.listeners[0].count
    wait_for("knocks, for nobody guards", lambda: lab.witness.listeners[0].count > heard + 20)
    assert lab.sally("apply", "--no-trial", lab.conf).returncode == 0
    up(lab)
    assert lab.sally.status()["gate"]["there"]
    lab.witness.begin()
    anew(lab, "wan0")
    wait_held(lab, "wan0")
    assert lab.witness.end() == 0
