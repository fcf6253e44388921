# SPDX-License-Identifier: BSD-2-Clause
"""Bad input gives one clear line, a documented exit code, and changes nothing."""

import os
import subprocess

import pytest

from lab import SALLY, ROOT
from test_life import footprint, one_line

USAGE, PERMISSION, STATE, FAILED = 2, 3, 4, 1
gateway = pytest.mark.parametrize("bare", ["gateway"], indirect=True)


def refused(done, code, *words):
    assert done.returncode == code, done
    assert one_line(done), f"not one line: {done.stderr!r}"
    for word in words:
        assert word in done.stderr, done.stderr
    assert len(done.stderr) < 300 and not done.stdout, done


@gateway
def test_unknown_interface(bare):
    clean = footprint(bare.fw)
    refused(bare.sally("up", "--outside", "wan9", check=False), USAGE, "wan9", "wan0", "lan0")
    refused(bare.sally("up", "--outside", "wan0", "--inside", "nosuch0", check=False), USAGE, "nosuch0")
    assert footprint(bare.fw) == clean


@gateway
def test_no_way_to_the_outside(bare):
    """Without a default route nobody can say where the outside is."""
    for version in ("-4", "-6"):
        bare.fw.run("ip", version, "route", "del", "default")
    clean = footprint(bare.fw)
    refused(bare.sally("up", check=False), USAGE, "--outside")
    assert footprint(bare.fw) == clean


@gateway
@pytest.mark.parametrize("argv", [
    ["nonsense"], ["up", "--nonsense"], ["up", "extra"], ["up", "--flows", "many"], ["up", "--flows", "-5"],
    ["up", "--flows", "0"], ["up", "--flows", "99999999999999999999"], ["up", "--flows"], ["up", "--outside"],
    ["up", "--mode", "fast"], ["up", "--outside", "x" * 300], ["down", "extra"], ["status", "--nonsense"],
    ["flows", "--port", "70000"], ["flows", "--addr", "10.0.0.300"], ["flows", "--addr", "10.0.0.1/40"],
    ["watch", "--count", "x"], ["explain"], ["explain", "tcp", "1.2.3.4"],
    ["explain", "tcp", "1.2.3.4:1", "->", "2a00::1:2"], ["replay"], ["reasons", "--nonsense"],
], ids=lambda argv: " ".join(argv)[:40])
def test_garbage_arguments(bare, argv):
    clean = footprint(bare.fw)
    refused(bare.sally(*argv, check=False), USAGE)
    assert footprint(bare.fw) == clean


@gateway
@pytest.mark.parametrize("argv", [["down"], ["status"], ["flows"], ["watch", "--count", "1"],
                                  ["explain", "tcp", "10.1.0.2:40000", "->", "5.5.1.2:80"]], ids=lambda argv: argv[0])
def test_not_up(bare, argv):
    refused(bare.sally(*argv, check=False), STATE)


def without_privilege(bare, *argv, bounding="-all"):
    """An unprivileged user, who may read the program."""
    return bare.fw.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--bounding-set={bounding}",
                       "--no-new-privs", *argv, check=False)


@gateway
def test_no_privilege(bare):
    clean = footprint(bare.fw)
    for argv in (["up"], ["down"], ["status"], ["flows"], ["watch"]):
        refused(without_privilege(bare, SALLY, *argv), PERMISSION, "root")
    assert footprint(bare.fw) == clean


@gateway
def test_root_without_bpf(bare):
    """Root of a container: user 0, but the capabilities for BPF are gone."""
    clean = footprint(bare.fw)
    done = bare.fw.run("setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin", SALLY, "up",
                       check=False)
    refused(done, PERMISSION)
    assert footprint(bare.fw) == clean


def test_root_of_a_user_namespace():
    """An unprivileged container: user 0 of its own user namespace, with a network of its own."""
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--net", "sh", "-c",
                           'ip link add try0 type veth peer name try1 && exec "$0" up --outside try0', SALLY],
                          capture_output=True, text=True, timeout=30)
    refused(done, PERMISSION)


def replay(*argv):
    return subprocess.run([SALLY, "replay", *map(str, argv)], capture_output=True, text=True, errors="replace",
                          timeout=30, stdin=subprocess.DEVNULL)


def test_foreign_captures(tmp_path):
    story = open(os.path.join(ROOT, "demo", "story.pcap"), "rb").read()
    assert replay(os.path.join(ROOT, "demo", "story.pcap")).returncode == 0, "the control"
    cases = {
        "empty": b"", "text": b"this is no capture\n" * 20, "magic": story[:4], "header": story[:24 - 5],
        "elf": open(SALLY, "rb").read(4096), "linktype": story[:20] + b"\xee\x00\x00\x00" + story[24:],
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        done = replay(path)
        refused(done, FAILED, str(path))
    refused(replay(tmp_path / "missing"), FAILED, "missing")
    refused(replay(tmp_path), FAILED, str(tmp_path))


def test_truncated_capture(tmp_path):
    """What is whole is judged; the end is named, and the exit code says so."""
    story = open(os.path.join(ROOT, "demo", "story.pcap"), "rb").read()
    path = tmp_path / "cut.pcap"
    path.write_bytes(story[:-7])
    done = replay(path)
    assert done.returncode == FAILED and one_line(done), done
    assert "cut" in done.stderr or "truncated" in done.stderr, done.stderr
    assert done.stdout, "the whole packets before the cut were not judged"
