# SPDX-License-Identifier: BSD-2-Clause
"""A user of this machine without privileges: he can neither read nor change nor end the firewall."""

import os
import re
import signal

import pytest

from lab import SALLY, Lab, wait_for

NOBODY = 65534


@pytest.fixture(scope="module")
def guarded():
    lab = Lab("host")
    try:
        lab.sally.up("--flows", "2000", daemon=True)
        yield lab
    finally:
        lab.close()


def as_nobody(lab, *argv):
    return lab.fw.run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv, check=False)


def folder(lab):
    inode = str(os.stat(lab.fw.path).st_ino)
    return next(name for name in os.listdir("/sys/fs/bpf/sally") if name.split("-")[1] == inode)


def sallyd(lab):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "sallyd" and \
                    os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(lab.fw.path).st_ino:
                return int(pid)
        except OSError:
            pass
    return 0


@pytest.mark.parametrize("words", [["up"], ["down"], ["status"], ["flows"], ["flows", "kill", "--all"], ["watch"], ["log"],
                                   ["confirm"], ["undo"], ["apply", "/dev/null"]], ids=" ".join)
def test_commands(guarded, words):
    done = as_nobody(guarded, SALLY, *words)
    assert done.returncode == 3 and re.fullmatch(r"sally \w+: .*needs root.*\n", done.stderr), done


def test_pins_and_what_sallyd_keeps(guarded):
    name = folder(guarded)
    for path in (f"/sys/fs/bpf/sally/{name}", f"/run/sally/{name}", f"/sys/fs/bpf/sally/{name}/sp_flows"):
        assert os.path.exists(path)
        done = as_nobody(guarded, "ls", path)
        assert done.returncode != 0 and "Permission denied" in done.stderr, done
    done = as_nobody(guarded, "rm", "-rf", f"/sys/fs/bpf/sally/{name}/sp_flows")
    assert done.returncode != 0 and guarded.sally("status").returncode == 0


def test_interfaces(guarded):
    for words in (["tc", "qdisc", "del", "dev", "wan0", "clsact"], ["ip", "link", "set", "wan0", "xdp", "off"],
                  ["ip", "link", "del", "wan0"]):
        assert as_nobody(guarded, *words).returncode != 0
    assert "NOT GUARDED" not in guarded.sally("status").stdout


def test_sallyd_is_not_his_to_end_and_can_do_little(guarded):
    pid = wait_for("sallyd", lambda: sallyd(guarded))
    assert as_nobody(guarded, "kill", "-9", pid).returncode != 0
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    for kind in ("CapEff", "CapPrm"):
        assert bin(int(status[kind], 16)).count("1") <= 3, status[kind]
    assert status["NoNewPrivs"].strip() == "1"
    os.kill(pid, signal.SIGCONT)  # it lives
