# SPDX-License-Identifier: BSD-2-Clause
"""Three files of docs/examples, run for real: one computer, the gateway of a home, an office with a DMZ."""

import pathlib
import tempfile

from jobs import (GW, GW6, JOHN6, OFFICE, OFFICE6, SITE, SITE6, STRANGER, STRANGER6, WEB6, Job, example, real)
from lab import SALLY
from stage import show


def begin(stage, town):
    """Shows the file, and puts it in force."""
    stage.command(f"cat docs/examples/{town.kind}.conf")
    stage.output(real(example(town.kind)))
    stage.command(f"sally up --config docs/examples/{town.kind}.conf")
    stage.output(town.guard("auto"))


def told(stage, number, sentence, *pairs):
    """A step that holds when each server said what it should; pairs: (said, expected)."""
    stage.step(number, sentence, all(said == expected for said, expected in pairs), "; ".join(said for said, _ in pairs))


def host(stage, town):
    told(stage, 29, "Its owner logs in from the office, by IPv4 and IPv6.",
         (town.login(town.outside, "fw", GW, OFFICE), "logged in"),
         (town.login(town.outside, "fw", GW6, OFFICE6), "logged in"))
    told(stage, 30, "What it asks for is answered.", (town.fetch(town.fw, SITE), f"outside sees {GW}"),
         (town.fetch(town.fw, SITE6, "https"), f"outside sees {GW6}"))
    stage.step(31, "A stranger can not log in, and the office gets nothing else.",
               town.refused(town.outside, GW, 22, STRANGER) and town.refused(town.outside, GW6, 22, STRANGER6) and
               town.refused(town.outside, GW, 443, OFFICE), "each: uninvited")


def home(stage, town):
    told(stage, 32, "John reads pages: by IPv4 with the one address of the home, by IPv6 with his own.",
         (town.fetch(town.john, SITE), f"outside sees {GW}"),
         (town.fetch(town.john, SITE6, "https"), f"outside sees {JOHN6}"))
    told(stage, 33, "The world reaches the web server inside, by that address, and John does, too.",
         (town.fetch(town.outside, GW, "https", STRANGER), f"web sees {STRANGER}"),
         (town.fetch(town.john, GW, "https"), f"web sees {GW}"))
    done = show(stage, town.fw, "flows", "tcp")
    stage.step(34, "Who speaks with whom, as they know each other.",
               f" -> {SITE}:80 as {GW}:" in done.stdout and f" -> {GW}:443 to 192.168.1.10:443" in done.stdout)
    stage.step(35, "Nothing else comes in.", town.refused(town.outside, GW, 22, STRANGER) and
               town.refused(town.outside, JOHN6, 22, STRANGER6) and town.refused(town.outside, town.web4, 443, STRANGER),
               "each: uninvited")
    done = show(stage, town.fw, "explain", "tcp", f"{STRANGER}:5000", "to", f"{GW}:443", most=24)
    stage.step(36, "And it can be explained.", f"{STRANGER}:5000 -> 192.168.1.10:443" in done.stdout)


def office(stage, town):
    told(stage, 37, "The world uses the servers, by IPv4 and IPv6.",
         (town.fetch(town.outside, GW, "http", STRANGER), f"web sees {STRANGER}"),
         (town.fetch(town.outside, WEB6, "https", STRANGER6), f"web sees {STRANGER6}"))
    told(stage, 38, "The inside uses and manages them; they read pages outside.",
         (town.fetch(town.john, WEB6), f"web sees {JOHN6}"), (town.login(town.john, "web", town.web4), "logged in"),
         (town.fetch(town.web, SITE, "https"), f"outside sees {GW}"))
    done = town.fw.run(SALLY, "flows", "--zone", "dmz")
    stage.step(39, "They can not reach the inside, nor this machine.", "inside -> dmz" in done.stdout and
               all(town.refused(town.web, to, 22) for to in ("192.168.1.2", JOHN6, "10.0.2.1")), "each: uninvited")


def tell(stage):
    for title, kind, story in (("Four: one line", "host", host), ("Five: three lines, for a home", "home", home),
                               ("Six: three zones, for an office", "office", office)):
        stage.scene(title)
        with tempfile.TemporaryDirectory(prefix="sally-demo-") as directory:
            town = Job(kind, pathlib.Path(directory))
            try:
                begin(stage, town)
                story(stage, town)
            finally:
                town.close()
