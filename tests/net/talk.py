# SPDX-License-Identifier: BSD-2-Clause
"""Conversations whose both ends the test holds: who says what, and whether it arrives."""

import socket
import struct

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ANY = {4: "0.0.0.0", 6: "::"}


class Tcp:
    """One connection from ns to a server of the test's own; from port `source`, if that is not 0.

    The server is bound to the address `at`, if that is given.
    """

    def __init__(self, ns, server_ns, address, port, family=4, source=0, at=None):
        self.listener = server_ns.socket(FAMILY[family], socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((at or ANY[family], port))
        self.listener.listen(8)
        self.client = ns.socket(FAMILY[family], socket.SOCK_STREAM)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.client.bind((ANY[family], source))
        self.client.connect((address, port))
        self.server = self.listener.accept()[0]
        self.server.settimeout(5)

    def says(self, end, other, text, seconds=5):
        """True if what one end writes arrives at the other in time."""
        end.sendall(text)
        other.settimeout(seconds)
        got = b""
        try:
            while len(got) < len(text):
                piece = other.recv(65536)
                if not piece:
                    return False
                got += piece
        except (TimeoutError, ConnectionError):
            return False
        return got == text

    def client_says(self, text, seconds=5):
        return self.says(self.client, self.server, text, seconds)

    def server_says(self, text, seconds=5):
        return self.says(self.server, self.client, text, seconds)

    def both_speak(self, text=b"good day"):
        assert self.client_says(text), "what the client wrote did not arrive"
        assert self.server_says(text), "what the server wrote did not arrive"

    def seen(self):
        """The client's address and port, as the server sees them."""
        return self.server.getpeername()[:2]

    def abort(self):
        """Ends it without a goodbye, which would be repeated where it does not arrive."""
        for sock in (self.client, self.server):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def close(self):
        for sock in (self.client, self.server, self.listener):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Udp:
    """One connected socket at the client, an unconnected one at the server; as for Tcp."""

    def __init__(self, ns, server_ns, address, port, family=4, source=0, at=None):
        self.server = server_ns.socket(FAMILY[family], socket.SOCK_DGRAM)
        self.server.bind((at or ANY[family], port))
        self.client = ns.socket(FAMILY[family], socket.SOCK_DGRAM)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.client.bind((ANY[family], source))
        self.client.connect((address, port))
        self.peer = None

    def client_says(self, text, seconds=5):
        self.client.send(text)
        self.server.settimeout(seconds)
        try:
            got, self.peer = self.server.recvfrom(65536)
        except (TimeoutError, ConnectionError):
            return False
        return got == text

    def server_says(self, text, seconds=5):
        self.server.sendto(text, self.peer)
        self.client.settimeout(seconds)
        try:
            return self.client.recv(65536) == text
        except (TimeoutError, ConnectionError):
            return False

    def seen(self):
        """The client's address and port, as the server sees them."""
        return self.peer[:2]

    def close(self):
        self.client.close()
        self.server.close()

    __enter__ = Tcp.__enter__
    __exit__ = Tcp.__exit__


def uninvited(ns, address, port, family=4, kind=socket.SOCK_DGRAM):
    """Sends one packet that nobody asked for."""
    with ns.socket(FAMILY[family], kind) as sock:
        if kind == socket.SOCK_DGRAM:
            sock.sendto(b"let me in", (address, port))
        else:
            sock.setblocking(False)
            sock.connect_ex((address, port))
