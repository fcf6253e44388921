# SPDX-License-Identifier: BSD-2-Clause
"""Holds the whole tree to tests/style/style.py, and each rule to a sample that it must refuse."""

import os
import shutil
import subprocess

import pytest
import style

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TREE = list(style.sources(ROOT))

HEAD = "/* SPDX-License-Identifier: BSD-2-Clause */\n/* Says what this file is for. */\n"
SHELL = "#!/bin/sh\n# SPDX-License-Identifier: BSD-2-Clause\n# Says what this file is for.\n"

GOOD = [
    ("core/good.h", HEAD + "#ifndef SP_CORE_GOOD_H\n#define SP_CORE_GOOD_H\n\nint f(int a,\n\t    int b);\n\n#endif\n", False),
    ("tests/good", SHELL + "grep x y || [ $? = 1 ]\n", True),
]

# rule, path, text, executable: each breaks exactly that rule
BAD = [
    ("licence", "a.c", "/* Says what this file is for, and more. */\n/* Says what this file is for. */\nint a;\n", False),
    ("licence", "a.mk", "# Says what this file is for.\n# And then goes on to say it again.\n", False),
    ("purpose", "a.c", "/* SPDX-License-Identifier: BSD-2-Clause */\n#include <stdio.h>\nint a, b;\n", False),
    ("tabs", "a.c", HEAD + "int f(void)\n{\n        return 0;\n}\n", False),
    ("tabs", "a.py", "# SPDX-License-Identifier: BSD-2-Clause\n\"\"\"Says what this file is for.\"\"\"\nif True:\n\tf()\n", False),
    ("white_space", "a.c", HEAD + "int a; \n", False),
    ("white_space", "a.md", "text\n\n", False),
    ("white_space", "a.md", "text", False),
    ("columns", "a.c", HEAD + "\t/* " + "x" * 120 + " */\n", False),
    ("length", "a.c", HEAD + "int a;\n" * 700, False),
    ("functions", "a.c", HEAD + "int f(void)\n{\n" + "\tf();\n" * 90 + "}\n", False),
    ("guard", "core/a.h", HEAD + "#ifndef A_H\n#define A_H\n#endif\n", False),
    ("executable", "a", SHELL, False),
    ("executable", "a.c", HEAD, True),
    ("swallowed", "a", SHELL + "rm x || true\n", True),
    ("swallowed", "a", SHELL + "(rm x || :)\n", True),
    ("by_name", "a", SHELL + "pki" + "ll nginx\n", True),
    ("marks", "a.md", "TO" + "DO: write this\n", False),
    ("marks", "a.md", "<" * 7 + " HEAD\n", False),
    ("places", "a.md", "see /wo" + "rk/main\n", False),
]


@pytest.mark.parametrize("rule", style.RULES, ids=lambda rule: rule.__name__)
def test_tree(rule):
    wrong = [f"{src.path}:{line}: {what}" for src in TREE if not src.path.startswith("tests/style/test_style")
             for line, what in rule(src)]
    assert not wrong, rule.__doc__ + "\n" + "\n".join(wrong)


@pytest.mark.parametrize("path,text,executable", GOOD, ids=[row[0] for row in GOOD])
def test_good_sample_passes(path, text, executable):
    src = style.Source(path, text, executable)
    assert [found for rule in style.RULES for found in rule(src)] == []


@pytest.mark.parametrize("name,path,text,executable", BAD, ids=[f"{row[0]}-{i}" for i, row in enumerate(BAD)])
def test_bad_sample_fails_by_that_rule_alone(name, path, text, executable):
    src = style.Source(path, text, executable)
    assert {rule.__name__ for rule in style.RULES if list(rule(src))} == {name}


def test_tree_was_read():
    paths = {src.path for src in TREE}
    assert {"Makefile", "core/abi.h", "tests/style/style.py"} <= paths


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
@pytest.mark.parametrize("path", [src.path for src in TREE if src.is_shell])
def test_shell(path):
    run = subprocess.run(["shellcheck", "-S", "warning", path], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
