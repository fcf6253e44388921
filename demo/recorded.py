# SPDX-License-Identifier: BSD-2-Clause
"""The story told from recorded packets, by the native engine: the same core, without the kernel."""

import json
import os
import subprocess

from lab import SALLY

STORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "story.pcap")
JOHN, WEB, STRANGER = "10.1.0.2", "5.5.1.2", "5.5.2.2"


def sally(*words):
    return subprocess.run([SALLY, *words], capture_output=True, text=True, timeout=30)


def unmoved(lines):
    return bool(lines) and all(p["verdict"] == "drop" for p in lines)


def tell(stage):
    stage.say("The native engine tells the story from recorded packets (demo/story.pcap): the same core, not the kernel's.")
    stage.scene("The twelve steps, recorded")
    stage.command("sally replay --inside 10.1.0.0/24 --json demo/story.pcap")
    done = sally("replay", "--inside", "10.1.0.0/24", "--json", STORY)
    stage.step("a", "The recording can be read.", done.returncode == 0 and done.stdout.count("\n") > 12, done.stderr.strip())
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    packets, summary = lines[:-1], lines[-1]["summary"]
    ours = [p for p in packets if {p.get("src"), p.get("dst")} == {JOHN, WEB}]
    first, answer = ours[0], ours[1]
    flow = summary["flows"][0]
    twelve(stage, ours, first, answer, flow)
    strangers(stage, [p for p in packets if p.get("src") == STRANGER], summary)


def twelve(stage, ours, first, answer, flow):
    stage.step(1, "John opens a web page.", first["dport"] == 80 and len(ours) > 4, f"{len(ours)} packets")
    stage.step(2, 'His browser sends a packet to the server, "I\'m going to talk to you".',
               first["src"] == JOHN and "[S]" in first["what"], first["what"])
    stage.step(3, "The packet goes through Sallyport.", first["from"] == "inside", f"it comes from the {first['from']}")
    stage.step(4, 'Sallyport notes "John is sending a packet to the server"',
               flow["src"] == JOHN and flow["dst"] == WEB and first["flow"] == flow["flow"],
               f"conversation {first['flow']}: {flow['src']}:{flow['sport']} -> {flow['dst']}:{flow['dport']}")
    stage.step(5, "and sends it on.", first["verdict"] == "pass" and first["reason"] == "new_inside", first["text"])
    stage.step(6, 'The server answers "Okay, you can talk to me".', "[SA]" in answer["what"], answer["what"])
    stage.step(7, "The answer reaches Sallyport,", answer["from"] == "outside", f"it comes from the {answer['from']}")
    stage.step(8, 'which looks at it and thinks "should I let this in?",', answer["verdict"] == "pass",
               f"verdict: {answer['verdict']}")
    stage.step(9, "notes who it is from,", answer["src"] == WEB, f"{answer['src']}:{answer['sport']}")
    stage.step(10, "checks whether John recently sent something there,", answer["flow"] == first["flow"],
               f"conversation {answer['flow']}, {answer['state']}")
    stage.step(11, "finds that he did, so this is a reply,", answer["reason"] == "answer", answer["text"])
    stage.step(12, "and forwards it to John.", all(p["verdict"] == "pass" for p in ours) and flow["state"] == "TIME-WAIT",
               f"all {len(ours)} packets are let through; the page is read, the connection closed")


def strangers(stage, theirs, summary):
    stage.scene("Everything else that arrives uninvited stops there")
    by_reason = {}
    for packet in theirs:
        by_reason.setdefault(packet["reason"], []).append(packet)
    for number, reason in enumerate(("uninvited", "tcp_no_flow", "tcp_flags"), 13):
        some = by_reason.get(reason, [])
        stage.step(number, f"The stranger's nmap: {len(some)} packets are stopped because "
                   f"{some[0]['text'] if some else reason}.", unmoved(some), some[0]["what"] if some else "")
    stage.step(16, "Not one packet of the stranger's is let through, and nothing of his is remembered.",
               unmoved(theirs) and len(summary["flows"]) == 1, f"{len(theirs)} packets")
    words = ["explain", "tcp", f"{STRANGER}:40000", "to", f"{JOHN}:22", "--zone", "outside", "--gateway"]
    stage.command("sally " + " ".join(words))
    done = sally(*words)
    stage.output(done.stdout + done.stderr, 24)
    stage.step(17, "Sallyport can explain it, step by step.", done.returncode == 1 and "uninvited" in done.stdout)
