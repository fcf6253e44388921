# SPDX-License-Identifier: BSD-2-Clause
"""The differential test finds a fault, makes the case small, and writes a scenario that shows it."""

import os
import pathlib
import re
import subprocess

import pytest

DIFFERENTIAL = os.environ.get("DIFFERENTIAL", "build/differential")
RULES = pathlib.Path(__file__).with_name("differences.tsv")
SCENARIO = os.environ.get("SCENARIO", "build/scenario")


pytestmark = pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="needs root")


def run(*args):
    return subprocess.run([DIFFERENTIAL, *map(str, args)], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """What is found of an engine that believes each reset."""
    out = tmp_path_factory.mktemp("cases")
    done = run("--engine", "wrong", "--sequences", 1000, "--seed", 1, "--out", out)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout, sorted(out.glob("*.scn"))


def test_a_fault_is_found_and_said(cases):
    said, files = cases
    assert re.search(r"seed \d+, step \d+ of \d+: native says tcp_rst_seq, wrong says answer", said), said
    assert files


def test_a_case_is_small(cases):
    for path in cases[1]:
        steps = [line for line in path.read_text().split("\n") if ">" in line and "=>" in line]
        assert 2 <= len(steps) <= 5, path.read_text()
        assert "drop tcp_rst_seq" in steps[-1], path.read_text()


def test_a_case_is_a_scenario_that_holds(cases):
    done = subprocess.run([SCENARIO, "--engine", "native", *cases[1]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert f"{len(cases[1])} passed, 0 failed" in done.stdout


def test_the_same_seed_finds_the_same(cases, tmp_path):
    seed = re.search(r"seed (\d+)", cases[0]).group(1)
    run("--engine", "wrong", "--sequences", 100, "--seed", seed, "--out", tmp_path)
    for path in tmp_path.glob("*.scn"):
        assert path.read_text() == next(p for p in cases[1] if p.name == path.name).read_text()
    assert list(tmp_path.glob("*.scn"))


def test_a_difference_from_linux_that_nobody_has_explained_is_a_failure(tmp_path):
    rules = tmp_path / "rules.tsv"
    rules.write_text("# none\n")
    done = run("--linux", rules, "--sequences", 100, "--seed", 2, "--out", tmp_path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"seed 2, step \d+ of \d+: Linux says [PDHB], native says [PDR] ", done.stdout), done.stdout
    case = tmp_path / "differential-linux-2.scn"
    assert case.read_text().startswith("# Nobody has explained it, seed 2: Linux says")


def test_each_line_of_the_table_names_what_decides():
    rules = [line.split("\t") for line in RULES.read_text().split("\n") if line and not line.startswith("#")]
    assert len(rules) > 30 and all(len(rule) == 7 for rule in rules)
    names = [rule[0] for rule in rules]
    assert len(set(names)) == len(names)
    for rule in rules:
        assert re.search(r"RFC \d+ (\d|REC-|REQ-)|RFC 768|RFC 792", rule[6]) or "the same:" in rule[6], rule


def test_the_documentation_has_each_line():
    doc = RULES.parent.parent.parent.joinpath("docs", "differences.md").read_text()
    for line in RULES.read_text().split("\n"):
        name, *_, why = line.split("\t") if line and not line.startswith("#") else [""] * 2
        assert not name or (f"| {name} |" in doc and why in doc), f"{name}: make differences"


def test_a_table_that_is_broken_is_refused(tmp_path):
    rules = tmp_path / "rules.tsv"
    rules.write_text("name\tP\tD\t*\n")
    done = run("--linux", rules, "--sequences", 1)
    assert done.returncode != 0 and "rules.tsv:1: no rule" in done.stdout


def test_the_lane_is_taken_and_tells_no_port_of_what_is_refused():
    done = run("--engine", "lane", "--sequences", 100, "--seed", 86)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) took the lane", done.stdout).group(1)) > 50, done.stdout


def test_an_engine_that_nobody_knows_is_refused():
    done = run("--engine", "nonsense")
    assert done.returncode == 2 and "usage:" in done.stderr
