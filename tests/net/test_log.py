# SPDX-License-Identifier: BSD-2-Clause
"""The option `log` of a line: what it decided is noted whether somebody reads or not, and told once."""

import json
import socket
import subprocess

import pytest
from conftest import MODES, need_lab
from lab import SALLY, Lab, wait_for
from talk import FAMILY, Tcp

LINES = ["block inside -> outside : tcp/7201 log as nogo", "allow outside -> inside : tcp/7202 log as visitors",
         "block inside -> outside : tcp/7203 as quiet", "allow outside -> inside : tcp/7204 as unlogged"]
FLOOD = 1000


@pytest.fixture(scope="module", params=[m for m in MODES if m != "none"])
def lab(request, tmp_path_factory):
    need_lab()
    lab = Lab("gateway")
    try:
        lab.conf = tmp_path_factory.mktemp("log") / "sally.conf"
        lab.conf.write_text("\n".join(LINES) + "\n")
        lab.up = ["--mode", request.param, "--config", lab.conf, "--outside", "wan0", "--inside", "lan0", "--flows", 100000]
        lab.sally.up(*lab.up)
        yield lab
        lab.sally.down()
    finally:
        lab.close()


def entries(lab, *argv):
    return [json.loads(line) for line in lab.sally("log", "--json", *argv).stdout.splitlines()]


def refused(lab, port, family=4):
    with lab.john.socket(FAMILY[family], socket.SOCK_STREAM, timeout=10) as sock:
        with pytest.raises(ConnectionRefusedError):
            sock.connect((lab.address("web", family), port))
        return sock.getsockname()[1]


def visit(lab, port, family=4):
    with Tcp(lab.stranger, lab.john, lab.address("john", family), port, family) as tcp:
        tcp.both_speak()
        return tcp.client.getsockname()[1]


@pytest.mark.parametrize("family", [4, 6])
def test_lines_that_want_it_are_noted_though_nobody_reads(lab, family):
    entries(lab)
    refused(lab, 7203, family)
    ports = [refused(lab, 7201, family), visit(lab, 7202, family)]
    visit(lab, 7204, family)
    got = entries(lab)
    assert [(e["event"], e["reason"], e["line"], e["sport"]) for e in got] == [
        ("drop", "blocked", "nogo", ports[0]), ("new", "new_permitted", "visitors", ports[1])]
    assert got[0]["src"] == lab.address("john", family) and got[1]["src"] == lab.address("stranger", family)
    assert entries(lab) == [], "each is told once"


def test_what_a_reader_leaves_is_for_the_next(lab):
    entries(lab)
    ports = [refused(lab, 7201) for _ in range(3)]
    assert [e["sport"] for e in entries(lab, "--count", 2)] == ports[:2]
    assert [e["sport"] for e in entries(lab)] == ports[2:]


def test_following_and_watching_take_nothing_from_each_other(lab):
    entries(lab)
    follow = following(lab, "--json", "--count", 2)
    watch = lab.sally.watch()
    second = lab.sally("log", check=False)
    assert second.returncode == 1 and "has a reader already" in second.stderr
    ports = [refused(lab, 7201), visit(lab, 7202)]
    told = [json.loads(follow.stdout.readline()) for _ in ports]
    assert [e["sport"] for e in told] == ports
    assert follow.wait(10) == 0
    seen = {}
    while set(ports) - set(seen):
        event = json.loads(watch.stdout.readline())
        seen[event.get("sport")] = event["line"]
    assert [seen[port] for port in ports] == ["nogo", "visitors"]
    lab.end(watch)


def following(lab, *argv):
    process = lab.fw.start(SALLY, "log", "--follow", *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "following" in process.stderr.readline()
    return process


def test_a_flood_is_noted_up_to_a_limit_and_the_rest_counted(lab):
    entries(lab)
    before = lost(lab)
    for _ in range(FLOOD):
        with lab.john.socket(FAMILY[4], socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.connect_ex((lab.web4, 7201))
    wait_for("all to be stopped", lambda: lab.sally.drops()["blocked"] >= FLOOD)
    got = entries(lab)
    noted = [e for e in got if e["event"] == "drop"]
    assert 100 <= len(noted) < FLOOD
    assert got[-1]["event"] == "lost" and len(noted) + got[-1]["count"] - before >= FLOOD


def lost(lab):
    return sum(e["count"] for e in entries(lab) if e["event"] == "lost")


def test_it_ends_when_the_firewall_does(lab):
    follow = following(lab)
    lab.sally.down()
    assert follow.wait(10) == 4 and "taken down" in follow.stderr.read()
    lab.sally.up(*lab.up)
