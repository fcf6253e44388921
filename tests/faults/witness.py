# SPDX-License-Identifier: BSD-2-Clause
"""Who sees whether a computer was unguarded for a moment, and whether a conversation lost a packet.

    stranger --knock--> (firewall) --?--> the raw listener of the computer that is to be guarded

The sender never stops. Each datagram that gets through is noted with the time at which the kernel received it; none may lie
between two moments at which the firewall was up. Conversations speak all the time, each end of its own accord, and count.
"""

import errno
import json
import mmap
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "net")]

from lab import ROOT, wait_for  # noqa: E402
from talk import Tcp, Udp  # noqa: E402

BUILD = os.environ.get("SP_BUILD", os.path.join(ROOT, "build"))
SECOND = os.path.join(BUILD, "second", "sally")
WIDER = os.path.join(BUILD, "wider", "sally")
OTHER = os.path.join(BUILD, "other", "sally")
POOR = os.path.join(BUILD, "tests", "faults", "poor.so")
BPFTOOL = os.environ.get("BPFTOOL", "/usr/sbin/bpftool")
BASE = "/sys/fs/bpf/sally"
SO_NETNS_COOKIE = 71
KNOCK_PORT = 7009
KNOCK_US = 250
HEARD_ROOM = 1 << 17
SPEAK_S = 0.02


class Listener:
    """Of one computer: which knocks arrived, and when."""

    def __init__(self, ns, directory):
        path = os.path.join(str(directory), f"heard-{ns.role}")
        self.role = ns.role
        self.process = ns.start(os.path.join(BUILD, "tests", "faults", "listen"), path, KNOCK_PORT)
        wait_for("the listener", lambda: os.path.exists(path) and os.path.getsize(path) >= 8 * (HEARD_ROOM + 2))
        with open(path, "r+b") as file:
            self.notes = mmap.mmap(file.fileno(), 0)

    def word(self, i):
        return struct.unpack_from("=Q", self.notes, 8 * i)[0]

    @property
    def count(self):
        return self.word(0)

    def between(self, begin_ns, end_ns):
        """How many arrived in that time."""
        wait_for("the listener to have read it all", lambda: self.word(1) > end_ns, every=0.002)
        count = self.word(0)
        first = max(0, count - HEARD_ROOM)
        oldest = self.word(2 + first % HEARD_ROOM)
        assert first == 0 or oldest < begin_ns, "more arrived than the notes hold"
        n = 0
        for i in range(count - 1, first - 1, -1):
            at = self.word(2 + i % HEARD_ROOM)
            if at < begin_ns - 1_000_000_000:
                break
            n += begin_ns <= at <= end_ns
        return n


class Witness:
    """Knocks from the stranger at every address that is guarded."""

    def __init__(self, lab, directory):
        self.lab = lab
        self.directory = directory
        self.listeners = [Listener(lab.fw, directory)]
        to = [lab.fw4, lab.fw6]
        if lab.john is not lab.fw:
            self.listeners.append(Listener(lab.john, directory))
            to.append(lab.john6)
        self.knock(*to)
        for listener in self.listeners:  # the sender is heard where nobody guards; else what follows could not fail
            wait_for(f"knocks at {listener.role}, without a firewall", lambda: listener.count > 20)  # noqa: B023
        self.since = None
        self.guarded_s = 0.0

    def knock(self, *addresses):
        self.lab.stranger.start(os.path.join(BUILD, "tests", "faults", "knock"), KNOCK_PORT, KNOCK_US, *addresses)

    def begin(self):
        """From now on it is up."""
        self.since = time.time_ns()

    def unguarded(self, until_ns=None):
        """How many got through since begin(), or since this was asked last."""
        now = until_ns or time.time_ns()
        if self.since is None:
            return 0
        n = sum(listener.between(self.since, now) for listener in self.listeners)
        self.guarded_s += (now - self.since) / 1e9
        self.since = now
        return n

    def end(self, until_ns=None):
        n = self.unguarded(until_ns)
        self.since = None
        return n


class Stream:
    """One conversation; both ends send numbers that grow by one."""

    def __init__(self, talk, name):
        self.talk, self.name = talk, name
        self.ends = (talk.client, talk.server)
        self.is_tcp = isinstance(talk, Tcp)
        self.sent, self.got, self.lost = [0, 0], [0, 0], [0, 0]
        self.rest = [b"", b""]
        for end in self.ends:
            end.setblocking(False)

    def speak(self):
        for i, end in enumerate(self.ends):
            data = struct.pack("!Q", self.sent[i])
            try:
                if self.is_tcp or i == 0:
                    end.send(data)
                else:
                    end.sendto(data, self.talk.peer)
                self.sent[i] += 1
            except OSError as error:  # a TCP connection that waits; an interface that is down or gone
                if error.errno not in (errno.EAGAIN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL):
                    raise

    def hear(self, i):
        """Reads what has arrived at end i."""
        while True:
            try:
                data = self.ends[i].recv(65536)
            except BlockingIOError:
                return
            if not data and self.is_tcp:
                raise AssertionError(f"{self.name} was closed")
            data = self.rest[i] + data
            for (number,) in struct.iter_unpack("!Q", data[:len(data) // 8 * 8]):
                self.lost[i] += number - self.got[i]
                self.got[i] = number + 1
            self.rest[i] = data[len(data) // 8 * 8:]


class Talkers(threading.Thread):
    """Conversations that go on beside all that happens."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.streams, self.error, self.stop = [], None, threading.Event()
        for number, family in enumerate((4, 6)):
            to = lab.address("web", family)
            udp = Udp(lab.john, lab.web, to, 7021 + number, family)
            assert udp.client_says(b"hello") and udp.server_says(b"hello")
            self.streams += [Stream(Tcp(lab.john, lab.web, to, 7011 + number, family), f"TCP over IPv{family}"),
                             Stream(udp, f"UDP over IPv{family}")]
        self.start()

    def run(self):
        waiting = selectors.DefaultSelector()
        for stream in self.streams:
            for i, end in enumerate(stream.ends):
                waiting.register(end, selectors.EVENT_READ, (stream, i))
        due = time.monotonic()
        try:
            while not self.stop.is_set():
                for key, _ in waiting.select(max(0, due - time.monotonic())):
                    stream, i = key.data
                    stream.hear(i)
                if time.monotonic() >= due:
                    for stream in self.streams:
                        stream.speak()
                    due = time.monotonic() + SPEAK_S
        except (OSError, AssertionError) as error:
            self.error = error

    def go_on(self, seconds=20):
        """Each of them, each way, hears something that was said after now."""
        marks = [(stream, i, stream.sent[1 - i]) for stream in self.streams for i in (0, 1)]

        def heard():
            assert self.error is None, f"a conversation ended: {self.error!r}"
            return all(stream.got[i] > mark for stream, i, mark in marks)

        try:
            wait_for("every conversation to go on", heard, seconds, 0.005)
        except AssertionError as error:
            silent = [f"{s.name}, {'to the server' if i else 'to the client'}" for s, i, mark in marks if s.got[i] <= mark]
            raise AssertionError(f"{error}: silent: {silent}") from None

    def said(self):
        """UDP datagrams over IPv4 that were sent towards the server."""
        return next(stream.sent[0] for stream in self.streams if not stream.is_tcp)

    def lost(self):
        return sum(sum(stream.lost) for stream in self.streams)

    def end(self):
        self.stop.set()
        self.join(20)
        for stream in self.streams:
            stream.talk.close()


def run(ns, program, *argv):
    """A sally of any build in that namespace."""
    return subprocess.run(ns.command(program, *argv), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def attached(ns):
    """Our programs at the interfaces, as the kernel tells of them: name, and number and digest."""
    for dev in ("wan0", "lan0"):
        for side in ("ingress", "egress"):
            done = ns.run("tc", "-j", "filter", "show", "dev", dev, side, check=False)
            for row in json.loads(done.stdout or "[]"):
                options = row.get("options", {})
                if options.get("bpf_name", "").startswith("sp_"):
                    yield options["bpf_name"].split(":")[0], options["prog"]
        link = json.loads(ns.run("ip", "-j", "link", "show", "dev", dev, check=False).stdout or "[]")
        for row in link:
            if "xdp" in row:
                yield "sp_xdp_in", row["xdp"]["prog"]


def programs(ns):
    """Their digests, by name."""
    found = {}
    for name, prog in attached(ns):
        found.setdefault(name, set()).add(prog["tag"])
    return found


def tables(ns):
    """The tables that they work on: numbers, by name."""
    found = {}
    for number in {prog["id"] for _, prog in attached(ns)}:
        for table in json.loads(ns.run(BPFTOOL, "-j", "prog", "show", "id", number).stdout)["map_ids"]:
            name = json.loads(ns.run(BPFTOOL, "-j", "map", "show", "id", table).stdout)["name"]
            found.setdefault(name, set()).add(table)
    return found


def lock_of(ns):
    """The folder that is the lock of the firewall of that network namespace."""
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        cookie = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), sys.byteorder)
    return f"{BASE}/lock-{cookie}"


def one_line(done):
    """What is told of a failure is exactly one line, and says whose it is."""
    lines = done.stderr.splitlines()
    return done.returncode > 0 and len(lines) == 1 and lines[0].startswith("sally ")
