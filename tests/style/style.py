# SPDX-License-Identifier: BSD-2-Clause
"""The conventions of this tree that a machine can see: one function a rule, each yields (line, what is wrong)."""

import io
import os
import re
import subprocess
import tokenize

COLUMNS = 125  # the aim is 100
FILE_LINES = 700  # the aim is 400
FUNCTION_LINES = 90  # the aim is 40; the packet path may be longer where cutting it would hide the order
TAB = 8

C_FILES = (".c", ".h")
CODE = (".c", ".h", ".py", ".mk", ".sh")


class Source:
    """One file: its path, its lines, and what kind it is."""

    def __init__(self, path, text, executable=False):
        self.path, self.text, self.executable = path, text, executable
        self.lines = text.split("\n")
        self.shebang = self.lines[0].startswith("#!")
        name = os.path.basename(path)
        self.is_c = path.endswith(C_FILES)
        self.is_python = path.endswith(".py") or (self.shebang and "python" in self.lines[0])
        self.is_shell = path.endswith(".sh") or (self.shebang and re.search(r"\b(ba)?sh\b", self.lines[0]) is not None)
        self.is_make = name == "Makefile" or path.endswith(".mk")
        self.is_code = path.endswith(CODE) or self.is_python or self.is_shell or self.is_make


def licence(src):
    """A licence line on top."""
    if not src.is_code:
        return
    head = src.lines[:2]
    if not any(re.search(r"SPDX-License-Identifier: (BSD-2-Clause|\(?(GPL-2\.0\S* OR BSD-2-Clause|"
                         r"BSD-2-Clause OR GPL-2\.0\S*)\)?)( \*/)?$", line) for line in head):
        yield 1, "no licence line on top"


def purpose(src):
    """A sentence of purpose right below the licence."""
    if not src.is_code:
        return
    at = 2 if src.shebang else 1
    text = " ".join(src.lines[at:at + 4])
    comment = re.match(r'\s*(#|/\*|"""|r""")', text)
    if not comment or len(re.findall(r"[A-Za-z]{2,}", text[comment.end():])) < 4:
        yield at + 1, "no sentence of purpose below the licence line"


def tabs(src):
    """C, shell and make are indented with tabs, Python with spaces."""
    if src.is_python:
        for token in tokenize.generate_tokens(io.StringIO(src.text).readline):
            if token.type == tokenize.INDENT and "\t" in token.string:
                yield token.start[0], "indented with a tab"
    for number, line in enumerate(src.lines, 1):
        if (src.is_c or src.is_shell or src.is_make) and re.match(r"\t* {2,}\S", line) and not (
                src.is_c and re.match(r"\t+ {1,7}\S", line)):
            yield number, "indented with spaces"


def white_space(src):
    """No blanks at the end of a line, no carriage returns, one newline at the end."""
    for number, line in enumerate(src.lines, 1):
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
    if not src.text.endswith("\n") or src.text.endswith("\n\n"):
        yield len(src.lines), "not exactly one newline at the end"


def columns(src):
    """No line is wider than the limit."""
    if not src.is_code:
        return
    for number, line in enumerate(src.lines, 1):
        width = len(line.expandtabs(TAB))
        if width > COLUMNS:
            yield number, f"{width} columns, at most {COLUMNS}"


def length(src):
    """No file is longer than one can keep in mind."""
    if src.is_code and len(src.lines) > FILE_LINES + 1:
        yield len(src.lines), f"{len(src.lines) - 1} lines, at most {FILE_LINES}"


def functions(src):
    """No C function is longer than the limit."""
    if not src.is_c:
        return
    begin = None
    for number, line in enumerate(src.lines, 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            if number - begin > FUNCTION_LINES:
                yield begin, f"a function of {number - begin} lines, at most {FUNCTION_LINES}"
            begin = None


def guard(src):
    """The guard of a header is named after its path."""
    if not src.path.endswith(".h"):
        return
    path = re.sub(r"[^A-Z0-9]", "_", src.path.upper())
    folder = path.split("_")[0]
    # port/port_host.h may say "port" once
    want = rf"SP_({folder}_)?{path.split('_', 1)[1]}" if path.startswith(f"{folder}_{folder}_") else "SP_" + path
    if folder == "INCLUDE":
        want = path.split("_", 1)[1]  # what others include has no prefix of ours
    if folder == "TESTS":
        want = rf"\w+_{path.split('_')[-2]}_H"
    if not re.search(rf"^#ifndef (?P<guard>{want})\n#define (?P=guard)\n", src.text, re.M):
        yield 1, f"the header's guard is not {want}"


def executable(src):
    """Scripts and only scripts may be executed."""
    if src.shebang != src.executable:
        yield 1, "executable without #!" if src.executable else "begins with #! but is not executable"


def swallowed(src):
    """Errors are not thrown away."""
    for number, line in enumerate(src.lines, 1):
        if (src.is_shell or src.is_make) and re.search(r"\|\|\s*(true|:)(\s|$|[;)])", line):
            yield number, "an error is thrown away"
        if src.is_python and re.search(r"except(\s+(Base)?Exception)?:\s*pass\b", line):
            yield number, "an error is thrown away"


def by_name(src):
    """Processes are ended by their number, never by a name that others may have."""
    for number, line in enumerate(src.lines, 1):
        if src.is_code and re.search(r"(^|[\s;|&(\"'])(p" + r"kill|kill" + r"all)\b", line):
            yield number, "a process is ended by its name"


def marks(src):
    """Nothing is left over from the work."""
    todo = "TO" + "DO|FIX" + "ME|X" + "XX|HA" + "CK"
    for number, line in enumerate(src.lines, 1):
        if re.search(rf"\b({todo})\b", line) or re.match(r"(<{7}|>{7}) ", line):
            yield number, "a mark left over from the work"


def places(src):
    """No absolute paths of the machine on which it was written."""
    for number, line in enumerate(src.lines, 1):
        if re.search(r"/(wo" + r"rk|ho" + r"me)/[a-z]", line):
            yield number, "a path of somebody's machine"


RULES = [licence, purpose, tabs, white_space, columns, length, functions, guard, executable, swallowed, by_name,
         marks, places]


def paths(root):
    """What git knows; without git, or in an unpacked archive, all that was not built."""
    try:
        out = subprocess.run(["git", "-C", root, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], capture_output=True, check=True).stdout
        return set(filter(None, out.decode().split("\0")))
    except (FileNotFoundError, subprocess.CalledProcessError):
        found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not re.match(r"build|\.git$|__pycache__$|\.pytest_cache$", f)]
        found |= {os.path.relpath(os.path.join(folder, name), root) for name in names}
    return found


def sources(root):
    """Every text file that belongs to the project."""
    for path in sorted(paths(root)):
        full = os.path.join(root, path)
        if os.path.islink(full) or not os.path.isfile(full):
            continue
        with open(full, "rb") as file:
            data = file.read()
        if b"\0" not in data and data:
            yield Source(path, data.decode("utf-8", "replace"), os.access(full, os.X_OK))
