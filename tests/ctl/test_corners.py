# SPDX-License-Identifier: BSD-2-Clause
"""Corners of coming up and going down: filters of others, lost pins, kills, dead namespaces, containers.

    spctl-..-fw  w0 <--veth--> e0  spctl-..-peer        fw has its default route through w0; l0 <--veth--> l1 is spare
"""

import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SALLY = os.environ.get("SALLY", os.path.join(ROOT, "build", "sally"))
CLASSIC = ["bpf", "da", "bytecode", "1,6 0 0 4294967295"]  # lets everything pass
FLOWS = "2000"


def can_make_namespaces():
    name = f"spctl-{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True)
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", name], check=True)
    return made.returncode == 0


pytestmark = pytest.mark.skipif(os.environ.get("CI") != "true" and not can_make_namespaces(),
                                reason="network namespaces can not be made here")


def wait_for(what, check, seconds=15):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


class Watch:
    """`sally watch` that is ended by force if a test waits too long for it."""

    def __init__(self, net, *argv):
        self.process = subprocess.Popen(net.command(SALLY, "watch", *argv), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.guard = threading.Timer(30, self.process.kill)
        self.guard.start()
        assert "watching" in self.process.stderr.readline()

    def __enter__(self):
        return self.process

    def __exit__(self, *args):
        self.guard.cancel()
        self.process.kill()
        self.process.communicate()


class Net:
    """A namespace that is to be guarded, and a peer."""

    def __init__(self, serial):
        self.fw = f"spctl-{os.getpid()}-{serial}-fw"
        self.peer = f"spctl-{os.getpid()}-{serial}-peer"
        for name in (self.fw, self.peer):
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.ip("link", "add", "w0", "type", "veth", "peer", "name", "e0", "netns", self.peer)
        self.ip("link", "add", "l0", "type", "veth", "peer", "name", "l1", "netns", self.peer)
        self.ip("addr", "add", "198.51.100.2/24", "dev", "w0")
        self.ip("link", "set", "w0", "up")
        self.ip("link", "set", "l0", "up")
        for command in (["addr", "add", "198.51.100.1/24", "dev", "e0"], ["link", "set", "e0", "up"],
                        ["link", "set", "l1", "up"]):
            subprocess.run(["ip", "-n", self.peer, *command], check=True)
        self.ip("route", "add", "default", "via", "198.51.100.1")

    def ip(self, *argv):
        subprocess.run(["ip", "-n", self.fw, *argv], check=True)

    def command(self, *argv):
        return ["nsenter", f"--net=/run/netns/{self.fw}", "--", *argv]

    def run(self, *argv, check=True):
        return subprocess.run(self.command(*argv), capture_output=True, text=True, timeout=60, check=check)

    def sally(self, *argv, code=0):
        done = self.run(SALLY, *argv, check=False)
        assert done.returncode == code, (argv, done.returncode, done.stdout, done.stderr)
        if code:
            assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"sally {argv[0]}: "), done.stderr
        return done.stdout + done.stderr

    def filters(self, device, side):
        return [line for line in self.run("tc", "filter", "show", "dev", device, side).stdout.splitlines()
                if "handle" in line]

    def traces(self):
        """All that is attached here, as text."""
        links = self.run("ip", "-d", "link", "show").stdout
        return (self.run("tc", "qdisc", "show").stdout.count("clsact"),
                len(self.filters("w0", "ingress") + self.filters("w0", "egress")), links.count("prog/xdp"))

    def pins(self):
        done = self.run("find", "/sys/fs/bpf/sally", "-mindepth", "1", "-maxdepth", "1", "-type", "d", check=False)
        inode = str(os.stat(f"/run/netns/{self.fw}").st_ino)
        return [path for path in done.stdout.split() if path.split("-")[1] == inode]

    def close(self):
        if os.path.exists(f"/run/netns/{self.fw}"):
            subprocess.run(self.command(SALLY, "down"), capture_output=True, timeout=60)
        for name in (self.fw, self.peer):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=60)


serial = iter(range(1000))


@pytest.fixture
def net():
    it = Net(next(serial))
    yield it
    it.close()


def test_filters_of_others_at_our_priority_stay_and_come_after_ours(net):
    net.run("tc", "qdisc", "add", "dev", "w0", "clsact")
    net.run("tc", "filter", "add", "dev", "w0", "ingress", "prio", "1", "handle", "1", *CLASSIC)
    net.run("tc", "filter", "add", "dev", "w0", "ingress", "prio", "5", *CLASSIC)
    before = net.filters("w0", "ingress")
    net.sally("up", "--mode", "tc", "--flows", FLOWS)
    during = net.filters("w0", "ingress")
    assert "sp_tc_in" in during[0] and during[1:] == before
    net.sally("down")
    assert net.filters("w0", "ingress") == before
    assert "clsact" in net.run("tc", "qdisc", "show", "dev", "w0").stdout, "it was not ours"


def test_our_qdisc_stays_when_somebody_else_uses_it(net):
    net.sally("up", "--mode", "tc", "--flows", FLOWS)
    net.run("tc", "filter", "add", "dev", "w0", "ingress", "prio", "5", *CLASSIC)
    net.sally("down")
    assert len(net.filters("w0", "ingress")) == 1
    assert net.filters("w0", "egress") == []


def test_ingress_qdisc_is_refused(net):
    """It would take the filter for what goes out, and run it on what comes in."""
    net.run("tc", "qdisc", "add", "dev", "w0", "ingress")
    assert "'ingress' qdisc" in net.sally("up", "--mode", "tc", "--flows", FLOWS, code=1)
    assert net.filters("w0", "ingress") == [] and net.pins() == []


def test_foreign_priority_is_refused_and_everything_is_undone(net):
    net.run("tc", "qdisc", "add", "dev", "l0", "clsact")
    net.run("tc", "filter", "add", "dev", "l0", "ingress", "prio", "1", "protocol", "ip", *CLASSIC)
    before = net.traces()
    text = net.sally("up", "--mode", "tc", "--inside", "l0", "--flows", FLOWS, code=1)
    assert "l0" in text and "priority 1" in text
    assert net.traces() == before and net.pins() == []


def test_lost_pins(net):
    """Without its pins the firewall goes on; a second one is refused; `down` takes it off."""
    net.sally("up", "--mode", "xdp", "--flows", FLOWS)
    for pin in net.pins():
        shutil.rmtree(pin)
    assert "pins are not to be seen" in net.sally("up", "--flows", FLOWS, code=4)
    net.sally("status", code=4)
    net.sally("down")
    assert net.traces()[1:] == (0, 0)
    net.sally("down", code=4)


def test_status_says_what_is_no_longer_guarded(net):
    net.sally("up", "--mode", "tc", "--flows", FLOWS)
    assert "NOT GUARDED" not in net.sally("status")
    net.run("tc", "qdisc", "del", "dev", "w0", "clsact")
    assert "NOT GUARDED: somebody took the programs off w0" in net.sally("status")
    assert [i["guarded"] for i in json.loads(net.sally("status", "--json"))["interfaces"]] == [False]
    net.ip("route", "add", "default", "dev", "l0", "metric", "9")
    net.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    text = net.sally("status")
    assert "NOT GUARDED: l0 has a default route now" in text and "came up as a host" in text


def test_up_that_was_killed_is_cleaned_up(net):
    clean = net.traces()
    for step in range(8):
        up = subprocess.Popen(net.command(SALLY, "up", "--mode", "xdp", "--flows", FLOWS), stdout=subprocess.DEVNULL)
        # later each time, up to after the end
        deadline = time.monotonic() + 0.03 * step
        while time.monotonic() < deadline and up.poll() is None:
            time.sleep(0.001)
        up.kill()
        up.wait(timeout=30)
        if net.run(SALLY, "status", check=False).returncode == 4:
            net.sally("up", "--mode", "xdp", "--flows", FLOWS)
        net.sally("status")
        net.sally("down")
        assert net.traces() == clean and net.pins() == []


def test_only_one_of_many_at_once_comes_up(net):
    ups = [subprocess.Popen(net.command(SALLY, "up", "--flows", FLOWS), stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True) for _ in range(5)]
    errors = [up.communicate(timeout=120)[1] for up in ups]
    assert sorted(up.returncode for up in ups) == [0, 4, 4, 4, 4], errors
    assert len(net.pins()) == 1
    net.sally("down")


def test_pins_of_a_dead_namespace_are_removed(net):
    dead = Net(next(serial))
    try:
        dead.sally("up", "--flows", FLOWS)
        pins = dead.pins()
        holder = subprocess.Popen(dead.command("sleep", "60"))
        wait_for("a process in there", lambda: os.stat(f"/proc/{holder.pid}/ns/net").st_ino ==
                 os.stat(f"/run/netns/{dead.fw}").st_ino)
        subprocess.run(["ip", "netns", "del", dead.fw], check=True)
        net.sally("up", "--flows", FLOWS)
        assert os.path.isdir(pins[0]), "a process still lives there"
        holder.kill()
        holder.wait(timeout=30)
        net.sally("down")
        assert not os.path.exists(pins[0])
    finally:
        dead.close()


@pytest.mark.parametrize("mounted", [True, False])
def test_container(mounted):
    """Process ids, mounts and network of its own; with and without a BPF file system; and `ip netns exec`-like inside."""
    script = f"""
set -e
{"" if mounted else "while umount /sys/fs/bpf 2>/dev/null; do :; done"}
ip link add x0 type veth peer name x1
ip addr add 192.0.2.1/24 dev x0
ip link set x0 up
ip link set x1 up
ip route add default via 192.0.2.2
{SALLY} up --flows {FLOWS}
{SALLY} status
unshare -m sh -c 'umount /sys/fs/bpf; {SALLY} status && {SALLY} down'
if {SALLY} status; then exit 9; fi
"""
    done = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stdout.count("up for") == 2 and "not up" in done.stderr, (done.stdout, done.stderr)


@pytest.mark.parametrize("kind", ["macvlan"])
def test_interface_on_top_of_another_zone_is_refused(net, kind):
    made = net.run("ip", "link", "add", "link", "w0", "name", "top0", "type", kind, check=False)
    if made.returncode:
        pytest.skip(f"this kernel has no {kind}")
    assert "sits on 'w0'" in net.sally("up", "--inside", "top0", "--flows", FLOWS, code=2)
    assert net.pins() == []


def test_watch_has_one_reader_and_ends_with_the_firewall(net):
    net.sally("up", "--flows", FLOWS)
    with Watch(net, "--json") as first:
        assert "another 'sally watch'" in net.sally("watch", code=1)
        net.run("ping", "-c", "1", "-W", "5", "198.51.100.1")
        assert select.select([first.stdout], [], [], 15)[0], "each line is written at once, also into a pipe"
        for line in first.stdout:
            event = json.loads(line)
            if event.get("proto") == "icmp":
                break
        assert (event["reason"], event["interface"], event["dst"]) == ("new_self", "w0", "198.51.100.1")
        net.sally("down")
        assert first.wait(timeout=30) == 4
        assert "taken down" in first.stderr.read()


def test_watch_ends_as_asked(net):
    net.sally("up", "--flows", FLOWS)
    with Watch(net, "--count", "2") as watch:
        net.run("ping", "-c", "3", "-i", "0.2", "-W", "5", "198.51.100.1")
        out = watch.communicate()[0]
        assert watch.returncode == 0 and len(out.splitlines()) == 2, out
        assert "let out" in out and "-> 198.51.100.1" in out
    with Watch(net) as watch:
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=30) == 0
    assert net.run(SALLY, "watch", "--seconds", "1").returncode == 0
