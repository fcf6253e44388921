# SPDX-License-Identifier: BSD-2-Clause
"""Taking over a gateway: what nftables translates goes on when the firewall comes up, and when nftables' rules go."""

import contextlib
import json
import re
import socket
import subprocess

import pytest

from lab import wait_for
from servers import Servers
from talk import Tcp, Udp

modes = pytest.mark.parametrize("mode", ["tc", "xdp"])

MASQUERADE = """table ip nat {
    chain post { type nat hook postrouting priority srcnat; oifname "wan0" masquerade; }
}"""
PUBLISHED = """table ip published {
    chain pre { type nat hook prerouting priority dstnat; iifname "wan0" tcp dport 8080 dnat to 10.1.0.2:80; }
}"""
OTHERS_ADDRESS = """table ip nat {
    chain post { type nat hook postrouting priority srcnat; oifname "wan0" snat to 5.5.0.77; }
}"""
FILTER = """table inet filter {
    chain forward { type filter hook forward priority filter; ct state established,related accept; }
}"""
FORWARD = "wan wan0\nlan lan0\nhost john = 10.1.0.2\nforward tcp/8080 to john:80\n"


@pytest.fixture
def gateway(bare):
    """John's network has private addresses that the outside knows no way to."""
    bare.router.run("ip", "route", "del", "10.1.0.0/24")
    return bare


def nft(lab, text):
    lab.fw.run("nft", "-f", "-", stdin=text)


def flush(lab):
    lab.fw.run("nft", "flush", "ruleset")


class Shell:
    """An ssh session that repeats what is typed."""

    def __init__(self, lab, directory):
        servers = Servers(lab.web, directory)
        servers.ssh()
        self.process = lab.john.start(*servers.ssh_command(lab.web4, "cat"), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.number = 0

    def answers(self):
        self.number += 1
        self.process.stdin.write(f"line {self.number}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() == f"line {self.number}\n"


class Busy:
    """iperf3 in both directions; every second of it must have carried something."""

    def __init__(self, lab, seconds):
        self.server = lab.web.start("iperf3", "-s", "-p", 5300, "-1")
        wait_for("iperf3", lambda: ":5300" in lab.web.run("ss", "-Hltn", "sport = :5300").stdout)
        self.client = lab.john.start("iperf3", "-c", lab.web4, "-p", 5300, "--bidir", "-t", seconds, "-i", 1, "-J",
                                     "-b", "200M", stdout=subprocess.PIPE, text=True)
        wait_for("iperf3 at work", lambda: lab.john.run("ss", "-Htn", "state", "established", "dport = :5300").stdout
                 .count("\n") >= 3)

    def check(self):
        report = json.loads(self.client.communicate(timeout=40)[0])
        assert "error" not in report, report.get("error")
        for way in ("sum", "sum_bidir_reverse"):
            carried = [interval[way]["bytes"] for interval in report["intervals"]]
            assert min(carried) > 100_000, f"{way}: the busy connection starved: {carried}"
        assert self.server.wait(10) == 0


def taken_over(said):
    return int(re.search(r"taken over: (\d+)", said)[1])


def resets(lab):
    """Connections that one end has reset: the firewall's own stack must not answer what is meant for John."""
    return lab.web.snmp("Tcp", "EstabResets"), lab.john.snmp("Tcp", "EstabResets")


@modes
def test_a_masquerade(gateway, mode, tmp_path):
    """iperf3, ssh and a UDP exchange through a masquerade: the firewall comes up, nftables goes, and nothing breaks."""
    lab = gateway
    nft(lab, MASQUERADE)
    with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp, Udp(lab.john, lab.web, lab.web4, 7002) as udp, \
            Udp(lab.john, lab.web, lab.web4, 7003) as quiet:
        shell, busy = Shell(lab, tmp_path), Busy(lab, 8)
        tcp.both_speak()
        for one in (udp, quiet):
            assert one.client_says(b"one") and one.server_says(b"two")
        assert shell.answers() and tcp.seen()[0] == udp.seen()[0] == lab.fw4
        ports = tcp.seen()[1], udp.seen()[1], quiet.seen()[1]
        before = resets(lab)
        said = lab.sally.up("--mode", mode).stdout
        assert taken_over(said) >= 7, said
        tcp.both_speak()
        assert udp.client_says(b"three") and udp.server_says(b"four") and shell.answers()
        flush(lab)
        tcp.both_speak()
        assert udp.client_says(b"five") and udp.server_says(b"six") and shell.answers()
        # whoever was only listened to when the translator changed is heard again with what he says next
        quiet.server_says(b"lost or not", seconds=0.5)
        assert quiet.client_says(b"seven") and quiet.server_says(b"eight")
        assert (tcp.seen()[1], udp.seen()[1], quiet.seen()[1]) == ports, "the outside must see the same ports as before"
        assert resets(lab) == before
        busy.check()
        with Tcp(lab.john, lab.web, lab.web4, 7004) as late:
            late.both_speak()
            assert late.seen()[0] == lab.fw4 and late.seen()[1] not in ports
        assert shell.answers()


@modes
@pytest.mark.parametrize("speaker", ["inside", "outside"])
def test_whoever_speaks_first_after_the_flush(gateway, mode, speaker):
    """An answer that meets nobody who translates must not be answered by the firewall's own stack with a reset."""
    lab = gateway
    nft(lab, MASQUERADE)
    with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp:
        tcp.both_speak()
        lab.sally.up("--mode", mode)
        flush(lab)
        if speaker == "outside":
            assert tcp.server_says(b"x" * 20_000, seconds=10)
        assert tcp.client_says(b"y" * 20_000, seconds=10)
        tcp.both_speak()


@modes
def test_a_published_port(gateway, mode, tmp_path):
    """A connection from outside to a published port, with a line for it in the file."""
    lab = gateway
    nft(lab, MASQUERADE)
    nft(lab, PUBLISHED)
    config = tmp_path / "sally.conf"
    config.write_text(FORWARD)
    with contextlib.closing(Published(lab)) as old:
        old.both_speak()
        lab.sally.up("--mode", mode, "--config", config)
        old.both_speak()
        flush(lab)
        old.both_speak()
        assert old.tcp.says(old.served, old.client, b"z" * 50_000, seconds=10)
        with contextlib.closing(Published(lab, listener=old.listener)) as late:
            late.both_speak()
        old.both_speak()


class Published:
    """The stranger, connected with John's port 80 as port 8080 of the firewall."""

    def __init__(self, lab, listener=None):
        self.owned = listener is None
        self.listener = listener or lab.john.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.owned:
            self.listener.bind(("10.1.0.2", 80))
            self.listener.listen(8)
        self.client = lab.stranger.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.client.connect((lab.fw4, 8080))
        self.served = self.listener.accept()[0]
        self.tcp = Tcp.__new__(Tcp)

    def both_speak(self):
        assert self.tcp.says(self.client, self.served, b"to the web server")
        assert self.tcp.says(self.served, self.client, b"from the web server")

    def close(self):
        for sock in (self.client, self.served) + ((self.listener,) if self.owned else ()):
            sock.close()


@modes
def test_another_table_still_translates(gateway, mode):
    """Rules go, but the kernel translates on for those it knows, because somebody else's table is there."""
    lab = gateway
    nft(lab, MASQUERADE)
    nft(lab, PUBLISHED)
    with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp, Udp(lab.john, lab.web, lab.web4, 7002) as udp:
        tcp.both_speak()
        assert udp.client_says(b"one") and udp.server_says(b"two")
        port = udp.seen()[1]
        lab.sally.up("--mode", mode)
        lab.fw.run("nft", "delete", "table", "ip", "nat")
        tcp.both_speak()
        assert udp.client_says(b"three") and udp.server_says(b"four") and udp.seen()[1] == port
        flush(lab)
        tcp.both_speak()
        assert udp.client_says(b"five") and udp.server_says(b"six") and udp.seen()[1] == port


@modes
def test_an_address_that_is_not_ours(gateway, mode):
    """What another translates to an address that we could not translate to is not stopped, as long as he does."""
    lab = gateway
    nft(lab, OTHERS_ADDRESS)
    lab.router.run("ip", "route", "add", "5.5.0.77", "via", "5.5.0.1")
    with Tcp(lab.john, lab.web, lab.web4, 7001) as tcp, Udp(lab.john, lab.web, lab.web4, 7002) as udp:
        tcp.both_speak()
        assert udp.client_says(b"one") and udp.server_says(b"two") and udp.seen()[0] == "5.5.0.77"
        lab.sally.up("--mode", mode)
        tcp.both_speak()
        assert udp.client_says(b"three") and udp.server_says(b"four") and udp.seen()[0] == "5.5.0.77"


@modes
@pytest.mark.parametrize("family", [4, 6])
def test_what_the_kernel_tracks_untranslated(bare, mode, family):
    """The outside may speak first in a conversation that is older than the firewall; nobody begins to translate it."""
    lab = bare
    nft(lab, FILTER)
    web = lab.address("web", family)
    with Tcp(lab.john, lab.web, web, 7001, family) as tcp, Udp(lab.john, lab.web, web, 7002, family) as udp:
        tcp.both_speak()
        assert udp.client_says(b"one") and udp.server_says(b"two")
        assert tcp.seen()[0] == lab.address("john", family)
        said = lab.sally.up("--mode", mode).stdout
        assert taken_over(said) == 2, said
        assert tcp.server_says(b"the far side first") and udp.server_says(b"the far side first")
        tcp.both_speak()
        assert udp.client_says(b"three") and udp.seen()[0] == lab.address("john", family)
        assert udp.server_says(b"four")
        assert not lab.sally.drops()
