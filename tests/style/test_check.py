# SPDX-License-Identifier: BSD-2-Clause
"""The runner of all checks adds up right, goes on to the end, and can not be fooled into success."""

import os
import stat
import subprocess

import pytest

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "check")

# what a part prints, how it ends -> passed, failed, skipped, and whether the whole holds
ROWS = [
    ("3 passed, 0 failed, 1 skipped", 0, "3 passed, 0 failed, 1 skipped", True),
    ("===== 12 passed, 2 skipped in 3.10s =====", 0, "12 passed, 0 failed, 2 skipped", True),
    ("1 failed, 4 passed in 0.30s", 1, "4 passed, 1 failed, 0 skipped", False),
    ("2 passed, 1 error in 0.30s", 1, "2 passed, 1 failed, 0 skipped", False),
    ("5 passed in 0.30s", 2, "5 passed, 1 failed, 0 skipped", False),
    ("1 passed, 1 failed, 0 skipped", 0, "1 passed, 1 failed, 0 skipped", False),
    ("nothing to say", 0, "0 passed, 1 failed, 0 skipped", False),
    ("9 passed, 0 failed, 0 skipped\n1 passed, 0 failed, 0 skipped", 0, "10 passed, 0 failed, 0 skipped", True),
    ("vm: 9 passed, 9 failed\n1 passed, 0 failed, 0 skipped", 0, "1 passed, 0 failed, 0 skipped", True),
    ("\x1b[32m7 passed\x1b[0m in 0.1s", 0, "7 passed, 0 failed, 0 skipped", True),
]


def run(tmp_path, script, *targets):
    make = tmp_path / "make"
    make.write_text("#!/bin/sh\nfor target; do :; done\n" + script)
    make.chmod(make.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run([CHECK, str(tmp_path / "b"), *targets], env={**os.environ, "MAKE": str(make)},
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.rstrip("\n").split("\n")


@pytest.mark.parametrize("says,ends,closing,holds", ROWS)
def test_one_part(tmp_path, says, ends, closing, holds):
    (tmp_path / "says").write_text(says + "\n")
    code, lines = run(tmp_path, f"cat {tmp_path}/says\nexit {ends}\n", "check-part")
    assert lines[-1] == closing
    assert (code == 0) == holds


def test_goes_on_after_a_failure_and_adds_up(tmp_path):
    script = ("case $target in\n"
              "check-a) echo 1 passed, 2 failed, 0 skipped; exit 1 ;;\n"
              "check-b) echo 10 passed, 0 failed, 5 skipped ;;\n"
              "esac\n")
    code, lines = run(tmp_path, script, "check-a", "check-b")
    assert code != 0
    assert lines[-1] == "11 passed, 2 failed, 5 skipped"
    assert [line for line in lines if line.startswith("==== ")][:2] == ["==== a", "==== b"]
