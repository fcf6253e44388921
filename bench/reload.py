# SPDX-License-Identifier: BSD-2-Clause
"""What those who speak notice of a large policy that is put in force, and of a million conversations that are listed.

Packets of answered conversations run through the gateway as fast as one processor makes, carries and counts them; `sally`
works on another one. Packets that got lost, the longest time without one at the far end and the longest that one was on its
way are taken while `sally` is at work, and as long without it. Every `apply` changes one line of 10,000, so that each
conversation is decided again.
"""

import os
import tempfile
import time

import bed
import packets

LINES = 10000
LISTINGS = 2  # for each apply: they are soon done
LISTING_MS = 900
VARIANTS = {
    "sally tc": ("sally", "nat off\n", "tc"),
    "sally express": ("sally", "nat off\n", "xdp", "--express"),
}
SMOKE = ("sally express",)
TABLES = (
    ("apply of 10,000 lines under full load, and as long without it",
     {"apply_ms": "apply, ms", "apply_cpu_ms": "its own, ms", "lost": "packets lost", "lost_idle": "without"}),
    ("the same: longest time between two packets, and of a packet on its way",
     {"pause_us": "pause, us", "pause_idle_us": "without", "way_us": "on its way, us", "way_idle_us": "without"}),
    ("flows of a million conversations under full load, processor time a packet",
     {"list_ms": "flows, ms", "list_cpu_ms": "its own, ms", "list_ns": "ns/packet", "list_times": "times without"}),
    ("the same, packets a second on the wall", {"list_mpps": "Mpps", "list_rate": "times without"}),
)
OTHER_CPU = min(os.sched_getaffinity(0))


def policy(turn, lines):
    """Lines that the traffic has nothing to do with; one of them is another one each time."""
    text = ["nat off"]
    text += [f"open tcp/{1000 + n % 100} from {11 + n // 65536}.{n >> 8 & 255}.{n & 255}.0/24" for n in range(lines - 2)]
    text.append(f"open udp/{2000 + turn}")
    return "\n".join(text) + "\n"


def while_streaming(net, flows, work):
    """What blast saw while work() went on."""
    net.blast.stdin.write(f"stream {flows}\n")
    net.blast.stdin.flush()
    try:
        took = work()
    finally:
        net.blast.stdin.write("stop\n")
        net.blast.stdin.flush()
    seen = net.answer("stream")
    if not seen["arrived"]:
        raise RuntimeError(f"nothing arrived: {seen}")
    return took, seen


def sally(net, *argv):
    """Runs it on the other processor; ms that it took, and ms of processor time."""
    with open(os.devnull, "w", encoding="ascii") as nowhere:
        start = time.monotonic()
        ns, _ = bed.ended(net.start("gw", bed.SALLY, *argv, cpu=OTHER_CPU, stdout=nowhere, stderr=-1), 300)
        return (time.monotonic() - start) * 1000, ns / 1e6


def apply(net, turn, flows, lines):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(policy(turn, lines))
        file.flush()
        (took, cpu), seen = while_streaming(net, flows, lambda: sally(net, "apply", file.name, "--no-trial"))
    _, idle = while_streaming(net, flows, lambda: time.sleep(took / 1000))
    found = {"apply_ms": took, "apply_cpu_ms": cpu}
    for kind, what in (("", seen), ("_idle", idle)):
        found["lost" + kind] = what["sent"] - what["arrived"]
        found[f"pause{kind}_us"] = what["gap_ns"] / 1000
        found[f"way{kind}_us"] = what["way_ns"] / 1000
    return found


def listing(net, flows, turn):
    """With it and as long without it; every second time without it first."""
    def with_it():
        return while_streaming(net, flows, lambda: sally(net, "flows"))

    def without(ms):
        return while_streaming(net, flows, lambda: time.sleep(ms / 1000))[1]

    idle = without(LISTING_MS) if turn % 2 else None
    (took, cpu), seen = with_it()
    idle = idle or without(took)
    ns, idle_ns = seen["ns"] / seen["arrived"], idle["ns"] / idle["arrived"]
    rate, idle_rate = seen["arrived"] * 1000 / seen["wall_ns"], idle["arrived"] * 1000 / idle["wall_ns"]
    return {"list_ms": took, "list_cpu_ms": cpu, "list_ns": ns, "list_times": ns / idle_ns, "list_mpps": rate,
            "list_rate": rate / idle_rate}


def measure(rounds, smoke):
    found = {}
    flows, lines = (500, 100) if smoke else (1000000, LINES)
    for name in SMOKE if smoke else VARIANTS:
        net = packets.Bed(VARIANTS[name], flows)
        try:
            net.warm(flows, False)
            # an apply makes the next packet of each conversation dearer, so it comes last
            for work in [lambda turn: listing(net, flows, turn)] * LISTINGS + [lambda turn: apply(net, turn, flows, lines)]:
                for turn in range(rounds):
                    for metric, value in work(turn).items():
                        found.setdefault((name, metric), []).append(value)
            if sum(net.stopped().values()):
                raise RuntimeError(f"{name}: packets were stopped: {net.stopped()}")
        finally:
            net.close()
    return found
