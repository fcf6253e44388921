# SPDX-License-Identifier: BSD-2-Clause
"""The express lane on and off: by a line, by an option, on trial; and interfaces that can not take it, or can no longer."""

import time

import pytest

from lab import wait_for
from lane import Talk

ALL, NONE = {"lan0": True, "wan0": True, "wan1": True}, {"lan0": False, "wan0": False, "wan1": False}
PATIENCE = 60  # sallyd waits for its turn: one lock for all the firewalls of a machine
NO_GRO = "its driver can not send redirected packets (veth: the other end needs 'ethtool -K IF gro on')"


@pytest.fixture
def lab(built):
    """Down, before and after."""
    down(built)
    yield built
    built.straight()
    down(built)


def down(lab):
    lab.sally("down", check=False)
    lab.is_watched = None


def is_up(lab, watched):
    """Up with its tests' interfaces, nothing else in force, with sallyd or without; what a test before has left is used."""
    if lab.is_watched is not watched:
        down(lab)
        said = lab.up("--mode", "xdp", daemon=watched)
        assert not watched or "sallyd watches" in said, said
        lab.is_watched = watched
    else:
        lab.put()
    return lab


@pytest.fixture
def plain(built):
    """Up, and the lane off."""
    yield is_up(built, False)
    built.straight()


@pytest.fixture
def watched(built):
    """Up, with sallyd, and the lane on."""
    lab = is_up(built, True)
    lab.put("express on")
    yield lab
    lab.straight()


def why(lab):
    """Of each interface that is not on the lane."""
    return {i["name"]: i["express_note"] for i in lab.sally.status()["interfaces"] if i["guarded"] and i["express_note"]}


def takes_it(lab, talk, n=10):
    """Does what they say take the lane: nearly all of it (now and then one asks the stack for the way), or nothing?"""
    before = lab.taken()
    for _ in range(n):
        assert talk.there() and talk.back()
    grown = lab.taken() - before
    assert grown == 0 or grown >= n * 3 // 2
    return grown > 0


def test_a_line(plain):
    """Off without it; `apply` takes it from the file, and `undo` takes it back; conversations go on."""
    lab = plain
    assert lab.lanes() == NONE and not why(lab)
    assert lab.sally.status()["express"] == {"wanted": False, "by": "default", "idle": False, "others": []}
    with Talk(lab, "translated", 7460) as talk:
        assert not takes_it(lab, talk)
        said = lab.put("express on")
        assert "+ express on" in said and "wan0: on the express lane" in said
        assert lab.lanes() == ALL and takes_it(lab, talk)
        assert lab.sally.status()["express"] == {"wanted": True, "by": "configuration", "idle": False, "others": []}
        assert "wan0, judged at XDP, express lane\n" in lab.sally("status").stdout
        lab.sally("undo")
        assert lab.lanes() == NONE and not takes_it(lab, talk)
        lab.sally("undo")
        assert lab.lanes() == ALL and takes_it(lab, talk)
        assert "wan1: off the express lane\n" in lab.put("express off")
        assert lab.lanes() == NONE and not takes_it(lab, talk)
        lab.put("open ssh")
        assert lab.lanes() == NONE


def test_options_stand_over_it(lab):
    lab.up("--express", lines=["express off"])
    assert lab.lanes() == ALL and lab.sally.status()["express"]["by"] == "option"
    lab.put("express off")
    assert lab.lanes() == ALL
    lab.sally.down()
    lab.up("--no-express", lines=["express on"])
    assert lab.lanes() == NONE and not why(lab) and lab.sally.status()["express"]["by"] == "option"
    assert "off, whatever the configuration says" in lab.sally("status").stdout
    assert "express on: not in force, 'sally up --no-express' stands over it" in lab.put("express on")
    assert lab.lanes() == NONE


def test_on_trial(plain):
    """It goes back by itself: no command and no process takes part in it."""
    lab = plain
    with Talk(lab, "public", 7461) as talk:
        talk.goes(by="a", n=3)
        lab.put("express on", trial=2)
        end = time.monotonic() + 2
        assert takes_it(lab, talk)
        time.sleep(max(0, end - time.monotonic()))
        wait_for("the end of the trial", lambda: not takes_it(lab, talk, n=5), seconds=3)
        assert lab.lanes() == NONE
        lab.put("express on", trial=60)
        lab.sally("confirm")
        assert lab.lanes() == ALL and takes_it(lab, talk)
        lab.put("express off", trial=60)
        assert lab.lanes() == NONE and not takes_it(lab, talk)
        lab.sally("undo")
        assert lab.lanes() == ALL and takes_it(lab, talk)
        lab.put("express off", trial=1)
        wait_for("the end of the trial", lambda: takes_it(lab, talk, n=5), seconds=3)
        assert lab.lanes() == ALL


def test_interfaces_that_can_not(lab):
    """Each says why; what goes through the others takes it. `up` takes the line from the file, too."""
    lab.b.run("ethtool", "-K", "eth1", "gro", "off")
    try:
        said = lab.up(lines=["express on"])
        assert "wan0 (xdp, express lane)" in said
        assert f"wan1 (xdp; no express lane: {NO_GRO})" in said
        assert lab.lanes() == ALL | {"wan1": False} and why(lab) == {"wan1": NO_GRO}
        assert f"wan1, judged at XDP (no express lane: {NO_GRO})" in lab.sally("status").stdout
        with Talk(lab, "translated", 7462) as talk:
            talk.goes(by="a")
            lab.route("replace", 4, "b1")
            before = lab.taken()
            for _ in range(5):
                assert talk.there()
            assert lab.taken() == before and talk.back()
    finally:
        lab.b.run("ethtool", "-K", "eth1", "gro", "on")
    assert why(lab) == {"wan1": "it can take it by now: 'sally apply', or sallyd if it runs"}
    assert "wan1: on the express lane" in lab.put("express on")
    assert lab.lanes() == ALL


def test_not_at_tc(lab):
    lab.up("--mode", "tc", lines=["express on"])
    assert lab.lanes() == NONE and set(why(lab).values()) == {"its packets are not judged at XDP"}


def test_a_program_of_somebody_else(lab, tmp_path):
    """Who holds the interface's place for XDP keeps it: that interface is judged at TC, and not on the lane."""
    source, program = tmp_path / "pass.c", tmp_path / "pass.o"
    source.write_text('__attribute__((section("xdp"))) int pass(void *ctx) { return 2; }\n')
    lab.fw.run("clang-19", "-target", "bpf", "-O2", "-c", source, "-o", program)
    lab.fw.run("ip", "link", "set", "wan1", "xdpdrv", "obj", program, "sec", "xdp")
    try:
        lab.up("--mode", "auto", lines=["express on"])
        assert lab.lanes() == ALL | {"wan1": False} and why(lab) == {"wan1": "its packets are not judged at XDP"}
        assert "wan1, judged at TC (no native XDP: a program of somebody else is there)" in lab.sally("status").stdout
    finally:
        lab.fw.run("ip", "link", "set", "wan1", "xdpdrv", "off")


def test_the_other_end_can_no_longer(plain):
    """Nothing is lost in silence: `status` says so, and `apply` (sallyd by itself) gives the lane up."""
    lab = plain
    lab.put("express on")
    with Talk(lab, "public", 7463) as talk:
        talk.goes(by="a")
        lab.hub.run("ethtool", "-K", "fw0", "gro", "off")
        try:
            assert not all([talk.there(seconds=0.1) for _ in range(3)])  # that is what is told of
            assert f"PACKETS ARE LOST: the express lane leads to wan0, but {NO_GRO}" in lab.sally("status").stdout
            assert f"wan0: off the express lane: {NO_GRO}" in lab.put("express on")
            assert lab.lanes() == ALL | {"wan0": False} and "PACKETS ARE LOST" not in lab.sally("status").stdout
            assert not takes_it(lab, talk)
        finally:
            lab.hub.run("ethtool", "-K", "fw0", "gro", "on")


def test_sallyd_sees_what_drivers_can_do(watched):
    with Talk(watched, "translated", 7464) as talk:
        for _ in range(3):
            talk.goes(by="a")
            watched.hub.run("ethtool", "-K", "fw0", "gro", "off")
            wait_for("sallyd", lambda: watched.lanes() == ALL | {"wan0": False}, seconds=PATIENCE)
            assert talk.there() and talk.back()
            watched.hub.run("ethtool", "-K", "fw0", "gro", "on")
            wait_for("the lane", lambda: watched.lanes() == ALL, seconds=PATIENCE)
        talk.goes(by="a")


def test_an_interface_that_comes_back(watched):
    """It is on the lane again as soon as it can be, under its new number, and so are conversations through it."""
    lab = watched
    with Talk(lab, "public", 7465) as talk:
        lab.route("replace", 4, "b1")
        lab.answers_by("b1")
        talk.goes(by="b")
        lab.fw.run("ip", "link", "del", "wan1")
        lab.link(lab.fw, "wan1", lab.b, "eth1", "5.6.0.{}/24", "2a00:1:0:6::{}/64")
        lab.answers_by("b1")
        lab.route("replace", 4, "b1")
        wait_for("the guard", lambda: lab.lanes() == ALL | {"wan1": False}, seconds=PATIENCE)
        assert why(lab) == {"wan1": NO_GRO} and talk.there() and talk.back()
        lab.b.run("ethtool", "-K", "eth1", "gro", "on")
        wait_for("the lane", lambda: lab.lanes() == ALL, seconds=PATIENCE)
        talk.goes(by="b")


def test_the_trial_of_a_line_with_sallyd(watched):
    """What sallyd puts right while a trial runs does not outlive it."""
    watched.put("express off", trial=2)
    watched.hub.run("ethtool", "-K", "fw0", "gro", "off")
    watched.hub.run("ethtool", "-K", "fw0", "gro", "on")
    assert watched.lanes() == NONE
    wait_for("the end of the trial", lambda: watched.lanes() == ALL, seconds=PATIENCE)
    with Talk(watched, "public", 7466) as talk:
        talk.goes(by="a")


@pytest.mark.parametrize("way", ["lane", "slow"])
def test_an_interface_that_changes_its_zone(plain, way):
    """No line says any more that it is outside: answers that come by it are stopped, on the lane and on the slow way."""
    lab, line = plain, "express on" if way == "lane" else "express off"
    lab.put(line)
    lab.way = way
    lab.route("replace", 4, "b1")
    lab.answers_by("b1")
    with Talk(lab, "public", 7467) as talk:
        talk.goes(by="b")
        lab.put("wan wan0", "lan lan0", line, zones=False)
        before = lab.seen()
        assert talk.there() and not talk.back(seconds=0.3)
        assert lab.seen()[1] == before[1] + 1
        assert lab.lanes() == (ALL if way == "lane" else NONE)
        lab.put(line)
        talk.goes(by="b")


def test_places_that_are_used_again(lab):
    """A conversation that takes the place of another in the table goes its own way, not that of the one before."""
    lab.up("--mode", "xdp", "--flows", 56, lines=["express on"])
    lab.way = "lane"
    lab.fw.run("ip", "route", "add", "default", "via", "5.5.0.3", "dev", "wan0", "table", 80)
    lab.fw.run("ip", "rule", "add", "iif", "lan0", "dport", "7480-7489", "lookup", "80", "prio", "80")
    try:
        for n in range(10):
            for kind in ("public", "translated"):
                for port, by in ((7480 + n, "b"), (7490 + n, "a")):
                    with Talk(lab, kind, port) as talk:
                        assert talk.way() == by
                    lab.sally("flows", "kill", "--all")
    finally:
        lab.fw.run("ip", "rule", "del", "prio", "80")
        lab.fw.run("ip", "route", "flush", "table", 80)
