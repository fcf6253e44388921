# SPDX-License-Identifier: BSD-2-Clause
"""The demo holds, live and recorded; it fails when a step does not hold, and takes everything away when interrupted."""

import os
import re
import signal
import subprocess

import pytest

from conftest import need_lab
from lab import ROOT, SALLY

DEMO = os.path.join(ROOT, "demo", "run")


def environment(tag, **more):
    return {**os.environ, "SALLY": SALLY, "SP_NS_PREFIX": tag, **more}


def leftovers(tag):
    return [name for name in os.listdir("/run/netns") if name.startswith(tag)]


def test_live():
    need_lab()
    tag = f"demo{os.getpid()}a"
    done = subprocess.run([DEMO], capture_output=True, text=True, timeout=120, env=environment(tag))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert re.search(r"^\d+ steps, all hold \(\d+ s\)$", done.stdout.splitlines()[-1])
    for number in range(1, 13):
        assert re.search(rf"^ok +{number}  ", done.stdout, re.M), f"step {number} is missing"
    assert "\x1b" not in done.stdout, "colours in a pipe"
    assert not leftovers(tag)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_interrupted(number):
    need_lab()
    tag = f"demo{os.getpid()}b"
    demo = subprocess.Popen([DEMO], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tag))
    for line in demo.stdout:
        if "The firewall is up" in line:
            break
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130 and errors == "demo: interrupted, everything has been taken away\n", errors
    assert not leftovers(tag)


def test_recorded():
    done = subprocess.run([DEMO, "--recorded"], capture_output=True, text=True, timeout=60, env=environment("unused"))
    assert done.returncode == 0 and "all hold" in done.stdout.splitlines()[-1], done.stdout[-2000:] + done.stderr
    assert "The native engine tells the story" in done.stdout


def test_a_step_that_does_not_hold():
    """A `sally` that does nothing must not pass."""
    done = subprocess.run([DEMO, "--recorded"], capture_output=True, text=True, timeout=60,
                          env=environment("unused", SALLY="/bin/true"))
    assert done.returncode == 1 and "demo: does not hold: step a" in done.stderr, done.stdout[-2000:] + done.stderr
