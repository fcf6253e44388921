# SPDX-License-Identifier: BSD-2-Clause
"""How the demo speaks: scenes, steps that are checked, and what was seen; coloured on a terminal, plain in a pipe."""

import os
import sys
import time

from lab import SALLY


class StepFailed(Exception):
    """A step of the story did not hold."""


class Stage:
    def __init__(self, out=sys.stdout):
        self.out = out
        self.began = time.monotonic()
        self.steps = 0
        self.colour = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def scene(self, title):
        self.say()
        self.say(self.paint("1;36", f"== {title} " + "=" * max(0, 96 - len(title))))

    def command(self, words):
        self.say(self.paint("1", f"   $ {words}"))

    def output(self, text, most=14):
        """What a command printed; long listings are cut in the middle of nothing important: at the end."""
        lines = text.rstrip("\n").split("\n")
        for line in lines[:most]:
            self.say(self.paint("2", f"   | {line}"))
        if len(lines) > most:
            self.say(self.paint("2", f"   | ({len(lines) - most} more lines)"))

    def step(self, number, sentence, holds, seen=""):
        """One step of the story. seen: the evidence, in few words."""
        self.steps += 1
        mark = self.paint("1;32", "ok  ") if holds else self.paint("1;31", "FAIL")
        self.say(f"{mark} {number:>3}  {sentence}")
        if seen:
            self.say("          " + self.paint("33", str(seen)))
        if not holds:
            raise StepFailed(f"step {number}: {sentence}")

    def closing(self):
        self.say()
        self.say(self.paint("1;32", f"{self.steps} steps, all hold ({time.monotonic() - self.began:.0f} s)"))


def show(stage, ns, *words, check=True, most=14):
    """Runs a sally command before the reader's eyes."""
    stage.command("sally " + " ".join(map(str, words)))
    done = ns.run(SALLY, *words, check=check)
    stage.output(done.stdout + done.stderr, most)
    return done
