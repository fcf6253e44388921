# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own translation in place of sally, for SP_NAT_MODES=nft: is a test true, whoever translates?

It understands the `forward` lines of the tests and translates what leaves. It gives no program an outside port of its own
(RFC 4787 5) and knows no `nat open`, so the tests of those must fail with it.
"""

import re

TABLE = """flush ruleset
table ip home {
    chain pre { type nat hook prerouting priority dstnat; %(pre)s }
    chain post { type nat hook postrouting priority srcnat;
        oifname "wan0" ip saddr 192.168.0.0/16 masquerade
        ct status dnat ip saddr 192.168.0.0/16 ip daddr 192.168.0.0/16 snat to %(fw)s
    }
}
table inet guard {
    chain forward { type filter hook forward priority filter; policy drop;
        ct state invalid drop
        ct state { established, related } accept
        iifname "lan0" accept
        ct status dnat accept
        %(pinholes)s
    }
    chain input { type filter hook input priority filter; policy drop;
        ct state { established, related } accept
        iifname { "lan0", "lo" } accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    }
}
"""
NUMBERS = {"http": "tcp/80", "https": "tcp/443", "ssh": "tcp/22", "dns": "udp/53"}
FORWARD = re.compile(r"forward (?P<services>.+?)(?: from (?P<who>\S+))? to (?P<host>[\w.]+)(?::(?P<port>\d+))?$")


def masquerade(lab, *lines):
    """Loads rules that do what the lines say."""
    hosts, pre, pinholes = {}, [], []
    for line in lines:
        if line.startswith("host "):
            name, addresses = line[5:].split(" = ")
            hosts[name] = addresses.split(", ")
            continue
        found = FORWARD.match(line)
        if not found:
            continue
        addresses = hosts.get(found["host"], [found["host"]])
        to4 = next(a for a in addresses if ":" not in a) + (f":{found['port']}" if found["port"] else "")
        source = f"ip saddr {found['who']} " if found["who"] else ""
        for service in found["services"].split(", "):
            proto, port = NUMBERS.get(service, service).split("/")
            pre.append(f"{source}ip daddr {lab.fw4} {proto} dport {port} dnat to {to4};")
            inside_port = found["port"] or port
            pinholes += [f"ip6 daddr {a} {proto} dport {inside_port} accept" for a in addresses if ":" in a]
    lab.fw.run("nft", "-f", "-", stdin=TABLE % {"pre": " ".join(pre), "fw": lab.fw4, "pinholes": "\n".join(pinholes)})
