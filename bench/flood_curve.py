# SPDX-License-Identifier: BSD-2-Clause
"""What a flood of SYNs leaves for others, beside nftables, in one run: a transfer, new connections, processor time."""

import argparse
import json
import os
import statistics
import subprocess
import sys

import flood_plot
from flood_bed import VARIANTS, Bed

MBIT = 200  # that the transfer would like
LEAD, FLOOD_S, PATIENCE = 1, 6, 3  # seconds: of the transfer before the flood, of the flood, of a client


def point(bed, rate):
    """One rate of one variant: dictionary of figures."""
    transfer = bed.transfer(MBIT, LEAD + FLOOD_S)
    # it is established, and runs
    bed.clients(LEAD, PATIENCE)
    flood = bed.flood(rate, FLOOD_S) if rate is not None else None
    before = bed.gateway()
    greeted, tried = bed.clients(FLOOD_S - PATIENCE - 1, PATIENCE)
    sent = json.loads(flood.communicate(timeout=120)[0])["rate"] if flood else 0
    after = bed.gateway()
    try:
        said = json.loads(transfer.communicate(timeout=20)[0])
    except subprocess.TimeoutExpired:
        transfer.kill()
        said = {"error": "it hangs"}
    seconds = [i["sum"]["bits_per_second"] / 1e6 for i in said.get("intervals", ())]
    return {"sent": sent, "mbit": statistics.mean(seconds[LEAD + 1:LEAD + FLOOD_S - 1] or [0]), "greeted": greeted,
            "tried": tried, "lost": "error" in said, "why": said.get("error", ""),
            "ns": (after[0] - before[0]) / max(1, after[1] - before[1]),
            "taken": (after[1] - before[1]) / (FLOOD_S - 0.5)}


def before_others(nice):
    """The kernel shares processors among sessions first: this one, for seconds, before those that work beside it."""
    if os.getpid() != os.getsid(0):
        os.setsid()
    if os.path.exists("/proc/self/autogroup"):
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(nice))


def name_of(rate):
    return "none" if rate is None else "highest" if rate == 0 else f"{rate:,}"


def table(found, rates):
    lines = ["| SYNs a second | " + " | ".join(VARIANTS) + " |", "|---|" + "---|" * len(VARIANTS)]
    for rate in rates:
        cells = []
        for name in VARIANTS:
            points = found.get((name, rate))
            if not points:
                cells.append("-")
                continue
            tried = sum(p["tried"] for p in points)
            cells.append(f"{statistics.median(p['mbit'] for p in points):.0f} Mbit/s, "
                         f"{100 * sum(p['greeted'] for p in points) // max(tried, 1)} % of {tried}, "
                         f"{statistics.median(p['ns'] for p in points) / 1000:.1f} us"
                         + (", LOST" if any(p["lost"] for p in points) else ""))
        sent = [p["sent"] for name in VARIANTS for p in found.get((name, rate), ())]
        shown = name_of(rate) + (f" ({min(sent):,.0f} to {max(sent):,.0f})" if rate is not None and sent else "")
        lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--rounds", type=int, default=1)
    parse.add_argument("--rates", type=int, nargs="+", default=[-1, 100000, 500000, 0],
                       help="SYNs a second; -1: no flood, 0: as many as this machine can send")
    parse.add_argument("--only", nargs="+", default=list(VARIANTS), metavar="VARIANT")
    parse.add_argument("--json", metavar="FILE")
    parse.add_argument("--svg", metavar="FILE")
    args = parse.parse_args()
    rates = [None if rate < 0 else rate for rate in args.rates]
    found = {}
    for turn in range(args.rounds):
        for name in args.only:
            bed = Bed(name)
            try:
                for rate in rates:
                    bed.forget()
                    before_others(-15)
                    got = point(bed, rate)
                    before_others(0)
                    found.setdefault((name, rate), []).append(got)
                    print(f"round {turn + 1}: {name}, {name_of(rate)}: {got}", flush=True)
            finally:
                bed.close()
    print(table(found, rates))
    if args.svg:
        flood_plot.save(args.svg, found, rates, list(VARIANTS), MBIT)
    if args.json:
        with open(args.json, "w", encoding="ascii") as file:
            json.dump([{"variant": n, "rate": r, "points": p} for (n, r), p in found.items()], file, indent=1)
            file.write("\n")
    return 0


sys.exit(main())
