# SPDX-License-Identifier: Apache-2.0
"""A plane leaves nothing behind: after `close`, and after its process was killed and another one came."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from halma.engine.api import Bind, Tunnel
from halma.forwarding import open_plane
from halma.forwarding.claim import Claim, claim_the_dead
from halma.forwarding.guard import Guard
from halma.forwarding.plane import PlaneSettings, PortKind, Side
from tests.forwarding.plane_network import AGGREGATE, ANCHOR, FIRST, GATEWAY, Network, run
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import address
from tests.netio.links import inside

pytestmark = pytest.mark.root

TO_ANCHOR = Tunnel(address(GATEWAY), address(ANCHOR))


def state(network: Network, role: str) -> dict[str, str]:
    """What the kernel holds that a plane could have left: links, routes, rules, qdiscs, filters, tables."""
    name = network.names[role]
    links = sorted(link["ifname"] for link in json.loads(network.ip(role, "-j", "link")))
    found = {
        "links": " ".join(links),
        "routes": "\n".join(
            line for line in network.ip(role, "-6", "route", "show", "table", "all").splitlines() if "cache" not in line
        ),
        "rules": network.ip(role, "-6", "rule"),
        "xdp": str([link["ifname"] for link in json.loads(network.ip(role, "-j", "-d", "link")) if "xdp" in link]),
    }
    for link in links:
        found[f"qdisc {link}"] = run("tc", "-n", name, "qdisc", "show", "dev", link)
        for side in ("ingress", "egress"):
            shown = subprocess.run(
                ["tc", "-n", name, "filter", "show", "dev", link, side], capture_output=True, text=True, check=False
            )
            found[f"{side} {link}"] = shown.stdout
    return found


def without_ages(found: dict[str, str]) -> dict[str, str]:
    """The same without what changes by itself: neighbours' and routes' timers."""
    found["routes"] = "\n".join(sorted(line.split(" expires")[0] for line in found["routes"].splitlines()))
    return found


@pytest.mark.rfc("5213#5.6.1-6")
def test_close_leaves_nothing(network: Network, planes: Planes) -> None:
    before = {role: without_ages(state(network, role)) for role in ("anchor", "gateway")}
    anchor, gateway = planes.anchor(), planes.gateway()
    assert anchor.apply([Bind(1, address(FIRST)[:8] + bytes(8), 64, Tunnel(address(ANCHOR), address(GATEWAY)))]) == [0]
    access = network.index("gateway.access1")
    assert gateway.apply([Bind(1, address(FIRST)[:8] + bytes(8), 64, TO_ANCHOR, access)]) == [0]
    during = {role: without_ages(state(network, role)) for role in ("anchor", "gateway")}
    assert during["anchor"] != before["anchor"]
    assert during["gateway"]["routes"] != before["gateway"]["routes"]
    planes.close()
    assert {role: without_ages(state(network, role)) for role in ("anchor", "gateway")} == before


def test_detaching_an_interface_that_has_gone_is_no_error(network: Network, planes: Planes) -> None:
    plane = planes.gateway()
    network.ip("gateway", "link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
    with inside(network.names["gateway"]):
        index = json.loads(network.ip("gateway", "-j", "link", "show", "gone0"))[0]["ifindex"]
        plane.attach(index, PortKind.ACCESS)
        assert index in {port.interface for port in plane.ports()}
        network.ip("gateway", "link", "del", "gone0")
        plane.detach(index)
        plane.detach(index)
        assert index not in {port.interface for port in plane.ports()}


CRASHER = """
    import os, signal, socket, sys
    sys.path.insert(0, {here!r})
    from halma.engine.api import Bind, Tunnel
    from halma.forwarding import open_plane
    from halma.forwarding.guard import Guard
    from halma.forwarding.plane import PlaneSettings, PortKind, Side
    from tests.forwarding.plane_network import *
    from tests.forwarding.plane_packets import address
    plane = open_plane({kind!r}, PlaneSettings(Side.GATEWAY, (address(GATEWAY),), ((address(AGGREGATE), 40),)))
    guard = Guard("gateway")
    plane.attach(socket.if_nametoindex("core0"), PortKind.NETWORK)
    access = socket.if_nametoindex("access1")
    plane.attach(access, PortKind.ACCESS)
    bind = Bind(1, address(FIRST)[:8] + bytes(8), 64, Tunnel(address(GATEWAY), address(ANCHOR)), access)
    assert plane.apply([bind]) == [0]
    print("ready", flush=True)
    signal.pause()
"""


def crash(network: Network, kind: str) -> None:
    """A gateway that binds a prefix and is killed."""
    code = textwrap.dedent(CRASHER.format(here=str(Path(__file__).parents[2]), kind=kind))
    command = ["ip", "netns", "exec", network.names["gateway"], sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)


def test_a_crash_is_cleaned_up_by_the_next(network: Network, planes: Planes) -> None:
    before = without_ages(state(network, "gateway"))
    crash(network, planes.kind)
    left = without_ages(state(network, "gateway"))
    assert left["routes"] != before["routes"], "the test shows nothing if a crash leaves nothing"
    if planes.kind == "clsact":
        assert "halma_gateway_0" in left["ingress core0"]
    planes.gateway()
    planes.close()
    assert without_ages(state(network, "gateway")) == before


def test_a_living_daemon_is_not_cleaned_up(network: Network, planes: Planes) -> None:
    """A second gateway of the namespace, with interfaces of its own, leaves the first one alone."""
    planes.gateway()
    shown = without_ages(state(network, "gateway"))
    with inside(network.names["gateway"]):
        settings = PlaneSettings(Side.GATEWAY, (address("2001:db8:2::2"),), ((address(AGGREGATE), 40),))
        other = open_plane(planes.kind, settings)
        if planes.kind != "xdp":  # there is one place for XDP on an interface
            other.attach(network.index("gateway.core0"), PortKind.NETWORK)
        other.close()
    assert without_ages(state(network, "gateway")) == shown


def test_a_clsact_that_was_there_before_stays(network: Network, planes: Planes) -> None:
    name = network.names["anchor"]
    run("tc", "-n", name, "qdisc", "add", "dev", "inet0", "clsact")
    try:
        before = without_ages(state(network, "anchor"))
        planes.anchor()
        planes.close()
        assert without_ages(state(network, "anchor")) == before
    finally:
        run("tc", "-n", name, "qdisc", "del", "dev", "inet0", "clsact")


def test_a_claim_goes_with_its_holder(network: Network) -> None:
    with inside(network.names["far"]):
        first, second = Claim("anchor"), Claim("anchor")
        assert (first.mark, second.mark) == ("halma_anchor_0", "halma_anchor_1")
        assert claim_the_dead("halma_anchor_0") is None
        assert claim_the_dead("somebody_else") is None
        first.close()
        dead = claim_the_dead("halma_anchor_0")
        assert dead is not None
        dead.close()
        second.close()


@pytest.fixture
def tables(network: Network) -> None:
    """Skips where nftables has no family ip6, as in some small kernels."""
    for verb in ("add", "delete"):
        command = ["ip", "netns", "exec", network.names["far"], "nft", verb, "table", "ip6", "probe"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs nftables with the family ip6: {done.stderr.strip().splitlines()[0]}")


@pytest.mark.needs("nft")
@pytest.mark.usefixtures("tables")
def test_the_guard_drops_only_what_it_is_for(network: Network) -> None:
    from tests.forwarding.plane_packets import ICMPV6, Ip, checksum  # noqa: PLC0415

    wire, host = network.wire("anchor.inet0"), network.wire("correspondent.eth0")

    def is_problem(packet: Ip) -> bool:
        return packet.next_header == ICMPV6 and packet.payload[:2] == bytes([4, 1])

    def mobility_header(next_header: int) -> Ip:
        body = bytes([59, 0, 0, 0, 0, 0, 0, 0])
        source, destination = address("2001:db8:ff::2"), address("2001:db8:ff::1")
        total = checksum(source + destination + len(body).to_bytes(4, "big") + bytes([0, 0, 0, next_header]) + body)
        return Ip(source, destination, next_header, body[:4] + total.to_bytes(2, "big") + body[6:])

    def provoke(next_header: int) -> bool:
        host.drain()
        host.send(mobility_header(next_header), wire)
        found = host.receive(is_problem, within=0.5)
        return found is not None and found.payload[8 + 6] == next_header

    if not provoke(135):
        pytest.skip("this kernel knows Mobility Headers itself (MIP6)")
    with inside(network.names["anchor"]):
        guard = Guard("anchor")
        assert guard.notes() == []
        assert guard.table in run("nft", "list", "tables")
        another = Guard("anchor")
        assert another.table != guard.table
        another.close()
    assert not provoke(135), "the kernel answered a Mobility Header in our place"
    assert provoke(253), "the guard dropped an error about something else"
    with inside(network.names["anchor"]):
        guard.close()
        assert "halma" not in run("nft", "list", "tables")
    assert provoke(135)


@pytest.mark.needs("nft")
@pytest.mark.usefixtures("tables")
def test_the_guard_cleans_up_after_a_crash(network: Network) -> None:
    crash(network, "tun")
    with inside(network.names["gateway"]):
        assert "halma_gatewayguard_0" in run("nft", "list", "tables")
        Guard("gateway").close()
        assert "halma" not in run("nft", "list", "tables")
        open_plane("tun", PlaneSettings(Side.GATEWAY, (address(GATEWAY),), ())).close()


@pytest.mark.needs("nft")
def test_the_guard_says_when_nftables_cannot(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    from halma.forwarding import guard as module  # noqa: PLC0415

    monkeypatch.setattr(module, "_RULE", "nonsense")
    with inside(network.names["far"]):
        guard = Guard("anchor")
        assert "no nftables here" in guard.notes()[0]
        assert guard.table == ""
        guard.close()


def test_the_guard_says_when_there_is_no_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    guard = Guard("anchor")
    assert "nft is not installed" in guard.notes()[0]
    guard.close()
