# SPDX-License-Identifier: BSD-2-Clause
"""Listens on TCP and UDP ports, IPv4 and IPv6, and answers everything: what a scan must find when there is no firewall."""

import select
import socket
import sys


def bind(kind, port):
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    return sock


def main():
    ports = [[int(p) for p in word.split(",") if p] for word in sys.argv[1:3]]
    tcp = [bind(socket.SOCK_STREAM, port) for port in ports[0]]
    udp = [bind(socket.SOCK_DGRAM, port) for port in ports[1]]
    print("ready", flush=True)
    while True:
        for sock in select.select(tcp + udp, [], [])[0]:
            try:
                if sock.type == socket.SOCK_STREAM:
                    sock.accept()[0].close()
                else:
                    data, peer = sock.recvfrom(2048)
                    sock.sendto(b"here " + data[:64], peer)
            except OSError:
                pass  # a scanner went away between its packet and our answer


main()
