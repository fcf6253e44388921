# SPDX-License-Identifier: BSD-2-Clause
"""What a conversation takes of memory, resident: of Sallyport's maps, of the kernel's own tracking, of user-space engines.

Each holds a number of answered UDP conversations, and then four times as many. "each" is all that it has, spread over the
larger number; "one more" is what the difference took for each of its conversations. The tables of Sallyport have one size
from the start: there it is a table four times as large, each 91 % full. Open vSwitch: growth of the process alone.
"""

import glob
import json
import os
import subprocess
import tempfile
import time

import bed
import packets

RESIDENT = os.environ.get("RESIDENT", "build/bench/resident")
# where the files of Debian's packages openvswitch-switch and -common are (dpkg -x does); they need not be installed
OVS = os.environ.get("OVS", "")
SMALL, LARGE = 60000, 240000
ROOM = 0.915  # of the table that is full
ENOUGH = 0.999  # of the conversations: where tables are full or ports taken, some few may find no place

VARIANTS = {
    "nftables stateful": lambda n: conntrack(packets.NFT, n, False),
    "nftables masquerade": lambda n: conntrack(packets.MASQUERADE, n, True),
    "sally": lambda n: sally("nat off\n", n, 1),
    "sally, translating": lambda n: sally("", n, 2),
    "sally, native": lambda n: native(n),
}
SMOKE = ("nftables stateful", "sally", "sally, native")
TABLES = (
    ("Memory of a conversation, resident", {"each": "each, bytes", "more": "one more, bytes", "fixed_mb": "fixed, MB"}),
)


def slabs():
    """{cache: (objects, bytes)} of the kernel's small allocations."""
    found = {}
    with open("/proc/slabinfo", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            words = line.split()
            found[words[0]] = (int(words[1]), int(words[14]) * int(words[5]) * 4096)
    return found


def conntrack(rules, flows, turned):
    """Caches that grew by most of an object a conversation, and the hash table, which the kernel has from its start."""
    net = packets.Bed(("nft", rules), flows)
    try:
        before = slabs()
        net.warm(flows, turned, ENOUGH)
        grew = {name: (n - before[name][0], size - before[name][1]) for name, (n, size) in slabs().items() if name in before}
        with open("/proc/sys/net/netfilter/nf_conntrack_buckets", encoding="ascii") as file:
            buckets = int(file.read()) * 8
        return sum(size for n, size in grew.values() if n > 0.8 * flows) + buckets
    finally:
        net.close()


def sally(config, flows, places):
    """All maps of the instance, as the kernel accounts for them."""
    net = packets.Bed(("sally", config, "xdp"), flows, room=int(flows * places / ROOM))
    try:
        net.warm(flows, places == 2, ENOUGH)
        inode = os.stat(f"/run/netns/{net.names['gw']}").st_ino
        maps = glob.glob(f"/sys/fs/bpf/sally/*-{inode}-*/sp_*")
        total = 0
        for path in maps:
            shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", path], capture_output=True, text=True,
                                   timeout=20, check=False)
            total += json.loads(shown.stdout).get("bytes_memlock", 0)  # a program's pin is an error
        if total < flows * 64:
            raise RuntimeError(f"sally: only {total} bytes of maps below /sys/fs/bpf/sally: {maps}")
        return total
    finally:
        net.close()


def native(flows):
    done = subprocess.run([RESIDENT, str(flows), str(int(flows / ROOM))], capture_output=True, text=True, timeout=60,
                          check=True)
    return json.loads(done.stdout)["bytes"]


class Switch:
    """Open vSwitch with its datapath and its tracking in user space, in the gateway's namespace."""

    def __init__(self, net):
        self.net = net
        self.home = tempfile.TemporaryDirectory()
        at = self.home.name
        for name in ("RUN", "DB", "LOG", "SYSCONF"):
            os.environ[f"OVS_{name}DIR"] = at  # of processes that are started from here on
        self.db = f"unix:{at}/db.sock"
        subprocess.run([OVS + "/usr/bin/ovsdb-tool", "create", at + "/conf.db",
                        OVS + "/usr/share/openvswitch/vswitch.ovsschema"], check=True, timeout=20)
        net.start("gw", OVS + "/usr/sbin/ovsdb-server", at + "/conf.db", f"--remote=p{self.db}", f"--unixctl={at}/dbctl")
        self.wait(at + "/db.sock")
        self.process = net.start("gw", OVS + "/usr/lib/openvswitch-switch/ovs-vswitchd", self.db, f"--unixctl={at}/ctl")
        self.wait(at + "/ctl")
        self.tool("ovs-vsctl", f"--db={self.db}", "--no-wait", "init")
        self.tool("ovs-vsctl", f"--db={self.db}", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev",
                  "fail_mode=secure", "--", "add-port", "br0", "lan0", "--", "add-port", "br0", "wan0")
        for flow in ("table=0,ip,actions=ct(table=1)",
                     "table=1,in_port=lan0,ct_state=+new,ip,actions=ct(commit),output:wan0"):
            self.tool("ovs-ofctl", "add-flow", f"unix:{at}/br0.mgmt", flow)

    @staticmethod
    def wait(path):
        deadline = time.monotonic() + 20
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Open vSwitch: no {path} after 20 s")
            time.sleep(0.05)

    def tool(self, name, *argv):
        return self.net.run("gw", f"{OVS}/usr/bin/{name}", "--timeout=20", *argv)

    def has(self):
        """Conversations, and bytes of the process."""
        count = int(self.tool("ovs-appctl", "-t", self.home.name + "/ctl", "dpctl/ct-get-nconns"))
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return count, next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def switch():
    """Bytes of one more conversation: it loses packets at this pace, so as many as there are are counted."""
    net = packets.Bed(None, 0)
    made = None
    try:
        net.run("gw", "sysctl", "-qw", "net.ipv4.ip_forward=0")
        made = Switch(net)
        seen = []
        for first in range(0, packets.NEW_FLOWS * 2, 250):
            net.ask(f"run 1 new 250 {first}")
            if first % 15000 == 0:
                seen.append(made.has())
        seen.append(made.has())
        (few, less), (many, more) = seen[1], seen[-1]
        if many - few < 2000:
            raise RuntimeError(f"Open vSwitch: conversations, bytes: {seen}")
        return (more - less) / (many - few)
    finally:
        net.close()
        if made:
            made.home.cleanup()


def measure(rounds, smoke):
    found = {}
    small, large = (2000, 8000) if smoke else (SMALL, min(LARGE, packets.conntrack_room()))
    for _ in range(rounds):
        for name, held in VARIANTS.items():
            if smoke and name not in SMOKE:
                continue
            less, more = held(small), held(large)
            each = (more - less) / (large - small)
            for metric, value in (("each", more / large), ("more", each), ("fixed_mb", (more - each * large) / 1e6)):
                found.setdefault((name, metric), []).append(value)
        if OVS and not smoke:
            found.setdefault(("Open vSwitch, user space", "more"), []).append(switch())
    return found
