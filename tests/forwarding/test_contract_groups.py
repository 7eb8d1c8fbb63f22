# SPDX-License-Identifier: Apache-2.0
"""What every plane of a home agent does with multicast: RFC 6275 sections 10.4.2 and 10.4.3. Groups come from the link of the
correspondent."""

from __future__ import annotations

import socket
import struct

import pytest

from halma.engine.api import Bind, BindingKind, Tunnel, Unbind
from halma.forwarding.plane import Plane
from tests.forwarding.plane_network import (
    ANCHOR,
    CORRESPONDENT,
    FAR,
    FIRST,
    GATEWAY,
    ROAMER,
    SECOND,
    WAIT,
    Network,
    is_tunnelled,
)
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import FRAGMENT, Ip, address, frame, icmp_error, tunnelled, udp
from tests.forwarding.plane_traffic import TO_FAR, TO_GATEWAY, TOO_BIG, counted, from_far, marked, too_big_about
from tests.netio.links import inside

pytestmark = pytest.mark.root

GROUP, OTHER, ON_LINK = "ff0e::5:213", "ff0e::5:214", "ff02::5:213"
HOME = BindingKind.HOME_ADDRESS


@pytest.fixture
def plane(network: Network, planes: Planes) -> Plane:
    """A home agent: the first node is at the far gateway and the second at the other, and both listen to the group."""
    if planes.kind == "seg6":
        pytest.skip("segment routing copies no packets: see test_segment_routing_copies_nothing")
    made = planes.anchor(home_agent=True, multicast_interface=network.index("anchor.inet0"))
    for host, tunnel in ((FIRST, TO_FAR), (SECOND, TO_GATEWAY)):
        home(made, host, tunnel)
        made.subscribe(address(GROUP), address(host))
    return made


def home(plane: Plane, host: str, tunnel: Tunnel) -> None:
    assert plane.apply([Bind(1, address(host), 128, tunnel, kind=HOME)]) == [0]


def to_group(network: Network, packet: Ip) -> None:
    """A packet that the correspondent sends to a group."""
    wire = network.wire("correspondent.eth0")
    wire.socket.send(frame(packet.bytes(), b"\x33\x33" + packet.destination[12:], wire.mac))


def comes_to(network: Network, packet: Ip, port: int) -> dict[str, list[Ip]]:
    """Where copies of a packet come, in tunnels. One that certainly comes to both is behind it."""
    for name in ("far", "gateway"):
        network.wire(f"{name}.core0").drain()
    to_group(network, packet)
    to_group(network, udp(CORRESPONDENT, OTHER, port=port + 1))
    return {name: caught(network, f"{name}.core0", port) for name in ("far", "gateway")}


def caught(network: Network, wire: str, port: int) -> list[Ip]:
    """The packets from this port that come before one from the next."""
    found: list[Ip] = []
    while True:
        got = network.wire(wire).receive(lambda packet: marked(port)(packet) or marked(port + 1)(packet), within=WAIT)
        assert got is not None
        if marked(port + 1)(got):
            return found
        found.append(got)


def both_listen_to_the_other_group(plane: Plane) -> None:
    for host in (FIRST, SECOND):
        plane.subscribe(address(OTHER), address(host))


@pytest.mark.rfc("6275#10.4.2-7", "6275#8.4-15")
def test_each_listener_gets_one_copy(network: Network, plane: Plane) -> None:
    both_listen_to_the_other_group(plane)
    plane.subscribe(address(GROUP), address(FIRST))  # again
    sent = udp(CORRESPONDENT, GROUP, port=301, hop_limit=9, traffic_class=0xB8)
    came = comes_to(network, sent, 301)
    for name, end in (("far", FAR), ("gateway", GATEWAY)):
        (outer,) = came[name]
        assert (outer.source, outer.destination) == (address(ANCHOR), address(end))
        assert outer.traffic_class == 0xB8
        assert outer.inner().bytes() == udp(CORRESPONDENT, GROUP, port=301, hop_limit=8, traffic_class=0xB8).bytes()
    plane.unsubscribe(address(GROUP), address(FIRST))
    came = comes_to(network, udp(CORRESPONDENT, GROUP, port=303), 303)
    assert (came["far"], len(came["gateway"])) == ([], 1)
    plane.unsubscribe(address(GROUP), address(SECOND))
    assert comes_to(network, udp(CORRESPONDENT, GROUP, port=305), 305) == {"far": [], "gateway": []}


def test_a_node_listens_to_more_groups_than_there_may_be_bindings(network: Network, planes: Planes) -> None:
    if planes.kind == "seg6":
        pytest.skip("segment routing copies no packets: see test_segment_routing_copies_nothing")
    plane = planes.anchor(home_agent=True, multicast_interface=network.index("anchor.inet0"), maximum_bindings=2)
    home(plane, FIRST, TO_FAR)
    for number in range(32):
        plane.subscribe(address(f"ff0e::5:{number}"), address(FIRST))


def test_the_copies_follow_the_home_address(network: Network, plane: Plane) -> None:
    both_listen_to_the_other_group(plane)
    home(plane, FIRST, TO_GATEWAY)
    plane.subscribe(address(OTHER), address(ROAMER))
    home(plane, ROAMER, TO_FAR)
    came = comes_to(network, udp(CORRESPONDENT, GROUP, port=311), 311)
    assert (len(came["far"]), len(came["gateway"])) == (0, 2)
    assert plane.apply([Unbind(2, address(SECOND), 128, HOME)]) == [0]
    assert len(comes_to(network, udp(CORRESPONDENT, GROUP, port=313), 313)["gateway"]) == 1


@pytest.mark.rfc("6275#10.4.2-4")
@pytest.mark.parametrize("group", [ON_LINK, "ff01::5:213"])
def test_what_is_for_the_link_stays_there(network: Network, plane: Plane, group: str) -> None:
    both_listen_to_the_other_group(plane)
    plane.subscribe(address(group), address(FIRST))
    assert comes_to(network, udp(CORRESPONDENT, group, port=321), 321)["far"] == []
    assert comes_to(network, udp(CORRESPONDENT, GROUP, port=323, hop_limit=1), 323)["far"] == []
    assert comes_to(network, udp("fe80::1", GROUP, port=325), 325)["far"] == []
    assert comes_to(network, udp("::", GROUP, port=327), 327)["far"] == []


def test_groups_come_from_one_link(network: Network, plane: Plane) -> None:
    both_listen_to_the_other_group(plane)
    network.wire("far.core0").drain()
    network.wire("gateway.core0").send(udp(CORRESPONDENT, GROUP, port=331), network.wire("anchor.core1"))
    to_group(network, udp(CORRESPONDENT, OTHER, port=332))
    assert caught(network, "far.core0", 331) == []


@pytest.mark.rfc("6275#10.4.2-5")
def test_programs_of_the_machine_hear_their_groups_as_before(network: Network, plane: Plane) -> None:
    with inside(network.names["anchor"]), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as member:
        member.bind(("::", 2000))
        member.settimeout(WAIT)
        request = address(GROUP) + struct.pack("@I", network.index("anchor.inet0"))
        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        to_group(network, udp(CORRESPONDENT, GROUP, port=341))
        data, (source, *_) = member.recvfrom(100)
    assert (len(data), source) == (16, CORRESPONDENT)
    assert plane.counters()["dropped_group"] == 0


def test_what_a_node_sends_goes_to_the_link_and_to_the_others(network: Network, plane: Plane) -> None:
    link, others = network.wire("correspondent.eth0"), network.wire("gateway.core0")
    for wire in (link, others, network.wire("far.core0")):
        wire.drain()
    from_far(network, tunnelled(udp(FIRST, GROUP, port=351, hop_limit=9), FAR, ANCHOR))
    bare = link.receive(marked(351))
    assert bare is not None
    assert bare.bytes() == udp(FIRST, GROUP, port=351, hop_limit=8).bytes()
    copy = others.receive(marked(351))
    assert copy is not None
    assert copy.inner().bytes() == udp(FIRST, GROUP, port=351, hop_limit=8).bytes()
    both_listen_to_the_other_group(plane)
    to_group(network, udp(CORRESPONDENT, OTHER, port=352))
    assert caught(network, "far.core0", 351) == []


def test_what_a_node_sends_has_the_address_of_its_group_on_the_link(network: Network, plane: Plane) -> None:
    from_far(network, tunnelled(udp(FIRST, GROUP, port=361), FAR, ANCHOR))
    with inside(network.names["correspondent"]), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as member:
        member.bind(("::", 2000))
        member.settimeout(WAIT)
        request = address(GROUP) + struct.pack("@I", network.index("correspondent.eth0"))
        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        from_far(network, tunnelled(udp(FIRST, GROUP, port=362), FAR, ANCHOR))
        assert member.recvfrom(100)[1][0] == FIRST
    assert counted(plane, "dropped_group", 0)


@pytest.mark.parametrize(
    "inner",
    [
        udp(FIRST, ON_LINK, port=371),
        udp(FIRST, "ff01::1", port=371),
        udp(FIRST, GROUP, port=371, hop_limit=1),
    ],
    ids=["of the link", "of the interface", "at its end"],
)
def test_what_must_not_leave_its_link_does_not_come_out_of_a_tunnel(network: Network, plane: Plane, inner: Ip) -> None:
    link = network.wire("correspondent.eth0")
    link.drain()
    from_far(network, tunnelled(inner, FAR, ANCHOR))
    from_far(network, tunnelled(udp(FIRST, GROUP, port=372), FAR, ANCHOR))
    assert caught(network, "correspondent.eth0", 371) == []
    assert counted(plane, "dropped_group", 1)


def test_nobody_sends_to_a_group_by_anothers_tunnel(network: Network, plane: Plane) -> None:
    network.wire("correspondent.eth0").drain()
    from_far(network, tunnelled(udp(SECOND, GROUP, port=381), FAR, ANCHOR))
    from_far(network, tunnelled(udp(FIRST, GROUP, port=382), FAR, ANCHOR))
    assert caught(network, "correspondent.eth0", 381) == []
    assert counted(plane, "dropped_wrong_outer_source", 1)


def test_who_sends_too_much_is_told(network: Network, plane: Plane) -> None:
    link = network.wire("correspondent.eth0")
    link.drain()
    to_group(network, udp(CORRESPONDENT, GROUP, size=1452, port=391))
    error = link.error(TOO_BIG)
    assert error is not None
    assert (error.value, error.destination) == (1460, CORRESPONDENT)
    assert icmp_error(udp(CORRESPONDENT, GROUP)) is None


def test_a_narrow_link_on_the_way_of_a_copy_is_learnt_and_told(network: Network, plane: Plane) -> None:
    learnt: list[tuple[Tunnel, int]] = []
    plane.on_path_mtu = lambda tunnel, mtu: learnt.append((tunnel, mtu))
    network.ip("anchor", "-6", "route", "flush", "cache")
    for wire in ("far.core0", "correspondent.eth0"):
        network.wire(wire).drain()
    sent = udp(CORRESPONDENT, GROUP, size=1440 - 48, port=397)
    to_group(network, sent)
    outer = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
    assert outer is not None
    from_far(network, too_big_about(outer, 1400))
    error = network.wire("correspondent.eth0").error(TOO_BIG)
    assert error is not None
    assert (error.value, error.destination) == (1360, CORRESPONDENT)
    assert learnt == [(TO_FAR, 1400)]


def test_a_node_that_sends_too_much_for_the_link_of_groups_is_told(network: Network, plane: Plane) -> None:
    both_listen_to_the_other_group(plane)
    for wire in ("far.core0", "gateway.core0", "correspondent.eth0"):
        network.wire(wire).drain()
    try:
        network.ip("anchor", "link", "set", "inet0", "mtu", "1400")
        from_far(network, tunnelled(udp(FIRST, GROUP, size=1401 - 48, port=393), FAR, ANCHOR))
        told = network.wire("far.core0").receive(is_tunnelled(ANCHOR, FAR))
        from_far(network, tunnelled(udp(FIRST, GROUP, size=1400 - 48, port=394), FAR, ANCHOR))
        assert caught(network, "correspondent.eth0", 393) == []
    finally:
        network.ip("anchor", "link", "set", "inet0", "mtu", "1500")
    assert told is not None
    error = icmp_error(told.inner())
    assert error is not None
    assert (error.kind, error.value, error.destination) == (TOO_BIG, 1400, FIRST)


def test_the_first_link_of_a_copy_may_be_narrow(network: Network, plane: Plane) -> None:
    try:
        network.ip("anchor", "link", "set", "core1", "mtu", "1400")
        plane.routes_changed()
        network.wire("correspondent.eth0").drain()
        to_group(network, udp(CORRESPONDENT, GROUP, size=1440 - 48, port=399))
        error = network.wire("correspondent.eth0").error(TOO_BIG)
    finally:
        network.ip("anchor", "link", "set", "core1", "mtu", "1500")
    assert error is not None
    assert (error.value, error.destination) == (1360, CORRESPONDENT)


def test_a_small_copy_on_a_narrow_path_is_fragmented_outside(network: Network, plane: Plane) -> None:
    plane.set_path_mtu(TO_FAR, 1280)
    far = network.wire("far.core0")
    far.drain()
    to_group(network, udp(CORRESPONDENT, GROUP, size=1280 - 48, port=398))
    pieces = [far.receive(lambda packet: packet.next_header == FRAGMENT) for _ in range(2)]
    assert all(piece is not None and (piece.source, piece.destination) == (address(ANCHOR), address(FAR)) for piece in pieces)
    assert len([*filter(None, [far.receive(lambda packet: packet.next_header == FRAGMENT, 0.2)])]) == 0


def test_without_a_link_for_groups_there_are_none(network: Network, planes: Planes) -> None:
    plane = planes.anchor(home_agent=True)
    home(plane, FIRST, TO_FAR)
    link = network.wire("correspondent.eth0")
    link.drain()
    from_far(network, tunnelled(udp(FIRST, GROUP, port=395), FAR, ANCHOR))
    from_far(network, tunnelled(udp(FIRST, CORRESPONDENT, port=396), FAR, ANCHOR))
    assert caught(network, "correspondent.eth0", 395) == []
    if planes.kind != "seg6":
        assert counted(plane, "dropped_group", 1)


def test_segment_routing_copies_nothing(network: Network, planes: Planes) -> None:
    if planes.kind != "seg6":
        pytest.skip("only segment routing: the other planes copy")
    plane = planes.anchor(home_agent=True, multicast_interface=network.index("anchor.inet0"))
    with pytest.raises(OSError, match="not supported"):
        plane.subscribe(address(GROUP), address(FIRST))
    assert any("multicast" in note for note in plane.notes())
