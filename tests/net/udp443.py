# SPDX-License-Identifier: BSD-2-Clause
"""A UDP service that behaves as QUIC does: full-size datagrams in bursts both ways, silence, then the server speaks first.

    udp443.py server PORT          prints "ready", serves for ever
    udp443.py client ADDRESS PORT  one session; prints what it did, exits 1 when something is missing
"""

import socket
import struct
import sys
import time

SIZE = 1200  # RFC 9000 14.1
ROUNDS = 20
BURST = 16
LATE = 8
IDLE_S = 1.5


def server(port):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))
    print("ready", flush=True)
    wake = {}
    while True:
        sock.settimeout(max(0.001, min(wake.values()) - time.monotonic()) if wake else None)
        try:
            data, peer = sock.recvfrom(2048)
            if data[:5] == b"sleep":
                wake[peer] = time.monotonic() + IDLE_S
            for i in range(struct.unpack("!H", data[5:7])[0]):
                sock.sendto((struct.pack("!H", i) + data[:7]).ljust(SIZE, b"."), peer)
        except (TimeoutError, ConnectionError):
            pass
        for peer in [p for p, due in wake.items() if due <= time.monotonic()]:
            del wake[peer]
            for i in range(LATE):
                sock.sendto((struct.pack("!H", i) + b"awake").ljust(SIZE, b"."), peer)


def read(sock, count, seconds):
    got = 0
    deadline = time.monotonic() + seconds
    while got < count and time.monotonic() < deadline:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            sock.recv(2048)
            got += 1
        except TimeoutError:
            break
    return got


def client(address, port):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, port))
    got = 0
    for _ in range(ROUNDS):
        for word in (b"hello", b"burst"):
            count = BURST if word == b"burst" else 0
            sock.send((word + struct.pack("!H", count)).ljust(SIZE, b"."))
        got += read(sock, BURST, 5)
    sock.send((b"sleep" + struct.pack("!H", 0)).ljust(SIZE, b"."))
    late = read(sock, LATE, IDLE_S + 5)
    print(f"{got} of {ROUNDS * BURST} in bursts, {late} of {LATE} after {IDLE_S} s of silence")
    return 0 if got == ROUNDS * BURST and late == LATE else 1


if sys.argv[1] == "server":
    server(int(sys.argv[2]))
else:
    sys.exit(client(sys.argv[2], int(sys.argv[3])))
