# SPDX-License-Identifier: BSD-2-Clause
"""These tests use the lab and the conversations of the network tests."""

import os
import signal
import sys

sys.path[:0] = [os.path.dirname(__file__), os.path.join(os.path.dirname(os.path.dirname(__file__)), "net")]

import pytest  # noqa: E402

import lab as lab_  # noqa: E402


def pytest_configure(config):
    for name in ("SSH_CONNECTION", "SUDO_UID"):  # applies must not be on trial because of who runs the tests
        os.environ.pop(name, None)
    # an interrupted run must take its namespaces with it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@pytest.fixture(scope="session", autouse=True)
def possible():
    why = lab_.unavailable()
    if why:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
