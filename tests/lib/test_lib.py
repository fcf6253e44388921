# SPDX-License-Identifier: BSD-2-Clause
"""libsallyport as its users meet it: installed below a DESTDIR, found by pkg-config, linked both ways, asked."""

import json
import os
import re
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("SALLY_BUILD", "build")
SALLY = os.path.join(ROOT, BUILD, "sally")
CC = os.environ.get("CC", "gcc")
STORY = os.path.join(ROOT, "demo", "story.pcap")

sys.path.insert(0, os.path.join(ROOT, "tests", "captures"))
import test_replay as made  # noqa: E402  its packets and captures, byte by byte


def run(*args, **more):
    return subprocess.run(args, capture_output=True, text=True, timeout=120, **more)


def good(*args, **more):
    out = run(*args, **more)
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Where it is installed."""
    to = str(tmp_path_factory.mktemp("lib"))
    good(*os.environ.get("MAKE", "make").split(), "--no-print-directory", "-C", ROOT, f"B={BUILD}", "install-lib",
         f"DESTDIR={to}", "PREFIX=/opt/sallyport")
    return to


def flags(root, *how):
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": root, "PKG_CONFIG_PATH": root + "/opt/sallyport/lib/pkgconfig"}
    return good("pkg-config", *how, "libsallyport", env=env).split()


def libdir(root):
    return root + "/opt/sallyport/lib"


def build(root, source, program, *more):
    good(CC, "-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, source,
         *flags(root, "--cflags", "--libs"), *more)
    return program


@pytest.fixture(scope="module", params=["shared", "static"])
def example(root, request):
    """The example, linked with the shared library or with the static one."""
    program = f"{root}/filter_{request.param}"
    how = [f"-Wl,-rpath,{libdir(root)}"] if request.param == "shared" else ["-Wl,-Bstatic", "-lsallyport", "-Wl,-Bdynamic"]
    source = os.path.join(ROOT, "examples", "filter_pcap.c")
    if request.param == "shared":
        build(root, source, program, "-lpcap", *how)
    else:
        good(CC, "-std=c11", "-D_DEFAULT_SOURCE", "-o", program, source, *flags(root, "--cflags"),
             libdir(root) + "/libsallyport.a", "-lpcap")
    assert ("libsallyport.so.0" in good("ldd", program)) == (request.param == "shared")
    return program


@pytest.mark.parametrize("compiler", [
    ["gcc", "-std=c99", "-x", "c"], ["clang-19", "-std=c23", "-x", "c"],
    ["g++", "-std=c++11", "-x", "c++"], ["clang++-19", "-std=c++20", "-x", "c++"]], ids=lambda c: c[0])
def test_header_compiles_alone(root, compiler):
    text = "#include <sallyport.h>\n" * 2 + "int main(void) { return sallyport_reasons() == 0; }\n"
    good(*compiler, "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags(root, "--cflags"), "-", input=text)


def test_only_public_names_are_seen(root):
    header = open(os.path.join(ROOT, "include", "sallyport.h"), encoding="utf-8").read()
    public = set(re.findall(r"^SALLYPORT_API [^;(]*\b(sallyport_\w+)\(", header, re.M))
    for args in (["-D", libdir(root) + "/libsallyport.so"], ["-g", libdir(root) + "/libsallyport.a"]):
        seen = {line.split()[-1] for line in good("nm", "--defined-only", *args).splitlines() if " " in line}
        assert seen == public
    assert "libsallyport.so.0" in good("objdump", "-p", libdir(root) + "/libsallyport.so")


def test_version_and_manual(root):
    version = good(SALLY, "--version").split()[-1]
    assert flags(root, "--modversion") == [version]
    assert run("mandoc", "-Tlint", "-Wwarning", root + "/opt/sallyport/share/man/man3/libsallyport.3").stdout == ""


def test_what_the_header_promises(root):
    program = build(root, os.path.join(HERE, "use.c"), root + "/use", f"-Wl,-rpath,{libdir(root)}")
    out = run(program)
    assert out.returncode == 0 and ", 0 failures" in out.stdout, out.stdout + out.stderr


def packets_of(path):
    """The packets of a pcap file as tcpdump and this project's captures are: little-endian, microseconds."""
    data, at, found = open(path, "rb").read(), 24, []
    while at < len(data):
        length = int.from_bytes(data[at + 8:at + 12], "little")
        found.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return found


def counts_of(text):
    """{reason: packets} as the example prints them."""
    return {name: int(n) for n, name in re.findall(r"^ +(\d+)  (\S+)", text, re.M)}


def compare_with_replay(example, path, tmp_path, *sides):
    """The example writes exactly what `sally replay` lets through, for the same reasons."""
    out = str(tmp_path / "out.pcap")
    said = good(example, *sides, path, out)
    lines = [json.loads(line) for line in good(SALLY, "replay", "--json", "--gateway", "--checksums", "keep", *sides, path)
             .splitlines()]
    summary = lines.pop()["summary"]
    assert counts_of(said) == summary["reasons"]
    passed = [line["verdict"] == "pass" for line in lines]
    assert packets_of(out) == [p for p, good_ in zip(packets_of(path), passed) if good_]
    assert said.startswith(f"{len(passed)} packets, {sum(passed)} written, {len(passed) - sum(passed)} stopped\n")
    return summary["reasons"]


def test_example_filters_like_replay(example, tmp_path):
    path = tmp_path / "in.pcap"
    many = [made.udp(made.JOHN, f"198.51.100.{i}", 40000, 53) for i in range(1, 200)]
    many += [made.udp(f"198.51.100.{i}", made.JOHN, 53, 40000) for i in range(1, 250)]
    packets = [made.ASK, made.ANSWER, made.INTRUDER] * 100 + many
    path.write_bytes(made.pcap(packets, 101, times=[(1000, i) for i in range(len(packets))]))
    reasons = compare_with_replay(example, str(path), tmp_path)
    assert reasons["uninvited"] == 100 + 50 and reasons["answer"] == 100 + 199
    compare_with_replay(example, str(path), tmp_path, "--inside", "198.51.100.0/24")


def test_example_filters_the_story_like_replay(example, tmp_path):
    assert len(compare_with_replay(example, STORY, tmp_path)) >= 3


def test_example_obeys_a_policy(example, tmp_path):
    path, policy, out = tmp_path / "in.pcap", tmp_path / "my.conf", str(tmp_path / "out.pcap")
    path.write_bytes(made.pcap([made.ASK, made.ANSWER, made.INTRUDER], 101))
    policy.write_text("allow outside -> inside : udp/22\nblock 198.51.100.0/24\n")
    said = good(example, "--policy", str(policy), "--inside", "10.0.0.0/8", str(path), out)
    assert packets_of(out) == [made.INTRUDER] and counts_of(said) == {"new_permitted": 1, "blocked": 2}
    policy.write_text("allow outside -> inside : udp/22\nblok 198.51.100.0/24\n")
    wrong = run(example, "--policy", str(policy), str(path), out)
    assert wrong.returncode == 1 and f"{policy}:2:1: error:" in wrong.stderr
