# SPDX-License-Identifier: BSD-2-Clause
"""What Sallyport costs beside its peers, in one run. docs/bench/README.md says how to read it."""

import argparse
import os
import signal
import subprocess
import sys

import alone
import host
import memory
import packets
import plot
import reload
import report
import web

# beside `packets`, which has options of its own
PARTS = {"host": host, "web": web, "memory": memory, "reload": reload, "native": alone}
ROUNDS = {"packets": 3, "host": 8, "web": 8, "memory": 2, "reload": 5, "native": 1}


def arguments():
    parse = argparse.ArgumentParser(description="What a packet costs, beside the peers.")
    parse.add_argument("--smoke", action="store_true", help="only see that everything works")
    parse.add_argument("--parts", nargs="+", choices=["packets", *PARTS, "all"], default=["packets"])
    parse.add_argument("--engine", action="store_true", help="packets: only what the XDP program takes alone")
    parse.add_argument("--rounds", nargs="+", default=[], metavar="N", help="of each part in place of its own, or PART=N")
    parse.add_argument("--bursts", type=int, default=3, help="packets: measurements of one variant in one round")
    parse.add_argument("--flows", type=int, nargs="+", default=[1000, 1000000], help="packets: conversations")
    parse.add_argument("--only", nargs="+", metavar="WORD", help="packets: variants whose name has one of these words")
    parse.add_argument("--json", metavar="FILE", help="write figures, machine and commit there")
    parse.add_argument("--out", metavar="FOLDER", help="write results.json, results.md and plots there")
    args = parse.parse_args()
    if args.smoke:
        args.rounds, args.bursts, args.flows, args.parts = ["1"], 1, [500], ["all"]
    if "all" in args.parts:
        args.parts = ["packets", *PARTS]
    rounds = dict(ROUNDS)
    for word in args.rounds:
        part, _, number = word.rpartition("=")
        if not number.isdigit() or int(number) < 1 or (part and part not in ROUNDS):
            parse.error(f"--rounds: {word}: a number, or one of {', '.join(ROUNDS)}, '=' and a number")
        rounds.update({part: int(number)} if part else dict.fromkeys(ROUNDS, int(number)))
    args.rounds = rounds
    return args


def keep(args, found):
    """What there is so far: if a later part takes too long, this is not lost."""
    if args.json or args.out:
        report.save(args.json or os.path.join(args.out, "results.json"), found, vars(args))
    if args.out:
        report.page(args.out, found, PARTS, plot.save(args.out, found))


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is cleared away then, too
    failed, found = [], {}
    works = 0
    for part in args.parts:
        try:
            if part == "packets":
                found[part] = packets.measure(args, failed)
            else:
                found[part] = PARTS[part].measure(args.rounds[part], args.smoke)
        except (RuntimeError, subprocess.SubprocessError) as error:
            failed.append(f"{part}: {error}")
            continue
        works += len(found[part])
        if not args.smoke:
            print(report.part(part, found[part], PARTS.get(part)), flush=True)
        keep(args, found)
    for line in failed:
        print(line, file=sys.stderr)
    if args.smoke:
        print(f"{works} passed, {len(failed)} failed, 0 skipped")
    return 1 if failed else 0


sys.exit(main())
