# SPDX-License-Identifier: BSD-2-Clause
"""Breaks the core in one place at a time, in a copy, and looks whether the properties find it. Usage: mutants.py [WORDS];
with words only those mutants whose description has them."""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
FOLDERS = ("core", "port", "host", "policy", "tests/fuzz", "tests/properties", "tests/unit",
           "tests/scenario", "tests/scenarios")
FLAGS = "-O1 -std=gnu11 -fno-strict-aliasing -I. -w".split()
SECONDS = 60  # of fuzzing, beyond the corpus
SHARED = ["tests/fuzz/" + name for name in ("look.c", "wire.c", "world.c", "model.c", "honest.c", "policies.c", "crowd.c")]


def sources_of(folder, *but):
    names = [name for name in os.listdir(os.path.join(ROOT, folder)) if name.endswith(".c") and name not in but]
    return sorted(f"{folder}/{name}" for name in names)


ENGINES = ["tests/fuzz/lane.c"] + sorted("host/" + name for name in os.listdir(os.path.join(ROOT, "host"))
                                         if name.startswith("batch") and name.endswith(".c"))
PROGRAMS = {  # sources beside SHARED and policy/, which no mutant changes
    "models": ["tests/properties/models.c", "tests/properties/source.c", "host/engine.c", "tests/fuzz/table.c", *ENGINES],
    "faults": ["tests/properties/faults.c", "tests/fuzz/table.c", *ENGINES],
    "pipeline": ["tests/fuzz/pipeline_fuzz.c", "host/engine.c", "tests/fuzz/table.c", *ENGINES],
    "frag": ["tests/fuzz/frag_fuzz.c", "host/engine.c", "tests/fuzz/table.c", *ENGINES],
    "parse": ["tests/fuzz/parse_fuzz.c", "host/engine.c", "tests/fuzz/table.c", *ENGINES],
    "unit": [*sources_of("tests/unit"), "host/engine.c", "tests/fuzz/table.c", *ENGINES],
    "scenario": [*sources_of("tests/scenario", "kernel.c", "lane.c"), "no_kernel.c", "host/engine.c", "tests/fuzz/table.c",
                 *ENGINES],
}
NO_KERNEL = """#include "tests/scenario/engine_api.h"
static void nothing(struct tengine *t) {}
#define NONE { .close = nothing }
const struct tengine_ops tengine_tc = NONE, tengine_xdp = NONE, tengine_lane = NONE;
"""  # the engines that are not asked for
COMPLAINTS = ("does not hold", "native: packet", "came in", "[  ERROR   ]", "ERROR: AddressSanitizer", "runtime error")
PLAIN = ("models", "faults", "unit", "scenario")  # not fuzzed


def read_mutants():
    with open(os.path.join(HERE, "mutants.tsv"), encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]


def compile_into(tree, source, out, fuzzed):
    guide = ["-fsanitize=fuzzer-no-link"] if fuzzed else []
    subprocess.run(["clang-19", *FLAGS, *guide, "-c", source, "-o", out], cwd=tree, check=True)


def prepare(tree):
    """The copy, and the objects that stay."""
    for folder in FOLDERS:
        shutil.copytree(os.path.join(ROOT, folder), os.path.join(tree, folder))
    with open(os.path.join(tree, "no_kernel.c"), "w", encoding="utf-8") as file:
        file.write(NO_KERNEL)
    sources = SHARED + ["host/names.c", "host/craft.c", "host/glance.c"]
    sources += ["policy/" + name for name in sorted(os.listdir(os.path.join(tree, "policy"))) if name.endswith(".c")]
    objects = []
    for source in sources:
        objects.append(os.path.join(tree, source.replace("/", "_") + ".o"))
        compile_into(tree, source, objects[-1], False)
    return objects


def run(tree, name, objects):
    """Builds and runs one program; what it said when it failed, or None."""
    fuzzed = name not in PLAIN
    mine = []
    for source in PROGRAMS[name]:
        mine.append(os.path.join(tree, f"mutant_{len(mine)}.o"))
        compile_into(tree, source, mine[-1], fuzzed)
    program = os.path.join(tree, "program")
    guide = ["-fsanitize=fuzzer"] if fuzzed else []
    subprocess.run(["clang-19", *FLAGS, *guide, "-o", program, *mine, *objects, "-lcmocka"], cwd=tree, check=True)
    args = []
    if name == "scenario":
        args = ["--engine", "native", *sorted(glob.glob(os.path.join(tree, "tests/scenarios/*/*.scn")))]
    if fuzzed:
        seeds = os.path.join(tree, "seeds")
        shutil.rmtree(seeds, ignore_errors=True)
        os.mkdir(seeds)
        subprocess.run(["tar", "-xJf", f"tests/fuzz/corpus/{name}.tar.xz", "-C", seeds], cwd=tree, check=True)
        args = [f"-max_total_time={SECONDS}", "-max_len=500", "-len_control=0", "-timeout=60", seeds]
    done = subprocess.run([program, *args], cwd=tree, capture_output=True, text=True, errors="replace", timeout=1200)
    if done.returncode == 0:
        return None
    said = [line for line in (done.stderr + done.stdout).splitlines()
            if any(word in line for word in COMPLAINTS)]
    return said[0][:150] if said else "ends with an error"


def main():
    failed = 0
    mutants = [row for row in read_mutants() if all(word in row[4] for word in sys.argv[1:])]
    with tempfile.TemporaryDirectory() as tree:
        objects = prepare(tree)
        for name in sorted({name for row in mutants for name in row[3].split()} & set(PLAIN)):
            said = run(tree, name, objects)
            if said:  # what is whole must pass, or everything would be found
                print(f"WRONG  {name:8} finds something in what is whole: {said}")
                failed += 1
        for path, old, new, finders, breaks in mutants:
            with open(os.path.join(tree, path), encoding="utf-8") as file:
                text = file.read()
            if text.count(old) != 1:
                print(f"STALE {path}: '{old}' stands there {text.count(old)} times")
                failed += 1
                continue
            with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))
            for name in finders.split():
                said = run(tree, name, objects)
                failed += said is None
                print(f"{'found' if said else 'MISSED':6} {name:8} {breaks}: {said or path}", flush=True)
            with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
                file.write(text)
    total = max(failed, sum(len(row[3].split()) for row in mutants))
    print(f"{total - failed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
