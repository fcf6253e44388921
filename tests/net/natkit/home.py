# SPDX-License-Identifier: BSD-2-Clause
"""A home behind one address: private IPv4 inside, public IPv6, and an outside that knows no way to 192.168.

    inside                                    the firewall               outside
    john 192.168.1.2  --+                     +--------+                          +-- web      5.5.1.2, 5.5.1.3
    mary 192.168.1.3  --+-- switch --- lan0   |   fw   | wan0 --- eth0 router ----+
    www  192.168.1.10 --+   192.168.1.1       +--------+ 5.5.0.1     5.5.0.2      +-- stranger 5.5.2.2
           |
         deep 192.168.2.10  (www is the router to it)

IPv6 is 2a00:1:0:1::/64 with the same last numbers, deep is 2a00:1:0:3::10. The path to the web server narrows to 1300 bytes
at the router, as lab.py says; that to `deep` narrows to 1280 at www.

Whoever translates is the lab's door: sally, or the kernel's own translation (nftables.py), which shows whether a test is
true of any translator.
"""

import itertools
import os

from lab import Lab, Namespace, wait_for
from natkit import nftables
from servers import Servers

DEEP_MTU = 1280


class Home(Lab):
    """
    mode: "tc", "xdp", "auto", "express" (xdp, and the lane), or "nft": no sally at all, the kernel's own translation.
    bridged: "lan0" or "wan0" is the only port of a bridge, as where there are several; bridges have no XDP.
    """

    def __init__(self, mode, directory, bridged=None):
        self.mode = mode
        self.bridged = bridged
        self.dir = directory
        self.serial = itertools.count()
        super().__init__("home")

    def _build_inside(self):
        self.forwards(self.fw)
        self.switch = Namespace(self, "switch")
        self.switch.run("ip", "link", "add", "br0", "type", "bridge")
        self.switch.run("ip", "link", "set", "br0", "up")
        self._plug(self.fw, "lan0", 1)
        for role, number in (("john", 2), ("mary", 3), ("www", 10)):
            ns = Namespace(self, role)
            self._plug(ns, "eth0", number)
            self.default_route(ns, "192.168.1.1", "2a00:1:0:1::1")
            setattr(self, role, ns)
            setattr(self, f"{role}4", f"192.168.1.{number}")
            setattr(self, f"{role}6", f"2a00:1:0:1::{number}")
        self._build_deep()

    def _plug(self, ns, dev, number):
        ns.run("ip", "link", "add", dev, "type", "veth", "peer", "name", f"to-{ns.role}", "netns", self.switch.name)
        self.switch.run("ip", "link", "set", f"to-{ns.role}", "master", "br0", "up")
        ns.run("ip", "addr", "add", f"192.168.1.{number}/24", "dev", dev)
        ns.run("ip", "addr", "add", f"2a00:1:0:1::{number}/64", "dev", dev, "nodad")
        ns.run("ip", "link", "set", dev, "up")

    def _build_deep(self):
        self.deep = Namespace(self, "deep")
        self.deep4, self.deep6 = "192.168.2.10", "2a00:1:0:3::10"
        self.forwards(self.www)
        self.www.run("ip", "link", "add", "deep0", "type", "veth", "peer", "name", "eth0", "netns", self.deep.name)
        for ns, dev, number in ((self.www, "deep0", 1), (self.deep, "eth0", 10)):
            ns.run("ip", "addr", "add", f"192.168.2.{number}/24", "dev", dev)
            ns.run("ip", "addr", "add", f"2a00:1:0:3::{number}/64", "dev", dev, "nodad")
            ns.run("ip", "link", "set", dev, "up")
        self.default_route(self.deep, "192.168.2.1", "2a00:1:0:3::1")
        self.narrow(self.www, f"{self.deep4}/32", f"{self.deep6}/128", "deep0", DEEP_MTU)
        for ns in (self.fw, self.john, self.mary):
            ns.run("ip", "route", "add", "192.168.2.0/24", "via", self.www4)
            ns.run("ip", "route", "add", "2a00:1:0:3::/64", "via", self.www6)

    def _build_outside(self):
        super()._build_outside()
        self.router.run("ip", "route", "add", "2a00:1:0:3::/64", "via", "2a00:1:0:2::1")
        self.second4 = "5.5.1.3"
        self.web.run("ip", "addr", "add", f"{self.second4}/24", "dev", "eth0")
        # what leaves the home with a private address is seen, and goes nowhere
        self.router.run("nft", "-f", "-", stdin="""table ip leaks {
            counter private { }
            chain pre { type filter hook prerouting priority -300;
                iifname "eth0" ip saddr { 192.168.0.0/16, 10.0.0.0/8, 172.16.0.0/12 } counter name private drop; }
            }""")

        if self.bridged:
            self._bridge(self.bridged)
        self.offloads()

    def _bridge(self, dev):
        """The device becomes a port of bridge br-DEV, which gets its addresses and routes."""
        net4, net6 = {"lan0": ("192.168.1.1/24", "2a00:1:0:1::1/64"), "wan0": ("5.5.0.1/24", "2a00:1:0:2::1/64")}[dev]
        self.fw.run("ip", "addr", "flush", "dev", dev)
        self.fw.run("ip", "-6", "route", "flush", "dev", dev)
        self.fw.run("ip", "link", "add", f"br-{dev}", "type", "bridge")
        self.fw.run("ip", "link", "set", dev, "master", f"br-{dev}")
        self.fw.run("ip", "link", "set", f"br-{dev}", "up")
        for net in (net4, net6):
            self.fw.run("ip", "addr", "add", net, "dev", f"br-{dev}", *(["nodad"] if ":" in net else []))
        if dev == "wan0":
            self.default_route(self.fw, "5.5.0.2", "2a00:1:0:2::2")
        else:
            self.fw.run("ip", "route", "add", "192.168.2.0/24", "via", self.www4)
            self.fw.run("ip", "route", "add", "2a00:1:0:3::/64", "via", self.www6)

    def leaks(self):
        """Packets that left with a private source."""
        words = self.router.run("nft", "list", "counter", "ip", "leaks", "private").stdout.split()
        return int(words[words.index("packets") + 1])

    def forget_paths(self):
        """What was learnt of paths' MTUs is forgotten."""
        for ns in (self.john, self.mary, self.www, self.deep, self.fw, self.web, self.stranger):
            for version in ("-4", "-6"):
                ns.run("ip", version, "route", "flush", "cache")

    def open_door(self):
        if self.mode == "nft":
            nftables.masquerade(self)
        else:
            mode = ("xdp", "--express") if self.mode == "express" else (self.mode,)
            self.sally.up("--mode", *mode, "--no-config", "--flows", 100000)

    def put(self, *lines):
        """Puts these lines in force; those that were are gone."""
        if self.mode == "nft":
            return nftables.masquerade(self, *lines)
        path = self.dir / f"{next(self.serial)}.conf"
        path.write_text("".join(line + "\n" for line in lines) or "# nothing\n")
        return self.sally("apply", "--no-trial", path).stdout

    def forget(self):
        """Ends every conversation."""
        if self.mode == "nft":
            self.fw.run("conntrack", "-F")
        else:
            self.sally("flows", "kill", "--all")

    def drops(self):
        """Packets dropped so far, by reason; the kernel's own translation gives none."""
        return {} if self.mode == "nft" else self.sally.drops()

    def close_door(self):
        if self.mode == "nft":
            self.fw.run("nft", "flush", "ruleset")
        else:
            self.sally.down()

    def offloads(self, how="late"):
        """
        Who finishes checksums and cuts segments. "off": the end hosts. "late": the last cable to whoever receives them, as a
        network card does behind a virtual machine: only then are they looked at. "on": nobody, they arrive as they left.
        """
        for ns in (self.john, self.mary, self.www, self.web, self.stranger):
            ns.run("ethtool", "-K", "eth0", "tx", "off" if how == "off" else "on")
        last = [(self.router, dev) for dev in ("w0", "s0")]
        last += [(self.switch, f"to-{role}") for role in ("john", "mary", "www")]
        for ns, dev in last:
            ns.run("ethtool", "-K", dev, "tx", "off" if how == "late" else "on")


def start_servers(lab, directories):
    """Outside: everything that one visits. Inside: a web server and ssh on www."""
    lab.servers = Servers(lab.web, directories.mktemp("outside"))
    lab.inner = Servers(lab.www, directories.mktemp("inside"))
    for start in (lab.servers.web, lab.servers.ssh, lab.servers.dns, lab.servers.quic, lab.inner.web, lab.inner.ssh):
        start()
    lab.servers.ftp(active=True)
    lab.servers.iperf(5201)
    lab.inner.iperf(5201)
    lab.stun = stun_server(lab)


def log_of(process, path):
    """The output of a server that ended too early."""
    if process.poll() is None or not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()[-2000:]


def stun_server(lab):
    """RFC 5780 needs two addresses and two ports; coturn takes the port after the first one."""
    log = f"{lab.dir}/turnserver.log"
    process = lab.web.start("turnserver", "-c", "/dev/null", "-L", lab.web4, "-L", lab.second4, "-p", 3478,
                            "--alt-listening-port", 3479, "--stun-only", "--no-tls", "--no-dtls", "--no-cli",
                            "--no-auth", "-l", log, "--simple-log", "--pidfile", f"{lab.dir}/turnserver.pid",
                            "--db", f"{lab.dir}/turn.db")

    def ready():
        assert process.poll() is None, f"turnserver ended: {log_of(process, log)}"
        return lab.web.run("ss", "-Hltun", "sport = :3479").stdout.count(":3479") >= 2

    wait_for("the STUN server", ready)
    return process
