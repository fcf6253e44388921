# SPDX-License-Identifier: BSD-2-Clause
"""The stranger's nmap finds nothing, on John and on the firewall; without the firewall it finds everything."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import nmap
from capture import Capture
from lab import grown
from servers import listeners

both = pytest.mark.parametrize("family", [4, 6])
MARK = 77  # bytes of a ping that shows that the capture sees


def every_scan(lab, family):
    """All scans of John and the firewall, a few at a time; returns {scan: {target: state}}."""
    scans = {**nmap.SCANS, **(nmap.SCANS4 if family == 4 else {})}
    targets = sorted({lab.address("john", family), lab.address("fw", family)})
    with ThreadPoolExecutor(4) as pool:
        jobs = {name: pool.submit(nmap.scan, lab.stranger, options, targets, family)
                for name, options in scans.items()}
        results = {name: job.result() for name, job in jobs.items()}
    for name, states in results.items():
        assert {key[0] for key in states} == set(targets), f"{name}: nmap did not report on every target"
    return results


def expose(lab):
    """Services that would be found."""
    for ns in {lab.john, lab.fw}:
        listeners(ns, nmap.OPEN_TCP, nmap.OPEN_UDP)


@both
@pytest.mark.parametrize("bare", ["gateway"], indirect=True)
def test_without_the_firewall_every_scan_finds_something(bare, family):
    """The control: these scans work. (Bad checksums are for finding firewalls that answer; nobody here does.)"""
    expose(bare)
    results = every_scan(bare, family)
    for target in (bare.address("john", family), bare.address("fw", family)):
        for name, states in results.items():
            learnt = {state for key, state in states.items() if key[0] == target} - nmap.NOTHING
            assert learnt or name == "bad-checksums", f"{name} of {target} learnt nothing"
        assert results["syn"][target, "tcp", "443"] == "open"
        assert results["udp"][target, "udp", "53"] == "open"


@pytest.fixture(scope="module")
def exposed(net):
    expose(net)
    return net


@both
def test_nothing_is_found(exposed, family):
    """Nothing open, closed or unfiltered; not one packet comes back to the stranger; none of his reaches John."""
    net = exposed
    stranger = net.address("stranger", family)
    what = "ip6" if family == 6 else "ip"
    link_only = "icmp6 and (ip6[40] >= 133 and ip6[40] <= 137)"
    before = net.sally.drops()
    captures = [Capture(net.stranger, "eth0", f"{what} dst host {stranger} and not ({link_only})")]
    if net.john is not net.fw:
        captures.append(Capture(net.john, "eth0", f"{what} host {stranger} or (icmp or icmp6)"))
    results = every_scan(net, family)
    for capture, gateway in zip(captures, ("5.5.2.1", "10.1.0.1") if family == 4 else
                                ("2a00:2:0:2::1", "2a00:1:0:1::1")):
        capture.ns.run("ping", "-n", "-c", 1, "-W", 5, "-s", MARK, gateway)
        lines = capture.stop(until=f"echo reply, .*length {MARK + 8}")
        others = [line for line in lines if f"length {MARK + 8}" not in line and stranger in line]
        assert not others, f"{capture.ns.role} saw {len(others)} packets, such as {others[:5]}"
    for name, states in results.items():
        learnt = {key: state for key, state in states.items() if state not in nmap.NOTHING}
        assert not learnt, f"{name} learnt {learnt}"
    reasons = grown(before, net.sally.drops())
    assert reasons.get("uninvited", 0) > 0 and reasons.get("tcp_flags", 0) > 0, reasons
    assert net.sally.flows(stranger) == [], "the stranger made the firewall remember something"
