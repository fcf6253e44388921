# SPDX-License-Identifier: BSD-2-Clause
"""Adds up what llvm-cov says of core/. Its functions are static in headers, so each program has copies of its own: a line
or a branch counts as reached if any copy has reached it. Usage: report.py FOLDER;
what is missing goes to FOLDER/missing.txt."""

import collections
import json
import os
import sys

LINES, BRANCHES = 95.0, 90.0  # per cent that there must be at least


def core_name(path):
    """core/x.h of a path in any program, or None."""
    folder, name = os.path.split(path)
    return f"core/{name}" if os.path.basename(folder) == "core" else None


def read_lines(path):
    """By file and line: how often it was reached."""
    lines = collections.defaultdict(lambda: collections.defaultdict(int))
    name = None
    with open(path, encoding="utf-8") as file:
        for row in file:
            kind, _, rest = row.strip().partition(":")
            if kind == "SF":
                name = core_name(rest)
            elif kind == "DA" and name:
                number, count = rest.split(",")[:2]
                lines[name][int(number)] += int(count)
    return lines


def read_branches(path):
    """By file and place: how often a condition was true, how often false. Constants are none."""
    branches = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    with open(path, encoding="utf-8") as file:
        data = json.load(file)["data"][0]
    for function in data["functions"]:
        for line, column, _, _, yes, no, at, _, _ in function["branches"]:
            name = core_name(function["filenames"][at])
            if name:
                counts = branches[name][line, column]
                counts[0] += yes
                counts[1] += no
    return branches


def per_cent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def show(name, row):
    print(f"{name:18} {row[0]:5} of {row[1]:5} {per_cent(*row[:2]):5.1f} %  "
          f"{row[2]:5} of {row[3]:5} {per_cent(*row[2:]):5.1f} %")


def main(folder):
    lines = read_lines(os.path.join(folder, "all.lcov"))
    branches = read_branches(os.path.join(folder, "all.json"))
    total = [0, 0, 0, 0]
    missing = []
    print(f"{'':18} {'lines':>16}  {'branches':>18}")
    for name in sorted(set(lines) | set(branches)):
        hit = sum(count > 0 for count in lines[name].values())
        ways = [way for counts in branches[name].values() for way in counts]
        taken = sum(way > 0 for way in ways)
        row = [hit, len(lines[name]), taken, len(ways)]
        total = [a + b for a, b in zip(total, row)]
        show(name, row)
        missing += [f"{name}:{line}: never reached" for line, count in sorted(lines[name].items()) if not count]
        missing += [f"{name}:{place[0]}:{place[1]}: never {'true' if not counts[0] else 'false'}"
                    for place, counts in sorted(branches[name].items()) if not all(counts) and lines[name][place[0]]]
    show("core/", total)
    with open(os.path.join(folder, "missing.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(missing) + "\n")
    good = per_cent(*total[:2]) >= LINES and per_cent(*total[2:]) >= BRANCHES
    print(f"at least {LINES:.0f} % and {BRANCHES:.0f} %: {'yes' if good else 'NO'}; what is missing: {folder}/missing.txt")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
