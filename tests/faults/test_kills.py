# SPDX-License-Identifier: BSD-2-Clause
"""A few of the kills of kills.py; `make faults` does a thousand."""

from kills import kills

KILLS = 24


def test_kills_at_random_moments():
    for line in kills(KILLS, 1):
        print(line)
