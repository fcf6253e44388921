# SPDX-License-Identifier: BSD-2-Clause
"""A small internet of network namespaces, in which real programs meet the firewall.

Gateway:  John's computer behind the firewall (nothing is translated: the outside knows the way to John)

    inside            the firewall                  outside
    +--------+        +----------+         +----------+ w0 -- 1300 --> eth0 [web]
    |  john  |eth0--lan0   fw  wan0------eth0 router  |
    +--------+        +----------+         +----------+ s0 ----------- eth0 [stranger]
    10.1.0.2       10.1.0.1   5.5.0.1    5.5.0.2       web 5.5.1.2, stranger 5.5.2.2
    2a00:1:0:1::2  ...:1::1   2a00:1:0:2::1  ...:2::2  web 2a00:2:0:1::2, stranger 2a00:2:0:2::2

    All MTUs are 1500, but the router sends no more than 1300 bytes to the web server, as if the path narrowed there:
    neither end can see it in the other's segment size; it must be told by ICMP errors.

Host:     the same outside; fw is one computer with wan0 only, and John sits at it.

The addresses are ones that the real internet uses: documentation and private IPv6 prefixes must not come in from outside
(RFC 6092 REC-5). Nothing here touches the namespace that the tests run in. Every process that is started is remembered
and ended by its id.
"""

import ctypes
import functools
import json
import os
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SALLY = os.path.abspath(os.environ.get("SALLY", os.path.join(ROOT, "build", "sally")))
PREFIX = os.environ.get("SP_NS_PREFIX", "sally")
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_serial = 0


def wait_for(what, check, seconds=15.0, every=0.05):
    """Polls until check() is true, and returns what it returned; fails with what it waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


class Namespace:
    """One computer."""

    def __init__(self, lab, role):
        self.lab = lab
        self.role = role
        self.name = f"{lab.name}-{role}"
        self.path = f"/run/netns/{self.name}"
        subprocess.run(["ip", "netns", "add", self.name], check=True, timeout=20)
        lab.namespaces.append(self)
        self.sysctl("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                    "net.ipv6.conf.all.router_solicitations=0", "net.ipv6.conf.default.router_solicitations=0",
                    "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *argv):
        return ["nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def run(self, *argv, timeout=30, check=True, stdin="", env=None):
        """Runs a program to its end: text in, text out."""
        done = subprocess.run(self.command(*argv), input=stdin, capture_output=True, text=True, errors="replace",
                              timeout=timeout, env=env)
        if check and done.returncode != 0:
            raise AssertionError(f"{self.role}: {' '.join(map(str, argv))}: exit {done.returncode}\n"
                                 f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def start(self, *argv, **kw):
        """Starts a program that goes on beside the test; the lab ends it."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.DEVNULL)
        kw.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen(self.command(*argv), start_new_session=True, **kw)
        self.lab.processes.append(process)
        return process

    def inside(self, function, *args):
        """Calls function in a thread that lives in this namespace: sockets made there stay there."""
        box = []

        def body():
            try:
                fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if _libc.setns(fd, CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(fd)
                box.append((True, function(*args)))
            except BaseException as error:  # handed to the caller, who raises it
                box.append((False, error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        ok, value = box[0]
        if not ok:
            raise value
        return value

    def socket(self, family, kind, proto=0, timeout=5.0):
        sock = self.inside(socket.socket, family, kind, proto)
        sock.settimeout(timeout)
        return sock

    def sysctl(self, *settings):
        self.run("sysctl", "-qw", *settings)

    def snmp(self, table, name):
        """One counter of this computer's own stack, such as Tcp InCsumErrors or TcpExt TCPAbortOnClose."""
        text = self.run("cat", "/proc/net/snmp", "/proc/net/netstat").stdout
        lines = [line.split() for line in text.splitlines() if line.startswith(table + ":")]
        return int(lines[1][lines[0].index(name)])

    def checksum_errors(self):
        """What this computer's own stack found damaged, by counter; nothing, it is to be hoped."""
        text = self.run("cat", "/proc/net/snmp6").stdout
        found = {name: int(count) for name, count in map(str.split, text.splitlines()) if "InCsumErrors" in name}
        found.update({table: self.snmp(table, "InCsumErrors") for table in ("Tcp", "Udp", "Icmp")})
        return {name: count for name, count in found.items() if count}


class Sally:
    """The firewall in one namespace, through its command line only."""

    def __init__(self, ns):
        self.ns = ns

    def __call__(self, *argv, **kw):
        return self.ns.run(SALLY, *argv, **kw)

    def up(self, *argv, daemon=False):
        return self("up", *argv, *(() if daemon else ("--no-daemon",)), timeout=60)

    def down(self):
        return self("down", timeout=60)

    def status(self):
        return json.loads(self("status", "--json").stdout)

    def flows(self, *words):
        """The conversations that match, as dictionaries: one JSON object a line."""
        return [json.loads(line) for line in self("flows", "--json", *words).stdout.splitlines()]

    def drops(self):
        """Packets dropped so far, by reason."""
        return drops_of(self.status())

    def watch(self, *argv):
        """Starts `watch --json`, and waits until it watches."""
        process = self.ns.start(SALLY, "watch", "--json", *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)
        line = process.stderr.readline()
        assert "watching" in line, f"sally watch did not begin: {line}"
        return process


def drops_of(status):
    return {reason: row["packets"] for reason, row in status["stopped"].items()}


def grown(before, after):
    """Which reasons have dropped packets in between, and how many."""
    return {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}


class Lab:
    """kind: "gateway" or "host"."""

    INDEX = {}  # numbers of interfaces, by name; others get the next one

    def __init__(self, kind):
        global _serial
        _serial += 1
        self.kind = kind
        self.name = f"{PREFIX}-{os.getpid()}-{_serial}"
        self.namespaces = []
        self.processes = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self):
        self.fw = Namespace(self, "fw")
        self.sally = Sally(self.fw)
        self._build_inside()
        self._build_outside()

    def _build_inside(self):
        """Who is behind the firewall; a lab of another kind has others."""
        if self.kind == "gateway":
            self.john = Namespace(self, "john")
            self.forwards(self.fw)
            self.link(self.fw, "lan0", self.john, "eth0", "10.1.0.{}/24", "2a00:1:0:1::{}/64")
            self.default_route(self.john, "10.1.0.1", "2a00:1:0:1::1")
            self.john4, self.john6 = "10.1.0.2", "2a00:1:0:1::2"
        else:
            self.john = self.fw
            self.john4, self.john6 = "5.5.0.1", "2a00:1:0:2::1"

    def _build_outside(self):
        self.router = Namespace(self, "router")
        self.web = Namespace(self, "web")
        self.stranger = Namespace(self, "stranger")
        self.forwards(self.router)
        self.link(self.fw, "wan0", self.router, "eth0", "5.5.0.{}/24", "2a00:1:0:2::{}/64")
        self.link(self.router, "w0", self.web, "eth0", "5.5.1.{}/24", "2a00:2:0:1::{}/64")
        self.narrow(self.router, "5.5.1.2/32", "2a00:2:0:1::2/128", "w0", 1300)
        self.link(self.router, "s0", self.stranger, "eth0", "5.5.2.{}/24", "2a00:2:0:2::{}/64")
        self.default_route(self.fw, "5.5.0.2", "2a00:1:0:2::2")
        self.default_route(self.web, "5.5.1.1", "2a00:2:0:1::1")
        self.default_route(self.stranger, "5.5.2.1", "2a00:2:0:2::1")
        if self.kind != "home":
            self.router.run("ip", "route", "add", "10.1.0.0/24", "via", "5.5.0.1")
        self.router.run("ip", "route", "add", "2a00:1:0:1::/64", "via", "2a00:1:0:2::1")
        self.fw4, self.fw6 = "5.5.0.1", "2a00:1:0:2::1"
        self.web4, self.web6 = "5.5.1.2", "2a00:2:0:1::2"
        self.stranger4, self.stranger6 = "5.5.2.2", "2a00:2:0:2::2"

    @staticmethod
    def forwards(ns):
        ns.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    @classmethod
    def link(cls, a, a_dev, b, b_dev, net4, net6):
        """A cable: end a is .1, end b is .2."""
        index = ("index", cls.INDEX[a_dev]) if a_dev in cls.INDEX else ()
        a.run("ip", "link", "add", a_dev, *index, "type", "veth", "peer", "name", b_dev, "netns", b.name)
        for number, (ns, dev) in enumerate(((a, a_dev), (b, b_dev)), 1):
            ns.run("ip", "addr", "add", net4.format(number), "dev", dev)
            ns.run("ip", "addr", "add", net6.format(number), "dev", dev, "nodad")
            ns.run("ip", "link", "set", dev, "up")

    @staticmethod
    def narrow(ns, to4, to6, dev, mtu):
        """A router forwards no bigger packets to these addresses, on the link or beyond it."""
        for to in (to4, to6):
            ns.run("ip", "route", "replace", to, "dev", dev, "mtu", "lock", mtu)

    @staticmethod
    def default_route(ns, via4, via6):
        ns.run("ip", "route", "add", "default", "via", via4)
        ns.run("ip", "-6", "route", "add", "default", "via", via6)

    def address(self, role, family):
        """address("web", 6)"""
        return getattr(self, f"{role}{family}")

    def end(self, process):
        """Ends one process of ours and what it started."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def close(self):
        for process in reversed(self.processes):
            self.end(process)
        self.processes.clear()
        for ns in self.namespaces:
            if ns.role == "fw" and os.path.exists(SALLY):
                # the pins of a namespace are not in it: they must go before it does
                ns.run(SALLY, "down", check=False)
            subprocess.run(["ip", "netns", "del", ns.name], timeout=20, check=False)
        self.namespaces.clear()


@functools.cache
def unavailable():
    """Why there can be no lab with a live firewall here, or None: tries it."""
    if os.geteuid() != 0:
        return "needs root"
    name = f"{PREFIX}-{os.getpid()}-try"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=20)
        if made.returncode != 0:
            return "no network namespaces to be had: " + made.stderr.strip()
        inside = ["nsenter", f"--net=/run/netns/{name}", "--"]
        link = ["ip", "link", "add", "try0", "type", "veth", "peer", "name", "try1"]
        made = subprocess.run(inside + link, capture_output=True, text=True, timeout=20)
        if made.returncode != 0:
            return "no virtual cables to be had: " + made.stderr.strip()
        up = subprocess.run(inside + [SALLY, "up", "--outside", "try0", "--flows", "1000"], capture_output=True,
                            text=True, timeout=60)
        # 3: not permitted, or the kernel lacks something. Anything else is a fault, which must be seen.
        if up.returncode == 3:
            return up.stderr.strip()
        subprocess.run(inside + [SALLY, "down"], capture_output=True, timeout=60)
        return None
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20)
