# SPDX-License-Identifier: BSD-2-Clause
"""The count of the stack follows every sort of call, and says which chain needs too much."""

import os
import shutil
import subprocess
import sys

import pytest

STACK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "verifier", "stack.py")
CALLS = {
    "by name": ("", "f(x)"),
    "by place, of its own file": ("static", "f(x)"),
    "in the same section": ("static", "g(x)"),
    "handed to a helper": ("static", "((long (*)(int, void *, void *, long))181)(x, f, 0, 0)"),
}


@pytest.mark.skipif(not shutil.which("clang-19"), reason="no clang-19")
@pytest.mark.parametrize("size,need", [(480, 512), (496, 544)])
@pytest.mark.parametrize("call", CALLS)
def test_chain(tmp_path, call, size, need):
    """A program of up to 32 bytes and a function of `size`, rounded up; or one of 32 less, and another between them."""
    sort, how = CALLS[call]
    between = 32 if how == "g(x)" else 0
    source = tmp_path / "p.c"
    source.write_text(f"{sort} __attribute__((noinline)) long f(long x) {{ volatile char a[{size - between}];"
                      f" for (int i = 0; i < {size - between}; i += 8) a[i] = x; return a[x & 15]; }}\n"
                      "static __attribute__((noinline)) long g(long x) { return f(x) + 1; }\n"
                      f'__attribute__((section("xdp"))) int p(int *x_) {{ long x = *x_; return {how}; }}\n')
    subprocess.run(["clang-19", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wno-unused-function", "-c", str(source), "-o",
                    str(tmp_path / "p.o")], check=True, timeout=60)
    done = subprocess.run([sys.executable, "-B", STACK, str(tmp_path / "p.o")], capture_output=True, text=True, timeout=60)
    assert f"stack {need} of 512" in done.stdout, done.stdout + done.stderr
    assert done.returncode == (need > 512)
