# SPDX-License-Identifier: BSD-2-Clause
"""Looks at the wire with tcpdump."""

import os
import re
import signal
import subprocess
import threading

from lab import wait_for


class Capture:
    """Collects one line a packet from now on."""

    def __init__(self, ns, dev, expression):
        self.ns = ns
        self.lines = []
        self.process = ns.start("tcpdump", "-n", "-l", "-p", "--immediate-mode", "-B", 8192, "-i", dev, expression,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("listening on"):
                break
        else:
            raise AssertionError("tcpdump did not start")
        self.threads = [threading.Thread(target=self.lines.extend, args=(self.process.stdout,), daemon=True),
                        threading.Thread(target=self.process.stderr.read, daemon=True)]
        for thread in self.threads:
            thread.start()

    def stop(self, until=None):
        """Ends the capture, once a line has matched `until`; returns the lines."""
        if until:
            wait_for(f"a packet like '{until}' in the capture",
                     lambda: any(re.search(until, line) for line in list(self.lines)))
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(10)
        for thread in self.threads:
            thread.join(10)
        return [line.rstrip("\n") for line in self.lines]
