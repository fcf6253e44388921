# SPDX-License-Identifier: BSD-2-Clause
"""Kernels and machines that lack something: one clear line, nothing half done; what guards already guards on.

The kernel's refusals are made by a preloaded library (poor.c), but for what can be had for real: an interface without XDP,
limits of a process, no BPF file system.
"""

import errno
import os
import resource
import subprocess

import pytest

from lab import SALLY, Lab
from witness import POOR, SECOND, Talkers, Witness, one_line, run

BTF_LOAD, MAP_CREATE, PROG_LOAD, OBJ_PIN, MAP_UPDATE, OBJ_GET_INFO = 18, 0, 5, 6, 2, 15
RINGBUF, ARRAY_OF_MAPS, PERCPU_ARRAY = 27, 12, 6
# what it lacks: the words that must be in the line, and the exit code
LACKS = {
    "bpf(2)": ("cmd", MAP_CREATE, errno.ENOSYS, "Linux 6.1", 3),
    "the right to make maps": ("cmd", MAP_CREATE, errno.EPERM, "permit", 3),
    "the right to load programs": ("cmd", PROG_LOAD, errno.EPERM, "permit", 3),
    "programs of this kind": ("cmd", PROG_LOAD, errno.EINVAL, "Linux 6.1", 3),
    "the ring buffer": ("map", RINGBUF, errno.EINVAL, "Linux 6.1", 3),
    "maps of maps": ("map", ARRAY_OF_MAPS, errno.EINVAL, "Linux 6.1", 3),
    "memory for maps": ("map", PERCPU_ARRAY, errno.ENOMEM, "--flows", 1),
    "memory for programs": ("cmd", PROG_LOAD, errno.ENOMEM, "memory", 1),
    "pins": ("cmd", OBJ_PIN, errno.EPERM, "pin", 3),
    "room for pins": ("cmd", OBJ_PIN, errno.ENOSPC, "pin", 1),
    "updates of maps": ("cmd", MAP_UPDATE, errno.E2BIG, "", 3),
    "type information": ("cmd", BTF_LOAD, errno.EINVAL, "btf", 3),
    "information about maps": ("cmd", OBJ_GET_INFO, errno.EINVAL, "", 1),
    "clsact": ("qdisc", errno.ENOENT, "CONFIG_NET_SCH_INGRESS", 3),
    "BPF filters": ("filter", errno.ENOENT, "CONFIG_NET_CLS_BPF", 3),
    "the right to add filters": ("filter", errno.EPERM, "lan0: can not attach", 3),
}


def poor(ns, lacks, program, *words):
    named = " ".join(map(str, lacks))
    return run(ns, "env", f"SP_LACKS={named}", f"LD_PRELOAD={POOR}", program, *words)


def traces(lab):
    """All that the firewall adds to this computer, as text."""
    inode = str(os.stat(lab.fw.path).st_ino)
    base = "/sys/fs/bpf/sally"
    pins = [name for name in (os.listdir(base) if os.path.isdir(base) else []) if name.split("-")[1] == inode]
    xdp = lab.fw.run("ip", "-d", "link").stdout.count("prog/xdp")
    return lab.fw.run("tc", "qdisc", "show").stdout.count("clsact"), xdp, pins


@pytest.fixture(scope="module")
def bare():
    lab = Lab("gateway")
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    lab = Lab("gateway")
    try:
        lab.witness = Witness(lab, tmp_path_factory.mktemp("poor"))
        lab.sally.up("--mode", "xdp", "--flows", "20000")
        lab.witness.begin()
        lab.talkers = Talkers(lab)
        yield lab
        lab.talkers.end()
    finally:
        lab.close()


@pytest.mark.parametrize("what", LACKS)
def test_it_does_not_come_up(bare, what):
    *lacks, words, code = LACKS[what]
    done = poor(bare.fw, lacks, SALLY, "up", "--no-daemon", "--flows", "2000")
    assert one_line(done) and words in done.stderr and done.returncode == code, done
    assert traces(bare) == (0, 0, [])


@pytest.mark.parametrize("what", ["the right to load programs", "memory for programs", "pins", "information about maps",
                                  "the right to add filters", "programs at XDP"])
def test_what_guards_guards_on(guarded, what):
    """An upgrade that the kernel refuses: the build before is in force, or a mixture; the next one finishes it."""
    *lacks, _, _ = {**LACKS, "programs at XDP": ("link", errno.EOPNOTSUPP, "", 3)}[what]
    done = poor(guarded.fw, lacks, SECOND, "up", "--no-daemon")
    assert one_line(done), done
    guarded.talkers.go_on()
    assert guarded.witness.unguarded() == 0 and guarded.talkers.lost() == 0
    assert "NOT GUARDED" not in guarded.sally("status").stdout


def test_and_comes_to_itself(guarded):
    """After all that: the second build takes over, and the first one again."""
    for program in (SECOND, SALLY):
        done = guarded.fw.run(program, "up", "--no-daemon", check=False)
        assert done.returncode in (0, 4), done
    assert guarded.fw.run(SALLY, "up", "--no-daemon", check=False).returncode == 4
    guarded.talkers.go_on()
    assert guarded.witness.unguarded() == 0 and guarded.talkers.lost() == 0


NO_BTF = "no native XDP: the kernel has no type information (CONFIG_DEBUG_INFO_BTF)"


def without_btf(lab, *words):
    """Without CONFIG_DEBUG_INFO_BTF."""
    script = f"mount -t tmpfs none /sys/kernel && test ! -e /sys/kernel/btf && exec {SALLY} up --no-daemon --flows 2000 $*"
    return lab.fw.run("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *words, check=False)


def test_no_type_information_of_the_kernel(bare):
    """It takes TC, which reads nothing of the kernel's own structures, and says why."""
    done = without_btf(bare)
    assert done.returncode == 0 and f"wan0 (tc; {NO_BTF})" in done.stdout and f"lan0 (tc; {NO_BTF})" in done.stdout, done
    assert {(i["name"], i["mode"], i["note"]) for i in bare.sally.status()["interfaces"]} == {
        ("wan0", "tc", NO_BTF), ("lan0", "tc", NO_BTF)}
    assert f"lan0, judged at TC ({NO_BTF})" in bare.sally("status").stdout
    bare.sally.down()
    assert traces(bare) == (0, 0, [])


def test_no_type_information_and_it_does_not_matter(bare):
    """TC was asked for: nothing is missing. XDP was asked for: one line, and nothing is up."""
    done = without_btf(bare, "--mode", "tc")
    assert done.returncode == 0 and "type information" not in done.stdout, done
    assert [i["note"] for i in bare.sally.status()["interfaces"]] == ["", ""]
    bare.sally.down()
    done = without_btf(bare, "--mode", "xdp")
    assert one_line(done) and "CONFIG_DEBUG_INFO_BTF" in done.stderr and done.returncode == 3, done
    assert traces(bare) == (0, 0, [])


def test_no_xdp(bare):
    """Asked for nothing, it takes TC and says so; asked for XDP, it is one line."""
    lacks = ("link", errno.EOPNOTSUPP)
    done = poor(bare.fw, lacks, SALLY, "up", "--no-daemon", "--flows", "2000", "--mode", "xdp")
    assert one_line(done) and "no native XDP" in done.stderr and done.returncode == 3, done
    assert traces(bare) == (0, 0, [])
    done = poor(bare.fw, lacks, SALLY, "up", "--no-daemon", "--flows", "2000", "--express")
    assert done.returncode == 0 and "tc; no native XDP" in done.stdout, done
    assert "NOT GUARDED" not in bare.sally("status").stdout
    bare.sally.down()


def test_an_interface_that_has_no_xdp(bare):
    bare.fw.run("ip", "link", "add", "br0", "type", "bridge")
    bare.fw.run("ip", "link", "set", "br0", "up")
    try:
        words = ["up", "--no-daemon", "--flows", "2000", "--inside", "br0"]
        done = bare.fw.run(SALLY, *words, "--mode", "xdp", check=False)
        assert one_line(done) and "br0: no native XDP" in done.stderr and done.returncode == 3, done
        assert traces(bare) == (0, 0, [])
        done = bare.fw.run(SALLY, *words)
        assert "br0 (tc; no native XDP" in done.stdout and "wan0 (xdp" in done.stdout, done
        bare.sally.down()
    finally:
        bare.fw.run("ip", "link", "del", "br0")


def test_no_bpf_file_system_to_be_had(bare):
    script = f"while umount -l /sys/fs/bpf 2>/dev/null; do :; done; exec env 'SP_LACKS=mount {errno.EPERM}' " \
             f"LD_PRELOAD={POOR} {SALLY} up --no-daemon --flows 2000"
    done = bare.fw.run("unshare", "-m", "-p", "-f", "--propagation", "private", "--mount-proc", "sh", "-c", script,
                       check=False)
    assert one_line(done) and "no BPF file system" in done.stderr and done.returncode == 3, done
    assert traces(bare) == (0, 0, [])


LIMITS = [(resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_NOFILE, 16), (resource.RLIMIT_AS, 16 << 20),
          (resource.RLIMIT_AS, 24 << 20)]


@pytest.mark.parametrize("which, most", LIMITS)
def test_limits_of_the_process(bare, which, most):
    done = subprocess.run(bare.fw.command(SALLY, "up", "--no-daemon", "--flows", "200000"), capture_output=True, text=True,
                          timeout=60, preexec_fn=lambda: resource.setrlimit(which, (most, most)))
    if done.returncode == 127:  # too little for the program itself
        return
    assert one_line(done), done
    assert traces(bare) == (0, 0, [])
