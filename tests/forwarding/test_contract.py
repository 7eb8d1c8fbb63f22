# SPDX-License-Identifier: Apache-2.0
"""What every plane does with real packets, whichever mechanism is behind it."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Callable

import pytest

from halma.engine.api import Bind, Tunnel, Unbind
from halma.forwarding.plane import Plane
from tests.forwarding.plane_network import (
    AGGREGATE,
    ANCHOR,
    CORRESPONDENT,
    FAR,
    FIRST,
    GATEWAY,
    ROAMER,
    SECOND,
    UNBOUND,
    WAIT,
    Network,
    inside,
    is_from,
    is_tunnelled,
)
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import ICMPV6, IPV6, Ip, address, tunnelled, udp, with_options

pytestmark = pytest.mark.root

TO_GATEWAY, TO_FAR = Tunnel(address(ANCHOR), address(GATEWAY)), Tunnel(address(ANCHOR), address(FAR))
TO_ANCHOR = Tunnel(address(GATEWAY), address(ANCHOR))
PARAMETERS_PROBLEM, TOO_BIG, EXCEEDED, UNREACHABLE = 4, 2, 3, 1


def prefix(host: str) -> bytes:
    """The /64 of an address."""
    return address(host)[:8] + bytes(8)


def bind(plane: Plane, host: str, tunnel: Tunnel | None, access: int = 0) -> None:
    """Bind a host's prefix."""
    assert plane.apply([Bind(1, prefix(host), 64, tunnel, access)]) == [0]


def counted(plane: Plane, name: str, packets: int) -> bool:
    """Whether a counter comes to this value; a plane that works in a thread may need a moment."""
    end = time.monotonic() + WAIT
    while plane.counters()[name] != packets and time.monotonic() < end:
        time.sleep(0.005)
    return plane.counters()[name] == packets


def from_correspondent(network: Network, packet: Ip) -> None:
    """A packet on the link from the correspondent to the anchor."""
    network.wire("correspondent.eth0").send(packet, network.wire("anchor.inet0"))


def from_far(network: Network, packet: Ip) -> None:
    """A packet from the far gateway to the anchor."""
    network.wire("far.core0").send(packet, network.wire("anchor.core2"))


def marked(port: int) -> Callable[[Ip], bool]:
    """UDP packets, tunnelled or not, from this port."""

    def wanted(packet: Ip) -> bool:
        inner = packet.inner() if packet.next_header == IPV6 else packet
        return inner.next_header == 17 and int.from_bytes(inner.payload[:2], "big") == port

    return wanted


# ---- the anchor, down -----------------------------------------------------------------------------------------------


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
    packets = 400
    for port in range(packets):
        if side == "anchor":
            from_correspondent(network, udp(CORRESPONDENT, ROAMER, 1280 - 48, port=port))
        else:
            from_first(network, udp(FIRST, CORRESPONDENT, 1280 - 48, port=port))
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


# ---- the anchor, up -------------------------------------------------------------------------------------------------


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


def too_big_about(outer: Ip, mtu: int) -> Ip:
    """What a router on the way says about a tunnel packet."""
    from tests.forwarding.plane_packets import checksum  # noqa: PLC0415

    router = address(FAR)
    body = bytes([2, 0, 0, 0]) + mtu.to_bytes(4, "big") + outer.bytes()[:1232]
    total = checksum(router + outer.source + len(body).to_bytes(4, "big") + bytes([0, 0, 0, 58]) + body)
    return Ip(router, outer.source, ICMPV6, body[:2] + total.to_bytes(2, "big") + body[4:])


# ---- what apply says ------------------------------------------------------------------------------------------------


def test_what_no_plane_can_do_is_refused(planes: Planes) -> None:
    plane = planes.anchor()
    changes = [
        Bind(1, address(ROAMER), 128, TO_FAR),
        Bind(2, address("2001:db8:100::"), 56, TO_FAR),
        Bind(3, address(ROAMER), 64, TO_FAR),
        Bind(4, address("fe80::"), 64, TO_FAR),
        Bind(5, prefix(ROAMER), 64, TO_FAR),
        Unbind(6, address("2001:db8:100::"), 56),
    ]
    assert plane.apply(changes) == [errno.EOPNOTSUPP, errno.EOPNOTSUPP, errno.EINVAL, errno.EINVAL, 0, errno.EOPNOTSUPP]
    assert list(plane.bindings()) == [(prefix(ROAMER), 64, TO_FAR)]


def test_the_numbers_of_unused_tunnels_are_used_again(planes: Planes) -> None:
    plane = planes.anchor(maximum_bindings=4)
    for number in range(1, 20):
        bind(plane, ROAMER, Tunnel(address(ANCHOR), address(f"2001:db8:3::{number:x}")))
        assert len(plane.tunnels()) == 1  # type: ignore[attr-defined]


@pytest.mark.rfc("5213#5.6.1-6", "5213#5.6.1-3")
def test_the_last_change_of_a_batch_holds_and_unused_tunnels_go(planes: Planes) -> None:
    plane = planes.anchor()
    answers = plane.apply(
        [
            Bind(1, prefix(ROAMER), 64, TO_FAR),
            Unbind(2, prefix(ROAMER), 64),
            Bind(3, prefix(FIRST), 64, TO_FAR),
            Bind(4, prefix(FIRST), 64, TO_GATEWAY),
            Unbind(5, prefix(SECOND), 64),
            Bind(6, prefix(SECOND), 64, None),
        ]
    )
    assert answers == [0] * 6
    assert sorted(plane.bindings(), key=str) == sorted([(prefix(FIRST), 64, TO_GATEWAY), (prefix(SECOND), 64, None)], key=str)
    assert plane.tunnels() == {TO_GATEWAY: 1}  # type: ignore[attr-defined]
    plane.apply([Unbind(7, prefix(FIRST), 64)])
    assert plane.tunnels() == {}  # type: ignore[attr-defined]


def test_a_full_table_refuses_new_prefixes_and_still_moves_old_ones(planes: Planes) -> None:
    plane = planes.anchor(maximum_bindings=4)
    hosts = [address(f"2001:db8:100:{n:x}::") for n in range(16, 22)]
    answers = plane.apply([Bind(n, host, 64, TO_FAR) for n, host in enumerate(hosts)])
    assert answers[:4] == [0] * 4
    assert all(answers[4:])
    assert len(list(plane.bindings())) == 4
    assert plane.apply([Bind(9, hosts[0], 64, TO_GATEWAY)]) == [0]
    assert plane.tunnels() == {TO_FAR: 3, TO_GATEWAY: 1}  # type: ignore[attr-defined]


# ---- the gateway ----------------------------------------------------------------------------------------------------


def from_first(network: Network, packet: Ip, access: str = "access1") -> None:
    """A packet from a mobile node to the gateway."""
    host = "first" if access == "access1" else "second"
    network.wire(f"{host}.eth0").send(packet, network.wire(f"gateway.{access}"))


def gateway_with_first(network: Network, planes: Planes, **changes: object) -> Plane:
    """A gateway's plane that serves the first node."""
    plane = planes.gateway(**changes)
    bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"))
    return plane


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


def network_ping(network: Network, role: str, target: str) -> bool:
    """Whether a host gets an answer."""
    command = ["ip", "netns", "exec", network.names[role], "ping", "-c1", "-W2", target]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def to_first(network: Network, packet: Ip) -> None:
    """A packet on the link from the anchor to the gateway."""
    network.wire("anchor.core1").send(packet, network.wire("gateway.core0"))


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
    plane = gateway_with_first(network, planes, local_routing=True)
    bind(plane, SECOND, TO_ANCHOR, network.index("gateway.access2"))
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


@pytest.mark.rfc("5213#6.10.5-7")
def test_a_packet_that_comes_bare_to_the_gateway_goes_towards_the_anchor(network: Network, planes: Planes) -> None:
    if planes.kind in ("seg6", "tun"):
        pytest.skip("this plane leaves bare packets from the network to the kernel's routes")
    gateway_with_first(network, planes)
    to_first(network, udp(CORRESPONDENT, FIRST, port=106, hop_limit=9))
    got = network.wire("anchor.core1").receive(marked(106))
    assert got is not None
    assert (got.next_header, got.hop_limit) == (17, 8)


# ---- both together --------------------------------------------------------------------------------------------------


def both(network: Network, planes: Planes) -> tuple[Plane, Plane]:
    """Anchor and gateway that serve the first node."""
    anchor = planes.anchor()
    bind(anchor, FIRST, TO_GATEWAY)
    return anchor, gateway_with_first(network, planes)


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


def transfer(network: Network, sender: str, receiver: str, target: str, size: int) -> int:
    """Send this many bytes by TCP; how many came."""
    import socket  # noqa: PLC0415
    import threading  # noqa: PLC0415

    with inside(network.names[receiver]):
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with inside(network.names[sender]):
        client = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    came = 0

    def take() -> None:
        nonlocal came
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            while data := connection.recv(1 << 16):
                came += len(data)

    with listener, client:
        listener.bind(("::", 5001))
        listener.listen()
        listener.settimeout(10)
        thread = threading.Thread(target=take)
        thread.start()
        client.settimeout(30)
        client.connect((target, 5001))
        client.sendall(bytes(size))
        client.shutdown(socket.SHUT_WR)
        thread.join(40)
    return came
