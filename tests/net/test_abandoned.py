# SPDX-License-Identifier: BSD-2-Clause
"""Nobody at home: every process of the firewall is killed with -9, and it guards on, for minutes.

The first test of the run brings two firewalls up and kills what there is to kill; traffic goes on beside all other tests;
the last test looks at what became of them.
"""

import os
import signal
import socket
import threading
import time

import pytest

from conftest import need_lab
from lab import SALLY, Lab, wait_for
from talk import Tcp, Udp, uninvited

EXPIRED_S = 125  # by then an unanswered UDP conversation (120 s) and an ICMP one (60 s) must be gone


def lives_here(pid, ns):
    """Is this process `sally`, in that namespace?"""
    try:
        return (os.readlink(f"/proc/{pid}/exe") == SALLY
                and os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(ns.path).st_ino)
    except OSError:
        return False


class Abandoned:
    def __init__(self, kind, mode):
        self.lab = Lab(kind)
        self.rounds, self.knocks, self.errors = 0, 0, []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._traffic, daemon=True)
        try:
            self._begin(mode)
        except BaseException:
            self.lab.close()
            raise

    def _begin(self, mode):
        lab = self.lab
        lab.sally.up("--mode", mode)
        watch = lab.sally.watch()
        self.old = Tcp(lab.john, lab.web, lab.web4, 7001)
        self.udp = Udp(lab.john, lab.web, lab.web6, 7002, 6)
        self.old.both_speak()
        os.kill(watch.pid, signal.SIGKILL)
        watch.wait(10)
        assert not [p for p in os.listdir("/proc") if p.isdigit() and lives_here(p, lab.fw)], "something of ours lives"
        lab.john.run("ping", "-n", "-c", 1, "-W", 5, lab.web4)
        with lab.john.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"anybody there?", (lab.web4, 7050))
        with lab.john.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            assert sock.connect_ex((lab.web4, 7060)) == 111, "the refusal of a closed port must come back"
        self.died = time.monotonic()
        self.mortal = [["--proto", "icmp"], ["--port", "7050"], ["--port", "7060"]]
        for words in self.mortal:
            assert len(lab.sally.flows(*words)) == 1, f"{words} is not remembered"
        self.thread.start()

    def _traffic(self):
        lab = self.lab
        while not self.stop.wait(0.7):
            try:
                with Tcp(lab.john, lab.web, lab.web6 if self.rounds % 2 else lab.web4, 7003,
                         6 if self.rounds % 2 else 4) as new:
                    new.both_speak()
                self.old.both_speak()
                assert self.udp.client_says(b"tick") and self.udp.server_says(b"tock"), "UDP is stuck"
                uninvited(lab.stranger, lab.john4, 7004)
                self.knocks += 1
                uninvited(lab.stranger, lab.john6, 7004, 6, socket.SOCK_STREAM)
                self.knocks += 1
            except (AssertionError, OSError) as error:
                self.errors.append(f"round {self.rounds}: {error!r}")
            self.rounds += 1

    def look(self):
        """What became of it."""
        lab = self.lab
        wait_for("the mortal conversations to expire",
                 lambda: not any(lab.sally.flows(*words) for words in self.mortal),
                 max(15, EXPIRED_S + 15 - (time.monotonic() - self.died)), 1)
        wait_for("a dozen rounds of traffic", lambda: self.rounds >= 12, 60)
        self.stop.set()
        self.thread.join(60)
        assert not self.errors, self.errors[:5]
        self.old.both_speak(b"to the end")
        wait_for("every refusal in status", lambda: lab.sally.drops().get("uninvited", 0) >= self.knocks)
        status = lab.sally.status()
        assert status["flows"]["answered"] == 2, status["flows"]
        assert set(status["stopped"]) == {"uninvited"}, status["stopped"]
        # a port that comes round again while its last connection rests is reopened
        begun = ("new_inside" if lab.kind == "gateway" else "new_self", "reopened")
        assert sum(status["passed"].get(reason, {"packets": 0})["packets"] for reason in begun) >= self.rounds
        print(f"{lab.kind}: {self.rounds} rounds in {time.monotonic() - self.died:.0f} s with nobody at home")

    def close(self):
        self.stop.set()
        if self.thread.is_alive():
            self.thread.join(60)
        self.lab.close()


@pytest.fixture(scope="session")
def abandoned():
    need_lab()
    both = []
    try:
        for kind, mode in (("gateway", "xdp"), ("host", "tc")):
            both.append(Abandoned(kind, mode))
        yield both
    finally:
        for one in both:
            one.close()


def test_killed(abandoned):
    assert all(one.thread.is_alive() for one in abandoned)


@pytest.mark.last
def test_guards_on(abandoned):
    for one in abandoned:
        one.look()
