# SPDX-License-Identifier: Apache-2.0
"""A message that is decoded by its shape is what the general decoder makes of it, and so is every message that only looks like
it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halma.wire import DecodeError, DecodeReason, decode, encode
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
    SHAPES.forget()
    yield
    SHAPES.forget()


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


def test_a_shape_is_used_once_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The general decoder is not asked again, and other values in the same places are seen."""
    octets = learn(UPDATE)
    assert list(SHAPES.known) == [octets[1:3]]
    other = BindingUpdate(8, 0x8210, 1, (MobileNodeIdentifier(2, b"another-of-length"), *UPDATE.options[1:]))
    monkeypatch.setattr(SHAPES, "missed", lambda _: pytest.fail("the general decoder was asked"))
    assert decode(encode(other, GATEWAY, ANCHOR), GATEWAY, ANCHOR) == other


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
