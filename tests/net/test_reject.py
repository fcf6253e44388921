# SPDX-License-Identifier: BSD-2-Clause
"""Refusing with an error: who is told, in which bytes, and who never is. Whole packets are compared."""

import errno
import fcntl
import os
import socket
import struct
import time

import pytest
from conftest import MODES, checksums_were_right, need_lab
from lab import Lab, grown, wait_for
from talk import FAMILY, Tcp
from wire import MARKER_PORT, Wire, quoting

from scapy.all import ICMP, IP, TCP, UDP, Dot1Q, Ether, ICMPv6EchoReply, ICMPv6TimeExceeded, IPOption_NOP, IPv6  # after wire
from scapy.all import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, Raw

families = pytest.mark.parametrize("family", [4, 6])
EVERYTHING = "block inside -> outside"
MARKER = f"block inside -> outside : udp/{MARKER_PORT}"
SO_RCVBUFFORCE = 33
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 0x1, 0x1000
TCP_KIND, UDP_KIND = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture(scope="module", params=[m for m in MODES if m != "none"])
def lab(request, tmp_path_factory):
    """A gateway; `wire` is John's cable."""
    need_lab()
    lab = Lab("gateway")
    try:
        lab.mode = request.param
        lab.dir = tmp_path_factory.mktemp("reject")
        lab.sally.up("--mode", lab.mode, "--no-config", "--flows", 100000)
        lab.wire = Wire(lab.john, "eth0", lab.fw, "lan0")
        yield lab
        lab.wire.close()
        checksums_were_right(lab)
        assert lab.john.snmp("Icmp", "InCsumErrors") == 0
        assert "Icmp6InCsumErrors               \t0" in lab.john.run("cat", "/proc/net/snmp6").stdout
        lab.sally.down()
    finally:
        lab.close()


def put(lab, *lines, options=("--no-trial",)):
    path = lab.dir / "sally.conf"
    path.write_text("".join(line + "\n" for line in lines))
    return lab.sally("apply", *options, path).stdout


def fw_inside(family):
    return "10.1.0.1" if family == 4 else "2a00:1:0:1::1"


def packet(lab, family, **fields):
    """The header of a packet from John to the web server."""
    fields = {"src": lab.address("john", family), "dst": lab.address("web", family), **fields}
    return (IP if family == 4 else IPv6)(**fields)


def back(frame, whole, **eth):
    """The frame of an answer: to whom this one came from."""
    was = Ether(frame)
    return bytes(Ether(src=was.dst, dst=was.src, **eth) / whole)


def error(lab, frame, skip=14, source=None):
    """The ICMP error about this frame's packet, an IP packet of the firewall's own."""
    quoted = frame[skip:]
    family = quoted[0] >> 4
    ends = {"src": source or fw_inside(family), "dst": (IP if family == 4 else IPv6)(quoted).src}
    outer = IP(flags="DF", id=0, tos=0xc0, ttl=64, **ends) if family == 4 else IPv6(hlim=64, **ends)
    return outer / quoting(quoted)


def reset(lab, family, to=None, **tcp):
    """A reset from the web server's address to John's, or another."""
    ends = {"src": lab.address("web", family), "dst": to or lab.address("john", family)}
    outer = IP(flags="DF", id=0, ttl=64, **ends) if family == 4 else IPv6(hlim=64, **ends)
    return outer / TCP(window=0, **tcp)


def ask(lab, *frames, family=4):
    return lab.wire.answers(lab.address("john", family), lab.address("web", family), *frames)


def same(got, want):
    assert [data.hex() for data in got] == [data.hex() for data in want], \
        f"got {[Ether(data).show2(dump=True) for data in got]}, wanted {[Ether(data).show2(dump=True) for data in want]}"


# ---- what a person sees -----------------------------------------------------------------------------------------------


@families
def test_the_inside_is_told_at_once(lab, family):
    put(lab, "block inside -> outside : tcp/7001, udp/7001, icmp")
    web, before = lab.address("web", family), lab.sally.drops()
    with lab.john.socket(FAMILY[family], TCP_KIND, timeout=10) as sock, pytest.raises(ConnectionRefusedError):
        sock.connect((web, 7001))
    assert grown(before, lab.sally.drops()) == {"blocked": 1}, "its first packet was not answered"
    with lab.john.socket(FAMILY[family], UDP_KIND, timeout=10) as sock:
        sock.connect((web, 7001))
        sock.send(b"hello")
        with pytest.raises(OSError) as caught:
            sock.recv(10)
        assert caught.value.errno == (errno.EHOSTUNREACH if family == 4 else errno.EACCES)
    said = lab.john.run("ping", "-c", 1, "-W", 10, web, check=False).stdout
    assert f"From {fw_inside(family)} icmp_seq=1 " in said, said
    assert ("Packet filtered" if family == 4 else "Administratively prohibited") in said, said
    assert lab.sally.flows() == [], "an answer is no conversation"


@pytest.fixture
def no_marks(lab):
    """The mark by which an answer is known is taken off before anybody else sees it: what has one is dropped."""
    lab.fw.run("nft", "add table inet marks; add chain inet marks input { type filter hook input priority 0; }; "
               "add rule inet marks input meta mark != 0 drop")
    yield
    lab.fw.run("nft", "delete table inet marks")


@families
def test_so_is_this_machine_itself(lab, no_marks, family):
    put(lab, "block self -> outside : tcp/7001, udp/7001")
    web, before = lab.address("web", family), lab.sally.drops()
    with lab.fw.socket(FAMILY[family], TCP_KIND, timeout=10) as sock, pytest.raises(ConnectionRefusedError):
        sock.connect((web, 7001))
    with lab.fw.socket(FAMILY[family], UDP_KIND, timeout=10) as sock:
        sock.connect((web, 7001))
        sock.send(b"hello")
        with pytest.raises(OSError) as caught:
            sock.recv(10)
        assert caught.value.errno == (errno.EHOSTUNREACH if family == 4 else errno.EACCES)
    assert grown(before, lab.sally.drops()) == {"blocked": 2}
    assert lab.sally.flows() == []


@families
@pytest.mark.parametrize("lines,told,reason", [
    ([], False, "uninvited"),
    (["refuse outside with drop"], False, "uninvited"),
    (["refuse outside with reject"], True, "uninvited"),
    (["refuse outside with reject", "block outside -> inside drop"], False, "blocked"),
    (["block outside -> inside reject"], True, "blocked"),
], ids=["by-itself", "drop", "reject", "but-this-line-drop", "but-this-line-reject"])
def test_the_outside_meets_silence_unless_it_is_told_too(lab, family, lines, told, reason):
    stranger, john = lab.address("stranger", family), lab.address("john", family)
    wire = Wire(lab.stranger, "eth0", lab.router, "s0")
    try:
        put(lab, f"open udp/{MARKER_PORT}", *lines)  # nobody listens there: this machine's own stack says so
        before = lab.sally.drops()
        head = (IP if family == 4 else IPv6)(src=stranger, dst=john)
        probes = [wire.frame(head / TCP(sport=4000, dport=80, flags="S")), wire.frame(head / UDP(sport=4000, dport=80))]
        got = wire.answers(stranger, lab.address("fw", family), *probes)
        assert len(got) == 2 * told, [Ether(data).summary() for data in got]
        assert grown(before, lab.sally.drops()) == {reason: 2}
    finally:
        wire.close()


@families
def test_a_line_decides_for_itself(lab, family):
    syns = [lab.wire.frame(packet(lab, family) / TCP(sport=4001, dport=port, seq=1, flags="S")) for port in (7001, 7002)]
    told = back(syns[1], reset(lab, family, sport=7002, dport=4001, seq=0, ack=2, flags="RA"))
    lines = "block inside -> outside : tcp/7001", "block inside -> outside : tcp/7002", MARKER
    for options, zone in (((" drop", "", ""), "refuse inside with reject"),
                          (("", " reject", " reject"), "refuse inside with drop")):
        put(lab, zone, *map(str.__add__, lines, options))
        before = lab.sally.drops()
        same(ask(lab, *syns, family=family), [told])
        assert grown(before, lab.sally.drops())["blocked"] >= 4, "one was stopped for another reason"


# ---- the bytes ----------------------------------------------------------------------------------------------------------

SEQ, ACK = 0xfffffff0, 0x12345678
SEGMENTS = {  # flags, bytes of payload -> seq, ack, flags of the reset (RFC 9293 3.10.7.1)
    "syn": ("S", 0, 0, SEQ + 1, "RA"),
    "syn-with-data": ("S", 100, 0, SEQ + 101, "RA"),
    "syn-ack": ("SA", 0, ACK, 0, "R"),
    "ack": ("A", 0, ACK, 0, "R"),
    "data": ("PA", 1, ACK, 0, "R"),
    "fin": ("FA", 0, ACK, 0, "R"),
}


@families
@pytest.mark.parametrize("case", SEGMENTS)
def test_a_reset_has_the_numbers_that_the_sender_believes(lab, family, case):
    flags, payload, seq, ack, want = SEGMENTS[case]
    put(lab, EVERYTHING)
    segment = TCP(sport=4002, dport=80, seq=SEQ, ack=ACK if "A" in flags else 0, flags=flags,
                  options=[("MSS", 1400), ("NOP", None)])
    frame = lab.wire.frame(packet(lab, family) / segment / (b"x" * payload))
    same(ask(lab, frame, family=family),
         [back(frame, reset(lab, family, sport=80, dport=4002, seq=seq, ack=ack & 0xffffffff, flags=want))])


@families
def test_headers_before_the_segment_do_not_matter(lab, family):
    put(lab, EVERYTHING)
    head = packet(lab, 4, options=[IPOption_NOP()] * 4) if family == 4 else \
        packet(lab, 6) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
    frames = [lab.wire.frame(head / TCP(sport=4003, dport=80, seq=1, flags="S")),
              lab.wire.frame(head / UDP(sport=4003, dport=80) / b"with options")]
    same(ask(lab, *frames, family=family),
         [back(frames[0], reset(lab, family, sport=80, dport=4003, seq=0, ack=2, flags="RA")),
          back(frames[1], error(lab, frames[1]))])


@families
def test_an_error_quotes_as_much_as_fits(lab, family):
    put(lab, EVERYTHING)
    most = 576 - 28 - 28 if family == 4 else 1280 - 48 - 48
    frames = [lab.wire.frame(packet(lab, family) / UDP(sport=4004, dport=80) / bytes(i % 251 for i in range(size)))
              for size in (0, 1, 2, most - 1, most, most + 1, 1400)]
    frames.append(lab.wire.frame(packet(lab, family) / UDP(sport=4004, dport=80, chksum=0) / b"x") if family == 4 else
                  lab.wire.frame(packet(lab, family, nh=47) / Raw(b"\0" * 40)))
    frames.append(lab.wire.frame(packet(lab, 4, flags="MF", id=77) / UDP(sport=4004, dport=80, len=100) / (b"x" * 32)) if
                  family == 4 else lab.wire.frame(packet(lab, 6) / IPv6ExtHdrFragment(m=1, id=77, nh=17) /
                                                  UDP(sport=4004, dport=80, len=100) / (b"x" * 32)))
    same(ask(lab, *frames, family=family), [back(frame, error(lab, frame)) for frame in frames])


@families
def test_a_tagged_frame_gets_a_tagged_answer(lab, family):
    put(lab, EVERYTHING)
    frames = [lab.wire.frame(Dot1Q(vlan=7) / packet(lab, family) / TCP(sport=4005, dport=80, seq=1, flags="S")),
              lab.wire.frame(Dot1Q(vlan=7) / packet(lab, family) / UDP(sport=4005, dport=80) / b"tagged")]
    want = [Dot1Q(vlan=7) / reset(lab, family, sport=80, dport=4005, seq=0, ack=2, flags="RA"),
            Dot1Q(vlan=7) / error(lab, frames[1], skip=18)]
    same(ask(lab, *frames, family=family), [back(frame, whole) for frame, whole in zip(frames, want)])


@families
def test_unfinished_checksums_are_finished_right(lab, family):
    """John's own stack leaves its checksums to the hardware; the firewall's device has no such hardware."""
    put(lab, EVERYTHING)
    lab.fw.run("ethtool", "-K", "lan0", "tx", "off")
    try:
        lab.wire.drain()
        with lab.john.socket(FAMILY[family], TCP_KIND, timeout=10) as sock, pytest.raises(ConnectionRefusedError):
            sock.connect((lab.address("web", family), 7006))
        for size in (7, 900):
            with lab.john.socket(FAMILY[family], UDP_KIND, timeout=10) as sock:
                sock.connect((lab.address("web", family), 7006))
                sock.send(b"x" * size)
                with pytest.raises(OSError):
                    sock.recv(10)
        seen = 0
        for data in lab.wire.received(0.3):
            ip = Ether(data).getlayer(IP) or Ether(data).getlayer(IPv6)
            if ip is None or ip.dst != lab.address("john", family) or not (b"x" * 7 in data or TCP in ip):
                continue
            again = type(ip)(bytes(ip))
            delattr(again.getlayer(1), "chksum" if TCP in ip or family == 4 else "cksum")
            assert bytes(again) == bytes(ip), Ether(data).show2(dump=True)
            seen += 1
        assert seen == 3
    finally:
        lab.fw.run("ethtool", "-K", "lan0", "tx", "on")


@pytest.fixture
def tunnel(lab):
    """A device without Ethernet headers, inside; its other end is a file."""
    def make():
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        return fd

    fd = lab.fw.inside(make)
    lab.fw.run("ip", "addr", "add", "10.9.0.1/24", "dev", "tun0")
    lab.fw.run("ip", "addr", "add", "2a00:1:0:9::1/64", "dev", "tun0", "nodad")
    lab.fw.run("ip", "link", "set", "tun0", "up")
    os.set_blocking(fd, False)
    lab.sally.down()
    lab.sally.up("--no-config", "--flows", 100000)
    yield fd
    os.close(fd)
    lab.sally.down()
    lab.sally.up("--mode", lab.mode, "--no-config", "--flows", 100000)


@families
def test_so_it_is_where_there_is_no_ethernet(lab, tunnel, family):
    here, there = ("10.9.0.1", "10.9.0.2") if family == 4 else ("2a00:1:0:9::1", "2a00:1:0:9::2")
    put(lab, EVERYTHING)
    asked = [bytes(packet(lab, family, src=there) / TCP(sport=4011, dport=80, seq=1, flags="S")),
             bytes(packet(lab, family, src=there) / UDP(sport=4011, dport=80) / b"no frame")]
    want = [bytes(reset(lab, family, to=there, sport=80, dport=4011, seq=0, ack=2, flags="RA")),
            bytes(error(lab, asked[1], skip=0, source=here))]
    for question, answer in zip(asked, want):
        os.write(tunnel, question)
        wait_for("the answer", lambda: answer in pending(tunnel), 10, 0.02)


def pending(fd):
    """Packets that wait to be read."""
    got = []
    while True:
        try:
            got.append(os.read(fd, 3000))
        except BlockingIOError:
            return got


# ---- who is never told ----------------------------------------------------------------------------------------------------


def never(lab, family):
    """Frames that are stopped, and must not be answered: by name, with the reason."""
    p, w = packet(lab, family), lab.wire
    udp, syn = UDP(sport=4007, dport=80) / b"x", TCP(sport=4007, dport=80, flags="S")
    yield "a reset", w.frame(p / TCP(sport=4007, dport=80, seq=1, flags="R")), "blocked"
    yield "a reset with an acknowledgement", w.frame(p / TCP(sport=4007, dport=80, seq=1, ack=1, flags="RA")), "blocked"
    yield "a wrong checksum", w.frame(p / TCP(sport=4007, dport=80, flags="S", chksum=1)), "l4_checksum"
    yield "a broadcast of the link", w.frame(p / udp, dst="ff:ff:ff:ff:ff:ff"), "blocked"
    yield "a multicast of the link", w.frame(p / syn, dst="01:00:5e:00:00:01"), "blocked"
    yield "somebody else's frame", w.frame(p / syn, dst="02:00:00:00:00:99"), "blocked"
    yield "nonsense", w.frame(p / TCP(sport=4007, dport=80, flags="SF")), "tcp_flags"
    stolen = "5.5.2.77" if family == 4 else "2a00:2:0:2::77"
    yield "another's address", w.frame(packet(lab, family, src=stolen) / syn), "blocked"
    if family == 4:
        yield "an answer to a ping", w.frame(p / ICMP(type=0, id=9)), "icmp_unasked"
        yield "an error", w.frame(p / ICMP(type=3, code=1) / packet(lab, 4) / udp), "icmp_target"
        yield "a later piece", w.frame(packet(lab, 4, frag=10, id=9, proto=17) / Raw(b"x" * 64)), "frag_headless"
        yield "the first piece of a segment", w.frame(packet(lab, 4, flags="MF", id=9) / syn / (b"x" * 4)), "blocked"
        yield "to a group", w.frame(packet(lab, 4, dst="239.1.1.1") / udp), None
        yield "to everybody", w.frame(packet(lab, 4, dst="255.255.255.255") / udp), None
    else:
        yield "an answer to a ping", w.frame(p / ICMPv6EchoReply(id=9)), "icmp_unasked"
        yield "an error", w.frame(p / ICMPv6TimeExceeded() / packet(lab, 6) / udp), "icmp_target"
        yield "a later piece", w.frame(p / IPv6ExtHdrFragment(offset=10, id=9, nh=17) / Raw(b"x" * 64)), "frag_headless"
        yield "to a group", w.frame(packet(lab, 6, dst="ff0e::1234") / udp), None


@families
def test_some_are_never_told(lab, family):
    put(lab, EVERYTHING, "block inside -> self : udp/80")
    for what, frame, reason in never(lab, family):
        before = lab.sally.drops()
        got = lab.wire.answers(lab.address("john", family), lab.address("web", family), frame, any_address=True)
        assert got == [], (what, [Ether(data).summary() for data in got])
        stopped = grown(before, lab.sally.drops())
        assert reason is None or stopped.get(reason, 0) >= (3 if reason == "blocked" else 1), (what, stopped)


def test_a_flood_gets_a_bounded_number_of_answers(lab):
    """1,000 a second and 50 at once, as the kernel's own errors; more than half of the flood must go without."""
    put(lab, EVERYTHING)
    flood = [lab.wire.frame(packet(lab, 4) / TCP(sport=10000 + i, dport=80, flags="S")) for i in range(4000)]
    lab.wire.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    lab.wire.drain()
    before, begin = lab.sally.drops(), time.monotonic()
    for frame in flood:
        lab.wire.sock.send(frame)
    seconds = time.monotonic() - begin
    got = [data for data in lab.wire.received(0.5) if TCP in Ether(data) and Ether(data)[IP].dst == lab.john4]
    assert grown(before, lab.sally.drops())["blocked"] == 4000
    assert 50 <= len(got) <= 50 + 1000 * (seconds + 0.1), (len(got), seconds)


# ---- what goes on ---------------------------------------------------------------------------------------------------------


def test_a_connection_of_which_only_one_end_is_left_ends(lab):
    """SYN ACK from the inside without a SYN; with the line's zone silent it is stopped all the same."""
    frame = lab.wire.frame(packet(lab, 4) / TCP(sport=80, dport=4008, seq=7, ack=8, flags="SA"))
    put(lab, MARKER)
    before = lab.sally.drops()
    same(ask(lab, frame), [back(frame, reset(lab, 4, sport=4008, dport=80, seq=8, flags="R"))])
    assert grown(before, lab.sally.drops())["tcp_no_flow"] == 1
    put(lab, MARKER + " reject", "refuse inside with drop")
    assert ask(lab, frame) == []


@families
def test_a_line_taken_back_ends_both_ends_but_not_on_trial(lab, family):
    line = "allow outside -> inside : tcp/7110"
    put(lab, line)
    with Tcp(lab.stranger, lab.john, lab.address("john", family), 7110, family) as tcp:
        tcp.both_speak()
        before = lab.sally.drops()
        put(lab, "# nothing", options=("--trial", 60))
        tcp.server.sendall(b"x" * 50000)
        wait_for("its end", lambda: grown(before, lab.sally.drops()).get("revoked", 0) >= 2)
        lab.sally("undo")
        assert tcp.client.recv(50000), "the trial is over, the conversation is not there any more"
        put(lab, "# nothing")
        tcp.server.settimeout(10)
        with pytest.raises(ConnectionResetError):
            while True:
                tcp.server.sendall(b"x" * 50000)


def ports(wire):
    """To which TCP ports somebody has sent something meanwhile."""
    return {Ether(data)[TCP].dport for data in wire.received(0.1) if TCP in Ether(data)}


def test_without_its_helper_xdp_lets_nothing_in(lab):
    """What XDP hands on to be answered is worth nothing to the stack."""
    if lab.mode != "xdp":
        return
    put(lab, "block inside -> outside : tcp/7011, tcp/7012")
    far = Wire(lab.router, "eth0", lab.fw, "wan0")
    lab.fw.run("tc", "filter", "del", "dev", "lan0", "ingress")
    try:
        for family in (4, 6):
            before = lab.sally.drops()
            frame = lab.wire.frame(packet(lab, family) / TCP(sport=4009, dport=7011, flags="S"))
            lab.wire.sock.send(frame)
            wait_for("its refusal", lambda: grown(before, lab.sally.drops()) == {"blocked": 1})
            lab.wire.sock.send(lab.wire.frame(packet(lab, family) / TCP(sport=4009, dport=7013, flags="S")))
            seen = set()
            wait_for("the one that may pass", lambda: 7013 in seen or seen.update(ports(far)))
            assert 7011 not in seen
    finally:
        far.close()
        lab.sally.down()
        lab.sally.up("--mode", lab.mode, "--no-config", "--flows", 100000)


def test_answers_need_no_conversation_and_are_counted(lab):
    put(lab, EVERYTHING)
    lab.sally("flows", "kill", "--all")
    before = lab.sally.status()["passed"]["own_error"]["packets"] if "own_error" in lab.sally.status()["passed"] else 0
    ask(lab, *[lab.wire.frame(packet(lab, 4) / TCP(sport=4010 + i, dport=80, flags="S")) for i in range(10)])
    assert lab.sally.status()["passed"]["own_error"]["packets"] - before >= 12
    assert lab.sally.flows() == []


def test_what_can_not_be_translated_is_told_on_the_way_out(lab):
    """The outside address is gone, there is nothing to translate to. The answer goes back to where the packet came in."""
    put(lab, MARKER)
    lab.fw.run("ip", "addr", "del", "5.5.0.1/24", "dev", "wan0")
    lab.fw.run("ip", "route", "add", "default", "via", "5.5.0.2", "dev", "wan0", "onlink")
    try:
        sent, routed = ([lab.wire.frame(packet(lab, 4, ttl=ttl) / TCP(sport=4020, dport=80, seq=1, flags="S")),
                         lab.wire.frame(packet(lab, 4, ttl=ttl) / UDP(sport=4020, dport=80) / b"x")] for ttl in (64, 63))
        before = lab.sally.drops()
        same(ask(lab, *sent), [back(frame, error(lab, frame)) for frame in routed])
        assert grown(before, lab.sally.drops())["nat_address"] == 2
    finally:
        lab.fw.run("ip", "addr", "add", "5.5.0.1/24", "dev", "wan0")
        lab.fw.run("ip", "route", "replace", "default", "via", "5.5.0.2")
