# SPDX-License-Identifier: BSD-2-Clause
"""The native engine, on one processor: a program of its own measures it; its figures are collected here."""

import json
import os
import subprocess
import tempfile

import bed

NATIVE = os.environ.get("NATIVE", "build/bench/native/native")
RATIO = False  # lines are not variants of one another
TABLES = (
    ("Native engine, ns a packet, by conversations",
     {"0": "none", "1000": "1,000", "131072": "131,072", "1000000": "1,000,000"}),
)


def measure(rounds, smoke):
    """The program repeats by itself; a round is a run of it."""
    found = {}
    for _ in range(rounds):
        with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
            subprocess.run(["taskset", "-c", str(bed.CPU), "nice", "-n", "-15", NATIVE, *(("--smoke",) if smoke else ()),
                            "--json", file.name], check=True, timeout=300, stdout=subprocess.DEVNULL)
            for row in json.load(open(file.name, encoding="utf-8")):
                found.setdefault((row["name"], str(row["flows"])), []).extend(
                    (row["least_ns"], row["median_ns"], row["most_ns"]))
    return found
