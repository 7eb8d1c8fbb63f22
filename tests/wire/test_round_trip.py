# SPDX-License-Identifier: Apache-2.0
"""What is encoded decodes to itself, for every declared type; and what the generated coders say is what a plain reading of the
octets by the layout says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halma.wire import decode, encode
from halma.wire.icmpv6 import UnknownIcmpv6, decode_icmpv6, encode_icmpv6
from halma.wire.ipv6 import DestinationOptions, HopByHopOptions, Packet, build_packet, parse_packet, refused_option
from halma.wire.layout import Declaration
from halma.wire.messages import BindingUpdate, UnknownMessage
from halma.wire.nd import solicited_node
from halma.wire.options import Option, UnknownOption
from halma.wire.optionspace import PAD1, PADN, OptionSpace
from halma.wire.spaces import (
    DESTINATION_OPTIONS,
    ICMPV6_MESSAGES,
    MOBILITY_MESSAGES,
    MOBILITY_OPTIONS,
    ND_OPTIONS,
    OPTION_SPACES,
)
from tests.wire import strategies
from tests.wire.samples import ANCHOR, EXTENSION_HEADERS, GATEWAY, HOME, LINK_LOCAL

BRIEF = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
ADDRESSES = st.binary(min_size=16, max_size=16)


def _named(declaration: Declaration) -> str:
    return declaration.cls.__name__


@pytest.mark.parametrize("declaration", MOBILITY_MESSAGES.declarations, ids=_named)
@BRIEF
@given(data=st.data(), source=ADDRESSES, destination=ADDRESSES)
@pytest.mark.rfc("6275#6.1.1-1", "6275#6.1.1-2", "6275#6.1.1-4", "6275#6.1.1-5")
def test_messages(declaration: Declaration, data: st.DataObject, source: bytes, destination: bytes) -> None:
    message = data.draw(strategies.message_of(declaration))
    octets = encode(message, source, destination)
    assert decode(octets, source, destination) == message
    assert len(octets) % 8 == 0
    assert octets[0] == 59
    assert octets[1] == len(octets) // 8 - 1
    assert (octets[2], octets[3]) == (declaration.number, 0)
    assert _plain_checksum(source + destination + len(octets).to_bytes(4, "big") + bytes((0, 0, 0, 135)) + octets) == 0xFFFF


def _plain_checksum(octets: bytes) -> int:
    """RFC 1071 as it is written: add the words, add the carries."""
    total = sum(octets[place] << 8 | octets[place + 1] for place in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


DECLARED = [(space, declaration) for space in OPTION_SPACES for declaration in space.declarations.values()]


@pytest.mark.parametrize(("space", "declaration"), DECLARED, ids=[_named(declaration) for _, declaration in DECLARED])
@BRIEF
@given(data=st.data())
def test_options(space: OptionSpace, declaration: Declaration, data: st.DataObject) -> None:
    option = data.draw(strategies.option_of(declaration))
    octets = space.encode((option,), 0)
    assert space.decode(octets, 0, len(octets)) == (option,)
    assert space.decode(b"\xff" * 5 + octets + b"\xff" * 3, 5, 5 + len(octets)) == (option,)


@BRIEF
@given(st.lists(strategies.options(MOBILITY_OPTIONS.name), max_size=12))
def test_options_in_any_order_stand_where_they_must(options: list[Option]) -> None:
    """Walks the octets by hand: type, length, next; padding is skipped, everything else is at its place (xn+y)."""
    message = BindingUpdate(1, 0, 1, tuple(options))
    octets = encode(message, GATEWAY, ANCHOR)
    expected, offset = list(options), 12
    while offset < len(octets):
        number = octets[offset]
        if number == PAD1:
            offset += 1
            continue
        end = offset + 2 + octets[offset + 1]
        if number == PADN:
            assert octets[offset + 2 : end] == bytes(end - offset - 2)
            assert end - offset < 8, "more padding than any alignment needs"
        else:
            option = expected.pop(0)
            if isinstance(option, UnknownOption):
                assert (number, octets[offset + 2 : end]) == (option.number, option.data)
            else:
                declaration = MOBILITY_OPTIONS.declarations[number]
                assert isinstance(option, declaration.cls)
                multiple, remainder = declaration.align
                if declaration.align_rest:  # whatever its size is a multiple of
                    rest = octets[offset + 1] - declaration.minimum
                    multiple = next((power for power in (8, 4) if rest % power == 0), 2)
                    remainder = -(2 + declaration.minimum) % multiple
                assert offset % multiple == remainder, declaration
        offset = end
    assert offset == len(octets)
    assert not expected


@BRIEF
@given(strategies.unknown(MOBILITY_OPTIONS.name))
@pytest.mark.rfc("6275#6.2.1-1", "6275#6.2.1-2", "5213#8.1-2", "5213#8.2-1", "5846#5.1-3", "5847#3.3-2", "6275#6.1.2-2")
@pytest.mark.rfc("6275#6.1.3-2", "6275#6.1.4-2", "6275#6.1.5-1", "6275#6.1.6-1", "6275#6.1.7-8", "6275#6.1.8-4", "6275#6.1.9-2")
def test_unknown_options_survive_in_every_message_and_hide_nothing(option: Option) -> None:
    known = strategies.SPACES[MOBILITY_OPTIONS.name].declarations[22].cls(64, HOME)
    for declaration in MOBILITY_MESSAGES.declarations:
        message = _with_options(declaration, (option, known, option))
        assert decode(encode(message, GATEWAY, ANCHOR), GATEWAY, ANCHOR) == message


def _with_options(declaration: Declaration, options: tuple[Option, ...]) -> Any:
    values: list[Any] = []
    for word in declaration.layout.split():
        if word.endswith("s"):
            values.append(bytes(int(word[:-1])))
        elif not word.endswith("x"):
            count = word.split("&")[0][:-1]
            values.extend([0] * int(count or 1))
    return declaration.cls(*values, options)


@BRIEF
@given(st.integers(0, 255), st.integers(0, 20).flatmap(lambda units: st.binary(min_size=units * 8 + 2, max_size=units * 8 + 2)))
def test_unknown_messages_survive(number: int, data: bytes) -> None:
    if number in {declaration.number for declaration in MOBILITY_MESSAGES.declarations}:
        number = 99
    message = UnknownMessage(number, data)
    assert decode(encode(message, GATEWAY, ANCHOR), GATEWAY, ANCHOR) == message


@pytest.mark.parametrize("declaration", ICMPV6_MESSAGES.declarations, ids=_named)
@BRIEF
@given(data=st.data())
@pytest.mark.rfc("6275#6.7-4", "6275#6.7-5", "6275#6.8-5", "6275#6.8-6")
def test_icmpv6(declaration: Declaration, data: st.DataObject) -> None:
    message = data.draw(strategies.message_of(declaration, ND_OPTIONS.name))
    if hasattr(message, "target"):
        message = type(message)(**{**{name: getattr(message, name) for name in message.__slots__}, "target": HOME})
    destination = solicited_node(HOME) if declaration.number == 135 else ANCHOR
    octets = encode_icmpv6(message, LINK_LOCAL, destination)
    assert decode_icmpv6(octets, LINK_LOCAL, destination) == message
    padded = octets + bytes(len(octets) & 1)
    pseudo = LINK_LOCAL + destination + len(octets).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    assert _plain_checksum(pseudo + padded) == 0xFFFF


@BRIEF
@given(st.integers(200, 255), st.integers(0, 255), st.binary(max_size=50))
def test_unknown_icmpv6_survives(number: int, code: int, data: bytes) -> None:
    message = UnknownIcmpv6(number, code, data)
    assert decode_icmpv6(encode_icmpv6(message, ANCHOR, GATEWAY), ANCHOR, GATEWAY) == message


HEADERS = st.one_of(
    st.lists(strategies.options(DESTINATION_OPTIONS.name), max_size=4).map(lambda options: HopByHopOptions(tuple(options))),
    st.lists(strategies.options(DESTINATION_OPTIONS.name), max_size=4).map(lambda options: DestinationOptions(tuple(options))),
    st.sampled_from(EXTENSION_HEADERS),
)


@BRIEF
@given(
    st.builds(
        Packet,
        ADDRESSES,
        ADDRESSES,
        st.sampled_from((6, 17, 41, 50, 58, 59, 135)),
        st.binary(max_size=64),
        hop_limit=st.integers(0, 255),
        traffic_class=st.integers(0, 255),
        flow_label=st.integers(0, (1 << 20) - 1),
        extension_headers=st.lists(HEADERS, max_size=4).map(tuple),
    )
)
def test_packets(packet: Packet) -> None:
    octets = build_packet(packet)
    assert parse_packet(octets) == packet
    assert parse_packet(octets + b"trailer of the link") == packet
    assert len(octets) == 40 + int.from_bytes(octets[4:6], "big")
    if not packet.is_fragment:
        refused_option(octets)
