# SPDX-License-Identifier: BSD-2-Clause
"""Several commands at once: those of one firewall wait for each other, in turn; those of two do not."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from lab import SALLY, Lab, wait_for
from witness import lock_of, one_line, run

BUSY = "another sally is at work; try again when it is done\n"
# holds the lock for a moment, and queues for it again at once
CROWD = """
import fcntl, os, sys, time
print("ready", flush=True)
while True:
    fd = os.open(sys.argv[1], os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    time.sleep(0.01)
    os.close(fd)
"""


@pytest.fixture
def bare():
    lab = Lab("host")
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture
def host(bare):
    bare.sally.up("--flows", "2000")
    return bare


@contextlib.contextmanager
def held(ns):
    """As if a command were at work there."""
    path = lock_of(ns)
    os.makedirs(path, mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def waiting(ns, *words):
    """A command that has begun to wait for the lock."""
    process = ns.start(SALLY, *words, stderr=subprocess.PIPE, text=True)

    def waits():
        assert process.poll() is None, (words, process.returncode, process.stderr.read())
        with open(f"/proc/{process.pid}/wchan", encoding="ascii") as file:
            return "lock" in file.read()

    wait_for(f"{words[0]} to wait", waits)
    return process


def end_of(process):
    said = process.communicate(timeout=60)[1]
    return subprocess.CompletedProcess(process.args, process.returncode, "", said)


def test_a_command_gets_its_turn(host):
    """Though the lock is never free, since others wait for it, too."""
    crowd = [subprocess.Popen([sys.executable, "-c", CROWD, lock_of(host.fw)], stdout=subprocess.PIPE, text=True)
             for _ in range(3)]
    try:
        for process in crowd:
            assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        for _ in range(3):
            assert run(host.fw, SALLY, "apply", "--no-trial", "/dev/null").returncode == 0
        assert time.monotonic() - began < 20
    finally:
        for process in crowd:
            process.kill()
            process.wait(10)
            process.stdout.close()


@pytest.mark.parametrize("words", [["apply", "--no-trial", "/dev/null"], ["undo"], ["up", "--no-daemon"], ["down"]],
                         ids=lambda words: words[0])
def test_one_that_waits_too_long_says_so(host, words):
    run(host.fw, SALLY, "apply", "--no-trial", "/dev/null")  # so that there is something to undo
    with held(host.fw):
        process = waiting(host.fw, *words)
        os.kill(process.pid, signal.SIGALRM)  # as after half a minute
        done = end_of(process)
        assert done.returncode == 1 and done.stderr == f"sally {words[0]}: {BUSY}", done
    done = run(host.fw, SALLY, *words)
    assert done.returncode == (4 if words[0] == "up" else 0), done


def test_coming_up_waits_too(bare):
    """Where nothing is pinned yet."""
    with held(bare.fw):
        processes = [waiting(bare.fw, "up", "--no-daemon", "--flows", "2000") for _ in range(3)]
    done = [end_of(process) for process in processes]
    assert sorted(each.returncode for each in done) == [0, 4, 4], done
    assert run(bare.fw, SALLY, "status").returncode == 0


def test_two_firewalls_do_not_wait_for_each_other(host):
    """The lock of the one is held all the while; the other one lives a whole life."""
    other = Lab("host")
    try:
        with held(host.fw):
            began = time.monotonic()
            for words in (["up", "--no-daemon", "--flows", "2000"], ["apply", "--no-trial", "/dev/null"], ["undo"],
                          ["down"]):
                done = run(other.fw, SALLY, *words)
                assert done.returncode == 0, done
            assert time.monotonic() - began < 20
            assert not os.path.exists(lock_of(other.fw))
            process = waiting(host.fw, "apply", "--no-trial", "/dev/null")
        assert end_of(process).returncode == 0
    finally:
        other.close()


def child_with(parent, path):
    """Its child that has that file open; 0: none has."""
    try:
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            children = file.read().split()
        for pid in children:
            if any(os.readlink(f"/proc/{pid}/fd/{name}") == path for name in os.listdir(f"/proc/{pid}/fd")):
                return int(pid)
    except FileNotFoundError:  # strace also has children that end at once
        pass
    return 0


@pytest.mark.parametrize("is_up", [True, False], ids=["apply", "up"])
def test_killed_while_it_holds_the_lock(bare, is_up):
    """Nothing is stuck, whoever waited goes on, and in the end the lock is gone, too."""
    words = ["up", "--no-daemon", "--flows", "2000"]
    if is_up:
        bare.sally.up("--flows", "2000")
        words = ["apply", "--no-trial", "/dev/null"]
    path = lock_of(bare.fw)
    # stopped when it has taken it
    first = bare.fw.start("strace", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:signal=STOP",
                          SALLY, *words)
    pid = wait_for("it to hold the lock", lambda: child_with(first.pid, path))
    second = waiting(bare.fw, *words)
    os.kill(pid, signal.SIGKILL)
    assert first.wait(30) == -signal.SIGKILL
    assert end_of(second).returncode == 0
    assert run(bare.fw, SALLY, "down").returncode == 0
    assert not os.path.exists(path)


def test_a_lock_that_was_left_goes(host):
    """By whoever was killed, where nothing is up: the next command, anywhere, removes it. But not one that is in use."""
    left = [f"{lock_of(host.fw)}0{i}" for i in range(3)]
    for path in left:
        os.mkdir(path, mode=0o700)
    other = Lab("host")
    try:
        with held(other.fw):
            for words in (["down"], ["up", "--no-daemon", "--flows", "2000"]):
                assert run(host.fw, SALLY, *words).returncode == 0
                assert not any(map(os.path.exists, left))
                assert os.path.exists(lock_of(other.fw)), "one that is held"
        assert run(host.fw, SALLY, "down").returncode == 0
        assert not os.path.exists(lock_of(other.fw)) and not os.path.exists(lock_of(host.fw))
    finally:
        other.close()


def test_commands_of_all_kinds_at_once(host, tmp_path):
    """Each works, or says in one line why not; in the end the firewall is up, and one policy is in force."""
    conf = tmp_path / "sally.conf"
    conf.write_text("open ssh\n")
    words = [["apply", "--no-trial", conf], ["undo"], ["confirm"], ["up", "--no-daemon"], ["status"], ["flows", "--json"],
             ["apply", "--no-trial", conf]] * 2
    running = [host.fw.start(SALLY, *map(str, each), stderr=subprocess.PIPE, text=True) for each in words]
    for each, process in zip(words, running):
        done = end_of(process)
        assert done.returncode == 0 or one_line(done), (each, done)
    assert run(host.fw, SALLY, "status").returncode == 0
    assert run(host.fw, SALLY, "apply", "--no-trial", conf).returncode == 0
