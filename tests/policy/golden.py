# SPDX-License-Identifier: BSD-2-Clause
"""Files of golden cases: '%%% name', the configuration, '---', what sally check says to it, an empty line."""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
SALLY = os.environ.get("SALLY", os.path.join(ROOT, "build", "sally"))
UPDATE = "UPDATE" in os.environ


def check(*args, stdin=b"", cwd=HERE):
    """Runs sally check; returns code, stdout, stderr."""
    run = subprocess.run([SALLY, "check", *args, "--services", os.path.join(HERE, "services")], input=stdin, cwd=cwd,
                         capture_output=True, timeout=60)
    return run.returncode, run.stdout.decode("utf-8", "replace"), run.stderr.decode("utf-8", "replace")


def read(name):
    """The cases of a file: a list of (name, configuration, expected)."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        parts = re.split(r"^%%% (\w+)\n", file.read(), flags=re.M)
    cases = []
    for case, body in zip(parts[1::2], parts[2::2]):
        text, expected = body.split("---\n", 1)
        cases.append((case, text, expected.strip("\n")))
    return cases


def write(name, cases):
    """Writes what read() reads."""
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        file.write("\n\n".join(f"%%% {case}\n{text}---\n{expected}" for case, text, expected in cases) + "\n")


def corpus(folder):
    """Writes each configuration as a file, as a seed for the fuzzer."""
    os.makedirs(folder, exist_ok=True)
    for name in ("wrong", "idle", "right"):
        for case, text, _ in read(name + ".txt"):
            with open(os.path.join(folder, f"{name}-{case}"), "w", encoding="utf-8") as file:
                file.write(text)


if __name__ == "__main__":
    corpus(sys.argv[1])
