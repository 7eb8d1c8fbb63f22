# SPDX-License-Identifier: Apache-2.0
"""What every plane does at an anchor with packets from mobile nodes, whichever mechanism is behind it."""

from __future__ import annotations

import struct

import pytest

from halma.engine.api import Tunnel
from tests.forwarding.plane_network import (
    ANCHOR,
    CORRESPONDENT,
    FAR,
    FIRST,
    GATEWAY,
    ROAMER,
    UNBOUND,
    Network,
    is_from,
    is_tunnelled,
)
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import ICMPV6, IPV6, Ip, address, checksum, tunnelled, udp, with_options
from tests.forwarding.plane_traffic import (
    EXCEEDED,
    TO_FAR,
    TO_GATEWAY,
    TOO_BIG,
    bind,
    counted,
    from_correspondent,
    from_far,
    marked,
    too_big_about,
    unreachable_about,
)

pytestmark = pytest.mark.root


@pytest.mark.rfc("5213#5.6.2-5", "5213#5.6.2-6", "5213#5.6.1-1")
def test_a_packet_out_of_its_tunnel_is_routed(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    sent = udp(ROAMER, CORRESPONDENT, 100, hop_limit=40)
    from_far(network, tunnelled(sent, FAR, ANCHOR))
    got = network.wire("correspondent.eth0").receive(is_from(ROAMER))
    assert got is not None
    assert got.hop_limit == 39
    assert got.payload == sent.payload


def test_a_packet_out_of_its_tunnel_may_be_for_the_anchor_itself(network: Network, planes: Planes) -> None:
    """As what a node says that has come home behind its gateway, and what one abroad sends to the home agent's address."""
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    echo = b"\x80\0\0\0\0\7\0\1halma?"
    total = checksum(address(ROAMER) + address(ANCHOR) + struct.pack("!II", len(echo), ICMPV6) + echo)
    sent = Ip(address(ROAMER), address(ANCHOR), ICMPV6, echo[:2] + total.to_bytes(2, "big") + echo[4:])
    from_far(network, tunnelled(sent, FAR, ANCHOR))
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    answer = outer.inner()
    assert (answer.source, answer.destination, answer.payload[0]) == (address(ANCHOR), address(ROAMER), 129)
    assert answer.payload[4:] == echo[4:]


def test_a_tunnel_packet_with_an_encapsulation_limit_is_taken(network: Network, planes: Planes) -> None:
    if planes.kind == "seg6":
        pytest.skip("the kernel's seg6 takes no destination options")
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_far(network, with_options(tunnelled(udp(ROAMER, CORRESPONDENT, 100), FAR, ANCHOR)))
    got = network.wire("correspondent.eth0").receive(is_from(ROAMER))
    assert got is not None
    assert len(got.payload) == 108


def test_a_wrong_outer_source_is_dropped(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    bind(plane, FIRST, TO_GATEWAY)
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=41), "2001:db8:3::bad", ANCHOR))
    from_far(network, tunnelled(udp(FIRST, CORRESPONDENT, port=42), FAR, ANCHOR))
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=43), FAR, ANCHOR))
    got = network.wire("correspondent.eth0").receive(lambda packet: packet.next_header == 17)
    assert got is not None
    assert marked(43)(got), "a packet from a wrong gateway came through"
    if planes.kind != "seg6":
        assert counted(plane, "dropped_wrong_outer_source", 2)


def test_a_wrong_outer_destination_is_not_taken(network: Network, planes: Planes) -> None:
    plane = planes.anchor(addresses=(address(ANCHOR), address("2001:db8:3::ff")))
    bind(plane, ROAMER, TO_FAR)
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=44), FAR, "2001:db8:3::ff"))
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=45), FAR, ANCHOR))
    got = network.wire("correspondent.eth0").receive(is_from(ROAMER))
    assert got is not None
    assert marked(45)(got)


def test_an_unknown_inner_source_is_dropped(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    for source in (UNBOUND, "fe80::1", "2001:db8:ff::77"):
        from_far(network, tunnelled(udp(source, CORRESPONDENT, port=46), FAR, ANCHOR))
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=47), FAR, ANCHOR))
    got = network.wire("correspondent.eth0").receive(lambda packet: packet.next_header == 17)
    assert got is not None
    assert marked(47)(got)
    if planes.kind != "seg6":
        assert counted(plane, "dropped_unknown_inner", 3)


def test_malformed_tunnel_packets_are_dropped(network: Network, planes: Planes) -> None:
    if planes.kind == "seg6":
        pytest.skip("the kernel's seg6 does not compare lengths")
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    good = udp(ROAMER, CORRESPONDENT, 64, port=48)
    too_long = Ip(good.source, good.destination, good.next_header, good.payload, announced=len(good.payload) + 100)
    version_4 = Ip(address(FAR), address(ANCHOR), IPV6, b"\x45" + good.bytes()[1:])
    short = Ip(address(FAR), address(ANCHOR), IPV6, good.bytes()[:30])
    for packet in (tunnelled(too_long, FAR, ANCHOR), version_4, short):
        from_far(network, packet)
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=49), FAR, ANCHOR))
    got = network.wire("correspondent.eth0").receive(lambda packet: packet.next_header == 17)
    assert got is not None
    assert marked(49)(got)
    if planes.kind != "seg6":
        assert counted(plane, "dropped_malformed", 3)


@pytest.mark.rfc("5213#5.6.3-1", "5213#5.6.3-4", "5213#5.6.3-5")
@pytest.mark.parametrize(
    ("inner", "outer", "result"),
    [(i, o, (None if i == 0 else 3) if o == 3 else i) for i in range(4) for o in range(4)],
)
def test_congestion_marks_come_out_of_the_tunnel(
    network: Network, planes: Planes, inner: int, outer: int, result: int | None
) -> None:
    if planes.kind == "seg6":
        pytest.skip("the kernel's seg6 does not look at congestion marks")
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_far(
        network, tunnelled(udp(ROAMER, CORRESPONDENT, port=51, traffic_class=0xA0 | inner), FAR, ANCHOR, traffic_class=outer)
    )
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, port=52), FAR, ANCHOR))
    got = network.wire("correspondent.eth0").receive(is_from(ROAMER))
    assert got is not None
    if result is None:
        assert marked(52)(got), "a mark was lost on a transport that does not know marks"
        assert counted(plane, "dropped_congestion_mark", 1)
    else:
        assert marked(51)(got)
        assert got.traffic_class == 0xA0 | result


def test_an_inner_packet_at_its_hop_limit_is_answered_into_the_tunnel(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    from_far(network, tunnelled(udp(ROAMER, CORRESPONDENT, hop_limit=1), FAR, ANCHOR))
    outer = network.wire("far.core0").receive(
        lambda packet: packet.next_header == IPV6 and packet.inner().next_header == ICMPV6
    )
    assert outer is not None
    assert outer.inner().payload[0] == EXCEEDED
    assert outer.inner().destination == address(ROAMER)


def test_two_nodes_of_one_anchor_reach_each_other(network: Network, planes: Planes) -> None:
    plane = planes.anchor()
    bind(plane, ROAMER, TO_FAR)
    bind(plane, FIRST, TO_GATEWAY)
    from_far(network, tunnelled(udp(ROAMER, FIRST, 100, port=61, hop_limit=20, traffic_class=1), FAR, ANCHOR, traffic_class=3))
    outer = network.wire("gateway.core0").receive(marked(61))
    assert outer is not None
    assert (outer.source, outer.destination) == (address(ANCHOR), address(GATEWAY))
    inner = outer.inner()
    assert inner.hop_limit == 19
    assert inner.bytes()[8:] == udp(ROAMER, FIRST, 100, port=61).bytes()[8:]
    if planes.kind != "seg6":
        assert inner.traffic_class & 3 == 3
        assert outer.traffic_class & 3 == 3
    bind(plane, FIRST, None)
    from_far(network, tunnelled(udp(ROAMER, FIRST, port=62), FAR, ANCHOR))
    if planes.kind != "seg6":
        assert counted(plane, "dropped_bound_to_nothing", 1)
    bind(plane, FIRST, TO_GATEWAY)
    from_far(network, tunnelled(udp(ROAMER, FIRST, port=63), FAR, ANCHOR))
    outer = network.wire("gateway.core0").receive(is_tunnelled(ANCHOR, GATEWAY))
    assert outer is not None
    assert marked(63)(outer)


def test_errors_that_come_while_others_are_read_stop_nothing(network: Network, planes: Planes) -> None:
    """As when a node leaves its link with a stream on its way to it."""
    if planes.kind == "seg6":
        pytest.skip("seg6 leaves errors about outer packets to the kernel")
    bind(planes.anchor(), ROAMER, TO_FAR)
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 100, port=71))
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    for _ in range(2000):
        from_far(network, unreachable_about(outer))
    network.wire("correspondent.eth0").drain()
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1461 - 48))
    assert network.wire("correspondent.eth0").error(TOO_BIG) is not None


@pytest.mark.rfc("5213#6.9.5-2", "5213#6.9.5-10")
def test_a_narrow_link_on_the_way_is_learnt_and_told(network: Network, planes: Planes) -> None:
    if planes.kind == "seg6":
        pytest.skip("seg6 leaves errors about outer packets to the kernel")
    plane = planes.anchor()
    learnt: list[tuple[Tunnel, int]] = []
    plane.on_path_mtu = lambda tunnel, mtu: learnt.append((tunnel, mtu))
    bind(plane, ROAMER, TO_FAR)
    network.ip("anchor", "-6", "route", "flush", "cache")
    sent = udp(CORRESPONDENT, ROAMER, 1440 - 48, port=71)
    from_correspondent(network, sent)
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    from_far(network, too_big_about(outer, 1400))
    error = network.wire("correspondent.eth0").error(TOO_BIG)
    assert error is not None
    assert error.value == 1360
    assert error.about[8:40] == sent.bytes()[8:40], "the error quotes the inner packet (RFC 2473 section 8)"
    assert learnt == [(TO_FAR, 1400)]
    from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1361 - 48))
    again = network.wire("correspondent.eth0").error(TOO_BIG)
    assert again is not None
    assert again.value == 1360
