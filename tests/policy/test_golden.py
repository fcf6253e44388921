# SPDX-License-Identifier: BSD-2-Clause
"""What `sally check` says to right, wrong and idle configurations, word for word; `make update-policy` rewrites it."""

import golden
import pytest


def say_wrong(text):
    code, out, err = golden.check("-", stdin=text.encode())
    assert code == 1 and out == "", (code, out)
    return err


def say_idle(text):
    code, out, err = golden.check("-", stdin=text.encode())
    assert code == 0, err
    return err + out


def say_right(text):
    code, out, err = golden.check("-", "--canonical", stdin=text.encode())
    assert code == 0, err
    again, twice, _ = golden.check("-", "--canonical", stdin=out.encode())
    assert again == 0 and twice == out, "the canonical form does not parse to itself"
    return out


FILES = {"wrong.txt": say_wrong, "idle.txt": say_idle, "right.txt": say_right}
CASES = [(name, *case) for name in FILES for case in golden.read(name)]


@pytest.mark.parametrize("file,case,text,expected", CASES, ids=[f"{row[0][:-4]}/{row[1]}" for row in CASES])
def test_case(file, case, text, expected):
    said = FILES[file](text).strip("\n")
    if not golden.UPDATE:
        assert said == expected


if golden.UPDATE:
    @pytest.mark.parametrize("file", FILES)
    def test_update(file):
        golden.write(file, [(case, text, FILES[file](text).strip("\n")) for case, text, _ in golden.read(file)])


def test_there_are_many():
    assert len(golden.read("wrong.txt")) >= 200 and len({row[1] for row in CASES if row[0] == "wrong.txt"}) >= 200
