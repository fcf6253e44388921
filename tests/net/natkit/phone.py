# SPDX-License-Identifier: BSD-2-Clause
"""A phone and its provider, as far as translation matters: SIP with rport (RFC 3581), symmetric RTP.

The phone registers from a private address. The provider answers where the request came from, remembers that as the way to
the phone, and calls it there later. Voice goes both ways at once; the provider sends it to where the phone's comes from.
"""

import re
import socket

PORT = 5060
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


def message(first, headers, body=""):
    lines = [first] + [f"{name}: {value}" for name, value in headers.items()] + [f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def sdp(address, port):
    return f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"


class Line:
    """One end's signalling, over either transport: whole messages in and out."""

    def __init__(self, sock):
        self.sock = sock
        self.peer = None
        self.rest = b""

    def send(self, data):
        if self.sock.type == TCP or self.peer is None:
            self.sock.sendall(data)
        else:
            self.sock.sendto(data, self.peer)

    def receive(self):
        """The text of the next message; remembers where it came from."""
        if self.sock.type == UDP:
            data, self.peer = self.sock.recvfrom(4096)
            return data.decode()
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, body = self.rest.partition(b"\r\n\r\n")
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        while len(body) < length:
            self._more()
            body = self.rest.partition(b"\r\n\r\n")[2]
        self.rest = body[length:]
        return (head + b"\r\n\r\n" + body[:length]).decode()

    def _more(self):
        data = self.sock.recv(4096)
        if not data:
            raise ConnectionError("the other end has closed the line")
        self.rest += data

    def expect(self, first):
        text = self.receive()
        assert text.startswith(first), f"expected {first}, got {text}"
        return text


class Call:
    """A phone in one namespace, its provider in another; both ends are held by the test."""

    def __init__(self, ns, provider_ns, phone4, provider4, transport):
        self.phone4, self.provider4 = phone4, provider4
        self.via = "SIP/2.0/" + ("TCP" if transport == TCP else "UDP")
        self.listener = provider_ns.socket(socket.AF_INET, transport)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((provider4, PORT))
        mine = ns.socket(socket.AF_INET, transport)
        if transport == TCP:
            self.listener.listen()
            mine.connect((provider4, PORT))
            theirs, peer = self.listener.accept()
            theirs.settimeout(5)
        else:
            mine.bind(("0.0.0.0", PORT))
            mine.connect((provider4, PORT))
            theirs, peer = self.listener, None
        self.phone, self.provider = Line(mine), Line(theirs)
        self.way = peer
        self.voice = [ns.socket(socket.AF_INET, UDP), provider_ns.socket(socket.AF_INET, UDP)]
        self.voice[0].bind(("0.0.0.0", 16384))
        self.voice[1].bind((provider4, 20000))

    def register(self):
        """Returns the address at which the provider sees the phone, as the phone is told (RFC 3581 4)."""
        self.phone.send(message("REGISTER sip:provider SIP/2.0", {
            "Via": f"{self.via} {self.phone4}:{PORT};rport;branch=z9hG4bK1", "From": "<sip:john@provider>;tag=1",
            "To": "<sip:john@provider>", "Call-ID": "1", "CSeq": "1 REGISTER", "Contact": f"<sip:john@{self.phone4}>"}))
        self.provider.expect("REGISTER")
        self.way = self.way or self.provider.peer
        self.provider.send(message("SIP/2.0 200 OK", {
            "Via": f"{self.via} {self.phone4}:{PORT};rport={self.way[1]};received={self.way[0]};branch=z9hG4bK1",
            "CSeq": "1 REGISTER"}))
        told = re.search(r"rport=(\d+);received=([\d.]+)", self.phone.expect("SIP/2.0 200"))
        return told[2], int(told[1])

    def ring(self):
        """The provider calls the phone, which picks up."""
        headers = {"Via": f"{self.via} {self.provider4}:{PORT};branch=z9hG4bK2", "Call-ID": "2", "CSeq": "1 INVITE"}
        self.provider.send(message("INVITE sip:john@home SIP/2.0", headers, sdp(self.provider4, 20000)))
        offer = self.phone.expect("INVITE")
        self.phone.send(message("SIP/2.0 180 Ringing", headers))
        self.phone.send(message("SIP/2.0 200 OK", headers, sdp(self.phone4, 16384)))
        self.provider.expect("SIP/2.0 180")
        self.provider.expect("SIP/2.0 200")
        self.provider.send(message("ACK sip:john@home SIP/2.0", headers | {"CSeq": "1 ACK"}))
        self.phone.expect("ACK")
        return re.search(r"c=IN IP4 ([\d.]+)", offer)[1], int(re.search(r"m=audio (\d+)", offer)[1])

    def talk(self, to, packets=25):
        """Voice in both directions: 160 bytes of sound with a header; returns the phone's voice as the provider sees it."""
        phone, provider = self.voice
        peer = None
        for i in range(packets):
            phone.sendto(b"\x80\x00" + bytes([0, i]) + bytes(168), to)
            heard, peer = provider.recvfrom(2048)
            assert heard[3] == i
            provider.sendto(heard, peer)
            assert phone.recvfrom(2048) == (heard, to)
        return peer

    def hang_up(self):
        self.provider.send(message("BYE sip:john@home SIP/2.0", {"Call-ID": "2", "CSeq": "2 BYE"}))
        self.phone.expect("BYE")
        self.phone.send(message("SIP/2.0 200 OK", {"Call-ID": "2", "CSeq": "2 BYE"}))
        self.provider.expect("SIP/2.0 200")

    def close(self):
        for sock in (self.phone.sock, self.provider.sock, self.listener, *self.voice):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
