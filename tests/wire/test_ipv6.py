# SPDX-License-Identifier: Apache-2.0
"""IPv6 packets octet by octet, what is refused, and finding messages in packets and tunnels."""

from __future__ import annotations

from typing import Any

import pytest

from halma.wire import encode
from halma.wire.dissect import dissect
from halma.wire.errors import DecodeError, DecodeReason, EncodeError
from halma.wire.icmpv6 import encode_icmpv6
from halma.wire.ipv6 import (
    DestinationOptions,
    FragmentHeader,
    HomeAddress,
    HopByHopOptions,
    Packet,
    RouterAlert,
    RoutingHeader,
    TunnelEncapsulationLimit,
    TypeTwoRoutingHeader,
    build_extension_headers,
    build_packet,
    parse_packet,
    refused_option,
)
from halma.wire.messages import BindingUpdate, UnknownMessage
from halma.wire.nd import RouterSolicitation
from halma.wire.numbers import NextHeader
from halma.wire.options import UnknownOption
from tests.wire.samples import ALL_NODES, ANCHOR, CARE_OF, EXTENSION_HEADERS, GATEWAY, HOME, LINK_LOCAL, MESSAGES

HEAD = "6{:07x} {:04x} {:02x} 40" + CARE_OF.hex() + ANCHOR.hex()


def packet_of(first: int, next_header: int, text: str) -> bytes:
    """A packet from the care-of address to the anchor: traffic class and flow label, next header, all after it."""
    rest = bytes.fromhex(text)
    return bytes.fromhex(HEAD.format(first, len(rest), next_header)) + rest


VECTORS: tuple[tuple[Packet, bytes], ...] = (
    (Packet(CARE_OF, ANCHOR, 59, b""), packet_of(0, 59, "")),
    (Packet(CARE_OF, ANCHOR, 17, b"\1\2", traffic_class=0xB8, flow_label=0x12345), packet_of(0xB812345, 17, "0102")),
    (
        Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(DestinationOptions((HomeAddress(HOME),)),)),
        packet_of(0, 60, "3b02 01020000 c910" + HOME.hex()),
    ),
    (
        Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(TypeTwoRoutingHeader(HOME),)),
        packet_of(0, 43, "3b020201 00000000" + HOME.hex()),
    ),
    (
        Packet(CARE_OF, ANCHOR, 58, b"\1", extension_headers=(HopByHopOptions((RouterAlert(0),)),)),
        packet_of(0, 0, "3a00 0502 0000 0100 01"),
    ),
    (
        Packet(CARE_OF, ANCHOR, 41, b"\1", extension_headers=(DestinationOptions((TunnelEncapsulationLimit(4),)),)),
        packet_of(0, 60, "2900 0401 04 010100 01"),
    ),
    (
        Packet(CARE_OF, ANCHOR, 17, b"\1", extension_headers=(FragmentHeader(185, True, 0x01020304),)),
        packet_of(0, 44, "1100 05c9 01020304 01"),
    ),
    (
        Packet(CARE_OF, ANCHOR, 17, b"\1", extension_headers=(RoutingHeader(4, 2, bytes(4)),)),
        packet_of(0, 43, "11000402 00000000 01"),
    ),
)


@pytest.mark.parametrize(("packet", "octets"), VECTORS)
@pytest.mark.rfc("6275#6.3-1", "6275#6.4.1-2", "6275#6.4.1-3")
def test_packets_on_the_wire(packet: Packet, octets: bytes) -> None:
    assert build_packet(packet).hex(" ", 4) == octets.hex(" ", 4)
    assert parse_packet(octets) == packet


@pytest.mark.rfc("6275#6.4.1-1")
def test_the_reserved_field_of_a_type_2_routing_header() -> None:
    packet = parse_packet(packet_of(0, 43, "3b020201 ffffffff" + HOME.hex()))
    assert packet.extension_headers == (TypeTwoRoutingHeader(HOME),)
    assert build_packet(packet) == packet_of(0, 43, "3b020201 00000000" + HOME.hex())


def refusal(octets: bytes) -> tuple[DecodeReason, int]:
    """Why, and pointing where, a packet is refused."""
    with pytest.raises(DecodeError) as caught:
        parse_packet(octets)
    return caught.value.reason, caught.value.offset


@pytest.mark.rfc("6275#6.3-1", "6275#6.4.1-2", "6275#6.4.1-3")
def test_packets_that_are_refused() -> None:
    whole = build_packet(Packet(CARE_OF, ANCHOR, 59, b"payload", extension_headers=EXTENSION_HEADERS))
    for size in range(len(whole)):
        assert refusal(whole[:size])[0] == DecodeReason.TRUNCATED
    assert refusal(b"\x45" + whole[1:]) == (DecodeReason.VERSION, 0)
    assert refusal(packet_of(0, 60, "3b00 0000")) == (DecodeReason.TRUNCATED, 40)
    assert refusal(packet_of(0, 60, "3b01 010400000000")) == (DecodeReason.TRUNCATED, 41)
    assert refusal(packet_of(0, 60, "3b00 01020000 c910")) == (DecodeReason.OPTION_OVERRUN, 47)
    assert refusal(packet_of(0, 60, "3b02 01020000 c90f" + HOME.hex())) == (DecodeReason.OPTION_LENGTH, 47)
    assert refusal(packet_of(0, 43, "3b030201 00000000" + HOME.hex() + "00" * 8)) == (DecodeReason.MESSAGE_LENGTH, 41)
    assert refusal(packet_of(0, 43, "3b020200 00000000" + HOME.hex())) == (DecodeReason.FORMAT, 43)
    assert refusal(packet_of(0, 43, "3b020202 00000000" + HOME.hex())) == (DecodeReason.FORMAT, 43)


@pytest.mark.parametrize(
    "packet",
    [
        Packet(b"short", ANCHOR, 59, b""),
        Packet(CARE_OF, b"short", 59, b""),
        Packet(CARE_OF, ANCHOR, 256, b""),
        Packet(CARE_OF, ANCHOR, 59, bytes(65536)),
        Packet(CARE_OF, ANCHOR, 59, b"", hop_limit=256),
        Packet(CARE_OF, ANCHOR, 59, b"", traffic_class=256),
        Packet(CARE_OF, ANCHOR, 59, b"", flow_label=1 << 20),
        Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(TypeTwoRoutingHeader(b"short"),)),
        Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(RoutingHeader(0, 0, b"odd"),)),
        Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(RoutingHeader(256, 0, bytes(4)),)),
        Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(FragmentHeader(1 << 13, False, 0),)),
        Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(DestinationOptions((UnknownOption(30, bytes(256)),)),)),
    ],
)
def test_packets_that_cannot_be(packet: Packet) -> None:
    with pytest.raises(EncodeError):
        build_packet(packet)


def test_headers_of_no_known_class() -> None:
    nonsense: Any = ("no header",)
    with pytest.raises((EncodeError, AttributeError, TypeError)):
        build_extension_headers(nonsense, 59)


def test_a_home_address_is_found_behind_other_options_and_headers() -> None:
    headers = (
        HopByHopOptions(()),
        DestinationOptions((TunnelEncapsulationLimit(1),)),
        DestinationOptions((HomeAddress(HOME),)),
    )
    packet = parse_packet(build_packet(Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=headers)))
    assert packet.home_address == HOME
    assert packet.checksum_source == HOME
    assert packet.checksum_destination == ANCHOR
    plain = Packet(CARE_OF, ANCHOR, 59, b"")
    assert (plain.home_address, plain.checksum_source) == (None, CARE_OF)


@pytest.mark.parametrize("header", [HopByHopOptions, DestinationOptions])
def test_an_unknown_option_says_whether_it_may_be_skipped(header: type[HopByHopOptions | DestinationOptions]) -> None:
    options = (TunnelEncapsulationLimit(1), UnknownOption(0x1E, b"\xde"))
    before, behind = (header(options), TypeTwoRoutingHeader(HOME)), (FragmentHeader(0, False, 9), DestinationOptions(()))
    for number, refused in ((0x1E, False), (0x5E, True), (0x9E, True), (0xDE, True)):
        odd = header((*options, UnknownOption(number, b"odd")))
        for headers in (odd, *behind), (*before, odd), (*before, *behind, odd):
            octets = build_packet(Packet(CARE_OF, ANCHOR, 135, b"\xde" * 8, extension_headers=headers))
            assert parse_packet(octets).extension_headers == headers
            place = refused_option(octets)
            assert place == (octets.index(bytes([number, 3]) + b"odd") if refused else None)


def test_a_home_address_is_known_in_destination_options_alone() -> None:
    for header, place in ((DestinationOptions, None), (HopByHopOptions, 46)):
        packet = Packet(CARE_OF, ANCHOR, 59, b"", extension_headers=(header((HomeAddress(HOME),)),))
        assert refused_option(build_packet(packet)) == place


def test_what_follows_a_later_fragment_is_no_header() -> None:
    later = Packet(CARE_OF, ANCHOR, 60, b"not options", extension_headers=(FragmentHeader(1, False, 9),))
    assert parse_packet(build_packet(later)) == later
    assert later.is_fragment
    first = Packet(CARE_OF, ANCHOR, 135, b"\0" * 8, extension_headers=(FragmentHeader(0, True, 9),))
    assert first.is_fragment
    assert dissect(build_packet(first)).message is None
    atomic = Packet(CARE_OF, ANCHOR, 135, b"\0" * 8, extension_headers=(FragmentHeader(0, False, 9),))
    assert not atomic.is_fragment
    assert isinstance(dissect(build_packet(atomic)).message, DecodeError)


def test_messages_are_found_in_tunnels() -> None:
    inner = Packet(GATEWAY, ANCHOR, NextHeader.MOBILITY, encode(MESSAGES[5], GATEWAY, ANCHOR))
    middle = Packet(CARE_OF, ANCHOR, NextHeader.IPV6, build_packet(inner))
    outer = Packet(HOME, ANCHOR, NextHeader.IPV6, build_packet(middle), extension_headers=(HopByHopOptions(()),))
    found = dissect(build_packet(outer))
    assert found.packets == (outer, middle, inner)
    assert found.message == MESSAGES[5]


def test_what_else_may_be_in_a_packet() -> None:
    solicitation = encode_icmpv6(RouterSolicitation(), LINK_LOCAL, ALL_NODES)
    packet = Packet(LINK_LOCAL, ALL_NODES, NextHeader.ICMPV6, solicitation, hop_limit=255)
    assert dissect(build_packet(packet)).message == RouterSolicitation()
    crossed = Packet(LINK_LOCAL, ALL_NODES, NextHeader.ICMPV6, solicitation, hop_limit=254)
    assert dissect(build_packet(crossed)).message == DecodeError(DecodeReason.HOP_LIMIT, 0)
    assert dissect(build_packet(Packet(HOME, ANCHOR, NextHeader.UDP, b"data"))).message is None
    assert dissect(b"\x60").message == DecodeError(DecodeReason.TRUNCATED, 1)
    unknown = Packet(GATEWAY, ANCHOR, NextHeader.MOBILITY, encode(UnknownMessage(99, b"??"), GATEWAY, ANCHOR))
    assert dissect(build_packet(unknown)).message == UnknownMessage(99, b"??")


def test_a_binding_update_with_a_home_address_option() -> None:
    octets = encode(BindingUpdate(1, 0xC000, 100), HOME, ANCHOR)
    packet = Packet(CARE_OF, ANCHOR, 135, octets, extension_headers=(DestinationOptions((HomeAddress(HOME),)),))
    assert dissect(build_packet(packet)).message == BindingUpdate(1, 0xC000, 100)
