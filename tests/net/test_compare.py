# SPDX-License-Identifier: BSD-2-Clause
"""
The three jobs of docs/compare.md, done by nftables, by ufw and by Sallyport, and tried with the same clients: who must get
through does, who must not does not. And what the document says of their habits.

    servers           eth2 +----+ eth0             outside: one namespace with the addresses of
    web 10.0.2.10 ---------| fw |------------------  the office   203.0.113.7     2001:db8:5::7
    john 192.168.1.2 ------+----+ 198.51.100.5       a stranger   192.0.2.9       2001:db8:99::9
    (web 192.168.1.10) eth1       2001:db8:f::5      its servers  192.0.2.80      2001:db8:80::80

Addresses for documentation do not come in from outside (RFC 6092 REC-5): here, and in the files that are tried, others
stand for them. ufw lives in a mount namespace with folders of its own; the machine's are not touched.
"""

import os
import re
import select
import selectors
import shutil
import socket
import threading
import time

import pytest

from conftest import need_lab
from lab import ROOT, Lab, Namespace, Sally, wait_for
from talk import FAMILY, Tcp

DOCS = os.path.join(ROOT, "docs")
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
STANDS_FOR = [("203.0.113.", "5.113.0."), ("198.51.100.", "5.100.0."), ("192.0.2.", "5.2.0."), ("2001:db8:", "2a07:db8:")]
SILENCE_S = 0.4  # after everybody who must get through did


def real(text):
    """A text with addresses that can come in from outside."""
    for example, address in STANDS_FOR:
        text = text.replace(example, address)
    return text


GW, GW6 = real("198.51.100.5"), real("2001:db8:f::5")
OFFICE, OFFICE6 = real("203.0.113.7"), real("2001:db8:5::7")
STRANGER, STRANGER6 = real("192.0.2.9"), real("2001:db8:99::9")
SITE, SITE6 = real("192.0.2.80"), real("2001:db8:80::80")
JOHN, JOHN6, LAN, LAN6 = "192.168.1.2", real("2001:db8:0:1::2"), "192.168.1.1", real("2001:db8:0:1::1")
WEB6 = real("2001:db8:0:2::10")


class Town(Lab):
    """kind: host, home or office. Everybody's servers say who they are and whom they see."""

    def __init__(self, kind):
        self.selector = selectors.DefaultSelector()
        self.over = False
        self.thread = threading.Thread(target=self._serve)
        super().__init__(kind)
        self.thread.start()

    def _build(self):
        self.fw = Namespace(self, "fw")
        self.web4 = "10.0.2.10" if self.kind == "office" else "192.168.1.10"
        self.outside = Namespace(self, "outside")
        self.outside.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.fw.name)
        self._own(self.outside, "eth0", real("198.51.100.1"), real("2001:db8:f::1"))
        for address in (OFFICE, STRANGER, SITE):
            self.outside.run("ip", "addr", "add", f"{address}/32", "dev", "lo")
        for address in (OFFICE6, STRANGER6, SITE6):
            self.outside.run("ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
        self._own(self.fw, "eth0", GW, GW6)
        self.default_route(self.fw, real("198.51.100.1"), real("2001:db8:f::1"))
        ports = [22, 53, 80, 123, 443, 5000, 5432]
        self._listen(self.outside, ports)
        self._listen(self.fw, ports)
        if self.kind != "host":
            self._build_inside(ports)

    def _build_inside(self, ports):
        self.fw.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.switch = Namespace(self, "switch")
        self.switch.run("ip", "link", "add", "br0", "type", "bridge")
        self.switch.run("ip", "link", "set", "br0", "up")
        self._plug(self.fw, "eth1", LAN, LAN6)
        self.john, self.web = Namespace(self, "john"), Namespace(self, "web")
        self._plug(self.john, "eth0", JOHN, JOHN6)
        self.default_route(self.john, LAN, LAN6)
        if self.kind == "office":
            self.fw.run("ip", "link", "add", "eth2", "type", "veth", "peer", "name", "eth0", "netns", self.web.name)
            self._own(self.fw, "eth2", "10.0.2.1", real("2001:db8:0:2::1"))
            self._own(self.web, "eth0", "10.0.2.10", WEB6)
            self.default_route(self.web, "10.0.2.1", real("2001:db8:0:2::1"))
        else:
            self._plug(self.web, "eth0", "192.168.1.10", real("2001:db8:0:1::10"))
            self.default_route(self.web, LAN, LAN6)
        for ns in (self.john, self.web):
            self._listen(ns, ports)
        for net in ("192.168.1.0/24", "10.0.2.0/24"):  # a neighbour at the provider can send there
            self.outside.run("ip", "route", "add", net, "via", GW)
        for net in ("2001:db8:0:1::/64", "2001:db8:0:2::/64"):
            self.outside.run("ip", "route", "add", real(net), "via", GW6)

    @staticmethod
    def _own(ns, dev, address4, address6):
        ns.run("ip", "addr", "add", f"{address4}/24", "dev", dev)
        ns.run("ip", "addr", "add", f"{address6}/64", "dev", dev, "nodad")
        ns.run("ip", "link", "set", dev, "up")

    def _plug(self, ns, dev, address4, address6):
        ns.run("ip", "link", "add", dev, "type", "veth", "peer", "name", f"to-{ns.role}", "netns", self.switch.name)
        self.switch.run("ip", "link", "set", f"to-{ns.role}", "master", "br0", "up")
        self._own(ns, dev, address4, address6)

    def _listen(self, ns, ports):
        for port in ports:
            for kind in (TCP, UDP):
                sock = ns.socket(socket.AF_INET6, kind)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                if kind == UDP:  # the answer comes from the address that was asked
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                sock.bind(("::", port))
                if kind == TCP:
                    sock.listen(64)
                sock.setblocking(False)
                self.selector.register(sock, selectors.EVENT_READ, ns.role)

    def _serve(self):
        while not self.over:
            for key, _ in self.selector.select(0.1):
                try:
                    self._answer(key.fileobj, key.data)
                except OSError:
                    pass  # whoever asked went away

    @staticmethod
    def _answer(sock, role):
        if sock.type == TCP:
            conn, peer = sock.accept()
            conn.sendall(f"{role} {peer[0].removeprefix('::ffff:')}".encode())
            conn.close()
        else:
            _, info, _, peer = sock.recvmsg(100, 100)
            sock.sendmsg([f"{role} {peer[0].removeprefix('::ffff:')}".encode()], info, 0, peer)

    def close(self):
        self.over = True
        if self.thread.is_alive():
            self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        super().close()


class Visit:
    """Somebody asks a server: wanted is what it says, or None if it must not hear of it."""

    def __init__(self, ns, source, to, port, wanted, kind=TCP):
        self.what = f"{ns.role} {source or ''} to {to} {'udp' if kind == UDP else 'tcp'}/{port}"
        self.wanted = wanted
        self.got = None
        family = 6 if ":" in to else 4
        self.sock = ns.socket(FAMILY[family], kind)
        if source:
            self.sock.bind((source, 0))
        self.sock.setblocking(False)
        self.sock.connect_ex((to, port))
        self.kind = kind
        if kind == UDP:
            self.sock.send(b"who is there?")

    def hear(self):
        try:
            self.got = self.sock.recv(100).decode() or self.got
        except (BlockingIOError, ConnectionError, OSError):
            pass


def judge(visits):
    """All at once: nothing waits longer than it has to."""
    def all_answered():
        waiting = {visit.sock: visit for visit in visits if visit.got is None}
        for sock in select.select(list(waiting), [], [], 0)[0]:
            waiting[sock].hear()
        return all(visit.got for visit in visits if visit.wanted)

    try:
        wait_for("an answer", all_answered, 10)
    except AssertionError:
        pass  # told below, visit by visit
    until = time.monotonic() + SILENCE_S
    while time.monotonic() < until:
        all_answered()
        time.sleep(0.02)
    for visit in visits:
        visit.sock.close()
    wrong = [f"{v.what}: {v.got}, not {v.wanted}" for v in visits
             if (v.got is None) != (v.wanted is None) or v.wanted and not re.fullmatch(v.wanted, v.got)]
    assert not wrong, "\n" + "\n".join(wrong)


def host(town):
    fw, out = town.fw, town.outside
    return [
        Visit(out, OFFICE, GW, 22, f"fw {OFFICE}"), Visit(out, OFFICE6, GW6, 22, f"fw {OFFICE6}"),
        Visit(fw, None, SITE, 80, f"outside {GW}"), Visit(fw, None, SITE6, 80, f"outside {GW6}"),
        Visit(fw, None, SITE, 53, f"outside {GW}", UDP), Visit(fw, None, SITE6, 53, f"outside {GW6}", UDP),
        Visit(out, STRANGER, GW, 22, None), Visit(out, STRANGER6, GW6, 22, None),
        Visit(out, OFFICE, GW, 80, None), Visit(out, OFFICE6, GW6, 80, None),
        Visit(out, OFFICE, GW, 53, None, UDP), Visit(out, STRANGER6, GW6, 53, None, UDP),
    ]


def home(town):
    fw, out, john = town.fw, town.outside, town.john
    return [
        Visit(john, None, SITE, 80, f"outside {GW}"), Visit(john, None, SITE6, 80, f"outside {JOHN6}"),
        Visit(john, None, SITE, 53, f"outside {GW}", UDP), Visit(john, None, LAN, 22, f"fw {JOHN}"),
        Visit(fw, None, SITE, 80, f"outside {GW}"), Visit(out, STRANGER, GW, 443, f"web {STRANGER}"),
        Visit(out, STRANGER, GW, 443, f"web {STRANGER}", UDP), Visit(john, None, GW, 443, "web .*"),
        Visit(out, STRANGER, GW, 22, None), Visit(out, STRANGER, GW, 80, None), Visit(out, STRANGER6, GW6, 22, None),
        Visit(out, STRANGER6, JOHN6, 22, None), Visit(out, STRANGER6, real("2001:db8:0:1::10"), 443, None),
        Visit(out, STRANGER, town.web4, 443, None), Visit(out, STRANGER, JOHN, 22, None),
        Visit(out, STRANGER, JOHN, 53, None, UDP),
    ]


def office(town):
    out, john, web, web4 = town.outside, town.john, town.web, town.web4
    return [
        Visit(john, None, SITE, 80, f"outside {GW}"), Visit(john, None, SITE6, 80, f"outside {JOHN6}"),
        Visit(john, None, LAN, 22, f"fw {JOHN}"), Visit(out, OFFICE, GW, 22, f"fw {OFFICE}"),
        Visit(out, STRANGER, GW, 80, f"web {STRANGER}"), Visit(out, STRANGER, GW, 443, f"web {STRANGER}"),
        Visit(out, STRANGER, GW, 443, f"web {STRANGER}", UDP), Visit(out, STRANGER6, WEB6, 80, f"web {STRANGER6}"),
        Visit(out, STRANGER6, WEB6, 443, f"web {STRANGER6}", UDP), Visit(john, None, GW, 443, "web .*"),
        Visit(john, None, web4, 22, f"web {JOHN}"), Visit(john, None, WEB6, 443, f"web {JOHN6}"),
        Visit(web, None, SITE, 80, f"outside {GW}"), Visit(web, None, SITE6, 443, f"outside {WEB6}"),
        Visit(web, None, SITE, 53, f"outside {GW}", UDP), Visit(web, None, SITE6, 123, f"outside {WEB6}", UDP),
        Visit(web, None, JOHN, 22, None), Visit(web, None, JOHN6, 80, None), Visit(web, None, "10.0.2.1", 22, None),
        Visit(web, None, SITE, 22, None), Visit(web, None, SITE6, 5000, None, UDP), Visit(john, None, web4, 5432, None),
        Visit(out, STRANGER, GW, 22, None), Visit(out, STRANGER6, GW6, 22, None), Visit(out, OFFICE6, GW6, 22, None),
        Visit(out, STRANGER6, WEB6, 22, None), Visit(out, STRANGER6, JOHN6, 80, None), Visit(out, STRANGER, web4, 22, None),
        Visit(out, OFFICE, JOHN, 22, None),
    ]


JOBS = {"host": host, "home": home, "office": office}


def read(*names):
    with open(os.path.join(DOCS, *names), encoding="utf-8") as file:
        return real(file.read())


class Nftables:
    def __init__(self, town, directory):
        self.town = town

    def load(self, text):
        self.town.fw.run("nft", "-f", "-", stdin=text)

    def job(self):
        self.load(read("compare", f"{self.town.kind}.nft"))

    def down(self):
        self.load("flush ruleset\n")


class Ufw:
    """Its folders are copies, seen by its commands alone."""

    def __init__(self, town, directory):
        self.town = town
        self.dir = directory
        shutil.copytree("/etc/ufw", directory / "ufw")
        shutil.copy("/etc/default/ufw", directory / "default")
        with open(directory / "ufw" / "ufw.conf", encoding="utf-8") as file:
            assert "ENABLED=no" in file.read(), "ufw is on, on this machine: this wants its files as they were installed"

    def sh(self, script):
        prologue = (f'mount --bind "{self.dir}/ufw" /etc/ufw; mount --bind "{self.dir}/default" /etc/default/ufw; '
                    'mount -t tmpfs none /run; cd /run; ')
        # all of what `ufw` calls must act on this namespace's rules, whatever it is
        return self.town.fw.run("unshare", "-m", "--propagation", "private", "sh", "-ec", prologue + script, timeout=60)

    def load(self, text):
        self.sh(text)

    def job(self):
        self.load(read("compare", f"{self.town.kind}.ufw"))

    def down(self):
        self.sh("ufw --force disable")


class Sallyport:
    def __init__(self, town, directory):
        self.town = town
        self.path = directory / "sally.conf"

    def load(self, text):
        self.path.write_text(text)
        self.town.sally("apply", "--no-trial", self.path)

    def job(self):
        self.path.write_text(read("examples", f"{self.town.kind}.conf"))
        self.town.sally.up("--config", self.path)

    def down(self):
        self.town.sally.down()


PEERS = {"nftables": (Nftables, ["nft"]), "ufw": (Ufw, ["ufw", "iptables"]), "sallyport": (Sallyport, [])}


@pytest.fixture(params=[(job, peer) for job in JOBS for peer in PEERS], ids="-".join)
def done(request, tmp_path):
    """A job done by somebody."""
    yield from do(*request.param, tmp_path)


def do(job, peer, directory):
    need_lab()
    kind, programs = PEERS[peer]
    for program in programs:
        if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin"):
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is not installed")
    town = Town(job)
    try:
        if peer == "sallyport":
            town.sally = Sally(town.fw)
        made = kind(town, directory)
        made.job()
        yield made
        made.down()
    finally:
        town.close()


def test_the_job_is_done(done):
    judge(JOBS[done.town.kind](done.town))


# ---- habits ----------------------------------------------------------------------------------------

OPEN = {  # one more line that lets the world use tcp/7001, and the words that take it back
    "nftables": ("add rule inet guard input tcp dport 7001 accept\n", None),
    "ufw": ("ufw allow 7001/tcp", "ufw delete allow 7001/tcp"),
    "sallyport": (read("examples", "host.conf") + "open tcp/7001\n", read("examples", "host.conf")),
}
LIVES_ON = {"nftables": True, "ufw": True, "sallyport": False}


@pytest.fixture(scope="module", params=list(PEERS))
def at_host(request, tmp_path_factory):
    """The first job, for the tests of a peer in their order; the last one leaves a mistake behind."""
    for made in do("host", request.param, tmp_path_factory.mktemp("host")):
        made.name = request.param
        yield made


def test_what_becomes_of_a_conversation_whose_line_is_taken_back(at_host):
    """Established is established for the kernel's own tracking; Sallyport asks again."""
    town, (opens, closes) = at_host.town, OPEN[at_host.name]
    at_host.load(opens)
    with Tcp(town.outside, town.fw, GW, 7001) as tcp:
        tcp.both_speak()
        if closes:
            at_host.load(closes)
        else:
            at_host.job()  # the file, which has no such line, replaces the table
        judge([Visit(town.outside, OFFICE, GW, 22, f"fw {OFFICE}"), Visit(town.outside, STRANGER, GW, 7001, None)])
        assert tcp.client_says(b"still here?", 5 if LIVES_ON[at_host.name] else 0.7) == LIVES_ON[at_host.name]


ENGINE_NFT = """table ip engine {
    chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.17.0.2:80; }
}
"""
ENGINE_IPTABLES = """iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables -I FORWARD -d 172.17.0.2 -p tcp --dport 80 -j ACCEPT
iptables -I FORWARD -s 172.17.0.2 -j ACCEPT
"""


def test_a_port_that_a_container_engine_publishes(at_host):
    """Its translation comes before the chain of what is for this machine; only Sallyport judges at the interface."""
    town = at_host.town
    box = Namespace(town, "box")
    town.link(town.fw, "box0", box, "eth0", "172.17.0.{}/24", "2a07:17::{}/64")
    town.default_route(box, "172.17.0.1", "2a07:17::1")
    town.fw.sysctl("net.ipv4.ip_forward=1")
    with box.socket(socket.AF_INET, TCP) as listener:
        listener.bind(("0.0.0.0", 80))
        listener.listen(8)
        town.selector.register(listener, selectors.EVENT_READ, "box")
        if at_host.name == "ufw":
            at_host.sh(ENGINE_IPTABLES)
        else:
            Nftables(town, None).load(ENGINE_NFT)
        passes = at_host.name != "sallyport"
        judge([Visit(town.outside, OFFICE, GW, 22, f"fw {OFFICE}"),
               Visit(town.outside, STRANGER, GW, 8080, f"box {STRANGER}" if passes else None)])
        town.selector.unregister(listener)


WRONG = {"nftables": 'table inet guard { chain input { tcp dport 443 accept; tcp dport "no-such-service" accept; } }\n',
         "ufw": "ufw allow 443/tcp; ufw allow no-such-service", "sallyport": "open https\nopen no-such-service\n"}
HALF_REMAINS = {"nftables": False, "ufw": True, "sallyport": False}


def test_a_mistake_in_the_last_line(at_host):
    """A file is in force whole or not at all; a list of commands is in force up to the mistake."""
    town = at_host.town
    with pytest.raises(AssertionError, match="exit"):
        at_host.load(WRONG[at_host.name])
    passes = HALF_REMAINS[at_host.name]
    judge([Visit(town.outside, OFFICE, GW, 22, f"fw {OFFICE}"),
           Visit(town.outside, STRANGER, GW, 443, f"fw {STRANGER}" if passes else None)])


PREFIX = {  # the web server of the office by the end of its address
    "nftables": "add rule inet guard forward oifname eth2 ip6 daddr & ::ffff:ffff:ffff:ffff == ::10 tcp dport 5432 accept\n",
    "ufw": "ufw route allow out on eth2 to ::10/::ffff:ffff:ffff:ffff port 5432 proto tcp",
    "sallyport": "host any-web = *::10\nallow outside -> any-web : tcp/5432\n",
}


@pytest.mark.parametrize("peer", PEERS)
def test_a_host_by_the_end_of_its_address(peer, tmp_path):
    for made in do("host" if peer == "ufw" else "office", peer, tmp_path):
        town = made.town
        if peer == "ufw":
            with pytest.raises(AssertionError, match="Bad destination address"):
                made.load(PREFIX[peer])
            continue
        made.load((read("examples", "office.conf") if peer == "sallyport" else "") + PREFIX[peer])
        new = real("2001:db8:0:77::")  # the provider gives out another prefix
        town.web.run("ip", "addr", "add", f"{new}10/64", "dev", "eth0", "nodad")
        town.fw.run("ip", "addr", "add", f"{new}1/64", "dev", "eth2", "nodad")
        town.outside.run("ip", "route", "add", f"{new}/64", "via", GW6)
        judge([Visit(town.outside, STRANGER6, f"{new}10", 5432, f"web {STRANGER6}"),
               Visit(town.outside, STRANGER6, f"{new}10", 22, None), Visit(town.outside, STRANGER6, JOHN6, 5432, None)])


def lines_to_write(path):
    with open(path, encoding="utf-8") as file:
        return sum(1 for line in file if line.strip() and not line.lstrip().startswith("#"))


def test_the_document_counts_right():
    with open(os.path.join(DOCS, "compare.md"), encoding="utf-8") as file:
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in file if line.startswith("| lines,")]
    assert [row[0] for row in rows] == [f"lines, {job}" for job in JOBS]
    for job, row in zip(JOBS, rows):
        files = [f"examples/{job}.conf"] + [f"compare/{job}.{end}" for end in ("pf", "nft", "ufw", "firewalld")]
        assert row[1:] == [str(lines_to_write(os.path.join(DOCS, name))) for name in files], job


def test_the_document_shows_the_files_that_are_tried():
    with open(os.path.join(DOCS, "compare.md"), encoding="utf-8") as file:
        shown = dict(re.findall(r"^`(\S+)`\n\n```\n(.*?)^```$", file.read(), re.M | re.S))
    assert len(shown) == len(JOBS) * 5
    for name, text in shown.items():
        with open(os.path.join(DOCS, name), encoding="utf-8") as file:
            assert text == file.read(), name
