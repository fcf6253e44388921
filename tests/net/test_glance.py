# SPDX-License-Identifier: BSD-2-Clause
"""What a processor remembers of interfaces and policy for a moment (port/glance_bpf.h): for how long, and of whom.

What is known of interfaces is changed in the table itself, with no command that could take longer than the moment. The two
interfaces have numbers that share one place among what is remembered.
"""

import ctypes
import mmap
import os
import socket
import struct
import time

import pytest

from bpf import LOOKUP, OBJ_GET, UPDATE, bpf
from conftest import need_lab
from lab import Lab

BASE = "/sys/fs/bpf/sally"
OUTSIDE = 2  # enum sp_zone
IFACE = 16  # bytes of struct sp_iface
EXPRESS, MAC = 7, 10  # where they are; the zone comes first
GENERATION = 40  # where it is in struct sp_config
TICK_S = 0.05  # more than one of any kernel's clock, which is 1 to 10 ms


class Table:
    """A pinned map."""

    def __init__(self, ns, name):
        inode = str(os.stat(ns.path).st_ino)
        folder = next(name for name in os.listdir(BASE) if name.split("-")[1:2] == [inode])
        path = ctypes.create_string_buffer(os.path.join(BASE, folder, name).encode())
        self.fd = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))

    def _ask(self, command, key, value):
        key = ctypes.create_string_buffer(struct.pack("I", key), 4)
        bpf(command, struct.pack("IIQQQ", self.fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
        return value.raw

    def read(self, key, size):
        return self._ask(LOOKUP, key, ctypes.create_string_buffer(size))

    def write(self, key, data):
        self._ask(UPDATE, key, ctypes.create_string_buffer(data, len(data)))


class Neighbours(Lab):
    """A gateway whose interfaces are kept in one place: their numbers differ by SP_GLANCES."""

    INDEX = {"lan0": 1070, "wan0": 1134}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    need_lab()
    lab = Neighbours("gateway")
    cpus = os.sched_getaffinity(0)
    try:
        lab.dir = tmp_path_factory.mktemp("glance")
        for ns, dev in ((lab.john, "eth0"), (lab.router, "eth0")):
            ns.run("ethtool", "-K", dev, "gro", "on")  # takes redirected packets
        for ns, dev in ((lab.john, "eth0"), (lab.web, "eth0")):
            ns.run("ethtool", "-K", dev, "tx", "off")
        lab.sally.up("--mode", "xdp", "--flows", 5000, "--config", conf(lab, "plain"))
        os.sched_setaffinity(0, {min(cpus)})  # packets are judged by the processor of who sends them
        lab.ifaces = Table(lab.fw, "sp_ifaces")
        yield lab
    finally:
        os.sched_setaffinity(0, cpus)
        lab.close()


def conf(lab, name, *lines):
    path = lab.dir / f"{name}.conf"
    path.write_text("".join(line + "\n" for line in ("wan wan0", "lan lan0", "express on", *lines)))
    return path


class Ways:
    """From john to the web server: conversations that begin, and one that goes on. From the stranger to john: nothing."""

    def __init__(self, lab):
        self.lab = lab
        self.server = lab.web.socket(socket.AF_INET6, socket.SOCK_DGRAM, timeout=3)
        self.server.bind((lab.web6, 7301))
        self.john = lab.john.socket(socket.AF_INET6, socket.SOCK_DGRAM, timeout=0)
        self.john.bind((lab.john6, 7302))
        self.stranger = lab.stranger.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.goes_on = lab.john.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for _ in range(3):
            assert self.arrives(self.goes_on)
            self.server.sendto(b"yes", self.peer)
            assert self.goes_on.recv(10) == b"yes"

    def arrives(self, sock, seconds=3.0):
        text = os.urandom(8)
        sock.sendto(text, (self.lab.web6, 7301))
        self.server.settimeout(seconds)
        try:
            while True:  # what comes late is no answer
                got, self.peer = self.server.recvfrom(10)
                if got == text:
                    return True
        except (TimeoutError, BlockingIOError):
            return False

    def begins(self, seconds=3.0):
        with self.lab.john.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            return self.arrives(sock, seconds)

    def took(self, n=10):
        """How many of so many datagrams took the lane?"""
        def count():
            return self.lab.sally.status()["passed"].get("express", {"packets": 0})["packets"]

        before = count()
        for _ in range(n):
            assert self.arrives(self.goes_on)
        return count() - before

    def close(self):
        for sock in (self.server, self.john, self.stranger, self.goes_on):
            sock.close()


@pytest.fixture
def ways(lab):
    ways = Ways(lab)
    yield ways
    ways.close()


@pytest.mark.parametrize("dev", ["lan0", "wan0"])
@pytest.mark.parametrize("field,value", [(EXPRESS, b"\0"), (MAC, b"\2\0\0\0\0\7")], ids=["express", "mac"])
def test_of_the_lane(lab, ways, dev, field, value):
    """The next packet after a tick knows what the interface is now; of the address, only where it comes in."""
    index = lab.INDEX[dev]
    was = lab.ifaces.read(index, IFACE)
    assert ways.took() >= 9
    lab.ifaces.write(index, was[:field] + value + was[field + len(value):])
    time.sleep(TICK_S)
    assert ways.took() == 0 if (field, dev) != (MAC, "wan0") else ways.took() >= 9
    lab.ifaces.write(index, was)
    time.sleep(TICK_S)
    assert ways.took() >= 9


def test_of_the_zone(lab, ways):
    was = lab.ifaces.read(lab.INDEX["lan0"], IFACE)
    for _ in range(3):
        assert ways.begins()
        lab.ifaces.write(lab.INDEX["lan0"], bytes([OUTSIDE]) + was[1:])
        time.sleep(TICK_S)
        assert not ways.begins(0.05)
        lab.ifaces.write(lab.INDEX["lan0"], was)
        time.sleep(TICK_S)


def test_of_whom(lab, ways):
    """Either interface is itself, however they alternate."""
    before = lab.sally.drops().get("uninvited", 0)
    for _ in range(100):
        ways.stranger.sendto(b"let me in", (lab.john6, 7302))
        assert ways.begins()
    with pytest.raises(BlockingIOError):
        ways.john.recv(10)
    assert lab.sally.drops()["uninvited"] == before + 100


def test_of_the_policy(lab, ways):
    """Which policy is in force counts at once, not after a tick."""
    config = Table(lab.fw, "sp_config")
    with mmap.mmap(config.fd, mmap.PAGESIZE) as memory:
        def generation(put=None):
            if put is not None:
                struct.pack_into("I", memory, GENERATION, put)
            return struct.unpack_from("I", memory, GENERATION)[0]

        before = lab.sally.status()["generation"]
        assert generation() == before
        lab.sally("apply", "--no-trial", conf(lab, "block", "block any -> outside : udp/7301"))
        assert generation() == before + 1
        for _ in range(50):
            assert not ways.begins(0.002)
            generation(before)
            assert ways.begins()
            generation(before + 1)
        assert not ways.begins(0.05)
        generation(before)
    lab.sally("apply", "--no-trial", conf(lab, "plain"))
