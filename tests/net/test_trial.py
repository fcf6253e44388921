# SPDX-License-Identifier: BSD-2-Clause
"""Changing a running firewall without fear: trials that go back by themselves, confirm, undo; ports published past it."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from conftest import KINDS, MODES, checksums_were_right
from lab import SALLY, Namespace, wait_for
from natkit.home import Home
from talk import Tcp, Udp
from test_apply import TCP, generation, guarded, lab, permit, put, reach, refused, write  # noqa: F401  (a fixture)

TRIAL_S = 2
LATE_S = 0.5
modes = pytest.mark.parametrize("mode", ["tc", "xdp"])
host = pytest.mark.parametrize("bare", ["host"], indirect=True)
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def one_line(done):
    lines = done.stderr.splitlines()
    return len(lines) == 1 and lines[0].startswith("sally")


@pytest.fixture(scope="module", ids="-".join,
                params=[(k, m) for k, m in (("gateway", "xdp"), ("host", "tc")) if k in KINDS and m in MODES])
def live(request, tmp_path_factory):
    """Either kind and either mode once: what goes back does so for all."""
    yield from guarded(*request.param, tmp_path_factory.mktemp("trial"))


class Heartbeat:
    """The stranger says something to John (or who else it is) every 10 ms; the times at which it arrives."""

    def __init__(self, lab, port, server=None, address=None):
        self.arrived = []
        self.server = (server or lab.john).socket(socket.AF_INET, socket.SOCK_DGRAM, timeout=0.1)
        self.server.bind(("0.0.0.0", port))
        self.client = lab.stranger.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.connect((address or lab.john4, port))
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work) for work in (self._send, self._receive)]

    def _send(self):
        while not self.over.wait(0.01):
            self.client.send(b"tick")

    def _receive(self):
        while not self.over.is_set():
            try:
                self.server.recv(100)
                self.arrived.append(time.monotonic())
            except TimeoutError:
                pass

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for("the heart to beat", lambda: len(self.arrived) > 3)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.client.close()
        self.server.close()


def test_dead_mans_switch(lab):  # noqa: F811
    """A file that cuts the session goes back at its deadline, with all conversations, when no process of ours is left."""
    put(lab, permit(lab, "tcp/7101"), permit(lab, "udp/7102"))
    watch = lab.sally.watch()
    with Tcp(lab.stranger, lab.john, lab.john4, 7101) as session, Heartbeat(lab, 7102) as heart:
        session.both_speak()
        path = write(lab, permit(lab, "tcp/7001"))
        began = time.monotonic()
        said = lab.sally("apply", "--trial", TRIAL_S, path).stdout
        in_force = time.monotonic()
        assert f"within {TRIAL_S} s" in said, said
        os.killpg(watch.pid, signal.SIGKILL)
        watch.wait(10)
        session.client.sendall(b"typed in the dark")
        first = wait_for("the old policy", lambda: next((t for t in list(heart.arrived) if t > in_force + 0.2), 0), 15, 0.01)
        assert began + TRIAL_S <= first <= in_force + TRIAL_S + LATE_S, f"{first - began:.3f} s after the start of apply"
        session.server.settimeout(15)
        assert session.server.recv(100) == b"typed in the dark", "the session did not survive"
        session.both_speak()
    late = lab.sally("confirm", check=False)
    assert late.returncode == 1 and one_line(late) and "over" in late.stderr, late
    refused(lab, lab.stranger, lab.john4, 7001)


def processes_of(ns):
    """Every process of Sallyport in a namespace: its programs, by what is executed there."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = os.readlink(f"/proc/{pid}/exe")
            if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(ns.path).st_ino and \
                    os.path.dirname(program) == os.path.dirname(SALLY):
                found.append(int(pid))
        except OSError:
            pass  # it has ended
    return found


@pytest.fixture(params=[mode for mode in MODES if mode != "none"])
def home(request, tmp_path):
    """A home behind one address, and sallyd."""
    lab = Home(request.param, tmp_path)
    try:
        lab.sally.up("--mode", lab.mode, "--no-config", "--flows", 100000, daemon=True)
        yield lab
        checksums_were_right(lab)
        assert lab.leaks() == 0, "packets left with a private source"
        lab.sally.down()
    finally:
        lab.close()


def test_dead_mans_switch_of_a_gateway_that_translates(home):
    """The file cuts everybody off; every process of Sallyport is killed; at the deadline all go on, translated as before."""
    home.put("forward tcp/7001, udp/7005 to 192.168.1.10", "allow outside -> inside : tcp/7003")
    watch = home.sally.watch()
    with contextlib.ExitStack() as stack:
        def tcp(client, server, address, port, family=4):
            return stack.enter_context(Tcp(client, server, address, port, family))

        heart = stack.enter_context(Heartbeat(home, 7005, home.www, home.fw4))  # forwarded
        talks = {"out": tcp(home.john, home.web, home.web4, 7101), "in": tcp(home.stranger, home.www, home.fw4, 7001),
                 "out, IPv6": tcp(home.mary, home.web, home.web6, 7102, 6),
                 "in, IPv6": tcp(home.stranger, home.john, home.john6, 7003, 6)}
        udp = stack.enter_context(Udp(home.mary, home.web, home.web4, 7103))
        for talk in talks.values():
            talk.both_speak()
        assert udp.client_says(b"one") and udp.server_says(b"two")
        seen = talks["out"].server.getpeername(), udp.peer
        assert {peer[0] for peer in seen} == {home.fw4}, "that is not translated"
        path = home.dir / "cut.conf"
        path.write_text("block inside -> outside : any\n")
        began = time.monotonic()
        home.sally("apply", "--trial", TRIAL_S, path)
        in_force = time.monotonic()
        victims = processes_of(home.fw)
        assert watch.pid in victims and len(victims) >= 2, "neither watch nor sallyd runs"
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        watch.wait(10)
        wait_for("them to be gone", lambda: not processes_of(home.fw))
        for talk in talks.values():
            talk.client.sendall(b"typed in the dark")
        assert not udp.client_says(b"lost", 0.2), "the trial cuts nothing"
        first = wait_for("the old policy", lambda: next((t for t in list(heart.arrived) if t > in_force + 0.2), 0), 15, 0.01)
        assert began + TRIAL_S <= first <= in_force + TRIAL_S + LATE_S, f"{first - began:.3f} s after the start of apply"
        for name, talk in talks.items():
            talk.server.settimeout(15)
            assert talk.server.recv(100) == b"typed in the dark", f"{name}: it did not survive"
            talk.both_speak()
        assert udp.client_says(b"three") and udp.server_says(b"four")
        assert (talks["out"].server.getpeername(), udp.peer) == seen, "another port than before"
        assert not processes_of(home.fw)


def test_confirm_keeps(lab):  # noqa: F811
    put(lab, permit(lab, "tcp/7001"))
    said = put(lab, permit(lab, "tcp/7002"), options=["--trial", "1"])
    began = time.monotonic()
    lab.sally("confirm")
    again = lab.sally("confirm", check=False)
    assert again.returncode == 1 and one_line(again), again
    wait_for("the time when it would have gone back", lambda: time.monotonic() > began + 1.2)
    reach(lab, lab.stranger, 7002)
    refused(lab, lab.stranger, lab.john4, 7001)
    assert generation(put(lab, permit(lab, "tcp/7002"))) == generation(said) + 1


def test_undo(lab):  # noqa: F811
    first = generation(put(lab, permit(lab, "tcp/7001, tcp/7101")))
    with Tcp(lab.stranger, lab.john, lab.john4, 7101) as session:
        put(lab, permit(lab, "tcp/7002"))
        session.client.sendall(b"still there?")
        refused(lab, lab.stranger, lab.john4, 7003)
        lab.sally("undo")
        session.server.settimeout(15)
        assert session.server.recv(100) == b"still there?", "undo brings conversations back"
    reach(lab, lab.stranger, 7001)
    refused(lab, lab.stranger, lab.john4, 7002)
    lab.sally("undo")  # undoes the undoing
    reach(lab, lab.stranger, 7002)
    put(lab, permit(lab, "tcp/7003"))
    lab.sally("undo", first)
    reach(lab, lab.stranger, 7001)
    for wrong in (first + 100, 4000000000):
        done = lab.sally("undo", wrong, check=False)
        assert done.returncode == 1 and one_line(done) and str(wrong) in done.stderr, done
    reach(lab, lab.stranger, 7001)


def test_undo_ends_a_trial(lab):  # noqa: F811
    put(lab, permit(lab, "tcp/7001"))
    put(lab, permit(lab, "tcp/7002"), options=["--trial", "60"])
    reach(lab, lab.stranger, 7002)
    busy = lab.sally("apply", write(lab, permit(lab, "tcp/7003")), check=False)
    assert busy.returncode == 1 and one_line(busy) and "trial" in busy.stderr, busy
    lab.sally("undo")
    reach(lab, lab.stranger, 7001)
    refused(lab, lab.stranger, lab.john4, 7002)


def test_remote_sessions_are_on_trial_by_themselves(lab):  # noqa: F811
    remote = {**os.environ, "SSH_CONNECTION": "5.5.2.2 50000 5.5.0.1 22"}
    said = put(lab, permit(lab, "tcp/7001"), env=remote)
    assert "on trial" in said and "within 60 s" in said, said
    lab.sally("confirm")
    # sudo takes the variable away from us, but not from the shell that called it
    shell = ["sh", "-c", 'unset SSH_CONNECTION; "$0" "$@"; true', SALLY, "apply", write(lab, permit(lab, "tcp/7003"))]
    said = lab.fw.run(*shell, env={**remote, "SUDO_UID": "1000"}).stdout
    assert "within 60 s" in said, said
    lab.sally("undo")
    assert "on trial" not in lab.fw.run(*shell, env=remote).stdout, "nothing tells that this is a remote session"
    said = put(lab, permit(lab, "tcp/7002"), options=["--no-trial"], env=remote)
    assert "on trial" not in said, said
    assert lab.sally("confirm", check=False).returncode == 1
    reach(lab, lab.stranger, 7002)


@host
def test_trials_that_nobody_confirms_do_not_pile_up(bare, tmp_path):
    """More trials than there are generations: the policy in force is still the one to go back to."""
    bare.dir, bare.mode = tmp_path, "tc"
    bare.sally.up("--mode", "tc")
    kept = ["block 5.5.1.0/24", "open tcp/7001"]
    put(bare, *kept)
    with Tcp(bare.stranger, bare.fw, bare.fw4, 7001) as session:
        for round_ in range(8):
            said = put(bare, f"open tcp/{8000 + round_}", options=["--trial", "1"])
            assert "- open tcp/7001" in said and said.count("  + ") == 1, said
            over = time.monotonic() + 1
            wait_for("the deadline", lambda: time.monotonic() > over)
            session.both_speak()
        for port in range(8000, 8008):
            refused(bare, bare.stranger, bare.fw4, port)
        undone = bare.sally("undo", check=False)
        assert undone.returncode == 1 and one_line(undone) and "already" in undone.stderr, undone
        session.both_speak()


@host
def test_not_up_and_not_permitted(bare, tmp_path):
    bare.dir = tmp_path
    path = write(bare, "open ssh")
    for words in (["apply", path], ["confirm"], ["undo"]):
        done = bare.sally(*words, check=False)
        assert done.returncode == 4 and one_line(done), done
    os.chmod(tmp_path, 0o755)
    bare.sally.up()
    program = f"{bare.dir}/sally"
    with open(SALLY, "rb") as built, open(program, "wb") as copy:
        copy.write(built.read())
    os.chmod(program, 0o755)
    for up in (tmp_path.parent, tmp_path.parent.parent):
        os.chmod(up, os.stat(up).st_mode | 0o011)
    for words in (["apply", str(path)], ["confirm"], ["undo"]):
        done = bare.fw.run(*NOBODY, program, *words, check=False)
        assert done.returncode == 3 and one_line(done), done
    wrong = bare.sally("apply", write(bare, "opne ssh"), check=False)
    assert wrong.returncode == 1
    for words in (["apply", "--trial", "0"], ["apply", "--trial", "soon"], ["apply", path, path], ["confirm", "it"],
                  ["undo", "it"], ["apply", "--frobnicate"]):
        done = bare.sally(*words, check=False)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("sally"), done


@host
@modes
def test_a_published_port_stays_shut_until_a_line_opens_it(bare, mode, tmp_path):
    """
    A container engine publishes a port: nftables changes the destination before routing. Sallyport judges what arrives at
    the interface, so the port that counts is the one published on the machine.
    """
    bare.dir = tmp_path
    bare.sally.up("--mode", mode)
    box = Namespace(bare, "box")
    bare.link(bare.fw, "box0", box, "eth0", "172.17.0.{}/24", "2a00:1:0:9::{}/64")
    bare.default_route(box, "172.17.0.1", "2a00:1:0:9::1")
    bare.fw.sysctl("net.ipv4.ip_forward=1")
    bare.fw.run("nft", "-f", "-", stdin="""table ip engine {
        chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.17.0.2:80; }
        chain post { type nat hook postrouting priority 100; ip saddr 172.17.0.0/24 oifname "wan0" masquerade; }
        }
""")
    listener = box.socket(socket.AF_INET, TCP)
    listener.bind(("0.0.0.0", 80))
    listener.listen()

    def visit():
        with bare.stranger.socket(socket.AF_INET, TCP) as sock:
            sock.connect((bare.fw4, 8080))
            served = listener.accept()[0]
            served.sendall(b"from the box")
            assert sock.recv(100) == b"from the box"
            served.close()

    refused(bare, bare.stranger, bare.fw4, 8080)
    put(bare, "open tcp/80")  # the box's own number does not matter
    refused(bare, bare.stranger, bare.fw4, 8080)
    put(bare, "open tcp/8080")
    visit()
    put(bare, "open tcp/80")
    refused(bare, bare.stranger, bare.fw4, 8080)
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()
