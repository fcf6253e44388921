# SPDX-License-Identifier: BSD-2-Clause
"""Programs that name addresses in what they say, or want to be called: FTP, SIP, games."""

import os
import socket
import subprocess

import pytest

from lab import grown, wait_for
from natkit.phone import TCP, UDP, Call
from talk import Udp
from test_programs import both, sha256, url

ENV = {**os.environ, "TERM": "dumb"}
transports = pytest.mark.parametrize("transport", [UDP, TCP], ids=["udp", "tcp"])


@both
def test_passive_ftp(honest, family, tmp_path):
    honest.john.run("curl", "-sS", "-m", 20, "--ftp-pasv", "-o", tmp_path / "big",
                    url(honest.address("web", family), "/big", "ftp"))
    assert sha256(tmp_path / "big") == honest.servers.big_sum


def test_active_ftp_is_refused(home):
    """
    The server would call back to a port that John names, and nobody asked for that at the door. Naming his own address, he
    is refused by the server; naming the door's, the call arrives there and stops.
    """
    home.put()
    done = home.john.run("curl", "-sS", "-m", 8, "--ftp-port", "-", "--disable-eprt", url(home.web4, "/index.html", "ftp"),
                         check=False)
    assert done.returncode == 30 and done.stdout == "", done  # curl's "the PORT command was refused"
    before = home.drops()
    with home.john.socket(socket.AF_INET, TCP) as sock:
        sock.connect((home.web4, 21))
        said = sock.makefile("rw", newline="\r\n")

        def ask(words, code):
            if words:
                said.write(words + "\r\n")
                said.flush()
            line = said.readline()
            assert line.startswith(code), (words, line)

        for words, code in (("", "220"), ("USER anonymous", "230"),
                            (f"PORT {home.fw4.replace('.', ',')},156,65", "200")):  # 40001
            ask(words, code)
        said.write("LIST\r\n")
        said.flush()
        if home.mode != "nft":
            wait_for("the refusal of the call back", lambda: grown(before, home.drops()).get("uninvited"))
        line = said.readline()
        assert line.startswith("425"), line  # failed to establish connection


@transports
def test_a_phone_is_called(honest, transport):
    """The provider calls back on the way that the registration came; the phone is told its outside address."""
    home = honest
    with Call(home.john, home.web, home.john4, home.web4, transport) as john:
        outside = john.register()
        assert outside[0] == home.fw4 and outside == john.way[:2]
        if transport == UDP:
            with Call(home.mary, home.web, home.mary4, home.second4, transport) as mary:
                hers = mary.register()
                assert hers[0] == home.fw4
                voices = [call.talk(call.ring()) for call in (john, mary)]
                assert {voice[0] for voice in voices} == {home.fw4}
                mary.hang_up()
        else:
            assert john.talk(john.ring())[0] == home.fw4
        john.hang_up()


@transports
def test_sipp(honest, transport, tmp_path):
    """A real SIP client's calls, ten of them."""
    home = honest
    mode = "u1" if transport == UDP else "t1"
    server = home.web.start("sipp", "-sn", "uas", "-i", home.web4, "-p", 5070, "-t", mode, "-nostdin", cwd=tmp_path,
                            env=ENV)
    option = "-Hltn" if transport == TCP else "-Hlun"
    wait_for("sipp", lambda: ":5070" in home.web.run("ss", option, "sport = :5070").stdout)
    client = home.john.start("sipp", "-sn", "uac", "-i", home.john4, "-p", 5070, "-t", mode, "-m", 10, "-r", 50, "-d", 50,
                             "-timeout", 15, "-timeout_error", "-nostdin", f"{home.web4}:5070", cwd=tmp_path, env=ENV,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = client.communicate(timeout=30)[0]
    home.end(server)
    assert client.returncode == 0, said[-3000:]
    assert "Successful call" in said


def test_two_consoles_with_one_port(honest):
    """The same port, the same game server, the same time; then each may send first."""
    home = honest
    with home.web.socket(socket.AF_INET, UDP) as server:
        server.bind(("0.0.0.0", 3074))
        consoles = {}
        for role in ("john", "mary"):
            sock = getattr(home, role).socket(socket.AF_INET, UDP)
            sock.bind(("0.0.0.0", 3074))
            sock.sendto(role.encode(), (home.web4, 3074))
            consoles[role] = sock
        players = dict(server.recvfrom(100) for _ in consoles)
        assert {at[0] for at in players.values()} == {home.fw4} and len(set(players.values())) == 2, players
        assert 3074 in {at[1] for at in players.values()}, "the first one keeps its port"
        for i in range(20):
            for role, sock in consoles.items():
                server.sendto(b"%d for " % i + role.encode(), players[role.encode()])
                assert sock.recv(100) == b"%d for " % i + role.encode()
                sock.sendto(b"move", (home.web4, 3074))
                assert server.recvfrom(100) == (b"move", players[role.encode()])
        for sock in consoles.values():
            sock.close()


def test_a_console_behind_a_forwarded_port(home):
    """Strangers reach the one that the line names; the other one plays on."""
    home.put("forward udp/3074 to 192.168.1.2")
    with Udp(home.stranger, home.john, home.fw4, 3074) as invited:
        assert invited.client_says(b"a game?") and invited.server_says(b"yes")
        with Udp(home.mary, home.web, home.web4, 3074, source=3074) as mary:
            assert mary.client_says(b"I am playing") and mary.server_says(b"so you are")
            assert invited.client_says(b"still there?") and invited.server_says(b"yes")
