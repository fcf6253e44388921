# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages are well-formed and say what the program says: every command, option, exit code and reason."""

import json
import os
import re
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("SALLY_BUILD", os.path.join(ROOT, "build"))
SALLY = os.path.join(BUILD, "sally")
PAGES = {
    "sally.8": os.path.join(ROOT, "man", "sally.8"),
    "sallyd.8": os.path.join(ROOT, "man", "sallyd.8"),
    "sally-reasons.7": os.path.join(BUILD, "man", "sally-reasons.7"),
}
OPTION = re.compile(r"(?<![\w-])(--?[a-z][a-z0-9-]*)")


def run(*args):
    return subprocess.run(args, capture_output=True, text=True, timeout=30)


def rendered(page):
    """The page as a reader sees it, without overstrike; hyphens that mandoc breaks at are kept whole."""
    out = subprocess.run(["mandoc", "-Tutf8", "-Owidth=200", PAGES[page]], capture_output=True, check=True, timeout=30)
    return re.sub(".\b", "", out.stdout.decode()).replace("\u2010", "-").replace("\u2212", "-")


def commands():
    """The subcommands that `sally --help` lists: indented lines that begin with a word."""
    text = run(SALLY, "--help").stdout
    found = re.findall(r"^  ?(?:sally )?([a-z]+)\b", text, re.M)
    return [name for name in dict.fromkeys(found) if run(SALLY, name, "--help").returncode == 0]


def help_of(command):
    return run(SALLY, command, "--help").stdout


COMMANDS = commands() if os.path.exists(SALLY) else []


def test_the_program_is_built():
    assert os.access(SALLY, os.X_OK), f"{SALLY}: not built; run make"


def test_all_commands_are_seen():
    assert {"up", "down", "status", "flows", "watch", "explain", "replay", "reasons"} <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_page_is_well_formed(page):
    lint = run("mandoc", "-Tlint", "-Wwarning", PAGES[page])
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_lint_sees_a_bad_page(tmp_path):
    bad = tmp_path / "bad.8"
    bad.write_text(".Dd January 1, 2026\n.Dt BAD 8\n.Os\n.Sh NAME\n.Nm bad\n.Nd x\n.Bl -tag\n.It Fl a\n")
    assert run("mandoc", "-Tlint", "-Wwarning", str(bad)).returncode != 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_the_help_is_in_the_manual(command):
    manual = rendered("sally.8")
    wanted = set(OPTION.findall(help_of(command)))
    known = set(OPTION.findall(manual))
    assert wanted <= known, f"not in sally.8: {sorted(wanted - known)}"
    assert re.search(rf"^ +sally (\[\S+\] )*{command}\b", manual, re.M), f"no entry for {command}"


def test_short_and_long_forms_are_the_same():
    assert run(SALLY, "-h").stdout == run(SALLY, "--help").stdout
    assert run(SALLY, "reasons", "-h").stdout == help_of("reasons")
    assert run(SALLY, "--verbose", "reasons").stdout == run(SALLY, "-v", "reasons").stdout != ""


def test_the_manual_invents_no_option():
    known = set(OPTION.findall(run(SALLY, "--help").stdout)) | {"-h", "--verbose"}
    for command in COMMANDS:
        known |= set(OPTION.findall(help_of(command)))
    text = rendered("sally.8")
    ours = text[:text.index("EXAMPLES")]
    assert set(OPTION.findall(ours)) <= known, sorted(set(OPTION.findall(ours)) - known)


def test_exit_codes_are_those_of_the_help():
    listed = re.findall(r"^\s+([0-9]) {1,6}(\S.*)$", run(SALLY, "--help").stdout, re.M)
    assert len(listed) >= 5
    text = rendered("sally.8")
    status = text[text.index("EXIT STATUS"):]
    for code, _ in listed:
        assert re.search(rf"^ +{code}\b", status, re.M), f"exit code {code} is not in sally.8"


def test_every_reason_is_in_its_page():
    reasons = run(SALLY, "reasons", "--json")
    assert reasons.returncode == 0
    names = re.findall(r'"(?:name|reason)": ?"(\w+)"', reasons.stdout)
    assert len(names) > 50
    text = rendered("sally-reasons.7")
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_json_of_reasons_is_json():
    out = run(SALLY, "reasons", "--json").stdout
    try:
        json.loads(out)
    except json.JSONDecodeError:
        assert [json.loads(line) for line in out.splitlines()]
