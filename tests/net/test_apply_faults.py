# SPDX-License-Identifier: BSD-2-Clause
"""
Whatever happens to a command that changes the policy, the policy before it or the one after it is in force, whole.

Killed at each of its system calls, refused by the kernel at each of them; no memory, no file descriptors, no room on the
disk, files that can not be read or come and go. After each: one of the two policies judges every packet, the file is the old
or the new one, a conversation that both permit has not noticed, and the next command works.

SP_SWEEP=1 tries every system call; without it the last ones of each command, where it acts, and some of the others.
"""

import fcntl
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import termios
import threading

import pytest

from conftest import MODES
from lab import SALLY, Namespace, grown, wait_for
from talk import Tcp
from test_apply import guarded

SWEEP = os.environ.get("SP_SWEEP") == "1"
LAST, LAST_OF_MOVES, OTHERS = (18, 1), (60, 6), 4  # system calls of each command that are tried
TALK, ALIVE = 7101, 7100
OF = {"old": (7201, 7203), "new": (7202, 7204)}
PORTS = sorted(OF["old"] + OF["new"])
FILES = {name: f"open tcp/{TALK}  # a remark\nopen udp/{ports[0]}\n"
               + "".join(f"block 100.64.{i}.0/24 -> any : tcp/{ports[0] + i}\n" for i in range(40))
               + f"open udp/{ports[1]} from 5.5.2.0/24\n" for name, ports in OF.items()}
LINE = f"udp/{PORTS[1]}, udp/{PORTS[3]}"  # what `open` adds and `close` takes out: with it both are let in


# an interface is in one zone or the other, and each policy lets in its own zone only
ZONES = {name: f"wan wan0\nzone {zone} = box0\nopen tcp/{TALK}\nallow {zone} -> self : udp/{ports[0]}, udp/{ports[1]}\n"
         for (name, ports), zone in zip(OF.items(), ("dmz", "guests"))}


class Guarded:
    """A computer on which commands fail; what is in force there is asked by packets, which asker sends to address."""

    def __init__(self, lab, directory, files, asker, address):
        self.lab = lab
        self.dir = directory
        self.asker = asker
        self.address = address
        self.conf = directory / "sally.conf"
        self.path = {}
        for name, text in files.items():
            self.path[name] = directory / f"{name}.conf"
            self.path[name].write_text(text)
        self.sockets = {}
        for port in PORTS:
            self.sockets[port] = lab.john.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sockets[port].bind(("0.0.0.0", port))
        self.apply("old")
        self.session = Tcp(lab.stranger, lab.john, lab.john4, TALK)

    def close(self):
        self.session.close()
        for sock in self.sockets.values():
            sock.close()

    def apply(self, name):
        done = self.lab.sally("apply", "--no-trial", self.path[name], check=False)
        if done.returncode and "trial is under way" in done.stderr:
            self.lab.sally("undo")
            done = self.lab.sally("apply", "--no-trial", self.path[name], check=False)
        assert done.returncode == 0, done.stderr

    def let_in(self):
        """The ports that are open: one datagram to each is let in or counted as refused, so nothing waits for a silence."""
        before = self.lab.sally.drops()
        arrived = set()
        with self.asker.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for port in PORTS:
                sock.sendto(b"anybody?", (self.address, port))

            def accounted():
                for ready in select.select(list(self.sockets.values()), [], [], 0)[0]:
                    ready.recv(100)
                    arrived.add(ready.getsockname()[1])
                refused = grown(before, self.lab.sally.drops())
                assert set(refused) <= {"uninvited", "revoked"}, refused  # (a port that was used before)
                return len(arrived) + sum(refused.values()) == len(PORTS)

            wait_for("each datagram to arrive or to be refused", accounted, 15, 0.005)
        return tuple(sorted(arrived))

    def in_force(self):
        """The name of the policy that judges; anything but one of the two is half of one."""
        ports = self.let_in()
        names = [name for name, open_ in OF.items() if ports == open_]
        assert names, f"neither the old nor the new policy: {ports}"
        return names[0]


def tried(directory, with_zones):
    mode = "xdp" if "xdp" in MODES else "tc"
    for lab in guarded("host", mode, directory):
        if with_zones:
            neighbour = Namespace(lab, "neighbour")
            lab.link(lab.fw, "box0", neighbour, "eth0", "172.17.0.{}/24", "2a00:1:0:9::{}/64")
            made = Guarded(lab, lab.dir, ZONES, neighbour, "172.17.0.1")
        else:
            made = Guarded(lab, lab.dir, FILES, lab.stranger, lab.john4)
        yield made
        made.apply("old")
        made.session.both_speak()
        made.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    yield from tried(tmp_path_factory.mktemp("faults"), False)


@pytest.fixture(scope="module")
def zoned(tmp_path_factory):
    yield from tried(tmp_path_factory.mktemp("zones"), True)


def begin_with_old(box):
    box.apply("old")


def begin_with_trial(box):
    box.apply("old")
    box.lab.sally("apply", "--trial", "600", box.path["new"])


def begin_with_both(box):
    box.apply("old")
    box.apply("new")
    box.apply("old")


def begin_to_open(box):
    box.apply("old")
    box.conf.write_text(FILES["old"])


def begin_to_close(box):
    box.conf.write_text(FILES["old"] + f"open {LINE}\n")
    box.lab.sally("apply", "--no-trial", box.conf)


MORE = tuple(sorted(OF["old"] + tuple(map(int, re.findall(r"\d+", LINE)))))
# command: how it begins, its words, which ports are open before and after it, the text of the file before and after it
COMMANDS = {
    "apply": (begin_with_old, ["apply", "--no-trial", "{new}"], OF["old"], OF["new"], None, None),
    "trial": (begin_with_old, ["apply", "--trial", "600", "{new}"], OF["old"], OF["new"], None, None),
    "confirm": (begin_with_trial, ["confirm"], OF["new"], OF["new"], None, None),
    "undo": (begin_with_both, ["undo"], OF["old"], OF["new"], None, None),
    "undo trial": (begin_with_trial, ["undo"], OF["new"], OF["old"], None, None),
    "open": (begin_to_open, ["open", *LINE.split(), "--config", "{conf}"], OF["old"], MORE, FILES["old"],
             FILES["old"] + f"open {LINE}\n"),
    "close": (begin_to_close, ["close", *LINE.split(), "--config", "{conf}"], MORE, OF["old"],
              FILES["old"] + f"open {LINE}\n", FILES["old"]),
}


def words_of(box, command):
    return [word.format(new=box.path["new"], conf=box.conf) for word in COMMANDS[command][1]]


def check(box, command, done, what):
    """After a command that was disturbed."""
    _, _, before, after, text_before, text_after = COMMANDS[command]
    ports = box.let_in()
    said = f"{command}, {what}: exit {done.returncode}: {done.stderr.strip()[-300:]}"
    assert ports in (before, after), f"{said}: neither policy is in force: {ports}"
    if done.returncode == 0:
        assert ports == after, f"{said}: not done"
    if "nothing has changed" in done.stderr:
        assert ports == before, f"{said}: something has"
    if text_before is not None:
        text = box.conf.read_text()
        assert text in (text_before, text_after), f"{said}: the file is neither the old nor the new one:\n{text[-300:]}"
        assert ports == before or text == text_after, f"{said}: the policy is in force, but not in the file"
        if "nothing has changed" in done.stderr:
            assert text == text_before, f"{said}: the file has"
        left = {entry.name for entry in box.dir.iterdir()} - {"sally.conf", "old.conf", "new.conf"}
        assert left <= {"sally.conf.new"}, f"{said}: left behind: {left}"
    if not box.session.client_says(b"still here?"):
        raise AssertionError(f"{said}: the conversation beside it has ended")
    if command == "confirm":  # on trial still, or kept
        box.lab.sally("confirm", check=False)
        assert box.let_in() == after, said


def system_calls(box, command):
    """Their names, of an undisturbed run that did not have to wait for a lock, if there is one in ten."""
    trace = box.dir.parent / f"{box.dir.name}.trace"
    for _ in range(10):
        COMMANDS[command][0](box)
        done = box.lab.fw.run("strace", "-qq", "-o", trace, SALLY, *words_of(box, command))
        check(box, command, done, "undisturbed")
        calls = re.findall(r"^(\w+)\(", trace.read_text(), re.M)
        trace.unlink()
        if "clock_nanosleep" not in calls:
            break
    return calls


def points(calls, last):
    """From 1; the first is the execve of the program itself. last: how many, and every which of them."""
    n = len(calls)
    if SWEEP:
        return range(2, n + 1)
    return sorted({*range(n, max(2, n - last[0]), -last[1]), *range(2, n, max(1, n // OTHERS))})


def disturb(box, command, calls, at, how):
    begin, *_ = COMMANDS[command]
    begin(box)
    name = calls[at - 1]  # strace counts those of each name by themselves
    inject = f"inject={name}:{how}:when={calls[:at].count(name)}"
    return box.lab.fw.run("strace", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", inject, SALLY,
                          *words_of(box, command), check=False)


def killed(box, command, last=LAST):
    calls = system_calls(box, command)
    missed = 0
    for at in points(calls, last):
        done = disturb(box, command, calls, at, "signal=KILL")
        # one that was made because a lock was taken, or memory was short, is not made each time
        missed += done.returncode != -signal.SIGKILL
        assert done.returncode in (-signal.SIGKILL, 0) and missed <= 3 + at // 20, f"call {at}: not killed: {done}"
        check(box, command, done, f"killed at call {at} of {len(calls)}, {calls[at - 1]}")


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_a_system_call(box, command):
    killed(box, command)


ERRORS = ("ENOMEM", "EINTR", "EMFILE", "EIO", "EACCES", "ENOSPC", "EAGAIN")


def refused(box, command, last=LAST):
    calls = system_calls(box, command)
    for at in points(calls, last):
        if calls[at - 1] == "exit_group":
            continue
        error = ERRORS[at % len(ERRORS)]
        done = disturb(box, command, calls, at, f"error={error}")
        check(box, command, done, f"{error} at call {at} of {len(calls)}, {calls[at - 1]}")


@pytest.mark.parametrize("command", COMMANDS)
def test_refused_a_system_call(box, command):
    refused(box, command)


MOVES = [command for command in COMMANDS if command not in ("open", "close")]


@pytest.mark.parametrize("command", MOVES)
@pytest.mark.parametrize("disturbed", [killed, refused])
def test_while_an_interface_changes_its_zone(zoned, command, disturbed):
    """Lines and zones change at one instant: whoever is disturbed leaves both as they were, or both new."""
    disturbed(zoned, command, LAST_OF_MOVES)


def limited(box, command, which, most):
    """Runs it with a limit on its resources."""
    COMMANDS[command][0](box)
    done = subprocess.run(box.lab.fw.command(SALLY, *words_of(box, command)), capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, preexec_fn=lambda: resource.setrlimit(which, (most, most)))
    check(box, command, done, f"limit {most}")
    return done.returncode


DESCRIPTORS = range(3, 25) if SWEEP else (3, 4, 5, 6, 7, 8, 12, 24)


def test_few_file_descriptors(box):
    for command in COMMANDS:
        codes = [limited(box, command, resource.RLIMIT_NOFILE, most) for most in DESCRIPTORS]
        assert codes[0] != 0 and codes[-1] == 0, f"{command}: {codes}"


MEGABYTES = (6, 9, 12, 14, 16, 18, 20, 24, 32, 64, 1000)


def test_little_memory(box):
    """From too little for the program itself to enough."""
    for command in COMMANDS:
        codes = [limited(box, command, resource.RLIMIT_AS, most << 20) for most in MEGABYTES]
        assert codes[0] != 0 and codes[-1] == 0, f"{command}: {codes}"


def test_a_file_that_may_not_grow(box):
    """The kernel ends the process in the middle of writing."""
    for most in (0, 1, 100):
        limited(box, "open", resource.RLIMIT_FSIZE, most)
    assert box.lab.sally(*words_of(box, "open")).returncode == 0, "what was left behind is in the way"
    check(box, "open", subprocess.CompletedProcess([], 0, "", ""), "in the end")
    assert not (box.dir / "sally.conf.new").exists()


@pytest.fixture
def small_disk(box, tmp_path):
    """A file system of 64 KB, in a mount namespace of this test's children only: what runs there is told by its shell."""
    yield lambda script: box.lab.fw.run(
        "unshare", "-m", "--propagation", "private", "sh", "-ec",
        f'mount -t tmpfs -o size=64k,mode=0755 none "{tmp_path}"; cd "{tmp_path}"; ' + script, check=False)


def test_a_full_disk(box, small_disk):
    begin_to_open(box)
    done = small_disk(f"""
        cp {box.conf} sally.conf; printf 'include "d/*.conf"\\n' >> sally.conf; cp sally.conf was
        mkdir d; printf 'open tcp/9000\\n' > d/one.conf
        cat /dev/zero > rest 2>/dev/null && exit 99
        {SALLY} open {LINE} --config sally.conf && exit 98
        cmp sally.conf was; test ! -e sally.conf.new
        printf 'open tcp/9001\\n' > d/two.conf && exit 97
        {SALLY} apply --no-trial sally.conf
        rm rest
        {SALLY} open {LINE} --config sally.conf; tail -n 1 sally.conf
    """)
    assert done.returncode == 0, f"step {done.returncode}: {done.stdout}{done.stderr}"
    assert "No space left" in done.stderr and "nothing has changed" in done.stderr
    assert done.stdout.rstrip().endswith(f"open {LINE}")
    assert box.let_in() == MORE


@pytest.mark.parametrize("command", COMMANDS)
def test_no_bpf_file_system(box, command):
    """As after `umount`: what is pinned can not be found, is in force all the same, and nothing else is."""
    COMMANDS[command][0](box)
    words = " ".join(f"'{word}'" for word in words_of(box, command))
    done = box.lab.fw.run("unshare", "-m", "-p", "-f", "--propagation", "private", "--mount-proc", "sh", "-ec",
                          f"umount -l /sys/fs/bpf; exec '{SALLY}' {words}", check=False)
    assert done.returncode == 4 and "not up" in done.stderr, done
    check(box, command, done, "without a BPF file system")


def test_output_that_nobody_can_take(box):
    """A full standard output does not undo what is in force, and is told."""
    begin_with_old(box)
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(box.lab.fw.command(SALLY, "apply", box.path["new"]), stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=30)
    assert done.returncode == 1 and done.stderr, done
    assert box.in_force() == "new"


INCLUDES = {
    "link that goes nowhere": lambda d: os.symlink("nowhere", d / "a.conf"),
    "link to itself": lambda d: os.symlink("a.conf", d / "a.conf"),
    "folder": lambda d: os.mkdir(d / "a.conf"),
    "pipe that nobody writes to": lambda d: os.mkfifo(d / "a.conf"),
    "device without end": lambda d: os.symlink("/dev/zero", d / "a.conf"),
    "empty device": lambda d: os.symlink("/dev/null", d / "a.conf"),
    "memory of a process": lambda d: os.symlink("/proc/self/mem", d / "a.conf"),
    "half a line": lambda d: (d / "a.conf").write_text("open udp/7202,"),
    "nothing but zeros": lambda d: (d / "a.conf").write_bytes(bytes(5000)),
    "five megabytes": lambda d: (d / "a.conf").write_text("# x\n" * 1_300_000),
}
HARMLESS = {"empty device"}


@pytest.mark.parametrize("what", INCLUDES)
def test_an_include_that_can_not_be_read(box, what, tmp_path):
    begin_with_old(box)
    INCLUDES[what](tmp_path)
    main = tmp_path / "main"
    main.write_text(FILES["new"] + 'include "a.conf"\n')
    done = box.lab.sally("apply", main, check=False)
    if what in HARMLESS:
        assert done.returncode == 0 and box.in_force() == "new", done
        return
    assert done.returncode == 1 and done.stderr.rstrip().endswith("nothing has changed"), done
    assert box.in_force() == "old"
    box.session.both_speak()


def test_a_pipe_whose_writer_is_slow(box, tmp_path):
    """All that is written is read, not what happens to be there."""
    begin_with_old(box)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    half = len(FILES["new"]) // 2

    def write():
        with open(pipe, "w", encoding="ascii") as file:
            file.write(FILES["new"][:half])
            file.flush()
            wait_for("the reader to have read it", lambda: not unread(file), 10, 0.01)
            file.write(FILES["new"][half:])

    writer = threading.Thread(target=write)
    writer.start()
    done = box.lab.sally("apply", "--no-trial", pipe)
    writer.join()
    assert done.returncode == 0 and box.in_force() == "new"


def unread(file):
    """Bytes in a pipe."""
    return struct.unpack("i", fcntl.ioctl(file.fileno(), termios.FIONREAD, bytes(4)))[0]


def test_files_that_come_and_go(box, tmp_path):
    """Somebody replaces and removes the file and what it includes while it is applied: each time all of it, or nothing."""
    main, part = tmp_path / "main.conf", tmp_path / "part.conf"
    head = f'open tcp/{TALK}\ninclude "part.conf"\n'
    stop = threading.Event()

    def meddle():
        for i in range(1_000_000):
            if stop.is_set():
                return
            ports = OF[("old", "new")[i % 2]]
            beside = tmp_path / "beside"
            beside.write_text("".join(f"open udp/{port}\n" for port in ports))
            os.replace(beside, part)
            beside.write_text(head)
            os.replace(beside, main)
            if i % 3 == 0:
                part.unlink()
            if i % 5 == 0:
                main.unlink()

    worker = threading.Thread(target=meddle)
    worker.start()
    codes, seen = [], set()
    try:
        def enough():
            codes.append(box.lab.sally("apply", "--no-trial", main, check=False).returncode)
            seen.add(box.in_force())
            return len(codes) >= 25 and set(codes) == {0, 1} and seen == {"old", "new"}

        wait_for("applies that succeed and that fail", enough, 40, 0)
    finally:
        stop.set()
        worker.join()
    box.session.both_speak()


def test_undo_needs_no_file(zoned, tmp_path):
    """What was in force comes back whole, zones and networks, when its files are gone."""
    networks, conf = tmp_path / "bad.txt", tmp_path / "conf"
    networks.write_text("172.17.0.2\n")
    conf.write_text(ZONES["old"] + 'block file "bad.txt"\n')
    zoned.lab.sally("apply", conf)
    before = zoned.lab.sally.drops()
    with zoned.asker.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"anybody?", (zoned.address, OF["old"][0]))
        wait_for("a refusal", lambda: grown(before, zoned.lab.sally.drops()) == {"blocked": 1})
        zoned.apply("new")
        for path in (networks, conf):
            path.unlink()
        zoned.lab.sally("undo")
        sock.sendto(b"anybody?", (zoned.address, OF["old"][0]))
        wait_for("a second one", lambda: grown(before, zoned.lab.sally.drops()) == {"blocked": 2})
    zoned.apply("old")
    assert zoned.in_force() == "old"


def test_two_edit_at_once(box):
    """Each sentence is in the file and in force; none is lost."""
    begin_to_open(box)
    running = [box.lab.fw.start(SALLY, "open", f"tcp/{port}", "--config", box.conf, stderr=subprocess.PIPE, text=True)
               for port in range(9000, 9008)]
    for process in running:
        assert process.wait(60) == 0, process.stderr.read()
    lines = box.conf.read_text().splitlines()
    assert sorted(lines[-8:]) == [f"open tcp/{port}" for port in range(9000, 9008)]
    assert "no line changes" in box.lab.sally("apply", "--dry-run", box.conf).stdout


def test_an_edit_keeps_link_mode_and_owner(box, tmp_path):
    real, link = tmp_path / "real.conf", tmp_path / "link.conf"
    real.write_text(FILES["old"])
    os.chmod(real, 0o640)
    os.chown(real, 12, 34)
    os.symlink("real.conf", link)
    box.lab.sally("open", "tcp/9000", "--config", link)
    info = os.stat(real)
    assert link.is_symlink() and real.read_text() == FILES["old"] + "open tcp/9000\n"
    assert (info.st_mode & 0o7777, info.st_uid, info.st_gid) == (0o640, 12, 34)


def test_an_edit_that_can_not_be_applied_is_taken_back(box, tmp_path):
    begin_with_trial(box)
    conf, fresh = tmp_path / "sally.conf", tmp_path / "fresh" / "sally.conf"
    conf.write_text(FILES["old"])
    for path in (conf, fresh):
        done = box.lab.sally("open", "tcp/9000", "--config", path, check=False)
        assert done.returncode == 1 and "trial is under way" in done.stderr, done
        assert done.stderr.rstrip().endswith("nothing has changed"), done.stderr
    assert conf.read_text() == FILES["old"] and not fresh.exists()
    assert box.in_force() == "new"
    box.lab.sally("undo")
    box.lab.sally("open", "tcp/9000", "--config", conf)
    assert conf.read_text() == FILES["old"] + "open tcp/9000\n"


def test_killed_while_the_kernel_takes_it(box):
    """Killed from outside at any moment; what a killed one has left in the kernel is nothing that `undo` goes back to."""
    box.apply("old")
    for _ in range(7):
        box.apply("old")
    number = int(re.search(r"generation (\d+)", box.lab.sally("apply", "--no-trial", box.path["old"]).stdout)[1])
    for round_ in range(12):
        process = box.lab.fw.start(SALLY, "apply", "--no-trial", box.path["new"])
        try:
            process.wait(0.002 * round_)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        if box.in_force() == "new":
            break
        assert box.lab.sally.status()["generation"] == number
    else:
        box.apply("new")
    number = box.lab.sally.status()["generation"]
    eldest = box.lab.sally("undo", number - 7, check=False)
    assert eldest.returncode == 1, "the slot of the next generation"
    box.lab.sally("undo", number - 6)
    assert box.in_force() == "old"
