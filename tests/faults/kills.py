# SPDX-License-Identifier: BSD-2-Clause
"""Kills commands with -9 at random moments, a thousand times, while somebody knocks and conversations go on.

usage: kills.py N [SEED]      half of the kills on a computer (TC), half on a gateway that translates (XDP)

With SP_SECONDS in the environment it ends after that time, with as many as it got to; SP_KINDS=host or gateway: only there;
SP_COMMANDS=switch,... only those.

After each: status answers; one of the two policies judges, whole; the next command works; nothing is left behind; since
the firewall came up not one knock has arrived at the raw listener behind it; every conversation goes on, and none has lost a
packet while it was up.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

from witness import BASE, SECOND, Talkers, Witness, lock_of, one_line, programs, run

from lab import SALLY, Lab, wait_for

FENCE = 7205  # open in both policies
OF = {"old": (7201, 7203), "new": (7202, 7204)}
LINES = 40
PLACES = (("host", "tc"), ("gateway", "xdp"))
WEIGHTS = {"apply": 4, "trial": 2, "confirm": 2, "undo": 3, "upgrade": 4, "replace": 3, "switch": 3, "up": 2,
           "down": 2}
# on a gateway that translates, these end what is translated
OF_A_COMPUTER = ("replace", "up", "down")
FLOWS = {"tc": 20000, "xdp": 9000}  # another way in, another table
PROGRAMS = {"tc": {"sp_tc_in", "sp_tc_out"}, "xdp": {"sp_xdp_in", "sp_tc_reject", "sp_tc_out"}}


def other(name):
    return "new" if name == "old" else "old"


class Victim:
    """One firewall whose commands are killed."""

    def __init__(self, kind, mode, directory, rng):
        self.rng, self.dir, self.mode, self.first = rng, directory, mode, mode
        self.lab = Lab(kind)
        self.kills, self.late, self.stopped = dict.fromkeys(WEIGHTS, 0), 0, 0
        self.lost, self.fresh = 0, True
        self.took = {}  # seconds, of each command when nobody kills it
        self.pins = {}  # by mode
        try:
            self._begin()
        except BaseException:
            self.lab.close()
            raise

    def _begin(self):
        self.conf = {}
        for name, ports in OF.items():
            self.conf[name] = os.path.join(self.dir, f"{name}.conf")
            with open(self.conf[name], "w", encoding="ascii") as file:
                file.write(f"open udp/{FENCE}\nopen udp/{ports[0]}\n" + "".join(
                    f"block 100.64.{i}.0/24 -> any : tcp/{ports[0] + i}\n" for i in range(LINES)) + f"open udp/{ports[1]}\n")
        self.sockets = {}
        for port in (*OF["old"], *OF["new"], FENCE):
            self.sockets[port] = self.lab.fw.socket(socket.AF_INET, socket.SOCK_DGRAM, timeout=0)
            self.sockets[port].bind(("0.0.0.0", port))
        self.asker = self.lab.stranger.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.serial = 0
        self.witness = Witness(self.lab, self.dir)
        self.program = SALLY
        self.policy = "old"
        self.up()
        self.talkers = Talkers(self.lab)

    # ---- what is asked of it ----

    def sally(self, *words, program=None):
        began = time.monotonic()
        done = run(self.lab.fw, program or self.program, *words)
        return done, time.monotonic() - began

    def must(self, *words):
        done, took = self.sally(*words)
        assert done.returncode == 0, f"{words}: {done}"
        return took

    def up_words(self):
        return ["up", "--no-daemon", "--mode", self.mode, "--config", self.conf[self.policy], "--flows",
                str(FLOWS[self.mode])]

    def up(self):
        """It was down, or half."""
        took = self.must(*self.up_words())
        self.took.setdefault("up", took)
        self.witness.begin()
        self.pins[self.mode] = sorted(os.listdir(self.folder()))

    def folder(self):
        """Its folder of pins; there is at most one."""
        inode = str(os.stat(self.lab.fw.path).st_ino)
        found = [name for name in (os.listdir(BASE) if os.path.isdir(BASE) else []) if name.split("-")[1] == inode]
        assert len(found) <= 1, found
        return os.path.join(BASE, found[0]) if found else None

    def in_force(self):
        """By packets: the ports that are open are those of the old policy or of the new one."""
        self.serial += 1
        text = b"%d" % self.serial
        heard = set()

        def one_of_both():
            # FENCE is open: what was sent before it has been judged when it arrives, unless a packet overtakes another
            for port in (*OF["old"], *OF["new"], FENCE):
                self.asker.sendto(text, (self.lab.fw4, port))
            wait_for("a datagram to a port that is open", lambda: self.has_heard(FENCE, text), every=0.001)
            heard.update(port for port in (*OF["old"], *OF["new"]) if self.has_heard(port, text))
            return [name for name, ports in OF.items() if heard == set(ports)]

        try:
            return wait_for("one of both policies", one_of_both, 3)[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; open are {sorted(heard)}") from None

    def has_heard(self, port, text):
        heard = False
        try:
            while True:
                heard |= self.sockets[port].recv(100) == text
        except BlockingIOError:
            return heard

    # ---- killing ----

    def kill(self, command, *words, program=None):
        """Starts it, and kills it at some moment of the time that it takes, unless it is done by then: True if killed."""
        argv = self.lab.fw.command(program or self.program, *words)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True)
        if command == "switch":
            self.until_second(process)
        time.sleep(self.rng.uniform(0, self.took[command]))
        process.send_signal(signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
        if process.returncode == -signal.SIGKILL:
            self.kills[command] += 1
            self.took[command] *= 1.04
            return True
        assert process.returncode == 0, f"{command}, that nobody had killed: {process.returncode}: {said}"
        self.late += 1
        self.took[command] *= 0.88  # the machine is less busy than when it was measured
        return False

    def until_second(self, process):
        """It has loaded what is to take the place of what is there; or has ended."""
        second = lock_of(self.lab.fw).replace("/lock-", "/second-")
        wait_for("tables to change places", lambda: os.path.exists(second) or process.poll() is not None, 60, 0.001)

    def learn_switch(self):
        """There and back; most of the time goes by before anything changes, and is of no interest."""
        for _ in range(2):
            self.mode = "tc" if self.mode == "xdp" else "xdp"
            process = subprocess.Popen(self.lab.fw.command(self.program, *self.up_words(), "--replace"),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.until_second(process)
            began = time.monotonic()
            assert process.wait(60) == 0
            self.took["switch"] = time.monotonic() - began
            self.pins[self.mode] = sorted(os.listdir(self.folder()))

    def learn(self):
        """How long each command takes here, so that kills lie within."""
        for words, command in ((["apply", "--no-trial", self.conf["new"]], "apply"), (["undo"], "undo"),
                               (["apply", "--trial", "600", self.conf["new"]], "trial"), (["confirm"], "confirm"),
                               (["undo"], "undo")):
            self.took[command] = self.must(*words)
        for program in (SECOND, SALLY):
            done, self.took["upgrade"] = self.sally("up", "--no-daemon", program=program)
            assert done.returncode == 0, done
        self.took["replace"] = self.must("up", *self.up_words()[1:], "--replace")
        self.took["down"] = self.took["undo"]
        self.policy = self.in_force()

    def settle(self):
        """After a kill: what is there is whole, and an ordinary command works."""
        self.fresh = False
        trial = json.loads(self.lab.sally("status", "--json").stdout)["trial"]
        seen = self.in_force()
        if trial:
            self.must("confirm")
        self.policy = other(seen)
        self.must("apply", "--no-trial", self.conf[self.policy])
        assert self.in_force() == self.policy

    def try_apply(self):
        self.kill("apply", "apply", "--no-trial", self.conf[other(self.policy)])
        self.settle()

    def try_trial(self):
        self.kill("trial", "apply", "--trial", "600", self.conf[other(self.policy)])
        self.settle()

    def try_confirm(self):
        self.policy = other(self.policy)
        self.must("apply", "--trial", "600", self.conf[self.policy])
        self.kill("confirm", "confirm")
        assert self.in_force() == self.policy, "a killed confirm went back"
        self.settle()

    def try_undo(self):
        if self.fresh:
            self.policy = other(self.policy)
            self.must("apply", "--no-trial", self.conf[self.policy])
        self.kill("undo", "undo")
        self.settle()

    def try_upgrade(self):
        """Either build works on the mixture; the one that comes next, again or the one before, finishes it."""
        before, after = self.program, SECOND if self.program == SALLY else SALLY
        self.kill("upgrade", "up", "--no-daemon", program=after)
        for program in (before, after):
            done, _ = self.sally("status", program=program)
            assert done.returncode == 0 and "NOT GUARDED" not in done.stdout, done
        assert self.in_force() == self.policy
        self.program = self.rng.choice((before, after))
        done, _ = self.sally("up", "--no-daemon")
        assert done.returncode in (0, 4), done
        if self.rng.random() < 0.25:
            again, _ = self.sally("up", "--no-daemon")
            assert again.returncode == 4 and "up already" in again.stderr, again

    def try_replace(self):
        """Both guard until it is done; `up` finishes what was begun."""
        self.policy = other(self.policy)
        self.kill("replace", *self.up_words(), "--replace")
        assert "NOT GUARDED" not in self.lab.sally("status").stdout
        done, _ = self.sally("up", "--no-daemon")
        assert done.returncode in (0, 4), done
        self.policy = self.in_force()
        self.fresh = True
        again, _ = self.sally("up", "--no-daemon")
        assert again.returncode == 4 and "up already" in again.stderr, again

    def try_switch(self):
        """From TC to XDP, or back, and to a larger table or a smaller one; `up` finishes what was begun."""
        if "switch" not in self.took:
            self.learn_switch()
        self.mode = "tc" if self.mode == "xdp" else "xdp"
        killed = self.kill("switch", *self.up_words(), "--replace")
        assert "NOT GUARDED" not in self.lab.sally("status").stdout
        done, _ = self.sally("up", "--no-daemon")
        assert done.returncode in (0, 4), done
        status = self.lab.sally.status()
        modes = {i["mode"] for i in status["interfaces"] if i["guarded"]}
        assert modes == {self.mode} or (killed and len(modes) == 1), modes
        self.mode = modes.pop()
        assert programs(self.lab.fw).keys() == PROGRAMS[self.mode], programs(self.lab.fw)
        assert abs(status["flows"]["capacity"] / FLOWS[self.mode] - 1) < 0.1, status["flows"]
        self.fresh = True
        if done.returncode == 0:
            done, _ = self.sally("up", "--no-daemon")
        assert done.returncode == 4 and "up already" in done.stderr, done

    def try_down(self):
        self.count_stopped()
        self.check_guarded(end=True)
        self.kill("down", "down")
        done, _ = self.sally("status")
        assert done.returncode == 0 or one_line(done), done
        self.up_again()

    def try_up(self):
        self.count_stopped()
        self.check_guarded(end=True)
        self.must("down")
        assert self.folder() is None and not os.path.exists(lock_of(self.lab.fw)), "pins of a firewall that is down"
        marks = [listener.count for listener in self.witness.listeners]
        wait_for("knocks while it is down", lambda: all(
            listener.count > mark for listener, mark in zip(self.witness.listeners, marks)), every=0.005)
        self.kill("up", *self.up_words())
        self.up_again()

    def up_again(self):
        """What was half up, or half down, comes up whole; what is up says so, and has been up since it was asked."""
        self.fresh = True  # there is nothing yet that undo could go back to
        now = time.time_ns()
        done, _ = self.sally("status")
        if done.returncode == 0:
            self.witness.since = now
            self.policy = self.in_force()
            again, _ = self.sally("up", "--no-daemon")
            assert again.returncode == 4, again
            return
        assert one_line(done), done
        self.up()

    # ---- checking ----

    def check_guarded(self, end=False):
        n = self.witness.end() if end else self.witness.unguarded()
        assert n == 0, f"{n} packets arrived that the policy forbids"

    def count_stopped(self):
        drops = self.lab.sally.drops()
        self.stopped += drops.get("uninvited", 0)

    def check_left(self):
        assert sorted(os.listdir(self.folder())) == self.pins[self.mode], "pins"
        assert not os.path.exists(lock_of(self.lab.fw).replace("/lock-", "/second-")), "pins of a replacement"
        assert {"old.conf", "new.conf"} == {name for name in os.listdir(self.dir) if not name.startswith("heard-")}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                exe = os.readlink(f"/proc/{pid}/exe")
                assert exe not in (SALLY, SECOND) or os.stat(f"/proc/{pid}/ns/net").st_ino != os.stat(
                    self.lab.fw.path).st_ino, f"process {pid} of {exe} is still there"
            except OSError:
                pass

    def check(self, command):
        self.talkers.go_on()
        self.check_guarded()
        self.check_left()
        lost = self.talkers.lost() - self.lost
        # the kernel stops an interface for a moment when a clsact qdisc comes or goes: datagrams of that moment are lost
        if command not in (*OF_A_COMPUTER, "switch"):
            assert lost == 0, f"conversations lost {lost} packets"
        self.lost += lost

    def go(self, n, say, only):
        """n kills, of these commands or all, and what was tried when they came too late."""
        if only != ["switch"]:
            self.learn()
        deadline = time.monotonic() + float(os.environ.get("SP_SECONDS", "1e9"))
        commands = only or [c for c in WEIGHTS if self.lab.kind == "host" or c not in OF_A_COMPUTER]
        while sum(self.kills.values()) < n and time.monotonic() < deadline:
            command = self.rng.choices(commands, [WEIGHTS[c] for c in commands])[0]
            try:
                getattr(self, f"try_{command}")()
                self.check(command)
            except AssertionError as error:
                killed = sum(self.kills.values())
                raise AssertionError(f"{self.lab.kind}, after {killed} kills, {command}: {error}") from error
            say(sum(self.kills.values()))
        self.count_stopped()

    def end(self):
        """Down, and nothing is left; what was seen, as a line."""
        self.check_guarded(end=True)
        self.must("down")
        assert self.folder() is None and not os.path.exists(lock_of(self.lab.fw)), "what is pinned stays"
        for dev in ("wan0",) + (("lan0",) if self.lab.kind == "gateway" else ()):
            for side in ("ingress", "egress"):
                assert " bpf " not in self.lab.fw.run("tc", "filter", "show", "dev", dev, side, check=False).stdout
            assert "xdp" not in self.lab.fw.run("ip", "link", "show", dev).stdout
        assert "clsact" not in self.lab.fw.run("tc", "qdisc", "show").stdout, "a qdisc of ours stays"
        said = sum(sum(stream.got) for stream in self.talkers.streams)
        kills = ", ".join(f"{command} {n}" for command, n in self.kills.items() if n)
        return (f"{self.lab.kind} ({self.first}): {sum(self.kills.values())} kills ({kills}; {self.late} came too late); "
                f"guarded for {self.witness.guarded_s:.0f} s, in which at least {self.stopped} knocks were stopped and 0 "
                f"arrived; "
                f"conversations: {said} messages, {self.lost} lost, around {', '.join(OF_A_COMPUTER)}, switch")

    def close(self):
        if hasattr(self, "talkers"):
            self.talkers.end()
        for sock in (*self.sockets.values(), self.asker):
            sock.close()
        self.lab.close()


def kills(n, seed, say=lambda _: None, only=()):
    """The lines that say what was seen; AssertionError: what was not as it should be."""
    rng = random.Random(seed)
    lines = []
    for i, (kind, mode) in enumerate(PLACES):
        if kind not in os.environ.get("SP_KINDS", "host,gateway"):
            continue
        with tempfile.TemporaryDirectory() as directory:
            victim = Victim(kind, mode, directory, rng)
            try:
                victim.go((n + i) // 2, say, only)
                lines.append(victim.end())
            finally:
                victim.close()
    return lines


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an interrupted run takes its namespaces with it
    os.environ.pop("SSH_CONNECTION", None)
    os.environ.pop("SUDO_UID", None)
    print(f"kills: {n}, seed {seed}", flush=True)
    began = time.monotonic()
    try:
        lines = kills(n, seed, lambda k: k % 50 or print(f"  {k} ({time.monotonic() - began:.0f} s)", flush=True),
                      list(filter(None, os.environ.get("SP_COMMANDS", "").split(","))))
    except AssertionError as error:
        print(f"FAILED: {error}\n0 passed, 1 failed, 0 skipped")
        return 1
    print("\n".join(lines))
    print("1 passed, 0 failed, 0 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
