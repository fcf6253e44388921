# SPDX-License-Identifier: BSD-2-Clause
"""A home behind one address: its programs work, the outside sees that address, and none of their packets is dropped."""

import json
import re
import socket
import subprocess
import sys

import pytest

from lab import wait_for
from talk import Tcp, Udp
from test_programs import HERE, both, sha256, url

pytestmark = pytest.mark.usefixtures("honest")
SO_NO_CHECK = 11


def seen_as(home, role, family):
    """The address by which the outside knows somebody inside."""
    return home.fw4 if family == 4 else home.address(role, family)


@both
def test_curl(home, family, tmp_path):
    web = home.address("web", family)
    for role in ("john", "mary"):
        seen = getattr(home, role).run("curl", "-sS", "-m", 10, url(web, "/who")).stdout.split()
        assert seen[0] == seen_as(home, role, family)
    home.john.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(web, "/big"))
    assert sha256(tmp_path / "big") == home.servers.big_sum


def test_forty_connections_from_each_of_three_computers(home):
    urls = [url(home.web4, f"/?{i}") for i in range(40)]
    curls = [ns.start("curl", "-sS", "-m", 20, "--no-keepalive", "--parallel", "--parallel-max", 8,
                      "-H", "Connection: close", *urls, stdout=subprocess.PIPE, text=True)
             for ns in (home.john, home.mary, home.www)]
    for curl in curls:
        assert curl.communicate(timeout=30)[0] == "hello John\n" * 40


def test_ssh(home, tmp_path):
    command = home.servers.ssh_command(home.web4, "echo $SSH_CONNECTION; exec cat")
    done = home.john.run("sh", "-c", 'in="$1" out="$2"; shift 2; exec "$@" <"$in" >"$out"', "sh",
                         f"{home.servers.dir}/www/big", tmp_path / "back", *command)
    assert done.stderr == ""
    with open(tmp_path / "back", "rb") as file:
        assert file.readline().split()[0] == home.fw4.encode()
        (tmp_path / "big").write_bytes(file.read())
    assert sha256(tmp_path / "big") == home.servers.big_sum


def idle(lab):
    """Waits until the servers of iperf3 are done: what is forgotten while it closes stays half closed for minutes."""
    for server in (lab.web, lab.www):
        wait_for("the end of the last run", lambda: not server.run("ss", "-Htn", "state", "connected", "exclude",
                                                                   "time-wait", "sport = :5201").stdout, 30)


def iperf(client, address, *options):
    """A run of iperf3 against the server there, once the servers are done with the run before."""
    family = 6 if ":" in address else 4
    idle(client.lab)

    def run():
        done = client.run("iperf3", f"-{family}", "-c", address, "-J", "--connect-timeout", 5000, *options, check=False,
                          timeout=40)
        report = json.loads(done.stdout)
        return None if "server is busy" in report.get("error", "") else report

    report = wait_for("an idle server", run)
    assert "error" not in report, report["error"]
    return report["end"]


@pytest.mark.parametrize("offloads", ["on", "off"])
@pytest.mark.parametrize("direction", ["out", "in"])
def test_iperf3(home, direction, offloads):
    """Unfinished checksums and large segments to the end, or finished ones and small segments; three streams at once."""
    home.offloads(offloads)
    try:
        end = iperf(home.john, home.web4, "-t", 1, "-P", 3, *(["-R"] if direction == "in" else []))
    finally:
        home.offloads()
    assert end["sum_received"]["bytes"] > 10e6, f"{end['sum_received']['bytes']} bytes in a second"


@both
def test_iperf3_udp(home, family):
    end = iperf(home.john, home.address("web", family), "-t", 1, "-u", "-b", "10M", "--bidir", "-l", 1200)
    assert end["sum"]["packets"] > 1000
    # short queues of virtual cables lose some on a busy machine; that the firewall dropped none is the fixture's to say
    assert end["sum"]["lost_percent"] < 90, end["sum"]


def test_quic_like_udp(home):
    home.john.run(sys.executable, f"{HERE}/udp443.py", "client", home.web4, 443)


@pytest.mark.parametrize("offloads", ["late", "off"])
@pytest.mark.parametrize("checked", [True, False], ids=["checksum", "no-checksum"])
def test_datagrams_of_every_size(home, checked, offloads):
    """Empty, odd, full, in pieces; checksums unfinished, finished, or 0, which says that there is none (RFC 768)."""
    home.offloads(offloads)
    try:
        with Udp(home.john, home.web, home.web4, 7001) as udp:
            for sock in (udp.client, udp.server):
                sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, not checked)
            for size in (0, 1, 2, 555, 1271, 1272, 4000, 20001):
                text = bytes(i * 7 & 0xff for i in range(size))
                assert udp.client_says(text), f"{size} bytes out"
                assert udp.seen()[0] == home.fw4
                assert udp.server_says(text), f"{size} bytes back"
    finally:
        home.offloads()


def folded(*words):
    """One's complement sum (RFC 1071)."""
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def awkward(source, destination):
    """
    Payloads of two bytes with which the checksum of a UDP datagram between these (address, port) is 0, which must be sent as
    0xffff, or is just what an unfinished one would be; and their neighbours.
    """
    addresses = [int.from_bytes(socket.inet_aton(a)[i:i + 2], "big") for a in (source[0], destination[0]) for i in (0, 2)]
    pseudo = folded(*addresses, socket.IPPROTO_UDP, 10)
    rest = folded(pseudo, source[1], destination[1], 10)
    targets = {0, pseudo, pseudo ^ 0xffff}
    found = {x for x in range(65536) if folded(rest, x) ^ 0xffff in targets}
    return {(x + step & 0xffff).to_bytes(2, "big") for x in found for step in (-1, 0, 1)}


@pytest.fixture
def zero_checksums(home):
    """Counts datagrams for the test that say they have no checksum, where they arrive."""
    for ns in (home.john, home.web):
        ns.run("nft", "-f", "-", stdin="""table ip sums { counter zero { }
            chain pre { type filter hook prerouting priority -300;
                udp dport { 40061, 7013 } udp checksum 0 counter name zero
            }
            }""")
    yield lambda: sum(int(ns.run("nft", "list", "counter", "ip", "sums", "zero").stdout.split("packets ")[1].split()[0])
                      for ns in (home.john, home.web))
    for ns in (home.john, home.web):
        ns.run("nft", "delete", "table", "ip", "sums")


@pytest.mark.parametrize("offloads", ["late", "off"])
def test_awkward_checksums(home, zero_checksums, offloads):
    """
    Before translation and after, there and back, with a port that changes: no checksum is lost, a finished one is not taken
    for an unfinished one, nor the other way round.
    """
    home.offloads(offloads)
    john, web = (home.john4, 40061), (home.web4, 7013)
    try:
        with Udp(home.mary, home.web, home.web4, 7014, source=40061) as mary, \
                Udp(home.john, home.web, home.web4, 7013, source=40061) as udp:
            assert mary.client_says(b"the port is mine") and udp.client_says(b"hello") and udp.server_says(b"hello")
            outside = udp.seen()
            assert home.mode == "nft" or outside[1] != 40061
            for text in awkward(john, web) | awkward(outside, web):
                assert udp.client_says(text), text.hex()
            for text in awkward(web, john) | awkward(web, outside):
                assert udp.server_says(text), text.hex()
        assert zero_checksums() == 0
        with Udp(home.john, home.web, home.web4, 7013, source=40061) as udp:
            udp.client.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
            assert udp.client_says(b"I have none")
        assert zero_checksums() == 1, "what had none before has none afterwards"
    finally:
        home.offloads()


@pytest.mark.beyond_nft
@pytest.mark.parametrize("kind", [Tcp, Udp])
def test_ports_are_kept_where_that_is_free(home, kind):
    """RFC 4787 REQ-3, -4: the same number; if somebody has it, another of the same parity and on the same side of 1024."""
    for port in (40001, 40002, 700, 701):
        with kind(home.john, home.web, home.web4, 7002, source=port) as first:
            assert first.client_says(b"first")
            assert first.seen()[1] == port
            with kind(home.mary, home.web, home.web4, 7003, source=port) as second:
                assert second.client_says(b"second") and second.server_says(b"back")
                other = second.seen()[1]
                assert other != port and other % 2 == port % 2 and (other < 1024) == (port < 1024), other
            assert first.server_says(b"still here")


@pytest.mark.beyond_nft
@pytest.mark.parametrize("kind", [Tcp, Udp])
def test_ports_of_the_machine_itself_are_not_given_out(home, kind):
    how = socket.SOCK_STREAM if kind is Tcp else socket.SOCK_DGRAM
    with home.fw.socket(socket.AF_INET, how) as own:
        own.bind(("0.0.0.0", 40010))
        if kind is Tcp:
            own.listen()
        with kind(home.john, home.web, home.web4, 7004, source=40010) as talk:
            assert talk.client_says(b"here I am") and talk.server_says(b"welcome")
            assert talk.seen()[1] not in (0, 40010)


def test_pings_with_one_identifier(home):
    """Three computers ping with the same number at once, and each gets its own answers."""
    seen = home.web.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    pings = [ns.start("ping", "-n", "-c", 10, "-i", 0.05, "-W", 5, "-e", 77, "-p", pattern, home.web4,
                      stdout=subprocess.PIPE, text=True)
             for ns, pattern in ((home.john, "0a"), (home.mary, "0b"), (home.www, "0c"))]
    for ping in pings:
        said = ping.communicate(timeout=30)[0]
        assert "10 received" in said and "wrong data" not in said and "DUP" not in said, said
    seen.setblocking(False)
    idents = set()
    while True:
        try:
            packet = seen.recv(2048)
        except BlockingIOError:
            break
        if packet[20] == 8:
            idents.add(int.from_bytes(packet[24:26], "big"))
    seen.close()
    assert len(idents) == 3 and 77 in idents, idents


@both
@pytest.mark.parametrize("size", [56, 4000])
def test_ping(home, family, size):
    """4,000 bytes travel in fragments, both ways, once John knows the path's MTU."""
    web = home.address("web", family)
    home.john.run("ping", f"-{family}", "-n", "-c", 1, "-W", 0.3, "-s", 1400, web, check=False)
    done = home.john.run("ping", f"-{family}", "-n", "-c", 4, "-i", 0.05, "-W", 5, "-s", size, web)
    assert "4 received" in done.stdout, done.stdout


def test_large_dns_answer_in_fragments(home):
    before = home.web.snmp("Ip", "FragCreates")
    answer = home.john.run("dig", f"@{home.web4}", "+notcp", "+ignore", "+bufsize=4096", "+tries=2", "+time=5",
                           "big.test", "TXT").stdout
    assert len(re.findall(r"^big\.test\..*\sTXT\s", answer, re.M)) == 15, answer
    assert home.web.snmp("Ip", "FragCreates") - before >= 3, "the answer was not fragmented: nothing was tested"


@pytest.mark.beyond_nft
@pytest.mark.parametrize("kind", [Tcp, Udp])
def test_one_port_for_all_servers(home, kind):
    """RFC 4787 REQ-1, 5382 REQ-1: endpoint-independent mapping, also where the port was not free."""
    with kind(home.mary, home.web, home.web4, 7005, source=40021) as mary:
        assert mary.client_says(b"the port is mine") and mary.seen()[1] == 40021
        seen = []
        for address, port in ((home.web4, 7006), (home.web4, 7007), (home.second4, 7008), (home.stranger4, 7009)):
            server = home.stranger if address == home.stranger4 else home.web
            talk = kind(home.john, server, address, port, source=40021, at=address)
            assert talk.client_says(b"which port do you see?") and talk.server_says(b"that one")
            seen.append(talk)
        ports = {talk.seen()[1] for talk in seen}
        assert len(ports) == 1 and ports != {40021}, ports
        for talk in seen:
            talk.close()


def test_a_port_is_used_again_at_once(honest):
    """The server closes first and remembers the connection for a while; John comes again from the same port."""
    home = honest
    for i in range(15):
        with Tcp(home.john, home.web, home.web4, 7012, source=40041) as tcp:
            tcp.both_speak(b"round %d" % i)
            assert tcp.seen() == (home.fw4, 40041)
            tcp.server.shutdown(socket.SHUT_WR)
            assert tcp.client.recv(100) == b""


def test_what_runs_on_the_machine_itself_is_not_translated(home):
    with Tcp(home.fw, home.web, home.web4, 7010, source=40031) as tcp:
        tcp.both_speak()
        assert tcp.seen() == (home.fw4, 40031)
