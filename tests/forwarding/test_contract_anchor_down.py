# SPDX-License-Identifier: Apache-2.0
"""What every plane does at an anchor with packets to mobile nodes, whichever mechanism is behind it."""

from __future__ import annotations

import subprocess
import time

import pytest

from halma.engine.api import Unbind
from tests.forwarding.plane_network import (
    ANCHOR,
    CORRESPONDENT,
    FAR,
    FIRST,
    GATEWAY,
    ROAMER,
    UNBOUND,
    WAIT,
    Network,
    is_from,
    is_tunnelled,
)
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import ICMPV6, address, tunnelled, udp
from tests.forwarding.plane_traffic import (
    EXCEEDED,
    TO_FAR,
    TO_GATEWAY,
    TOO_BIG,
    UNREACHABLE,
    bind,
    counted,
    from_correspondent,
    from_far,
    from_first,
    gateway_with_first,
    marked,
    prefix,
)

pytestmark = pytest.mark.root


@pytest.mark.rfc("5213#5.6.2-1", "5213#5.6.2-3", "5213#5.6.1-1", "5213#5.6.1-4", "5213#5.6.2-4")
def test_a_packet_to_a_bound_prefix_goes_into_its_tunnel(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    sent = udp(CORRESPONDENT, ROAMER, 100, hop_limit=33, traffic_class=0xB9)
    from_correspondent(network, sent)
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    inner = outer.inner()
    assert inner.hop_limit == 32, "the tunnel's entry is a router (RFC 2473 section 3.1)"
    assert (inner.payload, inner.source, inner.destination) == (sent.payload, sent.source, sent.destination)
    assert inner.traffic_class == 0xB9
    assert outer.announced == 40 + len(sent.payload)
    if planes.kind != "seg6":  # which copies the inner one
        assert outer.hop_limit >= 60
    assert planes.kind == "seg6" or counted(plane, "encapsulated", 1)


@pytest.mark.rfc("5213#5.6.3-1", "5213#5.6.3-2")
@pytest.mark.parametrize("traffic_class", [0x00, 0x01, 0x02, 0x03, 0xFE])
def test_the_traffic_class_is_copied_with_its_congestion_field(network: Network, planes: Planes, traffic_class: int) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, traffic_class=traffic_class))
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    assert outer.traffic_class == traffic_class
    assert outer.inner().traffic_class == traffic_class


def test_flow_labels_tell_flows_apart_and_keep_a_flow_together(network: Network, planes: Planes) -> None:
    if planes.kind == "seg6":
        pytest.skip("the kernel's seg6 decides about flow labels by a sysctl")
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    labels: dict[int, set[int]] = {}
    for port in (1001, 1002, 1003, 1004, 1001, 1002, 1003, 1004):
        from_correspondent(network, udp(CORRESPONDENT, ROAMER, port=port))
        outer = network.wire("far.core0").receive(marked(port))
        assert outer is not None
        assert outer.flow_label
        labels.setdefault(port, set()).add(outer.flow_label)
    assert all(len(found) == 1 for found in labels.values())
    assert len(set.union(*labels.values())) == 4


@pytest.mark.parametrize("hop_limit", [0, 1])
def test_a_packet_at_its_hop_limit_is_answered(network: Network, planes: Planes, hop_limit: int) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, hop_limit=hop_limit))
    error = network.wire("correspondent.eth0").error(EXCEEDED)
    assert error is not None
    assert error.source in (INET_ADDRESSES)
    if planes.kind == "seg6":
        return  # its outer hop limit is the inner one's, so the next packet would not come far
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, hop_limit=2, port=7))
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    assert outer.inner().hop_limit == 1
    assert marked(7)(outer)


INET_ADDRESSES = ("2001:db8:ff::1", ANCHOR, "2001:db8:2::ff", "2001:db8:3::ff")


@pytest.mark.rfc("5213#6.9.5-6", "5213#6.9.5-7")
def test_packet_too_big_says_the_mtu_of_the_tunnel(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1461 - 48, port=8))
    error = network.wire("correspondent.eth0").error(TOO_BIG)
    assert error is not None
    assert error.value == 1460
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1460 - 48, port=9))
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    assert outer.announced == 1460
    assert marked(9)(outer)


@pytest.mark.rfc("5213#6.9.5-7", "5213#6.9.5-10")
def test_a_tunnel_may_have_a_path_of_its_own_mtu(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    bind(plane, FIRST, TO_GATEWAY)
    plane.set_path_mtu(TO_FAR, 1400)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1361 - 48))
    error = network.wire("correspondent.eth0").error(TOO_BIG)
    assert error is not None
    assert error.value == 1360
    from_correspondent(network, udp(CORRESPONDENT, FIRST, 1361 - 48, port=11))
    assert network.wire("gateway.core0").receive(marked(11)) is not None
    plane.set_path_mtu(TO_FAR, 1500)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1460 - 48, port=12))
    assert network.wire("far.core0").receive(marked(12)) is not None


def test_a_small_packet_on_a_narrow_path_is_fragmented_outside(network: Network, planes: Planes) -> None:
    if planes.kind == "seg6":
        pytest.skip("seg6 cannot fragment")
    plane = planes.anchor(path_mtu=1290)
    bind(plane, ROAMER, TO_FAR)
    sent = udp(CORRESPONDENT, ROAMER, 1280 - 48, port=13)
    from_correspondent(network, sent)
    pieces = []
    for _ in range(2):
        piece = network.wire("far.core0").receive(lambda packet: packet.next_header == 44)
        assert piece is not None
        assert piece.announced is not None
        assert piece.announced + 40 <= 1290
        pieces.append((int.from_bytes(piece.payload[2:4], "big") & ~7, piece.payload[8:]))
    whole = b"".join(data for _, data in sorted(pieces))
    assert whole[48:] == sent.bytes()[48 - 0 :] or whole[40:] == sent.payload
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1281 - 48))
    error = network.wire("correspondent.eth0").error(TOO_BIG)
    assert error is not None
    assert error.value == 1280


@pytest.mark.parametrize("side", ["anchor", "gateway"])
def test_small_packets_on_a_narrow_path_are_not_taken_for_errors(network: Network, planes: Planes, side: str) -> None:
    """Errors are limited in rate; what has to be fragmented is traffic."""
    if planes.kind == "seg6":
        pytest.skip("seg6 cannot fragment")
    if side == "anchor":
        bind(planes.anchor(path_mtu=1290), ROAMER, TO_FAR)
        there = network.wire("far.core0")
    else:
        gateway_with_first(network, planes, path_mtu=1290)
        there = network.wire("anchor.core1")
    packets = 500
    ends = (CORRESPONDENT, ROAMER) if side == "anchor" else (FIRST, CORRESPONDENT)
    made = [udp(*ends, 1280 - 48, port=port) for port in range(packets)]
    for packet in made:  # all at once, for the rate of errors counts in time
        (from_correspondent if side == "anchor" else from_first)(network, packet)
    for _ in range(packets):
        assert there.receive(lambda packet: packet.next_header == 44 and packet.payload[2:4] == b"\0\1") is not None


def test_an_unbound_prefix_is_unreachable(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_correspondent(network, udp(CORRESPONDENT, UNBOUND))
    error = network.wire("correspondent.eth0").error(UNREACHABLE)
    assert error is not None
    assert error.about[24:40] == address(UNBOUND)


def test_unbinding_makes_a_prefix_unreachable_again(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    assert plane.apply([Unbind(2, prefix(ROAMER), 64)]) == [0]
    from_correspondent(network, udp(CORRESPONDENT, ROAMER))
    assert network.wire("correspondent.eth0").error(UNREACHABLE) is not None


def test_a_prefix_bound_to_nothing_is_silent(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    bind(plane, ROAMER, None)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER))
    from_correspondent(network, udp(CORRESPONDENT, UNBOUND))
    error = network.wire("correspondent.eth0").error(UNREACHABLE)
    assert error is not None
    assert error.about[24:40] == address(UNBOUND), "the first packet was answered"
    if planes.kind != "seg6":
        assert counted(plane, "dropped_bound_to_nothing", 1)


def test_a_handover_is_one_change(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, port=21))
    assert network.wire("far.core0").receive(marked(21)) is not None
    bind(plane, ROAMER, TO_GATEWAY)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, port=22))
    outer = network.wire("gateway.core0").receive(marked(22))
    assert outer is not None
    assert outer.destination == address(GATEWAY)
    # and what still comes from the old gateway is not taken any more
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=23), FAR, ANCHOR))
    network.wire("gateway.core0").send(
        tunnelled(udp(ROAMER, CORRESPONDENT, port=24), GATEWAY, ANCHOR), network.wire("anchor.core1")
    )
    first = network.wire("correspondent.eth0").receive(is_from(ROAMER))
    assert first is not None
    assert marked(24)(first)


def test_what_the_anchor_itself_sends_is_tunnelled(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    with subprocess.Popen(
        ["ip", "netns", "exec", network.names["anchor"], "ping", "-c1", "-W1", ROAMER], stdout=subprocess.DEVNULL
    ) as ping:
        outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
        ping.wait()
    assert outer is not None
    inner = outer.inner()
    assert (inner.destination, inner.next_header, inner.payload[0]) == (address(ROAMER), ICMPV6, 128)
    assert inner.hop_limit == 64, "a packet that the anchor sends has not been forwarded"


def test_a_neighbour_that_is_not_known_yet_is_asked_for(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, FIRST, TO_GATEWAY)
    network.ip("anchor", "-6", "neigh", "flush", "dev", "core1")
    plane.routes_changed()
    from_correspondent(network, udp(CORRESPONDENT, FIRST, port=31))
    assert network.wire("gateway.core0").receive(marked(31)) is not None
    network.learn_neighbours()


def test_a_new_route_to_the_far_end_is_followed(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, port=32))
    assert network.wire("far.core0").receive(marked(32)) is not None
    network.ip("anchor", "-6", "route", "add", FAR + "/128", "via", GATEWAY, "dev", "core1")
    try:
        end, moved = time.monotonic() + WAIT, None
        while moved is None and time.monotonic() < end:  # the plane hears of it from the kernel, a moment later
            from_correspondent(network, udp(CORRESPONDENT, ROAMER, port=33))
            moved = network.wire("gateway.core0").receive(marked(33), within=0.05)
        assert moved is not None
    finally:
        network.ip("anchor", "-6", "route", "del", FAR + "/128")
