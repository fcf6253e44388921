# SPDX-License-Identifier: BSD-2-Clause
"""What a line wants beyond yes or no, live: `rate`, `limit`, `idle`, with a real ssh and conversations of our own."""

import json
import re
import socket
import subprocess
import time

import pytest

from conftest import MODES, checksums_were_right, need_lab
from lab import Lab, grown, wait_for
from servers import Servers
from talk import FAMILY, Tcp, Udp
from test_apply import put

families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module", params=[m for m in MODES if m != "none"])
def live(request, tmp_path_factory):
    need_lab()
    lab = Lab("host")
    try:
        lab.mode = request.param
        lab.dir = tmp_path_factory.mktemp("orders")
        lab.servers = Servers(lab.john, lab.dir)
        lab.servers.ssh()
        lab.sally.up("--mode", lab.mode, "--no-config", "--flows", 100000)
        yield lab
        checksums_were_right(lab)
        lab.sally.down()
    finally:
        lab.close()


@pytest.fixture
def lab(live):
    put(live, "# nothing", options=["--no-trial"])
    live.sally("flows", "kill", "--all")
    return live


def ssh(lab, ns, family=4, *words, seconds=10):
    """One login; "hello" if it worked."""
    command = lab.servers.ssh_command(lab.address("john", family), *(words or ("echo", "hello")))
    return ns.run(*[f"ConnectTimeout={seconds}" if word.startswith("ConnectTimeout") else word for word in command],
                  check=False).stdout.strip()


def refused(lab, reason, family=4):
    """A SYN of the stranger's is dropped, for this very reason. Sessions that were killed may still be dying beside it."""
    before = lab.sally.drops()
    with lab.stranger.socket(FAMILY[family], socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.connect_ex((lab.address("john", family), 22))
        wait_for(f"a refusal: {reason}", lambda: grown(before, lab.sally.drops()).get(reason), 10, 0.02)


def stays(lab, family=4):
    """A login that stays, and echoes lines."""
    process = lab.stranger.start(*lab.servers.ssh_command(lab.address("john", family), "cat"), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
    assert echoes(process, "good day")
    return process


def echoes(process, text):
    process.stdin.write(text + "\n")
    process.stdin.flush()
    return process.stdout.readline() == text + "\n"


@families
def test_rate(lab, family):
    # each run under its own name: what a name has used up, it has used up for an hour
    put(lab, f"open ssh rate 3/h as login{family}")
    session = stays(lab, family)
    assert ssh(lab, lab.stranger, family) == "hello"
    assert ssh(lab, lab.stranger, family) == "hello"
    before = lab.sally.drops()
    assert ssh(lab, lab.stranger, family, seconds=1) == ""
    more = grown(before, lab.sally.drops())
    assert more.get("rate"), more
    assert ssh(lab, lab.web, family) == "hello", "another source has its own rate"
    assert echoes(session, "still there?"), "a conversation that has begun is not asked again"
    # the same line in other words around it; then without the option
    put(lab, "open tcp/7", f"open ssh rate 3/h as login{family}")
    refused(lab, "rate", family)
    put(lab, f"open ssh as login{family}")
    assert ssh(lab, lab.stranger, family) == "hello"
    assert echoes(session, "and still there?")
    lab.end(session)


@families
def test_limit(lab, family):
    put(lab, "open ssh limit 2")
    first, second = stays(lab, family), stays(lab, family)
    refused(lab, "limit", family)
    assert ssh(lab, lab.web, family) == "hello", "another source has its own limit"
    assert echoes(first, "not disturbed") and echoes(second, "not disturbed")
    first.stdin.close()
    first.wait(10)
    wait_for("the place of a session that has ended", lambda: ssh(lab, lab.stranger, family, seconds=1) == "hello", 10)
    # what was killed leaves with the next look of the sweeper
    lab.sally("flows", "kill", "--all")
    wait_for("the place of a session that was killed", lambda: ssh(lab, lab.stranger, family, seconds=1) == "hello", 20)
    lab.end(second)


def end(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def test_idle(lab):
    family = 4 if lab.mode == "tc" else 6  # it takes time: one of each will do
    john, stranger = lab.address("john", family), lab.stranger
    put(lab, "open tcp/7301 idle 3s", "open tcp/7302", "open udp/7303 idle 3s")

    def remembered(port):
        return [flow for flow in lab.sally.flows() if f":{port}" in json.dumps(flow) or f": {port}" in json.dumps(flow)]

    with Tcp(stranger, lab.john, john, 7301, family) as short, Tcp(stranger, lab.john, john, 7302, family) as long, \
            Udp(stranger, lab.john, john, 7303, family) as datagrams:
        began = time.monotonic()
        for tcp in (short, long):
            tcp.both_speak()
        assert datagrams.client_says(b"good day") and datagrams.server_says(b"good day")
        # used each second, it stays
        while time.monotonic() < began + 5:
            assert short.client_says(b"still here")
            used = time.monotonic()
            assert datagrams.client_says(b"still here")
            time.sleep(1)
        assert len(remembered(7301)) == len(remembered(7303)) == 1
        wait_for("it to be forgotten", lambda: not remembered(7301) and not remembered(7303), 20, 0.2)
        assert time.monotonic() - used > 2.9, "too early"
        assert len(remembered(7302)) == 1
        # a change, and a line of another number: what is silent since has its own time still, for whoever asks
        port = datagrams.client.getsockname()[1]
        question = ["explain", "udp", end(lab.address("stranger", family), port), "to", end(john, 7303)]
        # a busy machine may take longer to ask than three seconds
        wait_for("an answer while it lives", lambda: datagrams.client_says(b"again") and datagrams.server_says(b"good day")
                 and "continues" in lab.sally(*question).stdout, 20)
        put(lab, "open tcp/7", "open tcp/7301 idle 1h", "open tcp/7302", "open udp/7303 idle 1h")
        wait_for("it to be forgotten", lambda: not remembered(7303), 20, 0.2)
        assert "new_permitted" in lab.sally(*question).stdout
        before = lab.sally.drops()
        short.client.send(b"anybody there?")
        wait_for("its next segment to be refused", lambda: grown(before, lab.sally.drops()).get("tcp_no_flow"), 10)
        long.both_speak()


def test_explain_counts_nothing(lab):
    put(lab, "open ssh rate 2/h limit 1 as explained")
    question = ["explain", "tcp", lab.stranger4, "to", f"{lab.john4}:22"]

    def says(verdict):
        said = lab.sally(*question, check=False).stdout
        return re.search(f"^{verdict}", said, re.M)

    # conversations of the tests before it count until the sweeper comes by
    wait_for("nobody to be in the way", lambda: says("let through: new_permitted"), 20)
    for _ in range(5):
        assert says("let through: new_permitted")
    assert ssh(lab, lab.stranger) == "hello"
    session = stays(lab)
    assert says("stopped: limit")
    lab.end(session)
    lab.sally("flows", "kill", "--all")
    wait_for("the sessions to leave", lambda: says("stopped: rate"), 20)
    refused(lab, "rate")


def test_a_refusal_is_told(lab):
    put(lab, "open ssh rate 1/h as told")
    assert ssh(lab, lab.stranger) == "hello"
    watch = lab.sally.watch()
    refused(lab, "rate")
    event = {}
    while event.get("reason") != "rate":
        event = json.loads(watch.stdout.readline())
    assert event["event"] == "drop", event
    lab.end(watch)
