# SPDX-License-Identifier: BSD-2-Clause
"""A million live conversations: listed in under three seconds, counted right, and new ones still begin."""

import os
import subprocess
import time

import pytest

from lab import SALLY
from talk import Tcp

FILL = os.environ.get("SP_FILL", os.path.join(os.path.dirname(SALLY), "tests", "net", "fill"))
MILLION = 1_000_000


@pytest.mark.parametrize("bare", ["gateway"], indirect=True)
def test_a_million_conversations(bare, tmp_path):
    bare.sally.up("--flows", "1250000")
    bare.fw.run(FILL, MILLION, timeout=60)
    with Tcp(bare.john, bare.web, bare.web4, 7001) as tcp:
        tcp.both_speak()
        for options in ([], ["--json"]):
            seconds = []
            for _ in range(3):  # the best of three: other programs may be at work on this machine
                with open(tmp_path / "flows", "wb") as out:
                    start = time.monotonic()
                    subprocess.run(bare.fw.command(SALLY, "flows", *options), stdout=out, check=True, timeout=60)
                    seconds.append(time.monotonic() - start)
                if seconds[-1] < 3:
                    break
            with open(tmp_path / "flows", "rb") as listing:
                lines = [line for line in listing if b"5.6." in line]
            assert len(lines) == MILLION
            print(f"sally flows {' '.join(options)}: {MILLION} conversations in {min(seconds):.2f} s")
            assert min(seconds) < 3, seconds
        assert bare.sally.status()["flows"]["answered"] == MILLION + 1
        assert len(bare.sally.flows("--port", "7001")) == 1
