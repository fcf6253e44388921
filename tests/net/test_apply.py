# SPDX-License-Identifier: BSD-2-Clause
"""Saying what is allowed, live: a configuration lets in what it says, at one instant, and what is taken back ends.

The guarded computer is `john`: the firewall itself on a host, a computer behind it on a gateway. Refusals are told by the
counter of their reason, so that nothing waits for a silence.
"""

import itertools
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import KINDS, MODES, checksums_were_right, need_lab
from lab import SALLY, Lab, grown, wait_for
from servers import listeners
from talk import FAMILY, Tcp, Udp

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
PORTS = [7001, 7002, 7003, 7004]
families = pytest.mark.parametrize("family", [4, 6])
serial = itertools.count()


def write(lab, *lines):
    path = lab.dir / f"{next(serial)}.conf"
    path.write_text("".join(line + "\n" for line in lines))
    return path


def put(lab, *lines, options=(), env=None):
    """Puts these lines in force; what `apply` said."""
    return lab.sally("apply", *options, write(lab, *lines), env=env).stdout


def generation(text):
    return int(re.search(r"generation (\d+)", text)[1])


def permit(lab, services, who=""):
    """The line that lets the outside reach John."""
    if lab.kind == "gateway":
        return f"allow {who or 'outside'} -> inside : {services}"
    return f"open {services}" + (f" from {who}" if who else "")


def reach(lab, ns, port, kind=TCP, family=4):
    """Can one get an answer from John there? Fails if not."""
    with ns.socket(FAMILY[family], kind) as sock:
        sock.connect((lab.address("john", family), port))
        if kind == UDP:
            sock.send(b"anybody home?")
            assert sock.recv(100).startswith(b"here ")


def refused(lab, ns, address, port, reason="uninvited", kind=TCP, family=4):
    """One packet that starts a conversation is dropped, for this very reason."""
    before = lab.sally.drops()
    with ns.socket(FAMILY[family], kind) as sock:
        sock.setblocking(False)
        error = sock.connect_ex((address, port))
        if kind == UDP:
            sock.send(b"let me in")
        wait_for(f"a refusal of port {port}: {reason} (connect: {error})",
                 lambda: grown(before, lab.sally.drops()).get(reason), 10, 0.02)
    more = set(grown(before, lab.sally.drops())) - {reason}
    assert not more, f"also dropped: {more}"


def abort(tcp):
    """Ends a conversation without a goodbye, which would be repeated, and counted, for minutes."""
    for sock in (tcp.client, tcp.server):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def guarded(kind, mode, directory, daemon=False):
    """A lab with services at John's and the firewall up, to be yielded from a fixture."""
    need_lab()
    lab = Lab(kind)
    try:
        lab.mode = mode
        lab.dir = directory
        for ns in {lab.john, lab.fw}:
            listeners(ns, PORTS, PORTS)
        lab.sally.up("--mode", mode, "--no-config", "--flows", 100000, daemon=daemon)
        yield lab
        checksums_were_right(lab)
        lab.sally.down()
    finally:
        lab.close()


@pytest.fixture(scope="module", params=[(k, m) for k in KINDS for m in MODES if m != "none"], ids="-".join)
def live(request, tmp_path_factory):
    yield from guarded(*request.param, tmp_path_factory.mktemp("apply"))


@pytest.fixture
def lab(live):
    """Each test begins with what is built in, and no conversation."""
    put(live, "# nothing", options=["--no-trial"])
    live.sally("flows", "kill", "--all")
    return live


@families
def test_a_line_lets_in_exactly_what_it_says(lab, family):
    john, web = lab.address("john", family), lab.address("web", family)
    refused(lab, lab.stranger, john, 7001, family=family)
    said = put(lab, permit(lab, "tcp/7001, udp/7002"), permit(lab, "tcp/7003", f"{web}"))
    assert re.search(r"^  \+ ", said, re.M) and "no live conversation ends" in said, said
    for ns in (lab.stranger, lab.web):
        reach(lab, ns, 7001, TCP, family)
        reach(lab, ns, 7002, UDP, family)
    reach(lab, lab.web, 7003, TCP, family)
    refused(lab, lab.stranger, john, 7003, family=family)
    refused(lab, lab.stranger, john, 7002, family=family)
    refused(lab, lab.stranger, john, 7001, kind=UDP, family=family)
    refused(lab, lab.web, john, 7004, family=family)
    if lab.kind == "gateway":
        refused(lab, lab.stranger, lab.address("fw", family), 7001, family=family)


@pytest.mark.gateway_only
@families
def test_open_is_about_the_gateway_itself(lab, family):
    put(lab, "open tcp/7001")
    with lab.stranger.socket(FAMILY[family], TCP) as sock:
        sock.connect((lab.address("fw", family), 7001))
    refused(lab, lab.stranger, lab.address("john", family), 7001, family=family)


@families
def test_a_line_taken_back_ends_its_conversations_at_once(lab, family):
    # John inside is not told either, so that both ends still have their connection when the line is put back
    silent = ["refuse inside with drop"] if lab.kind == "gateway" else []
    stays, goes = permit(lab, "tcp/7101"), permit(lab, "tcp/7102")
    john, web = lab.address("john", family), lab.address("web", family)
    put(lab, stays, goes, *silent)
    with Tcp(lab.stranger, lab.john, john, 7101, family) as other, Tcp(lab.john, lab.web, web, 7103, family) as own, \
            Tcp(lab.stranger, lab.john, john, 7102, family) as doomed:
        for tcp in (other, own, doomed):
            tcp.both_speak()
        before = lab.sally.drops()
        said = put(lab, stays, *silent)
        ends = re.findall(r"ends: tcp .*", said)
        port = doomed.client.getsockname()[1]
        assert len(ends) == 1 and re.search(rf"\b{port} -> .*\b7102$", ends[0]), said
        doomed.client.sendall(b"the next packet")
        wait_for("its end", lambda: grown(before, lab.sally.drops()).get("revoked") == 1)
        doomed.server.sendall(b"and the other side")
        for tcp in (other, own):
            tcp.both_speak()
        # John, whom we trust, sends it again and again; it must not be taken for something new
        wait_for("more attempts", lambda: grown(before, lab.sally.drops()).get("revoked", 0) >= 6)
        for sock in (doomed.client, doomed.server):
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(100)
        assert set(grown(before, lab.sally.drops())) == {"revoked"}
        assert "no live conversation ends" in put(lab, stays, *silent), "it has ended before"
        put(lab, stays, goes, *silent)
        for sock, text in ((doomed.client, b"and the other side"), (doomed.server, b"the next packet")):
            sock.settimeout(15)
            assert sock.recv(100) == text, "the line is back, the conversation is not"
        for tcp in (other, own, doomed):
            abort(tcp)


def test_many_applies_cost_nobody_a_packet(lab):
    """One conversation loses its line again and again; next to it iperf3 runs. (test_apply_many.py has a thousand.)"""
    files = [write(lab, permit(lab, "tcp/5201, tcp/5202")), write(lab, permit(lab, "tcp/5201, udp/7102"))]
    lab.sally("apply", files[0])
    server = lab.john.start("iperf3", "-s", "-p", 5201, "-1")
    wait_for("iperf3", lambda: ":5201" in lab.john.run("ss", "-Hltn", "sport = :5201").stdout)
    before = lab.sally.drops()
    busy = lab.stranger.start("iperf3", "-c", lab.john4, "-p", 5201, "--bidir", "-b", "30M", "-t", 30, "-J",
                              "--connect-timeout", 5000, stdout=subprocess.PIPE, text=True)
    wait_for("iperf3 at work", lambda: lab.stranger.run("ss", "-Htn", "state", "established", "dport = :5201").stdout
             .count("\n") >= 3)
    lost = 0
    with Udp(lab.stranger, lab.john, lab.john4, 7102) as udp:
        for i in range(15):
            lab.sally("apply", files[1])
            assert udp.client_says(b"in %d" % i), f"round {i}: permitted, but lost"
            lab.sally("apply", files[0])
            udp.client.send(b"out %d" % i)
            lost += 1
    assert busy.poll() is None, "iperf3 ended too early: " + busy.stdout.read()[-500:]
    wait_for("every refusal", lambda: sum(grown(before, lab.sally.drops()).values()) >= lost)
    flows = lab.sally.flows("--port", "5201")
    assert len(flows) == 3 and all(flow["state"] == "ESTABLISHED" for flow in flows), flows
    assert grown(before, lab.sally.drops()) == {"revoked": lost}
    lab.end(busy)
    lab.end(server)
    wait_for("the goodbyes of iperf3", lambda: not lab.sally.flows("--port", "5201", "--answered"))


@families
def test_block_beats_open(lab, family):
    stranger, john = lab.address("stranger", family), lab.address("john", family)
    open_ = permit(lab, "tcp/7001, tcp/7101")
    put(lab, open_)
    with Tcp(lab.stranger, lab.john, john, 7101, family) as doomed:
        doomed.both_speak()
        put(lab, open_, f"block {stranger}")
        before = lab.sally.drops()
        doomed.client.sendall(b"hello?")
        wait_for("its end", lambda: grown(before, lab.sally.drops()).get("revoked"))
        abort(doomed)
    refused(lab, lab.stranger, john, 7001, "blocked", family=family)
    reach(lab, lab.web, 7001, TCP, family)
    refused(lab, lab.john, stranger, 7001, "blocked", family=family)  # neither from there nor to there
    put(lab, f"block {stranger}", open_)  # the order does not matter
    refused(lab, lab.stranger, john, 7001, "blocked", family=family)
    put(lab, open_)
    reach(lab, lab.stranger, 7001, TCP, family)


@families
def test_block_file(lab, family):
    """Three thousand networks, one of which is the stranger's."""
    networks = lab.dir / f"bad-{family}.txt"
    theirs = {4: "5.5.2.0/24", 6: "2a00:2:0:2::/64"}[family]
    networks.write_text("# bad ones\n" + theirs + "\n" +
                        "".join(f"100.{i // 256}.{i % 256}.0/{25 + i % 8}\n2a01:{i:x}::/{32 + i % 90}\n"
                                for i in range(1500)))
    put(lab, f'block file "{networks}"', permit(lab, "tcp/7001"))
    refused(lab, lab.stranger, lab.address("john", family), 7001, "blocked", family=family)
    reach(lab, lab.web, 7001, TCP, family)
    reach(lab, lab.stranger, 7001, TCP, 10 - family)


@pytest.mark.gateway_only
@families
def test_the_inside_can_be_held_back(lab, family):
    web = lab.address("web", family)
    put(lab, "block inside -> outside : tcp/7101")
    refused(lab, lab.john, web, 7101, "blocked", family=family)
    with Tcp(lab.john, lab.web, web, 7102, family) as tcp:
        tcp.both_speak()
        abort(tcp)


def policies_that_differ(lab):
    """Two configurations in which every set, class and line number differs, but udp/7101 is for the stranger in both."""
    one = [permit(lab, "udp/7101, udp/7103", "5.5.2.0/24")]
    one += [f"block 100.64.{i}.0/24 -> any : tcp/{i + 1}" for i in range(60)]
    two = [f"block 5.{i}.0.0/16, 2a0{i % 9}:{i:x}::/32 -> any : udp/{i + 8000}" for i in range(6, 90)]
    two += [permit(lab, "udp/7101", "5.5.2.2"), permit(lab, "udp/7000-7100", "5.5.2.0/25")]
    two += [permit(lab, "udp/7104-9000", "5.5.2.3")]
    return write(lab, *one), write(lab, *two)


def test_no_packet_is_judged_by_half_a_policy(lab):
    """While policies alternate: what both permit always passes, old conversation or new; what neither does never passes."""
    files = policies_that_differ(lab)
    lab.sally("apply", files[0])
    stop = threading.Event()
    applied = []

    def alternate():
        for i in itertools.count(1):
            if stop.is_set():
                return
            applied.append(lab.sally("apply", files[i % 2], check=False).returncode)

    both, neither = (lab.john.socket(socket.AF_INET, UDP) for _ in range(2))
    both.bind(("0.0.0.0", 7101))
    neither.bind(("0.0.0.0", 7102))
    before = lab.sally.drops()
    worker = threading.Thread(target=alternate)
    worker.start()
    sent = wrong = 0
    deadline = time.monotonic() + 60
    old = lab.stranger.socket(socket.AF_INET, UDP)
    try:
        while (len(applied) < 40 or sent < 600) and time.monotonic() < deadline:
            time.sleep(0.002)  # a busy machine applies slowly: the table is not to be full before
            fresh = lab.stranger.socket(socket.AF_INET, UDP)
            for sock in (old, fresh):
                sock.sendto(b"%d" % sent, (lab.john4, 7101))
                sent += 1
                got, peer = both.recvfrom(100)  # in time, or the test fails
                assert got == b"%d" % (sent - 1)
                both.sendto(got, peer)
                sock.recv(100)
            fresh.sendto(b"no", (lab.john4, 7102))
            wrong += 1
            fresh.close()
    finally:
        stop.set()
        worker.join()
        old.close()
    assert len(applied) >= 40 and set(applied) == {0}, applied
    wait_for("every refusal", lambda: sum(grown(before, lab.sally.drops()).values()) >= wrong, 5)
    assert grown(before, lab.sally.drops()) == {"uninvited": wrong}
    neither.setblocking(False)
    with pytest.raises(BlockingIOError):
        neither.recv(100)
    both.close()
    neither.close()


WRONG = {
    "word": (["opne ssh"], "open"),
    "two": (["open nothing-like-this", "allow martians -> self : ssh"], "martians"),
    "include": (['include "not-there.conf"'], "not-there.conf"),
    "networks": (['block file "not-there.txt"'], "not-there.txt"),
    "bytes": (["open ssh \x01\x02"], "0x01"),
}


def test_a_wrong_file_changes_nothing(lab):
    was = generation(put(lab, permit(lab, "tcp/7001, tcp/7101")))
    with Tcp(lab.stranger, lab.john, lab.john4, 7101) as tcp:
        for lines, word in WRONG.values():
            done = lab.sally("apply", write(lab, permit(lab, "tcp/7002"), *lines), check=False)
            assert done.returncode == 1 and done.stdout == "", done
            assert word in done.stderr and done.stderr.splitlines()[-1].endswith("nothing has changed"), done.stderr
            assert done.stderr.count("error: ") == len(lines), done.stderr
            tcp.both_speak()
        for path in (lab.dir / "nowhere.conf", lab.dir):
            done = lab.sally("apply", path, check=False)
            assert done.returncode == 1 and done.stdout == "" and str(path) in done.stderr, done
        abort(tcp)
    reach(lab, lab.stranger, 7001)
    refused(lab, lab.stranger, lab.john4, 7002)
    assert generation(put(lab, permit(lab, "tcp/7001, tcp/7101"))) == was + 1


def test_applies_at_once_do_not_mix(lab):
    files = [write(lab, permit(lab, f"tcp/{port}")) for port in PORTS]
    running = [(port, lab.fw.start(SALLY, "apply", path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
               for _ in range(3) for port, path in zip(PORTS, files)]
    numbers = {}
    for port, process in running:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        numbers[generation(out)] = port
    assert len(numbers) == len(running) and max(numbers) - min(numbers) == len(running) - 1, numbers
    last = numbers[max(numbers)]
    reach(lab, lab.stranger, last)
    for port in set(PORTS) - {last}:
        refused(lab, lab.stranger, lab.john4, port)


def test_dry_run_changes_nothing(lab):
    said = put(lab, permit(lab, "tcp/7001"), options=["--dry-run"])
    assert "+ " in said and "nothing has changed" in said
    refused(lab, lab.stranger, lab.john4, 7001)
