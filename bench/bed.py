# SPDX-License-Identifier: BSD-2-Clause
"""Namespaces joined by cables, programs in them, a firewall in one of them, and what all that took of the processor."""

import itertools
import os
import subprocess
import tempfile
import threading
import time

SALLY = os.environ.get("SALLY", "build/sally")
PROGRAMS = os.environ.get("BENCH_PROGRAMS", "build/bench/bench.bpf.o")
PREFIX = os.environ.get("SP_NS_PREFIX", "spbench")
CPU = max(os.sched_getaffinity(0))  # everything that is measured runs there
MAC = {"g0": 1, "lan0": 2, "wan0": 3, "s0": 4}  # bench.h knows them, too
SERIAL = itertools.count(1)
WAN = "5.5.0.1"  # the outside address of the gateway
HOST = "10.1.1.1"  # somebody inside, who is called from the outside


def mac(dev):
    return f"02:00:00:00:be:{MAC[dev]:02x}"


class Net:
    """Namespaces by role, all of them gone after close(), and what was started in them."""

    def __init__(self, *roles):
        serial = next(SERIAL)
        self.names = {role: f"{PREFIX}-{os.getpid()}-{serial}-{role}" for role in roles}
        self.started = []
        self.guarded = None  # where sally is up
        self.tracked = False  # nftables has tracked
        try:
            for role, name in self.names.items():
                subprocess.run(["ip", "netns", "add", name], check=True, timeout=20)
                self.run(role, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        except BaseException:
            self.close()
            raise

    def command(self, role, *argv):
        return ["nsenter", f"--net=/run/netns/{self.names[role]}", "--", *map(str, argv)]

    def run(self, role, *argv, stdin="", timeout=120):
        done = subprocess.run(self.command(role, *argv), input=stdin, capture_output=True, text=True, timeout=timeout,
                              check=False)
        if done.returncode:
            raise RuntimeError(f"{role}: {' '.join(map(str, argv))}: exit {done.returncode}: "
                               f"{done.stderr.strip()[-500:]}{done.stdout.strip()[-500:]}")
        return done.stdout

    def start(self, role, *argv, cpu=CPU, **kw):
        """Beside us, on one processor and before others: what they take would be counted as ours."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.DEVNULL)
        kw.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen(self.command(role, "taskset", "-c", cpu, "nice", "-n", "-15", *argv), text=True, **kw)
        self.started.append(process)
        return process

    def cable(self, role, dev, far_role, far):
        """Each end takes what is redirected into it: says so when it comes up, if the other one's GRO is on by then."""
        self.run(role, "ip", "link", "add", dev, *(("address", mac(dev)) if dev in MAC else ()), "type", "veth",
                 "peer", "name", far, *(("address", mac(far)) if far in MAC else ()), "netns", self.names[far_role])
        ends = ((role, dev), (far_role, far))
        for r, d in ends:
            self.run(r, "ethtool", "-K", d, "gro", "on")
        for r, d in ends:
            self.run(r, "ip", "link", "set", d, "up")

    def sally_up(self, role, config, *options):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(config)
            file.flush()
            self.guarded = role
            for _ in range(4):
                try:
                    return self.run(role, SALLY, "up", "--config", file.name, "--no-daemon", *options)
                except RuntimeError as error:
                    if "another sally is at work" not in str(error):
                        raise
                    last = error
            raise last

    def only_pass(self, role, *devs):
        """XDP programs that do nothing: what remains is what the hook itself costs with these cables."""
        for dev in devs:
            self.run(role, "ip", "link", "set", dev, "xdpdrv", "object", PROGRAMS, "program", "bench_empty")

    def nft(self, role, rules):
        self.tracked = role
        self.run(role, "nft", "-f", "-", stdin=rules)

    def close(self):
        for process in self.started:
            if process.stdin:
                process.stdin.close()
            else:
                process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        if self.guarded:
            subprocess.run(self.command(self.guarded, SALLY, "down"), timeout=60, capture_output=True, check=False)
        if self.tracked:
            # else the kernel takes them away while the next one is measured
            subprocess.run(self.command(self.tracked, "conntrack", "-F"), timeout=60, capture_output=True, check=False)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], timeout=20, check=False)


def gateway(net, left, left_dev, right, right_dev):
    """The middle namespace `gw` routes between its lan0 and its wan0; neighbours are known."""
    net.run("gw", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    net.cable("gw", "lan0", left, left_dev)
    net.cable("gw", "wan0", right, right_dev)
    net.run("gw", "ip", "-batch", "-", stdin=f"""addr add 10.255.0.1/24 dev lan0
addr add {WAN}/24 dev wan0
neigh replace 10.255.0.2 lladdr {mac(left_dev)} dev lan0 nud permanent
neigh replace 5.5.0.2 lladdr {mac(right_dev)} dev wan0 nud permanent
route add 10.1.0.0/16 via 10.255.0.2
route add default via 5.5.0.2
""")


class Taken:
    """Processor time of processes, and of the thread that serves our processor's packets when they get many."""

    def __init__(self, pids):
        self.files = [f"/proc/{pid}/schedstat" for pid in pids] + [f"/proc/{softirqd()}/schedstat"]
        self.before = self.now()

    def now(self):
        total = 0
        for path in self.files:
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total

    def ns(self):
        return self.now() - self.before


def softirqd():
    """The number of our processor's ksoftirqd."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().strip() == f"ksoftirqd/{CPU}":
                    return pid
        except FileNotFoundError:
            continue
    raise RuntimeError(f"no ksoftirqd/{CPU}")


def ended(process, seconds):
    """Waits until it has ended; processor time in ns, all of it, and what it wrote."""
    late = threading.Timer(seconds, process.kill)
    late.start()
    try:
        wrote = process.stdout.read() if process.stdout else ""
        complaint = process.stderr.read() if process.stderr else ""
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        late.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args}: exit {process.returncode}: {(complaint or wrote)[-500:]}")
    return round((usage.ru_utime + usage.ru_stime) * 1e9), wrote


def listening(net, role, proto, port):
    """Until somebody listens at the port; so that the one who asks is not the one who waits."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if net.run(role, "ss", "-Hnl", "-" + proto[0], f"sport = :{port}").strip():
            return
        time.sleep(0.02)
    raise RuntimeError(f"{role}: nobody listens at {proto} port {port} after 15 s")


def by_turns(variants, make, jobs, rounds):
    """Every job with every variant in every round, in another order each time: {(variant, metric): [a value a round]}."""
    nets = {}
    found = {(name, metric): [] for name in variants for metrics, _ in jobs for metric in metrics}
    try:
        for name, what in variants.items():
            nets[name] = make(what)
        for turn in range(rounds):
            names = list(nets)
            names = names[turn % len(names):] + names[:turn % len(names)]
            for metrics, job in jobs:
                for name in names if turn % 2 else reversed(names):
                    for metric, value in zip(metrics, job(nets[name])):
                        found[name, metric].append(value)
        return found
    finally:
        for net in nets.values():
            net.close()
