# SPDX-License-Identifier: BSD-2-Clause
"""The runner of scenarios fails when it must, and says where: a negative test that can not fail is worth nothing."""

import os
import subprocess

import pytest

SCENARIO = os.environ.get("SCENARIO", "build/scenario")
HEAD = "# What is shown.\n# holds: story/answer\n"


def run(tmp_path, text, *options, env=None):
    path = tmp_path / "it.scn"
    path.write_text(HEAD + text)
    done = subprocess.run([SCENARIO, *(options or ("--engine", "native")), str(path)], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, check=False)
    return done.returncode, done.stdout.replace(str(path), "it.scn")


def test_what_holds_passes(tmp_path):
    rc, out = run(tmp_path, "gateway family both\nin> udp john:1 > web:2 => pass new_inside\nflows 1\n")
    assert (rc, out) == (0, "1 passed, 0 failed, 0 skipped\n")


# what comes after the head (so line 3 is the first), and what must be said
WRONG = [
    ("gateway\nin> udp john:1 > web:2 => drop uninvited\n",
     "it.scn:4: native: packet 1: expected drop uninvited, got pass new_inside"),
    ("gateway\nout> udp web:1 > john:2 => pass answer\n",
     "it.scn:4: native: packet 1: expected pass answer, got drop uninvited"),
    ("gateway\nrepeat 3 sport+1 in> udp john:65534 > web:2 => pass new_inside\nflows 2\n",
     "it.scn:5: native: expected 2 conversations, there are 3"),
    ("gateway\nin> udp john:1 > web:2 => pass new_inside\nflow udp john:1 web:2 is answered\n",
     "it.scn:5: native: the conversation is unanswered, expected answered"),
    ("gateway\nin> udp john:1 > web:2 => pass new_inside\nflow udp web:2 john:1 is unanswered begun\n",
     "it.scn:5: native: the conversation was begun by the other end"),
    ("gateway\nin> udp john:1 > web:2 => pass new_inside\nflow udp john:1 web:2 is gone\n",
     "it.scn:5: native: the conversation is unanswered, expected gone"),
    ("gateway\nin> udp john:1 > web:2 => pass new_inside\nwait 2m1s\nflow udp john:1 web:2 is unanswered\n",
     "it.scn:6: native: the conversation is gone, expected unanswered"),
    ("gateway\nin> udp john:1 > web:2 => pass new_inside\ncount new_inside >= 2\n",
     "it.scn:5: native: expected at least 2 packets counted as new_inside, there are 1"),
    ("gateway family both\nin> udp 10.0.0.2:1 > 1.2.3.4:2 => pass new_inside\nflow udp john:1 1.2.3.4:2 is unanswered\n",
     "it.scn:5: the two ends are not of one family"),
    ("gateway\nkill udp john:1 web:2\n", "it.scn:4: native: native: there is no such conversation to kill"),
    ("in> udp john:1 > web:2 => pass new_inside\n",
     "it.scn:3: a scenario begins with 'gateway' or 'host', not with 'in>'"),
    ("gateway\n", "it.scn:3: the file has no steps"),
    ("gateway\nin> udp john:1 > web:2\n", "it.scn:4: a packet ends with '=> pass REASON' or '=> drop REASON'"),
    ("gateway\nin> udp john:1 > web:2 => pass nonsense\n", "it.scn:4: 'nonsense' is not a reason of core/reasons.h"),
    ("gateway\nin> udp john:1 > web:2 => pass uninvited\n", "it.scn:4: the reason 'uninvited' is not one for 'pass'"),
    ("gateway\nin> udp john > web:2 => pass answer\n", "it.scn:4: 'john' has no port"),
    ("gateway\nin> udp jhon:1 > web:2 => pass answer\n", "it.scn:4: 'jhon' is neither an address nor one of the names"),
    ("gateway\nin> tcp john:1 > web:2 SX => pass answer\n", "it.scn:4: 'SX' are not TCP flags"),
    ("gateway\nin> tcp john:1 > web:2 S sqe 1 => pass answer\n", "it.scn:4: 'sqe' is not a feature of a packet"),
    ("gateway\nin> udp john:1 > web:2 frag 7 => pass answer\n", "it.scn:4: a fragment begins at a multiple of 8, not at 7"),
    ("gateway\nin> udp john:1 > web:2 => pass new_inside\ncapacity 5\n", "it.scn:5: 'capacity' is not a command here"),
    ("gateway\nwait 5\n", "it.scn:4: '5' is not a time"),
    ("gateway\nengines native\n", "it.scn:4: say why after the engines"),
    ("gateway\nflow udp john:1 web:2 is WAITING\n", "it.scn:4: 'WAITING' is not a phase"),
    ("gateway\nconnect out> web:1 > john:2\n", "it.scn:4: 'connect' goes on with in>, self>, self-in>, in-out>, ..."),
    # policies
    ("host\nconfig { open shh }\nout> udp web:1 > me:2 => drop uninvited\n", "it.scn:4: policy, line 1: "),
    ("host\nconfig {\n\topen http\n", "it.scn:4: the block does not end with a line of '}'"),
    ("host\nconfig {\n\topen udp/2\n}\nout> udp web:1 > me:2 => drop uninvited\n",
     "it.scn:7: native: packet 1: expected drop uninvited, got pass new_permitted"),
    ("host\nconfig { open udp/2 }\napply { open udp/3 }\nout> udp web:1 > me:2 => pass new_permitted\n",
     "it.scn:6: native: packet 1: expected pass new_permitted, got drop uninvited"),
    ("host\nconfig { open udp/2 as a }\nout> udp web:1 > me:2 => pass new_permitted\n"
     "flow udp web:1 me:2 is unanswered by b\n",
     "it.scn:6: native: the line is 'a', expected 'b'"),
    ("host\nconfirm\n", "it.scn:4: native: there is no trial to confirm"),
    ("host\nundo\n", "it.scn:4: native: there is no generation 0 to go back to"),
    # translation
    ("gateway nat\nin-out> udp john:1 > web:2 => pass new_inside\n",
     "it.scn:4: native: the packet leaves as 192.0.2.10:1 > 198.51.100.7:2, expected 10.0.0.2:1 > 198.51.100.7:2"),
    ("gateway nat\nin-out> udp john:1 > web:2 => pass new_inside as me:3 > web:2\n",
     "it.scn:4: native: the packet leaves as 192.0.2.10:1 > 198.51.100.7:2, expected 192.0.2.10:3 > 198.51.100.7:2"),
    ("gateway\nin-out> udp john:1 > web:2 => pass new_inside as me:1 > web:2\n",
     "it.scn:4: native: the packet leaves as 10.0.0.2:1 > 198.51.100.7:2, expected 192.0.2.10:1 > 198.51.100.7:2"),
    ("gateway nat\nin-out> udp john:1 > web:2 => pass new_inside as me:$a > web:2\nport $a not 1\n",
     "it.scn:5: native: $a is 1, expected not"),
    ("gateway nat\nout> udp web:2 > me:$a => drop uninvited\n", "it.scn:4: native: $a stands for nothing yet"),
    ("gateway nat\nin-out> udp john:1 > web:2 => pass new_inside as me:1 > web:2\nmapped udp me:1 is mary:1\n",
     "it.scn:5: native: the port is held by 10.0.0.2:1"),
    ("gateway nat\nin-out> udp john:1 > web:2 => pass new_inside as me:1 > web:2\nmapped udp me:1 is john:1 by 2\n",
     "it.scn:5: native: the port is used by 1 conversations, expected 2"),
    ("gateway nat\nmapped udp me:1 is john:1\n", "it.scn:4: native: the port is free"),
    ("gateway nat\nports 1\n", "it.scn:4: native: 0 ports are held, expected 1"),
    ("gateway nat\nfwd> udp john:1 > web:2 => pass forwarded\n",
     "it.scn:4: native: packet 1: expected pass forwarded, got drop nat_none"),
]


@pytest.mark.parametrize("text, said", WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_does_not_hold_fails(tmp_path, text, said):
    rc, out = run(tmp_path, text)
    assert rc == 1 and said in out.splitlines()[0]
    assert out.endswith("\n0 passed, 1 failed, 0 skipped\n")


def test_missing_reasons_are_named(tmp_path):
    rc, out = run(tmp_path, "gateway\nin> udp john:1 > web:2 => pass new_inside\n", "--engine", "native", "--every-reason")
    assert rc == 1
    assert "scenario: no scenario produces the reason table_full\n" in out
    assert "reason new_inside\n" not in out
    assert out.endswith("1 passed, 1 failed, 0 skipped\n")


def test_without_privilege_the_kernel_is_skipped_but_not_in_ci(tmp_path):
    text = "gateway\nin> udp john:1 > web:2 => pass new_inside\n"
    path = tmp_path / "it.scn"
    path.write_text(HEAD + text)
    os.chmod(tmp_path, 0o755)
    if os.getuid() != 0:
        pytest.skip("needs root to give it up")

    def nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    results = []
    for ci in ("", "true"):
        # read here and handed over, since nobody may not walk to either file
        with open(SCENARIO, "rb") as program, open(path, "rb") as scenario:
            done = subprocess.run([f"/proc/self/fd/{program.fileno()}", f"/proc/self/fd/{scenario.fileno()}"], text=True,
                                  pass_fds=(program.fileno(), scenario.fileno()), preexec_fn=nobody, timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                  env={**os.environ, "CI": ci})
        results.append((done.returncode, done.stdout.splitlines()[-1]))
        assert "engine tc can not run here" in done.stdout
    assert results == [(0, "1 passed, 0 failed, 2 skipped"), (1, "1 passed, 2 failed, 2 skipped")]


def test_usage(tmp_path):
    assert run(tmp_path, "gateway\n", "--engine", "nfs")[0] == 2
    done = subprocess.run([SCENARIO], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("usage: ")
