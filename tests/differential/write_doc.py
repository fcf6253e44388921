# SPDX-License-Identifier: BSD-2-Clause
"""Writes the table of docs/differences.md anew: plays sequences beside Linux, and counts what each rule explained.

usage: write_doc.py DIFFERENTIAL SEQUENCES
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
RULES = HERE / "differences.tsv"
DOC = HERE.parent.parent / "docs" / "differences.md"
BEGIN, END = "<!-- written by make differences -->\n", "<!-- end -->\n"
SAYS = {"P": "passes", "D": "drops", "H": "holds", "B": "passes, other bytes", "PB": "passes", "DB": "drops", "DP": "either"}


def rows(report):
    """One line of the table a rule, the frequent ones first."""
    counted = dict()
    for name, packets, later, seed in re.findall(r"^(\S.*?) +[PDHB]+ +[PDR] +(\d+) packets, +(\d+) later, seed (\d+)$",
                                                 report, re.M):
        counted[name] = int(packets), int(later), int(seed)
    rules = [line.split("\t") for line in RULES.read_text().split("\n") if line and not line.startswith("#")]
    for name, linux, ours, reasons, _, _, why in sorted(rules, key=lambda rule: -counted[rule[0]][0]):
        packets, later, seed = counted[name]
        yield (f"| {name} | {SAYS[linux]} | {SAYS[ours]} | {reasons.replace('*', 'any')} | {packets:,} | {later:,} | {seed} "
               f"| {why} |\n")


def main(differential, sequences):
    done = subprocess.run([differential, "--linux", RULES, "--sequences", sequences, "--verbose"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout)
    said = re.search(r"^differential: (\d+) sequences[^\n]*\n(\d+) packets; (\d+) compared, of which (\d+) the same$",
                     done.stdout, re.M)
    n, packets, compared, same = map(int, said.groups())
    text = (f"{n:,} sequences, seeds 1 to {n // 100}: {packets:,} packets. {compared:,} could be compared, {same:,} of them "
            f"({100 * same / compared:.1f} %) fare the same; {compared - same:,} do not, and each is explained. The other "
            f"{packets - compared:,} come later in conversations that have parted.\n\n"
            "| Rule | Linux | Sallyport | reasons | packets | later | first seed | what decides |\n"
            "|---|---|---|---|---|---|---|---|\n"
            + "".join(rows(done.stdout)))
    doc = DOC.read_text()
    head, rest = doc.split(BEGIN)
    DOC.write_text(head + BEGIN + text + END + rest.split(END)[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
