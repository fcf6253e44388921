# SPDX-License-Identifier: BSD-2-Clause
"""The story told live: real programs in network namespaces, through the real firewall."""

import json
import os
import re
import select
import signal
import subprocess
import tempfile
import threading

import lab as lab_
import nmap
import three
from capture import Capture
from lab import SALLY, wait_for
from servers import Servers, listeners
from stage import show

TARGET_PORTS = "22,80,443,8080"
DRAWING = """
     John               Sallyport                    the internet
   +----------+       +----------+        +--------+------- web server 5.5.1.2
   | 10.1.0.2 |-------| firewall |--------| router |
   +----------+       +----------+        +--------+------- stranger   5.5.2.2
      inside                 5.5.0.1        outside
"""


class Watch:
    """`sally watch --json`, collected from now on."""

    def __init__(self, lab):
        self.lab = lab
        self.events = []
        self.process = lab.sally.watch()
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def wait(self, what, seconds=10, **fields):
        """The first event with these fields."""
        def find():
            return next((e for e in list(self.events) if all(e.get(k) == v for k, v in fields.items())), None)

        return wait_for(f"the event '{what}' ({fields})", find, seconds)


def sentence(event):
    return (f"{event['event']}: {event['proto']} {event['src']}:{event['sport']} -> {event['dst']}:{event['dport']} "
            f"at {event['interface']}: {event['reason']}, {event['text']}")


def scan(stage, lab, targets, label, number, expect_open):
    """The stranger's nmap; with and without the firewall it must find all, or nothing."""
    stage.command(f"nmap -Pn -sS -p {TARGET_PORTS} {' '.join(targets)}     (the stranger)")
    states = nmap.scan(lab.stranger, ["-sS", "-p", TARGET_PORTS], targets, 4)
    for target in targets:
        found = [f"{port}: {state}" for (address, _, port), state in sorted(states.items()) if address == target]
        stage.output(f"{target}   " + "   ".join(found))
    if expect_open:
        holds = all(states.get((target, "tcp", port)) == "open" for target in targets for port in ("22", "80"))
    else:
        holds = len(states) > 0 and set(states.values()) <= nmap.NOTHING
    stage.step(number, label, holds)


class Gateway:
    """Scene one: John's computer is connected to the firewall."""

    def __init__(self, stage, lab, directory):
        self.stage, self.lab = stage, lab
        self.servers = Servers(lab.web, directory)

    def before(self):
        stage, lab = self.stage, self.lab
        self.servers.web()
        listeners(lab.john, nmap.OPEN_TCP, nmap.OPEN_UDP)
        listeners(lab.fw, nmap.OPEN_TCP, nmap.OPEN_UDP)
        scan(stage, lab, [lab.john4, lab.fw4], "Before: without a firewall the stranger sees John's open doors.", "a", True)
        show(stage, lab.fw, "up")
        stage.step("b", "The firewall is up, and not one rule was written.", lab.sally("status").returncode == 0)

    def story(self):
        stage, lab = self.stage, self.lab
        watch = Watch(lab)
        at_web = Capture(lab.web, "eth0", "tcp port 80")
        at_john = Capture(lab.john, "eth0", "tcp port 80")
        stage.command(f"sally watch &      (John) $ curl http://{lab.web4}/")
        page = lab.john.run("curl", "-sS", "-m", 10, f"http://{lab.web4}/", check=False)
        new = watch.wait("a new conversation", event="new", src=lab.john4, dst=lab.web4, dport=80)
        port = new["sport"]
        here, there = f"{lab.john4}.{port}", f"{lab.web4}.80"
        known = f"{lab.fw4}.{port}"  # what the outside knows John by: private addresses are translated
        answered = watch.wait("its answer", event="answered", src=lab.web4, dst=lab.john4, dport=port)
        seen_web, seen_john = at_web.stop(until=rf"{known} > .*\[F"), at_john.stop(until=rf"{here} > .*\[F")

        def on_wire(lines, pattern):
            found = next((line for line in lines if re.search(pattern, line)), "")
            return found.split(", seq")[0]

        def syn(me):
            return rf"{re.escape(me)} > {re.escape(there)}: Flags \[S\]"

        def syn_ack(me):
            return rf"{re.escape(there)} > {re.escape(me)}: Flags \[S\.\]"

        flow = next(iter(lab.sally.flows("--port", str(port))), {})
        stage.step(1, "John opens a web page.", page.returncode == 0, f"curl -> {page.stdout.strip()!r}{page.stderr}")
        stage.step(2, 'His browser sends a packet to the server, "I\'m going to talk to you".',
                   on_wire(seen_john, syn(here)), "at John: " + on_wire(seen_john, syn(here)))
        stage.step(3, "The packet goes through Sallyport.", new["interface"] == "lan0", sentence(new))
        stage.step(4, 'Sallyport notes "John is sending a packet to the server"',
                   flow.get("from") == lab.john4 and flow.get("to") == lab.web4, f"sally flows: {brief(flow)}")
        stage.step(5, "and sends it on.", on_wire(seen_web, syn(known)),
                   f"with its own address, since John's is private; at the server: {on_wire(seen_web, syn(known))}")
        stage.step(6, 'The server answers "Okay, you can talk to me".', on_wire(seen_web, syn_ack(known)),
                   "at the server: " + on_wire(seen_web, syn_ack(known)))
        stage.step(7, "The answer reaches Sallyport,", answered["interface"] == "wan0", sentence(answered))
        self.consider(answered, flow)
        stage.step(12, "and forwards it to John.", on_wire(seen_john, syn_ack(here)) and page.stdout == "hello John\n",
                   f"at John: {on_wire(seen_john, syn_ack(here))}")
        return watch, answered

    def consider(self, answered, flow):
        """Steps 8 to 11: what Sallyport thought when it saw the answer."""
        stage, lab = self.stage, self.lab
        stage.step(8, 'which looks at it and thinks "should I let this in?",', answered["verdict"] == "pass",
                   f"verdict: {answered['verdict']}")
        stage.step(9, "notes who it is from,", answered["src"] == lab.web4 and answered["zone"] == "outside",
                   f"{answered['src']}, {answered['zone']}")
        stage.step(10, "checks whether John recently sent something there,", flow.get("packets_out", 0) > 0,
                   f"conversation: {flow.get('packets_out')} packets from John, {flow.get('age_s')} s old")
        stage.step(11, "finds that he did, so this is a reply,", answered["reason"] == "answer", answered["text"])

    def stranger(self, watch):
        stage, lab = self.stage, self.lab
        scan(stage, lab, [lab.john4, lab.fw4], "The stranger's nmap finds nothing, on John and on the firewall.", 13, False)
        drop = watch.wait("a refusal", event="drop", src=lab.stranger4, dst=lab.john4, dport=22)
        stage.step(14, "Sallyport can say why, in one sentence.", drop["reason"] == "uninvited", sentence(drop))
        done = show(stage, lab.fw, "explain", "tcp", f"{lab.stranger4}:{drop['sport']}", "to", f"{lab.john4}:22",
                    check=False, most=24)
        stage.step(15, "And explain it, step by step, against the live table.",
                   done.returncode == 1 and "uninvited" in done.stdout)

    def nobody(self, watch):
        stage, lab = self.stage, self.lab
        watch.process.kill()
        watch.process.wait(10)
        kill_sallyd(lab)
        page = lab.john.run("curl", "-gsS", "-m", 10, f"http://[{lab.web6}]/", check=False)
        stage.step(16, "Every process of Sallyport is killed: John reads on (IPv6 this time), and is still guarded.",
                   page.stdout == "hello John\n" and not knock(lab.stranger, lab.john4, 80),
                   f"curl -> {page.stdout.strip()!r}; the stranger's connection: refused in silence")
        show(stage, lab.fw, "flows")
        done = show(stage, lab.fw, "status", most=40)
        stage.step(17, "And the books are right.", "uninvited" in done.stdout)


def kill_sallyd(lab):
    """The one of this firewall, whose number a second one is told."""
    second = lab.fw.run(os.path.join(os.path.dirname(SALLY), "sallyd"), check=False)
    os.kill(int(second.stderr.split("running here already, process ")[1]), signal.SIGKILL)
    wait_for("the end of sallyd", lambda: not lab.sally.status()["sallyd"])


def brief(flow):
    return (f"{flow['proto']} {flow['from']}:{flow['from_port']} -> {flow['to']}:{flow['to_port']} {flow['state']}"
            if flow else "nothing")


def knock(ns, address, port):
    """Can one connect from there?"""
    argv = ["curl", "-sS", "-m", "1", "-o", "/dev/null", f"telnet://{address}:{port}"]
    done = ns.run(*argv, check=False)
    return done.returncode != 28  # 28: nobody answered in time


def host(stage):
    """Scene two: one computer, nothing behind it."""
    lab = lab_.Lab("host")
    try:
        with tempfile.TemporaryDirectory(prefix="sally-demo-") as directory:
            servers = Servers(lab.web, directory)
            servers.web()
            listeners(lab.fw, [port for port in nmap.OPEN_TCP if port != 22], nmap.OPEN_UDP)
            stage.step(18, "Its web server can be reached from outside, before.", knock(lab.stranger, lab.fw4, 80))
            show(stage, lab.fw, "up")
            page = lab.fw.run("curl", "-sS", "-m", 10, f"http://{lab.web4}/", check=False)
            stage.step(19, "Outgoing works,", page.stdout == "hello John\n", f"curl -> {page.stdout.strip()!r}{page.stderr}")
            stage.step(20, "incoming does not.", not knock(lab.stranger, lab.fw4, 80), "the stranger: no answer")
            ping = lab.fw.run("ping", "-n", "-c", 1, "-W", 5, lab.web4, check=False)
            back = lab.web.run("ping", "-n", "-c", 1, "-W", 1, lab.fw4, check=False)
            stage.step(21, "It may ping the server; the server may not ping it.",
                       ping.returncode == 0 and back.returncode == 1)
            stage.scene("Three: one line of configuration")
            one_line(stage, lab, directory)
            show(stage, lab.fw, "down")
            stage.step(28, "Taken down, everything is as before.", knock(lab.stranger, lab.fw4, 80))
    finally:
        lab.close()


def one_line(stage, lab, directory):
    """Scene three: a port is opened, and shut again while somebody is in it."""
    ssh = Servers(lab.fw, f"{directory}/fw")
    ssh.ssh()
    conf = f"{directory}/sally.conf"
    write(stage, conf, "open ssh")
    show(stage, lab.fw, "apply", conf)
    ports = nmap.scan(lab.stranger, ["-sS", "-p", TARGET_PORTS], [lab.fw4], 4)
    found = {port: state for (_, _, port), state in ports.items()}
    stage.step(22, "The outside reaches that one port, and nothing else.",
               found.pop("22", "") == "open" and found and set(found.values()) <= nmap.NOTHING,
               "the stranger's nmap: 22 open; " + ", ".join(f"{port} {state}" for port, state in sorted(found.items())))
    session = lab.stranger.start(*ssh.ssh_command(lab.fw4, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stage.step(23, "Somebody logs in with ssh.", typed(session, b"good day\n", 10) == b"good day\n", "he types: good day")
    write(stage, conf, "# open ssh")
    done = show(stage, lab.fw, "apply", conf)
    stage.step(24, "The line is taken back, and Sallyport says whose conversation that stops.",
               re.search(rf"ends: tcp {lab.stranger4}:\d+ -> {lab.fw4}:22", done.stdout))
    before = lab.sally.drops().get("revoked", 0)
    stage.step(25, "It stops with its next packet.", typed(session, b"still there?\n", 0.8) == b"" and
               lab.sally.drops().get("revoked", 0) > before, "he types: still there? Nobody answers; stopped: revoked")
    show(stage, lab.fw, "undo")
    stage.step(26, "Undone, it goes on where it was.", typed(session, b"", 15) == b"still there?\n")
    lab.end(session)
    page = lab.fw.run("curl", "-sS", "-m", 10, f"http://{lab.web4}/", check=False)
    stage.step(27, "Nobody else has noticed.", page.stdout == "hello John\n")


def write(stage, path, line):
    stage.command(f"echo '{line}' > {path}")
    with open(path, "w", encoding="ascii") as file:
        file.write(line + "\n")


def typed(session, text, seconds):
    """What comes back in time when this is typed."""
    session.stdin.write(text)
    session.stdin.flush()
    return os.read(session.stdout.fileno(), 100) if select.select([session.stdout], [], [], seconds)[0] else b""


def tell(stage):
    stage.scene("One: the gateway")
    stage.say(DRAWING)
    lab = lab_.Lab("gateway")
    try:
        with tempfile.TemporaryDirectory(prefix="sally-demo-") as directory:
            gateway = Gateway(stage, lab, directory)
            gateway.before()
            stage.scene("The twelve steps")
            watch, _ = gateway.story()
            stage.scene("Everything else that arrives uninvited stops there")
            gateway.stranger(watch)
            stage.scene("Nobody at home")
            gateway.nobody(watch)
    finally:
        lab.close()
    stage.scene("Two: one computer")
    host(stage)
    three.tell(stage)
