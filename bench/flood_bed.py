# SPDX-License-Identifier: BSD-2-Clause
"""The bed of the flood curve: a gateway between the outside, from which a flood comes, and a server inside.

    out                              gw: whoever is measured            in
    +-----------------+              +----------------------+           +------------------+
    | flood           | o0 ------- wan0                    lan0 ------- i0  greeter (80)   |
    | sender, clients |              | 5.5.0.1   10.1.0.1   |           |     receiver     |
    +-----------------+              +----------------------+           +------------------+
    5.5.0.2, 5.5.0.3                                                    10.1.0.2

The flood and what is measured come over one cable, through one queue. The flood is made on the first processor, the gateway
has the last one, so that the flood is as fast as it is, whatever the gateway makes of it.
"""

import ctypes
import glob
import json
import os
import socket
import subprocess
import tempfile
import threading
import time

SALLY = os.path.abspath(os.environ.get("SALLY", "build/sally"))
FLOOD = os.path.abspath(os.environ.get("FLOOD", "build/bench/flood"))
PREFIX = os.environ.get("SP_NS_PREFIX", "spcurve")
ROOM = 262144  # conversations; conntrack's default on a machine with some memory
SERVICE, TRANSFER = 80, 5201
CLIENT, SERVER = "5.5.0.3", "10.1.0.2"
GREETER = """import asyncio
async def greet(reader, writer):
    try:
        await asyncio.wait_for(reader.read(100), 5)
        writer.write(b"good day")
        await writer.drain()
    except (OSError, asyncio.TimeoutError):
        pass
    writer.close()
async def main():
    await (await asyncio.start_server(greet, "0.0.0.0", 80, backlog=4096)).serve_forever()
asyncio.run(main())
"""
_libc = ctypes.CDLL(None, use_errno=True)

NFT = """table inet gate {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "lan0" ct state new accept
        iifname "wan0" tcp dport 80 ct state new accept
    }
}
"""
SYNPROXY = """table inet gate {
    chain first {
        type filter hook prerouting priority -300; policy accept;
        iifname "wan0" tcp dport 80 tcp flags syn notrack
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        iifname "wan0" tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
        ct state established,related accept
        ct state invalid drop
        iifname "lan0" ct state new accept
        iifname "wan0" tcp dport 80 ct state new accept
    }
}
"""
LINES = "nat off\nallow outside -> inside : tcp/80\n"
VARIANTS = {
    "nftables": ("nft", NFT),
    "nftables SYNPROXY": ("nft", SYNPROXY),
    "sally tc": ("sally", "--mode", "tc"),
    "sally xdp": ("sally", "--mode", "xdp"),
    "sally express": ("sally", "--mode", "xdp", "--express"),
}


class Bed:
    def __init__(self, variant):
        self.what = VARIANTS[variant]
        self.names = {role: f"{PREFIX}-{os.getpid()}-{role}" for role in ("out", "gw", "in")}
        self.started = []
        self.why = {}  # why clients were not greeted
        self.is_up = False
        self.sender = None
        self.threads = {}  # by device: those that take packets off it
        try:
            self.cables()
            self.start("in", "nice", "-n", "-10", "/usr/bin/python3", "-c", GREETER)
            self.ready("in", SERVICE)
            self.guard()
        except BaseException:
            self.close()
            raise

    def command(self, role, *argv):
        return ["nsenter", f"--net=/run/netns/{self.names[role]}", "--", *map(str, argv)]

    def run(self, role, *argv, stdin="", timeout=120):
        done = subprocess.run(self.command(role, *argv), input=stdin, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{role}: {' '.join(map(str, argv))}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, role, *argv, **kw):
        process = subprocess.Popen(self.command(role, *argv), stdin=subprocess.DEVNULL, text=True,
                                   **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **kw})
        self.started.append(process)
        return process

    def cables(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "add", name], check=True, timeout=60)
        self.run("gw", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for role, dev, far_role, far, net in (("gw", "wan0", "out", "o0", "5.5.0"), ("gw", "lan0", "in", "i0", "10.1.0")):
            self.run(role, "ip", "link", "add", dev, "type", "veth", "peer", "name", far, "netns", self.names[far_role])
            for r, d in ((role, dev), (far_role, far)):
                # packets as a wire would carry them, in every variant; checksums finished, or nothing can be redirected
                self.run(r, "ethtool", "-K", d, "gro", "on", "tso", "off", "gso", "off", "tx", "off")
            for n, (r, d) in enumerate(((role, dev), (far_role, far)), 1):
                self.run(r, "sysctl", "-qw", f"net.ipv6.conf.{d}.disable_ipv6=1")
                self.run(r, "ip", "addr", "add", f"{net}.{n}/24", "dev", d)
                self.run(r, "ip", "link", "set", d, "up")
        self.run("out", "ip", "addr", "add", f"{CLIENT}/24", "dev", "o0")
        self.run("out", "ip", "route", "add", "10.1.0.0/24", "via", "5.5.0.1")
        self.run("out", "ip", "route", "add", "blackhole", "32.0.0.0/6")
        self.run("in", "ip", "route", "add", "default", "via", "10.1.0.1")
        self.run("gw", "ip", "route", "add", "default", "via", "5.5.0.2")

    def ready(self, role, port):
        deadline = time.monotonic() + 30
        while f":{port} " not in self.run(role, "ss", "-Htln"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server of port {port} does not begin")
            time.sleep(0.1)

    def guard(self):
        if self.what[0] == "nft":
            self.run("gw", "nft", "-f", "-", stdin=self.what[1])
            self.run("gw", "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
                file.write(LINES)
                file.flush()
                self.is_up = True
                self.run("gw", SALLY, "up", "--outside", "wan0", "--inside", "lan0", "--config", file.name, "--flows", ROOM,
                         "--no-daemon", *self.what[1:])
        self.own_processor()

    def own_processor(self):
        """Threads of the kernel take packets off the cables: the gateway's on the last processor, others' on the first."""
        first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
        for role, dev, processor in (("gw", "wan0", last), ("gw", "lan0", last), ("out", "o0", first), ("in", "i0", first)):
            before = set(glob.glob("/proc/[0-9]*"))
            subprocess.run(["ip", "netns", "exec", self.names[role], "sh", "-c", f"echo 1 > /sys/class/net/{dev}/threaded"],
                           check=True, timeout=60)
            for path in set(glob.glob("/proc/[0-9]*")) - before:
                try:
                    with open(f"{path}/comm", encoding="ascii") as file:
                        if file.read().startswith(f"napi/{dev}-"):
                            os.sched_setaffinity(int(os.path.basename(path)), {processor})
                            self.threads[dev] = path
                            # where there is no such thread, it is an interrupt: before all others
                            os.setpriority(os.PRIO_PROCESS, int(os.path.basename(path)), -20)
                except OSError:
                    continue  # somebody else's, and ended

    def gateway(self):
        """(ns of processor time that the gateway's threads took, packets that came in from the outside)"""
        took = 0
        for dev in ("wan0", "lan0"):
            with open(f"{self.threads[dev]}/schedstat", encoding="ascii") as file:
                took += int(file.read().split()[0])
        counted = [line.split() for line in self.run("gw", "cat", "/proc/net/dev").splitlines() if "wan0:" in line]
        return took, int(counted[0][2])

    def forget(self):
        """Nothing is remembered of the flood before."""
        if self.what[0] == "nft":
            self.run("gw", "conntrack", "-F")
            return
        self.run("gw", SALLY, "down")
        self.guard()

    def mac(self, role, dev):
        return json.loads(self.run(role, "ip", "-j", "link", "show", dev))[0]["address"]

    def flood(self, rate, seconds):
        """SYNs from a million forged addresses to the open port; rate 0: as fast as it goes."""
        return self.start("out", "taskset", "-c", min(os.sched_getaffinity(0)), FLOOD, "o0", self.mac("out", "o0"),
                          self.mac("gw", "wan0"), "syn", "32.0.0.1", 1 << 20, SERVER, SERVICE, rate, seconds,
                          stdout=subprocess.PIPE)

    def transfer(self, mbit, seconds):
        """From the outside to the inside, which has asked for it. A server of its own: one that was cut off stays busy."""
        if self.sender:
            self.sender.kill()
            self.sender.wait(10)
        self.sender = self.start("out", "nice", "-n", "-10", "iperf3", "-s", "-p", TRANSFER)
        self.ready("out", TRANSFER)
        return self.start("in", "nice", "-n", "-10", "iperf3", "-c", "5.5.0.2", "-p", TRANSFER, "-R", "-b", f"{mbit}M",
                          "-t", seconds, "-i", 1, "-J", stdout=subprocess.PIPE)

    def clients(self, seconds, patience):
        """Strangers who connect, one after the other, for so many seconds: (greeted, all)."""
        end = time.monotonic() + seconds
        outcome = []

        def body():
            with open(f"/run/netns/{self.names['out']}", "rb") as ns:
                if _libc.setns(ns.fileno(), 0x40000000):
                    raise OSError(ctypes.get_errno(), "setns")
            while time.monotonic() < end:
                with socket.socket() as sock:
                    sock.settimeout(patience)
                    sock.bind((CLIENT, 0))
                    try:
                        sock.connect((SERVER, SERVICE))
                        sock.sendall(b"hello")
                        outcome.append(sock.recv(100) == b"good day")
                    except OSError as error:
                        outcome.append(False)
                        self.why[str(error)] = self.why.get(str(error), 0) + 1
                time.sleep(0.05)

        threads = [threading.Thread(target=body) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(outcome), len(outcome)

    def close(self):
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
            if process.stdout:
                process.stdout.close()
        if self.is_up:
            subprocess.run(self.command("gw", SALLY, "down"), timeout=60, capture_output=True, check=False)
        if self.what[0] == "nft":
            subprocess.run(self.command("gw", "conntrack", "-F"), timeout=60, capture_output=True, check=False)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], timeout=60, check=False)
