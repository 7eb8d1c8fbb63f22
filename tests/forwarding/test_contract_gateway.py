# SPDX-License-Identifier: Apache-2.0
"""What every plane does at a gateway, and between a gateway and an anchor."""

from __future__ import annotations

import pytest

from halma.engine.api import Unbind
from tests.forwarding.plane_network import (
    AGGREGATE,
    ANCHOR,
    CORRESPONDENT,
    FIRST,
    GATEWAY,
    SECOND,
    UNBOUND,
    Network,
    is_tunnelled,
)
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import IPV6, tunnelled, udp
from tests.forwarding.plane_traffic import (
    EXCEEDED,
    TO_ANCHOR,
    TOO_BIG,
    bind,
    both,
    counted,
    from_first,
    gateway_with_first,
    marked,
    network_ping,
    prefix,
    to_first,
    transfer,
)

pytestmark = pytest.mark.root


@pytest.mark.rfc("5213#6.10.5-12", "5213#6.10.5-14")
def test_what_a_mobile_node_sends_goes_into_its_tunnel(network: Network, planes: Planes) -> None:
    gateway_with_first(network, planes)
    sent = udp(FIRST, CORRESPONDENT, 100, hop_limit=10, traffic_class=0x22)
    from_first(network, sent)
    outer = network.wire("anchor.core1").receive(is_tunnelled(GATEWAY, ANCHOR))
    assert outer is not None
    assert outer.inner().hop_limit == 9
    assert outer.inner().payload == sent.payload
    assert outer.traffic_class == 0x22


@pytest.mark.rfc("5213#6.10.5-8", "5213#6.10.5-13")
def test_nothing_of_an_unbound_node_is_forwarded(network: Network, planes: Planes) -> None:
    plane = planes.gateway()
    from_first(network, udp(FIRST, CORRESPONDENT, port=81))
    bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"))
    from_first(network, udp(UNBOUND, CORRESPONDENT, port=82))
    from_first(network, udp("fe80::1", CORRESPONDENT, port=83))
    from_first(network, udp(FIRST, CORRESPONDENT, port=84), access="access2")
    from_first(network, udp(FIRST, CORRESPONDENT, port=85))
    got = network.wire("anchor.core1").receive(lambda packet: any(marked(port)(packet) for port in range(81, 86)))
    assert got is not None
    assert marked(85)(got), "a packet left that is bound to no tunnel on its access interface"
    if planes.kind not in ("seg6", "tun"):
        assert counted(plane, "dropped_wrong_inner_source", 4)
    bind(plane, FIRST, None, network.index("gateway.access1"))
    from_first(network, udp(FIRST, CORRESPONDENT, port=86))
    if planes.kind != "seg6":
        assert counted(plane, "dropped_bound_to_nothing", 1)
    bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"))
    from_first(network, udp(FIRST, CORRESPONDENT, port=87))
    got = network.wire("anchor.core1").receive(lambda packet: any(marked(port)(packet) for port in (86, 87)))
    assert got is not None
    assert marked(87)(got)


def test_neighbour_discovery_still_works_for_an_unbound_node(network: Network, planes: Planes) -> None:
    planes.gateway()
    assert network_ping(network, "first", "fe80::5213%eth0")


def test_a_node_talks_to_the_gateway_itself(network: Network, planes: Planes) -> None:
    gateway_with_first(network, planes)
    assert network_ping(network, "first", GATEWAY)


def test_a_prefix_is_routed_to_its_interface_as_long_as_it_is_bound(network: Network, planes: Planes) -> None:
    plane = gateway_with_first(network, planes)
    assert "access1" in network.ip("gateway", "-6", "route", "show", "2001:db8:100:1::/64")
    assert plane.apply([Unbind(2, prefix(FIRST), 64)]) == [0]
    assert network.ip("gateway", "-6", "route", "show", "2001:db8:100:1::/64") == ""


@pytest.mark.rfc("5213#6.10.5-1", "5213#6.10.5-2", "5213#6.10.5-3")
def test_what_comes_in_its_tunnel_reaches_the_mobile_node(network: Network, planes: Planes) -> None:
    gateway_with_first(network, planes)
    network.ip("gateway", "-6", "neigh", "flush", "dev", "access1")
    for port in (91, 92):
        sent = udp(CORRESPONDENT, FIRST, 100, hop_limit=30, port=port)
        to_first(network, tunnelled(sent, ANCHOR, GATEWAY))
        got = network.wire("first.eth0").receive(marked(port))
        assert got is not None
        assert got.hop_limit == 29
        assert got.payload == sent.payload


@pytest.mark.rfc("5213#6.10.5-4")
def test_what_comes_in_a_wrong_tunnel_does_not(network: Network, planes: Planes) -> None:
    plane = gateway_with_first(network, planes)
    to_first(network, tunnelled(udp(CORRESPONDENT, FIRST, port=93), "2001:db8:1::bad", GATEWAY))
    to_first(network, tunnelled(udp(CORRESPONDENT, UNBOUND, port=94), ANCHOR, GATEWAY))
    to_first(network, tunnelled(udp(CORRESPONDENT, FIRST, port=95), ANCHOR, GATEWAY))
    got = network.wire("first.eth0").receive(lambda packet: any(marked(port)(packet) for port in (93, 94, 95)))
    assert got is not None
    assert marked(95)(got)
    if planes.kind != "seg6":
        assert counted(plane, "dropped_wrong_outer_source", 1)
        assert counted(plane, "dropped_unknown_inner", 1)


@pytest.mark.rfc("5213#6.9.5-7")
def test_errors_at_the_gateway_reach_the_mobile_node_and_nothing_leaves_bare(network: Network, planes: Planes) -> None:
    gateway_with_first(network, planes)
    from_first(network, udp(FIRST, CORRESPONDENT, 1461 - 48, port=96))
    error = network.wire("first.eth0").error(TOO_BIG)
    assert error is not None
    assert error.value == 1460
    from_first(network, udp(FIRST, CORRESPONDENT, port=97, hop_limit=1))
    assert network.wire("first.eth0").error(EXCEEDED) is not None
    from_first(network, udp(FIRST, CORRESPONDENT, port=98))
    got = network.wire("anchor.core1").receive(lambda packet: any(marked(port)(packet) for port in (96, 97, 98)))
    assert got is not None
    assert marked(98)(got)
    assert got.next_header == IPV6


@pytest.mark.rfc("5213#6.10.5-9", "5213#6.10.5-10")
def test_two_nodes_of_one_gateway_talk_through_the_anchor(network: Network, planes: Planes) -> None:
    plane = gateway_with_first(network, planes)
    bind(plane, SECOND, TO_ANCHOR, network.index("gateway.access2"))
    from_first(network, udp(FIRST, SECOND, port=101))
    assert network.wire("anchor.core1").receive(marked(101)) is not None


@pytest.mark.rfc("5213#6.10.5-9", "5213#6.10.5-11")
def test_two_nodes_of_one_gateway_talk_directly_when_allowed(network: Network, planes: Planes) -> None:
    plane = planes.gateway()
    bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"), local_routing=True)
    bind(plane, SECOND, TO_ANCHOR, network.index("gateway.access2"), local_routing=True)
    from_first(network, udp(FIRST, SECOND, port=102))
    got = network.wire("second.eth0").receive(marked(102))
    assert got is not None
    assert got.next_header == 17
    from_first(network, udp(FIRST, CORRESPONDENT, port=103))
    assert network.wire("anchor.core1").receive(marked(103)) is not None
    from_first(network, udp(UNBOUND, SECOND, port=104))
    from_first(network, udp(FIRST, SECOND, port=105))
    got = network.wire("second.eth0").receive(lambda packet: packet.next_header == 17)
    assert got is not None
    assert marked(105)(got)


@pytest.mark.rfc("5213#9.2-3")
@pytest.mark.parametrize("allowed", [(True, False), (False, True)])
def test_two_nodes_of_which_one_may_not_talk_directly_talk_through_the_anchor(
    network: Network, planes: Planes, allowed: tuple[bool, bool]
) -> None:
    plane = planes.gateway()
    ports = [network.index("gateway.access1"), network.index("gateway.access2")]
    for host, port in zip((FIRST, SECOND), ports, strict=True):  # it was allowed to both before
        bind(plane, host, TO_ANCHOR, port, local_routing=True)
    for host, port, flag in zip((FIRST, SECOND), ports, allowed, strict=True):
        bind(plane, host, TO_ANCHOR, port, local_routing=flag)
    from_first(network, udp(FIRST, SECOND, port=107))
    got = network.wire("anchor.core1").receive(marked(107))
    assert got is not None
    assert got.next_header == IPV6


@pytest.mark.rfc("5213#6.10.5-7")
def test_a_packet_that_comes_bare_to_the_gateway_goes_towards_the_anchor(network: Network, planes: Planes) -> None:
    if planes.kind in ("seg6", "tun"):
        pytest.skip("this plane leaves bare packets from the network to the kernel's routes")
    gateway_with_first(network, planes)
    to_first(network, udp(CORRESPONDENT, FIRST, port=106, hop_limit=9))
    got = network.wire("anchor.core1").receive(marked(106))
    assert got is not None
    assert (got.next_header, got.hop_limit) == (17, 8)


def test_a_host_with_nothing_of_ours_talks_to_the_correspondent(network: Network, planes: Planes) -> None:
    both(network, planes)
    network.ip("correspondent", "-6", "route", "replace", AGGREGATE + "/40", "via", "2001:db8:ff::1")
    assert network_ping(network, "first", CORRESPONDENT)
    assert network_ping(network, "correspondent", FIRST)


def test_a_tcp_stream_survives_with_segmentation_offload(network: Network, planes: Planes) -> None:
    if planes.kind == "xdp":
        pytest.skip("native XDP on veth cannot carry segmentation offload; it is never chosen there")
    anchor, gateway = both(network, planes)
    size = 200_000 if planes.kind == "tun" else 4_000_000
    assert transfer(network, "first", "correspondent", CORRESPONDENT, size) == size
    assert transfer(network, "correspondent", "first", FIRST, size) == size
    if planes.kind in ("tcx", "clsact"):
        # but for the first segments, before the sender has learnt the MTU, the fast path carries them
        assert anchor.counters()["passed_too_big"] < 20
        assert gateway.counters()["passed_too_big"] < 20
