# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures: one lab per topology and hook mode, with its servers, shared by every test that names it.

SP_MODES=tc,xdp chooses the modes ("none": no firewall at all, to see that the tests are true of the network alone; a home
needs somebody who translates, there it is the kernel itself).
SP_KINDS=gateway,host chooses the topologies.
"""

import os
import signal

import pytest

import lab as lab_
import lane as lane_
import servers as servers_
from natkit import home as home_

MODES = os.environ.get("SP_MODES", "tc,xdp").split(",")
KINDS = os.environ.get("SP_KINDS", "gateway,host").split(",")


def pytest_configure(config):
    # applies must not be on trial because whoever runs the tests does so over SSH
    for name in ("SSH_CONNECTION", "SUDO_UID"):
        os.environ.pop(name, None)
    # an interrupted run must take its namespaces with it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

    config.addinivalue_line("markers", "gateway_only: there is nothing behind a host")
    config.addinivalue_line("markers", "beyond_nft: the kernel's own translation does not do this; with it the test fails")
    config.addinivalue_line("markers", "last: runs after all others")


def pytest_collection_modifyitems(config, items):
    def fits(item):
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if params.get("home") == "nft" and "beside" in item.fixturenames:
            return False  # there is nobody beside whom nftables could be
        kind = params.get("net", params.get("live", [""]))[0]
        return kind != "host" or item.get_closest_marker("gateway_only") is None

    for item in items:
        if item.get_closest_marker("beyond_nft") and item.callspec.params.get("home") == "nft":
            item.add_marker(pytest.mark.xfail(strict=True, reason="as it should"))
    config.hook.pytest_deselected(items=[item for item in items if not fits(item)])
    items[:] = sorted(filter(fits, items), key=lambda item: item.get_closest_marker("last") is not None)


def need_lab():
    if not os.path.exists(lab_.SALLY):
        pytest.fail(f"{lab_.SALLY} has not been built")
    why = lab_.unavailable()
    if why:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)


def checksums_were_right(lab):
    """What the firewall let through or sent on was never damaged."""
    for ns in lab.namespaces:
        assert not ns.checksum_errors(), ns.role


@pytest.fixture(scope="session", params=[(k, m) for k in KINDS for m in MODES], ids=lambda p: f"{p[0]}-{p[1]}")
def net(request, tmp_path_factory):
    """A lab with every server, and the firewall up in one mode."""
    need_lab()
    kind, mode = request.param
    lab = lab_.Lab(kind)
    try:
        lab.mode = mode
        lab.servers = servers_.Servers(lab.web, tmp_path_factory.mktemp("servers"))
        for start in (lab.servers.web, lab.servers.ssh, lab.servers.dns, lab.servers.ftp, lab.servers.quic):
            start()
        lab.servers.iperf(5201)
        if mode != "none":
            lab.sally.up("--mode", mode)
        yield lab
        checksums_were_right(lab)
        if mode != "none":
            lab.sally.down()
    finally:
        lab.close()


@pytest.fixture
def no_drops(net):
    """The test's traffic is honest: the firewall must not drop one packet of it."""
    if net.mode == "none":
        yield
        return
    before = net.sally.drops()
    yield
    grown = lab_.grown(before, net.sally.drops())
    assert not grown, f"honest packets were dropped: {grown}"


@pytest.fixture(scope="session", params=["nft" if m == "none" else m for m in MODES])
def home(request, tmp_path_factory):
    """A home behind one address, with servers outside and inside, and the door open."""
    need_lab()
    lab = home_.Home(request.param, tmp_path_factory.mktemp("home"))
    try:
        home_.start_servers(lab, tmp_path_factory)
        lab.open_door()
        yield lab
        checksums_were_right(lab)
        assert lab.leaks() == 0, "packets left with a private source"
        lab.close_door()
    finally:
        lab.close()


@pytest.fixture
def honest(home):
    """Nobody is let in but those who were asked, and the test's traffic is honest: not one packet of it may be dropped."""
    home.put()
    before = home.drops()
    yield home
    grown = lab_.grown(before, home.drops())
    assert not grown, f"honest packets were dropped: {grown}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A gateway with two ways out, for the express lane; down."""
    need_lab()
    lab = lane_.LaneLab(tmp_path_factory.mktemp("lane"))
    try:
        yield lab
        checksums_were_right(lab)
    finally:
        lab.close()


@pytest.fixture
def bare(request):
    """A lab of the test's own, without servers and with the firewall down; the parameter is its kind."""
    need_lab()
    lab = lab_.Lab(getattr(request, "param", "gateway"))
    try:
        yield lab
    finally:
        lab.close()
