# SPDX-License-Identifier: BSD-2-Clause
"""
A thousand applies in a row, while everything goes on that they could disturb.

Two policies in which every set, class and line number differs alternate. One conversation has its line in one of them only:
its next packet is let in, or revoked, each time. What both permit (iperf3 over UDP and TCP, both ways; datagrams of an old
conversation, and of new ones) loses nothing; what neither permits never passes. Every drop is accounted for. On a busy
machine a queue of a virtual cable may be full for a moment: what met one may be missing, and no more than that.
"""

import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from conftest import KINDS, MODES
from lab import grown, wait_for
from talk import Tcp, Udp
from test_apply import UDP, abort, guarded, permit, policies_that_differ

APPLIES = int(os.environ.get("SP_APPLIES", "1000"))
SECONDS = 60
DOOMED, IPERF_UDP, IPERF_TCP, TALK = 7150, 5201, 5202, 7160


@pytest.fixture(scope="module", ids="-".join,
                params=[(k, m) for k, m in (("gateway", "xdp"),) if k in KINDS and m in MODES])
def lab(request, tmp_path_factory):
    yield from guarded(*request.param, tmp_path_factory.mktemp("many"), daemon=True)


def two_policies(lab):
    files = policies_that_differ(lab)
    always = permit(lab, f"tcp/{IPERF_UDP}, udp/{IPERF_UDP}, tcp/{IPERF_TCP}, tcp/{TALK}")
    for path, more in zip(files, ([permit(lab, f"udp/{DOOMED}")], ["block 192.0.2.0/24"])):
        path.write_text("\n".join([path.read_text(), always, *more, ""]))
    return files


class Judge(threading.Thread):
    """Asks all the time: an old conversation and ever new ones that both policies permit, and ones that neither does."""

    def __init__(self, lab):
        super().__init__()
        self.lab = lab
        self.stop = threading.Event()
        self.right = self.wrong = self.lost = 0
        self.error = None
        self.both, self.neither = (lab.john.socket(socket.AF_INET, UDP) for _ in range(2))
        self.both.bind(("0.0.0.0", 7101))
        self.neither.bind(("0.0.0.0", 7102))
        self.old = lab.stranger.socket(socket.AF_INET, UDP)

    def ask(self, sock):
        text = b"%d" % (self.right + self.lost)
        sock.sendto(text, (self.lab.john4, 7101))
        try:
            got, peer = self.both.recvfrom(100)
            assert got == text, f"{got} instead of {text}"
            self.both.sendto(got, peer)
            assert sock.recv(100) == text
            self.right += 1
        except TimeoutError:
            self.lost += 1

    def run(self):
        try:
            while not self.stop.wait(0.002):
                with self.lab.stranger.socket(socket.AF_INET, UDP) as fresh:
                    self.ask(self.old)
                    self.ask(fresh)
                    fresh.sendto(b"no", (self.lab.john4, 7102))
                    self.wrong += 1
        except (AssertionError, OSError) as error:
            self.error = f"after {self.right}: {error!r}"

    def end(self):
        self.stop.set()
        self.join()
        assert self.error is None, self.error
        self.neither.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.neither.recv(100)
        for sock in (self.both, self.neither, self.old):
            sock.close()


class Iperf:
    """Datagrams both ways, numbered, so that each end knows what is missing."""

    def __init__(self, lab):
        self.lab = lab
        self.out = [open(lab.dir / f"iperf-{end}", "w+", encoding="utf-8") for end in ("server", "client")]
        self.server = lab.john.start("iperf3", "-s", "-p", IPERF_UDP, "-1", "--forceflush", stdout=self.out[0])
        wait_for("iperf3", lambda: lab.john.run("ss", "-Hltn", f"sport = :{IPERF_UDP}").stdout)
        self.full_before = self.full()
        self.client = lab.stranger.start("iperf3", "-c", lab.john4, "-p", IPERF_UDP, "-u", "--bidir", "-b", "2M",
                                         "-l", "1000", "-t", "3600", "--forceflush", stdout=self.out[1],
                                         stderr=subprocess.STDOUT)
        wait_for("datagrams both ways", lambda: min(self.counted()[1:]) > 0)

    def full(self):
        """Packets that found a full socket, or a full queue of a virtual cable: the firewall had no say in that."""
        sockets = sum(ns.snmp("Udp", "RcvbufErrors") for ns in (self.lab.john, self.lab.stranger))
        links = [link for ns in self.lab.namespaces for link in json.loads(ns.run("ip", "-j", "-s", "link").stdout)]
        return sockets + sum(link["stats64"]["tx"]["dropped"] for link in links)

    def counted(self):
        """Lost, and received by each end, so far."""
        rows = []
        for file in self.out:
            file.seek(0)
            # one that was overtaken is lost in one second and found in the next: -1/208
            rows.append(re.findall(r"\s(-?\d+)/(\d+) \(", file.read()))
        return [sum(int(lost) for row in rows for lost, _ in row)] + [sum(int(n) for _, n in row) for row in rows]

    def end(self):
        assert self.client.poll() is None, f"iperf3 ended too early, having counted {self.counted()}"
        seen = self.counted()[1:]
        wait_for("the report of the last second", lambda: all(a > b for a, b in zip(self.counted()[1:], seen)))
        lost, *received = self.counted()
        full = self.full() - self.full_before
        self.lab.end(self.client)
        self.lab.end(self.server)
        for file in self.out:
            file.close()
        return lost, full, received


def busy():
    """How many times longer everything takes on this machine now."""
    return max(1, os.getloadavg()[0] / os.cpu_count())


def test_a_thousand_applies_cost_nobody_a_packet(lab):
    files = two_policies(lab)
    lab.sally("apply", files[1])
    tcp_server = lab.john.start("iperf3", "-s", "-p", IPERF_TCP, "-1")
    wait_for("iperf3", lambda: lab.john.run("ss", "-Hltn", f"sport = :{IPERF_TCP}").stdout)
    before = lab.sally.drops()
    datagrams = Iperf(lab)
    stream = lab.stranger.start("iperf3", "-c", lab.john4, "-p", IPERF_TCP, "--bidir", "-b", "10M", "-l", "4K", "-t", "3600")
    wait_for("iperf3 at work", lambda: lab.stranger.run("ss", "-Htn", "state", "established", f"dport = :{IPERF_TCP}").stdout
             .count("\n") >= 3)
    judge = Judge(lab)
    judge.start()
    revoked = unheard = 0
    began = time.monotonic()
    with Udp(lab.stranger, lab.john, lab.john4, DOOMED) as doomed, \
            Tcp(lab.stranger, lab.john, lab.john4, TALK) as session:
        for i in range(APPLIES // 2):
            lab.sally("apply", files[0])
            unheard += not doomed.client_says(b"in %d" % i)
            lab.sally("apply", files[1])
            doomed.client.send(b"out %d" % i)
            revoked += 1
        took = time.monotonic() - began
        session.both_speak()
        abort(session)
    judge.end()
    assert stream.poll() is None, "the stream ended too early"
    streams = lab.sally.flows("--port", IPERF_TCP)
    lost, full, received = datagrams.end()
    wait_for("every refusal", lambda: sum(grown(before, lab.sally.drops()).values()) >= revoked + judge.wrong - full)
    drops = grown(before, lab.sally.drops())
    refused = {"revoked": revoked, "uninvited": judge.wrong}
    missing = {"of iperf3": lost, "permitted, not heard": unheard, "asked, not answered": judge.lost,
               "refused, not counted": sum(refused.values()) - sum(drops.values())}
    print(f"\n{APPLIES} applies in {took:.1f} s; datagrams received {received}; asked {judge.right} times of what is "
          f"permitted, {judge.wrong} of what is not; drops {drops}; missing {missing}; met a full queue: {full}")
    assert drops.keys() == refused.keys() and all(drops[reason] <= refused[reason] for reason in refused), (drops, refused)
    assert min(missing.values()) >= 0 and sum(missing.values()) <= full, (missing, full)
    assert len(streams) == 3 and all(flow["state"] == "ESTABLISHED" for flow in streams), streams
    assert judge.right > APPLIES and took < SECONDS * busy(), f"{judge.right} asked, {took:.1f} s"
    lab.end(stream)
    lab.end(tcp_server)
