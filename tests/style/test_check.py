# SPDX-License-Identifier: BSD-2-Clause
"""The runner of all checks adds up right, goes on to the end, and can not be fooled into success."""

import os
import signal
import stat
import subprocess
import time

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


def prepared(tmp_path, script, *targets):
    make = tmp_path / "make"
    make.write_text("#!/bin/sh\nfor target; do :; done\n" + script)
    make.chmod(make.stat().st_mode | stat.S_IXUSR)
    return [CHECK, str(tmp_path / "b"), *targets], {**os.environ, "MAKE": str(make)}


def run(tmp_path, script, *targets):
    words, env = prepared(tmp_path, script, *targets)
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
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


def parts(lines):
    return [line[5:] for line in lines if line.startswith("==== ")][:-1]


@pytest.mark.parametrize("ends", [0, 1])
def test_one_beside_others(tmp_path, ends):
    """It begins before the next and ends after it; its failure counts; the one after "wait" finds it ended."""
    script = (f"cd {tmp_path}\n"
              "case $target in\n"
              "check-a) touch began; while ! [ -e next ]; do sleep 0.01; done; touch ended\n"
              f"	echo 1 passed, {ends} failed, 0 skipped; exit {ends} ;;\n"
              "check-b) while ! [ -e began ]; do sleep 0.01; done; touch next; echo 10 passed, 0 failed, 0 skipped ;;\n"
              "check-c) [ -e ended ]; echo 100 passed, $? failed, 0 skipped ;;\n"
              "esac\n")
    code, lines = run(tmp_path, script, "check-a+", "check-b", "check-wait", "check-c")
    assert lines[-1] == f"111 passed, {ends} failed, 0 skipped"
    assert (code == 0) == (ends == 0)
    assert parts(lines) == ["a, beside what follows", "b", "a, begun before", "c"]
    assert [line.split()[0] for line in lines[-4:-1]] == ["b", "a", "c"]


def test_nothing_is_left_of_what_goes_on_beside(tmp_path):
    script = (f"cd {tmp_path}\n"
              "case $target in\n"
              "check-a) sleep 61 & echo $! >pid; wait ;;\n"
              "check-b) while ! [ -s pid ]; do sleep 0.01; done; touch next; sleep 2 ;;\n"
              "esac\n")
    words, env = prepared(tmp_path, script, "check-a+", "check-b")
    check = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL)
    while not (tmp_path / "next").exists():
        time.sleep(0.01)
    check.send_signal(signal.SIGTERM)
    assert check.wait(20) == 143
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not os.path.exists(f"/proc/{pid}"):
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it goes on")
