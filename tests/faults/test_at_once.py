# SPDX-License-Identifier: BSD-2-Clause
"""Several commands at once: they wait for each other, in turn."""

import fcntl
import os
import subprocess
import sys
import time

import pytest

from lab import SALLY, Lab, wait_for
from witness import one_line, run

BASE = "/sys/fs/bpf/sally"
# holds the lock for a moment, and queues for it again at once
BUSY = f"""
import fcntl, os, sys, time
print("ready", flush=True)
while True:
    fd = os.open({BASE!r}, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    time.sleep(0.01)
    os.close(fd)
"""


@pytest.fixture
def host():
    lab = Lab("host")
    try:
        lab.sally.up("--flows", "2000")
        yield lab
    finally:
        lab.close()


def test_a_command_gets_its_turn(host):
    """Though the lock is never free, since others wait for it, too."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        for process in busy:
            assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        for _ in range(3):
            assert run(host.fw, SALLY, "apply", "--no-trial", "/dev/null").returncode == 0
        assert time.monotonic() - began < 20
    finally:
        for process in busy:
            process.kill()
            process.wait(10)
            process.stdout.close()


def test_one_that_waits_too_long_says_so(host):
    fd = os.open(BASE, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        waiting = host.fw.start(SALLY, "apply", "--no-trial", "/dev/null", stderr=subprocess.PIPE, text=True)
        wait_for("it to wait", lambda: "flock" in wchan(waiting.pid) or "locks" in wchan(waiting.pid))
        os.kill(waiting.pid, 14)  # as after half a minute: SIGALRM
        said = waiting.stderr.read()
        assert waiting.wait(20) == 1 and said == "sally apply: another sally is at work; try again when it is done\n"
    finally:
        os.close(fd)
    assert run(host.fw, SALLY, "apply", "--no-trial", "/dev/null").returncode == 0


def wchan(pid):
    with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
        return file.read()


def test_commands_of_all_kinds_at_once(host, tmp_path):
    """Each works, or says in one line why not; in the end the firewall is up, and one policy is in force."""
    conf = tmp_path / "sally.conf"
    conf.write_text("open ssh\n")
    words = [["apply", "--no-trial", conf], ["undo"], ["confirm"], ["up", "--no-daemon"], ["status"], ["flows", "--json"],
             ["apply", "--no-trial", conf]] * 2
    running = [host.fw.start(SALLY, *map(str, each), stderr=subprocess.PIPE, text=True) for each in words]
    for each, process in zip(words, running):
        said = process.communicate(timeout=60)[1]
        done = subprocess.CompletedProcess(each, process.returncode, "", said)
        assert process.returncode == 0 or one_line(done), done
    assert run(host.fw, SALLY, "status").returncode == 0
    assert run(host.fw, SALLY, "apply", "--no-trial", conf).returncode == 0
