# SPDX-License-Identifier: BSD-2-Clause
"""Who may include whom: core <- port <- {bpf, host}; the ABI <- {policy, ctl}; ctl <- {daemon, cli}; nothing upward."""

import os
import re

ABI = ("core/abi.h", "core/policy_abi.h", "core/reasons.h", "core/types.h")

# layer -> what its files may include: a folder ("core/") or one file
MAY = {
    "core": ("core/",),
    "port": ("core/", "port/"),
    "bpf": ("core/", "port/", "bpf/"),
    "host": ("core/", "port/", "host/"),
    "policy": ABI + ("policy/",),
    # ctl adopts existing connections with the core's own code, through the face of the host library; no deeper
    "ctl": ABI + ("policy/", "ctl/", "host/engine.h", "gen/"),
    # libsallyport: the engine and the language behind one public header
    "lib": ABI + ("policy/", "host/engine.h", "include/sallyport.h", "lib/"),
    "include": (),
    "examples": (),
    "daemon": ABI + ("policy/", "ctl/", "daemon/", "host/engine.h"),
    "cli": ABI + ("policy/", "ctl/", "cli/", "host/"),
    "web": ("web/",),
}
# core is freestanding: no header from outside the project, not even the compiler's
MAY_SYSTEM = {"core": ()}


def includes(text):
    """Yields (line, name, quoted) of each #include."""
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if found:
            yield number, found.group(1) or found.group(2), bool(found.group(1))


def resolve(path, name, exists):
    """The path, from the root of the tree, of what a quoted include names."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    if exists(beside):
        return beside
    if name.endswith(".skel.h"):
        return "gen/" + os.path.basename(name)
    return os.path.normpath(name)


def violations(path, text, exists):
    """Yields (line, what is wrong) for one file of a layer."""
    layer = path.split("/")[0]
    if layer not in MAY:
        return
    for number, name, quoted in includes(text):
        if not quoted:
            if layer in MAY_SYSTEM and name not in MAY_SYSTEM[layer]:
                yield number, f"{layer}/ is freestanding, it may not include <{name}>"
            continue
        target = resolve(path, name, exists)
        if not any(target == may or (may.endswith("/") and target.startswith(may)) for may in MAY[layer]):
            yield number, f"{layer}/ may not include {target}"
