# SPDX-License-Identifier: Apache-2.0
"""ICMPv6 and Neighbor Discovery octet by octet, and what makes a received message invalid (RFC 4861 sections 6.1 and 7.1)."""

from __future__ import annotations

from typing import Any

import pytest

from halma.wire.checksum import checksum, verify
from halma.wire.errors import DecodeError, DecodeReason, EncodeError
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryReply,
    HomeAgentAddressDiscoveryRequest,
    Icmpv6Message,
    MobilePrefixAdvertisement,
    MobilePrefixSolicitation,
    PacketTooBig,
    ParameterProblem,
    UnknownIcmpv6,
    decode_icmpv6,
    encode_icmpv6,
)
from halma.wire.nd import (
    AdvertisementInterval,
    HomeAgentInformation,
    MaximumTransmissionUnit,
    NeighborAdvertisement,
    NeighborSolicitation,
    PrefixInformation,
    RouterAdvertisement,
    RouterSolicitation,
    SourceLinkLayerAddress,
    TargetLinkLayerAddress,
    solicited_node,
)
from halma.wire.numbers import NextHeader
from halma.wire.options import Option
from halma.wire.optionspace import UnknownOption
from halma.wire.spaces import ND_OPTIONS
from tests.wire.samples import ALL_NODES, ANCHOR, GATEWAY, HOME, ICMPV6, LINK_LAYER, LINK_LOCAL, PREFIX

UNSPECIFIED = bytes(16)
VECTORS: tuple[tuple[Icmpv6Message, str], ...] = (
    (PacketTooBig(0, 1400, b"\x60\x00"), "0200 ---- 00000578 6000"),
    (ParameterProblem(0, 41, b"\x60"), "0400 ---- 00000029 60"),
    (HomeAgentAddressDiscoveryRequest(77, 0x8000), "9000 ---- 004d8000"),
    (HomeAgentAddressDiscoveryReply(77, 0, ANCHOR), "9100 ---- 004d0000 20010db8 00010000 00000000 00000001"),
    (MobilePrefixSolicitation(78), "9200 ---- 004e0000"),
    (MobilePrefixAdvertisement(78, 0xC000), "9300 ---- 004ec000"),
    (RouterSolicitation((SourceLinkLayerAddress(LINK_LAYER),)), "8500 ---- 00000000 0101 020000000101"),
    (
        RouterAdvertisement(64, 0xE0, 1800, 1000, 2000, (MaximumTransmissionUnit(1400),)),
        "8600 ---- 40e00708 000003e8 000007d0 05010000 00000578",
    ),
    (
        RouterAdvertisement(0, 0, 0, 0, 0, (PrefixInformation(64, 0xC0, 0xFFFFFFFF, 1800, PREFIX),)),
        "8600 ---- 00000000 00000000 00000000 0304 40c0 ffffffff 00000708 00000000 20010db8 01000000 00000000 00000000",
    ),
    (
        RouterAdvertisement(0, 0, 0, 0, 0, (AdvertisementInterval(5000), HomeAgentInformation(0x8000, 10, 1800))),
        "8600 ---- 00000000 00000000 00000000 07010000 00001388 08018000 000a0708",
    ),
    (
        NeighborAdvertisement(0x60000000, HOME, (TargetLinkLayerAddress(LINK_LAYER),)),
        "8800 ---- 60000000 20010db8 01000000 00000000 00000010 0201 020000000101",
    ),
    (UnknownIcmpv6(200, 7, b"\1\2\3"), "c807 ---- 010203"),
)


def sealed(text: str, source: bytes = LINK_LOCAL, destination: bytes = ALL_NODES) -> bytes:
    """An ICMPv6 message in hexadecimal with the checksum, written as ----, made right."""
    octets = bytes.fromhex(text.replace("----", "0000"))
    right = checksum(source, destination, octets, NextHeader.ICMPV6)
    return octets[:2] + right.to_bytes(2, "big") + octets[4:]


@pytest.mark.parametrize(("message", "text"), VECTORS, ids=lambda each: type(each).__name__)
def test_messages_on_the_wire(message: Icmpv6Message, text: str) -> None:
    destination = ANCHOR if isinstance(message, NeighborAdvertisement) else ALL_NODES
    octets = sealed(text, LINK_LOCAL, destination)
    assert encode_icmpv6(message, LINK_LOCAL, destination).hex(" ", 4) == octets.hex(" ", 4)
    assert decode_icmpv6(octets, LINK_LOCAL, destination) == message


def test_a_neighbor_solicitation_on_the_wire() -> None:
    text = "8700 ---- 00000000 20010db8 01000000 00000000 00000010 0101 020000000101"
    message = NeighborSolicitation(HOME, (SourceLinkLayerAddress(LINK_LAYER),))
    octets = sealed(text, GATEWAY, solicited_node(HOME))
    assert encode_icmpv6(message, GATEWAY, solicited_node(HOME)) == octets
    assert decode_icmpv6(octets, GATEWAY, solicited_node(HOME)) == message
    assert solicited_node(HOME).hex() == "ff0200000000000000000001ff000010"


@pytest.mark.parametrize(
    ("zero", "set_bits"),
    [
        pytest.param("9000 ---- 004d8000", "9000 ---- 004dffff", marks=pytest.mark.rfc("6275#6.5-1")),
        pytest.param("9100 ---- 004d0000", "9100 ---- 004d7fff", marks=pytest.mark.rfc("6275#6.6-1")),
        pytest.param("9200 ---- 004e0000", "9200 ---- 004effff", marks=pytest.mark.rfc("6275#6.7-3")),
        pytest.param("9300 ---- 004e0000", "9300 ---- 004e3fff", marks=pytest.mark.rfc("6275#6.8-4")),
        ("8500 ---- 00000000", "8500 ---- ffffffff"),
        ("8600 ---- 40000708 00000000 00000000", "8600 ---- 401f0708 00000000 00000000"),
    ],
)
def test_reserved_bits_are_ignored_when_received_and_zero_when_sent(zero: str, set_bits: str) -> None:
    message = decode_icmpv6(sealed(set_bits), LINK_LOCAL, ALL_NODES)
    assert message == decode_icmpv6(sealed(zero), LINK_LOCAL, ALL_NODES)
    assert encode_icmpv6(message, LINK_LOCAL, ALL_NODES) == sealed(zero)


@pytest.mark.rfc("6275#6.7-5", "6275#6.8-6")
def test_unknown_options_hide_nothing() -> None:
    options: tuple[Option, ...] = (UnknownOption(25, bytes(14)), MaximumTransmissionUnit(1400), UnknownOption(24, bytes(6)))
    for message in (
        MobilePrefixSolicitation(1, options),
        MobilePrefixAdvertisement(1, 0, options),
        RouterSolicitation(options),
    ):
        octets = encode_icmpv6(message, LINK_LOCAL, ALL_NODES)
        assert decode_icmpv6(octets, LINK_LOCAL, ALL_NODES) == message


def refusal(octets: bytes, source: bytes = LINK_LOCAL, destination: bytes = ALL_NODES, hop_limit: int = 255) -> tuple[Any, int]:
    """Why, and pointing where, a decoder refuses these octets."""
    with pytest.raises(DecodeError) as caught:
        decode_icmpv6(octets, source, destination, hop_limit)
    return caught.value.reason, caught.value.offset


def test_octets_that_are_no_message() -> None:
    assert refusal(b"\x85\0\0") == (DecodeReason.TRUNCATED, 3)
    assert refusal(b"\x85\0\0\1" + bytes(4)) == (DecodeReason.CHECKSUM, 2)
    assert refusal(sealed("8500 ---- 000000")) == (DecodeReason.MESSAGE_LENGTH, 7)
    assert refusal(sealed("8501 ---- 00000000")) == (DecodeReason.CODE, 1)
    assert refusal(sealed("8500 ---- 00000000 0100 000000000000")) == (DecodeReason.OPTION_LENGTH, 9)
    assert refusal(sealed("8500 ---- 00000000 0102 000000000000")) == (DecodeReason.OPTION_OVERRUN, 9)
    assert refusal(sealed("8500 ---- 00000000 01")) == (DecodeReason.OPTION_OVERRUN, 8)
    assert refusal(sealed("8500 ---- 00000000 0502" + "00" * 14)) == (DecodeReason.OPTION_LENGTH, 9)


def test_a_message_that_crossed_a_router_is_refused() -> None:
    for message in ICMPV6:
        if isinstance(message, RouterSolicitation | RouterAdvertisement | NeighborSolicitation | NeighborAdvertisement):
            octets = encode_icmpv6(message, LINK_LOCAL, solicited_node(HOME))
            assert refusal(octets, LINK_LOCAL, solicited_node(HOME), 254) == (DecodeReason.HOP_LIMIT, 0)
    octets = encode_icmpv6(PacketTooBig(0, 1400, b""), ANCHOR, GATEWAY)
    assert decode_icmpv6(octets, ANCHOR, GATEWAY, 60) == PacketTooBig(0, 1400, b"")


FROM_NOBODY = (SourceLinkLayerAddress(LINK_LAYER),)


@pytest.mark.parametrize(
    ("message", "source", "destination", "offset"),
    [
        (RouterAdvertisement(64, 0, 1800, 0, 0), GATEWAY, ALL_NODES, 0),
        (RouterSolicitation(FROM_NOBODY), UNSPECIFIED, ALL_NODES, 0),
        (NeighborSolicitation(ALL_NODES), LINK_LOCAL, solicited_node(ALL_NODES), 8),
        (NeighborSolicitation(HOME, FROM_NOBODY), UNSPECIFIED, solicited_node(HOME), 0),
        (NeighborSolicitation(HOME), UNSPECIFIED, HOME, 0),
        (NeighborAdvertisement(0, ALL_NODES), LINK_LOCAL, HOME, 8),
        (NeighborAdvertisement(0x40000000, HOME), LINK_LOCAL, ALL_NODES, 4),
    ],
)
def test_addresses_that_may_not_stand_there(message: Icmpv6Message, source: bytes, destination: bytes, offset: int) -> None:
    octets = encode_icmpv6(message, source, destination)
    assert refusal(octets, source, destination) == (DecodeReason.ADDRESS, offset)


@pytest.mark.parametrize(
    ("message", "source", "destination"),
    [
        (RouterAdvertisement(64, 0, 1800, 0, 0), bytes.fromhex("febf") + bytes(14), ALL_NODES),
        (RouterSolicitation(), UNSPECIFIED, ALL_NODES),
        (RouterSolicitation(FROM_NOBODY), LINK_LOCAL, ALL_NODES),
        (NeighborSolicitation(HOME), UNSPECIFIED, solicited_node(HOME)),
        (NeighborSolicitation(HOME, FROM_NOBODY), GATEWAY, HOME),
        (NeighborAdvertisement(0x20000000, HOME), LINK_LOCAL, ALL_NODES),
        (NeighborAdvertisement(0x60000000, HOME), LINK_LOCAL, GATEWAY),
    ],
)
def test_addresses_that_may(message: Icmpv6Message, source: bytes, destination: bytes) -> None:
    assert decode_icmpv6(encode_icmpv6(message, source, destination), source, destination) == message


@pytest.mark.parametrize(
    "message",
    [
        PacketTooBig(0, 1 << 32, b""),
        PacketTooBig(256, 1280, b""),
        NeighborSolicitation(b"short"),
        RouterSolicitation((SourceLinkLayerAddress(b"odd"),)),
        RouterSolicitation((UnknownOption(99, b"odd"),)),
        RouterSolicitation((UnknownOption(256, bytes(6)),)),
        UnknownIcmpv6(256, 0, b""),
        "no message at all",
    ],
)
def test_values_that_do_not_fit(message: Any) -> None:
    with pytest.raises(EncodeError):
        encode_icmpv6(message, LINK_LOCAL, ALL_NODES)


def test_home_agents() -> None:
    assert HomeAgentAddressDiscoveryReply(1, 0, ANCHOR + GATEWAY + b"rest").home_agents() == (ANCHOR, GATEWAY)
    assert HomeAgentAddressDiscoveryReply(1, 0, b"").home_agents() == ()


def test_the_checksum_of_an_odd_number_of_octets() -> None:
    """The example of RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 add up to ddf2."""
    zero = bytes(16)
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert checksum(zero, zero, data, 0) == 0xFFFF ^ (0xDDF2 + 8)
    assert checksum(zero, zero, data + b"\1", 0) == 0xFFFF ^ (0xDDF2 + 9 + 0x100)
    assert verify(zero, zero, bytes.fromhex("0000fffe0000"), 0) is False
    assert verify(zero, zero, bytes.fromhex("fff9"), 4) is True


def test_an_nd_option_ends_where_its_length_says() -> None:
    data = ND_OPTIONS.encode((MaximumTransmissionUnit(1400), SourceLinkLayerAddress(LINK_LAYER)), 0)
    assert ND_OPTIONS.decode(data, 0, 8) == (MaximumTransmissionUnit(1400),)
