# SPDX-License-Identifier: BSD-2-Clause
"""A few of the kills of kills.py, of which `make faults` does a thousand; and moments of `down` that it seldom meets."""

import re
import signal
import time

import pytest

from kills import kills
from lab import SALLY, Lab
from witness import Witness, run

KILLS = 12
SWITCHES = 4
ACTS = ("sendto", "send", "sendmsg", "unlinkat", "rmdir")  # where it takes something away
LAST = 5  # so many of them are tried


def test_kills_at_random_moments():
    for line in kills(KILLS, 1):
        print(line)


def test_kills_between_tc_and_xdp():
    """`up --replace` to the other way in and a table of another size: never unguarded, and the next `up` finishes it."""
    for line in kills(SWITCHES, 3, only=["switch"]):
        print(line)


@pytest.fixture
def host(tmp_path):
    lab = Lab("host")
    try:
        lab.witness = Witness(lab, tmp_path)
        yield lab
    finally:
        lab.close()


def strace(lab, *words, to=("down",)):
    return run(lab.fw, "strace", "-qq", *words, SALLY, *to)


def test_a_killed_down_does_not_count_as_up(host, tmp_path):
    """What it has left is up, and guards, or is not up, and the next `up` makes it whole."""
    words = ["--no-daemon", "--mode", "tc", "--flows", "2000"]
    host.sally.up(*words)
    assert strace(host, "-o", tmp_path / "trace").returncode == 0
    calls = re.findall(r"^(\w+)\(", (tmp_path / "trace").read_text(), re.M)
    acts = [i for i, name in enumerate(calls) if name in ACTS]
    seen = set()
    for i in acts[::-1][:LAST * 2:2]:
        host.sally("up", *words, check=False)
        name = calls[i]
        inject = f"inject={name}:signal=KILL:when={calls[:i + 1].count(name)}"
        done = strace(host, "-o", "/dev/null", "-e", f"trace={name}", "-e", inject)
        assert done.returncode in (-signal.SIGKILL, 0), done
        up = run(host.fw, SALLY, "status").returncode == 0
        if not up:
            assert run(host.fw, SALLY, "up", *words).returncode == 0
        host.witness.begin()
        time.sleep(0.05)
        assert host.witness.end() == 0, f"killed at {name}, {len(calls) - i} from the end; status says that it is up"
        seen.add(up)
    assert False in seen, "it was not killed where it acts"


def qdiscs(lab):
    return [line for line in lab.fw.run("tc", "qdisc", "show").stdout.splitlines() if "clsact" in line]


def test_a_killed_up_leaves_no_qdisc(host, tmp_path):
    """Killed around the moment when the kernel has just made the clsact qdisc: `down` knows that it is ours."""
    words = ("up", "--no-daemon", "--mode", "tc", "--flows", "2000")
    assert strace(host, "-o", tmp_path / "trace", to=words).returncode == 0
    assert run(host.fw, SALLY, "down").returncode == 0 and not qdiscs(host)
    calls = re.findall(r"^(\w+)\((.*)", (tmp_path / "trace").read_text(), re.M)
    made = next(i for i, (name, rest) in enumerate(calls) if name == "sendto" and "RTM_NEWQDISC" in rest)
    after = next(i for i in range(made, len(calls)) if calls[i][0] == "bpf")
    seen = set()
    for i in (made, made + 1, after):
        name = calls[i][0]
        inject = f"inject={name}:signal=KILL:when={[each for each, _ in calls[:i + 1]].count(name)}"
        done = strace(host, "-o", "/dev/null", "-e", f"trace={name}", "-e", inject, to=words)
        assert done.returncode == -signal.SIGKILL, done
        seen.add(len(qdiscs(host)))
        assert run(host.fw, SALLY, *words).returncode == 0
        assert run(host.fw, SALLY, "down").returncode == 0
        assert not qdiscs(host), f"killed at {name}, {i - made} calls after the qdisc was asked for"
    assert seen == {0, 1}, "it was not killed before and after the qdisc was there"


def test_a_qdisc_of_others_stays(host):
    """Also an `ingress` one, with which nothing can be guarded."""
    host.fw.run("tc", "qdisc", "add", "dev", "wan0", "clsact")
    assert run(host.fw, SALLY, "up", "--no-daemon", "--flows", "2000").returncode == 0
    assert run(host.fw, SALLY, "down").returncode == 0 and len(qdiscs(host)) == 1
    host.fw.run("tc", "qdisc", "del", "dev", "wan0", "clsact")
    host.fw.run("tc", "qdisc", "add", "dev", "wan0", "ingress")
    done = run(host.fw, SALLY, "up", "--no-daemon", "--flows", "2000")
    assert done.returncode != 0 and "wan0: has an 'ingress' qdisc" in done.stderr, done
    assert "ingress" in host.fw.run("tc", "qdisc", "show", "dev", "wan0").stdout
