# SPDX-License-Identifier: BSD-2-Clause
"""`sally explain`: against an empty table without privileges, and against the live table of a guarded computer.

    [pc] eth0 10.77.0.1, 2a00:77::1 ------ eth0 10.77.0.2, 2a00:77::2 [peer]
"""

import concurrent.futures
import ctypes
import json
import os
import socket
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SALLY = os.path.abspath(os.environ.get("SALLY", os.path.join(ROOT, "build", "sally")))
PREFIX = os.environ.get("SP_NS_PREFIX", "sally") + f"-ex{os.getpid()}"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PC, PEER = PREFIX + "-pc", PREFIX + "-peer"


def run(*argv, ns=None, check=False):
    where = ["nsenter", f"--net=/run/netns/{ns}", "--"] if ns else []
    return subprocess.run([*where, *map(str, argv)], capture_output=True, text=True, timeout=60, check=check)


def explain(question, ns=None):
    """Exit code and answer."""
    done = run(SALLY, "explain", *question.split(), "--json", ns=ns)
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)


# ---- nothing is up, nobody is root -----------------------------------------------------------------------------------

EMPTY = [
    ("tcp 203.0.113.9:1 to 10.0.0.2:22 --zone outside", 1, "uninvited"),
    ("tcp 203.0.113.9:1 -> 10.0.0.2:22 --zone inside", 0, "new_inside"),
    ("tcp 10.0.0.2 to 203.0.113.9:80 --zone self", 0, "new_self"),
    ("tcp 10.0.0.2 to 203.0.113.9:80 --zone self --flags A", 0, "picked_up"),
    ("tcp 203.0.113.9:1 to 10.0.0.2:22 --zone outside --flags SA", 1, "tcp_no_flow"),
    ("tcp 203.0.113.9:1 to 10.0.0.2:22 --zone outside --flags SF", 1, "tcp_flags"),
    ("udp [2a00::1]:53 to [2a00::2]:4000 --zone outside", 1, "uninvited"),
    ("udp [fc00::1]:53 to [2a00::2]:4000 --zone outside --gateway", 1, "bad_source"),
    ("udp [fc00::1]:53 to [2a00::2]:4000 --zone outside", 1, "uninvited"),
    ("icmp 10.0.0.2 to 203.0.113.9 --zone self", 0, "new_self"),
    ("icmp 2a00::1 to 2a00::2 --zone self", 0, "new_self"),
    ("icmp 203.0.113.9 to 10.0.0.2 --zone outside --type 0", 1, "icmp_unasked"),
    ("icmp 203.0.113.9 to 10.0.0.2 --zone outside --type 5", 1, "icmp_type"),
    ("icmp 203.0.113.9 to 10.0.0.2 --zone outside --type 3 --code 3", 1, "icmp_quote"),
    ("gre 10.0.0.2 to 203.0.113.9 --zone inside", 0, "new_inside"),
    ("esp 203.0.113.9 to 10.0.0.2 --zone outside", 1, "uninvited"),
    ("sctp 10.0.0.2:5 to 203.0.113.9:6 --zone inside", 0, "new_inside"),
    ("udplite 10.0.0.2:5 to 203.0.113.9:6 --zone inside", 0, "new_inside"),
    ("253 10.0.0.2 to 203.0.113.9 --zone inside", 0, "new_inside"),
    ("udp 127.0.0.1:5 to 10.0.0.2:6 --zone outside", 1, "bad_source"),
    ("udp 10.0.0.2:5 to 10.0.0.2:5 --zone outside", 1, "land"),
    ("tcp 10.0.0.2:5 to 203.0.113.9:0 --zone self", 1, "port_zero"),
]


@pytest.fixture(scope="session")
def nowhere():
    """A namespace in which nothing is up; without privileges the one we are in, where nothing can be read."""
    if os.geteuid() != 0:
        yield None
        return
    name = PREFIX + "-no"
    run("ip", "netns", "add", name, check=True)
    try:
        yield name
    finally:
        run("ip", "netns", "del", name)


@pytest.mark.parametrize("question, code, reason", EMPTY, ids=[row[0] for row in EMPTY])
def test_against_an_empty_table(nowhere, question, code, reason):
    got, answer = explain(question, nowhere)
    assert (got, answer["reason"], answer["live"]) == (code, reason, False)
    assert answer["verdict"] == ("drop" if code else "pass") and answer["steps"]


def test_in_words_it_says_that_nothing_is_up_and_which_line_would_help(nowhere):
    done = run(SALLY, "explain", "tcp", "203.0.113.9", "to", "10.0.0.2:22", "--zone", "outside", ns=nowhere)
    assert done.returncode == 1 and done.stderr == ""
    for words in ("empty table", "stopped: uninvited", "open tcp/22 from 203.0.113.9", "sally apply", "was chosen"):
        assert words in done.stdout, words


WRONG = ["", "tcp", "tcp 1.2.3.4:1", "tcp 1.2.3.4:1 -", "tcp 1.2.3.4:1 to 1.2.3.5", "tcp 1.2.3.4:1 to ::1",
         "tcp 1.2.3.4:1 to [::1]:2", "tcp 1.2.3.4:70000 to 1.2.3.5:2", "tcp x to 1.2.3.5:2", "nonsense 1.2.3.4 to 1.2.3.5",
         "icmp 1.2.3.4:1 to 1.2.3.5", "tcp 1.2.3.4 to 1.2.3.5:1 more", "tcp 1.2.3.4 to 1.2.3.5:1 --flags Z",
         "tcp 1.2.3.4 to 1.2.3.5:1 --zone dmz", "tcp 1.2.3.4 to 1.2.3.5:1 --seq 4294967296", "tcp 1.2.3.4 to 1.2.3.5:1 --in"]


@pytest.mark.parametrize("question", WRONG)
def test_wrong_questions_are_usage_errors(question):
    done = run(SALLY, "explain", *question.split())
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr


def test_a_swallowed_arrow_is_recognised():
    assert "quote the arrow" in run(SALLY, "explain", "tcp", "1.2.3.4:1", "-").stderr


# ---- live ------------------------------------------------------------------------------------------------------------

def why_not_live():
    if os.geteuid() != 0:
        return "needs root"
    done = run("ip", "netns", "add", PREFIX + "-try")
    run("ip", "netns", "del", PREFIX + "-try")
    return None if done.returncode == 0 else "needs network namespaces: " + done.stderr.strip()


def born_in(ns, make):
    """What make() returns, a socket, made by a thread that has entered the namespace: a socket stays where it was born."""
    def enter():
        with open(f"/run/netns/{ns}", encoding="ascii") as file:
            if LIBC.setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return make()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result(30)


def udp_at(ns, addr):
    def make():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(20)
        s.bind(addr)
        return s
    return born_in(ns, make)


@pytest.fixture(scope="module")
def live():
    why = why_not_live()
    if why:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    try:
        for name in (PC, PEER):
            run("ip", "netns", "add", name, check=True)
            run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", ns=name, check=True)
            run("ip", "link", "set", "lo", "up", ns=name, check=True)
        run("ip", "link", "add", "eth0", "netns", PC, "type", "veth", "peer", "name", "eth0", "netns", PEER, check=True)
        for name, host in ((PC, 1), (PEER, 2)):
            run("ip", "addr", "add", f"10.77.0.{host}/24", "dev", "eth0", ns=name, check=True)
            run("ip", "-6", "addr", "add", f"2a00:77::{host}/64", "dev", "eth0", "nodad", ns=name, check=True)
            run("ip", "link", "set", "eth0", "up", ns=name, check=True)
        run("ip", "route", "add", "default", "via", "10.77.0.2", ns=PC, check=True)
        run("ip", "-6", "route", "add", "default", "via", "2a00:77::2", ns=PC, check=True)
        up = run(SALLY, "up", "--mode", "tc", ns=PC)
        assert up.returncode == 0, up.stderr
        yield PC
    finally:
        run(SALLY, "down", ns=PC)
        for name in (PC, PEER):
            run("ip", "netns", "del", name)


def test_the_stranger_and_this_machine(live):
    code, answer = explain("tcp 10.77.0.2:4000 to 10.77.0.1:22", live)
    assert (code, answer["reason"], answer["live"], answer["from"]) == (1, "uninvited", True, "outside")
    assert answer["interface"] == "eth0" and answer["line"] == "open tcp/22 from 10.77.0.2"
    code, answer = explain("tcp 10.77.0.1 to 192.0.2.1:80", live)
    assert (code, answer["reason"], answer["from"], answer["interface"]) == (0, "new_self", "self", "eth0")
    code, answer = explain("tcp [2a00:99::1]:4000 -> [2a00:77::1]:22", live)
    assert (code, answer["reason"], answer["from"]) == (1, "uninvited", "outside")


def test_places_that_do_not_exist(live):
    for question, code, word in (("tcp 1.2.3.4:1 to 10.77.0.1:22 --in none", 2, "none"),
                                 ("tcp 1.2.3.4:1 to 10.77.0.1:22 --in lo", 1, "not guarded"),
                                 ("tcp 1.2.3.4:1 to 10.77.0.1:22 --zone inside", 1, "inside")):
        done = run(SALLY, "explain", *question.split(), ns=live)
        assert done.returncode == code and done.stdout == "" and done.stderr.count("\n") == 1 and word in done.stderr


def test_an_answer_is_let_through_only_from_where_it_was_asked(live):
    with udp_at(PC, ("10.77.0.1", 5000)) as pc, udp_at(PEER, ("10.77.0.2", 53)) as peer:
        pc.sendto(b"?", ("10.77.0.2", 53))
        assert peer.recv(10) == b"?"
        code, answer = explain("udp 10.77.0.2:53 to 10.77.0.1:5000", live)
        assert (code, answer["reason"], answer["flow"]["state"]) == (0, "answer", "answered")
        assert explain("udp 10.77.0.2:54 to 10.77.0.1:5000", live)[1]["reason"] == "uninvited"
        assert explain("udp 10.77.0.3:53 to 10.77.0.1:5000", live)[1]["reason"] == "uninvited"
        # the question has answered nothing: asked from the other side, it is still unanswered
        assert explain("udp 10.77.0.1:5000 to 10.77.0.2:53", live)[1]["flow"]["state"] == "unanswered"


def test_the_next_segment_of_a_connection_and_forged_ones(live):
    listener = born_in(PEER, lambda: socket.create_server(("10.77.0.2", 80)))
    with listener, born_in(PC, lambda: socket.create_connection(("10.77.0.2", 80), 20)) as pc:
        peer = listener.accept()[0]
        with peer:
            pc.sendall(b"hello")
            assert peer.recv(10) == b"hello"
            port = pc.getsockname()[1]
            there, back = f"tcp 10.77.0.1:{port} to 10.77.0.2:80", f"tcp 10.77.0.2:80 to 10.77.0.1:{port}"
            code, answer = explain(back, live)
            assert (code, answer["reason"], answer["continued"]) == (0, "answer", True)
            assert (answer["flow"]["state"], answer["flow"]["from"]) == ("ESTABLISHED", "self")
            assert explain(there, live)[1]["reason"] == "continues"
            seq = int(answer["packet"].split(" seq ")[1].split()[0])
            far = (seq + 0x40000000) & 0xffffffff
            assert explain(f"{back} --seq {far}", live)[1]["reason"] == "tcp_seq_high"
            assert explain(f"{back} --flags R --seq {far}", live)[1]["reason"] == "tcp_rst_seq"
            assert explain(f"{back} --flags R --seq {(seq + 9) & 0xffffffff}", live)[1]["reason"] == "challenge"
            code, answer = explain(f"{back} --flags R", live)
            assert (code, answer["flow"]["state"]) == (0, "CLOSED")
            # and all that was only a question
            peer.sendall(b"still here")
            pc.settimeout(20)
            assert pc.recv(20) == b"still here"
            assert explain(back, live)[1]["flow"]["state"] == "ESTABLISHED"
