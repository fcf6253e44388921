# SPDX-License-Identifier: BSD-2-Clause
"""`sally replay`: links, formats, broken files, sides, checksums. The captures are made here, byte by byte."""

import json
import os
import socket
import struct
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SALLY = os.path.abspath(os.environ.get("SALLY", os.path.join(ROOT, "build", "sally")))
JOHN, SERVER = "10.0.0.2", "198.51.100.7"


def sum16(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def udp(src, dst, sport, dport, payload=b"hello", check="right"):
    """A bare IPv4 packet; check: right, partial (left to the network card), wrong."""
    length = 8 + len(payload)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, 17, length)
    head = struct.pack("!HHHH", sport, dport, length, 0)
    value = {"right": ~sum16(pseudo + head + payload) & 0xffff or 0xffff,
             "partial": sum16(pseudo), "wrong": 0x1234}[check]
    head = struct.pack("!HHHH", sport, dport, length, value)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 1, 0, 64, 17, 0, socket.inet_aton(src), socket.inet_aton(dst))
    ip = ip[:10] + struct.pack("!H", ~sum16(ip) & 0xffff) + ip[12:]
    return ip + head + payload


ASK = udp(JOHN, SERVER, 40000, 53)
ANSWER = udp(SERVER, JOHN, 53, 40000)
INTRUDER = udp("203.0.113.9", JOHN, 4444, 22)


def pcap(packets, link, times=None, snap=65535, order="<"):
    out = struct.pack(order + "IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, snap, link)
    for i, data in enumerate(packets):
        s, us = times[i] if times else (1000 + i, 0)
        kept = data[:snap]
        out += struct.pack(order + "IIII", s, us, len(kept), len(data)) + kept
    return out


def pcapng(packets, link):
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    out = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)) + block(1, struct.pack("<HHI", link, 0, 0))
    for i, data in enumerate(packets):
        out += block(6, struct.pack("<IIIII", 0, 0, i * 1000, len(data), len(data)) + data)
    return out


def replay(*argv, stdin=b""):
    done = subprocess.run([SALLY, "replay", *map(str, argv)], input=stdin, capture_output=True, timeout=30)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def judged(*argv, stdin=b""):
    """(verdict, reason) of every packet, and the summary."""
    code, out, err = replay("--json", *argv, stdin=stdin)
    assert code == 0 and err == "", err
    objects = [json.loads(line) for line in out.splitlines()]
    return [(p["verdict"], p["reason"]) for p in objects[:-1]], objects[-1]["summary"]


STORY = [ASK, ANSWER, INTRUDER]
STORY_SAID = [("pass", "new_inside"), ("pass", "answer"), ("drop", "uninvited")]

LINKS = {
    "ethernet": (1, b"\2" * 12 + b"\x08\x00"),
    "vlan": (1, b"\2" * 12 + b"\x81\x00\x00\x05\x08\x00"),
    "raw": (101, b""),
    "ipv4": (228, b""),
    "cooked": (113, struct.pack("!HHH8sH", 0, 1, 6, b"\2" * 8, 0x0800)),
    "cooked2": (276, struct.pack("!HHIHBB8s", 0x0800, 0, 2, 1, 0, 6, b"\2" * 8)),
    "null_little": (0, struct.pack("<I", 2)),
    "null_big": (0, struct.pack(">I", 2)),
    "loop": (108, struct.pack(">I", 2)),
}


@pytest.mark.parametrize("link", LINKS)
def test_every_link_is_read(tmp_path, link):
    number, head = LINKS[link]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([head + p for p in STORY], number))
    assert judged(path)[0] == STORY_SAID


@pytest.mark.parametrize("order", "<>")
def test_pcap_of_either_byte_order_pcapng_and_standard_input(tmp_path, order):
    data = pcap(STORY, 101, order=order)
    assert judged("-", stdin=data)[0] == STORY_SAID
    assert judged("-", stdin=pcapng(STORY, 101))[0] == STORY_SAID


def test_a_packet_of_another_link_protocol_is_not_ip():
    arp = struct.pack("!HHH8sH", 0, 1, 6, b"\2" * 8, 0x0806) + b"\0" * 28
    assert judged("-", stdin=pcap([arp], 113))[0] == [("pass", "not_ip")]


def test_what_stands_before_a_truncation_is_reported(tmp_path):
    path = tmp_path / "short.pcap"
    path.write_bytes(pcap(STORY, 101)[:-5])
    code, out, err = replay(path)
    assert code == 1
    assert "2 packets" in out and "new_inside" in out and "answer" in out
    assert err.count("\n") == 1 and str(path) in err and "packet 2" in err
    code, out, _ = replay(path, "--json")
    assert code == 1 and "packet 2" in json.loads(out.splitlines()[-1])["summary"]["error"]


NO_CAPTURES = {"empty": (b"", "capture"), "foreign": (b"#!/bin/sh\necho\n" * 9, "capture"),
               "unknown link": (pcap([], 105), "link type 105")}


@pytest.mark.parametrize("data, word", NO_CAPTURES.values(), ids=NO_CAPTURES)
def test_what_is_no_capture_is_refused_in_one_line(tmp_path, data, word):
    path = tmp_path / "x"
    path.write_bytes(data)
    code, out, err = replay(path)
    assert code == 1 and out == "" and err.count("\n") == 1 and str(path) in err and word in err


def test_directory_and_missing_file(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        code, out, err = replay(path)
        assert code == 1 and out == "" and err.count("\n") == 1 and str(path) in err


WRONG = ["", "a b", "a --inside", "a --inside 10.0.0.0/33", "a --inside x", "a --inside 10.0.0.1,", "a --inside ::1/x",
         "a --flows 0", "a --checksums no", "a --inside ::1 --outside ::2", "a --nonsense"]


@pytest.mark.parametrize("argv", WRONG)
def test_wrong_command_lines_are_usage_errors(argv):
    code, out, err = replay(*argv.split())
    assert code == 2 and out == "" and err.count("\n") == 1


SIDES = [
    ([], STORY_SAID),
    (["--inside", JOHN], STORY_SAID),
    (["--inside", "192.0.2.1,10.0.0.0/24"], STORY_SAID),
    (["--inside", "192.0.2.1", "--inside", "10.0.0.0/8"], STORY_SAID),
    (["--outside", "198.51.100.0/24,203.0.113.0/24"], STORY_SAID),
    (["--outside", "0.0.0.0/0"], [("drop", "uninvited")] * 3),
    (["--inside", SERVER], [("drop", "uninvited"), ("pass", "new_inside"), ("drop", "uninvited")]),
    (["--inside", SERVER + "/31"], [("drop", "uninvited"), ("pass", "new_inside"), ("drop", "uninvited")]),
    (["--self", JOHN], [("pass", "new_self"), ("pass", "answer"), ("drop", "uninvited")]),
]


@pytest.mark.parametrize("argv, said", SIDES, ids=lambda x: "_".join(x) if x and isinstance(x[0], str) else "")
def test_sides_by_source_address(argv, said):
    assert judged("-", *argv, stdin=pcap(STORY, 101))[0] == said


CHECKSUMS = [
    ("right", "keep", "new_inside"), ("wrong", "keep", "l4_checksum"), ("partial", "keep", "new_inside"),
    ("wrong", "partial", "l4_checksum"), ("partial", "partial", "new_inside"), ("wrong", "repair", "new_inside"),
]


@pytest.mark.parametrize("check, how, reason", CHECKSUMS)
def test_checksums(check, how, reason):
    data = pcap([udp(JOHN, SERVER, 40000, 53, check=check)], 101)
    assert judged("-", "--checksums", how, stdin=data)[0][0][1] == reason


def test_a_packet_that_the_capture_cut_is_judged_by_its_beginning():
    data = pcap([udp(JOHN, SERVER, 40000, 53, payload=b"x" * 1000)], 101, snap=64)
    code, out, _ = replay("-", stdin=data)
    assert code == 0 and "new_inside" in out and "cut by the capture" in out


def test_the_clock_is_that_of_the_capture_and_never_goes_back():
    late = pcap([ASK, ANSWER], 101, times=[(1000, 0), (1119, 0)])
    too_late = pcap([ASK, ANSWER], 101, times=[(1000, 0), (1121, 0)])
    back = pcap([ASK, ANSWER, ANSWER], 101, times=[(1000, 0), (10, 0), (1001, 0)])
    assert judged("-", stdin=late)[0][1] == ("pass", "answer")
    assert judged("-", stdin=too_late)[0][1] == ("drop", "uninvited")
    assert judged("-", stdin=back)[0] == [("pass", "new_inside"), ("pass", "answer"), ("pass", "answer")]


def test_the_summary_counts_packets_reasons_and_conversations():
    again = udp(JOHN, SERVER, 40001, 53)
    summary = judged("-", stdin=pcap([*STORY, again, ASK], 101))[1]
    assert (summary["packets"], summary["passed"], summary["dropped"]) == (5, 4, 1)
    assert summary["reasons"] == {"new_inside": 2, "continues": 1, "answer": 1, "uninvited": 1}
    counts = [(f["sport"], f["packets_sent"], f["packets_received"]) for f in summary["flows"]]
    assert counts == [(40000, 2, 1), (40001, 1, 0)]
    code, out, _ = replay("-", "--summary", stdin=pcap(STORY, 101))
    assert code == 0 and out.startswith("3 packets\n2 let through\n") and "1 conversation\n" in out


def test_the_words_of_one_packet():
    code, out, _ = replay("-", stdin=pcap(STORY, 101))
    assert code == 0
    assert f"stopped     udp 203.0.113.9:4444 -> {JOHN}:22, 5 bytes - uninvited: nobody inside asked" in out
    assert f"let through udp {SERVER}:53 -> {JOHN}:40000, 5 bytes - answer: it answers something" in out


def test_a_small_table_refuses_under_its_reason():
    packets = [udp(JOHN, SERVER, 1024 + n, 53) for n in range(500)]
    data = pcap(packets, 101, times=[(1000, n) for n in range(500)])
    reasons = judged("-", "--flows", "56", stdin=data)[1]["reasons"]
    assert reasons.keys() - {"new_inside"} <= {"unanswered_full", "source_share", "table_full"}
    assert reasons["new_inside"] <= 56
