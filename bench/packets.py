# SPDX-License-Identifier: BSD-2-Clause
"""What a small packet costs through Sallyport and through its peers, on one core.

    gen                    gw: whoever is measured                  sink
    +----------+           +----------------------+                 +-----------+
    |  blast   | g0 -- lan0                        wan0 ---------- s0 counts,   |
    | 10.1.1.x |           10.255.0.1        5.5.0.1                | answers   |
    +----------+           +----------------------+                 +-----------+

The generator is a BPF test run with live frames; one core makes a packet, carries it through the gateway and counts it.
Every variant gets fresh namespaces in every round; rounds alternate, and medians are reported.
"""

import json
import os
import statistics
import subprocess
import time

import bed

BLAST = os.environ.get("BLAST", "build/bench/blast")
NEW_FLOWS = 30000  # a burst of new conversations: as many as one address has ports for, with room

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

# somebody inside may be called from the outside: by his own address, or by the gateway's
CALLED = {
    bed.HOST: (NFT.replace("\n    }\n}", "\n        iifname \"wan0\" udp dport 9000 ct state new accept\n    }\n}"),
               "nat off\nallow outside -> inside : udp/9000\n"),
    bed.WAN: (MASQUERADE.replace("iifname \"lan0\"", "ct status dnat accept\n        iifname \"lan0\"") +
              "table ip called {\n    chain pre { type nat hook prerouting priority -100; iifname \"wan0\" udp dport 9000 "
              f"dnat to {bed.HOST}; }}\n}}\n", f"forward udp/9000 to {bed.HOST}\n"),
}

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
NEW = ("plain forwarding", "nftables stateful", "nftables masquerade", "sally xdp", "sally express",
       "sally express, translating")
COME = ("plain forwarding", "nftables stateful", "nftables masquerade", "sally express", "sally express, translating")
FULL = ("XDP redirect, no state", "sally express", "sally express, translating")  # as many as nftables holds, too
ENGINE = ("sally xdp", "sally express", "sally express, translating")
SMOKE = ("generator and drop", "XDP redirect, no state", "nftables masquerade", "sally express",
         "sally express, translating")


class Bed(bed.Net):
    """Three namespaces in a row, the middle one with what is measured, and a running blast."""

    def __init__(self, what, flows, room=0):
        super().__init__("gen", "gw", "sink")
        try:
            bed.gateway(self, "gen", "g0", "sink", "s0")
            self.blast = subprocess.Popen(["taskset", "-c", str(bed.CPU), BLAST, *self.names.values()], text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.started.append(self.blast)
            self.ask("gateway " + (what[1] if what and what[0] == "blast" else "none"))
            if what and what[0] == "nft":
                self.nft("gw", what[1])
            elif what and what[0] == "sally":
                room = room or max(65536, 4 * flows)  # a translated one takes two places
                self.sally_up("gw", what[1], "--outside", "wan0", "--inside", "lan0", "--mode", what[2],
                              "--flows", room, *what[3:])
        except BaseException:
            self.close()
            raise

    def ask(self, order):
        self.blast.stdin.write(order + "\n")
        self.blast.stdin.flush()
        return self.answer(order)

    def answer(self, order):
        answer = self.blast.stdout.readline()
        if not answer:
            raise RuntimeError(f"blast ended at: {order}")
        return json.loads(answer)

    def warm(self, flows, turned, enough=1):
        """Every flow has been answered, or that part of them; what arrived was right."""
        for _ in range(4):
            seen = self.ask(f"warm {flows}")
            if seen["answered"] >= flows * enough:
                break
        else:
            raise RuntimeError(f"only {seen['answered']} of {flows} flows were answered: {seen}")
        if seen["bad"] or seen["ttl"] != 63 or (seen["source"] == bed.WAN) != turned:
            raise RuntimeError(f"what arrived is wrong: {seen}")

    def stopped(self):
        """Packets that were stopped, by reason."""
        return {r: c["packets"] for r, c in json.loads(self.run("gw", bed.SALLY, "status", "--json"))["stopped"].items()}

    def express(self):
        """Packets that took the lane so far."""
        return json.loads(self.run("gw", bed.SALLY, "status", "--json"))["passed"].get("express", {"packets": 0})["packets"]


def conntrack_room():
    with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as file:
        return int(file.read()) * 95 // 100


class Quiet:
    """A core may be shared with strangers, who slow down what computes more than what waits for memory: quotients change.
    So each measurement waits until the core is about as fast as it was at its best, as long as there is patience."""

    PATIENCE_S, NEAR, EVERY_S = 90, 1.1, 0.1
    best, waited_s = float("inf"), 0.0

    @classmethod
    def wait(cls, row):
        while True:
            ns = row.ask("pace")["ns"]
            cls.best = min(cls.best, ns)
            if ns <= cls.NEAR * cls.best or cls.waited_s >= cls.PATIENCE_S:
                return
            time.sleep(cls.EVERY_S)
            cls.waited_s += cls.EVERY_S


def burst(row, order):
    """ns of processor time a delivered packet."""
    Quiet.wait(row)
    seen = row.ask(order)
    if seen["arrived"] < 0.5 * seen["sent"]:
        raise RuntimeError(f"only {seen['arrived']} of {seen['sent']} packets arrived")
    if seen["bad"]:
        raise RuntimeError(f"what arrived is wrong: {seen}")
    return seen["ns"] / seen["arrived"]


def established(name, flows, packets, bursts):
    what, remembers, turned = VARIANTS[name]
    row = Bed(what, flows)
    try:
        if remembers:
            row.warm(flows, turned)
            row.warm(flows, turned)  # what is found out with the first packet after an answer is known then
        before = row.express() if "express" in name else 0
        found = [burst(row, f"run {flows} random {packets} {n * packets}") for n in range(bursts)]
        if "express" in name and row.express() - before < packets * bursts * 0.5:
            raise RuntimeError("packets did not take the express lane")
        return found
    finally:
        row.close()


def coming(name):
    """What is on the gateway, and whom those call who come from the outside."""
    what, _, turned = VARIANTS[name]
    address = bed.WAN if turned else bed.HOST
    rules, lines = CALLED[address]
    if what and what[0] == "nft":
        what = ("nft", rules)
    elif what:
        what = ("sally", lines, *what[2:])
    return what, address


def beginning(name, come=False):
    what, address = coming(name) if come else (VARIANTS[name][0], None)
    row = Bed(what, 0, room=conntrack_room())  # as much as nftables has
    try:
        found = [burst(row, f"come {address} {NEW_FLOWS}" if come else f"run 1 new {NEW_FLOWS} 0")]
        if "express" in name and row.express() < NEW_FLOWS * 0.5:
            raise RuntimeError(f"only {row.express()} packets took the express lane")
        return found
    finally:
        row.close()


def engine(name, flows, packets, bursts):
    what, _, turned = VARIANTS[name]
    row = Bed(what, flows)
    try:
        row.warm(flows, turned)
        row.warm(flows, turned)
        found = []
        for _ in range(bursts):
            Quiet.wait(row)
            seen = row.ask(f"engine {flows} {packets}")
            want = 4 if "express" in name else 2  # XDP_REDIRECT, XDP_PASS
            if seen["verdict"] != want:
                raise RuntimeError(f"the program said {seen['verdict']}, not {want}: {seen}")
            found.append(seen["ns"] - seen["empty_ns"])
        return found
    finally:
        row.close()


def sizes(args):
    """(flows, the only variants or None): where nftables cannot hold as many, ours with as few once more."""
    for flows in args.flows:
        if flows > conntrack_room():
            yield conntrack_room(), FULL
        yield flows, None


def wanted(args, names):
    return [name for name in names if not args.only or any(word in name for word in args.only)]


def jobs(args):
    """(kind, name, flows, function) in the order of one round."""
    for flows, only in sizes(args):
        for name in wanted(args, only or (SMOKE if args.smoke else VARIANTS)):
            what = VARIANTS[name][0]
            n = min(flows, conntrack_room()) if what and what[0] == "nft" else flows
            packets = 2000 if args.smoke else 100000 if name in NEW else 200000
            if not args.engine:
                yield "established", name, n, lambda a=name, b=n, c=packets: established(a, b, c, args.bursts)
            if name in ENGINE and not only:
                yield ("engine", name, n,
                       lambda a=name, b=n: engine(a, b, 2000 if args.smoke else 500000, args.bursts))
    if args.engine:
        return
    for kind, names in ("new", NEW), ("come", COME):
        for name in wanted(args, [names[-1]] if args.smoke else names):
            yield kind, name, NEW_FLOWS, lambda a=name, b=kind == "come": beginning(a, b)


def measure(args, failed):
    """{(kind, variant, flows): [ns of each measurement]}; what did not work is appended to `failed`."""
    found = {}
    Quiet.PATIENCE_S = 0 if args.smoke else Quiet.PATIENCE_S
    for turn in range(args.rounds["packets"]):
        for kind, name, flows, job in jobs(args):
            try:
                ns = job()
            except (RuntimeError, subprocess.SubprocessError) as error:
                failed.append(f"{kind}, {name}, {flows} flows: {error}")
                continue
            found.setdefault((kind, name, flows), []).extend(ns)
            if not args.smoke:
                print(f"round {turn + 1}: {kind}, {name}, {flows} flows: {statistics.median(ns):.0f} ns", flush=True)
    if Quiet.waited_s:
        print(f"waited {Quiet.waited_s:.0f} of at most {Quiet.PATIENCE_S} s for quiet moments", flush=True)
    return found
