# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's bpf(), and a program that chooses by which socket a port is served."""

import ctypes
import os
import platform
import struct

NUMBER = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
MAP_CREATE, LOOKUP, UPDATE, PROG_LOAD, OBJ_GET, LINK_CREATE = 0, 1, 2, 5, 7, 28
SOCKMAP, SK_LOOKUP, AT_SK_LOOKUP = 15, 30, 36  # types of a map and a program, where it is attached
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    size = len(attr)
    got = _libc.syscall(NUMBER, command, ctypes.create_string_buffer(attr, size), size)
    assert got >= 0, os.strerror(ctypes.get_errno())
    return got


def _insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("BBhi", code, src << 4 | dst, off, imm)


class Chooser:
    """While it lasts, what comes to `port` of this machine is for that socket, whatever its own port (BPF_SK_LOOKUP)."""

    def __init__(self, ns, port, sock):
        self.fds = []
        try:
            sockets = self._keep(bpf(MAP_CREATE, struct.pack("5I", SOCKMAP, 4, 8, 1, 0)))
            key, value = (ctypes.create_string_buffer(data, len(data))
                          for data in (struct.pack("I", 0), struct.pack("Q", sock.fileno())))
            bpf(UPDATE, struct.pack("IIQQQ", sockets, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
            program = self._keep(self._load(port, sockets))
            netns = self._keep(os.open(ns.path, os.O_RDONLY | os.O_CLOEXEC))
            self._keep(bpf(LINK_CREATE, struct.pack("4I", program, netns, AT_SK_LOOKUP, 0)))
        except BaseException:
            self.close()
            raise

    def _keep(self, fd):
        self.fds.append(fd)
        return fd

    @staticmethod
    def _load(port, sockets):
        code = b"".join((
            _insn(0xbf, 6, 1),              # r6 = ctx
            _insn(0x61, 1, 6, 60),          # r1 = ctx->local_port
            _insn(0x55, 1, 0, 14, port),    # another one: out
            _insn(0x62, 10, 0, -4, 0),      # the first socket of the map
            _insn(0x18, 1, 1, 0, sockets), _insn(0),
            _insn(0xbf, 2, 10), _insn(0x07, 2, 0, 0, -4),
            _insn(0x85, imm=1),             # bpf_map_lookup_elem()
            _insn(0x15, 0, 0, 7, 0),        # none: out
            _insn(0xbf, 7, 0),
            _insn(0xbf, 1, 6), _insn(0xbf, 2, 7), _insn(0xb7, 3),
            _insn(0x85, imm=124),           # bpf_sk_assign(ctx, socket, 0)
            _insn(0xbf, 1, 7), _insn(0x85, imm=86),  # bpf_sk_release()
            _insn(0xb7, 0, 0, 0, 1), _insn(0x95)))  # out: SK_PASS
        text, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
        return bpf(PROG_LOAD, struct.pack("IIQQIIQII16sII", SK_LOOKUP, len(code) // 8, ctypes.addressof(text),
                                          ctypes.addressof(licence), 0, 0, 0, 0, 0, b"chooser", 0, AT_SK_LOOKUP))

    def close(self):
        while self.fds:
            os.close(self.fds.pop())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
