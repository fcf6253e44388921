# SPDX-License-Identifier: BSD-2-Clause
"""Interfaces that change, vanish and return under a firewall that is up."""

import json
import time

import pytest

from lab import SALLY, Lab, Namespace, wait_for
from witness import Talkers, Witness, one_line, run


@pytest.fixture(scope="module", params=["tc", "xdp"])
def guarded(request, tmp_path_factory):
    """Nobody watches; what holds, the kernel's programs hold."""
    lab = Lab("host")
    try:
        lab.mode = request.param
        lab.witness = Witness(lab, tmp_path_factory.mktemp("heard"))
        lab.sally.up("--mode", request.param, "--flows", "2000")
        lab.witness.begin()
        lab.talkers = Talkers(lab)
        yield lab
        lab.talkers.end()
    finally:
        lab.close()


def holds(lab):
    lab.talkers.go_on()
    assert lab.witness.unguarded() == 0
    assert "NOT GUARDED" not in lab.sally("status").stdout


def test_another_name(guarded):
    lab = guarded
    lab.fw.run("ip", "link", "set", "wan0", "name", "wan9")
    holds(lab)
    assert "wan9" in lab.sally("status").stdout
    lab.fw.run("ip", "link", "set", "wan9", "name", "wan0")
    holds(lab)


def test_another_mtu(guarded):
    lab = guarded
    for mtu in (1400, 1280, 1500):
        lab.fw.run("ip", "link", "set", "wan0", "mtu", mtu)
        holds(lab)


def test_another_address(guarded):
    """Who knocks at the new one is not let in; what goes on with the old one goes on."""
    lab = guarded
    lab.fw.run("ip", "addr", "add", "5.5.0.9/24", "dev", "wan0")
    lab.fw.run("ip", "addr", "add", "2a00:1:0:2::9/64", "dev", "wan0", "nodad")
    lab.witness.knock("5.5.0.9", "2a00:1:0:2::9")
    stopped = lab.sally.drops().get("uninvited", 0)
    wait_for("knocks at the new address", lambda: lab.sally.drops()["uninvited"] > stopped + 50)
    holds(lab)
    lab.fw.run("ip", "addr", "del", "5.5.0.9/24", "dev", "wan0")
    holds(lab)


def test_another_link_layer_address(guarded):
    lab = guarded
    lab.fw.run("ip", "link", "set", "wan0", "address", "02:00:00:00:00:09")
    holds(lab)


def test_down_and_up(guarded):
    """Packets are lost while it is down, conversations are not."""
    lab = guarded
    lab.fw.run("ip", "link", "set", "wan0", "down")
    time.sleep(0.2)
    lab.fw.run("ip", "link", "set", "wan0", "up")
    lab.fw.run("ip", "addr", "replace", "2a00:1:0:2::1/64", "dev", "wan0", "nodad")
    lab.fw.run("ip", "route", "replace", "default", "via", "5.5.0.2")
    lab.fw.run("ip", "-6", "route", "replace", "default", "via", "2a00:1:0:2::2")
    holds(lab)


def cable(lab):
    lab.link(lab.fw, "wan0", lab.router, "eth0", "5.5.0.{}/24", "2a00:1:0:2::{}/64")
    lab.default_route(lab.fw, "5.5.0.2", "2a00:1:0:2::2")


def guarded_names(lab):
    return [i["name"] for i in json.loads(lab.sally("status", "--json").stdout)["interfaces"] if i.get("guarded")]


@pytest.fixture
def watched(tmp_path):
    """With sallyd, which guards again what is there again."""
    lab = Lab("host")
    try:
        lab.witness = Witness(lab, tmp_path)
        lab.sally.up("--flows", "2000", daemon=True)
        yield lab
    finally:
        lab.close()


def knocks_are_stopped(lab):
    """From some moment on nothing arrives, and knocks are counted as stopped."""
    def quiet():
        count, stopped = lab.witness.listeners[0].count, lab.sally.drops().get("uninvited", 0)
        wait_for("knocks to be stopped", lambda: lab.sally.drops().get("uninvited", 0) > stopped + 20)
        return lab.witness.listeners[0].count == count

    wait_for("the interface to be guarded", quiet, 20, 0)


def test_vanished_and_there_again(watched):
    """A new cable by the old name is guarded as soon as sallyd has seen it; until then nothing passes (test_anew.py). How
    long that is, is printed."""
    lab = watched
    lab.witness.begin()
    lab.fw.run("ip", "link", "del", "wan0")
    wait_for("it to be gone", lambda: lab.sally("status").returncode == 0 and "wan0" not in guarded_names(lab))
    cable(lab)
    began = time.monotonic()
    wait_for("it to be guarded again", lambda: "wan0" in guarded_names(lab))
    print(f"guarded again after at most {time.monotonic() - began:.2f} s")
    for to in "5.5.0.2", "2a00:1:0:2::2":  # while it asks who is there, the router throws away what it holds for us
        wait_for("the router", lambda: not lab.fw.run("ping", "-c1", "-W1", to, check=False).returncode)  # noqa: B023
    knocks_are_stopped(lab)
    with_new = Talkers(lab)
    with_new.go_on()
    assert lab.witness.unguarded() == 0 and with_new.lost() == 0
    with_new.end()


def test_to_another_namespace_and_back(watched):
    """Elsewhere our programs judge nobody; back here it is guarded again."""
    lab = watched
    away = Namespace(lab, "away")
    lab.witness.begin()
    lab.fw.run("ip", "link", "set", "wan0", "netns", away.name)
    away.run("ip", "addr", "add", "5.5.0.1/24", "dev", "wan0")
    away.run("ip", "link", "set", "wan0", "up")
    wait_for("an answer from elsewhere", lambda: lab.router.run("ping", "-c", "1", "-W", "1", "5.5.0.1", check=False)
             .returncode == 0)
    away.run("ip", "link", "set", "wan0", "netns", lab.fw.name)
    lab.fw.run("ip", "addr", "add", "5.5.0.1/24", "dev", "wan0")
    lab.fw.run("ip", "addr", "add", "2a00:1:0:2::1/64", "dev", "wan0", "nodad")
    lab.fw.run("ip", "link", "set", "wan0", "up")
    lab.default_route(lab.fw, "5.5.0.2", "2a00:1:0:2::2")
    wait_for("it to be guarded again", lambda: "wan0" in guarded_names(lab))
    knocks_are_stopped(lab)
    assert lab.witness.end() == 0


def test_without_sallyd_it_is_told(tmp_path):
    """Nobody sees to what returns; `status` says so, and `down` and `up` put it right."""
    lab = Lab("host")
    try:
        lab.sally.up("--flows", "2000")
        lab.fw.run("ip", "link", "del", "wan0")
        assert lab.sally("status").returncode == 0
        done = run(lab.fw, SALLY, "apply", "--no-trial", "/dev/null")
        assert one_line(done) and "no interface has a default route" in done.stderr, done
        cable(lab)
        assert "HELD BACK: wan0" in lab.sally("status").stdout
        again = run(lab.fw, SALLY, "up", "--no-daemon")
        assert one_line(again) and again.returncode == 4
        lab.sally.down()
        lab.sally.up("--flows", "2000")
        assert "HELD BACK" not in lab.sally("status").stdout
    finally:
        lab.close()
