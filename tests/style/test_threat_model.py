# SPDX-License-Identifier: BSD-2-Clause
"""Each promise of docs/threat-model.md names what holds it, and that exists."""

import glob
import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def targets():
    """All that can be made, by its description in the makefiles."""
    text = "".join(map(read, [os.path.join(ROOT, "Makefile"), *glob.glob(os.path.join(ROOT, "tests", "*.mk"))]))
    return set(re.findall(r"^([a-z-]+):.*## ", text, re.M))


def exists(name, made):
    if name.startswith("make "):
        return name[5:] in made
    if "/" in name:
        return os.path.exists(os.path.join(ROOT, "tests", "scenarios", f"{name}.scn"))
    file, _, test = name.partition("::")
    found = glob.glob(os.path.join(ROOT, "tests", "*", file))
    return bool(found) and (not test or any(re.search(rf"^def {test}\(", read(path), re.M) for path in found))


def missing(text):
    """What is wrong with the rows of its tables: (promise, what)."""
    made, wrong = targets(), []
    for row in re.findall(r"^\| (.*) \|$", text, re.M):
        promise, _, names = row.partition(" | ")
        held = re.findall(r"`([^`]+)`", names)
        if promise == "Promise":
            continue
        if not held:
            wrong.append((promise, "nothing holds it"))
        wrong += [(promise, name) for name in held if not exists(name, made)]
    return wrong


def test_each_promise_is_held_by_something_that_exists():
    text = read(os.path.join(ROOT, "docs", "threat-model.md"))
    assert text.count("| Promise | Held by |") == 7
    assert missing(text) == []


def test_what_does_not_exist_is_found():
    held = "`tcp/handshake`, `test_style.py::test_tree`, `make check-style`"
    assert missing(f"| Promise | Held by |\n| It is. | {held} |\n") == []
    for bad in ("`tcp/no_such_scenario`", "`test_style.py::test_nothing`", "`test_none.py`", "`make nonsense`", "nothing"):
        assert len(missing(f"| It is. | {bad} |\n")) == 1, bad
