# SPDX-License-Identifier: BSD-2-Clause
"""From one build to the next: `sally up` of a build whose programs differ, over a firewall that is up.

Nothing is unguarded meanwhile, no conversation loses a packet; and a build whose tables have another layout says so, and
touches nothing, unless it is told to take that one's place.
"""

import errno
import json
import os
import re
import signal

import pytest

from lab import SALLY, Lab, wait_for
from witness import BASE, BPFTOOL, OTHER, POOR, SECOND, WIDER, Talkers, Witness, lock_of, one_line, programs, run, tables


@pytest.fixture(params=[("host", "tc"), ("gateway", "xdp")], ids="-".join)
def guarded(request, tmp_path):
    kind, mode = request.param
    lab = Lab(kind)
    try:
        lab.mode = mode
        lab.witness = Witness(lab, tmp_path)
        lab.sally.up("--mode", mode)
        lab.witness.begin()
        lab.talkers = Talkers(lab)
        yield lab
        lab.talkers.end()
    finally:
        lab.close()


def test_the_next_build_takes_over(guarded):
    """There and back again, twice: each time all programs are others, and nobody notices."""
    lab = guarded
    before = programs(lab.fw)
    assert len(before) >= 2 and all(len(tags) == 1 for tags in before.values()), before
    first = lab.sally.status()
    for round_ in range(2):
        done = run(lab.fw, SECOND, "up", "--no-daemon")
        assert done.returncode == 0 and "conversations that go on: " in done.stdout, done
        after = programs(lab.fw)
        assert after.keys() == before.keys() and all(after[name].isdisjoint(before[name]) for name in after), after
        assert one_line(again := run(lab.fw, SECOND, "up", "--no-daemon")) and again.returncode == 4, again
        done = run(lab.fw, SALLY, "up", "--no-daemon")
        assert done.returncode == 0 and programs(lab.fw) == before, (round_, done)
    lab.talkers.go_on()
    assert lab.talkers.lost() == 0
    assert lab.witness.unguarded() == 0
    last = lab.sally.status()
    assert last["generation"] == first["generation"] and last["interfaces"] == first["interfaces"]
    assert all("NOT GUARDED" not in line for line in lab.sally("status").stdout.splitlines())


MOMENTARY = {"sp_packet", "sp_glances", "sp_precedents"}


def remembered(lab):
    """The tables that have to stay the same ones. Each is one, whichever program works on it."""
    found = {name: numbers for name, numbers in tables(lab.fw).items() if name.startswith("sp_") and name not in MOMENTARY}
    assert all(len(numbers) == 1 for numbers in found.values()), found
    assert {"sp_flows", "sp_hop_of"} | ({"sp_hops"} if lab.mode == "xdp" else set()) <= found.keys()
    return found


def test_a_build_with_more_room_for_a_moment(guarded):
    """What is kept for one packet, or for a moment, may be of another size: there and back again."""
    lab = guarded
    before, kept = programs(lab.fw), remembered(lab)
    for program in (WIDER, SECOND, SALLY):
        done = run(lab.fw, program, "up", "--no-daemon")
        assert done.returncode == 0 and "conversations that go on: " in done.stdout, done
        assert remembered(lab) == kept, program
        assert one_line(again := run(lab.fw, program, "up", "--no-daemon")) and again.returncode == 4, again
    assert programs(lab.fw) == before
    lab.talkers.go_on()
    assert lab.talkers.lost() == 0
    assert lab.witness.unguarded() == 0


def test_what_the_next_build_brings_is_used_later(guarded, tmp_path):
    """An interface that comes into a zone after the upgrade gets the new programs, not those before."""
    lab = guarded
    assert run(lab.fw, SECOND, "up", "--no-daemon").returncode == 0
    lab.fw.run("ip", "link", "add", "box0", "type", "veth", "peer", "name", "box1")
    lab.fw.run("ip", "link", "set", "box0", "up")
    tags = programs(lab.fw)
    conf = tmp_path / "sally.conf"
    conf.write_text("wan wan0\nzone dmz = box0\nopen ssh\n" + ("lan lan0\n" if lab.kind == "gateway" else ""))
    done = run(lab.fw, SECOND, "apply", "--no-trial", conf)
    assert done.returncode == 0, done
    text = lab.fw.run("tc", "filter", "show", "dev", "box0", "egress").stdout
    assert all(tag in text for tag in tags["sp_tc_out"]), (text, tags)
    lab.talkers.go_on()
    assert lab.witness.unguarded() == 0 and lab.talkers.lost() == 0


def test_tables_of_another_layout(guarded):
    """It is told in one line by each command; nothing is touched, and the build before works on."""
    lab = guarded
    before = programs(lab.fw)
    for words in (["up", "--no-daemon"], ["status"], ["flows"], ["apply", "--no-trial", "/dev/null"], ["confirm"], ["undo"]):
        done = run(lab.fw, OTHER, *words)
        assert one_line(done) and "version" in done.stderr, (words, done)
    assert programs(lab.fw) == before
    lab.talkers.go_on()
    assert lab.witness.unguarded() == 0 and lab.talkers.lost() == 0
    assert lab.sally("status").returncode == 0
    lab.witness.end()
    assert run(lab.fw, OTHER, "down").returncode == 0, "it can take off what it can not read"
    assert programs(lab.fw) == {}
    assert run(lab.fw, OTHER, "up", "--no-daemon", "--mode", lab.mode).returncode == 0
    assert run(lab.fw, SALLY, "up", "--no-daemon").returncode == 4
    assert run(lab.fw, SALLY, "down").returncode == 0


@pytest.mark.parametrize("pin, sort", [
    ("sp_gate", ["type", "hash", "key", "16", "value", "24", "entries", "256"]),
    ("sp_gate", ["type", "hash", "key", "16", "value", "64", "entries", "512"]),
    ("sp_whole", ["type", "array", "key", "4", "value", "2048", "entries", "1"]),
    ("sp_whole", ["type", "hash", "key", "4", "value", "1024", "entries", "1"]),
], ids=["sp_gate-fewer", "sp_gate-larger", "sp_whole-larger", "sp_whole-hash"])
def test_a_gate_of_another_layout(tmp_path, pin, sort):
    """What the gate of the build before remembers has other sizes or another type: it is told, and nothing is touched."""
    lab = Lab("host")
    try:
        lab.sally.up("--mode", "tc")
        place = next(name for name in os.listdir(BASE) if name.split("-")[1] == str(os.stat(lab.fw.path).st_ino))
        path = os.path.join(BASE, place, pin)
        assert os.path.exists(path), "a kernel with the gate (Linux 6.4)"
        before = programs(lab.fw)
        os.unlink(path)
        lab.fw.run(BPFTOOL, "map", "create", path, *sort, "name", pin)
        for program in (SECOND, SALLY):
            done = run(lab.fw, program, "up", "--no-daemon")
            assert one_line(done) and "a version with other tables" in done.stderr and "--replace" in done.stderr, done
            assert programs(lab.fw) == before
        done = run(lab.fw, SECOND, "up", "--no-daemon", "--replace", "--flows", "5000")
        assert done.returncode == 0, done
        assert run(lab.fw, SECOND, "up", "--no-daemon").returncode == 4
    finally:
        lab.close()


def replace(lab, program, *words):
    done = run(lab.fw, program, "up", "--no-daemon", "--replace", "--flows", "5000", *words)
    assert done.returncode == 0 and "up, in the place of the one before: " in done.stdout, done
    lab.talkers.go_on()
    assert lab.witness.unguarded() == 0


def left(lab):
    second = lock_of(lab.fw).replace("/lock-", "/second-")
    return [name for name in (os.path.basename(second),) if os.path.exists(second)] + [
        name for name in os.listdir(BASE) if name.split("-")[1] == str(os.stat(lab.fw.path).st_ino)][1:]


def test_in_the_place_of_another_layout(guarded):
    """There and back again: guarded all the while, and those who speak go on."""
    lab = guarded
    before = programs(lab.fw)
    for program, former in ((OTHER, SALLY), (SALLY, OTHER)):
        replace(lab, program, "--mode", lab.mode)
        assert run(lab.fw, program, "status").returncode == 0
        assert one_line(done := run(lab.fw, former, "status")) and "version" in done.stderr, done
        assert programs(lab.fw) == before and not left(lab)
        assert run(lab.fw, program, "up", "--no-daemon").returncode == 4
    assert "NOT GUARDED" not in lab.sally("status").stdout
    lab.witness.end()
    lab.sally.down()
    assert programs(lab.fw) == {} and "clsact" not in lab.fw.run("tc", "qdisc", "show").stdout


def test_in_the_place_of_the_same(guarded, tmp_path):
    """Another size, another configuration, and from TC to XDP and back, without a moment unguarded."""
    lab = guarded
    conf = tmp_path / "sally.conf"
    conf.write_text("open ssh\n")
    for mode in ("tc", "xdp", "tc"):
        replace(lab, SALLY, "--mode", mode, "--config", conf)
        assert ("sp_xdp_in" in programs(lab.fw)) == (mode == "xdp")
        assert ("sp_tc_in" in programs(lab.fw)) == (mode == "tc")
        assert {i["mode"] for i in lab.sally.status()["interfaces"]} == {mode} and not left(lab)
    assert lab.sally.status()["flows"]["capacity"] < 6000 and "open ssh" in lab.sally("status").stdout


def test_in_the_place_of_half_a_one(tmp_path):
    """Somebody took the programs off an interface: what `status` says to do about it helps."""
    lab = Lab("host")
    try:
        lab.sally.up("--mode", "tc", "--flows", "5000")
        lab.fw.run("tc", "qdisc", "del", "dev", "wan0", "clsact")
        assert "took the programs off wan0; 'sally up --replace' puts it right" in lab.sally("status").stdout
        assert run(lab.fw, SALLY, "up", "--no-daemon", "--replace", "--flows", "5000").returncode == 0
        assert "NOT GUARDED" not in lab.sally("status").stdout and programs(lab.fw).keys() == {"sp_tc_in", "sp_tc_out"}
        lab.sally.down()
        assert "clsact" not in lab.fw.run("tc", "qdisc", "show").stdout
    finally:
        lab.close()


def test_a_replacement_that_is_refused(guarded):
    """Before anything was exchanged: nothing has changed. In between: both guard, and the next `up` finishes it."""
    lab = guarded
    words = ["up", "--no-daemon", "--replace", "--flows", "5000", "--mode", lab.mode]
    for lacks, next_up in ((("cmd", 5, errno.EPERM), 4), (("filter", errno.EPERM), 0)):
        done = run(lab.fw, "env", f"SP_LACKS={' '.join(map(str, lacks))}", f"LD_PRELOAD={POOR}", OTHER, *words)
        assert one_line(done), done
        assert lab.witness.unguarded() == 0 and not left(lab)
        program = SALLY if next_up == 4 else OTHER
        assert "NOT GUARDED" not in run(lab.fw, program, "status").stdout
        assert run(lab.fw, program, "up", "--no-daemon").returncode == next_up
        assert run(lab.fw, program, "up", "--no-daemon").returncode == 4
        lab.talkers.go_on()
        assert lab.witness.unguarded() == 0


SENDS = ("sendto", "sendmsg")


def killed_at(lab, words, name, nth, program=OTHER):
    done = run(lab.fw, "strace", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e",
               f"inject={name}:signal=KILL:when={nth}", program, *words)
    assert done.returncode == -signal.SIGKILL and len(left(lab)) == 1, (done, left(lab))


def guards_on(lab):
    lab.talkers.go_on()
    assert lab.witness.unguarded() == 0


def test_a_replacement_that_is_killed(guarded, tmp_path):
    """Before the pins are exchanged nothing has changed; after it the programs before guard on, and `up` finishes it."""
    lab = guarded
    words = ["up", "--no-daemon", "--replace", "--flows", "5000", "--mode", lab.mode]
    assert run(lab.fw, "strace", "-qq", "-o", tmp_path / "trace", OTHER, *words).returncode == 0
    calls = re.findall(r"^(\w+)\(", (tmp_path / "trace").read_text(), re.M)
    exchange = calls.index("renameat2")
    at = next(i for i in range(exchange, len(calls)) if calls[i] in SENDS)
    replace(lab, SALLY, "--mode", lab.mode)
    killed_at(lab, words, "renameat2", 1)
    guards_on(lab)
    assert run(lab.fw, SALLY, "up", "--no-daemon").returncode == 4 and not left(lab)
    killed_at(lab, words, calls[at], calls[:at + 1].count(calls[at]) + 1)
    guards_on(lab)
    done = run(lab.fw, OTHER, "up", "--no-daemon")
    assert done.returncode == 0 and not left(lab), done
    assert run(lab.fw, OTHER, "up", "--no-daemon").returncode == 4
    lab.talkers.go_on()
    assert lab.witness.unguarded() == 0


def express(lab):
    return {i["name"]: i["express"] for i in lab.sally.status()["interfaces"] if i["guarded"]}


def test_a_switch_that_is_killed_before_the_lane_is_open(tmp_path):
    """From TC to XDP, with the express lane: `up` opens it, also when every program was in its place already."""
    lab = Lab("gateway")
    whole = {"wan0": True, "lan0": True}
    to_tc = ["up", "--no-daemon", "--replace", "--flows", "5000", "--mode", "tc"]
    words = to_tc[:-1] + ["xdp", "--express"]
    try:
        for ns in (lab.john, lab.router):  # takes redirected packets
            ns.run("ethtool", "-K", "eth0", "gro", "on")
        lab.sally.up("--mode", "tc")
        assert run(lab.fw, "strace", "-qq", "-o", tmp_path / "trace", SALLY, *words).returncode == 0
        assert express(lab) == whole
        calls = re.findall(r"^(\w+)\((.*)", (tmp_path / "trace").read_text(), re.M)
        begun = next(i for i, (name, _) in enumerate(calls) if name == "renameat2")
        sends = next(i for i in range(begun, len(calls)) if calls[i][0] in SENDS)
        asks = next(i for i in range(begun, len(calls)) if calls[i][0] == "socket" and "NETLINK_GENERIC" in calls[i][1])
        for at, next_up in ((asks, 4), (sends, 0)):
            assert run(lab.fw, SALLY, *to_tc).returncode == 0
            killed_at(lab, words, calls[at][0], [name for name, _ in calls[:at + 1]].count(calls[at][0]), SALLY)
            assert express(lab) == dict.fromkeys(whole, False)
            assert run(lab.fw, SALLY, "up", "--no-daemon").returncode == next_up
            assert express(lab) == whole and programs(lab.fw).keys() == {"sp_xdp_in", "sp_tc_reject", "sp_tc_out"}
    finally:
        lab.close()


def test_sallyd_follows(tmp_path):
    """The one that watches is of the build that guards."""
    lab = Lab("host")
    try:
        lab.sally.up(daemon=True)
        first = sallyd_of(lab.fw)
        assert first == os.path.join(os.path.dirname(SALLY), "sallyd")
        done = run(lab.fw, SECOND, "up", "--no-daemon")
        assert done.returncode == 0 and "sallyd watches" in done.stdout, done
        assert sallyd_of(lab.fw) == os.path.join(os.path.dirname(SECOND), "sallyd")
        done = run(lab.fw, SALLY, "up", "--replace", "--flows", "5000")
        assert done.returncode == 0 and "sallyd watches" in done.stdout, done
        assert sallyd_of(lab.fw) == first
    finally:
        lab.close()


def sallyd_of(ns):
    """The executable of the one sallyd there."""
    found = []

    def one():
        found[:] = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                exe = os.readlink(f"/proc/{pid}/exe")
                if os.path.basename(exe) == "sallyd" and os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(ns.path).st_ino:
                    found.append(exe)
            except OSError:
                pass
        return len(found) == 1

    wait_for("one sallyd", one)
    return found[0]
