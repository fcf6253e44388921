# SPDX-License-Identifier: BSD-2-Clause
"""Zones of one's own: their interfaces are guarded, may start what a line allows and nothing else, and can change live.

    the gateway of lab.py, with one cable more:     fw dmz0 10.3.0.1, 2a00:1:0:3::1 --- eth0 [shop] 10.3.0.2, 2a00:1:0:3::2
"""

import json
import re
import time

import pytest

from conftest import MODES, need_lab
from lab import SALLY, Lab, Namespace, wait_for
from servers import listeners
from talk import Tcp
from test_apply import PORTS, TCP, abort, families, put, reach, refused, write

THREE = ["wan wan0", "lan lan0", "zone dmz = dmz0"]
SHOP = {4: "10.3.0.2", 6: "2a00:1:0:3::2"}


def with_shop(lab):
    lab.shop = Namespace(lab, "shop")
    lab.link(lab.fw, "dmz0", lab.shop, "eth0", "10.3.0.{}/24", "2a00:1:0:3::{}/64")
    lab.default_route(lab.shop, "10.3.0.1", "2a00:1:0:3::1")
    lab.router.run("ip", "route", "add", "10.3.0.0/24", "via", "5.5.0.1")
    lab.router.run("ip", "route", "add", "2a00:1:0:3::/64", "via", "2a00:1:0:2::1")
    lab.shop4, lab.shop6 = SHOP[4], SHOP[6]


@pytest.fixture(scope="module", params=[m for m in MODES if m != "none"])
def live(request, tmp_path_factory):
    need_lab()
    lab = Lab("gateway")
    try:
        lab.mode = request.param
        lab.dir = tmp_path_factory.mktemp("zones")
        with_shop(lab)
        for ns in (lab.john, lab.fw, lab.shop, lab.web):
            listeners(ns, PORTS, PORTS)
        lab.said = lab.sally.up("--mode", lab.mode, "--flows", 100000, "--config", write(lab, *THREE)).stdout
        yield lab
        lab.sally.down()
    finally:
        lab.close()


@pytest.fixture
def lab(live):
    put(live, *THREE, options=["--no-trial"])
    live.sally("flows", "kill", "--all")
    return live


def zones(lab):
    return {i["name"]: i["zone"] for i in lab.sally.status()["interfaces"] if i["zone"] != "none"}


def connects(ns, address, port=PORTS[0], family=4, seconds=5.0):
    with ns.socket({4: 2, 6: 10}[family], TCP, timeout=seconds) as sock:
        try:
            sock.connect((address, port))
            return True
        except OSError:
            return False


def test_up_guards_each_zone(lab):
    assert zones(lab) == {"wan0": "outside", "lan0": "inside", "dmz0": "dmz"}
    assert re.search(r"^  dmz +dmz0 \((tc|xdp)\)$", lab.said, re.M), lab.said
    assert re.search(r"^  dmz +dmz0, judged at (TC|XDP)$", lab.sally("status").stdout, re.M)


@families
def test_a_zone_of_ones_own_may_start_nothing(lab, family):
    for to in ("john", "web", "fw"):
        refused(lab, lab.shop, lab.address(to, family), PORTS[0], family=family)
    # nor may anybody go there, but this machine itself
    refused(lab, lab.john, lab.address("shop", family), PORTS[0], family=family)
    refused(lab, lab.stranger, lab.address("shop", family), PORTS[0], family=family)
    assert connects(lab.fw, lab.address("shop", family), family=family)


@families
def test_lines_between_zones(lab, family):
    put(lab, *THREE, f"allow inside -> dmz : tcp/{PORTS[0]}", f"allow dmz -> outside : tcp/{PORTS[1]}")
    with lab.john.socket({4: 2, 6: 10}[family], TCP) as sock:
        sock.connect((lab.address("shop", family), PORTS[0]))
        flow = lab.sally.flows("--port", str(PORTS[0]), "dmz")[0]
        assert (flow["zone_from"], flow["zone_to"]) == ("inside", "dmz"), flow
        assert "inside -> dmz" in lab.sally("flows", "--zone", "dmz").stdout
    assert connects(lab.shop, lab.address("web", family), PORTS[1], family)
    refused(lab, lab.shop, lab.address("web", family), PORTS[0], family=family)
    refused(lab, lab.john, lab.address("shop", family), PORTS[1], family=family)
    refused(lab, lab.stranger, lab.address("shop", family), PORTS[0], family=family)


def test_explain_and_watch_know_the_names(lab):
    done = lab.fw.run(SALLY, "explain", "tcp", f"{SHOP[4]}:4000", "to", f"{lab.john4}:22", "--zone", "dmz", check=False)
    assert done.returncode == 1 and "coming in from dmz, at dmz0" in done.stdout, done.stdout + done.stderr
    done = lab.fw.run(SALLY, "explain", "tcp", f"{SHOP[4]}:4000", "to", f"{lab.john4}:22", "--zone", "dmzz", check=False)
    assert done.returncode == 2 and "a zone is outside, inside, self, or one of the configuration" in done.stderr
    done = lab.fw.run(SALLY, "flows", "--zone", "dmzz", check=False)
    assert done.returncode == 2 and "--zone wants self, outside, inside or a zone" in done.stderr
    watch = lab.sally.watch("--seconds", "10")
    try:
        refused(lab, lab.shop, lab.john4, PORTS[0])
        event = json.loads(watch.stdout.readline())
        assert (event["zone"], event["interface"]) == ("dmz", "dmz0"), event
        put(lab, "wan wan0", "lan lan0", "zone yard = dmz0")
        refused(lab, lab.shop, lab.john4, PORTS[0])
        assert "yard" in (json.loads(line).get("zone") for line in watch.stdout)
    finally:
        lab.end(watch)


def test_a_zone_keeps_its_number_when_others_come_and_go(lab):
    lines = ["allow inside -> dmz : tcp/7302"]
    put(lab, *THREE, *lines)
    lab.fw.run("ip", "link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
    with Tcp(lab.john, lab.shop, SHOP[4], 7302) as tcp:
        tcp.both_speak()
        # in this file another zone comes before it
        said = put(lab, "allow backup -> dmz : tcp/7303", "zone backup = spare0", *THREE, *lines)
        assert "  dmz0:" not in said and "spare0: not guarded -> backup" in said, said
        assert "no live conversation ends" in said, said
        tcp.both_speak()
    lab.fw.run("ip", "link", "del", "spare0")


def test_an_interface_changes_its_zone_live(lab):
    put(lab, *THREE, "allow inside -> dmz : tcp/7303", "allow dmz -> inside : tcp/7304")
    with Tcp(lab.shop, lab.john, lab.john4, 7304) as theirs, Tcp(lab.fw, lab.john, lab.john4, 7305) as other:
        theirs.both_speak()
        said = put(lab, "wan wan0", "lan lan0, dmz0")
        assert "  dmz0: dmz -> inside; its conversations stop\n" in said, said
        assert zones(lab)["dmz0"] == "inside"
        # what it is now counts at once, and what began when it was another one stops
        assert connects(lab.shop, lab.web4)
        assert not theirs.client_says(b"still here?", 0.5)
        other.both_speak()
        assert "  dmz0: inside -> dmz; its conversations stop\n" in put(lab, *THREE, "allow dmz -> inside : tcp/7304")
        refused(lab, lab.shop, lab.web4, PORTS[0])
        abort(theirs)


def test_undo_brings_the_zones_back(lab):
    put(lab, "wan wan0", "lan lan0", "zone servers = dmz0")
    assert zones(lab)["dmz0"] == "servers"
    lab.sally("undo")
    assert zones(lab)["dmz0"] == "dmz"
    refused(lab, lab.shop, lab.web4, PORTS[0])


def test_a_trial_takes_its_zones_back(lab):
    put(lab, "wan wan0", "lan lan0, dmz0", options=["--trial", "2"])
    until = time.monotonic() + 2
    assert zones(lab)["dmz0"] == "inside" and connects(lab.shop, lab.web4)
    wait_for("the end of the trial", lambda: time.monotonic() > until, 5)
    # nobody did anything: the kernel's programs went back
    refused(lab, lab.shop, lab.web4, PORTS[0])
    assert zones(lab)["dmz0"] == "dmz"
    # and the next change finds it settled
    put(lab, *THREE, "block 192.0.2.1")
    refused(lab, lab.shop, lab.web4, PORTS[0])


def test_a_trial_that_is_confirmed_keeps_its_zones(lab):
    put(lab, "wan wan0", "lan lan0, dmz0", options=["--trial", "60"])
    lab.sally("confirm")
    put(lab, "wan wan0", "lan lan0, dmz0", "block 192.0.2.1", options=["--trial", "1"])
    until = time.monotonic() + 1
    wait_for("the end of the trial", lambda: time.monotonic() > until, 5)
    assert zones(lab)["dmz0"] == "inside" and connects(lab.shop, lab.web4)


def test_a_trial_that_is_undone_takes_its_zones_back(lab):
    put(lab, "wan wan0", "lan lan0, dmz0", options=["--trial", "60"])
    lab.sally("undo")
    assert zones(lab)["dmz0"] == "dmz"
    refused(lab, lab.shop, lab.web4, PORTS[0])


def test_an_interface_that_was_not_guarded(lab):
    """A cable that is plugged in while the firewall is up, and somebody at its end."""
    guest = Namespace(lab, "guest")
    lab.link(lab.fw, "new0", guest, "eth0", "10.4.0.{}/24", "2a00:1:0:4::{}/64")
    lab.default_route(guest, "10.4.0.1", "2a00:1:0:4::1")
    lab.router.run("ip", "route", "replace", "2a00:1:0:4::/64", "via", "2a00:1:0:2::1")
    try:
        said = put(lab, *THREE, "zone guests = new0")
        assert "  new0: not guarded -> guests\n" in said and zones(lab)["new0"] == "guests"
        refused(lab, guest, lab.web4, PORTS[0])
        refused(lab, guest, lab.john6, PORTS[0], family=6)
        assert "new0" not in put(lab, *THREE, "zone guests = new0", "allow guests -> outside : any").replace("= new0", "")
        for family in (4, 6):
            assert connects(guest, lab.address("web", family), family=family)
            refused(lab, guest, lab.address("shop", family), PORTS[0], family=family)
        assert hooks(lab, "new0") == (3 if lab.mode == "xdp" else 2)
    finally:
        lab.fw.run("ip", "link", "del", "new0")
    put(lab, *THREE)


def hooks(lab, name):
    """How many of our programs are on that interface."""
    text = "".join(lab.fw.run("tc", "filter", "show", "dev", name, side).stdout for side in ("ingress", "egress"))
    xdp = lab.fw.run("ip", "link", "show", "dev", name).stdout
    return len(re.findall(r"sp_tc_(?:in|out|reject):\[", text)) + ("xdp" in xdp)


@pytest.mark.parametrize("bare", ["host"], indirect=True)
def test_an_interface_is_given_up(bare, tmp_path):
    """On a host: what no line names any more, and has no default route, is left alone again."""
    bare.dir = tmp_path
    bare.fw.run("ip", "link", "add", "lab0", "type", "veth", "peer", "name", "lab1")
    bare.sally.up("--flows", 1000, "--config", write(bare, "wan wan0", "zone lab = lab0"))
    assert zones(bare) == {"wan0": "outside", "lab0": "lab"} and hooks(bare, "lab0")
    assert "  lab0: lab -> not guarded\n" in put(bare, "wan wan0", "open ssh")
    assert zones(bare) == {"wan0": "outside"} and not hooks(bare, "lab0")
    # on trial it keeps its programs, to go back to
    put(bare, "wan wan0", "zone lab = lab0")
    put(bare, "wan wan0", options=["--trial", "60"])
    assert zones(bare) == {"wan0": "outside"} and hooks(bare, "lab0")
    bare.sally("confirm")
    assert not hooks(bare, "lab0")
    # one that was to be guarded on trial is let go when that ends, and loses its programs with the next change
    put(bare, "wan wan0", "zone lab = lab0", options=["--trial", "1"])
    assert zones(bare) == {"wan0": "outside", "lab0": "lab"}
    wait_for("the end of the trial", lambda: zones(bare) == {"wan0": "outside"}, 5)
    assert hooks(bare, "lab0")
    put(bare, "wan wan0", "open http")
    assert not hooks(bare, "lab0")


@pytest.mark.parametrize("bare", ["host"], indirect=True)
def test_options_of_up_stand_over_the_file(bare, tmp_path):
    bare.dir = tmp_path
    bare.fw.run("ip", "link", "add", "lab0", "type", "veth", "peer", "name", "lab1")
    bare.sally.up("--flows", 1000, "--inside", "lab0", "--config", write(bare, "wan wan0", "zone lab = lab0"))
    assert zones(bare) == {"wan0": "outside", "lab0": "inside"}
    assert "  lab0:" not in put(bare, "wan wan0")
    assert zones(bare) == {"wan0": "outside", "lab0": "inside"}


@pytest.mark.parametrize("bare", ["host"], indirect=True)
def test_a_default_route_that_goes_takes_no_guard_away(bare, tmp_path):
    bare.dir = tmp_path
    bare.sally.up("--flows", 1000, "--no-config")
    bare.fw.run("ip", "route", "del", "default")
    bare.fw.run("ip", "-6", "route", "del", "default")
    put(bare, "open ssh")
    assert zones(bare) == {"wan0": "outside"}


def test_wrong_interfaces_change_nothing(lab):
    before = lab.sally.status()["generation"]
    done = lab.fw.run(SALLY, "apply", write(lab, *THREE, "zone lab = nosuch0"), check=False)
    assert done.returncode == 2 and "there is no interface 'nosuch0' here; there are:" in done.stderr, done.stderr
    assert lab.sally.status()["generation"] == before and zones(lab)["dmz0"] == "dmz"


def test_an_interface_that_is_gone_for_now(lab):
    """What was there when it was named first may come back: it does not stand in the way of other changes."""
    lab.fw.run("ip", "link", "add", "ppp9", "type", "veth", "peer", "name", "ppp8")
    put(lab, *THREE, "zone guests = ppp9")
    lab.fw.run("ip", "link", "del", "ppp9")
    assert "in force" in put(lab, *THREE, "zone guests = ppp9", "open ssh")
    lab.sally("undo")
    # but what it is to be is settled when it is there
    done = lab.fw.run(SALLY, "apply", write(lab, "wan wan0", "lan lan0, ppp9", "zone dmz = dmz0"), check=False)
    assert done.returncode == 2 and "there is no interface 'ppp9' here" in done.stderr
    assert "  ppp9 is not there: should it come back, it is guests as before" in put(lab, *THREE)
    done = lab.fw.run(SALLY, "apply", write(lab, *THREE, "zone guests = ppp7"), check=False)
    assert done.returncode == 2 and "there is no interface 'ppp7' here" in done.stderr


def test_a_dry_run_shows_and_changes_nothing(lab):
    said = put(lab, "wan wan0", "lan lan0, dmz0", options=["--dry-run"])
    assert "  dmz0: dmz -> inside; its conversations stop\n" in said and zones(lab)["dmz0"] == "dmz"


def test_reach_of_the_guarded_is_untouched(lab):
    put(lab, *THREE, f"allow outside -> inside : tcp/{PORTS[0]}")
    reach(lab, lab.stranger, PORTS[0])
