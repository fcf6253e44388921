# SPDX-License-Identifier: BSD-2-Clause
"""What a packet costs through Sallyport and through its peers, on one core, in one run.

    gen                    gw: whoever is measured                  sink
    +----------+           +----------------------+                 +-----------+
    |  blast   | g0 -- lan0                        wan0 ---------- s0 counts,   |
    | 10.1.1.x |           10.255.0.1        5.5.0.1                | answers   |
    +----------+           +----------------------+                 +-----------+

The generator is a BPF test run with live frames; one core makes a packet, carries it through the gateway and counts it.
Every variant gets fresh namespaces in every round; rounds alternate, and medians are reported. docs/bench/README.md says how
to read it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import report

SALLY = os.environ.get("SALLY", "build/sally")
BLAST = os.environ.get("BLAST", "build/bench/blast")
PREFIX = os.environ.get("SP_NS_PREFIX", "spbench")
MAC = {"g0": 1, "lan0": 2, "wan0": 3, "s0": 4}
NEW_FLOWS = 30000  # a burst of new conversations: as many as one address has ports for, with room
CPU = max(os.sched_getaffinity(0))

NFT = """table inet bench {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "lan0" ct state new accept
    }
}
"""
MASQUERADE = NFT + """table ip turned {
    chain post { type nat hook postrouting priority 100; oifname "wan0" masquerade; }
}
"""

# name: (what is on the gateway, does it remember conversations, is the source another one behind it)
VARIANTS = {
    "generator and drop": (("blast", "drop"), False, False),
    "XDP redirect, no state": (("blast", "redirect"), False, False),
    "XDP redirect, route look-up": (("blast", "fib"), False, False),
    "plain forwarding": (None, False, False),
    "nftables stateful": (("nft", NFT), True, False),
    "nftables masquerade": (("nft", MASQUERADE), True, True),
    "sally tc": (("sally", "nat off\n", "tc"), True, False),
    "sally xdp": (("sally", "nat off\n", "xdp"), True, False),
    "sally express": (("sally", "nat off\n", "xdp", "--express"), True, False),
    "sally express, translating": (("sally", "", "xdp", "--express"), True, True),
}
NEW = ("plain forwarding", "nftables stateful", "nftables masquerade", "sally xdp", "sally express, translating")
ENGINE = ("sally xdp", "sally express", "sally express, translating")
SMOKE = ("generator and drop", "XDP redirect, no state", "nftables masquerade", "sally express",
         "sally express, translating")


def mac(dev):
    return f"02:00:00:00:be:{MAC[dev]:02x}"


class Bed:
    """Three namespaces in a row, the middle one with what is measured, and a running blast."""

    def __init__(self, what, flows):
        self.names = {role: f"{PREFIX}-{os.getpid()}-{role}" for role in ("gen", "gw", "sink")}
        self.what = what
        self.blast = None
        self.up = False
        try:
            self.cables()
            self.blast = subprocess.Popen(["taskset", "-c", str(CPU), BLAST, *self.names.values()], text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.ask("gateway " + (what[1] if what and what[0] == "blast" else "none"))
            if what and what[0] == "nft":
                self.run("gw", "nft", "-f", "-", stdin=what[1])
            elif what and what[0] == "sally":
                self.sally_up(*what[1:], flows=flows)
        except BaseException:
            self.close()
            raise

    def run(self, role, *argv, stdin=""):
        done = subprocess.run(["nsenter", f"--net=/run/netns/{self.names[role]}", "--", *argv], input=stdin,
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{role}: {' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def cables(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "add", name], check=True, timeout=20)
        self.run("gw", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.disable_ipv6=1")
        for role, dev, far_role, far in (("gw", "lan0", "gen", "g0"), ("gw", "wan0", "sink", "s0")):
            self.run(role, "ip", "link", "add", dev, "address", mac(dev), "type", "veth",
                     "peer", "name", far, "address", mac(far), "netns", self.names[far_role])
            for r, d in ((role, dev), (far_role, far)):
                self.run(r, "sysctl", "-qw", f"net.ipv6.conf.{d}.disable_ipv6=1")
                self.run(r, "ethtool", "-K", d, "gro", "on")  # or what is redirected into it is lost
                self.run(r, "ip", "link", "set", d, "up")
        self.run("gw", "ip", "-batch", "-", stdin=f"""addr add 10.255.0.1/24 dev lan0
            addr add 5.5.0.1/24 dev wan0
            neigh replace 10.255.0.2 lladdr {mac("g0")} dev lan0 nud permanent
            neigh replace 5.5.0.2 lladdr {mac("s0")} dev wan0 nud permanent
            route add 10.1.0.0/16 via 10.255.0.2
            route add default via 5.5.0.2""".replace("            ", ""))

    def sally_up(self, config, mode, *options, flows):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(config)
            file.flush()
            self.up = True
            room = str(max(65536, 4 * flows))  # a translated one takes two places
            self.run("gw", SALLY, "up", "--outside", "wan0", "--inside", "lan0", "--config", file.name, "--mode", mode,
                     "--flows", room, "--no-daemon", *options)

    def ask(self, order):
        self.blast.stdin.write(order + "\n")
        self.blast.stdin.flush()
        answer = self.blast.stdout.readline()
        if not answer:
            raise RuntimeError(f"blast ended at: {order}")
        return json.loads(answer)

    def warm(self, flows, turned):
        """Every flow has been answered; what arrived was right."""
        for _ in range(4):
            seen = self.ask(f"warm {flows}")
            if seen["answered"] >= flows:
                break
        else:
            raise RuntimeError(f"only {seen['answered']} of {flows} flows were answered: {seen}")
        if seen["bad"] or seen["ttl"] != 63 or (seen["source"] == "5.5.0.1") != turned:
            raise RuntimeError(f"what arrived is wrong: {seen}")

    def express(self):
        """Packets that took the lane so far."""
        return json.loads(self.run("gw", SALLY, "status", "--json"))["passed"].get("express", {"packets": 0})["packets"]

    def close(self):
        if self.blast:
            self.blast.stdin.close()
            self.blast.wait(30)
            self.blast.stdout.close()
        if self.up:
            subprocess.run(["nsenter", f"--net=/run/netns/{self.names['gw']}", "--", SALLY, "down"], timeout=60,
                           capture_output=True, check=False)
        if self.what and self.what[0] == "nft":
            # else the kernel takes them away while the next one is measured
            self.run("gw", "conntrack", "-F")
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], timeout=20, check=False)


def conntrack_room():
    with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as file:
        return int(file.read()) * 95 // 100


def burst(bed, order):
    """ns of processor time a delivered packet."""
    seen = bed.ask(order)
    if seen["arrived"] < 0.5 * seen["sent"]:
        raise RuntimeError(f"only {seen['arrived']} of {seen['sent']} packets arrived")
    return seen["ns"] / seen["arrived"]


def established(name, flows, packets, bursts):
    what, remembers, turned = VARIANTS[name]
    bed = Bed(what, flows)
    try:
        if remembers:
            bed.warm(flows, turned)
        before = bed.express() if "express" in name else 0
        found = [burst(bed, f"run {flows} random {packets} {n * packets}") for n in range(bursts)]
        if "express" in name and bed.express() - before < packets * bursts * 0.5:
            raise RuntimeError("packets did not take the express lane")
        return found
    finally:
        bed.close()


def beginning(name):
    bed = Bed(VARIANTS[name][0], 1000000)
    try:
        return [burst(bed, f"run 1 new {NEW_FLOWS} 0")]
    finally:
        bed.close()


def engine(name, flows, packets, bursts):
    what, _, turned = VARIANTS[name]
    bed = Bed(what, flows)
    try:
        bed.warm(flows, turned)
        found = []
        for _ in range(bursts):
            seen = bed.ask(f"engine {flows} {packets}")
            want = 4 if "express" in name else 2  # XDP_REDIRECT, XDP_PASS
            if seen["verdict"] != want:
                raise RuntimeError(f"the program said {seen['verdict']}, not {want}: {seen}")
            found.append(seen["ns"] - seen["empty_ns"])
        return found
    finally:
        bed.close()


def jobs(args):
    """(kind, name, flows, function) in the order of one round."""
    for flows in args.flows:
        for name, (what, _, _) in VARIANTS.items():
            if args.only and not any(word in name for word in args.only):
                continue
            if args.smoke and name not in SMOKE:
                continue
            n = min(flows, conntrack_room()) if what and what[0] == "nft" else flows
            packets = 2000 if args.smoke else 100000 if name in NEW else 200000
            if not args.engine:
                yield "established", name, n, lambda a=name, b=n, c=packets: established(a, b, c, args.bursts)
            if name in ENGINE:
                yield ("engine", name, n,
                       lambda a=name, b=n: engine(a, b, 2000 if args.smoke else 500000, args.bursts))
    for name in NEW:
        if not args.smoke and not args.engine and (not args.only or any(word in name for word in args.only)):
            yield "new", name, NEW_FLOWS, lambda a=name: beginning(a)


def main():
    parse = argparse.ArgumentParser(description="What a packet costs, beside the peers.")
    parse.add_argument("--smoke", action="store_true", help="only see that everything works")
    parse.add_argument("--engine", action="store_true", help="only what the XDP program takes alone")
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--bursts", type=int, default=3, help="measurements of one variant in one round")
    parse.add_argument("--flows", type=int, nargs="+", default=[1000, 250000, 1000000])
    parse.add_argument("--only", nargs="+", metavar="WORD", help="variants whose name has one of these words")
    parse.add_argument("--json", metavar="FILE", help="write figures, machine and commit there")
    args = parse.parse_args()
    if args.smoke:
        args.rounds, args.bursts, args.flows = 1, 1, [500]
    found, works, failed = {}, 0, 0
    for turn in range(args.rounds):
        for kind, name, flows, job in jobs(args):
            try:
                ns = job()
            except (RuntimeError, subprocess.SubprocessError) as error:
                print(f"{kind}, {name}, {flows} flows: {error}", file=sys.stderr)
                failed += 1
                continue
            works += 1
            found.setdefault((kind, name, flows), []).extend(ns)
            if not args.smoke:
                print(f"round {turn + 1}: {kind}, {name}, {flows} flows: {statistics.median(ns):.0f} ns", flush=True)
    if args.smoke:
        print(f"{works} passed, {failed} failed, 0 skipped")
    else:
        print(report.table(found))
        if args.json:
            report.save(args.json, found, vars(args))
    return 1 if failed else 0


sys.exit(main())
