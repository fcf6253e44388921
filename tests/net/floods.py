# SPDX-License-Identifier: BSD-2-Clause
"""Floods against the firewall of a lab: bounded in packets a second and in seconds, they end by themselves."""

import json
import os
import subprocess

FLOOD = os.path.abspath(os.environ.get("FLOOD", os.path.join(os.path.dirname(__file__), "../../build/bench/flood")))
MANY = 1 << 20
# networks of the real internet in which nobody of the lab lives: 32.0.0.0/6, 2a10::/16
SOURCE = {4: "32.0.0.1", 6: "2a10::1"}
NOBODY = {4: "32.0.0.0/6", 6: "2a10::/16"}


def mac(ns, dev):
    return json.loads(ns.run("ip", "-j", "link", "show", dev).stdout)[0]["address"]


class Cable:
    """The cable on which a flood comes: from `dev` of `ns` to the firewall's `door`."""

    def __init__(self, lab, ns, dev, door):
        self.lab, self.ns, self.dev = lab, ns, dev
        self.macs = mac(ns, dev), mac(lab.fw, door)
        lab.fw.run("ethtool", "-K", door, "gro", "on")  # or what the generator sends is lost
        for family, net in NOBODY.items():
            ns.run("ip", f"-{family}", "route", "replace", "blackhole", net)

    def flood(self, kind, target, port=0, rate=0, seconds=2.0, source=None, sources=MANY):
        """Starts it. kind: syn, ack, rst, udp, piece, ping; rate 0: as fast as it goes."""
        source = source or SOURCE[6 if ":" in target else 4]
        return self.ns.start(FLOOD, self.dev, *self.macs, kind, source, sources, target, port, rate, seconds,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def over(self, process):
        """Waits until it has ended; what it did."""
        out, said = process.communicate(timeout=90)
        assert process.returncode == 0, said
        return json.loads(out)


def outside(lab):
    return Cable(lab, lab.router, "eth0", "wan0")
