# SPDX-License-Identifier: BSD-2-Clause
"""Every header of the core compiles alone, freestanding, for the host and for BPF; nothing includes upward."""

import glob
import os
import subprocess

import pytest
import rule

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
CORE = sorted(os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "core", "*.h")))
WARN = ["-std=gnu11", "-ffreestanding", "-nostdinc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
        "-Wno-unused-parameter", "-Wno-unused-function", "-x", "c", "-"]
COMPILERS = {
    "gcc": [os.environ.get("CC", "gcc")],
    "clang": [os.environ.get("BPF_CC", "clang-19")],
    "bpf": [os.environ.get("BPF_CC", "clang-19"), "-target", "bpf", "-mcpu=v3", "-Wno-missing-declarations"],
}


def compile_text(compiler, text):
    """The compiler's complaints about a text, "" if there are none."""
    run = subprocess.run(COMPILERS[compiler] + ["-I" + ROOT] + WARN, input=text, capture_output=True, text=True,
                         timeout=60)
    return run.stderr if run.returncode else ""


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("header", CORE)
def test_header_compiles_alone(header, compiler):
    text = f'#include "{header}"\n' * 2
    complaints = compile_text(compiler, text)
    if complaints:
        # it uses what only the including port defines, or what a header after it does; it still has to come first
        text = '#include "tests/headers/tiny_port.h"\n' + text + '#include "core/pipeline.h"\n'
        complaints = compile_text(compiler, text)
    assert complaints == ""


@pytest.mark.parametrize("compiler", COMPILERS)
def test_libc_is_out_of_reach(compiler):
    assert "stdio.h" in compile_text(compiler, "#include <stdio.h>\n")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_missing_operation_does_not_compile(compiler):
    assert "sp_port_nothing" in compile_text(compiler, "int f(void);\nint f(void)\n{\n\treturn sp_port_nothing();\n}\n")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_byte_orders_can_not_be_compared(compiler):
    text = '#include "core/types.h"\nint f(sp_be16 a);\nint f(sp_be16 a)\n{\n\treturn a == 80;\n}\n'
    assert "invalid operands" in compile_text(compiler, text)


def tree():
    for layer in rule.MAY:
        for folder, _, names in os.walk(os.path.join(ROOT, layer)):
            for name in names:
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def test_nothing_includes_upward_or_sideways():
    wrong = []
    for path in tree():
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            wrong += [f"{path}:{line}: {what}" for line, what in rule.violations(
                path, file.read(), lambda p: os.path.exists(os.path.join(ROOT, p)))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path,text,good", [
    ("core/a.h", '#include "abi.h"\n', True),
    ("core/a.h", "#include <stdint.h>\n", False),
    ("core/a.h", '#include "../port/port_host.h"\n', False),
    ("port/port_host.h", '#include "../core/abi.h"\n', True),
    ("port/port_host.h", '#include "../host/engine.h"\n', False),
    ("bpf/a.bpf.c", '#include "../host/engine.h"\n', False),
    ("host/a.c", '#include "../ctl/ctl.h"\n', False),
    ("policy/a.c", '#include "../core/abi.h"\n', True),
    ("policy/a.c", '#include "../core/pipeline.h"\n', False),
    ("ctl/a.c", '#include "sally_tc.skel.h"\n', True),
    ("ctl/a.c", '#include "../core/table.h"\n', False),
    ("ctl/a.c", '#include "../host/replay.h"\n', False),
    ("ctl/a.c", '#include "../cli/cli.h"\n', False),
    ("cli/a.c", '#include "../ctl/ctl.h"\n', True),
    ("cli/a.c", '#include "../core/table.h"\n', False),
    ("cli/a.c", '#include "../daemon/daemon.h"\n', False),
    ("tests/a.c", '#include "../core/table.h"\n', True),
])
def test_the_rule_itself(path, text, good):
    assert (list(rule.violations(path, text, lambda p: p.split("/")[0] in rule.MAY)) == []) == good
