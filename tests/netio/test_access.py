# SPDX-License-Identifier: Apache-2.0
"""What a gateway hears on an access interface, and what it says there."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from halma.engine.gateway_api import NodeHeard, RouterSolicitationReceived
from halma.netio import access
from halma.netio.access import BURST, SEEN, AccessPort, capture_filter
from halma.wire.addresses import ALL_NODES, UNSPECIFIED
from halma.wire.icmpv6 import EchoReply, EchoRequest, Icmpv6Message, decode_icmpv6, encode_icmpv6
from halma.wire.nd import (
    NeighborAdvertisement,
    NeighborSolicitation,
    RouterAdvertisement,
    RouterSolicitation,
    SourceLinkLayerAddress,
    TargetLinkLayerAddress,
    solicited_node,
)
from tests.netio.links import GATEWAY_ADDRESS, GATEWAY_LINK_LAYER, NODE, NODE_ADDRESS, Pair, inside

pytestmark = pytest.mark.root

GLOBAL = bytes.fromhex("20010db8010000010000000000000001")
ICMPV6 = 58


@pytest.fixture
def port(pair: Pair) -> Iterator[AccessPort]:
    with inside(pair.gateway):
        made = AccessPort(pair.index, "ap0", GATEWAY_LINK_LAYER)
    pair.up()
    with pytest.raises(OSError, match="down"):
        made.receive()  # told once: the interface was down when the socket was bound
    yield made
    made.close()


def icmp(message: Icmpv6Message, source: bytes = NODE_ADDRESS) -> bytes:
    return encode_icmpv6(message, source, GATEWAY_ADDRESS)


def listen(port: AccessPort, wanted: int) -> list[NodeHeard | RouterSolicitationReceived]:
    """The first events; what comes after a last frame with an end marker is all there is."""
    events: list[NodeHeard | RouterSolicitationReceived] = []
    while len(events) < wanted:
        readable, _, _ = select.select([port], [], [], 5)
        assert readable, f"heard {events}"
        events += port.receive()
    return events


STRANGER = bytes.fromhex("0200000009ff")


def nothing_but(pair: Pair, port: AccessPort) -> list[NodeHeard | RouterSolicitationReceived]:
    """What was heard before a frame from somebody whom nobody has seen, which always is."""
    pair.say(b"end", sender=STRANGER)
    events = listen(port, 1)
    while events[-1].link_layer_address != STRANGER:
        events += listen(port, 1)
    port.forget(STRANGER)
    return events[:-1]


@pytest.mark.requirement("GW-1")
def test_the_first_frame_of_a_node_gives_it_away_and_its_data_is_not_heard_again(pair: Pair, port: AccessPort) -> None:
    pair.say(b"data", source=GLOBAL)
    assert listen(port, 1) == [NodeHeard(pair.index, NODE, GLOBAL)]
    for _ in range(20):
        pair.say(b"data", source=GLOBAL)
        pair.say(icmp(EchoRequest(0, 1, 1, b"")), ICMPV6)
    assert nothing_but(pair, port) == []


def test_neighbor_discovery_is_always_heard(pair: Pair, port: AccessPort) -> None:
    port.admit(NODE)
    pair.say(icmp(RouterSolicitation((SourceLinkLayerAddress(NODE),))), ICMPV6)
    pair.say(icmp(NeighborSolicitation(GATEWAY_ADDRESS)), ICMPV6)
    pair.say(icmp(NeighborAdvertisement(0x40000000, NODE_ADDRESS)), ICMPV6)
    pair.say(icmp(EchoReply(0, 1, 1, b"")), ICMPV6)
    assert nothing_but(pair, port) == [
        RouterSolicitationReceived(pair.index, NODE, NODE_ADDRESS),
        *[NodeHeard(pair.index, NODE, NODE_ADDRESS)] * 3,
    ]


def test_echo_replies_of_data_traffic_are_not_heard(pair: Pair, port: AccessPort) -> None:
    port.admit(NODE)
    pair.say(icmp(EchoReply(0, 1, 1, b""), GLOBAL), ICMPV6, source=GLOBAL)
    assert nothing_but(pair, port) == []


def test_a_node_that_was_forgotten_is_heard_again(pair: Pair, port: AccessPort) -> None:
    port.admit(NODE)
    port.admit(NODE)
    port.forget(NODE)
    port.forget(NODE)
    pair.say(b"data")
    assert listen(port, 1) == [NodeHeard(pair.index, NODE, NODE_ADDRESS)]
    port.forget_all()
    port.forget_all()
    pair.say(b"data")
    assert listen(port, 1) == [NodeHeard(pair.index, NODE, NODE_ADDRESS)]


def test_a_router_solicitation_that_is_not_valid_is_dropped(pair: Pair, port: AccessPort) -> None:
    whole = icmp(RouterSolicitation())
    pair.say(whole[:2] + b"\0\0" + whole[4:], ICMPV6)  # wrong checksum
    pair.say(whole[:6], ICMPV6)
    assert nothing_but(pair, port) == []
    assert port.counters["frames_malformed"] == 2


def test_short_frames_and_other_versions_are_dropped(pair: Pair, port: AccessPort) -> None:
    pair.socket.send(GATEWAY_LINK_LAYER + NODE + b"\x86\xdd" + b"\x60" + bytes(20))
    pair.socket.send(GATEWAY_LINK_LAYER + NODE + b"\x86\xdd" + b"\x40" + bytes(60))
    pair.socket.send(GATEWAY_LINK_LAYER + NODE + b"\x08\x00" + bytes(60))
    assert nothing_but(pair, port) == []
    assert port.counters["frames_malformed"] == 2


def test_when_there_are_too_many_senders_only_neighbor_discovery_is_heard(pair: Pair, port: AccessPort) -> None:
    senders = [b"\x02\x55" + number.to_bytes(4, "big") for number in range(SEEN + 20)]
    for sender in senders:
        pair.say(b"data", sender=sender)
        if sender in senders[: SEEN + 1]:
            assert listen(port, 1)[0].link_layer_address == sender
    pair.say(icmp(NeighborSolicitation(GATEWAY_ADDRESS)), ICMPV6)
    assert listen(port, 1) == [NodeHeard(pair.index, NODE, NODE_ADDRESS)]
    port.forget_all()
    pair.say(b"data", sender=senders[-1])
    assert listen(port, 1)[0].link_layer_address == senders[-1]


def test_one_call_takes_a_bounded_number_of_frames(pair: Pair, port: AccessPort, monkeypatch: pytest.MonkeyPatch) -> None:
    assert BURST <= 256
    monkeypatch.setattr(access, "BURST", 16)
    for _ in range(16 + 10):
        pair.say(icmp(NeighborSolicitation(GATEWAY_ADDRESS)), ICMPV6)
    taken = [len(port.receive()), len(port.receive()), len(port.receive())]
    assert taken == [16, 10, 0]


def test_the_filter_is_short_enough_for_the_kernel() -> None:
    everybody = tuple(number.to_bytes(6, "big") for number in range(SEEN))
    assert len(capture_filter(everybody, strangers=True)) < 4096
    assert len(capture_filter(everybody, strangers=False)) == len(capture_filter((), strangers=True))


def test_a_socket_on_an_interface_that_is_not_there_is_refused(pair: Pair) -> None:
    with inside(pair.gateway), pytest.raises(OSError, match="No such device"):
        AccessPort(99, "ap9", GATEWAY_LINK_LAYER)


# ---- out -------------------------------------------------------------------------------------------------------------------


def said(frame: bytes) -> tuple[bytes, bytes, bytes, Icmpv6Message]:
    """Ethernet destination, IPv6 source and destination, message."""
    source, destination, length = frame[22:38], frame[38:54], int.from_bytes(frame[18:20], "big")
    assert frame[12:14] == b"\x86\xdd"
    return frame[:6], source, destination, decode_icmpv6(frame[54 : 54 + length], source, destination, frame[21])


@pytest.mark.requirement("GW-3")
@pytest.mark.rfc("6543#1-1", "5213#9.3-9")
def test_a_router_advertisement_goes_to_one_node(pair: Pair, port: AccessPort) -> None:
    message = RouterAdvertisement(64, 0, 1800, 0, 0, (SourceLinkLayerAddress(GATEWAY_LINK_LAYER),))
    port.advertise(NODE, GATEWAY_ADDRESS, ALL_NODES, message)
    port.advertise(NODE, GATEWAY_ADDRESS, NODE_ADDRESS, message)
    first, second = pair.heard(2)
    assert said(first) == (NODE, GATEWAY_ADDRESS, ALL_NODES, message)
    assert said(second) == (NODE, GATEWAY_ADDRESS, NODE_ADDRESS, message)
    assert port.counters["frames_sent"] == 2


def test_a_node_is_probed_as_far_as_its_address_is_known(pair: Pair, port: AccessPort) -> None:
    port.probe(NODE, GATEWAY_ADDRESS, NODE_ADDRESS)
    port.probe(NODE, GATEWAY_ADDRESS, ALL_NODES)
    port.probe(NODE, UNSPECIFIED, NODE_ADDRESS)
    port.probe(NODE, UNSPECIFIED, ALL_NODES)
    first, second, third = pair.heard(3)
    ours = (SourceLinkLayerAddress(GATEWAY_LINK_LAYER),)
    assert said(first) == (NODE, GATEWAY_ADDRESS, NODE_ADDRESS, NeighborSolicitation(NODE_ADDRESS, ours))
    assert said(second)[:3] == (NODE, GATEWAY_ADDRESS, ALL_NODES)
    assert isinstance(said(second)[3], EchoRequest)
    assert said(third) == (NODE, UNSPECIFIED, solicited_node(NODE_ADDRESS), NeighborSolicitation(NODE_ADDRESS))
    assert port.counters["frames_sent"] == 3


def test_everybody_on_a_new_link_is_told_where_the_gateway_is_and_asked_to_answer(pair: Pair) -> None:
    with inside(pair.gateway):
        port = AccessPort(pair.index, "ap0", GATEWAY_LINK_LAYER)
    pair.up()
    port.solicit(GATEWAY_ADDRESS)  # nothing was received before: the first frame on the link is not lost
    first, second = pair.heard(2)
    group = bytes.fromhex("333300000001")
    told = NeighborAdvertisement(0xA0000000, GATEWAY_ADDRESS, (TargetLinkLayerAddress(GATEWAY_LINK_LAYER),))
    assert said(first) == (group, GATEWAY_ADDRESS, ALL_NODES, told)
    assert said(second)[:3] == (group, GATEWAY_ADDRESS, ALL_NODES)
    assert isinstance(said(second)[3], EchoRequest)
    port.close()


def test_frames_for_an_interface_that_is_down_are_lost_and_counted(pair: Pair) -> None:
    with inside(pair.gateway):
        port = AccessPort(pair.index, "ap0", GATEWAY_LINK_LAYER)
    port.solicit(GATEWAY_ADDRESS)
    assert port.counters["frames_not_sent"] == 2
    port.close()
