# SPDX-License-Identifier: BSD-2-Clause
"""John's real programs work through the firewall, and none of their packets is dropped."""

import hashlib
import json
import os
import re
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
pytestmark = pytest.mark.usefixtures("no_drops")
both = pytest.mark.parametrize("family", [4, 6])


def url(address, path, scheme="http"):
    return f"{scheme}://[{address}]{path}" if ":" in address else f"{scheme}://{address}{path}"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@both
def test_curl(net, family, tmp_path):
    address = net.address("web", family)
    assert net.john.run("curl", "-sS", "-m", 10, url(address, "/")).stdout == "hello John\n"
    net.john.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(address, "/big"))
    assert sha256(tmp_path / "big") == net.servers.big_sum


@both
def test_curl_many(net, family):
    """Fifty short connections, eight at a time."""
    address = net.address("web", family)
    done = net.john.run("curl", "-sS", "-m", 20, "--no-keepalive", "--parallel", "--parallel-max", 8,
                        "-H", "Connection: close", *[url(address, f"/?{i}") for i in range(50)])
    assert done.stdout == "hello John\n" * 50


@both
def test_ssh(net, family, tmp_path):
    address = net.address("web", family)
    assert net.john.run(*net.servers.ssh_command(address, "echo", "it is me")).stdout == "it is me\n"
    big = tmp_path / "big"
    net.john.run("sh", "-c", 'out="$1"; shift; exec "$@" >"$out"', "sh", big,
                 *net.servers.ssh_command(address, f"cat {net.servers.dir}/www/big"))
    assert sha256(big) == net.servers.big_sum


@both
def test_ssh_upload(net, family):
    address = net.address("web", family)
    done = net.john.run("sh", "-c", 'in="$1"; shift; exec "$@" <"$in"', "sh", f"{net.servers.dir}/www/big",
                        *net.servers.ssh_command(address, "sha256sum"))
    assert done.stdout.split()[0] == net.servers.big_sum


@both
def test_dig(net, family):
    address = net.address("web", family)
    dig = ["dig", f"-{family}", f"@{address}", "+tries=2", "+time=5"]
    assert net.john.run(*dig, "+short", "small.test", "A").stdout == "5.5.1.2\n"
    assert net.john.run(*dig, "+short", "+tcp", "small.test", "AAAA").stdout == "2a00:2:0:1::2\n"


@both
def test_dig_large_answer_in_fragments(net, family):
    before = net.web.snmp("Ip", "FragCreates") if family == 4 else None
    answer = net.john.run("dig", f"-{family}", f"@{net.address('web', family)}", "+notcp", "+ignore", "+bufsize=4096",
                          "+tries=2", "+time=5", "big.test", "TXT").stdout
    assert len(re.findall(r"^big\.test\..*\sTXT\s", answer, re.M)) == 15, answer
    assert int(re.search(r"MSG SIZE  rcvd: (\d+)", answer)[1]) > 3400
    if before is not None:
        assert net.web.snmp("Ip", "FragCreates") - before >= 3, "the answer was not fragmented: nothing was tested"


def iperf(net, family, *options):
    done = net.john.run("iperf3", f"-{family}", "-c", net.address("web", family), "-p", 5201, "-J",
                        "--connect-timeout", 5000, *options, check=False, timeout=40)
    report = json.loads(done.stdout)
    assert "error" not in report, report["error"]
    return report["end"]


@both
@pytest.mark.parametrize("direction", ["out", "in"])
def test_iperf3(net, family, direction):
    """Segmentation offloads are on, as the kernel made the interfaces. Three streams at once."""
    options = ["-R"] if direction == "in" else []
    end = iperf(net, family, "-t", 1, "-P", 3, *options)
    received = end["sum_received"]["bytes"]
    # how much the short queues of virtual cables lose is the network's own; that the firewall dropped nothing is the
    # fixture's to say
    assert received > 10e6, f"{received} bytes in a second"


@both
def test_iperf3_udp(net, family):
    end = iperf(net, family, "-t", 1, "-u", "-b", "10M", "--bidir", "-l", 1200)
    assert end["sum"]["packets"] > 1000
    # short queues of virtual cables lose some on a busy machine; that the firewall dropped none is the fixture's to say
    assert end["sum"]["lost_percent"] < 90, end["sum"]


@both
@pytest.mark.parametrize("size", [56, 4000])
def test_ping(net, family, size):
    """4,000 bytes travel in fragments, both ways. (The first IPv6 one teaches John the path's MTU and is lost to it.)"""
    done = net.john.run("ping", f"-{family}", "-n", "-c", 4, "-i", 0.05, "-W", 5, "-s", size,
                        net.address("web", family))
    assert int(re.search(r"(\d+) received", done.stdout)[1]) >= (4 if size == 56 else 3), done.stdout


@both
@pytest.mark.parametrize("how", ["udp", "tcp", "icmp"])
def test_traceroute(net, family, how):
    web = net.address("web", family)
    router = "5.5.0.2" if family == 4 else "2a00:1:0:2::2"
    door = "10.1.0.1" if family == 4 else "2a00:1:0:1::1"
    options = {"udp": [], "tcp": ["-T", "-p", 80], "icmp": ["-I"]}[how]
    done = net.john.run("traceroute", f"-{family}", "-n", "-q", 1, "-w", 2, "-m", 5, *options, web)
    hops = [line.split()[1] for line in done.stdout.splitlines()[1:]]
    assert hops == ([door] if net.kind == "gateway" else []) + [router, web], done.stdout


@both
def test_tracepath_finds_the_smaller_mtu(net, family):
    for version in ("-4", "-6"):
        net.john.run("ip", version, "route", "flush", "cache")
    done = net.john.run("tracepath", f"-{family}", "-n", "-m", 6, net.address("web", family), timeout=40)
    assert re.search(r"Resume: pmtu 1300\b", done.stdout), done.stdout


@both
def test_path_mtu_is_learnt_by_tcp(net, family):
    """The first full segments are too big beyond the router: its error must reach John."""
    for version in ("-4", "-6"):
        net.john.run("ip", version, "route", "flush", "cache")
    end = iperf(net, family, "-t", 1)
    assert end["sum_received"]["bytes"] > 5e6
    assert "mtu 1300" in net.john.run("ip", f"-{family}", "route", "get", net.address("web", family)).stdout


@both
@pytest.mark.gateway_only
def test_path_mtu_is_told_by_the_gateway(net, family, tmp_path):
    """The way to John narrows behind the firewall: its own error must reach the server, about packets it has let in."""
    net.web.run("ip", f"-{family}", "route", "flush", "cache")
    net.narrow(net.fw, "10.1.0.2/32", "2a00:1:0:1::2/128", "lan0", 1280)
    try:
        net.john.run("curl", "-sS", "-m", 20, "-o", tmp_path / "big", url(net.address("web", family), "/big"))
        assert sha256(tmp_path / "big") == net.servers.big_sum
        # the server knows him by the gateway's address, if somebody translates
        known = net.fw4 if family == 4 and net.mode != "none" else net.address("john", family)
        assert "mtu 1280" in net.web.run("ip", f"-{family}", "route", "get", known).stdout
    finally:
        for to in ("10.1.0.2/32", "2a00:1:0:1::2/128"):
            net.fw.run("ip", "route", "del", to)
        net.web.run("ip", f"-{family}", "route", "flush", "cache")


@both
def test_ftp_passive(net, family, tmp_path):
    net.john.run("curl", "-sS", "-m", 20, "--ftp-pasv", "-o", tmp_path / "big",
                 url(net.address("web", family), "/big", "ftp"))
    assert sha256(tmp_path / "big") == net.servers.big_sum


@both
def test_quic_like_udp(net, family):
    """Bursts of full-size datagrams both ways, then silence, then the server speaks first."""
    net.john.run(sys.executable, f"{HERE}/udp443.py", "client", net.address("web", family), 443)
