# SPDX-License-Identifier: BSD-2-Clause
"""The commands that edit the configuration: one sentence more or less in the file, in force at once, all else as it was."""

import os

import pytest

from conftest import MODES
from lab import SALLY
from test_apply import PORTS, guarded, reach, refused

FILE = "# my rules\nopen tcp/7002 as second   # keep this\n"


@pytest.fixture(scope="module", params=[("host", m) for m in MODES if m != "none"], ids="-".join)
def live(request, tmp_path_factory):
    yield from guarded(*request.param, tmp_path_factory.mktemp("edit"))


@pytest.fixture
def conf(live, tmp_path):
    live.sally("flows", "kill", "--all")
    path = tmp_path / "etc" / "sally.conf"
    yield path
    empty = tmp_path / "empty.conf"
    empty.write_text("# nothing\n")
    live.sally("apply", "--no-trial", empty)


def edit(live, conf, *words, code=0):
    done = live.fw.run(SALLY, *words, "--config", conf, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_open_lets_in_and_close_ends(live, conf):
    address = live.address("john", 4)
    refused(live, live.web, address, PORTS[0])
    edit(live, conf, "open", f"tcp/{PORTS[0]}", "from", live.address("web", 4))
    assert conf.read_text() == f"open tcp/{PORTS[0]} from {live.address('web', 4)}\n"
    reach(live, live.web, PORTS[0])
    refused(live, live.stranger, address, PORTS[0])
    edit(live, conf, "close", f"tcp/{PORTS[0]}", "from", live.address("web", 4))
    assert conf.read_text() == ""
    refused(live, live.web, address, PORTS[0])


def test_close_by_name_keeps_the_rest(live, conf):
    conf.parent.mkdir()
    conf.write_text(FILE)
    edit(live, conf, "open", f"tcp/{PORTS[0]}")
    assert conf.read_text() == FILE + f"open tcp/{PORTS[0]}\n"
    edit(live, conf, "close", "second")
    assert conf.read_text() == f"# my rules\nopen tcp/{PORTS[0]}\n"


def test_block_and_unblock(live, conf):
    stranger = live.address("stranger", 4)
    edit(live, conf, "open", f"tcp/{PORTS[0]}")
    reach(live, live.stranger, PORTS[0])
    edit(live, conf, "block", stranger)
    refused(live, live.stranger, live.address("john", 4), PORTS[0], "blocked")
    edit(live, conf, "unblock", stranger)
    reach(live, live.stranger, PORTS[0])


@pytest.mark.parametrize("words", [("open", "sssh"), ("open",), ("close", "nothing-such"), ("block", "300.1.1.1")])
def test_wrong_ones_change_nothing(live, conf, words):
    conf.parent.mkdir()
    conf.write_text(FILE)
    before = live.sally("status", "--json").stdout.split('"generation": ')[1].split(",")[0]
    error = edit(live, conf, *words, code=2 if words == ("open",) else 1)
    assert error
    assert conf.read_text() == FILE
    assert live.sally("status", "--json").stdout.split('"generation": ')[1].split(",")[0] == before


def test_a_line_of_an_included_file_stays(live, conf):
    conf.parent.mkdir()
    (conf.parent / "more.conf").write_text("open tcp/7003 as third\n")
    conf.write_text("include \"more.conf\"\n")
    assert "more.conf, line 1" in edit(live, conf, "close", "third", code=1)
    assert (conf.parent / "more.conf").read_text() == "open tcp/7003 as third\n"


def test_a_folder_that_can_not_be_written(live, conf):
    conf.parent.mkdir()
    conf.write_text(FILE)
    os.mkdir(f"{conf}.new")  # where the new file would be written
    assert "nothing has changed" in edit(live, conf, "open", "tcp/7001", code=1)
    assert conf.read_text() == FILE


def test_not_up_the_file_waits(bare, tmp_path):
    conf = tmp_path / "sally.conf"
    done = bare.fw.run(SALLY, "open", "tcp/7001", "--config", conf, check=False)
    assert done.returncode == 4 and "not up" in done.stderr
    assert conf.read_text() == "open tcp/7001\n"


def test_forward_and_unforward(live, conf):
    conf.parent.mkdir()
    conf.write_text("host box = 10.1.0.2\n" + FILE)
    edit(live, conf, "forward", "tcp/7005", "to", "box")
    edit(live, conf, "forward", "tcp/7005", "from", "192.0.2.0/24", "to", "10.1.0.9:80")
    assert conf.read_text().endswith("forward tcp/7005 to box\nforward tcp/7005 from 192.0.2.0/24 to 10.1.0.9:80\n")
    # the one that says this, not the first one that is called alike
    edit(live, conf, "unforward", "tcp/7005", "from", "192.0.2.0/24", "to", "10.1.0.9:80")
    assert conf.read_text().endswith("forward tcp/7005 to box\n")
    assert "no line" in edit(live, conf, "unforward", "tcp/7005", "to", "10.1.0.9", code=1)
    edit(live, conf, "unforward", "tcp/7005", "to", "box")
    assert conf.read_text() == "host box = 10.1.0.2\n" + FILE


def test_close_leaves_options_aside(live, conf):
    conf.parent.mkdir()
    conf.write_text(f"open tcp/{PORTS[0]} idle 5m as mine\nopen tcp/{PORTS[0]} from 192.0.2.1\n")
    edit(live, conf, "close", f"tcp/{PORTS[0]}")
    assert conf.read_text() == f"open tcp/{PORTS[0]} from 192.0.2.1\n"
