# SPDX-License-Identifier: BSD-2-Clause
"""Runs pytest several times at once, each on files of its own, and prints what they say one after the other.

usage: at_once.py WORDS... [-- WORDS...]...      each share is a pytest of its own, with these words

Labs have the number of their process in their name, so shares do not meet. Much of the time a test waits for something.
Ended by what the worst of them ended with; what ends this ends them first.
"""

import os
import signal
import subprocess
import sys
import tempfile

PYTEST = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"]


def shares(words):
    found = [[]]
    for word in words:
        if word == "--":
            found.append([])
        else:
            found[-1].append(word)
    return found


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started, worst = [], 0
    try:
        for words in shares(sys.argv[1:]):
            said = tempfile.TemporaryFile() if started else None  # the first one is seen at once
            started.append((subprocess.Popen(PYTEST + words, stdout=said, stderr=said), said))
            if os.cpu_count() == 1:
                started[-1][0].wait()
        for process, said in started:
            worst = process.wait() or worst
            if said:
                said.seek(0)
                sys.stdout.buffer.write(said.read())
                sys.stdout.flush()
    except SystemExit:
        for process, _ in started:
            process.terminate()
        raise
    finally:  # each takes its namespaces with it; those who sit at the terminal have been told by it
        for process, _ in started:
            process.wait()
    return worst


if __name__ == "__main__":
    sys.exit(main())
