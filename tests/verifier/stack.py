# SPDX-License-Identifier: BSD-2-Clause
"""The stack that a program and all it calls need, along the deepest chain, counted as Linux 6.1 counts it.

usage: stack.py OBJECT      one line for each program; ends with 1 if one needs more than may be

Later kernels round less and accept more; so that this is known in seconds, not when an old kernel has booted. What is
counted is what the code addresses, whether the verifier gets there or not.
"""

import re
import subprocess
import sys

OBJDUMP = "llvm-objdump-19"
STACK = 512  # MAX_BPF_STACK
FRAMES = 8  # MAX_CALL_FRAMES
ROUND = 32  # later kernels: 16 with a JIT

SECTION = re.compile(r"Disassembly of section (\S+):")
LABEL = re.compile(r"([0-9a-f]+) <(\S+)>:")
AT = re.compile(r"\(r10 - 0x([0-9a-f]+)\)")
FRAME = re.compile(r"\br(\d+) = r10$")
BELOW = re.compile(r"\br(\d+) \+= -0x([0-9a-f]+)$")
CALL = re.compile(r"^(\d+):\s+85 10 00 00 [0-9a-f ]+\tcall (-?0x[0-9a-f]+)$")  # of a function, not a helper
GIVE = re.compile(r"\br\d+ = (0x[0-9a-f]+) ll$")  # to bpf_loop()
SYMBOL = re.compile(r"R_BPF_64_(?:32|64)\s+(\S+)")


def functions(text):
    """Of each function: its section, the bytes it addresses below r10, and the functions it calls or hands on."""
    found, places, section, now, bases, into, direct = {}, {}, None, None, set(), 0, None
    for line in map(str.strip, text.splitlines()):
        if named := SECTION.match(line):
            section = named[1]
        elif named := LABEL.match(line):
            if not named[2].startswith("LBB"):
                now, bases = found.setdefault(named[2], {"section": section, "bytes": 0, "calls": set()}), set()
                places[section, int(named[1], 16)] = named[2]
        elif at := AT.search(line):
            now["bytes"] = max(now["bytes"], int(at[1], 16))
        elif base := FRAME.search(line):
            bases.add(base[1])
        elif (below := BELOW.search(line)) and below[1] in bases:
            bases.remove(below[1])
            now["bytes"] = max(now["bytes"], int(below[2], 16))
        elif call := CALL.search(line):
            into = (int(call[2], 16) + 1) * 8
            direct = (section, int(call[1]) * 8 + into)  # unless a symbol follows
            now["calls"].add(direct)
        elif given := GIVE.search(line):
            into = int(given[1], 16)
        elif symbol := SYMBOL.search(line):
            now["calls"].discard(direct)
            now["calls"].add(symbol[1] if symbol[1] != ".text" else (".text", into))
    for function in found.values():
        function["calls"] = {places[c] if isinstance(c, tuple) else c for c in function["calls"]}
    return found


def deepest(found, name, known):
    """The chain of functions from this one on that needs most: what it needs, and their names."""
    if name not in known:
        own = -(-max(found[name]["bytes"], 1) // ROUND) * ROUND
        below = max((deepest(found, call, known) for call in found[name]["calls"] if call in found), default=(0, ()))
        known[name] = (own + below[0], (name, *below[1]))
    return known[name]


def main():
    text = subprocess.run([OBJDUMP, "-dr", sys.argv[1]], capture_output=True, text=True,
                          check=True).stdout
    found, known, fits = functions(text), {}, True
    programs = [name for name, function in found.items() if function["section"] != ".text"]
    for name in programs:
        need, chain = deepest(found, name, known)
        within = need <= STACK and len(chain) <= FRAMES
        fits = fits and within
        print(f"{name:14} stack {need} of {STACK} in {len(chain)} of {FRAMES} frames" +
              ("" if within else ": too much, along " + ", ".join(f"{f} {found[f]['bytes']}" for f in chain)))
    return 0 if fits and programs else 1


if __name__ == "__main__":
    sys.exit(main())
