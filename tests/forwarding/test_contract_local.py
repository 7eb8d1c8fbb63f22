# SPDX-License-Identifier: Apache-2.0
"""What every plane does with a prefix of a gateway's own access link (RFC 5213 section 6.14, GW-6): `second` manages its own
mobility, `first` is served as usual."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from halma.engine.api import BindingKind, Unbind
from halma.forwarding.plane import Plane
from tests.forwarding.plane_network import ANCHOR, CORRESPONDENT, FIRST, GATEWAY, Network, is_tunnelled
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import IPV6, tunnelled, udp
from tests.forwarding.plane_traffic import (
    TO_ANCHOR,
    bind,
    bind_locally,
    counted,
    from_first,
    gateway_with_first,
    marked,
    network_ping,
    prefix,
    to_first,
)

pytestmark = [pytest.mark.root, pytest.mark.requirement("GW-6")]

VISITOR = "2001:db8:21:1::2"
NEIGHBOUR = "2001:db8:21:2::2"
VISITOR_PREFIX = "2001:db8:21:1::/64"


@pytest.fixture
def visitor(network: Network) -> Iterator[str]:
    """The second host has an address of the gateway's own prefix, and the network knows the way there."""
    network.ip("second", "addr", "add", VISITOR + "/64", "dev", "eth0", "nodad")
    for role, gate in (("anchor", GATEWAY), ("correspondent", "2001:db8:ff::1")):
        network.ip(role, "-6", "route", "replace", "2001:db8:21::/56", "via", gate)
    try:
        yield VISITOR
    finally:
        network.ip("second", "addr", "del", VISITOR + "/64", "dev", "eth0")
        for role in ("anchor", "correspondent"):
            network.ip(role, "-6", "route", "del", "2001:db8:21::/56")


def mixed(network: Network, planes: Planes) -> Plane:
    """A gateway's plane that serves the first node, and routes for the second."""
    plane = gateway_with_first(network, planes)
    bind_locally(plane, VISITOR, network.index("gateway.access2"))
    return plane


@pytest.mark.rfc("5213#6.14-2", "5213#6.14-3")
def test_its_packets_are_routed_both_ways_without_a_tunnel(network: Network, planes: Planes, visitor: str) -> None:
    plane = mixed(network, planes)
    sent = udp(visitor, CORRESPONDENT, 100, port=110, hop_limit=9)
    from_first(network, sent, access="access2")
    got = network.wire("anchor.core1").receive(marked(110))
    assert got is not None
    assert (got.next_header, got.hop_limit, got.payload) == (17, 8, sent.payload)
    to_first(network, udp(CORRESPONDENT, visitor, port=111, hop_limit=9))
    got = network.wire("second.eth0").receive(marked(111))
    assert got is not None
    assert (got.next_header, got.hop_limit) == (17, 8)
    assert network_ping(network, "second", CORRESPONDENT)
    assert network_ping(network, "correspondent", visitor)
    assert network_ping(network, "second", GATEWAY)
    from_first(network, udp(FIRST, CORRESPONDENT, port=112))
    assert network.wire("anchor.core1").receive(is_tunnelled(GATEWAY, ANCHOR)) is not None
    assert plane.tunnels() == {TO_ANCHOR: 1}


def test_its_own_tunnel_goes_through(network: Network, planes: Planes, visitor: str) -> None:
    mixed(network, planes)
    home = "2001:db8:100:9::1"
    inner = udp(home, CORRESPONDENT, port=113)
    from_first(network, tunnelled(inner, visitor, ANCHOR), access="access2")
    got = network.wire("anchor.core1").receive(is_tunnelled(visitor, ANCHOR))
    assert got is not None
    assert got.payload == inner.bytes()
    to_first(network, tunnelled(udp(CORRESPONDENT, home, port=114), ANCHOR, visitor))
    assert network.wire("second.eth0").receive(is_tunnelled(ANCHOR, visitor)) is not None


def test_only_its_prefix_on_its_interface_is_routed(network: Network, planes: Planes, visitor: str) -> None:
    plane = mixed(network, planes)
    from_first(network, udp(visitor, CORRESPONDENT, port=115), access="access1")
    from_first(network, udp(NEIGHBOUR, CORRESPONDENT, port=116), access="access2")
    from_first(network, udp(FIRST, CORRESPONDENT, port=117), access="access2")
    from_first(network, udp("fe80::1", CORRESPONDENT, port=118), access="access2")
    from_first(network, udp(visitor, CORRESPONDENT, port=119), access="access2")
    got = network.wire("anchor.core1").receive(lambda packet: any(marked(port)(packet) for port in range(115, 120)))
    assert got is not None
    assert marked(119)(got), "a packet left whose source is not of its link"
    if planes.kind not in ("seg6", "tun"):
        assert counted(plane, "dropped_wrong_inner_source", 4)


def test_nothing_reaches_it_out_of_a_tunnel_of_ours(network: Network, planes: Planes, visitor: str) -> None:
    plane = mixed(network, planes)
    to_first(network, tunnelled(udp(CORRESPONDENT, visitor, port=120), ANCHOR, GATEWAY))
    to_first(network, udp(CORRESPONDENT, visitor, port=121))
    got = network.wire("second.eth0").receive(lambda packet: any(marked(port)(packet) for port in (120, 121)))
    assert got is not None
    assert marked(121)(got)
    if planes.kind != "seg6":
        assert counted(plane, "dropped_unknown_inner", 1)


@pytest.mark.rfc("5213#6.10.5-6", "5213#6.10.5-9")
def test_it_talks_to_a_node_of_the_same_gateway_by_way_of_the_anchor(network: Network, planes: Planes, visitor: str) -> None:
    plane = mixed(network, planes)
    if planes.kind not in ("seg6", "tun"):  # these leave what comes bare to the kernel's routes
        from_first(network, udp(visitor, FIRST, port=122, hop_limit=9), access="access2")
        got = network.wire("anchor.core1").receive(marked(122))
        assert got is not None
        assert (got.next_header, got.hop_limit) == (17, 8)
    from_first(network, udp(FIRST, visitor, port=123))
    assert network.wire("anchor.core1").receive(is_tunnelled(GATEWAY, ANCHOR)) is not None
    bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"), local_routing=True)
    bind_locally(plane, visitor, network.index("gateway.access2"), local_routing=True)
    from_first(network, udp(visitor, FIRST, port=124), access="access2")
    assert network.wire("first.eth0").receive(marked(124)) is not None
    from_first(network, udp(FIRST, visitor, port=125))
    assert network.wire("second.eth0").receive(marked(125)) is not None


def test_what_a_prefix_is_may_change_and_change_back(network: Network, planes: Planes, visitor: str) -> None:
    plane = planes.gateway()
    access = network.index("gateway.access2")
    for number in range(2):
        bind_locally(plane, visitor, access)
        from_first(network, udp(visitor, CORRESPONDENT, port=130 + number), access="access2")
        got = network.wire("anchor.core1").receive(marked(130 + number))
        assert got is not None
        assert got.next_header == 17
        bind(plane, visitor, TO_ANCHOR, access)
        from_first(network, udp(visitor, CORRESPONDENT, port=140 + number), access="access2")
        got = network.wire("anchor.core1").receive(marked(140 + number))
        assert got is not None
        assert got.next_header == IPV6
    bind_locally(plane, visitor, access)
    assert plane.tunnels() == {}
    assert list(plane.bindings()) == [(prefix(visitor), 64, None)]
    assert "access2" in network.ip("gateway", "-6", "route", "show", VISITOR_PREFIX)
    assert plane.apply([Unbind(2, prefix(visitor), 64, BindingKind.LOCAL)]) == [0]
    assert network.ip("gateway", "-6", "route", "show", VISITOR_PREFIX) == ""
    from_first(network, udp(visitor, CORRESPONDENT, port=150), access="access2")
    # Native XDP takes it later than it is sent, so that a packet behind it would say nothing.
    assert network.wire("anchor.core1").receive(marked(150), within=1.0) is None
    bind_locally(plane, visitor, access)
    from_first(network, udp(visitor, CORRESPONDENT, port=151), access="access2")
    assert network.wire("anchor.core1").receive(marked(151)) is not None


def test_it_moves_to_another_interface(network: Network, planes: Planes, visitor: str) -> None:
    plane = mixed(network, planes)
    bind_locally(plane, visitor, network.index("gateway.access1"))
    assert "access1" in network.ip("gateway", "-6", "route", "show", VISITOR_PREFIX)
    from_first(network, udp(visitor, CORRESPONDENT, port=160), access="access2")
    from_first(network, udp(visitor, CORRESPONDENT, port=161), access="access1")
    got = network.wire("anchor.core1").receive(lambda packet: any(marked(port)(packet) for port in (160, 161)))
    assert got is not None
    assert marked(161)(got)


def test_what_it_leaves_is_taken_away(network: Network, planes: Planes, visitor: str) -> None:
    before = network.ip("gateway", "-6", "rule", "show")
    mixed(network, planes)
    planes.close()
    assert network.ip("gateway", "-6", "rule", "show") == before
    assert network.ip("gateway", "-6", "route", "show", VISITOR_PREFIX) == ""
