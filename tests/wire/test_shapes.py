# SPDX-License-Identifier: Apache-2.0
"""A message that is decoded or encoded by its shape is what the general coder makes of it, and so is every message that only
looks like it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halma.wire import DecodeError, DecodeReason, EncodeError, decode, encode
from halma.wire.checksum import checksum
from halma.wire.layout import Declaration
from halma.wire.messages import BindingUpdate, Heartbeat, Message
from halma.wire.options import (
    AccessNetworkIdentifier,
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
    UnknownOption,
)
from halma.wire.shapes import LEARN_AFTER, MAXIMUM, MAXIMUM_ALIKE
from halma.wire.spaces import MOBILITY_MESSAGES
from tests.wire import strategies
from tests.wire.samples import ANCHOR, GATEWAY

SHAPES = MOBILITY_MESSAGES.shapes
ENCODING = MOBILITY_MESSAGES.encoding_shapes
UPDATE = BindingUpdate(
    7,
    0x8200,
    900,
    (
        MobileNodeIdentifier(1, b"host1@example.org"),
        HomeNetworkPrefix(64, bytes.fromhex("20010db8010000010000000000000000")),
        HandoffIndicator(4),
        AccessTechnologyType(3),
        MobileNodeLinkLayerIdentifier(b"\x02\0\0\0\1\1"),
        LinkLocalAddress(bytes(16)),
        Timestamp(1 << 40),
    ),
)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """No shapes are known before a test, nor after it."""
    forget()
    yield
    forget()


def forget() -> None:
    """Know no shapes, of neither kind."""
    SHAPES.forget()
    for shapes in ENCODING.values():
        shapes.forget()


def learn(message: Message) -> bytes:
    """Decode a message until its shape could be known; its octets."""
    octets = encode(message, GATEWAY, ANCHOR)
    for _ in range(LEARN_AFTER):
        assert decode(octets, GATEWAY, ANCHOR) == message
    return octets


def with_checksum(octets: bytes) -> bytes:
    """The octets with the right checksum in them."""
    blank = octets[:4] + bytes(2) + octets[6:]
    return blank[:4] + checksum(GATEWAY, ANCHOR, blank, 135).to_bytes(2, "big") + blank[6:]


def general(octets: bytes) -> Message | DecodeReason:
    """What the decoder says when no shape is known."""
    SHAPES.forget()
    return result(octets)


def result(octets: bytes) -> Message | DecodeReason:
    """A message, or why there is none."""
    try:
        return decode(octets, GATEWAY, ANCHOR)
    except DecodeError as error:
        return error.reason


@pytest.mark.parametrize("declaration", MOBILITY_MESSAGES.declarations, ids=lambda declaration: declaration.cls.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_what_was_learnt_decodes_to_the_same(declaration: Declaration, data: st.DataObject) -> None:
    """Any message with any options, and another one of the same shape."""
    message = data.draw(strategies.message_of(declaration))
    octets = learn(message)
    assert decode(octets, GATEWAY, ANCHOR) == message


def test_a_shape_is_used_once_it_is_known() -> None:
    """The general decoder need not be asked again, and other values in the same places are seen."""
    octets = learn(UPDATE)
    ((mask, expected, shaped),) = SHAPES.known[octets[1:3]]
    other = BindingUpdate(8, 0x8210, 1, (MobileNodeIdentifier(2, b"another-of-length"), *UPDATE.options[1:]))
    assert int.from_bytes(encode(other, GATEWAY, ANCHOR), "big") & mask == expected
    assert shaped(encode(other, GATEWAY, ANCHOR)) == other


def test_whatever_octet_changes_the_result_is_that_of_the_general_decoder() -> None:
    """Types, lengths, padding, reserved bits, values: each octet of a learnt message with other values in it."""
    octets = learn(UPDATE)
    known = dict(SHAPES.known)
    for place in [*range(4), *range(6, len(octets))]:
        for change in (0x01, 0x02, 0x10, 0x80, 0xFF):
            changed = with_checksum(octets[:place] + bytes((octets[place] ^ change,)) + octets[place + 1 :])
            SHAPES.known.update(known)
            shaped = result(changed)
            assert shaped == general(changed), (place, change)


def test_a_wrong_checksum_is_seen_before_any_shape() -> None:
    """RFC 6275 section 9.2 puts it first."""
    octets = learn(UPDATE)
    with pytest.raises(DecodeError) as caught:
        decode(octets[:-1] + bytes((octets[-1] ^ 1,)), GATEWAY, ANCHOR)
    assert caught.value.reason is DecodeReason.CHECKSUM


def test_a_message_without_fields_and_options_has_a_shape() -> None:
    """Nothing is unpacked then."""
    message = Heartbeat(0, 5, ())
    assert decode(learn(message), GATEWAY, ANCHOR) == message
    assert SHAPES.known


@pytest.mark.parametrize("option", [UnknownOption(200, b"what"), AccessNetworkIdentifier(())])
def test_options_that_one_unpacking_cannot_do_have_no_shape(option: UnknownOption | AccessNetworkIdentifier) -> None:
    """Unknown ones, and those with options inside."""
    message = BindingUpdate(1, 0, 1, (option,))
    assert decode(learn(message), GATEWAY, ANCHOR) == message
    assert not SHAPES.known


def test_shapes_are_bounded() -> None:
    """Whatever comes: identifiers of all lengths, then many of one length in eight octets."""
    for length in range(250):
        learn(BindingUpdate(1, 0, 1, (MobileNodeIdentifier(1, bytes(length)), HandoffIndicator(1))))
        assert sum(map(len, SHAPES.known.values())) <= MAXIMUM
    for first in range(20):
        learn(BindingUpdate(1, 0, 1, (MobileNodeIdentifier(1, bytes(first)), MobileNodeIdentifier(1, bytes(20 - first)))))
        assert all(len(alike) <= MAXIMUM_ALIKE for alike in SHAPES.known.values())


# ---- encoding ----


def learn_to_encode(message: Message) -> bytes:
    """Encode a message until its shape could be known; the octets that the general encoder makes."""
    octets = encode(message, GATEWAY, ANCHOR)
    for _ in range(LEARN_AFTER):
        assert encode(message, GATEWAY, ANCHOR) == octets
    return octets


@pytest.mark.parametrize("declaration", MOBILITY_MESSAGES.declarations, ids=lambda declaration: declaration.cls.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_what_was_learnt_encodes_to_the_same(declaration: Declaration, data: st.DataObject) -> None:
    """Any message with any options, and then another one, of the same classes where chance will have it."""
    learn_to_encode(data.draw(strategies.message_of(declaration)))
    other = data.draw(strategies.message_of(declaration))
    octets = encode(other, GATEWAY, ANCHOR)
    forget()
    assert octets == encode(other, GATEWAY, ANCHOR)


OTHERS = (
    dataclasses.replace(UPDATE, sequence=8, flags=0x8210, lifetime=1),
    dataclasses.replace(UPDATE, options=(MobileNodeIdentifier(2, b"another-of-length"), *UPDATE.options[1:])),
    dataclasses.replace(UPDATE, options=(MobileNodeIdentifier(1, b"longer than it was"), *UPDATE.options[1:])),
    dataclasses.replace(UPDATE, options=(MobileNodeIdentifier(1, b""), *UPDATE.options[1:])),
    dataclasses.replace(UPDATE, options=UPDATE.options[1:]),
    dataclasses.replace(UPDATE, options=(*UPDATE.options[:2], *UPDATE.options[1:])),
    dataclasses.replace(UPDATE, options=(*UPDATE.options[:4], MobileNodeLinkLayerIdentifier(bytes(8)), *UPDATE.options[5:])),
)


@pytest.mark.parametrize("other", OTHERS)
def test_another_message_is_encoded_as_if_nothing_were_known(other: BindingUpdate) -> None:
    """Other values in the same places, other lengths, other options."""
    learn_to_encode(UPDATE)
    octets = encode(other, GATEWAY, ANCHOR)
    forget()
    assert octets == encode(other, GATEWAY, ANCHOR)


def test_an_encoding_shape_is_used_once_it_is_known() -> None:
    """The general encoder is not asked again."""
    shapes = ENCODING[BindingUpdate]
    learn_to_encode(UPDATE)
    (shaped,) = shapes.known[tuple(map(type, UPDATE.options))]
    octets = shaped(OTHERS[1])
    assert octets is not None
    assert with_checksum(octets) == encode(OTHERS[1], GATEWAY, ANCHOR)
    assert shaped(OTHERS[2]) is None


@pytest.mark.parametrize(
    "wrong",
    [
        dataclasses.replace(UPDATE, lifetime=1 << 16),
        dataclasses.replace(UPDATE, options=(*UPDATE.options[:6], Timestamp(1 << 64))),
        dataclasses.replace(UPDATE, options=(*UPDATE.options[:5], LinkLocalAddress(bytes(15)), UPDATE.options[6])),
    ],
)
def test_what_does_not_fit_is_refused_by_a_shape_too(wrong: BindingUpdate) -> None:
    """A number too great, an address too short."""
    learn_to_encode(UPDATE)
    with pytest.raises(EncodeError):
        encode(wrong, GATEWAY, ANCHOR)


@pytest.mark.parametrize("option", [UnknownOption(200, b"what"), UnknownOption(1, b"pad"), AccessNetworkIdentifier(())])
def test_options_that_one_packing_cannot_do_have_no_shape(option: UnknownOption | AccessNetworkIdentifier) -> None:
    """Unknown ones, those that look like padding, those with options inside."""
    learn_to_encode(BindingUpdate(1, 0, 1, (option,)))
    assert not ENCODING[BindingUpdate].known


def test_encoding_shapes_are_bounded() -> None:
    """Whatever we are made to say."""
    shapes = ENCODING[BindingUpdate]
    for length in range(250):
        learn_to_encode(BindingUpdate(1, 0, 1, (MobileNodeIdentifier(1, bytes(length)),) * (1 + length % 3)))
        assert sum(map(len, shapes.known.values())) <= MAXIMUM
        assert all(len(alike) <= MAXIMUM_ALIKE for alike in shapes.known.values())
    for count in range(2 * MAXIMUM):
        encode(BindingUpdate(1, 0, 1, (HandoffIndicator(1),) * count), GATEWAY, ANCHOR)
        assert len(shapes._missed) <= MAXIMUM
